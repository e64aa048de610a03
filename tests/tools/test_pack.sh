#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# thin2_metadata_pack and _unpack: all that is in use comes back; garbage does not.
set -u
. "$(dirname "$0")/lib.sh"

history="create 1 random 1 300 20000 1 checkpoint snap 2 1 random 1 100 20000 2 zero 1 5000 70 checkpoint"
# shellcheck disable=SC2086
{
mkpool clean.md 8192 1048576 $history close
mkpool dirty.md 8192 1048576 limits 4 6 8 $history random 2 50 20000 4 flush abandon
mkpool deleting.md 8192 1048576 limits 4 6 8 $history delete 1 abandon
mkpool fresh.md 512 65536 close
}

for i in clean dirty deleting fresh; do
	t "pack $i pool" 0 thin2_metadata_pack -i $i.md -o $i.pack
	rm -f x.md
	run 0 thin2_metadata_unpack -i $i.pack -o x.md && [ ! -s err ] &&
		[ "$(stat -c %s x.md)" = "$(stat -c %s $i.md)" ] &&
		run 0 thin2_check x.md && cp out a && run 0 thin2_check $i.md && cmp a out >>err &&
		thin2_dump x.md >a && thin2_dump $i.md >b && cmp a b >>err
	result $? "the $i pool comes back"
done
[ $(($(stat -c %s dirty.pack) * 10)) -lt "$(stat -c %s dirty.md)" ]
result $? "packed is small"
run 0 thin2_metadata_unpack -i clean.pack -o x.md && thin2_dump x.md >a && thin2_dump clean.md >b && cmp a b
result $? "over a file that there was"

# What was written after the tail belongs to it, and a damaged node, too.
cp dirty.md y.md
leaf=$(damage y.md leaf "$(damage y.md root 2)")
damage y.md flip "$leaf" 2000
run 0 thin2_metadata_pack -i y.md -o y.pack && run 0 thin2_metadata_unpack -i y.pack -o x.md &&
	run 1 thin2_check x.md && has err "block $leaf" && cp err a && run 1 thin2_check y.md && cmp a err
result $? "damage is kept"
slot=$(damage y.md counts "$leaf")
damage y.md flip "$slot" 200
damage y.md flip $((slot ^ 1)) 200
run 0 thin2_metadata_pack -i y.md -o y.pack && run 0 thin2_metadata_unpack -i y.pack -o x.md &&
	thin2_dump --dev-id 1 x.md >a && thin2_dump --dev-id 1 y.md >b && cmp a b >>err
result $? "counts that are lost"

# Without superblocks.
cp dirty.md y.md
dd if=/dev/urandom of=y.md bs=4096 count=2 conv=notrunc 2>/dev/null
dd if=/dev/urandom of=y.md bs=4096 count=1 seek=511 conv=notrunc 2>/dev/null
run 1 thin2_metadata_pack -i y.md -o y.pack && has err "no thin-pool2 metadata"
result $? "no superblock"
run 0 thin2_metadata_pack -f -i y.md -o y.pack && run 0 thin2_metadata_unpack -i y.pack -o x.md &&
	cmp -n 8192 x.md y.md >>err && dd if=dirty.md of=x.md bs=4096 count=2 conv=notrunc 2>>err &&
	dd if=dirty.md of=x.md bs=4096 skip=511 seek=511 count=1 conv=notrunc 2>>err &&
	thin2_dump x.md >a && thin2_dump dirty.md >b && cmp a b >>err
result $? "-f packs what looks like metadata"

# ---- garbage ----

# bad NAME TEXT: bad.pack is refused, and what it left is not a pool
bad()
{
	rm -f x.md
	run 1 thin2_metadata_unpack -i bad.pack -o x.md && has err "$2" &&
		{ [ ! -e x.md ] || { run 1 thin2_check x.md && has err "no thin-pool2 metadata"; }; }
	result $? "$1"
}
size=$(stat -c %s dirty.pack)
head -c 100000 /dev/urandom >bad.pack
bad "noise" "is not packed metadata"
: >bad.pack
bad "empty" "is not packed metadata"
cp dirty.md bad.pack
bad "not packed" "is not packed metadata"
for i in 40 $((size / 2)) $((size - 24)) $((size - 1)); do
	head -c "$i" dirty.pack >bad.pack
	bad "cut off at $i" "ends too early"
done
cp dirty.pack bad.pack
echo >>bad.pack
bad "something behind it" "goes on"
for i in 9 20 30 40 52 60 1000 $((size / 2)) $((size - 20)) $((size - 3)); do
	cp dirty.pack bad.pack
	perl -e 'open(my $f, "+<", "bad.pack"); seek($f, $ARGV[0], 0); read($f, my $c, 1);
		seek($f, $ARGV[0], 0); print $f chr(ord($c) ^ 16)' "$i"
	case $i in
	9) bad "a bit at $i" "is damaged: the head's checksum is wrong" ;;
	60 | 1000 | $((size / 2))) bad "a bit at $i" "is damaged: a chunk's checksum is wrong" ;;
	*) bad "a bit at $i" "is damaged: " ;;
	esac
done
t "no input" 1 thin2_metadata_unpack -o x.md
t "no output" 1 thin2_metadata_unpack -i dirty.pack
t "pack: no input" 1 thin2_metadata_pack -o x.pack
t "pack: no output" 1 thin2_metadata_pack -i dirty.md
t "pack: full disk" 1 thin2_metadata_pack -i dirty.md -o /dev/full
t "missing input" 1 thin2_metadata_unpack -i nowhere -o x.md
t "-V" 0 thin2_metadata_pack -V
t "unpack -V" 0 thin2_metadata_unpack -V

plan
