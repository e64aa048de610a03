// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_repair: what was below nodes that are lost.
 *
 * Nothing is taken for what it seems to be: there must be evidence.
 *
 * 1. The newest leaves by their headers are put in the place of all of a thin's
 *    lost nodes. If the sum over the leaves is then that of the thin's details
 *    entry, they are the ones.
 * 2. A node's count says how many pointers to it there are. Those that cannot be
 *    read are in lost nodes. If there are as many as lost nodes that could have
 *    one, because they cover its interval, each of them does.
 * 3. If one or two leaves are lost, it is tried whether any block that is bad,
 *    with any generation, makes the sum agree (repair_search.c).
 *
 * What is left is lost.
 */
#include "repair.h"

/* ---- a thin's lost nodes ---- */

/* Adds those below an intact node. */
static int collect(struct repair *r, u32 index, struct rp_array *lost)
{
	struct rp_block *b = rp_block(r, index);
	struct pdata_range_node_disk *d;
	struct rp_ref ref;
	struct rp_at at;
	unsigned int i;
	int err;

	if (b->state != RP_BROKEN || b->type != RP_NODE)
		return 0;
	d = tool_block();
	err = rp_read(r, b, d);
	for (i = 0; !err && i < le16_to_cpu(d->r.nr); i++) {
		rp_child(b, d, i, &at);
		ref = rp_resolve(r, &at);
		if (ref.node)
			err = collect(r, ref.node, lost);
		else
			*(u32 *)rp_array_add(lost, sizeof(u32)) = ref.lost;
	}
	pdata_block_free(d);
	return err;
}

int rp_collect_lost(struct repair *r, const struct rp_thin *t, struct rp_array *lost)
{
	const struct rp_at at = rp_root_at(t);
	const struct rp_ref ref = rp_resolve(r, &at);
	const struct rp_item *it;
	size_t i, k;
	int err = 0;

	lost->nr = 0;
	if (ref.node)
		err = collect(r, ref.node, lost);
	else if (ref.lost)
		*(u32 *)rp_array_add(lost, sizeof(u32)) = ref.lost;
	/* Below a node that was put together by counts there may be others. */
	for (i = 0; i < lost->nr && !err; i++) {
		const struct rp_lost *l = rp_lost(r, ((u32 *)lost->v)[i] - 1);

		for (k = 0, it = l->item; k < l->nr_items && !err; k++)
			if (it[k].child)
				err = collect(r, it[k].child, lost);
	}
	return err;
}

/* ---- 1: by the sum ---- */

void rp_set_items(struct repair *r, struct rp_lost *l, const struct rp_array *items)
{
	const struct rp_item *it = items->v;
	const struct rp_block *b;
	u64 pos = l->lo;
	size_t i;

	free(l->item);
	l->item = tool_alloc((items->nr + 1) * sizeof(*it));
	if (items->nr)
		memcpy(l->item, it, items->nr * sizeof(*it));
	l->nr_items = items->nr;
	l->sum = 0;
	l->mapped = 0;
	l->found = true;
	for (i = 0; i < items->nr; i++) {
		b = rp_block(r, it[i].child);
		l->found &= it[i].lo == pos && b->state == RP_WHOLE;
		pos = it[i].hi;
		l->sum += b->sum;
		l->mapped += b->mapped;
	}
	l->found &= pos == l->hi;
}

bool rp_tiles(const struct rp_lost *l, const struct rp_array *items)
{
	const struct rp_item *it = items->v;
	u64 pos = l->lo;
	size_t i;

	for (i = 0; i < items->nr; i++) {
		if (it[i].lo != pos)
			return false;
		pos = it[i].hi;
	}
	return pos == l->hi;
}

u64 rp_sum_of(const struct repair *r, const struct rp_array *items)
{
	const struct rp_item *it = items->v;
	const struct rp_block *b;
	u64 sum = 0;
	size_t i;

	for (i = 0; i < items->nr; i++) {
		b = rp_block(r, it[i].child);
		sum += pdata_leaf_mark(b->block, b->generation);
	}
	return sum;
}

/* Leaves of which only the header was looked at so far. */
static int visit_items(struct repair *r, const struct rp_array *items)
{
	const struct rp_item *it = items->v;
	size_t i;
	int err = 0;

	for (i = 0; i < items->nr && !err; i++)
		err = rp_visit(r, it[i].child);
	return err;
}

static bool has_sum(const struct rp_thin *t)
{
	return !(t->d.flags & PDATA_THIN_SUM_LOST);
}

