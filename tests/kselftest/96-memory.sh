#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12 uml uml-debug
# shellcheck disable=SC2016
#
# Bounded memory: range maps stay near their limit, give memory back to the
# system, and what they forgot is read again.
. "$(dirname "$0")/lib.sh"

params=/sys/module/dm_thin_pool2/parameters
limit=$params/range_map_cache_bytes
mib=512
meta_mib=32

stat()
{
	local line
	while read -r line; do
		[ "${line%%=*}" != "$1" ] || echo "${line#*=}"
	done < <(msg stats | tr ' ' '\n')
}

cached()
{
	stat cached_bytes
}

set_limit()
{
	echo "$1" >$limit
}

# read_back ID...: every unit of what pieces() wrote
read_back()
{
	local id
	for id in "$@"; do
		fio_run --name=verify --filename="$MAP/t2-thin$id" --rw=randwrite --bs=4k \
			--size=${mib}m --io_size=$((mib / 8))m --direct=1 --ioengine=psync \
			--randseed="$id" --randrepeat=1 --verify=crc32c --verify_only=1 \
			--verify_fatal=1 || return
	done
}

# pieces ID: 4 KiB writes all over, hardly two of them adjacent
pieces()
{
	fio_run --name=verify --filename="$MAP/t2-thin$1" --rw=randwrite --bs=4k \
		--size=${mib}m --io_size=$((mib / 8))m --direct=1 --ioengine=psync \
		--randseed="$1" --randrepeat=1 --verify=crc32c --do_verify=0
}

read_all()
{
	dd if="$MAP/t2-thin$1" of=/dev/null bs=1M iflag=direct status=none
}

# node_bytes: what maple tree nodes and range maps' blocks take, with other users of
# the same slabs, free ones included
node_bytes()
{
	awk '$1 == "maple_node" || $1 == "kmalloc-192" { n += $3 * $4 }
		END { print n }' /proc/slabinfo
}

must pool_make
default=$(cat $limit)
at_exit eval "echo $default >$limit"
total_kib=$(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo)
check_range "the limit is 2 % of memory by default" "$default" $((total_kib * 18)) $((total_kib * 21))

for id in 1 2; do
	must thin_make $id $mib
	must pieces $id
done
must msg checkpoint
check_range "two thins of 16384 pieces are in memory" "$(stat cached_ranges)" 30000 200000
check_is "nothing was evicted" "$(stat cache_ranges_evicted)" 0
check_range "all pools together take as much as this one" \
	"$(cat $params/range_map_current_bytes)" "$(cached)" "$(cached)"

set_limit 0
check_range "a limit of 0 drops all that is on disk" "$(cached)" 0 1000
check_range "which were those" "$(stat cache_ranges_evicted)" 30000 200000

low=200000
set_limit $low
fills=$(stat cache_fills)
top=0
read_back 1 2 &
reader=$!
while kill -0 $reader 2>/dev/null; do
	now=$(cached)
	[ "$now" -le "$top" ] || top=$now
	sleep 0.1
done
check "what was forgotten is read again" wait $reader
check_range "memory stays near the limit meanwhile" "$top" $((low / 4)) $((low * 2))
fills=$(($(stat cache_fills) - fills))
check_range "a miss brings a window" $fills 500 $((2 * 16384))
check "and it was too little for all" [ "$(stat cache_ranges_evicted)" -gt 60000 ]

# sequential: one miss a window
set_limit 0
set_limit "$default"
fills=$(stat cache_fills)
must read_all 1
fills=$(($(stat cache_fills) - fills))
check_range "reading in order misses once a window" $fills 16 $((2 * 16384 / 24))

must snap 3 1
must thin_open 3 $mib
set_limit $low
for id in 1 3; do
	fio_run --name=over --filename="$MAP/t2-thin$id" --rw=randwrite --bs=4k --size=${mib}m \
		--io_size=16m --direct=1 --ioengine=psync --randseed=77 --randrepeat=1 \
		--verify=crc32c --verify_state_save=0 --do_verify=1 --verify_fatal=1 &
done
good=yes
for job in $(jobs -p); do
	wait "$job" || good=no
done
check_is "overwrites of shared and other data while evicting" $good yes
must msg checkpoint
set_limit $low
check_range "and the limit holds again" "$(cached)" 0 $((low + low / 4))

# the shrinker
set_limit 0
sleep 6		# nodes that wait for RCU
set_limit "$default"
nodes=$(node_bytes)
for id in 1 2 3; do
	must read_all $id
done
before=$(cached)
check_range "all of it is in memory again" "$before" 500000 20000000
nodes=$(($(node_bytes) - nodes))
check_range "the figure is near what nodes and blocks take" $nodes $((before / 4)) $((before * 2))
echo "nodes and blocks take $nodes bytes more, cached_bytes $before"
echo 2 >/proc/sys/vm/drop_caches
check_range "the system takes it back" "$(cached)" 0 $((before / 10))
read_shrunk=$(stat cache_ranges_evicted)
must read_all 2
check "and again, while it is read" eval '
	for n in 1 2 3 4 5 6 7 8; do echo 2 >/proc/sys/vm/drop_caches; sleep 0.1; done &
	read_all 1 && read_all 2 && wait'
check "which evicted more" [ "$(stat cache_ranges_evicted)" -gt "$read_shrunk" ]

# nothing may be kept, and all works
set_limit 0
check "without any memory for clean ranges" read_back 2
must m_write 1 0
must m_write 2 3
check "writes, too" on 1 check 0 256k "${held[1:0]}"
check "and another" on 2 check 768k 256k "${held[2:3]}"
end_check
