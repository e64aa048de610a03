#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.1 uml uml-debug
# shellcheck disable=SC2015,SC2016,SC2086
#
# Thins come and go, tables are swapped, thins and pool are suspended and resumed
# in every order, while other thins are written and verified.
. "$(dirname "$0")/lib.sh"

hurry
must pool_make
jobs=()
for id in 0 1 2; do
	must thin_make $id 256
	fio --minimal --output=$tmp/fio.$id --thread --name=o$id --filename=$MAP/t2-thin$id \
		--size=24m --direct=1 --ioengine=libaio --iodepth=8 --rw=randwrite \
		--bsrange=512-32k --blockalign=512 --time_based --runtime=${RUNTIME:-16} --fsync=64 \
		--serialize_overlap=1 --verify=crc32c --verify_fatal=1 &
	jobs[id]=$!
done

# is ours as it was left? 6 is written before, and never again
must thin_make 6 64
must on 6 write 0 8m 6

bad=
fails()
{
	bad="${bad:+$bad; }$*"
}

# in_order "ACTION NAME"...: suspend, noflush, resume
in_order()
{
	local step
	for step in "$@"; do
		case $step in
		suspend*) dmsetup suspend ${step#* } ;;
		noflush*) dmsetup suspend --noflush --nolockfs ${step#* } ;;
		resume*) dmsetup resume ${step#* } ;;
		# waits until its pool is resumed
		later*) dmsetup resume ${step#* } & ;;
		esac || fails "$step in: $*"
	done
	for step in "$@"; do
		[[ $step != later* ]] || wait_for 20 eval "! dmsetup info ${step#* } | grep -q SUSPENDED" ||
			fails "$step in: $*"
	done
}

for how in suspend noflush; do
	in_order "$how t2-pool" "resume t2-pool"
	in_order "$how t2-thin0" "resume t2-thin0"
	in_order "$how t2-thin0" "$how t2-pool" "resume t2-pool" "resume t2-thin0"
	in_order "$how t2-thin0" "$how t2-thin1" "$how t2-pool" "later t2-thin1" "later t2-thin0" \
		"resume t2-pool"
	in_order "$how t2-pool" "suspend t2-pool" "resume t2-pool" "resume t2-pool"
	in_order "$how t2-thin1" "$how t2-thin1" "resume t2-thin1" "resume t2-thin1"
done
in_order "noflush t2-thin0" "suspend t2-pool" "later t2-thin0" "resume t2-pool"
in_order "suspend t2-thin0" "noflush t2-pool" "resume t2-pool" "resume t2-thin0"
check_is "suspended and resumed in many orders" "$bad" ""

# tables of thins: other sizes, with the pool suspended in between
bad=
for size in 128 300 256; do
	for id in 0 1 2; do
		dmsetup reload t2-thin$id --table "0 $((size * 2048)) thin2 $POOL $id" || fails "reload $id"
	done
	dmsetup suspend t2-pool && dmsetup resume t2-pool || fails "pool, tables pending"
	for id in 2 0 1; do
		dmsetup resume t2-thin$id || fails "swap $id"
	done
	dm_reload t2-pool "$(pool_table)" || fails "reload of the pool"
done
dmsetup reload t2-thin0 --table "0 2048 thin2 $POOL 0" && dmsetup clear t2-thin0 ||
	fails "a table loaded and cleared"
dmsetup reload t2-pool --table "$(pool_table)" && dmsetup clear t2-pool || fails "the pool's, too"
dmsetup reload t2-thin0 --table "0 2048 thin2 $POOL 0" && dmsetup suspend t2-pool &&
	dmsetup clear t2-thin0 && dmsetup resume t2-pool || fails "cleared while the pool is suspended"
dmsetup reload t2-thin0 --table "0 2048 thin2 $POOL 77" 2>/dev/null && fails "a thin that is not there"
check_is "tables swapped under load" "$bad" ""
for id in 0 1 2; do
	check_is "thin $id has its size" "$(sectors $MAP/t2-thin$id)" $((256 * 2048))
done

# another thin in the same device, and back
must msg "create_thin 7"
must dmsetup reload t2-thin6 --table "0 131072 thin2 $POOL 7"
check_fails "a thin that is only loaded is in use" "busy" msg "delete 7"
must dmsetup resume t2-thin6
check "another thin by a reload" on 6 zero 0 8m write 0 1m 7 check 0 1m 7
check_fails "it is in use" "busy" msg "delete 7"
must dmsetup reload t2-thin6 --table "0 131072 thin2 $POOL 6"
must dmsetup resume t2-thin6
check "and back" on 6 check 0 8m 6
check "then it can be deleted" msg "delete 7"
must dm_make t2-thin6b "0 131072 thin2 $POOL 6"
check "the same thin in two devices" blkop $MAP/t2-thin6b check 0 8m 6
check_fails "it is in use twice" "busy" msg "delete 6"
must remove_dm t2-thin6b
check "closed once it still works" on 6 check 0 8m 6

# thins made, written, snapshotted and deleted beside all that
bad=
for ((i = 10; i < 22; i++)); do
	thin_make $i 64 && on $i write 0 1m $i && snap $((i + 100)) $i && snap $((i + 200)) $((i % 3)) &&
		on $i write 512k 1m $((i + 1)) && thin_close $i && msg "delete $i" &&
		thin_open $((i + 100)) 64 && on $((i + 100)) check 0 1m $i zero 1m 1m &&
		thin_close $((i + 100)) && msg "delete $((i + 100))" && msg "delete $((i + 200))" ||
		fails "$i"
done
check_is "thins and snapshots made and deleted beside I/O" "$bad" ""

for id in 0 1 2; do
	check "thin $id: fio found what it wrote" wait ${jobs[id]} || cat $tmp/fio.$id
done
check "the thin at rest is as it was" on 6 check 0 8m 6
check_range "only what is there takes space" "$(used_data)" 128 $(((3 * 24 + 8) * 16 + 32))

# messages to a suspended pool, and thins that go meanwhile
must dmsetup suspend t2-pool
check "a suspended pool: a thin is closed" thin_close 6
check "one is made" msg "create_thin 8"
check "a snapshot" msg "create_snap 9 6"
check "of an active one, too" msg "create_snap 12 0"
check "deleted" msg "delete 8"
check "the transaction id" msg "set_transaction_id 0 5"
check_fails "no table of a thin is loaded" "" \
	dmsetup reload t2-thin1 --table "0 2048 thin2 $POOL 1"
must dmsetup resume t2-pool
check "resumed: the thin opens" thin_open 6 64
check "the snapshots, too" thin_open 9 64
check "both hold what they should" eval 'on 6 check 0 8m 6 && on 9 check 0 8m 6'
check_is "the transaction id is there" "$(status | cut -d' ' -f1)" 5
check "the snapshot of the active one" thin_open 12 256
check_is "is its equal" "$(on 12 sum 0 24m)" "$(on 0 sum 0 24m)"

# the pool is replaced by force while thins are open
must dmsetup suspend --noflush --nolockfs t2-pool
check_fails "a pool's table is not replaced by another target" "" \
	dmsetup reload t2-pool --table "0 $(sectors $DATA) linear $DATA 0"
must dmsetup resume t2-pool
check "it goes on" on 6 check 0 8m 6 write 8m 1m 8
end_check
