/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Metadata space map: 32-bit reference counts of the metadata device's blocks
 * on a two-slot array, the allocator of new blocks, and the quarantine of
 * freed ones.
 *
 * A block whose count drops to zero in the transaction of generation N was
 * reachable from a durable checkpoint (unless N itself allocated it) and is
 * not handed out again before N is durable, its backup superblock too, and
 * every reader that pinned a generation before N has left.
 *
 * All calls except the reader ones are made under the metadata lock.
 */
#ifndef PDATA_SPACE_MAP_METADATA_H
#define PDATA_SPACE_MAP_METADATA_H

#include "pdata-array.h"
#include "pdata-superblock.h"

struct pdata_sm_group;

/* Count of a block in a damaged part of the map: in use, by nobody knows how many. */
#define PDATA_SM_UNKNOWN	PDATA_ARRAY_BAD

struct pdata_sm_meta {
	struct pdata_bm *bm;
	struct pdata_array counts;
	struct pdata_sm_group **group;	/* counts.max_groups; NULL = not loaded */
	u64 nr_blocks;
	u64 journal_blocks;
	u64 used;		/* blocks with count > 0, reserved ones left out */
	u64 total;		/* nr_blocks less reserved ones */
	u64 capacity;		/* share of total in initialised groups */
	u64 loaded_free;	/* free blocks, not in quarantine, of loaded groups */
	u64 lost;		/* blocks of damaged groups found so far */
	u64 quarantined;
	u64 reserve;		/* blocks ordinary allocations leave alone */
	u64 cursor;		/* next-fit */
	u64 generation;		/* of the transaction being built */
	struct list_head quarantine;	/* freed blocks by generation */

	spinlock_t reader_lock;	/* irq-safe; guards all below */
	struct list_head readers;	/* struct pdata_pin, by generation */
	u64 published;		/* newest durable generation readers may use */
	u64 published_data_sm;	/* its roots */
	u64 published_details;
};

/* A reader of one committed version, see pdata_sm_pin(). */
struct pdata_pin {
	struct list_head list;
	u64 generation;
	u64 data_sm_root;	/* roots of that version */
	u64 details_root;
};

int __must_check pdata_sm_init(struct pdata_sm_meta *sm, struct pdata_bm *bm,
			       const struct pdata_super *sb);
void pdata_sm_exit(struct pdata_sm_meta *sm);

/**
 * pdata_sm_alloc - take a free block, its count becomes 1
 * @sm: space map
 * @block: result
 * @use_reserve: allowed to go below sm->reserve (merges, commits, deletes)
 *
 * Never returns a quarantined block. May sleep (loads groups).
 *
 * Return: 0, -PDATA_E_META_NOSPC, -ENOMEM, or the device's errno.
 */
int __must_check pdata_sm_alloc(struct pdata_sm_meta *sm, u64 *block, bool use_reserve);
/* One more reference to a block in use; -PDATA_E_COUNT if it is free. */
int __must_check pdata_sm_inc(struct pdata_sm_meta *sm, u64 block);
/*
 * *count is what is left; 0 = freed (into quarantine or, if new in this
 * transaction, at once). A block in a damaged group keeps PDATA_SM_UNKNOWN:
 * it reads as shared and is never freed, inc and dec leave it alone.
 * An error changes nothing.
 */
int __must_check pdata_sm_dec(struct pdata_sm_meta *sm, u64 block, u32 *count);
int __must_check pdata_sm_get(struct pdata_sm_meta *sm, u64 block, u32 *count);
/* Was the block allocated by the transaction being built? */
bool pdata_sm_is_new(struct pdata_sm_meta *sm, u64 block);

/* Blocks that can be allocated now; @with_quarantine adds those that a commit may release. */
u64 pdata_sm_free(const struct pdata_sm_meta *sm, bool with_quarantine);

/* The device has grown; bm->nr_blocks follows. -PDATA_E_SHRUNK if it has not. */
int __must_check pdata_sm_grow(struct pdata_sm_meta *sm, u64 nr_blocks);

/* After an unclean stop, before anything else is written: pdata_array_scrub(). */
int __must_check pdata_sm_scrub(struct pdata_sm_meta *sm);

/* Commit protocol, in this order; see pdata_tm_commit(). */
int __must_check pdata_sm_write(struct pdata_sm_meta *sm);	/* dirty slots */
/* Superblock and backup are durable: publish @sb, let its quarantine go on. */
void pdata_sm_committed(struct pdata_sm_meta *sm, const struct pdata_super *sb);

/**
 * pdata_sm_pin - start reading the last durable version
 * @sm: space map
 * @pin: the caller's, until pdata_sm_unpin()
 *
 * Nothing reachable from that version is overwritten while pinned. Any
 * context; takes reader_lock only.
 */
void pdata_sm_pin(struct pdata_sm_meta *sm, struct pdata_pin *pin);
void pdata_sm_unpin(struct pdata_sm_meta *sm, struct pdata_pin *pin);

/*
 * Committed count as of a pinned version; errors as pdata_array_get_committed()
 * (-PDATA_E_WOULD_SLEEP: pdata_sm_load() under the metadata lock, try again).
 */
int __must_check pdata_sm_get_committed(struct pdata_sm_meta *sm, const struct pdata_pin *pin,
					u64 block, u32 *count);

/* Have the counts of @block's group in memory; a damaged group counts as loaded. */
int __must_check pdata_sm_load(struct pdata_sm_meta *sm, u64 block);

#endif
