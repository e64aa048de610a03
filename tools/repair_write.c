// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_repair: the output, a pool of its own.
 *
 * It has a uuid of its own, so that nothing that the device held before can be
 * taken for a part of it, and goes on with the generations, uids and times of
 * the input. Its superblocks are zeroed first and written last, after a check
 * of all the rest: whatever goes wrong, nobody activates half a pool.
 */
#include <sys/random.h>

#include "repair.h"

/* ---- details ---- */

#define ENTRIES_PER_LEAF	20u	/* of 26: there is room for new thins */

struct details_writer {
	struct repair *r;
	u64 owner;
	struct rp_array up;		/* struct rp_kid of finished nodes of this level */
};

static void set_key(struct pdata_btree_disk *d, unsigned int i, u64 key)
{
	((__le64 *)d->data)[i] = cpu_to_le64(key);
}

static void *value_at(struct pdata_btree_disk *d, unsigned int i, u32 size)
{
	const unsigned int max = sizeof(d->data) / (sizeof(__le64) + size);

	return d->data + max * sizeof(__le64) + (size_t)i * size;
}

static struct pdata_btree_disk *btree_begin(struct details_writer *w, unsigned int level,
					    unsigned int nr, u32 value_size)
{
	struct pdata_btree_disk *d = rp_out_buf(w->r);

	d->h.magic = cpu_to_le32(PDATA_TYPE_BTREE);
	d->h.owner = cpu_to_le64(w->owner);
	d->h.salt = cpu_to_le16(w->r->out_salt);
	d->level = cpu_to_le16(level);
	d->nr = cpu_to_le16(nr);
	d->value_size = cpu_to_le32(value_size);
	return d;
}

static int btree_end(struct details_writer *w, u64 key, struct rp_array *to)
{
	struct rp_kid *kid = rp_array_add(to, sizeof(*kid));
	const u64 block = rp_out_new(w->r);

	kid->lo = key;
	if (!block)
		return -PDATA_E_META_NOSPC;
	return rp_out_put(w->r, block, w->r->out_generation, &kid->ptr);
}

static bool is_living(const struct rp_thin *t)
{
	return !t->tombstone && !t->dropped;
}

static u64 thin_key(const struct rp_thin *t)
{
	return is_living(t) ? t->d.id : PDATA_TOMBSTONE_KEY(t->d.uid);
}

static void tombstone_of(const struct rp_thin *t, struct thin2_details *d)
{
	*d = t->d;
	d->root = 0;
	d->mapped_units = 0;
	d->leaf_sum = 0;
	d->delete_cursor = 0;
	d->flags = PDATA_THIN_TOMBSTONE;
}

static void entry_of(struct repair *r, const struct rp_thin *t, struct thin2_details *d)
{
	if (!is_living(t)) {
		tombstone_of(t, d);
		return;
	}
	*d = t->d;
	d->root = t->copy;
	d->mapped_units = t->mapped;
	d->leaf_sum = t->sum;
	d->flags &= ~(PDATA_THIN_SUM_LOST | PDATA_THIN_DELETING);
	d->delete_cursor = 0;
	/* Of snapshots taken after such an entry was written nothing is known. */
	if (t->doubt)
		d->snap_time = r->out_sb.time;
}

static int details_leaves(struct details_writer *w, const struct rp_thin **thin, size_t nr)
{
	const u32 size = sizeof(struct pdata_details_disk);
	struct pdata_btree_disk *d;
	struct thin2_details entry;
	size_t at, i, n;
	int err;

	for (at = 0; at < nr; at += n) {
		n = min_t(size_t, nr - at, ENTRIES_PER_LEAF);
		d = btree_begin(w, 0, n, size);
		for (i = 0; i < n; i++) {
			entry_of(w->r, thin[at + i], &entry);
			set_key(d, i, thin_key(thin[at + i]));
			thin2_details_pack(&entry, value_at(d, i, size));
		}
		err = btree_end(w, thin_key(thin[at]), &w->up);
		if (err)
			return err;
	}
	return 0;
}

static int details_level(struct details_writer *w, unsigned int level)
{
	const struct rp_kid *k = w->up.v;
	struct rp_array up = { };
	struct pdata_btree_disk *d;
	size_t at, i, n;
	__le64 ptr;
	int err = 0;

	for (at = 0; at < w->up.nr && !err; at += n) {
		n = min_t(size_t, w->up.nr - at, 200);
		d = btree_begin(w, level, n, sizeof(ptr));
		for (i = 0; i < n; i++) {
			set_key(d, i, k[at + i].lo);
			ptr = cpu_to_le64(k[at + i].ptr);
			memcpy(value_at(d, i, sizeof(ptr)), &ptr, sizeof(ptr));
			rp_out_ref(w->r, k[at + i].ptr);
		}
		err = btree_end(w, k[at].lo, &up);
	}
	free(w->up.v);
	w->up = up;
	return err;
}

