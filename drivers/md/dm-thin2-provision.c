// SPDX-License-Identifier: GPL-2.0-only
/*
 * The worker of a thin: bios that map() could not answer on the spot.
 *
 * A bio is worked off from its front, part by part: bi_iter of a deferred bio
 * is what is left of it. If the first answer covers all of it, it is submitted
 * itself, else its parts go out as clones or copies and the last one to end
 * ends it. A bio that has to wait is parked with what is left; a wake-up of
 * the metadata brings it back.
 *
 * No wake-up is lost: it counts up pool->wake_gen before it asks whether
 * anything is parked, and a bio is parked only if, after that was announced, the
 * count is still that from before its lookup.
 */
#include "dm-thin2.h"
#include "dm-thin2-trace.h"

/* ---- parts ---- */

void thin2_start_parts(struct bio *bio)
{
	struct thin2_bio *pb = thin2_bio(bio);

	if (pb->flags & THIN2_BIO_STARTED)
		return;
	pb->flags |= THIN2_BIO_STARTED;
	pb->status = BLK_STS_OK;
	atomic_set(&pb->remaining, 1);
}

void thin2_part_done(struct bio *parent, blk_status_t status)
{
	struct thin2_bio *pb = thin2_bio(parent);

	if (unlikely(status))
		WRITE_ONCE(pb->status, status);
	if (atomic_dec_and_test(&pb->remaining)) {
		parent->bi_status = READ_ONCE(pb->status);
		bio_endio(parent);
	}
}

static void frag_endio(struct bio *bio)
{
	struct thin2_frag *frag = container_of(bio, struct thin2_frag, bio);
	struct thin2_thin *thin = frag->thin;
	struct bio *parent = frag->parent;
	blk_status_t status = bio->bi_status;

	if (frag->flags & THIN2_BIO_WRITE) {
		thin2_write_end(&frag->write, blk_status_to_errno(status));
		trace_thin2_write_end(thin->id, frag->write.vbegin, frag->write.len,
				      blk_status_to_errno(status));
	}
	if (frag->flags & THIN2_BIO_COUNTED)
		thin2_uncount(thin->pool, frag->epoch);
	bio_put(bio);
	thin2_part_done(parent, status);
}

/*
 * Where a part goes. Counted and begun before anything that could wait for
 * memory, so @write is carried by value.
 */
struct part {
	struct block_device *bdev;
	sector_t sector;	/* there */
	unsigned int sectors;
	u8 flags;		/* THIN2_BIO_COUNTED, _WRITE */
	u8 epoch;
	struct thin2_write write;
};

/* All that is left of a bio of which no part is under way: no clone needed. */
static bool is_whole(struct bio *bio, unsigned int sectors)
{
	struct thin2_bio *pb = thin2_bio(bio);

	return bio_sectors(bio) == sectors && atomic_read(&pb->remaining) == 1 &&
	       !READ_ONCE(pb->status);
}

static void submit_whole(struct bio *bio, const struct part *p)
{
	struct thin2_bio *pb = thin2_bio(bio);

	pb->flags |= p->flags;
	pb->epoch = p->epoch;
	if (p->flags & THIN2_BIO_WRITE)
		pb->write = p->write;
	bio_set_dev(bio, p->bdev);
	bio->bi_iter.bi_sector = p->sector;
	dm_submit_bio_remap(bio, NULL);
}

static void submit_clone(struct thin2_thin *thin, struct bio *bio, const struct part *p)
{
	struct thin2_frag *frag;
	struct bio *clone;

	/* Frags before it end without this worker: waiting for memory is safe. */
	clone = bio_alloc_clone(p->bdev, bio, GFP_NOIO, &thin->pool->frag_set);
	frag = container_of(clone, struct thin2_frag, bio);
	frag->parent = bio;
	frag->thin = thin;
	frag->flags = p->flags;
	frag->epoch = p->epoch;
	frag->write = p->write;
	clone->bi_end_io = frag_endio;
	clone->bi_iter.bi_sector = p->sector;
	clone->bi_iter.bi_size = p->sectors << SECTOR_SHIFT;
	atomic_inc(&thin2_bio(bio)->remaining);
	if (p->flags & THIN2_BIO_WRITE)
		thin2_bio(bio)->flags |= THIN2_BIO_NEW;
	dm_submit_bio_remap(bio, clone);
	bio_advance(bio, p->sectors << SECTOR_SHIFT);
}

