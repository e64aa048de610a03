/* SPDX-License-Identifier: GPL-2.0-only */
/* Inside the plain btree: access to one node, checked reads and shadows. */
#ifndef PDATA_BTREE_NODE_H
#define PDATA_BTREE_NODE_H

#include "pdata-btree.h"

#define PDATA_BTREE_ANY_LEVEL	(-1)

/* What its parent says about a node. */
struct pdata_btree_span {
	int level;		/* or PDATA_BTREE_ANY_LEVEL for a root */
	u64 lo;			/* its keys lie in [lo, last] */
	u64 last;
};

#define PDATA_BTREE_ROOT_SPAN \
	((struct pdata_btree_span){ .level = PDATA_BTREE_ANY_LEVEL, .last = ~0ull })

static inline unsigned int node_level(const struct pdata_btree_disk *d)
{
	return le16_to_cpu(d->level);
}

static inline unsigned int node_nr(const struct pdata_btree_disk *d)
{
	return le16_to_cpu(d->nr);
}

static inline void node_set_nr(struct pdata_btree_disk *d, unsigned int nr)
{
	d->nr = cpu_to_le16(nr);
}

static inline u32 node_value_size(const struct pdata_btree_disk *d)
{
	return le32_to_cpu(d->value_size);
}

/* Entries that a node has room for; the values lie behind as many keys. */
static inline unsigned int node_room(u32 value_size)
{
	return sizeof_field(struct pdata_btree_disk, data) / (sizeof(__le64) + value_size);
}

static inline __le64 *node_key_at(struct pdata_btree_disk *d, unsigned int i)
{
	return (__le64 *)d->data + i;
}

static inline u64 node_key(const struct pdata_btree_disk *d, unsigned int i)
{
	return le64_to_cpu(*((const __le64 *)d->data + i));
}

static inline void node_set_key(struct pdata_btree_disk *d, unsigned int i, u64 key)
{
	*node_key_at(d, i) = cpu_to_le64(key);
}

static inline size_t node_value_offset(const struct pdata_btree_disk *d, unsigned int i)
{
	u32 size = node_value_size(d);

	return node_room(size) * sizeof(__le64) + (size_t)i * size;
}

static inline const void *node_value(const struct pdata_btree_disk *d, unsigned int i)
{
	return d->data + node_value_offset(d, i);
}

static inline void *node_value_at(struct pdata_btree_disk *d, unsigned int i)
{
	return d->data + node_value_offset(d, i);
}

static inline u64 node_child(const struct pdata_btree_disk *d, unsigned int i)
{
	return le64_to_cpu(*(const __le64 *)node_value(d, i));
}

static inline void node_set_child(struct pdata_btree_disk *d, unsigned int i, u64 ptr)
{
	*(__le64 *)node_value_at(d, i) = cpu_to_le64(ptr);
}

/* Number of leading entries whose key is <= @key. */
static inline unsigned int node_search(const struct pdata_btree_disk *d, u64 key)
{
	unsigned int low = 0, high = node_nr(d);

	while (low < high) {
		unsigned int mid = low + (high - low) / 2;

		if (node_key(d, mid) <= key)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* What node @d, whose own span is @span, says about its child @i. */
static inline struct pdata_btree_span node_child_span(const struct pdata_btree_disk *d,
						      const struct pdata_btree_span *span,
						      unsigned int i)
{
	struct pdata_btree_span child = {
		.level = (int)node_level(d) - 1,
		.lo = node_key(d, i),
		.last = i + 1 < node_nr(d) ? node_key(d, i + 1) - 1 : span->last,
	};

	return child;
}

/* Most entries that a node of this tree may hold; at least 4, so that a half has two. */
unsigned int pdata_btree_max(const struct pdata_btree *t, const struct pdata_btree_disk *d);

/* Read the node @ptr points to and hold it against what its parent says. */
int __must_check pdata_btree_read(const struct pdata_btree *t, const struct pdata_view *v,
				  u64 ptr, const struct pdata_btree_span *span,
				  struct pdata_ro *b);

/*
 * Make a node writable. The caller stores b->ptr where @ptr was. If the
 * node was shared, all it points to is counted once more. On failure nothing
 * has changed, or the transaction has failed.
 */
int __must_check pdata_btree_shadow(struct pdata_btree *t, u64 ptr,
				    const struct pdata_btree_span *span, struct pdata_rw *b);

/* The same for child @i of a writable node. */
int __must_check pdata_btree_shadow_child(struct pdata_btree *t, struct pdata_rw *parent,
					  const struct pdata_btree_span *span, unsigned int i,
					  struct pdata_rw *child);

/* Move entries [@from, end) of @left before the first one of @right. */
void pdata_btree_shift_right(struct pdata_btree_disk *left, struct pdata_btree_disk *right,
			     unsigned int from);
/* Move the first @n entries of @right behind the last one of @left. */
void pdata_btree_shift_left(struct pdata_btree_disk *left, struct pdata_btree_disk *right,
			    unsigned int n);
void pdata_btree_erase(struct pdata_btree_disk *d, unsigned int i);
/* Drop a node of our own whose content has gone elsewhere. Any error fails the transaction. */
int __must_check pdata_btree_drop(struct pdata_btree *t, u64 ptr);

#endif
