// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pool's metadata: opening and formatting, the operations behind messages,
 * and views of the whole.
 *
 * Create, snapshot, delete, hold, resize and transaction id are checkpoints,
 * not journal records, so that replay only ever rebuilds deltas.
 */
#include "dm-thin2-internal.h"

/* ---- small things ---- */

int thin2_fail(struct thin2_md *md, int r, const char *what)
{
	if (!READ_ONCE(md->failed)) {
		WRITE_ONCE(md->failed, r);
		pdata_err("%s: %s failed: %s (%d); no more changes, the last checkpoint stands",
			  md->name, what, pdata_error_text(r), pdata_to_errno(r));
	}
	thin2_wake(md);
	return r;
}

void thin2_md_mark_failed(struct thin2_md *md)
{
	int r;

	thin2_lock(md);
	if (!md->read_only && READ_ONCE(md->failed) && !md->marked) {
		md->marked = true;
		md->sb.flags |= PDATA_SB_NEEDS_CHECK;
		r = pdata_tm_mark(&md->tm, &md->sb, PDATA_SB_NEEDS_CHECK);
		if (r)
			pdata_err("%s: needs_check cannot be written to the superblock: %s (%d)",
				  md->name, pdata_error_text(r), r);
	}
	thin2_unlock(md);
}

int thin2_check_writable(struct thin2_md *md)
{
	if (md->read_only)
		return -PDATA_E_READ_ONLY;
	return READ_ONCE(md->failed) ? -PDATA_E_FAILED : 0;
}

void thin2_wake(struct thin2_md *md)
{
	if (md->ops)
		md->ops->wake(md->context);
}

/* ---- opening ---- */

static void fill_format(const struct thin2_md_params *p, struct pdata_super *sb)
{
	u8 uuid[PDATA_UUID_SIZE];

	get_random_bytes(uuid, sizeof(uuid));
	pdata_super_init(sb, uuid, p->io->nr_blocks);
	get_random_bytes(&sb->journal_nonce, sizeof(sb->journal_nonce));
	if (p->journal_blocks)
		sb->journal_blocks = p->journal_blocks;
	sb->data_units = p->data_units;
	sb->data_block_size = p->data_block_size;
}

/* The superblock to start from: read, or written first. */
static int open_super(const struct thin2_md_params *p, struct pdata_super *sb)
{
	int r = pdata_super_read(p->io, sb);

	if (r < 0)
		return r;
	if (r == PDATA_SB_ZEROED) {
		if (p->read_only)
			return -PDATA_E_UNFORMATTED_RO;
		fill_format(p, sb);
		return pdata_super_format(p->io, sb);
	}
	if (!sb->details_root != !sb->details_copy_root) {
		pdata_err("%s: roots of the two details trees are %llu and %llu, one is missing",
			  p->name, sb->details_root, sb->details_copy_root);
		return -PDATA_E_CONTENT;
	}
	if (p->io->nr_blocks < sb->meta_blocks) {
		pdata_err("%s: metadata device has %llu blocks, its superblock says %llu",
			  p->name, p->io->nr_blocks, sb->meta_blocks);
		return -PDATA_E_SHRUNK;
	}
	/* Tools open the metadata alone. */
	if (p->data_units && p->data_units < sb->data_units) {
		pdata_err("%s: data device has %llu units of 4 KiB, the superblock says %llu",
			  p->name, p->data_units, sb->data_units);
		return -PDATA_E_SHRUNK;
	}
	return 0;
}

static void init_trees(struct thin2_md *md)
{
	md->details.tm = &md->tm;
	md->details.owner = PDATA_OWNER_DETAILS;
	md->details.value.size = sizeof(struct pdata_details_disk);
	md->details.root = md->sb.details_root;
	md->details_copy = md->details;
	md->details.value.inc = thin2_root_inc;
	md->details.value.context = md;
	md->details_copy.owner = PDATA_OWNER_DETAILS_COPY;
	md->details_copy.root = md->sb.details_copy_root;
	md->deleting = md->details_copy;
	md->deleting.owner = PDATA_OWNER_DELETING;
	md->deleting.root = md->sb.deleting_root;
}

