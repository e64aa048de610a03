#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: uml-debug
# shellcheck disable=SC2016,SC2086
# timeout: 900
#
# Memory cannot be had, anywhere in what the module calls. First each allocation
# of each message, table load and suspend fails once; then some of all
# fail, in workers too, while thins are written, discarded, flushed and
# snapshotted. Errors are reported, nothing hangs, what was written and flushed is
# there. SEED=n repeats what is done.
. "$(dirname "$0")/lib.sh"

RANDOM=${SEED:=$RANDOM}
say "SEED=$SEED"
debug=/sys/kernel/debug
thin_mib=64
budget=1000000		# faults that may happen, to count them
most=300		# allocations of growing
gave_up=0		# pools, so far

# ---- faults ----

# The module's text: what is called from there may fail.
text_begin()
{
	cat /sys/module/dm_thin_pool2/sections/.text
}

text_size()
{
	readelf -SW "$MODDIR/dm-thin-pool2.ko" |
		sed -n 's/^ *\[ *[0-9]*\] \.text  *PROGBITS  *[0-9a-f]*  *[0-9a-f]*  *\([0-9a-f]*\) .*/0x\1/p'
}

faults_for_module()
{
	local begin size d
	begin=$(text_begin) && size=$(text_size) && [ -n "$size" ] || return
	for d in $debug/failslab $debug/fail_page_alloc; do
		echo "$begin" >$d/require-start &&
			printf '0x%x\n' $((begin + size)) >$d/require-end &&
			echo 32 >$d/stacktrace-depth &&
			echo N >$d/ignore-gfp-wait &&
			echo 0 >$d/verbose &&
			echo 1 >$d/interval &&
			echo 0 >$d/probability &&
			echo $budget >$d/times || return
	done
	echo N >$debug/fail_page_alloc/ignore-gfp-highmem &&
		echo 0 >$debug/fail_page_alloc/min-order
}

# faults PERCENT
faults()
{
	echo "$1" >$debug/failslab/probability
	echo "$1" >$debug/fail_page_alloc/probability
}

# faults_seen: how many there were
faults_seen()
{
	echo $((2 * budget - $(cat $debug/failslab/times) - $(cat $debug/fail_page_alloc/times)))
}

# ---- the pool ----

pool_up()
{
	pool_open && thin_open 0 $thin_mib
}

pool_down()
{
	thins_close && pool_close
}

# If the pool has given up, as it may: the metadata are in order, and it comes back.
# Processes are dear on this kernel.
revive()
{
	local status mode
	[ -e $POOL ] || return 0
	status=$(dmsetup status --noflush t2-pool) || return
	read -r _ _ _ _ _ _ _ mode _ <<<"$status"
	case $mode in
	rw) return ;;
	ro) ;;
	*) echo "the pool is in mode $mode"; return 1 ;;
	esac
	gave_up=$((gave_up + 1))
	dmsetup resume t2-pool && thins_close && pool_close &&
		thin2_check -q --clear-needs-check-flag $META && pool_up
}

# ---- each allocation of one operation, as allocfail does ----

# each WHAT PREPARE BACK COMMAND...: PREPARE, BACK are words for the shell. One that
# fails has changed nothing: it can be done again.
each()
{
	local what=$1 prepare=$2 back=$3 n rc failed=0 borne=0
	shift 3
	for ((n = 1; n <= most; n++)); do
		eval "$prepare" || { not_ok "$what, allocation $n: cannot prepare it"; return 1; }
		rc=0
		failnth $n "$@" || rc=$?
		case $rc in
		0) borne=$((borne + 1)) ;;
		1)
			failed=$((failed + 1))
			if ! { revive && "$@"; }; then
				not_ok "$what, allocation $n fails: it cannot be done again"
				return 1
			fi
			;;
		10) break ;;
		*)
			not_ok "$what, allocation $n: status $rc"
			return 1
			;;
		esac
		if ! eval "$back"; then
			not_ok "$what, allocation $n failed: then '$back' fails"
			return 1
		fi
	done
	say "$what: of $((n - 1)) allocations $failed make it fail, $borne do not; $gave_up pools gave up so far"
	check "$what: the pool goes on" revive
	check_range "$what: each allocation failed once" $n 2 $most
	check "$what: undone" eval "$back"
	check "$what: the data are there" m_verify 0
}

