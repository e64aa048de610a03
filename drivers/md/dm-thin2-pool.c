// SPDX-License-Identifier: GPL-2.0-only
/*
 * Life of a pool: the table of pools, opening and closing, its thins, its
 * background work.
 */
#include "dm-thin2.h"
#include "persistent-data/pdata-io-bufio.h"

#define TICK_PERIOD	HZ

/* Guards the table of pools and all references to them. */
DEFINE_MUTEX(thin2_pools_lock);
static LIST_HEAD(pools);

/* ---- what the metadata asks of us ---- */

static int pool_flush_data(void *context)
{
	struct thin2_pool *pool = context;

	return blkdev_issue_flush(pool->data.bdev);
}

static bool drained(struct thin2_pool *pool, unsigned int epoch)
{
	long sum = 0;
	int cpu;

	/* Nobody counts up in this epoch: a sum of 0 was true at some moment. */
	for_each_possible_cpu(cpu)
		sum += atomic_long_read(&per_cpu_ptr(pool->inflight, cpu)->nr[epoch]);
	return !sum;
}

static void pool_drain(void *context)
{
	struct thin2_pool *pool = context;
	unsigned int old;

	mutex_lock(&pool->drain_lock);
	old = pool->epoch;
	WRITE_ONCE(pool->epoch, !old);
	/*
	 * Who read the old epoch counts before it leaves its RCU section. A
	 * message or a full journal waits for this, so it is made quick.
	 */
	synchronize_rcu_expedited();
	WRITE_ONCE(pool->draining, 1u << old);
	smp_mb();	/* pairs with the one in thin2_uncount() */
	wait_event(pool->drain_wait, drained(pool, old));
	WRITE_ONCE(pool->draining, 0);
	mutex_unlock(&pool->drain_lock);
}

/* Is there anything for do_wake() to do? The metadata may wake us while it is being opened. */
static bool wake_wanted(struct thin2_pool *pool)
{
	struct thin2_md *md = READ_ONCE(pool->md);

	return md && (READ_ONCE(pool->has_parked) || READ_ONCE(md->failed) ||
		      !thin2_mode_is(pool, THIN2_MODE_WRITE));
}

static void queue_journal(struct thin2_pool *pool)
{
	struct thin2_md *md = READ_ONCE(pool->md);

	if (md && thin2_wants_journal(md) && !READ_ONCE(pool->suspended))
		queue_work(pool->commit_wq, &pool->commit_work);
}

static void pool_wake(void *context)
{
	struct thin2_pool *pool = context;

	/* Closing: nobody waits, and the metadata is about to go. */
	if (READ_ONCE(pool->closing))
		return;
	atomic_inc(&pool->wake_gen);
	smp_mb__after_atomic();	/* pairs with the one in thin2_announce_parked() */
	if (wake_wanted(pool))
		queue_work(pool->io_wq, &pool->wake_work);
	queue_journal(pool);
}

void thin2_announce_parked(struct thin2_pool *pool)
{
	WRITE_ONCE(pool->has_parked, true);
	smp_mb();	/* before wake_gen is compared; pairs with the one in pool_wake() */
}

static const struct thin2_md_ops pool_md_ops = {
	.flush_data = pool_flush_data,
	.drain = pool_drain,
	.freed = thin2_freed,
	.wake = pool_wake,
};

/* ---- background work ---- */

static void unpark_thins(struct thin2_pool *pool)
{
	struct thin2_thin *thin;
	unsigned long flags;

	spin_lock_irqsave(&pool->lock, flags);
	list_for_each_entry(thin, &pool->thins, list)
		thin2_unpark(thin, false);
	spin_unlock_irqrestore(&pool->lock, flags);
}

static void do_wake(struct work_struct *work)
{
	struct thin2_pool *pool = container_of(work, struct thin2_pool, wake_work);

	thin2_note_error(pool, READ_ONCE(pool->md->failed), "background work");
	thin2_check_space(pool);
	/* Before the lists are looked at; what is parked behind that announces itself anew. */
	smp_store_mb(pool->has_parked, false);
	unpark_thins(pool);
}

static void do_retry(struct work_struct *work)
{
	unpark_thins(container_of(to_delayed_work(work), struct thin2_pool, retry_work));
}

void thin2_pool_retry_later(struct thin2_pool *pool)
{
	queue_delayed_work(pool->io_wq, &pool->retry_work, msecs_to_jiffies(10));
}

