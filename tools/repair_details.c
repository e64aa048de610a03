// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_repair: which thins there are.
 *
 * The details tree and its copy are walked from their roots; what cannot be
 * read in one is taken from the other. Where that leaves a hole, leaves of either
 * are looked for in the index: those in use by the counts first, the newest
 * before others; what they do not cover then comes from leaves of which nobody
 * knows whether they are current. Such entries are in doubt, and are kept only
 * if their tree can be shown to be in use.
 */
#include "repair.h"

struct entry {
	u64 key;
	u64 generation;		/* of its leaf */
	bool doubt;
	bool single;		/* the other tree cannot be read there */
	struct thin2_details d;
};

/* Keys of which nothing could be read, ends included; or those of a leaf. */
struct hole {
	u64 lo;
	u64 hi;
	u64 generation;		/* of the leaf */
	bool is_leaf;		/* it is a leaf that is lost, not a node above others, */
	bool copy_is_leaf;	/* and in the other tree */
};

struct details_tree {
	struct repair *r;
	u64 owner;
	struct rp_array entries;	/* struct entry */
	struct rp_array holes;		/* struct hole */
	struct rp_array leaves;		/* ... of leaves that were read */
	u64 generation;			/* of its root */
};

struct btree_at {
	u64 block;
	u16 tag;
	bool any_tag;	/* of a root that was guessed */
	u64 lo;
	u64 hi;		/* last key */
	u64 max_generation;
	int level;	/* -1: root */
};

static struct hole *add_hole(struct rp_array *holes, u64 lo, u64 hi)
{
	struct hole *h = rp_array_add(holes, sizeof(*h));

	h->lo = lo;
	h->hi = hi;
	return h;
}

static void add_entry(struct rp_array *a, u64 key, u64 generation, bool doubt,
		      const struct thin2_details *d)
{
	struct entry *e = rp_array_add(a, sizeof(*e));

	e->key = key;
	e->generation = generation;
	e->doubt = doubt;
	e->d = *d;
}

static u64 btree_key(const struct pdata_btree_disk *d, unsigned int i)
{
	return le64_to_cpu(((const __le64 *)d->data)[i]);
}

static const void *btree_value(const struct pdata_btree_disk *d, unsigned int i)
{
	const u32 size = le32_to_cpu(d->value_size);
	const unsigned int max = sizeof(d->data) / (sizeof(__le64) + size);

	return d->data + max * sizeof(__le64) + (size_t)i * size;
}

/* Entries of an intact leaf with keys in [lo, hi]. */
static int leaf_entries(struct repair *r, const struct rp_block *b, u64 lo, u64 hi, bool doubt,
			struct rp_array *to)
{
	struct pdata_btree_disk *d = tool_block();
	struct thin2_details details;
	unsigned int i;
	int err = rp_read(r, b, d);

	if (!err && le32_to_cpu(d->value_size) != sizeof(struct pdata_details_disk))
		err = -PDATA_E_CONTENT;
	for (i = 0; !err && i < le16_to_cpu(d->nr); i++) {
		if (btree_key(d, i) < lo || btree_key(d, i) > hi)
			continue;
		thin2_details_unpack(btree_value(d, i), &details);
		add_entry(to, btree_key(d, i), b->generation, doubt, &details);
	}
	pdata_block_free(d);
	return err;
}

/* ---- from the root ---- */

static bool btree_fits(const struct details_tree *t, const struct btree_at *at,
		       const struct rp_block *b)
{
	return b && b->type == RP_BTREE && b->owner == t->owner &&
	       (at->any_tag || b->tag == at->tag) &&
	       b->generation <= at->max_generation &&
	       (at->level < 0 || b->level == at->level) && b->lo >= at->lo && b->hi <= at->hi;
}

/* As deep as the tree: levels fall. */
static int btree_visit(struct details_tree *t, const struct btree_at *at)
{
	struct rp_block *b = rp_find(t->r, at->block);
	struct btree_at child = { 0 };
	struct pdata_btree_disk *d;
	unsigned int i, nr;
	__le64 ptr;
	int err;

	if (!btree_fits(t, at, b)) {
		/* Whole as it may be, what is there is of an older version. */
		if (b && b->tag != at->tag && !at->any_tag)
			rp_demote(t->r, b);
		*(u64 *)rp_array_add(&t->r->holes, sizeof(u64)) = at->block;
		add_hole(&t->holes, at->lo, at->hi)->is_leaf = !at->level;
		return 0;
	}
	if (!b->level) {
		add_hole(&t->leaves, at->lo, at->hi)->generation = b->generation;
		return leaf_entries(t->r, b, at->lo, at->hi, false, &t->entries);
	}
	d = tool_block();
	err = rp_read(t->r, b, d);
	nr = err ? 0 : le16_to_cpu(d->nr);
	child.level = b->level - 1;
	child.max_generation = b->generation;
	for (i = 0; i < nr && !err; i++) {
		memcpy(&ptr, btree_value(d, i), sizeof(ptr));
		child.block = pdata_ptr_block(le64_to_cpu(ptr));
		child.tag = pdata_ptr_tag(le64_to_cpu(ptr));
		child.lo = btree_key(d, i);
		child.hi = i + 1 < nr ? btree_key(d, i + 1) - 1 : at->hi;
		err = btree_visit(t, &child);
	}
	pdata_block_free(d);
	return err;
}

