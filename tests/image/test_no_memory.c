// SPDX-License-Identifier: GPL-2.0-only
/*
 * There is no memory: each allocation of all that a pool does fails once. What was
 * to be done is done when it is tried again, or the pool changes nothing any more;
 * nothing is lost or leaks, and what is on disk is in order.
 */
#include "testlib.h"
#include "image.h"
#include "dm-thin2-internal.h"

#define UNITS	65536
#define BEGIN	50000	/* what is written here is counted */
#define GROWN	(5 * PDATA_GROUP_UNITS)	/* the first table of groups is too small */
#define NR	30
#define STORY	"limits 4 5 8 journal 32 create 1 random 1 60 4000 1 create 2 create 3 create 4 " \
		"create 5 create 6 create 7 checkpoint snap 8 1 random 8 40 4000 2 checkpoint " \
		"random 1 20 4000 3 abandon"

static const struct image_story story = {
	.name = "memory", .words = STORY, .blocks = 1100, .units = UNITS,
};
static const struct pdata_limits limits = { .btree_max = 4, .fanout = 5, .leaf_max = 8 };

struct run {
	struct image img;
	struct image_pool pool;
	unsigned int n;		/* the allocation that fails */
	u64 flushed;		/* units from BEGIN on that must be there */
	bool snap, deleted;	/* ... and thin 9, and not thin 8 */
	unsigned int failed;	/* pools that gave up */
};

/*
 * Once more if there was no memory; only one allocation fails. Return: false if
 * the pool has given up.
 */
#define does(run, expr) ({						\
	int __r = (expr);						\
									\
	if (__r == -ENOMEM && !(run)->pool.md->failed)			\
		__r = (expr);						\
	went_well(run, __r, #expr);					\
})

static bool went_well(const struct run *run, int r, const char *what)
{
	if (r < 0 && !run->pool.md->failed)
		fail_msg("allocation %u fails, then %s: %d, %s", run->n, what, r,
			 pdata_error_text(r));
	return r >= 0;
}

/* A write that waits for memory is tried again. */
static bool write_unit(struct run *run, struct thin2_dev *th, u64 unit)
{
	struct thin2_where where;
	struct thin2_write w;
	unsigned int tries;
	int r;

	for (tries = 0; tries < 16; tries++) {
		thin2_lookup(th, unit, unit + 1, true, &where);
		if (where.action == THIN2_REMAP)
			return true;
		if (where.action == THIN2_FILL)
			r = thin2_fill(th, unit, unit + 1);
		else
			r = thin2_write_begin(th, unit, unit + 1, &w);
		if (!r && where.action != THIN2_FILL)
			thin2_write_end(&w, 0);
		if (r == -PDATA_E_WOULD_SLEEP || r == -PDATA_E_JOURNAL_FULL ||
		    r == -PDATA_E_DIRTY_LIMIT)
			r = thin2_make_room(th, r);
		if (run->pool.md->failed)
			return false;
		if (r && r != -ENOMEM && r != -PDATA_E_RETRY && r != -PDATA_E_MISS)
			return went_well(run, r, "a write");
	}
	fail_msg("allocation %u fails, then unit %llu cannot be written", run->n, unit);
	return false;
}

static bool write_and_flush(struct run *run, struct thin2_dev *th)
{
	u64 unit, done;

	for (unit = 0; unit < NR; unit++)
		if (!write_unit(run, th, BEGIN + 3 * unit))
			return false;
	if (!does(run, thin2_flush(run->pool.md)))
		return false;
	run->flushed = NR;
	for (unit = 100; unit < 130; unit++)
		if (!write_unit(run, th, unit))
			return false;
	return does(run, thin2_unmap(th, 1000, 2000, false, &done));
}

static bool messages(struct run *run)
{
	struct thin2_md *md = run->pool.md;
	struct thin2_root root;

	if (!does(run, thin2_create(md, 20)) || !does(run, thin2_create_snap(md, 9, 1)))
		return false;
	run->snap = true;
	if (!does(run, thin2_delete(md, 8)))
		return false;
	run->deleted = true;
	return does(run, thin2_get_root(md, 9, &root)) && does(run, thin2_put_root(md, 9)) &&
	       does(run, thin2_md_resize(md, GROWN, md->sb.meta_blocks));
}

