#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12 uml uml-debug
# shellcheck disable=SC2086
# timeout: 400
#
# The same random operations on dm-thin (version 1) and here: I/O, messages right
# and wrong, suspends, reloads.  Contents and errors agree, and on a thin that is
# written in whole blocks only, mapped sectors.  SEED and ROUNDS from the environment.
. "$(dirname "$0")/lib.sh"

SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
ROUNDS=${ROUNDS:-12}
say "SEED=$SEED"
RANDOM=$((SEED % 32768))

modprobe dm-thin-pool || { skip "compare with version 1" "no dm-thin-pool"; exit 0; }
mib=24
must pool_make
must v1_pool_make 1024

both_msg()
{
	dmsetup message t2-v1pool 0 "$1" && msg "$1"
}

both_open()
{
	dm_make "t2-v1thin$1" "0 $((mib * 2048)) thin $MAP/t2-v1pool $1" && thin_open "$1" $mib
}

both_close()
{
	remove_dm "t2-v1thin$1" && thin_close "$1"
}

# answer COMMAND...: how it ends, in the words that both have in common
answer()
{
	local out
	if out=$("$@" 2>&1); then
		echo "ok${out:+: $out}"
	else
		echo "$out" | sed -n 's/.*failed: //p' | tail -n 1
	fi
}

differs=
# agree WHAT FIRST SECOND
agree()
{
	[ "$2" = "$3" ] || differs="${differs:+$differs; }$1: '$2' there, '$3' here"
}

same_message()
{
	agree "message '$1'" "$(answer dmsetup message t2-v1pool 0 "$1")" "$(answer msg "$1")"
}

# Version 1 passes no discards down to a disk that takes less than a block at a time.
disk=/sys/block/$(basename "$(readlink -f $VDB)")/queue/discard_max_bytes
any_passdown='s/^$//'
[ "$(cat "$disk")" -ge 65536 ] || any_passdown='s/no_discard_passdown/discard_passdown/'

# fields of both pools' status that mean the same: transaction id, held root, mode, ...
same_status()
{
	agree status "$(dmsetup status t2-v1pool | cut -d' ' -f4,7-11 | sed $any_passdown)" \
		"$(status | cut -d' ' -f1,4-8 | sed $any_passdown)"
}

# pools ACTION...: to both
pools()
{
	local p
	for p in t2-v1pool t2-pool; do
		dmsetup "$@" $p || differs="${differs:+$differs; }$* $p"
	done
}

# thins ID ACTION...: to both
thins()
{
	local id=$1 t
	shift
	for t in "t2-v1thin$id" "t2-thin$id"; do
		dmsetup "$@" "$t" || differs="${differs:+$differs; }$* $t"
	done
}

# pools_to FEATURE...: both by a reload
pools_to()
{
	features=("$@")
	dm_reload t2-pool "$(pool_table)" &&
		dm_reload t2-v1pool "0 $((1024 * 2048)) thin-pool $MAP/t2-v1meta $MAP/t2-v1data 128 0 \
			${#features[@]} ${features[*]}" || differs="${differs:+$differs; }reload ${features[*]}"
}

# size_to ID MIB: both, by a reload
size_to()
{
	dm_reload "t2-v1thin$1" "0 $(($2 * 2048)) thin $MAP/t2-v1pool $1" &&
		dm_reload "t2-thin$1" "0 $(($2 * 2048)) thin2 $POOL $1" ||
		differs="${differs:+$differs; }size $2 of $1"
}

transaction=0
# wrong: what is refused, in the same words
wrong()
{
	local some=${ids[RANDOM % ${#ids[@]}]}
	case $((RANDOM % 12)) in
	0) same_message "create_thin $some" ;;
	1) same_message "create_snap $some ${ids[0]}" ;;
	2) same_message "create_snap 5000 4000" ;;
	3) same_message "delete $some" ;;
	4) same_message "delete 4000" ;;
	5) same_message "set_transaction_id $((transaction + 1)) 9" ;;
	6) same_message "create_thin" ;;
	7) same_message "create_snap 5000" ;;
	8) same_message "delete 1 2" ;;
	9) same_message "create_thin x" ;;
	10) same_message "set_transaction_id a b" ;;
	11) same_message "no_such_message" ;;
	esac
	agree "opening a thin that is not there" \
		"$(answer dmsetup create t2-none --table "0 2048 thin $MAP/t2-v1pool 4000")" \
		"$(answer dmsetup create t2-none --table "0 2048 thin2 $POOL 4000")"
}

