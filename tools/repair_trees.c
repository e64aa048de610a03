// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_repair: trees from their roots.
 *
 * Each node is visited once, however many snapshots share it, and remembers the
 * sum of the marks of the leaves below it and how much they map. A pointer that
 * does not lead to the node it should becomes an entry in the list of lost
 * nodes. All pointers that can be read are counted, also those in nodes that no
 * root leads to any more: what a block's count says beyond that comes from nodes
 * that are lost.
 */
#include "repair.h"

struct rp_at rp_root_at(const struct rp_thin *t)
{
	return (struct rp_at){
		.block = pdata_ptr_block(t->d.root),
		.tag = pdata_ptr_tag(t->d.root),
		.hi = PDATA_MAX_UNITS,
		.owner = t->d.uid,
		.max_generation = ~0ull,
		.level = -1,
	};
}

void rp_child(const struct rp_block *b, const struct pdata_range_node_disk *d, unsigned int i,
	      struct rp_at *at)
{
	const u64 ptr = le64_to_cpu(d->child[i].ptr);

	at->block = pdata_ptr_block(ptr);
	at->tag = pdata_ptr_tag(ptr);
	at->lo = le64_to_cpu(d->child[i].begin);
	at->hi = i + 1 < le16_to_cpu(d->r.nr) ? le64_to_cpu(d->child[i + 1].begin) : b->hi;
	at->owner = b->owner;
	at->max_generation = b->generation;
	at->level = b->level - 1;
}

/* ---- lost nodes ---- */

static size_t lost_hash(const struct repair *r, u64 block)
{
	return (block * 0x9e3779b97f4a7c15ull >> 32) & (r->lost_buckets - 1);
}

static void lost_rehash(struct repair *r)
{
	struct rp_lost *l;
	size_t i, h;

	free(r->lost_table);
	r->lost_buckets = r->lost_buckets ? 4 * r->lost_buckets : 256;
	r->lost_table = tool_alloc(r->lost_buckets * sizeof(*r->lost_table));
	for (i = 0; i < r->lost.nr; i++) {
		l = rp_lost(r, i);
		h = lost_hash(r, l->block);
		l->next = r->lost_table[h];
		r->lost_table[h] = i + 1;
	}
}

/* The entry for what @at leads to. */
static u32 lost_get(struct repair *r, const struct rp_at *at)
{
	struct rp_lost *l;
	size_t h;
	u64 i;

	if (r->lost.nr >= r->lost_buckets)
		lost_rehash(r);
	h = lost_hash(r, at->block);
	for (i = r->lost_table[h]; i; i = l->next) {
		l = rp_lost(r, i - 1);
		if (l->block == at->block && l->tag == at->tag && l->lo == at->lo &&
		    l->hi == at->hi && l->level == at->level)
			return i;
	}
	l = rp_array_add(&r->lost, sizeof(*l));
	l->block = at->block;
	l->tag = at->tag;
	l->lo = at->lo;
	l->hi = at->hi;
	l->owner = at->owner;
	l->max_generation = r->generation;
	l->level = at->level;
	l->next = r->lost_table[h];
	r->lost_table[h] = r->lost.nr;
	return r->lost.nr;
}

static bool node_fits(const struct repair *r, const struct rp_at *at, const struct rp_block *b)
{
	return b && (b->type == RP_NODE || b->type == RP_LEAF) && b->owner >= PDATA_FIRST_UID &&
	       b->tag == at->tag && b->lo == at->lo && b->hi == at->hi &&
	       (at->level < 0 || b->level == at->level) &&
	       b->generation <= min(at->max_generation, r->generation);
}

struct rp_ref rp_resolve(struct repair *r, const struct rp_at *at)
{
	const struct rp_block *b = rp_find(r, at->block);

	if (!at->block)
		return (struct rp_ref){ };
	if (node_fits(r, at, b))
		return (struct rp_ref){ .node = rp_index(r, b) };
	return (struct rp_ref){ .lost = lost_get(r, at) };
}

/*
 * A thin has it. Nothing below a node is newer. What is there instead, whole as it
 * may be, is of an older version: no pointer to the block means that.
 */
static void lost_want(struct repair *r, u32 lost, const struct rp_at *at)
{
	struct rp_lost *l = rp_lost(r, lost - 1);
	struct rp_block *b = rp_find(r, at->block);

	l->max_generation = min(l->max_generation, at->max_generation);
	if (l->wanted)
		return;
	if (b && b->tag != at->tag && !rp_thin(r, r->visiting)->doubt)
		rp_demote(r, b);
	l->wanted = true;
	l->thin = r->visiting;
	l->owner = at->owner;
}

/* ---- pointers ---- */

static bool is_mapping(const struct repair *r, const struct rp_block *b)
{
	return b->pool == r->pool && (b->type == RP_NODE || b->type == RP_LEAF) &&
	       b->owner >= PDATA_FIRST_UID;
}