/* How many thins are being deleted. If nobody can say, what is left of them stays. */
static int count_deleting(struct thin2_md *md)
{
	struct pdata_view view = { .tm = &md->tm };
	u64 nr = 0;
	int r;

	r = pdata_btree_walk(&md->deleting, &view, md->deleting.root, NULL,
			     thin2_count_entry, &nr);
	if (pdata_error_is_unreadable(r)) {
		pdata_err("%s: the list of deleted thins cannot be read: what is not freed yet stays until repair: %s",
			  md->name, pdata_error_text(r));
		if (!md->read_only)
			md->deleting.root = 0;
		return 0;
	}
	md->nr_deleting = nr;
	return r;
}

static int open_layers(struct thin2_md *md, const struct thin2_md_params *p)
{
	int r;

	pdata_bm_init(&md->bm, p->io, md->sb.uuid, md->sb.meta_blocks, md->name);
	r = pdata_tm_init(&md->tm, &md->bm, &md->sb);
	if (r)
		return r;
	if (p->limits)
		md->tm.limits = *p->limits;
	/* Admission keeps the reserve (update_admission()); what runs may use it. */
	md->tm.use_reserve = true;
	init_trees(md);
	r = pdata_sm_data_init(&md->data_sm, &md->tm, &md->sb);
	if (r)
		goto bad_sm;
	/* A tool has no device that says how large a damaged superblock's can be. */
	r = pdata_alloc_init(&md->alloc, &md->tm, &md->data_sm, p->ops ? md->sb.data_units : 0,
			     p->group_units ? p->group_units : PDATA_GROUP_UNITS);
	if (r)
		goto bad_alloc;
	md->data_sm.freed = thin2_data_freed;
	md->data_sm.context = md;
	r = pdata_journal_init(&md->journal, p->io, &md->sb, md->name);
	if (r)
		goto bad_journal;
	if (p->journal_records)
		md->journal.records_max = p->journal_records;
	r = count_deleting(md);
	if (!r)
		return 0;
	pdata_journal_exit(&md->journal);
bad_journal:
	pdata_alloc_exit(&md->alloc);
bad_alloc:
	pdata_sm_data_exit(&md->data_sm);
bad_sm:
	pdata_tm_exit(&md->tm);
	return r;
}

static void close_layers(struct thin2_md *md)
{
	struct thin2_dev *th, *tmp;

	list_for_each_entry_safe(th, tmp, &md->thins, list)
		thin2_dev_destroy(th);
	thin2_origins_exit(md);
	pdata_journal_exit(&md->journal);
	pdata_alloc_exit(&md->alloc);
	pdata_sm_data_exit(&md->data_sm);
	pdata_tm_exit(&md->tm);
}

/* The first checkpoint of an activation: from now on the device is in use. */
static int activate(struct thin2_md *md, const struct thin2_md_params *p)
{
	int r;

	/* Before any other write. */
	r = pdata_super_mend(p->io, md->tm.last);
	if (!r && md->replayed)
		r = pdata_sm_scrub(&md->tm.sm);
	if (!r)
		r = thin2_holds_drop(md);
	if (r)
		return r;
	md->sb.flags &= ~PDATA_SB_CLEAN;
	pdata_journal_cut(&md->journal, md->tm.generation, &md->sb);
	md->sb.data_block_size = p->data_block_size;
	if (p->data_units > md->sb.data_units) {
		r = pdata_alloc_grow(&md->alloc, p->data_units);
		if (r)
			return r;
		md->sb.data_units = p->data_units;
		md->data_sm.nr_units = p->data_units;
	}
	if (p->io->nr_blocks > md->sb.meta_blocks) {
		r = pdata_sm_grow(&md->tm.sm, p->io->nr_blocks);
		if (r)
			return r;
		md->sb.meta_blocks = p->io->nr_blocks;
	}
	return thin2_commit(md);
}