must [ -e $debug/failslab ] && must faults_for_module
setting /proc/sys/kernel/hung_task_timeout_secs 60
at_exit faults 0
data_mib=256
must meta_make
must data_make
check "each allocation of a message, table load and suspend fails once" \
	allocfail $META $DATA || { pool_down; exit 1; }
check "thin2_check finds nothing wrong afterwards" meta_check
must pool_open
must thin_make 0 $thin_mib
for s in 0 1 2 5 7; do
	must m_write 0 $s
done
must msg checkpoint

# Both devices are larger at each attempt.
grow()
{
	data_mib=$((data_mib + 4))
	meta_mib=$((meta_mib + 1))
	dm_reload t2-data "0 $((data_mib * 2048)) linear $VDB 0" &&
		dm_reload t2-meta "0 $((meta_mib * 2048)) linear $VDA 0" &&
		dmsetup reload t2-pool --table "$(pool_table)" && dmsetup suspend t2-pool
}

each "growing" grow '[ "$(total_data)" = $((data_mib * 2048 / block_size)) ]' dmsetup resume t2-pool
must pool_down
must pool_up

# ---- some of all, in workers too ----

# What a slot holds that could not be written is not known: old or new.
slot_write()
{
	seed=$((seed + 1))
	if timeout 300 blkop $MAP/t2-thin0 write $(($1 * slot_kib))k ${slot_kib}k $seed sync; then
		held[0:$1]=$seed
		unknown[$1]=
	else
		errors=$((errors + 1))
		unknown[$1]=yes
	fi
}

slot_discard()
{
	if timeout 300 blkop $MAP/t2-thin0 discard $(($1 * slot_kib))k ${slot_kib}k sync; then
		unset "held[0:$1]"
		unknown[$1]=
	else
		errors=$((errors + 1))
		unknown[$1]=yes
	fi
}

# A snapshot that was not made is not there.
some_snap()
{
	local id=$((100 + RANDOM % 4))
	if ! timeout 300 dmsetup message t2-pool 0 "create_snap $id 0"; then
		timeout 300 dmsetup message t2-pool 0 "delete $id" || errors=$((errors + 1))
	fi
}

round()
{
	local n
	faults $((1 + RANDOM % 20))
	for ((n = 0; n < 20; n++)); do
		case $((RANDOM % 8)) in
		0) slot_discard $((RANDOM % slots)) ;;
		1) some_snap ;;
		2) timeout 300 dmsetup message t2-pool 0 checkpoint || errors=$((errors + 1)) ;;
		*) slot_write $((RANDOM % slots)) ;;
		esac
	done
	faults 0
}

# What is known is there. What is not is written anew.
round_verify()
{
	local s
	for ((s = 0; s < slots; s++)); do
		[ -z "${unknown[$s]}" ] || slot_write $s
	done
	[ -z "${unknown[*]// /}" ] && m_verify 0
}

errors=0
failed=0
gave_up=0
before=$(faults_seen)
unknown=()
for ((s = 0; s < slots; s++)); do
	unknown[s]=
done
for ((r = 1; r <= 12 && !failed; r++)); do
	round
	revive && round_verify || failed=$r
done
seen=$(($(faults_seen) - before))
say "$seen allocations and $errors operations failed, $gave_up pools gave up"
check_is "in no round anything is lost" $failed 0
check "allocations did fail" [ $seen -gt 100 ]
must revive
must pool_down
check "thin2_check finds nothing wrong in between" meta_check
must pool_up
check "the data are there" m_verify 0
end_check