/* True: the bio is gone. */
static bool submit_part(struct thin2_thin *thin, struct bio *bio, const struct part *p)
{
	if (is_whole(bio, p->sectors)) {
		submit_whole(bio, p);
		return true;
	}
	submit_clone(thin, bio, p);
	return false;
}

/* ---- what the worker does with the front of a bio ---- */

enum progress {
	GONE,		/* the bio is not ours any more */
	MORE,		/* look at what is left of it */
	WAIT,		/* park it */
	WAIT_SPACE,
};

static enum progress fail_part(struct bio *bio, unsigned int sectors, blk_status_t status)
{
	WRITE_ONCE(thin2_bio(bio)->status, status);
	bio_advance(bio, sectors << SECTOR_SHIFT);
	return MORE;
}

/* Sectors from the front of @bio up to unit @end. */
static unsigned int sectors_to(struct bio *bio, u64 end)
{
	return min(bio_end_sector(bio), thin2_to_sector(end)) - bio->bi_iter.bi_sector;
}

/* What to do when the metadata refused a change with @r. Sleeps. */
enum thin2_outcome thin2_refused(struct thin2_thin *thin, int r, blk_status_t *status)
{
	struct thin2_pool *pool = thin->pool;

	if (r == -PDATA_E_WOULD_SLEEP) {
		r = thin2_make_room(thin->dev, r);
		if (!r)
			return THIN2_AGAIN;
	}
	/* Only a merge makes room for records, and it cannot go on. */
	if ((r == -PDATA_E_JOURNAL_FULL || r == -PDATA_E_DIRTY_LIMIT) &&
	    READ_ONCE(pool->md->starved))
		r = -PDATA_E_META_NOSPC;
	switch (r) {
	case -PDATA_E_RETRY:
		if (pdata_alloc_free(&pool->md->alloc))
			return THIN2_AGAIN;
		/* What is free is still in quarantine: a discard of the disk's may take long. */
		thin2_pool_retry_later(pool);
		return THIN2_PARK;
	case -PDATA_E_MISS:
		return THIN2_AGAIN;
	case -PDATA_E_PENDING:
		return THIN2_PARK;
	case -PDATA_E_WOULD_SLEEP:
	case -PDATA_E_JOURNAL_FULL:
	case -PDATA_E_DIRTY_LIMIT:
		thin2_pool_kick(pool);
		return THIN2_PARK;
	case -ENOMEM:
		thin2_pool_retry_later(pool);
		return THIN2_PARK;
	case -PDATA_E_DATA_NOSPC:
	case -PDATA_E_META_NOSPC:
		if (thin2_out_of_space(pool, r))
			return THIN2_PARK_SPACE;
		*status = BLK_STS_NOSPC;
		return THIN2_ERROR;
	default:
		thin2_note_error(pool, r, "a write");
		*status = BLK_STS_IOERR;
		return THIN2_ERROR;
	}
}

static enum progress refused(struct thin2_thin *thin, struct bio *bio, u64 end, int r)
{
	blk_status_t status = BLK_STS_OK;

	trace_thin2_refused(thin->id, thin2_to_unit(bio->bi_iter.bi_sector),
			    end - thin2_to_unit(bio->bi_iter.bi_sector), r);
	switch (thin2_refused(thin, r, &status)) {
	case THIN2_AGAIN:
		return MORE;
	case THIN2_PARK:
		return WAIT;
	case THIN2_PARK_SPACE:
		return WAIT_SPACE;
	default:
		return fail_part(bio, sectors_to(bio, end), status);
	}
}

