# SPDX-License-Identifier: GPL-2.0-only
# thin_dump is run under v1's name, not the one the suite was given.
s/^thin_dump /"$LVM_TEST_THIN_DUMP_CMD" /
