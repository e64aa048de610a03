#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2016,SC2086
#
# get_root: the tree of an inactive thin is read on the live device, again and
# again the same, whatever becomes of the thin.
. "$(dirname "$0")/lib.sh"

# dump ROOT [ID]: the mappings
dump()
{
	thin2_dump --root "$1" "$META" | grep -E '_mapping'
}

# sum_of FILE: of the data that its mappings point to
sum_of()
{
	sed -n 's/.*range_mapping origin_begin="\([0-9]*\)" data_begin="\([0-9]*\)" length="\([0-9]*\)".*/\1 \2 \3/p
		s/.*single_mapping origin_block="\([0-9]*\)" data_block="\([0-9]*\)".*/\1 \2 1/p' "$1" |
		while read -r _ data len; do
			dd if=$DATA bs=4k skip="$data" count="$len" iflag=direct status=none
		done | md5sum
}

must pool_make
must thin_make 1 256
must on 1 write 0 4m 1
for ((i = 0; i < 40; i++)); do
	args+=(write $((16384 + i * 12))k 4k 2)
done
must on 1 "${args[@]}"
check_fails "an active thin's root is not held" "busy" msg "get_root 1"
must thin_close 1
answer=$(msg "get_root 1")
root=${answer%% *}
check "get_root answers a block" test "${root:-0}" -gt 0
check_is "and the mapped units" "$(echo "$answer" | cut -d' ' -f2)" $((1024 + 40))
check "the tool reads it on the live device" eval 'dump $root >$tmp/first'
units=$(sed -n 's/.*length="\([0-9]*\)".*/\1/p; s/.*single_mapping.*/1/p' $tmp/first |
	awk '{ s += $1 } END { print s + 0 }')
check_is "it has all units" "$units" 1064
check_fails "without a root the tool refuses a live device" "" thin2_dump $META
check_fails "a block that is no root" "" thin2_dump --root 1 $META
sum=$(sum_of $tmp/first)

# written, beside reads
must thin_open 1 256
must on 1 write 0 2m 3 discard 2m 1m write 64m 8m 3 write 16m 1m 3
must msg checkpoint
check "after writes it reads the same" eval 'dump $root | diff - $tmp/first'
check_is "and so does its data" "$(sum_of $tmp/first)" "$sum"
check "the thin holds what was written" on 1 check 0 2m 3 zero 2m 1m check 3m 1m 1 check 64m 8m 3
must snap 2 1
must msg checkpoint
fio_run --name=beside --filename=$MAP/t2-thin1 --size=32m --direct=1 --ioengine=libaio --iodepth=8 \
	--rw=randwrite --bs=4k --time_based --runtime=4 &
job=$!
bad=
for i in 1 2 3 4 5 6; do
	dump "$root" | diff - $tmp/first || bad=$i
	msg checkpoint || bad=$i
done
check_is "and beside writes" "$bad" ""
check "which end well" wait $job

# deleted
must thin_close 1
check "the thin can be deleted" msg "delete 1"
must msg "delete 2"
must msg checkpoint
must thin_make 3 256
must on 3 write 0 64m 4
must msg checkpoint
check "after the thin was deleted it reads the same" eval 'dump $root | diff - $tmp/first'
check_is "its data is not given to others" "$(sum_of $tmp/first)" "$sum"
check_range "its space is still in use" "$(used_data)" $((1024 + 66)) 2000

# a new thin of that id
must msg "create_thin 1"
must thin_open 1 256
must on 1 write 0 1m 5
check "after a new thin of that id, too" eval 'dump $root | diff - $tmp/first'
must thin_close 1
must thin_close 3
must msg "delete 3"
check "put_root" msg "put_root 1"
check "gives back the space" wait_for 10 used_data_below 20

# many
bad=
roots=()
for id in 11 12 13 14; do
	thin_make $id 16 && on $id write 0 1m $id && thin_close $id || bad="making $id"
	answer=$(msg "get_root $id") || bad="holding $id"
	roots+=("${answer%% *}")
done
for r in "${roots[@]}"; do
	[ "$(dump "$r" | wc -l)" -ge 1 ] || bad="reading $r"
done
check_is "several at a time" "$bad" ""
for id in 11 12 13 14; do
	msg "delete $id" || bad="deleting $id"
done
check_is "their thins are deleted" "$bad" ""
must pool_close
must pool_open
check_fails "a new activation holds none" "No data available" msg "put_root 11"
check "their space came back" wait_for 10 used_data_below 20
end_check
