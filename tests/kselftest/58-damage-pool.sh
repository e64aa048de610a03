#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.1 uml uml-debug
# shellcheck disable=SC2016
#
# Damage to what belongs to the pool and not to one thin: space maps, details,
# the list of deleted thins, superblocks, the journal.
. "$(dirname "$0")/damage.sh"

# whole ID...: these thins are as they were
whole()
{
	local id
	for id; do
		as_before "$id" 0 1792 || return
	done
}

# once WHAT TYPE BLOCK: that block is bad, and costs no thin anything
once()
{
	local what=$1 type=$2 block=$3
	must dam flip "$block" 2000
	check "$what: thin2_check names it" checked "$type" "block $block"
	dmesg -C
	must open_all
	check "$what: all thins are whole" whole 1 2 3
	check "$what: all goes on" goes_on
	check "$what: a thin is written elsewhere" on 1 write $beyond 256k 5 check $beyond 256k 5
	check "$what: snapshots go on" eval 'snap 7 1 && thin_open 7 $thin_mib && whole 1 &&
		as_before 7 0 1792 1 && thin_close 7 && msg "delete 7" && thin_close 2 &&
		msg "delete 2" && msg checkpoint && whole 1 3'
	must close_all
}

# ---- space maps ----

must restore
block=$(dam at "$(dam root data)" "$(data_of 1)" 0)
once "a leaf of the data space map" "range leaf of the data space map" "$block"
check "a leaf of the data space map: but for leaks all is well" only_leaks
must pool_open
must thin_open 1 $thin_mib
must thin_open 4 $thin_mib
check "a leaf of the data space map: what it counted is given up" eval '
	on 1 discard 0 4m zero 0 4m && msg checkpoint && as_before 1 1024 1792'
check "a leaf of the data space map: not freed" logged "in use until repair"
check "a leaf of the data space map: all goes on then" eval '
	on 1 write 0 256k 6 check 0 256k 6 && msg checkpoint && mode_is rw'
must close_all
check "a leaf of the data space map: but for leaks all is well then" only_leaks

must restore
block=$(dam counts "$(dam root 1)")
once "a slot of counts" "space-map block" "$block"
check "a slot of counts: the log names the group" logged "space-map group [0-9]+ .*damaged"

# ---- details ----

# Thin 9 is in a leaf of its own but for a neighbour, and behind it come others.
# details STATE: "close", or "dirty" with something to replay
details()
{
	local what="a leaf of the details, $1" block
	must make_image "${@:2}"
	must restore
	block=$(dam at "$(dam root details)" 9 0)
	must dam flip "$block" 2000
	check "$what: thin2_check names it" checked "details" "block $block"
	must open_all
	check "$what: nothing is lost" eval "whole 1 2 3 && thin_open 9 $thin_mib"
	check "$what: the log says that there is a copy" logged "details .* taken from the (copy|other)"
	must close_all
	must restore
	must dam flip "$block" 2000
	must dam flip "$(dam at "$(dam root copy)" 9 0)" 2000
	what="$what and its copy"
	dmesg -C
	must open_all
	check "$what: thins of other leaves are there" whole 2 3
	check_fails "$what: those of this one are not" "" thin_open 9 $thin_mib
	check "$what: the log names the block" logged "block $block|btree node $block"
	check_fails "$what: no thin is made in its place" "" msg "create_thin 9"
	check_fails "$what: nor deleted" "" msg "delete 9"
	check "$what: the pool stays in write mode" mode_is rw
	must close_all
	check "$what: the same after a restart" eval 'open_all && whole 1 2 3 && goes_on && close_all'
}

details "clean" close
details "to be replayed" write 1 1900 1 write 9 1001 7 write 3 1900 3 flush abandon
check "records of lost thins are told" logged "3 journal records of thins that are lost"

must make_image delete 2 delete 1 abandon
must restore
block=$(dam root deleting)
must dam flip "$block" 2000
check "the list of deleted thins: thin2_check names it" checked "deleting" "block $block"
must pool_open
must thin_open 3 $thin_mib
must thin_open 4 $thin_mib
check "the list of deleted thins: others are whole" as_before 3 0 1792
check "the list of deleted thins: all goes on" goes_on
must close_all
must make_image close

# ---- superblocks ----

must restore
newest=$(dam super)
for block in "$newest" $((1 - newest)) 511; do
	must restore
	must dam flip "$block" 2000
	check "superblock copy $block: thin2_check names it" checked superblock "block $block"
	must pool_open
	must thin_open 1 $thin_mib
	check "superblock copy $block: all is there" whole 1
	check "superblock copy $block: it is written to" eval 'on 1 write $beyond 256k 5 &&
		msg checkpoint && msg checkpoint && mode_is rw'
	must close_all
	check "superblock copy $block: it has been written anew" thin2_check -q $META
done
must restore
for block in 0 1 511; do
	must dam flip $block 2000
done
sum=$(blkop $META sum 0 1m)
check_fails "all superblocks: the pool is refused" "" pool_open
check_is "all superblocks: and nothing changed" "$(blkop $META sum 0 1m)" "$sum"

# ---- journal ----

must make_image write 3 500 3 flush write 3 510 3 flush write 3 520 3 flush abandon
must restore
block=$(dam journal 0)
must dam flip "$block" 200
check "a journal block that was durable: thin2_check names it" checked "journal block" "$block"
sum=$(blkop $META sum 0 end)
dmesg -C
check_fails "a journal block that was durable: the pool is refused" "" pool_open
check "a journal block that was durable: the log says why" logged "journal block .* is missing"
features=(read_only)
check_fails "a journal block that was durable: also read-only" "" pool_open
features=()
check_is "a journal block that was durable: and nothing changed" "$(blkop $META sum 0 end)" "$sum"
