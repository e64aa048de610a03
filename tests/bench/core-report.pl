#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# From core.samples in the folder given: core.json, core.dat for the plot, and
# tables on stdout.  Exit status 2 if something grows faster than n log n.
use strict;
use warnings;
use JSON::PP;

my $dir = shift or die "usage: core-report.pl FOLDER\n";
my $json = JSON::PP->new->canonical->pretty;
my %s;
my @order;

open(my $in, '<', "$dir/core.samples") or die "$dir/core.samples: $!\n";
while (<$in>) {
	chomp;
	my ($section, $key, $text) = split /\t/, $_, 3;
	my $sample = decode_json($text);
	# Tried more than once: the least of each figure.
	my $best = $s{$section}{$key} //= $sample;
	for my $f (grep { /_s$|seconds$|^max_kib$/ } keys %$sample) {
		$best->{$f} = $sample->{$f} if $sample->{$f} < $best->{$f};
	}
	push @order, $key if $section eq 'stat';
}
close $in;

sub mib { sprintf '%.1f', $_[0] / 1048576 }

# ---- sizes ----

if (@order) {
	print "Whole pools, snapshots included; bytes a range: mapping leaves and nodes, payload, ",
		"space map\n\n";
	printf "%-10s %6s %6s %10s %8s %8s %8s %8s %8s\n", qw(pool thins snaps ranges units/r MiB
		bytes/r payload sm/r);
	for my $k (@order) {
		my $st = $s{stat}{$k};
		my ($payload, $ranges) = (0, 0);
		for my $c (values %{$st->{codecs}}) {
			$payload += $c->{payload_bytes};
			$ranges += $c->{ranges};
		}
		printf "%-10s %6d %6d %10d %8.1f %8s %8.2f %8.2f %8.2f\n", $k, $st->{thins},
			$st->{snapshots}, $st->{distinct_ranges}, $st->{units_a_range},
			mib($st->{metadata_bytes}), $st->{bytes_a_range},
			$ranges ? $payload / $ranges : 0,
			$st->{sm_nodes} * 4096 / ($st->{distinct_ranges} || 1);
	}

	print "\nOne thin (the largest) without sharing, as a pool of its own: bytes beside v1's for ",
		"the same\nmappings in 64 KiB blocks (thin_restore)\n\n";
	printf "%-10s %5s %9s %8s %8s %9s %9s %9s %7s\n", qw(pool codec ranges payload leaves v2
		v1-blocks v1 v1/v2);
	for my $key (sort keys %{$s{run}}) {
		my ($k, $codec) = split '/', $key;
		my ($r, $v1) = ($s{run}{$key}, $s{v1}{$k});
		printf "%-10s %5d %9d %8.2f %8.2f %9s %9s %9s %7s\n", $k, $codec, $r->{ranges},
			$r->{bytes_a_range_payload}, $r->{bytes_a_range_leaves},
			mib($r->{pool_bytes}), $v1 ? $v1->{blocks_mapped} : '-',
			$v1 ? mib($v1->{bytes}) : '-',
			$v1 ? sprintf('%.2f', $v1->{bytes} / $r->{pool_bytes}) : '-';
	}
}

# ---- time ----

my @metrics = qw(lookup_warm lookup_cold find check insert merge_dense merge_sparse net encode
	decode);
