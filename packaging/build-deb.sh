#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Builds the Debian packages from a copy of this tree, into build/deb, and has
# lintian look at them.  Needs no root.
set -eu

. "$(dirname "$0")/../tests/vm/lib.sh"

unset MAKEFLAGS MFLAGS MAKELEVEL
export LC_ALL=C.UTF-8
out=$TOP/build/deb
version=$(dpkg-parsechangelog -l "$TOP/packaging/debian/changelog" -S Version)
tools=$(sed -n 's/^#define TOOL_VERSION[[:space:]]*"\(.*\)"$/\1/p' "$TOP/tools/common.h")
[ "$version" = "$tools" ] || die "debian/changelog says $version, tools/common.h $tools"

mkdir -p "$out"
exec 9>"$TOP/build/deb.lock"
flock 9
rm -rf "$out"
src=$out/dm-thin2-$version
mkdir -p "$src"
(cd "$TOP" && tar -c --exclude=./build --exclude=./.git --exclude='*.o' .) | tar -x -C "$src"
cp -r "$src/packaging/debian" "$src/debian"

log=$out/build.log
say "dm-thin2 $version (log: $log)"
(cd "$src" && dpkg-buildpackage -b -us -uc -j"$(nproc)") >"$log" 2>&1 || {
	tail -n 40 "$log" >&2
	die "dpkg-buildpackage failed (all of it: $log)"
}
rm -rf "$src"
lintian --fail-on error,warning --info "$out"/*.changes || die "lintian complains"
ls "$out"/*.deb
