#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What boot.sh runs elsewhere:
#
#   install   in a folder that is to become a system: packages, LVM switched over,
#             initramfs, and itself as a service
#   fill      in a test guest: makes the thin volume on /dev/vdb and unpacks $ROOT_TAR
#   service   in the booted system
set -eu

say()
{
	echo "boot-guest: $*"
}

install()
{
	export DEBIAN_FRONTEND=noninteractive
	apt-get -y --no-install-recommends install /root/*.deb
	rm /root/*.deb
	# --force: the running kernel is not one of this system
	thin2-lvm --force enable
	# What LVM runs is told to the console, by a program before it.
	say_check
	echo "/dev/mapper/t2vg-root / ext4 errors=remount-ro 0 1" >/etc/fstab
	echo thin2-boot >/etc/hostname
	printf 'virtio_blk\nvirtio_pci\n' >>/etc/initramfs-tools/modules
	cat >/etc/systemd/system/boot-guest.service <<-END
	[Unit]
	Description=test of a root on a thin volume
	After=multi-user.target
	[Service]
	Type=simple
	ExecStart=/root/boot-guest.sh service
	StandardOutput=journal+console
	StandardError=journal+console
	[Install]
	WantedBy=multi-user.target
	END
	ln -s /etc/systemd/system/boot-guest.service /etc/systemd/system/multi-user.target.wants/
	update-initramfs -u -k all
}

# say_check: the check in the initramfs leaves a trace
say_check()
{
	cat >/usr/share/initramfs-tools/hooks/zz-boot-guest <<-'END'
	#!/bin/sh
	[ "$1" != prereqs ] || { echo thin2 thin2-lvm; exit 0; }
	t=$DESTDIR/usr/sbin
	mv "$t/thin2_check" "$t/thin2_check.real"
	printf '#!/bin/sh\n/usr/sbin/thin2_check.real "$@" || exit\necho "boot-guest: checked" >/dev/kmsg\n' >"$t/thin2_check"
	chmod 755 "$t/thin2_check"
	END
	chmod 755 /usr/share/initramfs-tools/hooks/zz-boot-guest
}

fill()
{
	# lib.sh is a test's: here only the exit status counts
	. "$VM_TOP/tests/kselftest/lib.sh"
	. "$VM_TOP/tests/kselftest/lvm-lib.sh"
	modprobe -a ext4 dm-snapshot
	modules_make
	{
		sed '/^[[:space:]]*#/d; /^[[:space:]]*$/d' /etc/lvm/lvm.conf
		printf '%s\n' 'devices/filter=["a|^/dev/vdb|", "r|.*|"]' devices/use_devicesfile=0 \
			devices/obtain_device_list_from_udev=0 activation/udev_sync=0 \
			activation/udev_rules=0 activation/monitoring=0
	} >/run/lvm.conf
	cp /run/lvm.conf /etc/lvm/lvm.conf
	thin2-lvm enable
	pvcreate -y /dev/vdb
	vgcreate t2vg /dev/vdb
	lvcreate -y --type thin-pool -L 5G --poolmetadatasize 64m -n pool t2vg
	lvcreate -y --type thin -V 8G --thinpool pool -n root t2vg
	mkfs.ext4 -q /dev/mapper/t2vg-root
	mkdir -p /run/system
	mount /dev/mapper/t2vg-root /run/system
	tar -xf "$ROOT_TAR" -C /run/system
	umount /run/system
	vgchange -an t2vg
}

# written, then synced: what the next boot must find
service_write()
{
	mkdir -p /var/lib/boot-guest
	cd /var/lib/boot-guest
	for i in 1 2 3 4 5 6 7 8; do
		head -c 2000000 /dev/urandom >"file-$i"
	done
	sha256sum file-* >sums
	sync
	say synced
	while :; do
		head -c 3000000 /dev/urandom >"more-$((RANDOM % 20))"
		sync -d "more-$((RANDOM % 20))" 2>/dev/null || true
	done
}

# A pool made by hand, whose data device holds what udev knows: the link to that is
# not to lead to the pool.
service_udev()
{
	local m d
	cd /root
	truncate -s 16M meta
	truncate -s 64M data
	mkfs.ext4 -q -L boot-guest-data data
	m=$(losetup -f --show meta)
	d=$(losetup -f --show data)
	dmsetup create handmade --table "0 $(blockdev --getsz "$d") thin-pool2 $m $d 128 0"
	udevadm settle
	udevadm info -q property /dev/mapper/handmade
	! udevadm info -q property /dev/mapper/handmade | grep -q ID_FS_LABEL &&
		[ "$(readlink -f /dev/disk/by-label/boot-guest-data)" = "$d" ] &&
		say "udev leaves the pool alone"
	dmsetup remove handmade
	losetup -d "$m" "$d"
}

service()
{
	# shellcheck disable=SC2046
	set -- $(sed 's/.*boot.run=\([0-9]*\).*/\1/' /proc/cmdline)
	say "root is on $(dmsetup table t2vg-root | cut -d' ' -f3)"
	[ ! -e /sys/module/dm_thin2_compat ] || say "dm-thin2-compat is loaded"
	if [ "$1" = 1 ]; then
		service_write
	else
		(cd /var/lib/boot-guest && sha256sum --quiet -c sums) && say verified
		[ "$1" != 2 ] || service_udev || say "udev: status $?"
		sync
		systemctl poweroff
	fi
}

"$1"
