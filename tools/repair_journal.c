// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_repair: the journal.
 *
 * The rules are those of the core's replay, but for two things. A block that is
 * lost does not end the chain: what is behind it is newer truth for its ranges,
 * and what the lost block said is reported as missing. And without a superblock
 * there is no tail to begin with: then the chain ends with the block that has the
 * highest records, and begins as far back as blocks go, since records that a tree
 * holds already are known by its applied_seq.
 */
#include "repair.h"

struct chain {
	struct repair *r;
	struct rp_array blocks;	/* u32, by seq */
	u64 ring;		/* places */
	u64 durable;		/* last block that any says was durable */
};

static u64 nonce_of(const struct rp_block *b)
{
	return b->sum;
}

static u64 durable_of(const struct rp_block *b)
{
	return b->mapped;
}

static u32 csum_of(const struct rp_block *b)
{
	return b->copy >> 32;
}

static u32 prev_crc_of(const struct rp_block *b)
{
	return b->copy;
}

static const struct repair *sort_of;

static int cmp_seq(const void *a, const void *b)
{
	const struct rp_block *x = rp_block(sort_of, *(const u32 *)a);
	const struct rp_block *y = rp_block(sort_of, *(const u32 *)b);

	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	return x->generation < y->generation ? -1 : x->generation > y->generation;
}

/* What no journal ever writes, right crc or not. */
static bool is_sane(const struct repair *r, const struct rp_block *b)
{
	if (!b->seq || b->seq >= PDATA_JOURNAL_SEQ_MAX || durable_of(b) >= b->seq || !b->lo ||
	    b->lo >= PDATA_JOURNAL_SEQ_MAX || b->hi == b->lo)
		return false;
	return !r->have_super ||
	       pdata_journal_place(b->seq % r->sb.journal_blocks) == b->block;
}

/* Without a superblock, the journal is that of the newest block. */
static u64 guess_nonce(const struct repair *r)
{
	const struct rp_block *b = r->index.v, *end = b + r->index.nr, *best = NULL;

	for (; b < end; b++) {
		if (b->pool != r->pool || b->type != RP_JOURNAL || !is_sane(r, b))
			continue;
		if (!best || b->generation > best->generation ||
		    (b->generation == best->generation && b->hi > best->hi))
			best = b;
	}
	return best ? nonce_of(best) : 0;
}

static void chain_init(struct chain *c, struct repair *r)
{
	const struct rp_block *b;
	u32 i;

	memset(c, 0, sizeof(*c));
	c->r = r;
	c->ring = r->have_super ? r->sb.journal_blocks : r->nr_blocks;
	if (!r->have_super)
		r->sb.journal_nonce = guess_nonce(r);
	for (i = 1; i <= r->index.nr; i++) {
		b = rp_block(r, i);
		if (b->pool != r->pool || b->type != RP_JOURNAL ||
		    nonce_of(b) != r->sb.journal_nonce || !is_sane(r, b))
			continue;
		*(u32 *)rp_array_add(&c->blocks, sizeof(u32)) = i;
		c->durable = max(c->durable, durable_of(b));
		r->max_seq = max(r->max_seq, b->hi);
	}
	sort_of = r;
	if (c->blocks.nr)
		qsort(c->blocks.v, c->blocks.nr, sizeof(u32), cmp_seq);
}

static const struct rp_block *chain_find(const struct chain *c, u64 seq)
{
	const u32 *v = c->blocks.v;
	size_t begin = 0, end = c->blocks.nr, mid;

	while (begin < end) {
		mid = begin + (end - begin) / 2;
		if (rp_block(c->r, v[mid])->seq < seq)
			begin = mid + 1;
		else
			end = mid;
	}
	if (begin == c->blocks.nr || rp_block(c->r, v[begin])->seq != seq)
		return NULL;
	return rp_block(c->r, v[begin]);
}

static void accept(struct repair *r, const struct rp_block *b)
{
	*(u32 *)rp_array_add(&r->journal, sizeof(u32)) = rp_index(r, b);
	r->journal_records += b->hi - b->lo;
}

/* ---- from the tail ---- */

struct follow {
	u64 seq;
	u64 rec;	/* no record of the next block is below */
	u32 crc;
	bool broken;	/* the block before is lost: its crc is unknown */
};

