#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2086
#
# Suspend and resume, of thins and pool, with I/O running.
. "$(dirname "$0")/lib.sh"

must pool_make
must thin_make 0 512
must thin_make 1 512

beside()
{
	fio --minimal --output=$tmp/fio.$1 --thread --name=j$1 --filename=$MAP/t2-thin$1 --size=48m \
		--direct=1 --ioengine=libaio --iodepth=16 --rw=randwrite --bsrange=512-32k \
		--blockalign=512 --time_based --runtime="$2" --serialize_overlap=1 --verify=crc32c --verify_fatal=1 &
	jobs[$1]=$!
}

jobs=()
beside 0 14
beside 1 14
sleep 2
check "suspend and resume a thin" eval 'dmsetup suspend t2-thin0 && sleep 0.5 && dmsetup resume t2-thin0'
check "the same with noflush" eval 'dmsetup suspend --noflush t2-thin0 && dmsetup resume t2-thin0'
check "suspend and resume the pool" eval 'dmsetup suspend t2-pool && sleep 1 && dmsetup resume t2-pool'
check "the same with noflush" eval 'dmsetup suspend --noflush t2-pool && dmsetup resume t2-pool'
check "reload a thin" dm_reload t2-thin1 "0 $((256 * 2048)) thin2 $POOL 1"
check "reload the pool" dm_reload t2-pool "$(pool_table)"
check "the pool, a thin, and back in the other order" eval '
	dmsetup suspend t2-thin0 && dmsetup suspend t2-pool &&
	dmsetup resume t2-pool && dmsetup resume t2-thin0'
for i in 1 2 3; do
	check "a snapshot meanwhile, $i" snap $((20 + i)) 0
done
check "I/O to the first ended well" wait "${jobs[0]}"
check "I/O to the second ended well" wait "${jobs[1]}"

must on 0 write 100m 4m 1
must dmsetup suspend t2-pool
check "status of a suspended pool" status --noflush
check_fails "no thin opens on a suspended pool" "" thin_open 21 512
[ ! -e $MAP/t2-thin21 ] || dmsetup remove t2-thin21
(on 0 write 104m 64k 2) &
job=$!
sleep 0.5
check "a write waits" kill -0 $job
must dmsetup resume t2-pool
check "until the pool is back" wait $job
check "data is as it should be" on 0 check 100m 4m 1 check 104m 64k 2
check "thins open again" thin_open 21 512
check "a snapshot made meanwhile can be read" on 21 sum 0 48m
end_check
