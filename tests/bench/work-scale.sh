# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
# Part of guest.sh: two processors instead of one, and where data are put.

scale_jobs()
{
	job "$2-1" "$1" "$map/$1-3" --rw="$3" --bs=4k --size=256m --cpus_allowed=0
	[ "$1" = linear ] || settle_job
	job "$2-2" "$1" "$map/$1-4" --rw="$3" --bs=4k --size=256m --cpus_allowed=0
	beside "$2-2" "$1" "$map/$1-5" --rw="$3" --bs=4k --size=256m --cpus_allowed=1
	[ "$1" = linear ] || settle_job
}

scaled()
{
	sample "$2" "$1" "$(divide "${iops[$2-2,$1]}" "${iops[$2-1,$1]}")"
}

# Jobs on thins of their own; all reads hit what was written.
work_scale()
{
	local i
	each pool_make
	for i in 3 4 5; do
		each thin_make "$i"
	done
	each scale_jobs scale-provision randwrite
	if_wanted scale-read each scale_jobs scale-read randread
	measured run_jobs
	each scaled scale-provision
	if_wanted scale-read each scaled scale-read
	for i in 3 4 5; do
		each thin_remove "$i"
	done
	each pool_remove
}

# ---- ranges of eight thins that are written at once ----

runs_mib=32			# each

runs_job()
{
	local i
	job runs "$1" "$map/$1-10" --rw=write --bs=4k --size=${runs_mib}m
	for i in {11..17}; do
		beside runs "$1" "$map/$1-$i" --rw=write --bs=4k --size=${runs_mib}m
	done
}

# Of metadata that is no longer in use.
count_ranges()
{
	local dump=thin2_dump n
	[ "$1" = thin2 ] || dump=thin_dump
	$dump "${meta[$1]}" >"$tmp/dump"
	n=$(grep -cE '<(range|single)_mapping ' "$tmp/dump") || die "the dump of $1 has no mappings"
	sample runs-seq8 "$1" "$(divide "$n" $((8 * runs_mib)))"
}

work_runs()
{
	each_pool pool_make
	each_pool small_thins
	each_pool runs_job
	run_jobs
	each_pool dmsetup_remove_small
	each_pool pool_remove
	each_pool count_ranges
}

dmsetup_remove_small()
{
	dmsetup remove "$1-"{10..17}
}

# ---- in which order the data device gets writes ----

# v1 does not zero blocks here: what it writes is what was written to it.
runs_features="2 no_discard_passdown skip_block_zeroing"

# logged TARGET FUNCTION: with dm-log-writes below the data of a new pool; what the
# log says of its writes goes to $tmp/runs
logged()
{
	local old=${disk[$1]} old_features=$features
	dmsetup create runs-log --table "0 $((data_mib * mib)) log-writes $old /dev/ram5"
	disk[$1]=$map/runs-log
	features=$runs_features
	pool_make "$1"
	"$2" "$1"
	pool_remove "$1"
	disk[$1]=$old
	features=$old_features
	dmsetup remove runs-log
	runs /dev/ram5 8 >"$tmp/runs"
}

# Eight writers take turns after each 4 KiB.
write_in_turn()
{
	local i parts=''
	small_thins "$1"
	for i in {10..17}; do
		parts="$parts${parts:++}seq:$map/$1-$i:0:$((8 * 256)):1"
	done
	load 100 "$parts" >"$tmp/load"
	dmsetup_remove_small "$1"
}

# 64 MiB of one thin, each 4 KiB once, one after the other.
write_at_random()
{
	thin_make "$1" 0
	job prepare "$1" "$map/$1-0" --rw=randwrite --bs=4k --size=64m --ioengine=psync \
		--iodepth=1 --end_fsync=1
	run_jobs
	dmsetup remove "$1-0"
}

# runs_field FIELD MIB: if that many were written
runs_field()
{
	awk -v field="$1" -v kib=$(($2 * 1024)) '
		$1 == kib { print $field; ok = 1 } END { exit !ok }' "$tmp/runs" ||
		die "not $2 MiB in the log: $(cat "$tmp/runs")"
}

write_runs()
{
	logged "$1" write_in_turn
	sample write-runs-seq8 "$1" "$(runs_field 2 64)"
	sample write-streams-seq8 "$1" "$(runs_field 3 64)"
	logged "$1" write_at_random
	sample write-runs-random "$1" "$(runs_field 2 64)"
	sample write-pieces-random "$1" "$(runs_field 4 64)"
}

work_write_runs()
{
	modprobe dm-log-writes
	each_pool write_runs
}
