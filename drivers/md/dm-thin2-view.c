// SPDX-License-Identifier: GPL-2.0-only
/* Views of the metadata: status figures, and walks for tools and tests. */
#include "dm-thin2-internal.h"

void thin2_pool_status(struct thin2_md *md, struct thin2_pool_status *s)
{
	u64 free, quarantined;

	memset(s, 0, sizeof(*s));
	thin2_lock(md);
	free = pdata_alloc_free(&md->alloc);
	quarantined = atomic64_read(&md->alloc.quarantined);
	s->transaction_id = md->sb.transaction_id;
	s->meta_used = md->tm.sm.used;
	s->meta_total = md->tm.sm.total;
	s->meta_kept = min(thin2_kept_blocks(md), s->meta_total - s->meta_used);
	s->data_total = md->sb.data_units;
	/* The two figures are not read at one instant. */
	s->data_used = s->data_total - min(s->data_total, free + quarantined);
	s->quarantined = quarantined;
	s->needs_check = md->sb.flags & PDATA_SB_NEEDS_CHECK;
	s->held = thin2_held_checkpoint(md, &s->held_root);
	s->generation = md->sb.generation;
	s->nr_deleting = md->nr_deleting;
	thin2_unlock(md);

	s->nr_dirty = atomic64_read(&md->nr_dirty);
	s->max_dirty = min(READ_ONCE(md->max_dirty), thin2_admit(md));
	s->journal_fill = pdata_journal_fill(&md->journal);
	s->journal_last = pdata_journal_last(&md->journal);
	s->journal_durable = pdata_journal_durable(&md->journal);
	s->checkpoints = atomic64_read(&md->nr_checkpoints);
	s->merged = atomic64_read(&md->nr_merged);
	s->flushes = atomic64_read(&md->nr_flushes);
	s->ranges = thin2_cached_ranges(md);
	s->groups = READ_ONCE(md->alloc.nr_groups);
	s->group_maps = READ_ONCE(md->alloc.nr_maps);
	s->fills = atomic64_read(&md->nr_fills);
	s->filled = atomic64_read(&md->nr_filled);
	s->evicted = atomic64_read(&md->nr_evicted);
}

/* One past the highest unit that a tree maps, 0 if none: a lookup for each leaf from the right. */
static int tree_high(struct thin2_md *md, const struct thin2_details *d, u64 *high)
{
	struct pdata_view view = { .tm = &md->tm };
	u64 key = PDATA_MAX_UNITS;
	struct pdata_range range;
	struct pdata_rt rt;
	int r;

	*high = 0;
	if (!d->root)
		return 0;
	thin2_rt_init_details(md, d, &rt);
	while (key) {
		r = pdata_rt_lookup(&rt, &view, d->root, key - 1, &range, NULL);
		if (!r && range.kind == PDATA_RANGE_MAPPED) {
			*high = pdata_range_end(&range);
			return 0;
		}
		/* What cannot be read, holding or not, is passed over as lost. */
		if (r && r != -PDATA_E_NOT_FOUND && !pdata_error_is_unreadable(r))
			return r;
		key = range.begin;
	}
	return 0;
}

int thin2_dev_status(struct thin2_dev *th, struct thin2_dev_status *s)
{
	struct thin2_md *md = th->md;
	unsigned long flags;
	s64 mapped;
	u64 high;
	int r;

	thin2_lock(md);
	r = tree_high(md, &th->details, &high);
	spin_lock_irqsave(&th->lock, flags);
	mapped = th->details.mapped_units + th->active.mapped;
	high = max(high, th->active.high);
	if (!th->merge.done) {
		mapped += th->frozen.mapped;
		high = max(high, th->frozen.high);
	}
	spin_unlock_irqrestore(&th->lock, flags);
	thin2_unlock(md);
	if (r)
		return r;
	s->mapped_units = max_t(s64, mapped, 0);
	s->any = s->mapped_units && high;
	s->highest = high ? high - 1 : 0;
	return 0;
}

struct details_walk {
	int (*fn)(void *context, const struct thin2_details *d);
	void *context;
};

