#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Measures the core in userspace: sizes and costs on generated pools, beside
# v1's metadata for the same mappings, and how all that grows with the pool.
# Results: build/bench/core.{txt,json,svg}.  Fails when something could not be
# measured, or grows faster than n log n.
#
#   core.sh
#
# Environment:
#   SEED=1
#   POOLS="aged:1.7 ..."	kinds of tests/bench/genpool.c
#   SCALE="10000 ..."	ranges of the growing pools; thins are a tenth of that
#   OPS=200000		operations a metric
#   TRIES=3		of everything that grows; the best counts
#   WORK=folder		where pools go (3 GB for 10^7 ranges, removed again)
#
# Instructions are counted with valgrind if it is there, v1's size is that of
# what thin_restore writes.
set -eu

bench=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../vm/lib.sh disable=SC1091
. "$bench/../vm/lib.sh"

SEED=${SEED:-1}
POOLS=${POOLS-aged:1.7 aged:2.2 aged:5.1 vm db media}
SCALE=${SCALE-10000 30000 100000 300000 1000000 3000000 10000000}
OPS=${OPS:-200000}
TRIES=${TRIES:-3}
COUNT_OPS=20000		# under valgrind
METRICS='merge_dense merge_sparse insert lookup_warm lookup_cold net encode decode find check'
out=$TOP/build/bench
bin=$TOP/build/user/bin/bench
tools=$TOP/build/tools

mkdir -p "$out"
exec 9>"$out/core.lock"
flock -n 9 || die "another one is running"
rm -f "$out"/core.{txt,json,svg,dat,samples}
make -s -C "$TOP/tests" "$bin/core" "$bin/genpool"
make -s -C "$TOP/tools" all
work=$(mktemp -d "${WORK:-$out}/core.XXXXXX")
trap 'rm -rf "$work"' EXIT

# sample SECTION KEY FILE-OF-JSON
sample()
{
	printf '%s\t%s\t%s\n' "$1" "$2" "$(tr -d '\n' <"$3")" >>"$out/core.samples"
}

# v1_blocks < XML of one thin in 4 KiB: v1's XML for 64 KiB, every block touched once
v1_blocks()
{
	awk -F'"' '
	function block(b)
	{
		if (b == last)
			return
		last = b
		printf "<single_mapping origin_block=\"%d\" data_block=\"%d\" time=\"%d\"/>\n",
			b, n++, time
	}
	BEGIN { last = -1 }
	/<range_mapping/ {
		time = $8
		for (b = int($2 / 16); b <= int(($2 + $6 - 1) / 16); b++)
			block(b)
	}
	/<single_mapping/ { time = $6; block(int($2 / 16)) }
	END { print n + 0 >"/dev/stderr" }'
}

# v1_size POOL: bytes of v1 metadata with the mappings of the pool's largest thin
v1_size()
{
	local id blocks
	id=$(sed -n 's/.*"largest": {"id": \([0-9]*\).*/\1/p' "$work/stat")
	"$tools/thin2_dump" --dev-id "$id" "$1" | v1_blocks >"$work/maps" 2>"$work/n"
	blocks=$(cat "$work/n")
	{
		echo "<superblock uuid=\"\" time=\"4000000000\" transaction=\"0\" version=\"2\"" \
			"data_block_size=\"128\" nr_data_blocks=\"$((blocks + blocks / 4))\">"
		echo "<device dev_id=\"1\" mapped_blocks=\"$blocks\" transaction=\"0\"" \
			"creation_time=\"0\" snap_time=\"0\">"
		cat "$work/maps"
		echo "</device></superblock>"
	} >"$work/xml"
	rm -f "$work/v1"
	truncate -s 1G "$work/v1"
	thin_restore -q -i "$work/xml" -o "$work/v1" >"$work/log" 2>&1 || {
		cat "$work/log" >&2
		die "thin_restore failed"
	}
	# Blocks in use, from the root of the metadata space map in its superblock.
	echo "{\"blocks_mapped\": $blocks, \"bytes\":" \
		"$((4096 * $(od -An -t u8 -j 200 -N 8 "$work/v1")))}" >"$work/v1.json"
	rm -f "$work/v1" "$work/xml" "$work/maps"
}

