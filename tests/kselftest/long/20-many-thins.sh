#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 1800
# shellcheck disable=SC2015,SC2016,SC2017,SC2086,SC2206
#
# COUNT (1000) thins, and as many snapshots each of the one before, on 8 MiB of
# metadata: all active at a time, all readable, deleted again without a trace.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

COUNT=${COUNT:-1000}
hurry
meta_mib=8

# many FORMAT: a word for each id, with %d in it
many()
{
	local i
	for ((i = 1; i <= COUNT; i++)); do
		# shellcheck disable=SC2059
		printf "$1\n" $i
	done
}

# messages FORMAT: one for each id
messages()
{
	local m
	mapfile -t m < <(many "$1")
	dmop message t2-pool "${m[@]}" >/dev/null
}

# open_all: every one with 4 MiB
open_all()
{
	local i all=
	for ((i = 1; i <= COUNT; i++)); do
		all+="t2-thin$i,,,rw,0 8192 thin2 $POOL $i;"
	done
	at_exit thins_close
	echo "${all%;}" | dmsetup create --concise
}

close_all()
{
	local names
	mapfile -t names < <(many "t2-thin%d")
	dmsetup remove "${names[@]}"
}

# on_all COMMAND...: blkop on every one, ID is its number
on_all()
{
	local i args=()
	for ((i = 1; i <= COUNT; i++)); do
		args+=(dev "$MAP/t2-thin$i" "${@//ID/$i}")
	done
	on 1 "${args[@]}"
}

used_meta_below()
{
	[ "$(used_meta)" -le "$1" ]
}

must pool_make
meta_before=$(used_meta)

check "$COUNT thins are made" messages "create_thin %d"
check "and opened" open_all
check "each is written to" on_all write 64k 8k ID write 1m 4k ID
check "each holds what is its own" on_all check 64k 8k ID zero 72k 16k check 1m 4k ID
check "with all of them the pool is suspended" dmsetup suspend t2-pool
check "and resumed" dmsetup resume t2-pool
check_is "the status of each" "$(dmsetup status --target thin2 | cut -d' ' -f5 | sort | uniq -c | xargs)" \
	"$COUNT 24"
check "each still holds what is its own" on_all check 64k 8k ID check 1m 4k ID
check "all are closed" close_all
must pool_close
must meta_check
must pool_open
check "all are opened after the pool was" open_all
check "and hold what they did" on_all check 64k 8k ID zero 72k 16k check 1m 4k ID
check "they are closed" close_all
check "they are deleted" messages "delete %d"
check "all data is free again" wait_for 30 used_data_below 1
check "all metadata, too" wait_for 30 used_meta_below $((meta_before + 4))

# a chain: every 50th link is written to
must msg "create_thin 1"
must thin_open 1 4
must on 1 write 0 4m 1
must thin_close 1
bad=
for ((i = 2; i <= COUNT; i++)); do
	links+=("create_snap $i $((i - 1))")
	[ $((i % 50)) = 0 ] || [ $i = "$COUNT" ] || continue
	dmop message t2-pool "${links[@]}" >/dev/null || { bad="at $i"; break; }
	links=()
	[ $i != "$COUNT" ] || break
	thin_open $i 4 && on $i write $((i / 50 * 64))k 16k $i && thin_close $i ||
		{ bad="writing to $i"; break; }
done
check_is "a chain of $COUNT snapshots" "$bad" ""
check "its links are opened" open_all

# the links before the one that was written to hold what was there before
args=()
for ((i = 1; i <= COUNT; i++)); do
	args+=(dev "$MAP/t2-thin$i" check 0 64k 1)
	w=$((i / 50 * 50))
	[ $w = 0 ] || [ $w = "$COUNT" ] || args+=(check $((w / 50 * 64))k 16k $w)
	w=$((w + 50))
	[ $w -ge "$COUNT" ] || args+=(check $((w / 50 * 64))k 16k 1)
done
check "each link holds its own history" on 1 "${args[@]}"
check_range "data is used by what was written" "$(used_data)" 64 $((64 + COUNT / 50))
must on $((COUNT / 2)) write 3m 1m 77
check "a write to one in the middle: the next does not show it" \
	on $((COUNT / 2 + 1)) check 3m 1m 1
check "nor does the one before" on $((COUNT / 2 - 1)) check 3m 1m 1
check "they are closed" close_all
must pool_close
must meta_check
must pool_open
# from the middle, then the rest: first the odd ones
odd=()
for ((i = 1; i < COUNT; i += 2)); do
	odd+=("delete $i")
done
check "every other one is deleted" eval 'dmop message t2-pool "${odd[@]}" >/dev/null'
must thin_open "$COUNT" 4
check "the last holds what it did" on "$COUNT" check 0 64k 1 check 64k 16k 50
must thin_close "$COUNT"
even=()
for ((i = 2; i <= COUNT; i += 2)); do
	even+=("delete $i")
done
check "the others are deleted" eval 'dmop message t2-pool "${even[@]}" >/dev/null'
check "all data is free again" wait_for 30 used_data_below 1
check "all metadata, too" wait_for 30 used_meta_below $((meta_before + 4))
end_check
