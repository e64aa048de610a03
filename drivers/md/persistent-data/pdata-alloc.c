// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocator of data units: groups, quarantine and streams.
 *
 * A set bit of a group's bitmap is a unit that is not free: in use, reserved
 * by a stream, handed out or quarantined. Whoever owns the unit clears it, in
 * any context, without memory and without failing.
 *
 * The counters are what an allocation that finds nothing decides by, so units
 * on their way are counted twice rather than not at all: added where they go
 * before they are taken off where they come from.
 *
 * Lock order: load_lock; stream_lock, a stream's lock, a group's lock.
 */
#include "pdata-alloc.h"

/* Runs looked at in one group before the longest of them is taken. */
#define ALLOC_MAX_RUNS		256u
/* Groups loaded in vain before fragments are used instead of loading more. */
#define ALLOC_MAX_BARREN	8u
/* Groups without a free unit that one pdata_alloc_load() goes through. */
#define ALLOC_MAX_LOADS		64u
/* 2^32 / golden ratio: multiples of it, mod 2^32, keep away from each other. */
#define ALLOC_SPREAD		2654435769u

struct alloc_group {
	spinlock_t lock;	/* guards all below */
	u64 begin;		/* constant */
	u32 run;		/* length and alignment of a whole run */
	u32 units;		/* grows; bits behind it are set */
	u32 free;		/* clear bits */
	u32 hint;		/* where the search for fragments goes on */
	bool no_whole;		/* there is no whole run */
	unsigned long *map;
};

/* In the place of a group that need not be loaded, as none of it is free. */
static struct alloc_group full_group;

struct pdata_alloc_table {
	struct pdata_alloc_table *older;	/* replaced, may still have readers */
	u64 max;
	struct alloc_group *group[];
};

/* ---- groups ---- */

/*
 * A reader may see a table that is just being replaced. It then misses groups
 * loaded meanwhile, but none that a unit it owns belongs to: such a group was
 * in the table before the reader came.
 */
static struct alloc_group *group_get(struct pdata_alloc *a, u64 index)
{
	struct pdata_alloc_table *table;
	struct alloc_group *g;

	/* A number of groups is published behind a table that has room for them. */
	if (index >= smp_load_acquire(&a->nr_groups))
		return NULL;
	/* Pairs with table_grow(): what was copied into the table. */
	table = smp_load_acquire(&a->table);
	/* Pairs with group_load(): the group's content. */
	g = smp_load_acquire(&table->group[index]);
	return g == &full_group ? NULL : g;
}

static bool group_has_run(const struct alloc_group *g, u32 pos)
{
	return find_next_bit(g->map, pos + g->run, pos) >= pos + g->run;
}

static void group_set(struct pdata_alloc *a, struct alloc_group *g, u32 pos, u32 n)
{
	lockdep_assert_held(&g->lock);
	bitmap_set(g->map, pos, n);
	WRITE_ONCE(g->free, g->free - n);
	atomic64_sub(n, &a->free);
}

static void group_clear(struct pdata_alloc *a, struct alloc_group *g, u32 pos, u32 n)
{
	u32 c;

	lockdep_assert_held(&g->lock);
	bitmap_clear(g->map, pos, n);
	WRITE_ONCE(g->free, g->free + n);
	atomic64_add(n, &a->free);
	/* Only the first and the last run touched can be less than whole. */
	for (c = round_down(pos, g->run); g->no_whole && c < pos + n; c += g->run)
		if (group_has_run(g, c)) {
			WRITE_ONCE(g->no_whole, false);
			WRITE_ONCE(a->no_whole, false);
		}
}

/* Set what is clear in [pos, +n). Returns how much that was. */
static u32 group_fill(struct pdata_alloc *a, struct alloc_group *g, u32 pos, u32 n)
{
	const u32 end = pos + n;
	u32 stop, sum = 0;

	for (;;) {
		pos = find_next_zero_bit(g->map, end, pos);
		if (pos >= end)
			return sum;
		stop = find_next_bit(g->map, end, pos);
		group_set(a, g, pos, stop - pos);
		sum += stop - pos;
		pos = stop;
	}
}

