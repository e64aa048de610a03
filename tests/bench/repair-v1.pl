#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
#
# dm-thin 1's side of bench-repair.
#
#   repair-v1.pl convert <V2.XML >V1.XML	blocks of 64 KiB instead of 4 KiB
#   repair-v1.pl count IMAGE			blocks in use
#   repair-v1.pl damage IMAGE SEED N KIND...	zero N random blocks and all of some kinds
#   repair-v1.pl lost BEFORE.XML AFTER.XML	"mapped lost wrong", in blocks of 64 KiB
#
# Kinds: super, spacemaps, roots, internal.  What a block is, is told by its
# header and by what its values can be; free blocks of a device that was just
# restored are zero.
use strict;
use warnings;

use constant { BLOCK => 4096, UNITS => 16 };

sub convert
{
	my $ends = 0;
	my @lines = <STDIN>;
	for (@lines) {
		next unless /data_(?:begin|block)="(\d+)"(?: length="(\d+)")?/;
		my $end = ($1 + ($2 // 1)) / UNITS;
		$ends = $end if $end > $ends;
	}
	$ends = int($ends * 5 / 4) + 1024;
	for (@lines) {
		s/(mapped_blocks|origin_begin|data_begin|length)="(\d+)"/
			die "not aligned: $_" if $2 % UNITS; $1 . '="' . $2 \/ UNITS . '"'/ge;
		s/ flags="0"//;
		s/uuid="[^"]*"/uuid=""/;
		s/data_block_size="\d+" nr_data_blocks="\d+"/data_block_size="128" nr_data_blocks="$ends"/;
		print;
	}
}

# Blocks in use: number => [kind]
sub scan
{
	my ($path) = @_;
	my (%kind, $d);

	open my $f, '<:raw', $path or die "$path: $!";
	for (my $nr = 0; read($f, $d, BLOCK) == BLOCK; $nr++) {
		next if $d !~ /[^\0]/;
		my ($csum, $flags, $own) = unpack('VVQ<', $d);
		if ($nr == 0) {
			$kind{0} = 'super';
			$kind{root1} = unpack('Q<', substr($d, 320, 8));
			$kind{root2} = unpack('Q<', substr($d, 328, 8));
		} elsif ($own != $nr) {
			next;
		} elsif ($flags == 0) {
			$kind{$nr} = 'spacemaps';
		} else {
			my ($entries, $max, $size) = unpack('V3', substr($d, 16, 12));
			my $first = unpack('Q<', substr($d, 32 + 8 * $max, 8));
			$kind{$nr} = $size == 4 || ($size == 16) ? 'spacemaps' :
				     $flags == 1 ? 'internal' : 'leaf';
			$kind{values}{$nr} = [unpack("Q<$entries", substr($d, 32 + 8 * $max))]
				if $size == 8;
		}
	}
	close $f;
	my ($top, $details) = (delete $kind{root1}, delete $kind{root2});
	my $values = delete $kind{values};
	# The top tree's leaves have the roots of thins.
	my (%root, @todo) = ($top => 1, $details => 1);
	@todo = ($top);
	while (defined(my $b = shift @todo)) {
		$root{$b} = 1;
		if ($kind{$b} eq 'internal') {
			push @todo, @{$values->{$b}};
		} else {
			$root{$_} = 1 for @{$values->{$b}};
		}
	}
	return (\%kind, \%root);
}

sub damage
{
	my ($path, $seed, $n, @kinds) = @_;
	my ($kind, $root) = scan($path);
	my %want = map { $_ => 1 } @kinds;
	my @used = sort { $a <=> $b } keys %$kind;
	my %hit;

	srand($seed);
	$hit{$used[int rand @used]} = 1 while keys %hit < $n && keys %hit < @used;
	for (@used) {
		$hit{$_} = 1 if $want{$kind->{$_}} || ($want{roots} && $root->{$_});
	}
	open my $f, '+<:raw', $path or die "$path: $!";
	for (keys %hit) {
		seek $f, $_ * BLOCK, 0;
		print $f "\0" x BLOCK;
	}
	close $f or die "$path: $!";
	print scalar(keys %hit), "\n";
}

# dev_id => [[origin begin, data begin, length], ...]
sub mappings
{
	my ($path) = @_;
	my (%map, $dev);

	open my $f, '<', $path or die "$path: $!";
	while (<$f>) {
		if (/<device dev_id="(\d+)"/) {
			$dev = $1;
			$map{$dev} = [];
		} elsif (/<single_mapping origin_block="(\d+)" data_block="(\d+)"/) {
			push @{$map{$dev}}, [$1, $2, 1];
		} elsif (/<range_mapping origin_begin="(\d+)" data_begin="(\d+)" length="(\d+)"/) {
			push @{$map{$dev}}, [$1, $2, $3];
		}
	}
	close $f;
	return \%map;
}

sub lost
{
	my ($before, $after) = map { mappings($_) } @_;
	my ($mapped, $lost, $wrong) = (0, 0, 0);

	for my $dev (keys %$before) {
		my ($i, $there) = (0, $after->{$dev} // []);
		for my $r (@{$before->{$dev}}) {
			my ($begin, $data, $len) = @$r;
			my $left = $len;
			$mapped += $len;
			$i++ while $i < @$there && $there->[$i][0] + $there->[$i][2] <= $begin;
			for (my $k = $i; $k < @$there && $there->[$k][0] < $begin + $len; $k++) {
				my ($b, $d, $l) = @{$there->[$k]};
				my $lo = $b > $begin ? $b : $begin;
				my $hi = $b + $l < $begin + $len ? $b + $l : $begin + $len;
				$left -= $hi - $lo;
				$wrong += $hi - $lo if $d - $b != $data - $begin;
			}
			$lost += $left;
		}
	}
	print "$mapped $lost $wrong\n";
}

my ($what, @args) = @ARGV;
if ($what eq 'convert') {
	convert();
} elsif ($what eq 'count') {
	my ($kind) = scan(@args);
	print scalar(keys %$kind), "\n";
} elsif ($what eq 'damage') {
	damage(@args);
} elsif ($what eq 'lost') {
	lost(@args);
} else {
	die "repair-v1.pl: what?\n";
}
