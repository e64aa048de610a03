# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
# Part of guest.sh: ramdisks, pools and thins of the targets.

# fill DEVICE MIB: a ramdisk gets its pages when they are written first
fill()
{
	dd if=/dev/zero of="$1" bs=1M count="$2" oflag=direct status=none
}

# setup_meta TARGET NAME DEVICE: its metadata device
setup_meta()
{
	dmsetup create "$2" --table "0 $((meta_mib * mib)) linear $3 0"
	meta[$1]=$map/$2
}

# What pools are made with. Discards would free a ramdisk's pages.
features="1 no_discard_passdown"

# What a target has its data on, and its metadata.
declare -A disk=([linear]=/dev/ram0 [v1]=/dev/ram1 [thin2]=/dev/ram2) meta

setup_disks()
{
	modprobe brd rd_nr=6 rd_size=$((data_mib * 1024)) max_part=0
	fill /dev/ram0 "$thin_mib"
	if has v1; then
		modprobe dm-thin-pool
		fill /dev/ram1 "$data_mib"
		fill /dev/ram3 "$meta_mib"
		setup_meta v1 v1-meta /dev/ram3
	fi
	if has thin2; then
		"$VM_TOP/tests/vm/load-module.sh"
		fill /dev/ram2 "$data_mib"
		fill /dev/ram4 "$meta_mib"
		setup_meta thin2 thin2-meta /dev/ram4
	fi
}

# message TARGET MESSAGE...: to its pool
message()
{
	dmop message "$1-pool" "${@:2}" >"$tmp/message"
}

# thin_table TARGET ID MIB: one for linear likewise, which has all data to itself
thin_table()
{
	case $1 in
	linear) echo "0 $(($3 * mib)) linear ${disk[linear]} 0" ;;
	v1) echo "0 $(($3 * mib)) thin $map/v1-pool $2" ;;
	thin2) echo "0 $(($3 * mib)) thin2 $map/thin2-pool $2" ;;
	esac
}

# thin_make TARGET ID: $map/TARGET-ID
thin_make()
{
	[ "$1" = linear ] || message "$1" "create_thin $2"
	dmsetup create "$1-$2" --table "$(thin_table "$1" "$2" "$thin_mib")"
}

# thin_remove TARGET ID
thin_remove()
{
	dmsetup remove "$1-$2"
	[ "$1" = linear ] || message "$1" "delete $2"
}

# pool_make TARGET [MIB]
pool_make()
{
	local type=thin-pool
	[ "$1" != linear ] || return 0
	[ "$1" = v1 ] || type=thin-pool2
	dd if=/dev/zero of="${meta[$1]}" bs=4k count=1 oflag=direct status=none
	dmsetup create "$1-pool" --table "0 $((${2:-$data_mib} * mib)) $type ${meta[$1]} ${disk[$1]} \
		$block 0 $features"
}

pool_remove()
{
	[ "$1" = linear ] || dmsetup remove "$1-pool"
}

# used TARGET: blocks of data in use
used()
{
	local words
	read -r -a words < <(dmsetup status "$1-pool")
	echo "${words[5]%/*}"
}

# small_thins TARGET: eight
small_thins()
{
	local i table tables=''
	[ "$1" = linear ] || message "$1" "create_thin "{10..17}
	for i in {10..17}; do
		table="0 $((64 * mib)) linear ${disk[linear]} $(((i - 10) * 64 * mib))"
		[ "$1" = linear ] || table=$(thin_table "$1" "$i" 64)
		tables="$tables${tables:+;}$1-$i,,,rw,$table"
	done
	dmsetup create --concise "$tables"
}

small_thins_end()
{
	dmsetup remove "$1-"{10..17}
	[ "$1" = linear ] || message "$1" "delete "{10..17}
}
