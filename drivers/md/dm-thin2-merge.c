// SPDX-License-Identifier: GPL-2.0-only
/*
 * Merging: frozen delta lists go into the mapping trees, leaf by leaf, and
 * deleted thins' trees are taken apart, both in bounded steps. After any step
 * a commit may be written: applied_seq moves only when a whole list is in, and
 * merging the same changes again finds them there and counts nothing twice.
 *
 * Everything here runs under meta_lock.
 */
#include "dm-thin2-internal.h"

/* Dirty blocks after which a long merge writes a checkpoint in between. */
#define MERGE_MAX_DIRTY_BLOCKS	8192
/* Cleaned under one hold of a thin's lock: changes, entries of a change. */
#define CLEAN_CHANGES		64u
#define CLEAN_ENTRIES		256u

/* ---- what a leaf becomes ---- */

static struct pdata_count_log *count_log(struct thin2_md *md)
{
	return &md->data_sm.log;
}

/*
 * References a tree gains (+1) or loses (-1) on the units that @r maps. No
 * back-reference is given: with one, extents that scattered virtual addresses
 * share could not be joined, and the space map would need a record for each
 * mapped range instead of one for each run of units in use.
 */
static int count_range(struct pdata_rt *rt, const struct pdata_range *r, s32 delta)
{
	struct thin2_md *md = rt->context;

	if (r->kind != PDATA_RANGE_MAPPED)
		return 0;
	if (delta < 0)
		WRITE_ONCE(md->nr_decs, md->nr_decs + 1);
	return pdata_count_log_add(count_log(md), r->value, r->len, delta, 0, 0);
}

static int map_inc(struct pdata_rt *rt, const struct pdata_range *r)
{
	return count_range(rt, r, 1);
}

static int map_dec(struct pdata_rt *rt, const struct pdata_range *r)
{
	return count_range(rt, r, -1);
}

struct map_merge {
	struct pdata_rt *rt;
	struct pdata_rt_out *out;
	const struct pdata_range *old;
	unsigned int nr_old;
	unsigned int i;		/* next old range */
	u64 from;		/* part of old[i] below is dealt with */
	s64 *mapped;
};

/* The rest of the old range the merge stands at, false at the end. */
static bool old_rest(struct map_merge *m, struct pdata_range *r)
{
	const struct pdata_range *o;

	while (m->i < m->nr_old && pdata_range_end(&m->old[m->i]) <= m->from)
		m->i++;
	if (m->i == m->nr_old)
		return false;
	o = &m->old[m->i];
	pdata_range_clip(o, max(o->begin, m->from), pdata_range_end(o), r);
	return true;
}

/* Old ranges below @to stay as they are. */
static int keep_below(struct map_merge *m, u64 to)
{
	struct pdata_range r;
	int ret;

	while (old_rest(m, &r) && r.begin < to) {
		if (pdata_range_end(&r) > to)
			pdata_range_clip(&r, r.begin, to, &r);
		ret = pdata_rt_emit(m->out, &r);
		if (ret)
			return ret;
		m->from = pdata_range_end(&r);
	}
	return 0;
}

/* @c maps [begin, end), where nothing or something else was mapped. */
static int count_gain(struct map_merge *m, const struct pdata_range *c, u64 begin, u64 end)
{
	struct pdata_range r;

	if (c->kind != PDATA_RANGE_MAPPED || begin >= end)
		return 0;
	pdata_range_clip(c, begin, end, &r);
	*m->mapped += r.len;
	return count_range(m->rt, &r, 1);
}

/* Put @c in the place of what was there and count the differences. */
static int replace(struct map_merge *m, const struct pdata_range *c)
{
	u64 pos = c->begin, end = pdata_range_end(c), stop;
	struct pdata_range o;
	int r;

	while (old_rest(m, &o) && o.begin < end) {
		stop = min(pdata_range_end(&o), end);
		r = count_gain(m, c, pos, o.begin);
		if (r)
			return r;
		pdata_range_clip(&o, o.begin, stop, &o);
		pos = stop;
		m->from = stop;
		/* The same mapping again (replay of a partly merged list): no change. */
		if (o.kind == PDATA_RANGE_MAPPED && c->kind == PDATA_RANGE_MAPPED &&
		    o.value == c->value + (o.begin - c->begin))
			continue;
		r = count_gain(m, c, o.begin, stop);
		if (!r)
			r = count_range(m->rt, &o, -1);
		if (r)
			return r;
		if (o.kind == PDATA_RANGE_MAPPED)
			*m->mapped -= o.len;
	}
	r = count_gain(m, c, pos, end);
	if (r)
		return r;
	m->from = end;
	return c->kind == THIN2_CHANGE_UNMAP ? 0 : pdata_rt_emit(m->out, c);
}

