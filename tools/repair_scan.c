// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_repair: the scan.
 *
 * Every block is read once, in order. What its type's checker accepts goes into
 * the index with what its header says; nothing else of it is kept. Which pool is
 * meant is not known yet: blocks remember their uuid.
 */
#include "repair.h"

/* Values of r->at that are no index. */
#define AT(why)		(~(u32)(why))
#define AT_LAST		AT(RP_NR_WHY)

void *rp_array_add(struct rp_array *a, size_t size)
{
	void *p;

	if (a->nr == a->max) {
		a->max = a->max ? a->max + a->max / 2 : 64;
		a->v = tool_realloc(a->v, a->max * size);
	}
	p = (u8 *)a->v + a->nr++ * size;
	memset(p, 0, size);
	return p;
}

static int type_of(u32 magic)
{
	switch (magic) {
	case PDATA_TYPE_SUPERBLOCK:
		return RP_SUPER;
	case PDATA_TYPE_JOURNAL:
		return RP_JOURNAL;
	case PDATA_TYPE_COUNTS:
		return RP_COUNTS;
	case PDATA_TYPE_BTREE:
		return RP_BTREE;
	case PDATA_TYPE_RANGE_NODE:
		return RP_NODE;
	case PDATA_TYPE_RANGE_LEAF:
		return RP_LEAF;
	default:
		return -1;
	}
}

/* Index of a uuid. Blocks of the 255th and later pools are of no interest. */
static int uuid_of(struct repair *r, const u8 *uuid)
{
	unsigned int i;

	for (i = 0; i < r->nr_uuids; i++)
		if (!memcmp(r->uuids[i], uuid, PDATA_UUID_SIZE))
			return i;
	if (i == ARRAY_SIZE(r->uuids))
		return -1;
	memcpy(r->uuids[i], uuid, PDATA_UUID_SIZE);
	r->nr_uuids++;
	return i;
}

static void note_keys(struct rp_block *b, const void *data)
{
	const struct pdata_range_node_disk *n = data;
	const struct pdata_btree_disk *t = data;
	const struct pdata_journal_disk *j = data;
	const __le64 *key = (const __le64 *)t->data;

	switch (b->type) {
	case RP_JOURNAL:
		b->seq = le64_to_cpu(j->seq);
		b->lo = le64_to_cpu(j->first_rec);
		b->hi = b->lo + le32_to_cpu(j->nr_records);
		b->sum = le64_to_cpu(j->nonce);
		b->mapped = le64_to_cpu(j->durable_seq);
		b->copy = (u64)le32_to_cpu(j->h.csum) << 32 | le32_to_cpu(j->prev_crc);
		break;
	case RP_BTREE:
		b->level = le16_to_cpu(t->level);
		b->lo = le64_to_cpu(key[0]);
		b->hi = le64_to_cpu(key[le16_to_cpu(t->nr) - 1]);
		break;
	case RP_NODE:
	case RP_LEAF:
		b->level = le16_to_cpu(n->r.level);
		b->lo = le64_to_cpu(n->r.lo);
		b->hi = le64_to_cpu(n->r.hi);
		break;
	}
}

/* A header that looks right over content that is not may still have the right generation. */
static void note_hint(struct repair *r, u64 block, const struct pdata_header *h)
{
	struct rp_hint *hint;

	if (le32_to_cpu(h->magic) != PDATA_TYPE_RANGE_LEAF || le64_to_cpu(h->blocknr) != block)
		return;
	hint = rp_array_add(&r->hints, sizeof(*hint));
	hint->block = block;
	hint->generation = le64_to_cpu(h->generation);
}

static u32 scan_block(struct repair *r, u64 block, const void *data)
{
	const struct pdata_header *h = data;
	const int type = type_of(le32_to_cpu(h->magic));
	struct pdata_check c = {
		.block = block,
		.type = le32_to_cpu(h->magic),
		.max_generation = ~0ull,
		.nr_blocks = r->nr_blocks,
		.scratch = r->scratch,
	};
	struct rp_block *b;
	int pool;

	if (!h->magic && !memchr_inv(data, 0, PDATA_BLOCK_SIZE))
		return AT(RP_ZERO);
	if (type < 0)
		return AT(RP_BAD);
	if (pdata_block_check(&c, data)) {
		note_hint(r, block, h);
		return AT(RP_BAD);
	}
	pool = uuid_of(r, h->uuid);
	if (pool < 0)
		return AT(RP_FOREIGN);
	b = rp_array_add(&r->index, sizeof(*b));
	b->block = block;
	b->generation = le64_to_cpu(h->generation);
	b->owner = le64_to_cpu(h->owner);
	b->seq = le64_to_cpu(h->seq);
	b->type = type;
	b->tag = pdata_tag(h);
	b->pool = pool;
	note_keys(b, data);
	r->nr_of_uuid[pool]++;
	return r->index.nr;
}