void thin2_pool_kick(struct thin2_pool *pool)
{
	queue_journal(pool);
	if (!READ_ONCE(pool->suspended))
		mod_delayed_work(pool->maint_wq, &pool->tick, 0);
}

/* By the figures that the status has: who gets the event looks there. */
static void check_metadata_low(struct thin2_pool *pool)
{
	struct thin2_md *md = pool->md;
	u64 total = READ_ONCE(md->tm.sm.total), used;
	unsigned long flags;
	bool tell;

	if (READ_ONCE(pool->low_meta_told))
		return;
	used = thin2_meta_used_shown(READ_ONCE(md->budget_used), total, READ_ONCE(md->kept));
	if (total - used > READ_ONCE(pool->low_meta_blocks))
		return;
	spin_lock_irqsave(&pool->lock, flags);
	tell = !pool->low_meta_told;
	WRITE_ONCE(pool->low_meta_told, true);
	spin_unlock_irqrestore(&pool->lock, flags);
	if (!tell)
		return;
	DMWARN("%s: reached low water mark for metadata device: sending event.", pool->name);
	thin2_event(pool);
}

static void run_background(struct thin2_pool *pool)
{
	struct thin2_md *md = pool->md;
	u64 seq = pdata_journal_last(&md->journal);
	bool idle = seq == pool->tick_seq;
	int r;

	pool->tick_seq = seq;
	do {
		r = thin2_work(md, idle);
		cond_resched();
	} while (r > 0 && !READ_ONCE(pool->suspended));
	/* Writes wait for space, and there is some to be had. */
	if (thin2_mode_is(pool, THIN2_MODE_NO_SPACE) && READ_ONCE(md->may_free))
		r = thin2_checkpoint(md);
	if (r < 0)
		DMWARN_LIMIT("%s: background work failed: %s", pool->name, pdata_error_text(r));
	check_metadata_low(pool);
}

static void do_tick(struct work_struct *work)
{
	struct thin2_pool *pool = container_of(to_delayed_work(work), struct thin2_pool, tick);

	if (!pool->md->read_only && !READ_ONCE(pool->features.read_only) &&
	    !READ_ONCE(pool->md->failed))
		run_background(pool);
	if (READ_ONCE(pool->md->failed)) {
		thin2_note_error(pool, READ_ONCE(pool->md->failed), "background work");
		thin2_md_mark_failed(pool->md);
	}
	thin2_check_space(pool);
	thin2_cache_kick();
	unpark_thins(pool);
	if (!READ_ONCE(pool->suspended))
		queue_delayed_work(pool->maint_wq, &pool->tick, TICK_PERIOD);
}

void thin2_pool_start(struct thin2_pool *pool)
{
	spin_lock_irq(&pool->lock);
	WRITE_ONCE(pool->suspended, false);
	WRITE_ONCE(pool->low_water_told, false);
	WRITE_ONCE(pool->low_meta_told, false);
	spin_unlock_irq(&pool->lock);
	mod_delayed_work(pool->maint_wq, &pool->tick, 0);
}

void thin2_pool_stop(struct thin2_pool *pool)
{
	int r;

	cancel_delayed_work_sync(&pool->tick);
	cancel_delayed_work_sync(&pool->no_space_work);
	cancel_delayed_work_sync(&pool->retry_work);
	flush_workqueue(pool->io_wq);
	flush_workqueue(pool->commit_wq);
	if (!pool->md->read_only && !READ_ONCE(pool->features.read_only) &&
	    !READ_ONCE(pool->md->failed)) {
		/* The checkpoint may find no room, the journal always does. */
		r = thin2_flush(pool->md);
		if (!r)
			r = thin2_checkpoint(pool->md);
		if (r)
			DMERR("%s: the last checkpoint failed: %s", pool->name,
			      pdata_error_text(r));
		thin2_note_error(pool, r, "the last checkpoint");
	}
	flush_workqueue(pool->data_wq);
}

/* ---- thins ---- */

int thin2_pool_add_thin(struct thin2_pool *pool, struct thin2_thin *thin)
{
	int r = 0;

	mutex_lock(&pool->thins_lock);
	spin_lock_irq(&pool->lock);
	if (pool->suspended)
		r = -EBUSY;
	else
		list_add_tail(&thin->list, &pool->thins);
	spin_unlock_irq(&pool->lock);
	mutex_unlock(&pool->thins_lock);
	return r;
}

