# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
# Part of guest.sh: one thin of $RANGES ranges of one unit each, of which 64 MiB of
# memory hold a small part. The metadata were made by cache-image.sh; below the
# data is dm-zero.

cache_limit=$((64 << 20))
cache_params=/sys/module/dm_thin_pool2/parameters

cache_activate()
{
	local data=$((1 << 37))
	dmsetup create cache-data --table "0 $data zero"
	blkdiscard -f /dev/ram5 2>/dev/null
	dd if=/out/cache-image of=/dev/ram5 bs=64k conv=sparse oflag=direct status=none
	dmsetup create cache-meta --table "0 $((data_mib * mib)) linear /dev/ram5 0"
	dmsetup create cache-pool --table "0 $data thin-pool2 $map/cache-meta $map/cache-data \
		$block 0 $features"
	dmsetup create cache-thin --table "0 $((RANGES * 2 * 8)) thin2 $map/cache-pool 1"
}

cache_stat()
{
	dmsetup message cache-pool 0 stats | sed -n "s/^$1=//p"
}

# What the nodes and blocks of all range maps take, as the kernel counts, in bytes.
cache_nodes()
{
	awk '$1 == "maple_node" || $1 == "kmalloc-192" { n += $2 * $4 } END { print n }' /proc/slabinfo
}

# cache_watch FILE: what the maps take, until the file "watch" is gone
cache_watch()
{
	while [ -e "$tmp/watch" ]; do
		echo "$(<$cache_params/range_map_current_bytes) $(cache_nodes)"
		sleep 0.1
	done >"$1"
}

# cache_reads WORK FIRST NR SECONDS: two jobs read NR ranges from FIRST on at random
cache_reads()
{
	local half=$(($3 / 2)) bytes=8192
	# Every second unit is mapped. With a seed, fio's first process would always
	# read the same places.
	job "$1" thin2 "$map/cache-thin" --rw=randread --bs=4k --blockalign=8k --norandommap \
		--offset=$(($2 * bytes)) --size=$((half * bytes)) \
		--offset_increment=$((half * bytes)) --numjobs=2 \
		--randrepeat=0 --time_based --runtime="$4"
	run_jobs
}

# cache_warm FIRST NR: reads one in 32; a miss brings 32 and what is between them
cache_warm()
{
	job prepare thin2 "$map/cache-thin" --rw=read:252k --bs=4k --offset=$(($1 * 8192)) \
		--size=$(($2 * 8192))
	run_jobs
}

# cache_measure NAME FIRST NR: after a while, when the cache has settled
cache_measure()
{
	local fills watch
	cache_reads prepare "$2" "$3" 4
	fills=$(cache_stat cache_fills)
	touch "$tmp/watch"
	cache_watch "$tmp/watched" &
	watch=$!
	cache_reads "cache-$1" "$2" "$3" 5
	rm "$tmp/watch"
	wait $watch
	fills=$(($(cache_stat cache_fills) - fills))
	# runtime is that of both jobs together
	cache_misses=$(divide "$fills" $((iops[cache-$1,thin2] * runtime[cache-$1,thin2] / 1000)))
	echo "cache-$1: $cache_misses misses a read, cached_ranges=$(cache_stat cached_ranges)" \
		"bytes and nodes at most: $(sort -n "$tmp/watched" | tail -n 1)"
}

# cache_largest FIELD NR: of what was watched, less NR, in terms of the limit
cache_largest()
{
	awk -v field="$1" -v less="$2" -v limit=$cache_limit '
		$field - less > m { m = $field - less } END { print m / limit }' "$tmp/watched"
}

work_cache()
{
	local hot=$((RANGES / 100)) default nodes
	default=$(<$cache_params/range_map_cache_bytes)
	echo $cache_limit >$cache_params/range_map_cache_bytes
	nodes=$(cache_nodes)
	cache_activate

	cache_measure cold 0 "$RANGES"
	sample cache-misses-cold thin2 "$cache_misses"
	sample cache-memory thin2 "$(cache_largest 1 0)"
	sample cache-nodes thin2 "$(cache_largest 2 "$nodes")"
	cache_warm $((RANGES / 2)) $hot
	cache_measure hot $((RANGES / 2)) $hot
	sample cache-misses-hot thin2 "$cache_misses"
	echo $((4 << 30)) >$cache_params/range_map_cache_bytes
	cache_warm $((RANGES / 2)) $hot
	cache_measure full $((RANGES / 2)) $hot
	sample cache-price thin2 "$(divide "${iops[cache-full,thin2]}" "${iops[cache-cold,thin2]}")"

	dmsetup remove cache-thin cache-pool cache-meta cache-data
	echo "$default" >$cache_params/range_map_cache_bytes
	blkdiscard -f /dev/ram5 2>/dev/null
}
