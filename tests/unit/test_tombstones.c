// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deleted origins: what is left of them while others descend from them, that it
 * shows nowhere, goes when it is not needed, and never costs what is not there.
 */
#include "script-pool.h"

static const struct pdata_limits small = { .btree_max = 4, .fanout = 4, .leaf_max = 4 };

/* ---- what the details have ---- */

static bool tombstone_of(struct pool *p, u64 uid, struct thin2_details *d)
{
	struct pdata_details_disk disk;
	int r;

	thin2_lock(p->md);
	r = thin2_details_lookup(p->md, PDATA_TOMBSTONE_KEY(uid), &disk);
	thin2_unlock(p->md);
	assert_true(!r || r == -PDATA_E_NOT_FOUND);
	if (!r)
		thin2_details_unpack(&disk, d);
	return !r;
}

static bool has_tombstone(struct pool *p, u64 uid)
{
	struct thin2_details d;

	return tombstone_of(p, uid, &d);
}

static struct thin2_details details_of(struct pool *p, u32 id)
{
	struct thin2_details d;

	thin2_lock(p->md);
	assert_ok(thin2_details_read(p->md, id, &d));
	thin2_unlock(p->md);
	return d;
}

static u64 uid_of(struct pool *p, u32 id)
{
	return details_of(p, id).uid;
}

static int count_tombstone(void *context, u64 key, const void *value)
{
	u64 *nr = context;

	*nr += key >> 63;
	return 0;
}

static u64 nr_tombstones(struct pool *p)
{
	u64 nr = 0;

	thin2_lock(p->md);
	assert_ok(thin2_details_walk(p->md, count_tombstone, &nr));
	thin2_unlock(p->md);
	return nr;
}

static int count_thin(void *context, const struct thin2_details *d)
{
	assert_false(d->flags & PDATA_THIN_TOMBSTONE);
	(*(u32 *)context)++;
	return 0;
}

static void assert_thins(struct pool *p, u32 nr)
{
	u32 found = 0;

	assert_ok(thin2_for_each_details(p->md, false, count_thin, &found));
	assert_int_equal(found, nr);
}

struct leaves {
	u64 first;
	u64 last;
};

static int see_node(void *context, u64 block, int level, int err)
{
	struct leaves *l = context;

	if (level)
		return 0;
	if (!l->first)
		l->first = block;
	l->last = block;
	return 0;
}

static struct leaves leaves_of(struct pool *p, const struct pdata_btree *t)
{
	struct pdata_view view = { .tm = &p->md->tm };
	struct leaves l = { 0 };

	assert_ok(pdata_btree_walk(t, &view, t->root, see_node, NULL, &l));
	assert_true(l.first != l.last);
	return l;
}

/* Tombstones that are not lost. */
static u64 count_readable(struct pool *p)
{
	u64 nr = 0;

	thin2_lock(p->md);
	assert_true(thin2_details_walk(p->md, count_tombstone, &nr) < 0);
	thin2_unlock(p->md);
	return nr;
}

/* Background work until there is none; returns how many rounds. */
static unsigned int work(struct pool *p)
{
	unsigned int rounds = 0;
	int r;

	while ((r = thin2_work(p->md, false)) > 0)
		rounds++;
	assert_ok(r);
	return rounds;
}

static void delete_origin(struct pool *p)
{
	thin2_dev_close(p->origin);
	p->origin = NULL;
	assert_ok(thin2_delete(p->md, 0));
}

/* The pool after a crash, without its origin. */
static void crash(struct pool *p)
{
	pool_abandon(p);
	sim_clock_crash(&p->clock);
	sim_clock_power_on(&p->clock, SIM_NONE);
	pool_open(p);
}

/* ---- tests ---- */

