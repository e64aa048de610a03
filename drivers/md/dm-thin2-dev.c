// SPDX-License-Identifier: GPL-2.0-only
/*
 * One thin in memory: its range map and what I/O does to it.
 *
 * Lookups run without a lock. Everything that changes the range map happens
 * under th->lock, in the same section in which its record gets its place in
 * the journal (invariant 3). A range that a write in flight covers is pending:
 * nobody changes it before that write has ended.
 */
#include "dm-thin2-internal.h"

static enum pdata_rm_state exclusive_state(const struct thin2_dev *th)
{
	return PDATA_RM_EXCL0 + READ_ONCE(th->epoch);
}

/* ---- lookup ---- */

void thin2_lookup(struct thin2_dev *th, u64 unit, u64 limit, bool write,
		  struct thin2_where *w)
{
	bool again = true;
	u64 value;

	if (unlikely(READ_ONCE(th->aging)))
		thin2_dev_mark_used(th, unit);
retry:
	w->hole = false;
	if (!pdata_rm_lookup(th->rm, unit, limit, &value, &w->end)) {
		w->action = THIN2_FILL;
		return;
	}
	switch (pdata_rm_state(value)) {
	case PDATA_RM_HOLE:
		w->hole = true;
		fallthrough;
	case PDATA_RM_ZERO:
		w->action = write ? THIN2_PROVISION : THIN2_ZERO;
		return;
	case PDATA_RM_DAMAGED:
		w->action = THIN2_DAMAGED;
		return;
	case PDATA_RM_PENDING:
		w->action = THIN2_WAIT;
		if (!again)
			return;
		WRITE_ONCE(th->waiter, true);
		/* Ask to be woken, then look once more: the write may have ended before. */
		smp_mb();
		again = false;
		goto retry;
	default:
		w->phys = pdata_rm_phys(value, unit);
		if (write && pdata_rm_state(value) != exclusive_state(th))
			w->action = THIN2_UNSHARE;
		else
			w->action = THIN2_REMAP;
	}
}

/* ---- admission of records ---- */

/*
 * A record is charged before its data is written, so that its append cannot
 * fail: against the limit of un-merged records, the journal's ring and its
 * buffers. All thins share these, so each charges some records ahead, its
 * credits, as long as there is plenty; every merge takes them back.
 */
static u64 record_limit(const struct thin2_md *md)
{
	return min(thin2_admit(md), READ_ONCE(md->max_dirty));
}

static int charge_one(struct thin2_md *md, bool gives_back)
{
	u64 limit = record_limit(md);
	u64 nr = atomic64_inc_return(&md->nr_dirty);
	int r;

	/* Discards may use what is kept back for them (invariant 13). */
	if (gives_back)
		limit = max_t(u64, limit, 64);
	if (nr > limit) {
		atomic64_dec(&md->nr_dirty);
		if (nr == 1)
			return -PDATA_E_META_NOSPC;
		set_bit(THIN2_WANT_CHECKPOINT, &md->want);
		return -PDATA_E_DIRTY_LIMIT;
	}
	r = pdata_journal_reserve(&md->journal, 1);
	if (r) {
		atomic64_dec(&md->nr_dirty);
		set_bit(THIN2_WANT_JOURNAL, &md->want);
	}
	return r;
}

static bool charge_ahead(struct thin2_md *md)
{
	u64 nr = atomic64_add_return(THIN2_CREDITS, &md->nr_dirty);

	if (nr <= record_limit(md) / 2 &&
	    !pdata_journal_reserve_ahead(&md->journal, THIN2_CREDITS))
		return true;
	atomic64_sub(THIN2_CREDITS, &md->nr_dirty);
	/* Half of the buffers are full: have them written before all are. */
	if (pdata_journal_wants_write(&md->journal) &&
	    !test_and_set_bit(THIN2_WANT_JOURNAL, &md->want))
		thin2_wake(md);
	return false;
}

static void uncharge(struct thin2_md *md, unsigned int nr)
{
	pdata_journal_unreserve(&md->journal, nr);
	atomic64_sub(nr, &md->nr_dirty);
}

