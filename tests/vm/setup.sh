#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Installs what building and testing dm-thin2 needs: Debian packages through
# apt, two more kernels into a cache folder outside the checkout
# (${XDG_CACHE_HOME:-~/.cache}/dm-thin2).  The apt configuration of the machine
# is not changed.  What is there already is left alone, so a second run is
# quick.
#
#   setup.sh [base|bench|vm61|vm612|uml|uml-debug|src|deb|lvm|all]...     (default: all)
#
# base   compilers, libraries and tools for the module and userspace
# bench  base, and what the benchmarks use
# vm61   base, and what boots Debian's 6.1 kernel under QEMU
# vm612  vm61, and the 6.12 kernel of the backports
# deb    base, and what builds, looks at and tries Debian packages (not in all)
# lvm    vm612, and what builds LVM with its test suite (not in all)
# src    base, and an unpacked 7.x kernel source (checkpatch)
# uml    src, and a user-mode Linux built from it (about 5 minutes)
# uml-debug  the same with KASAN, lockdep and more (about 10 minutes; not in all)
set -eu

. "$(dirname "$0")/lib.sh"

base_packages='build-essential bc flex bison libelf-dev libssl-dev pahole
	sparse kmod cpio rsync xz-utils libcmocka-dev libexpat1-dev zlib1g-dev
	libdevmapper-dev libaio-dev liburing-dev clang libclang-rt-14-dev
	gnuplot-nox procps shellcheck perl python3-minimal'
bench_packages='valgrind thin-provisioning-tools fio dmsetup linux-perf'
vm61_packages='qemu-system-x86 linux-image-amd64 linux-headers-amd64
	busybox-static fio lvm2 dmsetup thin-provisioning-tools e2fsprogs
	xfsprogs util-linux iproute2 nbd-client nbd-server'

lvm_packages='libblkid-dev'
deb_packages='debhelper dh-dkms dpkg-dev lintian mmdebstrap'

# 7.x source: newest linux-source package of this suite.
source_suite=sid
debian_keys=/usr/share/keyrings/debian-archive-keyring.gpg

# uml_configs uml|uml-debug: what is added to the default configuration
uml_configs()
{
	cat "$TOP/tests/vm/uml.config"
	[ "$1" != uml-debug ] || cat "$TOP/tests/vm/uml-debug.config"
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo -n -- "$@"
	fi
}

retry()
{
	local n
	for n in 1 2 3; do
		"$@" && return 0
		[ "$n" = 3 ] || { say "failed, again in $((n * 5)) s: $*"; sleep $((n * 5)); }
	done
	return 1
}

apt()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq \
		-o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 \
		-o Dpkg::Use-Pty=0 "$@"
}

# missing_packages NAME...: those not installed
missing_packages()
{
	local have p
	have=" $(dpkg-query -W -f='${db:Status-Abbrev}${Package}\n' "$@" \
		2>/dev/null | sed -n 's/^ii *//p' | tr '\n' ' ') "
	for p in "$@"; do
		case $have in
		*" $p "*) ;;
		*) printf '%s ' "$p" ;;
		esac
	done
}

apt_updated=

install_packages()
{
	local need
	need=$(missing_packages "$@")
	[ -n "$need" ] || return 0
	say "installing: $need"
	if [ -z "$apt_updated" ]; then
		retry apt update || die "apt-get update failed: is the package mirror reachable?"
		apt_updated=1
	fi
	# shellcheck disable=SC2086
	retry apt install -y --no-install-recommends $need </dev/null >"$CACHE/apt.log" 2>&1 || {
		tail -n 20 "$CACHE/apt.log" >&2
		die "installing failed (all of it: $CACHE/apt.log): $need"
	}
	[ -z "$(missing_packages "$@")" ] || die "still missing: $(missing_packages "$@")"
}

# suite_apt SUITE TOOL ARGS...: apt-get or apt-cache looking at another suite of
# the machine's own Debian mirror, with lists and caches of its own.
suite_apt()
{
	local suite=$1 tool=$2 dir=$CACHE/apt/$1
	shift 2
	mkdir -p "$dir/lists/partial" "$dir/archives/partial"
	"$tool" -o Dir::Etc::sourcelist="$dir/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null -o Dir::State::Lists="$dir/lists" \
		-o Dir::Cache="$dir" -o APT::Sandbox::User=root -o Acquire::Retries=3 \
		-o Acquire::Languages=none "$@"
}

