// SPDX-License-Identifier: GPL-2.0-only
/* Counts of metadata and data, recomputed from all trees and compared. */
#include <stdlib.h>

#include "pool-sim.h"

struct check {
	struct pool_sim *ps;
	u32 *block;		/* references found to each metadata block */
	u32 *unit;		/* and to each data unit */
	u64 cursor;		/* deleting tree: what lies below is freed */
	u64 entries;		/* in the first details tree, and in the copy */
	u64 copies;
	bool data_sm;
	struct pdata_rt rt;
	struct pdata_view view;
};

static int on_btree_node(void *context, u64 block, int level, int err)
{
	struct check *c = context;

	if (err)
		ps_die(c->ps, "btree block %llu: %s", block, pdata_error_text(err));
	return c->block[block]++ ? 1 : 0;
}

static int on_range_node(void *context, u64 ptr, unsigned int level, u64 lo, u64 hi, int err)
{
	const u64 block = pdata_ptr_block(ptr);
	struct check *c = context;

	if (hi <= c->cursor)
		return 1;
	if (err)
		ps_die(c->ps, "range block %llu: %s", block, pdata_error_text(err));
	return c->block[block]++ ? 1 : 0;
}

static int on_range(void *context, const struct pdata_range *r)
{
	struct check *c = context;
	u64 i;

	if (c->data_sm || r->kind != PDATA_RANGE_MAPPED)
		return 0;
	if (r->value + r->len > c->ps->c.data_units)
		ps_die(c->ps, "mapping beyond the data device: %llu + %llu", r->value, r->len);
	for (i = 0; i < r->len; i++)
		c->unit[r->value + i]++;
	return 0;
}

static void walk_tree(struct check *c, u64 root, u64 cursor)
{
	int r;

	if (!root)
		return;
	c->cursor = cursor;
	r = pdata_rt_walk(&c->rt, &c->view, root, cursor, PDATA_MAX_UNITS, on_range_node,
			  on_range, c);
	if (r)
		ps_die(c->ps, "walk: %d", r);
}

static int on_details(void *context, u64 key, const void *value)
{
	const struct pdata_details_disk *d = value;

	walk_tree(context, le64_to_cpu(d->root), 0);
	((struct check *)context)->entries++;
	return 0;
}

static int on_deleting(void *context, u64 key, const void *value)
{
	const struct pdata_details_disk *d = value;

	walk_tree(context, le64_to_cpu(d->root), le64_to_cpu(d->delete_cursor));
	return 0;
}

/* Of what is being released, too: until it is taken apart it is a tree like others. */
static int on_held_details(void *context, u64 key, const void *value)
{
	const struct pdata_details_disk *d = value;

	walk_tree(context, le64_to_cpu(d->root), 0);
	return 0;
}

static int check_hold(struct check *c, const struct pdata_hold *hold)
{
	struct thin2_md *md = c->ps->md;

	if (hold->kind != PDATA_HOLD_ROOT)
		return pdata_btree_walk(&md->details, &c->view, hold->root, on_btree_node,
					on_held_details, c);
	walk_tree(c, hold->root, 0);
	return 0;
}

/* The two details trees have the same entries. */
static int on_copy(void *context, u64 key, const void *value)
{
	struct pdata_details_disk other;
	struct check *c = context;
	struct thin2_md *md = c->ps->md;
	int r = pdata_btree_lookup(&md->details, &c->view, md->details.root, key, &other);

	if (r)
		ps_die(c->ps, "details %llu of the copy: %s", key, pdata_error_text(r));
	if (memcmp(value, &other, sizeof(other)))
		ps_die(c->ps, "details %llu are not those of the copy", key);
	c->copies++;
	return 0;
}

