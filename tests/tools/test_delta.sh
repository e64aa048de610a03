#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# thin2_delta: what v1's tool says of the same pool; shared subtrees are not read.
set -u
. "$(dirname "$0")/lib.sh"

# Numbers of a delta in units as those in blocks of 64 KiB.
in_blocks()
{
	perl -pe 's/(begin|length)="(\d+)"/"$1=\"" . $2 \/ 16 . "\""/ge;
		s/data_block_size="8" nr_data_blocks="\d+"/data_block_size="128" nr_data_blocks="1048576"/' "$1"
}

genpool -m 8192 -n 800 -t 2 -p 4 aged.md aged:2.2 >/dev/null
if type thin_delta thin_restore >/dev/null 2>&1; then
	thin2_dump --data-block-size 128 aged.md | sed '1s/nr_data_blocks="[0-9]*"/nr_data_blocks="1048576"/' >aged.xml
	truncate -s 64M v1.md
	thin_restore -i aged.xml -o v1.md >/dev/null
	for i in "1 3" "3 1" "1 9" "5 9" "1 2" "2 10" "4 4"; do
		# shellcheck disable=SC2086
		set -- $i
		for opt in "" --verbose; do
			# shellcheck disable=SC2086
			thin_delta $opt --thin1 "$1" --thin2 "$2" v1.md >v1.out
			# shellcheck disable=SC2086
			run 0 thin2_delta $opt --thin1 "$1" --thin2 "$2" aged.md && in_blocks out | diff v1.out - >>err
			result $? "thins $i $opt, as v1's thin_delta has it"
		done
	done
else
	skip "as v1's thin_delta has it" "v1's tools are not installed"
fi

# Trees of several levels, in units, zeroes and all, by hand.
history="create 1 random 1 200 9000 1 checkpoint snap 2 1 random 1 30 9000 2 unmap 1 100 300
	zero 1 5000 200 write 2 10 20 checkpoint create 3"
# shellcheck disable=SC2086
{
mkpool deep.md 4096 1048576 limits 4 4 6 $history flush abandon
mkpool held.md 4096 1048576 $history hold 1 hold 2 snapshot write 1 0 500 checkpoint abandon >roots
}
# by_hand FILE A B: the delta's elements, unit by unit, from a dump
by_hand()
{
	thin2_dump --dev-id "$2" --dev-id "$3" "$1" | awk -F'"' -v a="$2" '
		/<device/ { side = $2 == a ? 1 : 2 }
		/<single/ { add($2, $4, 1) }
		/<range/ { add($2, $4, $6) }
		function add(begin, data, len, i) {
			for (i = 0; i < len; i++)
				at[side, begin + i] = data + i + 1
		}
		END {
			for (i = 0; i < 10000; i++) {
				l = at[1, i]; r = at[2, i]
				k = l == r ? l ? "same" : "" : !r ? "left_only" : !l ? "right_only" : "different"
				if (k != last && last)
					print last, from, i - from
				if (k != last)
					from = i
				last = k
			}
		}'
}
elements()
{
	sed -n 's/^    <\([a-z_]*\) begin="\([0-9]*\)" length="\([0-9]*\)".*/\1 \2 \3/p' "$1"
}
for i in "1 2" "2 1" "1 3" "3 2" "3 3"; do
	# shellcheck disable=SC2086
	set -- $i
	by_hand deep.md "$1" "$2" >want
	run 0 thin2_delta --thin1 "$1" --thin2 "$2" deep.md && elements out | diff - want >>err
	result $? "deep trees, thins $i"
	run 0 thin2_delta --skip-same --thin1 "$1" --thin2 "$2" deep.md &&
		elements out | diff - <(grep -v same want) >>err
	result $? "--skip-same"
done

cp deep.md x.md
mkpool x.md 0 1048576 close
run 0 thin2_delta --thin1 1 --thin2 2 x.md && cp out a && run 0 thin2_delta --snap1 1 --snap2 2 deep.md && cmp a out
result $? "the same before and after replay; --snap1"
# A leaf that both have, and the first of two.
shared=$(damage x.md leaf "$(damage x.md root 2)")
leaf=$(damage x.md leaf "$(damage x.md root 1)")
[ "$shared" != "$leaf" ]
result $? "(first leaves differ)"
mkpool y.md 4096 1048576 limits 4 4 6 create 1 random 1 200 9000 1 checkpoint snap 2 1 write 1 8900 1 close
leaf=$(damage y.md leaf "$(damage y.md root 1)")
damage y.md flip "$leaf" 2000
t "what is shared is not read with --skip-same" 0 thin2_delta --skip-same --thin1 1 --thin2 2 y.md
run 1 thin2_delta --thin1 1 --thin2 2 y.md && has err "block $leaf" && ! grep -q '</diff>' out
result $? "else a damaged leaf is named, and the output is not complete"

run 0 thin2_delta --json --verbose --thin1 1 --thin2 2 deep.md && python3 -m json.tool out >/dev/null 2>>err &&
	has out '"kind": "different"' left_data_begin right_data_begin
result $? "--json"

{ read -r a; read -r b; read -r m; } <roots
run 0 thin2_delta --root1 "$a" --root2 "$b" held.md && has out "left_root=\"$a\" right_root=\"$b\"" &&
	elements out >roots.out && run 0 thin2_delta -m --thin1 1 --thin2 2 held.md && elements out | diff - roots.out >>err
result $? "held roots, and a held snapshot"
run 0 thin2_delta "-m$m" --root1 "$a" --thin2 1 held.md && ! grep -qE '<(different|left_only|right_only) ' out
result $? "a root beside a snapshot's thin"
run 1 thin2_delta --root1 "$a" --root2 $((a + b + 1000)) held.md && has err "not a held root"
result $? "root that is not held"
run 1 thin2_delta --root1 "$a" --thin2 1 held.md && has err "held root"
result $? "a root beside a thin of the pool"
run 1 thin2_delta --thin1 1 --thin2 77 deep.md && has err "no thin 77"
result $? "no such thin"
t "one thin only" 1 thin2_delta --thin1 1 deep.md
t "-V" 0 thin2_delta -V
t "full disk" 1 sh -c 'thin2_delta --thin1 1 --thin2 2 deep.md >/dev/full'

plan
