# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Devices that fail under a pool at work; sourced by 79-faults.sh and
# long/20-faults.sh.
#
# killwork (tests/kselftest/kill) writes, discards, synchronises and writes with
# FUA on thins and snapshots until an operation fails, and says what was
# acknowledged. Then the devices are well again, and it looks at what is there:
# what was acknowledged must be, and nothing that was never written.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

RANDOM=${SEED:=$RANDOM}
say "SEED=$SEED"

fault_setup()
{
	modprobe dm-flakey && meta_make && data_make
	setting /proc/sys/kernel/hung_task_timeout_secs 40
	: >"$tmp/acks"
}

# ---- the devices ----

# disk_of meta|data: what is below
disk_of()
{
	if [ "$1" = meta ]; then
		echo $VDA
	else
		echo $VDB
	fi
}

# swap_table DEVICE LINE...
swap_table()
{
	local d=$1
	shift
	dmsetup suspend --noflush --nolockfs "t2-$d" &&
		printf '%s\n' "$@" | dmsetup reload "t2-$d" && dmsetup resume "t2-$d"
}

well()
{
	swap_table "$1" "0 $(sectors "$MAP/t2-$1") linear $(disk_of "$1") 0"
}

# fault meta|data KIND
#
#	writes	writes fail
#	all	everything fails, in a target that delays nothing
#	gone	everything fails, as on a device that was pulled out
#	place	a piece of up to an eighth of the device fails
#	drop	writes are acknowledged and not done: the device lies
fault()
{
	local n dev at len
	n=$(sectors "$MAP/t2-$1")
	dev=$(disk_of "$1")
	case $2 in
	writes) swap_table "$1" "0 $n flakey $dev 0 0 3600 1 error_writes" ;;
	all) swap_table "$1" "0 $n flakey $dev 0 0 3600" ;;
	drop) swap_table "$1" "0 $n flakey $dev 0 0 3600 1 drop_writes" ;;
	gone) swap_table "$1" "0 $n error" ;;
	place)
		# most of the work is near the beginning
		len=$((8 + RANDOM * RANDOM % (n / 8) / 8 * 8))
		at=$((8 + RANDOM * RANDOM % (n / (1 + RANDOM % 64) - 8) / 8 * 8))
		[ $((at + len)) -lt "$n" ] || at=$((n - len - 8))
		swap_table "$1" "0 $at linear $dev 0" "$at $len error" \
			"$((at + len)) $((n - at - len)) linear $dev $((at + len))"
		;;
	esac
}

# ---- a round ----

# start_work: in the background, $worker
start_work()
{
	killwork "$tmp" $META $DATA >"$tmp/work.log" 2>&1 &
	worker=$!
}

works()
{
	grep -q '^killwork: working' "$tmp/work.log"
}

ended()
{
	! kill -0 "$worker" 2>/dev/null
}

# end_work SECONDS: it ends by itself, or is ended. 1: it would not end at all.
# Whether it met an error: $met.
end_work()
{
	local n
	met=yes
	if ! wait_for "$1" ended; then
		met=
		kill -KILL "$worker"
		wait_for 40 ended || return 1
	fi
	wait "$worker" 2>/dev/null
	cat "$tmp/work.log" >>"$tmp/acks"
	echo >>"$tmp/acks"
	grep '^killwork: ' "$tmp/work.log"
	# Only what a failing device explains may be said.
	! grep '^killwork: ' "$tmp/work.log" | grep -vqE \
'opening$|working$|Input/output error|Read-only|not supported|is refused|as they must be|is not there'
}

# said_so meta|data KIND: what the pool and the log say of a failure
said_so()
{
	local mode
	[ -e $POOL ] || return 0
	if [ "$1-$2" != meta-place ] && [ "$1" = meta ] &&
	   grep -qE '^killwork: thin .*: (write|fsync): ' "$tmp/work.log"; then
		wait_for 8 mode_is ro || return 1
	fi
	mode=$(pool_mode)
	echo "mode: $mode"
	case $mode in
	rw) ;;
	ro) dmesg | grep -E 'switching pool to read-only mode: ' && dmesg | grep -E ' failed: ' ;;
	*) return 1 ;;
	esac
}

# A pool whose data device failed, and which has not given up, goes on.
goes_on()
{
	[ -e $POOL ] && [ "$(pool_mode)" = rw ] || return 0
	msg "create_thin 9000" && thin_open 9000 16 && on 9000 write 0 1m 9 sync check 0 1m 9 &&
		thin_close 9000 && msg "delete 9000"
}

close_all()
{
	undo+=("thins_close" "remove_dm t2-pool")
	thins_close
	[ ! -e $POOL ] || timeout 60 dmsetup remove t2-pool
	no_longer thins_close
	no_longer "remove_dm t2-pool"
	[ ! -e $POOL ]
}

in_order()
{
	thin2_check -q --clear-needs-check-flag $META && meta_check
}

# look: is all there that must be? As killwork finds it; closes the pool.
look()
{
	local rc=0
	[ -e "$tmp/state" ] || return 0
	timeout 120 killwork "$tmp" $META $DATA end >"$tmp/look.log" 2>&1 || rc=$?
	grep '^killwork: ' "$tmp/look.log"
	return $rc
}

# fault_round WHAT DEVICE KIND MS SECONDS: MS after the start DEVICE fails for SECONDS, or
# until something has met it
fault_round()
{
	local what=$1 dev=$2 kind=$3 ms=$4 secs=$5
	dmesg -C
	start_work
	[ "$ms" -lt 0 ] || wait_for 120 eval 'works || ended'
	sleep "$(printf '%d.%03d' $((${ms#-} / 1000)) $((${ms#-} % 1000)))"
	fault "$dev" "$kind" || { not_ok "$what: no fault"; return 1; }
	end_work "$secs" || { not_ok "$what: the work ends, with an error of the device"; return 1; }
	timeout 60 dmsetup status
	said_so "$dev" "$kind" || { not_ok "$what: the pool says what happened"; return 1; }
	well "$dev" || { not_ok "$what: the device is well again"; return 1; }
	goes_on || { not_ok "$what: the pool goes on"; return 1; }
	close_all || { not_ok "$what: all of it closes"; return 1; }
	in_order || { not_ok "$what: thin2_check finds nothing wrong"; return 1; }
	look || { not_ok "$what: all that was acknowledged is there"; return 1; }
	rounds_met=$((rounds_met + ${met:+1} + 0))
	ok "$what: all that was acknowledged is there"
}

rounds_met=0