/* Clear what is set in [pos, +n). Returns how much that was. */
static u32 group_drain(struct pdata_alloc *a, struct alloc_group *g, u32 pos, u32 n)
{
	const u32 end = pos + n;
	u32 stop, sum = 0;

	for (;;) {
		pos = find_next_bit(g->map, end, pos);
		if (pos >= end)
			return sum;
		stop = find_next_zero_bit(g->map, end, pos);
		group_clear(a, g, pos, stop - pos);
		sum += stop - pos;
		pos = stop;
	}
}

/*
 * Do the above for [begin, +len), whose groups are loaded. Returns the number
 * of units whose state has changed.
 */
static u64 units_change(struct pdata_alloc *a, u64 begin, u64 len,
			u32 (*change)(struct pdata_alloc *a, struct alloc_group *g,
				      u32 pos, u32 n))
{
	struct alloc_group *g;
	unsigned long flags;
	u64 pos, n, sum = 0;

	for (; len; begin += n, len -= n) {
		pos = begin & (a->group_units - 1);
		n = min(len, a->group_units - pos);
		g = group_get(a, begin / a->group_units);
		if (!g)
			continue;
		spin_lock_irqsave(&g->lock, flags);
		if (pos + n <= g->units)
			sum += change(a, g, pos, n);
		spin_unlock_irqrestore(&g->lock, flags);
	}
	return sum;
}

/*
 * Units in someone's hands become free. If they were not in his hands, two
 * owners may have written to them: nothing can be done here but to say so.
 */
static void units_free(struct pdata_alloc *a, u64 begin, u64 len)
{
	const u64 n = units_change(a, begin, len, group_drain);

	if (n != len)
		pdata_err_limit("%s: data units [%llu, +%llu): %llu freed twice",
				a->tm->bm->name, begin, len, len - n);
}

void pdata_alloc_put(struct pdata_alloc *a, u64 begin, u64 len)
{
	units_free(a, begin, len);
}

static int range_check(struct pdata_alloc *a, u64 begin, u64 len)
{
	const u64 nr_units = READ_ONCE(a->nr_units);

	return begin > nr_units || len > nr_units - begin ? -PDATA_E_OUT_OF_RANGE : 0;
}

/* ---- loading ---- */

static u64 group_size(const struct pdata_alloc *a, u64 index, u64 nr_units)
{
	return min(a->group_units, nr_units - index * a->group_units);
}

static void group_free(struct alloc_group *g)
{
	if (!g || g == &full_group)
		return;
	kvfree(g->map);
	kfree(g);
}

static struct alloc_group *group_new(const struct pdata_alloc *a, u64 index)
{
	struct alloc_group *g = kzalloc(sizeof(*g), GFP_NOIO);

	if (!g)
		return NULL;
	g->map = kvcalloc(BITS_TO_LONGS(a->group_units), sizeof(long), GFP_NOIO);
	if (!g->map) {
		kfree(g);
		return NULL;
	}
	spin_lock_init(&g->lock);
	g->begin = index * a->group_units;
	g->run = a->run_units;
	g->units = group_size(a, index, a->nr_units);
	bitmap_set(g->map, g->units, a->group_units - g->units);
	return g;
}

/* Units [begin, end) are in use, as far as they are in a group being loaded. */
static void load_mark(struct alloc_group *g, u64 begin, u64 end)
{
	begin = max(begin, g->begin);
	end = min(end, g->begin + g->units);
	if (begin < end)
		bitmap_set(g->map, begin - g->begin, end - begin);
}

static int load_range(void *context, const struct pdata_range *r)
{
	load_mark(context, r->begin, pdata_range_end(r));
	return 0;
}

/* What cannot be read counts as in use until repair (invariant 11). */
static int load_node(void *context, u64 block, unsigned int level, u64 lo, u64 hi, int err)
{
	if (!err)
		return 0;
	if (err == -ENOMEM)
		return err;
	load_mark(context, lo, hi);
	pdata_err_limit("data space map block %llu: %s: units [%llu, %llu) count as in use",
			block, pdata_error_text(err), lo, hi);
	return 0;
}

