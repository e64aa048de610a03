// SPDX-License-Identifier: GPL-2.0-only
/*
 * Plain copy-on-write btree: nodes, lookup, insert.
 *
 * An internal node's key is a lower bound of its child's keys, not
 * necessarily the smallest of them. Changes go down once, shadowing each node
 * and making room (or, in pdata-btree-remove.c, making it full enough) before
 * going into it, so that nothing has to be passed up again. After each such
 * step the tree is whole: if a later one fails for want of space or memory,
 * the entry is not there, but nothing is lost and the transaction may go on.
 * Only a failed change of counts fails the transaction.
 */
#include "pdata-btree-node.h"

unsigned int pdata_btree_max(const struct pdata_btree *t, const struct pdata_btree_disk *d)
{
	unsigned int room = node_room(node_value_size(d));
	unsigned int limit = t->tm->limits.btree_max;

	return limit ? clamp(limit, 4u, room) : room;
}

static int btree_verify(const struct pdata_btree *t, u64 block,
			const struct pdata_btree_disk *d, const struct pdata_btree_span *span)
{
	unsigned int level = node_level(d);

	if (le64_to_cpu(d->h.owner) != t->owner) {
		pdata_err_limit("%s: btree node %llu has owner %llu, expected %llu",
				t->tm->bm->name, block, (u64)le64_to_cpu(d->h.owner), t->owner);
		return -PDATA_E_OWNER;
	}
	if (level >= PDATA_BTREE_MAX_DEPTH ||
	    (span->level != PDATA_BTREE_ANY_LEVEL && level != (unsigned int)span->level) ||
	    node_value_size(d) != (level ? sizeof(__le64) : t->value.size)) {
		pdata_err_limit("%s: btree node %llu has level %u and values of %u bytes",
				t->tm->bm->name, block, level, node_value_size(d));
		return -PDATA_E_CONTENT;
	}
	if (node_key(d, 0) < span->lo || node_key(d, node_nr(d) - 1) > span->last) {
		pdata_err_limit("%s: btree node %llu holds keys outside of %llu..%llu",
				t->tm->bm->name, block, span->lo, span->last);
		return -PDATA_E_INTERVAL;
	}
	return 0;
}

int pdata_btree_read(const struct pdata_btree *t, const struct pdata_view *v, u64 ptr,
		     const struct pdata_btree_span *span, struct pdata_ro *b)
{
	int r;

	r = pdata_view_read(v, ptr, PDATA_TYPE_BTREE, b);
	if (r)
		return r;
	r = btree_verify(t, b->block, b->data, span);
	if (r)
		pdata_view_release(v, b);
	return r;
}

/* A copy of a shared node points to the same things as the original. */
static int btree_inc_content(struct pdata_btree *t, const struct pdata_btree_disk *d)
{
	unsigned int i, nr = node_nr(d);
	int r = 0;

	if (!node_level(d) && !t->value.inc)
		return 0;
	for (i = 0; i < nr && !r; i++) {
		if (node_level(d))
			r = pdata_tm_inc(t->tm, node_child(d, i));
		else
			r = t->value.inc(t->value.context, node_value(d, i));
	}
	if (r)
		t->tm->failed = true;
	return r;
}

int pdata_btree_shadow(struct pdata_btree *t, u64 ptr, const struct pdata_btree_span *span,
		       struct pdata_rw *b)
{
	struct pdata_view v = { .tm = t->tm };
	struct pdata_ro ro;
	bool was_shared;
	int r;

	/* Refuse a bad node before references are moved. */
	r = pdata_btree_read(t, &v, ptr, span, &ro);
	if (r)
		return r;
	pdata_view_release(&v, &ro);
	r = pdata_tm_shadow(t->tm, ptr, PDATA_TYPE_BTREE, t->owner, b, &was_shared);
	if (r)
		return r;
	return was_shared ? btree_inc_content(t, b->data) : 0;
}

int pdata_btree_shadow_child(struct pdata_btree *t, struct pdata_rw *parent,
			     const struct pdata_btree_span *span, unsigned int i,
			     struct pdata_rw *child)
{
	struct pdata_btree_span s = node_child_span(parent->data, span, i);
	int r;

	r = pdata_btree_shadow(t, node_child(parent->data, i), &s, child);
	if (!r)
		node_set_child(parent->data, i, child->ptr);
	return r;
}

void pdata_btree_shift_right(struct pdata_btree_disk *left, struct pdata_btree_disk *right,
			     unsigned int from)
{
	unsigned int n = node_nr(left) - from, nr = node_nr(right);
	size_t size = node_value_size(left);

	memmove(node_key_at(right, n), node_key_at(right, 0), nr * sizeof(__le64));
	memmove(node_value_at(right, n), node_value_at(right, 0), nr * size);
	memcpy(node_key_at(right, 0), node_key_at(left, from), n * sizeof(__le64));
	memcpy(node_value_at(right, 0), node_value_at(left, from), n * size);
	node_set_nr(right, nr + n);
	node_set_nr(left, from);
}

