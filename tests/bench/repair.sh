#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The damage curve: how much of a pool's mappings is lost when so much of its
# metadata is destroyed and then repaired, with thin2_repair, and with v1's
# thin_repair on v1 metadata of the same mappings.
# Results: build/bench/repair.{txt,json,svg}.
#
#   repair.sh
#
# Environment:
#   SEED=1		of the pool and of the damage
#   SEEDS=5		times that random damage is tried
#   RANGES=100000	before the first snapshot; 4 thins have 12 snapshots each
#   BLOCKS="1 4 ..."	random blocks, or shares of the blocks in use with a %
#   WORK=folder		where pools go
#
# v1 is left out if thin_restore and thin_repair are not there. Of its metadata
# the same share is destroyed. thin_restore does not share nodes between snapshots,
# so that a leaf that is lost is one thin's there, and that of all sharers here.
set -eu

bench=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../vm/lib.sh disable=SC1091
. "$bench/../vm/lib.sh"

SEED=${SEED:-1}
SEEDS=${SEEDS:-5}
RANGES=${RANGES:-100000}
BLOCKS=${BLOCKS:-1 4 16 64 1% 3% 10%}
KINDS='super spacemaps roots internal super+spacemaps index'
out=$TOP/build/bench
genpool=$TOP/build/user/bin/bench/genpool
repairtest=$TOP/build/user/bin/tools-opt/repairtest

mkdir -p "$out"
exec 9>"$out/repair.lock"
flock -n 9 || die "another one is running"
rm -f "$out"/repair.{txt,json,svg,dat,samples}
make -s -C "$TOP/tests" "$genpool" "$repairtest"
make -s -C "$TOP/tools" all
work=$(mktemp -d "${WORK:-$out}/repair.XXXXXX")
trap 'rm -rf "$work"' EXIT

v1()
{
	perl "$bench/repair-v1.pl" "$@"
}

# sample WHAT DAMAGE TRIES USED HIT MAPPED DUE LOST FAILED
sample()
{
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$@" >>"$out/repair.samples"
}

# measure WHAT DAMAGE OPTIONS...
measure()
{
	local what=$1 damage=$2
	shift 2
	"$repairtest" -j "$@" >"$work/json" || die "wrong mappings: $(head -n 3 "$work/json")"
	# shellcheck disable=SC2046
	sample "$what" "$damage" $(sed -n 's/[^0-9]\{1,\}/ /gp' "$work/json" | tail -n 1)
}

# measure_v1 DAMAGE NR KIND...: NR random blocks and all of some kinds
measure_v1()
{
	local damage=$1 nr=$2 i hit=0 mapped=0 lost=0 wrong=0 failed=0 tries=$SEEDS m l w
	shift 2
	[ $# = 0 ] || tries=1
	for ((i = 0; i < tries; i++)); do
		cp --sparse=always "$work/v1" "$work/v1x"
		hit=$((hit + $(v1 damage "$work/v1x" $((SEED + i)) "$nr" "$@")))
		rm -f "$work/v1o"
		truncate -s "$v1_size" "$work/v1o"
		# What is in the superblock alone, thin_repair wants to be told.
		if thin_repair --transaction-id 0 --data-block-size 128 \
			--nr-data-blocks "$v1_data" -i "$work/v1x" -o "$work/v1o" \
			>"$work/log" 2>&1 && thin_dump "$work/v1o" >"$work/v1o.xml" 2>>"$work/log"; then
			:
		else
			failed=$((failed + 1))
			: >"$work/v1o.xml"
		fi
		read -r m l w < <(v1 lost "$work/v1.xml" "$work/v1o.xml")
		mapped=$m lost=$((lost + l)) wrong=$((wrong + w))
	done
	sample v1 "$damage" "$tries" "$v1_used" $hit "$mapped" 0 $lost $failed
	[ $wrong = 0 ] || sample v1-wrong "$damage" "$tries" "$v1_used" $hit "$mapped" 0 $wrong $failed
}

say "pool"
"$genpool" -s "$SEED" -n "$RANGES" -t 4 -p 12 -m $((16384 + RANGES / 8)) "$work/pool" aged:1.7 \
	>"$work/gen"
"$repairtest" -j "$work/pool" none >"$work/json"
used=$(sed -n 's/.*"used_blocks": \([0-9]*\).*/\1/p' "$work/json")
if command -v thin_repair >/dev/null && command -v thin_restore >/dev/null; then
	say "v1 metadata of the same mappings"
	"$TOP/build/tools/thin2_dump" "$work/pool" | v1 convert >"$work/v1.xml"
	v1_data=$(sed -n 's/.*nr_data_blocks="\([0-9]*\)".*/\1/p' "$work/v1.xml")
	v1_size=$((1 << 30))
	truncate -s $v1_size "$work/v1"
	thin_restore -q -i "$work/v1.xml" -o "$work/v1" >"$work/log" 2>&1 ||
		die "thin_restore failed: $(tail -n 1 "$work/log")"
	v1_used=$(v1 count "$work/v1")
fi

for n in $BLOCKS; do
	say "random: $n"
	nr=$n
	[ "$n" = "${n%\%}" ] || nr=$((used * ${n%\%} / 100))
	measure v2 "$n" -s "$SEED" -n "$SEEDS" -k "$nr" "$work/pool" random
	measure v2-spacemaps "$n" -s "$SEED" -n "$SEEDS" -k "$nr" -a spacemaps "$work/pool" random
	[ -z "${v1_used:-}" ] || measure_v1 "$n" $(((nr * v1_used + used / 2) / used))
done
for kind in $KINDS; do
	say "all: $kind"
	measure v2 "$kind" "$work/pool" "$kind"
	[ -n "${v1_used:-}" ] || continue
	all=${kind//+/ }
	[ "$kind" != index ] || all='super spacemaps internal roots'
	# shellcheck disable=SC2086
	measure_v1 "$kind" 0 $all
done

perl "$bench/repair-report.pl" "$out" | tee "$out/repair.txt"
if command -v gnuplot >/dev/null; then
	gnuplot -e "data = '$out/repair.dat'; image = '$out/repair.svg'" "$bench/repair.gp"
	say "plot: $out/repair.svg"
fi
