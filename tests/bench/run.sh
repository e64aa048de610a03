#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Measures thin2 against dm-linear and dm-thin version 1 in one boot of
# user-mode Linux, and prints a table; also build/bench/results.json and, with
# gnuplot, build/bench/ratios.svg.
#
#   run.sh
#
# Environment:
#   ROUNDS=12		how often each is measured
#   TARGETS="..."	some of: linear v1 thin2
#   BENCH_SECONDS=n	give up after so long (150 s a round)
#
# It is no test: any result will do. It fails when something could not be
# measured.
set -eu

bench=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../vm/lib.sh disable=SC1091
. "$bench/../vm/lib.sh"

ROUNDS=${ROUNDS:-12}
TARGETS=${TARGETS:-linear v1 thin2}
[[ $ROUNDS =~ ^[1-9][0-9]*$ ]] || die "ROUNDS is '$ROUNDS', expected a number from 1 on"
for t in $TARGETS; do
	case $t in
	linear | v1 | thin2) ;;
	*) die "TARGETS has '$t', known: linear v1 thin2" ;;
	esac
done
out=$TOP/build/bench
for tool in fio dmsetup perl; do
	command -v $tool >/dev/null || die "no $tool: tests/vm/setup.sh vm61"
done

mkdir -p "$out"
exec 9>"$out.lock"
flock -n 9 || die "another one is running"
rm -f "$out/samples" "$out/results.json" "$out/ratios.dat" "$out/ratios.svg"
"${CC:-cc}" -O2 -Wall -Wextra -Werror -std=gnu11 -o "$out/dmop" "$bench/dmop.c"
[[ " $TARGETS " != *" thin2 "* ]] || "$TOP/tests/vm/build-module.sh" uml

rc=0
"$TOP/tests/vm/run.sh" -k uml -m 8G -c 2 -t "${BENCH_SECONDS:-$((120 + ROUNDS * 150))}" \
	-o "$out" -e "ROUNDS=$ROUNDS" -e "TARGETS=$TARGETS" -- "$bench/guest.sh" || rc=$?
[ $rc = 0 ] || die "measuring failed ($rc)"
perl "$bench/report.pl" "$out" "$(k_release uml)" | tee "$out/table.txt"
[ "${PIPESTATUS[0]}" = 0 ] || die "the results are not complete"
if command -v gnuplot >/dev/null; then
	gnuplot -e "data = '$out/ratios.dat'; image = '$out/ratios.svg'" "$bench/plot.gp"
	say "plot: $out/ratios.svg"
fi
say "numbers: $out/results.json"