/* Charge one record of a write. Under th->lock. */
static int credit_take(struct thin2_dev *th)
{
	thin2_note_changed(th);
	if (!th->credits) {
		if (!charge_ahead(th->md))
			return charge_one(th->md, false);
		th->credits = THIN2_CREDITS;
	}
	th->credits--;
	return 0;
}

void thin2_credits_return(struct thin2_dev *th)
{
	lockdep_assert_held(&th->lock);
	if (th->credits)
		uncharge(th->md, th->credits);
	th->credits = 0;
}

static int check_changeable(const struct thin2_md *md)
{
	return READ_ONCE(md->failed) || md->read_only ? -PDATA_E_FAILED : 0;
}

/*
 * Is there a place in the delta list for one more record than those of writes
 * in flight? Each of them has one, also if what is in the list is cut off to be
 * merged meanwhile. Under th->lock.
 */
static bool has_place(const struct thin2_dev *th)
{
	return th->active.room > th->pending;
}

static int add_places(struct thin2_dev *th, gfp_t gfp)
{
	struct thin2_delta_block *b = thin2_delta_block_new(!READ_ONCE(th->active.last), gfp);
	unsigned long flags;

	if (!b)
		return -ENOMEM;
	spin_lock_irqsave(&th->lock, flags);
	thin2_delta_list_extend(&th->active, b);
	spin_unlock_irqrestore(&th->lock, flags);
	return 0;
}

/* Give the change its place in journal and delta list. Under th->lock; cannot fail. */
static void record_append(struct thin2_dev *th, u8 kind, u64 begin, u64 len, u64 phys,
			  s64 mapped)
{
	struct pdata_record rec = {
		.uid = th->uid,
		.vbegin = begin,
		.phys = phys,
		.len = len,
		.birth = th->snap_time,
		.kind = kind,
	};
	const struct thin2_delta d = {
		.seq = pdata_journal_append(&th->md->journal, &rec),
		.vbegin = begin,
		.kind = kind,
		.phys = phys,
		.len = len,
		.birth = th->snap_time,
	};

	thin2_delta_list_add(&th->active, &d, mapped);
	WRITE_ONCE(th->last_seq, d.seq);
}

/* ---- writes ---- */

/* What a failed allocation of data means to the caller. */
static int data_alloc_error(struct thin2_md *md, int r)
{
	switch (r) {
	case -PDATA_E_WOULD_SLEEP:
		set_bit(THIN2_WANT_LOAD, &md->want);
		return r;
	case -PDATA_E_DATA_NOSPC:
		/* Un-merged discards and deleted thins still hold space. */
		if (!READ_ONCE(md->may_free))
			return r;
		fallthrough;
	case -PDATA_E_RETRY:
		set_bit(THIN2_WANT_CHECKPOINT, &md->want);
		return -PDATA_E_DIRTY_LIMIT;
	default:
		return r;
	}
}

static int write_begin_locked(struct thin2_dev *th, u64 unit, u64 limit, struct thin2_write *w)
{
	u64 value, end = limit, len, pending;
	struct thin2_entry e;
	int r;

	if (!pdata_rm_entry(th->rm, unit, &e.begin, &e.end, &e.value))
		return -PDATA_E_MISS;
	value = e.value;
	if (pdata_rm_state(value) == PDATA_RM_PENDING) {
		th->waiter = true;
		return -PDATA_E_PENDING;
	}
	if (pdata_rm_state(value) == exclusive_state(th))
		return -PDATA_E_RETRY;

	/* It may go on in the next entries. */
	if (e.end < limit)
		pdata_rm_lookup(th->rm, unit, limit, &value, &end);
	r = thin2_place(th, unit, min_t(u64, end - unit, PDATA_REC_MAX_LEN), &e, &w->phys, &len);
	if (r)
		return data_alloc_error(th->md, r);

	pending = pdata_rm_value(PDATA_RM_PENDING, 0, unit, w->phys);
	r = pdata_rm_store(th->rm, unit, unit + len, pending);
	if (r) {
		pdata_alloc_put(&th->md->alloc, w->phys, len);
		return r;
	}
	th->pending++;
	w->th = th;
	w->vbegin = unit;
	w->len = len;
	w->unshare = pdata_rm_is_mapped(value);
	w->zeroes = pdata_rm_state(value) == PDATA_RM_ZERO;
	w->damaged = pdata_rm_state(value) == PDATA_RM_DAMAGED;
	w->old_phys = w->unshare ? pdata_rm_phys(value, unit) : 0;
	w->old_value = value;
	return 0;
}

