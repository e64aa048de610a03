#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12 uml uml-debug
# shellcheck disable=SC2016,SC2086
#
# Several pools at a time; a pool on thins of another; external origins that are
# thins themselves, of the same pool and of another.
. "$(dirname "$0")/lib.sh"

hurry
# pool_at NAME META DATA
pool_at()
{
	dm_make "$1" "0 $(sectors "$3") thin-pool2 $2 $3 128 0"
}

# thin_at NAME POOL ID MIB [ORIGIN]
thin_at()
{
	dm_make "$1" "0 $(($4 * 2048)) thin2 $MAP/$2 $3 ${5:-}"
}

# parts NAME N: metadata and data of a pool of its own
parts()
{
	dm_make "$1-meta" "0 16384 linear $VDA $((200 * 2048 + $2 * 16384))" &&
		dd if=/dev/zero of="$MAP/$1-meta" bs=4k count=1 oflag=direct status=none &&
		dm_make "$1-data" "0 262144 linear $VDB $(((2048 + $2 * 1024) * 2048))"
}

# used NAME: blocks of data
used()
{
	dmsetup status "$1" | cut -d' ' -f6 | cut -d/ -f1
}

must pool_make

# ---- several, side by side ----

for i in 1 2 3; do
	must parts t2-p$i $i
	must pool_at t2-p$i $MAP/t2-p$i-meta $MAP/t2-p$i-data
	must dmsetup message t2-p$i 0 "create_thin 0"
	must thin_at t2-p$i-thin t2-p$i 0 64
	must blkop $MAP/t2-p$i-thin write 0 4m $i &
done
wait
must thin_make 0 256
must on 0 write 0 4m 9
for i in 1 2 3; do
	check "pool $i holds what is its own" blkop $MAP/t2-p$i-thin check 0 4m $i zero 4m 4m
	check_is "pool $i counts its own" "$(used t2-p$i)" 64
done
check "the first one, too" on 0 check 0 4m 9
must dmsetup suspend t2-p2
check "with one suspended the others go on" eval '
	blkop $MAP/t2-p1-thin write 4m 1m 11 sync check 4m 1m 11 &&
	blkop $MAP/t2-p3-thin write 4m 1m 13 sync check 4m 1m 13'
must dmsetup resume t2-p2
check_fails "data of another pool" "busy" \
	dmsetup create t2-bad --table "0 262144 thin-pool2 $MAP/t2-p1-meta $MAP/t2-p2-data 128 0"
must dm_make t2-new-meta "0 16384 linear $VDA $((300 * 2048))"
must dd if=/dev/zero of=$MAP/t2-new-meta bs=4k count=1 oflag=direct status=none
check_fails "data of another pool, metadata of nobody" "busy" \
	dmsetup create t2-bad --table "0 262144 thin-pool2 $MAP/t2-new-meta $MAP/t2-p2-data 128 0"
check "that metadata is left alone" blkop $MAP/t2-new-meta zero 0 4k
check_fails "data of another as metadata" "busy" \
	dmsetup create t2-bad --table "0 16384 thin-pool2 $MAP/t2-p2-data $MAP/t2-new-meta 128 0"
check_fails "a pool on itself" "" \
	dmsetup create t2-bad --table "0 8192 thin-pool2 $MAP/t2-new-meta $MAP/t2-bad 128 0"
must remove_dm t2-new-meta
check_fails "a thin of one pool is none of another" "No data available" \
	thin_at t2-bad t2-p1 5 64
check "all hold what they did" eval '
	blkop $MAP/t2-p1-thin check 0 4m 1 check 4m 1m 11 &&
	blkop $MAP/t2-p2-thin check 0 4m 2 && blkop $MAP/t2-p3-thin check 0 4m 3'

# ---- external origins that are thins ----

must dmsetup message t2-p1 0 "create_thin 7"
must thin_at t2-over t2-p1 7 64 $MAP/t2-thin0
check "a thin of another pool as origin" \
	blkop $MAP/t2-over check 0 4m 9 zero 4m 4m write 1m 64k 21 check 1m 64k 21 check 1088k 1m 9
must thin_make 1 64 $MAP/t2-over
check "an origin that has an origin" \
	on 1 check 0 1m 9 check 1m 64k 21 write 2m 4k 22 check 2m 4k 22 zero 8m 1m
check "a thin of the same pool as origin is not written" \
	blkop $MAP/t2-over check 2m 4k 9 check 1m 64k 21
check "nor is the first" on 0 check 0 4m 9
check_fails "the pool itself is no origin" "" thin_open 1 64 $POOL
must dmsetup suspend t2-p1
(on 1 check 1m 64k 21) &
job=$!
sleep 0.5
check "a read of a suspended pool's thin waits" kill -0 $job
check "reads that do not need it go on" on 1 check 2m 4k 22
must dmsetup resume t2-p1
check "until that pool is back" wait $job
must dmsetup suspend t2-pool
must dmsetup suspend t2-p1
must dmsetup resume t2-pool
must dmsetup resume t2-p1
check "both suspended, in one order" on 1 check 1m 64k 21 check 2m 4k 22
must dmsetup suspend t2-p1
must dmsetup suspend t2-pool
must dmsetup resume t2-pool
must dmsetup resume t2-p1
check "and the other" on 1 check 1m 64k 21 check 2m 4k 22
must snap 2 1
must thin_open 2 64 $MAP/t2-over
check "a snapshot of it" on 2 check 0 1m 9 check 1m 64k 21 check 2m 4k 22 write 3m 64k 23
must on 1 discard 2m 4k
check "a discard shows the origin again" on 1 check 2m 1m 9
check "not in the snapshot" on 2 check 2m 4k 22 check 3m 64k 23
must thin_close 2
must thin_close 1
must remove_dm t2-over

