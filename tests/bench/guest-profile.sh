# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
# Part of guest.sh, for profile.sh: one work again and again, between the files
# go and stop.

profile_prepare()
{
	local t=$1
	case $PROFILE in
	mapped-* | snap-overwrite)
		thin_make "$t" 0
		seq_job "$t" fresh-seq 64k
		run_jobs ;;
	esac
}

profile_once()
{
	local t=$1
	case $PROFILE in
	mapped-read) random_jobs "$t" "$PROFILE" 0 randread && run_jobs ;;
	mapped-write) random_jobs "$t" "$PROFILE" 0 randwrite && run_jobs ;;
	snap-overwrite)
		take_snapshot "$t"
		overwrite_job "$t" "$PROFILE" 0
		run_jobs
		message "$t" "delete 100"
		"${settle[@]}" >/dev/null ;;
	fresh-sparse)
		sparse_logs
		thin_make "$t" 1
		sparse_job "$t"
		run_jobs
		thin_remove "$t" 1 ;;
	fresh-dense)
		thin_make "$t" 2
		dense_job "$t"
		run_jobs
		thin_remove "$t" 2 ;;
	fsync8)
		small_thins "$t"
		FSYNCS=4000 fsync_job "$t"
		run_jobs
		small_thins_end "$t" ;;
	*) die "no work $PROFILE" ;;
	esac
}

profile()
{
	each pool_make
	each profile_prepare
	cat /proc/kallsyms >/out/kallsyms
	touch /out/go
	for ((round = 1; round <= rounds; round++)); do
		each profile_once
	done
	touch /out/stop
}
