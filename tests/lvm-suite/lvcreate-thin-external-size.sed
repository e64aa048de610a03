# SPDX-License-Identifier: GPL-2.0-only
# What is mapped after some KiB were written over an external origin: v1 copies
# whole chunks, v2 maps the 4 KiB that were written: 24 of 576 KiB, and 32 KiB of 128 MiB.
/check lv_field .* data_percent/s/66.67/4.17/
/check lv_field .* data_percent/s/50.00/0.02/
