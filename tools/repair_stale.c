// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_repair: older versions.
 *
 * A node whose write was lost leaves the one that was in its place before, whole as
 * it may be. Pointers to it have another tag. It is taken out of the index.
 */
#include "repair.h"

#define NO_POOL		255

void rp_demote(struct repair *r, struct rp_block *b)
{
	r->at[b->block] = ~(u32)RP_STALE;
	b->pool = NO_POOL;
	r->nr_stale++;
}

void rp_restore(struct repair *r)
{
	struct rp_block *b = r->index.v, *end = b + r->index.nr;

	for (; b < end; b++) {
		if (b->pool != NO_POOL)
			continue;
		b->pool = r->pool;
		r->at[b->block] = rp_index(r, b);
	}
	r->nr_stale = 0;
}

/*
 * Does a node's content show that it is not the current one? Whatever is below a
 * node was written with it or before; and a node that is in use points to
 * nothing that is free.
 */
bool rp_is_stale(const struct repair *r, const struct rp_block *b,
		 const struct pdata_range_node_disk *d)
{
	const struct rp_block *c;
	struct rp_at at;
	unsigned int i;
	u32 count;

	for (i = 0; i < le16_to_cpu(d->r.nr); i++) {
		rp_child(b, d, i, &at);
		if (at.hi <= b->cut)
			continue;
		c = rp_find(r, at.block);
		if (c && (c->type == RP_NODE || c->type == RP_LEAF) &&
		    c->generation > b->generation && c->generation <= r->generation)
			return true;
		if (!r->counts_doubt && rp_count(r, at.block, &count) && !count)
			return true;
	}
	return false;
}
