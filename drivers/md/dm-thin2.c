// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device-mapper thin provisioning, second version: the module, and the target
 *
 *	thin2 <pool dev> <id> [<external origin dev>]
 *
 * A thin's size is the table's, it is not recorded. Where it is not mapped it
 * reads as zeroes, or as the external origin, which is never written.
 *
 * Start reading in dm-thin2.h; the metadata side begins with
 * dm-thin2-metadata.h, the disk format with persistent-data/pdata-format.h.
 */
#define CREATE_TRACE_POINTS
#include "dm-thin2-trace.h"

#include "dm-thin2.h"
#include "dm-thin2-compat.h"
#include "persistent-data/pdata-ondisk.h"

/* ---- constructor and destructor ---- */

static void init_thin(struct thin2_thin *thin, struct dm_target *ti)
{
	thin->thin_md = dm_table_get_md(ti->table);
	INIT_LIST_HEAD(&thin->list);
	spin_lock_init(&thin->lock);
	bio_list_init(&thin->deferred);
	bio_list_init(&thin->parked);
	bio_list_init(&thin->no_space);
	bio_list_init(&thin->discards);
	bio_list_init(&thin->discards_parked);
	INIT_WORK(&thin->work, thin2_do_deferred);
	INIT_WORK(&thin->discard_work, thin2_do_discards);
}

static int get_devices(struct thin2_thin *thin, struct dm_target *ti, unsigned int argc,
		       char **argv)
{
	int r;

	if (argc == 3 && !strcmp(argv[0], argv[2])) {
		ti->error = "The pool cannot be the external origin";
		return -EINVAL;
	}
	r = dm_get_device(ti, argv[0], dm_table_get_mode(ti->table), &thin->pool_dev);
	if (r) {
		ti->error = "Error opening pool device";
		return r;
	}
	if (argc < 3)
		return 0;
	r = dm_get_device(ti, argv[2], THIN2_OPEN_READ, &thin->origin_dev);
	if (r) {
		ti->error = "Error opening origin device";
		dm_put_device(ti, thin->pool_dev);
	}
	return r;
}

static void put_devices(struct thin2_thin *thin, struct dm_target *ti)
{
	if (thin->origin_dev)
		dm_put_device(ti, thin->origin_dev);
	dm_put_device(ti, thin->pool_dev);
}

/* Find the pool, open the thin in it. Under thin2_pools_lock. */
static int open_thin(struct thin2_thin *thin, struct dm_target *ti)
{
	struct mapped_device *pool_md = dm_get_md(thin->pool_dev->bdev->bd_dev);
	struct thin2_pool *pool;
	int r;

	if (!pool_md) {
		ti->error = "Couldn't get pool mapped device";
		return -EINVAL;
	}
	pool = thin2_pool_find(pool_md);
	dm_put(pool_md);	/* the thin's own open keeps the device */
	if (!pool) {
		ti->error = "Couldn't find pool object";
		DMERR("%s is not a thin-pool2", thin->pool_dev->name);
		return -EINVAL;
	}
	if (!thin2_rules(pool)->io) {
		ti->error = "Couldn't open thin device, pool is in fail mode";
		return -EINVAL;
	}
	r = thin2_dev_open(pool->md, thin->id, &thin->dev);
	if (r) {
		ti->error = "Couldn't open thin internal device";
		DMERR("%s: thin %u: %s", pool->name, thin->id, pdata_error_text(r));
		return pdata_to_errno(r);
	}
	thin->pool = pool;
	r = thin2_pool_add_thin(pool, thin);
	if (r) {
		ti->error = "Unable to activate thin device while pool is suspended";
		thin2_dev_close(thin->dev);
		return -EINVAL;
	}
	pool->refs++;
	return 0;
}

static void setup_target(struct dm_target *ti, struct thin2_thin *thin)
{
	ti->private = thin;
	ti->num_flush_bios = 1;
	ti->flush_supported = true;
	ti->num_write_zeroes_bios = 1;
	ti->limit_swap_bios = true;
	ti->accounts_remapped_io = true;
	ti->per_io_data_size = sizeof(struct thin2_bio);
	if (!READ_ONCE(thin->pool->features.ignore_discard)) {
		ti->discards_supported = true;
		ti->num_discard_bios = 1;
	}
}

static int thin_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct thin2_thin *thin;
	int r;

	if (argc != 2 && argc != 3) {
		ti->error = "Invalid argument count";
		DMERR("expected <pool dev> <id> [<external origin dev>], found %u arguments",
		      argc);
		return -EINVAL;
	}
	thin = kzalloc(sizeof(*thin), GFP_KERNEL);
	if (!thin) {
		ti->error = "Out of memory";
		return -ENOMEM;
	}
	init_thin(thin, ti);
	r = kstrtou32(argv[1], 10, &thin->id);
	if (r) {
		ti->error = "Invalid device id";
		DMERR("device id is '%s', expected 0 to %u", argv[1], THIN2_MAX_ID);
		r = -EINVAL;
		goto bad;
	}
	r = get_devices(thin, ti, argc, argv);
	if (r)
		goto bad;
	mutex_lock(&thin2_pools_lock);
	r = open_thin(thin, ti);
	mutex_unlock(&thin2_pools_lock);
	if (r)
		goto bad_open;
	setup_target(ti, thin);
	return 0;

bad_open:
	put_devices(thin, ti);
bad:
	kfree(thin);
	return r;
}

