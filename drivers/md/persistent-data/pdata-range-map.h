/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Range map: the in-memory map of one thin, the only thing a lookup touches.
 *
 * An interface of the core with two implementations: a maple tree read under
 * RCU in the kernel (dm-thin2-range-map.c), a small ordered tree in userspace
 * (tests/shim/range-map.c).
 *
 * An entry covers [begin, end) units and holds a 63-bit value. The physical
 * address is kept as a difference to the virtual one, so that splitting an
 * entry or storing into it never needs to touch its value, and a reader never
 * needs an entry's start (which may change under RCU).
 *
 *   bits  0..2   enum pdata_rm_state
 *   bits  3..4   dirty tag: 0 clean, 1 or 2 = the delta list that holds its record
 *   bits  5..12  blob
 *   bits 13..62  (physical - virtual) mod 2^50
 */
#ifndef PDATA_RANGE_MAP_H
#define PDATA_RANGE_MAP_H

#include "pdata-platform.h"

enum pdata_rm_state {
	PDATA_RM_HOLE,		/* known to be unmapped */
	PDATA_RM_ZERO,
	PDATA_RM_DAMAGED,
	PDATA_RM_PENDING,	/* a write that maps it is in flight */
	PDATA_RM_SHARED,	/* mapped, perhaps shared: ask the trees before writing */
	PDATA_RM_EXCL0,		/* mapped, exclusive in the epoch = state - EXCL0 (mod 3) */
	PDATA_RM_EXCL1,
	PDATA_RM_EXCL2,
};

#define PDATA_RM_DELTA_BITS	50
#define PDATA_RM_DELTA_MASK	((1ull << PDATA_RM_DELTA_BITS) - 1)

static inline u64 pdata_rm_value(enum pdata_rm_state state, unsigned int dirty,
				 u64 virt, u64 phys)
{
	return (u64)state | (u64)dirty << 3 |
	       ((phys - virt) & PDATA_RM_DELTA_MASK) << 13;
}

/* Value of a range that has no physical address. */
static inline u64 pdata_rm_plain(enum pdata_rm_state state, unsigned int dirty)
{
	return (u64)state | (u64)dirty << 3;
}

static inline enum pdata_rm_state pdata_rm_state(u64 value)
{
	return value & 7;
}

static inline unsigned int pdata_rm_dirty(u64 value)
{
	return (value >> 3) & 3;
}

static inline u64 pdata_rm_set_state(u64 value, enum pdata_rm_state state)
{
	return (value & ~7ull) | state;
}

static inline u64 pdata_rm_set_dirty(u64 value, unsigned int dirty)
{
	return (value & ~(3ull << 3)) | (u64)dirty << 3;
}

static inline u64 pdata_rm_phys(u64 value, u64 virt)
{
	return (virt + (value >> 13)) & PDATA_RM_DELTA_MASK;
}

static inline bool pdata_rm_is_excl(u64 value)
{
	return pdata_rm_state(value) >= PDATA_RM_EXCL0;
}

/* May an entry be joined with a neighbour of the same value? Writes in flight flip their own. */
static inline bool pdata_rm_can_join(u64 value)
{
	return !pdata_rm_dirty(value) && pdata_rm_state(value) != PDATA_RM_PENDING;
}

static inline bool pdata_rm_is_mapped(u64 value)
{
	return pdata_rm_state(value) >= PDATA_RM_SHARED;
}

struct pdata_range_map;

/* Memory that an entry is taken to need; see "Memory" in the design document. */
#define PDATA_RM_ENTRY_BYTES	32

struct pdata_range_map *pdata_rm_create(void);
/* Tell lockdep which lock the writers of @rm hold; before the first store. */
void pdata_rm_set_lock(struct pdata_range_map *rm, spinlock_t *lock);
/* All readers have left. Frees in steps, may sleep. */
void pdata_rm_destroy(struct pdata_range_map *rm);

/**
 * pdata_rm_lookup - what is known of a unit
 * @rm: map
 * @unit: virtual
 * @limit: look no further than this unit
 * @value: result
 * @end: one past the last unit, at most @limit, known to have the same value;
 *	on a miss, of the gap in the map
 *
 * No lock: runs under RCU by itself (callers that act on the answer hold
 * rcu_read_lock() around both). Neighbouring entries of equal value count as
 * one (a bounded walk). Never sleeps.
 *
 * Return: true on a hit.
 */
bool pdata_rm_lookup(struct pdata_range_map *rm, u64 unit, u64 limit, u64 *value, u64 *end);

/*
 * As above, but @begin/@end are the exact borders of the one entry (or gap). Under the
 * thin's lock.
 */
bool pdata_rm_entry(struct pdata_range_map *rm, u64 unit, u64 *begin, u64 *end, u64 *value);

/**
 * pdata_rm_store - make [begin, end) one entry
 *
 * Under the thin's lock (irq-safe). Overwrites whatever was there; at most
 * 1,024 entries may be covered (split larger stores). Never sleeps (GFP_NOWAIT).
 *
 * Return: 0 or -ENOMEM, then nothing has changed.
 */
int __must_check pdata_rm_store(struct pdata_range_map *rm, u64 begin, u64 end, u64 value);

/*
 * Forget [begin, end), as store. May use what is kept back for those who free
 * memory: eviction must succeed when there is none, and gives more than it takes.
 */
int __must_check pdata_rm_erase(struct pdata_range_map *rm, u64 begin, u64 end);

/*
 * Replace the value of the entry that is exactly [begin, end). Needs no memory,
 * cannot fail: what a completion does to its pending entry.
 */
void pdata_rm_flip(struct pdata_range_map *rm, u64 begin, u64 end, u64 value);

/**
 * pdata_rm_clean - entries with a dirty tag become clean
 * @rm: map
 * @begin: unit
 * @end: one past the last
 * @tag: only those of this list
 * @max: entries looked at, at most 1,024
 *
 * Joins clean entries of equal value, the neighbours of [begin, end) included;
 * failing to join for lack of memory costs an entry, nothing else. Under the
 * thin's lock. Never sleeps.
 *
 * Return: one past the last unit dealt with; @end when done.
 */
u64 pdata_rm_clean(struct pdata_range_map *rm, u64 begin, u64 end, unsigned int tag,
		   unsigned int max);

/*
 * One past the last unit of at most @nr entries from @begin on, at most @end:
 * how far one bounded store may go. Under the thin's lock.
 */
u64 pdata_rm_bound(struct pdata_range_map *rm, u64 begin, u64 end, unsigned int nr);

/* Number of entries, roughly. */
u64 pdata_rm_count(struct pdata_range_map *rm);

#endif
