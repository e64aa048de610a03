#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Makes a table, results.json and data for plots of the samples that guest.sh took.
#
#	report.pl FOLDER KERNEL [WORKS]
#	report.pl --list [TARGETS]	names of all works, or those of all|pools|thin2|once
#
# A ratio compares two samples of one round, taken within moments of each
# other; above 1 the new target does better. Numbers are medians of the rounds,
# "lo-hi" is what the middle half of them lie between. A target without a
# sample for each work and round is an error.
use strict;
use warnings;

my ($dir, $kernel, $chosen) = @ARGV;

# name, what it is, unit, which targets can do it, what is wanted of it.
# Targets: all; pools (not dm-linear); thin2; once (thin2, in the first round).
# Wanted: "<= n", ">= n"		of thin2's number
#	  "v1 >= n", "linear >= n"	how much better thin2 does than that
#	  "WORK >= n"			how much better than it does that work, which
#					must have the same unit
# Units: IOPS, 1, KiB (more is better); us, bytes, ratio (less is better).
my @works = (
	['mapped-read', 'mapped, random 4 KiB read', 'IOPS', 'all', 'linear >= 0.95'],
	['mapped-write', 'mapped, random 4 KiB write', 'IOPS', 'all', 'linear >= 0.93'],
	['mapped-seq', 'mapped, sequential 64 KiB write', 'IOPS', 'all', 'linear >= 0.97'],
	['mapped-seq-1m', 'mapped, sequential 1 MiB write', 'IOPS', 'all', 'linear >= 0.97'],
	['scattered-read', 'mapped in random order, 4 KiB read', 'IOPS', 'all', 'linear >= 0.95'],
	['scattered-write', 'mapped in random order, 4 KiB write', 'IOPS', 'all',
	 'linear >= 0.93'],
	['scale-read', '  those reads, 2 CPUs to 1', '1', 'all', 'linear >= 0.95'],
	['fresh-sparse', 'fresh, random 4 KiB, one in 64 KiB', 'IOPS', 'all', 'linear >= 0.55'],
	['fresh-dense', 'fresh, random 4 KiB, all of 1 GiB', 'IOPS', 'all', 'linear >= 0.60'],
	['fresh-dense-merged', '  the same, until all is in the trees', 'IOPS', 'all',
	 'linear >= 0.60'],
	['fill-ranges', '  KiB of a range then', 'KiB', 'pools', 'v1 >= 1'],
	['scale-provision', '  on separate thins, 2 CPUs to 1', '1', 'all', 'linear >= 0.95'],
	['fresh-seq', 'fresh, sequential 64 KiB', 'IOPS', 'all', 'linear >= 0.90'],
	['runs-seq8', '8 thins in sequence, ranges per MiB', 'ratio', 'pools', '<= 1.05'],
	['write-runs-seq8', '8 thins in turn, KiB in a run of writes', 'KiB', 'pools'],
	['write-streams-seq8', '  in runs of which 8 are open', 'KiB', 'pools', 'v1 >= 1'],
	['write-runs-random', '64 MiB at random, KiB in a run of writes', 'KiB', 'pools',
	 'v1 >= 1'],
	['write-pieces-random', '  in a piece on the disk', 'KiB', 'pools', 'v1 >= 1'],
	['snap-before', '4 KiB overwrite before a snapshot', 'IOPS', 'all'],
	['snap-overwrite', '  after it', 'IOPS', 'all', 'linear >= 0.60'],
	['snap-space', '  space used per byte written', 'bytes', 'pools', '<= 1.05'],
	['snap-deleted', '  after that snapshot was deleted', 'IOPS', 'all',
	 'snap-before >= 0.95'],
	['discard', 'discard of 1 GiB written in sequence', 'us', 'pools', '<= 1000'],
	['discard-overwritten', '  overwritten in 4 KiB after a snapshot', 'us', 'pools'],
	['discard-scattered', '  mapped in random order', 'us', 'pools'],
	['discard-1t', 'discard of 1 TiB', 'us', 'thin2', '<= 20000'],
	['discard-1t-stall', '  longest of 4 KiB I/O beside it', 'us', 'thin2'],
	['discard-1m', 'discard of 10^6 ranges', 'us', 'thin2'],
	['discard-1m-stall', '  longest of 4 KiB I/O beside it', 'us', 'thin2', '<= 1000'],
	['fsync8', '8 thins, 4 KiB write + fsync each', 'IOPS', 'all', 'v1 >= 2'],
	['delay-fsync8', '  the same, requests take 0.5 ms', 'IOPS', 'all', 'v1 >= 3'],
	['delay-fsync1', '  one alone, in times of the device', 'ratio', 'all', '<= 2'],
	# two latencies, where dm-linear needs one; 4 % for what the processor does
	['delay-flush1', '  the fsync of that', 'ratio', 'all', 'linear >= 0.48'],
	['beside-alone', 'p99 of a mapped 4 KiB read, alone', 'us', 'all'],
	['beside-read', '  beside a thin that is provisioned', 'us', 'all', 'linear >= 0.8333'],
	['merge-time', 'merge of 458,752 ranges into 10^7', 'us', 'thin2'],
	['merge-read', '  p99 of a read meanwhile, to idle', 'ratio', 'thin2', '<= 1.5'],
	['merge-stall', '  longest of 4 KiB I/O meanwhile', 'us', 'thin2', '<= 10000'],
	['idle-stall', '  longest of the same when idle', 'us', 'thin2'],
	['busy-stall', '  beside a process that computes', 'us', 'thin2'],
	['activation', 'activation, 10^7 ranges, full journal', 'us', 'thin2', '<= 1000000'],
	['cache-cold', '10^8 ranges, 64 MiB of memory: read', 'IOPS', 'once'],
	['cache-misses-cold', '  misses a read', 'ratio', 'once'],
	['cache-hot', '  reads of a hundredth of them', 'IOPS', 'once'],
	['cache-misses-hot', '  misses a read of those', 'ratio', 'once'],
	['cache-full', '  the same, all of those cached', 'IOPS', 'once'],
	['cache-price', '  that, to reads of all', 'ratio', 'once'],
	['cache-memory', '  largest size of the map, to its limit', 'ratio', 'once', '<= 1.1'],
	['cache-nodes', '  the same as counted by the kernel', 'ratio', 'once'],
	['create-snap', 'create_snap', 'us', 'pools', '<= 2000'],
	['big-create-snap', 'create_snap of 10^7 ranges', 'us', 'thin2', '<= 2000'],
	['delete', 'delete', 'us', 'pools', '<= 2000'],
	['big-delete', 'delete of 10^7 ranges', 'us', 'thin2', '<= 2000'],
);
my %unit_of = map { $_->[0] => $_->[2] } @works;

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
		$value{$work}{$target}{$round} = $v + 0;
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
			next if $w->[3] =~ /^(thin2|once)$/ && $t ne 'thin2';
			next if $w->[3] eq 'pools' && $t eq 'linear';
			for my $r (keys %rounds) {
				next if $w->[3] eq 'once' && $r != 1;
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
	return $_[0] =~ /^(IOPS|1|KiB)$/;
}

