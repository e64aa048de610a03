#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 7200
# shellcheck disable=SC2015,SC2086
#
# Sixteen thins written and verified for RUNTIME seconds (600), while snapshots
# are taken, written, compared and deleted, ranges discarded, thins, data and
# metadata resized, thins and pool suspended, reloaded and resumed beside them.
. "$(dirname "$0")/../lib.sh"

RUNTIME=${RUNTIME:-600}
SEED=${SEED:-$RANDOM}
say "RUNTIME=$RUNTIME SEED=$SEED"
RANDOM=$SEED
hurry
meta_mib=32
data_mib=4096
must pool_make

# Thin ID: the first 16 MiB are fio's, the next 16 ours to discard; the rest stays empty.
sizes=(4k-4k 512-16k 4k-128k 8k-8k)
jobs=()
for ((id = 0; id < 16; id++)); do
	must thin_make $id 64
	fio --minimal --output=$tmp/fio.$id --thread --name=c$id --filename=$MAP/t2-thin$id \
		--size=16m --direct=1 --ioengine=libaio --iodepth=4 --rw=randwrite --bsrange=${sizes[id % 4]} \
		--blockalign=512 --time_based --runtime=$RUNTIME --fsync=$((16 << id % 4)) \
		--randseed=$((SEED + id)) --serialize_overlap=1 --verify=crc32c --verify_fatal=1 &
	jobs[id]=$!
done

bad=
fails()
{
	bad="${bad:+$bad; }$*"
	echo "FAILED: $*"
}

snaps=()
next=100
take_snap()
{
	local id=$((RANDOM % 16)) n=$next sum
	next=$((next + 1))
	snap $n $id || { fails "snapshot of $id"; return; }
	snaps+=("$n")
	[ $((RANDOM % 3)) = 0 ] || return 0
	thin_open $n 64 && sum=$(on $n sum 0 16m) && sleep 0.2 &&
		[ "$sum" = "$(on $n sum 0 16m)" ] &&
		on $n write 8k 1m $n discard 2m 1m check 8k 1m $n zero 2m 1m &&
		thin_close $n || fails "snapshot $n of $id, opened"
}

delete_snap()
{
	local i=$((RANDOM % ${#snaps[@]}))
	msg "delete ${snaps[i]}" || fails "delete ${snaps[i]}"
	unset "snaps[i]"
	snaps=("${snaps[@]}")
}

write_and_discard()
{
	local id=$((RANDOM % 16)) at=$((16 + RANDOM % 12))
	on $id write ${at}m 3m $next check ${at}m 3m $next discard $((at + 1))m 1m \
		zero $((at + 1))m 1m check $((at + 2))m 1m $next discard 16m 16m zero 16m 16m ||
		fails "discards on $id"
}

suspend_some()
{
	local id=$((RANDOM % 16)) how=()
	[ $((RANDOM % 2)) = 0 ] || how=(--noflush)
	case $((RANDOM % 4)) in
	0) dmsetup suspend "${how[@]}" t2-pool && dmsetup resume t2-pool ;;
	1) dmsetup suspend "${how[@]}" t2-thin$id && dmsetup resume t2-thin$id ;;
	2)
		dmsetup suspend "${how[@]}" t2-thin$id && dmsetup suspend "${how[@]}" t2-pool &&
			dmsetup resume t2-pool && dmsetup resume t2-thin$id
		;;
	3)
		dmsetup suspend "${how[@]}" t2-pool && sleep 0.3 && dmsetup resume t2-pool &&
			dmsetup suspend t2-thin$id && dmsetup resume t2-thin$id
		;;
	esac || fails "suspend of pool or thin $id"
}

resize_some()
{
	local id=$((RANDOM % 16))
	case $((RANDOM % 8)) in
	0)
		[ $data_mib -ge 7168 ] || data_mib=$((data_mib + 64))
		dm_reload t2-data "0 $((data_mib * 2048)) linear $VDB 0" &&
			dm_reload t2-pool "$(pool_table)"
		;;
	1)
		[ $meta_mib -ge 900 ] || meta_mib=$((meta_mib + 4))
		dm_reload t2-meta "0 $((meta_mib * 2048)) linear $VDA 0" &&
			dm_reload t2-pool "$(pool_table)"
		;;
	*) dm_reload t2-thin$id "0 $(((48 + RANDOM % 64) * 2048)) thin2 $POOL $id" ;;
	esac || fails "resize"
}

end=$((SECONDS + RUNTIME))
steps=0
while [ $SECONDS -lt $end ] && [ -z "$bad" ]; do
	steps=$((steps + 1))
	case $((RANDOM % 10)) in
	0 | 1 | 2) take_snap ;;
	3 | 4) write_and_discard ;;
	5 | 6) suspend_some ;;
	7 | 8) resize_some ;;
	9) msg checkpoint || fails checkpoint ;;
	esac
	[ ${#snaps[@]} -le 24 ] || delete_snap
	[ ${#snaps[@]} -le 16 ] || [ $((RANDOM % 2)) = 0 ] || delete_snap
done
say "$steps steps, $((next - 100)) snapshots"
check_is "all that was done beside the I/O went well (SEED=$SEED)" "$bad" ""
check "there was something done" test $steps -ge $((RUNTIME / 10))
for ((id = 0; id < 16; id++)); do
	check "thin $id: fio found what it wrote" wait ${jobs[id]} || cat $tmp/fio.$id
done

sums()
{
	local id
	for ((id = 0; id < 16; id++)); do
		on $id sum 0 32m
	done
}

before=$(sums)
must thins_close
must pool_close
must meta_check
must pool_open
for ((id = 0; id < 16; id++)); do
	must thin_open $id 64
done
check_is "the same after re-opening" "$(sums)" "$before"
for n in "${snaps[@]}"; do
	must msg "delete $n"
done
check_is "the same without snapshots" "$(sums)" "$before"
check "the snapshots' space came back" wait_for 60 used_data_below $((16 * 16 * 16 + 64))
end_check
