// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_repair: roots of thins whose details entry is lost.
 *
 * All that is left of such a thin may be an older entry, whose root is an older
 * one, too. But the counts tell which roots are in use and are not pointed to by
 * any entry that could be read: nodes that cover the whole key space. The newest
 * ones go first, each to the thins that may have it by their lineage. That only
 * holds while no root can be among the blocks that are bad, and while there are no
 * thins that nothing at all is known of.
 */
#include "repair.h"

static bool is_root(const struct repair *r, const struct rp_block *b)
{
	return b->pool == r->pool && (b->type == RP_NODE || b->type == RP_LEAF) && !b->lo &&
	       b->hi == PDATA_MAX_UNITS && b->owner >= PDATA_FIRST_UID &&
	       b->generation <= r->generation;
}

static bool pointed_to(const struct repair *r, u64 block)
{
	size_t i;

	for (i = 0; i < r->lost.nr; i++)
		if (rp_lost(r, i)->block == block)
			return true;
	for (i = 0; i < r->holes.nr; i++)
		if (((u64 *)r->holes.v)[i] == block)
			return true;
	return false;
}

/* Are all blocks that are bad and in use known to be something else? */
static bool roots_are_intact(const struct repair *r)
{
	u64 block;
	u32 count;

	for (block = 0; block < r->nr_blocks; block++) {
		if (rp_find(r, block) || pdata_is_reserved(block, r->sb.journal_blocks))
			continue;
		if (!rp_count(r, block, &count))
			return false;
		if (count && !pointed_to(r, block))
			return false;
	}
	return true;
}

static void adopt(struct rp_thin *t, struct rp_block *root)
{
	const u64 ptr = root->block | (u64)root->tag << PDATA_PTR_BLOCK_BITS;

	/* What the entry says of the tree is of another one. */
	if (t->d.root != ptr)
		t->d.flags |= PDATA_THIN_SUM_LOST;
	t->d.root = ptr;
	t->adopted = true;
	root->refs++;
}

static bool is_open(const struct rp_thin *t)
{
	return t->doubt && !t->tombstone && !t->adopted && !t->dropped;
}

/*
 * Give a root to those who may have it, if it is pointed to as often as there are
 * such thins. Some may have been deleted: then there are fewer pointers.
 */
static bool offer(struct repair *r, struct rp_block *root)
{
	struct rp_thin *t;
	u32 count, nr = 0;
	size_t i;

	if (!rp_count(r, root->block, &count) || count <= root->refs)
		return false;
	for (i = 0, t = r->thins.v; i < r->thins.nr; i++, t++)
		nr += is_open(t) && rp_may_have(r, t, root);
	if (!nr || count - root->refs != nr)
		return false;
	for (i = 0, t = r->thins.v; i < r->thins.nr; i++, t++)
		if (is_open(t) && rp_may_have(r, t, root))
			adopt(t, root);
	return true;
}

static bool is_deleting(const struct repair *r, u64 uid)
{
	const struct rp_thin *t = r->deleting.v;
	size_t i;

	for (i = 0; i < r->deleting.nr; i++)
		if (t[i].d.uid == uid)
			return true;
	return false;
}

/* Is there any doubt, and is all known that can settle it? */
static bool may_adopt(struct repair *r)
{
	struct rp_thin *t;
	u64 last = 0;
	bool any = false;
	size_t i;

	for (i = 0, t = r->thins.v; i < r->thins.nr; i++, t++) {
		last = max(last, t->d.uid);
		t->dropped |= t->doubt && is_deleting(r, t->d.uid);
		any |= is_open(t);
	}
	for (i = 0, t = r->deleting.v; i < r->deleting.nr; i++, t++)
		last = max(last, t->d.uid);
	/* A thin that was made since may have what looks like an older one's. */
	if (r->have_roots && last + 1 != r->sb.next_uid)
		return false;
	return any && !r->groups_lost && !r->counts_doubt && roots_are_intact(r);
}

static const struct repair *sort_of;

static int cmp_newest(const void *a, const void *b)
{
	const struct rp_block *x = rp_block(sort_of, *(const u32 *)a);
	const struct rp_block *y = rp_block(sort_of, *(const u32 *)b);

	if (x->generation != y->generation)
		return x->generation > y->generation ? -1 : 1;
	return x->block < y->block ? -1 : x->block > y->block;
}

void rp_adopt_roots(struct repair *r)
{
	struct rp_array roots = { };
	bool more = true;
	size_t i;

	if (!may_adopt(r))
		return;
	for (i = 1; i <= r->index.nr; i++)
		if (is_root(r, rp_block(r, i)))
			*(u32 *)rp_array_add(&roots, sizeof(u32)) = i;
	sort_of = r;
	if (roots.nr)
		qsort(roots.v, roots.nr, sizeof(u32), cmp_newest);
	rp_lineage_init(r);
	while (more) {
		more = false;
		for (i = 0; i < roots.nr; i++)
			more |= offer(r, rp_block(r, ((u32 *)roots.v)[i]));
	}
	free(roots.v);
}

/*
 * A commit that writes any of a thin's leaves writes its entry, too. So if there is
 * a leaf of a later commit, the entry is an older one. If the counts do not say that
 * the leaf is in use, it may be of a commit that never was completed: then that
 * only matters for entries that are in doubt, or in one tree only.
 */
void rp_doubt_stale(struct repair *r)
{
	const struct rp_block *b = r->index.v, *end = b + r->index.nr;
	struct rp_thin *t;
	bool in_use;
	u32 count;

	rp_lineage_init(r);
	for (; b < end; b++) {
		if (b->pool != r->pool || b->type != RP_LEAF || b->generation > r->generation)
			continue;
		t = (struct rp_thin *)rp_thin_of(r, b->owner);
		if (!t || b->generation <= t->entry_gen)
			continue;
		in_use = !r->counts_doubt && rp_count(r, b->block, &count) && count;
		if (!in_use && !t->single && !t->doubt)
			continue;
		t->doubt = true;
		t->stale = true;
		r->details_doubt = true;
	}
}
