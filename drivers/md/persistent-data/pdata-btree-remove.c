// SPDX-License-Identifier: GPL-2.0-only
/* Plain copy-on-write btree: removal of one entry. */
#include "pdata-btree-node.h"

int pdata_btree_drop(struct pdata_btree *t, u64 ptr)
{
	u32 count;
	int r;

	r = pdata_tm_dec(t->tm, ptr, &count);
	if (r)
		t->tm->failed = true;
	return r;
}

/* A root with one child is not needed. */
static int btree_collapse(struct pdata_btree *t, struct pdata_rw *root)
{
	u64 ptr = root->ptr;

	if (!node_level(root->data) || node_nr(root->data) != 1)
		return 0;
	t->root = node_child(root->data, 0);
	return pdata_btree_drop(t, ptr);
}

/*
 * Give @child, number @i of @parent, more than the least number of entries:
 * join it with a neighbour if both fit into one node, else take from it until
 * the child has its half, rounded up. All are writable then. @child becomes the
 * node that has the child's entries.
 */
static int btree_fill(struct pdata_btree *t, struct pdata_rw *parent,
		      const struct pdata_btree_span *span, unsigned int i,
		      struct pdata_rw *child)
{
	struct pdata_btree_disk *p = parent->data, *left, *right;
	bool is_left = i + 1 < node_nr(p);
	unsigned int r_index = is_left ? i + 1 : i;
	struct pdata_rw other;
	unsigned int total;
	int r;

	r = pdata_btree_shadow_child(t, parent, span, is_left ? i + 1 : i - 1, &other);
	if (r)
		return r;
	left = is_left ? child->data : other.data;
	right = is_left ? other.data : child->data;
	total = node_nr(left) + node_nr(right);
	if (total <= pdata_btree_max(t, left)) {
		u64 dropped = node_child(p, r_index);

		pdata_btree_shift_left(left, right, node_nr(right));
		pdata_btree_erase(p, r_index);
		if (!is_left)
			*child = other;
		return pdata_btree_drop(t, dropped);
	}
	if (is_left)
		pdata_btree_shift_left(left, right, DIV_ROUND_UP(total, 2) - node_nr(left));
	else
		pdata_btree_shift_right(left, right, total / 2);
	node_set_key(p, r_index, node_key(right, 0));
	return 0;
}

/* Go from @node into the child where @key is, leaving no node behind too empty. */
static int btree_remove_step(struct pdata_btree *t, struct pdata_rw *node,
			     struct pdata_btree_span *span, u64 key)
{
	bool is_root = node->ptr == t->root;
	struct pdata_rw parent = *node, child;
	struct pdata_btree_disk *d = parent.data;
	unsigned int i = node_search(d, key) - 1;
	int r;

	r = pdata_btree_shadow_child(t, &parent, span, i, &child);
	if (r)
		return r;
	if (node_nr(d) > 1 && node_nr(child.data) <= pdata_btree_max(t, child.data) / 2) {
		r = btree_fill(t, &parent, span, i, &child);
		/* A damaged neighbour need not keep the entry alive. */
		if (pdata_error_is_damage(r) && !t->tm->failed && node_nr(child.data) > 1)
			r = 0;
		if (r)
			return r;
	}
	*span = node_child_span(d, span, node_search(d, key) - 1);
	*node = child;
	return is_root ? btree_collapse(t, &parent) : 0;
}

static int btree_remove_entry(struct pdata_btree *t, struct pdata_rw *leaf, u64 key)
{
	struct pdata_btree_disk *d = leaf->data;
	unsigned int i = node_search(d, key) - 1;
	int r;

	if (t->value.dec) {
		r = t->value.dec(t->value.context, node_value(d, i));
		if (r) {
			t->tm->failed = true;
			return r;
		}
	}
	/* Only a root gets down to one entry; others were filled on the way. */
	if (node_nr(d) > 1 || leaf->ptr != t->root) {
		pdata_btree_erase(d, i);
		return 0;
	}
	t->root = 0;
	return pdata_btree_drop(t, leaf->ptr);
}

int pdata_btree_remove(struct pdata_btree *t, u64 key)
{
	struct pdata_btree_span span = PDATA_BTREE_ROOT_SPAN;
	struct pdata_view v = { .tm = t->tm };
	struct pdata_rw node;
	int r;

	r = pdata_btree_lookup(t, &v, t->root, key, NULL);
	if (r)
		return r;
	r = pdata_btree_shadow(t, t->root, &span, &node);
	if (r)
		return r;
	t->root = node.ptr;
	while (node_level(node.data)) {
		r = btree_remove_step(t, &node, &span, key);
		if (r)
			return r;
	}
	return btree_remove_entry(t, &node, key);
}
