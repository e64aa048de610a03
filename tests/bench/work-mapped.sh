# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
# Part of guest.sh: a thin that is written in sequence, sparsely at random, and
# shared with a snapshot, and a discard of one that was written in sequence.

# seq_job TARGET WORK BLOCK-SIZE OPTION...: all of thin 0
seq_job()
{
	job "$2" "$1" "$map/$1-0" --rw=write --bs="$3" --size=1g --end_fsync=1 "${@:4}"
	and_settle
}

# sparse_log SEED FIRST: offsets of 4,096 writes, each the only one in its 64 KiB,
# in the 8,192 of those from FIRST on, as a log for fio.
sparse_log()
{
	awk -v seed="$1" -v first="$2" 'BEGIN {
		srand(seed)
		n = 8192
		for (i = 0; i < n; i++)
			a[i] = first + i
		print "fio version 2 iolog\nx add\nx open"
		for (i = 0; i < 4096; i++) {
			j = i + int(rand() * (n - i))
			b = a[j]
			a[j] = a[i]
			printf "x write %d 4096\n", b * 65536 + int(rand() * 16) * 4096
		}
		print "x close"
	}'
}

sparse_job()
{
	job fresh-sparse "$1" "$map/$1-1" --read_iolog="$tmp/sparse-0:$tmp/sparse-1" \
		--replay_redirect="$map/$1-1" --bs=4k --size=1g --numjobs=2 --end_fsync=1
	[ "$1" = linear ] || settle_job
}

# overwrite_job TARGET WORK OFFSET: 32 MiB in 512 MiB
overwrite_job()
{
	job "$2" "$1" "$map/$1-0" --rw=randwrite --bs=4k --offset="$3" --size=256m \
		--numjobs=2 --offset_increment=256m --number_ios=4096 --end_fsync=1
	[ "$1" = linear ] || settle_job
}

declare -A used_before
take_snapshot()
{
	dmsetup suspend "$1-0"
	message "$1" "create_snap 100 0"
	dmsetup resume "$1-0"
	used_before[$1]=$(used "$1")
}

# In blocks of 64 KiB, for 32 MiB.
space_used()
{
	sample snap-space "$1" "$(awk -v n=$(($(used "$1") - ${used_before[$1]})) \
		'BEGIN { printf "%.4f", n / 512 }')"
}

# discard TARGET WORK ID
discard()
{
	"${settle[@]}" >/dev/null
	sample "$2" "$1" "$(dmop discard "$map/$1-$3" 0 $((thin_mib << 20)))"
}

sparse_logs()
{
	sparse_log "$round" 0 >"$tmp/sparse-0"
	sparse_log "$round" 8192 >"$tmp/sparse-1"
}

work_snapshot()
{
	each_pool take_snapshot
	if wanted snap-overwrite snap-space discard-overwritten; then
		each overwrite_job snap-overwrite 0
		measured run_jobs
		each_pool space_used
	fi
	each_pool message "delete 100"
	"${settle[@]}" >/dev/null
	if_wanted snap-deleted each overwrite_job snap-deleted 512m
	measured run_jobs
}

work_mapped()
{
	each pool_make
	each thin_make 0
	each thin_make 1
	each seq_job fresh-seq 64k
	if_wanted mapped-seq each seq_job mapped-seq 64k
	if_wanted mapped-seq-1m each seq_job mapped-seq-1m 1m --iodepth=16 \
		--iodepth_batch_submit=8 --iodepth_batch_complete_min=4
	if_wanted mapped-read each random_jobs mapped-read 0 randread
	if_wanted mapped-write each random_jobs mapped-write 0 randwrite
	if_wanted snap-before each overwrite_job snap-before 512m
	sparse_logs
	if_wanted fresh-sparse each sparse_job
	measured run_jobs
	each thin_remove 1
	! wanted snap-overwrite snap-space snap-deleted discard-overwritten || work_snapshot
	if_wanted discard-overwritten measured each_pool discard discard-overwritten 0
	each thin_remove 0
	each pool_remove
}

# New pools: no holes for the data, nothing left to free.
work_discard()
{
	each_pool pool_make
	each_pool thin_make 0
	each_pool seq_job prepare 64k
	run_jobs
	measured each_pool discard discard 0
	each_pool thin_remove 0
	each_pool pool_remove
}
