/* SPDX-License-Identifier: GPL-2.0-only */
/* Compile-time proof that the compiler lays the disk structures out as documented. */
#ifndef PDATA_ONDISK_H
#define PDATA_ONDISK_H

#include "pdata-format.h"

#define PDATA_CHECK_SIZE(t, n) \
	static_assert(sizeof(struct t) == (n), #t " has a wrong size")
#define PDATA_CHECK_OFFSET(t, f, n) \
	static_assert(offsetof(struct t, f) == (n), #t "." #f " is misplaced")

PDATA_CHECK_SIZE(pdata_header, 64);
PDATA_CHECK_SIZE(pdata_counts, 4096);
PDATA_CHECK_SIZE(pdata_hold_disk, 32);
PDATA_CHECK_SIZE(pdata_superblock_disk, 4096);
PDATA_CHECK_SIZE(pdata_record_disk, 32);
PDATA_CHECK_SIZE(pdata_journal_disk, 4096);
PDATA_CHECK_SIZE(pdata_btree_disk, 4096);
PDATA_CHECK_SIZE(pdata_details_disk, 144);
PDATA_CHECK_SIZE(pdata_range_head, 32);
PDATA_CHECK_SIZE(pdata_range_child, 16);
PDATA_CHECK_SIZE(pdata_range_node_disk, 4096);
PDATA_CHECK_SIZE(pdata_range_leaf_disk, 4096);
PDATA_CHECK_SIZE(pdata_map_rec_disk, 24);
PDATA_CHECK_SIZE(pdata_sm_rec_disk, 32);

PDATA_CHECK_OFFSET(pdata_header, magic, 4);
PDATA_CHECK_OFFSET(pdata_header, blocknr, 8);
PDATA_CHECK_OFFSET(pdata_header, generation, 32);
PDATA_CHECK_OFFSET(pdata_header, salt, 56);
PDATA_CHECK_OFFSET(pdata_superblock_disk, meta_blocks, 96);
PDATA_CHECK_OFFSET(pdata_superblock_disk, journal_blocks, 136);
PDATA_CHECK_OFFSET(pdata_superblock_disk, details_root, 176);
PDATA_CHECK_OFFSET(pdata_superblock_disk, journal_cut, 240);
PDATA_CHECK_OFFSET(pdata_superblock_disk, hold, 256);
PDATA_CHECK_OFFSET(pdata_superblock_disk, slots, 1288);
PDATA_CHECK_OFFSET(pdata_superblock_disk, details_copy_root, 1280);
PDATA_CHECK_OFFSET(pdata_details_disk, flags, 76);
PDATA_CHECK_OFFSET(pdata_details_disk, leaf_sum, 120);
PDATA_CHECK_OFFSET(pdata_journal_disk, record, 112);
PDATA_CHECK_OFFSET(pdata_btree_disk, data, 80);
PDATA_CHECK_OFFSET(pdata_range_leaf_disk, payload, 96);

#endif
