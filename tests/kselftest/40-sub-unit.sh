#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Writes of less than a unit: what they do not write keeps its content, in fresh
# units (zeroes), and in shared ones (what is copied).
. "$(dirname "$0")/lib.sh"

must pool_make
must thin_make 0 256
check "512 bytes into a fresh unit" on 0 write 0 512 1 check 0 512 1 zero 512 64k
check "in the middle of one" on 0 write 102400 512 2 zero 98304 4096 check 102400 512 2 zero 102912 3584
check "over the border of two" on 0 write 203776 2048 3 zero 200704 3072 check 203776 2048 3 zero 205824 3072
check "head and tail of a long one" \
	on 0 write 300544 132608 4 zero 300032 512 check 300544 132608 4 zero 433152 512
check "a second sector of the same unit" \
	on 0 write 1024 512 5 check 0 512 1 zero 512 512 check 1024 512 5 zero 1536 2560
check_range "a unit each, no more" "$(mapped 0)" $(((1 + 1 + 2 + 33) * 8)) $(((1 + 1 + 2 + 33) * 8))

must on 0 write 1m 4m 10
must snap 1 0
must thin_open 1 256
check "512 bytes into a shared unit" eval '
	on 0 write 1m 512 11 check 1m 512 11 check 1049088 1m 10 &&
	on 1 check 1m 4m 10'
check "the same on the snapshot" eval '
	on 1 write 2099712 1024 12 check 1m 1051136 10 check 2099712 1024 12 check 2100736 64k 10 &&
	on 0 check 2m 3m 10'
check "head and tail in shared units" eval '
	on 0 write 3146240 132608 13 check 3m 512 10 check 3146240 132608 13 check 3278848 64k 10 &&
	on 1 check 3m 1m 10'
check "half shared, half fresh" eval '
	on 0 write 5241344 3072 14 check 4m 1047040 10 check 5241344 3072 14 zero 5244416 64k &&
	on 1 check 4m 1m 10 zero 5m 64k'
must thin_close 1
must msg "delete 1"

fio_verify()
{
	fio_run --name=verify --filename="$1" --direct=1 --ioengine=libaio --iodepth=16 \
		--rw=randwrite --bsrange=512-64k --blockalign=512 --offset=16m --size=48m \
		--io_size="$2" --randseed="$3" --serialize_overlap=1 --verify=crc32c --verify_fatal=1
}

check "fio: random sizes and places, fresh" fio_verify $MAP/t2-thin0 48m 1
must snap 2 0
must thin_open 2 256
sum=$(on 2 sum 0 128m)
check "fio: the same, shared with a snapshot" fio_verify $MAP/t2-thin0 24m 2
check_is "the snapshot did not change" "$(on 2 sum 0 128m)" "$sum"
sum=$(on 0 sum 0 128m)
check "fio: the same on the snapshot" fio_verify $MAP/t2-thin2 24m 3
check_is "the origin did not change" "$(on 0 sum 0 128m)" "$sum"
must thins_close
must pool_close
must pool_open
must thin_open 0 256
check_is "after re-opening" "$(on 0 sum 0 128m)" "$sum"
end_check
