#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12 uml uml-debug
# shellcheck disable=SC2016
# timeout: 900
#
# The same commands, right and wrong, to dm-thin (version 1) and to us: they end the
# same way, with the same status and as many events.  What is meant to differ is not here.
. "$(dirname "$0")/lib.sh"

hurry
modprobe dm-thin-pool || { skip "compare with version 1" "no dm-thin-pool"; exit 0; }
export MAP VDA VDB
data_mib=8		# 128 blocks of 64 KiB
n=$((data_mib * 2048))
export n
must pool_make
must v1_pool_make $data_mib
# for tables that are tried out
must dm_make t2-newmeta "0 16384 linear $VDA $((200 * 2048))"
must dm_make t2-newdata "0 16384 linear $VDB $((4500 * 2048))"

# answer COMMAND...: how it ends
answer()
{
	local out
	if out=$(timeout 60 "$@" 2>&1); then
		echo "ok${out:+: $out}"
	else
		echo "$out" >&2
		out=$(echo "$out" | sed -n 's/.*failed: //p;s/.*\(Input.output error\).*/\1/p;
			s/.*\(No space left on device\).*/\1/p' | tail -n 1)
		echo "${out:-failed}"
	fi
}

# same COMMAND: to both; $v and $two are what makes the names of one those of the other
same()
{
	local there here
	there=$(v=v1 two='' answer bash -c "$1")
	here=$(v='' two=2 answer bash -c "$1")
	check_is "${2:-$1} ($there)" "$here" "$there"
}

message()
{
	same "dmsetup message t2-\${v}pool 0 $1" "message '$1'"
}

# table TEXT: to make a new device of, which goes away again
table()
{
	dd if=/dev/zero of=$MAP/t2-newmeta bs=4k count=1 oflag=direct status=none
	same "dmsetup create t2-new --table \"$1\" && { dmsetup table t2-new | cut -d' ' -f6- |
		sed s,[0-9]*:[0-9]*,DEV,;
		dmsetup remove t2-new; dd if=/dev/zero of=\$MAP/t2-newmeta bs=4k count=1 \
		oflag=direct status=none; }" "${2:-table '$1'}"
}

# reload NAME TEXT: and resume it, if it can be loaded
reload()
{
	same "dmsetup reload t2-\${v}$1 --table \"$2\" && { dmsetup resume t2-\${v}$1 || {
		dmsetup clear t2-\${v}$1; dmsetup resume t2-\${v}$1; false; }; }" "reload $1 to '$2'"
	counted
}

# Version 1 passes no discards down to a disk that takes less than a block at a time.
discard=discard_passdown
[ "$(cat "/sys/block/$(basename "$(readlink -f $VDB)")/queue/discard_max_bytes")" -ge 65536 ] ||
	discard=-

# count POOL: its events
count()
{
	dmsetup info -c --noheadings -o events "$1"
}

# counted: events are counted from here on.  An event comes from a work: let it.
counted()
{
	sleep 0.5
	before_there=$(count t2-v1pool)
	before_here=$(count t2-pool)
}

# state: status of the pool, except figures of the metadata; of the thin; events
# since the last resume, which is one of ours by itself.
state()
{
	sleep 0.5
	same "dmsetup status t2-\${v}pool | cut -d' ' -f4,6- | cut -d' ' -f1-7 |
		sed 's/ [0-9][0-9]* r/ HELD r/;s/ [a-z_]*discard_passdown/ $discard/'" "$1: status"
	[ ! -e $MAP/t2-thin1 ] ||
		same "dmsetup status t2-\${v}thin1 | cut -d' ' -f1-2,4-" "$1: status of the thin"
	check_is "$1: events" $(($(count t2-pool) - before_here)) \
		$(($(count t2-v1pool) - before_there))
}

counted
pool='0 $n thin-pool$two $MAP/t2-${v}meta $MAP/t2-${v}data'
state "a new pool"

# ---- messages ----

