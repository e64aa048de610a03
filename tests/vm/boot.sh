#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2317,SC2086
#
# A Debian whose root file system is on a thin volume of LVM, made by dm-thin2, from
# the packages of build/deb: installed into a folder, copied to a disk by a test
# guest, booted under QEMU with its own kernel and initramfs; power is cut while it
# writes; it boots again and has what was synced.  Needs root (to install), takes
# some minutes.  TAP; the last line is "N passed, N failed".
#
#   boot.sh [-k]	-k: keep the disk and the folder, build/boot
set -eu

. "$(dirname "$0")/lib.sh"

keep=
[ "${1:-}" != -k ] || keep=1
[ "$(id -u)" = 0 ] || die "this needs root"
"$TOP/tests/vm/setup.sh" vm61 deb
ls "$TOP"/build/deb/*.deb >/dev/null || die "no packages: make deb"
k_need 6.1
[ -e "$TOP/build/module/6.1/dm-thin-pool2.ko" ] || "$TOP/tests/vm/build-module.sh" 6.1
"$TOP/tests/vm/build-selftest.sh" 6.1
make -s -C "$TOP/tools" all >/dev/null

out=$TOP/build/boot
rm -rf "$out"
mkdir -p "$out"
exec 3>>"$out/boot.tap"
n=0
vm=

ended()
{
	[ -z "$vm" ] || kill -KILL "$vm" 2>/dev/null || true
	[ -n "$keep" ] || rm -rf "$out/root" "$out/disk" "$out/root.tar"
}
trap ended EXIT

# check DESCRIPTION COMMAND...
check()
{
	local what=$1 rc=0
	shift
	"$@" || rc=$?
	n=$((n + 1))
	if [ $rc = 0 ]; then
		echo "ok $n - $what" | tee -a /dev/fd/3
	else
		echo "not ok $n - $what" | tee -a /dev/fd/3
	fi
	return $rc
}

# must DESCRIPTION COMMAND...: the rest cannot do without it
must()
{
	check "$@" || finish
}

finish()
{
	echo "1..$n" >&3
	exec 3>&-
	rc=0
	"$TOP/tests/vm/tap-sum.sh" "$out/boot.tap" || rc=$?
	exit $rc
}

# ---- the system ----

# install_system: root.tar, vmlinuz and initrd in $out
install_system()
{
	local base root=$out/root
	base=$("$TOP/tests/packages/check-deb.sh" --base bookworm) || return
	mkdir -p "$root"
	tar -xf "$base" -C "$root"
	find "$TOP/build/deb" -maxdepth 1 -name "*.deb" ! -name "*-dbgsym_*" -exec cp -t "$root/root" {} +
	cp "$TOP/tests/vm/boot-guest.sh" "$root/root/"
	# shellcheck disable=SC2016
	unshare --mount --pid --fork --kill-child sh -euc '
		mount -t proc proc "$1/proc"
		mount -t tmpfs tmpfs "$1/tmp"
		mount --rbind /dev "$1/dev"
		exec chroot "$1" /root/boot-guest.sh install' sh "$root" \
		>"$out/install.log" 2>&1 </dev/null || return
	cp "$root"/boot/vmlinuz-6.1.* "$out/vmlinuz" && cp "$root"/boot/initrd.img-6.1.* "$out/initrd" &&
		tar -C "$root" --exclude-from=- -cf "$out/root.tar" . <<-END && rm -rf "$root"
		./usr/src
		./usr/lib/gcc
		./usr/include
		./usr/share/doc
		./usr/share/locale
		./usr/share/man
		./usr/lib/modules/*/kernel/drivers/gpu
		./usr/lib/modules/*/kernel/drivers/iio
		./usr/lib/modules/*/kernel/drivers/infiniband
		./usr/lib/modules/*/kernel/drivers/media
		./usr/lib/modules/*/kernel/drivers/net
		./usr/lib/modules/*/kernel/drivers/staging
		./usr/lib/modules/*/kernel/drivers/usb
		./usr/lib/modules/6.12*
		./boot
		./var/cache/apt
		./var/lib/apt/lists
		END
}

# ---- booting ----

# boot SECONDS TEXT: until TEXT is on the console; the machine then goes on, as $vm
boot()
{
	local console=$out/console-$1.log end=$((SECONDS + $2)) text=$3
	qemu-system-x86_64 -accel tcg,thread=multi,tb-size=512 -cpu max -smp 2 -m 1G -nodefaults \
		-display none -serial "file:$console" -no-reboot \
		-kernel "$out/vmlinuz" -initrd "$out/initrd" \
		-append "root=/dev/mapper/t2vg-root ro console=ttyS0 panic=-1 mitigations=off boot.run=$1" \
		-drive "file=$out/disk,format=raw,if=none,id=d0,cache=unsafe,discard=unmap" \
		-device virtio-blk-pci,drive=d0 </dev/null >"$out/qemu.log" 2>&1 3>&- &
	vm=$!
	while [ $SECONDS -lt $end ]; do
		! grep -q "$text" "$console" 2>/dev/null || return 0
		kill -0 $vm 2>/dev/null || break
		sleep 1
	done
	grep -q "$text" "$console" && return 0
	echo "$text did not come; the end of $console:"
	tail -n 30 "$console"
	return 1
}

# off SECONDS: it ends by itself
off()
{
	local end=$((SECONDS + $1))
	while kill -0 "$vm" 2>/dev/null; do
		[ $SECONDS -lt $end ] || return 1
		sleep 1
	done
	vm=
}

power_cut()
{
	kill -KILL "$vm"
	wait "$vm" 2>/dev/null || true
	vm=
}

said()
{
	grep -qE "$2" "$out/console-$1.log"
}

# fill_disk: its log is fill.log
fill_disk()
{
	"$TOP/tests/vm/run.sh" -k 6.1 -t 1200 -m 3G -d "$out/none" -d "$out/disk" -o "$out/fill" \
		-e ROOT_TAR="$out/root.tar" -- "$TOP/tests/vm/boot-guest.sh" fill >"$out/fill.log" 2>&1
}

no_complaints()
{
	! grep -nE 'BUG|WARNING: CPU|Oops|Call Trace|EXT4-fs error|I/O error' "$out"/console-*.log
}

must "the packages are installed, and an initramfs is made" install_system
truncate -s 6G "$out/disk"
truncate -s 64M "$out/none"
mkdir -p "$out/fill"
must "its root file system is put on a thin volume" fill_disk

must "it boots, and writes" boot 1 900 "boot-guest: synced"
check "its root is on a thin volume" said 1 'boot-guest: root is on thin2?.?$' || true
check "dm-thin2-compat made it" said 1 'boot-guest: dm-thin2-compat is loaded' || true
check "the pool was checked when the initramfs activated it" said 1 'boot-guest: checked' || true
sleep 3
check "power is cut while it writes" power_cut || true
must "it boots again, and what was synced is there" boot 2 900 "boot-guest: verified"
must "it shuts down" off 300
check "udev does not look into a pool for what is on its data device" \
	said 2 'boot-guest: udev leaves the pool alone' || true
must "it boots after that" boot 3 900 "boot-guest: verified"
check "and shuts down again" off 300 || true
check "no kernel complains" no_complaints || true
finish
