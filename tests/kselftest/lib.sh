# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2206
# Shared by the scripts of this folder; to be sourced first.  They run as root in
# a guest (tests/vm/guest-tests.sh) with two disks of their own, /dev/vda for
# metadata and /dev/vdb for data, one script after the other.
#
# stdout is TAP; whatever else a script prints goes to stderr, its log.
# Everything made by the functions below is taken away again at the end, in
# reverse order, also of a script that dies.  Names begin with "t2-".
set -u

exec 3>&1 1>&2
export DM_DISABLE_UDEV=1

KTEST=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd "$KTEST/../.." && pwd)
PATH=$TOP/build/tools:$TOP/build/selftest:$PATH

VDA=/dev/vda
VDB=/dev/vdb
MAP=/dev/mapper
META=$MAP/t2-meta
DATA=$MAP/t2-data
POOL=$MAP/t2-pool

# What pool_make uses.
meta_mib=64
data_mib=1024
block_size=128		# sectors
low_water=0
features=()

# ---- TAP ----

tests=0

ok()
{
	tests=$((tests + 1))
	echo "ok $tests - $*" >&3
}

not_ok()
{
	tests=$((tests + 1))
	echo "not ok $tests - $*" >&3
	echo "--- not ok $tests - $*"
	dmsetup status 2>/dev/null | grep '^t2-'
}

skip()
{
	tests=$((tests + 1))
	echo "ok $tests - $1 # SKIP $2" >&3
}

# check DESCRIPTION COMMAND...: passes if the command does
check()
{
	local what=$1 rc=0
	shift
	"$@" || rc=$?
	if [ $rc = 0 ]; then
		ok "$what"
	else
		not_ok "$what"
		echo "    ($rc from: $*)"
		return 1
	fi
}

# check_fails DESCRIPTION TEXT COMMAND...: passes if the command fails and says
# TEXT, an extended regular expression
check_fails()
{
	local what=$1 text=$2 out rc=0
	shift 2
	out=$("$@" 2>&1) || rc=$?
	printf '%s\n' "$out"
	if [ $rc = 0 ]; then
		not_ok "$what: it succeeded"
	elif [[ ! $out =~ $text ]]; then
		not_ok "$what: said '${out##*$'\n'}', not '$text'"
	else
		ok "$what"
	fi
}

# check_is DESCRIPTION FOUND EXPECTED
check_is()
{
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1: '$2', expected '$3'"
	fi
}

# check_range DESCRIPTION FOUND LOWEST HIGHEST
check_range()
{
	if [ "$2" -ge "$3" ] && [ "$2" -le "$4" ]; then
		ok "$1"
	else
		not_ok "$1: $2, expected $3..$4"
	fi
}

# must COMMAND...: what the rest of the script cannot do without
must()
{
	"$@" && return 0
	not_ok "cannot go on without: $*"
	exit 1
}

say()
{
	echo "$*"
	echo "$(basename "$0"): $*" >/dev/kmsg
}

# ---- cleaning up ----

undo=()

at_exit()
{
	undo+=("$*")
}

no_longer()
{
	local i
	for i in "${!undo[@]}"; do
		[ "${undo[$i]}" != "$*" ] || unset "undo[$i]"
	done
}

# remove_dm NAME: "busy" may be somebody who is about to close it
remove_dm()
{
	local n
	for n in 1 2 3 4 5; do
		dmsetup remove "$1" && break
		[ -e "$MAP/$1" ] || break
		sleep 0.$n
	done
	if [ -e "$MAP/$1" ]; then
		return 1
	fi
	no_longer remove_dm "$1"
}

undo_all()
{
	local i keys
	mapfile -t keys < <(printf '%s\n' "${!undo[@]}" | sort -rn)
	for i in "${keys[@]}"; do
		[ -z "$i" ] || eval "${undo[$i]}"
	done
}

finish()
{
	local rc=$?
	set +e
	trap '' TERM
	# shellcheck disable=SC2046
	kill $(jobs -p) 2>/dev/null
	wait
	undo_all
	echo "1..$tests" >&3
	exit $rc
}