static bool is_dead(const struct repair *r, const struct rp_block *b)
{
	u32 count;

	return b->generation > r->generation || (rp_count(r, b->block, &count) && !count);
}

/* May @b have been a sibling of @root, which then is no root? */
static bool may_be_beside(const struct repair *r, const struct rp_block *root,
			  const struct rp_block *b)
{
	return b != root && b->pool == r->pool && b->type == RP_BTREE && b->owner == root->owner &&
	       b->level >= root->level && !is_dead(r, b) &&
	       (b->lo > root->hi || b->hi < root->lo || b->level > root->level);
}

/*
 * The root, when no superblock says which it is: a change of any entry writes the
 * whole way up, so nothing is newer than the root. NULL if there may be one above
 * what is found.
 */
static const struct rp_block *guess_root(const struct repair *r, u64 owner)
{
	const struct rp_block *b, *begin = r->index.v, *end = begin + r->index.nr, *root = NULL;

	for (b = begin; b < end; b++) {
		if (b->pool != r->pool || b->type != RP_BTREE || b->owner != owner || is_dead(r, b))
			continue;
		if (!root || b->generation > root->generation ||
		    (b->generation == root->generation && b->level > root->level))
			root = b;
	}
	for (b = begin; root && b < end; b++)
		if (b->generation == root->generation && may_be_beside(r, root, b))
			root = NULL;
	/* A leaf that is alone has no older leaves beside it, unless they are free by now. */
	for (b = begin; root && !root->level && b < end; b++)
		if (may_be_beside(r, root, b))
			root = NULL;
	return root;
}

/* @other: there is another tree with the same entries, so that this is not empty either. */
static int walk_tree(struct repair *r, struct details_tree *t, u64 owner, u64 root, bool other)
{
	struct btree_at at = {
		.block = pdata_ptr_block(root),
		.tag = pdata_ptr_tag(root),
		.hi = ~0ull,
		.max_generation = r->generation,
		.level = -1,
	};
	const struct rp_block *b;

	memset(t, 0, sizeof(*t));
	t->r = r;
	t->owner = owner;
	if (!r->have_roots) {
		b = guess_root(r, owner);
		at.block = b ? b->block : ~0ull;
		at.any_tag = true;
	}
	if (!at.block && !other)
		return 0;
	b = rp_find(r, at.block);
	t->generation = b ? b->generation : 0;
	return btree_visit(t, &at);
}

static void tree_free(struct details_tree *t)
{
	free(t->entries.v);
	free(t->holes.v);
	free(t->leaves.v);
}

/* ---- from leaves ---- */

struct leaves {
	u32 *v;		/* index */
	size_t nr;
};

static const struct repair *sort_of;

static int cmp_newest(const void *a, const void *b)
{
	const struct rp_block *x = rp_block(sort_of, *(const u32 *)a);
	const struct rp_block *y = rp_block(sort_of, *(const u32 *)b);

	if (x->generation != y->generation)
		return x->generation > y->generation ? -1 : 1;
	return x->owner < y->owner ? -1 : x->owner > y->owner;
}

static bool is_details_leaf(const struct repair *r, const struct rp_block *b)
{
	return b->pool == r->pool && b->type == RP_BTREE && !b->level &&
	       b->generation <= r->generation &&
	       (b->owner == PDATA_OWNER_DETAILS || b->owner == PDATA_OWNER_DETAILS_COPY);
}

/* Is there a newer leaf for some of its keys, in use or not? Then it was replaced. */
static bool is_superseded(const struct repair *r, const struct rp_block *leaf)
{
	const struct rp_block *b = r->index.v, *end = b + r->index.nr;

	for (; b < end; b++)
		if (is_details_leaf(r, b) && b->generation > leaf->generation &&
		    b->lo <= leaf->hi && b->hi >= leaf->lo)
			return true;
	return false;
}

/*
 * Leaves of both trees, the newest first; in use by their count, or all others. If
 * it is a leaf that is lost, none of its tree's is the one in use.
 */
