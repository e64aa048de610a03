/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Plain copy-on-write btree: 64-bit keys, values of one fixed size a tree.
 * Trees nest through value callbacks: a value that refers to another tree
 * counts its references in inc() and dec().
 *
 * Complexity: all operations O(log n) blocks. All may sleep; those that change
 * a tree are called under the metadata lock. An empty tree is root 0.
 */
#ifndef PDATA_BTREE_H
#define PDATA_BTREE_H

#include "pdata-transaction.h"

#define PDATA_BTREE_MAX_DEPTH	16
#define PDATA_BTREE_MAX_VALUE	512

struct pdata_btree_value {
	u32 size;			/* bytes, 1 .. PDATA_BTREE_MAX_VALUE */
	/* A leaf was copied or freed: each value it holds is referenced once more or less. */
	int (*inc)(void *context, const void *value);
	int (*dec)(void *context, const void *value);
	void *context;
};

struct pdata_btree {
	struct pdata_tm *tm;
	u64 owner;			/* enum pdata_owner */
	struct pdata_btree_value value;	/* inc and dec may be NULL */
	u64 root;			/* block, 0 = empty */
};

/*
 * Exact match; @value may be NULL. @v chooses the version; @root is of that
 * version. -PDATA_E_NOT_FOUND.
 */
int __must_check pdata_btree_lookup(const struct pdata_btree *t, const struct pdata_view *v,
				    u64 root, u64 key, void *value);
/* Smallest key >= @key: fills *found and, if not NULL, value. -PDATA_E_NOT_FOUND past the last. */
int __must_check pdata_btree_next(const struct pdata_btree *t, const struct pdata_view *v,
				  u64 root, u64 key, u64 *found, void *value);
/*
 * The three that change a tree: t->root is always that of a whole tree, also
 * after an error. Unless the error set tm->failed, nothing but the operation's
 * own entry is missing and the transaction may go on.
 */

/* Insert or replace (a replaced value is dec()ed). Changes t->root. */
int __must_check pdata_btree_insert(struct pdata_btree *t, u64 key, const void *value);
/* -PDATA_E_NOT_FOUND if there is none; the removed value is dec()ed. Rebalances. */
int __must_check pdata_btree_remove(struct pdata_btree *t, u64 key);
/*
 * Drop a whole tree's reference (values dec()ed where nodes go away); t->root
 * becomes 0. What lies below a node that cannot be read is leaked until repair
 * and logged. Any other error sets tm->failed.
 */
int __must_check pdata_btree_del(struct pdata_btree *t);
/**
 * pdata_btree_del_step - do a part of that
 * @t: tree, not empty; value.dec is called for each value of a leaf that goes away
 *
 * Lets go of the first leaf, or of the first node above it that others have too.
 * What is left is a whole tree; at the end t->root is 0. Allocates a block for each
 * level at most. Sleeps.
 *
 * Return: 0; -PDATA_E_META_NOSPC or -ENOMEM, and nothing is lost; any other error
 * sets tm->failed.
 */
int __must_check pdata_btree_del_step(struct pdata_btree *t);

/**
 * pdata_btree_walk - visit all nodes and entries in key order
 * @t: tree
 * @v: version to read
 * @root: of that version
 * @node: called for each node before its content; may be NULL. Returning 1
 *	skips what is below, a negative code stops. A node that cannot be read
 *	is reported with @err set (its level is that of its place, -1 for a
 *	root); returning 0 goes on behind it. NULL: the error ends the walk.
 * @entry: called for each entry; may be NULL
 * @context: for both
 *
 * The callbacks are called without any block being held.
 *
 * Return: 0, -ENOMEM, or what stopped it.
 */
int __must_check pdata_btree_walk(const struct pdata_btree *t, const struct pdata_view *v,
				  u64 root,
				  int (*node)(void *context, u64 block, int level, int err),
				  int (*entry)(void *context, u64 key, const void *value),
				  void *context);

/* As a walk without @node, of the entries from key @from on. */
int __must_check pdata_btree_walk_from(const struct pdata_btree *t, const struct pdata_view *v,
				       u64 root, u64 from,
				       int (*entry)(void *context, u64 key, const void *value),
				       void *context);

#endif