# count CODEC POOL: instructions of each metric, as JSON
count()
{
	local m comma='' total per
	echo "{"
	for m in $METRICS; do
		valgrind --tool=callgrind --callgrind-out-file="$work/cg" \
			--toggle-collect="measure_$m*" "$bin/core" run -c "$1" -m "$m" \
			-n $COUNT_OPS -r $COUNT_OPS "$2" >"$work/run" 2>"$work/log" ||
			die "valgrind failed: $(tail -n 3 "$work/log")"
		total=$(sed -n 's/^\(summary\|totals\): \([0-9]*\).*/\2/p' "$work/cg" | tail -n 1)
		per=$COUNT_OPS
		case $m in
		merge_dense | encode | decode)
			per=$(sed -n 's/.*"ranges": \([0-9]*\).*/\1/p' "$work/run") ;;
		esac
		echo "$comma\"$m\": $((total / per))"
		comma=,
	done
	echo "}"
}

measure_pool()
{
	local kind=$1 pool=$work/pool codec
	"$bin/genpool" -s "$SEED" "$pool" "$kind" >"$work/gen"
	"$tools/thin2_check" -q "$pool" || die "$kind: thin2_check refuses the generated pool"
	"$bin/core" stat "$pool" >"$work/stat"
	sample gen "$kind" "$work/gen"
	sample stat "$kind" "$work/stat"
	for codec in $("$bin/core" codecs); do
		"$bin/core" run -c "$codec" -n "$OPS" "$pool" >"$work/run"
		sample run "$kind/$codec" "$work/run"
		# The kind matters little to instructions.
		if [ "$kind" = "${POOLS%% *}" ] && command -v valgrind >/dev/null; then
			count "$codec" "$pool" >"$work/count"
			sample count "$kind/$codec" "$work/count"
		fi
	done
	if command -v thin_restore >/dev/null; then
		v1_size "$pool"
		sample v1 "$kind" "$work/v1.json"
	fi
	rm -f "$pool"
}

# timed NR WHAT COMMAND...
timed()
{
	local nr=$1 what=$2 i
	shift 2
	for ((i = 0; i < TRIES; i++)); do
		"$bin/core" time "$work/time" "$@" >"$work/stdout" || die "failed: $*"
		sample "$what" "$nr" "$work/time"
	done
}

# A pool of so many ranges: a thousand a thin, and 99 snapshots for each thin.
measure_scale()
{
	local nr=$1 pool=$work/pool thins=$(($1 / 1000)) blocks=$((65536 + $1 / 2)) i
	for ((i = 0; i < TRIES; i++)); do
		"$bin/genpool" -s "$SEED" -m "$blocks" -n "$nr" -t $thins -p $((99 * thins)) \
			"$pool" scale >"$work/gen"
		sample scale "$nr" "$work/gen"
	done
	timed "$nr" check "$tools/thin2_check" "$pool"
	timed "$nr" dump_devices "$tools/thin2_dump" --skip-mappings -o /dev/null "$pool"
	# All mappings once: snapshots would repeat them.
	for ((i = 0; i < TRIES; i++)); do
		"$bin/genpool" -s "$SEED" -m "$blocks" -n "$nr" -t $thins -p 0 \
			"$pool" scale >"$work/gen"
		sample flat "$nr" "$work/gen"
	done
	timed "$nr" dump "$tools/thin2_dump" -o /dev/null "$pool"
	rm -f "$pool"
}

for kind in $POOLS; do
	say "pool: $kind"
	measure_pool "$kind"
done
for nr in $SCALE; do
	say "scale: $nr ranges"
	measure_scale "$nr"
done
rc=0
perl "$bench/core-report.pl" "$out" >"$work/txt" || rc=$?
tee "$out/core.txt" <"$work/txt"
if [ -n "$SCALE" ] && command -v gnuplot >/dev/null; then
	gnuplot -e "data = '$out/core.dat'; image = '$out/core.svg'" "$bench/core.gp"
	say "plot: $out/core.svg"
fi
[ $rc = 0 ] || die "something grows faster than n log n (see above)"
