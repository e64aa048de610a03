#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12 uml uml-debug
# shellcheck disable=SC2034,SC2086
#
# Metadata and data devices that fail under a pool at work: nothing hangs, the pool
# says what happened, and once they are well again all that was acknowledged is
# there. long/20-faults.sh does more of it. SEED=n repeats the faults and their
# moments, as far as the machine does.
. "$(dirname "$0")/faults.sh"

meta_mib=32
data_mib=256
must fault_setup
must start_work
must wait_for 30 works
sleep 0.3
must end_work 0
must close_all
check "without a fault all is there" look

fault_round "metadata: writes fail" meta writes $((RANDOM % 500)) 10
fault_round "data: writes fail" data writes $((RANDOM % 500)) 10
fault_round "metadata: gone" meta gone $((RANDOM % 500)) 10
fault_round "data: a piece fails" data place $((RANDOM % 300)) 2
check "three devices failed while they were in use" [ $rounds_met -ge 3 ]
