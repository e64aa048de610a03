#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12 uml
#
# Power fails while LVM makes a snapshot, at a few places of its log. All places of all
# that LVM does: long/40-lvm-cut.sh.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lvm-lib.sh"
. "$(dirname "$0")/lvm-cut.sh"

SEED=${SEED:-$((RANDOM << 15 | RANDOM))}
echo "# SEED=$SEED" >&3

snapshot()
{
	lvcreate -y -s -kn -n new $VG/thin
}

snapshot_is()
{
	thin_is && snap_is && either new lv new check 0 4m 2 check 4m 4m 1
}

hurry
modprobe -r dm-thin-pool
must cut_begin
cut_test "power fails while a snapshot is made" snapshot 4
