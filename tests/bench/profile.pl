#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
# profile.pl PID KALLSYMS LINES: shares of the functions of a kernel that runs
# as process PID, from a raw dump of perf's samples with their stacks.
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

my (%self, %all, $total, @stack);

sub count_stack {
	return unless @stack;
	my %seen;
	$self{$stack[0]}++;
	$seen{$_}++ or $all{$_}++ for @stack;
	$total++;
	@stack = ();
}

my $ours = 0;
while (<STDIN>) {
	if (/PERF_RECORD_SAMPLE\(.*?\): (\d+)\//) {
		count_stack();
		$ours = $1 == $pid;
	} elsif ($ours && /^\.+\s+\d+: ([0-9a-f]+)$/) {
		my $ip = hex $1;
		# the host's marks of where a part of the stack begins
		push @stack, find($ip) if $ip < 0xfffffffffffff000;
	}
}
count_stack();
die "no samples of process $pid\n" unless $total;

sub table {
	my ($what, $count) = @_;
	my @by = sort { $count->{$b} <=> $count->{$a} || $a cmp $b } keys %$count;
	splice @by, $lines if @by > $lines;
	print "$what\n";
	printf "%6.2f %%  %s\n", 100 * $count->{$_} / $total, $_ for @by;
}

printf "%d samples\n", $total;
table('alone', \%self);
table('with what it calls', \%all);
