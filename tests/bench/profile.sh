#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Where the time goes: samples a work of guest.sh in user-mode Linux from
# outside, with perf, and lists the kernel's functions by their share: of the
# time spent in them, and in them and all that they call.
#
#   profile.sh WORK [TARGET]
#
# WORK: mapped-read mapped-write fresh-dense fresh-sparse snap-overwrite fsync8
# TARGET: linear, v1 or thin2 (default)
#
# Environment:
#   REPEAT=8	how often the work is done
#   TOP_LINES=45	how many functions to print
set -eu

bench=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../vm/lib.sh disable=SC1091
. "$bench/../vm/lib.sh"

work=${1:?which work? (see the top of $0)}
target=${2:-thin2}
out=$TOP/build/bench/profile/$work-$target
command -v perf >/dev/null || die "no perf: tests/vm/setup.sh bench"
mkdir -p "$out"
rm -f "$out"/{kallsyms,go,stop,perf.data}
mkdir -p "$TOP/build/bench"
"${CC:-cc}" -O2 -Wall -Wextra -Werror -std=gnu11 -o "$TOP/build/bench/dmop" "$bench/dmop.c"
"$TOP/tests/vm/build-module.sh" uml >"$out/build.log"

"$TOP/tests/vm/run.sh" -k uml -m 8G -c 2 -t 300 -o "$out" -e "PROFILE=$work" \
	-e "TARGETS=$target" -e "ROUNDS=${REPEAT:-8}" -- "$bench/guest.sh" >"$out/log" 2>&1 &
vm=$!
while [ ! -e "$out/go" ]; do
	kill -0 $vm 2>/dev/null || { cat "$out/log"; die "the guest ended early"; }
	sleep 0.1
done
# All kernel threads of user-mode Linux are in the process that listens first.
pid=$(pgrep -f "vm_hostfs_out=$out " | while read -r p; do
	[ "$(cat "/proc/$p/comm")" = timeout ] || echo "$p"
done | sort -n | head -1)
perf record -q -a -g -F 2999 -e cpu-clock -o "$out/perf.data" -- \
	bash -c "while [ ! -e '$out/stop' ] && kill -0 $vm 2>/dev/null; do sleep 0.1; done" \
	2>"$out/perf.log"
wait $vm || { cat "$out/log"; die "the work failed"; }
# Raw addresses: perf knows nothing of the modules of a kernel that is a process.
perf script -i "$out/perf.data" -D 2>/dev/null |
	perl "$bench/profile.pl" "$pid" "$out/kallsyms" "${TOP_LINES:-45}" | tee "$out/table.txt"
cat "$out/samples"
