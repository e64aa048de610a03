// SPDX-License-Identifier: GPL-2.0-only
/*
 * Transactions: dirty blocks in memory of our own, and the commit that makes
 * them a checkpoint.
 */
#include "pdata-transaction.h"
#include "pdata-fault.h"
#include "pdata-layout.h"

const struct pdata_limits pdata_limits_default = {
	.btree_max = 0,
	.fanout = PDATA_RANGE_FANOUT,
	.leaf_max = PDATA_LEAF_MAX_RECORDS,
};

/* A block of the transaction being built. */
struct tm_dirty {
	struct rb_node node;
	u64 block;
	void *data;
};

/* ---- dirty blocks ---- */

static struct tm_dirty *dirty_find(const struct pdata_tm *tm, u64 block)
{
	struct rb_node *n = tm->dirty.rb_node;

	while (n) {
		struct tm_dirty *d = rb_entry(n, struct tm_dirty, node);

		if (block == d->block)
			return d;
		n = block < d->block ? n->rb_left : n->rb_right;
	}
	return NULL;
}

static void dirty_insert(struct pdata_tm *tm, struct tm_dirty *d)
{
	struct rb_node **link = &tm->dirty.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		if (d->block < rb_entry(parent, struct tm_dirty, node)->block)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&d->node, parent, link);
	rb_insert_color(&d->node, &tm->dirty);
	tm->nr_dirty++;
}

static void dirty_free(struct tm_dirty *d)
{
	if (d->data)
		pdata_block_free(d->data);
	kfree(d);
}

static void dirty_drop(struct pdata_tm *tm, struct tm_dirty *d)
{
	rb_erase(&d->node, &tm->dirty);
	tm->nr_dirty--;
	dirty_free(d);
}

static void dirty_drop_all(struct pdata_tm *tm)
{
	struct rb_node *n;

	while ((n = rb_first(&tm->dirty))) {
		dirty_drop(tm, rb_entry(n, struct tm_dirty, node));
		cond_resched();
	}
}

/* Memory and a free block, not in the tree of dirty blocks yet. */
static int dirty_alloc(struct pdata_tm *tm, struct tm_dirty **result)
{
	struct tm_dirty *d;
	int r;

	if (pdata_fault(MEMORY))
		return -ENOMEM;
	d = kzalloc(sizeof(*d), GFP_NOIO);
	if (!d)
		return -ENOMEM;
	d->data = pdata_block_alloc(GFP_NOIO);
	r = d->data ? pdata_sm_alloc(&tm->sm, &d->block, tm->use_reserve) : -ENOMEM;
	if (r) {
		dirty_free(d);
		return r;
	}
	*result = d;
	return 0;
}

/* What pointers to the block are made of does not change until it is sealed. */
static void set_header(const struct pdata_tm *tm, struct tm_dirty *d, u64 owner)
{
	struct pdata_header *h = d->data;

	h->blocknr = cpu_to_le64(d->block);
	h->generation = cpu_to_le64(tm->generation);
	h->salt = cpu_to_le16(tm->salt);
	h->owner = cpu_to_le64(owner);
}

static void set_result(const struct tm_dirty *d, struct pdata_rw *b)
{
	b->data = d->data;
	b->ptr = pdata_ptr_to(d->data);
}

/* ---- views ---- */

static int read_dirty(const struct tm_dirty *d, u32 type, struct pdata_ro *b)
{
	const struct pdata_header *h = d->data;

	if (!pdata_type_fits(type, le32_to_cpu(h->magic))) {
		pdata_err_limit("uncommitted block %llu is a %s, expected a %s", d->block,
				pdata_type_name(le32_to_cpu(h->magic)), pdata_type_name(type));
		return -PDATA_E_MAGIC;
	}
	b->data = d->data;
	b->block = d->block;
	b->cached = false;
	return 0;
}

