# SPDX-License-Identifier: GPL-2.0-only
# 400 thins with the same mappings have to fill 2 MiB of metadata. v2 shares what is
# the same: here 250 have mappings of their own.
s/^aux prepare_thin_metadata 400/aux prepare_thin_metadata 250/
/^aux prepare_thin_metadata/a\
awk '{ sub(/data_begin="0"/, "data_begin=\\"" NR "\\"") } 1' data >data.own && mv data.own data
