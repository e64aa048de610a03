// SPDX-License-Identifier: GPL-2.0-only
/*
 * Modes of a pool: what each allows, and what moves a pool from one to another.
 *
 *	write		all is well
 *	no space	of data or metadata: writes that need it wait, for a
 *			time, or fail; leaves by itself when there is space
 *	read-only	asked for, or the metadata failed: mapped I/O goes on
 *	fail		the table is gone while thins are open: no I/O until the next
 */
#include "dm-thin2.h"
#include "dm-thin2-trace.h"

static unsigned int no_space_timeout_secs = 60;
module_param_named(no_space_timeout, no_space_timeout_secs, uint, 0644);
MODULE_PARM_DESC(no_space_timeout,
		 "Seconds that writes wait for space in a full pool, 0 = for ever");

static const struct thin2_mode_rules mode_rules[THIN2_NR_MODES] = {
	[THIN2_MODE_WRITE] = {
		.status = "rw", .log = "write",
		.io = true, .provision = true, .wait = true, .unmap = true, .messages = true,
	},
	[THIN2_MODE_NO_SPACE] = {
		.status = "out_of_data_space", .log = "out-of-space",
		.io = true, .wait = true, .unmap = true, .messages = true,
	},
	[THIN2_MODE_READ_ONLY] = {
		.status = "ro", .log = "read-only",
		.io = true,
	},
	[THIN2_MODE_FAIL] = {
		.status = "Fail", .log = "fail",
	},
};

const struct thin2_mode_rules *thin2_rules(struct thin2_pool *pool)
{
	return &mode_rules[READ_ONCE(pool->mode)];
}

bool thin2_mode_is(struct thin2_pool *pool, enum thin2_mode mode)
{
	return READ_ONCE(pool->mode) == mode;
}

bool thin2_errors_on_no_space(struct thin2_pool *pool)
{
	return READ_ONCE(pool->features.error_if_no_space) || READ_ONCE(pool->no_space_expired);
}

/* ---- events ---- */

static void do_event(struct work_struct *work)
{
	struct thin2_pool *pool = container_of(work, struct thin2_pool, event_work);
	int due = atomic_xchg(&pool->events_due, 0);

	mutex_lock(&pool->bind_lock);
	while (pool->ti && due-- > 0)
		dm_table_event(pool->ti->table);
	mutex_unlock(&pool->bind_lock);
}

/*
 * Each one counts: some who wait for one compare the number. Not a work of the pool's
 * own queues, which a resume flushes with bind_lock held. Any context.
 */
void thin2_event(struct thin2_pool *pool)
{
	atomic_inc(&pool->events_due);
	schedule_work(&pool->event_work);
}

void thin2_low_water(struct thin2_pool *pool)
{
	unsigned long flags;
	bool tell;

	if (READ_ONCE(pool->low_water_told))
		return;
	spin_lock_irqsave(&pool->lock, flags);
	tell = !pool->low_water_told;
	WRITE_ONCE(pool->low_water_told, true);
	spin_unlock_irqrestore(&pool->lock, flags);
	if (!tell)
		return;
	DMWARN("%s: reached low water mark for data device: sending event.", pool->name);
	thin2_event(pool);
}

/* ---- changes ---- */

static void unpark_all(struct thin2_pool *pool)
{
	struct thin2_thin *thin;
	unsigned long flags;

	spin_lock_irqsave(&pool->lock, flags);
	list_for_each_entry(thin, &pool->thins, list)
		thin2_unpark(thin, true);
	spin_unlock_irqrestore(&pool->lock, flags);
}

/* For how long writes wait for space, from now on. */
static void start_no_space_timeout(struct thin2_pool *pool)
{
	unsigned int secs = READ_ONCE(no_space_timeout_secs);

	if (secs && !pool->features.error_if_no_space)
		mod_delayed_work(pool->io_wq, &pool->no_space_work, secs * HZ);
}

/* What a new mode sets off, apart from waiting bios. */
static void mode_entered(struct thin2_pool *pool, enum thin2_mode mode)
{
	if (mode == THIN2_MODE_NO_SPACE)
		start_no_space_timeout(pool);
	else
		cancel_delayed_work(&pool->no_space_work);
	thin2_event(pool);
}

/*
 * From failed metadata there is no way back. A pool that has lost its table gets a mode
 * from the next one that is resumed.
 */