static int group_read(struct pdata_alloc *a, struct alloc_group *g)
{
	struct pdata_pin pin;
	const struct pdata_view v = { .tm = a->tm, .pin = &pin };
	int r;

	pdata_sm_pin(&a->tm->sm, &pin);
	r = pdata_rt_walk(&a->sm->rt, &v, pin.data_sm_root, g->begin, g->begin + g->units,
			  load_node, load_range, g);
	pdata_sm_unpin(&a->tm->sm, &pin);
	return r;
}

/* How much of the groups not loaded is free is an estimate; none is left at the end. */
static void load_account(struct pdata_alloc *a, u64 found)
{
	const u64 before = atomic64_read(&a->unloaded);
	const u64 room = (a->nr_groups - a->nr_loaded) * a->group_units;
	const u64 after = min(before - min(before, found), room);

	atomic64_add(found + after - before, &a->free);
	atomic64_set(&a->unloaded, after);
}

static int group_load(struct pdata_alloc *a, u64 index)
{
	struct alloc_group *g;
	bool whole = false;
	u32 pos, found;
	int r;

	lockdep_assert_held(&a->load_lock);
	if (group_get(a, index))
		return 0;
	g = group_new(a, index);
	if (!g)
		return -ENOMEM;
	r = group_read(a, g);
	if (r) {
		group_free(g);
		return r;
	}
	found = a->group_units - bitmap_weight(g->map, a->group_units);
	g->free = found;
	for (pos = 0; !whole && pos < g->units; pos += g->run)
		whole = group_has_run(g, pos);
	g->no_whole = !whole;
	if (whole)
		WRITE_ONCE(a->no_whole, false);
	WRITE_ONCE(a->barren, whole ? 0 : a->barren + 1);

	if (!a->table->group[index])
		a->nr_loaded++;
	WRITE_ONCE(a->nr_maps, a->nr_maps + 1);
	/* Pairs with group_get(). */
	smp_store_release(&a->table->group[index], g);
	load_account(a, found);
	return 0;
}

/*
 * Groups from @index on that lie within one extent in use are not loaded: a large
 * pool may be full of them, and they would take memory.
 */
static void skip_full(struct pdata_alloc *a, u64 index)
{
	struct pdata_pin pin;
	const struct pdata_view v = { .tm = a->tm, .pin = &pin };
	const u64 nr_units = a->nr_units;
	struct pdata_range range;
	int r;

	lockdep_assert_held(&a->load_lock);
	pdata_sm_pin(&a->tm->sm, &pin);
	r = pdata_rt_lookup(&a->sm->rt, &v, pin.data_sm_root, index * a->group_units, &range,
			    NULL);
	pdata_sm_unpin(&a->tm->sm, &pin);
	/* What cannot be read is for group_load(). */
	if (r)
		return;
	for (; index < a->nr_groups; index++) {
		if (index * a->group_units + group_size(a, index, nr_units) >
		    pdata_range_end(&range))
			break;
		if (a->table->group[index])
			continue;
		WRITE_ONCE(a->table->group[index], &full_group);
		a->nr_loaded++;
		load_account(a, 0);
	}
}

int pdata_alloc_load(struct pdata_alloc *a)
{
	int r = -PDATA_E_NOT_FOUND;
	unsigned int n;

	mutex_lock(&a->load_lock);
	for (n = 0; n < ALLOC_MAX_LOADS && a->load_next < a->nr_groups; a->load_next++) {
		if (!a->table->group[a->load_next])
			skip_full(a, a->load_next);
		if (a->table->group[a->load_next])
			continue;
		r = group_load(a, a->load_next);
		if (r || READ_ONCE(a->table->group[a->load_next]->free))
			break;
		n++;
	}
	mutex_unlock(&a->load_lock);
	return r;
}

