#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2015
# timeout: 600
#
# Power fails at every flush, FUA and mark that dm-log-writes saw on the pool's
# disk, and between them. See logreplay/logreplay.h.
#
# SEED=N plays the same work again, as far as its threads allow.
. "$(dirname "$0")/lib.sh"
set -o pipefail

SEED=${SEED:-$((RANDOM << 15 | RANDOM))}
echo "# SEED=$SEED" >&3
say "SEED=$SEED"

disk_mib=8
meta_sectors=8192
mark_sectors=8
data_sectors=$((disk_mib * 2048 - meta_sectors - mark_sectors))
log_mib=32
block_size=16
workers=8

# slices DISK [NUMBER]: metadata and data on it, with room for marks between
slices()
{
	dm_make "t2-meta${2:-}" "0 $meta_sectors linear $1 0" &&
		dm_make "t2-data${2:-}" \
			"0 $data_sectors linear $1 $((meta_sectors + mark_sectors))"
}

# record WAY COUNT: work on a new pool, with a log of it
record()
{
	dd if=/dev/zero of=/dev/ram0 bs=4k count=1 oflag=direct status=none &&
		dd if=/dev/zero of=/dev/ram1 bs=4k count=1 oflag=direct status=none &&
		dm_make t2-log "0 $((disk_mib * 2048)) log-writes /dev/ram0 /dev/ram1" &&
		dm_make t2-mark "0 $mark_sectors linear $MAP/t2-log $meta_sectors" &&
		slices $MAP/t2-log || return
	[ "$1" = cache ] || write_through t2-meta || return
	pool_open && at_exit thins_close &&
		logreplay work "$1" "$tmp/ops" "$SEED" "$2" | sed 's/^/# /' >&3 &&
		pool_close && remove_dm t2-data && remove_dm t2-meta && remove_dm t2-mark &&
		remove_dm t2-log
}

# play WAY: the same, stopped again and again
play()
{
	logreplay replay "$1" "$tmp/ops" "$SEED" /dev/ram1 $meta_sectors $data_sectors \
		$block_size $workers | sed 's/^/# /' >&3
}

# What a failed replay left open.
close_pools()
{
	local n
	thins_close
	for ((n = 0; n < workers; n++)); do
		[ ! -e "$MAP/t2-pool$n" ] || remove_dm "t2-pool$n"
	done
}

hurry
must modprobe dm-log-writes
must modprobe brd rd_nr=$((workers + 2)) rd_size=$((log_mib * 1024)) max_part=0
at_exit modprobe -r brd
for ((i = 0; i < workers; i++)); do
	must slices /dev/ram$((i + 2)) $i
done
at_exit close_pools

must record cache 50
check "behind a write cache" play cache
close_pools
must record through 36
check "with metadata written through" play through
