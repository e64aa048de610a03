// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much memory the range maps of all pools may take, and who gives it back:
 * a worker when the limit is passed, a shrinker when the system needs memory.
 *
 * cache_lock is outside of md->cache_lock and like it never held while waiting
 * for memory or I/O. The shrinker only tries both: who reclaims memory may be
 * anybody, with any lock held.
 */
#include "dm-thin2.h"

#define RANGE_BYTES	PDATA_RM_ENTRY_BYTES
#define SHRINK_BATCH	1024
#define ROUNDS		4u	/* of eviction, before what is in use goes, too */

static DEFINE_MUTEX(cache_lock);
static LIST_HEAD(cache_pools);		/* cache_lock: struct thin2_pool */
static unsigned long seen_ranges;	/* of all pools, when they were counted last; READ_ONCE */
static struct workqueue_struct *cache_wq;
static struct shrinker *shrinker;

static void do_cache(struct work_struct *work);
static DECLARE_WORK(cache_work, do_cache);

/* ---- module parameters ---- */

/* Set at load, or to 2 % of memory. */
static unsigned long range_map_cache_bytes = ULONG_MAX;

/* The new limit holds when the write returns. Under the lock of the module's parameters. */
static int set_limit(const char *val, const struct kernel_param *kp)
{
	int r = param_set_ulong(val, kp);

	if (!r && cache_wq) {
		queue_work(cache_wq, &cache_work);
		flush_work(&cache_work);
	}
	return r;
}

static const struct kernel_param_ops limit_ops = {
	.set = set_limit,
	.get = param_get_ulong,
};
module_param_cb(range_map_cache_bytes, &limit_ops, &range_map_cache_bytes, 0644);
MODULE_PARM_DESC(range_map_cache_bytes,
		 "Memory for the range maps of all pools; what is not on disk yet stays beyond (default 2 % of RAM)");

static u64 count_ranges(void)
{
	struct thin2_pool *pool;
	u64 nr = 0;

	lockdep_assert_held(&cache_lock);
	list_for_each_entry(pool, &cache_pools, cache_list) {
		pool->seen_ranges = thin2_cached_ranges(pool->md);
		nr += pool->seen_ranges;
	}
	WRITE_ONCE(seen_ranges, nr);
	return nr;
}

static int get_used(char *buffer, const struct kernel_param *kp)
{
	u64 nr;

	mutex_lock(&cache_lock);
	nr = count_ranges();
	mutex_unlock(&cache_lock);
	return sysfs_emit(buffer, "%llu\n", nr * RANGE_BYTES);
}

static const struct kernel_param_ops used_ops = { .get = get_used };
module_param_cb(range_map_current_bytes, &used_ops, NULL, 0444);
MODULE_PARM_DESC(range_map_current_bytes, "Memory that the range maps of all pools take now");

static u64 limit_ranges(void)
{
	return READ_ONCE(range_map_cache_bytes) / RANGE_BYTES;
}

/* ---- eviction ---- */

/* Each pool gives its share of @nr. Returns how many went. */
static u64 evict_all(u64 nr, enum thin2_evict_how how)
{
	u64 total = max_t(u64, seen_ranges, 1), count, gone = 0;
	struct thin2_pool *pool;

	lockdep_assert_held(&cache_lock);
	nr = min_t(u64, nr, THIN2_EVICT_MAX);
	list_for_each_entry(pool, &cache_pools, cache_list) {
		count = pool->seen_ranges;
		if (!count)
			continue;
		gone += thin2_evict(pool->md, nr * count / total + 1, how);
	}
	return gone;
}

/* Down to a little less than the limit, as far as that is possible now. */
static void do_cache(struct work_struct *work)
{
	u64 limit, target, total;
	unsigned int round;

	mutex_lock(&cache_lock);
	for (round = 0; round < 2 * ROUNDS; round++) {
		limit = limit_ranges();
		target = limit - limit / 16;
		total = count_ranges();
		if (total <= (round ? target : limit))
			break;
		evict_all(total - target,
			  round < ROUNDS ? THIN2_EVICT_BACKGROUND : THIN2_EVICT_ALL);
		cond_resched();
	}
	mutex_unlock(&cache_lock);
}

static unsigned long shrink_count(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long nr = READ_ONCE(seen_ranges);

	return nr ? nr : SHRINK_EMPTY;
}

static unsigned long shrink_scan(struct shrinker *s, struct shrink_control *sc)
{
	u64 gone;

	if (!mutex_trylock(&cache_lock))
		return SHRINK_STOP;
	gone = evict_all(sc->nr_to_scan, THIN2_EVICT_RECLAIM);
	WRITE_ONCE(seen_ranges, seen_ranges - min_t(u64, gone, seen_ranges));
	mutex_unlock(&cache_lock);
	return gone ? gone : SHRINK_STOP;
}

/* ---- pools ---- */

void thin2_cache_kick(void)
{
	queue_work(cache_wq, &cache_work);
}

int thin2_pool_fill(struct thin2_pool *pool, struct thin2_dev *th, u64 unit, u64 limit)
{
	struct thin2_md *md = pool->md;
	u64 filled, often;
	int r = thin2_fill(th, unit, limit);

	/* Now and then see whether that was too much. */
	often = clamp(limit_ranges() / 64, (u64)THIN2_FILL_RANGES, 65536ull);
	filled = atomic64_read(&md->nr_filled);
	if (filled - READ_ONCE(pool->seen_filled) >= often) {
		WRITE_ONCE(pool->seen_filled, filled);
		thin2_cache_kick();
	}
	return r;
}

void thin2_cache_add_pool(struct thin2_pool *pool)
{
	mutex_lock(&cache_lock);
	list_add_tail(&pool->cache_list, &cache_pools);
	mutex_unlock(&cache_lock);
}

void thin2_cache_del_pool(struct thin2_pool *pool)
{
	mutex_lock(&cache_lock);
	list_del_init(&pool->cache_list);
	mutex_unlock(&cache_lock);
}

void thin2_cache_set_md(struct thin2_pool *pool, struct thin2_md *md)
{
	mutex_lock(&cache_lock);
	WRITE_ONCE(pool->md, md);
	mutex_unlock(&cache_lock);
}

int thin2_cache_init(void)
{
	if (range_map_cache_bytes == ULONG_MAX)
		range_map_cache_bytes = (totalram_pages() << PAGE_SHIFT) / 50;
	cache_wq = alloc_workqueue("thin2-cache", WQ_MEM_RECLAIM | WQ_UNBOUND, 1);
	if (!cache_wq)
		return -ENOMEM;
	shrinker = thin2_shrinker_create("dm-thin2-range-maps", shrink_count, shrink_scan,
					 SHRINK_BATCH);
	if (!shrinker) {
		destroy_workqueue(cache_wq);
		return -ENOMEM;
	}
	return 0;
}

void thin2_cache_exit(void)
{
	struct workqueue_struct *wq = cache_wq;

	thin2_shrinker_destroy(shrinker);
	/* The parameters outlive this. */
	kernel_param_lock(THIS_MODULE);
	cache_wq = NULL;
	kernel_param_unlock(THIS_MODULE);
	destroy_workqueue(wq);
}
