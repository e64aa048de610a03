/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two-slot array: a plain array of 32-bit numbers, updated in place and yet
 * atomic with the checkpoint.
 *
 * Each group of PDATA_COUNTS_PER_BLOCK numbers has two slots on disk at fixed
 * places (pdata_counts_place()). A write always goes to the slot that does not
 * hold committed content, so that a crash before the superblock leaves the old
 * content valid. The superblock has a bit for each of the first
 * PDATA_SLOT_GROUPS groups that says which slot is the one. Nothing is allocated
 * to update it, growth included. A group's first commit writes both slots, so
 * that from then on both hold blocks of this pool.
 *
 * If the slot that is the one fails its check, or is older than the other (the
 * write to it was lost), the group is damaged: the other slot holds numbers that
 * are out of date, and to use them would be fatal.
 *
 * Of groups behind those the newest slot that is not newer than the superblock
 * is the one. There a slot that fails its check is either the torn write of a
 * transaction that never was committed, or committed content that went bad. A
 * write is torn at sectors, so the header of a torn slot is whole: if it is that
 * of the checkpoint that was not reached, or not newer than the other slot, the
 * other slot stands; otherwise the group counts as damaged.
 *
 * The idea of two alternating homes for a metadata block is btrfs' and ZFS'
 * superblock rotation applied to every block of a flat array.
 */
#ifndef PDATA_ARRAY_H
#define PDATA_ARRAY_H

#include "pdata-block.h"

struct pdata_array_leaf;

/* Value of every number of a group that could not be read. */
#define PDATA_ARRAY_BAD		0xffffffffu

#define PDATA_ARRAY_BATCH	16	/* blocks written at once */

struct pdata_array {
	struct pdata_bm *bm;
	spinlock_t lock;	/* guards the next four and what leaves hold */
	u64 generation;		/* newest committed */
	u64 committed_groups;	/* nr_groups then */
	u64 max_groups;		/* room in leaf[] */
	struct pdata_array_leaf **leaf;	/* NULL = not loaded */

	/* The metadata lock guards the rest. */
	u64 nr_groups;		/* initialised groups (high-water mark) */
	struct list_head dirty;	/* leaves to write */
	u64 nr_dirty;
	void *buf[PDATA_ARRAY_BATCH];	/* so that a commit needs no memory */
	u64 named;			/* groups below have a bit in slots[] */
	u8 slots[PDATA_SLOT_BYTES];	/* where committed content is, as in the superblock */
};

/* @slots: of the superblock, PDATA_SLOT_BYTES. */
int __must_check pdata_array_init(struct pdata_array *a, struct pdata_bm *bm,
				  u64 nr_groups, u64 max_groups, u64 generation,
				  const u8 *slots);
void pdata_array_exit(struct pdata_array *a);

/* More groups may exist from now on (the device grew). May sleep. */
int __must_check pdata_array_grow(struct pdata_array *a, u64 max_groups);

/**
 * pdata_array_load - have a group's numbers in memory
 * @a: array
 * @group: the group at nr_groups is initialised to zeroes and dirty; above it
 *	there is nothing (-PDATA_E_OUT_OF_RANGE)
 *
 * May sleep; one caller at a time (the metadata lock).
 *
 * Return: 0; -ENOMEM; or why the group is damaged (remembered): then all its
 * numbers read as PDATA_ARRAY_BAD and cannot be changed.
 */
int __must_check pdata_array_load(struct pdata_array *a, u64 group);

/* Working value; the group is loaded. */
u32 pdata_array_get(struct pdata_array *a, u64 index);
/* As above, value before the transaction being built. */
u32 pdata_array_get_old(struct pdata_array *a, u64 index);
/* Change the working value; the group is loaded and becomes dirty. -ENOMEM leaves it unchanged. */
int __must_check pdata_array_set(struct pdata_array *a, u64 index, u32 value);

/**
 * pdata_array_get_committed - value in the last durable checkpoint
 * @a: array
 * @index: any
 * @generation: that the caller reads; must be the newest committed
 * @value: result
 *
 * Any context that may sleep, needs no metadata lock. Loads nothing: an
 * unloaded group answers -PDATA_E_WOULD_SLEEP, then load it under the
 * metadata lock and try again. A group that was not initialised reads as 0.
 *
 * Return: 0, -PDATA_E_RETRY if @generation is no longer the committed one.
 */
int __must_check pdata_array_get_committed(struct pdata_array *a, u64 index,
					   u64 generation, u32 *value);

/* The same for the superblock of the next commit; @slots has PDATA_SLOT_BYTES. */
void pdata_array_next_slots(const struct pdata_array *a, u8 *slots);

/* Write all dirty groups to their free slots (not durable before a flush). */
int __must_check pdata_array_write(struct pdata_array *a, u64 generation);
/* The superblock of @generation is durable: working content is committed content. */
void pdata_array_committed(struct pdata_array *a, u64 generation);

/**
 * pdata_array_scrub - after an unclean stop: make slots newer than the
 * superblock impossible to mistake for later content
 * @a: array, nothing loaded yet
 *
 * Overwrites such slots and torn ones with their group's committed content and
 * flushes. Damaged groups are left as they are. May sleep; reads every
 * initialised slot.
 */
int __must_check pdata_array_scrub(struct pdata_array *a);

#endif