# step: one of what a pool is told to do
step()
{
	local some=${ids[RANDOM % ${#ids[@]}]}
	case $((RANDOM % 10)) in
	0)
		same_message "set_transaction_id $transaction $((transaction + 1))"
		transaction=$((transaction + 1))
		;;
	1) pools suspend && pools resume ;;
	2)
		pools suspend --noflush
		wrong
		agree "opening a thin on a suspended pool" \
			"$(answer dmsetup create t2-none --table "0 2048 thin $MAP/t2-v1pool $some")" \
			"$(answer dmsetup create t2-none --table "0 2048 thin2 $POOL $some")"
		pools resume
		;;
	3) thins "$some" suspend && thins "$some" resume ;;
	4) thins "$some" suspend --noflush && pools suspend && pools resume && thins "$some" resume ;;
	5)
		size_to "$some" $((RANDOM % mib + 1))
		on "$some" same "$MAP/t2-v1thin$some" || differs="${differs:+$differs; }thin $some, smaller"
		size_to "$some" $mib
		;;
	6)
		pools_to read_only
		same_status
		same_message "create_thin 5000"
		same_message "create_snap 5000 $some"
		same_message "delete 4000"
		same_message "set_transaction_id $transaction 9"
		agree "a write to what is not mapped" \
			"$(blkop $MAP/t2-v1wide write 60m 64k 1 2>&1 | sed 's/.*: //')" \
			"$(blkop $MAP/t2-wide write 60m 64k 1 2>&1 | sed 's/.*: //')"
		on "$some" same "$MAP/t2-v1thin$some" || differs="${differs:+$differs; }read-only thin $some"
		pools_to
		;;
	7)
		pools_to error_if_no_space no_discard_passdown
		same_status
		pools_to
		;;
	8)
		both_close "$some" && both_open "$some" || differs="${differs:+$differs; }reopening $some"
		;;
	*) wrong ;;
	esac
	same_status
}

must both_msg "create_thin 0"
must both_open 0
ids=(0)
# written in whole blocks only: mapped sectors must agree
must both_msg "create_thin 1000"
must dm_make t2-v1wide "0 131072 thin $MAP/t2-v1pool 1000"
must dm_make t2-wide "0 131072 thin2 $POOL 1000"
next=1
# an origin outside of the pool, smaller than the thin and no whole number of blocks
must dm_make t2-ext "0 16401 linear $VDB $((5000 * 2048))"
must blkop $MAP/t2-ext write 0 8m 1 write 8m 8704 1
must both_msg "create_thin 2000"
must dm_make t2-v1over "0 20480 thin $MAP/t2-v1pool 2000 $MAP/t2-ext"
must dm_make t2-over "0 20480 thin2 $POOL 2000 $MAP/t2-ext"
bad=0
for ((round = 0; round < ROUNDS && !bad; round++)); do
	for id in "${ids[@]}"; do
		must on "$id" random $((SEED + round * 100 + id)) 60 "$MAP/t2-v1thin$id"
	done
	pick=${ids[RANDOM % ${#ids[@]}]}
	if [ ${#ids[@]} -lt 4 ] || [ $((RANDOM % 2)) = 0 ]; then
		must dmsetup suspend "t2-thin$pick"
		must dmsetup suspend "t2-v1thin$pick"
		must both_msg "create_snap $next $pick"
		must dmsetup resume "t2-thin$pick"
		must dmsetup resume "t2-v1thin$pick"
		must both_open $next
		ids+=("$next")
		next=$((next + 1))
	fi
	if [ ${#ids[@]} -gt 4 ]; then
		pick=$((RANDOM % ${#ids[@]}))
		must both_close "${ids[pick]}"
		must both_msg "delete ${ids[pick]}"
		unset "ids[pick]"
		ids=("${ids[@]}")
	fi
	must blkop $MAP/t2-wide grain 65536 random $((SEED + round)) 25 $MAP/t2-v1wide
	must blkop $MAP/t2-over random $((SEED + round)) 10 $MAP/t2-v1over
	blkop $MAP/t2-over same $MAP/t2-v1over || differs="contents over an origin"
	if [ $((round % 4)) = 3 ]; then
		same_message "create_snap $((1001 + round)) 1000"
	fi
	step
	step
	agree "mapped sectors" "$(dmsetup status t2-v1wide)" "$(dmsetup status t2-wide | sed 's/thin2/thin/')"
	blkop $MAP/t2-wide same $MAP/t2-v1wide || differs="${differs:+$differs; }contents"
	check_is "round $round: errors, status and mapped sectors agree (SEED=$SEED)" "$differs" ""
	differs=
	for id in "${ids[@]}"; do
		check "round $round: thin $id is the same in both (SEED=$SEED)" \
			on "$id" same "$MAP/t2-v1thin$id" || bad=1
	done
done
say "$(used_data) of data used here, $(dmsetup status t2-v1pool | cut -d' ' -f6) there"
check "the origin is as it was" blkop $MAP/t2-ext check 0 8m 1 check 8m 8704 1
must remove_dm t2-over
must remove_dm t2-wide
must thins_close
must pool_close
must meta_check
must pool_open
for id in "${ids[@]}"; do
	must thin_open "$id" $mib
	check "after re-opening: thin $id is the same in both" on "$id" same "$MAP/t2-v1thin$id"
	must thin_close "$id"
done
end_check
