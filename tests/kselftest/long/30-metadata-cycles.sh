#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2015,SC2016,SC2086,SC2206
# timeout: 1800
#
# Metadata is filled CYCLES (100) times, with snapshots and small writes at random
# places, and emptied by deleting, or grown.  What needs no metadata goes on each
# time, nothing is ever marked for a check.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

CYCLES=${CYCLES:-100}
RANDOM=${SEED:-1}
hurry
meta_mib=2
data_mib=4096
features=(error_if_no_space)
must pool_make
must thin_make 0 256
must thin_make 900 16
must on 900 write 0 2m 1
all=()
for ((i = 0; i < 256; i++)); do
	all+=(write ${i}m 64k 5)
done
must on 0 "${all[@]}"

next=1
oldest=1
bad=
# scatter: small writes to thin 0 at random places
scatter()
{
	local i args=()
	for ((i = 0; i < 250; i++)); do
		args+=(write $((RANDOM % 256 * 1024 + RANDOM % 16 * 4))k 4k $next)
	done
	on 0 "${args[@]}"
}

# fill: until something is refused
fill()
{
	local i
	for ((i = 0; i < 400; i++)); do
		dmop message t2-pool "create_snap $next 0" >/dev/null || return 0
		next=$((next + 1))
		scatter || return 0
	done
	return 1
}

# drop COUNT: the oldest snapshots
drop()
{
	local i args=()
	for ((i = 0; i < $1 && oldest < next; i++)); do
		args+=("delete $oldest")
		oldest=$((oldest + 1))
	done
	dmop message t2-pool "${args[@]}" >/dev/null
}

meta_free()
{
	[ $(($(total_meta) - $(used_meta))) -gt 30 ]
}

# goes_on NUMBER: all that needs no new metadata
goes_on()
{
	on 900 check 0 1m $((1 + $1)) write 0 1m $((2 + $1)) sync check 0 1m $((2 + $1)) \
		check 1m 1m 1 || return
	[[ $(status --noflush) =~ \ (rw|out_of_data_space)\ .*\ -\ [0-9]+\ *$ ]]
}

events()
{
	dmsetup info -c --noheadings -o events t2-pool
}

more_events()
{
	[ "$(events)" -gt "$1" ]
}

n=$(events)
for ((cycle = 0; cycle < CYCLES; cycle++)); do
	fill || { bad="cycle $cycle: does not run full"; break; }
	goes_on $cycle || { bad="cycle $cycle: full, and mapped I/O fails"; break; }
	if [ $cycle = 0 ]; then
		say "full after $next snapshots with $(used_meta) of $(total_meta) blocks"
		check_range "all that can be used is in the status as used" \
			"$(used_meta)" $(($(total_meta) * 9 / 10)) "$(total_meta)"
		check "metadata below its low water mark is an event" wait_for 5 more_events "$n"
		check "and in the log" eval "dmesg | grep -q 'low water mark for metadata'"
	fi
	if [ $((cycle % 7)) = 6 ]; then
		# grown with a writer beside it
		fio_run --name=beside --filename=$MAP/t2-thin900 --offset=2m --size=4m --rw=randwrite \
			--bs=4k-16k --direct=1 --ioengine=libaio --iodepth=4 --time_based --runtime=2 \
			--serialize_overlap=1 --ignore_error=,ENOSPC &
		job=$!
		meta_mib=$((meta_mib + 1))
		dm_reload t2-meta "0 $((meta_mib * 2048)) linear $VDA 0" &&
			dm_reload t2-pool "$(pool_table)" ||
			{ bad="cycle $cycle: does not grow"; break; }
		wait $job || { bad="cycle $cycle: I/O beside growth failed"; break; }
		on 900 discard 2m 4m || { bad="cycle $cycle: a discard fails"; break; }
	else
		drop 4 || { bad="cycle $cycle: full, and a delete fails"; break; }
	fi
	wait_for 20 meta_free || { bad="cycle $cycle: full, and no space comes back"; break; }
done
say "$cycle cycles, $next snapshots"
check_is "metadata full $CYCLES times" "$bad" ""
check_is "the last cycle" $cycle "$CYCLES"
check_is "no check is needed" "$(status | cut -d' ' -f8)" -
check "the untouched thin holds what it did" on 900 check 0 1m $((CYCLES + 1)) check 1m 1m 1

# and waited for: growth lets go who waits
fill
features=()
must dm_reload t2-pool "$(pool_table)"
(for i in 1 2 3 4 5 6 7 8 9 10; do scatter || exit 1; done) &
job=$!
check "full, and nobody is to get an error" wait_for 60 mode_is out_of_data_space
sleep 0.7
check "a write waits for metadata" kill -0 $job
check "mapped I/O goes on" goes_on "$CYCLES"
must dmsetup suspend t2-pool
must dmsetup resume t2-pool
sleep 0.7
check "it waits on after a suspend" kill -0 $job
meta_mib=$((meta_mib + 8))
must dm_reload t2-meta "0 $((meta_mib * 2048)) linear $VDA 0"
must dm_reload t2-pool "$(pool_table)"
check "growth lets it go" wait $job
check_is "the pool is read-write" "$(pool_mode)" rw
check_is "still no check is needed" "$(status | cut -d' ' -f8)" -
sum=$(on 0 sum 0 end)
must thins_close
must pool_close
must meta_check
must pool_open
must thin_open 0 256
check_is "the busy one, too, after re-opening" "$(on 0 sum 0 end)" "$sum"
drop 100000
# without what is kept back
really_used()
{
	msg stats | sed -n 's/^metadata_blocks_used=//p'
}
check "without snapshots most metadata is free" wait_for 20 eval '[ "$(really_used)" -lt 300 ]'
check_is "the same without snapshots" "$(on 0 sum 0 end)" "$sum"
end_check
