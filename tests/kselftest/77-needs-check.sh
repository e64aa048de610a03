#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12 uml uml-debug
# shellcheck disable=SC2016
#
# The metadata cannot be written: the pool is read-only at once, what was flushed is
# safe, and the superblock says that it needs a check until thin2_check has made one.
. "$(dirname "$0")/lib.sh"

# Where the journal is: 1 MiB of 64, from block 4 on.
first=32
journal=2048

# journal_on linear|error: what lies under it, while the pool runs
journal_on()
{
	local under=$1 n=$((meta_mib * 2048))
	[ "$under" = error ] || under="linear $VDA $first"
	dmsetup suspend --noflush --nolockfs t2-meta &&
		printf '%s\n' "0 $first linear $VDA 0" "$first $journal $under" \
			"$((first + journal)) $((n - first - journal)) linear $VDA $((first + journal))" |
		dmsetup reload t2-meta && dmsetup resume t2-meta
}

# flags: mode, and needs_check or "-"
flags()
{
	status --noflush | cut -d' ' -f5,8
}

flags_are()
{
	[ "$(flags)" = "$1" ]
}

refused()
{
	check_fails "$1: no new thin" "not supported" msg "create_thin 7"
	check_fails "$1: no write to what is not mapped" "Input/output" on 1 write 8m 64k 6
	check "$1: what was flushed is there" on 1 check 0 1m 5
}

must pool_make
must thin_make 1 16
must on 1 write 0 1m 5 sync
must msg checkpoint
check_is "at first" "$(flags)" "rw -"

must journal_on error
dmesg -C
check_fails "a write that is not safe fails" "Input/output" on 1 write 4m 64k 6 sync
check "the pool is read-only, and needs a check" wait_for 10 flags_are "ro needs_check"
check "the log says what could not be written" eval 'dmesg | grep -E "[0-9]+:[0-9]+: .*journal.*block [0-9]+"'
dmesg
refused "then"
must thins_close
must pool_close
must journal_on linear

sum=$(blkop $META sum 0 end)
must pool_open
must thin_open 1 16
check_is "opened again, it is the same" "$(flags)" "ro needs_check"
refused "again"
must thins_close
must pool_close
must pool_open
check_is "and again" "$(flags)" "ro needs_check"
must pool_close
check_is "nothing was written" "$(blkop $META sum 0 end)" "$sum"

check "thin2_check finds nothing else" thin2_check $META
check "and clears the flag" thin2_check --clear-needs-check-flag $META
must pool_open
must thin_open 1 16
check_is "it is writable" "$(flags)" "rw -"
check "what was flushed is there" on 1 check 0 1m 5
check "new data is written" on 1 write 8m 64k 6 sync check 8m 64k 6
must thins_close
must pool_close

# ---- a checkpoint that fails ----

must pool_open
must thin_open 1 16
must on 1 write 2m 64k 7 sync
# Behind the journal is where trees are; a device that ends there is no superblock's home.
must dmsetup suspend --noflush --nolockfs t2-meta
n=$((meta_mib * 2048))
printf '%s\n' "0 $((first + journal + 1024)) linear $VDA 0" \
	"$((first + journal + 1024)) $((n - first - journal - 1024)) error" |
	dmsetup reload t2-meta
must dmsetup resume t2-meta
say "metadata that fails"
i=0
while ! flags_are "ro needs_check" && [ $i -lt 200 ]; do
	on 1 write $((i * 64))k 4k 8 sync || break
	msg "create_thin $((100 + i))" || break
	i=$((i + 1))
done
echo "$i rounds"
check "a checkpoint that fails, too" wait_for 10 flags_are "ro needs_check"
check "what was flushed is there" on 1 check 2m 4k 7 check 8m 64k 6
must thins_close
must pool_close
must dm_reload t2-meta "0 $n linear $VDA 0"
check "the check is clean" thin2_check --clear-needs-check-flag $META
must pool_open
must thin_open 1 16
check "all is there" on 1 check 2108k 4k 7 check 8m 64k 6
check_is "and it is writable" "$(flags)" "rw -"
