// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_restore: the second run, which builds the pool.
 *
 * Each thin starts as a snapshot of the one that it has most in common with, as
 * the survey found, or empty; what the XML says is compared with that, in order of
 * units, and the differences are merged. So what thins share is shared in the new
 * pool, metadata included, and whatever the survey guessed, counts are right.
 *
 * A def becomes a tree of its own, which is read for each ref, and is deleted at
 * the end.
 */
#include "restore.h"

#include "dm-thin2-internal.h"
#include "md.h"
#include "overlay_io.h"

#define MAX_CHANGES	4096u
#define WINDOW		512u
/* Changes of counts, of some 130 bytes when they are sorted, before a commit. */
#define MAX_COUNTS	1000000u

/* A tree, read from left to right; it may be of the transaction being built. */
struct window {
	struct pdata_rt rt;
	u64 root;
	struct pdata_range out[WINDOW];
	unsigned int nr;
	unsigned int i;
};

struct build {
	struct restore_xml *xml;
	struct thin2_md *md;
	struct thin2_details d;		/* being built */
	struct window base;		/* what it starts from */
	struct window ref;		/* a def being read */
	struct restore_def *def;	/* the one being built, else a device is */
	u32 nr_devices;			/* built */
	u32 nr_defs;
	u32 free_id;			/* for the next def */
	u64 pos;			/* compared up to here */
	struct pdata_range last;	/* may grow yet; none if its len is 0 */
	struct pdata_range change[MAX_CHANGES];
	unsigned int nr;
};

static int failed(struct build *b, int r)
{
	if (r == -PDATA_E_META_NOSPC)
		return xml_fail(&b->xml->x, "metadata of %llu blocks is too small for it",
				b->md->sb.meta_blocks);
	return xml_fail(&b->xml->x, "cannot write it: %s", tool_error(r));
}

/* ---- reading what is there ---- */

static void window_open(struct build *b, struct window *w, const struct thin2_details *d)
{
	thin2_rt_init_details(b->md, d, &w->rt);
	w->root = d->root;
	w->nr = 0;
	w->i = 0;
}

/* The range, or hole (kind 0), that holds @pos, which never falls. */
static int window_at(struct build *b, struct window *w, u64 pos, const struct pdata_range **range)
{
	const struct pdata_view view = { .tm = &b->md->tm };
	int r;

	while (w->i < w->nr && pdata_range_end(&w->out[w->i]) <= pos)
		w->i++;
	if (w->i == w->nr) {
		w->i = 0;
		r = pdata_rt_window(&w->rt, &view, w->root, pos, w->out, WINDOW, &w->nr);
		if (r)
			return r;
		while (pdata_range_end(&w->out[w->i]) <= pos)
			w->i++;
	}
	*range = &w->out[w->i];
	return 0;
}

/* ---- differences ---- */

static int changes_merge(struct build *b)
{
	int r = thin2_merge_changes(b->md, &b->d, b->change, b->nr);

	b->nr = 0;
	if (!r && b->md->data_sm.log.nr > MAX_COUNTS)
		r = thin2_commit(b->md);
	return r;
}

/* [begin, end) becomes as @r says, or a hole. */
static int change_add(struct build *b, const struct pdata_range *r, u64 begin, u64 end)
{
	struct pdata_range c = { .begin = begin, .len = end - begin, .kind = THIN2_CHANGE_UNMAP };
	struct pdata_range *last = b->nr ? &b->change[b->nr - 1] : NULL;

	if (r)
		pdata_range_clip(r, begin, end, &c);
	if (last && last->kind == c.kind && pdata_range_end(last) == c.begin &&
	    c.kind == THIN2_CHANGE_UNMAP) {
		last->len += c.len;
		return 0;
	}
	if (last && c.kind && pdata_range_join(last, &c))
		return 0;
	if (b->nr == MAX_CHANGES) {
		int ret = changes_merge(b);

		if (ret)
			return ret;
	}
	b->change[b->nr++] = c;
	return 0;
}

static bool is_same(const struct pdata_range *there, const struct pdata_range *r, u64 pos)
{
	if (there->kind != r->kind || there->tag != r->tag)
		return false;
	return r->kind != PDATA_RANGE_MAPPED ||
	       there->value + (pos - there->begin) == r->value + (pos - r->begin);
}