# ---- a pool on thins of another ----

must thin_make 10 8
must thin_make 11 128
must pool_at t2-upper $MAP/t2-thin10 $MAP/t2-thin11
must dmsetup message t2-upper 0 "create_thin 0"
must thin_at t2-high t2-upper 0 256
check "a pool on two thins" blkop $MAP/t2-high write 0 16m 31 sync check 0 16m 31
must dmsetup message t2-upper 0 "create_snap 1 0"
must thin_at t2-high1 t2-upper 1 256

fio --minimal --output=$tmp/fio.high --thread --name=high --filename=$MAP/t2-high --offset=32m \
	--size=16m --direct=1 --ioengine=libaio --iodepth=8 --rw=randwrite --bsrange=512-32k \
	--blockalign=512 --fsync=32 --time_based --runtime=6 --serialize_overlap=1 \
	--verify=crc32c --verify_fatal=1 &
job=$!
bad=
# Not the pool below before the one above: a suspend ends with a commit, which waits
# for the devices below, as it does with dm-thin.
for order in "t2-upper t2-pool" "t2-high t2-upper t2-thin11 t2-pool" \
	"t2-thin10 t2-thin11 t2-pool" "t2-high t2-pool" "t2-pool" "t2-upper"; do
	for d in $order; do
		dmsetup suspend --noflush --nolockfs $d || bad="suspend of $d in $order"
	done
	sleep 0.2
	for d in $(printf '%s\n' $order | tac); do
		dmsetup resume $d || bad="resume of $d in $order"
	done
done
# and resumed from above
dmsetup suspend t2-upper && dmsetup suspend t2-pool && dmsetup resume t2-upper &&
	sleep 0.2 && dmsetup resume t2-pool || bad="resume from above"
check_is "suspended and resumed in many orders" "$bad" ""
must snap 12 11
check "a snapshot of the data thin below" thin_open 12 128
must dmsetup message t2-upper 0 "create_snap 2 0"
check "I/O beside that ends well" wait $job || cat $tmp/fio.high
check "the data is there" blkop $MAP/t2-high check 0 16m 31
must blkop $MAP/t2-high1 write 8m 4m 32 sync
check "the snapshot above is of its own" blkop $MAP/t2-high check 0 16m 31
check "both ways" blkop $MAP/t2-high1 check 0 8m 31 check 8m 4m 32 check 12m 4m 31
must thin_close 12
must msg "delete 12"
below=$(mapped 11)
must blkop $MAP/t2-high discard 0 end
must remove_dm t2-high1
must dmsetup message t2-upper 0 "delete 1"
must dmsetup message t2-upper 0 "delete 2"
must remove_dm t2-high
must dmsetup message t2-upper 0 "delete 0"

less_mapped()
{
	dmsetup status t2-upper >/dev/null
	[ "$(mapped 11)" -lt $((below - 32768)) ]
}
check "what is freed above is freed below" wait_for 10 less_mapped

# the pool below runs full
must remove_dm t2-upper
must dmsetup message t2-p2 0 "create_thin 10"
must dmsetup message t2-p2 0 "create_thin 11"
must thin_at t2-p2-thin10 t2-p2 10 8
must thin_at t2-p2-thin11 t2-p2 11 512
must pool_at t2-upper $MAP/t2-p2-thin10 $MAP/t2-p2-thin11
must dmsetup message t2-upper 0 "create_thin 0"
must thin_at t2-high t2-upper 0 512
must blkop $MAP/t2-high write 0 4m 41 sync
blkop $MAP/t2-high write 16m 160m 42 sync &
job=$!
below_is()
{
	[[ $(dmsetup status --noflush t2-p2) = *" $1 "* ]]
}
check "the pool below runs full" wait_for 60 below_is out_of_data_space
check "the one above is read-write" eval '[[ $(dmsetup status --noflush t2-upper) = *" rw "* ]]'
sleep 1
check "the write waits" kill -0 $job
must dm_reload t2-p2-data "0 524288 linear $VDB $((4096 * 2048))"
must dm_reload t2-p2 "0 524288 thin-pool2 $MAP/t2-p2-meta $MAP/t2-p2-data 128 0"
check "growth below lets it go" wait $job
check "the data is there" blkop $MAP/t2-high check 0 4m 41 check 16m 160m 42
must remove_dm t2-high
must remove_dm t2-upper
check "thin2_check of a pool on thins" thin2_check -q $MAP/t2-p2-thin10
must remove_dm t2-p2-thin10
must remove_dm t2-p2-thin11
for i in 1 2 3; do
	must remove_dm t2-p$i-thin
	must remove_dm t2-p$i
	check "thin2_check of pool $i" thin2_check -q $MAP/t2-p$i-meta
done
end_check
