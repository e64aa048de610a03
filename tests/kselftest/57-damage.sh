#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12 uml uml-debug
# shellcheck disable=SC2016
#
# Damage stays where it is: with one bad block of metadata only what it held is
# lost, and all else goes on. Overwriting or discarding what is lost heals it.
. "$(dirname "$0")/damage.sh"

# ---- mapping trees ----

# mapping_node WHAT LEVEL UNIT STOPPED|LIVE: that node of thin 1, shared with thin 2
mapping_node()
{
	local what=$1 block lo hi
	must restore
	block=$(dam at "$(dam root 1)" "$3" "$2")
	read -r lo hi < <(dam span "$block")
	say "$what: block $block, units $lo to $hi"
	[ "$4" = LIVE ] || must dam flip "$block" 2000
	[ "$4" = LIVE ] || check "$what: thin2_check names it" checked "block $block" "thin 1" "units $lo.."
	dmesg -C
	must open_all
	[ "$4" != LIVE ] || must dam flip "$block" 2000

	check "$what: its range cannot be read" lost 1 "$lo" "$hi"
	check "$what: nor can the snapshot's" lost 2 "$lo" "$hi"
	check "$what: the log names thin, range and block" \
		logged_read 1 "$lo" "thin 1: cannot read mappings of units $lo to $hi, block $block: checksum"
	check "$what: the rest of the thin is there" all_but 1 "$lo" "$hi"
	check "$what: so is that of the snapshot" all_but 2 "$lo" "$hi"
	check "$what: other thins go on" goes_on
	check "$what: the thin is written elsewhere" on 1 write $beyond 256k 5 check $beyond 256k 5
	check "$what: it has a status" eval '[[ "$(dmsetup status t2-thin1)" = *\ thin2\ [1-9]* ]]'
	check "$what: a snapshot of it" eval 'snap 7 1 && thin_open 7 $thin_mib &&
		all_but 7 $lo $hi 1 && lost 7 $lo $hi &&
		on 7 check $beyond 256k 5 && thin_close 7 && msg "delete 7" && msg checkpoint'

	check_fails "$what: a write to part of a lost unit fails" "Input/output" \
		on 1 bs 512 write $((lo * 4))k 512 6
	check "$what: one of a whole unit heals it" on 1 bs 4k write $((lo * 4))k 4k 6 sync \
		check $((lo * 4))k 4k 6
	check "$what: and that only" lost 1 $((lo + 1)) "$hi"
	check "$what: the merge does not stumble" not_pinned
	check "$what: and says so" logged "thin 1: mappings of units $lo to $hi are lost and marked damaged"
	check "$what: the same from the tree" eval 'on 1 check $((lo * 4))k 4k 6 &&
		lost 1 $((lo + 1)) $hi && all_but 1 $lo $hi && lost 2 $lo $hi'
	must close_all
	check "$what: thin2_check names it afterwards" checked "block $block" "thin 2" "units $lo.."
	must open_all
	check "$what: the same after a restart" eval 'on 1 check $((lo * 4))k 4k 6 &&
		lost 1 $((lo + 1)) $hi && lost 2 $lo $hi'

	check "$what: a write over both ends, not of whole units" eval '
		! on 1 bs 12k write $((lo * 4 + 10))k 12k 7 && on 1 check $(((lo + 3) * 4))k 8k 7 &&
		lost 1 $((lo + 1)) $((lo + 3)) && lost 1 $((lo + 5)) $hi'
	check "$what: a discard heals the rest" on 1 discard $(((lo + 1) * 4))k $(((hi - lo - 1) * 4))k \
		zero $(((lo + 1) * 4))k $(((hi - lo - 1) * 4))k
	check "$what: the merge does not stumble again" not_pinned
	check "$what: nothing of the thin is lost" eval 'all_but 1 $lo $hi &&
		on 1 check $((lo * 4))k 4k 6 zero $(((lo + 1) * 4))k $(((hi - lo - 1) * 4))k'
	check "$what: the snapshot goes" eval 'thin_close 2 && msg "delete 2" && msg checkpoint'
	check "$what: and takes nothing along" eval 'all_but 1 $lo $hi && on 1 check $((lo * 4))k 4k 6'
	check "$what: all goes on" goes_on
	must close_all
	check "$what: but for leaks all is well" only_leaks
}

mapping_node "a leaf" 0 300 STOPPED
mapping_node "an inner node, live" 1 700 LIVE

must restore
block=$(dam at "$(dam root 1)" 1599 0)
must dam flip "$block" 2000
must pool_open
must thin_open 1 $thin_mib
check "the last leaf: the thin has a status all the same" eval '
	[[ "$(dmsetup status t2-thin1)" = *\ thin2\ 6[0-9]*\ [0-9]* ]]'
must close_all
