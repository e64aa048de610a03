# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
# Part of guest.sh: a large pool as a crash left it. Its metadata was made by
# image.sh, which see; no data were ever written: below is dm-zero, which drops
# writes and answers reads with zeroes.

big_units=$((1 << 28))		# of thin 0
big_ranges=10000000		# of thin 1, two units each
big_data=$(((big_units + (16 << 20)) * 8))

big_restore()
{
	if [ ! -e "$map/big-data" ]; then
		dmsetup create big-data --table "0 $big_data zero"
		dmsetup create big-meta --table "0 $((data_mib * mib)) linear /dev/ram5 0"
		tar -C "$tmp" -xf /out/image.tar
	fi
	blkdiscard -f "$map/big-meta" 2>/dev/null
	dd if="$tmp/image" of="$map/big-meta" bs=64k conv=sparse oflag=direct status=none
}

# The pool is loaded for writing, which replays, but resumed with a table that is
# read-only: else it would merge at once, before there was a thin to look at.
big_activate()
{
	local table="$map/big-meta $map/big-data $block 0 1 no_discard_passdown"
	dmsetup create big-pool --notable
	sample activation thin2 "$(dmop load big-pool $big_data thin-pool2 "$table")"
	dmsetup load big-pool --table "0 $big_data thin-pool2 ${table/ 1 / 2 read_only }"
	dmsetup resume big-pool
	dmsetup create big-0 --table "0 $((big_units * 8)) thin2 $map/big-pool 0"
	dmsetup create big-1 --table "0 $((big_ranges * 2 * 8)) thin2 $map/big-pool 1"
	dmsetup create big-2 --table "0 $((8 * 8 << 20)) thin2 $map/big-pool 2"
	dmsetup load big-pool --table "0 $big_data thin-pool2 $table"
}

# big_stat NAME
big_stat()
{
	dmsetup message big-pool 0 stats | sed -n "s/^$1=//p"
}

# One process reads a mapped unit, writes a mapped unit, writes a fresh one, and
# again; the place of the fresh ones is the argument.
big_trio()
{
	echo "read:$map/big-0:0:$big_units:1+write:$map/big-0:0:$big_units:1+fresh:$map/big-2:$1:200000:8"
}

big_longest()
{
	awk '/^(read|write|fresh)/ && $6 > m { m = $6 } END { print m }' "$tmp/load"
}

# The same beside a process that computes on one of the CPUs and has nothing to do
# with us: what the scheduler, whose tick is 10 ms here, adds by itself.
big_busy()
{
	local busy
	(while :; do :; done) &
	busy=$!
	measured load 4 "$(big_trio 8)" >"$tmp/load"
	kill $busy
	wait $busy 2>/dev/null || :
	sample busy-stall thin2 "$(big_longest)"
}

# The merge of all that were in the journal into a tree of 10^7, beginning with the resume.
big_merge()
{
	local p99 dirty
	dirty=$(big_stat records_unmerged)
	[ "$dirty" -ge 450000 ] || die "only $dirty un-merged records"
	load 1 "read:$map/big-0:0:$big_units:1" >"$tmp/load"
	dmsetup resume big-pool
	measured load 0 "$(big_trio 0)" "message:big-pool:checkpoint" >"$tmp/load"
	p99=$(load_field 1 5)
	sample merge-time thin2 "$(awk '/^message/ { print $6 }' "$tmp/load")"
	sample merge-stall thin2 "$(big_longest)"
	dirty=$(big_stat records_unmerged)
	dmsetup message big-pool 0 checkpoint
	measured load 2 "$(big_trio 4)" >"$tmp/load"
	sample idle-stall thin2 "$(big_longest)"
	dmsetup message big-pool 0 checkpoint
	big_busy
	sample merge-read thin2 "$(divide "$p99" "$(load_field 1 5)")"
	dmsetup message big-pool 0 checkpoint
}

big_messages()
{
	local i
	dmsetup remove big-1
	for i in {101..109}; do
		dmop message big-pool "create_snap $i 1" checkpoint >>"$tmp/big-snap"
		dmop message big-pool "delete $i" checkpoint >>"$tmp/big-delete"
	done
	sample big-create-snap thin2 "$(sed -n 'p;n' "$tmp/big-snap" | median)"
	sample big-delete thin2 "$(sed -n 'p;n' "$tmp/big-delete" | median)"
	rm "$tmp/big-snap" "$tmp/big-delete"
	dmsetup create big-1 --table "0 $((big_ranges * 2 * 8)) thin2 $map/big-pool 1"
}

# big_discard WORK THIN NR FIRST STEP: the first NR units, while and a second after
# one process reads and writes others, from FIRST on, which have been looked up before
big_discard()
{
	local other="$map/big-$2:$4:1000:$5"
	dmsetup message big-pool 0 checkpoint
	load 0.3 "read:$other+write:$other" >"$tmp/load"
	measured load 1 "discard:$map/big-$2:0:$3" "read:$other+write:$other" >"$tmp/load"
	sample "$1" thin2 "$(load_field 1 6)"
	sample "$1-stall" thin2 "$(big_longest)"
}

work_big()
{
	local start=$SECONDS
	big_restore
	echo "round $round: restoring took $((SECONDS - start)) s"
	big_activate
	if wanted merge-time merge-read merge-stall idle-stall busy-stall; then
		big_merge
	else
		dmsetup resume big-pool
		dmsetup message big-pool 0 checkpoint
	fi
	! wanted big-create-snap big-delete || measured big_messages
	! wanted discard-1m discard-1m-stall ||
		big_discard discard-1m 1 2000000 $((2 * (big_ranges - 1000))) 2
	! wanted discard-1t discard-1t-stall ||
		big_discard discard-1t 0 $((big_units - 262144)) $((big_units - 262144)) 1
	dmsetup remove big-0 big-1 big-2
	dmsetup remove big-pool
}