/* Another table of the same device, or NULL. Under thins_lock. */
static struct thin2_thin *find_twin(struct thin2_pool *pool, struct thin2_thin *thin)
{
	struct thin2_thin *t;

	list_for_each_entry(t, &pool->thins, list)
		if (t != thin && t->thin_md == thin->thin_md)
			return t;
	return NULL;
}

void thin2_pool_remove_thin(struct thin2_pool *pool, struct thin2_thin *thin)
{
	struct thin2_thin *twin;

	mutex_lock(&pool->thins_lock);
	/* A cleared inactive table leaves the internal suspend to the live one. */
	twin = thin->held_suspended ? find_twin(pool, thin) : NULL;
	if (twin)
		twin->held_suspended = true;
	spin_lock_irq(&pool->lock);
	list_del(&thin->list);
	spin_unlock_irq(&pool->lock);
	mutex_unlock(&pool->thins_lock);
}

void thin2_pool_suspend_thins(struct thin2_pool *pool)
{
	struct thin2_thin *thin, *twin;
	bool none;

	/* From here on there will be no more of them. */
	spin_lock_irq(&pool->lock);
	WRITE_ONCE(pool->suspended, true);
	none = list_empty(&pool->thins);
	spin_unlock_irq(&pool->lock);
	/*
	 * As when the pool's device is removed. Device-mapper holds its io_barrier
	 * then, and lockdep does not know a pool's from a thin's, for which the
	 * suspend below waits under thins_lock.
	 */
	if (none)
		return;
	mutex_lock(&pool->thins_lock);
	list_for_each_entry(thin, &pool->thins, list) {
		twin = find_twin(pool, thin);
		if (twin && twin->held_suspended)
			continue;
		thin->held_suspended = true;
		dm_internal_suspend_noflush(thin->thin_md);
	}
	mutex_unlock(&pool->thins_lock);
}

void thin2_pool_resume_thins(struct thin2_pool *pool)
{
	struct thin2_thin *thin;

	mutex_lock(&pool->thins_lock);
	list_for_each_entry(thin, &pool->thins, list) {
		if (!thin->held_suspended)
			continue;
		thin->held_suspended = false;
		dm_internal_resume(thin->thin_md);
	}
	WRITE_ONCE(pool->suspended, false);
	mutex_unlock(&pool->thins_lock);
}

/* ---- opening ---- */

/* Freed before there was a md to release them to. */
static void free_freed(struct thin2_pool *pool)
{
	struct pdata_freed *freed, *tmp;

	list_for_each_entry_safe(freed, tmp, &pool->freed, list) {
		list_del(&freed->list);
		kfree(freed);
	}
}

static int open_metadata(struct thin2_pool *pool, const struct thin2_pool_table *t,
			 struct thin2_bdev *bdev, struct pdata_io **io, struct thin2_md **md)
{
	struct thin2_md_params p = {
		.name = pool->name,
		.data_units = thin2_to_unit(t->ti->len),
		.data_block_size = t->block_sectors,
		.read_only = t->features.read_only,
		.ops = &pool_md_ops,
		.context = pool,
	};
	thin2_open_mode_t mode = THIN2_OPEN_READ;
	int r;

	if (!p.read_only)
		mode |= THIN2_OPEN_WRITE;
	r = thin2_bdev_open(bdev, t->meta_dev->bdev->bd_dev, mode);
	if (r)
		return r;
	r = pdata_io_bufio_create(bdev->bdev, pool->name, io);
	if (r)
		goto bad_io;
	p.io = *io;
	r = thin2_md_open(&p, md);
	if (r)
		goto bad_md;
	return 0;

bad_md:
	flush_workqueue(pool->io_wq);
	free_freed(pool);
	pdata_io_bufio_destroy(*io);
bad_io:
	thin2_bdev_close(bdev);
	return r;
}

int thin2_pool_reopen(struct thin2_pool *pool, const struct thin2_pool_table *t)
{
	struct thin2_bdev bdev = { NULL };
	struct thin2_md *md;
	struct pdata_io *io;
	struct thin2_md *old = pool->md;
	int r;

	/* The old one writes nothing: both may be there for a moment. */
	r = open_metadata(pool, t, &bdev, &io, &md);
	if (r)
		return r;
	thin2_cache_set_md(pool, md);
	flush_work(&pool->wake_work);
	thin2_md_abandon(old);
	pdata_io_bufio_destroy(pool->io);
	thin2_bdev_close(&pool->meta);
	pool->meta = bdev;
	pool->io = io;
	queue_work(pool->data_wq, &pool->passdown_work);
	return 0;
}