static struct thin2_md *md_alloc(const struct thin2_md_params *p)
{
	struct thin2_md *md = kzalloc(sizeof(*md), GFP_KERNEL);

	if (!md)
		return NULL;
	md->name = p->name;
	md->io = p->io;
	md->ops = p->ops;
	md->context = p->context;
	md->read_only = p->read_only;
	md->max_dirty = p->max_dirty ? p->max_dirty : THIN2_MAX_DIRTY;
	mutex_init(&md->meta_lock);
	sema_init(&md->flush_sem, 1);
	mutex_init(&md->cache_lock);
	INIT_LIST_HEAD(&md->thins);
	md->by_id = RB_ROOT;
	INIT_LIST_HEAD(&md->touched);
	INIT_LIST_HEAD(&md->changed);
	INIT_LIST_HEAD(&md->noted);
	md->origins = RB_ROOT;
	INIT_LIST_HEAD(&md->childless);
	spin_lock_init(&md->noted_lock);
	INIT_LIST_HEAD(&md->cached);
	md->fill_ranges = THIN2_FILL_RANGES;
	md->levels = THIN2_LEVELS;
	return md;
}

int thin2_md_open(const struct thin2_md_params *p, struct thin2_md **result)
{
	struct thin2_md *md = md_alloc(p);
	int r;

	if (!md)
		return -ENOMEM;
	r = open_super(p, &md->sb);
	if (r)
		goto bad;
	if (!md->read_only && (md->sb.flags & PDATA_SB_NEEDS_CHECK)) {
		pdata_warn("%s: needs_check is set: nothing is written until thin2_check has cleared it",
			   md->name);
		md->read_only = true;
	}
	r = open_layers(md, p);
	if (r)
		goto bad;
	md->roots_gen = md->sb.generation;
	thin2_set_placement(md, p->data_block_size / PDATA_UNIT_SECTORS, 0);
	thin2_lock(md);
	md->replayed = !(md->sb.flags & PDATA_SB_CLEAN);
	r = md->replayed ? thin2_replay(md) : 0;
	if (!r && !md->read_only)
		r = thin2_origins_load(md);
	if (!r && !md->read_only)
		r = activate(md, p);
	thin2_unlock(md);
	if (r) {
		close_layers(md);
		goto bad;
	}
	*result = md;
	return 0;
bad:
	mutex_destroy(&md->cache_lock);
	mutex_destroy(&md->meta_lock);
	kfree(md);
	return r;
}

void thin2_md_abandon(struct thin2_md *md)
{
	close_layers(md);
	mutex_destroy(&md->cache_lock);
	mutex_destroy(&md->meta_lock);
	kfree(md);
}

int thin2_md_close(struct thin2_md *md)
{
	int r = 0;

	if (!md->read_only) {
		/* Overwrites in place leave no record: flush them all the same. */
		r = thin2_flush(md);
		if (!r)
			r = thin2_checkpoint(md);
		thin2_lock(md);
		if (!r) {
			md->sb.flags |= PDATA_SB_CLEAN;
			r = thin2_commit(md);
		}
		thin2_unlock(md);
		thin2_md_mark_failed(md);
	} else if (md->ops) {
		/* A read-only pool's thins are overwritten in place, too. */
		r = md->ops->flush_data(md->context);
	}
	thin2_md_abandon(md);
	return r;
}

/* pdata_sm_data.freed: nobody refers to these units in the version being built. */
int thin2_data_freed(void *context, u64 begin, u64 len)
{
	struct thin2_md *md = context;

	return pdata_alloc_quarantine(&md->alloc, begin, len);
}

/* Units beyond the recorded end are handed out only when it is recorded. */
static int record_sizes(struct thin2_md *md, u64 data_units, u64 meta_blocks)
{
	int r;

	if (meta_blocks > md->sb.meta_blocks) {
		r = pdata_sm_grow(&md->tm.sm, meta_blocks);
		if (r)
			return r;
		md->sb.meta_blocks = meta_blocks;
	}
	md->sb.data_units = data_units;
	md->data_sm.nr_units = data_units;
	return thin2_commit(md);
}

