#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.1 uml
#
# Versions 1 and 2 under the same names: one at a time, each refuses the other's
# metadata and says what it found; version 1's pools are there again after
# "thin2-lvm disable".
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lvm-lib.sh"

# The configuration as it is while thin2-lvm has not touched it
conf_sum()
{
	find /etc/lvm /etc/modprobe.d -type f -exec sha256sum {} + | sort | sha256sum
}

rmmod dm_thin_pool 2>/dev/null
modprobe dm-thin-pool || { skip "versions 1 and 2" "no dm-thin-pool"; exit 0; }
must rmmod dm_thin_pool
must modules_make
must lvm_conf
must pv_make 1 128
before=$(conf_sum)

# ---- the modules ----

must modprobe dm-thin-pool
log_from_here
check_fails "version 1 is loaded: the second module is refused" "" insmod "$MODDIR/dm-thin2-compat.ko"
check "the log says why" said "thin2: there is a target thin already: dm-thin-pool excludes"
check "the names are version 1's" eval 'dmsetup targets | grep -qE "^thin-pool +v1"'
must rmmod dm_thin_pool
must insmod "$MODDIR/dm-thin2-compat.ko"
log_from_here
# which modprobe does not always report
modprobe dm-thin-pool
check "the other way round: version 1 is refused" [ ! -e /sys/module/dm_thin_pool ]
check "the log says why, too" said "thin2: dm-thin-pool .version 1. cannot be loaded"
check "the names are version 2's" eval 'dmsetup targets | grep -qE "^thin-pool +v2"'
must rmmod dm_thin2_compat
check "none has them" eval '! dmsetup targets | grep -qE "^thin(-pool)? "'
check "thin-pool2 has stayed" eval 'dmsetup targets | grep -qE "^thin-pool2 "'

# ---- a pool of version 1 ----

must vg_make t2-pv1
must lvcreate -y --type thin-pool -L 32m --poolmetadatasize 4m -n pool $VG
must lvcreate -y --type thin -V 32m --thinpool pool -n old $VG
must lv old write 0 2m 1
check_is "version 1's module is used" "$(dmsetup targets | awk '$1 == "thin-pool" { print substr($2, 1, 2) }')" v1
thin2-lvm enable 2>"$tmp/enable"
check "thin2-lvm enable says that it is in use" grep "dm_thin_pool is loaded and in use" "$tmp/enable"
at_exit thin2-lvm disable
check_fails "status: version 1 is loaded" "version 1" eval 'thin2-lvm status; false'
must vgchange -an $VG
must rmmod dm_thin_pool
log_from_here
check_fails "version 2 does not take its metadata" "Invalid argument" vgchange -ay $VG
check "the log says what it is" said "this is metadata of thin-pool \(version 1\)"
must vgchange -an $VG
check "thin2-lvm disable" thin2-lvm disable
check_is "all is as it was" "$(conf_sum)" "$before"
check "version 1's pool activates" vgchange -ay $VG
check "its data is there" lv old check 0 2m 1
must lvremove -y $VG/pool
must rmmod dm_thin_pool

# ---- a pool of version 2 ----

must thin2-lvm enable
must lvcreate -y --type thin-pool -L 32m --poolmetadatasize 4m -n pool $VG
must lvcreate -y --type thin -V 32m --thinpool pool -n new $VG
must lv new write 0 2m 2
check_is "version 2's module is used" "$(dmsetup targets | awk '$1 == "thin-pool" { print substr($2, 1, 2) }')" v2
thin2-lvm disable 2>"$tmp/disable"
check "thin2-lvm disable says that it is in use" grep "dm_thin2_compat is loaded and in use" "$tmp/disable"
must vgchange -an $VG
must rmmod dm_thin2_compat
# version 1's check would refuse it before its module does
check_fails "version 1 does not take its metadata" "failed" \
	vgchange -ay --config global/thin_check_executable=\"\" $VG
must vgchange -an $VG
rmmod dm_thin_pool
must thin2-lvm enable
check "version 2's pool activates" vgchange -ay $VG
check "its data is there" lv new check 0 2m 2
check "and goes" vgremove -y -ff $VG