# How much better the new numbers are than the old, of each round that has both
sub better
{
	my ($unit, $new, $old) = @_;
	my @rounds = grep { $new->{$_} && $old->{$_} } keys %$new;

	return undef if !@rounds;
	return summary(map {
		better_more($unit) ? $new->{$_} / $old->{$_} : $old->{$_} / $new->{$_}
	} @rounds);
}

# How much better thin2 is than another target; undef where one of them has no such work
sub ratio
{
	my ($work, $other) = @_;
	my ($name, undef, $unit) = @$work;
	my ($new, $old) = ($value{$name}{thin2}, $value{$name}{$other});

	return $new && $old ? better($unit, $new, $old) : undef;
}

# How much better thin2 does a work than another work
sub ratio_to_work
{
	my ($work, $other) = @_;
	my ($name, undef, $unit) = @$work;
	my ($new, $old) = ($value{$name}{thin2}, $value{$other}{thin2});

	die "report.pl: $name is to be compared with $other, which is no work of that unit\n"
		if ($unit_of{$other} // '') ne $unit;
	return $new && $old ? better($unit, $new, $old) : undef;
}

# Sets what a row is measured by (is), and how much better that is than what is
# wanted (goal): below 1 it is not enough
sub set_goal
{
	my ($work, $row) = @_;
	my ($of, $op, $n) = ($work->[4] // return) =~ /^([\w-]+|) ?(>=|<=) ([0-9.]+)$/
		or die "report.pl: bad goal of $work->[0]\n";
	my $v = $of eq '' ? $row->{value}{thin2} :
		$of =~ /^(v1|linear)$/ ? $row->{ratio}{$of} : ratio_to_work($work, $of);

	return if !$v || !$v->{median};
	$row->{is} = $of eq '' ? number($v->{median}, $row->{unit}) :
				 sprintf('%.2f', $v->{median});
	$row->{goal} = $op eq '>=' ? $v->{median} / $n : $n / $v->{median};
}

sub number
{
	my ($v, $unit) = @_;

	return '-' if !defined $v;
	return sprintf('%.2f', $v) if $unit =~ /^(bytes|ratio|1)$/;
	return sprintf($v < 100 ? '%.1f KiB' : '%.0f KiB', $v) if $unit eq 'KiB';
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
		push @parts, sprintf('"to_goal": %.4g', $row->{goal}) if defined $row->{goal};

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
		printf $f qq("%s (%s)" %.4g\n), $row->{name}, $row->{wanted},
			log($row->{goal}) / log(2);
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
			sprintf('%.0f %%', 100 * ($base->{high} - $base->{low}) / 2 /
				($base->{median} || 1));
		push @missed, sprintf("  %-20s %s, is %s\n", $row->{name}, $row->{wanted}, $row->{is})
			if defined $row->{goal} && $row->{goal} < 1;
	}
	my $n = keys %rounds;
	my @goals = grep { defined $_->{goal} } @rows;
	print <<"EOF2";

Linux $kernel (user-mode), 2 CPUs, ramdisks, $n rounds, targets one after the other in each.
Ratios: above 1 thin2 does better; median of the rounds, and what half of them lie between.
Others: median; IOPS if no unit is given. Noise: half of what the middle half of the rounds
spans, for dm-linear (else v1).  Discards are not passed down.
EOF2
	printf "\n%d of the %d goals that were measured are met%s\n", @goals - @missed,
		scalar @goals, @missed ? '.' : ': all of them.' if @goals;
	print "Short of what is wanted (of a median; without a name, of thin2's number, in us or\n",
		"as it stands; else how much better it is than that target or work):\n", @missed
		if @missed;
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
	$row{wanted} = $w->[4];
	set_goal($w, \%row);
	push @rows, \%row;
}
write_json(@rows);
write_plot_data(@rows);
write_goal_data(@rows);
print_table(@rows);
