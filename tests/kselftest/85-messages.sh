#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2016
#
# Messages to the pool: answers and errors.
. "$(dirname "$0")/lib.sh"

must pool_make
check "create_thin" msg "create_thin 1"
check_fails "create_thin of what exists" "File exists" msg "create_thin 1"
check "message words in capitals" msg "CREATE_THIN 2"
check "the largest id" msg "create_thin 4294967295"
check_fails "an id too large" "" msg "create_thin 4294967296"
check_fails "an id that is no number" "" msg "create_thin one"
check_fails "no id" "" msg "create_thin"
check_fails "too many words" "" msg "create_thin 9 9"
check_fails "an unknown message" "" msg "make_coffee"

check "create_snap" msg "create_snap 10 1"
check_fails "create_snap of what exists" "File exists" msg "create_snap 10 1"
check_fails "create_snap of a missing origin" "No data available" msg "create_snap 11 77"
check_fails "create_snap of itself" "" msg "create_snap 1 1"

check_fails "delete of what is missing" "No data available" msg "delete 77"
must thin_open 1 64
check_fails "delete of what is open" "busy" msg "delete 1"
must on 1 write 0 1m 1
must thin_close 1
check "delete" msg "delete 2"
check_fails "delete twice" "No data available" msg "delete 2"
check "the same id again" msg "create_thin 2"

check "set_transaction_id" msg "set_transaction_id 0 7"
check_is "the status has it" "$(status | cut -d' ' -f1)" 7
check_fails "with a wrong old id" "Invalid argument" msg "set_transaction_id 0 8"
check_is "nothing changed" "$(status | cut -d' ' -f1)" 7
check "64 bits of it" msg "set_transaction_id 7 18446744073709551615"
check "and back" msg "set_transaction_id 18446744073709551615 8"

check_is "no metadata is held" "$(status | cut -d' ' -f4)" -

check "checkpoint" msg checkpoint
stats=$(msg stats)
echo "$stats"
check "stats are key=value" eval '[[ "$stats" =~ ^[a-z_]+=[^\ =]+([\ ,]*[[:space:]][a-z_]+=[^\ =]+)*$ ]]'
root=$(msg "get_root 1")
echo "get_root: $root"
check "get_root: root, mapped units, generation" eval '[[ "$root" =~ ^[1-9][0-9]*\ 256\ [1-9][0-9]*$ ]]'
check_fails "get_root of what is held" "busy" msg "get_root 1"
check_fails "get_root of what is missing" "No data available" msg "get_root 77"
must thin_open 10 64
check_fails "get_root of what is open" "busy" msg "get_root 10"
must thin_close 10
check "put_root" msg "put_root 1"
check_fails "put_root twice" "No data available" msg "put_root 1"

# what is held goes with the pool
must msg "get_root 1"
must pool_close
must pool_open
check_is "a new activation holds nothing" "$(status | cut -d' ' -f4)" -
check "and can hold" msg "get_root 1"
check "and let go" msg "put_root 1"
must thin_open 1 64
check "the data is there" on 1 check 0 1m 1
check "all ids are there" eval 'thin_open 4294967295 1 && thin_open 10 1 && thin_open 2 1'
end_check
