// SPDX-License-Identifier: GPL-2.0-only
/*
 * Range maps that forget and read again: what a miss brings in, what eviction
 * takes and leaves, and changes that come between a fill's read of the tree and
 * its entries. Content is compared with the pool simulator's model.
 */
#include "pool-sim.h"
#include "testlib.h"

/* A metadata device that lets a test step in when a block is read. */
struct stepping_io {
	struct pdata_io io;
	struct pdata_io *real;
	void (*step)(void *context);
	void *context;
	u64 gets;
};

static struct stepping_io *stepping(struct pdata_io *io)
{
	return container_of(io, struct stepping_io, io);
}

static int s_get(struct pdata_io *io, u64 block, struct pdata_io_ref *ref)
{
	struct stepping_io *s = stepping(io);
	void (*step)(void *context) = s->step;

	s->gets++;
	if (step) {
		/* What the step itself reads does not count. */
		s->step = NULL;
		step(s->context);
		s->step = step;
	}
	return pdata_io_get(s->real, block, ref);
}

static void s_put(struct pdata_io *io, struct pdata_io_ref *ref)
{
	pdata_io_put(stepping(io)->real, ref);
}

static int s_read(struct pdata_io *io, u64 block, void *data)
{
	return pdata_io_read(stepping(io)->real, block, data);
}

static int s_write(struct pdata_io *io, const struct pdata_io_vec *vec, unsigned int n, bool fua)
{
	return pdata_io_write(stepping(io)->real, vec, n, fua);
}

static int s_flush(struct pdata_io *io)
{
	return pdata_io_flush(stepping(io)->real);
}

static const struct pdata_io_ops stepping_ops = {
	.get = s_get, .put = s_put, .read = s_read, .write = s_write, .flush = s_flush,
};

#define UNITS	512u

