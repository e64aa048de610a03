# SPDX-License-Identifier: GPL-2.0-only
# The first superblock cannot be written, which a status has to show: v1 writes it
# whether anything has changed or not, v2 only with a change, and every other time.
/^dmsetup status/i\
dmsetup message $vg-pool-tpool 0 "create_thin 101" || true\
dmsetup message $vg-pool-tpool 0 "create_thin 102" || true
# 490 thins with the same mappings have to fill 2 MiB of metadata. v2 shares what is
# the same, and has other fixed blocks: here each has mappings of its own.
/^aux thin_restore_needs_more_volumes/s/.*/VOLS=455/
/^aux prepare_thin_metadata/a\
awk '{ sub(/data_begin="0"/, "data_begin=\\"" NR "\\"") } 1' data >data.own && mv data.own data