static struct leaves find_leaves(const struct repair *r, const struct hole *hole, bool in_use)
{
	struct rp_array a = { };
	u32 i, count;
	bool live;

	for (i = 1; i <= r->index.nr; i++) {
		const struct rp_block *b = rp_block(r, i);

		if (!is_details_leaf(r, b))
			continue;
		/* An older version may have come back where something else is in use. */
		live = rp_count(r, b->block, &count) && count && !is_superseded(r, b) &&
		       !(b->owner == PDATA_OWNER_DETAILS ? hole->is_leaf : hole->copy_is_leaf);
		if (live == in_use)
			*(u32 *)rp_array_add(&a, sizeof(u32)) = i;
	}
	sort_of = r;
	if (a.nr)
		qsort(a.v, a.nr, sizeof(u32), cmp_newest);
	return (struct leaves){ a.v, a.nr };
}

static bool covered(const struct rp_array *covers, u64 key)
{
	const struct hole *h = covers->v;
	size_t i;

	for (i = 0; i < covers->nr; i++)
		if (key >= h[i].lo && key <= h[i].hi)
			return true;
	return false;
}

/* What is in a hole according to leaves that lie around. */
static int search_leaves(struct repair *r, const struct hole *hole, struct rp_array *to)
{
	const u64 lo = hole->lo, hi = hole->hi;
	struct rp_array covers = { }, found = { };
	const struct entry *e;
	const size_t before = to->nr;
	unsigned int pass;
	size_t i, k;
	int err = 0;

	for (pass = 0; pass < 2; pass++) {
		struct leaves l = find_leaves(r, hole, !pass);

		for (i = 0; i < l.nr && !err; i++) {
			const struct rp_block *b = rp_block(r, l.v[i]);

			if (b->hi < lo || b->lo > hi)
				continue;
			found.nr = 0;
			err = leaf_entries(r, b, lo, hi, pass, &found);
			for (k = 0, e = found.v; k < found.nr; k++, e++)
				if (!covered(&covers, e->key))
					add_entry(to, e->key, e->generation, e->doubt, &e->d);
			add_hole(&covers, b->lo, b->hi);
		}
		free(l.v);
	}
	r->details_doubt |= to->nr == before;
	for (i = before, e = to->v; i < to->nr; i++)
		r->details_doubt |= e[i].doubt;
	free(covers.v);
	free(found.v);
	return err;
}

/* ---- put together ---- */

static bool in_holes(const struct rp_array *holes, u64 key)
{
	return covered(holes, key);
}

/* Holes of both. */
static void common_holes(const struct rp_array *a, const struct rp_array *b, struct rp_array *to)
{
	const struct hole *x = a->v, *y = b->v;
	struct hole *h;
	size_t i, k;

	for (i = 0; i < a->nr; i++) {
		for (k = 0; k < b->nr; k++) {
			if (max(x[i].lo, y[k].lo) > min(x[i].hi, y[k].hi))
				continue;
			h = add_hole(to, max(x[i].lo, y[k].lo), min(x[i].hi, y[k].hi));
			h->is_leaf = x[i].is_leaf;
			h->copy_is_leaf = y[k].is_leaf;
		}
	}
}

static int cmp_entry(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->d.uid != y->d.uid)
		return x->d.uid < y->d.uid ? -1 : 1;
	if (x->doubt != y->doubt)
		return x->doubt ? 1 : -1;
	return x->generation > y->generation ? -1 : x->generation < y->generation;
}

static int cmp_thin(const void *a, const void *b)
{
	const struct rp_thin *x = a, *y = b;

	if (x->tombstone != y->tombstone)
		return x->tombstone ? 1 : -1;
	if (x->tombstone)
		return x->d.uid < y->d.uid ? -1 : x->d.uid > y->d.uid;
	if (x->d.id != y->d.id)
		return x->d.id < y->d.id ? -1 : 1;
	/* Of two with one id: the one that is sure, then the younger one, goes first. */
	if (x->doubt != y->doubt)
		return x->doubt ? 1 : -1;
	return x->d.uid > y->d.uid ? -1 : x->d.uid < y->d.uid;
}

static void add_thin(struct repair *r, struct rp_array *to, const struct entry *e)
{
	struct rp_thin *t = rp_array_add(to, sizeof(*t));

	t->d = e->d;
	t->entry_gen = e->generation;
	t->doubt = e->doubt;
	t->single = e->single;
	t->tombstone = e->d.flags & PDATA_THIN_TOMBSTONE;
	r->sb.next_uid = max(r->sb.next_uid, e->d.uid + 1);
	if (!r->have_roots) {
		r->sb.time = max3(r->sb.time, e->d.create_time, e->d.snap_time);
		r->sb.transaction_id = max(r->sb.transaction_id, e->d.transaction_id);
	}
}