struct fixture {
	struct sim_clock clock;
	struct sim_disk *disk;
	struct stepping_io io;
	struct thin2_md *md;
	struct thin2_dev *th;
	u64 phys[UNITS];	/* model: 0 = a hole, else data unit + 1 */
	u64 rnd;
	struct list_head freed;
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

static void open_pool(struct fixture *f)
{
	static const struct pdata_limits limits = { .btree_max = 8, .fanout = 4, .leaf_max = 40 };
	struct thin2_md_params p = {
		.io = &f->io.io, .name = "cache", .data_units = 8 * UNITS, .data_block_size = 8,
		.ops = &ops, .context = f, .group_units = UNITS, .limits = &limits,
	};

	assert_ok(thin2_md_open(&p, &f->md));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->rnd = test_seed();
	INIT_LIST_HEAD(&f->freed);
	sim_clock_init(&f->clock, 1);
	f->disk = sim_disk_create(2048, &f->clock);
	f->io.io = f->disk->io;
	f->io.io.ops = &stepping_ops;
	f->io.real = &f->disk->io;
	open_pool(f);
	assert_ok(thin2_create(f->md, 1));
	assert_ok(thin2_dev_open(f->md, 1, &f->th));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	f->io.step = NULL;
	thin2_release(f->md, &f->freed);
	thin2_dev_close(f->th);
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
}

static void lookup(struct fixture *f, u64 unit, bool write, struct thin2_where *w)
{
	unsigned int tries = 0;

	for (;;) {
		thin2_lookup(f->th, unit, unit + 1, write, w);
		if (w->action != THIN2_FILL)
			return;
		assert_true(tries++ < 10000);
		assert_ok(thin2_fill(f->th, unit, unit + 1));
	}
}

/* Map one unit anew, wherever it was. */
static void map_unit(struct fixture *f, u64 unit)
{
	struct thin2_where where;
	struct thin2_write w;
	int r;

	for (;;) {
		lookup(f, unit, true, &where);
		if (where.action == THIN2_REMAP) {
			assert_u64(where.phys + 1, f->phys[unit]);
			return;
		}
		r = thin2_write_begin(f->th, unit, unit + 1, &w);
		if (!r)
			break;
		if (r != -PDATA_E_RETRY && r != -PDATA_E_MISS)
			assert_ok(thin2_make_room(f->th, r));
	}
	f->phys[unit] = w.phys + 1;
	thin2_write_end(&w, 0);
}

static void unmap_unit(struct fixture *f, u64 unit)
{
	u64 done;

	assert_ok(thin2_unmap(f->th, unit, unit + 1, false, &done));
	f->phys[unit] = 0;
}

static void check_unit(struct fixture *f, u64 unit)
{
	struct thin2_where w;

	lookup(f, unit, false, &w);
	assert_int_equal(w.action, f->phys[unit] ? THIN2_REMAP : THIN2_ZERO);
	if (f->phys[unit])
		assert_u64(w.phys + 1, f->phys[unit]);
}

static void check_all(struct fixture *f)
{
	u64 unit;

	for (unit = 0; unit < UNITS; unit++)
		check_unit(f, unit);
}

static void forget_all(struct fixture *f)
{
	u64 gone = thin2_evict(f->md, ~0ull, THIN2_EVICT_ALL);

	assert_true(gone || !thin2_cached_ranges(f->md) || atomic64_read(&f->md->nr_dirty));
}

/* Scattered over the data device, every second unit or all of them. */
static void scatter(struct fixture *f, unsigned int step)
{
	u64 i;

	for (i = 0; i < UNITS; i++)
		if ((i * 37 % UNITS) % step == 0)
			map_unit(f, i * 37 % UNITS);
	checkpoint(f);
}

/* ---- a miss ---- */

static void miss_fills_a_window(void **state)
{
	struct fixture *f = *state;
	u64 unit, fills, hit = 0;
	struct thin2_where w;

	scatter(f, 2);
	forget_all(f);
	assert_u64(thin2_cached_ranges(f->md), 0);
	f->md->fill_ranges = 16;
	fills = atomic64_read(&f->md->nr_fills);
	check_unit(f, 300);
	assert_u64(atomic64_read(&f->md->nr_fills), fills + 1);
	assert_u64(thin2_cached_ranges(f->md), 16);
	/* as many units as entries, on both sides unless the leaf ended */
	for (unit = 0; unit < UNITS; unit++) {
		thin2_lookup(f->th, unit, unit + 1, false, &w);
		if (w.action == THIN2_FILL)
			continue;
		hit++;
		assert_int_equal(w.action, f->phys[unit] ? THIN2_REMAP : THIN2_ZERO);
		assert_true(unit > 300 - 16 && unit < 300 + 16);
	}
	assert_u64(hit, 16);

	check_all(f);
	fills = atomic64_read(&f->md->nr_fills) - fills;
	assert_true(fills >= UNITS / 16 && fills < UNITS / 6);
}

static void miss_without_memory_fills_one(void **state)
{
	struct fixture *f = *state;

	scatter(f, 2);
	forget_all(f);
	pdata_shim_fail_alloc_after(0);
	check_unit(f, 100);
	pdata_shim_fail_alloc_after(-1);
	assert_u64(thin2_cached_ranges(f->md), 1);
	check_all(f);
}

/* One unit of 512 is missing between entries that are not the tree's. */
static void fill_leaves_newer_entries(void **state)
{
	struct fixture *f = *state;
	u64 unit;

	scatter(f, 1);
	forget_all(f);
	for (unit = 0; unit < UNITS; unit += 3)
		unmap_unit(f, unit);
	check_all(f);
	checkpoint(f);
	forget_all(f);
	check_all(f);
}

/* One hole in the tree, many changes inside of it: one fill does not walk them all. */
static void fill_of_a_hole_is_bounded(void **state)
{
	struct fixture *f = *state;
	u64 unit, before;

	for (unit = 1; unit < UNITS; unit += 2)
		map_unit(f, unit);
	forget_all(f);
	before = thin2_cached_ranges(f->md);
	assert_u64(before, UNITS / 2);
	f->md->fill_ranges = 8;
	check_unit(f, 200);
	assert_true(thin2_cached_ranges(f->md) <= before + 17);
	check_all(f);
}

/* ---- eviction ---- */

static void dirty_entries_stay(void **state)
{
	struct fixture *f = *state;
	struct thin2_write w;

	scatter(f, 2);
	map_unit(f, 1);
	map_unit(f, 3);
	check_unit(f, 5);
	assert_ok(thin2_write_begin(f->th, 5, 6, &w));
	forget_all(f);
	assert_u64(thin2_cached_ranges(f->md), 3);
	thin2_write_end(&w, 0);
	f->phys[5] = w.phys + 1;
	check_all(f);
	checkpoint(f);
	forget_all(f);
	assert_u64(thin2_cached_ranges(f->md), 0);
	check_all(f);
}

/* Regions are 256 units: 0 is used, 1 is not. */
static void used_regions_stay_once(void **state)
{
	struct fixture *f = *state;
	struct thin2_where w;
	u64 unit, left;

	scatter(f, 1);
	thin2_evict(f->md, 1, THIN2_EVICT_ALL);		/* marks begin now */
	check_all(f);
	/* clears the marks of that; the hole behind has none, the hand's own region is met twice */
	assert_true(thin2_evict(f->md, UNITS, THIN2_EVICT_BACKGROUND) <= 2);
	for (unit = 0; unit < 256; unit += 16)
		check_unit(f, unit);
	assert_true(thin2_evict(f->md, UNITS, THIN2_EVICT_RECLAIM) >= 200);
	thin2_lookup(f->th, 17, 18, false, &w);
	assert_int_equal(w.action, THIN2_REMAP);
	thin2_lookup(f->th, 270, 271, false, &w);
	assert_int_equal(w.action, THIN2_FILL);
	left = thin2_cached_ranges(f->md);
	assert_true(left && left <= 257);
	/* looked at by hand just now */
	assert_true(thin2_evict(f->md, UNITS, THIN2_EVICT_BACKGROUND) <= 2);
	assert_true(thin2_evict(f->md, UNITS, THIN2_EVICT_BACKGROUND) >= left - 2);
	check_all(f);
}

static void without_memory_nothing_breaks(void **state)
{
	struct fixture *f = *state;
	u64 all;

	scatter(f, 2);
	check_all(f);
	all = thin2_cached_ranges(f->md);
	pdata_shim_fail_alloc_from(0);
	assert_u64(thin2_evict(f->md, UNITS, THIN2_EVICT_ALL), 0);
	pdata_shim_fail_alloc_after(-1);
	assert_u64(thin2_cached_ranges(f->md), all);
	assert_u64(thin2_evict(f->md, UNITS, THIN2_EVICT_ALL), all);
	check_all(f);
}

static void some_is_some(void **state)
{
	struct fixture *f = *state;
	u64 all, gone;

	scatter(f, 2);
	forget_all(f);
	check_all(f);
	all = thin2_cached_ranges(f->md);
	assert_true(all >= UNITS / 2);
	gone = thin2_evict(f->md, 100, THIN2_EVICT_ALL);
	assert_u64(gone, 100);
	assert_u64(thin2_cached_ranges(f->md), all - 100);
	assert_u64(thin2_evict(f->md, 100, THIN2_EVICT_ALL), 100);
	check_all(f);
}

/* ---- between read and entry ---- */

static unsigned int steps_left;

static void meddle(void *context)
{
	struct fixture *f = context;

	switch (rnd_below(&f->rnd, 6)) {
	case 0:
		map_unit(f, rnd_below(&f->rnd, UNITS));
		break;
	case 1:
		unmap_unit(f, rnd_below(&f->rnd, UNITS));
		break;
	case 2:
		checkpoint(f);
		break;
	case 3:
		thin2_evict(f->md, 1 + rnd_below(&f->rnd, UNITS), rnd_below(&f->rnd, 3));
		break;
	case 4:
		/* all that makes what was read stale */
		map_unit(f, rnd_below(&f->rnd, 40));
		unmap_unit(f, rnd_below(&f->rnd, 40));
		checkpoint(f);
		forget_all(f);
		break;
	default:
		check_unit(f, rnd_below(&f->rnd, 40));
	}
}

static void meddle_sometimes(void *context)
{
	struct fixture *f = context;

	if (!steps_left)
		return;
	steps_left--;
	while (!rnd_one_in(&f->rnd, 3))
		meddle(context);
}

static void changes_between_read_and_entry(void **state)
{
	struct fixture *f = *state;
	u64 n = test_rounds(1500), i;

	scatter(f, 2);
	f->io.context = f;
	for (i = 0; i < n; i++) {
		f->md->fill_ranges = 1 + rnd_below(&f->rnd, 32);
		/* the meddler's own reads are not met with */
		steps_left = 1 + rnd_below(&f->rnd, 3);
		f->io.step = meddle_sometimes;
		check_unit(f, rnd_below(&f->rnd, 40));
		steps_left = 0;
		f->io.step = NULL;
		meddle(f);
		if (i % 50 == 0)
			check_all(f);
	}
	forget_all(f);
	check_all(f);
}

/* Evictions elsewhere in the thin do not send a fill back. */
static void evict_some(void *context)
{
	struct fixture *f = context;

	thin2_evict(f->md, UNITS, THIN2_EVICT_ALL);
}

static void eviction_does_not_stale_fills(void **state)
{
	struct fixture *f = *state;
	struct thin2_where w;

	scatter(f, 2);
	forget_all(f);
	check_unit(f, 400);
	f->io.context = f;
	f->io.step = evict_some;
	assert_ok(thin2_fill(f->th, 100, 101));
	f->io.step = NULL;
	thin2_lookup(f->th, 100, 101, false, &w);
	assert_int_equal(w.action, THIN2_REMAP);
	check_all(f);
}

/* A change that reaches over many leaves: entries of all of it can be forgotten. */
static void long_changes_become_clean(void **state)
{
	struct fixture *f = *state;
	u64 unit;

	scatter(f, 1);
	assert_ok(thin2_create_snap(f->md, 2, 1));
	for (unit = 0; unit < UNITS; unit++)
		map_unit(f, unit);
	checkpoint(f);
	check_all(f);
	thin2_evict(f->md, ~0ull, THIN2_EVICT_ALL);
	assert_u64(thin2_cached_ranges(f->md), 0);
	check_all(f);
}

int main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(long_changes_become_clean),
		T(miss_fills_a_window),
		T(miss_without_memory_fills_one),
		T(fill_leaves_newer_entries),
		T(fill_of_a_hole_is_bounded),
		T(dirty_entries_stay),
		T(used_regions_stay_once),
		T(without_memory_nothing_breaks),
		T(some_is_some),
		T(changes_between_read_and_entry),
		T(eviction_does_not_stale_fills),
	};

	return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