for my $what (['run', 'Nanoseconds'], ['count', 'Instructions']) {
	next unless $s{$what->[0]};
	print "\n$what->[1], all I/O in memory\n\n";
	printf "%-10s %5s" . ' %12s' x @metrics . "\n", 'pool', 'codec', @metrics;
	for my $key (sort keys %{$s{$what->[0]}}) {
		my ($k, $codec) = split '/', $key;
		my $r = $s{$what->[0]}{$key};
		printf "%-10s %5d" . ' %12.1f' x @metrics . "\n", $k, $codec,
			map { $r->{$_} // 0 } @metrics;
	}
}
if ($s{run}) {
	print "\nLookups in millions a second, leaf in the cache\n\n";
	printf "%-10s %5s %10s %10s\n", qw(pool codec 1-thread 2-threads);
	for my $key (sort keys %{$s{run}}) {
		my ($k, $codec) = split '/', $key;
		printf "%-10s %5d %10.1f %10.1f\n", $k, $codec,
			map { $s{run}{$key}{"lookup_mops_${_}_threads"} } (1, 2);
	}
}

# ---- growth ----

# name, value of a size, least value that is not noise
my @curves = (
	['create', sub { $s{scale}{$_[0]}{create_s} }, 0.02],
	['record', sub { $s{scale}{$_[0]}{record_s} }, 0.02],
	['merge', sub { $s{flat}{$_[0]}{merge_s} }, 0.02],
	# A snapshot merges what its origin has; what is left falls to the checkpoints
	# between. How they share that depends on how many origins take turns.
	['snapshots', sub { $s{scale}{$_[0]}{snapshot_s} + $s{scale}{$_[0]}{merge_s} }, 0.02],
	['check', sub { $s{check}{$_[0]}{cpu_seconds} }, 0.02],
	['dump', sub { $s{dump}{$_[0]}{cpu_seconds} }, 0.02],
	['dump_devices', sub { $s{dump_devices}{$_[0]}{cpu_seconds} }, 0.02],
	['metadata', sub { $s{scale}{$_[0]}{metadata_blocks} * 4096 / 1048576 }, 1],
	['check_mem', sub { $s{check}{$_[0]}{max_kib} / 1024 }, 16],
	['dump_mem', sub { $s{dump_devices}{$_[0]}{max_kib} / 1024 }, 16],
);
my @n = sort { $a <=> $b } keys %{$s{scale}};
my ($steep, %fit) = (0);

if (@n) {
	print "\nGrowth: seconds of CPU; metadata and memory in MiB. A thin for each thousand ranges, 99 ",
		"snapshots for each thin\n\n";
	open(my $dat, '>', "$dir/core.dat") or die "$dir/core.dat: $!\n";
	my $head = sprintf '%-10s' . ' %12s' x @curves, '#ranges', map { $_->[0] } @curves;
	print "$head\n";
	print $dat "$head\n";
	for my $n (@n) {
		my $line = sprintf '%-10d' . ' %12.3f' x @curves, $n,
			map { $_->[1]->($n) } @curves;
		print "$line\n";
		print $dat "$line\n";
	}
	close $dat;
}

# n log n has an exponent of a little more than 1. What outgrows a cache on the
# way makes one step steeper: a quadratic one would be one of 2.
for my $c (@curves) {
	my @p = grep { $_->[1] >= $c->[2] } map { [$_, $c->[1]->($_)] } @n;
	next if @p < 2;
	my ($a, $b) = @p[0, -1];
	my $e = log($b->[1] / $a->[1]) / log($b->[0] / $a->[0]);
	my $most = log($b->[0] * log($b->[0]) / ($a->[0] * log($a->[0]))) / log($b->[0] / $a->[0]);
	my ($worst, $at) = (0, '');
	for my $i (1 .. $#p) {
		my $step = log($p[$i][1] / $p[$i - 1][1]) / log($p[$i][0] / $p[$i - 1][0]);
		($worst, $at) = ($step, "$p[$i - 1][0] to $p[$i][0]") if $step > $worst;
	}
	my $bad = $e > $most + 0.15 || $worst > $most + 0.4;
	$steep = 1 if $bad;
	$fit{$c->[0]} = { exponent => $e, worst_step => $worst, n_log_n => $most,
			  steep => $bad ? JSON::PP::true : JSON::PP::false };
	printf "%s%-12s n^%.2f (n log n: n^%.2f), steepest step n^%.2f from %s%s\n",
		%fit == 1 ? "\n" : '', $c->[0], $e, $most, $worst, $at, $bad ? '  TOO STEEP' : '';
}

open(my $out, '>', "$dir/core.json") or die "$dir/core.json: $!\n";
print $out $json->encode({ %s, growth => \%fit });
close $out or die "$dir/core.json: $!\n";
exit($steep ? 2 : 0);
