// SPDX-License-Identifier: GPL-2.0-only
/*
 * A long merge lets others have the metadata lock: what they do in between,
 * and what the merge makes of it.
 */
#include "testlib.h"

#include <pthread.h>

#include "dm-thin2-internal.h"

#define UNITS	4096
#define THINS	3
#define ROUNDS	6

struct fixture {
	struct sim_clock clock;
	struct sim_disk *disk;
	struct thin2_md *md;
	struct thin2_dev *th[THINS];
	u64 phys[THINS][UNITS];		/* + 1, 0 = a hole */
	bool merging;			/* atomic */
	bool stop;			/* atomic */
	unsigned int inside;		/* operations begun and ended while merging */
};

static int no_flush(void *context)
{
	return 0;
}

static void nothing(void *context)
{
}

static void release(void *context, struct list_head *batch)
{
	struct fixture *f = context;

	thin2_release(f->md, batch);
}

static const struct thin2_md_ops ops = {
	.flush_data = no_flush, .drain = nothing, .freed = release, .wake = nothing,
};

static void open_pool(struct fixture *f)
{
	static const struct pdata_limits limits = { .leaf_max = 32 };
	struct thin2_md_params p = {
		.io = &f->disk->io, .name = "break", .data_units = 64 * UNITS,
		.data_block_size = 8, .ops = &ops, .context = f, .group_units = UNITS,
		.limits = &limits,
	};
	unsigned int i;

	assert_ok(thin2_md_open(&p, &f->md));
	for (i = 0; i < THINS; i++) {
		if (!f->phys[0][0])
			assert_ok(thin2_create(f->md, i));
		assert_ok(thin2_dev_open(f->md, i, &f->th[i]));
	}
}

static void close_pool(struct fixture *f)
{
	unsigned int i;

	for (i = 0; i < THINS; i++)
		thin2_dev_close(f->th[i]);
	assert_ok(thin2_md_close(f->md));
}

static void lookup(struct thin2_dev *th, u64 unit, bool write, struct thin2_where *w)
{
	for (;;) {
		thin2_lookup(th, unit, unit + 1, write, w);
		if (w->action != THIN2_FILL)
			return;
		assert_ok(thin2_fill(th, unit, unit + 1));
	}
}

static void map_unit(struct fixture *f, unsigned int i, u64 unit)
{
	struct thin2_where where;
	struct thin2_write w;
	int r;

	for (;;) {
		lookup(f->th[i], unit, true, &where);
		if (where.action == THIN2_REMAP) {
			assert_u64(where.phys + 1, f->phys[i][unit]);
			return;
		}
		r = thin2_write_begin(f->th[i], unit, unit + 1, &w);
		if (!r)
			break;
		if (r != -PDATA_E_RETRY && r != -PDATA_E_MISS)
			assert_ok(thin2_make_room(f->th[i], r));
	}
	f->phys[i][unit] = w.phys + 1;
	thin2_write_end(&w, 0);
}

static void check_all(struct fixture *f)
{
	struct thin2_where w;
	unsigned int i;
	u64 unit;

	for (i = 0; i < THINS; i++)
		for (unit = 0; unit < UNITS; unit++) {
			lookup(f->th[i], unit, false, &w);
			assert_int_equal(w.action, f->phys[i][unit] ? THIN2_REMAP : THIN2_ZERO);
			if (f->phys[i][unit])
				assert_u64(w.phys + 1, f->phys[i][unit]);
		}
}

/* Snapshots of a thin that is being merged, come and gone. */
static void *others(void *context)
{
	struct fixture *f = context;
	struct thin2_pool_status s;
	struct thin2_dev *snap;
	unsigned int n = 0;
	bool before;

	while (!__atomic_load_n(&f->stop, __ATOMIC_ACQUIRE)) {
		before = __atomic_load_n(&f->merging, __ATOMIC_ACQUIRE);
		assert_ok(thin2_create_snap(f->md, 100, n++ % THINS));
		assert_ok(thin2_dev_open(f->md, 100, &snap));
		thin2_dev_close(snap);
		assert_ok(thin2_delete(f->md, 100));
		thin2_pool_status(f->md, &s);
		if (before && __atomic_load_n(&f->merging, __ATOMIC_ACQUIRE))
			f->inside++;
	}
	return NULL;
}

static void test_break(void **state)
{
	u64 rnd = test_seed();
	struct fixture f = { 0 };
	unsigned int round, n;
	pthread_t thread;

	sim_clock_init(&f.clock, 1);
	f.disk = sim_disk_create(16384, &f.clock);
	open_pool(&f);
	map_unit(&f, 0, 0);
	assert_int_equal(pthread_create(&thread, NULL, others, &f), 0);
	for (round = 0; round < ROUNDS; round++) {
		for (n = 0; n < UNITS; n++)
			map_unit(&f, rnd_below(&rnd, THINS), rnd_below(&rnd, UNITS));
		__atomic_store_n(&f.merging, true, __ATOMIC_RELEASE);
		assert_ok(thin2_checkpoint(f.md));
		__atomic_store_n(&f.merging, false, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&f.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	print_message("%u rounds of operations inside of a merge\n", f.inside);
	assert_true(f.inside);
	check_all(&f);

	close_pool(&f);
	open_pool(&f);
	check_all(&f);
	close_pool(&f);
	sim_disk_destroy(f.disk);
}

/* Somebody who never goes away costs a commit a step, but the merge ends. */
static void test_no_livelock(void **state)
{
	struct fixture f = { 0 };
	s64 before;
	u64 unit;

	sim_clock_init(&f.clock, 1);
	f.disk = sim_disk_create(16384, &f.clock);
	open_pool(&f);
	for (unit = 0; unit < UNITS; unit++)
		map_unit(&f, unit % THINS, unit);
	before = atomic64_read(&f.md->nr_checkpoints);
	atomic_inc(&f.md->nr_waiting);
	assert_ok(thin2_checkpoint(f.md));
	atomic_dec(&f.md->nr_waiting);
	assert_true(atomic64_read(&f.md->nr_checkpoints) > before + 3 * THINS);
	check_all(&f);
	close_pool(&f);
	sim_disk_destroy(f.disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_break),
		cmocka_unit_test(test_no_livelock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
