/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one platform header of the shared core, kernel side.
 *
 * Every file that is shared between kernel and userspace includes this header
 * first and nothing else from the platform. Userspace builds force-include
 * tests/shim/pdata-platform.h, which has the same include guard and offers
 * the same names. There is no #ifdef __KERNEL__ in any shared .c file.
 */
#ifndef PDATA_PLATFORM_H
#define PDATA_PLATFORM_H

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/crc32c.h>
#include <linux/err.h>
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/list_sort.h>
#include <linux/lockdep.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/random.h>
#include <linux/rbtree.h>
#include <linux/sched.h>
#include <linux/semaphore.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/uuid.h>
#include <linux/vmalloc.h>

/* Log lines of the core; the caller's text carries the pool's name. */
#define pdata_err(fmt, ...)	pr_err("thin2: " fmt "\n", ##__VA_ARGS__)
#define pdata_warn(fmt, ...)	pr_warn("thin2: " fmt "\n", ##__VA_ARGS__)
#define pdata_info(fmt, ...)	pr_info("thin2: " fmt "\n", ##__VA_ARGS__)

/* As the two above, but safe to call once per damaged block or failed I/O. */
#define pdata_err_limit(fmt, ...)	pr_err_ratelimited("thin2: " fmt "\n", ##__VA_ARGS__)

/* One metadata block of memory, suitable for direct I/O. May sleep with GFP_NOIO. */
static inline void *pdata_block_alloc(gfp_t gfp)
{
	return (void *)__get_free_page(gfp);
}

static inline void pdata_block_free(void *p)
{
	free_page((unsigned long)p);
}

#endif
