# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2154
# For the tests with LVM, sourced after lib.sh: stock lvm2 on dm-thin2-compat.
# The volume group is t2vg, on physical volumes t2-pv<N>.
#
# The guest has its own copies of /etc and /lib/modules, to be changed as on a
# real machine; what LVM needs where there is no udev is added to lvm.conf.

export LVM_SUPPRESS_FD_WARNINGS=1
VG=t2vg
TPOOL=$MAP/$VG-pool-tpool

# lvm_conf [SETTING...]: settings of the form section/key=value besides. The rest
# is as installed, without the comments, which take longer to read than to
# do anything here.
lvm_conf()
{
	if [ ! -e "$tmp/lvm.conf" ]; then
		cp -p /etc/lvm/lvm.conf "$tmp/lvm.conf" || return
		at_exit cp -p "$tmp/lvm.conf" /etc/lvm/lvm.conf
	fi
	{
		sed '/^[[:space:]]*#/d; /^[[:space:]]*$/d' "$tmp/lvm.conf"
		echo "devices/filter=[\"a|^$MAP/t2-pv|\", \"r|.*|\"]"
		printf '%s\n' devices/use_devicesfile=0 devices/obtain_device_list_from_udev=0 \
			activation/udev_sync=0 activation/udev_rules=0 activation/monitoring=0 \
			backup/backup=0 backup/archive=0 "$@"
	} >/etc/lvm/lvm.conf
}

# modules_make: modprobe finds our modules, and version 1's, and what they need.
# A small folder over the kernel's, as depmod of that takes minutes in an emulated
# machine; made once a boot. What else the kernel has must be loaded before.
modules_make()
{
	local release under base=/run/t2-modules dir f
	release=$(uname -r)
	under=$(readlink -f "/lib/modules/$release")
	dir=$base/lib/modules/$release
	if [ ! -e "$dir/modules.dep" ]; then
		mkdir -p "$dir" || return
		# LVM wants dm-snapshot for snapshots that are thin, too
		for f in $(modprobe -a --show-depends dm-mod dm-bufio dm-thin-pool dm-snapshot |
			   awk '$1 == "insmod" { print $2 }' | sort -u) "$MODDIR"/dm-thin*.ko; do
			cp "$f" "$dir/" || return
		done
		touch "$dir/modules.order" "$dir/modules.builtin" "$dir/modules.builtin.modinfo"
		depmod -b $base "$release" || return
	fi
	mount --bind "$dir" "$under" && at_exit umount "$under"
}

# lvm_on: thin volumes are ours from here on
lvm_on()
{
	thin2-lvm enable || return
	at_exit thin2-lvm disable
}

# pv_make N MIB [START]: of vdb
pv_make()
{
	dm_make "t2-pv$1" "0 $(($2 * 2048)) linear $VDB $((${3:-0} * 2048))" &&
		dd if=/dev/zero of="$MAP/t2-pv$1" bs=64k count=1 oflag=direct status=none
}

vg_gone()
{
	local d
	vgs $VG >/dev/null 2>&1 || return 0
	vgremove -y -ff $VG
	# what LVM could not take away
	for d in $(dmsetup ls | awk -v vg=$VG- 'index($1, vg) == 1 { print $1 }'); do
		dmsetup remove --force --retry "$d"
	done
}

# vg_make PV...: with extents of 1 MiB
vg_make()
{
	pvcreate -y -ff "${@/#/$MAP/}" && vgcreate -s 1m $VG "${@/#/$MAP/}" && at_exit vg_gone
}

# lvs_are DESCRIPTION FIELDS LINE...: what lvs prints, a line for each volume, in
# the order of their names; blanks between the fields, "-" for an empty one
lvs_are()
{
	local what=$1 fields=$2
	shift 2
	check_is "$what" "$(lvs --noheadings --nosuffix --units m --separator '|' -O lv_name \
		-o "lv_name,$fields" $VG | sed 's/^ *//; :a; s/||/|-|/; ta; s/|$/|-/; s/|/ /g')" \
		"$(printf '%s\n' "$@")"
}

# pool_used: blocks of data
pool_used()
{
	dmsetup status "$TPOOL" | cut -d' ' -f6 | cut -d/ -f1
}

# dev_of NAME: the device below a linear one, and where on it, in 4 KiB
dev_of()
{
	local table dev
	read -ra table <<<"$(dmsetup table "$1" | head -n 1)"
	dev=${table[3]}
	echo "$MAP/$(dmsetup info -c --noheadings -o name -j "${dev%:*}" -m "${dev#*:}")" \
		$((table[4] / 8))
}

# lv LV COMMAND...: blkop on it
lv()
{
	local name=$1
	shift
	blkop "$MAP/$VG-$name" "$@"
}

# log_from_here: said() looks at what the kernel says from now on
log_from_here()
{
	dmesg >"$tmp/dmesg"
}

# said TEXT: the kernel did, an extended regular expression
said()
{
	dmesg | tail -n +$(($(wc -l <"$tmp/dmesg") + 1)) | grep -E "$1"
}
