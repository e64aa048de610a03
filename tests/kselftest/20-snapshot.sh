#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2016
#
# Snapshots: of each other, written to, deleted; what each holds is compared with
# a model.
. "$(dirname "$0")/lib.sh"

mib=8
must pool_make
must thin_make 0 $mib
for s in 0 1 2 3 4 5 6 7; do
	must m_write 0 $s
done
check "origin before" m_verify 0

must m_snap 1 0 $mib
check "a snapshot holds what its origin does" m_verify 0 1
check_is "and takes no data" "$(used_data)" 32
must m_write 0 1
must m_write 0 9
check "the origin changed, the snapshot not" m_verify 0 1
must m_write 1 2
must m_write 1 10
check "the snapshot changed, the origin not" m_verify 0 1
must m_discard 0 3
must m_discard 1 4
check "discards are seen on their side only" m_verify 0 1
check_range "only what differs takes space" "$(used_data)" 46 54

# a chain, one link changed a little at each
last=1
for id in 2 3 4 5 6 7; do
	must m_snap $id $last $mib
	must m_write $last $id
	must m_write $id $((id + 6))
	last=$id
done
check "a chain of snapshots" m_verify 0 1 2 3 4 5 6 7

# several of one origin
for id in 10 11 12; do
	must m_snap $id 0 $mib
	must m_write 0 5
done
check "several snapshots of one origin" m_verify 0 1 10 11 12

# an origin that is not active
must thin_close 3
must msg "create_snap 20 3"
must thin_open 3 $mib
must thin_open 20 $mib
for ((s = 0; s < slots; s++)); do
	[ -z "${held[3:$s]:-}" ] || held[20:$s]=${held[3:$s]}
done
check "a snapshot of an inactive thin" m_verify 3 20

check "small writes to both sides of a snapshot" eval '
	m_snap 21 20 $mib &&
	on 20 bs 4k write 0 256k 900 &&
	on 21 bs 512 write 256k 8k 901 &&
	on 20 check 0 256k 900 check 256k 256k ${held[20:1]} &&
	on 21 check 0 256k ${held[21:0]} check 256k 8k 901'
unset "held[20:0]" "held[21:1]"

# deleting in the middle
for id in 1 4 11; do
	must thin_close $id
	must msg "delete $id"
done
check "others survive deleted snapshots" m_verify 0 2 3 5 6 7 10 12
must m_write 0 0
must m_write 2 0
must m_write 7 15
check "and can be written to" m_verify 0 2 3 5 6 7 10 12

must thins_close
must pool_close
must pool_open
for id in 0 2 3 5 6 7 10 12; do
	must thin_open $id $mib
done
check "all of it after re-opening" m_verify 0 2 3 5 6 7 10 12

for id in 2 3 5 6 7 10 12; do
	must thin_close $id
	must msg "delete $id"
done
for id in 20 21; do
	must msg "delete $id"
done
check "the origin without its snapshots" m_verify 0
check "space of deleted snapshots comes back" wait_for 10 used_data_below 48

# sharing has ended: an overwrite takes no new space
used=$(used_data)
must m_write 0 0
must m_write 0 2
check_is "what is no longer shared is overwritten in place" "$(used_data)" "$used"
check "the origin at the end" m_verify 0
end_check