/* pdata_rt_ops.apply of mapping trees: changes overwrite. */
static int map_apply(struct pdata_rt *rt, const struct pdata_range *old, unsigned int nr_old,
		     const struct pdata_range *change, unsigned int nr_change,
		     struct pdata_rt_out *out)
{
	struct thin2_md *md = rt->context;
	struct map_merge m = {
		.rt = rt, .out = out, .old = old, .nr_old = nr_old,
		.mapped = &md->merge_mapped,
	};
	unsigned int i;
	int r = 0;

	for (i = 0; i < nr_change && !r; i++) {
		r = keep_below(&m, change[i].begin);
		if (!r)
			r = replace(&m, &change[i]);
	}
	return r ? r : keep_below(&m, ~0ull);
}

static bool id_of_uid(const struct thin2_md *md, u64 uid, u32 *id)
{
	const struct thin2_dev *th;

	list_for_each_entry(th, &md->thins, list) {
		if (th->uid == uid) {
			*id = th->id;
			return true;
		}
	}
	return false;
}

/* A leaf is lost: its interval reads as damaged, so that the merge can go on. */
static int map_unreadable(struct pdata_rt *rt, u64 lo, u64 hi, int err,
			  struct pdata_rt_out *out)
{
	struct thin2_md *md = rt->context;
	/* As many records of the greatest length as a step has room for: 2 PiB. */
	struct pdata_range r = {
		.begin = lo,
		.len = min(hi - lo, 128 * PDATA_REC_MAX_LEN),
		.kind = PDATA_RANGE_DAMAGED,
	};
	u32 id;

	if (id_of_uid(md, rt->owner, &id))
		pdata_err_limit("%s: thin %u: mappings of units %llu to %llu are lost and marked damaged: %s",
				md->name, id, lo, hi, pdata_error_text(err));
	return pdata_rt_emit(out, &r);
}

static const struct pdata_rt_ops map_ops = {
	.codec = PDATA_CODEC_MAP_PACKED,
	.overwrites = true,
	.apply = map_apply,
	.inc = map_inc,
	.dec = map_dec,
	.unreadable = map_unreadable,
};

void thin2_rt_init_details(struct thin2_md *md, const struct thin2_details *d,
			   struct pdata_rt *rt)
{
	memset(rt, 0, sizeof(*rt));
	rt->tm = &md->tm;
	rt->ops = &map_ops;
	rt->owner = d->uid;
	rt->key_end = PDATA_MAX_UNITS;
	rt->root = d->root;
	rt->leaf_sum = d->leaf_sum;
	rt->context = md;
}

void thin2_rt_init(struct thin2_dev *th, struct pdata_rt *rt)
{
	struct thin2_details d = { .uid = th->uid };

	thin2_rt_init_details(th->md, &d, rt);
}

/* ---- merging a list ---- */

/* Under th->lock: the active list is to be merged, a new one begins. */
void thin2_freeze_locked(struct thin2_dev *th)
{
	lockdep_assert_held(&th->lock);
	thin2_delta_list_cut(&th->active, &th->frozen);
}

static int merge_prepare(struct thin2_dev *th)
{
	struct thin2_net net;
	int r;

	r = thin2_delta_net(&th->frozen, &net);
	if (r)
		return r;
	/* All there is to know of them is in @net. */
	thin2_delta_list_drop(&th->frozen, th->active.first);
	th->merge.change = net.change;
	th->merge.nr = net.nr;
	th->merge.pos = 0;
	th->merge.dead = net.dead;
	th->merge.nr_dead = net.nr_dead;
	th->merge.seq = th->frozen.last_seq;
	th->merge.done = false;
	th->md->merged_seq = max(th->md->merged_seq, th->merge.seq);
	return 0;
}

