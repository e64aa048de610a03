// SPDX-License-Identifier: GPL-2.0-only
/*
 * Journal flushes, checkpoints and background work.
 *
 * A checkpoint is: merge, write the details, apply the count log, make the
 * journal durable through the highest record merged, commit the transaction,
 * let the journal's tail follow, publish the new roots, wait for bios issued
 * before, hand freed units over. No I/O path waits for any of it.
 *
 * Rule for all holders of meta_lock: the transaction is committed, or has
 * failed, when the lock is released.
 */
#include "dm-thin2-internal.h"

/* Leaves of a deleted thin that one commit takes apart. */
#define DELETE_LEAVES		64
/* Tombstones that one commit removes. */
#define DELETE_TOMBSTONES	64
/* Commits that make room for a step before it is given up for now. */
#define STEP_ROOM_TRIES		16
/* Commits of a checkpoint that frees deleted thins: status waits for them. */
#define DELETE_ROUNDS		16
/* Attempts of a commit that finds no memory. */
#define COMMIT_TRIES		8

/* ---- journal ---- */

/* Close, flush data, write. @commit: may use the journal's reserve. */
static int flush_batch(struct thin2_md *md, bool commit)
{
	const char *what = "writing the journal";
	struct pdata_journal_batch batch;
	int r;

	down(&md->flush_sem);
	r = pdata_journal_close(&md->journal, &batch, commit);
	if (!r) {
		r = md->ops->flush_data(md->context);
		if (r)
			what = "flushing the data device";
	}
	if (!r && batch.first_seq != batch.end_seq)
		r = pdata_journal_write(&md->journal, &batch);
	up(&md->flush_sem);
	if (r && r != -PDATA_E_JOURNAL_FULL)
		return thin2_fail(md, r, what);
	return r;
}

bool thin2_is_durable(struct thin2_md *md, u64 seq)
{
	return seq <= pdata_journal_durable(&md->journal);
}

int thin2_flush(struct thin2_md *md)
{
	int r;

	if (md->read_only)
		return md->ops->flush_data(md->context);
	for (;;) {
		r = READ_ONCE(md->failed);
		if (r)
			return -PDATA_E_FAILED;
		r = flush_batch(md, false);
		if (r != -PDATA_E_JOURNAL_FULL)
			break;
		r = thin2_checkpoint(md);
		if (r)
			return r;
	}
	if (!r) {
		atomic64_inc(&md->nr_flushes);
		thin2_wake(md);
	}
	return r;
}

int thin2_flush_try(struct thin2_md *md, unsigned int max, struct pdata_journal_batch *batch)
{
	u64 nr;
	int r;

	if (md->read_only || READ_ONCE(md->failed))
		return -PDATA_E_FAILED;
	if (down_trylock(&md->flush_sem))
		return -PDATA_E_WOULD_SLEEP;
	r = pdata_journal_close(&md->journal, batch, false);
	nr = batch->end_seq - batch->first_seq;
	/* What is closed and not written is part of the next batch. */
	if (!r && (nr > max || batch->first_seq % md->journal.nr_blocks + nr >
			       md->journal.nr_blocks))
		r = -PDATA_E_WOULD_SLEEP;
	if (!r)
		r = pdata_journal_seal(&md->journal, batch);
	if (r)
		up(&md->flush_sem);
	return r;
}

void thin2_flush_end(struct thin2_md *md, const struct pdata_journal_batch *batch, int r)
{
	r = pdata_journal_wrote(&md->journal, batch, r);
	up(&md->flush_sem);
	if (r) {
		thin2_fail(md, r, "writing the journal");
		return;
	}
	atomic64_inc(&md->nr_flushes);
	thin2_wake(md);
}

/* ---- commit ---- */

/*
 * Blocks that must stay free so that a merge step with its commit can always
 * run. See "The reserve" in the design document.
 */
u64 thin2_reserve_blocks(struct thin2_md *md)
{
	return thin2_step_blocks(md, THIN2_STEP_FEW);
}

