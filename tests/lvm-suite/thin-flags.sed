# SPDX-License-Identifier: GPL-2.0-only
# The first superblock cannot be written, which a status has to show: v1 writes it
# whether anything has changed or not, v2 only with a change. v1 then fails, v2 is
# read-only: all that was written can still be read. Out of metadata, v1 is read-only,
# v2 out_of_data_space: what needs no new metadata can be written.
/^dmsetup status/i\
dmsetup message $vg-pool-tpool 0 "create_thin 101" || true\
dmsetup message $vg-pool-tpool 0 "create_thin 102" || true
s/^check lv_attr_bit health $vg\/pool "M"/check lv_attr_bit health $vg\/pool "D"/
s/"metadata_read_only"/"out_of_data"/
s/^check lv_attr_bit health $vg\/pool "F"/check lv_attr_bit health $vg\/pool "M"/
s/^check lv_attr_bit health $vg\/$lv2 "F"/check lv_attr_bit health $vg\/$lv2 "-"/
# 490 thins with the same mappings have to fill 2 MiB of metadata. v2 shares what is
# the same: here 283 have mappings of their own.
/^aux thin_restore_needs_more_volumes/s/.*/VOLS=283/
/^aux prepare_thin_metadata/a\
awk '/<device/ { n++ } { sub(/data_begin="0"/, "data_begin=\\"" n "\\"") } 1' data >data.own && mv data.own data