int thin2_md_resize(struct thin2_md *md, u64 data_units, u64 meta_blocks)
{
	int r;

	thin2_lock(md);
	r = thin2_check_writable(md);
	if (r)
		goto out;
	if (data_units < md->sb.data_units || meta_blocks < md->sb.meta_blocks) {
		pdata_err("%s: devices have %llu units of data, %llu blocks of metadata; recorded are %llu and %llu",
			  md->name, data_units, meta_blocks, md->sb.data_units,
			  md->sb.meta_blocks);
		r = -PDATA_E_SHRUNK;
		goto out;
	}
	if (data_units > md->sb.data_units || meta_blocks > md->sb.meta_blocks) {
		r = record_sizes(md, data_units, meta_blocks);
		if (r)
			goto out;
	}
	/* Also if they were recorded by an attempt that had no memory for this. */
	r = pdata_alloc_grow(&md->alloc, data_units);
	WRITE_ONCE(md->starved, false);
	thin2_wake(md);
out:
	thin2_unlock(md);
	return r;
}

/* ---- messages ---- */

/* What is left must do for the records that were admitted before, too. */
static bool has_room(struct thin2_md *md)
{
	u64 dirty = atomic64_read(&md->nr_dirty);

	return thin2_admit(md) > dirty;
}

/* A message that needs new metadata is refused before it changes anything. */
int thin2_operation_begin(struct thin2_md *md, bool needs_space)
{
	int r = thin2_check_writable(md);

	if (r || !needs_space)
		return r;
	while (!has_room(md)) {
		bool deleting = thin2_has_garbage(md);

		r = thin2_checkpoint_locked(md);
		if (r)
			return r;
		if (!deleting && !has_room(md))
			return -PDATA_E_META_NOSPC;
	}
	return 0;
}

/*
 * End a message: commit what it did, or give up on a transaction left half done.
 * One that had no memory has done nothing, or has failed the transaction.
 */
int thin2_operation_end(struct thin2_md *md, int r, const char *what)
{
	if (r == -ENOMEM && !md->tm.failed)
		return thin2_end_step(md, r);
	return r ? thin2_fail(md, r, what) : thin2_commit(md);
}

static void new_details(struct thin2_md *md, u32 id, struct thin2_details *d)
{
	memset(d, 0, sizeof(*d));
	d->uid = md->sb.next_uid++;
	d->id = id;
	d->created_gen = md->tm.generation;
	d->transaction_id = md->sb.transaction_id;
	d->create_time = md->sb.time;
	d->snap_time = md->sb.time;
}

/* 0 if there is no thin of that id. */
static int check_absent(struct thin2_md *md, u32 id)
{
	struct thin2_details d;
	int r = thin2_details_read(md, id, &d);

	if (!r)
		return -PDATA_E_EXISTS;
	return r == -PDATA_E_NOT_FOUND ? 0 : r;
}

int thin2_create(struct thin2_md *md, u32 id)
{
	struct thin2_details d;
	int r;

	thin2_lock(md);
	r = thin2_operation_begin(md, true);
	if (!r)
		r = check_absent(md, id);
	if (!r) {
		new_details(md, id, &d);
		r = thin2_operation_end(md, thin2_details_write(md, &d), "creating a thin");
	}
	thin2_unlock(md);
	return r;
}

/*
 * The cut: after it, nothing that is written to the origin in place or appended
 * to its frozen list can reach the snapshot, and all that came before is in.
 * Writes in flight that map something new end up behind the cut: their records
 * follow, and nobody was told that they are done. Writes in place that were
 * issued before the cut land in what is shared now; the commit that makes the
 * snapshot waits for them (its drain) before anybody is told of it.
 */
static void cut_origin(struct thin2_dev *th, u32 time)
{
	unsigned int next = (th->epoch + 1) % 3;
	unsigned long flags;

	if (th->epoch_used[next])
		thin2_dev_sweep(th, next);
	spin_lock_irqsave(&th->lock, flags);
	th->snap_busy = true;
	WRITE_ONCE(th->epoch, next);
	th->snap_time = time;
	if (th->active.nr)
		thin2_freeze_locked(th);
	spin_unlock_irqrestore(&th->lock, flags);
}

