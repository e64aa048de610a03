#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2086
#
# Data, metadata and thins grow, with I/O running. Shrinking is refused.
. "$(dirname "$0")/lib.sh"

data_mib=128
meta_mib=8
must pool_make
must thin_make 0 512
must on 0 write 0 64m 1

fio --minimal --output=$tmp/fio.out --thread --name=beside --filename=$MAP/t2-thin0 --offset=64m \
	--size=32m --direct=1 --ioengine=libaio --iodepth=8 --rw=randwrite --bs=4k-32k \
	--time_based --runtime=12 --serialize_overlap=1 --verify=crc32c --verify_fatal=1 &
job=$!
for mib in 192 256 1024; do
	data_mib=$mib
	must dm_reload t2-data "0 $((mib * 2048)) linear $VDB 0"
	must dm_reload t2-pool "$(pool_table)"
	check_is "data grown to $mib MiB" "$(total_data)" $((mib * 16))
done
before=$(total_meta)
for mib in 12 16 64; do
	must dm_reload t2-meta "0 $((mib * 2048)) linear $VDA 0"
	must dm_reload t2-pool "$(pool_table)"
	check "metadata grown to $mib MiB" test "$(total_meta)" -gt "$before"
	before=$(total_meta)
done
check "I/O beside that ends well" wait $job
check "all of the new space can be written" on 0 write 256m 256m 2 check 256m 256m 2
check "the old data is there" on 0 check 0 64m 1

# the pool's block size may change
must dm_make t2-keep "0 8 linear $VDB 0"
block_size=256
must dm_reload t2-pool "$(pool_table)"
check_is "other block size: the figures follow" "$(total_data)" $((1024 * 8))
block_size=8
must dm_reload t2-pool "$(pool_table)"
check_is "the smallest block size" "$(total_data)" $((1024 * 256))
block_size=128
must dm_reload t2-pool "$(pool_table)"
remove_dm t2-keep

check "a thin grows" dm_reload t2-thin0 "0 $((1024 * 2048)) thin2 $POOL 0"
check "its new part is empty, and can be written" \
	on 0 zero 512m 32m write 768m 16m 3 check 768m 16m 3 check 0 64m 1
check "a thin shrinks" dm_reload t2-thin0 "0 $((64 * 2048)) thin2 $POOL 0"
check "and holds what it did" on 0 check 0 end 1
must thins_close
must pool_close

# smaller than recorded: refused, nothing changes
must dm_reload t2-data "0 $((512 * 2048)) linear $VDB 0"
check_fails "smaller data is refused" "" dm_make t2-pool "$(pool_table)"
[ ! -e $POOL ] || dmsetup remove t2-pool
must dm_reload t2-data "0 $((1024 * 2048)) linear $VDB 0"
must dm_reload t2-meta "0 $((8 * 2048)) linear $VDA 0"
check_fails "smaller metadata is refused" "" dm_make t2-pool "$(pool_table)"
[ ! -e $POOL ] || dmsetup remove t2-pool
must dm_reload t2-meta "0 $((64 * 2048)) linear $VDA 0"
must pool_open
must thin_open 0 1024
check "with the right sizes all is as it was" on 0 check 0 64m 1 check 256m 256m 2 check 768m 16m 3
end_check
