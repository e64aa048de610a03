// SPDX-License-Identifier: GPL-2.0-only
/*
 * Range map of a thin: a maple tree, read under RCU.
 *
 * Flags: USE_RCU for lookups without a lock, LOCK_EXTERN because writers hold
 * the thin's irq-safe lock. ALLOC_RANGE has nothing to do with allocating
 * ranges here: without it, freeing a large part of a tree that is in RCU mode
 * makes the library walk off a node (6.1 to 7.2 at least).
 *
 * Writers
 *
 * Stores never sleep: mas_store() tries GFP_NOWAIT once and reports -ENOMEM
 * before it has changed anything. Not mas_store_gfp(): up to 6.12 that tries
 * again as long as it got part of its nodes, which with GFP_NOWAIT and a
 * spinlock held may take for ever.
 *
 * Readers
 *
 * In RCU mode the library still changes leaves in place where a store only
 * replaces one entry or moves the border between two. A reader takes border
 * and value one after the other. With one store between the two it gets the
 * value from before or after that store, both of which are true of its unit.
 * Between two stores it may combine a border from before the first with a
 * value from the second, that never was true of its unit. So every store
 * counts up, and a reader that saw the count change looks again. It never
 * waits for a store to end.
 */
#include "dm-thin2-kver.h"
#include "persistent-data/pdata-range-map.h"

#include <linux/maple_tree.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/xarray.h>

#define RM_STEP		1024u	/* entries destroy() takes at a time */
#define RM_WALK		16u	/* neighbours a lookup looks at */
#define RM_END		U64_MAX	/* beyond any unit */

struct pdata_range_map {
	struct maple_tree mt;
	spinlock_t *lock;	/* what writers hold, if known */
	struct maple_alloc *reserve;	/* nodes in hand; written under the lock */
	unsigned int stores;	/* begun so far; written under the lock */
	u64 count;		/* entries; written under the lock */
};

struct pdata_range_map *pdata_rm_create(void)
{
	struct pdata_range_map *rm = kzalloc(sizeof(*rm), GFP_NOIO);

	if (!rm)
		return NULL;
	mt_init_flags(&rm->mt, MT_FLAGS_USE_RCU | MT_FLAGS_ALLOC_RANGE |
			       MT_FLAGS_LOCK_EXTERN);
	return rm;
}

void pdata_rm_set_lock(struct pdata_range_map *rm, spinlock_t *lock)
{
	rm->lock = lock;
	mt_set_external_lock(&rm->mt, lock);
}

/* ---- readers ---- */

/* The entry at a unit, NULL in a gap, and the last unit of entry or gap. */
static void *probe(struct pdata_range_map *rm, u64 unit, u64 *last)
{
	MA_STATE(mas, &rm->mt, unit, unit);
	unsigned int stores;
	void *entry;

	for (;;) {
		/* the count before what the walk reads */
		stores = smp_load_acquire(&rm->stores);
		entry = mas_walk(&mas);
		smp_rmb();	/* that before the count again */
		if (likely(READ_ONCE(rm->stores) == stores))
			break;
		mas_set(&mas, unit);
	}
	*last = mas.last;
	return entry;
}

bool pdata_rm_lookup(struct pdata_range_map *rm, u64 unit, u64 limit, u64 *value, u64 *end)
{
	unsigned int i;
	void *entry;
	u64 last;

	rcu_read_lock();
	entry = probe(rm, unit, &last);
	for (i = 0; entry && last < limit - 1 && i < RM_WALK; i++) {
		u64 next;

		if (probe(rm, last + 1, &next) != entry)
			break;
		last = next;
	}
	rcu_read_unlock();

	*end = min(last, limit - 1) + 1;
	if (!entry)
		return false;
	*value = xa_to_value(entry);
	return true;
}

u64 pdata_rm_count(struct pdata_range_map *rm)
{
	return READ_ONCE(rm->count);
}

/* ---- under the lock ---- */

bool pdata_rm_entry(struct pdata_range_map *rm, u64 unit, u64 *begin, u64 *end, u64 *value)
{
	MA_STATE(mas, &rm->mt, unit, unit);
	void *entry = mas_walk(&mas);

	*begin = mas.index;
	*end = mas.last == ULONG_MAX ? RM_END : mas.last + 1;
	if (!entry)
		return false;
	*value = xa_to_value(entry);
	return true;
}

u64 pdata_rm_bound(struct pdata_range_map *rm, u64 begin, u64 end, unsigned int nr)
{
	MA_STATE(mas, &rm->mt, begin, begin);
	unsigned int i;
	u64 bound = begin;

	for (i = 0; i < nr; i++) {
		if (!mas_find(&mas, end - 1) || mas.last >= end - 1)
			return end;
		bound = mas.last + 1;
	}
	return bound;
}

