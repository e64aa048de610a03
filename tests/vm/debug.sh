#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel tests on a kernel that looks for faults: user-mode Linux with KASAN,
# lockdep, kmemleak and more (uml-debug.config).
#
#   debug.sh [short] [-t SECONDS] [-l] [-- TEST...]
#
# Any report of the kernel's fails the run and is printed.  kmemleak makes it three
# times as slow, and the objects of RCU that are followed are too many where trees are
# changed all the time (the kernel reports its own work on them as a stall).  So these
# two are for another boot, in which what a script leaks fails it, and for some
# scripts: -l for those named.  "short" is the list below, for less than an hour;
# the whole takes several.  Results go to build/vm/uml-debug, all of them to
# build/tap/debug; the last line is "N passed, N failed".
set -eu

. "$(dirname "$0")/lib.sh"

# What is closest to locks, memory and the ends of things.
short='10-basic 20-snapshot 30-discard 35-write-zeroes 40-sub-unit 45-external-origin
	50-flush-fua 60-no-space 70-resize 75-suspend 79-faults 80-errors 85-messages 95-parallel'

# What makes and gives back all that there is.
leaks='10-basic 20-snapshot 75-suspend'

# scripts NAME...
scripts()
{
	tests=("${@/#/$TOP/tests/kselftest/}")
	tests=("${tests[@]/%/.sh}")
}

# boot NAME TEST...
boot()
{
	local name=$1
	local -a params=(-p kmemleak=on)
	[ "$name" = leaks ] || params=(-p kmemleak=off -p no_debug_objects)
	shift
	export TAP_DIR=$TOP/build/tap/debug/$name
	mkdir -p "$TAP_DIR"
	"$TOP/tests/vm/kernel-tests.sh" -t "$seconds" "${params[@]}" uml-debug ${1+-- "$@"} || true
	compgen -G "$TAP_DIR/*.tap" >/dev/null || echo "Bail out! $name did not run" >"$TAP_DIR/none.tap"
	mkdir -p "$TOP/build/vm/uml-debug/$name"
	cp "$TOP"/build/vm/uml-debug/*.log "$TOP/build/vm/uml-debug/$name"
}

seconds=21600
leak_tests=
tests=()
while [ $# -gt 0 ]; do
	case $1 in
	short)
		seconds=2600
		# shellcheck disable=SC2086
		scripts $short
		shift
		;;
	-t) seconds=$2; shift 2 ;;
	-l) leak_tests=yes; shift ;;
	--) shift; tests=("$@"); break ;;
	*) die "unknown option '$1' (see the top of $0)" ;;
	esac
done
"$TOP/tests/vm/build-module.sh" uml-debug
rm -rf "$TOP/build/tap/debug"
if [ -z "$leak_tests" ]; then
	boot rest ${tests[@]+"${tests[@]}"}
	# shellcheck disable=SC2086
	scripts $leaks
	[ "$seconds" -gt 2600 ] || seconds=1000
fi
boot leaks "${tests[@]}"
exec "$TOP/tests/vm/tap-sum.sh" "$TOP"/build/tap/debug/*/*.tap
