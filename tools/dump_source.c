// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_dump: a pool that nobody uses is opened by the core, read-only, which
 * replays its journal. What a live pool holds is read by walkers of our own,
 * as nothing but the held tree stays as it is meanwhile.
 */
#include "dump.h"
#include "walk.h"

static void thin_add(struct dump_source *s, const struct thin2_details *d)
{
	if (s->nr_thins == s->max_thins) {
		s->max_thins = s->max_thins ? 2 * s->max_thins : 64;
		s->thin = tool_realloc(s->thin, s->max_thins * sizeof(*s->thin));
	}
	s->thin[s->nr_thins++] = *d;
}

static int failed(const struct dump_source *s, int r)
{
	tool_err("%s: %s", s->path, tool_error(r));
	return r;
}

/* ---- a whole pool ---- */

static int pool_thin(void *context, const struct thin2_details *d)
{
	thin_add(context, d);
	return 0;
}

int dump_open_pool(struct dump_source *s)
{
	struct thin2_md_params p = { .io = s->io, .name = s->path, .read_only = true };
	int r;

	r = thin2_md_open(&p, &s->md);
	if (r)
		return failed(s, r);
	s->sb = s->md->sb;
	s->exact = !s->md->replayed;
	r = thin2_for_each_details(s->md, false, pool_thin, s);
	return r ? failed(s, r) : 0;
}

/* ---- what is held ---- */

struct held_walk {
	struct walk w;		/* first */
	struct dump_source *s;
	dump_range_fn fn;
	void *context;
};

static int held_bad(struct walk *w, const struct walk_at *at, const struct walk_bad *bad)
{
	const struct held_walk *h = (const struct held_walk *)w;

	tool_err("%s: block %llu cannot be used: %s: %s", h->s->path,
		 at->block, bad->what ? bad->what : "read",
		 tool_error(bad->err));
	return bad->err;
}

static int held_range(struct walk *w, const struct walk_at *at, const struct pdata_range *r)
{
	struct held_walk *h = (struct held_walk *)w;

	return h->fn(h->context, r);
}

static int held_entry(struct walk *w, const struct walk_at *at, u64 key, const void *value)
{
	struct held_walk *h = (struct held_walk *)w;
	struct thin2_details d;

	thin2_details_unpack(value, &d);
	if (!(d.flags & PDATA_THIN_TOMBSTONE))
		thin_add(h->s, &d);
	return 0;
}

static void held_init(struct held_walk *h, struct dump_source *s, u64 owner)
{
	memset(h, 0, sizeof(*h));
	h->s = s;
	h->w.io = s->io;
	h->w.uuid = s->sb.uuid;
	h->w.nr_blocks = s->sb.meta_blocks;
	h->w.max_generation = s->hold->generation;
	h->w.owner = owner;
	h->w.next_uid = s->sb.next_uid;
	h->w.value_size = sizeof(struct pdata_details_disk);
	h->w.bad = held_bad;
}

static int read_super(struct dump_source *s, struct pdata_super *sb)
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
		if (sb->hold[i].kind == kind && (!block || sb->hold[i].root == *block) &&
		    (!dev_id || sb->hold[i].id == *dev_id))
			return &sb->hold[i];
	return NULL;
}

int dump_open_snapshot(struct dump_source *s, u64 block)
{
	struct held_walk h;
	int r = read_super(s, &s->sb);

	if (r)
		return r;
	s->exact = true;
	s->hold = find_hold(&s->sb, PDATA_HOLD_CHECKPOINT, block ? &block : NULL, NULL);
	if (!s->hold) {
		tool_err("%s: no such metadata snapshot is held", s->path);
		return -PDATA_E_NOT_FOUND;
	}
	held_init(&h, s, PDATA_OWNER_DETAILS);
	h.w.entry = held_entry;
	r = walk_btree(&h.w, s->hold->root);
	walk_exit(&h.w);
	return r;
}

int dump_open_root(struct dump_source *s, u64 block, const u32 *dev_id)
{
	struct thin2_details d = { 0 };
	int r = read_super(s, &s->sb);

	if (r)
		return r;
	s->hold = find_hold(&s->sb, PDATA_HOLD_ROOT, &block, dev_id);
	if (!s->hold) {
		tool_err("%s: block %llu is not a held root (message get_root holds one)",
			 s->path, block);
		return -PDATA_E_NOT_FOUND;
	}
	d.id = s->hold->id;
	d.uid = s->hold->uid;
	d.root = s->hold->root;
	thin_add(s, &d);
	return 0;
}

int dump_still_held(struct dump_source *s)
{
	struct pdata_super sb;
	int r;

	if (!s->hold)
		return 0;
	r = read_super(s, &sb);
	if (r)
		return r;
	if (!memcmp(sb.uuid, s->sb.uuid, sizeof(sb.uuid)) &&
	    find_hold(&sb, s->hold->kind, &s->hold->root, &s->hold->id))
		return 0;
	tool_err("%s: what was read has been let go meanwhile, the output is worth nothing",
		 s->path);
	return -PDATA_E_RETRY;
}

int dump_walk(struct dump_source *s, const struct thin2_details *d, dump_range_fn fn,
	      void *context)
{
	struct held_walk h;
	int r;

	if (s->md) {
		r = thin2_walk(s->md, d, fn, context);
		if (r)
			tool_err("%s: thin %u: %s", s->path, d->id, tool_error(r));
		return r;
	}
	held_init(&h, s, 0);
	h.w.range = held_range;
	h.fn = fn;
	h.context = context;
	r = walk_range_tree(&h.w, d->root);
	walk_exit(&h.w);
	return r;
}

void dump_close(struct dump_source *s)
{
	if (s->md)
		thin2_md_abandon(s->md);
	free(s->thin);
}