message "create_thin 1"
same 'echo "0 65536 thin$two $MAP/t2-${v}pool 1" | dmsetup create t2-${v}thin1' "a thin"
at_exit "dmsetup remove t2-thin1; dmsetup remove t2-v1thin1"
for m in "create_thin 2" "create_thin 1" "create_thin" "create_thin 3 4" "create_thin x" \
	"create_thin -1" "create_thin 0x9" "create_thin 99999999999999999999" "create_thin +9" \
	"CREATE_thin 16777215" "create_thin 18446744073709551616" "create_snap 2 1" \
	"create_snap 5 5" "create_snap 1 1" "create_snap 5 77" "create_snap 5" \
	"create_snap 5 2 1" "create_snap x 2" "create_snap 5 x" "create_snap 2 77" \
	"Create_Snap 6 2" "delete 77" "delete" "delete 1" "delete 6 2" "delete x" "delete 6" \
	"delete 6" "create_thin 6" "set_transaction_id 1 2" "set_transaction_id 0 0" \
	"set_transaction_id 0 5" "set_transaction_id 0 5" "set_transaction_id 5" \
	"set_transaction_id 5 6 7" "set_transaction_id x 6" "set_transaction_id 5 x" \
	"set_transaction_id 5 0" "SET_transaction_id 0 18446744073709551615" \
	"set_transaction_id 18446744073709551615 18446744073709551616" \
	"set_transaction_id 18446744073709551615 3" "release_metadata_snap" \
	"reserve_metadata_snap 1" "reserve_metadata_snap" "reserve_metadata_snap"; do
	message "$m"
done
state "a held snapshot"
for m in "release_metadata_snap 1" "release_metadata_snap" "release_metadata_snap" \
	"nothing" "nothing 1 2" "'' 1" "create_thin ''"; do
	message "$m"
done
state "after the messages"

# ---- tables ----

new='0 16384 thin-pool$two $MAP/t2-newmeta $MAP/t2-newdata'
for t in "" "128" "128 0" "128 0 0" "128 0 1" "128 0 2 read_only" "128 0 x" "128 0 -1" \
	"128 0 1 nothing" "128 0 0 junk" "128 0 1 skip_block_zeroing junk" "x 0" "0 0" "-128 0" \
	"4194304 0" "2097160 0" "7 0" "128 x" "128 -1" "128 18446744073709551615" \
	"128 18446744073709551616" "128 0 1 ignore_discard" "128 0 1 NO_discard_passdown" \
	"128 0 2 no_discard_passdown error_if_no_space" "128 0 2 read_only read_only" \
	"128 0 3 skip_block_zeroing ignore_discard error_if_no_space" "128 0 20 read_only" \
	"16384 0" "16512 0"; do
	table "$new $t"
done
table '0 16385 thin-pool$two $MAP/t2-newmeta $MAP/t2-newdata 128 0'
table '0 16383 thin-pool$two $MAP/t2-newmeta $MAP/t2-newdata 128 0'
table '0 64 thin-pool$two $MAP/t2-newmeta $MAP/t2-newdata 128 0'
table '0 16384 thin-pool$two $MAP/nothing $MAP/t2-newdata 128 0'
table '0 16384 thin-pool$two $MAP/t2-newmeta $MAP/nothing 128 0'
table '0 16384 thin-pool$two $MAP/t2-newmeta 99:77 128 0'
table '0 16384 thin-pool$two $MAP/t2-newmeta $MAP/t2-newmeta 128 0'
table '0 16384 thin-pool$two $MAP/t2-${v}meta $MAP/t2-newdata 128 0'
for t in "" "0" "2" "x" "77" "-1" "2 /dev/nothing" '2 $MAP/t2-${v}pool' "2 $VDB junk" \
	"99999999999999999999" "1" '2 $MAP/t2-${v}thin1' '2 $MAP/t2-newdata'; do
	table "0 2048 thin\$two \$MAP/t2-\${v}pool $t"
done
table '0 2048 thin$two $MAP/nothing 2'
table '0 2048 thin$two $MAP/t2-newdata 2'
table '0 2047 thin$two $MAP/t2-${v}pool 2'
table '0 1 thin$two $MAP/t2-${v}pool 2'
table '0 1125899906842624 thin$two $MAP/t2-${v}pool 2'
state "after the tables"

# ---- reloads ----

for t in "128 9" "128 0 1 ignore_discard" "128 0 1 error_if_no_space" "128 0" "128 0 1 junk" \
	"128 0 1 no_discard_passdown" "128 0 2 skip_block_zeroing error_if_no_space" "128 0" \
	"128 0 1 read_only"; do
	reload pool "$pool $t"
	state "after it"