static int write_details(struct repair *r, u64 owner, const struct rp_thin **thin, size_t nr,
			 u64 *root)
{
	struct details_writer w = { .r = r, .owner = owner };
	unsigned int level = 1;
	int err = details_leaves(&w, thin, nr);

	while (!err && w.up.nr > 1)
		err = details_level(&w, level++);
	*root = !err && w.up.nr ? ((struct rp_kid *)w.up.v)->ptr : 0;
	if (*root)
		rp_out_ref(r, *root);
	free(w.up.v);
	return err;
}

/*
 * Ancestors of living thins have entries, dead or alive. Where one is not known it
 * is the last of its line.
 */
static void find_ancestors(struct repair *r, const struct rp_thin *t)
{
	struct rp_thin *a;
	u64 uid = t->d.origin_uid, time = t->d.create_time;

	while (uid) {
		a = (struct rp_thin *)rp_thin_of(r, uid);
		if (!a) {
			a = rp_array_add(&r->thins, sizeof(*a));
			a->d.uid = uid;
			a->d.create_time = time;
			a->d.snap_time = time;
			a->tombstone = true;
			rp_lineage_init(r);
			a = (struct rp_thin *)rp_thin_of(r, uid);
		}
		if (is_living(a) || a->needed)
			return;
		a->needed = true;
		uid = a->d.origin_uid;
		time = a->d.create_time;
	}
}

static int cmp_key(const void *a, const void *b)
{
	const u64 x = thin_key(*(const struct rp_thin **)a);
	const u64 y = thin_key(*(const struct rp_thin **)b);

	return x < y ? -1 : x > y;
}

static int write_both_details(struct repair *r)
{
	const struct rp_thin **thin;
	size_t i, nr = 0;
	int err;

	for (i = 0; i < r->thins.nr; i++) {
		/* The array may move. */
		const struct rp_thin t = *rp_thin(r, i);

		if (is_living(&t))
			find_ancestors(r, &t);
	}
	thin = tool_alloc((r->thins.nr + 1) * sizeof(*thin));
	for (i = 0; i < r->thins.nr; i++)
		if (is_living(rp_thin(r, i)) || rp_thin(r, i)->needed)
			thin[nr++] = rp_thin(r, i);
	qsort(thin, nr, sizeof(*thin), cmp_key);
	err = write_details(r, PDATA_OWNER_DETAILS, thin, nr, &r->out_sb.details_root);
	if (!err)
		err = write_details(r, PDATA_OWNER_DETAILS_COPY, thin, nr,
				    &r->out_sb.details_copy_root);
	free(thin);
	return err;
}

/* ---- the superblock ---- */

static int note_record(struct repair *r, struct rp_thin *t, const struct pdata_record *rec)
{
	if (rec->kind == PDATA_REC_MAP)
		r->max_phys = max(r->max_phys, rec->phys + rec->len);
	r->max_birth = max(r->max_birth, rec->birth);
	return 0;
}

/* As large as recorded, but no mapping may be beyond. */
static int data_size(struct repair *r, u64 *units)
{
	*units = max(r->sb.data_units, r->max_phys);
	if (!r->set_nr_blocks)
		return 0;
	*units = r->nr_data_blocks * r->out_sb.data_block_size / PDATA_UNIT_SECTORS;
	if (*units >= r->max_phys)
		return 0;
	tool_err("%s: %llu units of data are mapped, the device would have %llu", r->input,
		 r->max_phys, *units);
	return -PDATA_E_SHRUNK;
}

static void note_seqs(struct repair *r)
{
	const struct rp_block *b = r->index.v, *end = b + r->index.nr;
	const struct rp_thin *t;
	size_t i;

	for (; b < end; b++)
		if (b->pool == r->pool && b->type == RP_LEAF && b->generation <= r->generation)
			r->max_seq = max(r->max_seq, b->seq);
	for (i = 0, t = r->thins.v; i < r->thins.nr; i++, t++)
		r->max_seq = max3(r->max_seq, t->d.applied_seq, t->d.origin_seq);
}

static bool any_doubt(const struct repair *r)
{
	size_t i;

	for (i = 0; i < r->thins.nr; i++)
		if (rp_thin(r, i)->doubt && is_living(rp_thin(r, i)))
			return true;
	return false;
}

static int random_bytes(void *p, size_t n)
{
	return getrandom(p, n, 0) == (ssize_t)n ? 0 : -EIO;
}

