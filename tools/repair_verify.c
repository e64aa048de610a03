// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_repair: the last look.
 *
 * What was written is checked by what checks any pool, thin2_check's code. The
 * superblocks are not on the device yet: a device in front of it has them.
 */
#include "check.h"
#include "repair.h"

struct io_front {
	struct pdata_io io;	/* first */
	struct pdata_io *out;
	void *super;
	u8 checked;
};

static struct io_front *front_of(struct pdata_io *io)
{
	return container_of(io, struct io_front, io);
}

/* The copy for @block, if it is a superblock's place. */
static bool front_super(struct io_front *f, u64 block, void *data)
{
	struct pdata_header *h = data;

	if (block != PDATA_SB_A && block != PDATA_SB_B && block != PDATA_SB_BACKUP)
		return false;
	memcpy(data, f->super, PDATA_BLOCK_SIZE);
	h->blocknr = cpu_to_le64(block);
	h->csum = cpu_to_le32(crc32c(~0u, data + sizeof(h->csum),
				     PDATA_BLOCK_SIZE - sizeof(h->csum)));
	return true;
}

static int front_read(struct pdata_io *io, u64 block, void *data)
{
	struct io_front *f = front_of(io);

	return front_super(f, block, data) ? 0 : pdata_io_read(f->out, block, data);
}

static int front_get(struct pdata_io *io, u64 block, struct pdata_io_ref *ref)
{
	return pdata_io_get(front_of(io)->out, block, ref);
}

static void front_put(struct pdata_io *io, struct pdata_io_ref *ref)
{
	pdata_io_put(front_of(io)->out, ref);
}

static int front_write(struct pdata_io *io, const struct pdata_io_vec *vec, unsigned int n,
		       bool fua)
{
	return -EROFS;
}

static int front_flush(struct pdata_io *io)
{
	return -EROFS;
}

static const struct pdata_io_ops front_ops = {
	.get = front_get,
	.put = front_put,
	.read = front_read,
	.write = front_write,
	.flush = front_flush,
};

static int run_check(struct repair *r, struct check *c)
{
	int err;

	if (!check_superblocks(c))
		return -PDATA_E_CONTENT;
	err = check_all(c);
	if (err || !has_errors(c))
		return err;
	tool_err("%s: the new pool has %llu errors: this is a bug, or the device does not keep what is written to it",
		 r->output, c->nr_found[SEV_FATAL] + c->nr_found[SEV_LEAK]);
	return -PDATA_E_CONTENT;
}

int rp_verify(struct repair *r, const struct pdata_super *sb)
{
	struct io_front front = {
		.io = { .ops = &front_ops, .nr_blocks = r->out_blocks, .name = r->output },
		.out = r->out,
		.super = tool_block(),
	};
	struct check c = {
		.path = r->output,
		.quiet = !r->verbose,
		.io = &front.io,
	};
	struct pdata_check seal = {
		.type = PDATA_TYPE_SUPERBLOCK,
		.uuid = r->out_uuid,
		.max_generation = sb->generation,
		.nr_blocks = r->out_blocks,
	};
	int err;

	memset(front.super, 0, PDATA_BLOCK_SIZE);
	pdata_super_pack(sb, front.super);
	err = pdata_block_seal(&seal, front.super);
	if (err)
		tool_err("%s: superblock: %s: %s", r->output, seal.what, tool_error(err));
	else
		err = run_check(r, &c);
	check_exit(&c);
	pdata_block_free(front.super);
	return err;
}
