#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# thin2_check: pools in order are found to be, whatever state a crash left them
# in; damage is found and named.
set -u
. "$(dirname "$0")/lib.sh"

small="limits 4 6 8"
history="create 1 random 1 300 20000 1 checkpoint snap 2 1 random 1 100 20000 2
	unmap 1 100 300 zero 1 5000 70 checkpoint create 3 write 3 0 500 checkpoint"

# shellcheck disable=SC2086
{
mkpool fresh.md 512 65536 close
mkpool clean.md 8192 1048576 $history close
mkpool dirty.md 8192 1048576 $history random 3 50 20000 3 flush random 2 50 20000 4 flush abandon
mkpool deep.md 32768 1048576 $small $history close
mkpool deep-dirty.md 32768 1048576 $small $history random 2 30 20000 4 flush abandon
mkpool deleting.md 32768 1048576 $small $history delete 1 delete 3 abandon
mkpool held.md 32768 1048576 $small $history hold 2 random 1 20 20000 5 checkpoint abandon >root
}

# ---- in order ----

for i in fresh clean dirty deep deep-dirty deleting held; do
	t "$i pool is in order" 0 thin2_check $i.md
done
run 0 thin2_check dirty.md && has out TRANSACTION_ID=0 && has out METADATA_FREE_BLOCKS= &&
	has out "records in" "to replay" && [ ! -s err ]
result $? "summary, nothing on stderr"
run 0 thin2_check -q dirty.md && [ ! -s out ] && [ ! -s err ]
result $? "-q says nothing"
run 0 thin2_check --super-block-only dirty.md && [ "$(wc -l <out)" = 2 ]
result $? "--super-block-only"
t "--skip-mappings" 0 thin2_check --skip-mappings deep.md
cp clean.md x.md
t "--auto-repair of a pool in order" 0 thin2_check --auto-repair x.md
cmp clean.md x.md >err
result $? "which it does not change"
t "--auto-repair without a whole check" 1 thin2_check --auto-repair --skip-mappings x.md
cp dirty.md before.md
thin2_check dirty.md >/dev/null && cmp -s before.md dirty.md
result $? "a check writes nothing"

# The first step of an activation, and nothing more.
cp clean.md x.md
damage x.md set 511 68 4 0
run 0 thin2_check x.md && [ ! -s err ]
result $? "half marked as in use is in order"
damage x.md set "$(damage x.md super)" 176 8 0
run 1 thin2_check x.md && has err "differs from another copy"
result $? "copies that disagree"

# A held checkpoint, made by hand: a hold of kind 2 and a count more for its root.
hold_all()
{
	local slot home i
	details=$(damage x.md root details)
	slot=$(damage x.md counts "$details")
	home=$(damage x.md super)
	damage x.md set "$slot" $((64 + 4 * (details % 1008))) 4 2
	for i in "$home" 511; do
		damage x.md set "$i" 236 4 1
		damage x.md set "$i" 256 8 "$(damage x.md get "$home" 176 8)"
		damage x.md set "$i" 264 8 "$(damage x.md get "$home" 224 8)"
		damage x.md set "$i" 280 4 "$(damage x.md get "$home" 172 4)"
		damage x.md set "$i" 272 8 "$(damage x.md get "$home" 32 8)"
		damage x.md set "$i" 284 4 2
	done
}
cp clean.md x.md
hold_all
t "held checkpoint is in order" 0 thin2_check x.md
t "-m" 0 thin2_check -m x.md
thin2_dump x.md >x.xml
run 0 thin2_dump -m x.md && cmp out x.xml
result $? "thin2_dump -m"
run 0 thin2_dump -m"$details" x.md && cmp out x.xml
result $? "thin2_dump -m with a block"

# A power cut may leave the older superblock torn, one sector new, another one
# old: of the first two checkpoints with thins, say, when the copy's root was 0.
for i in deep-dirty deep; do
	cp $i.md x.md
	dd if=/dev/zero of=x.md bs=1 seek=$((4096 * (1 - $(damage x.md super)) + 1280)) count=8 \
		conv=notrunc status=none
	cp x.md torn-$i.md
