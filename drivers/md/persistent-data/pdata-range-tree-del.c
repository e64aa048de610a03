// SPDX-License-Identifier: GPL-2.0-only
/*
 * Range tree: deletion in bounded steps.
 *
 * Nothing but counts and the cursor changes, so that a crash between steps
 * goes on from whatever cursor was committed with the counts. Blocks below the
 * cursor are gone, but the nodes on the way to it still name them: nobody may
 * read a tree below its delete cursor.
 */
#include "pdata-range-tree-internal.h"

struct rt_del {
	struct pdata_rt *rt;
	struct pdata_view v;
	unsigned int depth;
	struct rt_at above[PDATA_RT_MAX_DEPTH];	/* internal nodes on the way, root first */
	struct rt_at at;	/* where the way ends */
	struct pdata_range *ranges;
	bool changed;		/* a failure fails the transaction */
};

static void leak(struct rt_del *d, int err)
{
	pdata_err_limit("%s: range tree of %llu: block %llu [%llu, %llu) stays until repair: %s",
			d->rt->tm->bm->name, d->rt->owner, pdata_ptr_block(d->at.ptr), d->at.lo,
			d->at.hi, pdata_error_text(err));
}

/* Drop our reference to a node; if its count is out of reach, leave it to repair. */
static int drop(struct rt_del *d, u64 ptr)
{
	u32 count;
	int r = pdata_tm_dec(d->rt->tm, ptr, &count);

	if (pdata_error_is_unreadable(r)) {
		leak(d, r);
		return 0;
	}
	if (!r)
		d->changed = true;
	return r;
}

static int drop_leaf(struct rt_del *d, unsigned int nr)
{
	unsigned int i;
	int r;

	for (i = 0; i < nr; i++) {
		d->changed = true;
		r = d->rt->ops->dec(d->rt, &d->ranges[i]);
		if (r)
			return r;
	}
	d->rt->leaves--;
	return drop(d, d->at.ptr);
}

/*
 * Go down towards the cursor and let go of the first node on the way that is
 * not ours alone, or of the leaf. A node that ends up in d->at is done with.
 */
static int drop_one(struct rt_del *d, u64 cursor)
{
	struct pdata_rt *rt = d->rt;
	struct rt_at child;
	struct pdata_ro b;
	unsigned int nr;
	u32 count;
	int r;

	for (d->at = rt_root_at(rt, rt->root); ; d->at = child) {
		r = pdata_sm_get(&rt->tm->sm, pdata_ptr_block(d->at.ptr), &count);
		if (!r && count > 1)
			return drop(d, d->at.ptr);
		if (!r && !count)
			r = -PDATA_E_COUNT;
		if (!r)
			r = pdata_rt_read(rt, &d->v, &d->at, &b);
		if (r)
			break;

		if (!d->at.level) {
			r = pdata_rt_decode(b.data, d->ranges, &nr);
			pdata_view_release(&d->v, &b);
			if (r)
				break;
			return drop_leaf(d, nr);
		}
		d->above[d->depth++] = d->at;
		pdata_rt_child(b.data, &d->at, pdata_rt_find(b.data, cursor), &child);
		pdata_view_release(&d->v, &b);
	}

	if (!pdata_error_is_unreadable(r))
		return r;
	leak(d, r);
	return 0;
}

static int del_step(struct rt_del *d, u64 *cursor)
{
	struct pdata_rt *rt = d->rt;
	u64 hi;
	int r;

	r = drop_one(d, *cursor);
	if (r)
		return r;

	hi = d->at.hi;
	while (d->depth && d->above[d->depth - 1].hi == hi) {
		d->at = d->above[--d->depth];
		r = drop(d, d->at.ptr);
		if (r)
			return r;
	}
	*cursor = hi;
	if (hi < rt->key_end)
		return 0;
	rt->root = 0;
	return 1;
}

int pdata_rt_del_step(struct pdata_rt *rt, u64 *cursor)
{
	struct rt_del *d;
	int r;

	if (rt->tm->failed)
		return -PDATA_E_FAILED;
	if (!rt->root || *cursor >= rt->key_end) {
		rt->root = 0;
		return 1;
	}

	d = kzalloc(sizeof(*d), GFP_NOIO);
	if (!d)
		return -ENOMEM;
	d->rt = rt;
	d->v.tm = rt->tm;
	d->ranges = kvmalloc_array(PDATA_LEAF_MAX_RECORDS, sizeof(*d->ranges), GFP_NOIO);
	r = d->ranges ? del_step(d, cursor) : -ENOMEM;
	if (r < 0 && d->changed)
		rt->tm->failed = true;
	kvfree(d->ranges);
	kfree(d);
	return r;
}
