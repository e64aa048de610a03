/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside thin2_repair.
 *
 * A run scans the whole input once and indexes every block that is intact
 * (repair_scan.c). From the index it finds the checkpoint to rebuild
 * (repair_super.c, repair_counts.c), its thins (repair_details.c), their trees
 * (repair_trees.c), and fills in what is missing there with what can be shown
 * to belong there (repair_lost.c, repair_search.c). The plan that results is
 * then written as a new pool (repair_write.c and what follows in its list).
 *
 * Memory grows with metadata blocks, not with ranges or units.
 */
#ifndef THIN2_TOOLS_REPAIR_H
#define THIN2_TOOLS_REPAIR_H

#include "common.h"
#include "dm-thin2-metadata.h"
#include "pdata-layout.h"
#include "pdata-validate.h"

/* ---- the index ---- */

enum rp_type {
	RP_SUPER,
	RP_JOURNAL,
	RP_COUNTS,
	RP_BTREE,
	RP_NODE,
	RP_LEAF,
	RP_NR_TYPES
};

struct rp_block {
	u64 block;
	u64 generation;
	u64 owner;
	u64 seq;	/* journal: of the block */
	u64 lo;		/* range trees: interval; btree: first key; journal: first record */
	u64 hi;		/* btree: last key; journal: behind the last record */
	u64 sum;	/* mapping trees: of the leaves below; journal: nonce */
	u64 mapped;	/* ... units mapped below; journal: durable_seq */
	u64 copy;	/* ... pointer in the output, 0 = none; journal: csum, prev_crc */
	u64 cut;	/* of a tree being deleted: children that end up to here are gone */
	u32 refs;	/* pointers to it in the checkpoint that could be read */
	u16 tag;	/* of pointers that mean it */
	u8 type;	/* enum rp_type */
	u8 level;
	u8 pool;	/* index of its uuid */
	u8 state;	/* enum rp_state */
	u8 flags;	/* RP_READ */
};

#define RP_READ		1	/* mapped is known */

enum rp_state {
	RP_NEW,		/* nobody was there */
	RP_WHOLE,	/* everything below is there */
	RP_BROKEN,	/* something below is not */
};

/* What is not in the index. */
enum rp_why {
	RP_ZERO,	/* nothing was ever written there */
	RP_BAD,		/* the checker refuses it */
	RP_UNREADABLE,	/* the device does */
	RP_FOREIGN,	/* of another pool */
	RP_BEYOND,	/* of the device's end */
	RP_STALE,	/* intact, but of an older version */
	RP_NR_WHY
};

/* A bad block whose header may still say what it was. To try, never to believe. */
struct rp_hint {
	u64 block;
	u64 generation;
};

/* ---- what is missing ---- */

/* A part of a lost node's interval: one child, or nothing. */
struct rp_item {
	u64 lo;
	u64 hi;
	u32 child;	/* index + 1; 0 = lost */
};

/* A node that a pointer leads to and that is not there. */
struct rp_lost {
	u64 block;
	u16 tag;
	u64 lo;
	u64 hi;
	u64 owner;	/* of the node above, or the thin's uid */
	u64 max_generation;	/* of the node above: none below is newer */
	s8 level;	/* -1: a root, unknown */
	bool wanted;	/* a thin has it; else just somewhere a count may come from */
	u32 thin;	/* ... this one, among others */
	bool proven;	/* items are what was there; what is not is lost */
	bool found;	/* ... and they are complete */
	bool by_sum;	/* items are all leaves */
	const char *why;	/* no evidence was found */
	struct rp_item *item;
	size_t nr_items;
	u64 sum;
	u64 mapped;
	u64 generation;	/* of the node that takes its place */
	u64 copy;	/* pointer to that in the output */
	u8 copy_level;
	u64 next;	/* in the table's chain, index + 1 */
};

/* ---- thins ---- */

