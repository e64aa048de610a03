// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a replay found, until it is in the tree.
 *
 * After a crash a thin's un-merged records, netted, lie sorted in an array, its
 * overlay. Nothing is entered into the range map: whoever fills a miss lays the
 * overlay over what the base tree says there. Entries made like that are clean;
 * they can be had again in the same way. The array is the thin's first merge,
 * prepared, and belongs to it; the overlay is a second pointer to it, which goes
 * when a durable tree holds all of it.
 *
 * While that merge is under way the base may hold a part of the changes. Laying
 * all of them over it gives the same.
 */
#include "dm-thin2-internal.h"

/* The first change that ends behind @unit, or nr_overlay. */
static unsigned int overlay_find(const struct thin2_dev *th, u64 unit)
{
	unsigned int lo = 0, hi = th->nr_overlay, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (pdata_range_end(&th->overlay[mid]) <= unit)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool thin2_overlay_apply(const struct thin2_dev *th, const struct pdata_range *base, u64 unit,
			 struct pdata_range *r)
{
	u64 begin = base->begin, end = pdata_range_end(base);
	unsigned int i;

	lockdep_assert_held(&th->lock);
	*r = *base;
	if (!th->overlay)
		return false;
	i = overlay_find(th, unit);
	if (i)
		begin = max(begin, pdata_range_end(&th->overlay[i - 1]));
	if (i < th->nr_overlay) {
		if (th->overlay[i].begin <= unit) {
			*r = th->overlay[i];
			return true;
		}
		end = min(end, th->overlay[i].begin);
	}
	pdata_range_clip(base, begin, end, r);
	return false;
}

void thin2_overlay_drop(struct thin2_dev *th)
{
	unsigned long flags;

	spin_lock_irqsave(&th->lock, flags);
	if (th->overlay) {
		th->overlay = NULL;
		th->nr_overlay = 0;
		/* Fills in flight have read a base that needs it. */
		th->version++;
	}
	spin_unlock_irqrestore(&th->lock, flags);
}
