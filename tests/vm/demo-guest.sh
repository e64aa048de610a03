#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest's side of tests/vm/demo.sh: "before" and "after" the power cut.
set -eu

export DM_DISABLE_UDEV=1
META=/dev/vda
DATA=/dev/vdb
TOOLS=$VM_TOP/build/tools
BEFORE=$DEMO/1		# what the first boot left, on the host
MiB=2048		# sectors

step() { echo "   [$(printf %3d $SECONDS) s] $*"; }
fail() { echo "   demo: $*"; exit 1; }
note() { printf '  %-46s %s\n' "$1" "$2" | tee -a /out/summary; }

pool() { dmsetup create pool --table "0 $(blockdev --getsz $DATA) thin-pool2 $META $DATA 128 1000"; }
message() { dmsetup message pool 0 "$1"; }
thin() { dmsetup create "thin$1" --table "0 $((${2:-2048} * MiB)) thin2 /dev/mapper/pool $1"; }
used() { dmsetup status pool | awk '{split($6, d, "/"); printf "%d MiB", d[1] / 16}'; }
used_meta() { dmsetup status pool | awk '{split($5, m, "/"); printf "%d KiB", m[1] * 4}'; }

# sums FOLDER FILE: a checksum for each file below FOLDER
sums() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 md5sum) >"$2"; }

# compare FOLDER FILE: exactly these files with these contents
compare()
{
	sums "$1" /tmp/found
	cmp -s /tmp/found "$2" && return
	diff /tmp/found "$2" | head -5
	fail "$3 differs from what was written"
}

mount_thin() { mkdir -p "/mnt/$1"; mount -o noatime "${@:2}" "/dev/mapper/thin$1" "/mnt/$1"; }

# Every second file gets other contents, every tenth goes, some are new.
change_half()
{
	local n=0 f

	(cd "$1" && find . -type f | sort) >/tmp/files
	while read -r f; do
		n=$((n + 1))
		if [ $((n % 10)) = 0 ]; then
			printf '%s\0' "$f" >>/tmp/gone
		elif [ $((n % 2)) = 0 ]; then
			echo "changed $n" >>"$1/$f"
		elif [ $((n % 50)) = 1 ]; then
			echo "new $n" >"$1/$f.new"
		fi
	done </tmp/files
	(cd "$1" && xargs -0 rm </tmp/gone)
}

before()
{
	local n f

	step "pool and thin volume, ext4"
	pool
	message "create_thin 0"
	thin 0
	mkfs.ext4 -q -E nodiscard /dev/mapper/thin0
	mount_thin 0
	step "unpacking $TREE"
	mkdir /mnt/0/tree
	tar -C /mnt/0/tree -xf "$DEMO/tree.tar"
	sums /mnt/0/tree /out/original
	sync
	note "files copied" "$(wc -l </out/original)"
	note "space used by them" "$(used)"

	step "snapshot, then changing half of the origin"
	message "create_snap 1 0"
	note "space used after the snapshot" "$(used)"
	change_half /mnt/0/tree
	sums /mnt/0/tree /out/changed
	sync
	note "space used after changing half" "$(used)"
	umount /mnt/0
	echo 3 >/proc/sys/vm/drop_caches
	mount_thin 0
	compare /mnt/0/tree /out/changed origin
	thin 1
	mount_thin 1 -o ro
	compare /mnt/1/tree /out/original snapshot
	umount /mnt/1
	dmsetup remove thin1

	step "fio with verify on another thin volume"
	message "create_thin 2"
	thin 2 256
	fio --name=verify --filename=/dev/mapper/thin2 --direct=1 --ioengine=libaio --iodepth=16 \
		--rw=randwrite --bsrange=512-64k --bs_unaligned=0 --blockalign=512 --size=48m \
		--verify=crc32c --verify_fatal=1 --output=/out/fio.log >/dev/null ||
		{ tail -20 /out/fio.log; fail "fio found wrong data"; }
	note "fio verify, 512 bytes to 64 KiB" "clean"

	step "files with fsync, unsynced writes beside them, then the power goes"
	mkdir /mnt/0/synced
	sync
	for ((n = 0; n < 40; n++)); do
		f=/mnt/0/synced/$n
		head -c $((n * 3000 + 1)) /dev/urandom >/tmp/content
		dd if=/tmp/content of=$f bs=64k conv=fsync status=none
		(cd /mnt/0/synced && md5sum $n) >>/out/synced
		head -c 100000 /dev/urandom >/mnt/0/unsynced.$n
	done
	note "files fsynced before the power cut" "$(wc -l </out/synced)"
	echo "demo: power cut now"
	sleep 60
	fail "the power did not go"
}

check_fs()
{
	e2fsck -fn "/dev/mapper/thin$1" >"/out/fsck$1.log" 2>&1 ||
		{ tail "/out/fsck$1.log"; fail "e2fsck of thin $1"; }
}

after()
{
	local root ranges

	step "thin2_check before anything is replayed"
	"$TOOLS/thin2_check" $META >/out/check1.log 2>&1 || { cat /out/check1.log; fail "thin2_check"; }
	note "thin2_check after the power cut" "clean"
	step "pool again: replay; file system journal; fsynced files"
	pool
	thin 0
	thin 1
	mount_thin 0
	(cd /mnt/0/synced && md5sum --quiet -c "$BEFORE/synced") || fail "an fsynced file is lost"
	note "fsynced files found whole" "$(wc -l <"$BEFORE/synced")"
	compare /mnt/0/tree "$BEFORE/changed" origin
	mount_thin 1
	compare /mnt/1/tree "$BEFORE/original" snapshot
	note "origin and snapshot" "each as written"
	umount /mnt/0 /mnt/1
	check_fs 0
	check_fs 1
	note "e2fsck -fn of origin and snapshot" "clean"

	step "dump of the snapshot while the pool is live"
	dmsetup remove thin1
	root=$(message "get_root 1" | cut -d' ' -f1)
	dd if=/dev/zero of=/dev/mapper/thin0 bs=1M count=16 seek=1024 oflag=direct status=none &
	"$TOOLS/thin2_dump" --root "$root" -o /out/snapshot.xml $META || fail "thin2_dump --root $root"
	wait
	message "put_root 1"
	ranges=$(grep -c _mapping /out/snapshot.xml)
	[ "$ranges" -gt 0 ] || fail "the dump holds no mappings"
	note "live dump of the snapshot" "$ranges ranges"

	step "snapshot deleted, pool closed, thin2_check"
	note "space used before deleting the snapshot" "$(used)"
	message "delete 1"
	sleep 1
	note "space used after" "$(used), metadata $(used_meta)"
	dmsetup remove thin0
	dmsetup remove pool
	"$TOOLS/thin2_check" $META >/out/check2.log 2>&1 || { cat /out/check2.log; fail "thin2_check"; }
	note "thin2_check at the end" "clean"
}

"$VM_TOP/tests/vm/load-module.sh"
"$1"