/* Most ranges that a leaf of a mapping tree can hold. */
static unsigned int leaf_ranges(const struct thin2_md *md)
{
	const unsigned int most = pdata_codec_find(map_ops.codec)->most_records;
	const unsigned int limit = md->tm.limits.leaf_max;

	return limit ? min(limit, most) : most;
}

/*
 * Entries that a step makes: at most one shared leaf is copied (a neighbour that
 * is joined is not shared); changes take away what they cover of it and map
 * what is between and beneath.
 */
size_t thin2_step_entries(const struct thin2_md *md, unsigned int changes)
{
	return 3 * leaf_ranges(md) + 3 * (size_t)changes;
}

/*
 * ... and what is left of them when they are netted, in ends of net changes: a
 * range of the copied leaf has two. Where a change takes it away again, both
 * entries are gone; where it takes a part, it adds the change's ends at most.
 * What a change maps has two more.
 */
static size_t step_net(const struct thin2_md *md, unsigned int changes)
{
	return leaf_ranges(md) + 3 * (size_t)changes;
}

u64 thin2_step_blocks(struct thin2_md *md, unsigned int changes)
{
	struct thin2_details none = { 0 };
	struct pdata_rt rt;

	thin2_rt_init_details(md, &none, &rt);
	return pdata_rt_update_blocks(&rt, changes) + thin2_details_blocks(md) +
	       pdata_sm_data_apply_blocks(&md->data_sm, count_log(md)->nr + step_net(md, changes));
}

/* Room for a step; *changes is how many it may take. */
static int merge_room(struct thin2_md *md, unsigned int *changes)
{
	int r = 0;

	if (pdata_fault(MERGE_STEP))
		return -PDATA_E_FAULT;
	*changes = THIN2_STEP_CHANGES;
	if (md->tm.nr_dirty > MERGE_MAX_DIRTY_BLOCKS ||
	    pdata_sm_free(&md->tm.sm, false) < thin2_step_blocks(md, *changes)) {
		r = thin2_commit(md);
		if (pdata_sm_free(&md->tm.sm, false) < thin2_step_blocks(md, *changes))
			*changes = THIN2_STEP_FEW;
		if (!r)
			r = thin2_step_room(md, thin2_step_blocks(md, *changes));
	}
	/* Last, because a commit ends all reservations. */
	return r ? r : pdata_count_log_reserve(count_log(md), thin2_step_entries(md, *changes));
}

/* An update writes to the changes it is given. Fills read an overlay's meanwhile. */
static int merge_update(struct thin2_dev *th, struct pdata_rt *rt, unsigned int changes,
			unsigned int *done)
{
	struct thin2_merge *m = &th->merge;
	const unsigned int nr = min(m->nr - m->pos, changes);
	struct pdata_range *change = m->change + m->pos;
	int r;

	if (th->overlay) {
		change = kmemdup(change, nr * sizeof(*change), GFP_NOIO);
		if (!change)
			return -ENOMEM;
	}
	r = pdata_rt_update(rt, change, nr, nr, &m->from, done);
	if (th->overlay)
		kfree(change);
	return r;
}

/* What a step has made of the tree. */
static void take_tree(struct thin2_md *md, const struct pdata_rt *rt, struct thin2_details *d)
{
	d->root = rt->root;
	d->leaf_sum = rt->leaf_sum;
	if (rt->sum_lost)
		d->flags |= PDATA_THIN_SUM_LOST;
	d->mapped_units += md->merge_mapped;
}

static int merge_step(struct thin2_dev *th, struct pdata_rt *rt)
{
	struct thin2_merge *m = &th->merge;
	struct thin2_md *md = th->md;
	unsigned int done, changes;
	u64 decs;
	int r;

	/* First, so that there is room for writing the details. */
	thin2_details_touch(th);
	r = merge_room(md, &changes);
	if (!r)
		r = thin2_hold_detach(th);
	if (r)
		return r;
	decs = md->nr_decs;
	md->merge_mapped = 0;
	r = merge_update(th, rt, changes, &done);
	if (r)
		return r;
	WRITE_ONCE(md->levels, max(md->levels, rt->levels));
	WRITE_ONCE(th->own_decs, th->own_decs + (md->nr_decs - decs));
	m->pos += done;
	take_tree(md, rt, &th->details);
	cond_resched();
	return 0;
}