struct rp_thin {
	struct thin2_details d;
	u64 entry_gen;		/* of the node it was found in */
	bool tombstone;
	bool doubt;		/* nothing says that the entry is the current one */
	bool single;		/* ... but its leaf, the other tree's is lost */
	bool stale;		/* the thin has written leaves since */
	bool adopted;		/* the tree is the current one, though */
	bool broken;		/* something of its tree is lost */
	bool proven;		/* leaf_sum agrees */
	bool verified;		/* ... with marks of what is lost */
	bool mismatch;		/* the tree is complete, and it does not */
	bool dropped;
	bool needed;		/* by living descendants, as a tombstone */
	const char *note;	/* why; without one it is known to be deleted */
	u64 mapped;		/* units found */
	u64 sum;
	u64 copy;		/* pointer to the root in the output */
	u64 records;		/* of the journal that go with it */
};

/* Growing arrays; see repair_util.c. */
struct rp_array {
	void *v;
	size_t nr;
	size_t max;
};

void *rp_array_add(struct rp_array *a, size_t size);	/* zeroed */

/* A range that is lost, for the report. */
struct rp_loss {
	u64 uid;
	u32 id;
	u64 lo;
	u64 hi;
	u64 block;		/* that of the leaf or of the node above */
	const char *why;
};

/* ---- the run ---- */

struct repair {
	/* Options. */
	const char *input;
	const char *output;
	const char *report_file;
	bool json;
	bool quiet;
	bool verbose;
	bool lost_unmapped;
	bool set_transaction;
	bool set_block_size;
	bool set_nr_blocks;
	u64 transaction;
	u64 block_size;		/* sectors */
	u64 nr_data_blocks;

	struct pdata_io *in;
	struct pdata_io *out;

	/* The index. */
	u64 nr_blocks;
	u32 *at;		/* by block: index + 1, or ~enum rp_why */
	struct rp_array index;	/* struct rp_block, by block number */
	struct rp_array hints;	/* struct rp_hint */
	u8 uuids[255][PDATA_UUID_SIZE];
	u64 nr_of_uuid[255];
	unsigned int nr_uuids;
	u8 pool;		/* ours */
	u64 nr_type[RP_NR_TYPES];
	u64 nr_why[RP_NR_WHY];
	void *scratch;		/* PDATA_CHECK_SCRATCH */

	/* The checkpoint. */
	struct pdata_super sb;	/* what is known or was inferred */
	bool have_super;	/* some copy could be read */
	bool have_roots;	/* and it is the newest: its roots hold */
	bool roots_doubt;	/* ... but perhaps the next one was committed, too */
	unsigned int nr_supers;	/* copies that are of the newest checkpoint or the one before */
	u64 newest;		/* generation of any block */
	u64 generation;		/* committed */

	/* Counts as committed: NULL = lost. */
	u32 **counts;
	u64 nr_groups;
	u64 groups_lost;
	bool counts_doubt;	/* their total is not the superblock's: prove nothing */

	/* Thins and trees. */
	struct rp_array thins;	/* struct rp_thin, by key: living ones, then tombstones */
	struct rp_array deleting;	/* struct rp_thin */
	bool unknown_roots;	/* there may be trees that we know nothing of */
	struct rp_array lost;	/* struct rp_lost */
	u64 *lost_table;	/* hash chains, index + 1 */
	size_t lost_buckets;
	struct rp_array losses;	/* struct rp_loss, after the plan is made */
	u64 details_lost;	/* parts of the details tree that are in no copy */
	bool details_doubt;	/* ... which may have had thins that were not found */
	struct rp_array holes;	/* u64: blocks that are nodes of it, and lost */

	u64 max_phys;		/* behind the last unit that is mapped */
	u32 max_birth;
	u64 nr_visited;
	u32 visiting;		/* thin */
	u64 nr_stale;		/* nodes taken out as older versions */
	u64 search_left;	/* marks that may still be tried */
	struct rp_array by_owner;	/* u32: leaves by owner and key */
	struct rp_array by_uid;	/* thins */

