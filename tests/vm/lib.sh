# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
# Shared by the scripts of this folder: where things are, and which kernels
# there are.  To be sourced, by bash.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/dm-thin2

die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

say()
{
	echo "${0##*/}: $*"
}

# A user-mode kernel is known by its version and what its build was asked for.
# uml_key_file uml|uml-debug: where the key of the one in use is
uml_key_file()
{
	case $1 in
	uml) echo "$CACHE/uml/current" ;;
	uml-debug) echo "$CACHE/uml/current-debug" ;;
	esac
}

# k_release KERNEL: prints the release ("uname -r") of 6.1, 6.12, uml or
# uml-debug as it is installed or cached here; fails when it is not.
k_release()
{
	local r=
	case $1 in
	6.1)
		for r in $(cd /boot 2>/dev/null &&
			   printf '%s\n' vmlinuz-6.1.*-amd64 | sort -rV); do
			r=${r#vmlinuz-}
			[ -e "/lib/modules/$r/modules.dep" ] || continue
			[ -d "/usr/src/linux-headers-$r" ] || continue
			echo "$r"
			return 0
		done
		return 1
		;;
	6.12)
		[ -e "$CACHE/k6.12/release" ] && cat "$CACHE/k6.12/release"
		;;
	uml | uml-debug)
		[ -e "$(uml_key_file "$1")" ] && cat "$(uml_dir "$1")/release"
		;;
	*)
		die "unknown kernel '$1' (known: 6.1 6.12 uml uml-debug)"
		;;
	esac
}

# uml_dir uml|uml-debug
uml_dir()
{
	[ -e "$(uml_key_file "$1")" ] && echo "$CACHE/uml/$(cat "$(uml_key_file "$1")")"
}

# k_image KERNEL: the file to boot.
k_image()
{
	case $1 in
	6.1) echo "/boot/vmlinuz-$(k_release 6.1)" ;;
	6.12) echo "$CACHE/k6.12/root/boot/vmlinuz-$(k_release 6.12)" ;;
	uml | uml-debug) echo "$(uml_dir "$1")/linux" ;;
	esac
}

# k_modules KERNEL: the folder a guest needs as /lib/modules/RELEASE.
k_modules()
{
	case $1 in
	6.1) echo "/lib/modules/$(k_release 6.1)" ;;
	6.12) echo "$CACHE/k6.12/root/lib/modules/$(k_release 6.12)" ;;
	uml | uml-debug) echo "$(uml_dir "$1")/modules/lib/modules/$(k_release "$1")" ;;
	esac
}

# k_build KERNEL: the tree to build external modules against.
k_build()
{
	case $1 in
	6.1) echo "/usr/src/linux-headers-$(k_release 6.1)" ;;
	6.12) echo "$CACHE/k6.12/root/usr/src/linux-headers-$(k_release 6.12)" ;;
	uml | uml-debug) echo "$(uml_dir "$1")/src" ;;
	esac
}

# k_stage KERNEL: the stage of setup.sh that provides it.
k_stage()
{
	case $1 in
	6.1) echo vm61 ;;
	6.12) echo vm612 ;;
	uml | uml-debug) echo "$1" ;;
	esac
}

# k_need KERNEL: complains when a kernel is missing.
k_need()
{
	k_release "$1" >/dev/null ||
		die "kernel $1 is not here: run tests/vm/setup.sh $(k_stage "$1")"
}

# debian_mirror: the Debian archive that this machine's own apt uses
debian_mirror()
{
	local codename uri
	# shellcheck disable=SC1091
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	# shellcheck disable=SC2016
	uri=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' \
			'Created-By: Packages' |
		awk -v c="$codename" '$1 == c && $2 == "main" { print $3; exit }')
	[ -n "$uri" ] || die "no '$codename main' among the apt sources of this machine"
	echo "$uri"
}
