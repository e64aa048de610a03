// SPDX-License-Identifier: GPL-2.0-only
/*
 * Discard and write zeroes: changes of the mapping, no data moves but for the
 * ends of write zeroes that are no whole units. And, the other way round,
 * passing freed space down to the data device.
 */
#include "dm-thin2.h"
#include "dm-thin2-trace.h"

/* From map(). */
void thin2_defer_discard(struct thin2_thin *thin, struct bio *bio)
{
	struct thin2_bio *pb = thin2_bio(bio);
	unsigned long flags;

	pb->pos = DIV_ROUND_UP(bio->bi_iter.bi_sector, THIN2_UNIT_SECTORS);
	pb->end = max(pb->pos, thin2_to_unit(bio_end_sector(bio)));
	/* What is zeroed in place, or was unmapped already, relies on older records. */
	if (bio->bi_opf & REQ_FUA)
		pb->flags |= THIN2_BIO_FUA | THIN2_BIO_NEW;
	pb->seq = 0;
	bio->bi_opf &= ~(REQ_NOWAIT | REQ_POLLED);
	trace_thin2_defer(thin->id, bio);
	atomic64_inc(&thin->pool->nr_discards);
	spin_lock_irqsave(&thin->lock, flags);
	bio_list_add(&thin->discards, bio);
	spin_unlock_irqrestore(&thin->lock, flags);
	queue_work(thin->pool->io_wq, &thin->discard_work);
}

/* ---- ends of write zeroes ---- */

static enum thin2_outcome zero_new(struct thin2_thin *thin, struct thin2_copy *copy,
				   const struct thin2_where *w, blk_status_t *status)
{
	const struct thin2_mode_rules *rules = thin2_rules(thin->pool);
	int r;

	if (!rules->provision) {
		thin2_copy_free(copy);
		if (rules->wait && !thin2_errors_on_no_space(thin->pool))
			return THIN2_PARK_SPACE;
		*status = rules->wait ? BLK_STS_NOSPC : BLK_STS_IOERR;
		return THIN2_ERROR;
	}
	r = thin2_copy_begin(copy, w);
	return r ? thin2_refused(thin, r, status) : THIN2_DONE;
}

static enum thin2_outcome zero_fill_map(struct thin2_thin *thin, u64 unit, blk_status_t *status)
{
	int r = thin2_pool_fill(thin->pool, thin->dev, unit, unit + 1);

	return r ? thin2_refused(thin, r, status) : THIN2_AGAIN;
}

static enum thin2_outcome zero_sectors(struct thin2_thin *thin, struct bio *bio,
				       sector_t sector, unsigned int sectors,
				       blk_status_t *status)
{
	struct thin2_copy *copy = thin2_copy_alloc(thin, bio, sector, sectors);
	struct thin2_where w;

	copy->zero = true;
	thin2_lookup_counted(thin, copy->unit, copy->unit + 1, true, &w, &copy->epoch);
	switch (w.action) {
	case THIN2_REMAP:
		thin2_copy_zero_in_place(copy, w.phys);
		return THIN2_DONE;
	case THIN2_PROVISION:
		/* Reads as zeroes already, unless an origin shows through. */
		if (w.hole && thin->origin_dev && sector < thin->origin_sectors)
			return zero_new(thin, copy, &w, status);
		thin2_copy_free(copy);
		return THIN2_DONE;
	case THIN2_UNSHARE:
		if (thin2_try_exclusive(thin->dev, copy->unit, copy->unit + 1) <= 0)
			return zero_new(thin, copy, &w, status);
		thin2_copy_free(copy);
		return THIN2_AGAIN;
	case THIN2_FILL:
		thin2_copy_free(copy);
		return zero_fill_map(thin, thin2_to_unit(sector), status);
	case THIN2_WAIT:
		thin2_copy_free(copy);
		return THIN2_PARK;
	default:
		thin2_copy_free(copy);
		*status = BLK_STS_IOERR;
		return THIN2_ERROR;
	}
}

