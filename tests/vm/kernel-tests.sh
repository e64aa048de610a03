#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs the tests of tests/kselftest on real kernels, one boot for each.
#
#   kernel-tests.sh [-t SECONDS] [-p PARAMETER]... [KERNEL...] [-- TEST...]
#
# Kernels: 6.1, 6.12, uml, uml-debug; default 6.1 6.12.  TEST: scripts instead of
# all of tests/kselftest/[0-9]*.sh, of which "# kernels: NAME..." keeps some to
# these.  Results go to build/vm/KERNEL/*.tap, the last line
# is "N passed, N failed".  PARAMETERs are the kernel's.  The module must have been
# built (build-module.sh).  SEED, SEEDS, ROUNDS, CYCLES, COUNT, RUNTIME, SCENES, VERSION
# and WHAT are handed on to the tests.
set -eu

. "$(dirname "$0")/lib.sh"

seconds=3600
params=()
kernels=()
while [ $# -gt 0 ]; do
	case $1 in
	-t) seconds=$2; shift 2 ;;
	-p) params+=(-p "$2"); shift 2 ;;
	--) shift; break ;;
	*) kernels+=("$1"); shift ;;
	esac
done
[ ${#kernels[@]} -gt 0 ] || kernels=(6.1 6.12)

tests=()
chosen=${1:+yes}
if [ $# -gt 0 ]; then
	for t in "$@"; do
		tests+=("$(realpath -e "$t")")
	done
else
	for t in "$TOP"/tests/kselftest/[0-9]*.sh; do
		[ ! -e "$t" ] || tests+=("$t")
	done
fi
[ ${#tests[@]} -gt 0 ] || die "no tests in tests/kselftest"

# wanted KERNEL TEST: nobody said "# kernels:" of others
wanted()
{
	local on
	[ -z "$chosen" ] || return 0
	on=$(sed -n 's/^# kernels: *//p;20q' "$2")
	[ -z "$on" ] || [[ " $on " == *" $1 "* ]]
}

given=()
for v in SEED SEEDS ROUNDS CYCLES COUNT RUNTIME SCENES VERSION WHAT; do
	[ -z "${!v:-}" ] || given+=(-e "$v=${!v}")
done

all=("${tests[@]}")
taps=()
for k in "${kernels[@]}"; do
	tests=()
	for t in "${all[@]}"; do
		! wanted "$k" "$t" || tests+=("$t")
	done
	out=$TOP/build/vm/$k
	mkdir -p "$out"
	exec 7>"$out.lock"
	flock -n 7 || die "another run uses $out"
	rm -f "$out"/*.tap "$out"/*.log "$out"/disk-[ab]
	truncate -s 1G "$out/disk-a"
	truncate -s 8G "$out/disk-b"
	"$TOP/tests/vm/build-selftest.sh" "$k"
	say "$k: ${#tests[@]} scripts"
	rc=0
	"$TOP/tests/vm/run.sh" -k "$k" -t "$seconds" -d "$out/disk-a" -d "$out/disk-b" \
		${params[@]+"${params[@]}"} ${given[@]+"${given[@]}"} -o "$out" -- \
		"$TOP/tests/vm/guest-tests.sh" "${tests[@]}" || rc=$?
	rm -f "$out"/disk-[ab]
	{
		echo "1..1"
		[ $rc = 0 ] || printf 'not '
		echo "ok 1 - kernel $k runs to the end without complaint (run.sh: $rc)"
	} >"$out/kernel.tap"
	for t in kernel runner "${tests[@]}"; do
		t=$out/$(basename "$t" .sh).tap
		[ -e "$t" ] || echo "Bail out! did not run" >"$t"
		taps+=("$t")
		[ -z "${TAP_DIR:-}" ] || cp "$t" "$TAP_DIR/$k-${t##*/}"
	done
done
exec "$TOP/tests/vm/tap-sum.sh" "${taps[@]}"
