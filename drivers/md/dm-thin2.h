/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The targets thin-pool2 and thin2: what a pool and a thin hold in memory on
 * the side that moves data. The metadata is behind dm-thin2-metadata.h.
 *
 * The way of a bio:
 *
 *	map		dm-thin2-map.c: the range map says what to do
 *	  remapped	to the data device, counted as in flight until end_io
 *	  zeroed	a read of a hole ends here
 *	  provisioned	a write of whole units into a hole, from map() itself
 *	  deferred	all else: dm-thin2-provision.c, in a worker
 *	discard, write zeroes		dm-thin2-discard.c, in a worker
 *	FLUSH				dm-thin2-commit.c: from map() itself if the
 *					data device has no cache, else in a worker
 *	FUA on its way back		dm-thin2-commit.c, in a worker
 *
 * Workers, each on a queue of its own, so that none keeps another waiting:
 *
 *	io_wq		deferred bios and discards, one work a thin; may wait
 *			for metadata reads and for memory
 *	data_wq		second half of copies, passdown: waits for nothing but
 *			the data device, so that drain() always ends
 *	commit_wq	FLUSH and FUA
 *	maint_wq	merging, checkpoints, freeing
 *	thin2-cache	one for all pools: eviction from range maps
 *
 * Locks, outermost first:
 *
 *	pools_lock	mutex: table of pools, references
 *	pool->bind_lock	mutex: pool->ti and what its table asks for
 *	pool->thins_lock mutex: which thins there are, internal suspends
 *	the locks of dm-thin2-metadata.h
 *	cache_lock of dm-thin2-shrink.c: mutex, outside of md->cache_lock only
 *	pool->lock, thin->lock, pool->commit_lock: irq-safe spinlocks; none is
 *			held while another of them is taken, except thin->lock
 *			inside pool->lock
 */
#ifndef DM_THIN2_H
#define DM_THIN2_H

#include "dm-thin2-kver.h"
#include "dm-thin2-metadata.h"

#include <linux/bio.h>
#include <linux/completion.h>
#include <linux/device-mapper.h>
#include <linux/mempool.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/wait.h>

#define DM_MSG_PREFIX	"thin2"

#define THIN2_UNIT_SECTORS	PDATA_UNIT_SECTORS
#define THIN2_UNIT_BYTES	PDATA_BLOCK_SIZE
#define THIN2_MIN_BLOCK_SIZE	8u		/* sectors */
#define THIN2_MAX_BLOCK_SIZE	2097152u

/* The longest discard a bio can describe, in whole units. */
#define THIN2_MAX_DISCARD	((UINT_MAX >> SECTOR_SHIFT) & ~(THIN2_UNIT_SECTORS - 1))

#define THIN2_COPIES		64	/* copies that can always go on */
#define THIN2_FRAGMENTS		256	/* the same for parts of a bio */

/* ---- modes ---- */

enum thin2_mode {
	THIN2_MODE_WRITE,
	THIN2_MODE_NO_SPACE,	/* of data or metadata */
	THIN2_MODE_READ_ONLY,
	THIN2_MODE_FAIL,
	THIN2_NR_MODES
};

/* What a mode allows; dm-thin2-mode.c has the table. */
struct thin2_mode_rules {
	const char *status;	/* word in the status line */
	const char *log;	/* the same for the log */
	bool io;		/* mapped I/O goes on */
	bool provision;		/* new mappings may be tried */
	bool wait;		/* a write that needs one waits for space */
	bool unmap;		/* discards change the mapping */
	bool messages;
};

/* ---- pool ---- */

struct thin2_features {
	bool skip_block_zeroing;
	bool ignore_discard;
	bool no_discard_passdown;
	bool read_only;
	bool error_if_no_space;
	u32 erase_sectors;		/* 0 = not given */
};

#define THIN2_NR_FLAGS		5
#define THIN2_MAX_FEATURE_ARGS	(THIN2_NR_FLAGS + 2)

/* Bios issued to the data device and not completed, by epoch. */
struct thin2_inflight {
	atomic_long_t nr[2];
};

/* Journal blocks that are written from map() at most; more are the worker's. */
#define THIN2_COMMIT_BLOCKS	8

