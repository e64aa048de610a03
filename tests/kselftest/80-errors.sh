#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2016
#
# Wrong tables, ids, devices and metadata: refused, with a message, and nothing
# is changed.
. "$(dirname "$0")/lib.sh"

# table TABLE: load it as the pool
table()
{
	dmsetup create t2-pool --table "$1" || return
	at_exit remove_dm t2-pool
}

# the last lines of the log say what the kernel did not like
refused()
{
	local what=$1 text=$2
	shift 2
	dmesg -C
	if "$@"; then
		not_ok "$what: it was accepted"
		[ ! -e $POOL ] || pool_close
	elif ! dmesg | grep -qiE "$text"; then
		not_ok "$what: no message with '$text'"
		dmesg | tail -n 5
	else
		ok "$what"
	fi
	dmesg
}

must meta_make
must data_make
n=$((data_mib * 2048))

refused "no arguments" "argument" table "0 $n thin-pool2"
refused "too few arguments" "argument" table "0 $n thin-pool2 $META $DATA 128"
refused "read_only on what is not formatted, and a word too many" "ignoring .* '7'" \
	table "0 $n thin-pool2 $META $DATA 128 0 1 read_only 7"
refused "an unknown feature" "feature" table "0 $n thin-pool2 $META $DATA 128 0 1 be_nice"
refused "block size 0" "block size" table "0 $n thin-pool2 $META $DATA 0 0 0"
refused "block size 7" "block size" table "0 $n thin-pool2 $META $DATA 7 0 0"
refused "block size 12" "block size" table "0 $n thin-pool2 $META $DATA 12 0 0"
refused "block size too large" "block size" table "0 $n thin-pool2 $META $DATA 2097160 0 0"
refused "block size no number" "block size" table "0 $n thin-pool2 $META $DATA big 0 0"
refused "low water mark no number" "water" table "0 $n thin-pool2 $META $DATA 128 -1x 0"
refused "no metadata device" "metadata" table "0 $n thin-pool2 $MAP/none $DATA 128 0 0"
refused "no data device" "data" table "0 $n thin-pool2 $META $MAP/none 128 0 0"
refused "the same device twice" "same|metadata|data" table "0 $n thin-pool2 $META $META 128 0 0"
refused "read_only on what is not formatted" "read.only|format|permi" \
	table "0 $n thin-pool2 $META $DATA 128 0 1 read_only"
check "nothing has been written" blkop $META zero 0 4k
must dm_make t2-small "0 2048 linear $VDA $((80 * 2048))"
must dd if=/dev/zero of=$MAP/t2-small bs=4k count=1 oflag=direct status=none
refused "metadata of less than 2 MiB" "small" \
	table "0 $n thin-pool2 $MAP/t2-small $DATA 128 0 0"
check "nothing has been written there" blkop $MAP/t2-small zero 0 4k

# somebody else's metadata
must blkop $META write 0 64k 77 write 2044k 4k 77
refused "foreign metadata" "superblock" table "0 $n thin-pool2 $META $DATA 128 0 0"
check "and left alone" blkop $META check 0 64k 77
if modprobe dm-thin-pool; then
	must dd if=/dev/zero of=$META bs=4k count=1 oflag=direct status=none
	must dmsetup create t2-v1 --table "0 $n thin-pool $META $DATA 128 0"
	must dmsetup message t2-v1 0 "create_thin 0"
	must dmsetup remove t2-v1
	sum=$(blkop $META sum 0 1m)
	refused "a pool of version 1" "version 1|thin-pool[^2]|v1" \
		table "0 $n thin-pool2 $META $DATA 128 0 0"
	check_is "and left alone" "$(blkop $META sum 0 1m)" "$sum"
	must dd if=/dev/zero of=$META bs=4k count=1 oflag=direct status=none
	must pool_open
	must pool_close
	sum=$(blkop $META sum 0 1m)
	check_fails "version 1 does not take ours" "" \
		dmsetup create t2-v1 --table "0 $n thin-pool $META $DATA 128 0"
	check_is "and leaves it alone" "$(blkop $META sum 0 1m)" "$sum"

	# where one of ours was before, of which the backup superblock is left
	must dd if=/dev/zero of=$META bs=4k count=1 oflag=direct status=none
	must dmsetup create t2-v1 --table "0 $n thin-pool $META $DATA 128 0"
	must dmsetup remove t2-v1
	sum=$(blkop $META sum 0 1m)
	refused "a pool of version 1 over an old one of ours" "version 1|thin-pool[^2]|v1" \
		table "0 $n thin-pool2 $META $DATA 128 0 0"
	check_is "and left alone" "$(blkop $META sum 0 1m)" "$sum"
