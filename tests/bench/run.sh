#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Measures thin2 against dm-linear and dm-thin version 1 in one boot of
# user-mode Linux, and prints a table; also build/bench/results.json and, with
# gnuplot, build/bench/ratios.svg and build/bench/goals.svg.
#
#   run.sh
#
# Environment:
#   ROUNDS=12		how often each is measured
#   TARGETS="..."	some of: linear v1 thin2
#   WORKS="..."		measure only these (report.pl --list names them all)
#   RANGES=100000000	of the pool whose map is larger than its cache
#   BENCH_SECONDS=n	give up after so long (300 s, and 240 s a round)
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
RANGES=${RANGES:-100000000}
[[ $RANGES =~ ^[1-9][0-9]{4,8}$ ]] || die "RANGES is '$RANGES', expected 10000 to 999999999"
WORKS=${WORKS:-}
all=$(perl "$bench/report.pl" --list)
for w in $WORKS; do
	grep -qxF -- "$w" <<<"$all" || die "WORKS has '$w', known: ${all//$'\n'/ }"
done
# Is any of these to be measured?
wanted()
{
	local w
	[ -n "$WORKS" ] || return 0
	for w; do
		[[ " $WORKS " != *" $w "* ]] || return 0
	done
	return 1
}

out=$TOP/build/bench
for tool in fio dmsetup perl; do
	command -v $tool >/dev/null || die "no $tool: tests/vm/setup.sh bench"
done

mkdir -p "$out"
exec 9>"$out.lock"
flock -n 9 || die "another one is running"
rm -f "$out/samples" "$out/results.json" "$out"/{ratios,goals}.{dat,svg}
for tool in dmop load runs; do
	"${CC:-cc}" -O2 -Wall -Wextra -Werror -std=gnu11 -o "$out/$tool" "$bench/$tool.c"
done
if [[ " $TARGETS " == *" thin2 "* ]]; then
	"$TOP/tests/vm/build-module.sh" uml
	! wanted runs-seq8 fill-ranges || make -C "$TOP/tools" all >"$out/tools.log" 2>&1 ||
		{ tail "$out/tools.log"; die "the tools do not build"; }
	# shellcheck disable=SC2046
	! wanted $(perl "$bench/report.pl" --list thin2) ||
		"$bench/image.sh" "$out/image"
	# shellcheck disable=SC2046
	! wanted $(perl "$bench/report.pl" --list once) ||
		"$bench/cache-image.sh" "$out/cache-image" "$RANGES"
fi

rc=0
"$TOP/tests/vm/run.sh" -k uml -m 12G -c 2 -t "${BENCH_SECONDS:-$((300 + ROUNDS * 240))}" \
	-o "$out" -e "ROUNDS=$ROUNDS" -e "TARGETS=$TARGETS" -e "WORKS=$WORKS" -e "RANGES=$RANGES" -- "$bench/guest.sh" || rc=$?
[ $rc = 0 ] || die "measuring failed ($rc)"
perl "$bench/report.pl" "$out" "$(k_release uml)" "$WORKS" | tee "$out/table.txt"
[ "${PIPESTATUS[0]}" = 0 ] || die "the results are not complete"
if command -v gnuplot >/dev/null; then
	for plot in ratios goals; do
		[ -s "$out/$plot.dat" ] || continue
		gnuplot -e "data = '$out/$plot.dat'; image = '$out/$plot.svg'; what = '$plot'" \
			"$bench/plot.gp"
		say "plot: $out/$plot.svg"
	done
fi
say "numbers: $out/results.json"