static int visit_details(void *context, u64 key, const void *value)
{
	struct details_walk *walk = context;
	struct thin2_details d;

	thin2_details_unpack(value, &d);
	if (d.flags & PDATA_THIN_TOMBSTONE)
		return 0;
	return walk->fn(walk->context, &d);
}

int thin2_for_each_details(struct thin2_md *md, bool deleting,
			   int (*fn)(void *context, const struct thin2_details *d),
			   void *context)
{
	struct details_walk walk = { .fn = fn, .context = context };
	struct pdata_view view = { .tm = &md->tm };
	int r;

	thin2_lock(md);
	if (deleting)
		r = pdata_btree_walk(&md->deleting, &view, md->deleting.root, NULL,
				     visit_details, &walk);
	else
		r = thin2_details_walk(md, visit_details, &walk);
	thin2_unlock(md);
	return r;
}

/* Base ranges with sorted changes laid over them. */
struct overlay {
	const struct pdata_range *change;
	unsigned int nr;
	unsigned int i;		/* next change */
	u64 covered;		/* changes so far end here */
	int (*fn)(void *context, const struct pdata_range *r);
	void *context;
};

static int overlay_change(struct overlay *o)
{
	const struct pdata_range *c = &o->change[o->i++];

	o->covered = pdata_range_end(c);
	return c->kind == THIN2_CHANGE_UNMAP ? 0 : o->fn(o->context, c);
}

static int overlay_base(void *context, const struct pdata_range *r)
{
	u64 pos = r->begin, end = pdata_range_end(r), stop;
	struct overlay *o = context;
	struct pdata_range part;
	int ret = 0;

	while (pos < end && !ret) {
		pos = max(pos, o->covered);
		if (o->i < o->nr && o->change[o->i].begin <= pos) {
			ret = overlay_change(o);
			continue;
		}
		stop = o->i < o->nr ? min(end, o->change[o->i].begin) : end;
		if (pos < stop) {
			pdata_range_clip(r, pos, stop, &part);
			ret = o->fn(o->context, &part);
		}
		pos = stop;
	}
	return ret;
}

/*
 * What continues what came before is one range with it, as it will be in the tree
 * once all is merged, wherever leaves and changes begin.
 */
struct joined {
	struct pdata_range last;	/* may grow yet; none if its len is 0 */
	int (*fn)(void *context, const struct pdata_range *r);
	void *context;
};

static int joined_add(void *context, const struct pdata_range *r)
{
	struct joined *j = context;
	int ret = 0;

	if (j->last.len && pdata_range_join(&j->last, r))
		return 0;
	if (j->last.len)
		ret = j->fn(j->context, &j->last);
	j->last = *r;
	return ret;
}

int thin2_walk(struct thin2_md *md, const struct thin2_details *d,
	       int (*fn)(void *context, const struct pdata_range *r), void *context)
{
	struct pdata_view view = { .tm = &md->tm };
	struct thin2_net net = { 0 };
	/* The tree, replayed changes over it, and over both those made since. */
	struct joined joined = { .fn = fn, .context = context };
	struct overlay top = { .fn = joined_add, .context = &joined };
	struct overlay replayed = { .fn = overlay_base, .context = &top };
	struct thin2_dev *th;
	struct pdata_rt rt;
	int r = 0;

	thin2_lock(md);
	th = thin2_dev_find(md, d->id);
	if (th && th->uid == d->uid) {
		r = th->frozen.nr && !th->overlay ? -PDATA_E_BUSY :
		    thin2_delta_net(&th->active, &net);
		replayed.change = th->overlay;
		replayed.nr = th->nr_overlay;
		top.change = net.change;
		top.nr = net.nr;
	}
	if (!r && d->root) {
		thin2_rt_init_details(md, d, &rt);
		r = pdata_rt_walk(&rt, &view, d->root, 0, PDATA_MAX_UNITS, NULL,
				  overlay_base, &replayed);
	}
	while (!r && replayed.i < replayed.nr)
		r = overlay_change(&replayed);
	while (!r && top.i < top.nr)
		r = overlay_change(&top);
	if (!r && joined.last.len)
		r = fn(context, &joined.last);
	thin2_net_free(&net);
	thin2_unlock(md);
	return r;
}
