// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_repair: which leaves a thin may have, by their headers.
 *
 * Leaves tile a tree's key space and none goes away without a newer one in its
 * place. So at any key a thin's leaf is the newest one that it wrote itself;
 * where it wrote none, the newest that its origin had written when the thin was
 * taken as its snapshot; and so on up its ancestors. If none of the tree's leaves
 * is lost this gives the tree. If one is, an older leaf may take its place:
 * whoever calls has to tell.
 */
#include "repair.h"

struct by_uid {
	u64 uid;
	u32 thin;
};

static const struct repair *sort_of;

static int cmp_leaf(const void *a, const void *b)
{
	const struct rp_block *x = rp_block(sort_of, *(const u32 *)a);
	const struct rp_block *y = rp_block(sort_of, *(const u32 *)b);

	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	if (x->lo != y->lo)
		return x->lo < y->lo ? -1 : 1;
	return x->block < y->block ? -1 : x->block > y->block;
}

static int cmp_uid(const void *a, const void *b)
{
	const struct by_uid *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* Leaves that may be in use, by owner and key; thins by uid. */
void rp_lineage_init(struct repair *r)
{
	struct by_uid *u;
	u32 i, count;

	r->by_owner.nr = 0;
	for (i = 1; i <= r->index.nr; i++) {
		const struct rp_block *b = rp_block(r, i);

		if (b->pool != r->pool || b->type != RP_LEAF || b->owner < PDATA_FIRST_UID ||
		    b->generation > r->generation ||
		    (!r->counts_doubt && rp_count(r, b->block, &count) && !count))
			continue;
		*(u32 *)rp_array_add(&r->by_owner, sizeof(u32)) = i;
	}
	sort_of = r;
	if (r->by_owner.nr)
		qsort(r->by_owner.v, r->by_owner.nr, sizeof(u32), cmp_leaf);
	r->by_uid.nr = 0;
	for (i = 0; i < r->thins.nr; i++) {
		u = rp_array_add(&r->by_uid, sizeof(*u));
		u->uid = rp_thin(r, i)->d.uid;
		u->thin = i;
	}
	if (r->by_uid.nr)
		qsort(r->by_uid.v, r->by_uid.nr, sizeof(struct by_uid), cmp_uid);
}

/* The thin or tombstone of that uid, or NULL. */
const struct rp_thin *rp_thin_of(const struct repair *r, u64 uid)
{
	const struct by_uid key = { .uid = uid }, *u;

	u = r->by_uid.nr ? bsearch(&key, r->by_uid.v, r->by_uid.nr, sizeof(key), cmp_uid) : NULL;
	return u ? rp_thin(r, u->thin) : NULL;
}

void rp_ancestor_first(const struct repair *r, const struct rp_thin *t, struct rp_ancestor *a)
{
	a->uid = t->d.uid;
	a->max_seq = ~0ull;
	a->max_generation = r->generation;
	a->depth = 0;
}

/* False: there is none, or nothing is known of it. */
bool rp_ancestor_next(const struct repair *r, struct rp_ancestor *a)
{
	const struct rp_thin *t = rp_thin_of(r, a->uid);

	if (!t || !t->d.origin_uid || t->d.origin_uid == a->uid || a->depth > r->thins.nr)
		return false;
	a->max_seq = t->d.origin_seq;
	a->max_generation = min(a->max_generation, t->d.created_gen);
	a->uid = t->d.origin_uid;
	a->depth++;
	return true;
}

static bool is_within(const struct rp_ancestor *a, const struct rp_block *b)
{
	return b->generation <= a->max_generation && (b->type != RP_LEAF || b->seq <= a->max_seq);
}

/*
 * May @b be in the tree of @t? Of an ancestor whose entry is lost nothing is known
 * but that its own ancestors have lower uids.
 */
bool rp_may_have(const struct repair *r, const struct rp_thin *t, const struct rp_block *b)
{
	struct rp_ancestor a;

	rp_ancestor_first(r, t, &a);
	do {
		if (a.uid == b->owner)
			return is_within(&a, b);
	} while (rp_ancestor_next(r, &a));
	return !rp_thin_of(r, a.uid) && b->owner < a.uid && is_within(&a, b);
}

/* ---- the newest leaves ---- */

struct candidate {
	u32 leaf;
	u32 depth;
};

static int cmp_candidate(const void *a, const void *b)
{
	const struct candidate *p = a, *q = b;
	const struct rp_block *x = rp_block(sort_of, p->leaf), *y = rp_block(sort_of, q->leaf);

	if (p->depth != q->depth)
		return p->depth < q->depth ? -1 : 1;
	if (x->generation != y->generation)
		return x->generation > y->generation ? -1 : 1;
	if (x->seq != y->seq)
		return x->seq > y->seq ? -1 : 1;
	return x->block < y->block ? -1 : 1;
}

/* First leaf of @owner that begins at @lo or behind. */
static size_t first_leaf(const struct repair *r, u64 owner, u64 lo)
{
	const u32 *v = r->by_owner.v;
	size_t begin = 0, end = r->by_owner.nr, mid;
	const struct rp_block *b;

	while (begin < end) {
		mid = begin + (end - begin) / 2;
		b = rp_block(r, v[mid]);
		if (b->owner < owner || (b->owner == owner && b->lo < lo))
			begin = mid + 1;
		else
			end = mid;
	}
	return begin;
}

static void add_candidate(const struct repair *r, const struct rp_lost *l,
			  const struct rp_ancestor *a, u32 index, struct rp_array *to)
{
	const struct rp_block *b = rp_block(r, index);
	struct candidate *c;

	if (b->lo < l->lo || b->hi > l->hi || b->pool != r->pool || !is_within(a, b) ||
	    b->generation > l->max_generation)
		return;
	c = rp_array_add(to, sizeof(*c));
	c->leaf = index;
	c->depth = a->depth;
}

static void add_candidates(const struct repair *r, const struct rp_lost *l,
			   const struct rp_ancestor *a, struct rp_array *to)
{
	const u32 *v = r->by_owner.v;
	const struct rp_block *b;
	size_t i;

	for (i = first_leaf(r, a->uid, l->lo); i < r->by_owner.nr; i++) {
		b = rp_block(r, v[i]);
		if (b->owner != a->uid || b->lo >= l->hi)
			return;
		add_candidate(r, l, a, v[i], to);
	}
}

/* Enter [b->lo, b->hi) unless something is there. @items is sorted. */
static void enter(struct rp_array *items, const struct rp_block *b, u32 leaf)
{
	struct rp_item *v = items->v;
	size_t begin = 0, end = items->nr, mid;

	while (begin < end) {
		mid = begin + (end - begin) / 2;
		if (v[mid].hi <= b->lo)
			begin = mid + 1;
		else
			end = mid;
	}
	if (begin < items->nr && v[begin].lo < b->hi)
		return;
	rp_array_add(items, sizeof(*v));
	v = items->v;
	memmove(&v[begin + 1], &v[begin], (items->nr - 1 - begin) * sizeof(*v));
	v[begin] = (struct rp_item){ .lo = b->lo, .hi = b->hi, .child = leaf };
}

void rp_newest_leaves(const struct repair *r, const struct rp_thin *t, const struct rp_lost *l,
		      struct rp_array *items)
{
	struct rp_array found = { };
	const struct candidate *c;
	struct rp_ancestor a;
	size_t i;

	rp_ancestor_first(r, t, &a);
	do {
		add_candidates(r, l, &a, &found);
	} while (rp_ancestor_next(r, &a));
	sort_of = r;
	if (found.nr)
		qsort(found.v, found.nr, sizeof(*c), cmp_candidate);
	for (i = 0, c = found.v; i < found.nr; i++, c++)
		enter(items, rp_block(r, c->leaf), c->leaf);
	free(found.v);
}