# suite_update SUITE: writes the source line for it and fetches the lists
suite_update()
{
	local suite=$1 dir=$CACHE/apt/$1 codename uri keyring=
	# shellcheck disable=SC1091
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	[ "$codename" = bookworm ] || die "this needs Debian 12 (bookworm), not '$codename'"
	[ -n "$apt_updated" ] || retry apt update ||
		die "apt-get update failed: is the package mirror reachable?"
	apt_updated=1
	uri=$(debian_mirror)
	mkdir -p "$dir"
	[ ! -e "$debian_keys" ] || keyring="[signed-by=$debian_keys] "
	echo "deb $keyring$uri $suite main" >"$dir/sources.list"
	retry suite_apt "$suite" apt-get -qq update || die "no package lists for $suite"
}

# suite_newest SUITE REGEX: the newest package whose name matches
suite_newest()
{
	suite_apt "$1" apt-cache search --names-only "$2" | awk '{ print $1 }' |
		sort -V | tail -n 1
}

# suite_unpack SUITE FOLDER PACKAGE...
suite_unpack()
{
	local suite=$1 folder=$2 p deb
	shift 2
	for p in "$@"; do
		say "fetching $p from $suite"
		rm -rf "$CACHE/download"
		mkdir -p "$CACHE/download" "$folder"
		(cd "$CACHE/download" && retry suite_apt "$suite" apt-get -qq download "$p") ||
			die "cannot fetch $p"
		for deb in "$CACHE/download"/*.deb; do
			dpkg-deb -x "$deb" "$folder"
		done
		rm -rf "$CACHE/download"
	done
}

stage_base()
{
	# shellcheck disable=SC2086
	install_packages $base_packages
}

have_base()
{
	# shellcheck disable=SC2086
	[ -z "$(missing_packages $base_packages)" ]
}

stage_bench()
{
	# shellcheck disable=SC2086
	install_packages $base_packages $bench_packages
}

have_bench()
{
	# shellcheck disable=SC2086
	[ -z "$(missing_packages $base_packages $bench_packages)" ]
}

stage_deb()
{
	# shellcheck disable=SC2086
	install_packages $base_packages $deb_packages
}

have_deb()
{
	# shellcheck disable=SC2086
	[ -z "$(missing_packages $base_packages $deb_packages)" ]
}

stage_lvm()
{
	stage_vm612
	# shellcheck disable=SC2086
	install_packages $lvm_packages
}

have_lvm()
{
	# shellcheck disable=SC2086
	have_vm612 && [ -z "$(missing_packages $lvm_packages)" ]
}

stage_vm61()
{
	# shellcheck disable=SC2086
	install_packages $base_packages $vm61_packages
	k_release 6.1 >/dev/null || die "no 6.1 kernel with matching headers after installing"
}

have_vm61()
{
	# shellcheck disable=SC2086
	[ -z "$(missing_packages $base_packages $vm61_packages)" ] &&
		k_release 6.1 >/dev/null
}

stage_vm612()
{
	local image r dir=$CACHE/k6.12 new=$CACHE/k6.12.new
	stage_vm61
	! have_vm612 || return 0
	suite_update bookworm-backports
	image=$(suite_newest bookworm-backports '^linux-image-6\.12\.[0-9]+\+deb12-amd64$')
	[ -n "$image" ] || die "no 6.12 kernel in bookworm-backports"
	r=${image#linux-image-}
	rm -rf "$new"
	suite_unpack bookworm-backports "$new/root" "$image" "linux-headers-$r" \
		"linux-headers-${r%-amd64}-common" "linux-kbuild-${r%-amd64}"
	# The headers name each other by absolute paths.
	find "$new/root/usr/src" -maxdepth 2 -type f \
		\( -name Makefile -o -name .kernelvariables \) -exec \
		sed -i "s,/usr/src/linux-headers,$dir/root&,g; s,/usr/lib/linux-kbuild,$dir/root&,g" {} +
	depmod -b "$new/root" "$r"
	echo "$r" >"$new/release"
	rm -rf "$dir"
	mv "$new" "$dir"
}

have_vm612()
{
	have_vm61 && k_release 6.12 >/dev/null
}

stage_src()
{
	local pkg dir=$CACHE/src new=$CACHE/src.new
	stage_base
	! have_src || return 0
	suite_update "$source_suite"
	pkg=$(suite_newest "$source_suite" '^linux-source-7\.[0-9]+$')
	[ -n "$pkg" ] || die "no linux-source-7.* in $source_suite"
	rm -rf "$new"
	suite_unpack "$source_suite" "$new/pkg" "$pkg"
	mv "$new/pkg/usr/src/$pkg.tar.xz" "$new/linux.tar.xz"
	rm -rf "$new/pkg"
	mkdir "$new/linux"
	tar -xf "$new/linux.tar.xz" -C "$new/linux" --strip-components=1
	rm "$new/linux.tar.xz"
	make -s -C "$new/linux" kernelversion >"$new/version"
	rm -rf "$dir"
	mv "$new" "$dir"
}

have_src()
{
	have_base && [ -e "$CACHE/src/version" ]
}

# uml_key uml|uml-debug
uml_key()
{
	echo "$(cat "$CACHE/src/version")-$(uml_configs "$1" | sha256sum | cut -c1-12)"
}

# provide_uml uml|uml-debug
provide_uml()
{
	local kind=$1 key dir
	stage_src
	key=$(uml_key "$kind")
	dir=$CACHE/uml/$key
	if [ ! -e "$dir/release" ]; then
		say "building user-mode Linux $key ($kind, 5 to 10 minutes; log: $dir/build.log)"
		rm -rf "$dir"
		mkdir -p "$dir"
		build_uml "$kind" "$dir" >"$dir/build.log" 2>&1 || {
			tail -n 20 "$dir/build.log" >&2
			die "building user-mode Linux failed (log: $dir/build.log)"
		}
	fi
	[ "$(cat "$(uml_key_file "$kind")" 2>/dev/null)" = "$key" ] ||
		echo "$key" >"$(uml_key_file "$kind")"
}

# found_uml uml|uml-debug
found_uml()
{
	have_src && [ "$(cat "$(uml_key_file "$1")" 2>/dev/null)" = "$(uml_key "$1")" ]
}

stage_uml()
{
	provide_uml uml
}

have_uml()
{
	found_uml uml
}

stage_uml-debug()
{
	provide_uml uml-debug
}

have_uml-debug()
{
	found_uml uml-debug
}

stage_all()
{
	stage_vm612
	stage_uml
}

have_all()
{
	have_vm612 && have_uml
}

# Built beside the source, so that the source stays clean: "src" of the result
# is the build tree, fit for external modules.
build_uml()
{
	local kind=$1 dir=$2 um missing
	um="make -C $CACHE/src/linux O=$dir/src ARCH=um"
	mkdir -p "$dir/src"
	$um defconfig || return 1
	uml_configs "$kind" >>"$dir/src/.config"
	$um olddefconfig || return 1
	missing=$(uml_configs "$kind" | grep '^CONFIG_' | grep -vxFf "$dir/src/.config") && {
		echo "the kernel's configuration refused:" "$missing"
		return 1
	}
	$um -j"$(nproc)" || return 1
	$um INSTALL_MOD_PATH="$dir/modules" INSTALL_MOD_STRIP=1 modules_install || return 1
	ln -s src/linux "$dir/linux" || return 1
	$um -s --no-print-directory kernelrelease >"$dir/release.new" || return 1
	mv "$dir/release.new" "$dir/release"
}

unset MAKEFLAGS MFLAGS MAKELEVEL
[ "$(uname -m)" = x86_64 ] || die "only x86_64 is supported"
[ $# -gt 0 ] || set -- all
todo=()
for stage in "$@"; do
	case $stage in
	base | bench | vm61 | vm612 | src | deb | lvm | uml | uml-debug | all) ;;
	*) die "usage: setup.sh [base|bench|vm61|vm612|src|deb|lvm|uml|uml-debug|all]..." ;;
	esac
	"have_$stage" || todo+=("$stage")
done
[ ${#todo[@]} -gt 0 ] || exit 0

mkdir -p "$CACHE/uml"
exec 9>"$CACHE/setup.lock"
flock -n 9 || { say "waiting for another run"; flock -w 3000 9 || die "another run never ended"; }
for stage in "${todo[@]}"; do
	"stage_$stage"
done
