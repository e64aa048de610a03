#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# thin2_repair: what it makes of pools in order, of damaged ones and of what is
# none.  The damage itself is done by repairtest.c, in memory.
#
# SEEDS="1 2 ..." and ROUNDS say how much random damage is tried.
set -u
. "$(dirname "$0")/lib.sh"

: "${SEEDS:=1}" "${ROUNDS:=6}"

small="limits 4 6 8"
units=1048576

# grow IMAGE: a pool's life; what it was in between is left in old1, old2, old3
# shellcheck disable=SC2086
grow()
{
	mkpool "$1" 1200 $units $small create 1 random 1 120 20000 1 checkpoint \
		snap 2 1 random 1 40 20000 2 unmap 1 100 300 zero 1 5000 70 checkpoint close || return
	cp "$1" old1.md
	mkpool "$1" 0 $units $small create 3 write 3 0 500 random 3 20 20000 7 checkpoint \
		snap 4 3 random 4 20 20000 8 checkpoint snap 6 4 delete 4 work close || return
	cp "$1" old2.md
	mkpool "$1" 0 $units $small snap 5 6 random 1 10 20000 9 random 5 20 20000 10 txn 0 7 \
		checkpoint close || return
	cp "$1" old3.md
}

# shellcheck disable=SC2086
{
grow clean.md
cp clean.md dirty.md
mkpool dirty.md 0 $units $small random 2 20 20000 4 checkpoint random 5 10 20000 5 \
	unmap 1 0 900 flush random 3 5 20000 6 flush abandon
cp clean.md deleting.md
mkpool deleting.md 0 $units $small snap 7 5 random 7 10 20000 3 checkpoint delete 3 delete 5 abandon
mkpool fresh.md 512 65536 close
mkpool large.md 4096 $units create 1 random 1 3000 400000 1 checkpoint snap 2 1 \
	random 1 300 400000 2 checkpoint snap 3 2 random 3 300 400000 3 flush abandon
}

# same A B: the pools say the same, but for their uuid
same()
{
	thin2_dump "$1" 2>err | sed 's/ uuid="[^"]*"//' >a.xml
	thin2_dump "$2" 2>>err | sed 's/ uuid="[^"]*"//' >b.xml
	[ -s a.xml ] && cmp a.xml b.xml >>err
}

# ---- pools in order ----

for i in fresh clean dirty deleting large; do
	run 0 thin2_repair -i $i.md -o x.md && has out "nothing is lost" && [ ! -s err ] &&
		run 0 thin2_check x.md && [ ! -s err ] && same $i.md x.md
	result $? "$i pool: the output says the same and is in order"
	rm -f x.md
done
cp dirty.md before.md
thin2_repair -q -i dirty.md -o x.md && cmp -s before.md dirty.md
result $? "the input is not written to"
run 0 thin2_repair -i x.md -o y.md && has out "nothing is lost" && same x.md y.md
result $? "repairing what was repaired changes nothing"
cp clean.md y.md
mkpool y.md 0 $units needs_check close && thin2_repair -q -i y.md -o z.md &&
	run 0 thin2_check z.md && ! grep -q needs_check err
result $? "needs_check is cleared"
mkpool x.md 0 $units random 2 30 20000 44 snap 9 2 delete 1 work close 2>err && run 0 thin2_check x.md
result $? "the output can be used"

# ---- use ----

run 0 thin2_repair -V && grep -qx '[0-9.]*' out
result $? "-V is a bare version"
t "-h" 0 thin2_repair -h
t "no output" 1 thin2_repair -i clean.md
run 1 thin2_repair -i clean.md -o clean.md && has err "are the same"
result $? "input and output are the same"
ln -s clean.md link.md
run 1 thin2_repair -i clean.md -o link.md && has err "are the same"
result $? "... by another name"
t "missing input" 1 thin2_repair -i nowhere.md -o y.md
truncate -s 4M zero.md
run 1 thin2_repair -i zero.md -o y.md && has err "no block of a thin-pool2"
result $? "nothing but zeroes"
head -c 4194304 /dev/urandom >noise.md
t "noise" 1 thin2_repair -i noise.md -o y.md
t "--lost with another word" 1 thin2_repair --lost maybe -i clean.md -o y.md
run 0 thin2_repair --transaction-id 99 -q -i clean.md -o y.md && [ ! -s out ] &&
	run 0 thin2_check y.md && has out TRANSACTION_ID=99
result $? "--transaction-id, -q"
run 1 thin2_repair --nr-data-blocks 1 -i clean.md -o y.md && has err "are mapped"
result $? "--nr-data-blocks below what is mapped"
[ "$(head -c 4096 y.md | tr -d '\0' | wc -c)" != 0 ]
result $? "... writes nothing"
run 0 thin2_repair --nr-data-blocks 131072 --data-block-size 64 -i clean.md -o y.md &&
	thin2_dump y.md | grep -q 'nr_data_blocks="1048576"'
result $? "--nr-data-blocks, --data-block-size"
if type python3 >/dev/null 2>&1; then
	run 0 thin2_repair --json --report r.json -i dirty.md -o y.md && [ ! -s out ] &&
		python3 -m json.tool r.json >out 2>err && has out '"nothing_lost": true'
	result $? "--json --report"
else
	skip "--json --report" "no python3"
fi

# ---- what is lost ----

leaf=$(damage clean.md leaf "$(damage clean.md root 2)")
cp clean.md x.md
damage x.md flip "$leaf" 1000
run 0 thin2_repair -i x.md -o y.md && has out "lost: thin 2, uid 17" "block $leaf" &&
	has err "with losses" && run 0 thin2_check y.md && thin2_dump y.md | grep -q "damaged"
result $? "a leaf is lost: reported, and its range reads as damaged"
run 0 thin2_repair --lost unmapped -i x.md -o y.md && run 0 thin2_check y.md &&
	! thin2_dump y.md | grep -q "damaged"
result $? "--lost unmapped"
cp clean.md x.md
for i in 0 1 511; do damage x.md flip $i 100; done
run 0 thin2_repair -i x.md -o y.md && has out "nothing is lost" && run 0 thin2_check y.md &&
	has out TRANSACTION_ID=
result $? "no superblock"

# The end of the input is missing: what is in the rest counts.
cp large.md x.md
truncate -s 2M x.md
run 0 thin2_repair -i x.md -o y.md && run 0 thin2_check y.md && same large.md y.md
result $? "input cut off behind all that is in use"

# ---- damage ----

# damaged NAME IMAGE MODE OPTIONS...
damaged()
{
	local name=$1 image=$2 mode=$3 rc=0
	shift 3
	repairtest "$@" "$image" "$mode" old1.md old2.md old3.md >out 2>err || rc=$?
	grep 'cases' out
	result $rc "$name"
}

for i in clean dirty deleting large; do
	damaged "$i pool: all blocks of a kind" $i.md kinds
done
damaged "superblocks of older versions" dirty.md oldsuper
damaged "each block, in each way" dirty.md single
damaged "each block of a pool that deletes" deleting.md single
for seed in $SEEDS; do
	for i in clean dirty deleting large; do
		for k in 1 4 16 64; do
			damaged "$i pool: $k random blocks (seed $seed)" $i.md random -s "$seed" \
				-n "$ROUNDS" -k $k
		done
		damaged "$i pool: 1 % of all blocks (seed $seed)" $i.md share -s "$seed" \
			-n "$ROUNDS" -k 10
		damaged "$i pool: 6 random blocks, older versions too (seed $seed)" $i.md mixed \
			-s "$seed" -n "$ROUNDS" -k 6
	done
done

plan
