// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes to a part of a unit that needs a new place: what the write leaves out
 * is read or zeroed, the new data laid over it, and the whole unit written.
 *
 * From its start a copy waits for nothing but the devices; its second half
 * runs on a queue where nothing else is waited for either. A drain, which a
 * checkpoint may wait for, thus always ends.
 */
#include "dm-thin2.h"
#include "dm-thin2-trace.h"

/* Sleeps until there is one. @sector, @sectors: the new data, within a unit. */
struct thin2_copy *thin2_copy_alloc(struct thin2_thin *thin, struct bio *parent,
				    sector_t sector, unsigned int sectors)
{
	struct thin2_copy *copy = mempool_alloc(thin->pool->copy_pool, GFP_NOIO);

	memset(copy, 0, sizeof(*copy));
	copy->page = mempool_alloc(thin->pool->page_pool, GFP_NOIO);
	copy->thin = thin;
	copy->parent = parent;
	copy->unit = thin2_to_unit(sector);
	copy->offset = (sector % THIN2_UNIT_SECTORS) << SECTOR_SHIFT;
	copy->len = sectors << SECTOR_SHIFT;
	return copy;
}

void thin2_copy_free(struct thin2_copy *copy)
{
	struct thin2_pool *pool = copy->thin->pool;

	mempool_free(copy->page, pool->page_pool);
	mempool_free(copy, pool->copy_pool);
}

static void copy_end(struct thin2_copy *copy, blk_status_t status)
{
	struct thin2_thin *thin = copy->thin;
	struct bio *parent = copy->parent;

	if (!copy->in_place) {
		thin2_write_end(&copy->write, blk_status_to_errno(status));
		trace_thin2_write_end(thin->id, copy->unit, 1, blk_status_to_errno(status));
	}
	thin2_uncount(thin->pool, copy->epoch);
	thin2_copy_free(copy);
	thin2_part_done(parent, status);
}

static void write_endio(struct bio *bio)
{
	struct thin2_copy *copy = container_of(bio, struct thin2_copy, bio);
	blk_status_t status = bio->bi_status;

	bio_uninit(bio);
	copy_end(copy, status);
}

/* Lay the new data over the old. */
static void overlay(struct thin2_copy *copy)
{
	struct bvec_iter iter = copy->iter;
	unsigned int offset = copy->offset;
	struct bio_vec bv;
	char *from;

	if (copy->zero) {
		memzero_page(copy->page, offset, copy->len);
		return;
	}
	for (; iter.bi_size; bio_advance_iter_single(copy->parent, &iter, bv.bv_len)) {
		bv = bio_iter_iovec(copy->parent, iter);
		from = bvec_kmap_local(&bv);
		memcpy_to_page(copy->page, offset, from, bv.bv_len);
		kunmap_local(from);
		offset += bv.bv_len;
	}
}

static void copy_write(struct thin2_copy *copy)
{
	blk_opf_t opf = REQ_OP_WRITE | (copy->parent->bi_opf & (REQ_FUA | REQ_SYNC | REQ_META |
								REQ_PRIO | REQ_IDLE | REQ_SWAP));
	struct bio *bio = &copy->bio;

	overlay(copy);
	bio_init(bio, copy->thin->pool->data.bdev, &copy->vec, 1, opf);
	bio_clone_blkg_association(bio, copy->parent);
	bio->bi_iter.bi_sector = thin2_to_sector(copy->phys);
	if (copy->in_place) {
		bio->bi_iter.bi_sector += copy->offset >> SECTOR_SHIFT;
		__bio_add_page(bio, copy->page, copy->len, copy->offset);
	} else {
		__bio_add_page(bio, copy->page, THIN2_UNIT_BYTES, 0);
	}
	bio->bi_end_io = write_endio;
	submit_bio(bio);
}

static void do_copy_write(struct work_struct *work)
{
	copy_write(container_of(work, struct thin2_copy, work));
}

static void read_endio(struct bio *bio)
{
	struct thin2_copy *copy = container_of(bio, struct thin2_copy, bio);
	blk_status_t status = bio->bi_status;

	bio_uninit(bio);
	if (status) {
		copy_end(copy, status);
		return;
	}
	INIT_WORK(&copy->work, do_copy_write);
	queue_work(copy->thin->pool->data_wq, &copy->work);
}

