/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every structure that dm-thin2 writes to the metadata device.
 *
 * Start reading here. Metadata blocks are 4 KiB. Each begins with the same
 * 64-byte header, which says what the block is, where it lives, whose it is
 * and when it was written, so that a torn, stale, misdirected or flipped
 * block is noticed by its first reader and repair can tell blocks apart.
 * All fields are little endian. Documentation/dm-thin2-format.rst draws them.
 *
 * Units: a "block" is 4 KiB of metadata device, a "unit" is 4 KiB of a thin
 * volume or of the data device.
 */
#ifndef PDATA_FORMAT_H
#define PDATA_FORMAT_H

#include "pdata-platform.h"

#define PDATA_BLOCK_SIZE	4096u
#define PDATA_BLOCK_SHIFT	12
#define PDATA_BLOCK_SECTORS	8u
#define PDATA_UNIT_SECTORS	8u

#define PDATA_FORMAT_VERSION	1
#define PDATA_MAX_UNITS		BIT_ULL(48)	/* of a volume and of a blob */
#define PDATA_KEY_BITS		49		/* of a unit, or one past the last */
#define PDATA_MAX_BLOCKS	BIT_ULL(48)	/* of the metadata device */
#define PDATA_MIN_BLOCKS	512u		/* 2 MiB, LVM's smallest */
#define PDATA_UUID_SIZE		16

/* Block types; the value is the magic on disk. */
enum pdata_type {
	PDATA_TYPE_SUPERBLOCK	= 0x32425354,	/* "TSB2" */
	PDATA_TYPE_JOURNAL	= 0x324e4a54,	/* "TJN2" */
	PDATA_TYPE_COUNTS	= 0x32544354,	/* "TCT2": metadata space map */
	PDATA_TYPE_BTREE	= 0x32544254,	/* "TBT2": plain btree node */
	PDATA_TYPE_RANGE_NODE	= 0x324e5254,	/* "TRN2": range tree, internal */
	PDATA_TYPE_RANGE_LEAF	= 0x324c5254,	/* "TRL2": range tree, leaf */
};

/* Owners of blocks that belong to no thin; uids of thins start above. */
enum pdata_owner {
	PDATA_OWNER_NONE	= 0,
	PDATA_OWNER_SUPER	= 1,
	PDATA_OWNER_JOURNAL	= 2,
	PDATA_OWNER_META_SM	= 3,
	PDATA_OWNER_DATA_SM	= 4,
	PDATA_OWNER_DETAILS	= 5,
	PDATA_OWNER_DELETING	= 6,
	PDATA_OWNER_DETAILS_COPY = 7,
	PDATA_FIRST_UID		= 16,
};

struct pdata_header {
	__le32 csum;		/* crc32c of bytes 4..4095 */
	__le32 magic;		/* enum pdata_type */
	__le64 blocknr;		/* where this block belongs */
	__u8 uuid[PDATA_UUID_SIZE];	/* of the pool */
	__le64 generation;	/* of the checkpoint that wrote it */
	__le64 owner;		/* uid of the tree, or enum pdata_owner */
	__le64 seq;		/* range leaf: freeze sequence it holds; else 0 */
	__le16 salt;		/* tree nodes: random, of the activation that wrote it */
	__u8 reserved[6];
} __packed;

/*
 * Pointers to tree nodes, in nodes, details, superblocks and holds.
 *
 * The block is in bits 0..47. Bits 48..63 are the tag of the node that is
 * meant, so that a node that a write should have replaced and did not, whole
 * as it may be, is not taken for the one that was written. Generations tell
 * the transactions of an activation apart. But after a crash the next
 * transaction has the generation of the one that was cut short, and may have
 * put a node of the same kind into the same block; the salt is for these.
 * 0 is no pointer: an empty tree.
 */
#define PDATA_PTR_BLOCK_BITS	48

static inline u64 pdata_ptr_block(u64 ptr)
{
	return ptr & ((1ULL << PDATA_PTR_BLOCK_BITS) - 1);
}

static inline u16 pdata_ptr_tag(u64 ptr)
{
	return ptr >> PDATA_PTR_BLOCK_BITS;
}

/* The tag that pointers to the node with this header have. */
static inline u16 pdata_tag(const struct pdata_header *h)
{
	return le64_to_cpu(h->generation) + le16_to_cpu(h->salt);
}

/* A pointer to the node with this header, complete but for the crc. */
static inline u64 pdata_ptr_to(const struct pdata_header *h)
{
	return le64_to_cpu(h->blocknr) | (u64)pdata_tag(h) << PDATA_PTR_BLOCK_BITS;
}

/*
 * Fixed places.
 *
 * Blocks 0 and 1 are superblocks A and B, block 511 their backup: it exists on
 * the smallest device. The device is cut into groups of PDATA_COUNTS_PER_BLOCK
 * blocks; blocks 2 and 3 of each group are the two slots that hold the
 * reference counts of that group. The journal is a run of blocks from
 * PDATA_JOURNAL_FIRST on that leaves these out (pdata_journal_place()).
 */