	/* The journal. */
	struct rp_array journal;	/* u32: blocks to replay, in order */
	u64 journal_missing;	/* blocks that were durable and are lost */
	bool journal_doubt;	/* ... or may have been */
	u64 journal_records;	/* in those blocks */
	u64 records_kept;	/* of living thins, not in a tree yet */
	u64 max_seq;		/* of any record that was met */
	struct rp_array extra;	/* struct pdata_record: what must read as damaged first */

	/* The output. */
	u64 out_blocks;
	u64 out_next;		/* next block to give out */
	u64 out_used;
	u64 out_failed_at;	/* blocks that there are too few of */
	u64 out_generation;
	u16 out_salt;
	u64 out_journal;
	u8 out_uuid[PDATA_UUID_SIZE];
	u32 *out_counts;	/* by block */
	void *out_buf[PDATA_TM_BATCH];
	struct pdata_io_vec out_vec[PDATA_TM_BATCH];
	unsigned int out_nr;
	struct pdata_super out_sb;
};

static inline struct rp_block *rp_block(const struct repair *r, u32 index)
{
	return (struct rp_block *)r->index.v + (index - 1);
}

static inline u32 rp_index(const struct repair *r, const struct rp_block *b)
{
	return b - (struct rp_block *)r->index.v + 1;
}

static inline struct rp_thin *rp_thin(const struct repair *r, size_t i)
{
	return (struct rp_thin *)r->thins.v + i;
}

/* A pointer into the output was written down. */
static inline void rp_out_ref(struct repair *r, u64 ptr)
{
	r->out_counts[pdata_ptr_block(ptr)]++;
}

static inline struct rp_lost *rp_lost(const struct repair *r, size_t i)
{
	return (struct rp_lost *)r->lost.v + i;
}

/* ---- repair_scan.c ---- */

/* Index all blocks of the input. */
int rp_scan(struct repair *r);
/* The block there, or NULL; only ours. */
struct rp_block *rp_find(const struct repair *r, u64 block);
enum rp_why rp_why(const struct repair *r, u64 block);
const char *rp_why_text(enum rp_why why);
/* Read a block that is in the index. */
int __must_check rp_read(struct repair *r, const struct rp_block *b, void *data);
/* Its ranges: *nr of them, in r->scratch until the next call. */
int __must_check rp_ranges(struct repair *r, const struct rp_block *b, void *data,
			   struct pdata_range **ranges, unsigned int *nr);

/* ---- repair_super.c ---- */

int rp_choose_super(struct repair *r);

/* ---- repair_counts.c ---- */

void rp_load_counts(struct repair *r);
/* Is its count known? */
bool rp_count(const struct repair *r, u64 block, u32 *count);

/* ---- repair_details.c ---- */

int rp_details(struct repair *r);

/* ---- repair_trees.c ---- */

/* A pointer to a node. */
struct rp_at {
	u64 block;
	u16 tag;
	u64 lo;
	u64 hi;
	u64 owner;
	u64 max_generation;
	int level;	/* -1: a root */
};

/* What it leads to: an intact node, or a lost one; neither for block 0. */
struct rp_ref {
	u32 node;	/* index + 1 */
	u32 lost;	/* index + 1 in r->lost */
};

int rp_trees(struct repair *r);
/* Find what is below an intact node. */
int __must_check rp_visit(struct repair *r, u32 index);
struct rp_ref rp_resolve(struct repair *r, const struct rp_at *at);
/* Child @i of an intact internal node that was read into @d. */
void rp_child(const struct rp_block *b, const struct pdata_range_node_disk *d, unsigned int i,
	      struct rp_at *at);
struct rp_at rp_root_at(const struct rp_thin *t);

/* ---- repair_adopt.c ---- */

/* Find entries that a later commit must have changed. */
void rp_doubt_stale(struct repair *r);
void rp_adopt_roots(struct repair *r);

/* ---- repair_lost.c ---- */