static bool may_enter(struct thin2_pool *pool, enum thin2_mode from, enum thin2_mode to)
{
	if (from == to)
		return false;
	if (to == THIN2_MODE_NO_SPACE)
		return from == THIN2_MODE_WRITE;
	if (to > from)
		return true;
	return !READ_ONCE(pool->md->failed);
}

/* Any context. */
void thin2_set_mode(struct thin2_pool *pool, enum thin2_mode mode, const char *why)
{
	enum thin2_mode old;
	unsigned long flags;
	bool change;

	spin_lock_irqsave(&pool->lock, flags);
	old = pool->mode;
	change = may_enter(pool, old, mode);
	if (change) {
		WRITE_ONCE(pool->mode, mode);
		if (mode != THIN2_MODE_NO_SPACE)
			WRITE_ONCE(pool->no_space_expired, false);
	}
	spin_unlock_irqrestore(&pool->lock, flags);
	if (!change)
		return;

	trace_thin2_mode(old, mode);
	DMINFO("%s: switching pool to %s%s mode: %s", pool->name, mode_rules[mode].log,
	       mode == THIN2_MODE_NO_SPACE && pool->features.error_if_no_space ?
	       " (error IO)" : "", why);
	mode_entered(pool, mode);
	/* In whatever mode, those who waited find out what has become of them. */
	if (mode != THIN2_MODE_NO_SPACE)
		unpark_all(pool);
}

void thin2_note_error(struct thin2_pool *pool, int r, const char *what)
{
	if (!READ_ONCE(pool->md->failed))
		return;
	if (thin2_rules(pool)->messages) {
		DMERR("%s: %s failed: %s", pool->name, what, pdata_error_text(r));
		/* The tick has the superblock say so. */
		thin2_pool_kick(pool);
	}
	thin2_set_mode(pool, THIN2_MODE_READ_ONLY, "the metadata failed");
}

/* ---- space ---- */

bool thin2_out_of_space(struct thin2_pool *pool, int r)
{
	if (r == -PDATA_E_DATA_NOSPC)
		thin2_low_water(pool);
	thin2_set_mode(pool, THIN2_MODE_NO_SPACE, pdata_error_text(r));
	return !thin2_errors_on_no_space(pool);
}

/* Units in quarantine are on their way: whoever needs one waits for that, in any mode. */
static bool has_space(struct thin2_md *md)
{
	return (atomic64_read(&md->alloc.quarantined) || pdata_alloc_free(&md->alloc)) &&
	       thin2_admit(md) && !READ_ONCE(md->starved);
}

/*
 * A resume of the same table: what waits gets its time once more. The mode stays as it is
 * until space is found.
 */
void thin2_no_space_again(struct thin2_pool *pool)
{
	WRITE_ONCE(pool->no_space_expired, false);
	start_no_space_timeout(pool);
	thin2_check_space(pool);
}

/* A pool that ran out of space goes on by itself once there is some. */
void thin2_check_space(struct thin2_pool *pool)
{
	if (thin2_mode_is(pool, THIN2_MODE_NO_SPACE) && has_space(pool->md))
		thin2_set_mode(pool, THIN2_MODE_WRITE, "there is space again");
}

static void do_no_space_timeout(struct work_struct *work)
{
	struct thin2_pool *pool = container_of(to_delayed_work(work), struct thin2_pool,
					       no_space_work);
	struct thin2_thin *thin;
	unsigned long flags;

	/* The setting may have become "for ever" since the time was set. */
	if (!thin2_mode_is(pool, THIN2_MODE_NO_SPACE) || !READ_ONCE(no_space_timeout_secs))
		return;
	DMWARN("%s: no space came in time: writes that need some fail from now on", pool->name);
	spin_lock_irqsave(&pool->lock, flags);
	WRITE_ONCE(pool->no_space_expired, true);
	list_for_each_entry(thin, &pool->thins, list)
		thin2_unpark(thin, true);
	spin_unlock_irqrestore(&pool->lock, flags);
	thin2_event(pool);
}

void thin2_mode_init(struct thin2_pool *pool)
{
	INIT_WORK(&pool->event_work, do_event);
	INIT_DELAYED_WORK(&pool->no_space_work, do_no_space_timeout);
}

void thin2_mode_stop(struct thin2_pool *pool)
{
	cancel_delayed_work_sync(&pool->no_space_work);
	cancel_work_sync(&pool->event_work);
}
