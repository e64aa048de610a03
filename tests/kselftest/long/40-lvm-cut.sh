#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12
# timeout: 7000
#
# Power fails in the middle of all that LVM does with thin volumes, at COUNT places of
# each (the default is all of them). See lvm-cut.sh.
#
# VERSION=1 does it with the kernel's dm-thin-pool, to compare. WHAT="..." names some.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lvm-lib.sh"
. "$(dirname "$0")/../lvm-cut.sh"

SEED=${SEED:-$((RANDOM << 15 | RANDOM))}
COUNT=${COUNT:-1000}
echo "# SEED=$SEED" >&3

both_are()
{
	thin_is && snap_is
}

# ---- volumes ----

create()
{
	lvcreate -y --type thin -V 32m --thinpool pool -n new $VG && lv new write 0 1m 5 sync
}

# zeroes, or what was written in the end
create_is()
{
	both_are && either new eval "lv new check 0 1m 5 || lv new zero 64k 64k"
}

snapshot()
{
	lvcreate -y -s -kn -n new $VG/thin
}

snapshot_is()
{
	both_are && either new lv new check 0 4m 2 check 4m 4m 1
}

remove()
{
	lvremove -y $VG/snap
}

remove_is()
{
	thin_is && either snap snap_is
}

merge()
{
	lvconvert -y --merge $VG/snap && lvchange -ay $VG/thin
}

# before it, or after
merge_is()
{
	if [ -e $MAP/$VG-snap ]; then
		both_are
	else
		lv thin check 0 8m 1
	fi
}

rename()
{
	lvrename $VG thin new && lvrename $VG pool pool2 && lvrename $VG pool2 pool
}

rename_is()
{
	snap_is && if [ -e $MAP/$VG-new ]; then
		lv new check 0 4m 2 check 4m 4m 1
	else
		thin_is
	fi
}

# the pool may have its other name: back
rename_activate()
{
	{ ! lvs $VG/pool2 || lvrename $VG pool2 pool; } && cut_activate
}

restore_before()
{
	vgcfgbackup -f "$tmp/backup" $VG && lvrename $VG thin new && vgchange -an $VG
}

restore()
{
	vgcfgrestore --force -f "$tmp/backup" $VG && vgchange -ay $VG
}

restore_is()
{
	rename_is
}

# ---- the pool ----

extend()
{
	lvextend -L +8m $VG/pool
}

extend_is()
{
	both_are
}

extend_metadata()
{
	lvextend --poolmetadatasize +2m $VG/pool
}

extend_metadata_is()
{
	both_are
}

discards()
{
	lvchange --discards nopassdown --errorwhenfull y $VG/pool
}

discards_is()
{
	both_are
}

# nobody may have a volume open
again_before()
{
	cut_writer=
}

again()
{
	vgchange -an $VG && vgchange -ay $VG && lv thin write 8m 1m 6 sync
}

again_is()
{
	both_are
}

pool()
{
	lvcreate -y --type thin-pool -L 8m --poolmetadatasize 2m -n pool2 $VG &&
		lvcreate -y --type thin -V 8m --thinpool pool2 -n new $VG
}

# its message is still to be sent to the second pool
pool_activate()
{
	vgchange -ay $VG || late=$((late + 1))
	cut_go_on
}

# what there is of it can be removed, and made again
pool_is()
{
	local lv
	both_are || return
	for lv in pool2 pool2_tdata pool2_tmeta lvol0; do
		! lvs $VG/$lv 2>/dev/null || lvremove -y -ff $VG/$lv || return
	done
	pool
}

# ---- its metadata ----

swap_before()
{
	vgchange -an $VG && lvcreate -y -L 4m -n meta2 $VG && lvchange -y -ay $VG/pool_tmeta &&
		dd if=$MAP/$VG-pool_tmeta of=$MAP/$VG-meta2 bs=1M oflag=direct status=none &&
		lvchange -an $VG/pool_tmeta $VG/meta2
}

swap()
{
	lvconvert -y --swapmetadata --poolmetadata $VG/meta2 $VG/pool && vgchange -ay $VG
}

swap_is()
{
	both_are
}

# Two of three superblocks are no longer any; of v1, what comes after the only one. With
# all three the transaction id is lost, too: LVM then activates, and makes nothing new.
repair_before()
{
	local pv at i
	vgchange -an $VG && lvchange -y -ay $VG/pool_tmeta &&
		read -r pv at <<<"$(dev_of $VG-pool_tmeta)" && lvchange -an $VG/pool_tmeta || return
	for i in 0 1; do
		[ "$VERSION" != 1 ] || [ $i = 1 ] || continue
		dd if=/dev/urandom of="$pv" bs=4k count=1 seek=$((at + i)) oflag=direct status=none || return
	done
}

repair()
{
	lvconvert -y --repair $VG/pool && vgchange -ay $VG
}

# not repaired yet: it can be
repair_activate()
{
	vgchange -ay $VG || {
		vgchange -an $VG
		lvconvert -y --repair $VG/pool && vgchange -ay $VG
	} && cut_go_on
}

repair_is()
{
	both_are
}

hurry
modprobe -r dm-thin-pool
must cut_begin
for what in ${WHAT:-create snapshot remove merge rename restore extend extend_metadata discards again \
		pool swap repair}; do
	cut_test "power fails in: $what" "$what" "$COUNT"
done