static void what_is_kept(void **state)
{
	struct thin2_details was, t;
	struct thin2_dev *th;
	struct pool p;

	pool_init(&p);
	write_base(&p);
	take_snap(&p);
	write_unit(&p, p.origin, 1, 55);
	assert_ok(thin2_checkpoint(p.md));
	was = details_of(&p, 0);
	delete_origin(&p);
	assert_true(tombstone_of(&p, was.uid, &t));
	assert_int_equal(t.flags, PDATA_THIN_TOMBSTONE);
	assert_u64(t.uid, was.uid);
	assert_int_equal(t.id, 0);
	assert_u64(t.root, 0);
	assert_u64(t.mapped_units, 0);
	assert_u64(t.leaf_sum, 0);
	assert_u64(t.applied_seq, was.applied_seq);
	assert_u64(t.created_gen, was.created_gen);
	assert_int_equal(t.create_time, was.create_time);
	assert_int_equal(t.snap_time, was.snap_time);

	/* It is no thin: not listed, not found, its id is free. */
	assert_thins(&p, 1);
	assert_int_equal(thin2_dev_open(p.md, 0, &th), -PDATA_E_NOT_FOUND);
	assert_int_equal(thin2_create_snap(p.md, 5, 0), -PDATA_E_NOT_FOUND);
	assert_int_equal(thin2_delete(p.md, 0), -PDATA_E_NOT_FOUND);
	work(&p);
	assert_true(has_tombstone(&p, was.uid));
	assert_ok(thin2_create(p.md, 0));
	assert_true(uid_of(&p, 0) != was.uid);
	assert_thins(&p, 2);
	crash(&p);
	assert_thins(&p, 2);
	assert_true(has_tombstone(&p, was.uid));

	/* The last one that needed it. */
	assert_ok(thin2_delete(p.md, 1));
	work(&p);
	assert_false(has_tombstone(&p, was.uid));
	assert_u64(nr_tombstones(&p), 0);
	crash(&p);
	assert_thins(&p, 1);
	assert_u64(nr_tombstones(&p), 0);
	pool_exit(&p);
}

/* Without descendants nothing is left, and a thin that was an origin once is none any more. */
static void nobody_descends(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	assert_ok(thin2_create_snap(p.md, 1, 0));
	assert_ok(thin2_delete(p.md, 1));
	assert_u64(nr_tombstones(&p), 0);
	assert_u64(p.md->nr_origins, 0);
	delete_origin(&p);
	assert_u64(nr_tombstones(&p), 0);
	work(&p);
	assert_thins(&p, 0);
	pool_exit(&p);
}

/* 0 <- 1 <- 2, 0 <- 3: the middle goes first, then the rest in all orders. */
static void chains(void **state)
{
	static const u32 order[6][3] = {
		{ 0, 2, 3 }, { 0, 3, 2 }, { 2, 0, 3 }, { 2, 3, 0 }, { 3, 0, 2 }, { 3, 2, 0 },
	};
	struct thin2_details was, t;
	bool gone[4], reopen;
	unsigned int i, k;
	struct pool p;
	u64 uid[4];

	for (i = 0; i < 12; i++) {
		reopen = i >= 6;
		memset(gone, 0, sizeof(gone));
		pool_init(&p);
		write_base(&p);
		assert_ok(thin2_create_snap(p.md, 1, 0));
		assert_ok(thin2_create_snap(p.md, 2, 1));
		assert_ok(thin2_create_snap(p.md, 3, 0));
		for (k = 0; k < 4; k++)
			uid[k] = uid_of(&p, k);
		thin2_dev_close(p.origin);
		p.origin = NULL;
		was = details_of(&p, 1);
		assert_ok(thin2_delete(p.md, 1));
		gone[1] = true;
		assert_true(tombstone_of(&p, uid[1], &t));
		assert_u64(t.origin_uid, uid[0]);
		assert_true(was.origin_seq);
		assert_u64(t.origin_seq, was.origin_seq);
		for (k = 0; k < 3; k++) {
			if (reopen)
				crash(&p);
			work(&p);
			assert_int_equal(has_tombstone(&p, uid[1]), !gone[2]);
			assert_int_equal(has_tombstone(&p, uid[0]),
					 gone[0] && !(gone[2] && gone[3]));
			assert_int_equal(has_tombstone(&p, uid[2]), false);
			assert_ok(thin2_delete(p.md, order[i % 6][k]));
			gone[order[i % 6][k]] = true;
		}
		work(&p);
		assert_u64(nr_tombstones(&p), 0);
		assert_u64(p.md->nr_origins, 0);
		pool_exit(&p);
	}
}

