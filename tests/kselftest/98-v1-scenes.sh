#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.1 uml uml-debug
# shellcheck disable=SC2016,SC2017,SC2086
# timeout: 400
#
# Each scene is played with dm-thin (version 1) and with dm-thin2, by the same
# commands with the names exchanged. What it writes down must be the same: how each
# command ends and in which words, status and table lines, events, contents. What
# parity says is different is not written down.
. "$(dirname "$0")/v1-worlds.sh"

# ---- the scenes ----

scene_pool_arguments()
{
	local t size
	world_up 16 256
	dmsetup remove $w-pool
	size=$(sectors $data)
	for t in "" "$meta" "$meta $data" "$meta $data 128" "$meta $data x 0" "$meta $data 128 x" \
		"$meta $data -1 0" "$meta $data 0 0" "$meta $data 4194304 0" \
		"$meta $data 128 0 x" "$meta $data 128 0 1" "$meta $data 128 0 1 unknown" \
		"$meta $data 128 0 2 skip_block_zeroing" "$meta $data 128 0 0 skip_block_zeroing" \
		"$meta /dev/none 128 0" "/dev/none $data 128 0" "$meta $meta 128 0" "$data $data 128 0" \
		"$meta $data 128 0" "$meta $data 128 99999999999" "$meta $data 128 0 0 x" \
		"$meta $data 128 0 4 skip_block_zeroing ignore_discard read_only error_if_no_space" \
		"$meta $data 128 0 1 read_only" "$meta $data 128 0 1 READ_ONLY"; do
		load "0 $size $pool_type $t"
	done
	load "8 $size $pool_type $meta $data 128 0"
	load "0 $((size + 128)) $pool_type $meta $data 128 0"
}

scene_formats_nothing()
{
	world_up 16 256
	dmsetup remove $w-pool
	dd if=/dev/zero of=$meta bs=4k count=1 oflag=direct status=none
	quietly dmsetup create $w-pool --table "$(pool_line 0 read_only)"
	dd if=/dev/urandom of=$meta bs=4k count=1 oflag=direct status=none
	quietly dmsetup create $w-pool --table "$(pool_line)"
	quietly dmsetup create $w-pool --table "$(pool_line 0 read_only)"
	cmp -n 16 $meta /dev/zero >/dev/null || echo "not formatted"
}

scene_reload()
{
	local f
	world_up 16 256
	thin 1 65536
	io 1 write 0 1m 3
	for f in "" error_if_no_space no_discard_passdown ignore_discard read_only skip_block_zeroing \
		"read_only error_if_no_space" "ignore_discard no_discard_passdown"; do
		echo "to '$f'"
		pool_to 5 $f
		pool_says
		dmsetup table $w-pool | cut -d' ' -f6- | sed 's/^/table: /'
		run tell "create_thin 7"
		run tell "delete 7"
		quietly io 1 write 0 64k 4 sync
		quietly io 1 write 16m 64k 4 sync
		quietly io 1 discard 16m 64k
		quietly io 1 check 0 64k 4
	done
	pool_to 0
	echo "devices"
	load "$(pool_line)"
	dmsetup create $w-thinother --table "0 $(sectors $data) linear $VDB $((at_data + 2097152))"
	dd if=/dev/zero of=$MAP/$w-thinother bs=4k count=1 oflag=direct status=none
	load "0 $(sectors $data) $pool_type $meta $MAP/$w-thinother 128 0"
	quietly dmsetup reload $w-pool --table "0 $(sectors $data) $pool_type $MAP/$w-thinother $data 128 0"
	quietly dmsetup reload $w-pool --table "0 $(($(sectors $data) - 128)) $pool_type $meta $data 128 0"
	quietly dmsetup resume $w-pool
	pool_to 0
	pool_says
	quietly dmsetup reload $w-pool --table "0 $(sectors $data) linear $data 0"
	dmsetup clear $w-pool
	quietly dmsetup reload $w-thin1 --table "0 65536 $thin_type $pool 9"
	quietly dmsetup reload $w-thin1 --table "0 65536 linear $VDB 0"
	dmsetup clear $w-thin1
	quietly dmsetup remove $w-pool
	quietly dmsetup suspend $w-pool
	quietly dmsetup resume $w-pool
	sum_of 1
}

scene_thin_arguments()
{
	local t
	world_up 16 256
	tell "create_thin 1"
	tell "create_thin 16777215"
	for t in "" "$pool" "$pool x" "$pool -1" "$pool 2" "$pool 1 /dev/none" "$pool 1 $pool" \
		"$pool 1 a b" "$data 1" "/dev/none 1" "$pool 1" "$pool 16777215" "$pool 1 $VDB"; do
		load "0 2048 $thin_type $t"
	done
	dmsetup suspend $w-pool
	load "0 2048 $thin_type $pool 1"
	dmsetup resume $w-pool
	load "2048 2048 $thin_type $pool 1"
}

