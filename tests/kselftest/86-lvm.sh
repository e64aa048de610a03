#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2016
#
# The life of thin volumes under stock LVM.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lvm-lib.sh"

modprobe -r dm-thin-pool
must modules_make
must lvm_conf
must lvm_on
check "nothing is loaded yet" [ ! -e /sys/module/dm_thin2_compat ]
must pv_make 1 512
must pv_make 2 512 512
must vg_make t2-pv1 t2-pv2

# ---- create ----

check "a pool" lvcreate -y --type thin-pool -L 128m -c 64k --poolmetadatasize 4m -n pool $VG
check "LVM's modprobe loaded dm-thin2-compat" [ -e /sys/module/dm_thin2_compat ]
check "a thin volume" lvcreate -y --type thin -V 256m --thinpool pool -n thin $VG
must lv thin write 0 16m 1
check "a snapshot" lvcreate -y -s -kn -n snap $VG/thin
must lv thin write 4m 4m 2
check "the snapshot has what was there" lv snap check 0 16m 1
check "the origin what was written" lv thin check 0 4m 1 check 4m 4m 2 check 8m 8m 1
check "a snapshot of the snapshot" lvcreate -y -s -kn -n snap2 $VG/snap
lvs_are "lvs tells of all that" \
	lv_attr,origin,thin_id,data_percent,transaction_id,discards,chunk_size,lv_health_status \
	"pool twi-aotz-- - - 15.62 3 passdown 0.06 -" \
	"snap Vwi-a-tz-- thin 2 6.25 1 passdown 0 -" \
	"snap2 Vwi-a-tz-- snap 3 6.25 2 passdown 0 -" \
	"thin Vwi-a-tz-- - 1 6.25 0 passdown 0 -"

# ---- grow and shrink ----

check "a larger thin volume" lvextend -L 300m $VG/thin
check_is "its size" "$(blockdev --getsize64 $MAP/$VG-thin)" $((300 << 20))
check "it can be written at its end" lv thin write 299m 1m 3 check 299m 1m 3
check "a smaller one" lvreduce -y -f -L 256m $VG/thin
meta=$(dmsetup status $TPOOL | cut -d' ' -f5 | cut -d/ -f2)
check "more data" lvextend -L 256m $VG/pool
check_is "the pool has it" "$(dmsetup status $TPOOL | cut -d' ' -f6 | cut -d/ -f2)" 4096
check "more metadata" lvextend --poolmetadatasize 12m $VG/pool
# what is left out are fixed blocks, 2 in 1008
check_range "the pool has it, too" "$(dmsetup status $TPOOL | cut -d' ' -f5 | cut -d/ -f2)" \
	$((meta + 2030)) $((meta + 2048))
check "data is as it was" lv thin check 0 4m 1 check 4m 4m 2 check 8m 8m 1

# ---- discards ----

check "--discards nopassdown, --errorwhenfull" \
	lvchange --discards nopassdown --errorwhenfull y $VG/pool
check_is "the table says so" "$(dmsetup table $TPOOL | cut -d' ' -f8-)" \
	"2 no_discard_passdown error_if_no_space "
lvs_are "lvs, too" discards,lv_when_full "pool nopassdown error" \
	"snap nopassdown -" "snap2 nopassdown -" "thin nopassdown -"
check "--discards passdown" lvchange --discards passdown $VG/pool
check_is "the table does not say it" "$(dmsetup table $TPOOL | cut -d' ' -f8-)" "1 error_if_no_space "
before=$(pool_used)
must lv thin discard 4m 4m
check_is "a discard frees" "$(pool_used)" $((before - 64))
check "zeroes there" lv thin zero 4m 4m

# ---- activation, with a check ----

read -r pv at <<<"$(dev_of $VG-pool_tmeta)"
check "all is deactivated" vgchange -an $VG
at=$((at + 511))	# the backup superblock
must dd if="$pv" of="$tmp/good" bs=4k count=1 skip=$at iflag=direct status=none
must dd if=/dev/urandom of="$pv" bs=4k count=1 seek=$at oflag=direct status=none
check_fails "damaged metadata: the check forbids activation" "Check of pool .* failed" \
	vgchange -ay $VG
check "nothing is active" [ ! -e $TPOOL ]
must dd if="$tmp/good" of="$pv" bs=4k count=1 seek=$at oflag=direct status=none
check "mended: it activates" vgchange -ay $VG
check "data is as it was" lv thin check 0 4m 1 zero 4m 4m check 8m 8m 1
check "in the snapshot, too" lv snap check 0 16m 1

# ---- merge, rename, remove ----

must lv snap write 0 1m 8
check "a merge" lvconvert -y --merge $VG/snap2
must lvchange -ay $VG/snap
check "it is what the snapshot was" lv snap check 0 16m 1
must lvcreate -y -s -kn -n snap3 $VG/thin
must lv thin write 0 1m 9
exec 5<$MAP/$VG-thin
check "a merge into what is in use" lvconvert -y --merge $VG/snap3
exec 5<&-
check "has not happened" lv thin check 0 1m 9
must lvchange -an $VG/thin
check "happens on activation" lvchange -ay $VG/thin
check "the origin is what the snapshot was" lv thin check 0 4m 1 zero 4m 4m check 8m 8m 1
check "rename the volume" lvrename $VG thin first
check "rename the pool" lvrename $VG pool pool2
# 12 MiB, and 1 behind the end
lvs_are "names and sharing" pool_lv,origin,data_percent "first pool2 - 5.08" "pool2 - - 6.64" \
	"snap pool2 - 6.25"
check "data is as it was" lv first check 0 4m 1 zero 4m 4m check 8m 8m 1
check "remove the volumes" lvremove -y $VG/first $VG/snap
check "nothing is used" eval 'dmsetup status $VG-pool2-tpool | grep " 0/4096 "'
check "remove the pool: metadata is in order" lvremove -y $VG/pool2
check "no devices are left" eval '! dmsetup ls | grep $VG'
check "remove the volume group" vgremove -y $VG
check "thin2-lvm disable" thin2-lvm disable
check "the module is gone" [ ! -e /sys/module/dm_thin2_compat ]
