// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records are admitted only as far as the metadata has room to merge them
 * (invariant 13): whatever was, a checkpoint succeeds.
 */
#include "dm-thin2-internal.h"
#include "testlib.h"

#define META_BLOCKS	1024u
#define LEAF_RANGES	16u
#define LEAVES		40u
#define THINS		30u

struct fixture {
	struct sim_clock clock;
	struct sim_disk *disk;
	struct thin2_md *md;
	struct thin2_dev *th[THINS];
	struct list_head freed;
	u64 checkpoints;
	bool full;
};

static int no_flush(void *context)
{
	return 0;
}

static void nothing(void *context)
{
}

static void keep_freed(void *context, struct list_head *batch)
{
	struct fixture *f = context;

	list_splice_tail_init(batch, &f->freed);
}

static const struct thin2_md_ops ops = {
	.flush_data = no_flush, .drain = nothing, .freed = keep_freed, .wake = nothing,
};

static int setup(void **state)
{
	static const struct pdata_limits limits = { .leaf_max = LEAF_RANGES };
	struct fixture *f = calloc(1, sizeof(*f));
	struct thin2_md_params p = { 0 };

	assert_non_null(f);
	INIT_LIST_HEAD(&f->freed);
	sim_clock_init(&f->clock, 1);
	f->disk = sim_disk_create(META_BLOCKS, &f->clock);
	p = (struct thin2_md_params){
		.io = &f->disk->io, .name = "admission", .data_units = 1 << 16,
		.data_block_size = 8, .ops = &ops, .context = f, .limits = &limits,
	};
	assert_ok(thin2_md_open(&p, &f->md));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	for (i = 0; i < THINS; i++)
		if (f->th[i])
			thin2_dev_close(f->th[i]);
	thin2_release(f->md, &f->freed);
	assert_ok(thin2_md_close(f->md));
	while (!list_empty(&f->freed)) {
		struct pdata_freed *freed = list_first_entry(&f->freed, struct pdata_freed, list);

		list_del(&freed->list);
		kfree(freed);
	}
	sim_disk_destroy(f->disk);
	free(f);
	return 0;
}

static void checkpoint(struct fixture *f)
{
	assert_ok(thin2_checkpoint(f->md));
	thin2_release(f->md, &f->freed);
	f->checkpoints++;
}

/* Write one unit. Checkpoints only when the core wants them. */
static void put(struct fixture *f, unsigned int thin, u64 unit)
{
	struct thin2_dev *th = f->th[thin];
	struct thin2_where where;
	struct thin2_write w;
	int r;

	while (!f->full) {
		thin2_lookup(th, unit, unit + 1, true, &where);
		if (where.action == THIN2_FILL) {
			assert_ok(thin2_fill(th, unit, unit + 1));
			continue;
		}
		r = where.action == THIN2_REMAP ? 0 : thin2_write_begin(th, unit, unit + 1, &w);
		if (!r) {
			if (where.action != THIN2_REMAP)
				thin2_write_end(&w, 0);
			return;
		}
		if (r == -PDATA_E_META_NOSPC)
			f->full = true;
		else if (r == -PDATA_E_DIRTY_LIMIT)
			checkpoint(f);
		else
			assert_ok(thin2_make_room(th, r));
	}
}

/* Every second unit, so that nothing joins. */
static void fill_first(struct fixture *f)
{
	u64 i;

	assert_ok(thin2_create(f->md, 0));
	assert_ok(thin2_dev_open(f->md, 0, &f->th[0]));
	for (i = 0; i < LEAVES * LEAF_RANGES; i++)
		put(f, 0, 2 * i);
	assert_false(f->full);
	checkpoint(f);
}

/*
 * All thins share all leaves. Each writes a unit in each leaf: that would make
 * a copy of every leaf for every thin, more than there is room for.
 */
static void thins_that_share(void **state)
{
	struct fixture *f = *state;
	unsigned int i, leaf;

	fill_first(f);
	for (i = 1; i < THINS; i++) {
		assert_ok(thin2_create_snap(f->md, i, 0));
		assert_ok(thin2_dev_open(f->md, i, &f->th[i]));
	}
	f->checkpoints = 0;
	for (leaf = 0; leaf < LEAVES; leaf++)
		for (i = 0; i < THINS; i++)
			put(f, i, 2 * (leaf * LEAF_RANGES + i % LEAF_RANGES) + 1);
	assert_true(f->full);
	assert_true(f->checkpoints > 0);
	checkpoint(f);
	assert_false(f->md->failed);

	/* What needs no metadata goes on, and deleting brings room. */
	for (i = 1; i < THINS; i++) {
		thin2_dev_close(f->th[i]);
		f->th[i] = NULL;
		assert_ok(thin2_delete(f->md, i));
	}
	checkpoint(f);
	f->full = false;
	put(f, 0, 4 * LEAVES * LEAF_RANGES);
	assert_false(f->full);
}

/* The first record of one more thin may be one too many for those admitted before. */
static void limit_falls_with_thins(void **state)
{
	struct fixture *f = *state;
	u64 one, many;
	unsigned int i;

	fill_first(f);
	for (i = 1; i < 8; i++) {
		assert_ok(thin2_create_snap(f->md, i, 0));
		assert_ok(thin2_dev_open(f->md, i, &f->th[i]));
	}
	checkpoint(f);
	one = thin2_admit(f->md);
	for (i = 0; i < 8; i++)
		put(f, i, 1);
	many = thin2_admit(f->md);
	assert_true(many < one);
	checkpoint(f);
	assert_int_equal(atomic_read(&f->md->nr_noted), 0);
	assert_true(thin2_admit(f->md) > many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(thins_that_share, setup, teardown),
		cmocka_unit_test_setup_teardown(limit_falls_with_thins, setup, teardown),
	};

	return cmocka_run_group_tests(tests, test_quiet, NULL);
}
