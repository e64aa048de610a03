#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# thin2_ls: the figures are v1's, of the same pool, and count what thins share.
set -u
. "$(dirname "$0")/lib.sh"

history="create 1 random 1 200 20000 1 checkpoint snap 3 1 random 1 60 20000 2 write 3 2000 1
	create 7 write 7 4000 10 checkpoint snap 9 3 unmap 9 0 4000 txn 0 42 checkpoint
	random 3 40 20000 3 unmap 1 3000 900 zero 7 0 100 snap 11 9"
# shellcheck disable=SC2086
{
mkpool dirty.md 4096 1048576 limits 4 6 8 $history flush abandon
mkpool held.md 4096 1048576 $history checkpoint snapshot checkpoint abandon >root 2>/dev/null
}
cp dirty.md replayed.md
mkpool replayed.md 0 1048576 close 2>/dev/null
fields=DEV,MAPPED_BLOCKS,EXCLUSIVE_BLOCKS,SHARED_BLOCKS,HIGHEST_BLOCK

# by_hand FILE: the same from a dump, unit by unit
by_hand()
{
	thin2_dump "$1" | awk -F'"' '
		/<device/ { dev[++nr] = $2; high[nr] = "-" }
		/<single/ { add($2, $4, 1) }
		/<range/ { add($2, $4, $6) }
		function add(begin, data, len, i) {
			high[nr] = begin + len - 1
			for (i = 0; i < len; i++) {
				unit[nr, ++n[nr]] = data + i
				owners[data + i]++
			}
		}
		END {
			for (d = 1; d <= nr; d++) {
				own = 0
				for (i = 1; i <= n[d]; i++)
					own += owners[unit[d, i]] == 1
				print dev[d], n[d] + 0, own, n[d] - own, high[d]
			}
		}'
}

for i in dirty replayed; do
	by_hand $i.md >want 2>err
	run 0 thin2_ls --no-headers -o $fields $i.md && [ ! -s err ] &&
		sed 's/  */ /g; s/^ //; s/ $//' out | diff - want >>err
	result $? "$i pool: as counted by hand"
done
cp dirty.md before.md
run 0 thin2_ls -o $fields dirty.md && cmp dirty.md before.md >>err && cp out a &&
	run 0 thin2_ls -o $fields replayed.md && cmp a out
result $? "the same before and after replay, and nothing is written"
run 0 thin2_ls dirty.md && grep -qx "DEV *MAPPED CREATE_TIME SNAP_TIME " out &&
	[ "$(wc -l <out)" = 6 ]
result $? "default fields"

if type thin_ls thin_restore >/dev/null 2>&1; then
	genpool -m 8192 -n 600 -t 2 -p 4 aged.md aged:2.2 >/dev/null
	# One end of the data device is like another.
	thin2_dump --data-block-size 128 aged.md | sed '1s/nr_data_blocks="[0-9]*"/nr_data_blocks="1048576"/' >aged.xml
	truncate -s 64M v1.md
	thin_restore -i aged.xml -o v1.md >/dev/null
	fields=DEV,MAPPED_BYTES,EXCLUSIVE_BYTES,SHARED_BYTES,MAPPED_SECTORS,EXCLUSIVE_SECTORS,SHARED_SECTORS
	fields=$fields,MAPPED,EXCLUSIVE,SHARED,TRANSACTION,CREATE_TIME,SNAP_TIME
	thin_ls --format $fields v1.md >v1.out
	run 0 thin2_ls --format $fields aged.md && diff v1.out out >>err
	result $? "as v1's thin_ls has it"
	thin_ls v1.md >v1.out
	run 0 thin2_ls aged.md && diff v1.out out >>err
	result $? "and its default"
	thin_ls --no-headers v1.md >v1.out
	run 0 thin2_ls --no-headers aged.md && diff v1.out out >>err
	result $? "--no-headers"
else
	skip "as v1's thin_ls has it" "v1's tools are not installed"
	skip "and its default" "v1's tools are not installed"
	skip "--no-headers" "v1's tools are not installed"
fi

run 0 thin2_ls -o DEV,MAPPED_BYTES,HIGHEST_SECTOR --json dirty.md && has out '"MAPPED_BYTES":' &&
	python3 -m json.tool out >/dev/null 2>>err
result $? "--json"
run 0 thin2_ls -o DEV,MAPPED,SHARED_BLOCKS held.md && cp out a && run 0 thin2_ls -m -o DEV,MAPPED,SHARED_BLOCKS held.md &&
	cmp a out
result $? "-m"
run 1 thin2_ls -m dirty.md && has err "no such metadata snapshot"
result $? "-m without a snapshot"
run 1 thin2_ls -o DEV,COLOUR dirty.md && has err "unknown field 'COLOUR'"
result $? "unknown field"
t "no device" 1 thin2_ls
t "-V" 0 thin2_ls -V
t "full disk" 1 sh -c 'thin2_ls dirty.md >/dev/full'
leaf=$(damage replayed.md leaf "$(damage replayed.md root 7)")
damage replayed.md flip "$leaf" 2000
run 1 thin2_ls -o DEV,EXCLUSIVE replayed.md && has err "$leaf" && [ ! -s out ]
result $? "damaged leaf is named"

plan