#if THIN2_MAPLE_BULK_IRQS
/*
 * A completion that comes in while a store has its interrupts on would wait
 * for this lock for ever. So a store is given as many nodes as it may need, in
 * the maple state's own list, and never finds that it has to ask for more.
 *
 * The library's nodes come from a cache of its own. One can be had without the
 * bulk allocation: it is all that the first store into an empty tree takes.
 */
static struct maple_alloc *node_alloc(struct pdata_range_map *rm, struct maple_tree *one)
{
	MA_STATE(mas, one, 1, 1);

	mt_init_flags(one, MT_FLAGS_LOCK_EXTERN);
	if (rm->lock)
		mt_set_external_lock(one, rm->lock);
	mas_store(&mas, xa_mk_value(1));
	if (xa_err(mas.node))
		return NULL;
	return (void *)((unsigned long)one->ma_root & ~MAPLE_NODE_MASK);
}

static bool reserve_fill(struct pdata_range_map *rm)
{
	unsigned int height = (rm->mt.ma_flags & MT_FLAGS_HEIGHT_MASK) >> MT_FLAGS_HEIGHT_OFFSET;
	unsigned int need = 3 * height + 4;	/* the library's bounds, and one level more */
	struct maple_alloc *head = rm->reserve, *node;
	struct maple_tree one;

	while (!head || head->total < need) {
		node = node_alloc(rm, &one);
		if (!node)
			break;
		memset(node, 0, sizeof(*node));
		if (head && head->node_count < MAPLE_ALLOC_SLOTS) {
			head->slot[head->node_count++] = node;
			head->total++;
			continue;
		}
		node->total = 1;
		if (head) {
			node->total += head->total;
			node->slot[node->node_count++] = head;
		}
		head = node;
	}
	rm->reserve = head;
	return head && head->total >= need;
}

static int mas_store_atomic(struct pdata_range_map *rm, struct ma_state *mas, void *entry)
{
	mas->alloc = rm->reserve;
	mas_store(mas, entry);
	rm->reserve = mas->alloc;
	return xa_err(mas->node);
}

static void reserve_free(struct pdata_range_map *rm)
{
	MA_STATE(mas, &rm->mt, 0, 0);

	mas.alloc = rm->reserve;
	mas_destroy(&mas);
}
#else
static bool reserve_fill(struct pdata_range_map *rm)
{
	return true;
}

static int mas_store_atomic(struct pdata_range_map *rm, struct ma_state *mas, void *entry)
{
	int r;

	mas_store(mas, entry);
	r = xa_err(mas->node);
	mas_destroy(mas);	/* nodes that were not needed, or not enough */
	return r;
}

static void reserve_free(struct pdata_range_map *rm)
{
}
#endif

/*
 * Point @mas at [begin, end). If it has just walked to a range that holds all
 * of it, it need not walk there again; but that is not so in a tree without
 * nodes, which has no other ranges than such as end at ULONG_MAX or begin at 0.
 */
static void narrow(struct ma_state *mas, u64 begin, u64 end)
{
	if (mas->index && mas->last != ULONG_MAX) {
		mas->index = begin;
		mas->last = end - 1;
	} else {
		mas_set_range(mas, begin, end - 1);
	}
}

static int store(struct pdata_range_map *rm, struct ma_state *mas, void *entry)
{
	WRITE_ONCE(rm->stores, rm->stores + 1);
	smp_wmb();	/* counted before any reader can see part of it */
	return mas_store_atomic(rm, mas, entry);
}

/* What a store changes in the number of entries, by one that is in its range. */
static int count_change(const struct ma_state *mas, u64 begin, u64 end)
{
	return (mas->index < begin) + (mas->last > end - 1) - 1;
}

static int overwrite(struct pdata_range_map *rm, u64 begin, u64 end, void *entry)
{
	MA_STATE(mas, &rm->mt, begin, begin);
	s64 change = entry ? 1 : 0;
	void *old;
	int r;

	if (!reserve_fill(rm))
		return -ENOMEM;
	old = mas_walk(&mas);
	if (mas.last >= end - 1) {
		if (old)
			change += count_change(&mas, begin, end);
		else if (!entry)
			return 0;
		narrow(&mas, begin, end);
	} else {
		mas_set(&mas, begin);
		while (mas_find(&mas, end - 1))
			change += count_change(&mas, begin, end);
		mas_set_range(&mas, begin, end - 1);
	}

	r = store(rm, &mas, entry);
	if (!r)
		WRITE_ONCE(rm->count, rm->count + change);
	return r;
}

int pdata_rm_store(struct pdata_range_map *rm, u64 begin, u64 end, u64 value)
{
	return overwrite(rm, begin, end, xa_mk_value(value));
}

int pdata_rm_erase(struct pdata_range_map *rm, u64 begin, u64 end)
{
	unsigned int flags = memalloc_noreclaim_save();
	int r = overwrite(rm, begin, end, NULL);

	memalloc_noreclaim_restore(flags);
	return r;
}

