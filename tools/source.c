// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pool that nobody uses is opened by the core, read-only, which replays its
 * journal. What a live pool holds is read by walkers of our own, as nothing but the
 * held tree stays as it is meanwhile.
 */
#include "source.h"

#include "overlay_io.h"

/* Blocks that a merge in memory has besides those of the device. */
#define OVERLAY_BLOCKS	65536u

static void thin_add(struct source *s, const struct thin2_details *d)
{
	if (s->nr_thins == s->max_thins) {
		s->max_thins = s->max_thins ? 2 * s->max_thins : 64;
		s->thin = tool_realloc(s->thin, s->max_thins * sizeof(*s->thin));
	}
	s->thin[s->nr_thins++] = *d;
}

static int failed(const struct source *s, int r)
{
	tool_err("%s: %s", s->path, tool_error(r));
	return r;
}

int source_open_device(struct source *s, bool live)
{
	s->io = tool_open(s->path, live ? TOOL_LIVE : TOOL_READ);
	s->trees = s->io;
	return s->io ? 0 : -EIO;
}

const struct thin2_details *source_find(const struct source *s, u32 id)
{
	size_t i;

	for (i = 0; i < s->nr_thins; i++)
		if (s->thin[i].id == id)
			return &s->thin[i];
	tool_err("%s: there is no thin %u", s->path, id);
	return NULL;
}

/* ---- a whole pool ---- */

static int pool_thin(void *context, const struct thin2_details *d)
{
	thin_add(context, d);
	return 0;
}

static int pool_list(struct source *s)
{
	int r;

	s->sb = s->pool.md->sb;
	s->exact = !s->pool.md->replayed;
	r = thin2_for_each_details(s->pool.md, false, pool_thin, s);
	return r ? failed(s, r) : 0;
}

int source_open_pool(struct source *s)
{
	struct thin2_md_params p = { .io = s->io, .name = s->path, .read_only = true };
	int r;

	r = thin2_md_open(&p, &s->pool.md);
	if (r)
		return failed(s, r);
	return pool_list(s);
}

/*
 * What the kernel does when it opens the pool, on a device that keeps what is
 * written in memory, and is larger, so that there is room for it.
 */
static int merge_in_memory(struct source *s)
{
	struct thin2_md_params p = {
		.name = s->path,
		.data_units = s->sb.data_units,
		.data_block_size = s->sb.data_block_size,
		.ops = &tool_md_ops,
		.context = &s->pool,
	};
	int r;

	thin2_md_abandon(s->pool.md);
	s->pool.md = NULL;
	s->overlay = overlay_io_new(s->io, s->io->nr_blocks + OVERLAY_BLOCKS, OVERLAY_ALL);
	s->trees = s->overlay;
	p.io = s->overlay;
	r = thin2_md_open(&p, &s->pool.md);
	if (!r)
		r = thin2_checkpoint(s->pool.md);
	if (r)
		return failed(s, r);
	s->nr_thins = 0;
	r = pool_list(s);
	s->exact = true;
	return r;
}

int source_open_trees(struct source *s)
{
	int r = source_open_pool(s);

	return r || s->exact ? r : merge_in_memory(s);
}

/* ---- what is held ---- */

static int held_bad(struct walk *w, const struct walk_at *at, const struct walk_bad *bad)
{
	const struct source_walk *h = (const struct source_walk *)w;

	tool_err("%s: block %llu cannot be used: %s: %s", h->s->path,
		 at->block, bad->what ? bad->what : "read",
		 tool_error(bad->err));
	return bad->err;
}

static int held_range(struct walk *w, const struct walk_at *at, const struct pdata_range *r)
{
	struct source_walk *h = (struct source_walk *)w;

	return h->fn(h->context, r);
}

static int held_entry(struct walk *w, const struct walk_at *at, u64 key, const void *value)
{
	struct source_walk *h = (struct source_walk *)w;
	struct thin2_details d;

	thin2_details_unpack(value, &d);
	if (!(d.flags & PDATA_THIN_TOMBSTONE))
		thin_add(h->s, &d);
	return 0;
}

/* Nothing that is held is newer. */
static u64 held_generation(const struct source *s)
{
	u64 generation = 0;
	unsigned int i;

	for (i = 0; i < s->nr_held; i++)
		generation = max(generation, s->held[i].generation);
	return generation;
}