static enum thin2_outcome zero_ends(struct thin2_thin *thin, struct bio *bio,
				    blk_status_t *status)
{
	struct thin2_bio *pb = thin2_bio(bio);
	sector_t begin = bio->bi_iter.bi_sector, end = bio_end_sector(bio);
	sector_t head = min_t(sector_t, round_up(begin, THIN2_UNIT_SECTORS), end);
	sector_t tail = max_t(sector_t, round_down(end, THIN2_UNIT_SECTORS), head);
	enum thin2_outcome outcome = THIN2_DONE;

	if (!(pb->flags & THIN2_BIO_HEAD) && head > begin)
		outcome = zero_sectors(thin, bio, begin, head - begin, status);
	if (outcome != THIN2_DONE)
		return outcome;
	pb->flags |= THIN2_BIO_HEAD;
	if (!(pb->flags & THIN2_BIO_TAIL) && end > tail)
		outcome = zero_sectors(thin, bio, tail, end - tail, status);
	if (outcome == THIN2_DONE)
		pb->flags |= THIN2_BIO_TAIL;
	return outcome;
}

/* ---- whole units ---- */

static enum thin2_outcome unmap_units(struct thin2_thin *thin, struct bio *bio, bool zero,
				      blk_status_t *status)
{
	struct thin2_bio *pb = thin2_bio(bio);
	u64 begin = pb->pos;
	int r;

	if (pb->pos >= pb->end)
		return THIN2_DONE;
	r = thin2_unmap(thin->dev, pb->pos, pb->end, zero, &pb->pos);
	trace_thin2_unmapped(thin->id, begin, pb->pos - begin, r);
	if (pb->pos > begin)
		pb->flags |= THIN2_BIO_NEW;
	if (!r)
		return THIN2_DONE;
	if (r == -PDATA_E_META_NOSPC) {
		/* Waiting for metadata would not give any back. */
		*status = BLK_STS_NOSPC;
		return THIN2_ERROR;
	}
	return thin2_refused(thin, r, status);
}

static enum thin2_outcome do_step(struct thin2_thin *thin, struct bio *bio,
				  blk_status_t *status)
{
	bool zero = bio_op(bio) == REQ_OP_WRITE_ZEROES;
	enum thin2_outcome outcome;

	if (!thin2_rules(thin->pool)->unmap) {
		/* A discard is a hint. */
		*status = zero ? BLK_STS_IOERR : BLK_STS_OK;
		return THIN2_ERROR;
	}
	if (zero) {
		outcome = zero_ends(thin, bio, status);
		if (outcome != THIN2_DONE)
			return outcome;
	}
	return unmap_units(thin, bio, zero, status);
}

/* ---- worker ---- */

/* As a deferred bio is parked; those that wait for space are tried every second. */
static void park_discard(struct thin2_thin *thin, struct bio *bio, int gen)
{
	bool again = false, requeue;

	spin_lock_irq(&thin->lock);
	thin2_announce_parked(thin->pool);
	requeue = thin->requeue;
	if (!requeue) {
		again = gen != atomic_read(&thin->pool->wake_gen);
		bio_list_add(again ? &thin->discards : &thin->discards_parked, bio);
	}
	spin_unlock_irq(&thin->lock);
	if (requeue)
		thin2_part_done(bio, BLK_STS_DM_REQUEUE);
	else if (again)
		queue_work(thin->pool->io_wq, &thin->discard_work);
}

static void do_discard(struct thin2_thin *thin, struct bio *bio)
{
	blk_status_t status = BLK_STS_OK;
	enum thin2_outcome outcome;
	int gen;

	thin2_start_parts(bio);
	do {
		gen = atomic_read_acquire(&thin->pool->wake_gen);
		outcome = do_step(thin, bio, &status);
		cond_resched();
	} while (outcome == THIN2_AGAIN);

	if (outcome == THIN2_DONE || outcome == THIN2_ERROR)
		thin2_part_done(bio, status);
	else
		park_discard(thin, bio, gen);
}