#define LONG	300

/* One snapshot of the last one each, and that is deleted: one thin, and a long chain. */
static void make_chain(struct pool *p, unsigned int nr)
{
	unsigned int i;

	thin2_dev_close(p->origin);
	p->origin = NULL;
	for (i = 0; i < nr; i++) {
		assert_ok(thin2_create_snap(p->md, i + 1, i));
		assert_ok(thin2_delete(p->md, i));
	}
	assert_u64(nr_tombstones(p), nr);
	assert_u64(p->md->nr_tombstones, nr);
}

/* A chain goes a bounded part at a time, and on from there after a crash. */
static void long_chain(void **state)
{
	u64 left, was = LONG - 5;
	struct pool p;
	unsigned int rounds = 0;

	/* Nothing is mapped, so that there is no tree to delete in the background. */
	pool_init(&p);
	make_chain(&p, LONG);
	assert_ok(thin2_delete(p.md, LONG));
	assert_u64(nr_tombstones(&p), LONG);
	thin2_lock(p.md);
	assert_ok(thin2_tombstones_step(p.md, 5));
	assert_ok(thin2_commit(p.md));
	thin2_unlock(p.md);
	assert_u64(nr_tombstones(&p), LONG - 5);
	for (;;) {
		assert_true(thin2_work(p.md, false) >= 0);
		left = nr_tombstones(&p);
		assert_true(left < was && was - left <= 64);
		if (!left)
			break;
		if (++rounds % 2)
			crash(&p);
		assert_u64(nr_tombstones(&p), left);
		assert_true(p.md->nr_childless == 1);
		was = left;
	}
	assert_true(rounds >= 4);
	work(&p);
	assert_u64(p.md->nr_origins, 0);
	pool_exit(&p);
}

/* Records of a deleted thin are still in the journal: nobody is to replay them. */
static void records_of_the_dead(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	take_snap(&p);
	write_unit(&p, p.snap, 50, 79);	/* keeps the journal's tail */
	write_unit(&p, p.origin, 3, 77);
	write_unit(&p, p.origin, 40, 78);
	assert_ok(thin2_flush(p.md));
	delete_origin(&p);
	assert_true(nr_tombstones(&p));
	crash(&p);
	assert_true(p.md->replayed);
	assert_null(thin2_dev_find(p.md, 0));
	assert_u64(atomic64_read(&p.md->nr_dirty), 1);
	assert_ok(thin2_dev_open(p.md, 1, &p.snap));
	assert_unit(&p, p.snap, 3, 103);
	assert_unit(&p, p.snap, 50, 79);
	assert_hole(p.snap, 40);
	assert_ok(thin2_checkpoint(p.md));
	assert_thins(&p, 1);
	pool_exit(&p);
}

/*
 * With metadata full, thins that others descend from can be deleted, one and
 * all: the place that their tombstones take was kept.
 */
static void full(void **state)
{
	unsigned int i, nr;
	struct pool p;
	u32 others = 0;
	u64 least = ~0ull;
	int r = 0;

	pool_init_limits(&p, &small);
	write_base(&p);
	for (nr = 0; nr < 120; nr++)
		assert_ok(thin2_create_snap(p.md, 1000 - 8 * (nr + 1), nr ? 1000 - 8 * nr : 0));
	/* Between the others, so that what is deleted leaves nodes half empty. */
	while (!r)
		for (i = 1; i < 1000 && !r; i++)
			if (i % 8) {
				r = thin2_create(p.md, i + 1000 * (others / 875));
				others += !r;
			}
	assert_int_equal(r, -PDATA_E_META_NOSPC);
	assert_true(others > 100);
	assert_ok(thin2_checkpoint(p.md));
	thin2_dev_close(p.origin);
	p.origin = NULL;
	for (i = 0; i < nr; i++) {
		assert_ok(thin2_delete(p.md, i ? 1000 - 8 * i : 0));
		assert_u64(nr_tombstones(&p), i + 1);
		least = min_t(u64, least, pdata_sm_free(&p.md->tm.sm, true));
	}
	assert_true(least >= thin2_reserve_blocks(p.md));
	assert_ok(thin2_checkpoint(p.md));
	assert_thins(&p, others + 1);
	assert_ok(thin2_delete(p.md, 1000 - 8 * nr));
	work(&p);
	assert_thins(&p, others);
	assert_u64(nr_tombstones(&p), 0);
	pool_exit(&p);
}