static void scan_run(struct repair *r, u64 block, void **buf, unsigned int n)
{
	bool all = r->in->ops->read_run && !r->in->ops->read_run(r->in, block, buf, n);
	unsigned int i;

	for (i = 0; i < n; i++, block++) {
		/* One of them may be bad: find out which. */
		if (!all && pdata_io_read(r->in, block, buf[i]))
			r->at[block] = AT(RP_UNREADABLE);
		else
			r->at[block] = scan_block(r, block, buf[i]);
	}
}

int rp_scan(struct repair *r)
{
	void *buf[PDATA_IO_RUN];
	unsigned int i, n;
	u64 block;

	r->nr_blocks = r->in->nr_blocks;
	if (r->nr_blocks >= AT_LAST) {
		tool_err("%s: too large", r->input);
		return -EFBIG;
	}
	r->at = tool_alloc(r->nr_blocks * sizeof(*r->at));
	r->scratch = tool_alloc(PDATA_CHECK_SCRATCH);
	for (i = 0; i < PDATA_IO_RUN; i++)
		buf[i] = tool_block();
	for (block = 0; block < r->nr_blocks; block += n) {
		n = min_t(u64, PDATA_IO_RUN, r->nr_blocks - block);
		scan_run(r, block, buf, n);
		tool_progress("scan", block, r->nr_blocks);
	}
	for (i = 0; i < PDATA_IO_RUN; i++)
		pdata_block_free(buf[i]);
	return 0;
}

struct rp_block *rp_find(const struct repair *r, u64 block)
{
	struct rp_block *b;

	if (block >= r->nr_blocks || r->at[block] >= AT_LAST)
		return NULL;
	b = rp_block(r, r->at[block]);
	return b->pool == r->pool ? b : NULL;
}

enum rp_why rp_why(const struct repair *r, u64 block)
{
	if (block >= r->nr_blocks)
		return RP_BEYOND;
	return r->at[block] >= AT_LAST ? ~r->at[block] : RP_FOREIGN;
}

const char *rp_why_text(enum rp_why why)
{
	static const char * const text[RP_NR_WHY] = {
		[RP_ZERO] = "is all zero",
		[RP_BAD] = "is damaged",
		[RP_UNREADABLE] = "cannot be read",
		[RP_FOREIGN] = "belongs to another pool",
		[RP_BEYOND] = "is beyond the device's end",
		[RP_STALE] = "has an older content",
	};

	return text[why];
}

int rp_read(struct repair *r, const struct rp_block *b, void *data)
{
	const struct pdata_header *h = data;
	int err = pdata_io_read(r->in, b->block, data);

	/* It was intact when it was scanned: somebody writes to the input, or the device lies. */
	if (!err && (le64_to_cpu(h->blocknr) != b->block ||
		     le64_to_cpu(h->generation) != b->generation ||
		     le64_to_cpu(h->owner) != b->owner))
		err = -PDATA_E_CSUM;
	if (err)
		tool_err("%s: block %llu changed while it was looked at: %s", r->input, b->block,
			 tool_error(err));
	return err;
}

int rp_ranges(struct repair *r, const struct rp_block *b, void *data,
	      struct pdata_range **ranges, unsigned int *nr)
{
	const struct pdata_range_leaf_disk *d = data;
	const struct pdata_codec *codec;
	int err = rp_read(r, b, data);

	if (err)
		return err;
	*ranges = r->scratch;
	*nr = le16_to_cpu(d->r.nr);
	codec = pdata_codec_find(le16_to_cpu(d->r.codec));
	return codec ? codec->decode(d->payload, le16_to_cpu(d->r.bytes), *nr, b->lo, b->hi,
				     *ranges) : -PDATA_E_CONTENT;
}