static void update_admission(struct thin2_md *md)
{
	const u64 keep = thin2_reserve_blocks(md) + thin2_origins_growth(md) +
			 thin2_holds_growth(md) + 16;
	const u64 free = pdata_sm_free(&md->tm.sm, true);

	WRITE_ONCE(md->budget, free > keep ? free - keep : 0);
	WRITE_ONCE(md->budget_used, md->tm.sm.used);
	WRITE_ONCE(md->kept, keep);
}

/*
 * The most that one of three bounds allows. Each record may copy a shared leaf
 * and the way to it, split it and split one of the space map, and make those
 * leaves grow by a few hundred bytes: four blocks and one for each level. Copies
 * and splits are no more than there are blocks, growth is less than half a block.
 * And leaves in which all has grown as wide as it can, eight for one, hold all
 * their records besides those that are new, of which 25 find place in a block.
 *
 * A block that many thins share is one in use, but each of them may copy it.
 */
u64 thin2_admit(const struct thin2_md *md)
{
	const u64 thins = READ_ONCE(md->sb.time) ? max(atomic_read(&md->nr_noted), 1) : 1;
	const u64 budget = READ_ONCE(md->budget), used = READ_ONCE(md->budget_used) * thins;
	u64 admit = div_u64(budget, 4 + READ_ONCE(md->levels));

	if (budget > 3 * used)
		admit = max(admit, (budget - 3 * used) * 2);
	if (budget > 8 * used)
		admit = max(admit, (budget - 8 * used) * 25);
	return admit;
}

static int write_details(struct thin2_md *md)
{
	struct thin2_dev *th;
	int r;

	list_for_each_entry(th, &md->touched, touched_list) {
		if (!th->details_dirty)
			continue;
		r = thin2_details_write(md, &th->details);
		if (r)
			return r;
		th->details_dirty = false;
		md->nr_touched--;
	}
	return 0;
}

/* First record that some list still needs; all below it are durable. */
static u64 journal_tail_rec(struct thin2_md *md)
{
	u64 rec = pdata_journal_durable(&md->journal) + 1;
	struct thin2_dev *th;
	unsigned long flags;

	/* Records appended from here on are newer than @rec. */
	list_for_each_entry(th, thin2_changed(md), changed_list) {
		spin_lock_irqsave(&th->lock, flags);
		if (th->active.nr)
			rec = min(rec, th->active.first_seq);
		if (th->frozen.nr && !th->merge.done)
			rec = min(rec, th->frozen.first_seq);
		spin_unlock_irqrestore(&th->lock, flags);
	}
	return rec;
}

static void publish_roots(struct thin2_md *md)
{
	struct thin2_dev *th, *tmp;
	unsigned long flags;

	list_for_each_entry(th, &md->touched, touched_list) {
		spin_lock_irqsave(&th->lock, flags);
		if (th->base_root != th->details.root) {
			th->base_root = th->details.root;
			th->base_gen = md->sb.generation;
		}
		spin_unlock_irqrestore(&th->lock, flags);
	}
	/* Pairs with pin_base(): the roots come first. */
	smp_store_release(&md->roots_gen, md->sb.generation);
	list_for_each_entry_safe(th, tmp, &md->touched, touched_list) {
		list_del_init(&th->touched_list);
		thin2_merge_committed(th);
	}
}

static int build_checkpoint(struct thin2_md *md)
{
	int r;

	r = write_details(md);
	if (!r)
		r = pdata_sm_data_apply(&md->data_sm);
	if (r)
		return r;
	md->sb.details_root = md->details.root;
	md->sb.details_copy_root = md->details_copy.root;
	md->sb.deleting_root = md->deleting.root;
	md->sb.data_sm_root = md->data_sm.rt.root;
	md->sb.data_sm_leaves = md->data_sm.leaves;
	md->sb.data_used = md->data_sm.used;

	if (!thin2_is_durable(md, md->merged_seq)) {
		r = flush_batch(md, true);
		if (r)
			return r;
	}
	pdata_journal_tail(&md->journal, journal_tail_rec(md), &md->sb);
	return pdata_tm_commit(&md->tm, &md->sb);
}