/* The last leaf holds the newest tombstone, whose origin must not seem to have no children. */
static void not_known(void **state)
{
	struct pool p;
	u64 block[2], left;
	unsigned int i;

	pool_init_limits(&p, &small);
	make_chain(&p, 20);
	for (i = 0; i < 2; i++)
		block[i] = leaves_of(&p, i ? &p.md->details_copy : &p.md->details).last;
	pool_abandon(&p);
	sim_clock_crash(&p.clock);
	sim_clock_power_on(&p.clock, SIM_NONE);
	for (i = 0; i < 2; i++)
		sim_flip_bit(p.meta, block[i], 8 * 3000);
	pool_open(&p);
	assert_true(p.md->origins_lost);
	left = count_readable(&p);
	assert_true(left > 10 && left < 20);
	assert_ok(thin2_checkpoint(p.md));
	work(&p);
	assert_u64(count_readable(&p), left);
	pool_exit(&p);
}

/* The same with damage elsewhere: deleting leaves a tombstone in any case. */
static void not_known_either(void **state)
{
	struct pool p;
	u64 block[2], uid;
	unsigned int i;

	pool_init_limits(&p, &small);
	for (i = 1; i < 12; i++)
		assert_ok(thin2_create(p.md, i));
	assert_ok(thin2_create_snap(p.md, 20, 11));
	uid = uid_of(&p, 20);
	for (i = 0; i < 2; i++)
		block[i] = leaves_of(&p, i ? &p.md->details_copy : &p.md->details).first;
	pool_abandon(&p);
	sim_clock_crash(&p.clock);
	sim_clock_power_on(&p.clock, SIM_NONE);
	for (i = 0; i < 2; i++)
		sim_flip_bit(p.meta, block[i], 8 * 3000);
	pool_open(&p);
	assert_true(p.md->origins_lost);
	assert_ok(thin2_delete(p.md, 20));
	assert_true(has_tombstone(&p, uid));
	work(&p);
	assert_true(has_tombstone(&p, uid));
	pool_exit(&p);
}

/* A snapshot that memory does not do for changes nothing, and is not counted. */
static void no_memory(void **state)
{
	struct thin2_dev *th;
	struct pool p;
	long n, clean = 0;
	int r;

	for (n = 0; n < 200; n++) {
		pool_init(&p);
		write_unit(&p, p.origin, 5, 5);
		pdata_shim_fail_alloc_after(n);
		r = thin2_create_snap(p.md, 1, 0);
		pdata_shim_fail_alloc_after(-1);
		if (!r) {
			assert_u64(p.md->nr_origins, 1);
			pool_exit(&p);
			assert_true(clean > 1);
			return;
		}
		if (!p.md->failed) {
			clean++;
			assert_u64(p.md->nr_origins, 0);
			assert_int_equal(thin2_dev_open(p.md, 1, &th), -PDATA_E_NOT_FOUND);
			assert_ok(thin2_create_snap(p.md, 1, 0));
			assert_u64(p.md->nr_origins, 1);
		}
		pool_exit(&p);
	}
	fail_msg("never enough memory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_kept),
		cmocka_unit_test(nobody_descends),
		cmocka_unit_test(chains),
		cmocka_unit_test(long_chain),
		cmocka_unit_test(records_of_the_dead),
		cmocka_unit_test(full),
		cmocka_unit_test(not_known),
		cmocka_unit_test(not_known_either),
		cmocka_unit_test(no_memory),
	};

	return cmocka_run_group_tests(tests, test_quiet, NULL);
}
