#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2016
#
# REQ_NOWAIT, as io_uring uses it: whoever submits is never held up. dm-thin v1
# refuses it. A bio that has to wait for something does so in a worker.
. "$(dirname "$0")/lib.sh"

must pool_make
must thin_make 0 64
check "a hole is read" on 0 nowait zero 0 64k
check "fresh space is written" on 0 nowait bs 64k write 0 64k 1 write 1m 4k 2 write 2m 512 3
check "and read" on 0 nowait check 0 64k 1 check 1m 4k 2 check 2m 512 3 zero 3m 64k
check "an overwrite" on 0 nowait bs 64k write 0 64k 4 check 0 64k 4
must snap 1 0
must thin_open 1 64
check "a write of whole units after a snapshot" on 0 nowait bs 64k write 0 64k 5 check 0 64k 5
check "a write of part of a unit" on 0 nowait write 1m 512 6 check 1m 512 6
check "the snapshot is as it was" on 1 nowait check 0 64k 4 check 1m 4k 2 check 2m 512 3

# A device that is suspended holds up whoever does not say that they will not wait.
start=$SECONDS
must dmsetup suspend t2-thin0
check_fails "suspended: a read does not wait" "temporarily unavailable" \
	timeout 20 blkop $MAP/t2-thin0 nowait check 0 64k 5
check_fails "suspended: a write does not wait" "temporarily unavailable" \
	timeout 20 blkop $MAP/t2-thin0 nowait write 0 4k 7
must dmsetup resume t2-thin0
check "resumed: as it was" on 0 nowait check 0 64k 5
must dmsetup suspend t2-pool
check_fails "the pool suspended: a write does not wait" "temporarily unavailable" \
	timeout 20 blkop $MAP/t2-thin0 nowait write 0 4k 7
must dmsetup resume t2-pool
check "nothing of that has been written" on 0 check 0 64k 5
check_range "none of them waited, seconds" $((SECONDS - start)) 0 30

if modprobe dm-thin-pool 2>/dev/null; then
	must v1_pool_make 32
	must dmsetup message t2-v1pool 0 "create_thin 0"
	must dm_make t2-v1thin "0 65536 thin $MAP/t2-v1pool 0"
	check_fails "dm-thin v1 refuses it" "not supported" blkop $MAP/t2-v1thin nowait zero 0 4k
fi
end_check
