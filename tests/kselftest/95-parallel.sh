#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2086
# timeout: 400
#
# Four thins written and verified at the same time, while snapshots are taken
# and deleted, discards go on, and checkpoints are forced.
. "$(dirname "$0")/lib.sh"

must pool_make
jobs=()
for id in 0 1 2 3; do
	must thin_make $id 256
done
must thin_make 8 256
sizes=(4k-4k 512-16k 4k-128k 8k-8k)
for id in 0 1 2 3; do
	fio --minimal --output=$tmp/fio.$id --thread --name=p$id --filename=$MAP/t2-thin$id \
		--size=32m --direct=1 --ioengine=libaio --iodepth=16 --rw=randwrite \
		--bsrange="${sizes[id]}" --blockalign=512 --time_based --runtime=20 \
		--fsync=64 --serialize_overlap=1 --verify=crc32c --verify_fatal=1 &
	jobs[id]=$!
done

snaps=()
failed=0
n=100
end=$((SECONDS + 20))
while [ $SECONDS -lt $end ]; do
	id=$((n % 4))
	snap $n $id || failed=1
	snaps+=("$n")
	if [ $((n % 3)) = 0 ]; then
		thin_open $n 256 && s=$(on $n sum 0 8m) && sleep 0.3 &&
			[ "$s" = "$(on $n sum 0 8m)" ] && on $n write 4k 64k 1 check 4k 64k 1 &&
			thin_close $n || failed=1
	fi
	if [ ${#snaps[@]} -gt 6 ]; then
		msg "delete ${snaps[0]}" || failed=1
		snaps=("${snaps[@]:1}")
	fi
	on 8 write 0 2m $n check 0 2m $n discard 1m 1m zero 1m 1m || failed=1
	[ $((n % 5)) != 0 ] || msg checkpoint || failed=1
	n=$((n + 1))
done
say "$((n - 100)) snapshots"
check_is "snapshots, discards and checkpoints all went well" $failed 0
for id in 0 1 2 3; do
	check "thin $id: fio found what it wrote" wait "${jobs[id]}" || cat $tmp/fio.$id
done
before=$(for id in 0 1 2 3; do on $id sum 0 end; done)
must thins_close
must pool_close
must meta_check
must pool_open
for id in 0 1 2 3; do
	must thin_open $id 256
done
check_is "the same after re-opening" "$(for id in 0 1 2 3; do on $id sum 0 end; done)" "$before"
for id in "${snaps[@]}"; do
	must msg "delete $id"
done
check_is "the same without snapshots" "$(for id in 0 1 2 3; do on $id sum 0 end; done)" "$before"
end_check