void pdata_btree_shift_left(struct pdata_btree_disk *left, struct pdata_btree_disk *right,
			    unsigned int n)
{
	unsigned int nr = node_nr(left), rest = node_nr(right) - n;
	size_t size = node_value_size(left);

	memcpy(node_key_at(left, nr), node_key_at(right, 0), n * sizeof(__le64));
	memcpy(node_value_at(left, nr), node_value_at(right, 0), n * size);
	memmove(node_key_at(right, 0), node_key_at(right, n), rest * sizeof(__le64));
	memmove(node_value_at(right, 0), node_value_at(right, n), rest * size);
	node_set_nr(left, nr + n);
	node_set_nr(right, rest);
}

void pdata_btree_erase(struct pdata_btree_disk *d, unsigned int i)
{
	unsigned int nr = node_nr(d), rest = nr - i - 1;

	memmove(node_key_at(d, i), node_key_at(d, i + 1), rest * sizeof(__le64));
	memmove(node_value_at(d, i), node_value_at(d, i + 1),
		rest * (size_t)node_value_size(d));
	node_set_nr(d, nr - 1);
}

/* Room has been made before. */
static void node_add(struct pdata_btree_disk *d, unsigned int i, u64 key, const void *value)
{
	unsigned int nr = node_nr(d);
	size_t size = node_value_size(d);

	memmove(node_key_at(d, i + 1), node_key_at(d, i), (nr - i) * sizeof(__le64));
	memmove(node_value_at(d, i + 1), node_value_at(d, i), (nr - i) * size);
	node_set_key(d, i, key);
	memcpy(node_value_at(d, i), value, size);
	node_set_nr(d, nr + 1);
}

static int btree_new(struct pdata_btree *t, unsigned int level, struct pdata_rw *b)
{
	struct pdata_btree_disk *d;
	int r;

	r = pdata_tm_new(t->tm, PDATA_TYPE_BTREE, t->owner, b);
	if (r)
		return r;
	d = b->data;
	d->level = cpu_to_le16(level);
	d->value_size = cpu_to_le32(level ? sizeof(__le64) : t->value.size);
	return 0;
}

/* The leaf where @key belongs, and the key from which the next one begins. */
static int btree_find_leaf(const struct pdata_btree *t, const struct pdata_view *v, u64 root,
			   u64 key, struct pdata_ro *leaf, u64 *last)
{
	struct pdata_btree_span span = PDATA_BTREE_ROOT_SPAN;
	const struct pdata_btree_disk *d;
	unsigned int i;
	u64 ptr = root;
	int r;

	for (;;) {
		r = pdata_btree_read(t, v, ptr, &span, leaf);
		if (r)
			return r;
		d = leaf->data;
		if (!node_level(d))
			break;
		i = node_search(d, key);
		i -= i > 0;
		span = node_child_span(d, &span, i);
		ptr = node_child(d, i);
		pdata_view_release(v, leaf);
	}
	*last = span.last;
	return 0;
}

int pdata_btree_lookup(const struct pdata_btree *t, const struct pdata_view *v, u64 root,
		       u64 key, void *value)
{
	const struct pdata_btree_disk *d;
	struct pdata_ro leaf;
	unsigned int i;
	u64 last;
	int r;

	if (!root)
		return -PDATA_E_NOT_FOUND;
	r = btree_find_leaf(t, v, root, key, &leaf, &last);
	if (r)
		return r;
	d = leaf.data;
	i = node_search(d, key);
	if (!i || node_key(d, i - 1) != key)
		r = -PDATA_E_NOT_FOUND;
	else if (value)
		memcpy(value, node_value(d, i - 1), t->value.size);
	pdata_view_release(v, &leaf);
	return r;
}

/* Looks at one leaf; if that ends before @key, *@key becomes where the next one begins. */
static int btree_next_in_leaf(const struct pdata_btree *t, const struct pdata_view *v, u64 root,
			      u64 *key, void *value, bool *found)
{
	const struct pdata_btree_disk *d;
	struct pdata_ro leaf;
	unsigned int i;
	u64 last;
	int r;

	*found = false;
	r = btree_find_leaf(t, v, root, *key, &leaf, &last);
	if (r)
		return r;
	d = leaf.data;
	i = node_search(d, *key);
	if (i && node_key(d, i - 1) == *key)
		i--;
	if (i < node_nr(d)) {
		*found = true;
		*key = node_key(d, i);
		if (value)
			memcpy(value, node_value(d, i), t->value.size);
	} else if (last == ~0ull) {
		r = -PDATA_E_NOT_FOUND;
	} else {
		*key = last + 1;
	}
	pdata_view_release(v, &leaf);
	return r;
}