int pdata_alloc_load_range(struct pdata_alloc *a, u64 begin, u64 len)
{
	u64 index, last;
	int r;

	r = range_check(a, begin, len);
	if (r || !len)
		return r;
	last = (begin + len - 1) / a->group_units;
	for (index = begin / a->group_units; !r && index <= last; index++) {
		if (group_get(a, index))
			continue;
		mutex_lock(&a->load_lock);
		r = group_load(a, index);
		mutex_unlock(&a->load_lock);
	}
	return r;
}

int pdata_alloc_take(struct pdata_alloc *a, u64 begin, u64 len)
{
	int r = pdata_alloc_load_range(a, begin, len);

	if (!r)
		units_change(a, begin, len, group_fill);
	return r;
}

/* ---- life ---- */

static struct pdata_alloc_table *table_new(u64 nr_groups)
{
	/* Twice as large each time: all those replaced take no more than the last. */
	const u64 max = roundup_pow_of_two(nr_groups | 1);
	struct pdata_alloc_table *table;

	if (max > S32_MAX / sizeof(table->group[0]))
		return NULL;
	table = kvzalloc(struct_size(table, group, max), GFP_NOIO);
	if (table)
		table->max = max;
	return table;
}

int pdata_alloc_init(struct pdata_alloc *a, struct pdata_tm *tm,
		     const struct pdata_sm_data *sm, u64 nr_units, u64 group_units)
{
	u64 free;

	if (!is_power_of_2(group_units) || group_units < 64 || group_units > (1u << 30) ||
	    nr_units > PDATA_MAX_UNITS)
		return -EINVAL;
	memset(a, 0, sizeof(*a));
	a->tm = tm;
	a->sm = sm;
	a->group_units = group_units;
	a->run_units = min_t(u64, group_units, PDATA_RUN_UNITS);
	a->nr_units = nr_units;
	a->nr_groups = DIV_ROUND_UP(nr_units, group_units);
	a->table = table_new(a->nr_groups);
	if (!a->table)
		return -ENOMEM;
	mutex_init(&a->load_lock);
	spin_lock_init(&a->stream_lock);
	INIT_LIST_HEAD(&a->streams);
	INIT_LIST_HEAD(&a->pending);
	free = nr_units - min(nr_units, sm->used);
	atomic64_set(&a->free, free);
	atomic64_set(&a->unloaded, free);
	atomic64_set(&a->reserved, 0);
	atomic64_set(&a->quarantined, 0);
	atomic_set(&a->spread, 0);
	return 0;
}

static void freed_drop(struct pdata_freed *f)
{
	list_del(&f->list);
	kfree(f);
}

void pdata_alloc_exit(struct pdata_alloc *a)
{
	struct pdata_alloc_table *table = a->table, *older;
	struct pdata_freed *f, *next;
	u64 i;

	if (!table)
		return;
	list_for_each_entry_safe(f, next, &a->pending, list)
		freed_drop(f);
	for (i = 0; i < a->nr_groups; i++)
		group_free(table->group[i]);
	for (; table; table = older) {
		older = table->older;
		kvfree(table);
	}
	a->table = NULL;
	mutex_destroy(&a->load_lock);
}

/* A table with room for @nr_groups; readers go on with the one they have. */
static int table_grow(struct pdata_alloc *a, u64 nr_groups)
{
	struct pdata_alloc_table *table;

	lockdep_assert_held(&a->load_lock);
	if (nr_groups <= a->table->max)
		return 0;
	table = table_new(nr_groups);
	if (!table)
		return -ENOMEM;
	memcpy(table->group, a->table->group, a->nr_groups * sizeof(table->group[0]));
	table->older = a->table;
	/* Pairs with group_get(). */
	smp_store_release(&a->table, table);
	return 0;
}

