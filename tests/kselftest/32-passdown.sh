#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# kernels: 6.12 uml uml-debug
# shellcheck disable=SC2016,SC2086,SC2317
#
# What is discarded reaches the data device: all of what nobody uses any more,
# nothing of what somebody does, in long ranges.  And file systems that are
# mounted with "discard".
. "$(dirname "$0")/lib.sh"

must pool_make
stat_file=/sys/block/dm-$(stat -c %Lr $DATA)/stat

# passed: sectors of the data device that were discarded so far
passed()
{
	status >/dev/null
	awk '{ print $14 }' "$stat_file"
}

# passed_bios: in how many discards
passed_bios()
{
	awk '{ print $12 }' "$stat_file"
}

passed_is()
{
	[ "$(passed)" = "$1" ]
}

# settled: what was freed has been passed down, or is not going to be
settled()
{
	sleep 0.5
	msg checkpoint
	status >/dev/null
	sleep 0.5
}

# the longest discard that the disk takes, in sectors
longest=$(($(cat "/sys/block/$(basename "$(readlink -f $VDB)")/queue/discard_max_bytes") / 512))
if [ "$longest" = 0 ]; then
	skip "discards are passed down" "the disk takes none"
	end_check
	exit 0
fi

must thin_make 0 512
must on 0 write 0 32m 1 sync
must msg checkpoint
base=$(passed)
check "a discard" on 0 discard 0 8m
check "reaches the data device" wait_for 5 passed_is $((base + 16384))
check "one unit, too" on 0 discard 8m 4k
check "as one unit" wait_for 5 passed_is $((base + 16384 + 8))
check "less than a unit" on 0 discard 8704k 2k
check "what is discarded already" on 0 discard 0 8m
settled
check_is "neither reaches it" "$(passed)" $((base + 16384 + 8))

# shared
must snap 1 0
must on 0 discard 16m 8m
settled
check_is "what a snapshot holds is not passed down" "$(passed)" $((base + 16384 + 8))
must thin_open 1 512
check "the snapshot has it" on 1 check 16m 8m 1
must on 1 discard 16m 4m
check "discarded by the last who has it, it is" wait_for 5 passed_is $((base + 24576 + 8))
must thin_close 1
must msg "delete 1"
check "with the snapshot the rest is" wait_for 5 passed_is $((base + 32768 + 8))
must on 0 discard 24m 8m
check "previously shared ranges are passed down" wait_for 5 passed_is $((base + 49152 + 8))
check_is "what is left is mapped" "$(mapped 0)" $((16384 - 8))

# many small ones next to each other: long ranges below
must on 0 discard 0 end
must on 0 write 0 16m 2 sync
settled
base=$(passed)
bios=$(passed_bios)
fio_run --name=trim --filename=$MAP/t2-thin0 --rw=trim --bs=4k --size=16m --direct=1 \
	--ioengine=libaio --iodepth=32 || not_ok "fio trims"
check "16 MiB in discards of 4 KiB" wait_for 10 passed_is $((base + 32768))
n=$(($(passed_bios) - bios))
say "4096 discards became $n"
check_range "become few below" $n 1 $((32768 / longest + 256))
check_is "nothing is mapped" "$(mapped 0)" 0

# every other unit, in one
must fio_run --name=frag --filename=$MAP/t2-thin0 --rw=write:4k --bs=4k --size=16m --io_size=8m \
	--direct=1 --ioengine=libaio --iodepth=32
settled
base=$(passed)
check "a discard of every other unit" on 0 discard 0 16m
check "passes down what was mapped" wait_for 10 passed_is $((base + 16384))

# at random, beside I/O to the same thin
must on 0 write 0 64m 3
fio --minimal --output=$tmp/fio.w --thread --name=write --filename=$MAP/t2-thin0 --offset=64m \
	--size=32m --direct=1 --ioengine=libaio --iodepth=8 --rw=randwrite --bsrange=512-32k \
	--blockalign=512 --time_based --runtime=6 --serialize_overlap=1 --verify=crc32c \
	--verify_fatal=1 &
writer=$!
check "discards at random beside writes" fio_run --name=trims --filename=$MAP/t2-thin0 \
	--offset=128m --size=64m --direct=1 --ioengine=libaio --iodepth=8 --rw=randtrim --bsrange=4k-1m \
	--blockalign=512 --time_based --runtime=4
check "discards at random of what is written" fio_run --name=mixed --filename=$MAP/t2-thin0 \
	--offset=192m --size=32m --direct=1 --ioengine=libaio --iodepth=8 --rw=randtrimwrite \
	--bs=16k --io_size=32m
check "the writes beside end well" wait $writer || cat $tmp/fio.w
check "others are unharmed" on 0 check 0 64m 3
must on 0 discard 0 end
must msg checkpoint
check_is "nothing is left mapped" "$(mapped 0)" 0
check_is "and no data used" "$(used_data)" 0

# file systems that discard by themselves
unmount()
{
	umount $tmp/mnt && no_longer "umount $tmp/mnt"
}

mkdir $tmp/mnt
id=20
for fs in ext4 xfs; do
	modprobe $fs || { skip "$fs -o discard" "no module"; continue; }
	id=$((id + 1))
	must thin_make $id 512
	must mkfs.$fs -q $MAP/t2-thin$id
	must mount -o discard $MAP/t2-thin$id $tmp/mnt
	at_exit "umount $tmp/mnt"
	must dd if=/dev/urandom of=$tmp/mnt/keep bs=1M count=4 status=none
	must dd if=/dev/urandom of=$tmp/mnt/file bs=1M count=64 status=none
	sync -f $tmp/mnt
	sum=$(md5sum <$tmp/mnt/keep)
	used=$(used_data)
	base=$(passed)
	rm $tmp/mnt/file
	sync -f $tmp/mnt
	# xfs gives a file's space back in the background
	must fsfreeze --freeze $tmp/mnt
	must fsfreeze --unfreeze $tmp/mnt
	check "$fs -o discard: a removed file's space is in the status within 2 s" \
		wait_for 2 used_data_below $((used - 900))
	check "$fs: it was passed down" wait_for 5 eval '[ $(passed) -ge $((base + 110000)) ]'
	check_is "$fs: the other file is there" "$(md5sum <$tmp/mnt/keep)" "$sum"
	must unmount
	if [ $fs = ext4 ]; then
		check "e2fsck" e2fsck -fn $MAP/t2-thin$id
	else
		check "xfs_repair" xfs_repair -n $MAP/t2-thin$id
	fi
done
thins_close
must pool_close

features=(no_discard_passdown)
must pool_open
must thin_make 3 64
must on 3 write 0 8m 1
must msg checkpoint
base=$(passed)
check "no_discard_passdown" on 3 discard 0 8m
settled
check_is "passes nothing down" "$(passed)" "$base"
check_is "but gives the space back" "$(mapped 3)" 0
features=()
must dm_reload t2-pool "$(pool_table)"
must on 3 write 0 8m 2
must on 3 discard 0 8m
check "passdown by a reload" wait_for 5 passed_is $((base + 16384))
end_check
