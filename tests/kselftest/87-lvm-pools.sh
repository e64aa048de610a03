#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12 uml
#
# Less usual work with LVM: external origins, metadata that is swapped or
# repaired, backups of the volume group, the smallest and the largest metadata.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lvm-lib.sh"

total_blocks()
{
	dmsetup status "$TPOOL" | cut -d' ' -f5 | cut -d/ -f2
}

modprobe -r dm-thin-pool
must modules_make
must lvm_conf
must lvm_on
must pv_make 1 512 4096
must vg_make t2-pv1

# ---- 2 MiB of metadata ----

check "a pool with 2 MiB of metadata" \
	lvcreate -y --type thin-pool -L 128m -c 64k --poolmetadatasize 2m -n pool $VG
check "a thin volume in it" lvcreate -y --type thin -V 64m --thinpool pool -n thin $VG
check "it can be written" lv thin write 0 16m 1
check "a snapshot" lvcreate -y -s -kn -n snap $VG/thin

# ---- an external origin ----

must lvcreate -y -L 16m -n ext $VG
must lv ext write 0 8m 4
must lvchange -an $VG/ext
must lvchange -pr $VG/ext
check "an external origin" lvcreate -y -s -kn --thinpool $VG/pool -n over $VG/ext
check "it shows" lv over check 0 8m 4
check "and is covered" lv over write 1m 64k 5 check 0 1m 4 check 1m 64k 5 check 1088k 1m 4
must lvchange -ay $VG/ext
check "it is never written" lv ext check 0 8m 4
lvs_are "lvs tells" lv_attr,origin,data_percent "ext ori-a----- - -" "over Vwi-a-tz-- ext 0.39" \
	"pool twi-aotz-- - 12.55" "snap Vwi-a-tz-- thin 25.00" "thin Vwi-a-tz-- - 25.00"
must lvremove -y $VG/over
must lvremove -y $VG/ext

# ---- backups of the volume group ----

must vgcfgbackup -f "$tmp/old" $VG
must lvcreate -y --type thin -V 64m --thinpool pool -n later $VG
must vgcfgbackup -f "$tmp/new" $VG
check "rename" lvrename $VG thin renamed
must vgchange -an $VG
check "a backup is restored" vgcfgrestore --force -f "$tmp/new" $VG
check "it activates" vgchange -ay $VG
check "under the old name" lv thin check 0 16m 1
must vgchange -an $VG
must vgcfgrestore --force -f "$tmp/old" $VG
check_fails "a backup from before a volume is told from the transaction id" \
	"transaction_id is 5, while expected 4" vgchange -ay $VG
must vgchange -an $VG
must vgcfgrestore --force -f "$tmp/new" $VG
check "the newer one fits" vgchange -ay $VG

# ---- other metadata ----

must vgchange -an $VG
must lvcreate -y -L 8m -n meta2 $VG
check "the metadata volume by itself" lvchange -y -ay $VG/pool_tmeta
check "thin2_check of it" thin2_check -q $MAP/$VG-pool_tmeta
must dd if=$MAP/$VG-pool_tmeta of=$MAP/$VG-meta2 bs=1M iflag=direct oflag=direct status=none
must lvchange -an $VG/pool_tmeta $VG/meta2
check "metadata is swapped" lvconvert -y --swapmetadata --poolmetadata $VG/meta2 $VG/pool
check "it activates" vgchange -ay $VG
check_range "and has grown" "$(total_blocks)" 1900 2048
check "data is as it was" lv thin check 0 16m 1
check "in the snapshot, too" lv snap check 0 16m 1
must lvremove -y $VG/meta2

# ---- repair ----

if command -v thin2_repair >/dev/null; then
	read -r pv at <<<"$(dev_of $VG-pool_tmeta)"
	must vgchange -an $VG
	for i in 0 1 511; do
		must dd if=/dev/urandom of="$pv" bs=4k count=1 seek=$((at + i)) oflag=direct status=none
	done
	check_fails "without superblocks it does not activate" "failed" vgchange -ay $VG
	must vgchange -an $VG
	check "lvconvert --repair" lvconvert -y --repair $VG/pool
	check "it activates again" vgchange -ay $VG
	check "data is as it was" lv thin check 0 16m 1
	check "in the snapshot, too" lv snap check 0 16m 1
	must lvremove -y $VG/pool_meta0
else
	skip "lvconvert --repair" "there is no thin2_repair"
fi
must lvremove -y $VG/pool

# ---- as much metadata as LVM makes, on a thin volume of a pool below ----

must pool_make
must thin_make 0 40960
must dm_make t2-pv2 "0 $((40960 * 2048)) linear $MAP/t2-thin0 0"
must vgextend -y $VG $MAP/t2-pv2
check "a pool with 16 GiB of metadata" lvcreate -y --type thin-pool -L 128m -c 64k \
	--config allocation/zero_metadata=0 --poolmetadatasize 16g --poolmetadataspare n \
	-n pool $VG $MAP/t2-pv2
check "a thin volume in it" lvcreate -y --type thin -V 64m --thinpool pool -n thin $VG
check_range "all of it is used" "$(total_blocks)" 4080000 4194304
must lv thin write 0 16m 1
must vgchange -an $VG
check_range "hardly any of it was written" "$(mapped 0)" $((16 * 2048)) $((40 * 2048))
check "it activates" vgchange -ay $VG
check "data is as it was" lv thin check 0 16m 1
check "all is removed" vgremove -y -ff $VG
must remove_dm t2-pv2
end_check