static void compare_blocks(struct check *c)
{
	struct thin2_md *md = c->ps->md;
	u64 b, used = 0;
	u32 count;
	int r;

	for (b = 0; b < md->sb.meta_blocks; b++) {
		if (pdata_is_reserved(b, md->sb.journal_blocks) ||
		    pdata_group_of(b) >= md->sb.meta_groups)
			continue;
		r = pdata_sm_get(&md->tm.sm, b, &count);
		if (r)
			ps_die(c->ps, "count of block %llu: %s", b, pdata_error_text(r));
		if (count != c->block[b])
			ps_die(c->ps, "metadata block %llu: count %u, references %u", b, count,
			       c->block[b]);
		used += !!count;
	}
	if (used != md->sb.meta_used)
		ps_die(c->ps, "metadata used %llu, superblock says %llu", used, md->sb.meta_used);
}

static void compare_units(struct check *c)
{
	struct thin2_md *md = c->ps->md;
	u64 u, end, used = 0;
	u32 count;
	int r;

	for (u = 0; u < c->ps->c.data_units; u++) {
		r = pdata_sm_data_get(&md->data_sm, &c->view, md->data_sm.rt.root, u, &count, &end);
		if (r)
			ps_die(c->ps, "count of unit %llu: %s", u, pdata_error_text(r));
		if (count != c->unit[u])
			ps_die(c->ps, "data unit %llu: count %u, references %u", u, count,
			       c->unit[u]);
		used += !!count;
	}
	if (used != md->sb.data_used)
		ps_die(c->ps, "data used %llu, superblock says %llu", used, md->sb.data_used);
	if (used + pdata_alloc_free(&md->alloc) + atomic64_read(&md->alloc.quarantined) !=
	    md->sb.data_units)
		ps_die(c->ps, "used %llu, free %llu and quarantined %llu units make not %llu", used,
		       pdata_alloc_free(&md->alloc), (u64)atomic64_read(&md->alloc.quarantined),
		       md->sb.data_units);
}

void ps_check_counts(struct pool_sim *ps)
{
	struct thin2_details none = { 0 };
	struct thin2_md *md = ps->md;
	struct check c = { .ps = ps, .view = { .tm = &md->tm } };
	unsigned int i;
	int r;

	ps->op = "check counts";
	ps->still = true;
	ps_drain(ps);
	r = thin2_checkpoint(md);
	if (r)
		ps_die(ps, "checkpoint: %s", pdata_error_text(r));
	if (atomic64_read(&md->nr_dirty))
		ps_die(ps, "%lld dirty records after a checkpoint",
		       (long long)atomic64_read(&md->nr_dirty));
	c.block = calloc(md->sb.meta_blocks, sizeof(*c.block));
	c.unit = calloc(ps->c.data_units, sizeof(*c.unit));
	if (!c.block || !c.unit)
		ps_die(ps, "out of memory");
	thin2_rt_init_details(md, &none, &c.rt);
	r = pdata_btree_walk(&md->details, &c.view, md->details.root, on_btree_node, on_details, &c);
	if (!r)
		r = pdata_btree_walk(&md->details_copy, &c.view, md->details_copy.root,
				     on_btree_node, on_copy, &c);
	if (!r && c.entries != c.copies)
		ps_die(ps, "%llu details, %llu in the copy", c.entries, c.copies);
	if (!r)
		r = pdata_btree_walk(&md->deleting, &c.view, md->deleting.root, on_btree_node,
				     on_deleting, &c);
	for (i = 0; i < md->sb.nr_holds && !r; i++)
		r = check_hold(&c, &md->sb.hold[i]);
	if (r)
		ps_die(ps, "walk: %d", r);
	c.data_sm = true;
	c.cursor = 0;
	if (md->data_sm.rt.root) {
		r = pdata_rt_walk(&md->data_sm.rt, &c.view, md->data_sm.rt.root, 0, PDATA_MAX_UNITS,
				  on_range_node, on_range, &c);
		if (r)
			ps_die(ps, "walk: %d", r);
	}
	compare_blocks(&c);
	compare_units(&c);
	ps_check_leaves(ps);
	free(c.block);
	free(c.unit);
	ps->still = false;
}