static int read_current(struct pdata_tm *tm, u64 block, u32 type, struct pdata_ro *b)
{
	const struct tm_dirty *d = dirty_find(tm, block);

	if (d)
		return read_dirty(d, type, b);
	return pdata_bm_read(tm->bm, block, type, tm->generation - 1, b);
}

/* Is it the version that @ptr means? If not it is given back. */
static int check_tag(struct pdata_tm *tm, u64 ptr, struct pdata_ro *b)
{
	const struct pdata_header *h = pdata_ro_header(b);

	if (pdata_tag(h) == pdata_ptr_tag(ptr))
		return 0;
	pdata_err_limit("%s: %s %llu refused: %s: tag is %#x, expected %#x", tm->bm->name,
			pdata_type_name(le32_to_cpu(h->magic)), b->block,
			pdata_error_text(-PDATA_E_STALE), pdata_tag(h), pdata_ptr_tag(ptr));
	pdata_bm_release(tm->bm, b);
	return -PDATA_E_STALE;
}

int pdata_view_read(const struct pdata_view *v, u64 ptr, u32 type, struct pdata_ro *b)
{
	const u64 block = pdata_ptr_block(ptr);
	int r;

	if (v->pin)
		r = pdata_bm_read(v->tm->bm, block, type, v->pin->generation, b);
	else
		r = read_current(v->tm, block, type, b);
	return r ? r : check_tag(v->tm, ptr, b);
}

void pdata_view_release(const struct pdata_view *v, struct pdata_ro *b)
{
	pdata_bm_release(v->tm->bm, b);
}

/* ---- life ---- */

static void memory_free(struct pdata_tm *tm)
{
	kvfree(tm->vec);
	kvfree(tm->scratch);
	kfree(tm->last);
	if (tm->super)
		pdata_block_free(tm->super);
	tm->vec = NULL;
	tm->scratch = NULL;
	tm->last = NULL;
	tm->super = NULL;
}

int pdata_tm_init(struct pdata_tm *tm, struct pdata_bm *bm, const struct pdata_super *sb)
{
	int r;

	memset(tm, 0, sizeof(*tm));
	tm->bm = bm;
	tm->dirty = RB_ROOT;
	tm->generation = sb->generation + 1;
	tm->salt = get_random_u32();
	tm->limits = pdata_limits_default;
	tm->vec = kvcalloc(PDATA_TM_BATCH, sizeof(*tm->vec), GFP_NOIO);
	tm->scratch = kvmalloc(PDATA_CHECK_SCRATCH, GFP_NOIO);
	tm->last = kmemdup(sb, sizeof(*sb), GFP_NOIO);
	tm->super = pdata_block_alloc(GFP_NOIO);
	if (tm->vec && tm->scratch && tm->last && tm->super)
		r = pdata_sm_init(&tm->sm, bm, sb);
	else
		r = -ENOMEM;
	if (r)
		memory_free(tm);
	return r;
}

void pdata_tm_exit(struct pdata_tm *tm)
{
	dirty_drop_all(tm);
	pdata_sm_exit(&tm->sm);
	memory_free(tm);
}

/* ---- changes ---- */

int pdata_tm_new(struct pdata_tm *tm, u32 type, u64 owner, struct pdata_rw *b)
{
	struct pdata_header *h;
	struct tm_dirty *d;
	int r;

	if (tm->failed)
		return -PDATA_E_FAILED;
	r = dirty_alloc(tm, &d);
	if (r)
		return r;
	memset(d->data, 0, PDATA_BLOCK_SIZE);
	h = d->data;
	h->magic = cpu_to_le32(type);
	set_header(tm, d, owner);
	dirty_insert(tm, d);
	set_result(d, b);
	return 0;
}

/* Give a block back that was allocated a moment ago. Only a bug can fail it. */
static void undo_alloc(struct pdata_tm *tm, struct tm_dirty *d)
{
	u32 count;

	if (pdata_sm_dec(&tm->sm, d->block, &count))
		tm->failed = true;
	dirty_free(d);
}

