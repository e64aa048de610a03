#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Out of data space: error at once, or wait for more.
. "$(dirname "$0")/lib.sh"

data_mib=64
features=(error_if_no_space)
must pool_make
must thin_make 0 256
must on 0 write 0 32m 1
check_is "the status says error_if_no_space" "$(status | cut -d' ' -f7)" error_if_no_space
check_fails "writing more than there is" "No space left" on 0 write 32m 64m 2
check "the pool says so" mode_is out_of_data_space
check "what is written can be read" on 0 check 0 32m 1
check "and overwritten" on 0 write 0 16m 3 check 0 16m 3
check "and flushed" on 0 sync
check "messages go on" msg "create_thin 9"
check "a discard makes space" on 0 discard 16m 16m zero 16m 16m
check "the pool is read-write again" wait_for 10 mode_is rw
check "writes go on" on 0 write 128m 8m 4 check 128m 8m 4
check_fails "until it is full again" "No space left" on 0 write 140m 64m 5
must wait_for 5 mode_is out_of_data_space
must dm_reload t2-data "0 $((128 * 2048)) linear $VDB 0"
must dm_reload t2-pool "$(pool_table)"
check_is "more data: read-write again" "$(pool_mode)" rw
check_is "all of it can be used" "$(total_data)" 2048
check "writes go on" on 0 write 200m 48m 6 check 200m 48m 6 check 0 16m 3 check 128m 8m 4
must thins_close
must pool_close
must meta_check
remove_dm t2-meta
remove_dm t2-data

# queueing
features=()
data_mib=64
must pool_make
must thin_make 0 256
must thin_make 1 256
must on 1 write 0 1m 9
(on 0 write 0 80m 1) &
job=$!
check "the pool runs full" wait_for 30 mode_is out_of_data_space
check "the write waits" kill -0 $job
check "others read on" on 1 check 0 1m 9
check "and overwrite" on 1 write 0 512k 10 check 0 512k 10
must dm_reload t2-data "0 $((128 * 2048)) linear $VDB 0"
must dm_reload t2-pool "$(pool_table)"
check "more data: the write ends well" wait $job
check "with its data" on 0 check 0 80m 1
check "the other is unharmed" on 1 check 0 512k 10 check 512k 512k 9

# waiting ends with space given back
(on 0 write 80m 60m 2) &
job=$!
must wait_for 30 mode_is out_of_data_space
check "a discard of another makes space" on 1 discard 0 1m
must on 0 discard 0 32m
check "the write ends well" wait $job
check "with its data" on 0 check 80m 60m 2 zero 0 32m

# waiting ends with time
param=/sys/module/dm_thin_pool2/parameters/no_space_timeout
old=$(cat $param)
must eval "echo 3 >$param"
at_exit "echo $old >$param"
start=$SECONDS
check_fails "after no_space_timeout a write fails" "No space left" on 0 write 140m 100m 3
check_range "after three seconds or so" $((SECONDS - start)) 2 30
check "what is there stays" on 0 check 80m 60m 2
end_check
