/* SPDX-License-Identifier: GPL-2.0-only */
/* A number for each of some metadata blocks: a hash table that grows. */
#ifndef THIN2_TOOLS_BLOCK_TABLE_H
#define THIN2_TOOLS_BLOCK_TABLE_H

#include "common.h"

struct block_slot {
	u64 key;		/* block + 1; 0 = free */
	u64 value;
};

struct block_table {
	struct block_slot *slot;
	u64 nr;
	u64 max;		/* a power of two, or 0 */
};

/* The block's number, 0 at first. The pointer is good until the next call. */
u64 *block_table_get(struct block_table *t, u64 block);
/* The same, NULL if nobody has asked to get() it. */
u64 *block_table_find(const struct block_table *t, u64 block);
void block_table_exit(struct block_table *t);

#endif
