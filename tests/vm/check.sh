#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# All checks, in stages.  Each stage's output goes to build/log/STAGE.log, a
# failed stage does not keep the next ones from running.  A stage finds in
# $TAP_DIR a folder to leave *.tap files in (without any, its output is looked at
# for TAP); every stage also counts as one test of its own: that it ended with 0.
# The virtual machines run at the same time.  Last line: "N passed, N failed".
set -u

. "$(dirname "$0")/lib.sh"

cd "$TOP" || exit 1
rm -rf build/log build/tap
mkdir -p build/log build/tap
names=()
taps=()

# run NAME COMMAND...
run()
{
	local name=$1 start=$SECONDS rc=0
	local log=build/log/$name.log
	shift
	export TAP_DIR=$TOP/build/tap/$name
	mkdir -p "$TAP_DIR"
	echo "== $name: $*"
	timeout -k 30 5400 "$@" >"$log" 2>&1 </dev/null || rc=$?
	echo "1..1" >"build/tap/$name.tap"
	if [ $rc = 0 ]; then
		echo "ok 1 - $name" >>"build/tap/$name.tap"
		echo "   $name: ok, $((SECONDS - start)) s"
	else
		echo "not ok 1 - $name: exit status $rc" >>"build/tap/$name.tap"
		echo "   $name: FAILED with $rc after $((SECONDS - start)) s; the end of $log:"
		tail -n 30 "$log" | sed 's/^/   | /'
	fi
}

# stage NAME COMMAND...
stage()
{
	names+=("$1")
	run "$@"
}

# beside NAME COMMAND...: the next ones do not wait for it
beside()
{
	names+=("$1")
	run "$@" &
}

# results NAME: the files with its TAP
results()
{
	local t
	[ -e "build/tap/$1.tap" ] || echo "Bail out! $1 did not end" >"build/tap/$1.tap"
	echo "build/tap/$1.tap"
	for t in "build/tap/$1"/*.tap; do
		if [ -e "$t" ]; then
			echo "$t"
		elif grep -q '^1\.\.[0-9]' "build/log/$1.log"; then
			echo "build/log/$1.log"
		fi
	done
}

stage setup tests/vm/setup.sh all
stage tools make -C tools all
stage user make -C tests check-user
stage fuzz make -C tests fuzz-smoke
stage module-6.1 tests/vm/build-module.sh 6.1 W=1 C=2
stage module-6.12 tests/vm/build-module.sh 6.12 W=1
stage module-uml tests/vm/build-module.sh uml W=1
stage kill tests/vm/kill.sh
beside kernel-6.1 tests/vm/kernel-tests.sh 6.1
stage kernel-6.12 tests/vm/kernel-tests.sh 6.12
wait

echo "== all"
for name in "${names[@]}"; do
	mapfile -t -O ${#taps[@]} taps < <(results "$name")
done
exec tests/vm/tap-sum.sh "${taps[@]}"
