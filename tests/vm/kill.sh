#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# kill -9 of the machine, again and again, on one pool: each boot looks at what the
# last one left, and goes on with it.
#
#   [KILLS=5] [KERNEL=uml] [SEED=n] kill.sh
#
# In the machine, threads write, discard, fsync and write with FUA on several
# thins and snapshots while snapshots are taken and deleted; what was acknowledged
# goes out over the console. Most kills come while it works, some while the pool is
# opened. TAP on stdout; the pool, the state and all consoles stay in build/kill if
# a test fails. SEED repeats the moments, as far as the machine does.
set -eu

. "$(dirname "$0")/lib.sh"

kills=${KILLS:-5}
kernel=${KERNEL:-uml}
RANDOM=${SEED:=$RANDOM}
out=$TOP/build/kill

"$TOP/tests/vm/build-selftest.sh" "$kernel" | sed 's/^/# /'
rm -rf "$out"
mkdir -p "$out"
truncate -s 64M "$out/meta.img"
truncate -s 512M "$out/data.img"
: >"$out/acks"
echo "# SEED=$SEED"

# boot STATUS OPTION...: a machine that has to end like that
boot()
{
	local want=$1 rc=0
	shift
	"$TOP/tests/vm/run.sh" -k "$kernel" -m 1G -t 120 -d "$out/meta.img" -d "$out/data.img" \
		-o "$out" "$@" >"$out/run.log" 2>&1 || rc=$?
	# What was acknowledged; the last line may be a part of one.
	{ cat "$out/console.log"; echo; } >>"$out/acks"
	grep '^killwork: boot' "$out/run.log" | sed 's/^/# /' || true
	[ $rc = "$want" ] && return
	echo "# status $rc, expected $want; the end of the console:"
	grep -vE '^(ack|fua) ' "$out/run.log" | tail -n 30 | sed 's/^/# /'
	return 1
}

rc=0
echo "1..$((kills + 1))"
for ((n = 1; n <= kills; n++)); do
	moment=(working $((RANDOM % 2000)))
	[ $((RANDOM % 5)) != 0 ] || moment=(opening $((RANDOM % 300)))
	if [ $rc = 0 ] && boot 42 --kill-on "killwork: ${moment[0]}" --kill-delay "${moment[1]}" -- \
			"$TOP/tests/vm/kill-guest.sh"; then
		echo "ok $n - killed ${moment[1]} ms after ${moment[0]}"
	else
		echo "not ok $n - killed ${moment[1]} ms after ${moment[0]}"
		rc=1
	fi
done
if [ $rc = 0 ] && boot 0 -- "$TOP/tests/vm/kill-guest.sh" end; then
	echo "ok $n - all is there at the end, and thin2_check finds nothing"
	rm -rf "$out"
else
	echo "not ok $n - all is there at the end, and thin2_check finds nothing"
	rc=1
fi
exit $rc
