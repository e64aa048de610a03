#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A read-only origin outside of the pool shows where nothing is mapped.
. "$(dirname "$0")/lib.sh"

must pool_make
# 8 MiB and a sector, not a whole number of units
must dm_make t2-ext "0 16385 linear $VDB $((4096 * 2048))"
must blkop $MAP/t2-ext write 0 8m 1 write 8m 512 1
must msg "create_thin 0"
must thin_open 0 64 $MAP/t2-ext
check "the origin shows" on 0 check 0 8m 1 check 8m 512 1
check "zeroes past its end" on 0 zero 8389120 3584 zero 8392704 16m
check_is "nothing is mapped" "$(mapped 0)" 0
check "a write covers it" on 0 write 1m 64k 2 check 0 1m 1 check 1m 64k 2 check 1088k 1m 1
check "a sector: the rest is copied" \
	on 0 write 2099712 512 3 check 2m 2560 1 check 2099712 512 3 check 2100224 64k 1
check "a sector in the last unit" \
	on 0 write 8390144 512 4 check 8m 512 1 zero 8389120 1024 check 8390144 512 4 zero 8390656 64k
check "zeroes over it" on 0 zeroout 3m 64k check 2m 2560 1 zero 3m 64k check 3136k 64k 1
check "zeroes over part of a unit" on 0 zeroout 4195328 1024 check 4m 1024 1 zero 4195328 1024 check 4196352 64k 1
check "a discard brings it back" on 0 discard 1m 64k check 1m 64k 1
check "the origin is never written" blkop $MAP/t2-ext check 0 8m 1 check 8m 512 1

must snap 1 0
must thin_open 1 64 $MAP/t2-ext
check "a snapshot" on 1 check 0 2m 1 check 2099712 512 3 zero 3m 64k check 8m 512 1
must on 1 write 5m 64k 5
check "a snapshot is of its own" on 0 check 5m 64k 1
must thin_close 1
must thin_open 1 64
check "without the origin there are zeroes" \
	on 1 zero 0 2m check 2m 2560 1 check 2099712 512 3 zero 6m 2m
must thins_close
remove_dm t2-ext
end_check