done
run 0 thin2_check torn-deep-dirty.md && has err note "torn by a crash"
result $? "torn superblock is in order"
run 1 thin2_check torn-deep.md && has err "error (non-fatal): superblock" crc
result $? "but not after a clean stop"

# A power cut may leave the journal's last block torn.
cp dirty.md x.md
run 0 thin2_check --json x.md
n=$(sed -n 's/.*"journal_blocks": \([0-9]*\).*/\1/p' out)
damage x.md flip "$(damage x.md journal $((n - 1)))" 200
t "torn last journal block is in order" 0 thin2_check x.md

# Or the backup, of which the later sectors are those of the checkpoint before.
cp dirty.md x.md
dd if=x.md of=x.md conv=notrunc bs=512 count=7 status=none \
	skip=$((8 * (1 - $(damage x.md super)) + 1)) seek=$((8 * 511 + 1))
run 0 thin2_check x.md && has err note: "backup superblock" "torn by a crash"
result $? "torn backup superblock is in order"
damage x.md flip 511 300
run 1 thin2_check x.md && has err "backup superblock" crc
result $? "but not one that was damaged"

if type python3 >/dev/null 2>&1; then
	run 0 thin2_check --json deep.md && python3 -m json.tool out >/dev/null 2>>err
	result $? "--json is JSON"
	cp deep.md x.md
	damage x.md flip "$(damage x.md leaf "$(damage x.md root 1)")" 2000
	run 1 thin2_check --json x.md && python3 -m json.tool out >/dev/null 2>>err &&
		has out '"severity": "fatal"' && [ ! -s err ]
	result $? "--json with findings is JSON"
else
	skip "--json is JSON" "no python3"
	skip "--json with findings is JSON" "no python3"
fi

# ---- use ----

run 0 thin2_check -V && grep -qx '[0-9.]*' out
result $? "-V is a bare version"
t "-h" 0 thin2_check -h
t "no device" 1 thin2_check
t "two devices" 1 thin2_check clean.md dirty.md
run 1 thin2_check --no-such-option clean.md && has err "thin2_check: unrecognized option"
result $? "unknown option"
t "missing file" 1 thin2_check nowhere.md
truncate -s 2M zero.md
run 1 thin2_check zero.md && has err "not formatted"
result $? "zeroed device"
truncate -s 1M short.md
t "short device" 1 thin2_check short.md
head -c 2097152 /dev/urandom >noise.md
t "noise" 1 thin2_check noise.md
run 1 thin2_check -m clean.md && has err "no metadata snapshot is held"
result $? "-m without a snapshot"

# ---- damage ----

# bad NAME IMAGE TEXT...: the copy x.md is damaged: exit 1, a line on stderr has TEXT
bad()
{
	local name=$1
	shift
	run 1 thin2_check x.md && has err "$@"
	result $? "$name"
}

# flipped NAME IMAGE BLOCK TYPE: at several offsets
flipped()
{
	local rc=0 offset
	for offset in 2 20 70 312 1500 4090; do
		cp "$2.md" x.md
		damage x.md flip "$3" $offset
		run 1 thin2_check x.md && has err "$4" "block $3" && continue
		echo "offset $offset of block $3" >>err
		rc=1
		break
	done
	result $rc "$1"
}

root=$(damage deep.md root 1)
leaf=$(damage deep.md leaf "$root")
flipped "flipped bit: newest superblock" deep "$(damage deep.md super)" "superblock"
flipped "flipped bit: older superblock" deep $((1 - $(damage deep.md super))) "superblock"
flipped "flipped bit: backup superblock" deep 511 "backup superblock"
flipped "flipped bit: counts" deep "$(damage deep.md counts 1)" "space-map block"
flipped "flipped bit: counts, unclean" deep-dirty "$(damage deep-dirty.md counts 1)" "space-map block"
flipped "flipped bit: details root" deep "$(damage deep.md root details)" "btree node of the details"
flipped "flipped bit: root of the copy of the details" deep "$(damage deep.md root copy)" \
	"btree node of the copy of the details"