/* Nothing is mapped up to @end. */
static int compare_hole(struct build *b, u64 end)
{
	const struct pdata_range *there;
	u64 stop;
	int r = 0;

	while (b->pos < end && !r) {
		r = window_at(b, &b->base, b->pos, &there);
		if (r)
			return r;
		stop = min(end, pdata_range_end(there));
		if (there->kind)
			r = change_add(b, NULL, b->pos, stop);
		b->pos = stop;
	}
	return r;
}

static int compare_range(struct build *b, const struct pdata_range *range)
{
	const u64 end = pdata_range_end(range);
	const struct pdata_range *there;
	u64 stop;
	int r = compare_hole(b, range->begin);

	while (b->pos < end && !r) {
		r = window_at(b, &b->base, b->pos, &there);
		if (r)
			return r;
		stop = min(end, pdata_range_end(there));
		if (!is_same(there, range, b->pos))
			r = change_add(b, range, b->pos, stop);
		b->pos = stop;
	}
	return r;
}

/* What continues the range before is one with it, as in a tree. */
static int feed(struct build *b, const struct pdata_range *range)
{
	int r = 0;

	if (b->last.len && pdata_range_join(&b->last, range))
		return 0;
	if (b->last.len)
		r = compare_range(b, &b->last);
	b->last = *range;
	return r;
}

static int feed_end(struct build *b)
{
	int r = 0;

	if (b->last.len)
		r = compare_range(b, &b->last);
	b->last.len = 0;
	if (!r)
		r = compare_hole(b, PDATA_MAX_UNITS);
	return r ? r : changes_merge(b);
}

/* ---- thins ---- */

static void tree_begin(struct build *b, u32 id)
{
	b->d = (struct thin2_details) {
		.id = id,
		.uid = b->md->sb.next_uid++,
		.created_gen = b->md->tm.generation,
	};
	b->pos = 0;
	b->xml->pos = 0;
}

static int tree_end(struct build *b)
{
	int r = feed_end(b);

	return r ? r : thin2_details_write(b->md, &b->d);
}

static int def_begin(struct xml_reader *x, const char *name)
{
	struct build *b = x->context;
	struct restore_xml *s = b->xml;

	if (b->nr_defs == s->nr_defs)
		return xml_fail(x, "the file has changed meanwhile");
	while (block_table_find(&s->ids, b->free_id))
		b->free_id--;
	b->def = &s->def[b->nr_defs++];
	tree_begin(b, b->free_id--);
	window_open(b, &b->base, &b->d);
	return 0;
}

static int def_end(struct xml_reader *x)
{
	struct build *b = x->context;
	int r = tree_end(b);

	b->def->d = b->d;
	return r ? failed(b, r) : 0;
}

/* Begin with what another thin has. */
static int share(struct build *b, u32 id)
{
	struct thin2_details from;
	int r = thin2_details_read(b->md, id, &from);

	if (r)
		return r;
	b->d.root = from.root;
	b->d.leaf_sum = from.leaf_sum;
	b->d.flags = from.flags & PDATA_THIN_SUM_LOST;
	b->d.mapped_units = from.mapped_units;
	b->d.origin_uid = from.uid;
	return from.root ? pdata_tm_inc(&b->md->tm, from.root) : 0;
}

static int device_begin(struct xml_reader *x, const struct pool_device *dev)
{
	struct build *b = x->context;
	struct restore_xml *s = b->xml;
	const struct restore_device *device = &s->device[b->nr_devices];
	int r = 0;

	if (b->nr_devices == s->nr_devices || device->id != dev->dev_id)
		return xml_fail(x, "the file has changed meanwhile");
	tree_begin(b, dev->dev_id);
	b->d.transaction_id = dev->transaction;
	b->d.create_time = dev->creation_time;
	b->d.snap_time = s->births_lie ? s->max_time : dev->snap_time;
	if (device->base != NO_BASE)
		r = share(b, s->device[device->base].id);
	window_open(b, &b->base, &b->d);
	return r ? failed(b, r) : 0;
}

static int device_end(struct xml_reader *x)
{
	struct build *b = x->context;
	int r = tree_end(b);

	b->nr_devices++;
	return r ? failed(b, r) : 0;
}

