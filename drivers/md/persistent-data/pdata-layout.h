/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the fixed structures lie on the metadata device. Pure arithmetic.
 */
#ifndef PDATA_LAYOUT_H
#define PDATA_LAYOUT_H

#include "pdata-format.h"

static inline u64 pdata_group_of(u64 block)
{
	return div_u64(block, PDATA_COUNTS_PER_BLOCK);
}

static inline u64 pdata_group_begin(u64 group)
{
	return group * PDATA_COUNTS_PER_BLOCK;
}

/* Block that holds slot 0 or 1 of @group's counts. */
static inline u64 pdata_counts_place(u64 group, unsigned int slot)
{
	return pdata_group_begin(group) + PDATA_COUNTS_SLOT0 + slot;
}

/*
 * Groups of a device of @nr_blocks blocks. A last group too short to hold its
 * own two slots does not exist; its blocks stay unused until the device grows.
 */
static inline u64 pdata_nr_groups(u64 nr_blocks)
{
	u32 rest;
	u64 groups = div_u64_rem(nr_blocks, PDATA_COUNTS_PER_BLOCK, &rest);

	return groups + (rest > PDATA_COUNTS_SLOT0 + 2);
}

/* Is @block one of the superblocks or count slots? */
static inline bool pdata_is_fixed(u64 block)
{
	u32 rest;

	div_u64_rem(block, PDATA_COUNTS_PER_BLOCK, &rest);
	return block == PDATA_SB_A || block == PDATA_SB_B || block == PDATA_SB_BACKUP ||
	       rest == PDATA_COUNTS_SLOT0 || rest == PDATA_COUNTS_SLOT0 + 1;
}

/**
 * pdata_journal_place - block of the ring's @index-th place
 * @index: 0 .. journal_blocks - 1
 *
 * The ring begins at PDATA_JOURNAL_FIRST and leaves out fixed blocks.
 */
static inline u64 pdata_journal_place(u64 index)
{
	const u64 first = PDATA_COUNTS_PER_BLOCK - PDATA_JOURNAL_FIRST - 1;
	u32 rest;
	u64 group;

	if (index < first) {
		index += PDATA_JOURNAL_FIRST;
		return index < PDATA_SB_BACKUP ? index : index + 1;
	}
	/* Whole groups follow; only their two slots are left out. */
	group = div_u64_rem(index - first, PDATA_COUNTS_PER_BLOCK - 2, &rest);
	return pdata_group_begin(group + 1) + (rest < PDATA_COUNTS_SLOT0 ? rest : rest + 2);
}

/* First block behind a ring of @journal_blocks; the ring holds nothing above. */
static inline u64 pdata_journal_end(u64 journal_blocks)
{
	return pdata_journal_place(journal_blocks - 1) + 1;
}

/* Is @block a fixed structure or part of the ring? */
static inline bool pdata_is_reserved(u64 block, u64 journal_blocks)
{
	return block < pdata_journal_end(journal_blocks) || pdata_is_fixed(block);
}

/* Default length of the ring: 1/64 of the device, 128 KiB to 256 MiB. */
static inline u64 pdata_journal_default(u64 nr_blocks)
{
	return clamp_t(u64, nr_blocks / 64, 32, 65536);
}

/* Reserved blocks below @nr_blocks: not counted in used or total. */
static inline u64 pdata_nr_reserved(u64 nr_blocks, u64 journal_blocks)
{
	u64 groups = pdata_nr_groups(nr_blocks);
	u64 rest = nr_blocks - min(nr_blocks, pdata_group_begin(groups));

	return journal_blocks + 3 + 2 * groups + rest;
}

/* Where the counts of @group, below PDATA_SLOT_GROUPS, are, as the superblock says. */
static inline unsigned int pdata_slot_of(const u8 *slots, u64 group)
{
	return slots[group / 8] >> group % 8 & 1;
}

#endif
