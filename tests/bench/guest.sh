#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In a guest, started by run.sh of this folder: measures $TARGETS in $ROUNDS
# rounds. A sample is a line "ROUND WORK TARGET VALUE" of /out/samples;
# values are IOPS, microseconds, or bytes used per byte written (report.pl
# knows which).
#
# Every round starts with new pools. Each work is done by all targets, one
# after the other, in an order that changes from round to round; after work that
# changes mappings all pools commit, so that nothing is left to be done while
# another target is measured.
set -eu

rounds=${ROUNDS:?}
read -r -a targets <<<"${TARGETS:?}"
map=/dev/mapper
mib=2048			# in sectors
thin_mib=1024
data_mib=2048
meta_mib=${META_MIB:-128}
block=128			# sectors
tmp=$(mktemp -d /dev/shm/bench.XXXXXX)
PATH=$VM_TOP/build/bench:$PATH

die()
{
	echo "bench: $*" >&2
	exit 1
}

trap 'echo "bench: failed at line $LINENO: $BASH_COMMAND" >&2' ERR

has()
{
	[[ " ${targets[*]} " == *" $1 "* ]]
}

# sample WORK TARGET VALUE
sample()
{
	[[ $3 =~ ^[0-9]+(\.[0-9]+)?$ ]] || die "$1 on $2: '$3' is no number"
	echo "$round $1 $2 $3" >>/out/samples
}

# ---- devices ----

# fill DEVICE MIB: a ramdisk gets its pages when they are written first
fill()
{
	dd if=/dev/zero of="$1" bs=1M count="$2" oflag=direct status=none
}

setup_disks()
{
	modprobe brd rd_nr=5 rd_size=$((data_mib * 1024)) max_part=0
	declare -gA disk=([linear]=/dev/ram0 [v1]=/dev/ram1 [thin2]=/dev/ram2)
	fill /dev/ram0 $thin_mib
	if has v1; then
		modprobe dm-thin-pool
		fill /dev/ram1 $data_mib
		fill /dev/ram3 "$meta_mib"
		dmsetup create v1-meta --table "0 $((meta_mib * mib)) linear /dev/ram3 0"
	fi
	if has thin2; then
		"$VM_TOP/tests/vm/load-module.sh"
		fill /dev/ram2 $data_mib
		fill /dev/ram4 "$meta_mib"
		dmsetup create thin2-meta --table "0 $((meta_mib * mib)) linear /dev/ram4 0"
	fi
}

# message TARGET MESSAGE...: to its pool
message()
{
	dmop message "$1-pool" "${@:2}" >"$tmp/message"
}

# thin_table TARGET ID MIB: one for linear likewise, which has all data to itself
thin_table()
{
	case $1 in
	linear) echo "0 $(($3 * mib)) linear ${disk[linear]} 0" ;;
	v1) echo "0 $(($3 * mib)) thin $map/v1-pool $2" ;;
	thin2) echo "0 $(($3 * mib)) thin2 $map/thin2-pool $2" ;;
	esac
}

# thin_make TARGET ID: $map/TARGET-ID
thin_make()
{
	[ "$1" = linear ] || message "$1" "create_thin $2"
	dmsetup create "$1-$2" --table "$(thin_table "$1" "$2" $thin_mib)"
}

# thin_remove TARGET ID
thin_remove()
{
	dmsetup remove "$1-$2"
	[ "$1" = linear ] || message "$1" "delete $2"
}

# The features keep discards from the ramdisk, which would free pages.
pool_make()
{
	local type=thin-pool
	[ "$1" != linear ] || return 0
	[ "$1" = v1 ] || type=thin-pool2
	dd if=/dev/zero of="$map/$1-meta" bs=4k count=1 oflag=direct status=none
	dmsetup create "$1-pool" --table "0 $((data_mib * mib)) $type $map/$1-meta ${disk[$1]} \
		$block 0 1 no_discard_passdown"
}

pool_remove()
{
	[ "$1" = linear ] || dmsetup remove "$1-pool"
}

# used TARGET: blocks of data in use
used()
{
	local words
	read -r -a words < <(dmsetup status "$1-pool")
	echo "${words[5]%/*}"
}

# ---- work ----

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

# one_result KIB-READ KIB-WRITTEN MS-READ MS-WRITTEN WORK,TARGET
one_result()
{
	local kib=$(($1 + $2)) ms=$(($3 + $4)) bs=4
	[[ $5 != *-seq,* ]] || bs=64
	[ $((kib * ms)) -gt 0 ] || die "fio: $5 did nothing"
	sample "${5%,*}" "${5#*,}" $((kib * 1000 / bs / ms))
	runtime[$5]=$ms
}