/* Copy @from, drop one reference to it. */
static int shadow_copy(struct pdata_tm *tm, const struct pdata_ro *from, u64 owner,
		       struct pdata_rw *b, bool *was_shared)
{
	struct tm_dirty *d;
	u32 count;
	int r = dirty_alloc(tm, &d);

	if (r)
		return r;
	memcpy(d->data, from->data, PDATA_BLOCK_SIZE);
	set_header(tm, d, owner);
	r = pdata_sm_dec(&tm->sm, from->block, &count);
	if (r) {
		undo_alloc(tm, d);
		return r;
	}
	dirty_insert(tm, d);
	set_result(d, b);
	*was_shared = count > 0;
	return 0;
}

int pdata_tm_shadow(struct pdata_tm *tm, u64 ptr, u32 type, u64 owner,
		    struct pdata_rw *b, bool *was_shared)
{
	const struct pdata_view view = { .tm = tm };
	const u64 block = pdata_ptr_block(ptr);
	struct tm_dirty *d;
	struct pdata_ro ro;
	u32 count;
	int r;

	if (tm->failed)
		return -PDATA_E_FAILED;
	r = pdata_sm_get(&tm->sm, block, &count);
	if (r)
		return r;
	if (!count) {
		pdata_err_limit("%s: refused to change %s %llu, which is free", tm->bm->name,
				pdata_type_name(type), block);
		return -PDATA_E_COUNT;
	}
	r = pdata_view_read(&view, ptr, type, &ro);
	if (r)
		return r;
	d = count == 1 ? dirty_find(tm, block) : NULL;
	if (d) {
		set_header(tm, d, owner);
		set_result(d, b);
		*was_shared = false;
	} else {
		r = shadow_copy(tm, &ro, owner, b, was_shared);
	}
	pdata_bm_release(tm->bm, &ro);
	return r;
}

int pdata_tm_inc(struct pdata_tm *tm, u64 ptr)
{
	return tm->failed ? -PDATA_E_FAILED : pdata_sm_inc(&tm->sm, pdata_ptr_block(ptr));
}

int pdata_tm_dec(struct pdata_tm *tm, u64 ptr, u32 *count)
{
	const u64 block = pdata_ptr_block(ptr);
	struct tm_dirty *d;
	int r;

	if (tm->failed)
		return -PDATA_E_FAILED;
	r = pdata_sm_dec(&tm->sm, block, count);
	if (r || *count)
		return r;
	d = dirty_find(tm, block);
	if (d)
		dirty_drop(tm, d);
	return 0;
}

/* ---- commit ---- */

static int seal_all(struct pdata_tm *tm)
{
	struct rb_node *n;
	int r;

	for (n = rb_first(&tm->dirty); n; n = rb_next(n)) {
		const struct tm_dirty *d = rb_entry(n, struct tm_dirty, node);
		const struct pdata_header *h = d->data;
		struct pdata_check c = {
			.block = d->block,
			.type = le32_to_cpu(h->magic),
			.uuid = tm->bm->uuid,
			.max_generation = tm->generation,
			.nr_blocks = tm->sm.nr_blocks,
			.scratch = tm->scratch,
		};

		r = pdata_block_seal(&c, d->data);
		if (r) {
			pdata_err("%s: commit refused: %s %llu of owner %llu: %s: %s is %#llx, expected %#llx",
				  tm->bm->name, pdata_type_name(c.type), c.block,
				  le64_to_cpu(h->owner), pdata_error_text(r), c.what, c.found,
				  c.expected);
			return r;
		}
		cond_resched();
	}
	return 0;
}

static int write_batch(struct pdata_tm *tm, unsigned int nr)
{
	int r = 0;

	if (pdata_fault(COMMIT_WRITE))
		r = -PDATA_E_FAULT;
	else if (nr)
		r = pdata_io_write(tm->bm->io, tm->vec, nr, false);
	if (r)
		pdata_err("%s: cannot write %u blocks of metadata, from block %llu on: error %d",
			  tm->bm->name, nr, tm->vec[0].block, r);
	return r;
}

