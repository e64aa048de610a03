// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a bio goes: map() and end_io of a thin.
 *
 * map() takes no lock unless it provisions, never sleeps and answers most
 * bios on the spot: what is mapped is remapped, holes read as zeroes, writes
 * of whole units into holes get their space here. A bio is cut where the
 * answer changes, device-mapper comes back with the rest. All else goes to
 * the thin's worker (dm-thin2-provision.c).
 */
#include "dm-thin2.h"
#include "dm-thin2-trace.h"

void thin2_uncount_slow(struct thin2_pool *pool)
{
	wake_up(&pool->drain_wait);
}

/* Leave what lies beyond @end (a sector) for another bio. */
static void cut_at(struct bio *bio, sector_t end)
{
	if (bio_end_sector(bio) > end)
		dm_accept_partial_bio(bio, end - bio->bi_iter.bi_sector);
}

static int end_bio(struct bio *bio, blk_status_t status)
{
	bio->bi_status = status;
	bio_endio(bio);
	return DM_MAPIO_SUBMITTED;
}

static int defer(struct thin2_thin *thin, struct bio *bio)
{
	thin2_defer(thin, bio);
	return DM_MAPIO_SUBMITTED;
}

static int map_remap(struct thin2_thin *thin, struct bio *bio, const struct thin2_where *w)
{
	struct thin2_bio *pb = thin2_bio(bio);
	sector_t sector = bio->bi_iter.bi_sector;

	pb->flags |= THIN2_BIO_COUNTED;
	cut_at(bio, thin2_to_sector(w->end));
	bio_set_dev(bio, thin->pool->data.bdev);
	bio->bi_iter.bi_sector = thin2_to_sector(w->phys) + sector % THIN2_UNIT_SECTORS;
	return DM_MAPIO_REMAPPED;
}

/* A read where nothing is mapped. */
static int map_zero(struct thin2_thin *thin, struct bio *bio, const struct thin2_where *w)
{
	cut_at(bio, thin2_to_sector(w->end));
	if (w->hole && thin->origin_dev && bio->bi_iter.bi_sector < thin->origin_sectors) {
		cut_at(bio, thin->origin_sectors);
		bio_set_dev(bio, thin->origin_dev->bdev);
		return DM_MAPIO_REMAPPED;
	}
	zero_fill_bio(bio);
	return end_bio(bio, BLK_STS_OK);
}

static int map_provision(struct thin2_thin *thin, struct bio *bio, const struct thin2_where *w)
{
	struct thin2_bio *pb = thin2_bio(bio);
	sector_t sector = bio->bi_iter.bi_sector;
	u64 unit = thin2_to_unit(sector);
	u64 whole = thin2_to_unit(bio_end_sector(bio));
	int r;

	if (sector % THIN2_UNIT_SECTORS || whole == unit) {
		cut_at(bio, thin2_to_sector(unit + 1));
		return defer(thin, bio);
	}
	if (unlikely(!thin2_rules(thin->pool)->provision))
		return defer(thin, bio);
	r = thin2_begin_counted(thin, unit, min(whole, w->end), &pb->write, &pb->epoch);
	if (unlikely(r)) {
		cut_at(bio, thin2_to_sector(min(whole, w->end)));
		return defer(thin, bio);
	}
	pb->flags |= THIN2_BIO_COUNTED | THIN2_BIO_WRITE;
	trace_thin2_provision(thin->id, unit, pb->write.len, pb->write.phys);
	atomic64_inc(pb->write.unshare ? &thin->pool->nr_unshared :
					 &thin->pool->nr_provisioned);
	thin2_check_low_water(thin->pool);
	cut_at(bio, thin2_to_sector(unit + pb->write.len));
	bio_set_dev(bio, thin->pool->data.bdev);
	bio->bi_iter.bi_sector = thin2_to_sector(pb->write.phys);
	return DM_MAPIO_REMAPPED;
}

