// SPDX-License-Identifier: GPL-2.0-only
/*
 * Uses an image, damaged or not, as the kernel would. Whatever it holds, nothing
 * may crash, hang or warn; all else may fail.
 */
#include "image.h"
#include "io-sim.h"

#define MAX_THINS	3
#define TRIES		64	/* of one operation: then it is left alone */

struct use {
	struct image_pool pool;
	u64 random;
	u64 units;
	struct thin2_details thin[MAX_THINS];
	unsigned int nr_thins;
};

static int flush_data(void *context)
{
	return 0;
}

static void nothing(void *context)
{
}

static void freed(void *context, struct list_head *batch)
{
	struct image_pool *pool = context;

	/* While it is being opened there is no pool to give them back to yet. */
	if (pool->md)
		thin2_release(pool->md, batch);
}

static const struct thin2_md_ops ops = {
	.flush_data = flush_data,
	.drain = nothing,
	.freed = freed,
	.wake = nothing,
};

/* Return: how far it came, @unit if it is stuck. */
static u64 write_once(struct thin2_dev *th, u64 unit, u64 end, const struct thin2_where *where)
{
	struct thin2_write w;
	int r = 0;

	if (where->action == THIN2_UNSHARE)
		r = thin2_try_exclusive(th, unit, end);
	if (!r)
		r = thin2_write_begin(th, unit, where->end, &w);
	if (!r) {
		thin2_write_end(&w, 0);
		return unit + w.len;
	}
	if (r == -PDATA_E_WOULD_SLEEP || r == -PDATA_E_JOURNAL_FULL || r == -PDATA_E_DIRTY_LIMIT)
		r = thin2_make_room(th, r);
	return unit;
}

void image_io(struct thin2_dev *th, u64 unit, u64 end, bool write)
{
	struct thin2_where where;
	unsigned int i;

	for (i = 0; i < TRIES && unit < end; i++) {
		thin2_lookup(th, unit, end, write, &where);
		switch (where.action) {
		case THIN2_FILL:
			if (thin2_fill(th, unit, end))
				return;
			break;
		case THIN2_PROVISION:
		case THIN2_UNSHARE:
			unit = write_once(th, unit, end, &where);
			break;
		case THIN2_REMAP:
		case THIN2_ZERO:
			if (where.end <= unit)
				abort();
			unit = where.end;
			break;
		default:
			return;
		}
	}
}

static void use_thin(struct use *u, u32 id)
{
	struct thin2_dev_status s;
	struct thin2_dev *th;
	u64 begin, done;
	unsigned int i;
	int r;

	if (thin2_dev_open(u->pool.md, id, &th))
		return;
	r = thin2_dev_status(th, &s);
	for (i = 0; i < 12; i++) {
		begin = sim_below(&u->random, i % 3 ? u->units : 4096);
		image_io(th, begin, begin + 1 + sim_below(&u->random, 300), i >= 6);
	}
	begin = sim_below(&u->random, u->units);
	r = thin2_unmap(th, begin, begin + 1 + sim_below(&u->random, 500), false, &done);
	if (!r)
		r = thin2_flush(u->pool.md);
	thin2_dev_close(th);
}

static int on_thin(void *context, const struct thin2_details *d)
{
	struct use *u = context;

	if (u->nr_thins < MAX_THINS)
		u->thin[u->nr_thins++] = *d;
	return 0;
}

static int on_range(void *context, const struct pdata_range *r)
{
	return 0;
}

/* As thin2_dump does. An error is all right; *err is the last one. */
static void walk_thins(struct use *u, int *err)
{
	unsigned int i;

	u->nr_thins = 0;
	*err = thin2_for_each_details(u->pool.md, false, on_thin, u);
	for (i = 0; i < u->nr_thins; i++)
		*err = thin2_walk(u->pool.md, &u->thin[i], on_range, NULL);
}

static void background(struct use *u)
{
	unsigned int i;

	for (i = 0; i < 60; i++)
		if (thin2_work(u->pool.md, true) <= 0)
			return;
}

static void use_pool(struct use *u)
{
	struct thin2_pool_status s;
	struct thin2_root root;
	unsigned int i;
	int r;

	walk_thins(u, &r);
	for (i = 0; i < u->nr_thins; i++)
		use_thin(u, u->thin[i].id);
	r = thin2_checkpoint(u->pool.md);
	if (u->nr_thins) {
		r = thin2_create_snap(u->pool.md, 1000000, u->thin[0].id);
		use_thin(u, 1000000);
		use_thin(u, u->thin[0].id);
		r = thin2_get_root(u->pool.md, u->thin[0].id, &root);
		r = thin2_delete(u->pool.md, u->thin[u->nr_thins - 1].id);
	}
	r = thin2_create(u->pool.md, 1000001);
	use_thin(u, 1000001);
	r = thin2_checkpoint(u->pool.md);
	background(u);
	if (u->nr_thins)
		r = thin2_delete(u->pool.md, u->thin[0].id);
	background(u);
	walk_thins(u, &r);
	thin2_pool_status(u->pool.md, &s);
}

int image_open(struct image *img, struct image_pool *pool, u64 units, bool read_only)
{
	const struct thin2_md_params p = {
		.io = &img->io, .name = IMAGE_NAME, .data_units = units, .data_block_size = 128,
		.ops = &ops, .context = pool, .limits = pool->limits, .read_only = read_only,
	};

	pool->md = NULL;
	return thin2_md_open(&p, &pool->md);
}

void image_use(struct image *img, u64 units, u64 seed)
{
	struct use u = { .random = seed, .units = units };

	int r;

	if (!image_open(img, &u.pool, units, true)) {
		walk_thins(&u, &r);
		thin2_md_abandon(u.pool.md);
	}
	if (image_open(img, &u.pool, units, false))
		return;
	use_pool(&u);
	r = thin2_md_close(u.pool.md);
	u.pool.md = NULL;
	if (!r && image_open(img, &u.pool, units, false))
		abort();	/* what was closed in order opens */
	if (u.pool.md)
		thin2_md_abandon(u.pool.md);
}
