#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Makes the first inputs of the fuzzers, the same each time: tests/fuzz/corpus.
# What fuzzing found beside these and is worth keeping lies there, too.
set -eu

cd "$(dirname "$0")"
mkdir -p corpus/fuzz_{image,range_node,superblock,counts,details}

# bytes NUMBER...
bytes()
{
	local b
	for b; do
		# shellcheck disable=SC2059
		printf "\\x$(printf %02x $((b & 255)))"
	done
}

# Images: the story, then edits of node, operation, offset, other node, value.
for story in 0 1 2 3 4 5 6; do
	{
		bytes $story
		for op in 0 1 2 3 4 5 6 7; do
			bytes 0 $((40 + 9 * op + story)) $op 0 $((16 * op + 8 * story)) \
				$((50 + story)) $((7 * op)) 1 2 3 4 5 6 7 8
		done
	} >corpus/fuzz_image/story-$story
done

# A tree of regular nodes: the high bit of each first byte says so.
for levels in 1 2; do
	for ((n = 0; n < 8; n++)); do
		bytes 128 0 $((n + 3)) 0 1 0 0 0 0 $((n * 32)) 0 0 0 0 0 0 0 2
		bytes 0 0 0 0 0 0
		for ((i = 0; i < 20; i++)); do
			bytes $((i * levels + n)) 0 0 0 0 0 0 0 $((i + n)) 0 0 0 0 0 0 0
		done
	done >corpus/fuzz_range_node/levels-$levels
done

bytes 104 0 1 240 0 1 136 0 40 >corpus/fuzz_superblock/sizes
bytes 176 0 1 8 5 1 32 0 9 >corpus/fuzz_superblock/roots
bytes 2 9 1 0 1 5 5 5 5 5 0 7 3 1 0 2 4 4 4 4 4 0 >corpus/fuzz_counts/two
bytes 12 3 1 100 1 5 5 5 5 5 0 9 3 1 0 2 4 4 4 4 4 0 >corpus/fuzz_counts/newest
for ((i = 0; i < 144; i++)); do
	bytes $((i * 7))
done >corpus/fuzz_details/entry