/* One thin for each uid and for each id. */
static void make_thins(struct repair *r, struct rp_array *entries)
{
	const struct entry *e = entries->v;
	struct rp_thin *t;
	size_t i, nr = 0;

	if (entries->nr)
		qsort(entries->v, entries->nr, sizeof(*e), cmp_entry);
	for (i = 0; i < entries->nr; i++)
		if (!i || e[i].d.uid != e[i - 1].d.uid)
			add_thin(r, &r->thins, &e[i]);
	t = r->thins.v;
	if (r->thins.nr)
		qsort(t, r->thins.nr, sizeof(*t), cmp_thin);
	for (i = 0; i < r->thins.nr; i++) {
		if (nr && !t[i].tombstone && !t[nr - 1].tombstone && t[i].d.id == t[nr - 1].d.id)
			continue;
		t[nr++] = t[i];
	}
	r->thins.nr = nr;
}

/* Generation of the tree's leaf for @key, 0 if there is none that can be read. */
static u64 leaf_generation(const struct details_tree *t, u64 key)
{
	const struct hole *h = t->leaves.v;
	size_t begin = 0, end = t->leaves.nr, mid;

	while (begin < end) {
		mid = begin + (end - begin) / 2;
		if (h[mid].hi < key)
			begin = mid + 1;
		else
			end = mid;
	}
	return begin < t->leaves.nr && h[begin].lo <= key ? h[begin].generation : 0;
}

/*
 * Entries of @t, but for those of which @other has a newer version, or none any
 * more: then the leaf here is an older one. Of two that are of one age @t's counts
 * if @first.
 */
static void take_entries(const struct details_tree *t, const struct details_tree *other,
			 bool first, struct rp_array *entries)
{
	const struct entry *e = t->entries.v;
	size_t i;
	u64 gen;

	for (i = 0; i < t->entries.nr; i++, e++) {
		gen = leaf_generation(other, e->key);
		if (gen > e->generation || (gen == e->generation && !first))
			continue;
		add_entry(entries, e->key, e->generation, false, &e->d);
		((struct entry *)entries->v)[entries->nr - 1].single =
			in_holes(&other->holes, e->key);
	}
}

/*
 * Both trees are written by the same commits. If their roots are not of one commit,
 * the older one is not the last: it was lost, or guessed wrong.
 */
static int merge_trees(struct repair *r, struct details_tree *t, struct details_tree *copy,
		       struct rp_array *entries)
{
	struct rp_array holes = { };
	const struct hole *h;
	size_t i;
	int err = 0;

	if (t->generation != copy->generation) {
		struct details_tree *old = t->generation < copy->generation ? t : copy;

		old->entries.nr = 0;
		old->leaves.nr = 0;
		old->holes.nr = 0;
		add_hole(&old->holes, 0, ~0ull);
	}
	take_entries(t, copy, true, entries);
	take_entries(copy, t, false, entries);
	common_holes(&t->holes, &copy->holes, &holes);
	r->details_lost = holes.nr;
	for (i = 0, h = holes.v; i < holes.nr && !err; i++, h++)
		err = search_leaves(r, h, entries);
	free(holes.v);
	return err;
}

/* Only their roots matter: what lies below is in use, too, and is not kept. */
static int find_deleting(struct repair *r)
{
	struct details_tree t;
	const struct entry *e;
	size_t i;
	int err;

	err = walk_tree(r, &t, PDATA_OWNER_DELETING, r->sb.deleting_root, false);
	for (i = 0, e = t.entries.v; i < t.entries.nr; i++, e++)
		add_thin(r, &r->deleting, e);
	r->unknown_roots = !r->have_roots || t.holes.nr || r->details_lost;
	tree_free(&t);
	return err;
}

int rp_details(struct repair *r)
{
	struct details_tree t, copy;
	struct rp_array entries = { };
	int err;

	r->thins.nr = 0;
	r->deleting.nr = 0;
	r->holes.nr = 0;
	r->details_doubt = false;
	err = walk_tree(r, &t, PDATA_OWNER_DETAILS, r->sb.details_root,
			r->sb.details_copy_root);
	if (!err)
		err = walk_tree(r, &copy, PDATA_OWNER_DETAILS_COPY, r->sb.details_copy_root,
				r->sb.details_root);
	else
		memset(&copy, 0, sizeof(copy));
	if (!err)
		err = merge_trees(r, &t, &copy, &entries);
	if (!err)
		make_thins(r, &entries);
	if (!err)
		err = find_deleting(r);
	tree_free(&t);
	tree_free(&copy);
	free(entries.v);
	return err;
}