#define PDATA_SB_A		0
#define PDATA_SB_B		1
#define PDATA_SB_BACKUP		511
#define PDATA_COUNTS_SLOT0	2	/* within its group */
#define PDATA_JOURNAL_FIRST	4

#define PDATA_COUNTS_PER_BLOCK	1008	/* (4096 - 64) / 4 */

/* One slot of the metadata space map: the counts of one group's blocks. */
struct pdata_counts {
	struct pdata_header h;
	__le32 count[PDATA_COUNTS_PER_BLOCK];
} __packed;

/* ---- superblock ---- */

#define PDATA_MAX_HOLDS		32

enum pdata_hold_kind {
	PDATA_HOLD_ROOT = 1,	/* one thin's mapping tree (get_root) */
	PDATA_HOLD_CHECKPOINT = 2,	/* details tree and all below it */
	PDATA_HOLD_RELEASING = 3,	/* what is left of one: nobody reads it */
};

struct pdata_hold_disk {
	__le64 root;		/* pointer */
	__le64 uid;		/* owner of the held tree; of a checkpoint: transaction id */
	__le64 generation;
	__le32 id;		/* thin id; of a checkpoint: time */
	__le32 kind;		/* enum pdata_hold_kind */
} __packed;

#define PDATA_SLOT_BYTES	2800u
#define PDATA_SLOT_GROUPS	(8 * PDATA_SLOT_BYTES)	/* of 3.9 MiB: 86 GiB */

#define PDATA_SB_CLEAN		BIT(0)	/* nothing to replay */
#define PDATA_SB_NEEDS_CHECK	BIT(1)

struct pdata_superblock_disk {
	struct pdata_header h;
	__le32 version;		/* PDATA_FORMAT_VERSION */
	__le32 flags;		/* PDATA_SB_* */
	__le64 compat_features;
	__le64 ro_compat_features;
	__le64 incompat_features;

	__le64 meta_blocks;	/* size of the metadata device, blocks */
	__le64 data_units;	/* size of the data device, units */
	__le64 meta_groups;	/* space-map groups initialised so far */
	__le64 meta_used;	/* blocks with a count > 0, fixed ones left out */
	__le64 data_used;	/* units with a count > 0 */

	__le64 journal_blocks;	/* length of the ring */
	__le64 journal_nonce;
	__le64 journal_tail;	/* sequence of the first block to replay */
	__le64 journal_tail_rec; /* first record sequence not merged */
	__le32 journal_tail_crc; /* crc of the block before the tail */
	__le32 time;		/* snapshot counter, the births' clock */

	__le64 details_root;	/* pointer, 0 = empty tree */
	__le64 deleting_root;
	__le64 data_sm_root;
	__le64 data_sm_leaves;
	__le64 blob_table;	/* reserved, 0 */
	__le64 next_uid;
	__le64 transaction_id;
	__le32 data_block_size;	/* last table's block size, sectors */
	__le32 nr_holds;
	__le64 journal_cut;	/* where replay ended last: blocks from here on are valid */
	__le64 journal_cut_gen;	/* only if their generation is not below this */
	struct pdata_hold_disk hold[PDATA_MAX_HOLDS];
	__le64 details_copy_root; /* the same entries as below details_root */
	__u8 slots[PDATA_SLOT_BYTES]; /* bit g % 8 of byte g / 8: group g's counts are in slot 1 */
	__u8 reserved[4096 - 64 - 192 - 32 * 32 - 8 - PDATA_SLOT_BYTES];
} __packed;

/* ---- journal ---- */

enum pdata_record_kind {
	PDATA_REC_MAP = 1,	/* uid's [vbegin, +len) is at phys */
	PDATA_REC_UNMAP = 2,
	PDATA_REC_ZERO = 3,
	PDATA_REC_DAMAGED = 4,
};

#define PDATA_REC_MAX_LEN	0xffffffffull	/* units in one record */

struct pdata_record_disk {
	__le64 uid;
	__le64 vbegin_kind;	/* units, bits 0..55; kind, bits 56..63 */
	__le64 phys;		/* blob, bits 56..63; unit, bits 0..55 */
	__le32 len;		/* units */
	__le32 birth;
} __packed;

#define PDATA_RECORDS_PER_BLOCK	124	/* (4096 - 64 - 48) / 32, rounded down */

struct pdata_journal_disk {
	struct pdata_header h;	/* generation: of the superblock in force */
	__le64 nonce;		/* the journal's, from the superblock */
	__le64 seq;		/* of this block, never reused */
	__le64 durable_seq;	/* last block known durable when this was sealed */
	__le64 first_rec;	/* sequence of record[0]; the others follow on */
	__le32 prev_crc;	/* h.csum of block seq - 1 */
	__le32 nr_records;
	__le64 reserved;
	struct pdata_record_disk record[PDATA_RECORDS_PER_BLOCK];
	__u8 pad[16];
} __packed;