scene_messages()
{
	local m
	world_up 16 256
	thin 1 65536
	for m in "" "create_thin" "create_thin 1" "create_thin x" "create_thin -1" "create_thin 2 3" \
		"CREATE_THIN 2" "create_snap" "create_snap 3" "create_snap 3 9" "create_snap 1 2" \
		"create_snap 2 2" "create_snap x 1" "create_snap 3 x" "create_snap 3 1 1" "delete" \
		"delete x" "delete 77" "delete 1" "delete 2" "delete 2" "set_transaction_id" \
		"set_transaction_id 0" "set_transaction_id 1 2" "set_transaction_id 0 5" \
		"set_transaction_id 5 5" "set_transaction_id 5 4" "set_transaction_id x 4" \
		"set_transaction_id 4 x" "set_transaction_id 4 18446744073709551615" \
		"release_metadata_snap" "reserve_metadata_snap" "reserve_metadata_snap" \
		"reserve_metadata_snap 1" "release_metadata_snap" "release_metadata_snap" "nothing"; do
		run tell $m
	done
	pool_says
	dmsetup suspend $w-thin1
	run tell "create_snap 3 1"
	run tell "create_snap 4 3"
	run tell "delete 3"
	dmsetup resume $w-thin1
	dmsetup suspend $w-pool
	run tell "create_thin 8"
	dmsetup resume $w-pool
	run tell "delete 8"
	dmsetup remove $w-thin1
	run tell "delete 1"
	run tell "create_thin 1"
	pool_says
}

scene_low_water()
{
	local n
	world_up 16 64 512
	thin 1 $((128 * 2048))
	n=$(events_of)
	io 1 write 0 20m 1 sync
	has_events $n && echo "an event too early"
	io 1 write 20m 20m 1 sync
	wait_for 5 has_events $n || echo "no event"
	pool_says
	n=$(events_of)
	io 1 write 40m 4m 1 sync
	sleep 0.5
	has_events $n && echo "told twice"
	dmsetup suspend $w-pool
	dmsetup resume $w-pool
	io 1 write 44m 1m 1 sync
	wait_for 5 has_events $n || echo "not told after a resume and a write"
}

scene_no_space()
{
	local n
	world_up 16 32 0 error_if_no_space
	thin 1 $((64 * 2048))
	io 1 write 0 32m 1 sync
	pool_says
	n=$(events_of)
	run io 1 write 32m 64k 2 sync
	pool_says --noflush
	wait_for 5 has_events $n || echo "no event for the mode"
	quietly io 1 check 0 32m 1
	quietly io 1 write 1m 1m 3 sync
	quietly io 1 check 40m 1m 0
	run tell "create_thin 2"
	run tell "delete 2"
	run tell "create_snap 3 1"
	run io 1 write 1m 64k 4 sync
	quietly io 1 check 1m 1m 3
	run tell "delete 3"
	quietly io 1 discard 4m 8m
	wait_for 5 eval 'dmsetup status $w-pool | grep -q " rw "' || echo "no room again"
	pool_says
	quietly io 1 write 32m 4m 6 sync
	thin_says 1
	sum_of 1
	echo "grows"
	quietly io 1 write 40m 8m 6 sync
	dmsetup reload $w-data --table "0 $((64 * 2048)) linear $VDB $at_data"
	dmsetup suspend $w-data
	dmsetup resume $w-data
	n=$(events_of)
	pool_to 0
	wait_for 5 has_events $n || echo "no event for growth"
	pool_says
	quietly io 1 write 40m 8m 6 sync
	sum_of 1
}

scene_queues()
{
	local job
	world_up 16 32 0
	thin 1 $((64 * 2048))
	io 1 write 0 32m 1 sync
	io 1 write 32m 1m 2 sync &
	job=$!
	wait_for 10 eval 'dmsetup status --noflush $w-pool | grep -q out_of_data_space' || echo "no mode"
	pool_says --noflush
	kill -0 $job && echo "waits"
	quietly io 1 check 0 32m 1
	dmsetup suspend --noflush $w-thin1
	dmsetup resume $w-thin1
	kill -0 $job && echo "waits on"
	dmsetup reload $w-data --table "0 $((64 * 2048)) linear $VDB $at_data"
	dmsetup suspend --noflush $w-data
	dmsetup resume $w-data
	pool_to 0
	wait $job
	echo "then $?"
	pool_says
	sum_of 1
}

# The origin's size in sectors is the argument.
over_an_origin()
{
	world_up 16 128
	dmsetup create $w-ext --table "0 $1 linear $VDB $((at_data + 1024 * 2048))"
	blkop $MAP/$w-ext write 0 $(($1 / 8 * 4))k 1
	thin 1 16384 $MAP/$w-ext
	sum_of 1
	io 1 write 64k 4k 2 write 1020k 8k 3 write 7m 1m 4 sync
	quietly io 1 discard 2m 192k
	sum_of 1
	snapshot 2 1
	io 1 write 3m 100k 5 sync
	thin_on 2 16384 $MAP/$w-ext
	sum_of 2
	sum_of 1
	blkop $MAP/$w-ext check 0 $(($1 / 8 * 4))k 1 || echo "the origin has changed"
}