static void add_ref(struct repair *r, u64 block)
{
	struct rp_block *b = block ? rp_find(r, block) : NULL;

	if (b)
		b->refs++;
}

/*
 * Is one pointer more to its children too many? Only nodes in use were counted so
 * far, so then this one is not.
 */
static bool is_one_too_many(const struct repair *r, const struct rp_block *b,
			    const struct pdata_range_node_disk *d)
{
	const struct rp_block *c;
	struct rp_at at;
	unsigned int i;
	u32 count;

	for (i = 0; i < le16_to_cpu(d->r.nr); i++) {
		rp_child(b, d, i, &at);
		c = rp_find(r, at.block);
		if (c && at.hi > b->cut && rp_count(r, at.block, &count) && c->refs >= count)
			return true;
	}
	return false;
}

/* @sure: it is in use, as its count says. */
static int count_pointers(struct repair *r, const struct rp_block *b, bool sure,
			  struct pdata_range_node_disk *d)
{
	struct rp_at at;
	unsigned int i;
	int err = rp_read(r, b, d);

	if (err)
		return err;
	if (!sure && !r->counts_doubt && (rp_is_stale(r, b, d) || is_one_too_many(r, b, d)))
		return 0;
	for (i = 0; i < le16_to_cpu(d->r.nr); i++) {
		rp_child(b, d, i, &at);
		if (at.hi <= b->cut)
			continue;
		add_ref(r, at.block);
		rp_resolve(r, &at);
	}
	return 0;
}

/* A root that something other than a node points to. */
static void count_root(struct repair *r, const struct rp_thin *t)
{
	const struct rp_at at = rp_root_at(t);

	if (!t->d.root)
		return;
	add_ref(r, at.block);
	rp_resolve(r, &at);
}

static const struct repair *sort_of;

/* The newest first: of two versions of a node that is the one in use. */
static int cmp_newest(const void *a, const void *b)
{
	const struct rp_block *x = rp_block(sort_of, *(const u32 *)a);
	const struct rp_block *y = rp_block(sort_of, *(const u32 *)b);

	if (x->generation != y->generation)
		return x->generation > y->generation ? -1 : 1;
	return x->block < y->block ? -1 : x->block > y->block;
}

/* Nodes whose count is unknown, and which may be in use. */
static int count_unsure(struct repair *r, struct rp_array *unsure,
			struct pdata_range_node_disk *d)
{
	size_t i;
	int err = 0;

	sort_of = r;
	if (unsure->nr)
		qsort(unsure->v, unsure->nr, sizeof(u32), cmp_newest);
	for (i = 0; i < unsure->nr && !err; i++)
		err = count_pointers(r, rp_block(r, ((u32 *)unsure->v)[i]), false, d);
	return err;
}

/*
 * Of all nodes that may be in use: then a count beyond is surely from elsewhere,
 * and no lost node that it may come from is left out.
 */
static int count_all_pointers(struct repair *r)
{
	struct pdata_range_node_disk *d = tool_block();
	struct rp_block *b = r->index.v, *end = b + r->index.nr;
	struct rp_array unsure = { };
	struct rp_thin *t;
	u32 count;
	size_t i;
	int err = 0;

	for (i = 0, t = r->thins.v; i < r->thins.nr; i++, t++)
		if (!t->doubt)
			count_root(r, t);
	for (i = 0, t = r->deleting.v; i < r->deleting.nr; i++, t++)
		count_root(r, t);
	for (; b < end && !err; b++) {
		if (!is_mapping(r, b) || b->type != RP_NODE || b->generation > r->generation)
			continue;
		if (!rp_count(r, b->block, &count))
			*(u32 *)rp_array_add(&unsure, sizeof(u32)) = rp_index(r, b);
		else if (count)
			err = count_pointers(r, b, true, d);
	}
	if (!err)
		err = count_unsure(r, &unsure, d);
	free(unsure.v);
	pdata_block_free(d);
	return err;
}

/*
 * In a tree that is being deleted, nodes on the way to the cursor still name
 * children that are gone. They are not shared: a shared node is left whole.
 */
static int mark_cut(struct repair *r, const struct rp_thin *t, struct pdata_range_node_disk *d)
{
	struct rp_at at = rp_root_at(t);
	struct rp_block *b;
	struct rp_ref ref;
	unsigned int i;
	u32 count;
	int err;

	while (t->d.delete_cursor > at.lo) {
		ref = rp_resolve(r, &at);
		if (!ref.node)
			return 0;
		b = rp_block(r, ref.node);
		if (b->type != RP_NODE || (rp_count(r, b->block, &count) && count != 1))
			return 0;
		b->cut = t->d.delete_cursor;
		err = rp_read(r, b, d);
		if (err)
			return err;
		for (i = 0; i < le16_to_cpu(d->r.nr); i++) {
			rp_child(b, d, i, &at);
			if (at.hi > b->cut)
				break;
		}
		if (i == le16_to_cpu(d->r.nr))
			return 0;
	}
	return 0;
}

