#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What dm-thin v1 once did wrong.
#
# FUA: a write that covered a whole block ended before its mapping was durable.
# Here FUA comes alone, from a module; from userspace a flush follows it.
#
# Metadata committed before the data that it maps was flushed.
. "$(dirname "$0")/lib.sh"

hurry
must modprobe dm-bufio
must insmod "$TOP/build/selftest/$VM_KERNEL/dm-thin2-selftest.ko"
at_exit rmmod dm_thin2_selftest

# fua ID KIB SECTORS SEED: one write
fua()
{
	dmsetup create t2-selftest --table "0 8 thin2-selftest fua \
		$(($4 << 48 | $3 << 32 | $2 * 2)) $MAP/t2-thin$1" && dmsetup remove t2-selftest
}

# after_stop DESCRIPTION COMMAND...
after_stop()
{
	must stop
	must pool_open
	must thin_open 0 64
	must thin_open 1 64
	check "$@"
}

must pool_make
must thin_make 0 64
must thin_make 1 64
must on 0 write 16m 1m 2 sync
must fua 0 0 128 1
after_stop "FUA on whole units, fresh" on 0 check 0 64k 1
must fua 0 1024 8 3
after_stop "FUA on one unit, fresh" on 0 check 1m 4k 3
must msg "create_snap 2 0"
must fua 0 16384 128 4
after_stop "FUA on whole units, shared" on 0 check 16m 64k 4 check 16448k 960k 2
must thin_open 2 64
check "the snapshot is as it was" on 2 check 16m 1m 2
must thin_close 2
must on 0 write 2m 64k 5
must fua 0 2048 128 6
after_stop "FUA over whole units whose mapping is volatile" on 0 check 2m 64k 6
must fua 1 0 3 7
after_stop "FUA on a part of a unit" on 1 check 0 1536 7 zero 1536 2560
must thins_close
must pool_close
must remove_dm t2-data
must remove_dm t2-meta

# ---- data before metadata ----

meta_sectors=8192
data_sectors=65536
must modprobe dm-log-writes
must dm_make t2-disk "0 $((meta_sectors + data_sectors)) linear $VDB 0"
must dm_make t2-logdev "0 131072 linear $VDA 0"
must dm_make t2-log "0 $((meta_sectors + data_sectors)) log-writes $MAP/t2-disk $MAP/t2-logdev"
must dm_make t2-meta "0 $meta_sectors linear $MAP/t2-log 0"
must dm_make t2-data "0 $data_sectors linear $MAP/t2-log $meta_sectors"
must dd if=/dev/zero of=$META bs=4k count=1 oflag=direct status=none
must write_through t2-meta
must pool_open
must thin_make 0 16
must on 0 write 0 1m 1 sync bs 4k write 2m 64k 2 sync write 3m 4k 3
must msg checkpoint
must on 0 write 4m 128k 4
must msg "create_snap 1 0"
must on 0 bs 8k write 0 64k 5 bs 512 write 1020k 512 6 sync discard 2m 32k write 5m 16k 7
must fua 0 6144 16 8
must msg checkpoint
must thins_close
must pool_close
must remove_dm t2-data
must remove_dm t2-meta
must remove_dm t2-log
check "data is flushed before a record that maps it is written" \
	logreplay order $MAP/t2-logdev $meta_sectors $data_sectors
