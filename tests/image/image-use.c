// SPDX-License-Identifier: GPL-2.0-only
/*
 * Uses an image, damaged or not, as the kernel would. Whatever it holds, nothing
 * may crash, hang or warn; all else may fail.
 */
#include "image.h"
#include "dm-thin2-metadata.h"
#include "io-sim.h"

#define MAX_THINS	6
#define TRIES		64	/* of one operation: then it is left alone */

struct use {
	struct thin2_md *md;
	u64 random;
	u64 units;
	u32 id[MAX_THINS];
	unsigned int nr_ids;
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
	struct use *u = context;

	/* While it is being opened there is no pool to give them back to yet. */
	if (u->md)
		thin2_release(u->md, batch);
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

static void io_range(struct thin2_dev *th, u64 unit, u64 end, bool write)
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

	if (thin2_dev_open(u->md, id, &th))
		return;
	r = thin2_dev_status(th, &s);
	for (i = 0; i < 12; i++) {
		begin = sim_below(&u->random, i % 3 ? u->units : 4096);
		io_range(th, begin, begin + 1 + sim_below(&u->random, 300), i >= 6);
	}
	begin = sim_below(&u->random, u->units);
	r = thin2_unmap(th, begin, begin + 1 + sim_below(&u->random, 500), false, &done);
	if (!r)
		r = thin2_flush(u->md);
	thin2_dev_close(th);
}

static int on_thin(void *context, const struct thin2_details *d)
{
	struct use *u = context;

	if (u->nr_ids < MAX_THINS)
		u->id[u->nr_ids++] = d->id;
	return 0;
}

static int on_range(void *context, const struct pdata_range *r)
{
	return 0;
}

static int walk_thin(void *context, const struct thin2_details *d)
{
	struct use *u = context;
	int r = thin2_walk(u->md, d, on_range, NULL);

	return r == -ENOMEM ? r : 0;
}

static void background(struct use *u)
{
	unsigned int i;

	for (i = 0; i < 200; i++)
		if (thin2_work(u->md, true) <= 0)
			return;
}

static void use_pool(struct use *u)
{
	struct thin2_pool_status s;
	struct thin2_root root;
	unsigned int i;
	int r;

	r = thin2_for_each_details(u->md, false, on_thin, u);
	for (i = 0; i < u->nr_ids; i++)
		use_thin(u, u->id[i]);
	r = thin2_checkpoint(u->md);
	if (u->nr_ids) {
		r = thin2_create_snap(u->md, 1000000, u->id[0]);
		use_thin(u, 1000000);
		use_thin(u, u->id[0]);
		r = thin2_get_root(u->md, u->id[0], &root);
		r = thin2_delete(u->md, u->id[u->nr_ids - 1]);
	}
	r = thin2_create(u->md, 1000001);
	use_thin(u, 1000001);
	r = thin2_checkpoint(u->md);
	background(u);
	if (u->nr_ids)
		r = thin2_delete(u->md, u->id[0]);
	background(u);
	r = thin2_for_each_details(u->md, false, walk_thin, u);
	if (!r)
		thin2_pool_status(u->md, &s);
}

static int open_md(struct image *img, struct use *u, bool read_only)
{
	const struct thin2_md_params p = {
		.io = &img->io, .name = IMAGE_NAME, .data_units = u->units,
		.data_block_size = 128, .ops = &ops, .context = u, .read_only = read_only,
	};

	u->md = NULL;
	return thin2_md_open(&p, &u->md);
}

void image_use(struct image *img, u64 units, u64 seed)
{
	struct use u = { .random = seed, .units = units };

	if (!open_md(img, &u, true)) {
		if (thin2_for_each_details(u.md, false, walk_thin, &u))
			abort();
		thin2_md_abandon(u.md);
	}
	if (open_md(img, &u, false))
		return;
	use_pool(&u);
	if (!thin2_md_close(u.md) && open_md(img, &u, false))
		abort();	/* what was closed in order opens */
	else if (u.md)
		thin2_md_abandon(u.md);
}
