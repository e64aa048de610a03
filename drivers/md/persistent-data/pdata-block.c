// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checked reads of committed blocks.
 *
 * The full check, crc included, runs once for each read from the device: the
 * cache keeps a byte for each block that says so. Type and generation are what
 * a caller expects, not what the block is, and are compared every time.
 */
#include "pdata-block.h"

void pdata_bm_init(struct pdata_bm *bm, struct pdata_io *io, const u8 *uuid,
		   u64 nr_blocks, const char *name)
{
	bm->io = io;
	memcpy(bm->uuid, uuid, PDATA_UUID_SIZE);
	bm->nr_blocks = nr_blocks;
	bm->name = name;
}

/* What is left to compare of a block that passed its check before. */
static int recheck(struct pdata_check *c, const struct pdata_header *h)
{
	if (!pdata_type_fits(c->type, le32_to_cpu(h->magic))) {
		c->what = "magic";
		c->found = le32_to_cpu(h->magic);
		c->expected = c->type;
		return -PDATA_E_MAGIC;
	}
	if (le64_to_cpu(h->generation) > c->max_generation) {
		c->what = "generation";
		c->found = le64_to_cpu(h->generation);
		c->expected = c->max_generation;
		return -PDATA_E_GENERATION;
	}
	return 0;
}

int pdata_bm_read(struct pdata_bm *bm, u64 block, u32 type, u64 max_generation,
		  struct pdata_ro *b)
{
	struct pdata_check c = {
		.block = block,
		.type = type,
		.uuid = bm->uuid,
		.max_generation = max_generation,
		.nr_blocks = READ_ONCE(bm->nr_blocks),
	};
	int r;

	if (block >= c.nr_blocks) {
		pdata_err_limit("%s: %s %llu is beyond the end of the metadata device (%llu)",
				bm->name, pdata_type_name(type), block, c.nr_blocks);
		return -PDATA_E_OUT_OF_RANGE;
	}
	r = pdata_io_get(bm->io, block, &b->ref);
	if (r) {
		pdata_err_limit("%s: cannot read %s %llu: error %d", bm->name,
				pdata_type_name(type), block, r);
		return r;
	}
	if (READ_ONCE(*b->ref.checked)) {
		r = recheck(&c, b->ref.data);
	} else {
		r = pdata_block_check(&c, b->ref.data);
		/* Readers that race to check a block come to the same result. */
		if (!r)
			WRITE_ONCE(*b->ref.checked, 1);
	}
	if (r) {
		if (c.what)
			pdata_err_limit("%s: %s %llu refused: %s: %s is %#llx, expected %#llx",
					bm->name, pdata_type_name(type), block,
					pdata_error_text(r), c.what, c.found, c.expected);
		pdata_io_put(bm->io, &b->ref);
		return r;
	}
	b->data = b->ref.data;
	b->block = block;
	b->cached = true;
	return 0;
}

void pdata_bm_release(struct pdata_bm *bm, struct pdata_ro *b)
{
	if (b->cached)
		pdata_io_put(bm->io, &b->ref);
	b->cached = false;
	b->data = NULL;
}
