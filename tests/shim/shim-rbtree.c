// SPDX-License-Identifier: GPL-2.0-only
/*
 * Userspace twin: a treap. In key order by its links, a heap by the nodes'
 * priorities; the priority is a hash of the address, so that nothing needs to
 * be stored and the expected depth is logarithmic.
 */
#include "pdata-platform.h"

static u64 prio(const struct rb_node *n)
{
	u64 z = (u64)(unsigned long)n;

	z = (z ^ (z >> 33)) * 0xff51afd7ed558ccdull;
	z = (z ^ (z >> 33)) * 0xc4ceb9fe1a85ec53ull;
	return z ^ (z >> 33);
}

/* Make @n hang where @old does. */
static void replace_child(struct rb_node *old, struct rb_node *n, struct rb_root *root)
{
	struct rb_node *parent = rb_parent(old);

	if (!parent)
		root->rb_node = n;
	else if (parent->rb_left == old)
		parent->rb_left = n;
	else
		parent->rb_right = n;
	if (n)
		n->rb_parent_ptr = parent;
}

/* Swap @n, a child, with its parent, keeping the order of keys. */
static void rotate_up(struct rb_node *n, struct rb_root *root)
{
	struct rb_node *parent = rb_parent(n), *inner;

	replace_child(parent, n, root);
	if (parent->rb_left == n) {
		inner = n->rb_right;
		n->rb_right = parent;
		parent->rb_left = inner;
	} else {
		inner = n->rb_left;
		n->rb_left = parent;
		parent->rb_right = inner;
	}
	parent->rb_parent_ptr = n;
	if (inner)
		inner->rb_parent_ptr = parent;
}

void rb_insert_color(struct rb_node *n, struct rb_root *root)
{
	u64 p = prio(n);

	while (rb_parent(n) && prio(rb_parent(n)) < p)
		rotate_up(n, root);
}

void rb_erase(struct rb_node *n, struct rb_root *root)
{
	while (n->rb_left && n->rb_right)
		rotate_up(prio(n->rb_left) > prio(n->rb_right) ? n->rb_left : n->rb_right, root);
	replace_child(n, n->rb_left ? n->rb_left : n->rb_right, root);
}

/* The heap's order is not kept here: a bit of depth, never a wrong answer. */
void rb_replace_node(struct rb_node *old, struct rb_node *n, struct rb_root *root)
{
	*n = *old;
	replace_child(old, n, root);
	if (n->rb_left)
		n->rb_left->rb_parent_ptr = n;
	if (n->rb_right)
		n->rb_right->rb_parent_ptr = n;
}

struct rb_node *rb_first(const struct rb_root *root)
{
	struct rb_node *n = root->rb_node;

	while (n && n->rb_left)
		n = n->rb_left;
	return n;
}

struct rb_node *rb_last(const struct rb_root *root)
{
	struct rb_node *n = root->rb_node;

	while (n && n->rb_right)
		n = n->rb_right;
	return n;
}

struct rb_node *rb_next(const struct rb_node *n)
{
	const struct rb_node *parent;

	if (RB_EMPTY_NODE(n))
		return NULL;
	if (n->rb_right) {
		n = n->rb_right;
		while (n->rb_left)
			n = n->rb_left;
		return (struct rb_node *)n;
	}
	while ((parent = rb_parent(n)) && n == parent->rb_right)
		n = parent;
	return (struct rb_node *)parent;
}

struct rb_node *rb_prev(const struct rb_node *n)
{
	const struct rb_node *parent;

	if (RB_EMPTY_NODE(n))
		return NULL;
	if (n->rb_left) {
		n = n->rb_left;
		while (n->rb_right)
			n = n->rb_right;
		return (struct rb_node *)n;
	}
	while ((parent = rb_parent(n)) && n == parent->rb_left)
		n = parent;
	return (struct rb_node *)parent;
}

static struct rb_node *deepest_left(const struct rb_node *n)
{
	while (n->rb_left || n->rb_right)
		n = n->rb_left ? n->rb_left : n->rb_right;
	return (struct rb_node *)n;
}

struct rb_node *rb_first_postorder(const struct rb_root *root)
{
	return root->rb_node ? deepest_left(root->rb_node) : NULL;
}

struct rb_node *rb_next_postorder(const struct rb_node *n)
{
	const struct rb_node *parent;

	if (!n)
		return NULL;
	parent = rb_parent(n);
	if (parent && n == parent->rb_left && parent->rb_right)
		return deepest_left(parent->rb_right);
	return (struct rb_node *)parent;
}