static enum progress do_remap(struct thin2_thin *thin, struct bio *bio,
			      const struct thin2_where *w, u8 epoch)
{
	struct part p = {
		.bdev = thin->pool->data.bdev,
		.sector = thin2_to_sector(w->phys) +
			  bio->bi_iter.bi_sector % THIN2_UNIT_SECTORS,
		.sectors = sectors_to(bio, w->end),
		.flags = THIN2_BIO_COUNTED,
		.epoch = epoch,
	};

	return submit_part(thin, bio, &p) ? GONE : MORE;
}

static enum progress do_zero(struct thin2_thin *thin, struct bio *bio,
			     const struct thin2_where *w)
{
	struct part p = { .sectors = sectors_to(bio, w->end) };
	struct bvec_iter iter = bio->bi_iter;
	struct bio_vec bv;

	if (w->hole && thin->origin_dev && bio->bi_iter.bi_sector < thin->origin_sectors) {
		p.bdev = thin->origin_dev->bdev;
		p.sector = bio->bi_iter.bi_sector;
		p.sectors = min_t(sector_t, p.sectors, thin->origin_sectors - p.sector);
		return submit_part(thin, bio, &p) ? GONE : MORE;
	}
	iter.bi_size = p.sectors << SECTOR_SHIFT;
	for (; iter.bi_size; bio_advance_iter_single(bio, &iter, bv.bv_len)) {
		bv = bio_iter_iovec(bio, iter);
		memzero_bvec(&bv);
	}
	bio_advance(bio, p.sectors << SECTOR_SHIFT);
	return MORE;
}

/* A write of whole units into a hole or a shared range. */
static enum progress do_new_units(struct thin2_thin *thin, struct bio *bio, u64 end)
{
	struct part p = {
		.bdev = thin->pool->data.bdev,
		.flags = THIN2_BIO_COUNTED | THIN2_BIO_WRITE,
	};
	u64 unit = thin2_to_unit(bio->bi_iter.bi_sector);
	int r;

	r = thin2_begin_counted(thin, unit, end, &p.write, &p.epoch);
	if (r)
		return refused(thin, bio, end, r);
	p.sector = thin2_to_sector(p.write.phys);
	p.sectors = thin2_to_sector(p.write.len);
	if (p.write.unshare) {
		trace_thin2_unshare(thin->id, unit, p.write.len, p.write.phys);
		atomic64_inc(&thin->pool->nr_unshared);
	} else {
		trace_thin2_provision(thin->id, unit, p.write.len, p.write.phys);
		atomic64_inc(&thin->pool->nr_provisioned);
	}
	thin2_check_low_water(thin->pool);
	return submit_part(thin, bio, &p) ? GONE : MORE;
}

/* A write of less than a unit. */
static enum progress do_part_of_unit(struct thin2_thin *thin, struct bio *bio,
				     const struct thin2_where *w)
{
	struct thin2_copy *copy;
	unsigned int sectors;
	u64 unit = thin2_to_unit(bio->bi_iter.bi_sector);
	int r;

	sectors = sectors_to(bio, unit + 1);
	copy = thin2_copy_alloc(thin, bio, bio->bi_iter.bi_sector, sectors);
	copy->iter = bio->bi_iter;
	copy->iter.bi_size = copy->len;
	r = thin2_copy_begin(copy, w);
	if (r)
		return refused(thin, bio, unit + 1, r);
	bio_advance(bio, sectors << SECTOR_SHIFT);
	return MORE;
}

/* Whole units from the front of @bio end at *whole; false if there are none. */
static bool begins_whole(struct bio *bio, u64 *whole)
{
	*whole = thin2_to_unit(bio_end_sector(bio));
	return !(bio->bi_iter.bi_sector % THIN2_UNIT_SECTORS) &&
	       *whole > thin2_to_unit(bio->bi_iter.bi_sector);
}