# run_jobs: takes a sample from each
declare -A runtime
run_jobs()
{
	local f n=0
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

# each FUNCTION ARGUMENT...: with every target
each()
{
	local t
	for t in "${order[@]}"; do
		"$1" "$t" "${@:2}"
	done
}

# each_pool FUNCTION ARGUMENT...: with every target that has a pool
each_pool()
{
	local t
	for t in "${order[@]}"; do
		[ "$t" = linear ] || "$1" "$t" "${@:2}"
	done
}

random_jobs()
{
	job "$2" "$1" "$map/$1-$3" --rw="$4" --bs=4k --number_ios=32768 "${two_jobs[@]}"
}

seq_job()
{
	job "$2" "$1" "$map/$1-0" --rw=write --bs=64k --size=1g --end_fsync=1
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

dense_job()
{
	job fresh-dense "$1" "$map/$1-2" --rw=randwrite --bs=4k "${two_jobs[@]}" --end_fsync=1
	[ "$1" = linear ] || run_job "merge-$1" "dmop status $1-pool"
}

# The same, with what a flush need not wait for: all of it in the trees.
dense_merged()
{
	local us=0
	[ "$1" = linear ] || read -r us <"$tmp/merge-$1.prerun.txt"
	sample fresh-dense-merged "$1" \
		$((262144 * 1000000 / (${runtime[fresh-dense,$1]} * 1000 + ${us%.*})))
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

# small_thins TARGET: eight
small_thins()
{
	local i table tables=''
	[ "$1" = linear ] || message "$1" "create_thin "{10..17}
	for i in {10..17}; do
		table="0 $((64 * mib)) linear ${disk[linear]} $(((i - 10) * 64 * mib))"
		[ "$1" = linear ] || table=$(thin_table "$1" "$i" 64)
		tables="$tables${tables:+;}$1-$i,,,rw,$table"
	done
	dmsetup create --concise "$tables"
}

fsync_job()
{
	job fsync8 "$1" "$(printf '%s:' "$map/$1-"{10..17} | sed 's/:$//')" \
		--ioengine=psync --iodepth=1 --rw=randwrite --bs=4k --fsync=1 --numjobs=8 \
		--file_service_type=sequential --number_ios=250 --size=64m
	[ "$1" = linear ] || settle_job
}

small_thins_end()
{
	dmsetup remove "$1-"{10..17}
	[ "$1" = linear ] || message "$1" "delete "{10..17}
}

median()
{
	sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'
}

snap_messages()
{
	"${settle[@]}" >/dev/null
	message "$1" "create_snap "{201..220}" 2"
	sample create-snap "$1" "$(median <"$tmp/message")"
	message "$1" "delete "{201..220}
	sample delete "$1" "$(median <"$tmp/message")"
}

do_round()
{
	local n=$((round % ${#targets[@]}))
	order=("${targets[@]:n}" "${targets[@]:0:n}")
	sparse_log "$round" 0 >"$tmp/sparse-0"
	sparse_log "$round" 8192 >"$tmp/sparse-1"

	each pool_make
	each thin_make 0
	each thin_make 1
	each seq_job fresh-seq
	each seq_job mapped-seq
	each random_jobs mapped-read 0 randread
	each random_jobs mapped-write 0 randwrite
	each sparse_job
	measured run_jobs
	each thin_remove 1

	each_pool take_snapshot
	each overwrite_job snap-overwrite 0
	measured run_jobs
	each_pool space_used
	each_pool message "delete 100"
	"${settle[@]}" >/dev/null
	each overwrite_job snap-deleted 512m
	measured run_jobs
	measured each_pool discard discard 0
	each thin_remove 0

	each thin_make 2
	each dense_job
	each random_jobs scattered-read 2 randread
	each random_jobs scattered-write 2 randwrite
	measured run_jobs
	each dense_merged
	measured each_pool snap_messages
	measured each_pool discard discard-scattered 2
	each thin_remove 2

	each small_thins
	each fsync_job
	measured run_jobs
	each small_thins_end
	each pool_remove
}

# All that is not measured need not wait for RCU.
hurry()
{
	echo "$1" >/sys/kernel/rcu_expedited
}

measured()
{
	hurry 0
	"$@"
	hurry 1
}

# ---- profile.sh: one work again and again, between the files go and stop ----

profile_prepare()
{
	local t=$1
	case $PROFILE in
	mapped-* | snap-overwrite)
		thin_make "$t" 0
		seq_job "$t" fresh-seq
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
		sparse_log "$round" 0 >"$tmp/sparse-0"
		sparse_log "$round" 8192 >"$tmp/sparse-1"
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
		fsync_job "$t"
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

cd "$tmp"
hurry 1
rm -f /out/samples
setup_disks
round=0
order=("${targets[@]}")
if [ -n "${PROFILE:-}" ]; then
	profile
	exit
fi
for ((round = 1; round <= rounds; round++)); do
	start=$SECONDS
	do_round
	echo "round $round of $rounds: $((SECONDS - start)) s"
done
cd /
rm -rf "$tmp"