void thin2_do_discards(struct work_struct *work)
{
	struct thin2_thin *thin = container_of(work, struct thin2_thin, discard_work);
	struct bio_list bios = BIO_EMPTY_LIST;
	struct bio *bio;

	spin_lock_irq(&thin->lock);
	bio_list_merge(&bios, &thin->discards);
	bio_list_init(&thin->discards);
	spin_unlock_irq(&thin->lock);
	while ((bio = bio_list_pop(&bios)))
		do_discard(thin, bio);
}

void thin2_fail_discards(struct thin2_thin *thin, blk_status_t status)
{
	struct bio_list bios = BIO_EMPTY_LIST;
	struct bio *bio;

	spin_lock_irq(&thin->lock);
	bio_list_merge(&bios, &thin->discards_parked);
	bio_list_init(&thin->discards_parked);
	spin_unlock_irq(&thin->lock);
	while ((bio = bio_list_pop(&bios)))
		thin2_part_done(bio, status);
}

/* ---- passdown ---- */

/* Ranges whose discards are under way at once, and given back together. */
#define PASSDOWN_RANGES	256

static void discard_ranges(struct thin2_pool *pool, struct list_head *ranges)
{
	struct pdata_freed *freed;
	struct bio *bio = NULL;
	struct blk_plug plug;
	int r;

	blk_start_plug(&plug);
	list_for_each_entry(freed, ranges, list) {
		trace_thin2_passdown(freed->begin, freed->len);
		__blkdev_issue_discard(pool->data.bdev, thin2_to_sector(freed->begin),
				       thin2_to_sector(freed->len), GFP_NOIO, &bio);
	}
	r = bio ? submit_bio_wait(bio) : 0;
	blk_finish_plug(&plug);
	if (bio)
		bio_put(bio);
	/* The space is free all the same. */
	if (r && r != -EOPNOTSUPP)
		DMWARN_LIMIT("%s: discards of the data device failed: %d", pool->name, r);
}

static void pass_down(struct thin2_pool *pool, struct list_head *batch)
{
	unsigned int n;
	LIST_HEAD(step);

	while (!list_empty(batch)) {
		for (n = 0; n < PASSDOWN_RANGES && !list_empty(batch); n++)
			list_move_tail(batch->next, &step);
		if (READ_ONCE(pool->passdown))
			discard_ranges(pool, &step);
		thin2_release(pool->md, &step);
		cond_resched();
	}
}

static void do_passdown(struct work_struct *work)
{
	struct thin2_pool *pool = container_of(work, struct thin2_pool, passdown_work);
	LIST_HEAD(batch);

	spin_lock_irq(&pool->freed_lock);
	list_splice_init(&pool->freed, &batch);
	spin_unlock_irq(&pool->freed_lock);
	if (!list_empty(&batch))
		pass_down(pool, &batch);
}

/* thin2_md_ops.freed: the metadata is locked, so the device is not waited for here. */
void thin2_freed(void *context, struct list_head *batch)
{
	struct thin2_pool *pool = context;

	/* While it is being opened nobody could take them back yet. */
	if (pool->md && (READ_ONCE(pool->closing) || !READ_ONCE(pool->passdown))) {
		pass_down(pool, batch);
		return;
	}
	spin_lock_irq(&pool->freed_lock);
	list_splice_tail_init(batch, &pool->freed);
	spin_unlock_irq(&pool->freed_lock);
	if (pool->md)
		queue_work(pool->data_wq, &pool->passdown_work);
}

void thin2_passdown_init(struct thin2_pool *pool)
{
	spin_lock_init(&pool->freed_lock);
	INIT_LIST_HEAD(&pool->freed);
	INIT_WORK(&pool->passdown_work, do_passdown);
}
