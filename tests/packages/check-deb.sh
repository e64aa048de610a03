#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Installs and removes the packages of build/deb in Debian 12 and Debian 13, each in
# a folder of its own, with the modules built for 6.1 and 6.12 by DKMS.  Needs root
# and the machine's own Debian mirror; the bases are kept in the cache folder.
#
#   check-deb.sh [bookworm|trixie]...
#   check-deb.sh --base SUITE		makes the base if need be, and prints where it is
#
# Results go to build/deb/SUITE.tap, the last line is "N passed, N failed".
set -eu

. "$(dirname "$0")/../vm/lib.sh"

[ "$(id -u)" = 0 ] || die "this needs root"
[ $# -gt 0 ] || set -- bookworm trixie
"$TOP/tests/vm/setup.sh" vm612 deb

# What they depend on is there before, so that nothing is fetched while it counts.
common=bash,kmod,systemd-sysv,e2fsprogs,dkms,dmsetup,lvm2,initramfs-tools,thin-provisioning-tools,udev,libexpat1,zlib1g
k612=linux-headers-$(k_release 6.12)

# base SUITE: prints the tar file of its base
base()
{
	local suite=$1 mirror key include tar extra=()
	mirror=$(debian_mirror)
	key="[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
	case $suite in
	bookworm)
		include=$common,linux-image-amd64,linux-headers-amd64,$k612
		extra=("deb $key $mirror bookworm-backports main")
		;;
	trixie) include=$common,linux-headers-amd64 ;;
	*) die "unknown suite '$suite' (known: bookworm, trixie)" ;;
	esac
	tar=$CACHE/debian-$suite-$(echo "$include" | sha256sum | cut -c1-12).tar
	if [ ! -e "$tar" ]; then
		say "a base of $suite (log: $tar.log)" >&2
		mmdebstrap --variant=apt --format=tar --include="$include" "$suite" "$tar.new" \
			"deb $key $mirror $suite main" "${extra[@]}" >"$tar.log" 2>&1 || {
			tail -n 20 "$tar.log" >&2
			die "mmdebstrap failed (all of it: $tar.log)"
		}
		mv "$tar.new" "$tar"
	fi
	echo "$tar"
}

if [ "$1" = --base ]; then
	base "$2"
	exit 0
fi
ls "$TOP"/build/deb/*.deb >/dev/null || die "no packages: make deb"
taps=()
for suite in "$@"; do
	tar=$(base "$suite")
	root=$(mktemp -d "$TOP/build/deb/$suite.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf '$root'" EXIT
	tar -xf "$tar" -C "$root"
	mkdir "$root/debs"
	find "$TOP/build/deb" -maxdepth 1 -name "*.deb" ! -name "*-dbgsym_*" -exec cp -t "$root/debs" {} +
	cp "$TOP/tests/packages/in-chroot.sh" "$root/debs/"
	tap=$TOP/build/deb/$suite.tap
	say "$suite (log: ${tap%.tap}.log)"
	# The mounts, and whatever it starts, end with it.
	# shellcheck disable=SC2016
	timeout -k 10 2400 unshare --mount --pid --fork --kill-child sh -euc '
		mount -t proc proc "$1/proc"
		mount -t tmpfs tmpfs "$1/tmp"
		mount --rbind /dev "$1/dev"
		exec chroot "$1" /debs/in-chroot.sh "$2"' sh "$root" "$suite" \
		>"$tap" 2>"${tap%.tap}.log" </dev/null || echo "Bail out! exit status $?" >>"$tap"
	grep '^not ok\|^Bail' "$tap" || true
	rm -rf "$root"
	trap - EXIT
	taps+=("$tap")
done
exec "$TOP/tests/vm/tap-sum.sh" "${taps[@]}"
