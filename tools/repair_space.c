// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_repair: space maps of the output, from what its trees use.
 *
 * A unit's count is the number of distinct leaves that map it. Beginnings and
 * ends of mapped ranges are sorted and swept, one window of the data device after
 * the other, so that the memory this takes does not grow with the pool.
 */
#include "check.h"
#include "repair.h"

#define WINDOW_RANGES	BIT(21)	/* in memory at a time: 48 MiB with the sort's */
#define BUCKETS		4096u

/* ---- windows ---- */

struct windows {
	u64 bucket_units;
	u64 nr[BUCKETS];	/* ranges that begin or go on there */
};

typedef int (*range_fn)(void *context, const struct pdata_range *r);

/* All mapped ranges of the leaves that were copied. */
static int each_range(struct repair *r, range_fn fn, void *context)
{
	struct rp_block *b = r->index.v, *end = b + r->index.nr;
	struct pdata_range *ranges;
	void *d = tool_block();
	unsigned int i, nr;
	int err = 0;

	for (; b < end && !err; b++) {
		if (b->type != RP_LEAF || b->pool != r->pool || !b->copy)
			continue;
		tool_progress("data", b - (struct rp_block *)r->index.v, r->index.nr);
		err = rp_ranges(r, b, d, &ranges, &nr);
		for (i = 0; !err && i < nr; i++)
			if (ranges[i].kind == PDATA_RANGE_MAPPED)
				err = fn(context, &ranges[i]);
	}
	pdata_block_free(d);
	return err;
}

static int count_range(void *context, const struct pdata_range *r)
{
	struct windows *w = context;
	u64 i, last = (r->value + r->len - 1) / w->bucket_units;

	for (i = r->value / w->bucket_units; i <= last; i++)
		w->nr[i]++;
	return 0;
}

struct collect {
	struct u64s begins;
	struct u64s ends;
	u64 lo;
	u64 hi;
};

static int collect_range(void *context, const struct pdata_range *r)
{
	struct collect *c = context;
	const u64 begin = max(r->value, c->lo), end = min(r->value + r->len, c->hi);

	if (begin >= end)
		return 0;
	u64s_add(&c->begins, begin);
	return u64s_add(&c->ends, end);
}

/* ---- the map ---- */

struct sm_writer {
	struct repair *r;
	struct rp_array kids;		/* struct rp_kid */
	struct pdata_range *range;	/* PDATA_LEAF_MAX_RECORDS */
	unsigned int nr;
	u64 lo;				/* of the leaf to be written next */
};

/* Write what fits into one leaf; with @all what is there does. */
static int sm_leaf(struct sm_writer *w, bool all)
{
	const struct pdata_codec *codec = pdata_codec_find(PDATA_CODEC_SM_PACKED);
	struct pdata_range_leaf_disk *d = rp_out_buf(w->r);
	unsigned int n, bytes = 0;
	const u64 block = rp_out_new(w->r);
	struct rp_kid *kid;
	u64 hi;

	n = codec->encode(w->range, w->nr, w->nr, d->payload, sizeof(d->payload), &bytes);
	if (!n && w->nr)
		return -PDATA_E_LIMIT;
	if (!block)
		return -PDATA_E_META_NOSPC;
	hi = PDATA_MAX_UNITS;
	if (n < w->nr)
		hi = w->range[n].begin;
	else if (!all)
		hi = pdata_range_end(&w->range[n - 1]);
	d->h.magic = cpu_to_le32(PDATA_TYPE_RANGE_LEAF);
	d->h.owner = cpu_to_le64(PDATA_OWNER_DATA_SM);
	d->h.salt = cpu_to_le16(w->r->out_salt);
	d->r.nr = cpu_to_le16(n);
	d->r.codec = cpu_to_le16(codec->id);
	d->r.bytes = cpu_to_le16(bytes);
	d->r.lo = cpu_to_le64(w->lo);
	d->r.hi = cpu_to_le64(hi);
	kid = rp_array_add(&w->kids, sizeof(*kid));
	kid->lo = w->lo;
	w->lo = hi;
	w->nr -= n;
	memmove(w->range, w->range + n, w->nr * sizeof(*w->range));
	return rp_out_put(w->r, block, w->r->out_generation, &kid->ptr);
}