else
	skip "a pool of version 1" "no dm-thin-pool"
fi

must dd if=/dev/zero of=$META bs=4k count=1 oflag=direct status=none
must pool_open
refused "a second pool on the same metadata" "" \
	dmsetup create t2-pool2 --table "0 $n thin-pool2 $META $DATA 128 0 0"
must dm_make t2-meta2 "0 $((64 * 2048)) linear $VDA $((100 * 2048))"
must dd if=/dev/zero of=$MAP/t2-meta2 bs=4k count=1 oflag=direct status=none
refused "another pool in place of a live one" "" \
	dmsetup reload t2-pool --table "0 $n thin-pool2 $MAP/t2-meta2 $DATA 128 0 0"
check_fails "ignore_discard by a reload" "" \
	dmsetup reload t2-pool --table "0 $n thin-pool2 $META $DATA 128 0 1 ignore_discard"
must pool_close
features=(skip_block_zeroing ignore_discard no_discard_passdown error_if_no_space read_only)
check "all five features together" pool_open
check_is "TABLE says what was asked for" "$(dmsetup table t2-pool | cut -d' ' -f6-12)" \
	"128 0 5 ${features[*]:0:4}"
check_is "the mode is read-only" "$(pool_mode)" ro
check_fails "no messages to a read-only pool" "not supported|Operation" msg "create_thin 1"
must pool_close
features=(read_only)
must pool_open
features=()
check "read-write again by a reload" dm_reload t2-pool "$(pool_table)"
check_is "by the status too" "$(pool_mode)" rw

check_fails "a thin that does not exist" "" thin_open 5 16
must msg "create_thin 5"
check_fails "a thin on something that is no pool" "" \
	dmsetup create t2-thin5 --table "0 2048 thin2 $DATA 5"
check_fails "a thin id that is no number" "" \
	dmsetup create t2-thin5 --table "0 2048 thin2 $POOL five"
check_fails "a thin id that is too large" "" \
	dmsetup create t2-thin5 --table "0 2048 thin2 $POOL 4294967296"
check_fails "a thin with too many arguments" "" \
	dmsetup create t2-thin5 --table "0 2048 thin2 $POOL 5 $DATA 7"
must thin_open 5 16
check "thin TABLE" eval '[[ "$(dmsetup table t2-thin5)" =~ ^0\ 32768\ thin2\ [0-9]+:[0-9]+\ 5$ ]]'
must on 5 write 0 1m 1
must thin_close 5
must pool_close

# truncated
must dm_reload t2-data "0 2048 linear $VDB 0"
refused "data cut short" "small" table "0 2048 thin-pool2 $META $DATA 128 0 0"
must dm_reload t2-data "0 $n linear $VDB 0"
must dm_reload t2-meta "0 4096 linear $VDA 0"
refused "metadata cut short" "small" table "0 $n thin-pool2 $META $DATA 128 0 0"
must dm_reload t2-meta "0 $((64 * 2048)) linear $VDA 0"

# a device that fails
must pool_open
must thin_open 5 16
must on 5 write 1m 1m 2 sync
must dmsetup suspend --noflush --nolockfs t2-data
must dm_reload t2-data "0 $n error"
check_fails "a failing data device: reads fail" "Input/output" on 5 check 0 4k 1
check_fails "writes fail" "Input/output" on 5 write 0 4k 1
check_fails "new writes fail" "Input/output" on 5 write 8m 4k 1
must dm_reload t2-data "0 $n linear $VDB 0"
check "when it is back, so is the data" on 5 check 0 1m 1 check 1m 1m 2
check "a failed write mapped nothing" on 5 zero 8m 1m
check "and can be tried again" on 5 write 8m 64k 3 check 8m 64k 3
end_check
