#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
# profile.pl PID KALLSYMS LINES: shares of the functions of a kernel that runs
# as process PID, from lines "PID ADDRESS" of perf script.
use strict;
use warnings;
no warnings "portable";	# addresses of 64 bits

my ($pid, $file, $lines) = @ARGV;
my (@addr, @name);

open(my $f, '<', $file) or die "$file: $!\n";
my @symbols = sort { $a->[0] <=> $b->[0] } map {
	my ($addr, $type, $name, $module) = split ' ';
	$type =~ /[tTwW]/ ? [hex $addr, $name . ($module ? " $module" : '')] : ();
} <$f>;
close $f;
die "$file: no symbols\n" unless @symbols;
push @addr, $_->[0] for @symbols;
push @name, $_->[1] for @symbols;

sub find {
	my ($ip) = @_;
	my ($low, $high) = (0, scalar @addr);
	while ($low < $high) {
		my $mid = int(($low + $high) / 2);
		if ($addr[$mid] > $ip) { $high = $mid } else { $low = $mid + 1 }
	}
	return $low && $ip < $addr[-1] + 65536 ? $name[$low - 1] : '(host)';
}

my (%count, $total);
while (<STDIN>) {
	my ($p, $ip) = split ' ';
	next unless $p == $pid;
	$count{find(hex $ip)}++;
	$total++;
}
die "no samples of process $pid\n" unless $total;
my @by = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
printf "%d samples\n", $total;
printf "%6.2f %%  %s\n", 100 * $count{$_} / $total, $_ for grep { defined } @by[0 .. $lines - 1];
