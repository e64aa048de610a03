#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# First process in a test guest, started with the overlay as root and the
# output folder on /out.  Runs /out/.job (written by run.sh) and always ends in
# poweroff.  Under user-mode Linux it is started on the host's root and makes
# the overlay itself.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LC_ALL=C TERM=dumb

off()
{
	sync
	echo o >/proc/sysrq-trigger
	sleep 60
	poweroff -f
}

trap off EXIT

mount -t proc proc /proc || exit 1

if [ -n "${vm_hostfs_out:-}" ]; then
	# user-mode Linux: "vm_hostfs_out=FOLDER" on the kernel command line
	out=$vm_hostfs_out
	self=$0
	unset vm_hostfs_out
	mount -t tmpfs -o size=75% tmpfs /mnt
	mkdir /mnt/data /mnt/work /mnt/root
	mount -t overlay -o lowerdir=/,upperdir=/mnt/data,workdir=/mnt/work overlay /mnt/root || exit 1
	mkdir -p /mnt/root/out
	mount -t hostfs -o "$out" none /mnt/root/out || exit 1
	mount -t devtmpfs dev /mnt/root/dev
	exec chroot /mnt/root "$self"
	exit 1
fi

mount -t sysfs sys /sys
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
mkdir -p /dev/pts /dev/shm /dev/mapper
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/lvm
ln -sfn /proc/self/fd /dev/fd
ln -sfn /proc/self/fd/0 /dev/stdin
ln -sfn /proc/self/fd/1 /dev/stdout
ln -sfn /proc/self/fd/2 /dev/stderr
ln -sfn /proc/mounts /etc/mtab

# No udev here: device-mapper's tools make their nodes themselves.
export DM_DISABLE_UDEV=1 DM_UDEV_SYNCHRONISATION=0

echo 1 >/proc/sys/kernel/sysrq
echo 7 >/proc/sys/kernel/printk

# shellcheck disable=SC1091
. /out/.env			# MODULES, MODDIR, VM_KERNEL, VM_TIMEOUT, ...

release=$(uname -r)
if [ ! -e "/lib/modules/$release" ]; then
	mkdir -p /lib/modules
	ln -s "$MODULES" "/lib/modules/$release"
fi

# user-mode Linux names its disks otherwise
for d in /dev/ubd[a-z]; do
	[ -b "$d" ] && ln -s "$d" "/dev/vd${d#/dev/ubd}"
done
if [ -e "/lib/modules/$release/kernel/drivers/block/virtio_blk.ko" ] ||
   [ -e "/lib/modules/$release/kernel/drivers/block/virtio_blk.ko.xz" ]; then
	modprobe virtio_blk
fi

# Shortly before the time is up: say where everybody hangs.
(
	exec >/dev/null 2>&1 </dev/null
	sleep $((VM_TIMEOUT > 60 ? VM_TIMEOUT - 20 : VM_TIMEOUT * 2 / 3))
	echo "guest-init: time is nearly up" >/dev/kmsg
	echo w >/proc/sysrq-trigger
	echo l >/proc/sysrq-trigger
) &

cd "$VM_TOP" || exit 1
bash /out/.job </dev/null
rc=$?
dmesg >/out/dmesg.log
echo $rc >/out/.rc
