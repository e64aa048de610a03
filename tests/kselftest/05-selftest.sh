#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# timeout: 1500
#
# The kernel-only parts by themselves: range map and metadata I/O, in the test
# module of modules/. On a debug kernel, where maple trees are slow, with fewer ranges.
. "$(dirname "$0")/lib.sh"

ko=$TOP/build/selftest/$VM_KERNEL/dm-thin2-selftest.ko

# run NAME [NUMBER [DEVICE]]: the test runs while its table is loaded
run()
{
	dmsetup create t2-selftest --table "0 8 thin2-selftest $*" || {
		dmesg | tail -n 20
		return 1
	}
	dmsetup remove t2-selftest
}

must modprobe dm-bufio
must insmod "$ko"
at_exit rmmod dm_thin2_selftest

ranges=1000000
seeds=(1 1000)
shapes=(0 3 4)
if [ "$VM_KERNEL" = uml-debug ]; then
	ranges=50000
	seeds=(1)
	shapes=()
fi
for seed in "${seeds[@]}"; do
	check "range map: random operations, seed $seed" run rm-random "$seed"
done
check "range map: $ranges ranges" run rm-large $ranges
for shape in "${shapes[@]}"; do
	check "range map: memory an entry takes, shape $shape" run rm-bytes "$shape"
done
check "range map: lookups beside stores and flips" run rm-readers 3000
check "metadata I/O: cache and device agree" run io-cache 1 $VDA
check "metadata I/O: the same, other seed" run io-cache 2 $VDA
must dm_make t2-bad "0 8000 linear $VDA 0" "8000 8000 error"
check "metadata I/O: failed writes leave nothing in the cache" run io-errors 1000 $MAP/t2-bad
