#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12 uml uml-debug
#
# The allocator keeps in memory those groups of 1 GiB that have free space: a large
# pool is full of others, which are skipped without a look at them.
. "$(dirname "$0")/lib.sh"

meta_mib=16
data_mib=8192

# in_memory: groups
in_memory()
{
	msg stats | tr ' ' '\n' | sed -n 's/^data_groups_in_memory=//p'
}

# 7.5 of 8 groups are one thin's, in the metadata alone.
must meta_make
must data_make
must mkpool "$tmp/image" $((meta_mib * 256)) $((data_mib * 256)) create 0 create 1 \
	write 0 0 $((data_mib * 240)) checkpoint close
must dd if="$tmp/image" of=$META bs=1M oflag=direct status=none
must pool_open
must thin_open 0 $data_mib
must thin_open 1 64
check_is "no group is in memory at first" "$(in_memory)" 0
check "a write finds the last one" on 1 write 0 1m 1 check 0 1m 1
check_is "and loads it alone" "$(in_memory)" 1
check_is "as much space is used as before, and that" "$(used_data)" $((data_mib * 15 + 16))

check "space that becomes free" on 0 discard 1g 64m zero 1g 64m
check_is "is free" "$(used_data)" $((data_mib * 15 + 16 - 1024))
check_range "its groups are in memory then" "$(in_memory)" 2 3
must on 0 write 1g 64m 2
check "and can be used" on 0 check 1g 64m 2
end_check
