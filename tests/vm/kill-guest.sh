#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The guest's side of tests/vm/kill.sh: looks at what the last one left and works
# until it is killed, or ends ("end").
set -eu

META=/dev/vda
DATA=/dev/vdb
export DM_DISABLE_UDEV=1
check=$VM_TOP/build/tools/thin2_check

"$VM_TOP/tests/vm/load-module.sh"
if [ -e /out/state ]; then
	"$check" -q $META || { "$check" $META; echo "kill: thin2_check before activation"; exit 1; }
fi
"$VM_TOP/build/selftest/killwork" /out $META $DATA "$@"
"$check" -q $META || { "$check" $META; echo "kill: thin2_check at the end"; exit 1; }
