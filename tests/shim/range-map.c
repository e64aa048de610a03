// SPDX-License-Identifier: GPL-2.0-only
/*
 * Range map, userspace implementation: one node an entry in an ordered tree,
 * under a lock of its own instead of RCU. Stores do not join neighbours.
 *
 * What the contract leaves to the caller is checked here: exact flips, bounded
 * stores, ranges that are not empty.
 */
#include "pdata-format.h"
#include "pdata-range-map.h"

#define STORE_MAX	1024	/* entries one store may cover */
#define LOOKUP_WALK	16	/* neighbours of equal value a lookup joins */

struct rm_entry {
	struct rb_node node;
	u64 begin;
	u64 end;
	u64 value;
};

struct pdata_range_map {
	pthread_mutex_t lock;
	struct rb_root root;
	u64 nr;
};

static void __cold rm_bug(const char *what, u64 begin, u64 end)
{
	fprintf(stderr, "range map: %s: [%llu, %llu)\n", what, begin, end);
	abort();
}

static struct rm_entry *entry_of(struct rb_node *n)
{
	return rb_entry_safe(n, struct rm_entry, node);
}

static struct rm_entry *entry_next(struct rm_entry *e)
{
	return entry_of(rb_next(&e->node));
}

/* First entry that ends behind @unit. */
static struct rm_entry *entry_at_or_after(struct pdata_range_map *rm, u64 unit)
{
	struct rb_node *n = rm->root.rb_node;
	struct rm_entry *found = NULL;

	while (n) {
		struct rm_entry *e = entry_of(n);

		if (unit < e->end) {
			found = e;
			n = n->rb_left;
		} else {
			n = n->rb_right;
		}
	}
	return found;
}

/* Put @e into the tree; nothing there overlaps it. */
static void entry_link(struct pdata_range_map *rm, struct rm_entry *e)
{
	struct rb_node **link = &rm->root.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = e->begin < entry_of(parent)->begin ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&e->node, parent, link);
	rb_insert_color(&e->node, &rm->root);
	rm->nr++;
}

static void entry_drop(struct pdata_range_map *rm, struct rm_entry *e)
{
	rb_erase(&e->node, &rm->root);
	rm->nr--;
	kfree(e);
}

static struct rm_entry *entry_new(u64 begin, u64 end, u64 value)
{
	struct rm_entry *e = kmalloc(sizeof(*e), GFP_NOWAIT);

	if (e)
		*e = (struct rm_entry){ .begin = begin, .end = end, .value = value };
	return e;
}

struct pdata_range_map *pdata_rm_create(void)
{
	struct pdata_range_map *rm = kzalloc(sizeof(*rm), GFP_NOIO);

	if (rm)
		pthread_mutex_init(&rm->lock, NULL);
	return rm;
}

void pdata_rm_set_lock(struct pdata_range_map *rm, spinlock_t *lock)
{
	(void)rm;
	(void)lock;
}

void pdata_rm_destroy(struct pdata_range_map *rm)
{
	struct rm_entry *e, *next;

	if (!rm)
		return;
	might_sleep();
	rbtree_postorder_for_each_entry_safe(e, next, &rm->root, node)
		kfree(e);
	pthread_mutex_destroy(&rm->lock);
	kfree(rm);
}

bool pdata_rm_lookup(struct pdata_range_map *rm, u64 unit, u64 limit, u64 *value, u64 *end)
{
	unsigned int walk = LOOKUP_WALK;
	struct rm_entry *e;
	bool hit;

	if (unit >= limit)
		rm_bug("empty lookup", unit, limit);
	pthread_mutex_lock(&rm->lock);
	e = entry_at_or_after(rm, unit);
	hit = e && e->begin <= unit;
	if (!hit) {
		*end = e ? min(e->begin, limit) : limit;
	} else {
		*value = e->value;
		*end = e->end;
		while (*end < limit && walk--) {
			e = entry_next(e);
			if (!e || e->begin != *end || e->value != *value)
				break;
			*end = e->end;
		}
		*end = min(*end, limit);
	}
	pthread_mutex_unlock(&rm->lock);
	return hit;
}

bool pdata_rm_entry(struct pdata_range_map *rm, u64 unit, u64 *begin, u64 *end, u64 *value)
{
	struct rm_entry *e, *prev;
	bool hit;

	pthread_mutex_lock(&rm->lock);
	e = entry_at_or_after(rm, unit);
	hit = e && e->begin <= unit;
	if (hit) {
		*begin = e->begin;
		*end = e->end;
		*value = e->value;
	} else {
		prev = entry_of(e ? rb_prev(&e->node) : rb_last(&rm->root));
		*begin = prev ? prev->end : 0;
		*end = e ? e->begin : PDATA_MAX_UNITS;
	}
	pthread_mutex_unlock(&rm->lock);
	return hit;
}

