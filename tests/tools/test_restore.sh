#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# thin2_restore: what was dumped comes back, from v2 and from v1, sharing kept;
# bad XML is refused by line and column, before anything is written.
set -u
. "$(dirname "$0")/lib.sh"

# same A B: two dumps, but for the uuid, which is new
same()
{
	sed -i '1s/uuid="[^"]*"//' "$1" "$2"
	cmp "$1" "$2" >>err
}

# used FILE: metadata blocks in use
used()
{
	local home
	home=$(damage "$1" super)
	damage "$1" get "$home" 120 8
}

# round NAME FILE [BLOCKS]: dump, restore, check, dump again
round()
{
	local name=$1 file=$2 size=${3:-$(stat -c %s "$2")}
	rm -f new.md
	truncate -s "$size" new.md
	run 0 thin2_dump -o a.xml "$file" && run 0 thin2_restore -i a.xml -o new.md && [ ! -s err ] &&
		run 0 thin2_check new.md && ! has err error &&
		run 0 thin2_dump -o b.xml new.md && same a.xml b.xml
	result $? "$name"
}

history="create 1 write 1 0 1000 create 7 random 7 200 20000 1 checkpoint snap 3 1
	write 1 100 50 unmap 1 500 20 zero 1 700 10 write 3 2000 1 txn 0 42"
# shellcheck disable=SC2086
{
mkpool dirty.md 4096 1048576 limits 4 6 8 $history flush abandon
mkpool clean.md 4096 1048576 $history needs_check close
mkpool empty.md 512 65536 close
mkpool thin.md 512 65536 create 5 create 4294967295 close
}
round "a pool that was not closed" dirty.md
round "one that was, needs_check set" clean.md
round "no thins" empty.md
round "thins with nothing" thin.md
round "on a larger device" clean.md 64M
run 0 thin2_dump clean.md && head -n 1 out >a && run 0 thin2_dump new.md && head -n 1 out >b &&
	! cmp -s a b
result $? "the uuid is new"
[ "$(damage new.md get 0 144 8)" != 0 ] &&
	[ "$(damage new.md get 0 144 8)" != "$(damage clean.md get 0 144 8)" ]
result $? "and the journal's nonce"

genpool -m 8192 -n 2000 -t 2 -p 6 aged.md aged:2.2 >/dev/null
round "aged pool with snapshots" aged.md
echo "used $(used new.md), was $(used aged.md)" >err
[ "$(used new.md)" -le $(($(used aged.md) * 5 / 4)) ]
result $? "takes no more metadata than before: sharing is kept"
genpool -m 16384 -n 600 -t 3 -p 2 vm.md vm >/dev/null
round "images and clones" vm.md
genpool -m 8192 -n 2000 -p 3 db.md db >/dev/null
round "database" db.md
genpool -m 16384 -n 2000 -t 20 -p 100 scale.md scale >/dev/null
round "many snapshots" scale.md
echo "used $(used new.md), was $(used scale.md)" >err
[ "$(used new.md)" -le $(($(used scale.md) * 5 / 4)) ]
result $? "many snapshots: sharing is kept"

# It can be used: writes unshare what they must.
cp new.md x.md
run 0 mkpool x.md 0 17179869184 random 1 20 4000 3 random 2 20 4000 4 checkpoint delete 1 close &&
	run 0 thin2_check x.md && [ ! -s err ]
result $? "the pool works"

# ---- v1 ----

cat >v1.xml <<XML
<superblock uuid="x" time="2" transaction="5" flags="0" version="2" data_block_size="128" nr_data_blocks="4096">
  <device dev_id="1" mapped_blocks="26" transaction="0" creation_time="0" snap_time="1">
    <range_mapping origin_begin="0" data_begin="0" length="10" time="0"/>
    <range_mapping origin_begin="10" data_begin="20" length="5" time="1"/>
    <single_mapping origin_block="20" data_block="200" time="0"/>
    <range_mapping origin_begin="100" data_begin="300" length="10" time="0"/>
  </device>
  <device dev_id="2" mapped_blocks="23" transaction="1" creation_time="1" snap_time="1">
    <range_mapping origin_begin="0" data_begin="0" length="8" time="0"/>
    <range_mapping origin_begin="8" data_begin="40" length="4" time="1"/>
    <single_mapping origin_block="21" data_block="201" time="1"/>
    <range_mapping origin_begin="100" data_begin="300" length="10" time="0"/>
  </device>