static int begin_super(struct repair *r)
{
	struct pdata_super *sb = &r->out_sb;
	int err;

	*sb = r->sb;
	err = random_bytes(r->out_uuid, sizeof(r->out_uuid));
	if (!err)
		err = random_bytes(&r->out_salt, sizeof(r->out_salt));
	if (!err)
		err = random_bytes(&sb->journal_nonce, sizeof(sb->journal_nonce));
	if (!err)
		err = random_bytes(&sb->journal_tail_crc, sizeof(sb->journal_tail_crc));
	if (err)
		return err;
	memcpy(sb->uuid, r->out_uuid, sizeof(sb->uuid));
	/* Even, so that A is at home; above all that is copied. */
	r->out_generation = (r->generation + 3) & ~1ull;
	sb->generation = r->out_generation;
	sb->flags = 0;
	sb->meta_blocks = r->out_blocks;
	sb->meta_groups = 0;
	sb->meta_used = 0;
	sb->data_used = 0;
	sb->journal_blocks = r->out_journal;
	sb->journal_cut = 0;
	sb->journal_cut_gen = 0;
	sb->details_root = 0;
	sb->details_copy_root = 0;
	sb->deleting_root = 0;
	sb->data_sm_root = 0;
	sb->data_sm_leaves = 0;
	sb->nr_holds = 0;
	memset(sb->hold, 0, sizeof(sb->hold));
	memset(sb->slots, 0, sizeof(sb->slots));
	if (r->set_transaction)
		sb->transaction_id = r->transaction;
	if (r->set_block_size)
		sb->data_block_size = r->block_size;
	note_seqs(r);
	err = rp_records(r, note_record);
	sb->time = max(sb->time, r->max_birth) + any_doubt(r);
	return err ? err : data_size(r, &sb->data_units);
}

static int write_super(struct repair *r)
{
	struct pdata_super *sb = &r->out_sb;
	static const u64 place[] = { PDATA_SB_BACKUP, PDATA_SB_B, PDATA_SB_A };
	unsigned int i;
	int err = 0;

	for (i = 0; i < 3 && !err; i++) {
		/* Nothing that is whole may be found before all else is durable. */
		err = rp_out_flush(r);
		if (!err)
			err = pdata_io_flush(r->out);
		if (!err) {
			pdata_super_pack(sb, rp_out_buf(r));
			err = rp_out_put(r, place[i], sb->generation, NULL);
		}
	}
	if (!err)
		err = rp_out_flush(r);
	return err ? err : pdata_io_flush(r->out);
}

static int zero_super(struct repair *r)
{
	static const u64 place[] = { PDATA_SB_A, PDATA_SB_B, PDATA_SB_BACKUP };
	unsigned int i;
	int err;

	for (i = 0; i < 3; i++) {
		r->out_vec[r->out_nr] = (struct pdata_io_vec){ place[i], rp_out_buf(r) };
		r->out_nr++;
	}
	err = rp_out_flush(r);
	return err ? err : pdata_io_flush(r->out);
}

/* ---- all ---- */

/* What is surely needed, but for the data space map. */
static u64 blocks_needed(const struct repair *r)
{
	const struct rp_block *b = r->index.v, *end = b + r->index.nr;
	u64 nr = 2 * DIV_ROUND_UP(r->thins.nr, ENTRIES_PER_LEAF) + 1;

	for (; b < end; b++)
		if (b->pool == r->pool && (b->type == RP_NODE || b->type == RP_LEAF) &&
		    b->state != RP_NEW)
			nr++;
	return nr + pdata_journal_end(r->out_journal) +
	       2 * (nr / (PDATA_COUNTS_PER_BLOCK - 2)) + 3;
}

static int check_room(struct repair *r)
{
	const u64 need = blocks_needed(r);

	if (r->out_blocks < PDATA_MIN_BLOCKS || need > r->out_blocks) {
		tool_err("%s: too small: it has %llu blocks of 4 KiB, at least %llu are needed",
			 r->output, r->out_blocks, max_t(u64, need, PDATA_MIN_BLOCKS));
		return -PDATA_E_TOO_SMALL;
	}
	return 0;
}

int rp_write(struct repair *r)
{
	int err;

	rp_out_begin(r);
	err = check_room(r);
	if (!err)
		err = begin_super(r);
	if (!err)
		err = zero_super(r);
	if (!err)
		err = rp_copy_trees(r);
	if (!err)
		err = rp_write_data_map(r);
	if (!err)
		err = rp_write_journal(r);
	if (!err)
		err = write_both_details(r);
	if (!err)
		err = rp_write_counts(r);
	if (!err)
		err = rp_out_flush(r);
	if (!err)
		err = pdata_io_flush(r->out);
	if (!err)
		err = rp_verify(r, &r->out_sb);
	if (!err)
		err = write_super(r);
	rp_out_exit(r);
	return err;
}