/* Units that were allocated and superseded within the list: up and down again. */
static int merge_dead(struct thin2_dev *th)
{
	struct pdata_count_log *log = count_log(th->md);
	const struct pdata_range *d;
	unsigned int i;
	int r;

	r = pdata_count_log_reserve(log, 2 * (size_t)th->merge.nr_dead);
	for (i = 0; i < th->merge.nr_dead && !r; i++) {
		d = &th->merge.dead[i];
		r = pdata_count_log_add(log, d->value, d->len, 1, 0, 0);
		if (!r)
			r = pdata_count_log_add(log, d->value, d->len, -1, 0, 0);
	}
	return r;
}

static int merge_list(struct thin2_dev *th, bool breaks)
{
	struct thin2_merge *m = &th->merge;
	struct thin2_md *md = th->md;
	struct pdata_rt rt;
	int r;

	lockdep_assert_held(&md->meta_lock);
	if (!th->frozen.nr || m->done)
		return 0;
	if (!m->change) {
		r = merge_prepare(th);
		if (r)
			return r;
	}
	thin2_rt_init_details(md, &th->details, &rt);
	rt.seq = m->seq;
	while (m->pos < m->nr) {
		rt.root = th->details.root;
		r = merge_step(th, &rt);
		if (r)
			return r;
		/* Behind a step, so that the merge gets on whoever waits. */
		if (breaks && atomic_read(&md->nr_waiting))
			return -PDATA_E_RETRY;
	}
	r = merge_dead(th);
	if (r)
		return r;
	atomic64_add(th->frozen.nr, &md->nr_merged);
	th->details.applied_seq = m->seq;
	thin2_details_touch(th);
	m->done = true;
	return 0;
}

int thin2_merge_changes(struct thin2_md *md, struct thin2_details *d,
			struct pdata_range *change, unsigned int nr)
{
	unsigned int done, changes;
	struct pdata_rt rt;
	u64 from = 0;
	int r;

	lockdep_assert_held(&md->meta_lock);
	thin2_rt_init_details(md, d, &rt);
	while (nr) {
		r = merge_room(md, &changes);
		if (r)
			return r;
		md->merge_mapped = 0;
		r = pdata_rt_update(&rt, change, nr, changes, &from, &done);
		if (r)
			return r;
		WRITE_ONCE(md->levels, max(md->levels, rt.levels));
		take_tree(md, &rt, d);
		change += done;
		nr -= done;
		cond_resched();
	}
	return 0;
}

int thin2_merge_frozen(struct thin2_dev *th)
{
	return merge_list(th, false);
}

int thin2_merge_some(struct thin2_dev *th)
{
	return merge_list(th, true);
}

/* Have a list that was merged committed, so that another can be frozen. */
int thin2_freeze(struct thin2_dev *th)
{
	unsigned long flags;
	int r;

	/* Not for nothing: after a crash many thins have a list, and no more. */
	if (th->merge.done && READ_ONCE(th->active.nr)) {
		r = thin2_commit(th->md);
		if (r)
			return r;
	}
	spin_lock_irqsave(&th->lock, flags);
	thin2_credits_return(th);
	if (th->active.nr && !th->frozen.nr)
		thin2_freeze_locked(th);
	spin_unlock_irqrestore(&th->lock, flags);
	return 0;
}

int thin2_merge_thin(struct thin2_dev *th)
{
	int r;

	r = thin2_merge_frozen(th);	/* one left over from an attempt that failed */
	if (!r)
		r = thin2_freeze(th);
	return r ? r : thin2_merge_frozen(th);
}

/* ---- after the commit: entries are clean, the list goes ---- */

/* Let others have the lock. Nobody but us, under meta_lock, touches the merge. */
static void lock_break(struct thin2_dev *th, unsigned long *flags)
{
	spin_unlock_irqrestore(&th->lock, *flags);
	cond_resched();
	spin_lock_irqsave(&th->lock, *flags);
}