int pdata_btree_next(const struct pdata_btree *t, const struct pdata_view *v, u64 root, u64 key,
		     u64 *found, void *value)
{
	bool done = false;
	int r = root ? 0 : -PDATA_E_NOT_FOUND;

	while (!r && !done)
		r = btree_next_in_leaf(t, v, root, &key, value, &done);
	if (!r)
		*found = key;
	return r;
}

static int btree_insert_first(struct pdata_btree *t, u64 key, const void *value)
{
	struct pdata_rw b;
	int r;

	r = btree_new(t, 0, &b);
	if (r)
		return r;
	node_add(b.data, 0, key, value);
	t->root = b.ptr;
	return 0;
}

/* A root that has to be split gets a parent first. */
static int btree_grow(struct pdata_btree *t, struct pdata_rw *root)
{
	struct pdata_btree_disk *d = root->data;
	unsigned int level = node_level(d) + 1;
	__le64 child = cpu_to_le64(root->ptr);
	u64 key = node_key(d, 0);
	int r;

	if (level >= PDATA_BTREE_MAX_DEPTH)
		return -PDATA_E_LIMIT;
	r = btree_new(t, level, root);
	if (r)
		return r;
	node_add(root->data, 0, key, &child);
	t->root = root->ptr;
	return 0;
}

/* Split child @i, which is writable, of @parent, which has room. */
static int btree_split(struct pdata_btree *t, struct pdata_rw *parent, unsigned int i,
		       struct pdata_rw *child, u64 key)
{
	struct pdata_btree_disk *d = child->data;
	struct pdata_rw sibling;
	__le64 ptr;
	int r;

	r = btree_new(t, node_level(d), &sibling);
	if (r)
		return r;
	pdata_btree_shift_right(d, sibling.data, node_nr(d) - node_nr(d) / 2);
	ptr = cpu_to_le64(sibling.ptr);
	node_add(parent->data, i + 1, node_key(sibling.data, 0), &ptr);
	if (key >= node_key(sibling.data, 0))
		*child = sibling;
	return 0;
}

/* Add a key that is not there. */
static int btree_add(struct pdata_btree *t, u64 key, const void *value)
{
	struct pdata_btree_span span = PDATA_BTREE_ROOT_SPAN;
	struct pdata_btree_disk *d;
	struct pdata_rw node, child;
	unsigned int i;
	int r;

	r = pdata_btree_shadow(t, t->root, &span, &node);
	if (r)
		return r;
	t->root = node.ptr;
	if (node_nr(node.data) >= pdata_btree_max(t, node.data)) {
		r = btree_grow(t, &node);
		if (r)
			return r;
	}
	for (d = node.data; node_level(d); d = node.data) {
		i = node_search(d, key);
		if (i)
			i--;
		else
			node_set_key(d, 0, key);
		r = pdata_btree_shadow_child(t, &node, &span, i, &child);
		if (!r && node_nr(child.data) >= pdata_btree_max(t, child.data))
			r = btree_split(t, &node, i, &child, key);
		if (r)
			return r;
		span = node_child_span(d, &span, node_search(d, key) - 1);
		node = child;
	}
	node_add(d, node_search(d, key), key, value);
	return 0;
}

/* Replace the value of a key that is there. */
static int btree_replace(struct pdata_btree *t, u64 key, const void *value)
{
	struct pdata_btree_span span = PDATA_BTREE_ROOT_SPAN;
	struct pdata_btree_disk *d;
	struct pdata_rw node, child;
	unsigned int i;
	int r;

	r = pdata_btree_shadow(t, t->root, &span, &node);
	if (r)
		return r;
	t->root = node.ptr;
	for (d = node.data; node_level(d); d = node.data) {
		i = node_search(d, key) - 1;
		r = pdata_btree_shadow_child(t, &node, &span, i, &child);
		if (r)
			return r;
		span = node_child_span(d, &span, i);
		node = child;
	}
	i = node_search(d, key) - 1;
	if (t->value.dec) {
		r = t->value.dec(t->value.context, node_value(d, i));
		if (r) {
			t->tm->failed = true;
			return r;
		}
	}
	memcpy(node_value_at(d, i), value, t->value.size);
	return 0;
}

int pdata_btree_insert(struct pdata_btree *t, u64 key, const void *value)
{
	struct pdata_view v = { .tm = t->tm };
	int r;

	if (!t->root)
		return btree_insert_first(t, key, value);
	/* Replacing must not split. */
	r = pdata_btree_lookup(t, &v, t->root, key, NULL);
	if (r == -PDATA_E_NOT_FOUND)
		return btree_add(t, key, value);
	return r ? r : btree_replace(t, key, value);
}