void source_walk_init(struct source_walk *h, struct source *s, u64 owner)
{
	memset(h, 0, sizeof(*h));
	h->s = s;
	h->w.io = s->trees;
	h->w.uuid = s->sb.uuid;
	h->w.nr_blocks = s->sb.meta_blocks;
	h->w.max_generation = s->nr_held ? held_generation(s) : s->sb.generation;
	h->w.owner = owner;
	h->w.next_uid = s->sb.next_uid;
	h->w.value_size = sizeof(struct pdata_details_disk);
	h->w.bad = held_bad;
}

static int read_super(struct source *s, struct pdata_super *sb)
{
	int r = pdata_super_read(s->io, sb);

	if (r == PDATA_SB_VALID)
		return 0;
	tool_err("%s: %s", s->path, tool_super_error(r));
	return r < 0 ? r : -PDATA_E_NOT_V2;
}

static const struct pdata_hold *find_hold(const struct pdata_super *sb, u32 kind,
					  const u64 *block, const u32 *dev_id)
{
	u32 i;

	for (i = 0; i < sb->nr_holds; i++)
		if (sb->hold[i].kind == kind &&
		    (!block || pdata_ptr_block(sb->hold[i].root) == *block) &&
		    (!dev_id || sb->hold[i].id == *dev_id))
			return &sb->hold[i];
	return NULL;
}

static const struct pdata_hold *use_held(struct source *s, const struct pdata_hold *hold)
{
	s->exact = true;
	s->held[s->nr_held] = *hold;
	return &s->held[s->nr_held++];
}

int source_open_snapshot(struct source *s, u64 block)
{
	const struct pdata_hold *hold;
	struct source_walk h;
	int r = read_super(s, &s->sb);

	if (r)
		return r;
	hold = find_hold(&s->sb, PDATA_HOLD_CHECKPOINT, block ? &block : NULL, NULL);
	if (!hold) {
		tool_err("%s: no such metadata snapshot is held", s->path);
		return -PDATA_E_NOT_FOUND;
	}
	hold = use_held(s, hold);
	pdata_super_as_held(&s->sb, hold);
	source_walk_init(&h, s, PDATA_OWNER_DETAILS);
	h.w.entry = held_entry;
	r = walk_btree(&h.w, hold->root);
	walk_exit(&h.w);
	return r;
}

int source_open_root(struct source *s, u64 block, const u32 *dev_id)
{
	struct thin2_details d = { 0 };
	const struct pdata_hold *hold;
	int r = s->nr_held ? 0 : read_super(s, &s->sb);

	if (r)
		return r;
	hold = find_hold(&s->sb, PDATA_HOLD_ROOT, &block, dev_id);
	if (!hold) {
		tool_err("%s: block %llu is not a held root (message get_root holds one)",
			 s->path, block);
		return -PDATA_E_NOT_FOUND;
	}
	hold = use_held(s, hold);
	/* Its mapped units are not known. */
	s->exact = false;
	d.id = hold->id;
	d.uid = hold->uid;
	d.root = hold->root;
	thin_add(s, &d);
	return 0;
}

int source_still_held(struct source *s)
{
	const struct pdata_hold *hold;
	struct pdata_super sb;
	unsigned int i;
	u64 block;
	int r;

	if (!s->nr_held)
		return 0;
	r = read_super(s, &sb);
	if (r)
		return r;
	for (i = 0; i < s->nr_held; i++) {
		hold = &s->held[i];
		block = pdata_ptr_block(hold->root);
		if (!memcmp(sb.uuid, s->sb.uuid, sizeof(sb.uuid)) &&
		    find_hold(&sb, hold->kind, &block, &hold->id))
			continue;
		tool_err("%s: what was read has been let go meanwhile, the output is worth nothing",
			 s->path);
		return -PDATA_E_RETRY;
	}
	return 0;
}

int source_walk(struct source *s, const struct thin2_details *d, source_range_fn fn,
		void *context)
{
	struct source_walk h;
	int r;

	if (s->pool.md) {
		r = thin2_walk(s->pool.md, d, fn, context);
		if (r)
			tool_err("%s: thin %u: %s", s->path, d->id, tool_error(r));
		return r;
	}
	source_walk_init(&h, s, 0);
	h.w.range = held_range;
	h.fn = fn;
	h.context = context;
	r = walk_range_tree(&h.w, d->root);
	walk_exit(&h.w);
	return r;
}

void source_close(struct source *s)
{
	if (s->pool.md)
		thin2_md_abandon(s->pool.md);
	overlay_io_free(s->overlay);
	if (s->io)
		tool_close(s->io);
	free(s->thin);
}