done
for m in "create_thin 9" "create_thin 1" "create_thin" "create_thin x" "create_snap 9 1" \
	"create_snap 9" "delete 2" "delete 77" "delete" "set_transaction_id 3 4" \
	"set_transaction_id" "reserve_metadata_snap" "release_metadata_snap" \
	"reserve_metadata_snap 1" "nothing"; do
	message "$m"
done
same 'blkop $MAP/t2-${v}thin1 write 1m 64k 1' "a write to what is not mapped, read-only"
table '0 2048 thin$two $MAP/t2-${v}pool 77' "a thin that is not there, read-only"
table '0 2048 thin$two $MAP/t2-${v}pool 2' "a thin of a read-only pool"
reload pool "$pool 128 0"
reload pool '0 8192 thin-pool$two $MAP/t2-${v}meta $MAP/t2-${v}data 128 0'
reload pool '0 $n thin-pool$two $MAP/t2-newmeta $MAP/t2-${v}data 128 0'
reload pool '0 $n linear $VDB 0'
reload thin1 '0 65536 thin$two $MAP/t2-${v}pool 77'
reload thin1 '0 65536 thin$two $MAP/t2-${v}pool 2'
reload thin1 '0 65536 thin$two $MAP/t2-${v}pool 1'
state "after the reloads"
# What version 1 does meanwhile is its own.
reload pool '0 $n error'
reload pool "$pool 128 0"
state "the table was gone"
same 'blkop $MAP/t2-${v}thin1 check 0 1m 0'

# ---- suspended ----

for flags in "" --noflush "--nolockfs --noflush"; do
	same "dmsetup suspend $flags t2-\${v}pool"
	state "suspended $flags"
	message "create_thin 20"
	message "create_thin 20"
	message "delete 20"
	message "delete 77"
	message "nothing"
	table '0 2048 thin$two $MAP/t2-${v}pool 2' "a thin of a suspended pool"
	same 'dmsetup resume t2-${v}pool'
	counted
	state "resumed"
done

# ---- space ----

reload pool "$pool 128 100 1 error_if_no_space"
state "with a low water mark"
# Out of space, version 1 fails a flush of a thin whose first block is not mapped.
same 'blkop $MAP/t2-${v}thin1 write 0 64k 1'
for k in 1 1 2 4 8; do
	at=$((${at:-0} + k))
	same "blkop \$MAP/t2-\${v}thin1 write $((at * 64))k $((k * 64))k 1"
done
state "not there yet"
same 'blkop $MAP/t2-${v}thin1 write 2m 1m 1'
state "at the mark"
same 'blkop $MAP/t2-${v}thin1 write 3m 1m 1'
state "it is told once"
same 'dmsetup suspend t2-${v}pool; dmsetup resume t2-${v}pool'
counted
same 'blkop $MAP/t2-${v}thin1 write 4m 1m 1'
state "and once again after a resume"
same 'blkop $MAP/t2-${v}thin1 write 5m 8m 1'
same 'blkop $MAP/t2-${v}thin1 sync'
state "out of space"
same 'blkop $MAP/t2-${v}thin1 write 2m 1m 2 check 2m 1m 2' "what is mapped can be written"
same 'blkop $MAP/t2-${v}thin1 write 31m 64k 2' "what is not cannot"
message "create_thin 30"
message "create_snap 31 1"
message "delete 30"
message "delete 31"
same 'blkop $MAP/t2-${v}thin1 discard 2m 2m'
sleep 2
state "after a discard"
same 'blkop $MAP/t2-${v}thin1 zero 2m 2m write 20m 1m 3 sync check 20m 1m 3'
state "written again"

# ---- more space ----

same 'echo "0 32768 linear $VDB $((${#v} / 2 * 3072 * 2048))" | dmsetup reload t2-${v}data &&
	dmsetup suspend t2-${v}data && dmsetup resume t2-${v}data' "the data devices grow"
reload pool '0 32768 thin-pool$two $MAP/t2-${v}meta $MAP/t2-${v}data 128 0'
state "grown"
same 'blkop $MAP/t2-${v}thin1 write 22m 8m 4 sync check 22m 8m 4'
state "written again, after growth"
check "the contents are the same" blkop $MAP/t2-thin1 same $MAP/t2-v1thin1
reload pool "$pool 128 0"
state "a smaller table"