/* The last group so far becomes larger. Returns what it got, 0 if it is not loaded. */
static u32 last_group_grow(struct pdata_alloc *a, u64 nr_units)
{
	const u64 index = a->nr_units / a->group_units;
	struct alloc_group *g = group_get(a, index);
	unsigned long flags;
	u32 units, n;

	if (!g) {
		/* If it was full, it will not be. */
		if (index < a->nr_groups && a->table->group[index]) {
			WRITE_ONCE(a->table->group[index], NULL);
			a->nr_loaded--;
			a->load_next = min(a->load_next, index);
		}
		return 0;
	}
	units = group_size(a, index, nr_units);
	spin_lock_irqsave(&g->lock, flags);
	n = units - g->units;
	group_clear(a, g, g->units, n);
	WRITE_ONCE(g->units, units);
	spin_unlock_irqrestore(&g->lock, flags);
	return n;
}

int pdata_alloc_grow(struct pdata_alloc *a, u64 nr_units)
{
	const u64 nr_groups = DIV_ROUND_UP(nr_units, a->group_units);
	u64 rest;
	int r = 0;

	if (nr_units > PDATA_MAX_UNITS)
		return -PDATA_E_LIMIT;
	mutex_lock(&a->load_lock);
	if (nr_units < a->nr_units)
		r = -PDATA_E_SHRUNK;
	else
		r = table_grow(a, nr_groups);
	if (!r) {
		rest = nr_units - a->nr_units;
		rest -= last_group_grow(a, nr_units);
		WRITE_ONCE(a->nr_units, nr_units);
		atomic64_add(rest, &a->free);
		atomic64_add(rest, &a->unloaded);
		/* Pairs with group_get(): the table comes first. */
		smp_store_release(&a->nr_groups, nr_groups);
	}
	mutex_unlock(&a->load_lock);
	return r;
}

u64 pdata_alloc_free(struct pdata_alloc *a)
{
	const u64 reserved = atomic64_read(&a->reserved);

	/*
	 * Units go back into free before they leave reserved, so that reading
	 * in reverse sees them. On their way out they may be missed.
	 */
	smp_rmb();
	return reserved + atomic64_read(&a->free);
}

/* ---- quarantine ---- */

/*
 * What goes into quarantine must not be handed out meanwhile. If it is free in
 * a group, somebody gave back a unit that had been recorded: take it again.
 */
static void quarantine_hold(struct pdata_alloc *a, u64 begin, u64 len)
{
	const u64 n = units_change(a, begin, len, group_fill);

	if (n)
		pdata_err_limit("%s: data units [%llu, +%llu): %llu were free too early",
				a->tm->bm->name, begin, len, n);
}

int pdata_alloc_quarantine(struct pdata_alloc *a, u64 begin, u64 len)
{
	struct pdata_freed *f;
	int r;

	r = pdata_alloc_load_range(a, begin, len);
	if (r || !len)
		return r;
	if (!list_empty(&a->pending)) {
		f = list_last_entry(&a->pending, struct pdata_freed, list);
		if (f->begin + f->len == begin || begin + len == f->begin) {
			f->begin = min(f->begin, begin);
			f->len += len;
			goto out;
		}
	}
	f = kmalloc(sizeof(*f), GFP_NOIO);
	if (!f)
		return -ENOMEM;
	f->begin = begin;
	f->len = len;
	list_add_tail(&f->list, &a->pending);
out:
	atomic64_add(len, &a->quarantined);
	quarantine_hold(a, begin, len);
	return 0;
}

void pdata_alloc_seal(struct pdata_alloc *a, struct list_head *batch)
{
	list_splice_tail_init(&a->pending, batch);
}

void pdata_alloc_release(struct pdata_alloc *a, struct list_head *batch)
{
	struct pdata_freed *f, *next;

	list_for_each_entry_safe(f, next, batch, list) {
		units_free(a, f->begin, f->len);
		/* Fully ordered: free has them before the quarantine has lost them. */
		atomic64_sub_return(f->len, &a->quarantined);
		freed_drop(f);
	}
}

/* ---- streams ---- */

