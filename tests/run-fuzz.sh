#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs fuzzers, each for SECS seconds:  run-fuzz.sh [--tap FILE] PROGRAM...
#
# The corpus grows in build/fuzz/NAME, crashing inputs stay in
# build/fuzz/NAME.found.  tests/fuzz/corpus/NAME is read first; fuzz_image_* have
# tests/fuzz/corpus/fuzz_image in common.
set -u

top=$(cd "$(dirname "$0")/.." && pwd)
tap=''
if [ "${1:-}" = --tap ]; then
	tap=$2
	shift 2
	if [ $# -gt 0 ]; then
		echo "1..$#" >"$tap"
	else
		echo "1..0 # SKIP no fuzzers" >"$tap"
	fi
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fuzz PROGRAM RESULT: its line of TAP goes to RESULT, what it says to the terminal
fuzz()
{
	local name=${1##*/} status=0 corpus log seeds dirs
	corpus=$top/build/fuzz/$name
	log=$top/build/fuzz/$name.log
	mkdir -p "$corpus" "$corpus.found"
	dirs=("$corpus")
	for seeds in "$top/tests/fuzz/corpus/$name" "$top/tests/fuzz/corpus/${name%_*}"; do
		[ ! -d "$seeds" ] || dirs+=("$seeds")
	done
	if [ -x "$1" ]; then
		timeout -k 10 $((${SECS:-60} + 60)) "$1" -max_total_time="${SECS:-60}" -timeout=20 \
			-rss_limit_mb=2048 -malloc_limit_mb=512 -max_len=65536 -artifact_prefix="$corpus.found/" \
			-print_final_stats=1 "${dirs[@]}" >"$log" 2>&1 </dev/null || status=$?
	else
		status=127
		echo "did not build" >"$log"
	fi
	if [ $status = 0 ]; then
		echo "   fuzz/$name: ok, $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs"
		echo "ok - $name" >"$2"
	else
		echo "   fuzz/$name: FAILED with $status"$'\n'"$(tail -n 30 "$log" | sed 's/^/   | /')"
		echo "not ok - $name: exit status $status" >"$2"
	fi
}

i=0
for prog; do
	[ $i -lt "${JOBS:-$(nproc)}" ] || wait -n
	i=$((i + 1))
	fuzz "$prog" "$work/$i" &
done
wait
for ((n = 1; n <= i; n++)); do
	[ -z "$tap" ] || cat "$work/$n" >>"$tap"
done
! grep -qv '^ok' "$work"/[0-9]* 2>/dev/null