int rp_fill_lost(struct repair *r);
/* The thin's lost nodes: u32, index + 1. */
int __must_check rp_collect_lost(struct repair *r, const struct rp_thin *t, struct rp_array *lost);
/* Intact nodes, visited, in the place of a lost one. */
void rp_set_items(struct repair *r, struct rp_lost *l, const struct rp_array *items);
bool rp_tiles(const struct rp_lost *l, const struct rp_array *items);
u64 rp_sum_of(const struct repair *r, const struct rp_array *items);

/* ---- repair_lineage.c ---- */

/* A uid whose leaves a thin may have, and which of them. */
struct rp_ancestor {
	u64 uid;
	u64 max_seq;
	u64 max_generation;
	u32 depth;
};

void rp_lineage_init(struct repair *r);
const struct rp_thin *rp_thin_of(const struct repair *r, u64 uid);
void rp_ancestor_first(const struct repair *r, const struct rp_thin *t, struct rp_ancestor *a);
bool rp_ancestor_next(const struct repair *r, struct rp_ancestor *a);
bool rp_may_have(const struct repair *r, const struct rp_thin *t, const struct rp_block *b);
/* The newest leaves in a lost node's interval: struct rp_item, sorted. */
void rp_newest_leaves(const struct repair *r, const struct rp_thin *t, const struct rp_lost *l,
		      struct rp_array *items);

/* ---- repair_search.c ---- */

int rp_search(struct repair *r);

/* ---- repair_stale.c ---- */

/* Take a block out of the index: it is of an older version. */
void rp_demote(struct repair *r, struct rp_block *b);
/* All that were are back. */
void rp_restore(struct repair *r);
/* Does an internal node's content show that it is not the current one? */
bool rp_is_stale(const struct repair *r, const struct rp_block *b,
		 const struct pdata_range_node_disk *d);

/* ---- repair_plan.c ---- */

int rp_plan(struct repair *r);
/* From r->in to r->out, which are open. Nothing is printed but errors. */
int rp_repair(struct repair *r);
void rp_exit(struct repair *r);

/* ---- repair_journal.c ---- */

/* Which blocks to replay. */
int rp_journal(struct repair *r);
/* Their records that matter, in order. */
int rp_records(struct repair *r,
	       int (*fn)(struct repair *r, struct rp_thin *t, const struct pdata_record *rec));
int rp_write_journal(struct repair *r);

/* ---- repair_out.c ---- */

int rp_out_begin(struct repair *r);
void rp_out_exit(struct repair *r);
/* A block that is free, 0 = there is none (reported). */
u64 rp_out_new(struct repair *r);
/* Room for the next block to be written, zeroed. */
void *rp_out_buf(struct repair *r);
/*
 * Seal what is there as @block of @generation, and write it some day. *ptr, if not
 * NULL, is a pointer to it.
 */
int __must_check rp_out_put(struct repair *r, u64 block, u64 generation, u64 *ptr);
int __must_check rp_out_flush(struct repair *r);

/* A node of a range tree under construction. */
struct rp_kid {
	u64 lo;
	u64 ptr;
	u64 sum;
	u64 mapped;
	u8 level;
};

/* Nodes of one level above @kids, all of them of one level, which they replace. */
int __must_check rp_out_nodes(struct repair *r, struct rp_array *kids, u64 hi, u64 owner,
			      u64 generation);

/* ---- repair_copy.c ---- */

int rp_copy_trees(struct repair *r);

/* ---- repair_space.c ---- */

int rp_write_data_map(struct repair *r);
int rp_write_counts(struct repair *r);

/* ---- repair_write.c ---- */

int rp_write(struct repair *r);

/* ---- repair_verify.c ---- */

/* Does a check of the output, as it will be with its superblock, find nothing? */
int rp_verify(struct repair *r, const struct pdata_super *sb);

/* ---- repair_report.c ---- */

int rp_find_losses(struct repair *r);
int rp_report(struct repair *r, int status);

#endif
