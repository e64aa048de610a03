# SPDX-License-Identifier: GPL-2.0-only
# Thins with the same mappings have to fill the metadata. v2 shares what is the same:
# here each has mappings of its own, and they are fewer.
s/origin_begin="0" data_begin="0"/origin_begin="'$((i \/ 3000))'" data_begin="'$((i % 3000))'"/
s/fake_metadata_ 400 /fake_metadata_ 250 /
s/^DATA=7200/DATA=6100/
s/^DATA=300/DATA=195/