trap finish EXIT
trap 'exit 143' TERM

tmp=$(mktemp -d /dev/shm/t2.XXXXXX)
at_exit rm -rf "$tmp"

# setting FILE VALUE: one of the kernel's, for the time of this script
setting()
{
	[ ! -w "$1" ] || { at_exit "echo $(cat "$1") >$1" && echo "$2" >"$1"; }
}

# Devices that come and go wait for RCU a few times each.
hurry()
{
	setting /sys/kernel/rcu_expedited 1
	setting /sys/module/rcutree/parameters/jiffies_till_first_fqs 0
}

# ---- devices ----

sectors()
{
	blockdev --getsz "$1"
}

# dm_make NAME TABLE...: a line for each argument
dm_make()
{
	local name=$1
	shift
	printf '%s\n' "$@" | dmsetup create "$name" || return
	at_exit remove_dm "$name"
}

# dm_reload NAME TABLE...
dm_reload()
{
	local name=$1
	shift
	printf '%s\n' "$@" | dmsetup reload "$name" && dmsetup resume "$name"
}

# write_through NAME: the kernel takes flushes and FUAs for it off
write_through()
{
	echo "write through" >"/sys/block/dm-$(stat -c %Lr "$MAP/$1")/queue/write_cache"
}

# meta_make: an unformatted metadata device, $meta_mib from the start of vda
meta_make()
{
	dm_make t2-meta "0 $((meta_mib * 2048)) linear $VDA 0" &&
		dd if=/dev/zero of=$META bs=4k count=1 oflag=direct status=none
}

# data_make: a data device, $data_mib from the start of vdb.  What older tests
# left there stays: a pool must not show it.
data_make()
{
	dm_make t2-data "0 $((data_mib * 2048)) linear $VDB 0"
}

pool_table()
{
	echo "0 $(sectors $DATA) thin-pool2 $META $DATA $block_size $low_water" \
		"${#features[@]} ${features[*]}"
}

# pool_open: a pool on what t2-meta and t2-data hold
pool_open()
{
	dm_make t2-pool "$(pool_table)"
}

pool_make()
{
	meta_make && data_make && pool_open
}

# v1_pool_make DATA-MIB: one of dm-thin version 1 as t2-v1pool, beside ours on the disks
v1_pool_make()
{
	local n=$(($1 * 2048))
	dm_make t2-v1meta "0 $((64 * 2048)) linear $VDA $((128 * 2048))" &&
		dm_make t2-v1data "0 $n linear $VDB $((3072 * 2048))" &&
		dd if=/dev/zero of=$MAP/t2-v1meta bs=4k count=1 oflag=direct status=none &&
		dm_make t2-v1pool "0 $n thin-pool $MAP/t2-v1meta $MAP/t2-v1data 128 0"
}

pool_close()
{
	remove_dm t2-pool
}

msg()
{
	dmsetup message t2-pool 0 "$@"
}

# both_to TARGET: swap what lies below the pool, while it runs
both_to()
{
	local d t
	for d in meta data; do
		t="0 $(sectors $MAP/t2-$d) $1"
		case $d-$1 in
		meta-linear) t="$t $VDA 0" ;;
		data-linear) t="$t $VDB 0" ;;
		esac
		dmsetup suspend --noflush --nolockfs t2-$d &&
			echo "$t" | dmsetup reload t2-$d &&
			dmsetup resume t2-$d || return
	done
}

# A stop without warning: whatever the pool does from here on fails.
stop()
{
	both_to error
	thins_close
	pool_close
	both_to linear
}

# thin_open ID MIB [ORIGIN]: activate it as t2-thin<ID>
thin_open()
{
	dm_make "t2-thin$1" "0 $(($2 * 2048)) thin2 $POOL $1 ${3:-}"
}

thin_close()
{
	remove_dm "t2-thin$1"
}