static int write_begin_charged(struct thin2_dev *th, u64 unit, u64 limit, struct thin2_write *w)
{
	int r;

	r = credit_take(th);
	if (r)
		return r;
	r = write_begin_locked(th, unit, limit, w);
	if (r)
		th->credits++;
	return r;
}

int thin2_write_begin(struct thin2_dev *th, u64 unit, u64 limit, struct thin2_write *w)
{
	unsigned long flags;
	bool place;
	int r;

	r = check_changeable(th->md);
	while (!r) {
		spin_lock_irqsave(&th->lock, flags);
		place = has_place(th);
		if (place)
			r = write_begin_charged(th, unit, limit, w);
		spin_unlock_irqrestore(&th->lock, flags);
		if (place)
			break;
		r = add_places(th, GFP_NOWAIT | __GFP_NOWARN);
	}
	return r;
}

/* Under th->lock, after the range map was changed: did anybody wait for that? */
static bool take_waiter(struct thin2_dev *th)
{
	bool waiter;

	smp_mb();	/* pairs with the one in thin2_lookup() */
	waiter = READ_ONCE(th->waiter);
	if (waiter)
		WRITE_ONCE(th->waiter, false);
	return waiter;
}

static void write_done_locked(struct thin2_write *w)
{
	struct thin2_dev *th = w->th;
	u64 value;

	record_append(th, PDATA_REC_MAP, w->vbegin, w->len, w->phys, w->unshare ? 0 : w->len);
	value = pdata_rm_value(exclusive_state(th), th->active.tag, w->vbegin, w->phys);
	/* Who sees the mapping sees last_seq, too: a FUA write may rely on it. */
	smp_wmb();
	pdata_rm_flip(th->rm, w->vbegin, w->vbegin + w->len, value);
	th->epoch_used[th->epoch] = true;
	if (w->unshare)
		WRITE_ONCE(th->md->may_free, true);
}

static void write_failed_locked(struct thin2_write *w)
{
	struct thin2_dev *th = w->th;
	u64 value = w->old_value;

	/* A snapshot may have been taken meanwhile, and that state swept. */
	if (pdata_rm_is_excl(value) && pdata_rm_state(value) != exclusive_state(th))
		value = pdata_rm_set_state(value, PDATA_RM_SHARED);
	pdata_rm_flip(th->rm, w->vbegin, w->vbegin + w->len, value);
}

void thin2_write_end(struct thin2_write *w, int error)
{
	struct thin2_dev *th = w->th;
	unsigned long flags;
	bool wake;

	spin_lock_irqsave(&th->lock, flags);
	if (error)
		write_failed_locked(w);
	else
		write_done_locked(w);
	th->pending--;
	wake = take_waiter(th);
	spin_unlock_irqrestore(&th->lock, flags);

	if (error) {
		pdata_alloc_put(&th->md->alloc, w->phys, w->len);
		uncharge(th->md, 1);
	}
	if (wake)
		thin2_wake(th->md);
}

bool thin2_snap_busy(struct thin2_dev *th)
{
	return READ_ONCE(th->snap_busy);
}

u64 thin2_last_seq(struct thin2_dev *th)
{
	return READ_ONCE(th->last_seq);
}

/* ---- discard and write-zeroes ---- */