/* Do the newest leaves of all of the thin's lost nodes make its sum agree? */
static int try_sum(struct repair *r, struct rp_thin *t, const struct rp_array *lost)
{
	struct rp_array *items = tool_alloc((lost->nr + 1) * sizeof(*items));
	const u32 *v = lost->v;
	bool whole = true;
	struct rp_lost *l;
	u64 sum = t->sum;
	size_t i;
	int err = 0;

	for (i = 0; i < lost->nr && whole; i++) {
		l = rp_lost(r, v[i] - 1);
		if (l->found) {
			sum += l->sum;
			continue;
		}
		if (l->level)
			rp_newest_leaves(r, t, l, &items[i]);
		whole = l->level && rp_tiles(l, &items[i]);
		sum += rp_sum_of(r, &items[i]);
	}
	t->proven = whole && sum == t->d.leaf_sum;
	for (i = 0; i < lost->nr && t->proven && !err; i++) {
		l = rp_lost(r, v[i] - 1);
		if (l->found)
			continue;
		err = visit_items(r, &items[i]);
		rp_set_items(r, l, &items[i]);
		l->proven = true;
		l->by_sum = true;
	}
	for (i = 0; i < lost->nr; i++)
		free(items[i].v);
	free(items);
	return err;
}

/* Once more for all as long as it helps: what one proves another may share. */
static int by_sums(struct repair *r)
{
	struct rp_array lost = { };
	struct rp_thin *t;
	bool more = true;
	size_t i;
	int err = 0;

	while (more && !err) {
		more = false;
		for (i = 0, t = r->thins.v; i < r->thins.nr && !err; i++, t++) {
			if (t->tombstone || t->proven || !t->broken || !has_sum(t))
				continue;
			r->visiting = i;
			err = rp_collect_lost(r, t, &lost);
			if (!err)
				err = try_sum(r, t, &lost);
			more |= t->proven;
		}
	}
	free(lost.v);
	return err;
}

/* ---- 2: by counts ---- */

/* Pointers to @b that are in lost nodes; 0 if that is not known. */
static u32 hidden_refs(const struct repair *r, const struct rp_block *b)
{
	u32 count;

	if (r->counts_doubt || !rp_count(r, b->block, &count) || count <= b->refs)
		return 0;
	return count - b->refs;
}

static const struct rp_item *item_at(const struct rp_lost *l, u64 key)
{
	size_t begin = 0, end = l->nr_items, mid;

	while (begin < end) {
		mid = begin + (end - begin) / 2;
		if (l->item[mid].hi <= key)
			begin = mid + 1;
		else
			end = mid;
	}
	return begin < l->nr_items && l->item[begin].lo <= key ? &l->item[begin] : NULL;
}

static bool overlaps_item(const struct rp_lost *l, const struct rp_block *b)
{
	size_t i;

	for (i = 0; i < l->nr_items; i++)
		if (l->item[i].lo < b->hi && b->lo < l->item[i].hi)
			return true;
	return false;
}

/*
 * Could a pointer to @b be in, or below, that lost node? Thins that share the node
 * have the same below it, so that it is enough to ask for one of them.
 */
static bool may_point(const struct repair *r, const struct rp_lost *l, const struct rp_block *b)
{
	if (l->lo > b->lo || l->hi < b->hi || !l->level)
		return false;
	if (l->level > 0 && l->level <= b->level)
		return false;
	/* A root covers more than any of its children. */
	if (l->level < 0 && l->lo == b->lo && l->hi == b->hi)
		return false;
	return b->generation <= l->max_generation &&
	       (!l->wanted || rp_may_have(r, rp_thin(r, l->thin), b));
}

/* What is known of who points to @b. */
struct sources {
	struct rp_array may;	/* u32: lost nodes, index + 1 */
	u32 refs;		/* hidden pointers that are not accounted for */
};

static void find_sources(const struct repair *r, const struct rp_block *b, struct sources *s)
{
	const u32 index = rp_index(r, b);
	const struct rp_item *it;
	const struct rp_lost *l;
	size_t i;

	s->may.nr = 0;
	s->refs = hidden_refs(r, b);
	for (i = 0; i < r->lost.nr; i++) {
		l = rp_lost(r, i);
		if (!may_point(r, l, b))
			continue;
		/* Its leaves are known, all of them: so it either has this one or not. */
		if (l->by_sum && l->found && b->type == RP_LEAF) {
			it = item_at(l, b->lo);
			if (it && it->child == index && s->refs)
				s->refs--;
			continue;
		}
		/* What goes there is below something else that is known. */
		if (!l->by_sum && overlaps_item(l, b))
			continue;
		*(u32 *)rp_array_add(&s->may, sizeof(u32)) = i + 1;
	}
}

static void add_item(struct rp_lost *l, const struct rp_block *b, u32 index)
{
	size_t i = l->nr_items;

	l->item = tool_realloc(l->item, (l->nr_items + 1) * sizeof(*l->item));
	for (; i && l->item[i - 1].lo > b->lo; i--)
		l->item[i] = l->item[i - 1];
	l->item[i] = (struct rp_item){ .lo = b->lo, .hi = b->hi, .child = index };
	l->nr_items++;
}

