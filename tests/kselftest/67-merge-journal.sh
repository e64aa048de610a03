#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12 uml uml-debug
# shellcheck disable=SC2016
#
# Writers go on while a merge takes long, also when nobody flushes and more records
# come than the journal's buffers hold (2^16 - 512).
. "$(dirname "$0")/lib.sh"

meta_mib=256
data_mib=2048
units=70000		# a record each
leaves=120		# that the merge reads, one second each

# slow MS: reads of metadata take that long, writes nothing
slow()
{
	dm_reload t2-meta "0 $((meta_mib * 2048)) delay $VDA 0 $1 $VDA 0 0"
}

stat()
{
	msg stats | tr ' ' '\n' | sed -n "s/^$1=//p"
}

writing()
{
	kill -0 "$writer" 2>/dev/null
}

# others_wait: the pool's worker, which writes the journal now and then, waits for
# the merge or does it
others_wait()
{
	local f
	while read -r f; do
		! grep -q '^State:.D' "${f%comm}status" || return 0
	done < <(grep -lE 'kworker.*\+thin2-maint' /proc/[0-9]*/comm 2>/dev/null)
	return 1
}

must modprobe dm-delay
must meta_make
must data_make
must mkpool "$tmp/image" $((meta_mib * 256)) $((data_mib * 256)) create 0 create 1 \
	scatter 0 0 $((leaves * 600)) 2 3 checkpoint close
must dd if="$tmp/image" of=$META bs=1M oflag=direct status=none
rm "$tmp/image"
must slow 0
must pool_open
must thin_open 0 1024
must thin_open 1 1024
# the allocator has read what it needs
must on 1 write 1000m 4k 1 sync

# A discard needs no look at the tree.  Its merge does, leaf by leaf.
args=()
for ((i = 0; i < leaves; i++)); do
	args+=(discard "$((i * 4800 + 8))k" 4k)
done
at_exit slow 0
must slow 1000
must on 0 "${args[@]}"
msg checkpoint &
merge=$!
must wait_for 30 others_wait
before=$(stat records)
fio_run --name=fill --filename=$MAP/t2-thin1 --direct=1 --ioengine=libaio --iodepth=32 \
	--rw=write --bs=4k --size=$((units * 4))k &
writer=$!
wait_for 60 eval '! writing'
check "writers come to an end" eval '! writing'
check "while the merge is under way" kill -0 $merge
must slow 0
check "the writes went well" wait $writer
check "so did the checkpoint" wait $merge
check_range "there were more records than buffers" "$(($(stat records) - before))" 65536 $((units + 100))
check "what was written is there" on 1 bs 4k zero $((units * 4))k 1m
end_check