/*
 * Bring all of an origin's changes up to now into its tree and stop sharing new
 * ones: from here on its births are of a new time. On failure no transaction
 * stays open; a cut without a snapshot only makes later writes ask the trees.
 */
int thin2_prepare_origin(struct thin2_md *md, u32 id, struct thin2_details *d)
{
	struct thin2_dev *th = thin2_dev_find(md, id);
	int r;

	if (md->sb.time == ~0u)
		return -PDATA_E_LIMIT;
	if (th && (th->active.nr || th->frozen.nr)) {
		/* Most of the list goes first, so that little is left at the cut. */
		r = thin2_merge_thin(th);
		if (!r)
			r = thin2_commit(md);
		if (r)
			return thin2_end_step(md, r);
	}
	md->sb.time++;
	if (th) {
		cut_origin(th, md->sb.time);
		r = thin2_merge_frozen(th);
		if (r)
			return thin2_end_step(md, r);
		th->details.snap_time = md->sb.time;
		thin2_details_touch(th);
		*d = th->details;
		return 0;
	}
	r = thin2_details_read(md, id, d);
	if (r)
		return r;
	d->snap_time = md->sb.time;
	r = thin2_details_write(md, d);
	return r ? thin2_end_step(md, r) : 0;
}

void thin2_origin_done(struct thin2_md *md, u32 id)
{
	struct thin2_dev *th = thin2_dev_find(md, id);

	if (th)
		smp_store_release(&th->snap_busy, false);	/* after the publication */
	thin2_wake(md);
}

/* The new entry beside a prepared origin. */
static int add_snap(struct thin2_md *md, u32 id, const struct thin2_details *origin)
{
	struct thin2_details d;
	u32 count;
	int r = 0;

	new_details(md, id, &d);
	d.root = origin->root;
	d.leaf_sum = origin->leaf_sum;
	d.flags = origin->flags & PDATA_THIN_SUM_LOST;
	d.mapped_units = origin->mapped_units;
	d.origin_uid = origin->uid;
	d.origin_seq = origin->applied_seq;
	if (d.root)
		r = pdata_tm_inc(&md->tm, d.root);
	if (r)
		return r;
	r = thin2_details_write(md, &d);
	if (!r)
		thin2_origin_add_child(md, origin->uid);
	else if (d.root && pdata_tm_dec(&md->tm, d.root, &count))
		md->tm.failed = true;
	return r;
}

int thin2_create_snap(struct thin2_md *md, u32 id, u32 origin)
{
	struct thin2_details od;
	struct thin2_dev *th;
	int r;

	thin2_lock(md);
	r = thin2_operation_begin(md, true);
	if (!r)
		r = check_absent(md, id);
	if (!r)
		r = thin2_details_read(md, origin, &od);
	if (!r)
		r = thin2_origin_prepare(md, od.uid);
	if (!r) {
		r = thin2_prepare_origin(md, origin, &od);
		if (!r)
			r = thin2_operation_end(md, add_snap(md, id, &od), "taking a snapshot");
		thin2_origin_unprepare(md, od.uid);
	}
	th = thin2_dev_find(md, origin);
	if (!r && th)
		WRITE_ONCE(th->shared_base, md->nr_decs - th->own_decs);
	thin2_origin_done(md, origin);
	thin2_unlock(md);
	return r;
}

/* Units that only a deleted thin's un-merged changes know: up and down in the counts. */
static int drop_units(struct thin2_md *md, u64 phys, u64 len)
{
	struct pdata_count_log *log = &md->data_sm.log;
	int r;

	r = pdata_count_log_add(log, phys, len, 1, 0, 0);
	return r ? r : pdata_count_log_add(log, phys, len, -1, 0, 0);
}