/* First pending unit in [begin, end), or @end. *mapped: units known to be mapped before it. */
static u64 scan_unmap(struct thin2_dev *th, u64 begin, u64 end, u64 *mapped)
{
	u64 pos = begin, eb, ee, value;

	*mapped = 0;
	while (pos < end) {
		if (pdata_rm_entry(th->rm, pos, &eb, &ee, &value)) {
			if (pdata_rm_state(value) == PDATA_RM_PENDING)
				return pos;
			if (pdata_rm_is_mapped(value))
				*mapped += min(ee, end) - pos;
		}
		pos = ee;
	}
	return end;
}

static bool is_unmapped_already(struct thin2_dev *th, u64 begin, u64 end, bool zero)
{
	u64 eb, ee, value;

	return pdata_rm_entry(th->rm, begin, &eb, &ee, &value) && ee >= end &&
	       pdata_rm_state(value) == (zero ? PDATA_RM_ZERO : PDATA_RM_HOLE);
}

/* One step under the lock; *pos advances. *used: the record was appended. */
static int unmap_step_locked(struct thin2_dev *th, u64 *pos, u64 end, bool zero, bool *used)
{
	u64 stop, mapped, value;
	int r;

	*used = false;
	stop = pdata_rm_bound(th->rm, *pos, min(end, *pos + PDATA_REC_MAX_LEN),
			      THIN2_STEP_RANGES);
	stop = scan_unmap(th, *pos, stop, &mapped);
	if (stop == *pos) {
		th->waiter = true;
		return -PDATA_E_PENDING;
	}
	if (is_unmapped_already(th, *pos, stop, zero)) {
		*pos = stop;
		return 0;
	}
	value = pdata_rm_plain(zero ? PDATA_RM_ZERO : PDATA_RM_HOLE, th->active.tag);
	r = pdata_rm_store(th->rm, *pos, stop, value);
	if (r)
		return r;
	record_append(th, zero ? PDATA_REC_ZERO : PDATA_REC_UNMAP, *pos, stop - *pos, 0,
		      -(s64)mapped);
	WRITE_ONCE(th->md->may_free, true);
	*used = true;
	*pos = stop;
	return 0;
}

static int unmap_step(struct thin2_dev *th, u64 *pos, u64 end, bool zero)
{
	bool place = false, used = false;
	unsigned long flags;
	int r;

	r = check_changeable(th->md);
	if (!r)
		r = charge_one(th->md, true);
	if (r)
		return r;
	while (!place && !r) {
		spin_lock_irqsave(&th->lock, flags);
		place = has_place(th);
		if (place) {
			thin2_note_changed(th);
			r = unmap_step_locked(th, pos, end, zero, &used);
		}
		spin_unlock_irqrestore(&th->lock, flags);
		if (!place)
			r = add_places(th, GFP_NOIO);
	}
	if (!used)
		uncharge(th->md, 1);
	return r;
}

int thin2_unmap(struct thin2_dev *th, u64 begin, u64 end, bool zero, u64 *done)
{
	int r = 0;

	for (*done = begin; *done < end && !r; cond_resched())
		r = unmap_step(th, done, end, zero);
	return r;
}

/* ---- reading the base tree ---- */

/* A durable version of a thin's tree, pinned. */
struct base {
	struct pdata_pin pin;
	u64 root;
	u64 gen;
	u64 version;
};

/*
 * Pin the newest durable version and find the thin's tree in it. base_root may
 * be read only when it is not older than the pinned version (its blocks could
 * be reused) nor newer (the pin does not reach that far).
 */
static void pin_base(struct thin2_dev *th, struct base *b)
{
	struct thin2_md *md = th->md;
	unsigned long flags;
	bool good;

	for (;;) {
		pdata_sm_pin(&md->tm.sm, &b->pin);
		/* Pairs with publish_roots(). */
		good = smp_load_acquire(&md->roots_gen) >= b->pin.generation;
		spin_lock_irqsave(&th->lock, flags);
		good = good && th->base_gen <= b->pin.generation;
		b->root = th->base_root;
		b->gen = th->base_gen;
		b->version = th->version;
		spin_unlock_irqrestore(&th->lock, flags);
		if (good)
			return;
		pdata_sm_unpin(&md->tm.sm, &b->pin);
		/* Between a publication and the update of the roots: no I/O, soon over. */
		cond_resched();
	}
}

