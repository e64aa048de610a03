#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Random lives of pools with small nodes: after each, closed or crashed, the
# check finds nothing, and a dump before replay equals one after.  SEED and
# ROUNDS override what is tried.
set -u
. "$(dirname "$0")/lib.sh"

: "${SEED:=$(date +%s)}" "${ROUNDS:=12}"

# life: commands of one pool, to $cmds
life()
{
	local ids=(1) next=2 i k id
	cmds="limits 4 8 16 journal $((32 + RANDOM % 60)) create 1"
	for ((i = 0; i < 25; i++)); do
		k=$((RANDOM % ${#ids[@]}))
		id=${ids[k]}
		case $((RANDOM % 12)) in
		0)
			cmds+=" create $next"
			ids+=("$((next++))")
			;;
		1 | 2)
			cmds+=" snap $next $id"
			ids+=("$((next++))")
			;;
		3)
			[ ${#ids[@]} -gt 1 ] || continue
			cmds+=" delete $id"
			unset "ids[k]"
			ids=("${ids[@]}")
			;;
		4) cmds+=" unmap $id $((RANDOM % 3000)) $((RANDOM % 2000 + 1))" ;;
		5) cmds+=" zero $id $((RANDOM % 3000)) $((RANDOM % 500 + 1))" ;;
		6) cmds+=" flush" ;;
		7) cmds+=" checkpoint" ;;
		8) cmds+=" work" ;;
		*) cmds+=" random $id $((RANDOM % 60 + 1)) 4000 $RANDOM" ;;
		esac
	done
	[ $((RANDOM % 3)) != 0 ] || cmds+=" hold ${ids[0]}"
}

# timeless FILE: a dump without the births of ranges. Joined ones keep the smaller,
# so they depend on what was joined before a part of it was replaced.
timeless()
{
	sed -E '/_mapping /s/ time="[0-9]+"//' "$1"
}

# judge FILE: it checks clean, before and after being opened once more
judge()
{
	run 0 thin2_check "$1" || return 1
	thin2_dump "$1" >before.xml 2>err || return 1
	mkpool "$1" 0 65536 close >out 2>err || return 1
	run 0 thin2_check "$1" || return 1
	[ ! -s err ] || return 1
	thin2_dump "$1" >after.xml 2>err || return 1
	cmp <(timeless before.xml) <(timeless after.xml) >>err
}

for ((round = 0; round < ROUNDS; round++)); do
	RANDOM=$((SEED + round))
	life
	end=close
	[ $((RANDOM % 3)) = 0 ] || end=abandon
	rm -f pool.md
	rc=0
	# shellcheck disable=SC2086
	mkpool pool.md 65536 65536 $cmds $end >out 2>err && judge pool.md || rc=1
	[ $rc = 0 ] || echo "SEED=$((SEED + round)) ROUNDS=1: $cmds $end" >>err
	result $rc "random life (SEED=$((SEED + round)) ROUNDS=1), $end"
done

plan
