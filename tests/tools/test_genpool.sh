#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The generator of realistic pools (tests/bench/genpool.c), small: every kind
# is in order, a seed makes the same pool again, and runs are as long as asked.
set -u
. "$(dirname "$0")/lib.sh"

# gen NAME KIND OPTIONS...
gen()
{
	local name=$1 kind=$2
	shift 2
	t "$kind $*" 0 genpool "$@" "$name" "$kind"
	t "$kind: thin2_check" 0 thin2_check "$name"
}

gen aged aged:2.2 -m 8192 -n 3000 -t 2 -p 4
gen vm vm -m 16384 -n 600 -t 3 -p 2
gen db db -m 8192 -n 2000 -p 3
gen media media -m 8192 -n 20 -t 2 -p 1
gen scale scale -m 16384 -n 2000 -t 20 -p 100
gen scattered scattered -m 8192 -n 3000 -t 2

rc=0
thin2_dump scattered 2>err | grep -cE '<(single|range)_mapping ' >out
[ "$(cat out)" = 3000 ] || rc=1
result $rc "scattered: a range for each"

rc=0
genpool -m 8192 -n 3000 -t 2 -p 4 again aged:2.2 >out 2>err && cmp aged again >>err || rc=1
genpool -s 2 -m 8192 -n 3000 -t 2 -p 4 again aged:2.2 >>out 2>>err && ! cmp -s aged again || rc=1
result $rc "a seed is a pool"

rc=0
thin2_dump --dev-id 1 aged 2>err | awk -F'"' '
	/<range_mapping/ { units += $6; nr++ }
	END { mean = nr ? units / nr / 16 : 0; print mean; exit !(mean > 2.0 && mean < 2.4) }
' >out || rc=1
result $rc "mean run of 2.2 blocks"

plan