/*
 * Does what @b says of a unit, with the overlay laid over it, still hold where
 * the range map says nothing, or has a clean entry that says the same? The tree
 * may have been replaced since, or entries forgotten, but not both: if nothing
 * was forgotten, a unit that is not in the map never was since then, so it did
 * not change; and what was forgotten was clean, that is, as the thin's tree has
 * it under the overlay. To be without one is to forget it. Under th->lock.
 */
static bool base_holds(const struct thin2_dev *th, const struct base *b)
{
	return th->version == b->version ||
	       (th->base_root == b->root && th->base_gen == b->gen);
}

static u64 fill_value(struct thin2_dev *th, const struct pdata_range *r, u64 unit)
{
	enum pdata_rm_state state;

	switch (r->kind) {
	case PDATA_RANGE_MAPPED:
		state = r->tag >= th->snap_time ? exclusive_state(th) : PDATA_RM_SHARED;
		if (state != PDATA_RM_SHARED)
			th->epoch_used[th->epoch] = true;
		return pdata_rm_value(state, 0, unit, r->value + (unit - r->begin));
	case PDATA_RANGE_ZERO:
		return pdata_rm_plain(PDATA_RM_ZERO, 0);
	case THIN2_CHANGE_UNMAP:
		return pdata_rm_plain(PDATA_RM_HOLE, 0);
	default:
		return pdata_rm_plain(PDATA_RM_DAMAGED, 0);
	}
}

/*
 * Enter @r where the map says nothing, from @pos on; *steps bounds how many
 * entries and gaps are looked at.
 */
static int fill_range(struct thin2_dev *th, const struct pdata_range *r, u64 pos,
		      unsigned int *steps)
{
	u64 end = pdata_range_end(r), begin, stop, value;
	int ret;

	for (; pos < end && *steps; pos = stop) {
		(*steps)--;
		if (pdata_rm_entry(th->rm, pos, &begin, &stop, &value))
			continue;
		begin = max(begin, r->begin);
		stop = min(stop, end);
		ret = pdata_rm_store(th->rm, begin, stop, fill_value(th, r, begin));
		if (ret)
			return ret;
	}
	return 0;
}

/* Enter what is in [pos, end) of what was read, and what was replayed there. */
static int fill_span(struct thin2_dev *th, const struct pdata_range *r, unsigned int nr,
		     u64 pos, u64 end, unsigned int *steps)
{
	struct pdata_range piece;
	unsigned int i = 0;
	int ret = 0;

	for (; pos < end && *steps && !ret; pos = pdata_range_end(&piece)) {
		while (i < nr - 1 && pdata_range_end(&r[i]) <= pos)
			i++;
		thin2_overlay_apply(th, &r[i], pos, &piece);
		ret = fill_range(th, &piece, pos, steps);
	}
	return ret;
}

/* The one that is missed first; its neighbours as long as that is cheap. */
static int fill_locked(struct thin2_dev *th, u64 unit, const struct base *b,
		       const struct pdata_range *r, unsigned int nr)
{
	const u64 end = pdata_range_end(&r[nr - 1]);
	unsigned int i = 0, steps = 1;
	struct pdata_range piece;
	u64 begin;
	int ret;

	if (!base_holds(th, b))
		return -PDATA_E_RETRY;
	while (i < nr - 1 && pdata_range_end(&r[i]) <= unit)
		i++;
	thin2_overlay_apply(th, &r[i], unit, &piece);
	ret = fill_range(th, &piece, unit, &steps);
	if (ret)
		return ret;
	/* A hole of the tree may have many changes over it. */
	steps = 2 * (th->overlay ? max(nr, READ_ONCE(th->md->fill_ranges)) : nr);
	begin = max(piece.begin, r[0].begin);
	ret = fill_span(th, r, nr, begin, end, &steps);
	if (!ret)
		ret = fill_span(th, r, nr, r[0].begin, begin, &steps);
	return 0;
}