static void copy_read(struct thin2_copy *copy, struct block_device *bdev, sector_t sector,
		      unsigned int sectors)
{
	struct bio *bio = &copy->bio;

	bio_init(bio, bdev, &copy->vec, 1, REQ_OP_READ | (copy->parent->bi_opf & REQ_SYNC));
	bio_clone_blkg_association(bio, copy->parent);
	bio->bi_iter.bi_sector = sector;
	__bio_add_page(bio, copy->page, sectors << SECTOR_SHIFT, 0);
	bio->bi_end_io = read_endio;
	submit_bio(bio);
}

static void copy_start(struct thin2_copy *copy, enum thin2_old old)
{
	struct thin2_thin *thin = copy->thin;
	sector_t sector = thin2_to_sector(copy->unit);

	switch (old) {
	case THIN2_OLD_DATA:
		copy_read(copy, thin->pool->data.bdev, thin2_to_sector(copy->write.old_phys),
			  THIN2_UNIT_SECTORS);
		break;
	case THIN2_OLD_ORIGIN:
		memzero_page(copy->page, 0, THIN2_UNIT_BYTES);
		copy_read(copy, thin->origin_dev->bdev, sector,
			  min_t(sector_t, THIN2_UNIT_SECTORS, thin->origin_sectors - sector));
		break;
	default:
		memzero_page(copy->page, 0, THIN2_UNIT_BYTES);
		copy_write(copy);
		break;
	}
}

/* What the rest of the unit held before. */
static enum thin2_old old_of(const struct thin2_copy *copy, bool hole)
{
	const struct thin2_thin *thin = copy->thin;

	if (copy->write.unshare)
		return THIN2_OLD_DATA;
	if (hole && !copy->write.zeroes && thin->origin_dev &&
	    thin2_to_sector(copy->unit) < thin->origin_sectors)
		return THIN2_OLD_ORIGIN;
	return THIN2_OLD_ZERO;
}

static int begin_write(struct thin2_copy *copy)
{
	struct thin2_thin *thin = copy->thin;
	int r;

	r = thin2_begin_counted(thin, copy->unit, copy->unit + 1, &copy->write, &copy->epoch);
	if (r)
		return r;
	if (copy->write.damaged)
		r = -PDATA_E_DAMAGED;
	else if (copy->write.unshare && thin2_snap_busy(thin->dev))
		r = -PDATA_E_PENDING;
	if (r) {
		thin2_write_end(&copy->write, -EAGAIN);
		thin2_uncount(thin->pool, copy->epoch);
	}
	return r;
}

/*
 * Start a copy after a lookup that said @w: it goes on by itself, the parent
 * gets one more thin2_part_done(). Or refuse it and free it.
 *
 * Bios that were mapped before a snapshot may still be changing the old unit
 * until the snapshot has drained them; nothing is copied before that.
 * snap_busy is looked at before, so as not to begin for nothing, and after,
 * when no new snapshot can set bios on the old unit any more.
 *
 * From a worker; sleeps. Return: 0 or a code as of thin2_write_begin().
 */
int thin2_copy_begin(struct thin2_copy *copy, const struct thin2_where *w)
{
	struct thin2_thin *thin = copy->thin;
	struct thin2_bio *pb = thin2_bio(copy->parent);
	int r = -PDATA_E_PENDING;

	if (w->action != THIN2_UNSHARE || !thin2_snap_busy(thin->dev))
		r = begin_write(copy);
	if (r) {
		thin2_copy_free(copy);
		return r;
	}
	copy->phys = copy->write.phys;
	trace_thin2_copy(thin->id, copy->unit, 1, copy->phys);
	atomic64_inc(&thin->pool->nr_copied);
	thin2_check_low_water(thin->pool);
	pb->flags |= THIN2_BIO_NEW;
	atomic_inc(&pb->remaining);
	copy_start(copy, old_of(copy, w->hole));
	return 0;
}

/* Write zeroes over a mapped, exclusive part of a unit; copy->epoch is counted. */
void thin2_copy_zero_in_place(struct thin2_copy *copy, u64 phys)
{
	copy->in_place = true;
	copy->phys = phys;
	atomic_inc(&thin2_bio(copy->parent)->remaining);
	copy_write(copy);
}
