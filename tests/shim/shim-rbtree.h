/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Userspace twin: ordered trees behind the kernel's rbtree names.
 *
 * Not a red-black tree: a treap, whose shape follows from a hash of each
 * node's address. It needs a third of the code and callers cannot tell.
 */
#ifndef PDATA_SHIM_RBTREE_H
#define PDATA_SHIM_RBTREE_H

struct rb_node {
	struct rb_node *rb_parent_ptr;	/* itself: not in a tree */
	struct rb_node *rb_right;
	struct rb_node *rb_left;
};

struct rb_root {
	struct rb_node *rb_node;
};

struct rb_root_cached {
	struct rb_root rb_root;
	struct rb_node *rb_leftmost;
};

#define RB_ROOT			(struct rb_root){ NULL }
#define RB_ROOT_CACHED		(struct rb_root_cached){ { NULL }, NULL }
#define rb_parent(n)		((n)->rb_parent_ptr)
#define rb_entry(p, type, member)	container_of(p, type, member)
#define rb_entry_safe(p, type, member) ({				\
	typeof(p) __rp = (p);						\
	__rp ? rb_entry(__rp, type, member) : NULL;			\
})
#define RB_EMPTY_ROOT(root)	(!READ_ONCE((root)->rb_node))
#define RB_EMPTY_NODE(n)	((n)->rb_parent_ptr == (n))
#define RB_CLEAR_NODE(n)	((n)->rb_parent_ptr = (n))

void rb_insert_color(struct rb_node *n, struct rb_root *root);
void rb_erase(struct rb_node *n, struct rb_root *root);
void rb_replace_node(struct rb_node *old, struct rb_node *n, struct rb_root *root);
struct rb_node *rb_first(const struct rb_root *root);
struct rb_node *rb_last(const struct rb_root *root);
struct rb_node *rb_next(const struct rb_node *n);
struct rb_node *rb_prev(const struct rb_node *n);
struct rb_node *rb_first_postorder(const struct rb_root *root);
struct rb_node *rb_next_postorder(const struct rb_node *n);

static inline void rb_link_node(struct rb_node *n, struct rb_node *parent,
				struct rb_node **link)
{
	n->rb_parent_ptr = parent;
	n->rb_left = n->rb_right = NULL;
	*link = n;
}

#define rb_first_cached(root)	((root)->rb_leftmost)

static inline void rb_insert_color_cached(struct rb_node *n, struct rb_root_cached *root,
					  bool leftmost)
{
	if (leftmost)
		root->rb_leftmost = n;
	rb_insert_color(n, &root->rb_root);
}

static inline struct rb_node *rb_erase_cached(struct rb_node *n, struct rb_root_cached *root)
{
	struct rb_node *next = NULL;

	if (root->rb_leftmost == n)
		next = root->rb_leftmost = rb_next(n);
	rb_erase(n, &root->rb_root);
	return next;
}

static inline void rb_add(struct rb_node *n, struct rb_root *root,
			  bool (*less)(struct rb_node *a, const struct rb_node *b))
{
	struct rb_node **link = &root->rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = less(n, parent) ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(n, parent, link);
	rb_insert_color(n, root);
}

static inline struct rb_node *rb_find(const void *key, const struct rb_root *root,
				      int (*cmp)(const void *key, const struct rb_node *n))
{
	struct rb_node *n = root->rb_node;

	while (n) {
		int c = cmp(key, n);

		if (!c)
			break;
		n = c < 0 ? n->rb_left : n->rb_right;
	}
	return n;
}

#define rbtree_postorder_for_each_entry_safe(pos, n, root, field)	\
	for ((pos) = rb_entry_safe(rb_first_postorder(root), typeof(*(pos)), field); \
	     (pos) && ({ (n) = rb_entry_safe(rb_next_postorder(&(pos)->field), \
					     typeof(*(pos)), field); 1; }); \
	     (pos) = (n))

#endif
