/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tests of dm-thin2's kernel-only parts, each a word in the table of the
 * target "thin2-selftest": loading the table runs the test, and fails with it.
 */
#ifndef THIN2_SELFTEST_H
#define THIN2_SELFTEST_H

#include "persistent-data/pdata-platform.h"

#include <linux/device-mapper.h>

struct selftest {
	const char *name;
	/* @arg: a number from the table; @dev: a device from the table or NULL */
	int (*run)(u64 arg, struct dm_dev *dev);
};

/* Random numbers that a seed repeats. */
struct st_rnd {
	u64 state;
};

static inline u64 st_rnd(struct st_rnd *r, u64 limit)
{
	r->state += 0x9e3779b97f4a7c15ull;
	return (hash_64(r->state, 64) ^ hash_64(r->state, 64) >> 31) % limit;
}

#define st_check(cond)								\
	do {									\
		if (!(cond)) {							\
			pr_err("thin2-selftest: %s:%d: %s\n", __func__,		\
			       __LINE__, #cond);				\
			return -EINVAL;						\
		}								\
	} while (0)

int st_rm_random(u64 seed, struct dm_dev *dev);
int st_rm_large(u64 nr, struct dm_dev *dev);
int st_rm_bytes(u64 shape, struct dm_dev *dev);
int st_rm_readers(u64 msecs, struct dm_dev *dev);
int st_io_cache(u64 seed, struct dm_dev *dev);
int st_io_errors(u64 bad, struct dm_dev *dev);
int st_fua(u64 where, struct dm_dev *dev);

#endif
