// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checkers of metadata blocks, one for each type.
 *
 * A checker sees one block and nothing else. It refuses whatever a correct
 * writer cannot have written, so that the code behind it may rely on counts,
 * orders and block numbers without looking at them again.
 */
#include "pdata-validate.h"
#include "pdata-fault.h"
#include "pdata-layout.h"

#define MAX_LEVEL	15	/* of any tree: deeper than 2^48 keys need */

static int refuse(struct pdata_check *c, int code, const char *what, u64 found, u64 expected)
{
	c->what = what;
	c->found = found;
	c->expected = expected;
	return -code;
}

static int refuse_content(struct pdata_check *c, const char *what, u64 found, u64 expected)
{
	return refuse(c, PDATA_E_CONTENT, what, found, expected);
}

/* May a tree have this pointer? Fixed places hold no tree nodes. */
static bool is_tree_ptr(u64 ptr, u64 nr_blocks)
{
	return pdata_ptr_block(ptr) < nr_blocks && !pdata_is_fixed(pdata_ptr_block(ptr));
}

/* As above for a root: 0 is an empty tree. */
static bool is_root(u64 ptr, u64 nr_blocks)
{
	return !ptr || is_tree_ptr(ptr, nr_blocks);
}

static int check_super_sizes(struct pdata_check *c, const struct pdata_superblock_disk *d)
{
	u64 blocks = le64_to_cpu(d->meta_blocks);
	u64 journal = le64_to_cpu(d->journal_blocks);
	u64 units = le64_to_cpu(d->data_units);

	if (blocks < PDATA_MIN_BLOCKS || blocks > PDATA_MAX_BLOCKS)
		return refuse_content(c, "meta_blocks", blocks, PDATA_MIN_BLOCKS);
	if (units > PDATA_MAX_UNITS)
		return refuse_content(c, "data_units", units, PDATA_MAX_UNITS);
	if (!journal || journal >= blocks || pdata_journal_end(journal) > blocks)
		return refuse_content(c, "journal_blocks", journal, blocks);
	if (le64_to_cpu(d->meta_groups) > pdata_nr_groups(blocks))
		return refuse_content(c, "meta_groups", le64_to_cpu(d->meta_groups),
				      pdata_nr_groups(blocks));
	if (le64_to_cpu(d->meta_used) > blocks - pdata_nr_reserved(blocks, journal))
		return refuse_content(c, "meta_used", le64_to_cpu(d->meta_used),
				      blocks - pdata_nr_reserved(blocks, journal));
	if (le64_to_cpu(d->data_used) > units)
		return refuse_content(c, "data_used", le64_to_cpu(d->data_used), units);
	return 0;
}

/* Groups that are not initialised have no slot in use. */
static int check_super_slots(struct pdata_check *c, const struct pdata_superblock_disk *d)
{
	u64 group = le64_to_cpu(d->meta_groups);
	const u8 *odd;

	for (; group < PDATA_SLOT_GROUPS && group % 8; group++)
		if (pdata_slot_of(d->slots, group))
			return refuse_content(c, "slot of group", group,
					      le64_to_cpu(d->meta_groups));
	if (group >= PDATA_SLOT_GROUPS)
		return 0;
	odd = memchr_inv(d->slots + group / 8, 0, PDATA_SLOT_BYTES - group / 8);
	if (odd)
		return refuse_content(c, "slot of group", 8 * (u64)(odd - d->slots),
				      le64_to_cpu(d->meta_groups));
	return 0;
}

