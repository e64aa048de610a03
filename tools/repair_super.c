// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_repair: which pool, which checkpoint.
 *
 * The newest copy of the superblock decides, if it is the newest there was: a
 * block that was written under a later one proves that copies are lost. Then,
 * or without any, the roots have to be found elsewhere, and the generation of the
 * last checkpoint is that of the newest blocks, or one less if these are of a
 * transaction that a crash cut short.
 */
#include "repair.h"

/* A transaction is built on the checkpoint: nothing but its blocks may be newer. */
#define NEWEST_OVER_SUPER	1

static const struct rp_block *super_copy(const struct repair *r, unsigned int i)
{
	static const u64 place[] = { PDATA_SB_A, PDATA_SB_B, PDATA_SB_BACKUP };
	const u64 block = place[i];

	if (block >= r->nr_blocks || rp_why(r, block) != RP_FOREIGN || !r->at[block] ||
	    r->at[block] > r->index.nr)
		return NULL;
	return rp_block(r, r->at[block])->type == RP_SUPER ? rp_block(r, r->at[block]) : NULL;
}

static unsigned int most_blocks(const struct repair *r)
{
	unsigned int i, best = 0;

	for (i = 1; i < r->nr_uuids; i++)
		if (r->nr_of_uuid[i] > r->nr_of_uuid[best])
			best = i;
	return best;
}

/*
 * A format writes all superblocks, so the first one that can be read says which
 * pool is meant. Without, a pool has always written the counts of the first
 * group. Else the one that most blocks belong to.
 */
static unsigned int choose_pool(const struct repair *r)
{
	const struct rp_block *a = super_copy(r, 0), *b = super_copy(r, 1), *c = super_copy(r, 2);
	unsigned int i;

	if (a)
		return a->pool;
	if (b && c && b->pool != c->pool)
		return r->nr_of_uuid[b->pool] >= r->nr_of_uuid[c->pool] ? b->pool : c->pool;
	if (b || c)
		return b ? b->pool : c->pool;
	for (i = 0; i < 2; i++) {
		const u32 at = r->at[pdata_counts_place(0, i)];

		if (at && at <= r->index.nr && rp_block(r, at)->type == RP_COUNTS)
			return rp_block(r, at)->pool;
	}
	return most_blocks(r);
}

static int read_super(struct repair *r, const struct rp_block *b)
{
	struct pdata_superblock_disk *d = tool_block();
	int err = rp_read(r, b, d);

	if (!err)
		pdata_super_unpack(d, &r->sb);
	pdata_block_free(d);
	if (!err && (r->sb.version != PDATA_FORMAT_VERSION || r->sb.incompat_features)) {
		tool_err("%s: %s", r->input, tool_error(-PDATA_E_VERSION));
		return -PDATA_E_VERSION;
	}
	return err;
}

/* The newest copy of our pool, if there is one. */
static int newest_super(struct repair *r)
{
	const struct rp_block *b, *best = NULL;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		b = super_copy(r, i);
		if (!b || b->pool != r->pool)
			continue;
		if (!best || b->generation > best->generation)
			best = b;
	}
	if (!best)
		return 0;
	/* Copies that are older than the one before are no copies. */
	for (i = 0; i < 3; i++) {
		b = super_copy(r, i);
		r->nr_supers += b && b->pool == r->pool && b->generation + 1 >= best->generation;
	}
	r->have_super = true;
	return read_super(r, best);
}

/* What is newer than any block that a checkpoint of generation @sb could be behind. */
static void newest_blocks(const struct repair *r, u64 *journal, u64 *any)
{
	const struct rp_block *b = r->index.v, *end = b + r->index.nr;

	*journal = 0;
	*any = 0;
	for (; b < end; b++) {
		if (b->pool != r->pool)
			continue;
		if (b->type == RP_JOURNAL)
			*journal = max(*journal, b->generation);
		*any = max(*any, b->generation);
	}
}

/* Without a superblock. What data and births say comes when leaves are read. */
static void infer_super(struct repair *r)
{
	memset(&r->sb, 0, sizeof(r->sb));
	r->sb.version = PDATA_FORMAT_VERSION;
	r->sb.meta_blocks = r->nr_blocks;
	r->sb.journal_blocks = pdata_journal_default(r->nr_blocks);
	r->sb.data_block_size = 128;
	r->sb.next_uid = PDATA_FIRST_UID;
}

/* No uid is given out twice. */
static void note_uids(struct repair *r)
{
	const struct rp_block *b = r->index.v, *end = b + r->index.nr;

	for (; b < end; b++)
		if (b->pool == r->pool && (b->type == RP_NODE || b->type == RP_LEAF))
			r->sb.next_uid = max(r->sb.next_uid, b->owner + 1);
}

static void count_types(struct repair *r)
{
	const struct rp_block *b = r->index.v, *end = b + r->index.nr;
	u64 i;

	for (; b < end; b++)
		if (b->pool == r->pool)
			r->nr_type[b->type]++;
	for (i = 0; i < r->nr_blocks; i++)
		if (!rp_find(r, i))
			r->nr_why[rp_why(r, i)]++;
}

int rp_choose_super(struct repair *r)
{
	u64 journal, any;
	int err;

	if (!r->index.nr) {
		tool_err("%s: no block of a thin-pool2 was found", r->input);
		return -PDATA_E_NOT_V2;
	}
	r->pool = choose_pool(r);
	err = newest_super(r);
	if (err)
		return err;
	count_types(r);
	newest_blocks(r, &journal, &any);
	if (!r->have_super)
		infer_super(r);
	note_uids(r);
	memcpy(r->sb.uuid, r->uuids[r->pool], PDATA_UUID_SIZE);
	r->have_roots = r->have_super && journal <= r->sb.generation &&
			any <= r->sb.generation + NEWEST_OVER_SUPER;
	r->generation = r->have_roots ? r->sb.generation : any;
	r->newest = any;
	/* A crash spoils one copy at most: the others may have been of the next commit. */
	r->roots_doubt = r->have_roots && r->nr_supers == 1 && any > r->sb.generation;
	return 0;
}