/* ---- visits ---- */

static int read_leaf(struct repair *r, struct rp_block *b, void *data)
{
	struct pdata_range *ranges;
	unsigned int i, nr;
	int err = rp_ranges(r, b, data, &ranges, &nr);

	if (err)
		return err;
	for (i = 0; i < nr; i++) {
		if (ranges[i].kind != PDATA_RANGE_MAPPED)
			continue;
		b->mapped += ranges[i].len;
		r->max_phys = max(r->max_phys, ranges[i].value + ranges[i].len);
		r->max_birth = max(r->max_birth, ranges[i].tag);
	}
	b->flags |= RP_READ;
	r->nr_visited++;
	tool_progress("trees", r->nr_visited, 0);
	return 0;
}

static int visit_leaf(struct repair *r, struct rp_block *b, void *data)
{
	int err = b->flags & RP_READ ? 0 : read_leaf(r, b, data);

	b->sum = pdata_leaf_mark(b->block, b->generation);
	b->state = RP_WHOLE;
	return err;
}

/* As deep as the tree: levels fall. */
int rp_visit(struct repair *r, u32 index)
{
	struct rp_block *b = rp_block(r, index), *c;
	struct pdata_range_node_disk *d;
	struct rp_ref ref;
	struct rp_at at;
	unsigned int i;
	int err;

	if (b->state != RP_NEW)
		return 0;
	d = tool_block();
	if (b->type == RP_LEAF) {
		err = visit_leaf(r, b, d);
		pdata_block_free(d);
		return err;
	}
	b->state = RP_WHOLE;
	err = rp_read(r, b, d);
	for (i = 0; !err && i < le16_to_cpu(d->r.nr); i++) {
		rp_child(b, d, i, &at);
		ref = rp_resolve(r, &at);
		if (ref.lost) {
			lost_want(r, ref.lost, &at);
			b->state = RP_BROKEN;
			continue;
		}
		err = rp_visit(r, ref.node);
		c = rp_block(r, ref.node);
		b->sum += c->sum;
		b->mapped += c->mapped;
		if (c->state == RP_BROKEN)
			b->state = RP_BROKEN;
	}
	pdata_block_free(d);
	return err;
}

static int visit_thin(struct repair *r, struct rp_thin *t)
{
	const struct rp_at at = rp_root_at(t);
	struct rp_ref ref = rp_resolve(r, &at);
	const struct rp_block *b;
	int err;

	r->visiting = t - rp_thin(r, 0);
	if (ref.lost)
		lost_want(r, ref.lost, &at);
	t->broken = ref.lost;
	t->sum = 0;
	if (!ref.node) {
		t->proven = !ref.lost && !t->d.leaf_sum;
		return 0;
	}
	err = rp_visit(r, ref.node);
	b = rp_block(r, ref.node);
	t->sum = b->sum;
	t->broken = b->state == RP_BROKEN;
	t->proven = !t->broken && !(t->d.flags & PDATA_THIN_SUM_LOST) &&
		    t->d.leaf_sum == t->sum;
	t->mismatch = !t->broken && !(t->d.flags & PDATA_THIN_SUM_LOST) && !t->proven;
	return err;
}

static void lost_reset(struct repair *r)
{
	size_t i;

	for (i = 0; i < r->lost.nr; i++)
		free(rp_lost(r, i)->item);
	r->lost.nr = 0;
	if (r->lost_buckets)
		memset(r->lost_table, 0, r->lost_buckets * sizeof(*r->lost_table));
}

static void reset(struct repair *r)
{
	struct rp_block *b = r->index.v, *end = b + r->index.nr;

	for (; b < end; b++) {
		if (b->type != RP_NODE && b->type != RP_LEAF)
			continue;
		b->sum = 0;
		if (!(b->flags & RP_READ))
			b->mapped = 0;
		b->cut = 0;
		b->refs = 0;
		b->flags &= RP_READ;
		b->state = RP_NEW;
	}
	lost_reset(r);
}

int rp_trees(struct repair *r)
{
	void *d = tool_block();
	struct rp_thin *t;
	size_t i;
	int err = 0;

	reset(r);
	for (i = 0, t = r->deleting.v; i < r->deleting.nr && !err; i++, t++)
		err = mark_cut(r, t, d);
	/* On the way to a cursor there may have been some that are gone. */
	lost_reset(r);
	if (!err)
		err = count_all_pointers(r);
	if (!err)
		rp_adopt_roots(r);
	for (i = 0, t = r->thins.v; i < r->thins.nr && !err; i++, t++)
		if (!t->tombstone)
			err = visit_thin(r, t);
	pdata_block_free(d);
	return err;
}