static int check_super(struct pdata_check *c, const void *data)
{
	const struct pdata_superblock_disk *d = data;
	u64 blocks = le64_to_cpu(d->meta_blocks);
	u32 i, holds = le32_to_cpu(d->nr_holds);
	int r;

	if (le32_to_cpu(d->version) != PDATA_FORMAT_VERSION || d->incompat_features)
		return 0;
	r = check_super_sizes(c, d);
	if (!r)
		r = check_super_slots(c, d);
	if (r)
		return r;
	if (!is_root(le64_to_cpu(d->details_root), blocks))
		return refuse_content(c, "details_root", le64_to_cpu(d->details_root), blocks);
	if (!is_root(le64_to_cpu(d->details_copy_root), blocks))
		return refuse_content(c, "details_copy_root",
				      le64_to_cpu(d->details_copy_root), blocks);
	if (!is_root(le64_to_cpu(d->deleting_root), blocks))
		return refuse_content(c, "deleting_root", le64_to_cpu(d->deleting_root), blocks);
	if (!is_root(le64_to_cpu(d->data_sm_root), blocks))
		return refuse_content(c, "data_sm_root", le64_to_cpu(d->data_sm_root), blocks);
	if (le64_to_cpu(d->next_uid) < PDATA_FIRST_UID)
		return refuse_content(c, "next_uid", le64_to_cpu(d->next_uid), PDATA_FIRST_UID);
	if (holds > PDATA_MAX_HOLDS)
		return refuse_content(c, "nr_holds", holds, PDATA_MAX_HOLDS);
	for (i = 0; i < holds; i++) {
		u32 kind = le32_to_cpu(d->hold[i].kind);

		if (kind < PDATA_HOLD_ROOT || kind > PDATA_HOLD_RELEASING)
			return refuse_content(c, "hold.kind", kind, PDATA_HOLD_CHECKPOINT);
		if (!is_root(le64_to_cpu(d->hold[i].root), blocks))
			return refuse_content(c, "hold.root", le64_to_cpu(d->hold[i].root),
					      blocks);
	}
	return 0;
}

static int check_record(struct pdata_check *c, const struct pdata_record_disk *d)
{
	const u64 mask = (1ULL << 56) - 1;
	u64 vbegin = le64_to_cpu(d->vbegin_kind) & mask;
	u64 kind = le64_to_cpu(d->vbegin_kind) >> 56;
	u64 unit = le64_to_cpu(d->phys) & mask;
	u64 len = le32_to_cpu(d->len);

	if (kind < PDATA_REC_MAP || kind > PDATA_REC_DAMAGED)
		return refuse_content(c, "record.kind", kind, PDATA_REC_DAMAGED);
	if (!len)
		return refuse_content(c, "record.len", len, 1);
	if (vbegin + len > PDATA_MAX_UNITS)
		return refuse_content(c, "record.vbegin", vbegin, PDATA_MAX_UNITS - len);
	if (kind == PDATA_REC_MAP && unit + len > PDATA_MAX_UNITS)
		return refuse_content(c, "record.phys", unit, PDATA_MAX_UNITS - len);
	return 0;
}

static int check_journal(struct pdata_check *c, const void *data)
{
	const struct pdata_journal_disk *d = data;
	u32 i, nr = le32_to_cpu(d->nr_records);
	int r;

	if (!nr || nr > PDATA_RECORDS_PER_BLOCK)
		return refuse_content(c, "nr_records", nr, PDATA_RECORDS_PER_BLOCK);
	for (i = 0; i < nr; i++) {
		r = check_record(c, &d->record[i]);
		if (r)
			return r;
	}
	return 0;
}

/* Superblocks and slots are in use whatever else a group holds. */
static int check_counts(struct pdata_check *c, const void *data)
{
	const struct pdata_counts *d = data;
	u64 begin = pdata_group_begin(pdata_group_of(c->block));

	if (c->block - begin != PDATA_COUNTS_SLOT0 &&
	    c->block - begin != PDATA_COUNTS_SLOT0 + 1)
		return refuse_content(c, "counts outside of a slot", c->block - begin,
				      PDATA_COUNTS_SLOT0);
	if (!d->count[PDATA_COUNTS_SLOT0] || !d->count[PDATA_COUNTS_SLOT0 + 1])
		return refuse_content(c, "count of a slot", 0, 1);
	if (!begin && (!d->count[PDATA_SB_A] || !d->count[PDATA_SB_B] ||
		       !d->count[PDATA_SB_BACKUP]))
		return refuse_content(c, "count of a superblock", 0, 1);
	return 0;
}