void pdata_stream_init(struct pdata_alloc *a, struct pdata_stream *s)
{
	unsigned long flags;

	spin_lock_init(&s->lock);
	s->begin = U64_MAX;	/* behind no extent */
	s->len = 0;
	spin_lock_irqsave(&a->stream_lock, flags);
	s->group = a->cursor++;
	list_add_tail(&s->list, &a->streams);
	WRITE_ONCE(a->nr_streams, a->nr_streams + 1);
	spin_unlock_irqrestore(&a->stream_lock, flags);
}

/* Give a stream's reserve back; it goes on at the same place if it can. */
static u64 stream_drop(struct pdata_alloc *a, struct pdata_stream *s)
{
	const u64 n = s->len;

	lockdep_assert_held(&s->lock);
	if (!n)
		return 0;
	units_free(a, s->begin, n);
	s->len = 0;
	atomic64_sub_return(n, &a->reserved);
	return n;
}

void pdata_stream_exit(struct pdata_alloc *a, struct pdata_stream *s)
{
	unsigned long flags;

	spin_lock_irqsave(&a->stream_lock, flags);
	list_del_init(&s->list);
	WRITE_ONCE(a->nr_streams, a->nr_streams - 1);
	spin_lock(&s->lock);
	stream_drop(a, s);
	spin_unlock(&s->lock);
	spin_unlock_irqrestore(&a->stream_lock, flags);
}

/* Have all streams give back what they reserve. Returns how much that was. */
static u64 streams_call_in(struct pdata_alloc *a)
{
	struct pdata_stream *s;
	unsigned long flags;
	u64 sum = 0;

	if (!atomic64_read(&a->reserved))
		return 0;
	spin_lock_irqsave(&a->stream_lock, flags);
	list_for_each_entry(s, &a->streams, list) {
		spin_lock(&s->lock);
		sum += stream_drop(a, s);
		spin_unlock(&s->lock);
	}
	spin_unlock_irqrestore(&a->stream_lock, flags);
	return sum;
}

/* Units to take at once: less when all streams together would empty the pool. */
static u32 stream_share(struct pdata_alloc *a, u64 want)
{
	const u64 most = READ_ONCE(a->run_units);
	const u64 streams = max(READ_ONCE(a->nr_streams), 1u);
	const u64 share = (u64)atomic64_read(&a->free) / (4 * streams);

	return clamp_t(u64, share, min(want, most), most);
}

/* Move [pos, +n) of a group into @s's reserve, behind what it has. */
static void stream_take(struct pdata_alloc *a, struct pdata_stream *s,
			struct alloc_group *g, u32 pos, u32 n)
{
	atomic64_add_return(n, &a->reserved);
	group_set(a, g, pos, n);
	if (!s->len)
		s->begin = g->begin + pos;
	s->len += n;
	s->group = g->begin / a->group_units;
}

/* Extend the reserve by what is free right behind it. */
static void stream_continue(struct pdata_alloc *a, struct pdata_stream *s, u64 want)
{
	const u64 begin = s->begin + s->len;
	struct alloc_group *g = group_get(a, begin / a->group_units);
	u64 pos, end;

	if (!g || !READ_ONCE(g->free))
		return;
	spin_lock(&g->lock);
	pos = begin - g->begin;
	end = min_t(u64, pos + min(want, a->group_units), g->units);
	if (stream_share(a, want) >= g->run)
		end = min_t(u64, round_up(end, g->run), g->units);
	if (pos < end) {
		end = find_next_bit(g->map, end, pos);
		if (pos < end)
			stream_take(a, s, g, pos, end - pos);
	}
	spin_unlock(&g->lock);
}

/*
 * A whole free run. The search starts in another place each time, so that
 * streams keep away from each other and can continue for long.
 */
static u32 find_whole(struct pdata_alloc *a, struct alloc_group *g, u32 *len)
{
	const u32 nr = DIV_ROUND_UP(g->units, g->run);
	const u32 start = (u32)atomic_inc_return(&a->spread) * ALLOC_SPREAD;
	u32 i, pos, c = (u64)start * nr >> 32;

	for (i = 0; i < nr; i++, c++) {
		pos = (c < nr ? c : c - nr) * g->run;
		if (group_has_run(g, pos)) {
			*len = g->run;
			return pos;
		}
	}
	WRITE_ONCE(g->no_whole, true);
	*len = 0;
	return 0;
}

