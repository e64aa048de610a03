#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In a guest: runs the given test scripts one after the other, TAP to
# /out/NAME.tap and everything else to /out/NAME.log.  runner.tap says how each
# ended.  A test may ask for more time than the usual with "# timeout: SECONDS"; on
# the debug kernel each has four times that, and what it leaks fails it.
set -u

usual=300
slower=1
leaks=/sys/kernel/debug/kmemleak
[ "$VM_KERNEL" != uml-debug ] || slower=4
tap=/out/runner.tap
n=0

# Tests of each script, and those of the whole run.
of_script=2
of_run=1
# Not if there is no kmemleak, or it is off.
if [ -e $leaks ] && { echo scan=off >$leaks; } 2>/dev/null; then
	of_script=3
	of_run=2
else
	leaks=
fi
echo "1..$((of_script * $# + of_run))" >"$tap"

# result STATUS TEXT
result()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2" >>"$tap"
	else
		echo "not ok $n - $2" >>"$tap"
	fi
}

# scan_leaks: what nobody knows of any more, to leaks.new. A scan passes over what
# is younger than 5 seconds, and tells of what a scan before it has seen, too.
scan_leaks()
{
	echo scan >$leaks
	echo scan >$leaks
	cat $leaks >/out/leaks.new
	echo clear >$leaks
}

# find_leaks WHAT
find_leaks()
{
	local left=0 line
	[ -n "$leaks" ] || return 0
	scan_leaks
	if grep -q '^unreferenced object' /out/leaks.new; then
		left=1
		{ echo "== $1"; cat /out/leaks.new; } >>/out/leaks.log
		# run.sh prints what it finds on the console
		head -n 40 /out/leaks.new | while IFS= read -r line; do
			echo "$line" >/dev/kmsg
		done
	fi
	result $left "$1"
}

if [ -n "$leaks" ]; then
	# not those of the boot
	scan_leaks
	mv /out/leaks.new /out/leaks-boot.log
fi
"$VM_TOP/tests/vm/load-module.sh" >/out/load-module.log 2>&1
result $? "the module loads"
cat /out/load-module.log

for t in "$@"; do
	name=$(basename "$t" .sh)
	echo "kselftest: $name" >/dev/kmsg
	limit=$(sed -n 's/^# timeout: *\([0-9][0-9]*\).*/\1/p;20q' "$t")
	start=$SECONDS
	timeout -k 10 $((${limit:-$usual} * slower)) bash "$t" >"/out/$name.tap" 2>"/out/$name.log" </dev/null
	rc=$?
	result $rc "$name: exit status $rc"
	left=$(timeout 30 dmsetup ls 2>/dev/null | grep -v '^No devices found')
	[ -z "$left" ]
	result $? "$name: leaves no devices behind"
	if [ -n "$left" ]; then
		echo "# left: $left" >>"$tap"
		timeout -k 10 60 dmsetup remove_all --force >/dev/null 2>&1
	fi
	find_leaks "$name: leaks no memory"
	echo "$name: $(grep -c '^ok' "/out/$name.tap") ok," \
		"$(grep -c '^not ok' "/out/$name.tap") not ok, $((SECONDS - start)) s"
done
if [ -n "$leaks" ]; then
	sleep 6
	find_leaks "nothing has leaked at the end"
fi
exit 0
