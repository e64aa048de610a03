/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copy-on-write btree of disjoint ranges, with leaves behind a codec.
 *
 * Every node covers an interval [lo, hi) and children tile it, holes included,
 * so that repair can rebuild the tree from its leaves alone. Changes come in
 * sorted batches and are applied leaf by leaf, in steps of bounded cost.
 *
 * Changes are made under the metadata lock; reads on a committed view need no
 * lock but a pin. Everything may sleep. Root 0 is an empty tree.
 */
#ifndef PDATA_RANGE_TREE_H
#define PDATA_RANGE_TREE_H

#include "pdata-range-codec.h"
#include "pdata-transaction.h"

#define PDATA_RT_MAX_DEPTH	12

struct pdata_rt;

/* Output of an apply(): what the leaf (interval) holds from now on. */
struct pdata_rt_out {
	struct pdata_range *r;
	unsigned int nr;
	unsigned int max;
};

/*
 * Append, joining with the last one if possible. Ranges come in key order and
 * do not overlap (-PDATA_E_CONTENT); one longer than PDATA_REC_MAX_LEN takes
 * several records. -PDATA_E_LIMIT if there is no room.
 */
int __must_check pdata_rt_emit(struct pdata_rt_out *out, const struct pdata_range *r);

struct pdata_rt_ops {
	u16 codec;		/* new leaves are written with it */
	/*
	 * Whatever a change covers becomes at most one range. Otherwise it may
	 * become as many as there were, and one more for each hole.
	 */
	bool overwrites;

	/*
	 * Combine a leaf's ranges with changes (both sorted, disjoint in
	 * themselves, changes clipped to the leaf) and emit the result. Called
	 * exactly once for each change. What a change's kind and tag mean is
	 * the implementation's matter. A failure fails the transaction. @out
	 * has room for nr_old + 2 * nr_change + 2 records at least, if not
	 * @overwrites for 2 * nr_old + 3 * nr_change + 2.
	 */
	int (*apply)(struct pdata_rt *rt, const struct pdata_range *old, unsigned int nr_old,
		     const struct pdata_range *change, unsigned int nr_change,
		     struct pdata_rt_out *out);
	/* A leaf was copied because others share it: one more reference on @r's data. */
	int (*inc)(struct pdata_rt *rt, const struct pdata_range *r);
	/* A leaf goes away with its tree: one reference less. */
	int (*dec)(struct pdata_rt *rt, const struct pdata_range *r);
	/*
	 * The leaf of [lo, hi) cannot be read (@err: damage or -EIO). Emit what
	 * is to stand in its place before the changes are applied to it: at
	 * most as many records as a leaf holds, so clip to what can be in use.
	 * The same is asked for an unreadable internal node: what lies below it
	 * is out of reach and stays counted until repair. NULL: the error is
	 * returned to the caller.
	 */
	int (*unreadable)(struct pdata_rt *rt, u64 lo, u64 hi, int err,
			  struct pdata_rt_out *out);
};

struct pdata_rt {
	struct pdata_tm *tm;
	const struct pdata_rt_ops *ops;
	u64 owner;		/* uid, or PDATA_OWNER_DATA_SM */
	u64 key_end;		/* the root's interval is [0, key_end) */
	u64 root;		/* of the transaction being built */
	u64 seq;		/* stamped into h.seq of leaves written */
	s64 leaves;		/* changed by the number of leaves this tree gets or loses */
	u64 leaf_sum;		/* changed by the marks of leaves an update adds or replaces */
	bool sum_lost;		/* set if it replaced some whose marks are not known */
	unsigned int levels;	/* internal ones that the last update went down */
	void *context;		/* the callbacks' */
};

/* What a lookup learned about sharing on its way. */
struct pdata_rt_path {
	unsigned int nr;
	u64 block[PDATA_RT_MAX_DEPTH];	/* root first, leaf last */
};

/**
 * pdata_rt_lookup - the range that holds @key
 * @rt: tree (its root field is not used)
 * @v: version to read
 * @root: of that version
 * @key: any below key_end
 * @r: the range; with -PDATA_E_NOT_FOUND the hole (begin, len), which may end
 *	at the leaf's border although it goes on
 * @path: if not NULL, the blocks visited
 *
 * Return: 0, -PDATA_E_NOT_FOUND, or a read error: then r->begin and r->len are
 * the interval that cannot be read, and r->value is the block.
 */