/*
 * Why this needs no memory: a store whose range is exactly that of one entry,
 * with neither the old nor the new value NULL, is one assignment to the slot
 * in the leaf. 6.1 tests for it before anything else in mas_wr_modify(); 6.12
 * and 7.2 call it wr_exact_fit, for which mas_prealloc_calc() asks for no
 * nodes. The only entry of a tree without nodes, [0, 1), is assigned to the
 * root likewise. No gap changes, so none is passed on to the parents.
 */
void pdata_rm_flip(struct pdata_range_map *rm, u64 begin, u64 end, u64 value)
{
	MA_STATE(mas, &rm->mt, begin, begin);
	void *old = mas_walk(&mas);
	int r;

	if (likely(old && mas.index == begin && mas.last == end - 1)) {
		narrow(&mas, begin, end);
		r = store(rm, &mas, xa_mk_value(value));
	} else {
		/* a caller's bug; do what it wants if at all possible */
		WARN_ON_ONCE(1);
		r = pdata_rm_store(rm, begin, end, value);
	}
	if (WARN_ON_ONCE(r))
		pdata_err("range [%llu, %llu) stays pending: error %d", begin, end, r);
}

/* Neighbouring entries that are about to become one clean one. */
struct run {
	u64 begin;
	u64 end;
	void *clean;		/* NULL: none */
	unsigned int parts;
	bool dirty;		/* some of them are not clean yet */
};

/* One store for each entry: needs no memory. */
static void clean_each(struct pdata_range_map *rm, const struct run *run)
{
	MA_STATE(mas, &rm->mt, run->begin, run->begin);
	void *entry;

	while ((entry = mas_find(&mas, run->end - 1))) {
		if (entry == run->clean)
			continue;
		narrow(&mas, mas.index, mas.last + 1);
		WARN_ON_ONCE(store(rm, &mas, run->clean));
	}
}

/* True if the tree was changed under a walk that is under way. */
static bool run_finish(struct pdata_range_map *rm, struct run *run)
{
	const struct run r = *run;

	run->clean = NULL;
	if (!r.clean || (r.parts == 1 && !r.dirty))
		return false;
	if (r.parts > 1 && pdata_rm_can_join(xa_to_value(r.clean)) &&
	    !overwrite(rm, r.begin, r.end, r.clean))
		return true;
	if (r.dirty)
		clean_each(rm, &r);
	return true;
}

/* The entry [begin, end) comes next. True as above. */
static bool run_add(struct pdata_range_map *rm, struct run *run, u64 begin, u64 end,
		    void *entry, unsigned int tag)
{
	const bool dirty = pdata_rm_dirty(xa_to_value(entry)) == tag;
	void *clean = dirty ? xa_mk_value(pdata_rm_set_dirty(xa_to_value(entry), 0)) : entry;
	bool changed;

	if (run->clean == clean && run->end == begin) {
		run->end = end;
		run->parts++;
		run->dirty |= dirty;
		return false;
	}
	changed = run_finish(rm, run);
	if (dirty || pdata_rm_can_join(xa_to_value(entry)))
		*run = (struct run){ begin, end, clean, 1, dirty };
	return changed;
}

u64 pdata_rm_clean(struct pdata_range_map *rm, u64 begin, u64 end, unsigned int tag,
		   unsigned int max)
{
	MA_STATE(mas, &rm->mt, begin ? begin - 1 : 0, begin ? begin - 1 : 0);
	struct run run = { .clean = NULL };
	u64 pos = begin, eb, ee;
	void *entry;

	while (max--) {
		entry = mas_find(&mas, end);
		if (!entry) {
			pos = end;
			break;
		}
		eb = mas.index;
		ee = mas.last + 1;
		if (run_add(rm, &run, eb, ee, entry, tag))
			mas_set(&mas, ee);
		pos = clamp(ee, pos, end);
		if (ee > end)
			break;
	}
	run_finish(rm, &run);
	return pos;
}

/* ---- end ---- */

void pdata_rm_destroy(struct pdata_range_map *rm)
{
	spinlock_t own, *lock;
	unsigned long flags;
	u64 pos = 0;
	int r = 0;

	if (!rm)
		return;
	/* Nobody is left to keep out, but lockdep wants the lock it was told of. */
	spin_lock_init(&own);
	lock = rm->lock ?: &own;
	while (!r && pos != RM_END) {
		u64 end;

		spin_lock_irqsave(lock, flags);
		end = pdata_rm_bound(rm, pos, RM_END, RM_STEP);
		r = pdata_rm_erase(rm, pos, end);
		spin_unlock_irqrestore(lock, flags);
		pos = end;
		cond_resched();
	}

	/* By now the whole tree is one node, unless memory was short. */
	spin_lock_irqsave(lock, flags);
	__mt_destroy(&rm->mt);
	spin_unlock_irqrestore(lock, flags);
	reserve_free(rm);
	kfree(rm);
}
