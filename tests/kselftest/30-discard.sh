#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Discards: whole, part, off the units' borders; space comes back.
. "$(dirname "$0")/lib.sh"

must pool_make
must thin_make 0 6000
must on 0 write 0 64m 1
check_range "64 MiB used" "$(used_data)" 1024 1040

check "discard a part" on 0 discard 16m 16m zero 16m 16m check 0 16m 1 check 32m 32m 1
check "its space comes back" wait_for 10 used_data_below 790
check_is "mapped sectors follow" "$(mapped 0)" $((48 * 2048))

check "one unit" on 0 discard 4k 4k check 0 4k 1 zero 4k 4k check 8k 16k 1
check_is "mapped sectors: one unit less" "$(mapped 0)" $((48 * 2048 - 8))
check "less than a unit: nothing goes" on 0 discard 12800 2048 check 8k 64k 1
check_is "mapped sectors unchanged" "$(mapped 0)" $((48 * 2048 - 8))
check "off the borders: rounded inwards" \
	on 0 discard 66048 16k check 8k 60k 1 zero 68k 12k check 80k 100k 1
check_is "mapped sectors: three units less" "$(mapped 0)" $((48 * 2048 - 32))
check "discard what is discarded" on 0 discard 16m 16m zero 16m 16m
check "discard past what was written" on 0 discard 60m 100m check 32m 28m 1 zero 60m 100m
check "write again into a hole" on 0 write 17m 1m 2 zero 16m 1m check 17m 1m 2 zero 18m 14m

check "blkdiscard of a whole device of more than 4 GiB" blkdiscard $MAP/t2-thin0
check "reads as zeroes" on 0 zero 0 64m
check "everything comes back" wait_for 10 used_data_below 1
check_is "nothing is mapped" "$(mapped 0)" 0

# snapshots keep what they share
must on 0 write 0 16m 3
must snap 1 0
must thin_open 1 6000
must on 0 discard 0 8m
check "a snapshot keeps what its origin discards" on 1 check 0 16m 3
check "the origin does not" on 0 zero 0 8m check 8m 8m 3
check_range "still used by the snapshot" "$(used_data)" 256 260
must on 1 discard 0 12m
check "now nobody uses it" wait_for 10 used_data_below 134
check "both are right" eval 'on 0 zero 0 8m check 8m 8m 3 && on 1 zero 0 12m check 12m 4m 3'

# many small ones
must thin_make 2 256
must fio_run --name=frag --filename=$MAP/t2-thin2 --rw=write:4k --bs=4k --size=32m \
	--io_size=16m --direct=1 --ioengine=libaio --iodepth=32
used=$(used_data)
check_range "every other unit is mapped" "$(mapped 2)" 32000 33000
check "discard thousands of ranges at once" on 2 discard 0 end zero 0 32m
check_is "nothing is mapped" "$(mapped 2)" 0
check "their space comes back" wait_for 10 used_data_below $((used - 200))

must thins_close
must pool_close
must pool_open
must thin_open 0 6000
must thin_open 1 6000
check "all of it after re-opening" eval '
	on 0 zero 0 8m check 8m 8m 3 && on 1 zero 0 12m check 12m 4m 3'
must thins_close
must pool_close

features=(ignore_discard)
must pool_open
must thin_open 0 6000
check_fails "ignore_discard: a discard is refused" "not supported|Operation not" \
	on 0 discard 8m 4m
check "and the data is there" on 0 check 8m 8m 3
must thin_close 0
must pool_close

features=(no_discard_passdown)
must pool_open
must thin_open 0 6000
check_is "the status says no_discard_passdown" "$(status | cut -d' ' -f6)" no_discard_passdown
check "it discards all the same" on 0 discard 8m 4m zero 8m 4m check 12m 4m 3
end_check
