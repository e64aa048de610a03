#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2016,SC2206
#
# Out of metadata space, on the smallest device: only what needs new metadata is
# refused, nothing is damaged, growing it helps at once.
. "$(dirname "$0")/lib.sh"

meta_mib=2
data_mib=2048
features=(error_if_no_space)
must pool_make
must thin_make 0 1024
say "metadata blocks: $(total_meta)"

# ranges that cannot be joined, and snapshots of them: every one that is then
# written to all over needs leaves of its own
must fio_run --name=frag --filename=$MAP/t2-thin0 --rw=write:4k --bs=4k --size=128m \
	--io_size=64m --direct=1 --ioengine=libaio --iodepth=32
must thin_make 900 16
must on 900 write 0 1m 1

# spread ID SEED: a unit in every MiB of the first 128
spread()
{
	local i args=()
	for ((i = 0; i < 128; i++)); do
		args+=(write ${i}m 4k "$2")
	done
	on "$1" "${args[@]}"
}

full=
for ((id = 1; id < 200; id++)); do
	if ! snap $id 0 || ! spread 0 $id; then
		full=$id
		break
	fi
done
say "full after $full snapshots, $(used_meta) of $(total_meta) blocks used"
check "metadata runs full" test -n "$full"
check_range "percent of it that are used by then" $(($(used_meta) * 100 / $(total_meta))) 90 100
check "the pool did not fail" eval '[[ $(pool_mode) =~ ^(rw|out_of_data_space)$ ]]'
check_is "it needs no check" "$(status | cut -d' ' -f8)" -
check "reads go on" on 900 check 0 1m 1
check "overwriting what is exclusive goes on" on 900 write 0 512k 2 check 0 512k 2 sync
check "snapshots can be read" eval '
	thin_open 1 1024 && on 1 sum 0 128m && thin_close 1'
for id in 1 2 3 4 5 6; do
	[ $id -ge "${full:-0}" ] || must msg "delete $id"
done
meta_free()
{
	[ $(($(total_meta) - $(used_meta))) -gt 120 ]
}
check "deleting snapshots frees metadata" wait_for 20 meta_free
check "then writes go on" spread 0 1000
check "with the right data" on 0 check 5m 4k 1000 check 100m 4k 1000

full=
for ((id = 300; id < 500; id++)); do
	if ! snap $id 0 || ! spread 0 $id; then
		full=$id
		break
	fi
done
check "full again" test -n "$full"
must dm_reload t2-meta "0 $((16 * 2048)) linear $VDA 0"
must dm_reload t2-pool "$(pool_table)"
check "grown metadata: writes go on" spread 0 2000
check "snapshots too" snap 600 0
check "with the right data" on 0 check 5m 4k 2000 check 100m 4k 2000 check 110m 4k 2000
check "the other thin too" on 900 check 0 512k 2 check 512k 512k 1
must thins_close
must pool_close
must meta_check
must pool_open
must thin_open 0 1024
check "after re-opening" on 0 check 5m 4k 2000 check 100m 4k 2000
end_check