static int check_btree(struct pdata_check *c, const void *data)
{
	const struct pdata_btree_disk *d = data;
	unsigned int i, level = le16_to_cpu(d->level), nr = le16_to_cpu(d->nr);
	u32 value_size = le32_to_cpu(d->value_size);
	const __le64 *key = (const __le64 *)d->data;
	const __le64 *child;
	unsigned int max;

	if (level > MAX_LEVEL)
		return refuse_content(c, "level", level, MAX_LEVEL);
	if (!value_size || value_size > sizeof(d->data) / 2 || (level && value_size != 8))
		return refuse_content(c, "value_size", value_size, 8);
	max = sizeof(d->data) / (8 + value_size);
	if (!nr || nr > max)
		return refuse_content(c, "nr", nr, max);
	for (i = 1; i < nr; i++)
		if (le64_to_cpu(key[i - 1]) >= le64_to_cpu(key[i]))
			return refuse_content(c, "key order", le64_to_cpu(key[i]),
					      le64_to_cpu(key[i - 1]));
	if (!level)
		return 0;
	child = key + max;
	for (i = 0; i < nr; i++)
		if (!is_tree_ptr(le64_to_cpu(child[i]), c->nr_blocks))
			return refuse_content(c, "child", le64_to_cpu(child[i]), c->nr_blocks);
	return 0;
}

static int check_interval(struct pdata_check *c, const struct pdata_range_head *r)
{
	u64 lo = le64_to_cpu(r->lo);
	u64 hi = le64_to_cpu(r->hi);

	if (hi > PDATA_MAX_UNITS)
		return refuse_content(c, "hi", hi, PDATA_MAX_UNITS);
	if (lo >= hi)
		return refuse_content(c, "lo", lo, hi);
	return 0;
}

static int check_range_node(struct pdata_check *c, const void *data)
{
	const struct pdata_range_node_disk *d = data;
	unsigned int i, level = le16_to_cpu(d->r.level), nr = le16_to_cpu(d->r.nr);
	u64 begin, last = 0;
	int r;

	if (!level || level > MAX_LEVEL)
		return refuse_content(c, "level", level, MAX_LEVEL);
	if (!nr || nr > PDATA_RANGE_FANOUT)
		return refuse_content(c, "nr", nr, PDATA_RANGE_FANOUT);
	r = check_interval(c, &d->r);
	if (r)
		return r;
	if (d->child[0].begin != d->r.lo)
		return refuse_content(c, "begin of the first child",
				      le64_to_cpu(d->child[0].begin), le64_to_cpu(d->r.lo));
	for (i = 0; i < nr; i++) {
		u64 ptr = le64_to_cpu(d->child[i].ptr);

		begin = le64_to_cpu(d->child[i].begin);
		if (i && begin <= last)
			return refuse_content(c, "child order", begin, last);
		if (!is_tree_ptr(ptr, c->nr_blocks))
			return refuse_content(c, "child", ptr, c->nr_blocks);
		last = begin;
	}
	if (last >= le64_to_cpu(d->r.hi))
		return refuse_content(c, "begin of the last child", last, le64_to_cpu(d->r.hi));
	return 0;
}

static int check_range_leaf(struct pdata_check *c, const void *data)
{
	const struct pdata_range_leaf_disk *d = data;
	unsigned int nr = le16_to_cpu(d->r.nr), bytes = le16_to_cpu(d->r.bytes);
	const struct pdata_codec *codec = pdata_codec_find(le16_to_cpu(d->r.codec));
	void *scratch = c->scratch;
	int r;

	if (d->r.level)
		return refuse_content(c, "level", le16_to_cpu(d->r.level), 0);
	if (!codec)
		return refuse_content(c, "codec", le16_to_cpu(d->r.codec), 0);
	if (nr > PDATA_LEAF_MAX_RECORDS)
		return refuse_content(c, "nr", nr, PDATA_LEAF_MAX_RECORDS);
	if (bytes > PDATA_LEAF_PAYLOAD)
		return refuse_content(c, "bytes", bytes, PDATA_LEAF_PAYLOAD);
	r = check_interval(c, &d->r);
	if (r)
		return r;
	if (!scratch) {
		scratch = kvmalloc(PDATA_CHECK_SCRATCH, GFP_NOIO);
		if (!scratch)
			return -ENOMEM;
	}
	r = codec->decode(d->payload, bytes, nr, le64_to_cpu(d->r.lo), le64_to_cpu(d->r.hi),
			  scratch);
	if (!c->scratch)
		kvfree(scratch);
	return r ? refuse_content(c, "payload", bytes, nr) : 0;
}

