#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.1 uml uml-debug
# shellcheck disable=SC2154
#
# Metadata that are damaged in any way, mostly with good crcs (tests/tools/spoil.c):
# whatever they hold, the pool is refused or comes up, I/O ends, good or bad, and
# nothing hangs, warns or crashes.  SEEDS=n tries more, from SEED on.
# timeout: 600
. "$(dirname "$0")/lib.sh"

: "${SEED:=1}" "${SEEDS:=12}"
features=(error_if_no_space)
loaded=0 refused=0 clean=0

# try COMMAND...: its failure is all right, that it does not end is not
try()
{
	timeout -k 5 60 "$@" >/dev/null 2>&1
	case $? in
	124 | 137)
		echo "# does not end: $*"
		bad=1
		;;
	esac
}

# use: what is done with a pool that has come up
use()
{
	local id dev
	for id in 1 2 3 4 9; do
		dev=t2-thin$id
		thin_open $id 20 || continue
		try dd if="$MAP/$dev" of=/dev/null bs=256k iflag=direct conv=noerror
		try blkop "$MAP/$dev" write 0 64k 5 write 1001k 4k 6 write 18m 1m 7
		try blkop "$MAP/$dev" discard 2m 3m
		try blkop "$MAP/$dev" sync
	done
	try dmsetup message t2-pool 0 "create_snap 77 1"
	try dmsetup message t2-pool 0 "create_thin 78"
	[ ! -e "$MAP/t2-thin9" ] || thin_close 9 || bad=1
	try dmsetup message t2-pool 0 "delete 9"
	[ ! -e "$MAP/t2-thin1" ] || thin_close 1 || bad=1
	try dmsetup message t2-pool 0 "get_root 1"
	try dmsetup message t2-pool 0 "delete 1"
	thin_open 77 20 && try blkop "$MAP/t2-thin77" write 3m 512k 8 sync
	try dmsetup status t2-pool
}

# one SEED
one()
{
	local seed=$1 size fine=1
	size=$(spoil "$tmp/image" "$seed") || return 1
	read -r blocks units <<<"$size"
	thin2_check -q "$tmp/image" && fine=0
	dm_make t2-meta "0 $((blocks * 8)) linear $VDA 0" &&
		dm_make t2-data "0 $((units * 8)) linear $VDB 0" &&
		dd if="$tmp/image" of=$META bs=1M oflag=direct conv=fsync status=none || return 1
	bad=0		# or worse
	if timeout -k 5 60 dmsetup create t2-pool --table "$(pool_table)"; then
		at_exit remove_dm t2-pool
		loaded=$((loaded + 1))
		use
		thins_close || bad=1
		pool_close || bad=1
		if [ $fine = 0 ]; then
			clean=$((clean + 1))
			meta_check || bad=1
		fi
	elif [ $fine = 0 ]; then
		echo "# thin2_check finds nothing, and the pool is refused"
		bad=1
	else
		refused=$((refused + 1))
	fi
	remove_dm t2-meta
	remove_dm t2-data
	[ $bad = 0 ]
}

for seed in 0 $(seq "$SEED" $((SEED + SEEDS - 1))); do
	check "image $seed" one "$seed"
done
say "$loaded pools came up ($clean of them in order), $refused were refused"
check "some came up" test $loaded -gt 3
check "some were refused" test $refused -gt 0
