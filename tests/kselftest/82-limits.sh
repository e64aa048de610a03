#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2046,SC2086,SC2154
#
# Queue limits of pool and thin, as dm-thin has them where nothing else is said;
# what a reload may change.
. "$(dirname "$0")/lib.sh"

# q NAME LIMIT
q()
{
	cat /sys/block/dm-$(stat -c %Lr $MAP/$1)/queue/$2
}

limits="max_sectors_kb minimum_io_size optimal_io_size discard_granularity discard_max_bytes
	logical_block_size rotational"

modprobe dm-thin-pool || v1=no
must meta_make
must data_make
n=$(sectors $DATA)
disk_discard=$(cat "/sys/block/$(basename "$(readlink -f $VDB)")/queue/discard_max_bytes")
for size in 128 384 6144; do
	block_size=$size
	must pool_open
	must msg "create_thin 0"
	must thin_open 0 64
	for l in $limits; do
		eval "pool_$l=$(q t2-pool $l) thin_$l=$(q t2-thin0 $l)"
	done
	must thins_close
	must msg "delete 0"
	must pool_close
	check_is "block of $size sectors: optimal I/O of the pool" \
		"$pool_optimal_io_size" $((size * 512))
	check_is "and of a thin" "$thin_optimal_io_size" $((size * 512))
	check_is "a thin discards single units" "$thin_discard_granularity" 4096
	check_range "and a lot at a time" $((thin_discard_max_bytes >> 30)) 1 4
	check_is "sectors are those of the data device" "$thin_logical_block_size" 512
	[ "${v1:-}" != no ] || continue
	must dm_make t2-v1meta "0 131072 linear $VDA $((100 * 2048))"
	must dd if=/dev/zero of=$MAP/t2-v1meta bs=4k count=1 oflag=direct status=none
	must dm_make t2-v1 "0 $n thin-pool $MAP/t2-v1meta $DATA $size 0"
	must dmsetup message t2-v1 0 "create_thin 0"
	must dm_make t2-v1thin "0 131072 thin $MAP/t2-v1 0"
	pool_limits="max_sectors_kb minimum_io_size optimal_io_size logical_block_size rotational"
	# version 1 passes nothing down to a device that cannot take a whole block at once
	[ "$disk_discard" -lt $((size * 512)) ] ||
		pool_limits+=" discard_granularity discard_max_bytes"
	for l in $pool_limits; do
		eval ours=\$pool_$l
		check_is "$size: $l of the pool as in version 1" "$ours" "$(q t2-v1 $l)"
	done
	for l in max_sectors_kb minimum_io_size optimal_io_size logical_block_size rotational; do
		eval ours=\$thin_$l
		check_is "$size: $l of a thin as in version 1" "$ours" "$(q t2-v1thin $l)"
	done
	must remove_dm t2-v1thin
	must remove_dm t2-v1
	must remove_dm t2-v1meta
	must dd if=/dev/zero of=$META bs=4k count=1 oflag=direct status=none
done

# without discards
block_size=128
features=(ignore_discard)
must pool_open
must thin_make 0 64
check_is "ignore_discard: a thin takes none" "$(q t2-thin0 discard_max_bytes)" 0
check_is "nor does the pool" "$(q t2-pool discard_max_bytes)" 0
must thin_close 0
must pool_close
features=(no_discard_passdown)
must pool_open
must thin_open 0 64
check_is "no_discard_passdown: a thin takes them" "$(q t2-thin0 discard_granularity)" 4096
check "many at a time" test "$(q t2-thin0 discard_max_bytes)" -gt $((1 << 20))
check_is "the pool does not" "$(q t2-pool discard_max_bytes)" 0

# what a reload may change
must on 0 write 0 4m 1
events=$(dmsetup info -c --noheadings -o events t2-pool)
features=(skip_block_zeroing no_discard_passdown error_if_no_space)
low_water=7
block_size=64
must dm_reload t2-pool "$(pool_table)"
check_is "a reload: TABLE says what was asked for" "$(dmsetup table t2-pool | cut -d' ' -f6-)" \
	"64 7 3 ${features[*]} "
check_is "STATUS too" "$(status | cut -d' ' -f5-8)" "rw no_discard_passdown error_if_no_space -"
check "it raises an event" test "$(dmsetup info -c --noheadings -o events t2-pool)" -gt "$events"
features=()
low_water=0
block_size=128
must dm_reload t2-pool "$(pool_table)"
check_is "and back" "$(status | cut -d' ' -f6-8)" "discard_passdown queue_if_no_space -"
check_fails "ignore_discard stays as it was" "" \
	dmsetup reload t2-pool --table "0 $n thin-pool2 $META $DATA 128 0 1 ignore_discard"
check_fails "a pool is all of its table" "" dmsetup reload t2-pool <<EOF
0 $n thin-pool2 $META $DATA 128 0
$n 8 linear $VDA 0
EOF
check_fails "no other target takes its place" "" \
	dmsetup reload t2-pool --table "0 $n linear $VDB 0"
check_fails "a pool as its own thin" "" dmsetup reload t2-pool --table "0 2048 thin2 $POOL 0"
check "a shorter pool can be loaded" dmsetup reload t2-pool \
	--table "0 $((n / 2)) thin-pool2 $META $DATA 128 0"
check_fails "but does not come into force" "" dmsetup resume t2-pool
must dmsetup reload t2-pool --table "$(pool_table)"
must dmsetup resume t2-pool
check "and nothing has changed" on 0 check 0 4m 1 write 4m 1m 2 check 4m 1m 2
check_is "its size neither" "$(total_data)" $((n / 128))

# read_only comes and goes; what is mapped can be written all the time
features=(read_only)
must dm_reload t2-pool "$(pool_table)"
check_is "read_only by a reload" "$(pool_mode)" ro
check "what is mapped can be read and written" on 0 check 0 4m 1 write 0 1m 3 check 0 1m 3 sync
check_fails "what is not cannot" "Input/output" on 0 write 32m 64k 3
check_fails "no thin can be made" "not supported" msg "create_thin 9"
check_fails "no thin can be deleted" "not supported" msg "delete 0"
check_fails "nor a snapshot" "not supported" msg "create_snap 9 0"
check_fails "nor the transaction id changed" "not supported" msg "set_transaction_id 0 1"
must thin_close 0
check "thins open" thin_open 0 64
check "and show what they hold" on 0 check 0 1m 3 check 1m 3m 1
features=()
must dm_reload t2-pool "$(pool_table)"
check_is "read-write by a reload" "$(pool_mode)" rw
check "everything can be written" on 0 write 32m 64k 3 check 32m 64k 3
check "messages go" msg "create_thin 9"
end_check
