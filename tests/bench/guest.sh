#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In a guest, started by run.sh of this folder: measures $TARGETS in $ROUNDS
# rounds. A sample is a line "ROUND WORK TARGET VALUE" of /out/samples;
# values are IOPS, microseconds, or bytes used per byte written (report.pl
# knows which).
#
# Every round starts with new pools. Each work is done by all targets, one
# after the other, in an order that changes from round to round; before each,
# the pools commit, so that none has work left over from the one before.
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

# settle: all pools commit and end what they do in the background
settle()
{
	local t pools=()
	for t in "${targets[@]}"; do
		[ "$t" = linear ] || pools+=("$t-pool")
	done
	[ ${#pools[@]} = 0 ] || dmop status "${pools[@]}" >/dev/null
}

# used TARGET: blocks of data in use
used()
{
	local words
	read -r -a words < <(dmsetup status "$1-pool")
	echo "${words[5]%/*}"
}

# ---- work ----

fio_base=(--output-format=terse --terse-version=3 --thread --group_reporting --direct=1
	  --ioengine=io_uring --iodepth=64 --iodepth_batch_submit=32
	  --iodepth_batch_complete_min=16 --gtod_reduce=1)

# fio_run OPTION...: sets iops
fio_run()
{
	local f kib ms bs=4
	fio "${fio_base[@]}" --output="$tmp/fio" "$@" >"$tmp/fio.log" 2>&1 ||
		{ cat "$tmp/fio.log" "$tmp/fio"; die "fio failed: $*"; }
	IFS=';' read -r -a f < <(grep '^3;' "$tmp/fio")
	[ "${f[4]:-1}" = 0 ] || { cat "$tmp/fio.log" "$tmp/fio"; die "fio: error ${f[4]:-}: $*"; }
	kib=${f[5]} ms=${f[8]}
	[ "$kib" != 0 ] || { kib=${f[46]} ms=${f[49]}; }
	[[ " $* " != *" --bs=64k "* ]] || bs=64
	usecs=$((ms * 1000))
	ios=$((kib / bs))
	[ "$ms" -gt 0 ] || die "fio: no time passed: $*"
	iops=$((ios * 1000 / ms))
}

two_jobs=(--numjobs=2 --offset_increment=512m --size=512m)

# measure WORK TARGET DEVICE OPTION...
measure()
{
	settle
	fio_run --name="$1" --filename="$map/$3" --randseed=$((round * 1000 + ${#1})) "${@:4}"
	sample "$1" "$2" "$iops"
}

# Offsets of 8,192 writes, each the only one in its 64 KiB, as a log for fio.
sparse_log()
{
	awk -v seed="$round" 'BEGIN {
		srand(seed)
		n = 16384
		for (i = 0; i < n; i++)
			a[i] = i
		print "fio version 2 iolog\nx add\nx open"
		for (i = 0; i < 8192; i++) {
			j = i + int(rand() * (n - i))
			b = a[j]
			a[j] = a[i]
			printf "x write %d 4096\n", b * 65536 + int(rand() * 16) * 4096
		}
		print "x close"
	}'
}

mapped()
{
	local w=$2 dev=$3
	case $w in
	*read) measure "$w" "$1" "$dev" --rw=randread --bs=4k --number_ios=65536 "${two_jobs[@]}" ;;
	*write) measure "$w" "$1" "$dev" --rw=randwrite --bs=4k --number_ios=65536 "${two_jobs[@]}" ;;
	*seq) measure "$w" "$1" "$dev" --rw=write --bs=64k --size=1g ;;
	esac
}

fresh_seq()
{
	thin_make "$1" 0
	measure fresh-seq "$1" "$1-0" --rw=write --bs=64k --size=1g --end_fsync=1
}

fresh_sparse()
{
	thin_make "$1" 1
	measure fresh-sparse "$1" "$1-1" --read_iolog="$tmp/sparse" \
		--replay_redirect="$map/$1-1" --bs=4k --size=1g --end_fsync=1
	thin_remove "$1" 1
}

# fresh_dense: for thin2 also with all merged, which its flush does not wait for
fresh_dense()
{
	thin_make "$1" 2
	measure fresh-dense "$1" "$1-2" --rw=randwrite --bs=4k "${two_jobs[@]}" --end_fsync=1
	if [ "$1" != linear ]; then
		usecs=$(awk -v u="$usecs" '{ printf "%d", u + $1 }' < <(dmop status "$1-pool"))
		sample fresh-dense-merged "$1" $((ios * 1000000 / usecs))
	else
		sample fresh-dense-merged "$1" "$iops"
	fi
}

# overwrite WORK TARGET OFFSET: 32 MiB in 512 MiB
overwrite()
{
	measure "$1" "$2" "$2-0" --rw=randwrite --bs=4k --offset="$3" --size=512m \
		--number_ios=8192 --end_fsync=1
}

snap_overwrite()
{
	local before=0
	if [ "$1" != linear ]; then
		dmsetup suspend "$1-0"
		message "$1" "create_snap 100 0"
		dmsetup resume "$1-0"
		before=$(used "$1")
	fi
	overwrite snap-overwrite "$1" 0
	[ "$1" = linear ] || sample snap-space "$1" \
		"$(awk -v n=$(($(used "$1") - before)) 'BEGIN { printf "%.4f", n / 512 }')"
}

snap_deleted()
{
	[ "$1" = linear ] || message "$1" "delete 100"
	overwrite snap-deleted "$1" 512m
}

# discard_thin WORK TARGET ID
discard_thin()
{
	settle
	sample "$1" "$2" "$(dmop discard "$map/$2-$3" 0 $((thin_mib << 20)))"
}

fsyncs()
{
	local i table='' names='' tables=''
	for i in 10 11 12 13 14 15 16 17; do
		table="linear ${disk[linear]} $(((i - 10) * 64 * mib))"
		[ "$1" = linear ] || table=$(thin_table "$1" $i 64 | cut -d' ' -f3-)
		tables="$tables${tables:+;}$1-$i,,,rw,0 $((64 * mib)) $table"
		names="$names${names:+:}$map/$1-$i"
	done
	[ "$1" = linear ] || message "$1" "create_thin "{10..17}
	dmsetup create --concise "$tables"
	settle
	fio_run --name=fsync --ioengine=psync --iodepth=1 --rw=randwrite --bs=4k --fsync=1 \
		--numjobs=8 --filename="$names" --file_service_type=sequential \
		--number_ios=500 --size=64m
	sample fsync8 "$1" "$iops"
	dmsetup remove "$1-"{10..17}
	[ "$1" = linear ] || message "$1" "delete "{10..17}
}

median()
{
	sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'
}

snap_messages()
{
	settle
	message "$1" "create_snap "{201..220}" 2"
	sample create-snap "$1" "$(median <"$tmp/message")"
	message "$1" "delete "{201..220}
	sample delete "$1" "$(median <"$tmp/message")"
}

# each FUNCTION ARGUMENT...: with every target that has pools, and linear
each()
{
	local t
	for t in "${order[@]}"; do
		"$1" "$t" "${@:2}"
	done
}

pools_each()
{
	local t
	for t in "${order[@]}"; do
		[ "$t" = linear ] || "$1" "$t" "${@:2}"
	done
}

do_round()
{
	local t n=$((round % ${#targets[@]}))
	order=("${targets[@]:n}" "${targets[@]:0:n}")
	sparse_log >"$tmp/sparse"

	each pool_make
	each fresh_seq
	for w in mapped-read mapped-write mapped-seq; do
		for t in "${order[@]}"; do
			mapped "$t" $w "$t-0"
		done
	done
	each fresh_sparse
	each snap_overwrite
	each snap_deleted
	for t in "${order[@]}"; do
		[ "$t" = linear ] || discard_thin discard "$t" 0
	done
	each thin_remove 0
	each fresh_dense
	for w in scattered-read scattered-write; do
		for t in "${order[@]}"; do
			mapped "$t" $w "$t-2"
		done
	done
	pools_each snap_messages
	for t in "${order[@]}"; do
		[ "$t" = linear ] || discard_thin discard-scattered "$t" 2
	done
	each thin_remove 2
	each fsyncs
	each pool_remove
}

setup_disks
for ((round = 1; round <= rounds; round++)); do
	start=$SECONDS
	do_round
	echo "round $round of $rounds: $((SECONDS - start)) s"
done
rm -rf "$tmp"
