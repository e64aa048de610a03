/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Superblocks: the one place a checkpoint hangs from.
 *
 * Generation N goes to A if N is even, to B if it is odd; then to the backup.
 * The newest valid copy wins. A block 0 of zeroes asks for a format, whatever
 * the other copies say: LVM zeroes no more than that.
 */
#ifndef PDATA_SUPERBLOCK_H
#define PDATA_SUPERBLOCK_H

#include "pdata-block.h"

struct pdata_hold {
	u64 root;
	u64 uid;
	u64 generation;
	u32 id;
	u32 kind;
};

/* struct pdata_superblock_disk in memory, field by field. */
struct pdata_super {
	u8 uuid[PDATA_UUID_SIZE];
	u64 generation;
	u32 version;
	u32 flags;
	u64 compat_features;
	u64 ro_compat_features;
	u64 incompat_features;
	u64 meta_blocks;
	u64 data_units;
	u64 meta_groups;
	u64 meta_used;
	u64 data_used;
	u64 journal_blocks;
	u64 journal_nonce;
	u64 journal_tail;
	u64 journal_tail_rec;
	u32 journal_tail_crc;
	u64 journal_cut;
	u64 journal_cut_gen;
	u32 time;
	u64 details_root;
	u64 details_copy_root;
	u64 deleting_root;
	u64 data_sm_root;
	u64 data_sm_leaves;
	u64 next_uid;
	u64 transaction_id;
	u32 data_block_size;
	u32 nr_holds;
	struct pdata_hold hold[PDATA_MAX_HOLDS];
	u8 slots[PDATA_SLOT_BYTES];
};

enum pdata_sb_state {
	PDATA_SB_VALID,		/* *sb is filled in */
	PDATA_SB_ZEROED,	/* block 0 is all zero: format me */
};

/**
 * pdata_super_read - find the newest valid superblock
 * @io: the metadata device, nothing else may write it meanwhile
 * @sb: filled in when PDATA_SB_VALID is returned
 *
 * May sleep. Copies that fail their check are logged; it is an error only if
 * none is valid. If block 0 can be read and neither is zero nor carries our
 * magic, the device belongs to somebody else, whatever old copies of ours lie
 * behind it: what was found is logged (v1's magic le64 27022010 at byte 32 by
 * name). The newest copy decides about version and features; while
 * A is valid, copies of other pools (other uuid) do not count.
 *
 * Return: enum pdata_sb_state, -PDATA_E_NOT_V2, -PDATA_E_VERSION (unknown
 * version or incompat feature), -PDATA_E_TOO_SMALL, or the device's errno. If
 * block 0 does carry our magic but no copy is valid: what its checker says.
 */
int __must_check pdata_super_read(struct pdata_io *io, struct pdata_super *sb);

/**
 * pdata_super_write - make a checkpoint the current one
 * @io: metadata device; all that @sb reaches is durable already
 * @sb: generation decides the copy that is written
 * @backup: write the backup copy instead of A or B
 *
 * May sleep. Written with FUA.
 *
 * Return: 0 or an error; after one the copy's content is unknown.
 */
int __must_check pdata_super_write(struct pdata_io *io, const struct pdata_super *sb,
				   bool backup);
/* The same with a block of memory for it: cannot fail for want of memory. */
int __must_check pdata_super_write_buf(struct pdata_io *io, const struct pdata_super *sb,
				       bool backup, void *buf);

/**
 * pdata_super_mend - write over a superblock that is torn
 * @io: metadata device
 * @sb: the superblock in force, as it was written
 *
 * The home that @sb is not in, if nothing valid is there, gets @sb. Comes before
 * any other write to a device: what is torn may be a newer superblock, and the
 * next attempt to write one of that generation may be torn, too, and supply the
 * sectors that lack, if they are the same in both. It would be whole then, and
 * what it points to written over. As long as nothing is, it may become whole.
 *
 * Return: 0 or an error.
 */
int __must_check pdata_super_mend(struct pdata_io *io, const struct pdata_super *sb);

/**
 * pdata_super_init - fill in the superblock of an empty pool
 * @sb: generation 0, default journal, nothing allocated, marked clean. The
 *	caller sets what it knows better: data_units, journal_nonce,
 *	data_block_size, journal_blocks.
 * @uuid: of the new pool
 * @meta_blocks: size of the metadata device, at least PDATA_MIN_BLOCKS
 *
 * An empty pool begins with this, pdata_super_format(), pdata_bm_init() with
 * @uuid, pdata_tm_init() and a first pdata_tm_commit().
 */
void pdata_super_init(struct pdata_super *sb, const u8 *uuid, u64 meta_blocks);

/**
 * pdata_super_format - write the superblocks of an empty pool
 * @io: metadata device
 * @sb: complete, generation 0
 *
 * B and backup first, a flush, then A: a crash leaves A zeroed, which formats
 * again. (B carries the same generation 0; any later commit is newer.)
 *
 * Return: 0 or an error.
 */
int __must_check pdata_super_format(struct pdata_io *io, const struct pdata_super *sb);

/* What a held checkpoint's superblock said, as far as @hold has it, goes to @sb. */
static inline void pdata_super_as_held(struct pdata_super *sb, const struct pdata_hold *hold)
{
	sb->generation = hold->generation;
	sb->transaction_id = hold->uid;
	sb->time = hold->id;
}

void pdata_super_pack(const struct pdata_super *sb, struct pdata_superblock_disk *d);
void pdata_super_unpack(const struct pdata_superblock_disk *d, struct pdata_super *sb);

#endif
