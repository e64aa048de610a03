# SPDX-License-Identifier: GPL-2.0-only
# What is mapped after some KiB were written over an external origin: v1 copies
# whole chunks, v2 maps the 4 KiB that were written. 24 of 576 KiB, in the first, and
# 32 KiB, with what the chunk's head and tail have, of 128 MiB in the other.
/check lv_field .* data_percent "66.67"/s/66.67/4.17/