/* All of it. What is deleted goes step by step, behind commits. */
static void work(struct run *run)
{
	struct thin2_md *md = run->pool.md;
	struct thin2_dev *th;
	unsigned int i;
	bool good;

	if (!does(run, thin2_dev_open(md, 1, &th)))
		return;
	good = write_and_flush(run, th) && messages(run);
	for (i = 0; i < 8 && good; i++)
		good = write_unit(run, th, BEGIN + 3 * i);
	thin2_dev_close(th);
	if (!good || !does(run, thin2_checkpoint(md)))
		return;
	for (i = 0; i < 200 && good && (i < 2 || thin2_has_garbage(md)); i++)
		good = does(run, thin2_work(md, true));
	if (good && thin2_has_garbage(md))
		fail_msg("allocation %u fails, then what was deleted stays", run->n);
	if (good)
		assert_u64(md->alloc.nr_units, GROWN);
}

/* ---- afterwards ---- */

static int count_units(void *context, const struct pdata_range *r)
{
	if (r->kind == PDATA_RANGE_MAPPED && r->begin >= BEGIN)
		*(u64 *)context += r->len;
	return 0;
}

static int find_thins(void *context, const struct thin2_details *d)
{
	struct thin2_details *thin = context;

	if (d->id < 10 && !(d->flags & PDATA_THIN_TOMBSTONE))
		thin[d->id] = *d;
	return 0;
}

static u64 units_of(struct thin2_md *md, const struct thin2_details *d)
{
	u64 units = 0;

	assert_ok(thin2_walk(md, d, count_units, &units));
	return units;
}

static void in_order(struct run *run)
{
	char *report;
	int status;

	memset(run->img.checked, 0, run->img.io.nr_blocks);
	report = image_tool(&run->img, thin2_check_main, NULL, false, &status);
	if (status)
		fail_msg("allocation %u failed; the disk is not in order:\n%s", run->n, report);
	free(report);
}

static void check_disk(struct run *run)
{
	struct image_pool pool = { .limits = &limits };
	struct thin2_details thin[10] = { 0 };

	in_order(run);
	assert_ok(image_open(&run->img, &pool, GROWN, true));
	assert_ok(thin2_for_each_details(pool.md, false, find_thins, thin));
	if (units_of(pool.md, &thin[1]) < run->flushed)
		fail_msg("allocation %u failed; units that were flushed are lost", run->n);
	/* What has failed has not happened, either. */
	if (run->snap != !!thin[9].uid || run->deleted != !thin[8].uid)
		fail_msg("allocation %u failed; the snapshot was%s taken and is%s there; another was%s deleted and is%s there",
			 run->n, run->snap ? "" : " not", thin[9].uid ? "" : " not",
			 run->deleted ? "" : " not", thin[8].uid ? "" : " not");
	if (run->snap)
		assert_u64(units_of(pool.md, &thin[9]), NR);
	thin2_md_abandon(pool.md);
}

/* Return: whether there was an allocation @n. */
static bool fail_one(struct run *run, const struct image *good)
{
	const unsigned long failed = pdata_shim_failed_allocs();
	int r;

	image_restore(&run->img, good);
	run->flushed = 0;
	run->snap = run->deleted = false;
	pdata_shim_fail_alloc_after(run->n);
	r = image_open(&run->img, &run->pool, UNITS, false);
	if (r == -ENOMEM)
		r = image_open(&run->img, &run->pool, UNITS, false);
	if (r)
		fail_msg("allocation %u fails, then the pool does not open: %s", run->n,
			 pdata_error_text(r));
	work(run);
	if (run->pool.md->failed) {
		run->failed++;
		thin2_md_abandon(run->pool.md);
	} else {
		/* It may not be said that all is well when the last checkpoint failed. */
		r = thin2_md_close(run->pool.md);
		if (r && r != -ENOMEM && r != -PDATA_E_FAILED)
			fail_msg("allocation %u fails, then the pool does not close: %s", run->n,
				 pdata_error_text(r));
		run->failed += r != 0;
	}
	run->pool.md = NULL;
	pdata_shim_fail_alloc_after(-1);
	check_disk(run);
	return pdata_shim_failed_allocs() != failed;
}

static void each_allocation(void **state)
{
	struct run run = { .pool.limits = &limits };
	struct image good;

	image_tell(&good, &story, NULL);
	image_init(&run.img, story.blocks);
	while (fail_one(&run, &good))
		run.n++;
	print_message("%u allocations failed, %u pools gave up\n", run.n, run.failed);
	assert_true(run.n > 200);
	image_exit(&run.img);
	image_exit(&good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_allocation, test_quiet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