static enum progress do_new(struct thin2_thin *thin, struct bio *bio,
			    const struct thin2_where *w)
{
	const struct thin2_mode_rules *rules = thin2_rules(thin->pool);
	u64 whole;

	if (unlikely(!rules->provision)) {
		if (!rules->wait)
			return fail_part(bio, sectors_to(bio, w->end), BLK_STS_IOERR);
		if (thin2_errors_on_no_space(thin->pool))
			return fail_part(bio, sectors_to(bio, w->end), BLK_STS_NOSPC);
		return WAIT_SPACE;
	}
	if (begins_whole(bio, &whole))
		return do_new_units(thin, bio, min(whole, w->end));
	return do_part_of_unit(thin, bio, w);
}

/* The mapping of the bio's front is lost. A write of whole units does not need it. */
static enum progress do_damaged(struct thin2_thin *thin, struct bio *bio,
				const struct thin2_where *w)
{
	u64 end = w->end, whole;

	if (op_is_write(bio_op(bio))) {
		if (begins_whole(bio, &whole))
			return do_new(thin, bio, w);
		end = thin2_to_unit(bio->bi_iter.bi_sector) + 1;
	}
	return fail_part(bio, sectors_to(bio, end), BLK_STS_IOERR);
}

static enum progress do_fill(struct thin2_thin *thin, struct bio *bio, u64 unit, u64 limit)
{
	int r = thin2_pool_fill(thin->pool, thin->dev, unit, limit);
	u64 whole;

	if (pdata_error_is_unreadable(r) && op_is_write(bio_op(bio)) &&
	    begins_whole(bio, &whole))
		r = thin2_fill_lost(thin->dev, unit, min(whole, limit));
	switch (r) {
	case 0:
	case -PDATA_E_RETRY:
		return MORE;
	case -ENOMEM:
		thin2_pool_retry_later(thin->pool);
		return WAIT;
	default:
		DMERR_LIMIT("%s: thin %u: no mapping for unit %llu: %s", thin->pool->name,
			    thin->id, unit, pdata_error_text(r));
		return fail_part(bio, sectors_to(bio, unit + 1), BLK_STS_IOERR);
	}
}

static enum progress do_front(struct thin2_thin *thin, struct bio *bio)
{
	u64 unit = thin2_to_unit(bio->bi_iter.bi_sector);
	u64 limit = DIV_ROUND_UP(bio_end_sector(bio), THIN2_UNIT_SECTORS);
	struct thin2_where w;
	u8 epoch;

	if (unlikely(!thin2_rules(thin->pool)->io))
		return fail_part(bio, bio_sectors(bio), BLK_STS_IOERR);
	thin2_lookup_counted(thin, unit, limit, op_is_write(bio_op(bio)), &w, &epoch);
	trace_thin2_map(thin->id, bio, w.action);
	switch (w.action) {
	case THIN2_REMAP:
		/* It may have waited for the write that made this mapping. */
		thin2_bio(bio)->flags |= THIN2_BIO_NEW;
		return do_remap(thin, bio, &w, epoch);
	case THIN2_ZERO:
		return do_zero(thin, bio, &w);
	case THIN2_UNSHARE:
		/*
		 * 1: the lookup will say so. 0, or trees that cannot be read:
		 * moving the data is right in any case.
		 */
		if (thin2_try_exclusive(thin->dev, unit, w.end) > 0)
			return MORE;
		return do_new(thin, bio, &w);
	case THIN2_PROVISION:
		return do_new(thin, bio, &w);
	case THIN2_FILL:
		return do_fill(thin, bio, unit, w.end);
	case THIN2_DAMAGED:
		return do_damaged(thin, bio, &w);
	default:
		return WAIT;
	}
}

/* ---- lists ---- */

void thin2_defer(struct thin2_thin *thin, struct bio *bio)
{
	unsigned long flags;

	/* The submitter does not wait for a worker, and nobody polls one. */
	bio->bi_opf &= ~(REQ_NOWAIT | REQ_POLLED);
	trace_thin2_defer(thin->id, bio);
	atomic64_inc(&thin->pool->nr_deferred);
	spin_lock_irqsave(&thin->lock, flags);
	bio_list_add(&thin->deferred, bio);
	spin_unlock_irqrestore(&thin->lock, flags);
	queue_work(thin->pool->io_wq, &thin->work);
}

