#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# thin2_dump: what it writes is what was mapped, and v1's tools can read it.
set -u
. "$(dirname "$0")/lib.sh"

history="create 1 write 1 0 1000 create 7 random 7 200 20000 1 checkpoint snap 3 1
	write 1 100 50 unmap 1 500 20 zero 1 700 10 write 3 2000 1 txn 0 42"

# shellcheck disable=SC2086
{
mkpool dirty.md 4096 1048576 limits 4 6 8 $history flush abandon
mkpool clean.md 4096 1048576 $history close
mkpool held.md 4096 1048576 $history hold 3 write 1 0 10 flush abandon >root
}
cp dirty.md replayed.md
mkpool replayed.md 0 1048576 close 2>/dev/null

run 0 thin2_dump dirty.md && head -n 1 out | grep -q ' transaction="42" '
result $? "transaction in the first line"
cp out dirty.xml
grep -q 'data_block_size="8" nr_data_blocks="1048576">' dirty.xml
result $? "sizes"
grep -q '<device dev_id="1" mapped_blocks="970" ' dirty.xml
result $? "mapped blocks include what the journal has"
run 0 thin2_dump replayed.md && cmp out dirty.xml >>err
result $? "before and after replay"
grep -A 3 'dev_id="1"' dirty.xml | grep -q 'origin_begin="100" .*length="50" time="1"'
result $? "a broken range"
grep -q '<!-- zero origin_begin="700" length="10" -->' dirty.xml
result $? "zeroed ranges are comments"
grep -q '<single_mapping origin_block="2000" data_block="[0-9]*" time="1"/>' dirty.xml
result $? "single mapping"
if type xmllint >/dev/null 2>&1; then
	t "xmllint" 0 xmllint --noout dirty.xml
else
	skip "xmllint" "not installed"
fi
if type thin_restore >/dev/null 2>&1; then
	truncate -s 16M v1.md
	t "v1's thin_restore takes it" 0 thin_restore -i dirty.xml -o v1.md
	thin_dump v1.md | sed 's/uuid="[^"]*"//' >v1.xml 2>>err
	sed 's/uuid="[^"]*"//; /<!--/d' dirty.xml | cmp - v1.xml >>err
	result $? "and v1's thin_dump gives the same back"
	t "and v1's thin_check likes it" 0 thin_check -q v1.md
	run 1 thin2_check v1.md && has err "v1"
	result $? "v1's metadata is not ours"
else
	skip "v1's thin_restore takes it" "not installed"
fi

run 0 thin2_dump -f human_readable dirty.md && has out "mapped_blocks: 970" &&
	has out "(700..709) -> zero" && has out "end superblock"
result $? "human readable"
run 0 thin2_dump --json dirty.md && has out '"kind": "zero"'
result $? "JSON"
if type python3 >/dev/null 2>&1; then
	cp out json
	t "JSON parses" 0 python3 -m json.tool json
else
	skip "JSON parses" "no python3"
fi
run 0 thin2_dump --dev-id 3 --dev-id 7 dirty.md && [ "$(grep -c '<device' out)" = 2 ] &&
	! grep -q 'dev_id="1"' out
result $? "--dev-id"
run 1 thin2_dump --dev-id 4 dirty.md && has err "no thin 4"
result $? "--dev-id of no thin"
t "--dev-id without a number" 1 thin2_dump --dev-id x dirty.md
run 0 thin2_dump --skip-mappings dirty.md && ! grep -q mapping out &&
	grep -q 'mapped_blocks="970"' out
result $? "--skip-mappings"
run 0 thin2_dump -o file.xml dirty.md && [ ! -s out ] && cmp file.xml dirty.xml
result $? "-o"
t "-o into nowhere" 1 thin2_dump -o no/where dirty.md
t "full disk" 1 sh -c 'thin2_dump dirty.md >/dev/full'
run 0 thin2_dump -r dirty.md && cmp out dirty.xml
result $? "-r of a pool in order"
t "unknown format" 1 thin2_dump -f custom dirty.md
t "unformatted" 1 thin2_dump /dev/null

# What a pool holds for userland.
run 0 thin2_dump --dev-id 3 held.md
sed -n '/mapping/p' out >whole
run 0 thin2_dump --root "$(cat root)" held.md && sed -n '/mapping/p' out | cmp - whole &&
	grep -q 'dev_id="3" mapped_blocks="1001"' out
result $? "--root"
run 1 thin2_dump --root $(($(cat root) + 1)) held.md && has err "not a held root"
result $? "--root of what is not held"
t "--root of another thin" 1 thin2_dump --root "$(cat root)" --dev-id 7 held.md
run 1 thin2_dump -m held.md && has err "no such metadata snapshot"
result $? "-m without a snapshot"
t "-m and --root" 1 thin2_dump -m --root 5 held.md

leaf=$(damage held.md leaf "$(cat root)")
damage held.md flip "$leaf" 2000
run 1 thin2_dump --root "$(cat root)" held.md && has err "block $leaf"
result $? "damaged held leaf is named"
leaf=$(damage clean.md leaf "$(damage clean.md root 7)")
damage clean.md flip "$leaf" 2000
run 1 thin2_dump clean.md && has err "$leaf" && ! grep -q '</superblock>' out
result $? "damaged leaf is named, output is not complete"
run 1 thin2_dump -r clean.md && has err thin2_repair
result $? "-r names thin2_repair"
run 1 thin2_dump -q clean.md && [ "$(wc -l <err)" = 1 ]
result $? "-q leaves one line"
t "other thins can be had" 0 thin2_dump --dev-id 3 clean.md

plan
