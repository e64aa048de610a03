#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Makes the metadata of a pool with one thin of many ranges, each one unit, for
# work-cache.sh, with the core in userspace (genpool.c), unless it is there
# already and the core has not changed:
#
#   cache-image.sh FILE RANGES
set -eu

. "$(cd "$(dirname "$0")" && pwd)/../vm/lib.sh"

image=${1:?which file?}
ranges=${2:?how many ranges?}
bin=$TOP/build/user/bin/bench
log=$TOP/build/bench/cache-image.log

make -C "$TOP/tests" "$bin/genpool" >"$log" 2>&1 || { tail "$log" >&2; die "genpool does not build"; }
of=$(cat "$0" "$bin/genpool" - <<<"$ranges" | sha256sum)
[ ! -e "$image" ] || [ "$(cat "$image.of" 2>/dev/null)" != "$of" ] || exit 0
say "making the metadata of $ranges ranges (two minutes for 10^8, kept)"
rm -f "$image" "$image.of"
"$bin/genpool" -t 1 -n "$ranges" -m $((ranges * 26 / 10000 + 16384)) "$image" scattered |
	tee "$log"
[ "${PIPESTATUS[0]}" = 0 ] || die "no metadata"
echo "$of" >"$image.of"