/* ---- plain btree ---- */

struct pdata_btree_disk {
	struct pdata_header h;
	__le16 level;		/* 0 = leaf */
	__le16 nr;
	__le32 value_size;	/* bytes in a leaf, 8 in internal nodes: pointers */
	__le64 reserved;
	/* __le64 key[max]; then values. max = room / (8 + value_size) */
	__u8 data[4096 - 64 - 16];
} __packed;

/* ---- device details (value of the details and deleting trees) ---- */

#define PDATA_THIN_DELETING	BIT(0)
#define PDATA_THIN_TOMBSTONE	BIT(1)	/* freed, kept for its descendants */
#define PDATA_THIN_SUM_LOST	BIT(2)	/* leaf_sum means nothing */

/* Where the details trees have the tombstone of @uid: behind all thin ids. */
#define PDATA_TOMBSTONE_KEY(uid)	((1ull << 63) | (uid))

struct pdata_details_disk {
	__le64 uid;
	__le64 root;		/* pointer, 0 = nothing mapped */
	__le64 applied_seq;	/* records up to this one are in the tree */
	__le64 mapped_units;
	__le64 origin_uid;	/* 0 = no origin */
	__le64 origin_seq;	/* origin's applied_seq when this was taken */
	__le64 created_gen;	/* generation that made the entry */
	__le64 delete_cursor;	/* units; all below is freed */
	__le64 transaction_id;	/* userland's, at creation */
	__le32 id;
	__le32 flags;
	__le32 create_time;	/* births' clock */
	__le32 snap_time;	/* of the last snapshot taken of or as this */
	__u8 name[32];		/* property, zero padded */
	__le64 leaf_sum;	/* sum of pdata_leaf_mark() over the tree's leaves */
	__u8 reserved[16];
} __packed;

static inline u64 pdata_mix(u64 x)
{
	x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 29)) * 0xd6e8feb86659fd93ull;
	return x ^ (x >> 32);
}

/*
 * What a leaf of a mapping tree adds to its thin's leaf_sum, mod 2^64. Block
 * and generation name one version of one leaf, but for what a crash left of the
 * last transaction. So whoever has put leaves together knows whether they are
 * the ones of a checkpoint, all of them and none besides.
 */
static inline u64 pdata_leaf_mark(u64 blocknr, u64 generation)
{
	return pdata_mix(pdata_mix(blocknr + 1) + generation);
}

/* ---- range trees (mappings of a thin; data space map) ---- */

/* Both node kinds: keys lie in [lo, hi); children tile it without gaps. */
struct pdata_range_head {
	__le16 level;		/* 0 = leaf */
	__le16 nr;		/* children, or records of a leaf */
	__le16 codec;		/* leaf: enum pdata_codec_id */
	__le16 bytes;		/* leaf: payload bytes in use */
	__le64 lo;
	__le64 hi;
	__le64 reserved;
} __packed;

#define PDATA_RANGE_FANOUT	250	/* (4096 - 64 - 32) / 16 */

struct pdata_range_child {
	__le64 begin;		/* the first one's is lo */
	__le64 ptr;
} __packed;

struct pdata_range_node_disk {
	struct pdata_header h;
	struct pdata_range_head r;
	struct pdata_range_child child[PDATA_RANGE_FANOUT];
} __packed;

#define PDATA_LEAF_PAYLOAD	4000	/* bytes */

struct pdata_range_leaf_disk {
	struct pdata_header h;
	struct pdata_range_head r;
	__u8 payload[PDATA_LEAF_PAYLOAD];
} __packed;

enum pdata_codec_id {
	PDATA_CODEC_MAP_PLAIN = 1,	/* mappings, fixed-size records */
	PDATA_CODEC_SM_PLAIN = 2,	/* data space map, fixed-size records */
	PDATA_CODEC_MAP_PACKED = 3,	/* mappings, bit-packed groups */
	PDATA_CODEC_SM_PACKED = 4,	/* data space map, bit-packed groups */
};

enum pdata_range_kind {
	PDATA_RANGE_MAPPED = 1,
	PDATA_RANGE_ZERO = 2,
	PDATA_RANGE_DAMAGED = 3,
	PDATA_RANGE_COMPRESSED = 4,	/* reserved */
	PDATA_RANGE_COUNT = 5,		/* data space map: extent in use */
};

struct pdata_map_rec_disk {		/* PDATA_CODEC_MAP_PLAIN */
	__le64 vbegin_kind;	/* units, bits 0..55; kind, bits 56..63 */
	__le64 phys;		/* blob, bits 56..63; unit, bits 0..55 */
	__le32 len;		/* units */
	__le32 birth;
} __packed;

struct pdata_sm_rec_disk {		/* PDATA_CODEC_SM_PLAIN */
	__le64 begin;		/* physical, blob and unit as above */
	__le64 uid;		/* back-reference; 0 = unknown */
	__le64 vbegin;		/* where uid has it, units */
	__le32 len;		/* units */
	__le32 count;
} __packed;

#endif