# thins_close: all of them
thins_close()
{
	local d rc=0
	for d in "$MAP"/t2-thin*; do
		[ ! -e "$d" ] || remove_dm "${d##*/}" || rc=1
	done
	return $rc
}

# thin_make ID MIB [ORIGIN]
thin_make()
{
	msg "create_thin $1" && thin_open "$@"
}

# snap ID ORIGIN: with the origin suspended, if it is active
snap()
{
	local rc=0 dev=t2-thin$2
	[ -e "$MAP/$dev" ] || dev=
	[ -z "$dev" ] || dmsetup suspend "$dev" || return
	msg "create_snap $1 $2" || rc=$?
	[ -z "$dev" ] || dmsetup resume "$dev" || return
	return $rc
}

# ---- status ----

# status [--noflush]: the pool's fields after the target's name
status()
{
	dmsetup status "$@" t2-pool | cut -d' ' -f4-
}

# used_data, used_meta: blocks
used_data()
{
	status | cut -d' ' -f3 | cut -d/ -f1
}

total_data()
{
	status | cut -d' ' -f3 | cut -d/ -f2
}

used_meta()
{
	status | cut -d' ' -f2 | cut -d/ -f1
}

total_meta()
{
	status | cut -d' ' -f2 | cut -d/ -f2
}

pool_mode()
{
	status --noflush | cut -d' ' -f5
}

# mapped ID: mapped sectors
mapped()
{
	dmsetup status "t2-thin$1" | cut -d' ' -f4
}

# wait_for SECONDS COMMAND...
wait_for()
{
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

mode_is()
{
	[ "$(pool_mode)" = "$1" ]
}

used_data_below()
{
	[ "$(used_data)" -lt "$1" ]
}

# ---- data ----

# on ID COMMAND...: blkop on that thin
on()
{
	local id=$1
	shift
	blkop "$MAP/t2-thin$id" "$@"
}

# fio_job NAME OPTION...: quiet, its words in the log
fio_run()
{
	fio --minimal --output="$tmp/fio.out" --thread "$@" || {
		cat "$tmp/fio.out"
		return 1
	}
}

# ---- the tools ----

# meta_check: thin2_check, on metadata no pool uses
meta_check()
{
	thin2_check -q "$META" || {
		thin2_check "$META"
		return 1
	}
}

# end_check: the last test of most scripts.  Closes the pool.
end_check()
{
	thins_close
	check "the pool closes" pool_close
	if command -v thin2_check >/dev/null; then
		check "thin2_check finds nothing wrong" meta_check
	else
		not_ok "there is no thin2_check"
	fi
}

# ---- a model of what the thins hold, in slots of 256 KiB ----

slot_kib=256
slots=16
declare -A held=()
seed=100

# m_write ID SLOT
m_write()
{
	seed=$((seed + 1))
	on "$1" write "$(($2 * slot_kib))k" "${slot_kib}k" $seed || return
	held[$1:$2]=$seed
}

# m_discard ID SLOT
m_discard()
{
	on "$1" discard "$(($2 * slot_kib))k" "${slot_kib}k" || return
	unset "held[$1:$2]"
}

# m_snap ID ORIGIN MIB: and activate it
m_snap()
{
	local s
	snap "$1" "$2" && thin_open "$1" "$3" || return
	for ((s = 0; s < slots; s++)); do
		[ -z "${held[$2:$s]:-}" ] || held[$1:$s]=${held[$2:$s]}
	done
}

m_forget()
{
	local s
	for ((s = 0; s < slots; s++)); do
		unset "held[$1:$s]"
	done
}

# m_verify ID...
m_verify()
{
	local id s args
	for id in "$@"; do
		args=()
		for ((s = 0; s < slots; s++)); do
			if [ -n "${held[$id:$s]:-}" ]; then
				args+=(check $((s * slot_kib))k ${slot_kib}k "${held[$id:$s]}")
			else
				args+=(zero $((s * slot_kib))k ${slot_kib}k)
			fi
		done
		on "$id" "${args[@]}" || return
	done
}