static int map_data(struct thin2_thin *thin, struct bio *bio)
{
	bool write = op_is_write(bio_op(bio));
	sector_t sector = bio->bi_iter.bi_sector;
	u64 unit = thin2_to_unit(sector);
	u64 limit = DIV_ROUND_UP(bio_end_sector(bio), THIN2_UNIT_SECTORS);
	struct thin2_bio *pb = thin2_bio(bio);
	struct thin2_where w;

	if (write && (bio->bi_opf & REQ_FUA))
		pb->flags |= THIN2_BIO_FUA;
	thin2_lookup_counted(thin, unit, limit, write, &w, &pb->epoch);
	if (pb->flags & THIN2_BIO_FUA) {
		/*
		 * Behind the lookup: what it found may be that of a write that
		 * has just ended. Pairs with smp_wmb() in write_done_locked().
		 */
		smp_rmb();
		pb->seq = thin2_last_seq(thin->dev);
	}
	trace_thin2_map(thin->id, bio, w.action);
	switch (w.action) {
	case THIN2_REMAP:
		return map_remap(thin, bio, &w);
	case THIN2_PROVISION:
		return map_provision(thin, bio, &w);
	case THIN2_UNSHARE:
		/* Whole units need no copy; ask the trees only if that could help. */
		if (thin2_surely_shared(thin->dev))
			return map_provision(thin, bio, &w);
		cut_at(bio, thin2_to_sector(w.end));
		return defer(thin, bio);
	case THIN2_ZERO:
		return map_zero(thin, bio, &w);
	case THIN2_DAMAGED:
		/* What is written in whole needs nothing of what is lost. */
		if (write)
			return map_provision(thin, bio, &w);
		cut_at(bio, thin2_to_sector(w.end));
		return end_bio(bio, BLK_STS_IOERR);
	default:
		/* The worker asks the trees, reads them, or waits. */
		cut_at(bio, thin2_to_sector(w.end));
		return defer(thin, bio);
	}
}

int thin2_map(struct dm_target *ti, struct bio *bio)
{
	struct thin2_thin *thin = ti->private;
	struct thin2_bio *pb = thin2_bio(bio);

	pb->flags = 0;
	bio->bi_iter.bi_sector = dm_target_offset(ti, bio->bi_iter.bi_sector);

	if (unlikely(!thin2_rules(thin->pool)->io))
		return end_bio(bio, BLK_STS_IOERR);

	switch (bio_op(bio)) {
	case REQ_OP_READ:
	case REQ_OP_WRITE:
		/* Device-mapper sends a flush ahead of its data: it comes empty. */
		if (unlikely(bio->bi_opf & REQ_PREFLUSH)) {
			thin2_flush_bio(thin->pool, bio);
			return DM_MAPIO_SUBMITTED;
		}
		return map_data(thin, bio);
	case REQ_OP_DISCARD:
	case REQ_OP_WRITE_ZEROES:
		thin2_defer_discard(thin, bio);
		return DM_MAPIO_SUBMITTED;
	default:
		return end_bio(bio, BLK_STS_NOTSUPP);
	}
}

/*
 * Runs for a bio that map() remapped, for one that a worker submitted or ended,
 * and once more for a FUA write when its records are durable.
 */
int thin2_endio(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	struct thin2_thin *thin = ti->private;
	struct thin2_bio *pb = thin2_bio(bio);
	u8 flags = pb->flags;

	pb->flags = 0;
	if (flags & THIN2_BIO_WRITE) {
		thin2_write_end(&pb->write, blk_status_to_errno(*error));
		trace_thin2_write_end(thin->id, pb->write.vbegin, pb->write.len,
				      blk_status_to_errno(*error));
	}
	if (flags & (THIN2_BIO_WRITE | THIN2_BIO_NEW))
		pb->seq = thin2_last_seq(thin->dev);
	if (flags & THIN2_BIO_COUNTED)
		thin2_uncount(thin->pool, pb->epoch);
	if ((flags & THIN2_BIO_FUA) && !*error && !thin2_is_durable(thin->pool->md, pb->seq)) {
		thin2_commit_bio(thin->pool, bio);
		return DM_ENDIO_INCOMPLETE;
	}
	return DM_ENDIO_DONE;
}
