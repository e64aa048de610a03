#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Makes the metadata of a large pool with the core in userspace, as a crash
# leaves it, unless it is there already and the core has not changed:
#
#   image.sh FILE
#
#   thin 0	1 TiB, mapped in one sequence
#   thin 1	10,000,000 ranges of one unit, every second unit, written in random
#		order within each 500,000; besides, not merged but in the journal,
#		2^19 - 2^16 ranges spread over all of them: as many as a pool keeps,
#		but for room for writes while it merges them
#   thin 2	empty
set -eu

. "$(cd "$(dirname "$0")" && pwd)/../vm/lib.sh"

image=${1:?which file?}
tib=$((1 << 28))	# units
ranges=10000000
part=500000
dirty=$(((1 << 19) - (1 << 16)))
bin=$TOP/build/user/bin/tools-opt/mkpool
log=$TOP/build/bench/image.log

make -C "$TOP/tests" "$bin" >"$log" 2>&1 || { tail "$log" >&2; die "mkpool does not build"; }
of=$(cat "$0" "$bin" | sha256sum)
[ ! -e "$image.tar" ] || [ "$(cat "$image.of" 2>/dev/null)" != "$of" ] || exit 0
say "making the metadata of $ranges ranges (a minute or two, kept)"
cmds=(create 0 create 1 create 2 write 0 0 "$tib")
for ((i = 0; i < ranges / part; i++)); do
	cmds+=(scatter 1 $((2 * part * i)) "$part" 2 "$i" checkpoint)
done
# With less metadata it would not admit so many records that are not merged.
# Closed in between: mkpool keeps in memory what it has mapped.
rm -f "$image" "$image.tar" "$image.of"
"$bin" "$image" $((2048 << 8)) $((tib + (16 << 20))) "${cmds[@]}" close
"$bin" "$image" 0 $((tib + (16 << 20))) \
	scatter 1 1 $dirty $((2 * ranges / dirty / 2 * 2)) 99 flush abandon
tar -C "$(dirname "$image")" -S -cf "$image.tar" "$(basename "$image")"
rm "$image"
echo "$of" >"$image.of"
