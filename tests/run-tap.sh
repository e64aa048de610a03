#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs test programs that print TAP:  run-tap.sh DIR KIND PROGRAM...
#
# Leaves DIR/KIND-NAME.tap and, with what went to stderr, DIR/KIND-NAME.log.  A
# program that is missing, dies, runs out of time (TIMEOUT seconds) or exits
# with an error without naming a failed test gets a "not ok" line of its own.
set -u

dir=$1 kind=$2
shift 2
rc=0

# one PROGRAM: run it, judge it
one()
{
	local prog=$1 name start=$SECONDS status=0 why='' tap log
	name=${prog##*/}
	tap=$dir/$kind-$name.tap
	log=$dir/$kind-$name.log
	: >"$log"
	if [ -x "$prog" ]; then
		CMOCKA_MESSAGE_OUTPUT=TAP timeout -k 5 "${TIMEOUT:-120}" "$prog" \
			>"$tap" 2>"$log" </dev/null || status=$?
	else
		: >"$tap"
		why='did not build'
	fi
	case $status in
	0) ;;
	124 | 137) why="no end after ${TIMEOUT:-120} s" ;;
	*) grep -q '^not ok' "$tap" || why="exit status $status" ;;
	esac
	if [ -n "$why" ]; then
		echo "not ok - $name: $why" >>"$tap"
		grep -q '^1\.\.' "$tap" || echo "1..1" >>"$tap"
	fi
	if [ -n "$why" ] || grep -q '^not ok' "$tap"; then
		rc=1
		tail -n 40 "$log" | sed 's/^/# /' >>"$tap"
		echo "   $kind/$name: FAILED ${why:+($why) }after $((SECONDS - start)) s"
		grep -A 3 '^not ok' "$tap" | head -n 20 | sed 's/^/   | /'
		tail -n 15 "$log" | sed 's/^/   | /'
	else
		echo "   $kind/$name: $(grep -c '^ok' "$tap") ok, $((SECONDS - start)) s"
	fi
}

for prog; do
	one "$prog"
done
exit $rc
