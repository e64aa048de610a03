#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# make demo: the main job on a stock kernel. A pool on two sparse files, ext4 on
# a thin volume with a real tree of files, a snapshot, changes, fio with verify,
# fsync, a power cut, a second boot, checks of everything, and a dump of the
# snapshot's metadata while the pool is live. Exit status 0 only if all held.
set -eu

. "$(dirname "$0")/lib.sh"

out=$TOP/build/demo
start=$SECONDS
rm -rf "$out"
mkdir -p "$out/1" "$out/2"
truncate -s 128M "$out/meta.img"
truncate -s 8G "$out/data.img"

echo "== building module and tools"
"$TOP/tests/vm/build-module.sh" 6.1 >"$out/build.log" 2>&1 || { cat "$out/build.log"; exit 1; }
make -C "$TOP/tools" all >>"$out/build.log" 2>&1 || { tail "$out/build.log"; exit 1; }

# One file is quicker to read through the virtual machine's file system than 10^4.
tree=$(echo /usr/src/linux-headers-6.1*-common | tr ' ' '\n' | tail -1)
tar -C "$tree" -cf "$out/tree.tar" .

boot()
{
	"$TOP/tests/vm/run.sh" -k 6.1 -m 3G -t 200 -d "$out/meta.img" -d "$out/data.img" \
		-e "DEMO=$out" -e "TREE=$(basename "$tree")" -o "$out/$1" "${@:2}"
}

echo "== first boot: pool, file system, snapshot, changes, fio, fsync, power cut"
rc=0
boot 1 --kill-on "demo: power cut now" -- "$TOP/tests/vm/demo-guest.sh" before || rc=$?
[ $rc = 42 ] || { echo "demo: the first boot did not get to the power cut (status $rc)"; exit 1; }

echo "== second boot: what is left?"
rc=0
boot 2 -- "$TOP/tests/vm/demo-guest.sh" after || rc=$?
[ $rc = 0 ] || { echo "demo: FAILED after the power cut (status $rc); logs are in build/demo"; exit 1; }

echo "== summary"
cat "$out/1/summary" "$out/2/summary"
echo "on the host: meta.img $(du -h "$out/meta.img" | cut -f1), data.img $(du -h "$out/data.img" | cut -f1)"
echo "demo: everything held, $((SECONDS - start)) s"
