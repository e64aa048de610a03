/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reading trees for tools that must go on where the core would give up.
 *
 * These walkers read blocks past any cache, run each type's checker and then
 * compare a node with what its parent says of it, and hand every finding to
 * the caller instead of stopping. They share the checkers and codecs with the
 * core, but not its tree code: a second opinion.
 */
#ifndef THIN2_TOOLS_WALK_H
#define THIN2_TOOLS_WALK_H

#include "pdata-io.h"
#include "pdata-range-codec.h"
#include "pdata-validate.h"

#define WALK_MAX_LEVEL	15
#define WALK_ROOT	(-1)	/* level of a root that has not been read */

/*
 * A node as its parent describes it; block and tag are the pointer's. Btree:
 * keys in [lo, hi - 1], hi 0 = 2^64.
 */
struct walk_at {
	u64 block;
	u16 tag;
	int level;
	u64 lo;
	u64 hi;
};

/* Why a node is not usable. */
struct walk_bad {
	int err;
	const char *what;
	bool has_values;
	u64 expected;
	u64 found;
};

struct walk {
	struct pdata_io *io;
	const u8 *uuid;
	u64 nr_blocks;
	u64 max_generation;
	u64 owner;		/* a fixed one, or 0: any thin's */
	u64 next_uid;		/* owners of thins are below it */
	u64 begin;		/* range trees: leave out what ends before */
	u32 value_size;		/* btrees */
	const char *kind;	/* of tree, for messages of the caller */

	/*
	 * About to read a node (@at->level is WALK_ROOT for a root).
	 * Return 1 to leave it and what is below out, 0, or an error to stop.
	 */
	int (*enter)(struct walk *w, const struct walk_at *at);
	/* It was read and is well formed. */
	int (*node)(struct walk *w, const struct walk_at *at, const struct pdata_header *h);
	/* It cannot be used; what is below is left out. */
	int (*bad)(struct walk *w, const struct walk_at *at, const struct walk_bad *bad);
	/* Content of leaves, one or the other. */
	int (*range)(struct walk *w, const struct walk_at *at, const struct pdata_range *r);
	int (*entry)(struct walk *w, const struct walk_at *at, u64 key, const void *value);
	/* Done with what node() announced; may be NULL, as all but bad() may. */
	int (*leave)(struct walk *w, const struct walk_at *at);

	void *buf[WALK_MAX_LEVEL + 1];	/* by level; made on first use */
	struct pdata_range *ranges;
};

/* Callbacks and facts are set, the rest is zero. Both return 0 or what stopped them. */
int walk_range_tree(struct walk *w, u64 root);
int walk_btree(struct walk *w, u64 root);
void walk_exit(struct walk *w);

/*
 * Single steps, for those who walk in another order. The node at @at is read into
 * @data and checked; a root's level is filled in. Return 1 if bad() was told and
 * took it well, 0, or what it returned.
 */
void walk_root(struct walk_at *at, u64 root);	/* the rest of @at is set */
int walk_range_node(struct walk *w, struct walk_at *at, void *data);
unsigned int walk_range_children(const void *data);
/* What the node @data, which is @at, says of its child @i. */
void walk_range_child(const void *data, const struct walk_at *at, unsigned int i,
		      struct walk_at *child);
/* Ranges of a leaf; @ranges has room for PDATA_LEAF_MAX_RECORDS. */
int walk_range_leaf(struct walk *w, const struct walk_at *at, const void *data,
		    struct pdata_range *ranges, unsigned int *nr);

#endif