/* The lost nodes that surely have @b get it. */
static int place(struct repair *r, u32 index, struct sources *s)
{
	const struct rp_block *b = rp_block(r, index);
	struct rp_lost *l;
	size_t i;
	int err;

	find_sources(r, b, s);
	if (!s->may.nr || s->refs != s->may.nr + r->unknown_roots)
		return 0;
	for (i = 0; i < s->may.nr; i++) {
		l = rp_lost(r, ((u32 *)s->may.v)[i] - 1);
		if (l->by_sum)
			continue;
		if (!l->wanted) {
			add_item(l, b, index);
			continue;
		}
		r->visiting = l->thin;
		err = rp_visit(r, index);
		if (err)
			return err;
		add_item(rp_lost(r, ((u32 *)s->may.v)[i] - 1), b, index);
	}
	return 0;
}

static int cmp_orphan(const void *a, const void *b);

static const struct repair *sort_of;

/* Higher levels first: what is below them is then accounted for. */
static int cmp_orphan(const void *a, const void *b)
{
	const struct rp_block *x = rp_block(sort_of, *(const u32 *)a);
	const struct rp_block *y = rp_block(sort_of, *(const u32 *)b);

	if (x->level != y->level)
		return x->level > y->level ? -1 : 1;
	if (x->generation != y->generation)
		return x->generation > y->generation ? -1 : 1;
	return x->block < y->block ? -1 : x->block > y->block;
}

static bool any_open(const struct repair *r)
{
	size_t i;

	for (i = 0; i < r->lost.nr; i++)
		if (rp_lost(r, i)->wanted && !rp_lost(r, i)->proven && rp_lost(r, i)->level)
			return true;
	return false;
}

static int by_counts(struct repair *r)
{
	struct rp_array orphans = { };
	struct sources s = { };
	size_t i;
	int err = 0;

	if (r->counts_doubt || !any_open(r))
		return 0;
	for (i = 1; i <= r->index.nr; i++) {
		const struct rp_block *b = rp_block(r, i);

		if (b->pool == r->pool && (b->type == RP_NODE || b->type == RP_LEAF) &&
		    b->owner >= PDATA_FIRST_UID && b->generation <= r->generation &&
		    hidden_refs(r, b))
			*(u32 *)rp_array_add(&orphans, sizeof(u32)) = i;
	}
	sort_of = r;
	if (orphans.nr)
		qsort(orphans.v, orphans.nr, sizeof(u32), cmp_orphan);
	for (i = 0; i < orphans.nr && !err; i++) {
		tool_progress("lost nodes", i, orphans.nr);
		err = place(r, ((u32 *)orphans.v)[i], &s);
	}
	free(s.may.v);
	free(orphans.v);
	return err;
}

/* What was placed by counts is what there is. */
static void settle_counts(struct repair *r)
{
	struct rp_array items;
	struct rp_lost *l;
	size_t i;

	for (i = 0; i < r->lost.nr; i++) {
		l = rp_lost(r, i);
		if (!l->wanted || l->by_sum || !l->nr_items)
			continue;
		items = (struct rp_array){ .v = l->item, .nr = l->nr_items };
		l->item = NULL;
		rp_set_items(r, l, &items);
		free(items.v);
		l->proven = true;
	}
}

/* ---- all ---- */

/* Sums of thins, with what was found below lost nodes. */
static int judge_thins(struct repair *r)
{
	struct rp_array lost = { };
	struct rp_thin *t;
	const struct rp_lost *l;
	size_t i, k;
	u64 sum;
	int err = 0;

	for (i = 0, t = r->thins.v; i < r->thins.nr && !err; i++, t++) {
		if (t->tombstone || t->proven || !t->broken || !has_sum(t))
			continue;
		r->visiting = i;
		err = rp_collect_lost(r, t, &lost);
		sum = t->sum;
		for (k = 0; k < lost.nr; k++) {
			l = rp_lost(r, ((u32 *)lost.v)[k] - 1);
			if (!l->found)
				break;
			sum += l->sum;
		}
		if (k == lost.nr && sum == t->d.leaf_sum)
			t->proven = true;
	}
	free(lost.v);
	return err;
}

int rp_fill_lost(struct repair *r)
{
	int err;

	rp_lineage_init(r);
	err = by_sums(r);
	if (!err)
		err = by_counts(r);
	if (!err)
		settle_counts(r);
	if (!err)
		err = judge_thins(r);
	/* With what counts have shown, the rest may be seen. */
	if (!err)
		err = by_sums(r);
	if (!err)
		err = rp_search(r);
	return err;
}