static int alloc_queues(struct thin2_pool *pool)
{
	const unsigned int flags = WQ_MEM_RECLAIM | WQ_UNBOUND;

	pool->io_wq = alloc_workqueue("thin2-io/%s", flags, 0, pool->name);
	pool->data_wq = alloc_workqueue("thin2-data/%s", flags, 0, pool->name);
	pool->commit_wq = alloc_workqueue("thin2-commit/%s", flags | WQ_HIGHPRI, 1, pool->name);
	pool->maint_wq = alloc_workqueue("thin2-maint/%s", flags, 1, pool->name);
	if (!pool->io_wq || !pool->data_wq || !pool->commit_wq || !pool->maint_wq)
		return -ENOMEM;
	return 0;
}

static int alloc_reserves(struct thin2_pool *pool)
{
	pool->inflight = alloc_percpu(struct thin2_inflight);
	pool->copy_pool = mempool_create_kmalloc_pool(THIN2_COPIES, sizeof(struct thin2_copy));
	pool->page_pool = mempool_create_page_pool(THIN2_COPIES, 0);
	if (!pool->inflight || !pool->copy_pool || !pool->page_pool)
		return -ENOMEM;
	return bioset_init(&pool->frag_set, THIN2_FRAGMENTS, offsetof(struct thin2_frag, bio), 0);
}

static struct thin2_pool *pool_alloc(void)
{
	struct thin2_pool *pool = kzalloc(sizeof(*pool), GFP_KERNEL);

	if (!pool)
		return NULL;
	pool->refs = 1;
	pool->suspended = true;
	INIT_LIST_HEAD(&pool->list);
	INIT_LIST_HEAD(&pool->thins);
	mutex_init(&pool->thins_lock);
	mutex_init(&pool->bind_lock);
	mutex_init(&pool->drain_lock);
	init_waitqueue_head(&pool->drain_wait);
	spin_lock_init(&pool->lock);
	INIT_WORK(&pool->wake_work, do_wake);
	INIT_DELAYED_WORK(&pool->retry_work, do_retry);
	INIT_DELAYED_WORK(&pool->tick, do_tick);
	thin2_mode_init(pool);
	thin2_commit_init(pool);
	thin2_passdown_init(pool);
	return pool;
}

static void destroy_queue(struct workqueue_struct *wq)
{
	if (wq)
		destroy_workqueue(wq);
}

static void pool_free(struct thin2_pool *pool)
{
	destroy_queue(pool->maint_wq);
	destroy_queue(pool->commit_wq);
	destroy_queue(pool->data_wq);
	destroy_queue(pool->io_wq);
	bioset_exit(&pool->frag_set);
	mempool_destroy(pool->page_pool);
	mempool_destroy(pool->copy_pool);
	free_percpu(pool->inflight);
	thin2_bdev_close(&pool->data);
	mutex_destroy(&pool->drain_lock);
	mutex_destroy(&pool->bind_lock);
	mutex_destroy(&pool->thins_lock);
	kfree(pool->name);
	kfree(pool);
}

static struct thin2_pool *pool_create(struct thin2_pool_table *t, char **error)
{
	struct mapped_device *md = dm_table_get_md(t->ti->table);
	struct thin2_pool *pool = pool_alloc();
	int r = -ENOMEM;

	*error = "Out of memory";
	if (!pool)
		return ERR_PTR(r);
	pool->pool_md = md;
	pool->name = kstrdup(dm_device_name(md), GFP_KERNEL);
	if (!pool->name)
		goto bad;
	r = alloc_queues(pool);
	if (!r)
		r = alloc_reserves(pool);
	if (r)
		goto bad;
	r = thin2_bdev_open(&pool->data, t->data_dev->bdev->bd_dev,
			    THIN2_OPEN_READ | THIN2_OPEN_WRITE);
	if (r) {
		*error = "Error opening data device";
		goto bad;
	}
	r = open_metadata(pool, t, &pool->meta, &pool->io, &pool->md);
	if (r) {
		*error = (char *)pdata_error_text(r);
		DMERR("%s: cannot open the metadata on %pg: %s", pool->name, t->meta_dev->bdev,
		      pdata_error_text(r));
		r = pdata_to_errno(r);
		goto bad;
	}
	if (!list_empty(&pool->freed))
		queue_work(pool->data_wq, &pool->passdown_work);
	pool->data_units = pool->md->sb.data_units;
	pool->meta_blocks = pool->md->sb.meta_blocks;
	list_add(&pool->list, &pools);
	thin2_cache_add_pool(pool);
	return pool;

bad:
	pool_free(pool);
	return ERR_PTR(r);
}

