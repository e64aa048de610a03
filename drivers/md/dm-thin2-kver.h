/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every difference between the kernels that dm-thin2 builds for; there is no
 * look at the kernel's version anywhere else.
 */
#ifndef DM_THIN2_KVER_H
#define DM_THIN2_KVER_H

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/version.h>
#include <linux/workqueue.h>

/* ---- opening a block device ---- */

#if KERNEL_VERSION(6, 5, 0) <= LINUX_VERSION_CODE
#define thin2_open_mode_t	blk_mode_t
#define THIN2_OPEN_READ		BLK_OPEN_READ
#define THIN2_OPEN_WRITE	BLK_OPEN_WRITE
#else
#define thin2_open_mode_t	fmode_t
#define THIN2_OPEN_READ		FMODE_READ
#define THIN2_OPEN_WRITE	FMODE_WRITE
#endif

/* A block device opened beside its holder: the pool's own reference. */
struct thin2_bdev {
	struct block_device *bdev;
#if KERNEL_VERSION(6, 9, 0) <= LINUX_VERSION_CODE
	struct file *file;
#else
	thin2_open_mode_t mode;
#endif
};

#if KERNEL_VERSION(6, 9, 0) <= LINUX_VERSION_CODE
static inline int thin2_bdev_open(struct thin2_bdev *b, dev_t dev, thin2_open_mode_t mode)
{
	b->file = bdev_file_open_by_dev(dev, mode, NULL, NULL);
	if (IS_ERR(b->file))
		return PTR_ERR(b->file);
	b->bdev = file_bdev(b->file);
	return 0;
}

static inline void thin2_bdev_close(struct thin2_bdev *b)
{
	if (b->bdev)
		bdev_fput(b->file);
	b->bdev = NULL;
}
#elif KERNEL_VERSION(6, 5, 0) > LINUX_VERSION_CODE
static inline int thin2_bdev_open(struct thin2_bdev *b, dev_t dev, thin2_open_mode_t mode)
{
	struct block_device *bdev = blkdev_get_by_dev(dev, mode, NULL);

	if (IS_ERR(bdev))
		return PTR_ERR(bdev);
	b->bdev = bdev;
	b->mode = mode;
	return 0;
}

static inline void thin2_bdev_close(struct thin2_bdev *b)
{
	if (b->bdev)
		blkdev_put(b->bdev, b->mode);
	b->bdev = NULL;
}
#else
#error "dm-thin2 builds for kernels 6.1 to 6.4 and from 6.9 on"
#endif

/* ---- limits ---- */

/* Largest discard, in sectors, that a target takes and its users may ask for. */
static inline void thin2_limit_discards(struct queue_limits *limits, unsigned int max,
					unsigned int granularity)
{
	limits->max_hw_discard_sectors = max;
#if KERNEL_VERSION(6, 12, 0) > LINUX_VERSION_CODE
	limits->max_discard_sectors = max;
#endif
	limits->discard_granularity = granularity;
	limits->discard_alignment = 0;
}

/* ---- device-mapper ---- */

/* Meant for targets, but only in drivers/md/dm.h. */
#ifndef DM_STATUS_NOFLUSH_FLAG
#define DM_STATUS_NOFLUSH_FLAG	BIT(0)
#endif
void dm_internal_suspend_noflush(struct mapped_device *md);
void dm_internal_resume(struct mapped_device *md);

/* ---- memory ---- */

typedef unsigned long (*thin2_shrink_fn)(struct shrinker *shrinker, struct shrink_control *sc);

/* A shrinker at work, NULL without memory. */
static inline struct shrinker *thin2_shrinker_create(const char *name, thin2_shrink_fn count,
						     thin2_shrink_fn scan, long batch)
{
	struct shrinker *s;

#if KERNEL_VERSION(6, 7, 0) <= LINUX_VERSION_CODE
	s = shrinker_alloc(0, "%s", name);
#else
	s = kzalloc(sizeof(*s), GFP_KERNEL);
#endif
	if (!s)
		return NULL;
	s->count_objects = count;
	s->scan_objects = scan;
	s->seeks = DEFAULT_SEEKS;
	s->batch = batch;
#if KERNEL_VERSION(6, 7, 0) <= LINUX_VERSION_CODE
	shrinker_register(s);
#else
	if (register_shrinker(s, "%s", name)) {
		kfree(s);
		return NULL;
	}
#endif
	return s;
}

static inline void thin2_shrinker_destroy(struct shrinker *s)
{
#if KERNEL_VERSION(6, 7, 0) <= LINUX_VERSION_CODE
	shrinker_free(s);
#else
	unregister_shrinker(s);
	kfree(s);
#endif
}

/* ---- maple tree ---- */

/*
 * 6.1: the slab's bulk allocation, which the maple tree uses for two nodes or
 * more, leaves interrupts on, whatever they were before. From 6.12 on it
 * restores them.
 */
#define THIN2_MAPLE_BULK_IRQS	(KERNEL_VERSION(6, 12, 0) > LINUX_VERSION_CODE)

#endif
