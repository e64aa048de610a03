#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12 uml uml-debug
# shellcheck disable=SC2016,SC2017,SC2046,SC2086,SC2206
# timeout: 600
#
# Random plays: a script of commands is drawn by lot, and played with dm-thin
# (version 1) and with dm-thin2.  How each command ends and in which words, status,
# events, contents and mapped sectors must be the same.  Three kinds of play:
#
#	whole	I/O in whole blocks, so that used blocks and mapped sectors agree
#	full	the same with little room and no thin shared: space runs out and comes back
#	any	I/O of any size; contents and words agree
#
# SEED, ROUNDS (plays), COUNT (steps of one) and WHAT (kinds) from the environment.  What
# is played is in the log.
. "$(dirname "$0")/v1-worlds.sh"

SEED=${SEED:-1}
ROUNDS=${ROUNDS:-3}
steps=${COUNT:-15}

# ---- what the lines of a play do ----

step()
{
	echo "-- $*"
	echo "play $round in $world: step $*" >/dev/kmsg
}

# after: what can be seen, when all is at rest.  An event comes from a work: let it.
after()
{
	local d now
	wait_for 3 at_rest || echo "no rest"
	pool_says | sed "$hidden"
	for d in "$MAP/$w"-thin*; do
		[ ! -e "$d" ] || thin_says "${d##*-thin}" | sed "$hidden_of_thins"
	done
	now=$(events_of)
	[ "${1:-}" = resumed ] || echo "events: $((now - events))"
	events=$now
}

# at_rest: the pool's status is the same twice
at_rest()
{
	local was
	was=$(pool_says --noflush)
	sleep 0.2
	[ "$was" = "$(pool_says --noflush)" ]
}

# says_errno COMMAND...: of blkop, which says it at the end of the line
says_errno()
{
	local out rc=0
	out=$("$@" 2>&1 </dev/null) || rc=$?
	echo "$* -> $rc ${out##*: }" | same_words
}

# data_to MIB [FEATURE]: the device below grows, and the pool is told
data_to()
{
	dmsetup reload $w-data --table "0 $(($1 * 2048)) linear $VDB $at_data" &&
		dmsetup suspend --noflush $w-data && dmsetup resume $w-data && pool_to 0 ${2:-}
}

is_full()
{
	pool_says --noflush | grep -q out_of_data_space
}

# ---- drawing a play ----

emit()
{
	lot=$RANDOM
	echo "$*" >>"$tmp/play"
}

# one WORD...: by lot, that of the parent's, as a subshell has no RANDOM of that seed
one()
{
	local all="$*"
	RANDOM=$(((lot + ${#all} * 7919) % 32768))
	shift $((RANDOM % $#))
	echo "$1"
}

# pick: $id, one that is there
pick()
{
	lot=$RANDOM
	id=$(one "${!thins[@]}")
}

# range: $at and $len for I/O
range()
{
	local unit=64 most=32
	if [ $kind = any ]; then
		unit=$(one 4 4 64)
		most=$(one 4 100)
	fi
	len=$((RANDOM % most + 1))
	at=$(((RANDOM * 32768 + RANDOM) % (thin_kib / unit - len) * unit))k
	len=$((len * unit))k
}

draw_io()
{
	local n at len
	for ((n = RANDOM % 4; n >= 0; n--)); do
		pick
		range
		case $((RANDOM % 8)) in
		0 | 1)
			emit "quietly io $id discard $(((${at%k} + 63) / 64 * 64))k 64k"
			# Version 1 finds the space at its next commit.
			[ $kind != full ] || emit "after resumed"
			;;
		2) [ $kind != any ] || emit "quietly io $id zeroout $at $len" ;;
		*) emit "says_errno io $id bs 64k write $at $len $((RANDOM + 1)) sync" ;;
		esac
	done
	emit "sum_of $id"
}

# A thin or snapshot comes, or one goes.
draw_thin()
{
	if [ ${#thins[@]} -gt $((RANDOM % 4 + 1)) ]; then
		pick
		[ $id != 0 ] || return
		[ $((RANDOM % 3)) != 0 ] || emit "run tell delete $id"
		emit "run dmsetup remove \$w-thin$id"
		emit "run tell delete $id"
		unset "thins[$id]"
		return
	fi
	next=$((next + 1))
	pick
	if [ $kind = full ] || [ $((RANDOM % 4)) = 0 ]; then
		thins[$next]=
		[ $kind != any ] || thins[$next]=$(one '' '$MAP/$w-ext')
		emit "run thin $next $thin_sectors ${thins[$next]}"
	else
		thins[$next]=${thins[$id]}
		emit "run $(one snapshot snapshot 'tell create_snap') $next $id"
		emit "run thin_on $next $thin_sectors ${thins[$next]}"
	fi
}

# thin_line [SECTORS]: the table of $id
thin_line()
{
	echo "0 ${1:-$thin_sectors} \$thin_type \$pool $id ${thins[$id]}"
}

# What is below a name is exchanged, and comes back.
draw_table()
{
	pick
	case $((RANDOM % 6)) in
	0) emit "run dmsetup wipe_table \$w-thin$id" ;;
	1) emit "dmsetup reload \$w-thin$id --table '0 $thin_sectors error'
run dmsetup suspend \$w-thin$id
run dmsetup resume \$w-thin$id" ;;
	2) emit "run dmsetup remove $(one '' --deferred) \$w-thin$id
run thin_on $id $(one 2048 2056 32761 262144) ${thins[$id]}" ;;
	3)
		emit "run dmsetup reload \$w-pool --table \"0 65536 \$pool_type \$meta \$data 128 0\"
quietly dmsetup resume \$w-pool
run pool_to 0 $no_space"
		resumed=resumed
		;;
	4)
		# "full" stays smaller than a thin
		data_mib=$((data_mib + (data_mib < 48 || data_mib > 256 ? 8 : 0)))
		emit "run data_to $data_mib $no_space"
		resumed=resumed
		;;
	5) emit "run dmsetup reload \$w-thin$id --table '0 $thin_sectors linear $VDB 0'
