#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Create, write, read, close, open again, delete.
. "$(dirname "$0")/lib.sh"

must pool_make
check_is "a fresh pool is read-write" "$(pool_mode)" rw
check_is "its transaction id is 0" "$(status | cut -d' ' -f1)" 0
check_is "no data is used" "$(used_data)" 0
check_is "all data is there" "$(total_data)" $((data_mib * 16))
check_is "metadata in blocks of 4 KiB, fixed ones left out" \
	$(($(total_meta) <= meta_mib * 256 && $(total_meta) > meta_mib * 200)) 1

must thin_make 0 2048
check_is "a fresh thin has nothing mapped" "$(mapped 0)" 0
check "a fresh thin reads as zeroes" on 0 zero 0 32m zero 2047m 1m
check "write and read back" on 0 write 0 16m 1 check 0 16m 1 zero 16m 1m
check_is "16 MiB are mapped" "$(mapped 0)" 32768
check_range "16 MiB of data are used" "$(used_data)" 256 272
check "the last sectors can be written" on 0 write 2044m 4m 2
check_is "the highest mapped sector is the last" \
	"$(dmsetup status t2-thin0 | cut -d' ' -f5)" $((2048 * 2048 - 1))
check "overwrite in place" on 0 write 4m 2m 3 check 0 4m 1 check 4m 2m 3 check 6m 10m 1
check_is "overwriting takes no space" "$(mapped 0)" $(((16 + 4) * 2048))

must thin_make 7 512
check "a second thin is independent" on 7 zero 0 16m write 1m 1m 4 check 1m 1m 4
check "the first is unharmed" on 0 check 0 4m 1 check 4m 2m 3 check 6m 10m 1 check 2044m 4m 2

used=$(used_data)
must thin_close 0
must thin_open 0 1024
check "closed and opened again, smaller" on 0 check 0 4m 1 check 4m 2m 3 zero 1000m 24m
must thins_close
must pool_close
must pool_open
check_is "a re-opened pool uses as much" "$(used_data)" "$used"
check_is "and is read-write" "$(pool_mode)" rw
must thin_open 0 2048
must thin_open 7 512
check "the first thin after re-opening" \
	on 0 check 0 4m 1 check 4m 2m 3 check 6m 10m 1 check 2044m 4m 2 zero 16m 16m
check "the second thin after re-opening" on 7 check 1m 1m 4 zero 0 1m zero 2m 30m

must thin_close 0
check "delete a thin" msg "delete 0"
check "its space comes back" wait_for 10 used_data_below 40
must thin_make 0 2048
check "a new thin of that id is empty" on 0 zero 0 32m zero 2044m 4m
check "the other thin is as it was" on 7 check 1m 1m 4
end_check
