#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In a guest: runs the given test scripts one after the other, TAP to
# /out/NAME.tap and everything else to /out/NAME.log.  runner.tap says how each
# ended.  A test may ask for more time than the usual with "# timeout: SECONDS".
set -u

usual=300
tap=/out/runner.tap
n=0

echo "1..$((2 * $# + 1))" >"$tap"

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

"$VM_TOP/tests/vm/load-module.sh" >/out/load-module.log 2>&1
result $? "the module loads"
cat /out/load-module.log

for t in "$@"; do
	name=$(basename "$t" .sh)
	echo "kselftest: $name" >/dev/kmsg
	limit=$(sed -n 's/^# timeout: *\([0-9][0-9]*\).*/\1/p;20q' "$t")
	start=$SECONDS
	timeout -k 10 "${limit:-$usual}" bash "$t" >"/out/$name.tap" 2>"/out/$name.log" </dev/null
	rc=$?
	result $rc "$name: exit status $rc"
	left=$(timeout 30 dmsetup ls 2>/dev/null | grep -v '^No devices found')
	[ -z "$left" ]
	result $? "$name: leaves no devices behind"
	if [ -n "$left" ]; then
		echo "# left: $left" >>"$tap"
		timeout -k 10 60 dmsetup remove_all --force >/dev/null 2>&1
	fi
	echo "$name: $(grep -c '^ok' "/out/$name.tap") ok," \
		"$(grep -c '^not ok' "/out/$name.tap") not ok, $((SECONDS - start)) s"
done
exit 0