/*
 * Empty [begin, end) and put @e there, if any. @spare is used up if one entry
 * reaches out on both sides.
 */
static void range_replace(struct pdata_range_map *rm, u64 begin, u64 end,
			  struct rm_entry *e, struct rm_entry **spare)
{
	struct rm_entry *old = entry_at_or_after(rm, begin), *next;
	unsigned int covered = 0;

	for (; old && old->begin < end; old = next) {
		next = entry_next(old);
		if (++covered > STORE_MAX)
			rm_bug("store covers too many entries", begin, end);
		if (old->begin < begin && old->end > end) {
			(*spare)->begin = end;
			(*spare)->end = old->end;
			(*spare)->value = old->value;
			old->end = begin;
			entry_link(rm, *spare);
			*spare = NULL;
		} else if (old->begin < begin) {
			old->end = begin;
		} else if (old->end > end) {
			old->begin = end;
		} else {
			entry_drop(rm, old);
		}
	}
	if (e)
		entry_link(rm, e);
}

int pdata_rm_store(struct pdata_range_map *rm, u64 begin, u64 end, u64 value)
{
	struct rm_entry *e, *spare;

	if (begin >= end || end > PDATA_MAX_UNITS)
		rm_bug("store to", begin, end);
	if (value >> 63)
		rm_bug("value has more than 63 bits", begin, end);
	e = entry_new(begin, end, value);
	spare = entry_new(0, 0, 0);
	if (!e || !spare) {
		kfree(e);
		kfree(spare);
		return -ENOMEM;
	}
	pthread_mutex_lock(&rm->lock);
	range_replace(rm, begin, end, e, &spare);
	pthread_mutex_unlock(&rm->lock);
	kfree(spare);
	return 0;
}

int pdata_rm_erase(struct pdata_range_map *rm, u64 begin, u64 end)
{
	struct rm_entry *spare;

	if (begin >= end || end > PDATA_MAX_UNITS)
		rm_bug("erasure of", begin, end);
	spare = entry_new(0, 0, 0);
	if (!spare)
		return -ENOMEM;
	pthread_mutex_lock(&rm->lock);
	range_replace(rm, begin, end, NULL, &spare);
	pthread_mutex_unlock(&rm->lock);
	kfree(spare);
	return 0;
}

void pdata_rm_flip(struct pdata_range_map *rm, u64 begin, u64 end, u64 value)
{
	struct rm_entry *e;

	pthread_mutex_lock(&rm->lock);
	e = entry_at_or_after(rm, begin);
	if (!e || e->begin != begin || e->end != end)
		rm_bug("flip of what is not exactly one entry", begin, end);
	if (value >> 63)
		rm_bug("value has more than 63 bits", begin, end);
	e->value = value;
	pthread_mutex_unlock(&rm->lock);
}

/* Take @next, which follows @e, into it if the two may be one. */
static bool entry_join(struct pdata_range_map *rm, struct rm_entry *e, struct rm_entry *next)
{
	if (!next || next->begin != e->end || next->value != e->value ||
	    !pdata_rm_can_join(e->value))
		return false;
	e->end = next->end;
	entry_drop(rm, next);
	return true;
}

u64 pdata_rm_clean(struct pdata_range_map *rm, u64 begin, u64 end, unsigned int tag,
		   unsigned int max)
{
	struct rm_entry *e, *prev;
	u64 pos = begin;

	if (begin >= end || !max || max > STORE_MAX)
		rm_bug("cleaning of", begin, end);
	pthread_mutex_lock(&rm->lock);
	for (e = entry_at_or_after(rm, begin); e && e->begin < end && max; max--) {
		pos = min(e->end, end);
		prev = entry_of(rb_prev(&e->node));
		if (pdata_rm_dirty(e->value) == tag)
			e->value = pdata_rm_set_dirty(e->value, 0);
		if (prev && entry_join(rm, prev, e))
			e = prev;
		if (e->end >= end)
			entry_join(rm, e, entry_next(e));
		e = entry_next(e);
	}
	if (!e || e->begin >= end)
		pos = end;
	pthread_mutex_unlock(&rm->lock);
	return pos;
}

u64 pdata_rm_bound(struct pdata_range_map *rm, u64 begin, u64 end, unsigned int nr)
{
	struct rm_entry *e;

	if (begin >= end || !nr)
		rm_bug("empty bound", begin, end);
	pthread_mutex_lock(&rm->lock);
	e = entry_at_or_after(rm, begin);
	while (e && e->begin < end && --nr)
		e = entry_next(e);
	if (e && e->begin < end)
		end = min(e->end, end);
	pthread_mutex_unlock(&rm->lock);
	return end;
}

u64 pdata_rm_count(struct pdata_range_map *rm)
{
	u64 nr;

	pthread_mutex_lock(&rm->lock);
	nr = rm->nr;
	pthread_mutex_unlock(&rm->lock);
	return nr;
}