flipped "flipped bit: deleting root" deleting "$(damage deleting.md root deleting)" \
	"btree node of the deleting"
flipped "flipped bit: root of the data space map" deep "$(damage deep.md root data)" \
	"root of the data space map"
flipped "flipped bit: leaf of the data space map" deep \
	"$(damage deep.md leaf "$(damage deep.md root data)")" "range leaf of the data space map"
flipped "flipped bit: root of a thin" deep "$root" "root of a mapping tree"
flipped "flipped bit: node of a thin" deep "$(damage deep.md down "$root")" "range node"
flipped "flipped bit: leaf of a thin" deep "$leaf" "range leaf"
flipped "flipped bit: journal block known to be durable" dirty "$(damage dirty.md journal 0)" \
	"journal block"

cp deep.md x.md
damage x.md flip "$leaf" 2000
bad "thin and range of a damaged leaf" "range leaf" "thin 1" "uid 16" "units 0.."
t "--skip-mappings does not look at leaves" 0 thin2_check --skip-mappings x.md
t "--ignore-non-fatal-errors does not ignore it" 1 thin2_check --ignore-non-fatal-errors x.md
run 1 thin2_check --auto-repair x.md && has err thin2_repair
result $? "--auto-repair names thin2_repair"

# mended NAME: --auto-repair puts x.md right, and changes no mapping
mended()
{
	thin2_dump x.md >before.xml
	run 0 thin2_check --auto-repair x.md && has out "mended" && run 0 thin2_check x.md && [ ! -s err ] &&
		thin2_dump x.md | cmp - before.xml >>err
	result $? "--auto-repair: $1"
}

# Counts of the metadata space map: block N of a group at 64 + 4 N.
slot=$(damage deep.md counts "$root")
at=$((64 + 4 * (root % 1008)))
count=$(damage deep.md get "$slot" $at 4)
cp deep.md x.md
damage x.md set "$slot" $at 4 $((count - 1))
bad "count too low" "metadata space map, block $root" "expected $count, found $((count - 1))" low
t "too low a count is fatal" 1 thin2_check --ignore-non-fatal-errors x.md
cp deep.md x.md
damage x.md set "$slot" $at 4 $((count + 1))
bad "count too high" "metadata space map, block $root" "expected $count, found $((count + 1))" leak
t "too high a count can be ignored" 0 thin2_check --ignore-non-fatal-errors x.md
mended "too high a count"
cp deep.md x.md
damage x.md set "$slot" $at 4 $((count + 3))
mended "far too high a count"
damage x.md flip "$leaf" 2000
cp x.md y.md
run 1 thin2_check --auto-repair x.md && has err thin2_repair && cmp x.md y.md >>err
result $? "--auto-repair changes nothing if more is wrong"

# First record of the first leaf of the data space map: begin, uid, vbegin, len, count.
sm=$(damage deep.md leaf "$(damage deep.md root data)")
cp deep.md packed.md
damage deep.md plain "$sm"
damage deep.md plain "$leaf"
t "leaves with records of a fixed size" 0 thin2_check deep.md
begin=$(damage deep.md get "$sm" 96 8)
count=$(damage deep.md get "$sm" 124 4)
cp deep.md x.md
damage x.md set "$sm" 124 4 $((count + 1))
bad "data count too high" "data space map, data units $begin.." \
	"expected $count, found $((count + 1))"
t "too high a data count can be ignored" 0 thin2_check --ignore-non-fatal-errors x.md
mended "too high a data count"
cp deep.md x.md
damage x.md set "$sm" 124 4 $((count + 3))
mended "far too high a data count"
cp deep.md x.md
len=$(damage x.md get "$sm" 120 4)
damage x.md set "$sm" 96 8 $((begin - 1))
damage x.md set "$sm" 120 4 $((len + 1))
bad "data extent too long" "data space map, data units $((begin - 1))..$((begin - 1))" \
	"expected 0, found $count"
