/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Transactions: copy-on-write of metadata blocks between checkpoints.
 *
 * A transaction's blocks live in our own memory until the commit writes them;
 * the committed version stays untouched and readable beside them. Shadowing a
 * block twice in one transaction is free.
 *
 * Everything here except the view functions on a committed view is called
 * under the metadata lock, one thread at a time, and may sleep.
 */
#ifndef PDATA_TRANSACTION_H
#define PDATA_TRANSACTION_H

#include "pdata-space-map-metadata.h"

struct pdata_limits {		/* smaller than the format's, for tests */
	unsigned int btree_max;		/* entries a btree node, 0 = what fits */
	unsigned int fanout;		/* children an internal range node */
	unsigned int leaf_max;		/* records a range leaf */
};

extern const struct pdata_limits pdata_limits_default;

#define PDATA_TM_BATCH		256	/* blocks written at once */

struct pdata_tm {
	struct pdata_bm *bm;
	struct pdata_sm_meta sm;
	struct rb_root dirty;		/* by block */
	u64 nr_dirty;
	u64 generation;			/* of the transaction being built */
	u16 salt;			/* of this activation, see pdata_ptr_block() */
	struct pdata_limits limits;
	bool use_reserve;		/* set by the caller around merges, commits, deletes */
	bool failed;			/* a step failed half way: nothing may be committed */
	bool super_begun;		/* a superblock may or may not have been written */
	bool begun;			/* the last checkpoint is marked as in use */
	struct pdata_super *last;	/* that checkpoint */
	struct pdata_io_vec *vec;	/* PDATA_TM_BATCH; so a commit needs no memory */
	void *scratch;			/* PDATA_CHECK_SCRATCH bytes */
	void *super;			/* a block, for superblocks */
};

/* A block of the transaction's own, to write. */
struct pdata_rw {
	void *data;
	u64 ptr;		/* what its parent has to say */
};

/*
 * What a tree is read through: the transaction being built (its dirty blocks
 * first), or one pinned committed version (never its dirty blocks).
 */
struct pdata_view {
	struct pdata_tm *tm;
	const struct pdata_pin *pin;	/* NULL = the transaction being built */
};

/* -PDATA_E_STALE, beside what pdata_bm_read() says, if the block has another tag than @ptr. */
int __must_check pdata_view_read(const struct pdata_view *v, u64 ptr, u32 type,
				 struct pdata_ro *b);
void pdata_view_release(const struct pdata_view *v, struct pdata_ro *b);

/**
 * pdata_tm_init - start building the transaction after a checkpoint
 * @tm: to initialise
 * @bm: block layer, outlives @tm
 * @sb: the checkpoint; the transaction's generation is one more
 */
int __must_check pdata_tm_init(struct pdata_tm *tm, struct pdata_bm *bm,
			       const struct pdata_super *sb);
void pdata_tm_exit(struct pdata_tm *tm);	/* drops uncommitted blocks */

/**
 * pdata_tm_new - a fresh block, zeroed but for magic, owner, number and generation
 *
 * Valid until the commit. Its count is 1.
 *
 * Return: 0, -PDATA_E_META_NOSPC, -ENOMEM, -PDATA_E_FAILED, device errno; then
 * nothing has changed.
 */
int __must_check pdata_tm_new(struct pdata_tm *tm, u32 type, u64 owner, struct pdata_rw *b);

/**
 * pdata_tm_shadow - make a block writable
 * @tm: transaction
 * @ptr: the caller trades one reference to it for one to b->ptr
 * @type: enum pdata_type
 * @owner: owner of the result (a copy of a shared node belongs to the copier)
 * @b: result; b->ptr == @ptr if it already was this transaction's and unshared
 * @was_shared: the original stays referenced by others: the caller must
 *	count one more reference on everything the block points to
 *
 * Return: 0 or an error, then nothing has changed.
 */
int __must_check pdata_tm_shadow(struct pdata_tm *tm, u64 ptr, u32 type, u64 owner,
				 struct pdata_rw *b, bool *was_shared);

int __must_check pdata_tm_inc(struct pdata_tm *tm, u64 ptr);
/* Drop one reference; *count is what is left. A freed block's memory goes away. */
int __must_check pdata_tm_dec(struct pdata_tm *tm, u64 ptr, u32 *count);

/**
 * pdata_tm_commit - write the transaction, make @sb the checkpoint
 * @tm: transaction; all trees are consistent, nothing else runs in it
 * @sb: next superblock, complete but for generation, meta_used, meta_groups,
 *	slots and meta_blocks, which are filled in here
 *
 * Seals and checks all dirty blocks before the first is written; one refusal
 * refuses the commit with nothing written. Then: blocks and dirty count slots,
 * flush, superblock (FUA), backup (FUA), publish. The caller has made the
 * journal and the data it exposes durable before.
 *
 * The first commit of an activation, and one after a commit that was marked
 * clean, first write both copies of the last checkpoint's superblock again,
 * without that mark. So a crash that leaves half-written slots is always known
 * as unclean, and no block is reused on the word of a single superblock.
 *
 * On success tm->generation has advanced by one and the quarantine has moved
 * on; memory of its blocks is gone. On failure tm->failed is set: nothing more
 * may be changed or committed. The old checkpoint stands, unless it was the
 * write of the superblock or its backup that failed: then either one does.
 *
 * Return: 0 or the error.
 */
int __must_check pdata_tm_commit(struct pdata_tm *tm, struct pdata_super *sb);

/**
 * pdata_tm_mark - set flags in the superblock in force, though nothing can be committed
 * @tm: transaction, failed
 * @sb: what the last attempt to commit was given
 * @flags: PDATA_SB_*
 *
 * The backup is written first, and the home only if that went well, so one of the
 * two is whole. Sleeps.
 *
 * Return: 0 or the device's errno.
 */
int __must_check pdata_tm_mark(struct pdata_tm *tm, struct pdata_super *sb, u32 flags);

#endif
