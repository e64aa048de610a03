#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2016,SC2086
#
# The tools, on what a kernel wrote: a pool that was closed, one that was not,
# and the held root of one that is live.
. "$(dirname "$0")/lib.sh"

must command -v thin2_check thin2_dump
must pool_make
must thin_make 0 256
must on 0 write 0 8m 1 write 64m 4k 2 write 128m 1m 3 discard 4m 1m zeroout 130m 1m
must snap 1 0
must on 0 write 1m 1m 4

check_fails "thin2_check refuses a live pool" "use|busy" thin2_check $META
root=$(msg "get_root 1") || not_ok "get_root"
root=${root%% *}
check "thin2_dump of a held root, live" thin2_dump --root "$root" $META -o $tmp/held.xml
cat $tmp/held.xml

# mapped FILE [DEV]: units its mappings add up to
xml_units()
{
	grep -oE '<(single|range)_mapping[^>]*>' "$1" | awk '
		/single/ { n++ }
		/range/ { match($0, /length="[0-9]+"/); n += substr($0, RSTART + 8, RLENGTH - 9) }
		END { print n + 0 }'
}

# 8 MiB - 1 MiB + 4 KiB + 1 MiB
units=$((7 * 256 + 1 + 256))
check_is "it has all mappings" "$(xml_units $tmp/held.xml)" $units
must on 0 write 2m 4m 5 write 200m 1m 6 sync
check "again while the origin changes" thin2_dump --root "$root" $META -o $tmp/held2.xml
check "the same" cmp $tmp/held.xml $tmp/held2.xml
must msg "put_root 1"

must thins_close
must pool_close
check "thin2_check of a closed pool" thin2_check $META
check "thin2_dump of a closed pool" thin2_dump $META -o $tmp/all.xml
check_is "it has both thins" "$(grep -c '<device ' $tmp/all.xml)" 2
thin2_dump --dev-id 1 $META -o $tmp/one.xml
check_is "the snapshot's mappings are what was held" "$(xml_units $tmp/one.xml)" $units

# not closed: journal to replay
must pool_open
must thin_open 0 256
must on 0 write 210m 2m 7 sync
must dm_make t2-image "0 $((meta_mib * 2048)) linear $VDA $((meta_mib * 2048))"
must dd if=$META of=$MAP/t2-image bs=1M iflag=direct oflag=direct status=none
check "thin2_check of a pool that was not closed" thin2_check $MAP/t2-image
check "thin2_dump of it" thin2_dump $MAP/t2-image -o $tmp/image.xml
check_is "what was synchronised is in it" \
	"$(thin2_dump --dev-id 0 $MAP/t2-image -o $tmp/x.xml; xml_units $tmp/x.xml)" \
	"$(($(mapped 0) / 8))"
remove_dm t2-image

# thin_sum: what thin 0 reads as, in a pool opened for it
thin_sum()
{
	{
		pool_open
		thin_open 0 256
	} >&2
	md5sum <$MAP/t2-thin0
	{
		thins_close
		pool_close
	} >&2
}

# dumped and restored in place, it is the same pool
must thins_close
must pool_close
check "thin2_ls of a closed pool" thin2_ls -o DEV,MAPPED,EXCLUSIVE $META
must thin2_dump $META -o $tmp/before.xml
sum_before=$(thin_sum)
check "thin2_restore onto the device" thin2_restore -q -i $tmp/before.xml -o $META
check "thin2_check likes it" thin2_check $META
check_is "the data is where it was" "$(thin_sum)" "$sum_before"
check "thin2_trim discards what is free" thin2_trim --metadata-dev $META --data-dev $DATA
check_is "and nothing else" "$(thin_sum)" "$sum_before"
first=$(sed -n 's/.* data_begin="\([0-9]*\)".*/\1/p' $tmp/before.xml | head -n 1)
must dd if=/dev/zero of=$DATA bs=4k count=1 seek="$first" oflag=direct status=none
check_is "(the sum is of what is on the data device)" \
	"$([ "$(thin_sum)" != "$sum_before" ] && echo differs)" differs
must pool_open
must thin_open 0 256
must on 0 write 0 1m 9 sync
check_fails "thin2_trim refuses a live pool" "use|busy" \
	thin2_trim --metadata-dev $META --data-dev $DATA
check_fails "thin2_restore refuses a live pool" "use|busy" thin2_restore -i $tmp/before.xml -o $META
must thins_close
must pool_close
check "thin2_check after it was written to" thin2_check $META
end_check
