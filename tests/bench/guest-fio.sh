# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2154
# Part of guest.sh: jobs of fio for all targets, and what they gave.

# One fio for many jobs: it takes long to start. Processes, not threads: those of
# one address space take turns in user-mode Linux.
fio_base=(--output-format=terse --terse-version=3 --group_reporting --direct=1
	  --ioengine=io_uring --iodepth=64 --iodepth_batch_submit=32
	  --iodepth_batch_complete_min=16 --gtod_reduce=1)
two_jobs=(--numjobs=2 --offset_increment=512m --size=512m)
jobs=()

# All pools commit and end what they do in the background.
settle=(dmop status)
for t in "${targets[@]}"; do
	[ "$t" = linear ] || settle+=("$t-pool")
done

# run_job NAME COMMAND: a program between jobs, what it prints goes to
# $tmp/NAME.prerun.txt
run_job()
{
	jobs+=(--name="$1" --stonewall --new_group --filename=/dev/ram0 --rw=read --bs=4k
	       --number_ios=1 --exec_prerun="$2")
}

settle_job()
{
	run_job settle "${settle[*]}"
}

# Behind the options of a job of one process: settle after it.
and_settle()
{
	jobs+=(--exec_postrun="${settle[*]}")
}

# job WORK TARGET DEVICE OPTION...: to be run when those before it have ended
job()
{
	jobs+=(--name="$1,$2" --stonewall --new_group --filename="$3"
	       --randseed=$((round * 1000 + ${#1})) "${@:4}")
}

# beside WORK TARGET DEVICE OPTION...: at the same time as the job before, which has
# the same name; the result is that of both
beside()
{
	jobs+=(--name="$1,$2" --filename="$3" --randseed=$((round * 1000 + ${#3})) "${@:4}")
}

# one_result KIB-READ KIB-WRITTEN MS-READ MS-WRITTEN WORK,TARGET
one_result()
{
	local kib=$(($1 + $2)) ms=$(($3 + $4)) bs=${kib_of[${5%,*}]:-4}
	[ $((kib * ms)) -gt 0 ] || die "fio: $5 did nothing"
	iops[$5]=$((kib * 1000 / bs / ms))
	sample "${5%,*}" "${5#*,}" "${iops[$5]}"
	runtime[$5]=$ms
}

# run_jobs: takes a sample from each
declare -A runtime iops kib_of=([fresh-seq]=64 [mapped-seq]=64 [mapped-seq-1m]=1024)
run_jobs()
{
	local f n=0
	[ ${#jobs[@]} -gt 0 ] || return 0
	fio "${fio_base[@]}" --output="$tmp/fio" "${jobs[@]}" >"$tmp/fio.log" 2>&1 ||
		{ cat "$tmp/fio.log" "$tmp/fio"; die "fio failed: ${jobs[*]}"; }
	while IFS=';' read -r -a f; do
		[ "${f[0]}" = 3 ] || continue
		[ "${f[4]}" = 0 ] || { cat "$tmp/fio.log"; die "fio: ${f[2]}: error ${f[4]}"; }
		[[ ${f[2]} == *,* ]] || continue
		one_result "${f[5]}" "${f[46]}" "${f[8]}" "${f[49]}" "${f[2]}"
		n=$((n + 1))
	done <"$tmp/fio"
	[ $n -gt 0 ] || { cat "$tmp/fio.log" "$tmp/fio"; die "fio: no results"; }
	jobs=()
}

# random_jobs TARGET WORK ID RW
random_jobs()
{
	job "$2" "$1" "$map/$1-$3" --rw="$4" --bs=4k --number_ios=32768 "${two_jobs[@]}"
}