static bool continues(const struct chain *c, const struct follow *f, const struct rp_block *b)
{
	const struct pdata_super *sb = &c->r->sb;

	if (!b || (f->seq >= sb->journal_cut && b->generation < sb->journal_cut_gen))
		return false;
	if (!f->broken && prev_crc_of(b) != f->crc)
		return false;
	return f->seq == sb->journal_tail ? b->hi > f->rec : b->lo >= f->rec;
}

/*
 * Is there a block behind the missing one that is of this activation, or was known
 * to be of the chain when that began? Its data was durable before it was written,
 * and nothing that is missing can have given that away since.
 */
static bool goes_on(const struct chain *c, const struct follow *f, u64 end)
{
	struct follow next = *f;

	next.broken = true;
	for (next.seq++; next.seq < end; next.seq++)
		if (continues(c, &next, chain_find(c, next.seq)))
			return true;
	return false;
}

static void follow_tail(struct chain *c)
{
	struct repair *r = c->r;
	struct follow f = {
		.seq = r->sb.journal_tail,
		.rec = r->sb.journal_tail_rec,
		.crc = r->sb.journal_tail_crc,
	};
	const u64 end = f.seq + c->ring;
	const struct rp_block *b;
	u64 place;

	for (; f.seq < end; f.seq++) {
		b = chain_find(c, f.seq);
		if (continues(c, &f, b)) {
			accept(r, b);
			f.crc = csum_of(b);
			f.rec = b->hi;
			f.broken = false;
			continue;
		}
		if (f.seq > c->durable && !goes_on(c, &f, end))
			break;
		r->journal_missing += f.seq <= c->durable;
		r->journal_doubt |= f.seq > c->durable;
		f.broken = true;
	}
	place = pdata_journal_place(f.seq % r->sb.journal_blocks);
	/* A write that a crash tore leaves the same. */
	if (f.seq < end && !(r->sb.flags & PDATA_SB_CLEAN) && !rp_find(r, place) &&
	    (rp_why(r, place) == RP_BAD || rp_why(r, place) == RP_UNREADABLE))
		r->journal_doubt = true;
}

/* ---- without a tail ---- */

/* The block with the highest records below @seq. */
static const struct rp_block *chain_head(const struct chain *c, u64 seq)
{
	const u32 *v = c->blocks.v;
	const struct rp_block *b, *head = NULL;
	size_t i;

	for (i = 0; i < c->blocks.nr; i++) {
		b = rp_block(c->r, v[i]);
		if (b->seq < seq && (!head || b->hi > head->hi))
			head = b;
	}
	return head;
}

static bool links(const struct rp_block *before, const struct rp_block *b)
{
	return before->hi <= b->lo && csum_of(before) == prev_crc_of(b);
}

static void reverse(struct rp_array *a)
{
	u32 *v = a->v;
	size_t i;

	for (i = 0; i < a->nr / 2; i++)
		swap(v[i], v[a->nr - 1 - i]);
}

static void follow_back(struct chain *c)
{
	struct repair *r = c->r;
	const struct rp_block *head = chain_head(c, ~0ull), *b, *before;
	u64 seq, last;

	if (!head)
		return;
	last = head->seq > c->ring ? head->seq - c->ring : 0;
	accept(r, head);
	for (b = head, seq = head->seq - 1; seq > last; seq--) {
		before = chain_find(c, seq);
		if (before && (b->seq == seq + 1 ? links(before, b) : before->hi <= b->lo)) {
			accept(r, before);
			b = before;
		} else if (seq <= c->durable || b->generation == r->generation) {
			/* The latter: of the last batch before a crash, as above. */
			r->journal_doubt |= seq > c->durable || chain_find(c, seq - 1);
		} else {
			/* What is behind is of a batch that was cut short, as far as is known. */
			r->journal.nr = 0;
			r->journal_records = 0;
			b = chain_head(c, seq);
			if (!b)
				return;
			accept(r, b);
			seq = b->seq;
		}
	}
	reverse(&r->journal);
}

int rp_journal(struct repair *r)
{
	struct chain c;

	chain_init(&c, r);
	if (r->have_roots)
		follow_tail(&c);
	else
		follow_back(&c);
	free(c.blocks.v);
	return 0;
}

/* ---- records ---- */

