/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Block layer: checked reads of committed blocks through the I/O vtable's
 * clean cache, and a version pin that keeps what a reader walks from being
 * overwritten.
 */
#ifndef PDATA_BLOCK_H
#define PDATA_BLOCK_H

#include "pdata-io.h"
#include "pdata-validate.h"

struct pdata_bm {
	struct pdata_io *io;
	u8 uuid[PDATA_UUID_SIZE];
	u64 nr_blocks;		/* grows only, READ_ONCE/WRITE_ONCE */
	const char *name;	/* pool, for log lines */
};

/* A block to read. Nothing may be written through it. */
struct pdata_ro {
	const void *data;	/* PDATA_BLOCK_SIZE bytes, begins with pdata_header */
	u64 block;
	struct pdata_io_ref ref;
	bool cached;		/* ref must be put; false for a transaction's own block */
};

static inline const struct pdata_header *pdata_ro_header(const struct pdata_ro *b)
{
	return b->data;
}

/**
 * pdata_bm_init - set up a block layer over an open device
 * @bm: to initialise
 * @io: stays the caller's, must outlive @bm
 * @uuid: of the pool
 * @nr_blocks: blocks that may be addressed
 * @name: for log lines, must outlive @bm
 */
void pdata_bm_init(struct pdata_bm *bm, struct pdata_io *io, const u8 *uuid,
		   u64 nr_blocks, const char *name);

/**
 * pdata_bm_read - read and check one committed block
 * @bm: block layer
 * @block: its number
 * @type: enum pdata_type it must have
 * @max_generation: newest generation it may carry, ~0 = any
 * @b: filled in on success; give back with pdata_bm_release()
 *
 * May sleep. Any number of threads may hold the same block. A failed check is
 * logged (rate limited) with type, block, expectation and finding.
 *
 * Return: 0, -PDATA_E_OUT_OF_RANGE, a checker's code, or the device's errno.
 */
int __must_check pdata_bm_read(struct pdata_bm *bm, u64 block, u32 type,
			       u64 max_generation, struct pdata_ro *b);
void pdata_bm_release(struct pdata_bm *bm, struct pdata_ro *b);

#endif
