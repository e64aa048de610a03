#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12 uml uml-debug
# shellcheck disable=SC2034,SC2086
# timeout: 3600
#
# As 79-faults.sh, ROUNDS (60) times: a device, a kind of fault and a moment by
# chance, also while the pool is being opened. Then both devices at once, and a
# metadata device that loses writes without a word. SEED=n.
. "$(dirname "$0")/../faults.sh"

meta_mib=32
data_mib=256
must fault_setup
kinds=(writes all gone place)
devices=(meta data)
for ((round = 1; round <= ${ROUNDS:-60}; round++)); do
	dev=${devices[RANDOM % 2]}
	kind=${kinds[RANDOM % 4]}
	ms=$((RANDOM % 1500))
	secs=10
	[ $((RANDOM % 6)) != 0 ] || ms=-$((1 + ms / 10))
	[ $kind != place ] || secs=3
	fault_round "$round: $dev, $kind after $ms ms" $dev $kind $ms $secs || exit 1
done
check "half of the faults were met" [ $((rounds_met * 2)) -ge $((round - 1)) ]

# ---- both at once ----

dmesg -C
must start_work
must wait_for 30 works
sleep 0.4
must both_to error
check "both devices are gone: the work ends" end_work 10
must both_to linear
check "all of it closes" close_all
check "thin2_check finds nothing wrong" in_order
check "all that was acknowledged is there" look

# ---- a device that lies ----

# What was acknowledged cannot be there. The pool comes up, or says why not.
refused_or_up()
{
	local rc=0
	dmesg -C
	timeout 60 dmsetup create t2-pool --table "$(pool_table)" || rc=$?
	dmesg
	[ $rc != 124 ] || return
	[ $rc = 0 ] || dmesg | grep -q 'cannot open the metadata'
}

for kind in meta data; do
	must start_work
	must wait_for 30 works
	sleep 0.3
	must fault $kind drop
	sleep 0.5
	check "$kind drops writes: the work ends" end_work 0
	must well $kind
	check "all of it closes" close_all
	thin2_check $META
	check "the pool is refused with a reason, or comes up" refused_or_up
	check "and closes" close_all
	must dd if=/dev/zero of=$META bs=4k count=1 oflag=direct status=none
	rm -f "$tmp/state"
	: >"$tmp/acks"
done
