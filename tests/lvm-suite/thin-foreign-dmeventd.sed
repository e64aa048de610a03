# SPDX-License-Identifier: GPL-2.0-only
# mkfs on 1 KiB blocks has to take more than 95 % of the pool, in whole chunks. v2 maps
# the 4 KiB that are written: 90 %.
s/-gt 95/-gt 85/
