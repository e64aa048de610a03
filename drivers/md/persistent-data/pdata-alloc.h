/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Allocator of data units.
 *
 * The device is cut into allocation groups. A group's free units are loaded on
 * demand from the gaps of the committed data space map; from then on the
 * group's memory is the truth about what may be handed out. Each group has its
 * own lock. A stream keeps one user's new data contiguous: it takes extents
 * from a group and hands them out piecemeal.
 *
 * A loaded group is a bitmap: giving back needs no memory in any context, and
 * costs the same however fragmented the group is. One bit a unit, 32 KiB a
 * loaded group of 1 GiB, 1/32768 of the device when all are loaded.
 *
 * A unit is in exactly one of these states: free (in a group's extents),
 * reserved by a stream, handed out, quarantined. A group is loaded before any
 * of its units changes state, so that loading never races with a change.
 *
 * Small writes are placed by chunk: the first write to a chunk of virtual space
 * is put where all of the chunk would find room, the rest of which stays free.
 * Those that come later ask for their place there. Nothing is reserved: as long
 * as there are whole free runs, streams take those and leave such rests alone,
 * and when there are none left everybody may use them.
 *
 * Invariant 5: freed units stay in quarantine until the checkpoint without the
 * reference is durable, bios have drained and passdown has finished. Used
 * space is total less free less quarantined less streams' reserves.
 */
#ifndef PDATA_ALLOC_H
#define PDATA_ALLOC_H

#include "pdata-space-map-data.h"

#define PDATA_GROUP_UNITS	(256ull * 1024)	/* 1 GiB */
#define PDATA_RUN_UNITS		256u		/* 1 MiB taken from a group at once */

/* Freed units on their way back, oldest generation first. */
struct pdata_freed {
	struct list_head list;
	u64 begin;
	u64 len;
};

struct pdata_alloc_table;

struct pdata_alloc {
	struct pdata_tm *tm;
	const struct pdata_sm_data *sm;
	u64 group_units;	/* a power of two */
	u32 run_units;		/* a whole run; a power of two, at most group_units; READ_ONCE */

	struct mutex load_lock;	/* guards the next six, and setting a table's entries */
	u64 nr_units;
	u64 nr_groups;		/* read without lock before the table */
	struct pdata_alloc_table *table;	/* groups; NULL entry = not loaded */
	u64 nr_loaded;
	u64 nr_maps;		/* of them those that are not known to be full: in memory */
	u64 load_next;		/* groups below are loaded */
	unsigned int barren;	/* groups loaded last that were all fragments */

	atomic64_t free;	/* units in groups, loaded or not, streams' reserves left out */
	atomic64_t unloaded;	/* those of them that are in groups not loaded */
	atomic64_t reserved;	/* units in streams' reserves */
	atomic64_t quarantined;
	struct list_head pending;	/* struct pdata_freed of the transaction being built */

	spinlock_t stream_lock;	/* guards streams, nr_streams, cursor; taken before s->lock */
	struct list_head streams;
	unsigned int nr_streams;
	u64 cursor;		/* group where the next stream starts */
	atomic_t spread;	/* places in a group given out to streams */
	bool no_whole;		/* no loaded group has a whole run free, it seems; READ_ONCE */
};

struct pdata_stream {
	struct list_head list;
	spinlock_t lock;	/* guards begin, len, group; taken before a group's lock */
	u64 begin;		/* reserved, not handed out yet; with len 0 where it went on */
	u64 len;
	u64 group;		/* last used */
};

/**
 * pdata_alloc_init - nothing loaded, nothing handed out
 * @a: allocator
 * @tm: its committed version is what groups are loaded from
 * @sm: data space map, nothing changed in it yet; both outlive @a
 * @nr_units: size of the data device
 * @group_units: units a group, a power of two, at least 64
 *
 * May sleep. Return: 0, -EINVAL, -ENOMEM.
 */
int __must_check pdata_alloc_init(struct pdata_alloc *a, struct pdata_tm *tm,
				  const struct pdata_sm_data *sm, u64 nr_units, u64 group_units);
void pdata_alloc_exit(struct pdata_alloc *a);	/* streams are gone, batches released */
/* The device has grown (-PDATA_E_SHRUNK if it has not). May sleep. */
int __must_check pdata_alloc_grow(struct pdata_alloc *a, u64 nr_units);

void pdata_stream_init(struct pdata_alloc *a, struct pdata_stream *s);
void pdata_stream_exit(struct pdata_alloc *a, struct pdata_stream *s); /* gives reserves back */

/**
 * pdata_alloc_get - hand out up to @want contiguous units
 * @a: allocator
 * @s: whose stream
 * @want: units, at least 1
 * @begin: result, physical unit
 * @len: result, 1 .. @want
 *
 * With interrupts off; never sleeps, takes s->lock and a group's lock.
 * Continues behind the stream's last extent if it can, else takes an aligned
 * run of a->run_units, else what there is. When every group is short,
 * other streams' reserves are called in before giving up.
 *
 * Return: 0; -PDATA_E_WOULD_SLEEP: call pdata_alloc_load() from a context
 * that may sleep and try again; -PDATA_E_RETRY: nothing free, but the
 * quarantine is not empty (or was a moment ago): force a checkpoint and wait;
 * -PDATA_E_DATA_NOSPC:
 * free and quarantine are both empty.
 */
int __must_check pdata_alloc_get(struct pdata_alloc *a, struct pdata_stream *s, u64 want,
				 u64 *begin, u64 *len);
/**
 * pdata_alloc_get_at - hand out units at one place
 * @a: allocator
 * @begin: physical unit, any number
 * @want: units, at least 1
 *
 * With interrupts off; never sleeps, takes a group's lock.
 *
 * Return: how many units from @begin on, 0 if that one is not free or is in a
 * group that is not loaded.
 */
u64 pdata_alloc_get_at(struct pdata_alloc *a, u64 begin, u64 want);
/**
 * pdata_alloc_get_chunk - hand out units within a free chunk
 * @a: allocator
 * @s: whose stream
 * @chunk: units, more than 1
 * @offset: of the first unit in the chunk
 * @want: units, at least 1
 * @begin: result, physical unit
 *
 * As pdata_alloc_get(), but the unit lies @offset behind the begin of a chunk
 * that is aligned to its size and was free. What is not handed out of it stays
 * free.
 *
 * Return: how many units, cut at the chunk's end; 0 if there is no such chunk, or
 * it is not worth looking for: use pdata_alloc_get().
 */
u64 pdata_alloc_get_chunk(struct pdata_alloc *a, struct pdata_stream *s, u32 chunk, u32 offset,
			  u64 want, u64 *begin);
/* Length and alignment of what streams take, in units. A power of two. Sleeps. */
void pdata_alloc_set_run(struct pdata_alloc *a, u32 units);
/* Give back what was handed out and never recorded anywhere. Any context; may not fail. */
void pdata_alloc_put(struct pdata_alloc *a, u64 begin, u64 len);

/*
 * Load the next group a stream could use (-PDATA_E_NOT_FOUND if all are).
 * Sleeps. What cannot be read counts as in use and is logged; -ENOMEM.
 */
int __must_check pdata_alloc_load(struct pdata_alloc *a);
/* Have the groups of [begin, +len) loaded. Sleeps. */
int __must_check pdata_alloc_load_range(struct pdata_alloc *a, u64 begin, u64 len);

/* Replay: units that a record exposes are in use (idempotent). Sleeps. */
int __must_check pdata_alloc_take(struct pdata_alloc *a, u64 begin, u64 len);

/**
 * pdata_alloc_quarantine - units whose count became 0 in this transaction
 * @a: allocator
 * @begin: physical unit
 * @len: units
 *
 * Under the metadata lock. Loads the groups first; sleeps. Joins with the last
 * entry where they touch.
 *
 * Return: 0, -ENOMEM, -PDATA_E_OUT_OF_RANGE.
 */
int __must_check pdata_alloc_quarantine(struct pdata_alloc *a, u64 begin, u64 len);
/* The checkpoint is durable: move what it freed to @batch. Under the metadata lock. */
void pdata_alloc_seal(struct pdata_alloc *a, struct list_head *batch);
/* Drained and passed down: the units of @batch are free again. Sleeps or not. */
void pdata_alloc_release(struct pdata_alloc *a, struct list_head *batch);

/* Free units: in groups and in streams' reserves. Any context. */
u64 pdata_alloc_free(struct pdata_alloc *a);

#endif
