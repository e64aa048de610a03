#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 600
#
# LVM's pools on raid1, on dm-crypt and on dm-cache, and dmeventd, which extends a pool
# before it is full.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lvm-lib.sh"

# size of the pool's data in MiB
pool_mib()
{
	echo $(($(dmsetup table "$TPOOL" | cut -d' ' -f2) / 2048))
}

pool_is_larger()
{
	[ "$(pool_mib)" -gt "$1" ]
}

dmeventd_ends()
{
	local pid
	pid=$(cat /run/dmeventd.pid) || return
	kill "$pid"
	wait_for 10 eval "! kill -0 $pid 2>/dev/null"
}

modprobe -r dm-thin-pool
# what modules_make hides
have_raid=
modprobe -q -a dm-raid raid1 && have_raid=1
have_crypt=
modprobe -q -a dm-crypt xts && have_crypt=1
have_cache=
modprobe -q -a dm-cache dm-cache-smq && have_cache=1
must modules_make
must lvm_conf
must lvm_on
must pv_make 1 256
must pv_make 2 256 256

# ---- autoextend ----

must vg_make t2-pv1 t2-pv2
must lvm_conf activation/monitoring=1 activation/thin_pool_autoextend_threshold=70 \
	activation/thin_pool_autoextend_percent=50
check "a pool that is monitored" lvcreate -y --type thin-pool -L 64m --poolmetadatasize 2m -n pool $VG
at_exit dmeventd_ends
must lvcreate -y --type thin -V 128m --thinpool pool -n thin $VG
check_is "lvs says so" "$(lvs --noheadings -o seg_monitor $VG/pool | tr -d ' ')" monitored
must lv thin write 0 32m 1
check_is "half full: as large as before" "$(pool_mib)" 64
must lv thin write 32m 16m 2
check "three quarters full: dmeventd extends it" wait_for 30 pool_is_larger 64
check_is "by half" "$(pool_mib)" 96
check "data is as it was" lv thin check 0 32m 1 check 32m 16m 2
check "more can be written" lv thin write 48m 32m 3 check 48m 32m 3
check "and again" wait_for 30 pool_is_larger 96
must lvremove -y $VG/pool
check "dmeventd ends" dmeventd_ends
no_longer dmeventd_ends
must lvm_conf

# ---- on raid1 ----

if [ -n "$have_raid" ]; then
	must lvcreate -y --type raid1 -m 1 --nosync -L 64m -n pool $VG
	must lvcreate -y --type raid1 -m 1 --nosync -L 4m -n meta $VG
	check "raid1 becomes a pool" lvconvert -y --type thin-pool --poolmetadata meta $VG/pool
	check "a thin volume" lvcreate -y --type thin -V 64m --thinpool pool -n thin $VG
	must lv thin write 0 8m 1
	must lvcreate -y -s -kn -n snap $VG/thin
	must dm_reload t2-pv2 "0 $((256 * 2048)) error"
	check "one disk fails: it can be written" lv thin write 4m 8m 2
	check "and read" lv thin check 0 4m 1 check 4m 8m 2
	check "the snapshot, too" lv snap check 0 8m 1
	must dm_reload t2-pv2 "0 $((256 * 2048)) linear $VDB $((256 * 2048))"
	check "the disk is back: all is removed" lvremove -y $VG/pool
else
	skip "a pool on raid1" "no dm-raid"
fi

# ---- on dm-cache ----

if [ -n "$have_cache" ]; then
	must lvcreate -y --type thin-pool -L 64m --poolmetadatasize 2m -n pool $VG $MAP/t2-pv1
	must lvcreate -y --type thin -V 64m --thinpool pool -n thin $VG
	must lv thin write 0 8m 1
	must lvcreate -y -L 16m -n fast $VG $MAP/t2-pv2
	check "the data of a pool in use get a cache" \
		lvconvert -y --type cache --cachemode writeback --cachevol fast $VG/pool
	check_is "below the pool" "$(dmsetup table $VG-pool_tdata | cut -d' ' -f3)" cache
	check "write and read" lv thin check 0 8m 1 write 4m 8m 2 check 4m 8m 2
	must lvcreate -y -s -kn -n snap $VG/thin
	check "discard" lv thin discard 0 2m zero 0 2m check 2m 2m 1
	must vgchange -an $VG
	check "it activates" vgchange -ay $VG
	check "data is as it was" lv thin zero 0 2m check 2m 2m 1 check 4m 8m 2
	check "the cache is taken away" lvconvert -y --uncache $VG/pool
	check_is "the pool is on the disk" "$(dmsetup table $VG-pool_tdata | cut -d' ' -f3)" linear
	check "data is as it was without it" lv thin zero 0 2m check 2m 2m 1 check 4m 8m 2
	must lvchange -ay $VG/snap
	check "in the snapshot, too" lv snap check 0 4m 1 check 4m 8m 2
	check "all is removed" lvremove -y $VG/pool
else
	skip "a pool on dm-cache" "no dm-cache"
fi

# ---- on dm-crypt ----

if [ -n "$have_crypt" ]; then
	key=$(head -c 64 /dev/urandom | od -An -v -tx1 | tr -d ' \n')
	must dm_make t2-pv3 "0 $((256 * 2048)) crypt aes-xts-plain64 $key 0 $VDB $((512 * 2048)) 1 allow_discards"
	must dd if=/dev/zero of=$MAP/t2-pv3 bs=64k count=1 oflag=direct status=none
	must vgextend -y $VG $MAP/t2-pv3
	check "a pool on dm-crypt" lvcreate -y --type thin-pool -L 64m --poolmetadatasize 2m -n pool \
		$VG $MAP/t2-pv3
	check "a thin volume" lvcreate -y --type thin -V 64m --thinpool pool -n thin $VG
	check "write and read" lv thin write 0 8m 1 check 0 8m 1 zero 8m 8m
	used=$(pool_used)
	check "discards" lv thin discard 0 4m zero 0 4m check 4m 4m 1
	check_is "free space" "$(pool_used)" $((used - 64))
	must vgchange -an $VG
	check "it activates" vgchange -ay $VG
	check "data is as it was" lv thin zero 0 4m check 4m 4m 1
	must vgremove -y -ff $VG
	must remove_dm t2-pv3
else
	skip "a pool on dm-crypt" "no dm-crypt"
fi