static int sm_add(struct sm_writer *w, u64 begin, u64 end, u64 count)
{
	struct pdata_range x = { .kind = PDATA_RANGE_COUNT, .tag = count };
	int err;

	w->r->out_sb.data_used += end - begin;
	for (; begin < end; begin += x.len) {
		x.begin = begin;
		x.len = min(end - begin, (u64)PDATA_REC_MAX_LEN);
		if (w->nr && pdata_range_join(&w->range[w->nr - 1], &x))
			continue;
		if (w->nr == PDATA_LEAF_MAX_RECORDS) {
			err = sm_leaf(w, false);
			if (err)
				return err;
		}
		w->range[w->nr++] = x;
	}
	return 0;
}

/* Segments of equal count of one window. */
static int sweep(struct sm_writer *w, struct collect *c)
{
	size_t b = 0, e = 0;
	u64 count = 0, pos = 0, next;
	int err = 0;

	u64s_sort(&c->begins);
	u64s_sort(&c->ends);
	while (e < c->ends.nr && !err) {
		next = c->ends.v[e];
		if (b < c->begins.nr)
			next = min(next, c->begins.v[b]);
		if (count && next > pos)
			err = sm_add(w, pos, next, count);
		pos = next;
		for (; e < c->ends.nr && c->ends.v[e] == pos; e++)
			count--;
		for (; b < c->begins.nr && c->begins.v[b] == pos; b++)
			count++;
	}
	return err;
}

static int sweep_all(struct repair *r, struct sm_writer *w)
{
	struct windows *win = tool_alloc(sizeof(*win));
	struct collect c = { };
	unsigned int i, from;
	u64 ranges;
	int err;

	win->bucket_units = DIV_ROUND_UP(max(r->out_sb.data_units, 1ull), BUCKETS);
	err = each_range(r, count_range, win);
	for (from = 0; from < BUCKETS && !err; from = i) {
		ranges = 0;
		for (i = from; i < BUCKETS; i++) {
			if (i > from && ranges + win->nr[i] > WINDOW_RANGES)
				break;
			ranges += win->nr[i];
		}
		if (!ranges)
			continue;
		c.begins.nr = 0;
		c.ends.nr = 0;
		c.lo = from * win->bucket_units;
		c.hi = i * win->bucket_units;
		err = each_range(r, collect_range, &c);
		if (!err)
			err = sweep(w, &c);
	}
	free(c.begins.v);
	free(c.ends.v);
	free(win);
	return err;
}

int rp_write_data_map(struct repair *r)
{
	struct sm_writer w = {
		.r = r,
		.range = tool_alloc(PDATA_LEAF_MAX_RECORDS * sizeof(*w.range)),
	};
	int err = sweep_all(r, &w);

	while (!err && w.nr)
		err = sm_leaf(&w, true);
	/* The last leaf may have been written before it was known to be the last. */
	if (!err && w.kids.nr && w.lo < PDATA_MAX_UNITS)
		err = sm_leaf(&w, true);
	r->out_sb.data_sm_leaves = w.kids.nr;
	while (!err && w.kids.nr > 1)
		err = rp_out_nodes(r, &w.kids, PDATA_MAX_UNITS, PDATA_OWNER_DATA_SM,
				   r->out_generation);
	if (!err && w.kids.nr) {
		r->out_sb.data_sm_root = ((struct rp_kid *)w.kids.v)->ptr;
		rp_out_ref(r, r->out_sb.data_sm_root);
	}
	free(w.kids.v);
	free(w.range);
	return err;
}

/* ---- counts of metadata blocks ---- */

static int put_slot(struct repair *r, u64 group, unsigned int slot)
{
	struct pdata_counts *d = rp_out_buf(r);
	u64 block;
	u32 i, count;

	for (i = 0; i < PDATA_COUNTS_PER_BLOCK; i++) {
		block = pdata_group_begin(group) + i;
		if (block >= r->out_blocks)
			break;
		count = pdata_is_reserved(block, r->out_journal) ? 1 : r->out_counts[block];
		d->count[i] = cpu_to_le32(count);
	}
	d->h.magic = cpu_to_le32(PDATA_TYPE_COUNTS);
	d->h.owner = cpu_to_le64(PDATA_OWNER_META_SM);
	/* Both say the same; the first is the newer, and the one that the superblock names. */
	return rp_out_put(r, pdata_counts_place(group, slot), r->out_generation - slot, NULL);
}

int rp_write_counts(struct repair *r)
{
	u64 group;
	int err = 0;

	r->out_sb.meta_groups = pdata_group_of(r->out_next - 1) + 1;
	r->out_sb.meta_used = r->out_used;
	for (group = 0; group < r->out_sb.meta_groups && !err; group++) {
		err = put_slot(r, group, 0);
		if (!err)
			err = put_slot(r, group, 1);
	}
	return err;
}