int __must_check pdata_rt_lookup(const struct pdata_rt *rt, const struct pdata_view *v,
				 u64 root, u64 key, struct pdata_range *r,
				 struct pdata_rt_path *path);

/**
 * pdata_rt_window - the range that holds @key and its neighbours in the leaf
 * @rt: tree (its root field is not used)
 * @v: version to read
 * @root: of that version
 * @key: any below key_end
 * @out: ranges and holes (kind 0, only begin and len mean something) in key
 *	order, each beginning where the last one ends. A hole that ends at the
 *	leaf's border may go on.
 * @max: room in @out, at least 1; half of it at most goes to what is below @key
 * @nr: how many there are
 *
 * Reads what a lookup reads, allocates nothing.
 *
 * Return: 0 or a read error: then out[0] is the interval that cannot be read, as
 * with pdata_rt_lookup().
 */
int __must_check pdata_rt_window(const struct pdata_rt *rt, const struct pdata_view *v,
				 u64 root, u64 key, struct pdata_range *out,
				 unsigned int max, unsigned int *nr);

/**
 * pdata_rt_update - apply leading changes to the one leaf they fall in
 * @rt: tree; rt->root changes
 * @change: sorted, disjoint, below key_end; written to while this runs
 * @nr: how many
 * @max: at most so many are taken in this step
 * @from: what of change[0] lies below was applied before; afterwards the same of
 *	change[*done], which may reach past the leaf. 0 to begin with
 * @done: how many were consumed whole
 *
 * Cost: one leaf and its path are shadowed; the leaf may split (a bounded
 * number of new leaves, W in the design document) or be joined with a
 * neighbour. pdata_rt_update_blocks() gives the bound.
 *
 * Return: 0, or an error, then tm->failed is set unless nothing was changed
 * (-PDATA_E_META_NOSPC and -ENOMEM before the first change).
 */
int __must_check pdata_rt_update(struct pdata_rt *rt, struct pdata_range *change,
				 unsigned int nr, unsigned int max, u64 *from,
				 unsigned int *done);

/*
 * Most blocks one pdata_rt_update() with @max changes can allocate. Holds for
 * any tree of this transaction's device, whatever its root.
 */
u64 pdata_rt_update_blocks(const struct pdata_rt *rt, unsigned int max);

/**
 * pdata_rt_del_step - free a part of a tree that nobody uses any more
 * @rt: tree; rt->root becomes 0 at the end
 * @cursor: key below which all is freed; advanced. Start with 0, persist it
 *	with the checkpoint.
 *
 * Frees one leaf, or drops one reference on a shared subtree, and every
 * internal node whose interval ends at the new cursor. Allocates no metadata.
 * Unreadable nodes are skipped (leaked until repair) and logged. As the count
 * changes, tm->failed is set unless an error left everything as it was.
 *
 * Return: 0, 1 when the tree is gone, or an error.
 */
int __must_check pdata_rt_del_step(struct pdata_rt *rt, u64 *cursor);

/**
 * pdata_rt_walk - visit ranges in key order
 * @rt: tree (its root field is not used)
 * @v: version
 * @root: of that version
 * @begin: first key wanted
 * @end: one past the last
 * @node: called for each node on the way before its content: pointer, head, err.
 *	May be NULL. Return 1 to skip the subtree. With @err set the node could
 *	not be read, and lo and hi are its interval; return 0 to go on behind it.
 *	(An unreadable root is reported as level 0.)
 * @range: called for each range that intersects [begin, end), not clipped
 * @context: for both
 *
 * Return: 0 or the first non-zero value a callback returned (or read error,
 * if @node is NULL).
 */
int __must_check pdata_rt_walk(const struct pdata_rt *rt, const struct pdata_view *v, u64 root,
			       u64 begin, u64 end,
			       int (*node)(void *context, u64 ptr, unsigned int level,
					   u64 lo, u64 hi, int err),
			       int (*range)(void *context, const struct pdata_range *r),
			       void *context);

#endif