/* Keep a bio until something changes; if it did already, or never will, not. */
static void park(struct thin2_thin *thin, struct bio *bio, int gen, bool space)
{
	struct thin2_pool *pool = thin->pool;
	bool again = false, requeue;

	spin_lock_irq(&thin->lock);
	thin2_announce_parked(pool);
	requeue = thin->requeue;
	if (requeue) {
		/* below */
	} else if (space && thin2_mode_is(pool, THIN2_MODE_NO_SPACE)) {
		bio_list_add(&thin->no_space, bio);
	} else if (space || gen != atomic_read(&pool->wake_gen)) {
		bio_list_add(&thin->deferred, bio);
		again = true;
	} else {
		bio_list_add(&thin->parked, bio);
	}
	spin_unlock_irq(&thin->lock);
	if (requeue)
		thin2_part_done(bio, BLK_STS_DM_REQUEUE);
	else if (again)
		queue_work(pool->io_wq, &thin->work);
}

static void do_bio(struct thin2_thin *thin, struct bio *bio)
{
	enum progress progress = MORE;
	int gen = 0;

	thin2_start_parts(bio);
	while (progress == MORE && bio->bi_iter.bi_size) {
		gen = atomic_read_acquire(&thin->pool->wake_gen);
		progress = do_front(thin, bio);
		if (progress == MORE)
			cond_resched();
	}
	if (progress == MORE)
		thin2_part_done(bio, BLK_STS_OK);
	else if (progress != GONE)
		park(thin, bio, gen, progress == WAIT_SPACE);
}

void thin2_do_deferred(struct work_struct *work)
{
	struct thin2_thin *thin = container_of(work, struct thin2_thin, work);
	struct bio_list bios = BIO_EMPTY_LIST;
	struct blk_plug plug;
	struct bio *bio;

	spin_lock_irq(&thin->lock);
	bio_list_merge(&bios, &thin->deferred);
	bio_list_init(&thin->deferred);
	spin_unlock_irq(&thin->lock);

	blk_start_plug(&plug);
	while ((bio = bio_list_pop(&bios)))
		do_bio(thin, bio);
	blk_finish_plug(&plug);
}

void thin2_unpark(struct thin2_thin *thin, bool space)
{
	struct thin2_pool *pool = thin->pool;
	unsigned long flags;
	bool io, discards;

	spin_lock_irqsave(&thin->lock, flags);
	io = !bio_list_empty(&thin->parked) || (space && !bio_list_empty(&thin->no_space));
	discards = !bio_list_empty(&thin->discards_parked);
	bio_list_merge_head(&thin->deferred, &thin->parked);
	bio_list_init(&thin->parked);
	if (space) {
		bio_list_merge_head(&thin->deferred, &thin->no_space);
		bio_list_init(&thin->no_space);
	}
	bio_list_merge_head(&thin->discards, &thin->discards_parked);
	bio_list_init(&thin->discards_parked);
	spin_unlock_irqrestore(&thin->lock, flags);
	if (io)
		queue_work(pool->io_wq, &thin->work);
	if (discards)
		queue_work(pool->io_wq, &thin->discard_work);
}

void thin2_fail_parked(struct thin2_thin *thin, blk_status_t status)
{
	struct bio_list bios = BIO_EMPTY_LIST;
	struct bio *bio;

	spin_lock_irq(&thin->lock);
	bio_list_merge(&bios, &thin->parked);
	bio_list_init(&thin->parked);
	bio_list_merge(&bios, &thin->no_space);
	bio_list_init(&thin->no_space);
	spin_unlock_irq(&thin->lock);
	while ((bio = bio_list_pop(&bios)))
		thin2_part_done(bio, status);
}
