// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocks that are kept lie in a table, their memory as the value. Who reads one
 * through get() has a copy: the block may be written meanwhile.
 */
#include "overlay_io.h"

#include "block_table.h"

struct overlay {
	struct pdata_io io;		/* first */
	struct pdata_io *base;
	enum overlay_mode mode;
	struct block_table kept;
};

/* What get() hands out of a block in memory. */
struct overlay_ref {
	void *data;
	u8 checked;
};

/* Marks ref->private of ours; the base's pointers are aligned. */
#define OURS	1ul

static struct overlay *overlay_of(struct pdata_io *io)
{
	return container_of(io, struct overlay, io);
}

static bool is_super(u64 block)
{
	return block == PDATA_SB_A || block == PDATA_SB_B || block == PDATA_SB_BACKUP;
}

static void *kept_block(const struct overlay *o, u64 block)
{
	u64 *v = block_table_find(&o->kept, block);

	return v ? (void *)(uintptr_t)*v : NULL;
}

/* Is it for us to answer? Then it is in memory, or zeroes. */
static bool is_ours(const struct overlay *o, u64 block)
{
	if (o->mode == OVERLAY_SUPER)
		return is_super(block);
	return block >= o->base->nr_blocks || kept_block(o, block);
}

static void read_kept(const struct overlay *o, u64 block, void *data)
{
	const void *kept = kept_block(o, block);

	if (kept)
		memcpy(data, kept, PDATA_BLOCK_SIZE);
	else
		memset(data, 0, PDATA_BLOCK_SIZE);
}

static int overlay_get(struct pdata_io *io, u64 block, struct pdata_io_ref *ref)
{
	struct overlay *o = overlay_of(io);
	struct overlay_ref *r;

	if (block >= io->nr_blocks)
		return -EIO;
	if (!is_ours(o, block))
		return pdata_io_get(o->base, block, ref);
	r = tool_alloc(sizeof(*r));
	r->data = tool_block();
	read_kept(o, block, r->data);
	ref->data = r->data;
	ref->checked = &r->checked;
	ref->private = (void *)((uintptr_t)r | OURS);
	return 0;
}

static void overlay_put(struct pdata_io *io, struct pdata_io_ref *ref)
{
	uintptr_t p = (uintptr_t)ref->private;
	struct overlay_ref *r;

	if (!(p & OURS)) {
		pdata_io_put(overlay_of(io)->base, ref);
		return;
	}
	r = (struct overlay_ref *)(p & ~OURS);
	pdata_block_free(r->data);
	free(r);
}

static int overlay_read(struct pdata_io *io, u64 block, void *data)
{
	struct overlay *o = overlay_of(io);

	if (block >= io->nr_blocks)
		return -EIO;
	if (!is_ours(o, block))
		return pdata_io_read(o->base, block, data);
	read_kept(o, block, data);
	return 0;
}

static void keep(struct overlay *o, u64 block, const void *data)
{
	u64 *v = block_table_get(&o->kept, block);

	if (!*v)
		*v = (uintptr_t)tool_block();
	memcpy((void *)(uintptr_t)*v, data, PDATA_BLOCK_SIZE);
}

/* Nothing is durable before the end, so FUA means nothing here. */
static int overlay_write(struct pdata_io *io, const struct pdata_io_vec *vec, unsigned int n,
			 bool fua)
{
	struct overlay *o = overlay_of(io);
	unsigned int i, first = 0;
	int r = 0;

	for (i = 0; i < n && !r; i++) {
		if (vec[i].block >= io->nr_blocks)
			return -EIO;
		if (o->mode == OVERLAY_SUPER && !is_super(vec[i].block))
			continue;
		if (i > first)
			r = pdata_io_write(o->base, vec + first, i - first, false);
		first = i + 1;
		keep(o, vec[i].block, vec[i].data);
	}
	if (!r && n > first)
		r = pdata_io_write(o->base, vec + first, n - first, false);
	return r;
}

static int overlay_flush(struct pdata_io *io)
{
	return 0;
}

static const struct pdata_io_ops overlay_ops = {
	.get = overlay_get,
	.put = overlay_put,
	.read = overlay_read,
	.write = overlay_write,
	.flush = overlay_flush,
};

struct pdata_io *overlay_io_new(struct pdata_io *base, u64 nr_blocks, enum overlay_mode mode)
{
	struct overlay *o = tool_alloc(sizeof(*o));

	o->io.ops = &overlay_ops;
	o->io.nr_blocks = nr_blocks;
	o->io.name = base->name;
	o->base = base;
	o->mode = mode;
	return &o->io;
}

void overlay_io_free(struct pdata_io *io)
{
	struct overlay *o;
	u64 i;

	if (!io)
		return;
	o = overlay_of(io);
	for (i = 0; i < o->kept.max; i++)
		if (o->kept.slot[i].key)
			pdata_block_free((void *)(uintptr_t)o->kept.slot[i].value);
	block_table_exit(&o->kept);
	free(o);
}

static int write_one(struct pdata_io *base, u64 block, const void *data, bool fua)
{
	const struct pdata_io_vec vec = { .block = block, .data = data };

	return pdata_io_write(base, &vec, 1, fua);
}

int overlay_io_begin(struct pdata_io *base, const char *what)
{
	char *data = tool_block();
	int r;

	memset(data, 0, PDATA_BLOCK_SIZE);
	snprintf(data, PDATA_BLOCK_SIZE, "%s has not finished: there is no pool here\n", what);
	r = write_one(base, PDATA_SB_A, data, true);
	pdata_block_free(data);
	return r;
}

int overlay_io_finish(struct pdata_io *io)
{
	static const u64 place[] = { PDATA_SB_B, PDATA_SB_BACKUP, PDATA_SB_A };
	struct overlay *o = overlay_of(io);
	unsigned int i;
	int r = pdata_io_flush(o->base);

	for (i = 0; i < ARRAY_SIZE(place) && !r; i++) {
		if (kept_block(o, place[i]))
			r = write_one(o->base, place[i], kept_block(o, place[i]), true);
	}
	return r;
}
