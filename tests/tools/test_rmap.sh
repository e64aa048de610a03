#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# thin2_rmap: who maps a piece of data, as v1's tool says and as a dump does.
set -u
. "$(dirname "$0")/lib.sh"

history="create 1 random 1 200 20000 1 checkpoint snap 3 1 random 1 60 20000 2 create 7
	write 7 4000 10 checkpoint snap 9 3 unmap 9 0 4000 random 3 40 20000 3 snap 11 9"
# shellcheck disable=SC2086
mkpool dirty.md 4096 1048576 limits 4 6 8 $history flush abandon

# by_hand FILE A B...: lines for each unit: data, thin, place
by_hand()
{
	local file=$1
	shift
	thin2_dump "$file" | awk -F'"' -v list="$*" '
		BEGIN { n = split(list, r, " ") }
		/<device/ { dev = $2 }
		/<single/ { add($2, $4, 1) }
		/<range/ { add($2, $4, $6) }
		function add(begin, data, len, i, k) {
			for (i = 0; i < len; i++)
				for (k = 1; k < n; k += 2)
					if (data + i >= r[k] && data + i < r[k + 1])
						print data + i, dev, begin + i
		}' | sort -n
}

# units FILE: rmap's lines the same way
units()
{
	sed 's/data \([0-9]*\)\.\.\([0-9]*\) -> thin(\([0-9]*\)) \([0-9]*\)\.\.[0-9]*/\1 \2 \3 \4/' "$1" |
		awk '{ for (i = $1; i < $2; i++) print i, $3, $4 + i - $1 }' | sort -n
}

# Somewhere in the middle of what is used, in the middle of a range.
a=$(thin2_dump --dev-id 3 dirty.md | sed -n 's/.* data_begin="\([0-9]*\)".*/\1/p' | sort -n | sed -n 20p)
a=$((a + 1)) b=$((a + 100)) c=$((a + 200)) d=$((a + 300)) e=$((a + 320))
by_hand dirty.md $a $c $d $e >want
[ -s want ]
result $? "(something is mapped there)"
run 0 thin2_rmap --region $a..$c --region $d..$e dirty.md && [ ! -s err ] && units out | diff - want >>err
result $? "two regions, as a dump has them"
run 0 thin2_rmap --region $d..$e --region $a..$b --region $((b - 50))..$c dirty.md && units out | diff - want >>err
result $? "regions that overlap"
by_hand dirty.md 0 1048576 >want
run 0 thin2_rmap --region 0..1048576 dirty.md && units out | diff - want >>err
result $? "all of it"
run 0 thin2_rmap --region 1000000..1048576 dirty.md && [ ! -s out ]
result $? "nothing there"
cp dirty.md closed.md
mkpool closed.md 0 1048576 close 2>/dev/null
run 0 thin2_rmap --region $a..$c dirty.md && cp out all && run 0 thin2_rmap --region $a..$c closed.md && cmp all out
result $? "the same after replay"

if type thin_rmap thin_restore >/dev/null 2>&1; then
	genpool -m 8192 -n 300 -t 2 -p 3 aged.md aged:2.2 >/dev/null
	thin2_dump --data-block-size 128 aged.md | sed '1s/nr_data_blocks="[0-9]*"/nr_data_blocks="1048576"/' >aged.xml
	truncate -s 64M v1.md
	thin_restore -i aged.xml -o v1.md >/dev/null
	thin_rmap --region 10..200 v1.md | sort >v1.out
	run 0 thin2_rmap --region 160..3200 aged.md && [ -s v1.out ] &&
		perl -pe 's/(\d+)\.\.(\d+)/$1 \/ 16 . ".." . $2 \/ 16/ge' out | sort | diff v1.out - >>err
	result $? "as v1's thin_rmap has it"
else
	skip "as v1's thin_rmap has it" "v1's tools are not installed"
fi

run 0 thin2_rmap --json --region $a..$c dirty.md && python3 -m json.tool out >/dev/null 2>>err && has out '"dev_id": 3'
result $? "--json"
for i in 5 5..5 7..3 a..b 1..2x ..4; do
	run 1 thin2_rmap --region $i dirty.md && has err "'$i' is not a range"
	result $? "region $i"
done
run 1 thin2_rmap dirty.md && has err "no region"
result $? "no region"
t "-V" 0 thin2_rmap -V
leaf=$(damage closed.md leaf "$(damage closed.md root 7)")
damage closed.md flip "$leaf" 2000
run 1 thin2_rmap --region 0..9 closed.md && has err "$leaf" && [ ! -s out ]
result $? "damaged leaf is named"

plan