/* In order of the changes that were merged, of which there are fewer than records. */
static void clean_entries(struct thin2_dev *th)
{
	const struct thin2_merge *m = &th->merge;
	unsigned long flags;
	unsigned int i;
	u64 pos, end;

	spin_lock_irqsave(&th->lock, flags);
	for (i = 0; i < m->nr; i++) {
		end = pdata_range_end(&m->change[i]);
		for (pos = m->change[i].begin; pos < end;) {
			pos = pdata_rm_clean(th->rm, pos, end, th->frozen.tag, CLEAN_ENTRIES);
			if (pos < end || !((i + 1) % CLEAN_CHANGES))
				lock_break(th, &flags);
		}
	}
	spin_unlock_irqrestore(&th->lock, flags);
}

void thin2_merge_committed(struct thin2_dev *th)
{
	u64 nr;

	if (!th->merge.done)
		return;
	/* Of replayed changes there are only clean entries. */
	if (th->overlay)
		thin2_overlay_drop(th);
	else
		clean_entries(th);
	nr = thin2_delta_list_free(&th->frozen, th->active.first);
	atomic64_sub(nr, &th->md->nr_dirty);
	kvfree(th->merge.change);
	kvfree(th->merge.dead);
	memset(&th->merge, 0, sizeof(th->merge));
}

/* ---- deleted thins ---- */

u64 thin2_commit_blocks(struct thin2_md *md, size_t entries)
{
	return thin2_details_blocks(md) +
	       pdata_sm_data_apply_blocks(&md->data_sm, count_log(md)->nr + entries);
}

/*
 * No commit may come between a step and the entry that holds its cursor, so
 * room for all steps is made before the first; for fewer when space is short.
 * *some: it may have failed, but behind a step that has to be entered.
 */
static int delete_some(struct thin2_md *md, struct thin2_details *d, unsigned int leaves,
		       bool *some)
{
	const size_t each = leaf_ranges(md);
	struct pdata_rt rt;
	int r;

	while (leaves > 1 &&
	       pdata_sm_free(&md->tm.sm, false) < thin2_commit_blocks(md, leaves * each))
		leaves /= 2;
	r = thin2_step_room(md, thin2_commit_blocks(md, leaves * each));
	/* Last, because a commit ends all reservations. */
	if (!r)
		r = pdata_count_log_reserve(count_log(md), leaves * each);
	thin2_rt_init_details(md, d, &rt);
	while (leaves-- && !r && rt.root) {
		r = pdata_rt_del_step(&rt, &d->delete_cursor);
		*some |= r >= 0;
	}
	d->root = rt.root;
	return r < 0 ? r : 0;
}

/* How far it has come. A failure fails the transaction, or steps would be done again. */
static int delete_entered(struct thin2_md *md, const struct thin2_details *d)
{
	struct pdata_details_disk disk;
	int r;

	if (d->root) {
		thin2_details_pack(d, &disk);
		r = pdata_btree_insert(&md->deleting, d->uid, &disk);
	} else {
		r = pdata_btree_remove(&md->deleting, d->uid);
		if (!r)
			md->nr_deleting--;
	}
	if (r)
		md->tm.failed = true;
	return r;
}

int thin2_delete_step(struct thin2_md *md, unsigned int leaves)
{
	struct pdata_view view = { .tm = &md->tm };
	struct pdata_details_disk disk;
	struct thin2_details d;
	bool some = false;
	int r, r2;
	u64 uid;

	if (!md->nr_deleting)
		return 0;
	r = pdata_btree_next(&md->deleting, &view, md->deleting.root, 0, &uid, &disk);
	if (r == -PDATA_E_NOT_FOUND) {
		md->nr_deleting = 0;
		return 0;
	}
	if (r)
		return r;
	thin2_details_unpack(&disk, &d);
	/* Letting go of a shared node counts too, though no data count changes. */
	WRITE_ONCE(md->nr_decs, md->nr_decs + 1);
	r = delete_some(md, &d, leaves, &some);
	if (!some)
		return r;
	r2 = delete_entered(md, &d);
	return r2 ? r2 : r;
}