/* The base could not be read there. Does a replayed change say what it holds? */
static bool fill_replayed(struct thin2_dev *th, u64 unit)
{
	const struct pdata_range lost = { .begin = unit, .len = 1 };
	struct pdata_range r;
	unsigned int steps = 1;
	unsigned long flags;
	bool found;

	spin_lock_irqsave(&th->lock, flags);
	found = thin2_overlay_apply(th, &lost, unit, &r) && !fill_range(th, &r, unit, &steps);
	spin_unlock_irqrestore(&th->lock, flags);
	return found;
}

/* One unit, and the way there. */
static int base_lookup(struct thin2_dev *th, const struct base *b, u64 unit,
		       struct pdata_range *r, struct pdata_rt_path *path)
{
	struct pdata_view view = { .tm = &th->md->tm, .pin = &b->pin };
	struct pdata_rt rt;
	int ret;

	thin2_rt_init(th, &rt);
	ret = pdata_rt_lookup(&rt, &view, b->root, unit, r, path);
	if (ret != -PDATA_E_NOT_FOUND)
		return ret;
	r->kind = THIN2_CHANGE_UNMAP;
	return 0;
}

/* What the base says around @unit: @r[0..*nr). */
static int base_window(struct thin2_dev *th, const struct base *b, u64 unit,
		       struct pdata_range *r, unsigned int max, unsigned int *nr)
{
	struct pdata_view view = { .tm = &th->md->tm, .pin = &b->pin };
	struct pdata_rt rt;

	thin2_rt_init(th, &rt);
	return pdata_rt_window(&rt, &view, b->root, unit, r, max, nr);
}

static int fill_enter(struct thin2_dev *th, u64 unit, const struct base *b,
		      const struct pdata_range *r, unsigned int nr)
{
	unsigned long flags;
	u64 before;
	int ret;

	spin_lock_irqsave(&th->lock, flags);
	before = pdata_rm_count(th->rm);
	ret = fill_locked(th, unit, b, r, nr);
	atomic64_add(pdata_rm_count(th->rm) - before, &th->md->nr_filled);
	spin_unlock_irqrestore(&th->lock, flags);
	atomic64_inc(&th->md->nr_fills);
	return ret == -PDATA_E_RETRY ? 0 : ret;	/* the next lookup misses again */
}