int thin2_commit(struct thin2_md *md)
{
	unsigned int tries = 0;
	LIST_HEAD(batch);
	int r;

	lockdep_assert_held(&md->meta_lock);
	/* Without memory it changes nothing, or it fails the transaction. */
	do {
		r = build_checkpoint(md);
	} while (r == -ENOMEM && !md->tm.failed && ++tries < COMMIT_TRIES);
	if (r)
		return thin2_fail(md, r, "writing a checkpoint");
	pdata_journal_advance(&md->journal, &md->sb);
	publish_roots(md);
	md->ops->drain(md->context);
	WRITE_ONCE(md->drained_gen, md->sb.generation);
	update_admission(md);
	atomic64_inc(&md->nr_checkpoints);
	pdata_alloc_seal(&md->alloc, &batch);
	if (!list_empty(&batch))
		md->ops->freed(md->context, &batch);
	thin2_wake(md);
	return 0;
}

/*
 * Readers that pinned an older version keep what a commit freed until they
 * leave, which takes them a few reads; a later commit then lets it go.
 */
int thin2_step_room(struct thin2_md *md, u64 blocks)
{
	unsigned int tries;
	int r;

	for (tries = 0; pdata_sm_free(&md->tm.sm, false) < blocks; tries++) {
		if (tries == STEP_ROOM_TRIES)
			return -PDATA_E_META_NOSPC;
		r = thin2_commit(md);
		if (r)
			return r;
	}
	return 0;
}

void thin2_release(struct thin2_md *md, struct list_head *batch)
{
	pdata_alloc_release(&md->alloc, batch);
	thin2_wake(md);
}

/* ---- checkpoint and background ---- */

/* Merge what @th has now, once in a round; after a break, go on with it. */
static int merge_round(struct thin2_dev *th, u64 round)
{
	int r;

	r = thin2_merge_some(th);
	if (r || th->round >= round)
		return r;
	r = thin2_freeze(th);
	if (r)
		return r;
	th->round = round;
	return thin2_merge_some(th);
}

static int merge_thins(struct thin2_md *md, u64 round)
{
	struct thin2_dev *th;
	int r;

	list_for_each_entry(th, thin2_changed(md), changed_list) {
		r = merge_round(th, round);
		if (r)
			return r;
	}
	return 0;
}

/*
 * Merge all changes that there are now. Whoever waits for meta_lock gets it in
 * between: a list may take seconds, and he may have I/O waiting.
 */
static int merge_all(struct thin2_md *md)
{
	u64 round = ++md->nr_rounds;
	int r;

	while ((r = merge_thins(md, round)) == -PDATA_E_RETRY) {
		r = thin2_commit(md);
		if (r)
			return r;
		mutex_unlock(&md->meta_lock);
		cond_resched();
		mutex_lock(&md->meta_lock);
		r = thin2_check_writable(md);
		if (r)
			return r;
	}
	return r;
}

static int delete_all(struct thin2_md *md, unsigned int rounds)
{
	int r = 0;

	while (thin2_has_garbage(md) && rounds-- && !r) {
		r = thin2_delete_step(md, DELETE_LEAVES);
		if (!r)
			r = thin2_holds_step(md, DELETE_LEAVES);
		if (!r)
			r = thin2_tombstones_step(md, DELETE_TOMBSTONES);
		if (!r)
			r = thin2_commit(md);
	}
	return r;
}

/*
 * Whatever stopped the work, no transaction stays open. Steps that ran out of
 * space or memory before they changed anything leave a consistent one, which
 * is committed; any other failure ends all changes.
 */
int thin2_end_step(struct thin2_md *md, int r)
{
	int r2;

	if (r == -PDATA_E_META_NOSPC || r == -ENOMEM) {
		r2 = thin2_commit(md);
		return r2 ? r2 : r;
	}
	return r ? thin2_fail(md, r, "merging") : 0;
}