/* A journal write that nobody waits for: its end completes the FLUSH. */
struct thin2_commit {
	struct pdata_journal_batch batch;
	struct bio *flush;
	struct bio bio;
	struct bio_vec table[THIN2_COMMIT_BLOCKS];
};

struct thin2_pool {
	/* Fixed from creation on. */
	struct mapped_device *pool_md;
	struct thin2_bdev meta;		/* the pool's own references: a table may be */
	struct thin2_bdev data;		/* replaced by force while thins are open */
	const char *name;
	struct workqueue_struct *io_wq;
	struct workqueue_struct *data_wq;
	struct workqueue_struct *commit_wq;
	struct workqueue_struct *maint_wq;
	mempool_t *copy_pool;		/* struct thin2_copy */
	mempool_t *page_pool;
	struct bio_set frag_set;	/* struct thin2_frag */

	/* Guarded by pools_lock. */
	struct list_head list;
	unsigned int refs;		/* tables and thins */
	unsigned int nr_tables;

	/* Changes only while the pool is suspended and no thin is open. */
	struct pdata_io *io;
	struct thin2_md *md;

	struct mutex thins_lock;	/* also for changes of thins */
	struct mutex bind_lock;
	struct dm_target *ti;		/* bind_lock: the table in force, or NULL */

	/* Set on resume, under bind_lock; read with READ_ONCE. */
	struct thin2_features features;
	bool passdown;
	u64 low_water_units;
	u64 low_meta_blocks;
	u64 data_units;
	u64 meta_blocks;

	spinlock_t lock;		/* guards thins (with thins_lock), mode, events */
	struct list_head thins;		/* struct thin2_thin */
	enum thin2_mode mode;		/* READ_ONCE */
	bool no_space_expired;		/* waited long enough: error from now on */
	bool low_water_told;
	bool low_meta_told;
	bool suspended;			/* set under lock, thins are added under it */
	bool closing;

	atomic_t wake_gen;		/* counts wake(): nothing is parked that missed one */
	bool has_parked;		/* since the last wake-up was worked off */
	struct work_struct wake_work;	/* io_wq */
	struct work_struct event_work;
	atomic_t events_due;
	struct delayed_work retry_work;	/* io_wq: who waits for memory or quarantine */
	struct delayed_work no_space_work;	/* io_wq */
	struct delayed_work tick;	/* maint_wq */
	u64 tick_seq;			/* tick only: last record when it ran last */

	/* dm-thin2-shrink.c only, under its lock; it also guards changes of md. */
	struct list_head cache_list;
	u64 seen_ranges;		/* range-map entries when they were counted last */
	u64 seen_filled;		/* md->nr_filled at the last look; READ_ONCE */

	spinlock_t commit_lock;		/* guards commits */
	struct bio_list commits;	/* FLUSH, and FUA writes whose data is there */
	struct work_struct commit_work;	/* commit_wq */
	struct thin2_commit commit;	/* of who holds md->flush_sem without the worker */

	spinlock_t freed_lock;		/* guards freed */
	struct list_head freed;		/* struct pdata_freed, to pass down */
	struct work_struct passdown_work;	/* data_wq */

	struct thin2_inflight __percpu *inflight;
	unsigned int epoch;		/* which count a new bio goes to */
	unsigned int draining;		/* bit n: somebody waits for count n */
	struct mutex drain_lock;	/* one drain at a time */
	wait_queue_head_t drain_wait;

	/* Figures for stats. */
	atomic64_t nr_provisioned;
	atomic64_t nr_unshared;
	atomic64_t nr_copied;
	atomic64_t nr_deferred;
	atomic64_t nr_discards;
	atomic64_t nr_flushes;
};

/* One table line of thin-pool2; several may share a pool, one is in force. */
struct thin2_pool_table {
	struct dm_target *ti;
	struct thin2_pool *pool;
	struct dm_dev *meta_dev;
	struct dm_dev *data_dev;
	u32 block_sectors;
	u64 low_water_blocks;
	struct thin2_features features;
	unsigned int nr_features;	/* as they were given, THIN2_NR_FLAGS = erase_size, */
	u8 feature[THIN2_MAX_FEATURE_ARGS];	/* to be echoed */
	bool passdown;		/* asked for, and the data device can */
};

