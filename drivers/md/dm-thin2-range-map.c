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
 *
 * Blocks
 *
 * Each store into the tree replaces a node. Where small ranges lie side by side,
 * as in space that is being filled or overwritten in 4 KiB, that is dear, and so
 * is the room of their entries. So when a store falls into an aligned block of 16
 * units that other entries begin or end in, the block becomes one entry of the
 * tree: it points to a value for each unit, and stores within change these in
 * place. To those who use the map a run of units of equal value is an entry, as
 * elsewhere. A block of which all is clean and equal becomes a plain entry again,
 * one of which nothing is known goes away.
 *
 * A reader takes a unit's value in one load: what was true of it at some moment
 * of its RCU section, as in a leaf.
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
#define BLOCK_UNITS	16u

struct pdata_range_map {
	struct maple_tree mt;
	spinlock_t *lock;	/* what writers hold, if known */
	struct maple_alloc *reserve;	/* nodes in hand; written under the lock */
	unsigned int stores;	/* begun so far; written under the lock */
	u64 count;		/* entries; written under the lock */
};

/* What an entry of the tree points to that is no value. */
struct block {
	void *unit[BLOCK_UNITS];	/* values as in the tree; READ_ONCE */
	struct block *next;	/* of those that a store covers */
	struct rcu_head rcu;
};

/* NULL for a value, or nothing. */
static struct block *to_block(void *entry)
{
	return xa_is_value(entry) ? NULL : entry;
}

static u64 block_begin(u64 unit)
{
	return round_down(unit, BLOCK_UNITS);
}

/* End of the run of units that begins with @i, which was read as @entry. */
static unsigned int run_end(const struct block *b, unsigned int i, const void *entry)
{
	while (++i < BLOCK_UNITS && READ_ONCE(b->unit[i]) == entry)
		;
	return i;
}

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

/* The same, within a block for the units that have the value of the first. */
static void *probe_unit(struct pdata_range_map *rm, u64 unit, u64 *last)
{
	void *entry = probe(rm, unit, last);
	const struct block *b = to_block(entry);
	unsigned int i = unit % BLOCK_UNITS;

	if (!b)
		return entry;
	/* Once: it may change. */
	entry = READ_ONCE(b->unit[i]);
	*last = block_begin(unit) + run_end(b, i, entry) - 1;
	return entry;
}

