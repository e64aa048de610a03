#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest's side of tests/lvm-suite/suite.sh.
#
#   suite-guest.sh v1|v2 SOURCE SECONDS SCRIPT...
#
# Runs each SCRIPT of LVM's test suite, built in SOURCE, as its own runner does, for
# at most SECONDS. /out/results gets a line for each: its name, passed, skipped,
# failed or timeout, and its seconds; /out/NAME.log what it said. With v2, a script
# is changed as NAME.sed beside this says.
set -u

version=$1
source=$2
seconds=$3
shift 3

ln -sfn "$SUITE_MODULES" "/lib/modules/$(uname -r)" || exit 1
modprobe -a dm-mod loop || exit 1
if [ "$version" = v2 ]; then
	tools=$VM_TOP/build/tools
	"$tools/thin2-lvm" enable || exit 1
	# the suite writes its own lvm.conf, from these
	export LVM_TEST_THIN_CHECK_CMD=$tools/thin2_lvm_check
	export LVM_TEST_THIN_DUMP_CMD=$tools/thin2_lvm_dump
	export LVM_TEST_THIN_REPAIR_CMD=$tools/thin2_lvm_repair
	export LVM_TEST_THIN_RESTORE_CMD=$tools/thin2_restore
fi
modprobe dm-thin-pool || exit 1
echo "$version: $(lsmod | awk '/^dm_thin/ { print $1 }' | xargs), $(dmsetup targets | grep ^thin | xargs)"

export LVM_TEST_DIR=/dev/shm LVM_TEST_NODEBUG=1 LVM_LOG_FILE_MAX_LINES=100000
cd "$source/test" || exit 1
: >/out/results
for script in "$@"; do
	name=$(basename "$script" .sh)
	echo "lvm-suite: $name" >/dev/kmsg
	start=$SECONDS
	change=$VM_TOP/tests/lvm-suite/$name.sed
	if [ "$version" = v2 ] && [ -e "$change" ]; then
		cp "shell/$name.sh" /run/original
		sed -i -f "$change" "shell/$name.sh"
		if cmp -s /run/original "shell/$name.sh"; then
			echo "$name unchanged 0" | tee -a /out/results
			continue
		fi
	fi
	timeout -k 20 "$seconds" bash "shell/$name.sh" >"/out/$name.log" 2>&1 </dev/null
	case $? in
	0) what=passed ;;
	200) what=skipped ;;
	124 | 137) what=timeout ;;
	*) what=failed ;;
	esac
	echo "$name $what $((SECONDS - start))" | tee -a /out/results
	# what the next one would trip over
	left=$(timeout 30 dmsetup ls 2>/dev/null | grep -v '^No devices found')
	if [ -n "$left" ]; then
		echo "left: $left" >>"/out/$name.log"
		timeout -k 10 60 dmsetup remove_all --force --deferred >/dev/null 2>&1
	fi
	rm -rf /dev/shm/LVMTEST*
done
