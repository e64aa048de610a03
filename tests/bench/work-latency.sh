# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2004,SC2154
# Part of guest.sh: how long one operation takes, alone and beside others.

fsync_job()
{
	job fsync8 "$1" "$(printf '%s:' "$map/$1-"{10..17} | sed 's/:$//')" \
		--ioengine=psync --iodepth=1 --rw=randwrite --bs=4k --fsync=1 --numjobs=8 \
		--file_service_type=sequential --number_ios="${FSYNCS:-1000}" --size=64m
	[ "$1" = linear ] || settle_job
}

work_fsync()
{
	each pool_make
	each small_thins
	each fsync_job
	measured run_jobs
	each small_thins_end
	each pool_remove
}

# ---- reads while another thin is provisioned ----

# load_field NR FIELD: of line NR of what load printed
load_field()
{
	awk -v nr="$1" -v field="$2" 'NR == nr { print $field }' "$tmp/load"
}

beside_measure()
{
	local units=$((thin_mib * 256))
	"${settle[@]}" >/dev/null
	load 1 "read:$map/$1-0:0:$units:1" >"$tmp/load"
	sample beside-alone "$1" "$(load_field 1 5)"
	load 2 "read:$map/$1-0:0:$units:1" "flood:$map/$1-1:0:$units:1" >"$tmp/load"
	sample beside-read "$1" "$(load_field 1 5)"
}

work_beside()
{
	each pool_make
	each thin_make 0
	each thin_make 1
	each seq_job prepare 64k
	run_jobs
	measured each beside_measure
	each thin_remove 0
	each thin_remove 1
	each pool_remove
}

# ---- devices that take 0.5 ms ----

# dm-delay counts in ticks of the kernel, here 10 ms. null_blk has a timer for
# each request, flushes included; here with a volatile cache and FUA.
slow_disks()
{
	[ ! -e /sys/module/null_blk ] || return 0
	modprobe null_blk nr_devices=5 gb=1 bs=4096 queue_mode=2 irqmode=2 \
		completion_nsec=500000 memory_backed=1 cache_size=256 submit_queues=2 \
		hw_queue_depth=128
	slow_disk=([linear]=/dev/nullb0 [v1]=/dev/nullb1 [thin2]=/dev/nullb2)
	if has v1; then
		setup_meta slow-v1 slow-v1-meta /dev/nullb3
	fi
	if has thin2; then
		setup_meta slow-thin2 slow-thin2-meta /dev/nullb4
	fi
}
declare -A slow_disk

# swap_disks: to the slow ones and back
swap_disks()
{
	local t old
	for t in "${targets[@]}"; do
		old=${disk[$t]}
		disk[$t]=${slow_disk[$t]}
		slow_disk[$t]=$old
		[ "$t" != linear ] || continue
		old=${meta[$t]}
		meta[$t]=${meta[slow-$t]}
		meta[slow-$t]=$old
	done
}

# Fresh 4 KiB, each in 64 KiB of its own, and fsync.
delay_measure()
{
	local i device processes=()
	"${settle[@]}" >/dev/null
	for i in {10..17}; do
		processes+=("fsync:$map/$1-$i:0:512:16")
	done
	load 1 "${processes[@]}" >"$tmp/load"
	sample delay-fsync8 "$1" \
		"$(awk '{ n += $2; if ($3 > s) s = $3 } END { print n / s }' "$tmp/load")"

	# One alone, in the other half of its thin; and without the write.
	"${settle[@]}" >/dev/null
	load 0.3 "write:/dev/nullb0:0:256:1" >"$tmp/load"
	device=$(load_field 1 4)
	load 0.7 "fsync:$map/$1-10:8192:512:16" >"$tmp/load"
	sample delay-fsync1 "$1" "$(divide "$(load_field 1 4)" "$device")"
	load 0.5 "flush:$map/$1-11:8192:512:16" >"$tmp/load"
	sample delay-flush1 "$1" "$(divide "$(load_field 1 4)" "$device")"
}

work_delay()
{
	slow_disks
	swap_disks
	each pool_make 960
	each small_thins
	measured each delay_measure
	each small_thins_end
	each pool_remove
	swap_disks
}