mended "data extent too long"
if [ "$len" -gt 1 ]; then
	cp deep.md x.md
	damage x.md set "$sm" 120 4 $((len - 1))
	bad "data extent too short" "data space map, data units $((begin + len - 1))" \
		"expected $count, found 0"
	t "too low a data count is fatal" 1 thin2_check --ignore-non-fatal-errors x.md
else
	skip "data extent too short" "first extent is one unit"
	skip "too low a data count is fatal" "first extent is one unit"
fi

# Details: values begin behind 26 keys; mapped_units at 24, uid at 0, root at 8.
details=$(damage deep.md leaf "$(damage deep.md root details)")
other=$(damage deep.md leaf "$(damage deep.md root copy)")
value=$((80 + 26 * 8))
cp deep.md x.md
damage x.md set "$details" $((value + 24)) 8 12345
bad "mapped units" "details, thin 1, uid 16" "mapped units" "found 12345"
cp deep.md x.md
damage x.md set "$details" $((value + 8)) 8 0
bad "a lost root leaks" "metadata space map" leaked
cp deep.md x.md
damage x.md set "$details" $((value + 24)) 8 12345
damage x.md set "$other" $((value + 24)) 8 12345
damage x.md set "$slot" $at 4 $(($(damage x.md get "$slot" $at 4) + 1))
cp x.md y.md
run 1 thin2_check --auto-repair x.md && has err thin2_repair && cmp x.md y.md >>err
result $? "--auto-repair does nothing by halves"
cp deep.md x.md
damage x.md set "$details" $((value + 8)) 8 4
bad "a root within the journal" "reserved block" "block 4"
cp deep.md x.md
damage x.md set "$details" "$value" 8 1000000
bad "uid that was never given out" "uid never given out" "found 1000000"

# One details tree is enough, wherever each is damaged, unless both are at one place.
cp deep.md x.md
damage x.md flip "$details" 2000
thin2_dump deep.md >deep.xml
run 0 thin2_dump x.md && cmp out deep.xml
result $? "dump of a pool with one details tree"
run 0 thin2_check --ignore-non-fatal-errors x.md && has err "error (non-fatal)" "block $details"
result $? "one damaged details tree is not fatal"
mkpool x.md 0 1048576 txn 0 1 create 9 write 9 0 10 close 2>/dev/null
run 0 thin2_check --ignore-non-fatal-errors x.md && has err leaked &&
	! grep -q "details" err
result $? "a commit builds the damaged tree anew"
mended "blocks of the tree that was lost"
for i in 0 1 511; do
	cp deep.md x.md
	damage x.md flip $i 300
	mended "superblock copy in block $i"
done
cp deep.md x.md
damage x.md flip "$other" 2000
run 0 thin2_check --ignore-non-fatal-errors x.md && has err "error (non-fatal)" "block $other"
result $? "nor is a damaged copy"
damage x.md flip "$details" 2000
bad "both damaged" "details, thin ids" "entries are lost in both trees"
t "that is fatal" 1 thin2_check --ignore-non-fatal-errors x.md

# The sum of leaves, at 120; flags at 76.
cp deep.md x.md
damage x.md set "$details" $((value + 120)) 8 1234567
bad "leaf_sum" "mapping tree, thin 1, uid 16" leaf_sum "expected 0x12d687" "found 0x"
bad "details that differ" "block $other, thin 1, uid 16" "the other details tree says otherwise"
cp deep.md x.md
for i in "$details" "$other"; do
	damage x.md set "$i" $((value + 120)) 8 1234567
	damage x.md set "$i" $((value + 76)) 4 4
