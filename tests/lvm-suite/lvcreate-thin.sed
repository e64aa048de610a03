# SPDX-License-Identifier: GPL-2.0-only
# Metadata from 1 MiB on has to be zeroes. v2 keeps its backup superblock in block
# 511, just below 2 MiB: all but that has to be.
/^md5sum -b file/i\
dd if=/dev/zero of=file bs=4k seek=255 count=1 conv=notrunc
