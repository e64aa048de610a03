#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# thin2_metadata_size: v1's command line; and what it says is enough.
set -u
. "$(dirname "$0")/lib.sh"

size="thin2_metadata_size -b64k -s1t -m1000"
# shellcheck disable=SC2086
{
run 0 $size && grep -qx '[0-9]* sectors' out && [ ! -s err ]
result $? "sectors by default"
sectors=$(sed 's/ .*//' out)
run 0 $size -n && [ "$(cat out)" = "$sectors" ]
result $? "-n"
run 0 $size -ub -n && [ "$(cat out)" = $((sectors * 512)) ]
result $? "-u"
run 0 $size -um -nshort && grep -qx '[0-9.]*m' out && run 0 $size -um -nlong && grep -qx '[0-9.]*mebibytes' out
result $? "-n with a unit"
run 0 $size --json && has out '"mapping_blocks":' && python3 -m json.tool out >/dev/null 2>>err
result $? "--json"
}
want=$(thin2_metadata_size -b128 -s2147483648 -m1000 -n)
[ "$want" = "$sectors" ] && [ "$(thin2_metadata_size -n --block-size=64kibi --pool-size=1tebibytes --max-thins=1K)" = "$want" ]
result $? "sizes without a unit, and units by name"
for i in "-b64k -s1t" "-b64k -m1" "-s1t -m1" "-b2k -s1t -m1" "-b64q -s1t -m1" "-bx -s1t -m1" \
	"-b64k -s1t -m1 -uq" "-b64k -s1t -m1 -nmiddle" "-b64k -s1t -m1 more" "-b64k -s99y -m1" "-b64k -s1k -m1"; do
	# shellcheck disable=SC2086
	run 1 thin2_metadata_size $i && [ -s err ]
	result $? "refused: $i"
done
t "-V" 0 thin2_metadata_size -V

# grows NAME LESS MORE: the one estimate is above the other
grows()
{
	# shellcheck disable=SC2086
	[ "$(thin2_metadata_size -n $2)" -lt "$(thin2_metadata_size -n $3)" ]
	result $? "$1"
}
grows "more data" "-b64k -s1t -m1" "-b64k -s2t -m1"
grows "smaller blocks" "-b64k -s1t -m1" "-b4k -s1t -m1"
grows "more thins" "-b64k -s1t -m1" "-b64k -s1t -m100000"

# A data device full of blocks of 4 KiB in no order at all.
awk 'BEGIN {
	srand(1)
	print "<superblock uuid=\"\" time=\"0\" transaction=\"0\" data_block_size=\"8\" nr_data_blocks=\"100003\">"
	print "<device dev_id=\"0\" mapped_blocks=\"0\" transaction=\"0\" creation_time=\"0\" snap_time=\"0\">"
	for (i = 0; i < 100003; i++)
		printf "<single_mapping origin_block=\"%d\" data_block=\"%d\" time=\"0\"/>\n",
			begin += 1 + int(20000 * rand()), i * 7919 % 100003
	print "</device></superblock>"
}' >full.xml
truncate -s "$(thin2_metadata_size -b8 -s$((100003 * 8)) -m1 -ub -n)" full.md
run 0 thin2_restore -i full.xml -o full.md && run 0 thin2_check full.md
result $? "a full pool fits"
nodes=$(sed -n 's/.* \([0-9]*\) tree nodes.*/\1/p' out)
thin2_metadata_size -b8 -s$((100003 * 8)) -m1 --json >json
mappings=$(sed -n 's/.*"mapping_blocks": \([0-9]*\).*/\1/p' json)
echo "estimated $mappings blocks, are $nodes" >err
[ "$mappings" -ge "$nodes" ] && [ "$mappings" -le $((6 * nodes)) ]
result $? "the trees are not far from what was estimated"
truncate -s "$(thin2_metadata_size -b4k -s64m -m5000 -ub -n)" many.md
awk 'BEGIN {
	print "<superblock uuid=\"\" time=\"1\" transaction=\"0\" data_block_size=\"8\" nr_data_blocks=\"16384\">"
	for (i = 0; i < 5000; i++) {
		printf "<device dev_id=\"%d\" mapped_blocks=\"0\" transaction=\"0\" creation_time=\"0\" snap_time=\"0\">", i
		printf "<single_mapping origin_block=\"%d\" data_block=\"%d\" time=\"0\"/></device>\n", i, i
	}
	print "</superblock>"
}' >many.xml
run 0 thin2_restore -i many.xml -o many.md && run 0 thin2_check many.md
result $? "and so do many thins"

plan
