#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# WRITE_ZEROES changes the mapping and writes no data.
. "$(dirname "$0")/lib.sh"

must pool_make
must thin_make 0 1024
must on 0 write 0 16m 1
check "zeroes over data" on 0 zeroout 4m 4m check 0 4m 1 zero 4m 4m check 8m 8m 1
check "zeroes off the units' borders" \
	on 0 zeroout 1049088 10240 check 0 1049088 1 zero 1049088 10240 check 1059328 1m 1
check "less than a unit" on 0 zeroout 2097664 512 check 2m 512 1 zero 2097664 512 check 2098176 64k 1
check "over the end of what is mapped" on 0 zeroout 12m 8m check 8m 4m 1 zero 12m 16m
check "writing over zeroes" on 0 write 4m 1m 2 check 4m 1m 2 zero 5m 3m

dm=$(dmsetup info -c --noheadings -o blkdevname t2-thin0)
max=$(cat "/sys/block/$dm/queue/write_zeroes_max_bytes")
say "write_zeroes_max_bytes: $max"
if [ "$max" != 0 ]; then
	must thin_make 1 1024
	used=$(used_data)
	check "zeroes over a hole" on 1 zeroout 0 512m zero 0 16m
	check_range "take no space" "$(used_data)" "$used" $((used + 2))
	must on 1 write 0 16m 3
	check "zeroes over data" on 1 zeroout 0 16m zero 0 16m
	check "give its space back" wait_for 10 used_data_below $((used + 3))
	must on 1 write 1m 1m 4
	must snap 2 1
	must thin_open 2 1024
	must on 1 zeroout 1m 1m
	check "a snapshot keeps what is zeroed" on 2 check 1m 1m 4 zero 0 1m zero 2m 14m
	check "the origin has zeroes" on 1 zero 0 16m
else
	skip "zeroes take no space" "no write zeroes below"
fi

must thins_close
must pool_close
must pool_open
must thin_open 0 1024
check "after re-opening" on 0 check 4m 1m 2 zero 5m 3m check 8m 4m 1 zero 12m 16m
end_check
