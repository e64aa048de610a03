#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2086
#
# FLUSH and FUA: what was synchronised survives a sudden stop.
. "$(dirname "$0")/lib.sh"

must pool_make
must thin_make 0 512
must thin_make 1 512

check "fio with fsync" fio_run --name=fsync --filename=$MAP/t2-thin0 --direct=1 \
	--ioengine=libaio --iodepth=8 --rw=randwrite --bs=4k --size=64m --io_size=4m \
	--fsync=8 --serialize_overlap=1 --verify=crc32c --verify_fatal=1
check "fio with FUA" fio_run --name=fua --filename=$MAP/t2-thin1 --direct=1 --sync=dsync \
	--ioengine=libaio --iodepth=8 --rw=randwrite --bsrange=512-16k --blockalign=512 \
	--size=64m --io_size=4m --serialize_overlap=1 --verify=crc32c --verify_fatal=1
check "fio through the page cache" fio_run --name=cached --filename=$MAP/t2-thin0 \
	--offset=128m --ioengine=psync --rw=randwrite --bs=16k --size=32m --io_size=8m \
	--fsync=32 --serialize_overlap=1 --verify=crc32c --verify_fatal=1
check "eight jobs, each with fsync" fio_run --filename=$MAP/t2-thin1 --direct=1 \
	--ioengine=psync --rw=randwrite --bs=4k --size=8m --io_size=256k --offset=128m \
	--offset_increment=16m --numjobs=8 --fsync=1 --name=many --group_reporting
check "flushing what is clean" on 0 sync sync sync

sum0=$(on 0 sum 0 end)
must stop
must pool_open
must thin_open 0 512
check_is "a stop after a flush loses nothing" "$(on 0 sum 0 end)" "$sum0"

must on 0 write 256m 8m 1 sync write 264m 8m 2
must stop
must pool_open
must thin_open 0 512
check "synchronised writes survive" on 0 check 256m 8m 1

# overwrites and discards, then a sync
must on 0 write 256m 4m 3 discard 260m 4m write 280m 64k 4 sync
must stop
must pool_open
must thin_open 0 512
check "so do overwrites and discards" on 0 check 256m 4m 3 zero 260m 4m check 280m 64k 4

# a FUA write only
must on 0 write 300m 1m 5 sync
dd if=/dev/zero of=$tmp/zero bs=64k count=1 status=none
must dd if=$tmp/zero of=$MAP/t2-thin0 bs=64k seek=4800 oflag=direct,dsync conv=notrunc status=none
must stop
must pool_open
must thin_open 0 512
check "so do FUA writes" on 0 zero 300m 64k check 307264k 960k 5

# a snapshot and its origin
must on 0 write 320m 4m 6 sync
must snap 2 0
must on 0 write 320m 2m 7 sync
must stop
must pool_open
must thin_open 0 512
must thin_open 2 512
check "a snapshot survives, and writes after it" eval '
	on 0 check 320m 2m 7 check 322m 2m 6 && on 2 check 320m 4m 6'

# replayed twice
must stop
must pool_open
must thin_open 0 512
must thin_open 2 512
check "stopped again at once" eval '
	on 0 check 320m 2m 7 check 322m 2m 6 && on 2 check 320m 4m 6'

# messages are durable when they return
must msg "create_thin 30"
must msg "set_transaction_id 0 5"
must stop
must pool_open
check_is "a transaction id survives" "$(status | cut -d' ' -f1)" 5
check "a created thin survives" thin_open 30 16
end_check
