// SPDX-License-Identifier: GPL-2.0-only
/*
 * Plain copy-on-write btree: a tree is taken apart in bounded steps.
 *
 * Each step removes the first leaf, with the nodes above it that become empty.
 * So what a commit finds between two steps is a tree like any other, but for
 * nodes on its left edge that are less than half full.
 */
#include "pdata-btree-node.h"

static int leak(const struct pdata_btree *t, u64 ptr, int r)
{
	pdata_err_limit("%s: btree node %llu cannot be taken apart (%s), leaked until repair",
			t->tm->bm->name, pdata_ptr_block(ptr), pdata_error_text(r));
	return 0;
}

/*
 * Make the node at @ptr writable. If others refer to it too, or nobody can read
 * it, our reference goes instead: *gone.
 */
static int enter(struct pdata_btree *t, u64 ptr, const struct pdata_btree_span *span,
		 struct pdata_rw *node, bool *gone)
{
	u32 count;
	int r;

	*gone = true;
	r = pdata_sm_get(&t->tm->sm, pdata_ptr_block(ptr), &count);
	if (!r && count > 1) {
		r = pdata_tm_dec(t->tm, ptr, &count);
		if (r)
			t->tm->failed = true;
		return r;
	}
	if (!r)
		r = pdata_btree_shadow(t, ptr, span, node);
	if (pdata_error_is_unreadable(r) && !t->tm->failed)
		return leak(t, ptr, r);
	*gone = false;
	return r;
}

static int drop_leaf(struct pdata_btree *t, const struct pdata_rw *leaf)
{
	const struct pdata_btree_disk *d = leaf->data;
	unsigned int i, nr = node_nr(d);
	int r = 0;

	for (i = 0; i < nr && t->value.dec && !r; i++)
		r = t->value.dec(t->value.context, node_value(d, i));
	if (r) {
		t->tm->failed = true;
		return r;
	}
	return pdata_btree_drop(t, leaf->ptr);
}

/* The first child of the last of @nr nodes on the way is gone. */
static int leave(struct pdata_btree *t, struct pdata_rw *way, unsigned int nr)
{
	int r;

	for (; nr; nr--) {
		pdata_btree_erase(way[nr - 1].data, 0);
		if (node_nr(way[nr - 1].data))
			return 0;
		r = pdata_btree_drop(t, way[nr - 1].ptr);
		if (r)
			return r;
	}
	t->root = 0;
	return 0;
}

int pdata_btree_del_step(struct pdata_btree *t)
{
	struct pdata_btree_span span = PDATA_BTREE_ROOT_SPAN;
	struct pdata_rw way[PDATA_BTREE_MAX_DEPTH];
	unsigned int nr = 0;
	u64 ptr = t->root;
	bool gone;
	int r;

	/* A node's level is below its parent's and the limit: there is a place for each. */
	for (;;) {
		r = enter(t, ptr, &span, &way[nr], &gone);
		if (r)
			return r;
		if (gone)
			break;
		if (nr)
			node_set_child(way[nr - 1].data, 0, way[nr].ptr);
		else
			t->root = way[0].ptr;
		if (!node_level(way[nr].data)) {
			r = drop_leaf(t, &way[nr]);
			if (r)
				return r;
			break;
		}
		span = node_child_span(way[nr].data, &span, 0);
		ptr = node_child(way[nr].data, 0);
		nr++;
	}
	return leave(t, way, nr);
}
