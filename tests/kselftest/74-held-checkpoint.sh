#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12 uml uml-debug
# shellcheck disable=SC2016
#
# A checkpoint is held for userspace (reserve_metadata_snap): tools read it with -m
# while the pool goes on, and what only it has goes when it is let go of.
. "$(dirname "$0")/lib.sh"

held()
{
	status --noflush | cut -d' ' -f4
}

dump()
{
	thin2_dump -m $META
}

# churn SEED: the pool changes in every way
churn()
{
	on 1 write $(($1 % 8 + 1))m 256k "$1" discard 64k 128k sync &&
		snap 20 1 && msg "delete 20" && snap $((30 + $1)) 2 && msg "create_thin $((60 + $1))" &&
		on 3 write 0 512k "$1" sync && msg checkpoint
}

settled()
{
	msg checkpoint && [ "$(msg stats | sed -n 's/^deleting_thins=//p')" = 0 ] &&
		[ "$(used_meta)" -le "$1" ]
}

must pool_make
check_is "nothing is held" "$(held)" -
check_fails "nothing to let go of" "Invalid argument" msg release_metadata_snap
check_fails "thin2_dump says so" "hold|held|metadata.snap" thin2_dump -m $META

must thin_make 1 32
must thin_make 3 32
must on 1 write 0 8m 5 sync
must snap 2 1
for i in {100..160}; do
	must msg "create_thin $i"
done
must on 1 write 8m 64k 6
must on 3 write 16m 1m 7 sync

check "a checkpoint is held" msg reserve_metadata_snap
root=$(held)
check "its root is told" eval '[ "$root" -gt 0 ]'
check_fails "a second one is refused" "busy" msg reserve_metadata_snap
check "it can be dumped" eval 'dump >$tmp/first'
check "and has what was written" eval 'thin2_dump -f human_readable -m $META | grep -q "1"'
check "thin2_ls reads it" eval '[ "$(thin2_ls -m --no-headers -o DEV $META | wc -l)" = 64 ]'
check "thin2_check reads it" thin2_check -m $META
check_fails "the pool itself is not read while it is in use" "use|busy" thin2_dump $META

for i in 1 2 3 4; do
	check "the pool changes, $i" churn $i
	check "what is held has not, $i" eval 'dump >$tmp/now && cmp $tmp/first $tmp/now'
done
must msg "delete 160"
must thin_close 3
must msg "delete 3"
must msg checkpoint
check "nor when thins are deleted" eval 'dump >$tmp/now && cmp $tmp/first $tmp/now'
check "thin2_delta reads it" eval 'thin2_delta -m --thin1 1 --thin2 2 $META >$tmp/delta && grep -q right_only\\\|left_only $tmp/delta'
check_is "the root is where it was" "$(held)" "$root"
used=$(used_meta)
check "it is let go of" msg release_metadata_snap
check_is "nothing is held" "$(held)" -
check "what it had goes" wait_for 20 settled $((used - 3))
check_fails "it cannot be read any more" "hold|held|metadata.snap" thin2_dump -m $META
must msg checkpoint
check "again" msg reserve_metadata_snap
check "with what there is now" eval 'dump >$tmp/now && ! cmp -s $tmp/first $tmp/now'
must thin_make 3 32
must churn 5
must thins_close
must pool_close
check "what is held is no damage" thin2_check $META
must pool_open
check_is "activation lets go of it" "$(held)" -
check "and it can be held again" msg reserve_metadata_snap
must msg release_metadata_snap
must thin_open 1 32
check "data is what it was" on 1 check 0 64k 5 check 8m 64k 6
must thins_close
wait_for 20 settled 1000000
must pool_close
check "a check finds nothing" thin2_check $META

# held when power goes
must pool_open
must thin_open 1 32
must thin_open 3 32
must msg reserve_metadata_snap
must churn 6
must on 1 write 20m 64k 9 sync
stop
check "a check after a crash" thin2_check $META
must pool_open
must thin_open 1 32
check "what was flushed is there" on 1 check 20m 64k 9
check_is "nothing is held" "$(held)" -
must thins_close
must pool_close
check "and a check finds nothing" thin2_check $META
