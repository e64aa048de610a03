#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Makes a table, results.json and a plot of the samples that guest.sh took.
#
#	report.pl FOLDER KERNEL
#
# A ratio compares two samples of one round, taken within moments of each
# other; above 1 the new target does better. Numbers are medians of the rounds,
# "lo-hi" is what the middle half of them lie between. A target without a
# sample for each work and round is an error.
use strict;
use warnings;

my ($dir, $kernel) = @ARGV;

# name, what it is, unit, which targets can do it
my @works = (
	['mapped-read', 'mapped, random 4 KiB read', 'IOPS', 1],
	['mapped-write', 'mapped, random 4 KiB write', 'IOPS', 1],
	['mapped-seq', 'mapped, sequential 64 KiB write', 'IOPS', 1],
	['scattered-read', 'mapped in random order, 4 KiB read', 'IOPS', 1],
	['scattered-write', 'mapped in random order, 4 KiB write', 'IOPS', 1],
	['fresh-sparse', 'fresh, random 4 KiB, one in 64 KiB', 'IOPS', 1],
	['fresh-dense', 'fresh, random 4 KiB, all of 1 GiB', 'IOPS', 1],
	['fresh-dense-merged', '  the same, until all is in the trees', 'IOPS', 1],
	['fresh-seq', 'fresh, sequential 64 KiB', 'IOPS', 1],
	['snap-overwrite', '4 KiB overwrite after a snapshot', 'IOPS', 1],
	['snap-space', '  space used per byte written', 'bytes', 0],
	['snap-deleted', '  after that snapshot was deleted', 'IOPS', 1],
	['discard', 'discard of 1 GiB', 'us', 0],
	['discard-scattered', 'discard of 1 GiB mapped in random order', 'us', 0],
	['fsync8', '8 thins, 4 KiB write + fsync each', 'IOPS', 1],
	['create-snap', 'create_snap', 'us', 0],
	['delete', 'delete', 'us', 0],
);
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
			next if $t eq 'linear' && !$w->[3];
			for my $r (keys %rounds) {
				next if defined $value{$w->[0]}{$t}{$r};
				print STDERR "report.pl: no sample of $w->[0] on $t in round $r\n";
				$bad = 1;
			}
		}
	}
	exit 1 if $bad;
}

# How much better thin2 is than another target; undef where one of them has no such work
sub ratio
{
	my ($work, $other) = @_;
	my ($name, undef, $unit) = @$work;
	my ($new, $old) = ($value{$name}{thin2}, $value{$name}{$other});

	return undef if !$new || !$old;
	return summary(map {
		$unit eq 'IOPS' ? $new->{$_} / $old->{$_} : $old->{$_} / $new->{$_}
	} keys %rounds);
}

sub number
{
	my ($v, $unit) = @_;

	return '-' if !defined $v;
	return sprintf('%.2f', $v) if $unit eq 'bytes';
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

sub print_table
{
	my (@rows) = @_;
	my $format = "%-40s %-17s %-19s %9s %9s %9s %6s\n";

	printf $format, '', 'thin2/dm-linear', 'thin2/v1', 'thin2', 'v1', 'dm-linear', 'noise';
	for my $row (@rows) {
		my $u = $row->{unit};
		my $base = $row->{value}{linear} || $row->{value}{v1} || $row->{value}{thin2};

		printf $format, $row->{what}, ratio_text($row->{ratio}{linear}),
			ratio_text($row->{ratio}{v1}),
			(map { number($row->{value}{$_}{median}, $u) } 'thin2', 'v1', 'linear'),
			sprintf('%.0f %%', 100 * ($base->{high} - $base->{low}) / 2 / $base->{median});
	}
	my $n = keys %rounds;
	print <<"EOF2";

Linux $kernel (user-mode), 2 CPUs, ramdisks, $n rounds, targets one after the other in each.
Ratios: above 1 thin2 does better; median of the rounds, and what half of them lie between.
Others: median; IOPS if no unit is given. Noise: half of what the middle half of the rounds
spans, for dm-linear (else v1).  Discards are not passed down.
EOF2
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
	push @rows, \%row;
}
write_json(@rows);
write_plot_data(@rows);
print_table(@rows);
