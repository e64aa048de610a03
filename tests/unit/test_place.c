// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where new data goes: chunks that are filled in any order end as one range,
 * streams keep to aligned runs, and nothing of a chunk is held back.
 */
#include "dm-thin2-internal.h"
#include "testlib.h"

#define UNITS	1024u		/* of a thin */
#define CHUNK	16u
#define THINS	8u

struct fixture {
	struct sim_clock clock;
	struct sim_disk *disk;
	struct thin2_md *md;
	struct thin2_dev *th[THINS];
	u64 phys[THINS][UNITS];	/* + 1; 0 = not mapped */
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

static void open_pool(struct fixture *f, u64 data_units)
{
	struct thin2_md_params p = {
		.io = &f->disk->io, .name = "place", .data_units = data_units,
		.data_block_size = CHUNK * 8, .ops = &ops, .context = f,
	};

	assert_ok(thin2_md_open(&p, &f->md));
	thin2_set_placement(f->md, CHUNK, 0);
}

static void open_thins(struct fixture *f, unsigned int nr, bool create)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (create)
			assert_ok(thin2_create(f->md, i));
		assert_ok(thin2_dev_open(f->md, i, &f->th[i]));
	}
}

static void close_pool(struct fixture *f)
{
	unsigned int i;

	thin2_release(f->md, &f->freed);
	for (i = 0; i < THINS; i++)
		if (f->th[i])
			thin2_dev_close(f->th[i]);
	memset(f->th, 0, sizeof(f->th));
	assert_ok(thin2_md_close(f->md));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->rnd = test_seed();
	INIT_LIST_HEAD(&f->freed);
	sim_clock_init(&f->clock, 1);
	f->disk = sim_disk_create(2048, &f->clock);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close_pool(f);
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

/* Write @len units, whatever is there. 0, or why there is no room. */
static int put(struct fixture *f, unsigned int thin, u64 unit, u64 len)
{
	struct thin2_dev *th = f->th[thin];
	struct thin2_where where;
	struct thin2_write w;
	u64 i;
	int r;

	while (len) {
		thin2_lookup(th, unit, unit + len, true, &where);
		if (where.action == THIN2_FILL) {
			assert_ok(thin2_fill(th, unit, unit + len));
			continue;
		}
		if (where.action == THIN2_REMAP) {
			len -= where.end - unit;
			unit = where.end;
			continue;
		}
		r = thin2_write_begin(th, unit, unit + len, &w);
		if (r == -PDATA_E_DATA_NOSPC)
			return r;
		if (r == -PDATA_E_MISS || r == -PDATA_E_RETRY)
			continue;
		if (r) {
			assert_ok(thin2_make_room(th, r));
			thin2_release(f->md, &f->freed);
			continue;
		}
		for (i = 0; i < w.len; i++)
			f->phys[thin][unit + i] = w.phys + i + 1;
		thin2_write_end(&w, 0);
		unit += w.len;
		len -= w.len;
	}
	return 0;
}

/* Each unit of [0, nr) once, in random order. */
static void put_scattered(struct fixture *f, unsigned int thin, u64 nr)
{
	u64 order[UNITS], i, j;

	for (i = 0; i < nr; i++) {
		j = rnd_below(&f->rnd, i + 1);
		order[i] = order[j];
		order[j] = i;
	}
	for (i = 0; i < nr; i++)
		assert_ok(put(f, thin, order[i], 1));
}

/* Pieces that a thin's [0, nr) lies in. */
static unsigned int pieces(struct fixture *f, unsigned int thin, u64 nr)
{
	unsigned int n = 0;
	u64 i;

	for (i = 0; i < nr; i++)
		if (f->phys[thin][i] && (!i || f->phys[thin][i] != f->phys[thin][i - 1] + 1))
			n++;
	return n;
}

/* All chunks in one piece, aligned. */
static void check_chunks(struct fixture *f, unsigned int thin, u64 nr)
{
	u64 i;

	for (i = 0; i < nr; i++)
		assert_u64((f->phys[thin][i] - 1) % CHUNK, i % CHUNK);
	assert_true(pieces(f, thin, nr) <= nr / CHUNK);
}

static int count_range(void *context, const struct pdata_range *r)
{
	unsigned int *nr = context;

	(*nr)++;
	return 0;
}

static unsigned int tree_ranges(struct fixture *f, unsigned int thin)
{
	unsigned int nr = 0;

	assert_ok(thin2_walk(f->md, &f->th[thin]->details, count_range, &nr));
	return nr;
}

static void random_fill_becomes_chunks(void **state)
{
	struct fixture *f = *state;

	open_pool(f, 4 * UNITS);
	open_thins(f, 1, true);
	put_scattered(f, 0, UNITS);
	check_chunks(f, 0, UNITS);
	checkpoint(f);
	assert_true(tree_ranges(f, 0) <= UNITS / CHUNK);
}

/* Memory only knows what the trees say: after eviction, and in a new activation. */
static void goes_on_after_a_restart(void **state)
{
	struct fixture *f = *state;
	u64 i;

	open_pool(f, 4 * UNITS);
	open_thins(f, 1, true);
	for (i = 0; i < UNITS; i += 3)
		assert_ok(put(f, 0, i, 1));
	checkpoint(f);
	thin2_evict(f->md, ~0ull, THIN2_EVICT_ALL);
	for (i = 1; i < UNITS; i += 3)
		assert_ok(put(f, 0, i, 1));
	close_pool(f);
	open_pool(f, 4 * UNITS);
	open_thins(f, 1, false);
	for (i = 2; i < UNITS; i += 3)
		assert_ok(put(f, 0, i, 1));
	check_chunks(f, 0, UNITS);
}

static void overwrites_after_a_snapshot(void **state)
{
	struct fixture *f = *state;
	u64 old[UNITS], i;

	open_pool(f, 8 * UNITS);
	open_thins(f, 1, true);
	assert_ok(put(f, 0, 0, UNITS));
	memcpy(old, f->phys[0], sizeof(old));
	assert_ok(thin2_create_snap(f->md, 1, 0));
	put_scattered(f, 0, UNITS);
	for (i = 0; i < UNITS; i++)
		assert_true(old[i] != f->phys[0][i]);
	check_chunks(f, 0, UNITS);
}

/* Eight at once, 4 KiB at a time: at most 1.05 pieces a MiB, in any interleaving. */
static void sequential_writers(void **state)
{
	struct fixture *f = *state;
	u64 next[THINS] = { 0 }, all = 0;
	unsigned int i, n = 0;

	open_pool(f, 4 * THINS * UNITS);
	open_thins(f, THINS, true);
	while (all < THINS * UNITS) {
		i = rnd_below(&f->rnd, THINS);
		if (next[i] == UNITS)
			continue;
		assert_ok(put(f, i, next[i]++, 1));
		all++;
	}
	for (i = 0; i < THINS; i++)
		n += pieces(f, i, UNITS);
	assert_true(n * 100 <= THINS * UNITS / 256 * 105);
}

/* One unit in each chunk of one thin, then another takes all there is. */
static void nothing_is_held(void **state)
{
	struct fixture *f = *state;
	u64 i, used = 0;

	open_pool(f, UNITS);
	open_thins(f, 2, true);
	for (i = 0; i < UNITS; i += CHUNK, used++)
		assert_ok(put(f, 0, i, 1));
	assert_u64(pdata_alloc_free(&f->md->alloc), UNITS - used);
	for (i = 0; i < UNITS && !put(f, 1, i, 1); i++)
		used++;
	assert_u64(used, UNITS);
	assert_u64(pdata_alloc_free(&f->md->alloc), 0);
}

/* Streams begin at multiples of the erase size, also when it changes. */
static void runs_of_the_erase_size(void **state)
{
	struct fixture *f = *state;
	unsigned int i;
	u64 size;

	open_pool(f, 64 * UNITS);
	open_thins(f, THINS, true);
	for (size = 64; size <= 1024; size *= 4) {
		thin2_set_placement(f->md, CHUNK, size);
		for (i = 0; i < 2; i++) {
			const unsigned int thin = rnd_below(&f->rnd, THINS);
			u64 done;

			assert_ok(thin2_unmap(f->th[thin], 0, UNITS, false, &done));
			/* A stream that begins anew. */
			thin2_dev_close(f->th[thin]);
			checkpoint(f);
			assert_ok(thin2_dev_open(f->md, thin, &f->th[thin]));
			assert_ok(put(f, thin, 0, 64));
			assert_u64((f->phys[thin][0] - 1) % size, 0);
			assert_u64(f->phys[thin][63], f->phys[thin][0] + 63);
		}
	}
}

/* A place that was freed may be taken again only when it is free: quarantine holds. */
static void not_before_it_is_free(void **state)
{
	struct fixture *f = *state;
	u64 was, done;

	open_pool(f, 4 * UNITS);
	open_thins(f, 1, true);
	assert_ok(put(f, 0, 0, CHUNK));
	was = f->phys[0][5];
	assert_ok(thin2_unmap(f->th[0], 5, 6, false, &done));
	assert_ok(put(f, 0, 5, 1));
	assert_true(f->phys[0][5] != was);
	checkpoint(f);
	assert_ok(thin2_unmap(f->th[0], 5, 6, false, &done));
	checkpoint(f);
	assert_ok(put(f, 0, 5, 1));
	assert_u64(f->phys[0][5], was);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_fill_becomes_chunks, setup, teardown),
		cmocka_unit_test_setup_teardown(goes_on_after_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(overwrites_after_a_snapshot, setup, teardown),
		cmocka_unit_test_setup_teardown(sequential_writers, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_held, setup, teardown),
		cmocka_unit_test_setup_teardown(runs_of_the_erase_size, setup, teardown),
		cmocka_unit_test_setup_teardown(not_before_it_is_free, setup, teardown),
	};

	return cmocka_run_group_tests(tests, test_quiet, NULL);
}