/* The first run of @want units behind the hint, or the longest of some. */
static u32 find_fragment(struct alloc_group *g, u32 want, u32 *len)
{
	u32 pos = g->hint, begin, end, best = 0, i;
	bool wrapped = false;

	*len = 0;
	for (i = 0; i < ALLOC_MAX_RUNS && *len < want; i++) {
		begin = find_next_zero_bit(g->map, g->units, pos);
		if (begin >= g->units) {
			if (wrapped)
				break;
			wrapped = true;
			pos = 0;
			continue;
		}
		end = find_next_bit(g->map, min_t(u64, (u64)begin + want, g->units), begin);
		if (end - begin > *len) {
			*len = end - begin;
			best = begin;
		}
		pos = end;
	}
	g->hint = pos;
	return best;
}

/*
 * Refill @s, which is empty, from a loaded group with at least @min free units,
 * with a whole run or with any.
 */
static bool stream_refill(struct pdata_alloc *a, struct pdata_stream *s, u32 share,
			  u64 min, bool whole)
{
	const u64 nr = READ_ONCE(a->nr_groups);	/* group_get() checks */
	struct alloc_group *g;
	u64 i, index = s->group;
	u32 pos, len;

	for (i = 0; i < nr; i++, index++) {
		if (index >= nr)
			index %= nr;
		g = group_get(a, index);
		if (!g || READ_ONCE(g->free) < min || (whole && READ_ONCE(g->no_whole)))
			continue;
		spin_lock(&g->lock);
		pos = whole ? find_whole(a, g, &len) : find_fragment(g, share, &len);
		len = min(len, share);
		if (len)
			stream_take(a, s, g, pos, len);
		spin_unlock(&g->lock);
		if (len)
			return true;
	}
	return false;
}

static bool stream_refill_whole(struct pdata_alloc *a, struct pdata_stream *s, u32 share)
{
	/* First, so that a run which becomes free meanwhile is not forgotten. */
	WRITE_ONCE(a->no_whole, true);
	if (!stream_refill(a, s, share, READ_ONCE(a->run_units), true))
		return false;
	WRITE_ONCE(a->no_whole, false);
	return true;
}

/*
 * Something new for an empty stream: a whole run; what loading another group
 * may bring; fragments of groups that are not nearly full; anything.
 */
static int stream_find(struct pdata_alloc *a, struct pdata_stream *s, u64 want)
{
	const u32 share = stream_share(a, want);
	u64 unloaded;

	if (stream_refill_whole(a, s, share))
		return 0;
	unloaded = atomic64_read(&a->unloaded);
	if (unloaded >= READ_ONCE(a->run_units) && READ_ONCE(a->barren) < ALLOC_MAX_BARREN)
		return -PDATA_E_WOULD_SLEEP;
	if (stream_refill(a, s, share, a->group_units / 16, false) ||
	    stream_refill(a, s, share, 1, false))
		return 0;
	return unloaded ? -PDATA_E_WOULD_SLEEP : -PDATA_E_DATA_NOSPC;
}

static int stream_get(struct pdata_alloc *a, struct pdata_stream *s, u64 want,
		      u64 *begin, u64 *len)
{
	int r = 0;

	spin_lock(&s->lock);
	if (s->len < want)
		stream_continue(a, s, want - s->len);
	if (!s->len) {
		r = stream_find(a, s, want);
		if (!r && s->len < want)
			stream_continue(a, s, want - s->len);
	}
	if (!r) {
		*begin = s->begin;
		*len = min(want, s->len);
		s->begin += *len;
		s->len -= *len;
		atomic64_sub(*len, &a->reserved);
	}
	spin_unlock(&s->lock);
	return r;
}

