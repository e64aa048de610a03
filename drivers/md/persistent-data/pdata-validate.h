/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checkers: one for each block type, run after every read from the device and
 * before every write to it. They look at nothing but the block and the few
 * facts in struct pdata_check, never follow pointers, and can refuse.
 */
#ifndef PDATA_VALIDATE_H
#define PDATA_VALIDATE_H

#include "pdata-error.h"
#include "pdata-format.h"
#include "pdata-range-codec.h"

/* A reader's type: range node or range leaf. A tree's root may be either. */
#define PDATA_TYPE_RANGE_ANY	0u

/* Is a block with this magic what a reader of @type wants? */
static inline bool pdata_type_fits(u32 type, u32 magic)
{
	if (type == PDATA_TYPE_RANGE_ANY)
		return magic == PDATA_TYPE_RANGE_NODE || magic == PDATA_TYPE_RANGE_LEAF;
	return magic == type;
}

/* What the reader or writer knows about the block. */
struct pdata_check {
	u64 block;		/* where it was read from or will be written to */
	u32 type;		/* enum pdata_type, or PDATA_TYPE_RANGE_ANY */
	const u8 *uuid;		/* NULL = any pool's (before a superblock is chosen) */
	u64 max_generation;	/* newest acceptable, ~0 = any */
	u64 nr_blocks;		/* size of the metadata device */
	void *scratch;		/* PDATA_CHECK_SCRATCH bytes, NULL = allocate if needed */

	/* Set on failure: */
	const char *what;	/* the field or rule that failed */
	u64 found;		/* its value, if it is a number */
	u64 expected;		/* the value, or the limit that was passed */
};

/* Room in which a leaf's payload is decoded to be checked. */
#define PDATA_CHECK_SCRATCH \
	(PDATA_LEAF_MAX_RECORDS * sizeof(struct pdata_range))

/**
 * pdata_block_check - is this block what it claims to be and well formed?
 * @c: what is known; @c->what is set on failure
 * @data: PDATA_BLOCK_SIZE bytes
 *
 * Checks crc, type, own number, pool, generation, then the type's own rules:
 * counts within room, keys ordered and within [lo, hi), levels, child block
 * numbers on the device and outside fixed places, codec payload decodable.
 * No side effects. Any context, but a range leaf without @c->scratch needs
 * memory (GFP_NOIO, may sleep).
 *
 * A superblock of another format version passes with its content unchecked:
 * what is to become of it is the reader's decision.
 *
 * Return: 0 or the one code that names the failure (PDATA_E_CSUM, _MAGIC,
 * _BLOCKNR, _UUID, _GENERATION, _OWNER, _CONTENT); -ENOMEM for want of scratch
 * memory, which says nothing about the block.
 */
int __must_check pdata_block_check(struct pdata_check *c, const void *data);

/**
 * pdata_block_seal - stamp place, pool, generation and crc, then check
 * @c: as above; @c->max_generation is the generation that is stamped
 * @data: PDATA_BLOCK_SIZE bytes, h.magic and h.owner already set
 *
 * The fault point BLOCK_CORRUPT clears the block's first fields before it has a
 * crc, SEAL_CORRUPT flips a bit afterwards.
 *
 * Return: 0, or what pdata_block_check() says: then it must not be written.
 */
int __must_check pdata_block_seal(struct pdata_check *c, void *data);

/* Name of a block type for log lines, "unknown block" if it is none. */
const char *pdata_type_name(u32 type);

#endif
