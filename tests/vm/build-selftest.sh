#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Builds what the tests of tests/kselftest need: blkop, dmop, logreplay, killwork,
# failnth, allocfail, memhog, damage, mkpool and spoil, and for one kernel the module of
# tests/kselftest/modules, into build/selftest and build/selftest/KERNEL.  Any
# warning is a failure.
#
#   build-selftest.sh 6.1|6.12|uml|uml-debug [VARIABLE=VALUE]...
set -eu

. "$(dirname "$0")/lib.sh"

unset MAKEFLAGS MFLAGS MAKELEVEL
export LC_ALL=C

[ $# -gt 0 ] || die "which kernel? 6.1|6.12|uml|uml-debug"
kernel=$1
shift
k_need "$kernel"
out=$TOP/build/selftest/$kernel
args=(THIN2_SRC="$TOP/drivers/md" "$@")
case $kernel in uml*) args+=(ARCH=um) ;; esac

mkdir -p "$out"
exec 8>"$TOP/build/selftest/blkop.lock"
flock 8
# program NAME SOURCE... [-lLIBRARY]...
program()
{
	local bin=$TOP/build/selftest/$1
	shift
	if [ ! -e "$bin" ] || [ -n "$(find "$(dirname "$1")" -maxdepth 1 -name '*.[ch]' -newer "$bin")" ]; then
		"${CC:-gcc}" -O2 -Wall -Wextra -Werror -D_GNU_SOURCE -pthread -o "$bin" "$@"
	fi
}

# in_core NAME: a program of tests/tools, which is linked with the core
in_core()
{
	make -s -C "$TOP/tests" "$TOP/build/user/bin/tools-opt/$1" >/dev/null
	cp -u "$TOP/build/user/bin/tools-opt/$1" "$TOP/build/selftest/$1"
}

program blkop "$TOP/tests/kselftest/blkop.c"
program dmop "$TOP/tests/bench/dmop.c"
program logreplay "$TOP"/tests/kselftest/logreplay/*.c -ldevmapper
program killwork "$TOP"/tests/kselftest/kill/*.c "$TOP/tests/kselftest/logreplay/dm.c" -ldevmapper
program failnth "$TOP/tests/kselftest/failnth.c"
program allocfail "$TOP/tests/kselftest/allocfail.c" "$TOP/tests/kselftest/logreplay/dm.c" -ldevmapper
program memhog "$TOP/tests/kselftest/memhog.c"
in_core damage
in_core mkpool
in_core spoil
exec 8>&-
exec 9>"$out.lock"
flock 9
cp -u "$TOP"/tests/kselftest/modules/* "$out"
log=$out/build.log
rc=0
make -C "$(k_build "$kernel")" M="$out" -j"$(nproc)" "${args[@]}" modules >"$log" 2>&1 || rc=$?
if [ $rc != 0 ] || grep -qiE 'warning:|error:' "$log"; then
	grep -iE -A 6 'warning:|error:|No rule|\*\*\*' "$log" | head -n 100
	find "$out" -name '*.o' -delete
	die "$kernel: failed or warned (all of it: $log)"
fi
say "$kernel: $out/dm-thin2-selftest.ko"
