# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
# Part of guest.sh: two processors instead of one, and where data is put.

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