done
t "a lost sum means nothing" 0 thin2_check x.md
# shellcheck disable=SC2086
mkpool x.md 4096 1048576 $small create 1 random 1 100 2000 1 checkpoint snap 2 1 close
old=$(damage x.md leaf "$(damage x.md root 1)")
# Its tag is the same: generation + salt.
damage x.md set "$old" 32 8 $(($(damage x.md get "$old" 32 8) - 1))
damage x.md set "$old" 56 2 $(($(damage x.md get "$old" 56 2) + 1))
bad "an older leaf in the place of a leaf" "mapping tree, thin 1, uid 16" leaf_sum \
	"not the leaves that were committed"
has err "mapping tree, thin 2, uid 17" leaf_sum
result $? "and in a snapshot that shares it"

# Tombstones: of 1 and 2, uids 16 and 17, behind thin 3. Origin's uid at 32.
mkpool tomb.md 4096 1048576 create 1 random 1 100 2000 1 checkpoint snap 2 1 random 2 50 2000 2 \
	snap 3 2 random 1 20 2000 3 delete 1 delete 2 checkpoint close
run 0 thin2_check --json tomb.md && has out '"thins": 1' && has out '"tombstones": 2' && [ ! -s err ]
result $? "tombstones are in order"
run 0 thin2_dump tomb.md && [ "$(grep -c "<device" out)" = 1 ]
result $? "and in no dump"
cp tomb.md x.md
hold_all
t "held with a checkpoint" 0 thin2_check x.md
run 0 thin2_dump -m x.md && [ "$(grep -c "<device" out)" = 1 ]
result $? "in no dump of that"
details=$(damage deep.md leaf "$(damage deep.md root details)")
# both OFFSET VALUE: 8 bytes of thin 3's entry, in both trees; of the n-th one with OFFSET + 144 n
both()
{
	cp tomb.md x.md
	for tree in details copy; do
		damage x.md set "$(damage x.md root $tree)" $((value + $1)) 8 "$2"
	done
}
both 32 15
bad "origin that is not known" "details, thin 3, uid 18" "its origin is not known"
t "that is not fatal" 0 thin2_check --ignore-non-fatal-errors x.md
both $((144 + 32)) 15
bad "origin of a tombstone that is not known" "details, thin 1, uid 16" "its origin is not known"
both 32 18
bad "its own origin" "thin 3, uid 18" "origin is no older"
both 32 0
run 0 thin2_check x.md && has err "note: details, thin 2, uid 17: tombstone that nobody needs" &&
	[ "$(wc -l <err)" = 1 ]
result $? "a tombstone that nobody needs is noted"
mkpool x.md 0 1048576 work work close 2>/dev/null
run 0 thin2_check --json x.md && has out '"tombstones": 0' && [ ! -s err ]
result $? "and goes when the pool is used"
both $((144 + 8)) 1000
bad "root of a tombstone" "thin 1, uid 16" "root of a tombstone" "found 1000"
both $((144 + 0)) 17
bad "key of a tombstone" "uid 17" "key: expected"
cp tomb.md x.md
damage x.md set "$(damage x.md root copy)" $((value + 2 * 144 + 40)) 8 7
bad "tombstones that differ" "copy of the details" "thin 2, uid 17" "says otherwise"