run dmsetup clear \$w-thin$id" ;;
	esac
	emit "says_errno io $id write 0 64k $RANDOM sync"
	emit "sum_of $id"
	emit "dmsetup reload \$w-thin$id --table \"$(thin_line)\"
run dmsetup resume \$w-thin$id"
}

# What is refused, mostly.
draw_words()
{
	local id bad=$((5000 + RANDOM % 9))
	pick
	case $((RANDOM % 13)) in
	0) emit "run tell create_thin $(one $id x -1 '' "$bad 1" 16777216 99999999999)" ;;
	1) emit "run tell create_snap $(one "$bad $bad" "$id $id" "$id $bad" $bad "$bad x" '')" ;;
	2) emit "run tell delete $(one $id $bad x '' "$bad 1")" ;;
	3) emit "run tell set_transaction_id $(one "$((transaction + 1)) 9" x "a b" '1 2 3' '')" ;;
	4)
		emit "run tell set_transaction_id $transaction $((transaction + 1))"
		transaction=$((transaction + 1))
		;;
	5) emit "run tell $(one reserve_metadata_snap release_metadata_snap nothing '')" ;;
	6) emit "load \"0 $thin_sectors \$thin_type \$pool $(one $bad x '' "$id /dev/none" -1)\"" ;;
	7) emit "load \"0 $(one 64 128 4096 99999) \$pool_type \$meta \$data $(one '128 0' '' \
		'x 0' '128 0 1 nothing' '128 0 2 read_only' '128 -1')\"" ;;
	8) emit "run dmsetup remove \$w-pool" ;;
	9) emit "quietly dmsetup reload \$w-thin$id --table \"0 $thin_sectors \$thin_type \$pool $bad\"" ;;
	10) emit "run dmsetup create \$w-thinr -r --table \"0 $thin_sectors \$thin_type \$pool $id\"
says_errno blkop \$MAP/\$w-thinr write 0 64k 1
run dmsetup remove \$w-thinr" ;;
	11) emit "dmsetup table \$w-pool | cut -d' ' -f6-" ;;
	12) emit "dmsetup table \$w-thin$id | cut -d' ' -f5-" ;;
	esac
}

# draw_suspend [FLAGS]
draw_suspend()
{
	local flags=${1:-$(one '' --noflush '--noflush --nolockfs' --nolockfs)}
	pick
	case $((RANDOM % 5)) in
	0) emit "run dmsetup suspend $flags \$w-thin$id" ;;
	1)
		emit "run dmsetup suspend $flags \$w-pool"
		draw_words
		;;
	2)
		emit "run dmsetup suspend $flags \$w-thin$id"
		emit "run dmsetup suspend $flags \$w-pool"
		draw_words
		;;
	3) emit "run dmsetup rename \$w-thin$id \$w-thinx
