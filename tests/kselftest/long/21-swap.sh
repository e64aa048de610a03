#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12
# timeout: 600
# shellcheck disable=SC2034,SC2086
#
# Swap on a thin, in a machine that has no memory left: huge pages take most of it.
# A process uses more than there is, another one writes fresh space of a second
# thin through the page cache: both get on, and find what they wrote.
. "$(dirname "$0")/../lib.sh"

left_mib=${LEFT:-300}		# of memory
hog_mib=${HOG:-400}
huge=/proc/sys/vm/nr_hugepages

# mem_mib FIELD
mem_mib()
{
	awk -v f="$1:" '$1 == f { print int($2 / 1024) }' /proc/meminfo
}

fill_memory()
{
	local mib
	sync
	echo 3 >/proc/sys/vm/drop_caches
	at_exit "echo 0 >$huge"
	mib=$(($(mem_mib MemAvailable) - left_mib))
	[ $mib -gt 0 ] && echo $((mib / 2)) >$huge
	echo "available: $(mem_mib MemAvailable) MiB"
	[ "$(mem_mib MemAvailable)" -le $((left_mib + 60)) ]
}

swap_used()
{
	awk '$1 ~ /t2-thin1|dm-/ { print int($4 / 1024) }' /proc/swaps
}

swap_gone()
{
	swapoff $MAP/t2-thin1 && no_longer "swapoff $MAP/t2-thin1"
}

if [ ! -w $huge ]; then
	skip "swap on a thin" "this kernel has no huge pages to take memory with"
	exit 0
fi
setting /proc/sys/kernel/hung_task_timeout_secs 60
# the process and not the programs of the test
setting /proc/sys/vm/swappiness 200
meta_mib=16
must pool_make
must thin_make 1 1024
must thin_make 2 512
must mkswap -q $MAP/t2-thin1
must swapon $MAP/t2-thin1
at_exit "swapoff $MAP/t2-thin1"
must fill_memory
oom=$(awk '$1 == "oom_kill" { print $2 }' /proc/vmstat)

memhog "$hog_mib" 2 &
hog=$!
used=0
for ((n = 0; n < 200; n++)); do
	dd if=/dev/urandom of=$MAP/t2-thin2 bs=1M count=2 seek=$((2 * n)) conv=notrunc status=none || break
	[ $((n % 16)) != 0 ] || sync $MAP/t2-thin2
	[ $((n % 50)) != 10 ] || msg checkpoint || break
	now=$(swap_used)
	[ "${now:-0}" -le $used ] || used=$now
	[ $((n % 16)) != 0 ] || say "$((2 * n)) MiB written, ${now:-0} MiB in swap"
	kill -0 $hog 2>/dev/null || break
done
say "up to $used MiB swapped, $((2 * n)) MiB written meanwhile"
check "the other thin was written meanwhile" [ $n -gt 10 ]
check "the process got what it wrote" wait $hog
check "it was swapped out to the thin" [ $used -gt 50 ]
check_is "nobody was killed for want of memory" \
	"$(awk '$1 == "oom_kill" { print $2 }' /proc/vmstat)" "$oom"
check_is "the pool is well" "$(pool_mode)" rw
echo 0 >$huge
check "all is swapped in again" swap_gone
sum=$(blkop $MAP/t2-thin2 sum 0 end)
must thins_close
must pool_close
must meta_check
must pool_open
must thin_open 2 512
check_is "what was written meanwhile is there" "$(blkop $MAP/t2-thin2 sum 0 end)" "$sum"
end_check
