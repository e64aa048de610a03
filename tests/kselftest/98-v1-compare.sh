#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 400
#
# The same random operations on dm-thin (version 1) and here: contents agree.
. "$(dirname "$0")/lib.sh"

SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
ROUNDS=${ROUNDS:-12}
say "SEED=$SEED"
RANDOM=$((SEED % 32768))

modprobe dm-thin-pool || { skip "compare with version 1" "no dm-thin-pool"; exit 0; }
mib=24
must pool_make
must dm_make t2-v1meta "0 $((64 * 2048)) linear $VDA $((128 * 2048))"
must dm_make t2-v1data "0 $((1024 * 2048)) linear $VDB $((3072 * 2048))"
must dd if=/dev/zero of=$MAP/t2-v1meta bs=4k count=1 oflag=direct status=none
must dm_make t2-v1pool "0 $((1024 * 2048)) thin-pool $MAP/t2-v1meta $MAP/t2-v1data 128 0"

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

must both_msg "create_thin 0"
must both_open 0
ids=(0)
next=1
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
	for id in "${ids[@]}"; do
		check "round $round: thin $id is the same in both (SEED=$SEED)" \
			on "$id" same "$MAP/t2-v1thin$id" || bad=1
	done
done
say "$(used_data) of data used here, $(dmsetup status t2-v1pool | cut -d' ' -f6) there"
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