struct block_type {
	u32 magic;
	u64 owner;	/* the only one it may have, PDATA_OWNER_NONE = any but that */
	const char *name;
	int (*check)(struct pdata_check *c, const void *data);
};

static const struct block_type block_types[] = {
	{ PDATA_TYPE_SUPERBLOCK, PDATA_OWNER_SUPER, "superblock", check_super },
	{ PDATA_TYPE_JOURNAL, PDATA_OWNER_JOURNAL, "journal block", check_journal },
	{ PDATA_TYPE_COUNTS, PDATA_OWNER_META_SM, "space-map block", check_counts },
	{ PDATA_TYPE_BTREE, PDATA_OWNER_NONE, "btree node", check_btree },
	{ PDATA_TYPE_RANGE_NODE, PDATA_OWNER_NONE, "range node", check_range_node },
	{ PDATA_TYPE_RANGE_LEAF, PDATA_OWNER_NONE, "range leaf", check_range_leaf },
};

static const struct block_type *type_find(u32 magic)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(block_types); i++)
		if (block_types[i].magic == magic)
			return &block_types[i];
	return NULL;
}

const char *pdata_type_name(u32 type)
{
	const struct block_type *t = type_find(type);

	return t ? t->name : "unknown block";
}

static u32 block_csum(const void *data)
{
	return crc32c(~0u, (const u8 *)data + sizeof(__le32),
		      PDATA_BLOCK_SIZE - sizeof(__le32));
}

static int check_header(struct pdata_check *c, const struct pdata_header *h,
			const struct block_type *type)
{
	u64 owner = le64_to_cpu(h->owner);
	u32 csum = block_csum(h);

	if (le32_to_cpu(h->csum) != csum)
		return refuse(c, PDATA_E_CSUM, "crc", le32_to_cpu(h->csum), csum);
	if (!pdata_type_fits(c->type, le32_to_cpu(h->magic)) || !type)
		return refuse(c, PDATA_E_MAGIC, "magic", le32_to_cpu(h->magic), c->type);
	if (le64_to_cpu(h->blocknr) != c->block)
		return refuse(c, PDATA_E_BLOCKNR, "blocknr", le64_to_cpu(h->blocknr), c->block);
	if (c->uuid && memcmp(h->uuid, c->uuid, PDATA_UUID_SIZE))
		return refuse(c, PDATA_E_UUID, "first byte of the uuid", h->uuid[0], c->uuid[0]);
	if (le64_to_cpu(h->generation) > c->max_generation)
		return refuse(c, PDATA_E_GENERATION, "generation", le64_to_cpu(h->generation),
			      c->max_generation);
	if (type->owner ? owner != type->owner : !owner)
		return refuse(c, PDATA_E_OWNER, "owner", owner, type->owner);
	return 0;
}

int pdata_block_check(struct pdata_check *c, const void *data)
{
	const struct pdata_header *h = data;
	const struct block_type *type = type_find(le32_to_cpu(h->magic));
	int r;

	c->what = NULL;
	c->found = 0;
	c->expected = 0;
	r = check_header(c, data, type);
	if (r)
		return r;
	return type->check(c, data);
}

int pdata_block_seal(struct pdata_check *c, void *data)
{
	struct pdata_header *h = data;

	h->blocknr = cpu_to_le64(c->block);
	memcpy(h->uuid, c->uuid, PDATA_UUID_SIZE);
	h->generation = cpu_to_le64(c->max_generation);
	if (pdata_fault(BLOCK_CORRUPT))
		memset(data + sizeof(*h), 0, 64);
	h->csum = cpu_to_le32(block_csum(data));
	if (pdata_fault(SEAL_CORRUPT))
		((u8 *)data)[PDATA_BLOCK_SIZE / 2] ^= 1;
	return pdata_block_check(c, data);
}
