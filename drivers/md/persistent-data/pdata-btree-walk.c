// SPDX-License-Identifier: GPL-2.0-only
/*
 * Plain copy-on-write btree: whole-tree traversals.
 *
 * Both keep a copy of each node on the way from the root, so that callbacks
 * and counts may do what they like, and none is held in the cache meanwhile.
 */
#include "pdata-btree-node.h"

struct walk_level {
	struct pdata_btree_disk *d;	/* made on first use */
	struct pdata_btree_span span;
	unsigned int i;			/* next child */
};

struct walk {
	struct walk_level level[PDATA_BTREE_MAX_DEPTH];
	int depth;			/* of the node being visited, -1 = done */
	u64 from;			/* smaller keys are left out */
};

static struct walk *walk_new(void)
{
	struct walk *w = kzalloc(sizeof(*w), GFP_NOIO);

	if (w)
		w->depth = -1;
	return w;
}

static void walk_free(struct walk *w)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(w->level); i++)
		if (w->level[i].d)
			pdata_block_free(w->level[i].d);
	kfree(w);
}

/* Go down into the node at @ptr. On failure the walk stays where it is. */
static int walk_push(struct walk *w, const struct pdata_btree *t, const struct pdata_view *v,
		     u64 ptr, const struct pdata_btree_span *span)
{
	struct walk_level *l = &w->level[w->depth + 1];
	struct pdata_ro b;
	int r;

	/* Levels fall on the way down and begin below the limit: there is a slot. */
	if (!l->d)
		l->d = pdata_block_alloc(GFP_NOIO);
	if (!l->d)
		return -ENOMEM;
	r = pdata_btree_read(t, v, ptr, span, &b);
	if (r)
		return r;
	memcpy(l->d, b.data, PDATA_BLOCK_SIZE);
	pdata_view_release(v, &b);
	l->span = *span;
	l->i = node_search(l->d, w->from);
	l->i -= l->i > 0;
	w->depth++;
	return 0;
}

/*
 * Leave leaves and finished nodes, find the next child to visit.
 *
 * Return: false if there is none.
 */
static bool walk_next(struct walk *w, u64 *ptr, struct pdata_btree_span *span)
{
	for (; w->depth >= 0; w->depth--) {
		struct walk_level *l = &w->level[w->depth];

		if (!node_level(l->d) || l->i >= node_nr(l->d))
			continue;
		*ptr = node_child(l->d, l->i);
		*span = node_child_span(l->d, &l->span, l->i);
		l->i++;
		return true;
	}
	return false;
}

static const struct pdata_btree_disk *walk_node(const struct walk *w)
{
	return w->level[w->depth].d;
}

static int walk_entries(const struct pdata_btree_disk *d, u64 from,
			int (*entry)(void *context, u64 key, const void *value), void *context)
{
	unsigned int i, nr = node_nr(d);
	int r = 0;

	for (i = from ? node_search(d, from - 1) : 0; i < nr && !r; i++)
		r = entry(context, node_key(d, i), node_value(d, i));
	return r;
}

static int walk_run(struct walk *w, const struct pdata_btree *t, const struct pdata_view *v,
		    u64 root, int (*node)(void *context, u64 block, int level, int err),
		    int (*entry)(void *context, u64 key, const void *value), void *context)
{
	struct pdata_btree_span span = PDATA_BTREE_ROOT_SPAN;
	u64 ptr = root;
	int r;

	do {
		r = walk_push(w, t, v, ptr, &span);
		if (r == -ENOMEM)
			break;
		if (r) {
			r = node ? node(context, pdata_ptr_block(ptr), span.level, r) : r;
			if (r == 1)
				r = 0;
			continue;
		}
		if (node)
			r = node(context, pdata_ptr_block(ptr), node_level(walk_node(w)), 0);
		if (r == 1) {
			w->depth--;
			r = 0;
		} else if (!r && entry && !node_level(walk_node(w))) {
			r = walk_entries(walk_node(w), w->from, entry, context);
		}
	} while (!r && walk_next(w, &ptr, &span));
	return r;
}

static int walk_whole(const struct pdata_btree *t, const struct pdata_view *v, u64 root, u64 from,
		      int (*node)(void *context, u64 block, int level, int err),
		      int (*entry)(void *context, u64 key, const void *value), void *context)
{
	struct walk *w;
	int r;

	if (!root)
		return 0;
	w = walk_new();
	if (!w)
		return -ENOMEM;
	w->from = from;
	r = walk_run(w, t, v, root, node, entry, context);
	walk_free(w);
	return r;
}

int pdata_btree_walk(const struct pdata_btree *t, const struct pdata_view *v, u64 root,
		     int (*node)(void *context, u64 block, int level, int err),
		     int (*entry)(void *context, u64 key, const void *value), void *context)
{
	return walk_whole(t, v, root, 0, node, entry, context);
}

int pdata_btree_walk_from(const struct pdata_btree *t, const struct pdata_view *v, u64 root,
			  u64 from, int (*entry)(void *context, u64 key, const void *value),
			  void *context)
{
	return walk_whole(t, v, root, from, NULL, entry, context);
}

static int del_values(const struct pdata_btree *t, const struct pdata_btree_disk *d)
{
	unsigned int i, nr = node_nr(d);
	int r = 0;

	if (node_level(d) || !t->value.dec)
		return 0;
	for (i = 0; i < nr && !r; i++)
		r = t->value.dec(t->value.context, node_value(d, i));
	return r;
}

/*
 * Drop one reference on the node at @ptr. If it was the last, the walk goes down into
 * it, to drop what it referred to.
 */
static int del_node(struct walk *w, struct pdata_btree *t, u64 ptr,
		    const struct pdata_btree_span *span)
{
	struct pdata_view v = { .tm = t->tm };
	u32 count;
	int r;

	r = pdata_sm_get(&t->tm->sm, pdata_ptr_block(ptr), &count);
	if (r)
		return r;
	if (count > 1)
		return pdata_tm_dec(t->tm, ptr, &count);
	r = walk_push(w, t, &v, ptr, span);
	if (pdata_error_is_unreadable(r)) {
		pdata_err_limit("%s: btree node %llu cannot be read (%s), leaked until repair",
				t->tm->bm->name, pdata_ptr_block(ptr), pdata_error_text(r));
		return 0;
	}
	if (r)
		return r;
	r = pdata_tm_dec(t->tm, ptr, &count);
	return r ? r : del_values(t, walk_node(w));
}

int pdata_btree_del(struct pdata_btree *t)
{
	struct pdata_btree_span span = PDATA_BTREE_ROOT_SPAN;
	u64 ptr = t->root;
	struct walk *w;
	int r;

	if (!ptr)
		return 0;
	w = walk_new();
	if (!w)
		return -ENOMEM;
	do {
		r = del_node(w, t, ptr, &span);
	} while (!r && walk_next(w, &ptr, &span));
	walk_free(w);
	if (r)
		t->tm->failed = true;
	else
		t->root = 0;
	return r;
}
