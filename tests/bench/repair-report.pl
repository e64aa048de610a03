#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# Turns the samples of repair.sh into a table, repair.json and repair.dat.
#
#   repair-report.pl FOLDER
use strict;
use warnings;

my $dir = shift // die "repair-report.pl FOLDER\n";
my (%sample, @damages, %seen);

open my $in, '<', "$dir/repair.samples" or die "$dir/repair.samples: $!";
while (<$in>) {
	chomp;
	my ($what, $damage, $tries, $used, $hit, $mapped, $due, $lost, $failed) = split /\t/;
	push @damages, $damage unless $seen{$damage}++;
	$sample{$what}{$damage} = {
		tries => $tries, used => $used, hit => $hit / $tries,
		share => $hit / $tries / $used, lost => $lost / $tries / $mapped,
		due => $due / $tries / $mapped, failed => $failed,
	};
}
close $in;

sub percent
{
	my ($x) = @_;
	return '-' unless defined $x;
	return '0' if $x == 0;
	return sprintf($x < 0.0001 ? '%.4f %%' : $x < 0.1 ? '%.3f %%' : '%.1f %%', 100 * $x);
}

sub lost
{
	my ($what, $damage) = @_;
	my $s = $sample{$what}{$damage};
	return '-' unless $s;
	return percent($s->{lost}) . ($s->{failed} ? " ($s->{failed} failed)" : '');
}

my $format = "%-16s %9s %10s %12s %12s %12s %20s\n";

print "Mappings lost when metadata blocks are destroyed and the rest is repaired.\n\n";
printf $format, 'destroyed', 'blocks', 'share', 'in those', 'thin2_repair', '... and maps',
	'v1, same share';
for my $d (@damages) {
	my $s = $sample{v2}{$d} // next;
	printf $format, $d =~ /^\d+%?$/ ? "$d random" : "all $d", sprintf('%.0f', $s->{hit}),
		percent($s->{share}), percent($s->{due}), lost('v2', $d),
		lost('v2-spacemaps', $d), lost('v1', $d);
}
print "\nin those: what the leaves that were hit mapped; nobody can do better.\n";
print "... and maps: with all space maps destroyed, too.\n";
print "v1 has returned wrong mappings for: ", join(', ', sort keys %{$sample{'v1-wrong'}}), "\n"
	if $sample{'v1-wrong'};

open my $json, '>', "$dir/repair.json" or die "$dir/repair.json: $!";
print $json "[\n";
my $comma = '';
for my $what (sort keys %sample) {
	for my $d (@damages) {
		my $s = $sample{$what}{$d} // next;
		print $json "$comma  {\"what\": \"$what\", \"destroyed\": \"$d\", \"tries\": $s->{tries}, ",
			"\"used_blocks\": $s->{used}, \"hit_blocks\": $s->{hit}, \"share\": $s->{share}, ",
			"\"in_hit_leaves\": $s->{due}, \"lost\": $s->{lost}, \"failed\": $s->{failed}}";
		$comma = ",\n";
	}
}
print $json "\n]\n";
close $json or die;

open my $dat, '>', "$dir/repair.dat" or die "$dir/repair.dat: $!";
for my $d (grep { /^\d+%?$/ } @damages) {
	print $dat join("\t", $sample{v2}{$d}{share},
			map { $sample{$_->[0]}{$d} ? $sample{$_->[0]}{$d}{$_->[1]} : 'NaN' }
			(['v2', 'due'], ['v2', 'lost'], ['v2-spacemaps', 'lost'], ['v1', 'lost'])), "\n";
}
close $dat or die;