/* ---- thin ---- */

struct thin2_thin {
	struct thin2_pool *pool;
	struct thin2_dev *dev;
	struct mapped_device *thin_md;
	struct dm_dev *pool_dev;
	struct dm_dev *origin_dev;	/* external origin or NULL */
	sector_t origin_sectors;	/* set before resume */
	u32 id;

	struct list_head list;		/* pool->thins */
	bool held_suspended;		/* thins_lock: internally suspended by the pool */

	spinlock_t lock;		/* guards down to the works; irq-safe */
	struct bio_list deferred;	/* for work */
	struct bio_list parked;		/* back to deferred at a wake-up */
	struct bio_list no_space;	/* back to deferred when there is space */
	struct bio_list discards;	/* for discard_work */
	struct bio_list discards_parked;
	bool requeue;			/* being suspended without flush: hand bios back */

	struct work_struct work;	/* io_wq */
	struct work_struct discard_work;	/* io_wq */
};

/* ---- bios ---- */

enum {
	THIN2_BIO_COUNTED = 1 << 0,	/* in flight, in count no. epoch */
	THIN2_BIO_WRITE	= 1 << 1,	/* write is in flight */
	THIN2_BIO_FUA	= 1 << 2,	/* durable up to seq before it ends */
	THIN2_BIO_STARTED = 1 << 3,	/* remaining, status are set up */
	THIN2_BIO_HEAD	= 1 << 4,	/* write zeroes: head is done */
	THIN2_BIO_TAIL	= 1 << 5,	/* tail is done */
	THIN2_BIO_NEW	= 1 << 6,	/* seq is the thin's last record when it ends */
};

/* Device-mapper's per-bio data of a thin's bio. */
struct thin2_bio {
	u8 flags;		/* THIN2_BIO_* */
	u8 epoch;
	blk_status_t status;	/* first error of a part */
	atomic_t remaining;	/* parts in flight, and one for the worker */
	u64 seq;		/* record that must be durable before a FUA write ends */
	union {
		struct thin2_write write;
		struct {	/* discards: units still to do */
			u64 pos;
			u64 end;
		};
	};
};

static inline struct thin2_bio *thin2_bio(struct bio *bio)
{
	return dm_per_bio_data(bio, sizeof(struct thin2_bio));
}

/* Part of a bio that goes somewhere else than its neighbours. */
struct thin2_frag {
	struct bio *parent;
	struct thin2_thin *thin;
	u8 flags;		/* THIN2_BIO_COUNTED, _WRITE */
	u8 epoch;
	struct thin2_write write;
	struct bio bio;		/* last: its vectors follow */
};

/* What fills the part of a unit that a write leaves out. */
enum thin2_old {
	THIN2_OLD_ZERO,
	THIN2_OLD_DATA,		/* the unit that is being unshared */
	THIN2_OLD_ORIGIN,	/* the external origin */
};

/* A write to a part of a unit: read the old unit, lay the new data over it, write it. */
struct thin2_copy {
	struct bio *parent;
	struct thin2_thin *thin;
	struct work_struct work;
	struct page *page;
	struct bvec_iter iter;	/* the parent's new data */
	unsigned int offset;	/* bytes, of the new data in the unit */
	unsigned int len;	/* bytes */
	bool zero;		/* the new data is zeroes (write zeroes) */
	bool in_place;		/* write only the new data */
	u8 epoch;
	u64 unit;		/* virtual */
	u64 phys;		/* where to */
	struct thin2_write write;
	struct bio_vec vec;
	struct bio bio;
};

/* ---- dm-thin2-pool.c ---- */

extern struct mutex thin2_pools_lock;

struct thin2_pool_table;

/* All under thin2_pools_lock. */
struct thin2_pool *thin2_pool_find(struct mapped_device *pool_md);
int __must_check thin2_pool_bind(struct thin2_pool_table *t, char **error, bool *created);
/* A table goes away; with the last one a pool that is in use fails. */
void thin2_pool_unbind(struct thin2_pool *pool);
void thin2_pool_put(struct thin2_pool *pool);