static int write_all(struct pdata_tm *tm)
{
	unsigned int nr = 0;
	struct rb_node *n;
	int r;

	for (n = rb_first(&tm->dirty); n; n = rb_next(n)) {
		const struct tm_dirty *d = rb_entry(n, struct tm_dirty, node);

		tm->vec[nr].block = d->block;
		tm->vec[nr].data = d->data;
		if (++nr < PDATA_TM_BATCH)
			continue;
		r = write_batch(tm, nr);
		if (r)
			return r;
		nr = 0;
		cond_resched();
	}
	return write_batch(tm, nr);
}

/* Both copies; @sb is the checkpoint once the first is durable. */
static int write_super(struct pdata_tm *tm, const struct pdata_super *sb)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < 2 && !r; i++) {
		if (pdata_fault(COMMIT_SUPER))
			r = -PDATA_E_FAULT;
		else
			r = pdata_super_write_buf(tm->bm->io, sb, i, tm->super);
	}
	return r;
}

/*
 * A superblock that is in force, with other flags: both copies will do meanwhile. The
 * home is left alone unless the backup is whole.
 */
static int rewrite_super(struct pdata_tm *tm, const struct pdata_super *sb)
{
	int r = pdata_super_write_buf(tm->bm->io, sb, true, tm->super);

	return r ? r : pdata_super_write_buf(tm->bm->io, sb, false, tm->super);
}

/*
 * Before the first write of an activation. The copies have the same generation
 * and differ in the mark only, so whichever a crash leaves will do: nothing
 * else was written yet. One of the two stays whole, and both are afterwards.
 */
static int mark_in_use(struct pdata_tm *tm)
{
	int r;

	if (tm->begun)
		return 0;
	tm->last->flags &= ~PDATA_SB_CLEAN;
	r = rewrite_super(tm, tm->last);
	tm->begun = !r;
	return r;
}

static int commit(struct pdata_tm *tm, struct pdata_super *sb)
{
	int r;

	sb->generation = tm->generation;
	sb->meta_blocks = tm->sm.nr_blocks;
	sb->meta_used = tm->sm.used;
	sb->meta_groups = tm->sm.counts.nr_groups;
	pdata_array_next_slots(&tm->sm.counts, sb->slots);

	r = seal_all(tm);
	if (!r)
		r = mark_in_use(tm);
	if (!r)
		r = pdata_sm_write(&tm->sm);
	if (!r)
		r = write_all(tm);
	if (!r)
		r = pdata_io_flush(tm->bm->io);
	if (r)
		return r;
	tm->super_begun = true;
	r = write_super(tm, sb);
	if (!r)
		tm->super_begun = false;
	return r;
}

int pdata_tm_commit(struct pdata_tm *tm, struct pdata_super *sb)
{
	int r;

	if (tm->failed)
		return -PDATA_E_FAILED;
	r = commit(tm, sb);
	if (r) {
		pdata_err("%s: commit of generation %llu failed: %s (%d)", tm->bm->name,
			  tm->generation, pdata_error_text(r), r);
		tm->failed = true;
		return r;
	}
	dirty_drop_all(tm);
	pdata_sm_committed(&tm->sm, sb);
	tm->generation++;
	*tm->last = *sb;
	tm->begun = !(sb->flags & PDATA_SB_CLEAN);
	return 0;
}

int pdata_tm_mark(struct pdata_tm *tm, struct pdata_super *sb, u32 flags)
{
	/* Perhaps the one of the commit that failed is in force. It is complete. */
	struct pdata_super *last = tm->super_begun ? sb : tm->last;

	last->flags = (last->flags & ~PDATA_SB_CLEAN) | flags;
	return rewrite_super(tm, last);
}