</superblock>
XML
truncate -s 4M new.md
if type thin_restore >/dev/null 2>&1; then
	truncate -s 4M v1.md
	thin_restore -i v1.xml -o v1.md >/dev/null
	thin_dump v1.md >v1-dump.xml
	t "what v1 dumped" 0 thin2_restore -i v1-dump.xml -o new.md
	# v1's tool writes its metadata's version, ours the format's.
	run 0 thin2_dump --data-block-size 128 -o back.xml new.md && rm v1.md && truncate -s 4M v1.md &&
		run 0 thin_restore -i back.xml -o v1.md && thin_dump v1.md >back.xml &&
		same v1-dump.xml back.xml
	result $? "and back to v1, in its blocks"
else
	skip "what v1 dumped" "v1's tools are not installed"
	skip "and back to v1, in its blocks" "v1's tools are not installed"
	thin2_restore -i v1.xml -o new.md
fi
run 0 thin2_check new.md && [ ! -s err ] && has out "of 65536 data units"
result $? "thin2_check"
run 0 thin2_dump new.md && has out 'dev_id="1"' 'mapped_blocks="416" transaction="0"' &&
	has out 'origin_begin="160" data_begin="320" length="80" time="1"'
result $? "blocks of 64 KiB are 16 units"
run 1 thin2_dump --data-block-size 256 new.md && has err "thin 1" "blocks of 256 sectors"
result $? "what does not fit larger blocks is not dumped in them"
run 1 thin2_dump --data-block-size 128 clean.md && has err "blocks of 128 sectors"
result $? "nor what was written in units"

# ---- defs, overrides ----

cat >def.xml <<XML
<superblock uuid="" time="0" transaction="0" data_block_size="8" nr_data_blocks="1000">
  <def name="a"><range_mapping origin_begin="10" data_begin="300" length="10" time="0"/>
    <!-- zero origin_begin="30" length="5" --></def>
  <def name="unused"><single_mapping origin_block="0" data_block="999" time="0"/></def>
  <!-- a remark -->
  <device dev_id="1" mapped_blocks="11" transaction="0" creation_time="0" snap_time="0">
    <single_mapping origin_block="9" data_block="299" time="0"/>
    <ref name="a"/>
    <!-- damaged origin_begin="40" length="1" -->
  </device>
  <device dev_id="2" mapped_blocks="10" transaction="0" creation_time="0" snap_time="0">
    <ref name="a"/>
  </device>
</superblock>
XML
truncate -s 2M new.md
run 0 thin2_restore -i def.xml -o new.md && has err "taken for shared"
result $? "def and ref; births that cannot be right are noticed"
run 0 thin2_check new.md && ! has err error && has out "11 of 1000 data units"
result $? "what nobody refers to is free"
run 0 thin2_dump new.md && has out 'origin_begin="9" data_begin="299" length="11"' &&
	has out 'origin_begin="10" data_begin="300" length="10"' && has out '<!-- damaged' &&
	[ "$(grep -c '<!-- zero origin_begin="30" length="5" -->' out)" = 2 ]
result $? "refs are in their places"
tr -d '\n' <out | grep -q 'time="1".*snap_time="1".*snap_time="1"'
result $? "all is older than a snapshot now"
run 0 mkpool new.md 0 1000 write 1 10 2 close && run 0 thin2_dump --dev-id 2 new.md &&
	has out 'origin_begin="10" data_begin="300" length="10"' &&
	run 0 thin2_dump --dev-id 1 new.md && has out 'origin_begin="12" data_begin="302"'
result $? "a write to one does not touch the other's"

# The same without a name for what is shared; and times that differ.
cat >twice.xml <<XML
<superblock uuid="" time="2" transaction="0" flags="0" version="2" data_block_size="8" nr_data_blocks="1000">
  <device dev_id="1" mapped_blocks="40" transaction="0" creation_time="0" snap_time="2">
    <range_mapping origin_begin="10" data_begin="300" length="10" time="0"/>
    <range_mapping origin_begin="50" data_begin="500" length="30" time="0"/>
  </device>
  <device dev_id="2" mapped_blocks="40" transaction="0" creation_time="1" snap_time="2">
    <range_mapping origin_begin="10" data_begin="300" length="10" time="1"/>
    <range_mapping origin_begin="50" data_begin="500" length="30" time="0"/>
  </device>
</superblock>
XML
run 0 thin2_restore -i twice.xml -o new.md && [ ! -s err ] && run 0 thin2_dump new.md && cp out b.xml &&
	same twice.xml b.xml