/* -EBUSY while the pool is suspended. */
int __must_check thin2_pool_add_thin(struct thin2_pool *pool, struct thin2_thin *thin);
void thin2_pool_remove_thin(struct thin2_pool *pool, struct thin2_thin *thin);
void thin2_pool_suspend_thins(struct thin2_pool *pool);
void thin2_pool_resume_thins(struct thin2_pool *pool);
/* Replace a read-only metadata by one that can be written. No thin is open. */
int __must_check thin2_pool_reopen(struct thin2_pool *pool, const struct thin2_pool_table *t);
/* Background work starts, or has ended and everything is durable. */
void thin2_pool_start(struct thin2_pool *pool);
void thin2_pool_stop(struct thin2_pool *pool);
/* Have the background work done soon. Any context. */
void thin2_pool_kick(struct thin2_pool *pool);
/* Called under thin->lock before pool->wake_gen is compared and a bio parked. */
void thin2_announce_parked(struct thin2_pool *pool);
/* Try parked bios again in a moment: memory was short. Any context. */
void thin2_pool_retry_later(struct thin2_pool *pool);

/* ---- dm-thin2-table.c ---- */

extern struct target_type thin2_pool_target;
/* Can the data device be told to discard? */
bool thin2_pool_can_discard(struct thin2_pool_table *t);
void thin2_pool_emit_table(struct thin2_pool_table *t, char *result, unsigned int maxlen);

/* ---- dm-thin2-mode.c ---- */

const struct thin2_mode_rules *thin2_rules(struct thin2_pool *pool);
bool thin2_mode_is(struct thin2_pool *pool, enum thin2_mode mode);
void thin2_set_mode(struct thin2_pool *pool, enum thin2_mode mode, const char *why);
/* An operation of the metadata failed with @r: does the pool's mode change? Any context. */
void thin2_note_error(struct thin2_pool *pool, int r, const char *what);
/* No space: waits (true) or is an error. Any context. */
bool thin2_out_of_space(struct thin2_pool *pool, int r);
void thin2_no_space_again(struct thin2_pool *pool);
void thin2_check_space(struct thin2_pool *pool);
void thin2_event(struct thin2_pool *pool);
void thin2_low_water(struct thin2_pool *pool);
bool thin2_errors_on_no_space(struct thin2_pool *pool);
void thin2_mode_init(struct thin2_pool *pool);
void thin2_mode_stop(struct thin2_pool *pool);

/* After space was taken. */
static inline void thin2_check_low_water(struct thin2_pool *pool)
{
	struct pdata_alloc *a = &pool->md->alloc;
	const u64 mark = READ_ONCE(pool->low_water_units);

	/* What thins have set aside is free, too, and takes a second look. */
	if (unlikely((u64)atomic64_read(&a->free) < mark) && pdata_alloc_free(a) < mark)
		thin2_low_water(pool);
}

/* ---- dm-thin2-map.c ---- */

int thin2_map(struct dm_target *ti, struct bio *bio);
int thin2_endio(struct dm_target *ti, struct bio *bio, blk_status_t *error);

/* Count a bio as issued to the data device. Under rcu_read_lock(). */
static inline u8 thin2_count(struct thin2_pool *pool)
{
	u8 epoch = READ_ONCE(pool->epoch);

	atomic_long_inc(&raw_cpu_ptr(pool->inflight)->nr[epoch]);
	return epoch;
}

void thin2_uncount_slow(struct thin2_pool *pool);

static inline void thin2_uncount(struct thin2_pool *pool, u8 epoch)
{
	atomic_long_dec(&raw_cpu_ptr(pool->inflight)->nr[epoch]);
	/* Pairs with the one in drain(): it sees the count or we see it wait. */
	smp_mb__after_atomic();
	if (unlikely(READ_ONCE(pool->draining) & (1u << epoch)))
		thin2_uncount_slow(pool);
}

/*
 * Look up, and if that says REMAP, count the bio that will go there: in one RCU
 * section, so that a drain which begins after the mapping has changed sees it.
 */
static inline void thin2_lookup_counted(struct thin2_thin *thin, u64 unit, u64 limit,
					bool write, struct thin2_where *w, u8 *epoch)
{
	rcu_read_lock();
	thin2_lookup(thin->dev, unit, limit, write, w);
	if (w->action == THIN2_REMAP)
		*epoch = thin2_count(thin->pool);
	rcu_read_unlock();
}

