#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel tests on a kernel that looks for faults: user-mode Linux with KASAN,
# lockdep, kmemleak and more (uml-debug.config).
#
#   debug.sh [short] [-t SECONDS] [-- TEST...]
#
# Any report of the kernel's fails the run and is printed, and so does memory that a
# script leaks.  "short" is the list below, for less than an hour; the whole takes
# several.  Results go to build/vm/uml-debug; the last line is "N passed, N failed".
set -eu

. "$(dirname "$0")/lib.sh"

# What is closest to locks, memory and the ends of things.
short='05-selftest 10-basic 20-snapshot 30-discard 35-write-zeroes 40-sub-unit
	45-external-origin 50-flush-fua 60-no-space 65-metadata-full 70-resize 75-suspend
	77-alloc-faults 79-faults 80-errors 85-messages 95-parallel'

seconds=21600
tests=()
if [ "${1:-}" = short ]; then
	shift
	seconds=3600
	for t in $short; do
		tests+=("$TOP/tests/kselftest/$t.sh")
	done
fi
if [ "${1:-}" = -t ]; then
	seconds=$2
	shift 2
fi
if [ "${1:-}" = -- ]; then
	shift
	tests=("$@")
fi
"$TOP/tests/vm/build-module.sh" uml-debug
exec "$TOP/tests/vm/kernel-tests.sh" -t "$seconds" uml-debug ${tests[@]+-- "${tests[@]}"}
