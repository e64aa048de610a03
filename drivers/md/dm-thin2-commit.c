// SPDX-License-Identifier: GPL-2.0-only
/*
 * FLUSH and FUA: bios that end when what came before them is durable.
 *
 * All that wait when the worker starts are served by one flush of the data
 * device and one journal write; those that come meanwhile by the next.
 *
 * If the data device has no cache to flush, a FLUSH can write the journal from
 * map() and needs no worker, which saves two changes of task.
 */
#include "dm-thin2.h"
#include "dm-thin2-trace.h"
#include "persistent-data/pdata-io-bufio.h"

/* Any context. */
void thin2_commit_bio(struct thin2_pool *pool, struct bio *bio)
{
	unsigned long flags;

	spin_lock_irqsave(&pool->commit_lock, flags);
	bio_list_add(&pool->commits, bio);
	/* Under the lock: once the worker has the bio, the pool may go away. */
	queue_work(pool->commit_wq, &pool->commit_work);
	spin_unlock_irqrestore(&pool->commit_lock, flags);
}

/*
 * Without a journal to write, data can still be made durable, as far as all
 * mappings are.
 */
static int flush_read_only(struct thin2_pool *pool)
{
	struct thin2_md *md = pool->md;
	int r = blkdev_issue_flush(pool->data.bdev);

	if (!r && !md->read_only && !thin2_is_durable(md, pdata_journal_last(&md->journal)))
		r = -EIO;
	return r;
}

static int flush_pool(struct thin2_pool *pool)
{
	int r;

	if (pool->md->read_only || READ_ONCE(pool->md->failed))
		return flush_read_only(pool);
	r = thin2_flush(pool->md);
	if (r) {
		DMERR_LIMIT("%s: a flush failed: %s", pool->name, pdata_error_text(r));
		thin2_set_mode(pool, THIN2_MODE_READ_ONLY, "a flush failed");
	}
	return r;
}

/* Nobody waits for a flush, but the journal's buffers fill up. */
static void write_journal(struct thin2_pool *pool)
{
	struct thin2_md *md = pool->md;
	int r;

	if (md->read_only || READ_ONCE(md->failed) || !thin2_wants_journal(md))
		return;
	r = thin2_journal_work(md);
	if (r)
		DMERR_LIMIT("%s: writing the journal failed: %s", pool->name,
			    pdata_error_text(r));
}

static void do_commits(struct work_struct *work)
{
	struct thin2_pool *pool = container_of(work, struct thin2_pool, commit_work);
	struct bio_list bios = BIO_EMPTY_LIST;
	unsigned int nr;
	struct bio *bio;
	int r;

	spin_lock_irq(&pool->commit_lock);
	bio_list_merge(&bios, &pool->commits);
	bio_list_init(&pool->commits);
	spin_unlock_irq(&pool->commit_lock);
	nr = bio_list_size(&bios);
	if (!nr) {
		write_journal(pool);
		return;
	}

	r = flush_pool(pool);
	trace_thin2_commit(nr, r);
	atomic64_add(nr, &pool->nr_flushes);
	while ((bio = bio_list_pop(&bios))) {
		bio->bi_status = r ? BLK_STS_IOERR : BLK_STS_OK;
		bio_endio(bio);
	}
}

/* ---- from map() ---- */

/* pool->commit belongs to the next one as soon as the flush has ended. */
static void commit_end(struct thin2_pool *pool, int r)
{
	struct pdata_journal_batch batch = pool->commit.batch;
	struct bio *flush = pool->commit.flush;

	trace_thin2_commit(1, r);
	atomic64_inc(&pool->nr_flushes);
	thin2_flush_end(pool->md, &batch, r);
	if (r)
		thin2_set_mode(pool, THIN2_MODE_READ_ONLY, "a flush failed");
	/* After it the pool may go away. */
	flush->bi_status = r ? BLK_STS_IOERR : BLK_STS_OK;
	bio_endio(flush);
}

static void commit_end_io(struct bio *bio)
{
	struct thin2_pool *pool = bio->bi_private;
	int r = blk_status_to_errno(bio->bi_status);

	bio_uninit(bio);
	commit_end(pool, r);
}

/* False: nothing has happened, the worker has to do it. */
static bool commit_now(struct thin2_pool *pool, struct bio *bio)
{
	struct thin2_commit *c = &pool->commit;
	struct thin2_md *md = pool->md;
	struct pdata_journal_batch batch;
	unsigned int nr;

	if (bdev_write_cache(pool->data.bdev) || (bio->bi_opf & REQ_NOWAIT))
		return false;
	if (thin2_flush_try(md, THIN2_COMMIT_BLOCKS, &batch))
		return false;
	c->batch = batch;
	c->flush = bio;
	nr = batch.end_seq - batch.first_seq;
	if (nr)
		pdata_io_bufio_submit(md->io, &c->bio, c->table, md->journal.vec, nr,
				      commit_end_io, pool);
	else
		commit_end(pool, 0);
	return true;
}

void thin2_flush_bio(struct thin2_pool *pool, struct bio *bio)
{
	if (!commit_now(pool, bio))
		thin2_commit_bio(pool, bio);
}

void thin2_commit_init(struct thin2_pool *pool)
{
	spin_lock_init(&pool->commit_lock);
	bio_list_init(&pool->commits);
	INIT_WORK(&pool->commit_work, do_commits);
}