static struct rp_thin *record_thin(struct repair *r, u64 uid, u64 seq)
{
	struct rp_thin *t = (struct rp_thin *)rp_thin_of(r, uid);

	if (!t || t->tombstone || t->dropped || seq <= t->d.applied_seq)
		return NULL;
	return t;
}

int rp_records(struct repair *r,
	       int (*fn)(struct repair *r, struct rp_thin *t, const struct pdata_record *rec))
{
	struct pdata_journal_disk *d = tool_block();
	const u64 first = r->have_roots ? r->sb.journal_tail_rec : 0;
	struct pdata_record rec;
	struct rp_thin *t;
	size_t i;
	u32 k;
	int err = 0;

	for (i = 0; i < r->journal.nr && !err; i++) {
		const struct rp_block *b = rp_block(r, ((u32 *)r->journal.v)[i]);

		err = rp_read(r, b, d);
		for (k = 0; !err && k < le32_to_cpu(d->nr_records); k++) {
			pdata_record_unpack(&d->record[k], &rec);
			t = b->lo + k < first ? NULL : record_thin(r, rec.uid, b->lo + k);
			if (t)
				err = fn(r, t, &rec);
		}
	}
	pdata_block_free(d);
	return err;
}

/* ---- the output's ---- */

/* The block that is being filled. */
static struct {
	struct pdata_journal_disk *d;
	u64 seq;
	u64 rec;
	u32 crc;
} out;

static int out_close(struct repair *r)
{
	const u64 place = pdata_journal_place(out.seq % r->out_journal);
	void *buf;
	int err;

	if (!out.d->nr_records)
		return 0;
	out.d->h.magic = cpu_to_le32(PDATA_TYPE_JOURNAL);
	out.d->h.owner = cpu_to_le64(PDATA_OWNER_JOURNAL);
	out.d->nonce = cpu_to_le64(r->out_sb.journal_nonce);
	out.d->seq = cpu_to_le64(out.seq);
	out.d->durable_seq = cpu_to_le64(out.seq - 1);
	out.d->prev_crc = cpu_to_le32(out.crc);
	buf = rp_out_buf(r);
	memcpy(buf, out.d, PDATA_BLOCK_SIZE);
	err = rp_out_put(r, place, r->out_generation, NULL);
	if (err)
		return err;
	out.crc = le32_to_cpu(((struct pdata_header *)buf)->csum);
	out.seq++;
	memset(out.d, 0, PDATA_BLOCK_SIZE);
	return 0;
}

static int out_record(struct repair *r, struct rp_thin *t, const struct pdata_record *rec)
{
	u32 nr = le32_to_cpu(out.d->nr_records);
	int err;

	if (out.seq > r->out_journal) {
		tool_err("%s: the journal has too many records for one of %llu blocks",
			 r->output, r->out_journal);
		return -PDATA_E_JOURNAL_FULL;
	}
	if (!nr)
		out.d->first_rec = cpu_to_le64(out.rec);
	pdata_record_pack(rec, &out.d->record[nr]);
	out.d->nr_records = cpu_to_le32(++nr);
	out.rec++;
	r->records_kept++;
	t->records++;
	r->out_sb.time = max(r->out_sb.time, rec->birth);
	if (nr < PDATA_RECORDS_PER_BLOCK)
		return 0;
	err = out_close(r);
	return err;
}

/*
 * A journal with what the trees lack, in the order it was in; its numbers are
 * above all that the trees have.
 */
int rp_write_journal(struct repair *r)
{
	const struct pdata_record *rec = r->extra.v;
	size_t i;
	int err = 0;

	out.d = tool_block();
	memset(out.d, 0, PDATA_BLOCK_SIZE);
	out.seq = 1;
	out.rec = r->max_seq + 1;
	out.crc = r->out_sb.journal_tail_crc;
	r->out_sb.journal_tail = out.seq;
	r->out_sb.journal_tail_rec = out.rec;
	for (i = 0; i < r->extra.nr && !err; i++, rec++)
		err = out_record(r, (struct rp_thin *)rp_thin_of(r, rec->uid), rec);
	if (!err)
		err = rp_records(r, out_record);
	if (!err)
		err = out_close(r);
	if (!r->records_kept)
		r->out_sb.flags |= PDATA_SB_CLEAN;
	pdata_block_free(out.d);
	return err;
}