# A leaf: level, nr, codec, bytes, lo, hi at 64; records of 24 bytes at 96.
cp deep.md x.md
damage x.md set "$leaf" 80 8 $(($(damage x.md get "$leaf" 80 8) + 1))
bad "interval" "range leaf, block $leaf" "end of the interval"
cp deep.md x.md
damage x.md set "$leaf" 40 8 4
bad "owner" "range leaf, block $leaf" owner
cp deep.md x.md
damage x.md set "$leaf" 32 8 100000
bad "generation" "range leaf, block $leaf" generation
cp packed.md x.md
damage x.md set "$leaf" 104 1 255
bad "packed records" "range leaf, block $leaf" payload
cp deep.md x.md
damage x.md set "$leaf" 103 1 9
bad "kind of a range" "range leaf, block $leaf" payload
cp deep.md x.md
damage x.md set "$leaf" 104 8 1048576
bad "data device's end" "range leaf, block $leaf" "beyond the end of the data device"
cp deep.md x.md
damage x.md set "$leaf" 116 4 77
bad "birth" "range leaf, block $leaf" "birth in the future" "found 77"
cp deep.md x.md
other=$(damage x.md leaf "$(damage x.md root 3)")
damage x.md copy "$other" "$leaf"
bad "misdirected write" "range leaf, block $leaf" blocknr
cp deep.md x.md
damage x.md copy "$other" "$leaf"
damage x.md set "$leaf" 8 8 "$leaf"
bad "node of another version" "range leaf, block $leaf" tag "not the version"
damage x.md set "$leaf" 32 8 "$(damage deep.md get "$leaf" 32 8)"
damage x.md set "$leaf" 56 2 "$(damage deep.md get "$leaf" 56 2)"
bad "node of another place" "block $leaf" interval

# Superblocks.
cp deep.md x.md
dd if=clean.md of=x.md bs=4096 count=2 conv=notrunc status=none
bad "superblocks of another pool" superblock
cp fresh.md x.md
for i in 0 1 511; do
	damage x.md flip $i 100
done
bad "all superblocks damaged" superblock unusable
cp deep-dirty.md x.md
mkpool x.md 0 1048576 random 3 40 20000 3 flush random 3 40 20000 5 flush abandon 2>/dev/null
for i in 0 1 511; do
	dd if=deep-dirty.md of=x.md bs=4096 skip=$i seek=$i count=1 conv=notrunc status=none
done
bad "superblocks older than the journal" journal "superblock is older"
cp deep.md x.md
truncate -s 64M x.md
bad "device smaller than recorded" superblock "smaller than recorded"

# Journal records of 32 bytes from 112 on: uid, vbegin and kind, phys, len, birth.
mkpool x.md 4096 1048576 create 1 write 1 0 100 checkpoint write 1 200 10 write 1 300 10 \
	flush abandon
journal=$(damage x.md journal 0)
cp x.md y.md
damage x.md set "$journal" $((112 + 32 + 16)) 8 "$(damage x.md get "$journal" $((112 + 16)) 8)"
bad "two records map the same data" "journal, thin 1" "two changes map the same data"
cp y.md x.md
leaf=$(damage x.md leaf "$(damage x.md root 1)")
damage x.md plain "$leaf"
phys=$(damage x.md get "$leaf" 104 8)
damage x.md set "$journal" $((112 + 16)) 8 $((phys + 5))
bad "a record maps data in use" "journal, thin 1" "data units $((phys + 5)).." "uses elsewhere"
cp y.md x.md
damage x.md set "$journal" $((112 + 16)) 8 2000000
bad "a record beyond the data device" "journal record" "beyond the end"

# ---- needs_check ----

cp dirty.md x.md
mkpool x.md 0 1048576 needs_check random 1 20 20000 9 flush txn 0 5 abandon 2>/dev/null
run 0 thin2_check x.md && has err "needs_check is set"
result $? "needs_check is told"
thin2_dump x.md >x.xml
t "--clear-needs-check-flag" 0 thin2_check --clear-needs-check-flag x.md
run 0 thin2_check x.md && [ ! -s err ]
result $? "it is cleared"
thin2_dump x.md | sed 's/flags="0"/flags="1"/' | cmp - x.xml
result $? "nothing else has changed"
mkpool x.md 0 1048576 random 1 10 20000 10 close 2>/dev/null
t "the pool opens afterwards" 0 thin2_check x.md
cp deep.md x.md
mkpool x.md 0 1048576 needs_check txn 0 5 close
damage x.md flip "$(damage x.md leaf "$(damage x.md root 1)")" 2000
cp x.md before.md
run 1 thin2_check --clear-needs-check-flag x.md && cmp x.md before.md
result $? "not cleared with errors"
run 0 thin2_check --clear-needs-check-flag clean.md
result $? "clearing what is not set"

plan
