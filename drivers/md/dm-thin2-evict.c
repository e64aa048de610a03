// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bounded memory: range maps forget clean entries, which are read again from
 * the trees when they are needed.
 *
 * Each thin has a hand that goes round its map. While memory is short lookups
 * mark the region they are in, and the hand passes a marked region once,
 * clearing the mark, so what is in use stays. A value has no bit to spare and a
 * reader must not write to the tree, hence regions and not entries.
 *
 * The only locks are md->cache_lock, whose holders never allocate (but in
 * pdata_rm_erase(), which does not wait for memory), and th->lock for a bounded
 * number of entries at a time. So this may run while memory is being reclaimed
 * on behalf of whoever holds any of the other locks.
 */
#include "dm-thin2-internal.h"

/* Entries and gaps looked at under one hold of a thin's lock. */
#define EVICT_STEP		256u
/* Units of a region: 1 MiB. */
#define REGION_SHIFT		8
/* So many regions of a long entry are looked at. */
#define MAX_REGIONS		16u

void thin2_dev_mark_used(struct thin2_dev *th, u64 unit)
{
	unsigned int bit = (unit >> REGION_SHIFT) % THIN2_USED_BITS;

	/* Mostly set already: the line stays shared among the readers. */
	if (!test_bit(bit, th->used))
		set_bit(bit, th->used);
}

void thin2_cache_add(struct thin2_dev *th)
{
	mutex_lock(&th->md->cache_lock);
	list_add_tail(&th->cache_list, &th->md->cached);
	mutex_unlock(&th->md->cache_lock);
}

void thin2_cache_del(struct thin2_dev *th)
{
	mutex_lock(&th->md->cache_lock);
	list_del(&th->cache_list);
	mutex_unlock(&th->md->cache_lock);
}

u64 thin2_cached_ranges(struct thin2_md *md)
{
	struct thin2_dev *th;
	u64 nr = 0;

	mutex_lock(&md->cache_lock);
	list_for_each_entry(th, &md->cached, cache_list)
		nr += pdata_rm_count(th->rm);
	mutex_unlock(&md->cache_lock);
	return nr;
}

/* The hand of one thin, and the run of entries behind it that is to go. */
struct hand {
	struct thin2_dev *th;
	u64 pos;
	u64 stop;		/* how far it may go */
	u64 run;		/* [run, pos) holds clean entries and gaps only, */
	u64 nr_run;		/* so many of them entries */
	u64 gone;
	u64 region;		/* looked at last, */
	bool region_used;	/* and its mark was set */
};

/* Forget the run, in one store: that gives nodes back, entries one by one do not. */
static void drop_run(struct hand *h)
{
	if (h->nr_run && !pdata_rm_erase(h->th->rm, h->run, h->pos)) {
		h->th->version++;
		h->gone += h->nr_run;
	}
	h->nr_run = 0;
}

/* Is any region of the entry [begin, end) in use? Clears the marks. */
static bool is_used(struct hand *h, u64 begin, u64 end)
{
	u64 region = begin >> REGION_SHIFT, last = (end - 1) >> REGION_SHIFT;
	bool used = false;

	for (last = min(last, region + MAX_REGIONS); region <= last; region++) {
		if (region != h->region) {
			h->region = region;
			h->region_used = test_and_clear_bit(region % THIN2_USED_BITS, h->th->used);
		}
		used |= h->region_used;
	}
	return used;
}

/* Some steps of the hand. Under th->lock. */
static void step_locked(struct hand *h, u64 nr, bool spare)
{
	u64 begin, end, value;
	unsigned int n;

	h->run = h->pos;
	h->nr_run = 0;
	for (n = 0; n < EVICT_STEP && h->pos < h->stop; n++) {
		if (!pdata_rm_entry(h->th->rm, h->pos, &begin, &end, &value)) {
			h->pos = min(end, h->stop);
			continue;
		}
		if (pdata_rm_dirty(value) || pdata_rm_state(value) == PDATA_RM_PENDING ||
		    (spare && is_used(h, begin, end))) {
			drop_run(h);
			h->pos = end;
			h->run = end;
			continue;
		}
		/* The hand may stand inside of it. */
		h->run = min(h->run, begin);
		h->nr_run++;
		h->pos = end;
		if (h->gone + h->nr_run >= nr)
			break;
	}
	drop_run(h);
}

/* Forget about @nr entries of one thin. @spare: not those of regions in use. */
static u64 evict_thin(struct thin2_dev *th, u64 nr, bool spare)
{
	u64 start = th->evict_hand;
	struct hand h = { .th = th, .pos = start, .stop = PDATA_MAX_UNITS, .region = ~0ull };
	/* Once round at most, and not far where little is to be had. */
	u64 left = min(pdata_rm_count(th->rm), 8 * nr) * 2 / EVICT_STEP + 2;
	unsigned long flags;

	WRITE_ONCE(th->aging, true);
	while (left-- && h.gone < nr) {
		if (h.pos >= h.stop) {
			if (h.stop == start)
				break;
			h.pos = 0;
			h.stop = start;
		}
		spin_lock_irqsave(&th->lock, flags);
		step_locked(&h, nr, spare);
		spin_unlock_irqrestore(&th->lock, flags);
		cond_resched();
	}
	th->evict_hand = h.pos < PDATA_MAX_UNITS ? h.pos : 0;
	return h.gone;
}

static u64 evict_round(struct thin2_md *md, u64 nr, bool spare)
{
	u64 total = 0, gone = 0, count;
	struct thin2_dev *th;

	list_for_each_entry(th, &md->cached, cache_list)
		total += pdata_rm_count(th->rm);
	if (!total)
		return 0;
	nr = min3(nr, total, (u64)THIN2_EVICT_MAX);
	list_for_each_entry(th, &md->cached, cache_list) {
		count = pdata_rm_count(th->rm);
		/* Its share, rounded up. */
		if (count)
			gone += evict_thin(th, (count * nr + total - 1) / total, spare);
	}
	return gone;
}

u64 thin2_evict(struct thin2_md *md, u64 nr, enum thin2_evict_how how)
{
	u64 gone;

	if (how != THIN2_EVICT_RECLAIM)
		mutex_lock(&md->cache_lock);
	else if (!mutex_trylock(&md->cache_lock))
		return 0;
	gone = evict_round(md, nr, how != THIN2_EVICT_ALL);
	mutex_unlock(&md->cache_lock);
	atomic64_add(gone, &md->nr_evicted);
	return gone;
}
