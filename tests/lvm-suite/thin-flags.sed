# SPDX-License-Identifier: GPL-2.0-only
# The first superblock cannot be written, which a status has to show: v1 writes it
# whether anything has changed or not, v2 only with a change. v1 then fails, v2 is
# read-only: all that was written can still be read.
/^dmsetup status/i\
dmsetup message $vg-pool-tpool 0 "create_thin 101" || true\
dmsetup message $vg-pool-tpool 0 "create_thin 102" || true
s/^check lv_attr_bit health $vg\/pool "F"/check lv_attr_bit health $vg\/pool "M"/
s/^check lv_attr_bit health $vg\/$lv2 "F"/check lv_attr_bit health $vg\/$lv2 "-"/
# 490 thins with the same mappings have to fill 2 MiB of metadata. v2 shares what is
# the same: here 283 have mappings of their own.
/^aux thin_restore_needs_more_volumes/s/.*/VOLS=283/
/^aux prepare_thin_metadata/a\
awk '/<device/ { n++ } { sub(/data_begin="0"/, "data_begin=\\"" n "\\"") } 1' data >data.own && mv data.own data