static int map(struct xml_reader *x, const struct pool_map *m)
{
	struct build *b = x->context;
	struct pdata_range range;
	int r;

	if (restore_range(b->xml, m, &range))
		return -1;
	r = feed(b, &range);
	return r ? failed(b, r) : 0;
}

static int feed_def(struct build *b, const struct restore_def *def)
{
	const struct pdata_range *there;
	struct pdata_range part;
	u64 pos = def->begin;
	int r = 0;

	window_open(b, &b->ref, &def->d);
	while (pos < def->end && !r) {
		r = window_at(b, &b->ref, pos, &there);
		if (r)
			return r;
		part = *there;
		if (part.kind)
			r = feed(b, &part);
		pos = pdata_range_end(&part);
	}
	return r;
}

static int ref(struct xml_reader *x, const char *name)
{
	struct build *b = x->context;
	struct restore_def *def;
	int r;

	if (restore_ref(b->xml, name, &def))
		return -1;
	r = feed_def(b, def);
	return r ? failed(b, r) : 0;
}

static int super_begin(struct xml_reader *x, const struct pool_super *sb)
{
	struct build *b = x->context;

	return restore_super(b->xml, sb);
}

static int super_end(struct xml_reader *x)
{
	struct build *b = x->context;

	if (b->nr_devices == b->xml->nr_devices)
		return 0;
	return xml_fail(x, "the file has changed meanwhile");
}

static const struct xml_reader_ops build_ops = {
	.super_begin = super_begin,
	.super_end = super_end,
	.def_begin = def_begin,
	.def_end = def_end,
	.device_begin = device_begin,
	.device_end = device_end,
	.map = map,
	.ref = ref,
};

/* ---- the pool ---- */

static int drop_defs(struct build *b)
{
	u32 i;
	int r = 0;

	for (i = 0; i < b->nr_defs && !r; i++)
		r = thin2_delete(b->md, b->xml->def[i].d.id);
	while (!r && b->md->nr_deleting)
		r = thin2_checkpoint(b->md);
	return r;
}

static int build_all(struct build *b)
{
	struct restore_xml *s = b->xml;
	struct thin2_md *md = b->md;
	int r;

	s->x.ops = &build_ops;
	s->x.task = "writing";
	s->x.context = b;
	thin2_lock(md);
	md->sb.time = s->max_time;
	md->sb.transaction_id = s->sb.transaction;
	if (s->sb.flags)
		md->sb.flags |= PDATA_SB_NEEDS_CHECK;
	r = xml_read(&s->x);
	if (!r) {
		r = thin2_commit(md);
		if (r)
			tool_err("cannot write a checkpoint: %s", tool_error(r));
	}
	thin2_unlock(md);
	if (r)
		return r;
	r = drop_defs(b);
	if (r)
		tool_err("cannot free what <def> took: %s", tool_error(r));
	return r;
}

static int build_pool(struct restore_xml *s, struct pdata_io *io)
{
	struct tool_md t = { };
	struct thin2_md_params p = {
		.io = io,
		.name = io->name,
		.data_units = s->data_units,
		.data_block_size = s->sb.data_block_size,
		.ops = &tool_md_ops,
		.context = &t,
	};
	struct build *b;
	int r = thin2_md_open(&p, &t.md);

	if (r) {
		tool_err("%s: %s", io->name, tool_error(r));
		return r;
	}
	b = tool_alloc(sizeof(*b));
	b->xml = s;
	b->md = t.md;
	b->free_id = THIN2_MAX_ID;
	r = build_all(b);
	free(b);
	if (r) {
		thin2_md_abandon(t.md);
		return r;
	}
	r = thin2_md_close(t.md);
	if (r)
		tool_err("%s: %s", io->name, tool_error(r));
	return r;
}

int restore_build(struct restore_xml *s, struct pdata_io *io)
{
	struct pdata_io *hidden;
	int r = overlay_io_begin(io, "thin2_restore");

	s->x.seen_super = false;
	if (s->births_lie)
		s->max_time++;
	if (r) {
		tool_err("%s: %s", io->name, tool_error(r));
		return r;
	}
	hidden = overlay_io_new(io, io->nr_blocks, OVERLAY_SUPER);
	r = build_pool(s, hidden);
	if (!r) {
		r = overlay_io_finish(hidden);
		if (r)
			tool_err("%s: %s", io->name, tool_error(r));
	}
	overlay_io_free(hidden);
	return r;
}