bool pdata_rm_lookup(struct pdata_range_map *rm, u64 unit, u64 limit, u64 *value, u64 *end)
{
	unsigned int i;
	void *entry;
	u64 last;

	rcu_read_lock();
	entry = probe_unit(rm, unit, &last);
	for (i = 0; entry && last < limit - 1 && i < RM_WALK; i++) {
		u64 next;

		if (probe_unit(rm, last + 1, &next) != entry)
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

/* Runs of a block that are values. */
static unsigned int block_count(const struct block *b)
{
	unsigned int i, end, nr = 0;

	for (i = 0; i < BLOCK_UNITS; i = end) {
		end = run_end(b, i, b->unit[i]);
		nr += !!b->unit[i];
	}
	return nr;
}

bool pdata_rm_entry(struct pdata_range_map *rm, u64 unit, u64 *begin, u64 *end, u64 *value)
{
	MA_STATE(mas, &rm->mt, unit, unit);
	void *entry = mas_walk(&mas);
	const struct block *b = to_block(entry);
	unsigned int i = unit % BLOCK_UNITS;

	*begin = mas.index;
	*end = mas.last == ULONG_MAX ? RM_END : mas.last + 1;
	if (b) {
		*begin += i;
		*end = *begin - i + run_end(b, i, b->unit[i]);
		entry = b->unit[i];
		for (; i && b->unit[i - 1] == entry; i--)
			(*begin)--;
	}
	if (!entry)
		return false;
	*value = xa_to_value(entry);
	return true;
}

/* Units of a block that hold no more than *nr runs from unit @i on; *nr counts down. */
static unsigned int block_bound(const struct block *b, unsigned int i, unsigned int *nr)
{
	for (; i < BLOCK_UNITS && *nr; i = run_end(b, i, b->unit[i]))
		*nr -= !!b->unit[i];
	return i;
}

u64 pdata_rm_bound(struct pdata_range_map *rm, u64 begin, u64 end, unsigned int nr)
{
	MA_STATE(mas, &rm->mt, begin, begin);
	u64 bound = begin;
	void *entry;

	while (nr) {
		entry = mas_find(&mas, end - 1);
		if (!entry)
			return end;
		if (to_block(entry)) {
			bound = max_t(u64, begin, mas.index) - mas.index;
			bound = mas.index + block_bound(entry, bound, &nr);
		} else {
			bound = mas.last + 1;
			nr--;
		}
		if (bound >= end)
			return end;
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

static void count_add(struct pdata_range_map *rm, s64 change)
{
	WRITE_ONCE(rm->count, rm->count + change);
}

static void free_blocks(struct block *b)
{
	struct block *next;

	for (; b; b = next) {
		next = b->next;
		kfree_rcu(b, rcu);
	}
}

/* Store into the tree. No block is cut by [begin, end). */
static int overwrite_tree(struct pdata_range_map *rm, u64 begin, u64 end, void *entry)
{
	MA_STATE(mas, &rm->mt, begin, begin);
	struct block *covered = NULL, *b;
	s64 change = entry ? 1 : 0;
	void *old;
	int r;

	if (!reserve_fill(rm))
		return -ENOMEM;
	old = mas_walk(&mas);
	if (mas.last >= end - 1) {
		if (!old && !entry)
			return 0;
		b = to_block(old);
		if (b) {
			b->next = NULL;
			covered = b;
			change -= block_count(b);
		} else if (old) {
			change += count_change(&mas, begin, end);
		}
		narrow(&mas, begin, end);
	} else {
		mas_set(&mas, begin);
		while ((old = mas_find(&mas, end - 1))) {
			b = to_block(old);
			if (b) {
				b->next = covered;
				covered = b;
				change -= block_count(b);
			} else {
				change += count_change(&mas, begin, end);
			}
		}
		mas_set_range(&mas, begin, end - 1);
	}

	r = store(rm, &mas, entry);
	if (r)
		return r;
	count_add(rm, change);
	free_blocks(covered);
	return 0;
}

/* ---- blocks, under the lock ---- */

static struct block *block_at(struct pdata_range_map *rm, u64 unit)
{
	MA_STATE(mas, &rm->mt, unit, unit);

	return to_block(mas_walk(&mas));
}

/* Units [begin, end) of the map, all of them in @b, get a value. Needs no memory. */
static void block_set(struct pdata_range_map *rm, struct block *b, u64 begin, u64 end,
		      void *entry)
{
	const unsigned int before = block_count(b);
	unsigned int i;

	for (i = begin % BLOCK_UNITS; begin < end; i++, begin++)
		WRITE_ONCE(b->unit[i], entry);
	count_add(rm, (s64)block_count(b) - before);
}

/* Is nothing known of units other than [begin, end)? */
static bool block_has_only(const struct block *b, u64 begin, u64 end)
{
	const unsigned int from = begin % BLOCK_UNITS, to = from + (end - begin);
	unsigned int i;

	for (i = 0; i < BLOCK_UNITS; i++)
		if ((i < from || i >= to) && b->unit[i])
			return false;
	return true;
}

/* Values of the units of [begin, +BLOCK_UNITS). Returns what count changes if they go. */
static s64 block_collect(struct pdata_range_map *rm, struct block *b, u64 begin)
{
	MA_STATE(mas, &rm->mt, begin, begin);
	const u64 end = begin + BLOCK_UNITS;
	s64 change = 0;
	void *entry;
	u64 i;

	while ((entry = mas_find(&mas, end - 1))) {
		change += count_change(&mas, begin, end);
		for (i = max_t(u64, begin, mas.index); i <= mas.last && i < end; i++)
			b->unit[i - begin] = entry;
	}
	return change;
}

/*
 * Make a block of entries that begin or end in it, with the new one among them.
 * -ENOENT: there are none, or no memory; it can be done without.
 */
static int block_make(struct pdata_range_map *rm, u64 begin, u64 end, void *entry,
		      const struct ma_state *old)
{
	MA_STATE(mas, &rm->mt, block_begin(begin), block_begin(begin) + BLOCK_UNITS - 1);
	const u64 first = mas.index, behind = first + BLOCK_UNITS;
	struct block *b;
	s64 change;
	u64 i;
	int r;

	if (old->index <= first && old->last >= behind - 1)
		return -ENOENT;
	if (!reserve_fill(rm))
		return -ENOENT;
	b = kzalloc(sizeof(*b), GFP_NOWAIT | __GFP_NOWARN);
	if (!b)
		return -ENOENT;
	change = block_collect(rm, b, first);
	for (i = begin; i < end; i++)
		b->unit[i - first] = entry;
	r = store(rm, &mas, b);
	if (r) {
		kfree(b);
		return -ENOENT;
	}
	count_add(rm, change + block_count(b));
	return 0;
}

/* [begin, end) lies in one block of units. -ENOENT: no block there. */
static int overwrite_in_block(struct pdata_range_map *rm, u64 begin, u64 end, void *entry)
{
	MA_STATE(mas, &rm->mt, begin, begin);
	struct block *b = to_block(mas_walk(&mas));

	if (!b)
		return entry ? block_make(rm, begin, end, entry, &mas) : -ENOENT;
	if (!entry && block_has_only(b, begin, end))
		return overwrite_tree(rm, mas.index, mas.last + 1, NULL);
	block_set(rm, b, begin, end, entry);
	return 0;
}

static int overwrite(struct pdata_range_map *rm, u64 begin, u64 end, void *entry)
{
	u64 lo = begin, hi = end;
	struct block *head, *tail;
	int r;

	if (end - begin < BLOCK_UNITS && block_begin(begin) == block_begin(end - 1)) {
		r = overwrite_in_block(rm, begin, end, entry);
		return r == -ENOENT ? overwrite_tree(rm, begin, end, entry) : r;
	}

	/* Blocks that it reaches into stay, unless nothing is left in them. */
	head = begin % BLOCK_UNITS ? block_at(rm, begin) : NULL;
	tail = end % BLOCK_UNITS ? block_at(rm, end - 1) : NULL;
	if (head)
		lo = block_begin(begin) + BLOCK_UNITS;
	if (tail)
		hi = block_begin(end);
	if (!entry && head && block_has_only(head, begin, lo)) {
		lo = block_begin(begin);
		head = NULL;
	}
	if (!entry && tail && block_has_only(tail, hi, end)) {
		hi += BLOCK_UNITS;
		tail = NULL;
	}
	r = lo < hi ? overwrite_tree(rm, lo, hi, entry) : 0;
	if (r)
		return r;
	if (head)
		block_set(rm, head, begin, lo, entry);
	if (tail)
		block_set(rm, tail, hi, end, entry);
	return 0;
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
 *
 * Of what was stored as one entry, blocks may have taken the ends since.
 */
static u64 flip_part(struct pdata_range_map *rm, u64 begin, u64 end, u64 value)
{
	MA_STATE(mas, &rm->mt, begin, begin);
	void *old = mas_walk(&mas);
	struct block *b = to_block(old);
	int r;

	if (b) {
		end = min_t(u64, end, mas.last + 1);
		block_set(rm, b, begin, end, xa_mk_value(value));
		return end;
	}
	if (likely(old && mas.index == begin && mas.last < end)) {
		end = mas.last + 1;
		narrow(&mas, begin, end);
		r = store(rm, &mas, xa_mk_value(value));
	} else {
		/* a caller's bug; do what it wants if at all possible */
		WARN_ON_ONCE(1);
		r = pdata_rm_store(rm, begin, end, value);
	}
	if (WARN_ON_ONCE(r))
		pdata_err("range [%llu, %llu) stays pending: error %d", begin, end, r);
	return end;
}

void pdata_rm_flip(struct pdata_range_map *rm, u64 begin, u64 end, u64 value)
{
	while (begin < end)
		begin = flip_part(rm, begin, end, value);
}

/* ---- entries become clean ---- */

/* Neighbours in the tree that are about to become one clean entry. */
struct run {
	u64 begin;
	u64 end;
	void *clean;		/* NULL: none */
	unsigned int parts;
	bool to_store;	/* a part that is not clean yet, or a block */
};

static void *clean_value(void *entry, unsigned int tag)
{
	const u64 value = xa_to_value(entry);

	return pdata_rm_dirty(value) == tag ? xa_mk_value(pdata_rm_set_dirty(value, 0)) : entry;
}

/* One store for each entry: needs no memory. Blocks are clean already. */
static void clean_each(struct pdata_range_map *rm, const struct run *run)
{
	MA_STATE(mas, &rm->mt, run->begin, run->begin);
	void *entry;

	while ((entry = mas_find(&mas, run->end - 1))) {
		if (to_block(entry) || entry == run->clean)
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
	if (!r.clean || (r.parts == 1 && !r.to_store))
		return false;
	if (overwrite_tree(rm, r.begin, r.end, r.clean))
		clean_each(rm, &r);
	return true;
}

/* [begin, end) of the tree comes next, all of which can be @clean. True as above. */
static bool run_add(struct pdata_range_map *rm, struct run *run, u64 begin, u64 end,
		    void *clean, bool to_store)
{
	bool changed;

	if (run->clean == clean && run->end == begin) {
		run->end = end;
		run->parts++;
		run->to_store |= to_store;
		return false;
	}
	changed = run_finish(rm, run);
	*run = (struct run){ begin, end, clean, 1, to_store };
	return changed;
}

/* Units [begin, end) as far as they are in @b. Returns the value that all of it has, or NULL. */
static void *block_clean(struct pdata_range_map *rm, struct block *b, u64 first, u64 begin,
			 u64 end, unsigned int tag)
{
	const unsigned int before = block_count(b);
	unsigned int i;

	for (i = 0; i < BLOCK_UNITS; i++)
		if (b->unit[i] && first + i >= begin && first + i < end)
			WRITE_ONCE(b->unit[i], clean_value(b->unit[i], tag));
	count_add(rm, (s64)block_count(b) - before);
	return run_end(b, 0, b->unit[0]) == BLOCK_UNITS ? b->unit[0] : NULL;
}

u64 pdata_rm_clean(struct pdata_range_map *rm, u64 begin, u64 end, unsigned int tag,
		   unsigned int max)
{
	MA_STATE(mas, &rm->mt, begin ? begin - 1 : 0, begin ? begin - 1 : 0);
	struct run run = { .clean = NULL };
	u64 pos = begin, eb, ee;
	void *entry, *clean;
	struct block *b;
	bool changed;

	while (max--) {
		entry = mas_find(&mas, end);
		if (!entry) {
			pos = end;
			break;
		}
		eb = mas.index;
		ee = mas.last + 1;
		b = to_block(entry);
		clean = b ? block_clean(rm, b, eb, begin, end, tag) : clean_value(entry, tag);
		if (clean && pdata_rm_can_join(xa_to_value(clean)))
			changed = run_add(rm, &run, eb, ee, clean, b || clean != entry);
		else
			changed = run_finish(rm, &run);
		if (changed)
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
	MA_STATE(mas, rm ? &rm->mt : NULL, 0, 0);
	spinlock_t own, *lock;
	void *entry;
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
	mas_for_each(&mas, entry, ULONG_MAX)
		kfree(to_block(entry));
	__mt_destroy(&rm->mt);
	spin_unlock_irqrestore(lock, flags);
	reserve_free(rm);
	kfree(rm);
}
