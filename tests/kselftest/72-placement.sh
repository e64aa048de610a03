#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12 uml uml-debug
# shellcheck disable=SC2086
#
# Where data is put: small writes by chunk, whatever their order; several writers
# in runs of their own, aligned to erase_size.
. "$(dirname "$0")/lib.sh"

data_mib=256
must command -v thin2_dump

# remake: a new pool on the same devices
remake()
{
	dd if=/dev/zero of=$META bs=4k count=1 oflag=direct status=none && pool_open
}

# random_fill ID MIB: each 4 KiB once, in random order
random_fill()
{
	fio_run --name=fill --filename=$MAP/t2-thin$1 --direct=1 --ioengine=libaio --iodepth=16 \
		--rw=randwrite --bs=4k --size=$2m --randseed=$((RANDOM + 1))
}

# ranges ID: how many a thin of the pool, which is not in use, has
ranges()
{
	thin2_dump --dev-id $1 $META | grep -cE '<(range|single)_mapping '
}

# begins ID: where in the data its ranges begin, in units
begins()
{
	thin2_dump --dev-id $1 $META |
		sed -nE 's/.*<range_mapping .*data_begin="([0-9]+)".*/\1/p;
			 s/.*<single_mapping .*data_block="([0-9]+)".*/\1/p'
}

# 16 MiB are 256 chunks of 64 KiB, and 4,096 units of 4 KiB.
must pool_make
must thin_make 0 256
must random_fill 0 16
check_is "a random fill takes no more space than it writes" "$(used_data)" 256
must snap 1 0
must random_fill 0 16
check_is "nor do overwrites after a snapshot" "$(used_data)" 512
must thins_close
must pool_close
check_range "the fill has a range a chunk at most" "$(ranges 1)" 1 256
check_range "so have the overwrites" "$(ranges 0)" 1 256

block_size=8
must remake
must thin_make 0 256
must random_fill 0 16
must thins_close
must pool_close
check_range "with blocks of one unit data lies in order of writing" "$(ranges 0)" 2048 4096

# ---- erase_size ----

block_size=128
features=(erase_size 8192 skip_block_zeroing no_discard_passdown error_if_no_space)
must remake
check_is "TABLE says what was asked for" "$(dmsetup table t2-pool | cut -d' ' -f6-13)" \
	"128 0 5 ${features[*]}"
for i in 0 1 2 3; do
	must thin_make $i 64
done
must fio_run --direct=1 --ioengine=libaio --iodepth=4 --rw=write --bs=4k --size=8m \
	--name=0 --filename=$MAP/t2-thin0 --name=1 --filename=$MAP/t2-thin1 \
	--name=2 --filename=$MAP/t2-thin2 --name=3 --filename=$MAP/t2-thin3
must thins_close
must pool_close
for i in 0 1 2 3; do
	bad=0
	for unit in $(begins $i); do
		[ $((unit % 1024)) = 0 ] || bad=$((bad + 1))
	done
	check_is "thin $i begins at multiples of 4 MiB" $bad 0
	check_range "and has one range for each of them at most" "$(ranges $i)" 1 2
done

# refused VALUE
refused()
{
	features=(erase_size "$1")
	check_fails "erase_size '$1' is refused" "" pool_open
	[ ! -e $POOL ] || dmsetup remove t2-pool
}
refused 0
refused 4
refused 24
refused 4194304
refused x
refused ''
features=(erase_size 8 skip_block_zeroing ignore_discard no_discard_passdown error_if_no_space
	  read_only)
check "all features together" pool_open
check_is "and TABLE says so" "$(dmsetup table t2-pool | cut -d' ' -f8-)" "7 ${features[*]} "
features=(erase_size 16 ignore_discard)
check "a reload with another erase_size" dm_reload t2-pool "$(pool_table)"
must pool_close
features=()
end_check