static int drop_deltas(struct thin2_md *md, struct thin2_dev *th)
{
	const struct thin2_delta *d;
	struct thin2_delta_iter it;
	int r = 0;

	thin2_delta_iter_init(&it, &th->active);
	while (!r && (d = thin2_delta_next(&it)))
		if (d->kind == PDATA_REC_MAP)
			r = drop_units(md, d->phys, d->len);
	return r;
}

static int drop_overlay(struct thin2_md *md, struct thin2_dev *th)
{
	const struct pdata_range *c = th->overlay, *end = c + th->nr_overlay;
	int r = 0;

	for (; !r && c < end; c++)
		if (c->kind == PDATA_RANGE_MAPPED)
			r = drop_units(md, c->value, c->len);
	return r;
}

/* All that a thin's list before the active one amounts to is its overlay, none of it merged. */
static bool overlay_is_whole(const struct thin2_dev *th)
{
	return th->overlay && !th->merge.pos && !th->merge.from && !th->merge.done;
}

static u64 delete_blocks(struct thin2_md *md)
{
	return thin2_commit_blocks(md, 0) + 2 * THIN2_PATH_BLOCKS;
}

/*
 * Before anything of a thin is given up: its frozen list is merged, which may be
 * half way in the tree, and there is room and memory for what follows. On
 * failure no transaction stays open and the thin is as it was.
 */
static int prepare_delete(struct thin2_md *md, struct thin2_dev *th)
{
	int r = 0;

	if (th && !overlay_is_whole(th))
		r = thin2_merge_frozen(th);
	/* With what the log holds; a commit empties it. */
	if (!r && pdata_sm_free(&md->tm.sm, false) < delete_blocks(md))
		r = thin2_commit(md);
	if (!r)
		r = thin2_step_room(md, delete_blocks(md));
	if (!r && th)
		r = pdata_count_log_reserve(&md->data_sm.log,
					    2 * (th->active.nr + th->nr_overlay));
	return r ? thin2_end_step(md, r) : 0;
}

static int delete_thin(struct thin2_md *md, u32 id, struct thin2_details *d)
{
	struct thin2_dev *th = thin2_dev_find(md, id);
	struct pdata_details_disk disk;
	int r = 0;

	if (th) {
		if (overlay_is_whole(th))
			r = drop_overlay(md, th);
		if (!r)
			r = drop_deltas(md, th);
		if (r)
			return r;
		*d = th->details;
		thin2_dev_destroy(th);
	}
	r = thin2_origin_delete(md, d);
	if (r || !d->root)
		return r;
	d->flags |= PDATA_THIN_DELETING;
	d->delete_cursor = 0;
	thin2_details_pack(d, &disk);
	r = pdata_btree_insert(&md->deleting, d->uid, &disk);
	if (!r)
		md->nr_deleting++;
	return r;
}

int thin2_delete(struct thin2_md *md, u32 id)
{
	struct thin2_details d;
	struct thin2_dev *th;
	int r;

	thin2_lock(md);
	r = thin2_operation_begin(md, false);
	if (!r)
		r = thin2_details_read(md, id, &d);
	th = thin2_dev_find(md, id);
	if (!r && th && th->open_count)
		r = -PDATA_E_BUSY;
	if (!r)
		r = prepare_delete(md, th);
	if (!r) {
		r = delete_thin(md, id, &d);
		/* Without memory, too: its changes may have been given up already. */
		if (r)
			md->tm.failed = true;
		r = thin2_operation_end(md, r, "deleting a thin");
		WRITE_ONCE(md->may_free, true);
	}
	thin2_unlock(md);
	thin2_wake(md);
	return r;
}

int thin2_set_transaction_id(struct thin2_md *md, u64 old, u64 new)
{
	int r;

	thin2_lock(md);
	r = thin2_operation_begin(md, false);
	if (!r && md->sb.transaction_id != old) {
		pdata_warn("%s: transaction id is %llu, not %llu", md->name,
			   md->sb.transaction_id, old);
		r = -PDATA_E_TXN_ID;
	}
	if (!r) {
		md->sb.transaction_id = new;
		r = thin2_operation_end(md, 0, "setting the transaction id");
	}
	thin2_unlock(md);
	return r;
}
