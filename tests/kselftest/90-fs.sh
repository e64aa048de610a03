#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2086,SC2094
#
# File systems: make, fill, snapshot, trim, check.
. "$(dirname "$0")/lib.sh"

mount_at()
{
	mkdir -p "$2" && mount "${@:3}" "$1" "$2" && at_exit "umount_at $2"
}

umount_at()
{
	umount "$1" && no_longer "umount_at $1"
}

# files FOLDER: a small tree with a checksum
files()
{
	cp -r /usr/share/doc/b* "$1" 2>/dev/null
	dd if=/dev/urandom of="$1/random" bs=1M count=8 status=none
	(cd "$1" && find . -type f ! -name sums -print0 | sort -z | xargs -0 md5sum >sums)
	sync -f "$1"
}

check_files()
{
	(cd "$1" && md5sum --quiet -c sums)
}

must pool_make
id=0
for fs in ext4 xfs; do
	modprobe $fs || { skip "$fs" "no module"; continue; }
	id=$((id + 10))
	dev=$MAP/t2-thin$id
	copy=$MAP/t2-thin$((id + 1))
	must thin_make $id 1024
	check "mkfs.$fs" mkfs.$fs -q $dev
	must mount_at $dev $tmp/a
	mkdir $tmp/a/one
	check "$fs: fill it" files $tmp/a/one
	check "$fs: snapshot while it is mounted" snap $((id + 1)) $id
	must thin_open $((id + 1)) 1024
	rm -r $tmp/a/one
	mkdir $tmp/a/two
	check "$fs: change it" files $tmp/a/two
	opts=()
	[ $fs != xfs ] || opts=(-o nouuid)
	check "$fs: mount the snapshot" mount_at $copy $tmp/b "${opts[@]}"
	check "$fs: the snapshot has its files" check_files $tmp/b/one
	check "$fs: and no others" test ! -e $tmp/b/two
	mkdir $tmp/b/three
	check "$fs: write to the snapshot" files $tmp/b/three
	check "$fs: the origin has its files" check_files $tmp/a/two
	must umount_at $tmp/b
	used=$(used_data)
	must thin_close $((id + 1))
	must msg "delete $((id + 1))"
	rm -r $tmp/a/two
	check "$fs: fstrim" fstrim $tmp/a
	check "$fs: trimmed space comes back" wait_for 10 used_data_below $((used - 128))
	must umount_at $tmp/a
	if [ $fs = ext4 ]; then
		check "e2fsck" e2fsck -fn $dev
	else
		check "xfs_repair" xfs_repair -n $dev
	fi
done
end_check