/* The same for a write that gets new space. */
static inline int thin2_begin_counted(struct thin2_thin *thin, u64 unit, u64 limit,
				      struct thin2_write *w, u8 *epoch)
{
	int r;

	rcu_read_lock();
	r = thin2_write_begin(thin->dev, unit, limit, w);
	if (!r)
		*epoch = thin2_count(thin->pool);
	rcu_read_unlock();
	return r;
}

static inline sector_t thin2_to_sector(u64 unit)
{
	return unit * THIN2_UNIT_SECTORS;
}

static inline u64 thin2_to_unit(sector_t sector)
{
	return sector / THIN2_UNIT_SECTORS;
}

/* ---- dm-thin2-provision.c ---- */

void thin2_defer(struct thin2_thin *thin, struct bio *bio);
void thin2_do_deferred(struct work_struct *work);
/* Parked bios, and with @space those that waited for space, are tried again. */
void thin2_unpark(struct thin2_thin *thin, bool space);
/* Hand bios that wait, for whatever, back with @status. */
void thin2_fail_parked(struct thin2_thin *thin, blk_status_t status);
void thin2_start_parts(struct bio *bio);
void thin2_part_done(struct bio *parent, blk_status_t status);

enum thin2_outcome {
	THIN2_DONE,
	THIN2_AGAIN,		/* look up again */
	THIN2_PARK,		/* after the next wake-up */
	THIN2_PARK_SPACE,	/* when there is space */
	THIN2_ERROR,		/* *status says which */
};

enum thin2_outcome thin2_refused(struct thin2_thin *thin, int r, blk_status_t *status);

/* ---- dm-thin2-copy.c ---- */

struct thin2_copy *thin2_copy_alloc(struct thin2_thin *thin, struct bio *parent,
				    sector_t sector, unsigned int sectors);
void thin2_copy_free(struct thin2_copy *copy);
int __must_check thin2_copy_begin(struct thin2_copy *copy, const struct thin2_where *w);
void thin2_copy_zero_in_place(struct thin2_copy *copy, u64 phys);

/* ---- dm-thin2-discard.c ---- */

void thin2_defer_discard(struct thin2_thin *thin, struct bio *bio);
void thin2_do_discards(struct work_struct *work);
/* Hand parked discards back with @status. */
void thin2_fail_discards(struct thin2_thin *thin, blk_status_t status);
void thin2_passdown_init(struct thin2_pool *pool);
void thin2_freed(void *context, struct list_head *batch);

/* ---- dm-thin2-commit.c ---- */

/* A FLUSH, from map(). */
void thin2_flush_bio(struct thin2_pool *pool, struct bio *bio);

void thin2_commit_bio(struct thin2_pool *pool, struct bio *bio);
void thin2_commit_init(struct thin2_pool *pool);

/* ---- dm-thin2-shrink.c ---- */

int __must_check thin2_cache_init(void);
void thin2_cache_exit(void);
/* From when pool->md is open until before it is closed. */
void thin2_cache_add_pool(struct thin2_pool *pool);
void thin2_cache_del_pool(struct thin2_pool *pool);
void thin2_cache_set_md(struct thin2_pool *pool, struct thin2_md *md);
/* Look whether the range maps take too much memory. Any context. */
void thin2_cache_kick(void);
/* thin2_fill(), and that now and then. */
int __must_check thin2_pool_fill(struct thin2_pool *pool, struct thin2_dev *th, u64 unit,
				 u64 limit);

/* ---- dm-thin2-message.c ---- */

int thin2_pool_message(struct dm_target *ti, unsigned int argc, char **argv,
		       char *result, unsigned int maxlen);

/* ---- dm-thin2-status.c ---- */

void thin2_pool_status_line(struct dm_target *ti, status_type_t type, unsigned int flags,
			    char *result, unsigned int maxlen);
/* Blocks of metadata in use, as the status says it. */
u64 thin2_meta_used_shown(u64 used, u64 total, u64 kept);
void thin2_thin_status_line(struct dm_target *ti, status_type_t type, unsigned int flags,
			    char *result, unsigned int maxlen);

#endif