/* Give the first @n units of the reserve back. */
static void stream_skip(struct pdata_alloc *a, struct pdata_stream *s, u64 n)
{
	lockdep_assert_held(&s->lock);
	if (!n)
		return;
	units_free(a, s->begin, n);
	s->begin += n;
	s->len -= n;
	atomic64_sub_return(n, &a->reserved);
}

/* Have the reserve begin with an aligned chunk, from what it has or a whole run. */
static bool stream_align(struct pdata_alloc *a, struct pdata_stream *s, u32 chunk)
{
	const u32 share = stream_share(a, chunk);
	unsigned int tries;

	for (tries = 0; tries < 2; tries++) {
		stream_skip(a, s, min_t(u64, roundup(s->begin, chunk) - s->begin, s->len));
		if (s->len < chunk && !(s->begin % chunk))
			stream_continue(a, s, chunk - s->len);
		if (s->len >= chunk && !(s->begin % chunk))
			return true;
		stream_skip(a, s, s->len);
		if (share < chunk || READ_ONCE(a->no_whole) || !stream_refill_whole(a, s, share))
			return false;
	}
	return false;
}

u64 pdata_alloc_get_chunk(struct pdata_alloc *a, struct pdata_stream *s, u32 chunk, u32 offset,
			  u64 want, u64 *begin)
{
	u64 len = 0;

	spin_lock(&s->lock);
	if (stream_align(a, s, chunk)) {
		stream_skip(a, s, offset);
		*begin = s->begin;
		len = min_t(u64, want, chunk - offset);
		s->begin += len;
		s->len -= len;
		atomic64_sub(len, &a->reserved);
		stream_skip(a, s, chunk - offset - len);
	}
	spin_unlock(&s->lock);
	return len;
}

u64 pdata_alloc_get_at(struct pdata_alloc *a, u64 begin, u64 want)
{
	struct alloc_group *g = group_get(a, begin / a->group_units);
	const u64 pos = begin & (a->group_units - 1);
	u64 end = 0;

	/* Mostly taken, if it is: spare the lock. */
	if (!g || test_bit(pos, g->map))
		return 0;
	spin_lock(&g->lock);
	if (pos < g->units && !test_bit(pos, g->map)) {
		end = find_next_bit(g->map, min_t(u64, pos + want, g->units), pos);
		group_set(a, g, pos, end - pos);
	}
	spin_unlock(&g->lock);
	return end ? end - pos : 0;
}

void pdata_alloc_set_run(struct pdata_alloc *a, u32 units)
{
	struct alloc_group *g;
	unsigned long flags;
	u64 i;

	units = min_t(u64, units, a->group_units);
	mutex_lock(&a->load_lock);
	WRITE_ONCE(a->run_units, units);
	for (i = 0; i < a->nr_groups; i++) {
		g = group_get(a, i);
		if (!g || g->run == units)
			continue;
		spin_lock_irqsave(&g->lock, flags);
		g->run = units;
		WRITE_ONCE(g->no_whole, false);
		spin_unlock_irqrestore(&g->lock, flags);
		cond_resched();
	}
	WRITE_ONCE(a->no_whole, false);
	mutex_unlock(&a->load_lock);
}

int pdata_alloc_get(struct pdata_alloc *a, struct pdata_stream *s, u64 want,
		    u64 *begin, u64 *len)
{
	unsigned int tries = 3;
	u64 quarantined;
	int r;

	want = max_t(u64, want, 1);
	do {
		r = stream_get(a, s, want, begin, len);
	} while (r == -PDATA_E_DATA_NOSPC && --tries && streams_call_in(a));
	if (r != -PDATA_E_DATA_NOSPC)
		return r;
	quarantined = atomic64_read(&a->quarantined);
	/*
	 * Units may have moved while we looked for them: from the quarantine to
	 * the groups (pairs with atomic64_sub_return() in pdata_alloc_release()),
	 * between those and the streams' reserves.
	 */
	smp_rmb();
	if (quarantined || atomic64_read(&a->free) || pdata_alloc_free(a))
		return -PDATA_E_RETRY;
	return -PDATA_E_DATA_NOSPC;
}
