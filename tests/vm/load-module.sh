#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# In a guest: loads the dm-thin-pool2.ko built for its kernel, and what it needs.
set -eu

ko=$MODDIR/dm-thin-pool2.ko
[ -e "$ko" ] || { echo "no $ko: tests/vm/build-module.sh $VM_KERNEL" >&2; exit 1; }
[ ! -e /sys/module/dm_thin_pool2 ] || exit 0
modprobe dm-mod
for m in $(modinfo -F depends "$ko" | tr ',' ' '); do
	modprobe "$m"
done
insmod "$ko" "$@"
