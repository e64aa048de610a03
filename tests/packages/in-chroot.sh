#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2016
#
# Inside of a Debian made by check-deb.sh: installs the packages in /debs, looks
# whether they work, removes them and looks whether all is gone.  TAP to stdout.
#
#   in-chroot.sh bookworm|trixie
set -u

exec 3>&1 1>&2
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin
suite=$1
case $suite in
bookworm) want="6.1 6.12" ;;
trixie) want="6.12" ;;
esac
n=0

# check DESCRIPTION COMMAND...
check()
{
	local what=$1 rc=0
	shift
	echo "--- $what: $*"
	"$@" || rc=$?
	n=$((n + 1))
	if [ $rc = 0 ]; then
		echo "ok $n - $what" >&3
	else
		echo "not ok $n - $what ($rc)" >&3
	fi
}

install_all()
{
	apt-get -y --no-install-recommends "$@" install /debs/*.deb
}

installed()
{
	[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1")" = "ii " ]
}

# kernel VERSION: the release of that which has headers here
kernel()
{
	local d
	for d in /lib/modules/"$1".*/build; do
		[ -e "$d" ] || continue
		d=${d#/lib/modules/}
		echo "${d%/build}"
		return
	done
	return 1
}

# module_for VERSION MODULE
module_for()
{
	local k ko
	k=$(kernel "$1") && ko=$(find "/lib/modules/$k/updates" -name "$2.ko*") && [ -n "$ko" ] &&
		[ "$(modinfo -F vermagic "$ko" | cut -d' ' -f1)" = "$k" ] &&
		[ "$(modinfo -k "$k" -n "$2")" = "$ko" ]
}

# Of each program: a version, which is the package's, and a manual page.
programs_work()
{
	local p version rc=0 seen=0
	version=$(dpkg-query -W -f '${Version}' thin2-tools) || return
	for p in $(dpkg -L thin2-tools thin2-lvm | grep '^/usr/sbin/.'); do
		seen=$((seen + 1))
		case $p in
		*/thin2_lvm_tool) ;;
		*/thin2_lvm_*) [ "$($p -V)" = "$version" ] || { echo "$p -V"; rc=1; } ;;
		*) [ "$($p --version)" = "$version" ] || { echo "$p --version"; rc=1; } ;;
		esac
		[ -e "/usr/share/man/man8/${p##*/}.8.gz" ] || { echo "no manual page: $p"; rc=1; }
	done
	[ $rc = 0 ] && [ $seen -ge 18 ]
}

# completes WORD COMMAND...: the last of it is completed to WORD
completes()
{
	local word=$1
	shift
	# shellcheck disable=SC2016
	bash -uc '. "/usr/share/bash-completion/completions/$2"
		word=$1; shift
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_thin2 "$1"
		printf "%s\n" "${COMPREPLY[@]}" | grep -qxF -- "$word"' bash "$word" "$@"
}

etc_state()
{
	(cd /etc && find lvm modprobe.d initramfs-tools -type f -exec sha256sum {} + | sort -k 2)
}

# in_initramfs FILE NAME...: each is a name's end
in_initramfs()
{
	local file=$1 rc=0
	shift
	lsinitramfs "$file" >/tmp/list || return
	for name; do
		grep -qE "$name\$" /tmp/list || { echo "not there: $name"; rc=1; }
	done
	return $rc
}

# The programs there have what they need: they run.
initramfs_runs()
{
	rm -rf /tmp/initramfs
	unmkinitramfs "$1" /tmp/initramfs || return
	local main=/tmp/initramfs
	[ ! -d $main/main ] || main=$main/main
	for p in thin2_check thin2_lvm_check; do
		[ "$(chroot $main /usr/sbin/$p -V)" = "$(thin2_check -V)" ] || return
	done
	[ "$(chroot $main /sbin/modprobe -S "$2" -n -R dm-thin-pool)" = dm_thin2_compat ] || {
		chroot $main /sbin/modprobe -S "$2" -n -v -R dm-thin-pool
		return 1
	}
}

nothing_left()
{
	local left
	left=$(find / -xdev \( -path /proc -o -path /debs -o -path /tmp -o -path /var/log -o -path /dev \) -prune -o \
		\( -name '*thin2*' -o -name 'dm-thin-pool2*' \) -print)
	[ -z "$left" ] || { echo "left: $left"; return 1; }
}

before=$(etc_state)
check "install" install_all
for p in dm-thin2-dkms thin2-tools thin2-lvm; do
	check "$p is installed" installed $p
done
for v in $want; do
	check "dm-thin-pool2 for $v" module_for "$v" dm-thin-pool2
	check "dm-thin2-compat for $v" module_for "$v" dm-thin2-compat
done
check "each program has its version and a manual page" programs_work
check "an option is completed" completes --clear-needs-check-flag thin2_check --cl
check "a verb is completed" completes enable thin2-lvm en
check "a value is completed" completes human_readable thin2_dump -f hu
if udevadm verify --help >/dev/null 2>&1; then
	check "the udev rule is valid" udevadm verify /usr/lib/udev/rules.d/56-thin2.rules
fi
check "installing changes nothing below /etc" [ "$before" = "$(etc_state)" ]
check "LVM is as it was" eval 'thin2-lvm status; [ $? = 1 ]'

check "thin2-lvm enable" thin2-lvm --force enable
check "thin2-lvm says so" thin2-lvm status
if [ -e /boot/vmlinuz-"$(kernel 6.1)" ]; then
	k=$(kernel 6.1)
	check "update-initramfs" update-initramfs -u -k "$k"
	check "it has modules, check and alias" in_initramfs "/boot/initrd.img-$k" \
		dm-thin-pool2.ko dm-thin2-compat.ko sbin/thin2_check sbin/thin2_lvm_check \
		modprobe.d/thin2-lvm.conf lvm/lvmlocal.conf
	check "they work in there" initramfs_runs "/boot/initrd.img-$k" "$k"
fi
check "install again" install_all --reinstall
check "it is still enabled" thin2-lvm status

# A kernel that comes later.
v=${want##* }
k=$(kernel "$v")
check "the module is taken away" dkms uninstall -m dm-thin2 -v "$(thin2_check -V)" -k "$k"
check "and what was built" dkms unbuild -m dm-thin2 -v "$(thin2_check -V)" -k "$k"
check "it is not there" eval '! module_for "$v" dm-thin-pool2'
check "it is built when headers come" /etc/kernel/header_postinst.d/dkms "$k"
check "it is there" module_for "$v" dm-thin-pool2

check "remove thin2-lvm" apt-get -y remove thin2-lvm
check "LVM's configuration is as it was" [ "$before" = "$(etc_state)" ]
check "remove the rest" apt-get -y purge thin2-tools dm-thin2-dkms
check "nothing is left" nothing_left
echo "1..$n" >&3