int thin2_checkpoint_locked(struct thin2_md *md)
{
	int r;

	r = thin2_check_writable(md);
	if (r)
		return r;
	/* Changes appended from here on are for the next one. */
	WRITE_ONCE(md->may_free, false);
	r = merge_all(md);
	if (r == -PDATA_E_META_NOSPC && thin2_has_garbage(md)) {
		/* Deleted thins may hold what the merge lacks. */
		r = delete_all(md, DELETE_ROUNDS);
		if (!r)
			r = merge_all(md);
	}
	if (!r)
		r = thin2_commit(md);
	if (!r)
		r = delete_all(md, DELETE_ROUNDS);
	if (md->nr_deleting || md->nr_releasing)
		WRITE_ONCE(md->may_free, true);
	WRITE_ONCE(md->starved, r == -PDATA_E_META_NOSPC);
	if (r) {
		WRITE_ONCE(md->may_free, true);
		return thin2_end_step(md, r);
	}
	thin2_forget_unchanged(md);
	return 0;
}

int thin2_checkpoint(struct thin2_md *md)
{
	int r;

	mutex_lock(&md->meta_lock);
	clear_bit(THIN2_WANT_CHECKPOINT, &md->want);
	r = thin2_checkpoint_locked(md);
	mutex_unlock(&md->meta_lock);
	return r;
}

static bool wants_checkpoint(struct thin2_md *md, bool idle)
{
	u64 dirty = atomic64_read(&md->nr_dirty);
	u64 limit = min(thin2_admit(md), READ_ONCE(md->max_dirty));

	return test_bit(THIN2_WANT_CHECKPOINT, &md->want) || dirty > limit / 2 ||
	       pdata_journal_fill(&md->journal) > 50 || (idle && dirty);
}

bool thin2_wants_journal(const struct thin2_md *md)
{
	return test_bit(THIN2_WANT_JOURNAL, &md->want);
}

int thin2_journal_work(struct thin2_md *md)
{
	int r = 0;
	bool wanted = test_and_clear_bit(THIN2_WANT_JOURNAL, &md->want);

	if (wanted || pdata_journal_wants_write(&md->journal))
		r = thin2_flush(md);
	/* Only a checkpoint gives ring space back. */
	if (!r && wanted && pdata_journal_fill(&md->journal) > 25)
		set_bit(THIN2_WANT_CHECKPOINT, &md->want);
	return r;
}

int thin2_work(struct thin2_md *md, bool idle)
{
	int r;

	if (md->read_only || READ_ONCE(md->failed))
		return 0;
	r = thin2_journal_work(md);
	if (r)
		return r;
	if (test_and_clear_bit(THIN2_WANT_LOAD, &md->want)) {
		r = pdata_alloc_load(&md->alloc);
		if (r && r != -PDATA_E_NOT_FOUND)
			return r;
		thin2_wake(md);
	}
	if (wants_checkpoint(md, idle)) {
		r = thin2_checkpoint(md);
		if (r)
			return r;
	} else if (thin2_has_garbage(md)) {
		mutex_lock(&md->meta_lock);
		r = thin2_check_writable(md);
		if (!r)
			r = thin2_end_step(md, delete_all(md, 1));
		mutex_unlock(&md->meta_lock);
		if (r)
			return r;
	}
	return READ_ONCE(md->want) || thin2_has_garbage(md);
}

int thin2_make_room(struct thin2_dev *th, int why)
{
	struct thin2_md *md = th->md;
	int r;

	switch (why) {
	case -PDATA_E_WOULD_SLEEP:
		clear_bit(THIN2_WANT_LOAD, &md->want);
		r = pdata_alloc_load(&md->alloc);
		return r == -PDATA_E_NOT_FOUND ? 0 : r;
	case -PDATA_E_JOURNAL_FULL:
		clear_bit(THIN2_WANT_JOURNAL, &md->want);
		r = thin2_flush(md);
		if (!r && pdata_journal_fill(&md->journal) > 25)
			r = thin2_checkpoint(md);
		return r;
	default:
		return thin2_checkpoint(md);
	}
}
