#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# LVM's own test suite, its scripts with thin volumes: once with the kernel's
# dm-thin-pool and once with dm-thin2-compat, on the same kernel.
#
#   suite.sh [-t SECONDS] [-v v1|v2]... [KERNEL] [SCRIPT...]
#
# KERNEL: 6.12 (the default) or uml. SCRIPT: names in test/shell, without .sh.
# -t is for one script (the default is 900). -v: only that version, else both.
#
# The source of LVM is Debian's, fetched with apt from where this machine has its
# packages from, and built in the cache folder. TAP on stdout: a script is not ok if
# it passes with v1 and does not with v2. NAME.sed beside this tells what a script
# takes for granted that is v1's alone, and changes it for v2. Logs:
# build/lvm-suite/KERNEL-VERSION.
set -eu

. "$(dirname "$0")/../vm/lib.sh"

seconds=900
versions=()
while getopts t:v: o; do
	case $o in
	t) seconds=$OPTARG ;;
	v) versions+=("$OPTARG") ;;
	*) die "usage: suite.sh [-t SECONDS] [-v v1|v2]... [KERNEL] [SCRIPT...]" ;;
	esac
done
shift $((OPTIND - 1))
kernel=${1:-6.12}
[ $# = 0 ] || shift
[ ${#versions[@]} -gt 0 ] || versions=(v1 v2)
case $kernel in
6.12 | uml) k_need "$kernel" ;;
*) die "kernel '$kernel': 6.12 and uml are what it is for" ;;
esac
here=$(dirname "$(realpath "$0")")
base=$CACHE/lvm-suite
out=$TOP/build/lvm-suite

# fetch: Debian's source of the lvm2 that is installed here, with its patches
fetch()
{
	local apt=$base/apt keyring=/usr/share/keyrings/debian-archive-keyring.gpg opts version codename
	# shellcheck disable=SC1091
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	# shellcheck disable=SC2016
	version=$(dpkg-query -W -f '${source:Version}' lvm2)
	[ "$(cat "$base/version" 2>/dev/null)" != "$version" ] || return 0
	say "fetching and building the source of lvm2 $version"
	rm -rf "$base"
	mkdir -p "$apt/lists/partial" "$apt/archives/partial"
	[ ! -e $keyring ] || keyring="signed-by=$keyring"
	echo "deb-src ${keyring:+[$keyring] }$(debian_mirror) $codename main" >"$apt/sources.list"
	opts=(-qq -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
	      -o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt" -o APT::Sandbox::User=root
	      -o Acquire::Retries=3 -o Acquire::Languages=none)
	(cd "$base" && apt-get "${opts[@]}" update && apt-get "${opts[@]}" source "lvm2=$version") \
		>"$base/fetch.log" 2>&1 || die "no source of lvm2 $version (log: $base/fetch.log)"
	mv "$base"/lvm2-*/ "$base/lvm2"
	(build) >"$base/build.log" 2>&1 || {
		tail -n 20 "$base/build.log" >&2
		die "building LVM failed (log: $base/build.log)"
	}
	echo "$version" >"$base/version"
}

# build: as Debian does, where it matters for the tests
build()
{
	cd "$base/lvm2" || return
	./configure --disable-readline --disable-selinux --enable-blkid_wiping \
		--enable-cmdlib --enable-dmeventd --enable-lvmpolld --enable-udev_sync \
		--with-cache=internal --with-default-locking-dir=/run/lock/lvm \
		--with-default-pid-dir=/run --with-default-run-dir=/run/lvm --with-thin=internal \
		--with-thin-check=/usr/sbin/thin_check --with-thin-dump=/usr/sbin/thin_dump \
		--with-thin-repair=/usr/sbin/thin_repair &&
		make -j"$(nproc)" && make -C test
}

# modules: the kernel's, by links, and ours, so that modprobe finds both
modules()
{
	local release dir=$out/modules-$kernel
	release=$(k_release "$kernel")
	rm -rf "$dir"
	mkdir -p "$dir/lib/modules/$release/updates"
	cp -as "$(realpath "$(k_modules "$kernel")")/kernel" "$dir/lib/modules/$release/"
	cp -p "$(k_modules "$kernel")"/modules.{order,builtin,builtin.modinfo} "$dir/lib/modules/$release/"
	cp -p "$TOP/build/module/$kernel"/dm-thin*.ko "$dir/lib/modules/$release/updates/"
	depmod -b "$dir" "$release"
	echo "$dir/lib/modules/$release"
}

# run VERSION: all scripts in one machine
run()
{
	local rc=0
	mkdir -p "$out/$kernel-$1"
	"$TOP/tests/vm/run.sh" -k "$kernel" -m 6G -t $((${#scripts[@]} * seconds)) \
		-e SUITE_MODULES="$modules" -o "$out/$kernel-$1" -- \
		"$here/suite-guest.sh" "$1" "$base/lvm2" "$seconds" "${scripts[@]}" \
		>"$out/$kernel-$1.log" 2>&1 || rc=$?
	echo "# $1: run.sh ended with $rc ($out/$kernel-$1.log)"
	return $rc
}

# result VERSION SCRIPT
result()
{
	awk -v s="$2" '$1 == s { print $2; found = 1 } END { if (!found) print "lost" }' \
		"$out/$kernel-$1/results" 2>/dev/null || echo lost
}

mkdir -p "$base" "$out"
exec 9>"$out/.lock-$kernel"
flock -n 9 || die "another run uses $out"
fetch
if [ $# -gt 0 ]; then
	scripts=("$@")
else
	mapfile -t scripts < <(cd "$base/lvm2/test/shell" && grep -l have_thin ./*.sh | sed 's,^./,,; s,\.sh$,,')
fi
modules=$(modules)
for v in "${versions[@]}"; do
	run "$v" &
done
wait

echo "1..${#scripts[@]}"
n=0
rc=0
for s in "${scripts[@]}"; do
	n=$((n + 1))
	r1=$(result v1 "$s")
	r2=$(result v2 "$s")
	changed=
	[ ! -e "$here/$s.sed" ] || changed=" (changed by $s.sed)"
	case $r1,$r2 in
	*,passed | failed,failed | skipped,skipped | timeout,timeout) ;;
	*)
		printf 'not '
		rc=1
		;;
	esac
	echo "ok $n - $s: v1 $r1, v2 $r2$changed"
done
exit $rc