result $? "times that differ"
sed '1s/<superblock/& uuid=""/; s/snap_time="2"/snap_time="1"/' twice.xml >bad.xml
run 0 thin2_restore -i bad.xml -o new.md && has err "taken for shared"
result $? "births that cannot be right, without a def"

truncate -s 2M new.md
run 0 thin2_restore -q -i v1.xml -o new.md --transaction-id 77 --nr-data-blocks 5000 --data-block-size 256 &&
	run 0 thin2_dump new.md && has out 'transaction="77"' 'nr_data_blocks="160000"' &&
	has out 'dev_id="1" mapped_blocks="832"'
result $? "overrides"

# ---- errors ----

# bad NAME SED-SCRIPT TEXT...: v1.xml changed like that is refused, and nothing is written
cp clean.md keep.md
bad()
{
	local name=$1
	sed "$2" v1.xml >bad.xml
	shift 2
	run 1 thin2_restore -i bad.xml -o keep.md && has err "$@" && cmp clean.md keep.md >>err
	result $? "$name"
}

bad "unknown attribute" '3s/time=/tide=/' "line 3, column 5:" "unknown attribute 'tide'"
bad "missing attribute" '3s/ time="0"//' "line 3, column 5:" "lacks the attribute 'time'"
bad "no number" '2s/="26"/="2x"/' "line 2, column 3:" 'mapped_blocks="2x"'
bad "unknown element" '3s/range_mapping/mapping/' "line 3, column 5:" "<mapping>"
bad "mapping outside a device" '2d;7d' "line 2, column 5:" "not allowed here"
bad "two thins of one id" 's/dev_id="2"/dev_id="1"/' "line 8, column 3:" "dev_id 1"
bad "out of order" '5s/"20"/"14"/' "line 5, column 5:" "block 14" "in order"
bad "beyond the data" '5s/"200"/"4096"/' "line 5, column 5:" "beyond the pool's 4096"
bad "length 0" '3s/"10"/"0"/' "line 3, column 5:" "length 0"
bad "block size" '1s/"128"/"100"/' "line 1, column 1:" "data_block_size"
bad "dev_id too large" '2s/dev_id="1"/dev_id="4294967296"/' "line 2, column 3:"
bad "no such def" '3s/.*/<ref name="q"\/>/' "line 3, column 1:" "'q'"
bad "text" '3s/^/words/' "line 3, column 1:" "text"
# shellcheck disable=SC2016
bad "cut off" '9,$d' "line 9, column 1:" "no element found"
bad "not closed" '13d' "line 13, column" "mismatched tag"
bad "no comment of ours" '6s/$/<!-- zero origin_begin="x" -->/' "line 6, column 78:" "comment"
# shellcheck disable=SC2016
bad "empty" '1,$d' "line 1, column 1:" "no element found"
t "no input" 1 thin2_restore -o keep.md
t "no output" 1 thin2_restore -i v1.xml
t "missing input" 1 thin2_restore -i nowhere.xml -o keep.md
t "missing output" 1 thin2_restore -i v1.xml -o nowhere.md
run 1 thin2_restore -i /dev/null -o keep.md && has err "not a regular file"
result $? "no file"
t "-V" 0 thin2_restore -V
truncate -s 1M short.md
run 1 thin2_restore -i v1.xml -o short.md && has err "the smallest metadata has 512"
result $? "short device"

# What cannot be finished is not a pool, and is not formatted over either.
awk 'BEGIN {
	srand(1)
	print "<superblock uuid=\"\" time=\"0\" transaction=\"0\" data_block_size=\"8\" nr_data_blocks=\"1000003\">"
	print "<device dev_id=\"0\" mapped_blocks=\"0\" transaction=\"0\" creation_time=\"0\" snap_time=\"0\">"
	for (i = 0; i < 250000; i++)
		printf "<single_mapping origin_block=\"%d\" data_block=\"%d\" time=\"0\"/>\n",
			begin += 1 + int(10000 * rand()), i * 7919 % 1000003
	print "</device></superblock>"
}' >a.xml
truncate -s 2M small.md
run 1 thin2_restore -i a.xml -o small.md && has err "too small" "line "
result $? "metadata too small"
run 1 thin2_check small.md && has err "no thin-pool2 metadata" && run 1 mkpool small.md 0 65536 close
result $? "and no pool is left behind"

plan