scene_origin_equal()   { over_an_origin 16384; }
scene_origin_smaller() { over_an_origin 4096; }
scene_origin_tail()    { over_an_origin 4105; }
scene_origin_larger()  { over_an_origin 32768; }

scene_status()
{
	world_up 16 256
	thin 1 65536
	thin_says 1
	io 1 write 1m 64k 1 sync
	thin_says 1
	io 1 write 16m 1m 1 sync
	thin_says 1
	snapshot 2 1
	thin_on 2 65536
	thin_says 2
	io 2 write 24m 64k 2 sync
	thin_says 2
	io 1 discard 1m 64k
	thin_says 1
	io 1 discard 0 32m
	thin_says 1
	pool_says
	dmsetup suspend $w-thin1
	thin_says 1
	dmsetup resume $w-thin1
	io 2 discard 0 32m
	wait_for 3 eval 'pool_says | grep -q " 0/"'
	pool_says
	dmsetup table $w-thin1 | cut -d' ' -f3,5-
	dmsetup targets | grep -c "^$pool_type "
	dmsetup info -c --noheadings -o open,segments,readonly $w-pool $w-thin1
}

scene_sizes()
{
	world_up 16 65
	thin 1 2056
	io 1 write 0 1028k 1 sync
	quietly io 1 write 1028k 4k 1
	thin 2 $((1024 * 1024 * 2048))
	io 2 write $((1024 * 1024 - 1))m 1m 1 sync
	thin_says 2
	pool_says
	dmsetup reload $w-thin1 --table "0 1024 $thin_type $pool 1"
	dmsetup resume $w-thin1
	sum_of 1
	dmsetup reload $w-thin1 --table "0 4096 $thin_type $pool 1"
	dmsetup suspend $w-thin1
	dmsetup resume $w-thin1
	sum_of 1
}

scene_discards()
{
	world_up 16 256
	thin 1 65536
	io 1 write 0 8m 1 sync
	quietly io 1 discard 0 64k
	quietly io 1 discard 128k 128k
	quietly io 1 discard 1m 1m
	quietly io 1 discard 31m 1m
	sum_of 1
	thin_says 1
	snapshot 2 1
	quietly io 1 discard 0 8m
	thin_on 2 65536
	sum_of 2
	thin_says 1
	pool_says
	pool_to 0 ignore_discard
	dmsetup remove $w-thin2
	thin_on 2 65536
	quietly io 2 discard 4m 1m
	sum_of 2
}

scene_suspends()
{
	local job
	world_up 16 64
	thin 1 65536
	io 1 write 0 1m 1 sync
	dmsetup suspend $w-pool
	io 1 write 1m 64k 2 sync &
	job=$!
	sleep 0.3
	kill -0 $job && echo "waits for the pool"
	pool_says --noflush
	quietly dmsetup resume $w-pool
	wait $job
	echo "then $?"
	quietly dmsetup resume $w-pool
	quietly dmsetup suspend --nolockfs $w-thin1
	quietly dmsetup suspend $w-pool
	quietly dmsetup resume $w-pool
	quietly dmsetup resume $w-thin1
	sum_of 1
	quietly dmsetup remove $w-pool
	quietly dmsetup rename $w-thin1 $w-thinx
	quietly dmsetup rename $w-thinx $w-thin1
	quietly dmsetup wipe_table $w-thin1
	quietly io 1 check 0 4k 1
}

scene_io_limits()
{
	local q=/sys/block/dm-
	world_up 16 256
	thin 1 65536
	q=$q$(stat -c %Lr $MAP/$w-thin1)
	for f in logical_block_size rotational write_cache \
		fua dax zoned chunk_sectors; do
		echo "$f $(cat $q/queue/$f 2>&1)" | same_words
	done
	echo "$(cat $q/ro) $(cat $q/size) discards: $(($(cat $q/queue/discard_max_bytes) > 0))"
}

# ---- both worlds ----

# play SCENE WORLD
play()
{
	enter $2
	scene_$1 >"$tmp/$1.$2" 2>&1
	world_down >/dev/null 2>&1
}

for scene in ${SCENES:-$(declare -F | sed -n 's/^declare -f scene_//p')}; do
	play $scene v1
	play $scene v2
	enter v1
	same_words <"$tmp/$scene.v1" >"$tmp/first"
	enter v2
	same_words <"$tmp/$scene.v2" >"$tmp/second"
	check_range "$scene: something is written down" "$(wc -l <"$tmp/first")" 1 1000
	check "$scene: the same from both" diff "$tmp/first" "$tmp/second"
done