static void thin_dtr(struct dm_target *ti)
{
	struct thin2_thin *thin = ti->private;

	/* No bio is left, so no work has anything to do; it may still be on its way out. */
	thin2_pool_remove_thin(thin->pool, thin);
	cancel_work_sync(&thin->work);
	cancel_work_sync(&thin->discard_work);

	mutex_lock(&thin2_pools_lock);
	thin2_dev_close(thin->dev);
	thin2_pool_put(thin->pool);
	mutex_unlock(&thin2_pools_lock);
	put_devices(thin, ti);
	kfree(thin);
}

/* ---- suspend and resume ---- */

static void set_requeue(struct thin2_thin *thin, bool requeue)
{
	spin_lock_irq(&thin->lock);
	thin->requeue = requeue;
	spin_unlock_irq(&thin->lock);
}

/* Bios that wait for something go back to device-mapper, else nobody could suspend. */
static void thin_presuspend(struct dm_target *ti)
{
	struct thin2_thin *thin = ti->private;

	if (!dm_noflush_suspending(ti))
		return;
	set_requeue(thin, true);
	thin2_fail_parked(thin, BLK_STS_DM_REQUEUE);
	thin2_fail_discards(thin, BLK_STS_DM_REQUEUE);
}

static void thin_presuspend_undo(struct dm_target *ti)
{
	set_requeue(ti->private, false);
}

static void thin_postsuspend(struct dm_target *ti)
{
	set_requeue(ti->private, false);
}

static int thin_preresume(struct dm_target *ti)
{
	struct thin2_thin *thin = ti->private;

	if (thin->origin_dev)
		thin->origin_sectors = bdev_nr_sectors(thin->origin_dev->bdev);
	return 0;
}

/* ---- limits ---- */

static int thin_iterate_devices(struct dm_target *ti, iterate_devices_callout_fn fn, void *data)
{
	struct thin2_thin *thin = ti->private;

	return fn(ti, thin->pool_dev, 0, thin2_to_sector(READ_ONCE(thin->pool->data_units)), data);
}

static void thin_io_hints(struct dm_target *ti, struct queue_limits *limits)
{
	struct thin2_thin *thin = ti->private;

	/* Smaller writes into fresh or shared space cost a read. */
	limits->physical_block_size = max(limits->physical_block_size, THIN2_UNIT_BYTES);
	limits->io_min = max(limits->io_min, THIN2_UNIT_BYTES);
	/* A change of the mapping, however long. */
	limits->max_write_zeroes_sectors = THIN2_MAX_DISCARD;
	if (!READ_ONCE(thin->pool->features.ignore_discard))
		thin2_limit_discards(limits, THIN2_MAX_DISCARD, THIN2_UNIT_BYTES);
}

static struct target_type thin_target = {
	.name = "thin2",
	.features = DM_TARGET_PASSES_CRYPTO | DM_TARGET_NOWAIT,
	.version = { 2, 0, 0 },
	.module = THIS_MODULE,
	.ctr = thin_ctr,
	.dtr = thin_dtr,
	.map = thin2_map,
	.end_io = thin2_endio,
	.presuspend = thin_presuspend,
	.presuspend_undo = thin_presuspend_undo,
	.postsuspend = thin_postsuspend,
	.preresume = thin_preresume,
	.status = thin2_thin_status_line,
	.iterate_devices = thin_iterate_devices,
	.io_hints = thin_io_hints,
};

/* ---- the names of version 1 ---- */

static struct target_type compat_thin_target, compat_pool_target;

static int register_compat(struct target_type *tt, const struct target_type *from,
			   const char *name, struct module *owner)
{
	int r;

	*tt = *from;
	tt->name = name;
	tt->module = owner;
	r = dm_register_target(tt);
	if (r)
		DMERR("there is a target %s already: dm-thin-pool excludes dm-thin2-compat",
		      name);
	return r;
}

int thin2_compat_register(struct module *owner)
{
	int r;

	r = register_compat(&compat_thin_target, &thin_target, "thin", owner);
	if (r)
		return r;
	r = register_compat(&compat_pool_target, &thin2_pool_target, "thin-pool", owner);
	if (r)
		dm_unregister_target(&compat_thin_target);
	else
		DMINFO("thin-pool and thin are version 2 now");
	return r;
}
EXPORT_SYMBOL_GPL(thin2_compat_register);

void thin2_compat_unregister(void)
{
	dm_unregister_target(&compat_pool_target);
	dm_unregister_target(&compat_thin_target);
}
EXPORT_SYMBOL_GPL(thin2_compat_unregister);

/* ---- module ---- */

static int __init thin2_init(void)
{
	int r;

	r = thin2_cache_init();
	if (r)
		return r;
	r = dm_register_target(&thin_target);
	if (r)
		goto bad_thin;
	r = dm_register_target(&thin2_pool_target);
	if (r)
		goto bad_pool;
	return 0;

bad_pool:
	dm_unregister_target(&thin_target);
bad_thin:
	thin2_cache_exit();
	return r;
}

static void __exit thin2_exit(void)
{
	dm_unregister_target(&thin2_pool_target);
	dm_unregister_target(&thin_target);
	thin2_cache_exit();
}

module_init(thin2_init);
module_exit(thin2_exit);

MODULE_DESCRIPTION(DM_NAME " thin provisioning, second version");
MODULE_AUTHOR("dm-thin2 developers");
MODULE_ALIAS("dm-thin2");
MODULE_LICENSE("GPL");