static void pool_destroy(struct thin2_pool *pool)
{
	int r;

	list_del(&pool->list);
	thin2_cache_del_pool(pool);
	WRITE_ONCE(pool->suspended, true);
	cancel_delayed_work_sync(&pool->tick);
	cancel_delayed_work_sync(&pool->retry_work);
	thin2_mode_stop(pool);
	flush_workqueue(pool->commit_wq);
	flush_workqueue(pool->data_wq);
	WRITE_ONCE(pool->closing, true);
	cancel_work_sync(&pool->wake_work);
	if (READ_ONCE(pool->md->failed)) {
		/* Unless the tick has done it. */
		thin2_md_mark_failed(pool->md);
		thin2_md_abandon(pool->md);
	} else {
		r = thin2_md_close(pool->md);
		if (r)
			DMWARN("%s: closing the metadata failed: %s", pool->name,
			       pdata_error_text(r));
	}
	pdata_io_bufio_destroy(pool->io);
	thin2_bdev_close(&pool->meta);
	pool_free(pool);
}

/* ---- the table of pools ---- */

struct thin2_pool *thin2_pool_find(struct mapped_device *pool_md)
{
	struct thin2_pool *pool;

	lockdep_assert_held(&thin2_pools_lock);
	list_for_each_entry(pool, &pools, list)
		if (pool->pool_md == pool_md)
			return pool;
	return NULL;
}

static bool uses(const struct thin2_pool *pool, const struct dm_dev *dev)
{
	return pool->meta.bdev->bd_dev == dev->bdev->bd_dev ||
	       pool->data.bdev->bd_dev == dev->bdev->bd_dev;
}

static bool same_devices(const struct thin2_pool *pool, const struct thin2_pool_table *t)
{
	return pool->meta.bdev->bd_dev == t->meta_dev->bdev->bd_dev &&
	       pool->data.bdev->bd_dev == t->data_dev->bdev->bd_dev;
}

/* The pool of a new table: the live one of the same device, or a new one. */
int thin2_pool_bind(struct thin2_pool_table *t, char **error, bool *created)
{
	struct mapped_device *md = dm_table_get_md(t->ti->table);
	struct thin2_pool *pool;

	lockdep_assert_held(&thin2_pools_lock);
	*created = false;
	list_for_each_entry(pool, &pools, list) {
		if (pool->pool_md != md && (uses(pool, t->meta_dev) || uses(pool, t->data_dev))) {
			*error = "metadata or data device already in use by a pool";
			DMERR("%s: %s or %s is in use by pool %s", dm_device_name(md),
			      t->meta_dev->name, t->data_dev->name, pool->name);
			return -EBUSY;
		}
	}
	pool = thin2_pool_find(md);
	if (pool) {
		if (!same_devices(pool, t)) {
			*error = "different pool cannot replace a pool";
			return -EINVAL;
		}
		pool->refs++;
	} else {
		pool = pool_create(t, error);
		if (IS_ERR(pool))
			return PTR_ERR(pool);
		*created = true;
	}
	pool->nr_tables++;
	t->pool = pool;
	return 0;
}

void thin2_pool_unbind(struct thin2_pool *pool)
{
	lockdep_assert_held(&thin2_pools_lock);
	if (!--pool->nr_tables && pool->refs > 1) {
		/* Only an error target can have taken the place of a used pool. */
		thin2_set_mode(pool, THIN2_MODE_FAIL, "its table is gone");
		thin2_pool_resume_thins(pool);
	}
	thin2_pool_put(pool);
}

void thin2_pool_put(struct thin2_pool *pool)
{
	lockdep_assert_held(&thin2_pools_lock);
	if (!--pool->refs)
		pool_destroy(pool);
}