run dmsetup rename \$w-thinx \$w-thin$id" ;;
	4)
		emit "dmsetup reload \$w-thin$id --table \"$(thin_line $(one 2048 65536))\"
dmsetup suspend $flags \$w-thin$id
run dmsetup resume \$w-thin$id
dmsetup reload \$w-thin$id --table \"$(thin_line)\""
		;;
	esac
	emit "run dmsetup resume \$w-pool"
	emit "run dmsetup resume \$w-thin$id"
	resumed=resumed
}

draw_reload()
{
	local f
	f="$(one '' skip_block_zeroing) $(one '' no_discard_passdown ignore_discard)"
	f="$f $(one '' '' '' read_only) $(one "$no_space" error_if_no_space)"
	emit "run pool_to $(one 0 64 200) $f"
	emit "dmsetup table \$w-pool | cut -d' ' -f6-"
	pick
	emit "says_errno io $id write 0 64k $RANDOM sync"
	emit "says_errno io $id write $((thin_kib - 64))k 64k $RANDOM sync"
	[ $((RANDOM % 2)) = 0 ] || draw_words
	emit "run pool_to 0 $no_space"
	resumed=resumed
}

# Space runs out while I/O waits, and comes back in one way or another.
draw_queue()
{
	[ $kind = full ] || return
	pick
	emit "run pool_to 0"
	emit "io $id bs 64k write 0 ${thin_kib}k $RANDOM sync 2>/dev/null &"
	emit "wait_for 20 is_full; pool_says --noflush"
	draw_suspend --noflush		# with a flush it would wait for the I/O
	case $((RANDOM % 4)) in
	0)
		data_mib=$((data_mib + 8))
		emit "run data_to $data_mib"
		;;
	1) emit "run pool_to 0 error_if_no_space" ;;
	2) emit "run tell create_thin 4999; run tell delete 4999; run pool_to 0 error_if_no_space" ;;
	3) emit "run dmsetup suspend --noflush \$w-thin$id; run pool_to 0 error_if_no_space
run dmsetup resume \$w-thin$id" ;;
	esac
	emit "run pool_to 0 error_if_no_space"
	emit "wait; pool_says --noflush"
	resumed=resumed
}

# draw KIND: a play, into $tmp/play
draw()
{
	local s step id next=0 transaction=0 resumed lot=$RANDOM
	local -A thins=([0]='')
	kind=$1
	data_mib=512
	thin_kib=16384
	no_space=
	if [ $kind = full ]; then
		data_mib=24
		no_space=error_if_no_space
		thin_kib=65536
	fi
	thin_sectors=$((thin_kib * 2))
	rm -f "$tmp/play"
	emit "run world_up 16 $data_mib $(one 0 100) $no_space"
	emit "dmsetup create \$w-ext --table \"0 16401 linear $VDB \$((at_data + 1024 * 2048))\"
blkop \$MAP/\$w-ext write 0 8200k 1"
	emit "run thin 0 $thin_sectors"
	emit "events=\$(events_of)"
	for ((s = 0; s < steps; s++)); do
		resumed=
		lot=$RANDOM
		step=$(one io io io io thin thin words words suspend reload table queue)
		emit "step $s: $step"
		draw_$step
		emit "after $resumed"
	done
	pick
	for id in "${!thins[@]}"; do
		emit "sum_of $id"
	done
}

# ---- both worlds ----

for ((round = 0; round < ROUNDS; round++)); do
	RANDOM=$(((SEED + round) % 32768))
	kinds=(${WHAT:-whole full any})
	draw "${kinds[round % ${#kinds[@]}]}"
	cat "$tmp/play"
	# Used data is no part of I/O of any size.
	hidden=
	hidden_of_thins=
	if [ $kind = any ]; then
		hidden='s/\(status: [0-9]*\) [0-9]*/\1 USED/'
		hidden_of_thins='s/:.*//'
	fi
	for world in v1 v2; do
		enter $world
		# shellcheck disable=SC1091
		(. "$tmp/play") >"$tmp/play.$world" 2>&1 </dev/null
		world_down >/dev/null 2>&1
		same_words <"$tmp/play.$world" >"$tmp/said.$world"
	done
	check_range "play $round ($kind): something is said" "$(wc -l <"$tmp/said.v1")" 50 5000
	check "play $round ($kind): the same from both (SEED=$((SEED + round)))" \
		diff -U 4 "$tmp/said.v1" "$tmp/said.v2"
done
