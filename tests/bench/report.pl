#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Makes a table, results.json and data for plots of the samples that guest.sh took.
#
#	report.pl FOLDER KERNEL [WORKS]
#	report.pl --list [TARGETS]	names of all works, or those of all|pools|thin2
#
# A ratio compares two samples of one round, taken within moments of each
# other; above 1 the new target does better. Numbers are medians of the rounds,
# "lo-hi" is what the middle half of them lie between. A target without a
# sample for each work and round is an error.
use strict;
use warnings;

my ($dir, $kernel, $chosen) = @ARGV;

# name, what it is, unit, which targets can do it, what is wanted of it:
#   v1 >= n or linear >= n: of a ratio;  <= n: of the new target's number
# Units: IOPS, 1 (more is better); us, bytes, ratio (less is better).
my @works = (
	['mapped-read', 'mapped, random 4 KiB read', 'IOPS', 'all'],
	['mapped-write', 'mapped, random 4 KiB write', 'IOPS', 'all'],
	['mapped-seq', 'mapped, sequential 64 KiB write', 'IOPS', 'all'],
	['mapped-seq-1m', 'mapped, sequential 1 MiB write', 'IOPS', 'all'],
	['scattered-read', 'mapped in random order, 4 KiB read', 'IOPS', 'all'],
	['scattered-write', 'mapped in random order, 4 KiB write', 'IOPS', 'all'],
	['scale-read', '  those reads, 2 CPUs to 1', '1', 'all'],
	['fresh-sparse', 'fresh, random 4 KiB, one in 64 KiB', 'IOPS', 'all'],
	['fresh-dense', 'fresh, random 4 KiB, all of 1 GiB', 'IOPS', 'all'],
	['fresh-dense-merged', '  the same, until all is in the trees', 'IOPS', 'all'],
	['scale-provision', '  on separate thins, 2 CPUs to 1', '1', 'all'],
	['fresh-seq', 'fresh, sequential 64 KiB', 'IOPS', 'all'],
	['runs-seq8', '8 thins in sequence, ranges per MiB', 'ratio', 'pools'],
	['snap-overwrite', '4 KiB overwrite after a snapshot', 'IOPS', 'all', 'v1 >= 3'],
	['snap-space', '  space used per byte written', 'bytes', 'pools'],
	['snap-deleted', '  after that snapshot was deleted', 'IOPS', 'all'],
	['discard', 'discard of 1 GiB', 'us', 'pools'],
	['discard-scattered', 'discard of 1 GiB mapped in random order', 'us', 'pools'],
	['discard-1t', 'discard of 1 TiB', 'us', 'thin2'],
	['discard-1t-stall', '  longest of 4 KiB I/O beside it', 'us', 'thin2'],
	['discard-1m', 'discard of 10^6 ranges', 'us', 'thin2'],
	['discard-1m-stall', '  longest of 4 KiB I/O beside it', 'us', 'thin2'],
	['fsync8', '8 thins, 4 KiB write + fsync each', 'IOPS', 'all'],
	['delay-fsync8', '  the same, requests take 0.5 ms', 'IOPS', 'all'],
	['delay-fsync1', '  one alone, in times of the device', 'ratio', 'all', '<= 2'],
	['delay-flush1', '  the fsync of that', 'ratio', 'all'],
	['beside-alone', 'p99 of a mapped 4 KiB read, alone', 'us', 'all'],
	['beside-read', '  beside a thin that is provisioned', 'us', 'all', 'linear >= 0.8333'],
	['merge-time', 'merge of 458,752 ranges into 10^7', 'us', 'thin2'],
	['merge-read', '  p99 of a read meanwhile, to idle', 'ratio', 'thin2', '<= 1.5'],
	['merge-stall', '  longest of 4 KiB I/O meanwhile', 'us', 'thin2', '<= 10000'],
	['idle-stall', '  longest of the same when idle', 'us', 'thin2'],
	['activation', 'activation, 10^7 ranges, full journal', 'us', 'thin2', '<= 1000000'],
	['create-snap', 'create_snap', 'us', 'pools', '<= 2000'],
	['big-create-snap', 'create_snap of 10^7 ranges', 'us', 'thin2', '<= 2000'],
	['delete', 'delete', 'us', 'pools', '<= 2000'],
	['big-delete', 'delete of 10^7 ranges', 'us', 'thin2', '<= 2000'],
);
if (($dir // '') eq '--list') {
	print "$_->[0]\n" for grep { !$kernel || $_->[3] eq $kernel } @works;
	exit;
}
if ($chosen) {
	my %chosen = map { $_ => 1 } split ' ', $chosen;

	@works = grep { $chosen{$_->[0]} } @works;
}
my %label = (linear => 'dm-linear', v1 => 'thin v1', thin2 => 'thin2');

my (%value, %rounds, %targets);

sub quantile
{
	my ($q, @v) = @_;
	my $pos = $q * $#v;
	my $i = int($pos);

	@v = sort { $a <=> $b } @v;
	return $v[$i] if $i >= $#v;
	return $v[$i] + ($pos - $i) * ($v[$i + 1] - $v[$i]);
}

sub summary
{
	my @v = @_;

	return {
		n => scalar @v,
		median => quantile(0.5, @v),
		low => quantile(0.25, @v),
		high => quantile(0.75, @v),
		min => quantile(0, @v),
		max => quantile(1, @v),
	};
}

sub read_samples
{
	my $file = "$dir/samples";

	open(my $in, '<', $file) or die "report.pl: $file: $!\n";
	while (<$in>) {
		my @words = split;
		my ($round, $work, $target, $v) = @words;

		die "report.pl: $file:$.: bad line\n" if @words != 4;
		$value{$work}{$target}{$round} = $v;
		$rounds{$round} = 1;
		$targets{$target} = 1;
	}
	die "report.pl: no samples\n" if !%rounds;
}

sub check_complete
{
	my $bad = 0;

	for my $w (@works) {
		for my $t (keys %targets) {
			next if $w->[3] eq 'thin2' && $t ne 'thin2';
			next if $w->[3] eq 'pools' && $t eq 'linear';
			for my $r (keys %rounds) {
				next if defined $value{$w->[0]}{$t}{$r};
				print STDERR "report.pl: no sample of $w->[0] on $t in round $r\n";
				$bad = 1;
			}
		}
	}
	exit 1 if $bad;
}

sub better_more
{
	return $_[0] eq 'IOPS' || $_[0] eq '1';
}

# How much better a row is than what is wanted: below 1 it is not enough
sub goal
{
	my ($work, $row) = @_;
	my ($of, $op, $n) = ($work->[4] // return undef) =~ /^(v1|linear|) ?(>=|<=) (\S+)$/
		or die "report.pl: bad goal of $work->[0]\n";
	my $v = $of ? $row->{ratio}{$of} : $row->{value}{thin2};

	return undef if !$v;
	return $op eq '>=' ? $v->{median} / $n : $n / $v->{median};
}

# How much better thin2 is than another target; undef where one of them has no such work
sub ratio
{
	my ($work, $other) = @_;
	my ($name, undef, $unit) = @$work;
	my ($new, $old) = ($value{$name}{thin2}, $value{$name}{$other});

	return undef if !$new || !$old;
	return summary(map {
		better_more($unit) ? $new->{$_} / $old->{$_} : $old->{$_} / $new->{$_}
	} keys %rounds);
}

sub number
{
	my ($v, $unit) = @_;

	return '-' if !defined $v;
	return sprintf('%.2f', $v) if $unit =~ /^(bytes|ratio|1)$/;
	return sprintf('%.1f ms', $v / 1000) if $unit eq 'us' && $v >= 10000;
	return sprintf('%.0f us', $v) if $unit eq 'us';
	return sprintf('%.1f k', $v / 1000);
}

sub ratio_text
{
	my ($r) = @_;

	return '-' if !$r;
	return sprintf('%5.2f %11s', $r->{median}, sprintf('%.2f-%.2f', $r->{low}, $r->{high}));
}

sub write_json
{
	my (@rows) = @_;
	my @out;

	for my $row (@rows) {
		my @parts = (qq("work": "$row->{name}"), qq("unit": "$row->{unit}"));

		push @parts, qq("wanted": "$row->{wanted}") if $row->{wanted};

		for my $set ('value', 'ratio') {
			my @inner;

			for my $key (sort keys %{$row->{$set}}) {
				my $s = $row->{$set}{$key} or next;

				push @inner, qq("$key": {) . join(', ', map {
					sprintf('"%s": %.6g', $_, $s->{$_})
				} sort keys %$s) . '}';
			}
			push @parts, qq("$set": {) . join(', ', @inner) . '}';
		}
		push @out, "\t\t{" . join(",\n\t\t ", @parts) . '}';
	}
	open(my $f, '>', "$dir/results.json") or die "report.pl: results.json: $!\n";
	print $f "{\n\t\"kernel\": \"$kernel\",\n\t\"rounds\": ", scalar(keys %rounds),
		",\n\t\"works\": [\n", join(",\n", @out), "\n\t]\n}\n";
	close($f) or die "report.pl: results.json: $!\n";
}

sub write_plot_data
{
	my (@rows) = @_;

	open(my $f, '>', "$dir/ratios.dat") or die "report.pl: ratios.dat: $!\n";
	for my $row (@rows) {
		my $label = $row->{what};

		next if !$row->{ratio}{linear} && !$row->{ratio}{v1};
		$label =~ s/^ +/… /;
		printf $f '"%s"', $label;
		for my $other ('linear', 'v1') {
			my $r = $row->{ratio}{$other};

			printf $f ' %s', $r ? join(' ', map {
				sprintf('%.4g', log($_) / log(2))
			} @{$r}{'median', 'low', 'high'}) : '? ? ?';
		}
		print $f "\n";
	}
	close($f) or die "report.pl: ratios.dat: $!\n";
}

sub write_goal_data
{
	my (@rows) = @_;

	open(my $f, '>', "$dir/goals.dat") or die "report.pl: goals.dat: $!\n";
	for my $row (@rows) {
		next if !defined $row->{goal};
		my $label = "$row->{what} ($row->{wanted})";

		$label =~ s/^ +/… /;
		printf $f qq("%s" %.4g\n), $label, log($row->{goal}) / log(2);
	}
	close($f) or die "report.pl: goals.dat: $!\n";
}

sub print_table
{
	my (@rows) = @_;
	my @missed;
	my $format = "%-40s %-17s %-19s %9s %9s %9s %6s\n";

	printf $format, '', 'thin2/dm-linear', 'thin2/v1', 'thin2', 'v1', 'dm-linear', 'noise';
	for my $row (@rows) {
		my $u = $row->{unit};
		my $base = $row->{value}{linear} || $row->{value}{v1} || $row->{value}{thin2};

		printf $format, $row->{what}, ratio_text($row->{ratio}{linear}),
			ratio_text($row->{ratio}{v1}),
			(map { number($row->{value}{$_}{median}, $u) } 'thin2', 'v1', 'linear'),
			sprintf('%.0f %%', 100 * ($base->{high} - $base->{low}) / 2 / $base->{median});
		push @missed, sprintf("  %s: %s, is %s\n", $row->{what} =~ s/^ +//r, $row->{wanted},
			$row->{wanted} =~ /^(\w+) / ? sprintf('%.2f', $row->{ratio}{$1}{median}) :
			number($row->{value}{thin2}{median}, $u))
			if defined $row->{goal} && $row->{goal} < 1;
	}
	my $n = keys %rounds;
	print <<"EOF2";

Linux $kernel (user-mode), 2 CPUs, ramdisks, $n rounds, targets one after the other in each.
Ratios: above 1 thin2 does better; median of the rounds, and what half of them lie between.
Others: median; IOPS if no unit is given. Noise: half of what the middle half of the rounds
spans, for dm-linear (else v1).  Discards are not passed down.
EOF2
	print "\nShort of what is wanted (of a median; <= of thin2's number, in us or as it stands):\n",
		@missed if @missed;
}

read_samples();
check_complete();
my @rows;
for my $w (@works) {
	my ($name, $what, $unit) = @$w;
	my %row = (name => $name, what => $what, unit => $unit);

	for my $t (keys %targets) {
		my $v = $value{$name}{$t} or next;
		$row{value}{$t} = summary(values %$v);
	}
	$row{ratio}{$_} = ratio($w, $_) for 'linear', 'v1';
	$row{goal} = goal($w, \%row);
	$row{wanted} = $w->[4];
	push @rows, \%row;
}
write_json(@rows);
write_plot_data(@rows);
write_goal_data(@rows);
print_table(@rows);
