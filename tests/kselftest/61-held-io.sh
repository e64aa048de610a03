#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12 uml uml-debug
# shellcheck disable=SC2086
#
# Writes that wait for data space: through reloads, suspends and growth; the
# time-out; error_if_no_space by a reload; and the events of all that.
. "$(dirname "$0")/lib.sh"

hurry
timeout_file=/sys/module/dm_thin_pool2/parameters/no_space_timeout

events()
{
	dmsetup info -c --noheadings -o events t2-pool
}

more_events()
{
	[ "$(events)" -gt "$1" ]
}

# data_to MIB: below the pool
data_to()
{
	data_mib=$1
	dm_reload t2-data "0 $(($1 * 2048)) linear $VDB 0"
}

job=
# hold ID OFFSET-MIB MIB SEED: a write that does not fit, beside us
hold()
{
	on "$1" write "$2m" "$3m" "$4" &
	job=$!
	wait_for 30 mode_is out_of_data_space
}

held()
{
	sleep 0.7
	kill -0 $job 2>/dev/null
}

# failed: the write ended with an error
failed()
{
	local rc=0
	wait $job || rc=$?
	[ $rc = 1 ]
}

setting $timeout_file 0
data_mib=32
must pool_make
must thin_make 0 512
must thin_make 1 512
must on 1 write 0 4m 9

# a table that is loaded but not in force, then a suspend, then growth
n=$(events)
check "a write of more than there is runs the pool full" hold 0 0 48 1
check "with an event" more_events "$n"
check "the write waits" held
must data_to 64
must dmsetup reload t2-pool --table "$(pool_table)"
check "a table that is only loaded changes nothing" held
check_is "nor does the mode" "$(pool_mode)" out_of_data_space
must dmsetup suspend t2-pool
check "the write waits while the pool is suspended" held
n=$(events)
must dmsetup resume t2-pool
check "with the larger table in force it ends well" wait $job
check "there was an event" more_events "$n"
check "and the data is there" on 0 check 0 48m 1
check_is "the pool is read-write" "$(pool_mode)" rw

# suspends without growth: the write goes on waiting
check "full again" hold 0 48 32 2
must dmsetup suspend t2-pool
must dmsetup resume t2-pool
check "suspend and resume of the pool: it waits on" held
check "the pool is out of space once more" wait_for 10 mode_is out_of_data_space
must dmsetup suspend --noflush t2-thin0
check "suspend of the thin without flush: it waits on" held
must dmsetup resume t2-thin0
check "resumed: it waits on" held
must dmsetup suspend --noflush t2-thin0
must dmsetup suspend t2-pool
dmsetup resume t2-thin0 &
resume=$!
sleep 0.5
check "resuming a thin waits for its pool" kill -0 $resume
must dmsetup resume t2-pool
check "and ends with it" wait $resume
check "the write waits on" held
must dmsetup reload t2-thin0 --table "0 $((300 * 2048)) thin2 $POOL 0"
must dmsetup suspend --noflush t2-thin0
must dmsetup resume t2-thin0
check "another size of the thin: it waits on" held
check "others go on" on 1 check 0 4m 9 write 0 4m 10 check 0 4m 10 sync
must data_to 96
must dmsetup suspend --noflush t2-thin0
must dmsetup reload t2-pool --table "$(pool_table)"
must dmsetup suspend --noflush t2-pool
must dmsetup resume t2-pool
check "growth while the thin is suspended: it waits on" held
must dmsetup resume t2-thin0
check "until the thin is back" wait $job
check "the data is there" on 0 check 0 48m 1 check 48m 32m 2

# several that wait, on two thins
on 0 write 80m 10m 3 &
first=$!
on 1 write 100m 10m 4 &
second=$!
check "full for two" wait_for 30 mode_is out_of_data_space
sleep 0.5
must data_to 160
must dm_reload t2-pool "$(pool_table)"
check "growth lets the first go" wait $first
check "and the second" wait $second
check "with their data" on 0 check 80m 10m 3
check "each" on 1 check 100m 10m 4

# error_if_no_space comes and goes by reloads
check "full again" hold 1 200 100 5
features=(error_if_no_space)
must dm_reload t2-pool "$(pool_table)"
check "error_if_no_space by a reload: who waits gets the error" failed
check_is "the status has it" "$(status --noflush | cut -d' ' -f7)" error_if_no_space
check_fails "later writes too" "No space left" on 1 write 400m 1m 5
features=()
must dm_reload t2-pool "$(pool_table)"
check_is "queue_if_no_space by a reload" "$(status --noflush | cut -d' ' -f7)" queue_if_no_space
check "then writes wait again" hold 1 400 1 6
check "for long" held
must on 1 discard 200m 60m
check "a discard ends that" wait $job
check "the data is there" on 1 check 400m 1m 6
check "read-write again" wait_for 10 mode_is rw

# the time-out, told by the status until the next resume
echo 6 >$timeout_file
check "full again" hold 1 200 200 7
n=$(events)
start=$SECONDS
check "time is up: the write fails" failed
check_range "after no_space_timeout" $((SECONDS - start)) 1 30
check "with an event" wait_for 5 more_events "$n"
check_is "the status says what happens to writes" \
	"$(status --noflush | cut -d' ' -f7)" error_if_no_space
check_fails "new writes fail at once" "No space left" on 1 write 450m 1m 8
# the resume sets the time once more, and "for ever" is said before it comes
must dmsetup suspend t2-pool
must dmsetup resume t2-pool
echo 0 >$timeout_file
check_is "a resume starts anew" "$(status --noflush | cut -d' ' -f7)" queue_if_no_space
check "writes wait" hold 1 450 1 8
sleep 7
check "0 is for ever" held
must data_to 400
must dm_reload t2-pool "$(pool_table)"
check "until there is space" wait $job
check "the data is there" on 1 check 450m 1m 8

# the low water mark: once for each resume
must on 1 discard 0 end
low_water=$(($(total_data) - $(used_data) - 64))
must dm_reload t2-pool "$(pool_table)"
sleep 1.5
n=$(events)
must on 1 bs 64k write 0 4m 1
sleep 0.5
check_is "with as much as the low water mark there is no event" "$(events)" "$n"
must on 1 bs 64k write 4m 128k 1
check "below it there is" wait_for 5 more_events "$n"
n=$(events)
must on 1 write 9m 8m 1
sleep 0.5
check_is "but no second one" "$(events)" "$n"
must dmsetup suspend t2-pool
must dmsetup resume t2-pool
sleep 1.5
n=$(events)
must on 1 write 17m 1m 1
check "after a resume once more" wait_for 5 more_events "$n"

# dmsetup wait sees a change of mode
low_water=0
must dm_reload t2-pool "$(pool_table)"
sleep 1.5
n=$(events)
timeout 60 dmsetup wait t2-pool "$n" &
waiter=$!
check "full at the end" hold 1 20 492 9
check "dmsetup wait returns" wait $waiter
check "an event for the mark, and one" wait_for 5 more_events $((n + 1))
check_is "for the mode" "$(events)" $((n + 2))
must on 0 discard 0 end
must on 1 discard 0 20m
features=(error_if_no_space)
must dm_reload t2-pool "$(pool_table)"
wait $job
end_check
