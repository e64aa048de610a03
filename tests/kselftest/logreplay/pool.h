/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pool.c: is there the right pool on an image of the disk?
 */
#ifndef LOGREPLAY_POOL_H
#define LOGREPLAY_POOL_H

#include "logreplay.h"

struct pool_test *pool_test_new(const struct replay_options *ro, const struct model *m,
				unsigned int worker);

/*
 * @mark: what the model is asked with. @use: write, take a snapshot, write on
 * and check again. @where: for messages. Returns false after a message.
 */
bool pool_test(struct pool_test *t, const struct image *image, uint64_t mark, struct rng *rng,
	       bool use, const char *where);

#endif
