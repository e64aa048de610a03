/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the range tree share among themselves. */
#ifndef PDATA_RANGE_TREE_INTERNAL_H
#define PDATA_RANGE_TREE_INTERNAL_H

#include "pdata-range-tree.h"

#define RT_ROOT_LEVEL	(-1)	/* level not known before the root is read */

/* A node as its parent describes it; the root's parent is struct pdata_rt. */
struct rt_at {
	u64 ptr;
	int level;		/* or RT_ROOT_LEVEL */
	u64 lo;
	u64 hi;
};

static inline struct rt_at rt_root_at(const struct pdata_rt *rt, u64 root)
{
	return (struct rt_at){ .ptr = root, .level = RT_ROOT_LEVEL, .hi = rt->key_end };
}

static inline const struct pdata_range_head *rt_head(const void *data)
{
	return data + sizeof(struct pdata_header);
}

static inline unsigned int rt_nr(const void *data)
{
	return le16_to_cpu(rt_head(data)->nr);
}

/**
 * pdata_rt_read - read a node and check that it is the one its parent means
 * @rt: tree
 * @v: version
 * @at: expected; the level of a root is filled in
 * @b: result, give back with pdata_view_release()
 *
 * Return: 0, -PDATA_E_OWNER, -PDATA_E_INTERVAL, -PDATA_E_CONTENT (level, codec)
 * or what pdata_view_read() says.
 */
int __must_check pdata_rt_read(const struct pdata_rt *rt, const struct pdata_view *v,
			       struct rt_at *at, struct pdata_ro *b);

/* Index of the child whose interval holds @key. */
unsigned int pdata_rt_find(const struct pdata_range_node_disk *node, u64 key);

/* What @node, which is @at, says of its child @index. */
void pdata_rt_child(const struct pdata_range_node_disk *node, const struct rt_at *at,
		    unsigned int index, struct rt_at *child);

/* Ranges of a leaf; @out has room for PDATA_LEAF_MAX_RECORDS. */
int __must_check pdata_rt_decode(const struct pdata_range_leaf_disk *leaf,
				 struct pdata_range *out, unsigned int *nr);

#endif