int thin2_fill(struct thin2_dev *th, u64 unit, u64 limit)
{
	unsigned int max = READ_ONCE(th->md->fill_ranges), nr;
	struct pdata_range one, *r = NULL;
	struct base b;
	int ret;

	if (max > 1)
		r = kmalloc_array(max, sizeof(*r), GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
	if (!r)
		max = 1;
	pin_base(th, &b);
	ret = base_window(th, &b, unit, r ?: &one, max, &nr);
	if (!ret)
		ret = fill_enter(th, unit, &b, r ?: &one, nr);
	else if (fill_replayed(th, unit))
		ret = 0;
	else
		pdata_err_limit("%s: thin %u: cannot read mappings of units %llu to %llu, block %llu: %s",
				th->md->name, th->id, (r ?: &one)->begin,
				pdata_range_end(r ?: &one), (r ?: &one)->value,
				pdata_error_text(ret));
	pdata_sm_unpin(&th->md->tm.sm, &b.pin);
	kfree(r);
	return ret;
}

int thin2_fill_lost(struct thin2_dev *th, u64 unit, u64 limit)
{
	struct pdata_range lost, r = { .begin = unit, .kind = PDATA_RANGE_DAMAGED };
	struct base b;
	int ret;

	pin_base(th, &b);
	ret = base_lookup(th, &b, unit, &lost, NULL);
	if (pdata_error_is_unreadable(ret)) {
		r.len = min(limit, pdata_range_end(&lost)) - unit;
		ret = fill_enter(th, unit, &b, &r, 1);
	}
	pdata_sm_unpin(&th->md->tm.sm, &b.pin);
	return ret;
}

/* Are all nodes on the path to a mapping, and its data, referenced once? */
static int path_is_exclusive(struct thin2_dev *th, const struct pdata_pin *pin,
			     const struct pdata_rt_path *path, u64 phys, u64 *phys_end,
			     u64 *load)
{
	struct thin2_md *md = th->md;
	struct pdata_view view = { .tm = &md->tm, .pin = pin };
	unsigned int i;
	u32 count;
	int r;

	for (i = 0; i < path->nr; i++) {
		*load = path->block[i];
		r = pdata_sm_get_committed(&md->tm.sm, pin, *load, &count);
		if (r)
			return r;
		if (count != 1)
			return 0;
	}
	r = pdata_sm_data_get(&md->data_sm, &view, pin->data_sm_root, phys, &count, phys_end);
	if (r)
		return r;
	return count == 1;
}

/* Enter what the trees said, unless a snapshot or a change came between. */
static int exclusive_locked(struct thin2_dev *th, u64 unit, u64 end, u32 snap_time,
			    const struct base *b, u64 phys)
{
	u64 eb, ee, value;

	if (th->snap_time != snap_time || !base_holds(th, b))
		return 0;
	if (!pdata_rm_entry(th->rm, unit, &eb, &ee, &value) || pdata_rm_dirty(value) ||
	    !pdata_rm_is_mapped(value) || pdata_rm_phys(value, unit) != phys)
		return 0;
	end = min(end, ee);
	value = pdata_rm_set_state(value, exclusive_state(th));
	th->epoch_used[th->epoch] = true;
	if (pdata_rm_store(th->rm, unit, end, value))
		return 0;	/* no memory to remember it: unshare, which is always right */
	return 1;
}

/*
 * Before anything is pinned: time of the last snapshot, which, other than the
 * epoch, never comes again. False while that snapshot's commit is under way;
 * else what is pinned from here on knows of it.
 */
static bool ask_begin(struct thin2_dev *th, u32 *snap_time)
{
	unsigned long flags;
	bool busy;

	spin_lock_irqsave(&th->lock, flags);
	*snap_time = th->snap_time;
	/* Pairs with the end of a snapshot: what it has published is seen. */
	busy = smp_load_acquire(&th->snap_busy);
	spin_unlock_irqrestore(&th->lock, flags);
	return !busy;
}

int thin2_ask_exclusive(struct thin2_dev *th, u64 unit, u64 *load)
{
	struct pdata_rt_path path;
	struct pdata_range range;
	unsigned long flags;
	u64 phys, phys_end;
	u32 snap_time;
	struct base b;
	int r;

	if (!ask_begin(th, &snap_time))
		return 0;
	pin_base(th, &b);
	r = 0;
	if (READ_ONCE(th->md->drained_gen) < b.pin.generation)
		goto out;
	r = base_lookup(th, &b, unit, &range, &path);
	if (r || range.kind != PDATA_RANGE_MAPPED)
		goto out;
	phys = range.value + (unit - range.begin);
	r = path_is_exclusive(th, &b.pin, &path, phys, &phys_end, load);
	if (r <= 0)
		goto out;
	spin_lock_irqsave(&th->lock, flags);
	r = exclusive_locked(th, unit, min(pdata_range_end(&range), unit + (phys_end - phys)),
			     snap_time, &b, phys);
	spin_unlock_irqrestore(&th->lock, flags);
out:
	pdata_sm_unpin(&th->md->tm.sm, &b.pin);
	return r;
}

bool thin2_surely_shared(struct thin2_dev *th)
{
	return READ_ONCE(th->md->nr_decs) - READ_ONCE(th->own_decs) ==
	       READ_ONCE(th->shared_base);
}

int thin2_try_exclusive(struct thin2_dev *th, u64 unit, u64 limit)
{
	struct thin2_md *md = th->md;
	unsigned int tries;
	u64 load = 0;
	int r = 0;

	if (thin2_surely_shared(th))
		return 0;
	for (tries = 0; tries < PDATA_RT_MAX_DEPTH; tries++) {
		r = thin2_ask_exclusive(th, unit, &load);
		if (r != -PDATA_E_WOULD_SLEEP)
			break;
		thin2_lock(md);
		r = pdata_sm_load(&md->tm.sm, load);
		thin2_unlock(md);
		if (r)
			break;
	}
	/* A checkpoint came between: the answer may be had later, sharing is always right. */
	return r == -PDATA_E_RETRY ? 0 : r;
}

/* ---- walks over the whole map, in steps ---- */

void thin2_dev_sweep(struct thin2_dev *th, unsigned int epoch)
{
	u64 pos = 0, eb, ee, value;
	unsigned long flags;
	unsigned int n;

	while (pos < PDATA_MAX_UNITS) {
		spin_lock_irqsave(&th->lock, flags);
		for (n = 0; n < THIN2_STEP_RANGES && pos < PDATA_MAX_UNITS; n++, pos = ee)
			if (pdata_rm_entry(th->rm, pos, &eb, &ee, &value) &&
			    pdata_rm_state(value) == PDATA_RM_EXCL0 + epoch)
				pdata_rm_flip(th->rm, eb, ee,
					      pdata_rm_set_state(value, PDATA_RM_SHARED));
		spin_unlock_irqrestore(&th->lock, flags);
		cond_resched();
	}
	th->epoch_used[epoch] = false;
}

/* ---- life of a thin in memory ---- */

struct thin2_dev *thin2_dev_create(struct thin2_md *md, const struct thin2_details *d)
{
	struct thin2_dev *th = kzalloc(sizeof(*th), GFP_NOIO);

	if (!th)
		return NULL;
	th->rm = pdata_rm_create();
	if (!th->rm) {
		kfree(th);
		return NULL;
	}
	th->md = md;
	th->id = d->id;
	th->uid = d->uid;
	th->details = *d;
	th->snap_time = d->snap_time;
	th->base_root = d->root;
	th->base_gen = 0;
	th->shared_base = ~0ull;
	spin_lock_init(&th->lock);
	pdata_rm_set_lock(th->rm, &th->lock);
	thin2_delta_list_init(&th->active, 1);
	thin2_delta_list_init(&th->frozen, 2);
	pdata_stream_init(&md->alloc, &th->stream);
	thin2_thins_add(th);
	thin2_cache_add(th);
	return th;
}

bool thin2_dev_is_dirty(struct thin2_dev *th)
{
	return th->active.nr || th->frozen.nr || th->details_dirty;
}

void thin2_dev_destroy(struct thin2_dev *th)
{
	unsigned long flags;
	u64 nr;

	thin2_cache_del(th);
	thin2_thins_del(th);
	pdata_stream_exit(&th->md->alloc, &th->stream);
	spin_lock_irqsave(&th->lock, flags);
	thin2_credits_return(th);
	spin_unlock_irqrestore(&th->lock, flags);
	nr = thin2_delta_list_free(&th->frozen, th->active.first);
	nr += thin2_delta_list_free(&th->active, NULL);
	atomic64_sub(nr, &th->md->nr_dirty);
	kvfree(th->merge.change);
	kvfree(th->merge.dead);
	pdata_rm_destroy(th->rm);
	kfree(th);
}

int thin2_dev_open(struct thin2_md *md, u32 id, struct thin2_dev **result)
{
	struct thin2_details d;
	struct thin2_dev *th;
	int r = 0;

	thin2_lock(md);
	th = thin2_dev_find(md, id);
	if (!th) {
		r = thin2_details_read(md, id, &d);
		if (!r) {
			th = thin2_dev_create(md, &d);
			r = th ? 0 : -ENOMEM;
		}
	}
	if (!r) {
		th->open_count++;
		*result = th;
	}
	thin2_unlock(md);
	return r;
}

void thin2_dev_close(struct thin2_dev *th)
{
	struct thin2_md *md = th->md;

	thin2_lock(md);
	th->open_count--;
	/* One with changes stays until a checkpoint has merged them. */
	if (!th->open_count && !thin2_dev_is_dirty(th))
		thin2_dev_destroy(th);
	thin2_unlock(md);
}
