// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replayed changes as an overlay: what a thin shows after a crash, before, while
 * and after they are merged, and what may come in between.
 */
#include "script-pool.h"

static const struct pdata_limits small_leaves = { .leaf_max = 4 };

/* After it all overlays are gone. */
static void merge(struct pool *p)
{
	assert_ok(thin2_checkpoint(p->md));
	assert_null(p->origin->overlay);
	assert_u64(atomic64_read(&p->md->nr_dirty), 0);
}

static bool is_hole(struct thin2_dev *th, u64 unit)
{
	struct thin2_where where;

	look(th, unit, false, &where);
	return where.action == THIN2_ZERO && where.hole;
}

static void assert_zeroes(struct thin2_dev *th, u64 unit)
{
	struct thin2_where where;

	look(th, unit, false, &where);
	assert_int_equal(where.action, THIN2_ZERO);
	assert_false(where.hole);
}

/*
 * Units 0 to 7 are the tree's and a snapshot's, and 9 to 17, every second one.
 * In the journal: 2 is discarded, 3 zeroed, 4 moved; 20 to 39 are new, every
 * second one; 40 to 49 are new in one piece, 44 of it discarded.
 */
static void change(struct pool *p)
{
	u64 i, done;

	for (i = 9; i < 19; i += 2)
		write_unit(p, p->origin, i, 100 + i);
	write_base(p);
	take_snap(p);
	assert_ok(thin2_unmap(p->origin, 2, 3, false, &done));
	assert_ok(thin2_unmap(p->origin, 3, 4, true, &done));
	write_unit(p, p->origin, 4, 204);
	for (i = 20; i < 40; i += 2)
		write_unit(p, p->origin, i, 200 + i);
	for (i = 40; i < 50; i++)
		write_unit(p, p->origin, i, 200 + i);
	assert_ok(thin2_unmap(p->origin, 44, 45, false, &done));
	assert_ok(thin2_flush(p->md));
}

static void assert_changed(struct pool *p)
{
	u64 i;

	for (i = 0; i < 8; i++)
		if (i < 2 || i > 4)
			assert_unit(p, p->origin, i, 100 + i);
	for (i = 9; i < 19; i += 2)
		assert_unit(p, p->origin, i, 100 + i);
	assert_true(is_hole(p->origin, 2));
	assert_zeroes(p->origin, 3);
	assert_unit(p, p->origin, 4, 204);
	assert_true(is_hole(p->origin, 19));
	for (i = 20; i < 40; i += 2) {
		assert_unit(p, p->origin, i, 200 + i);
		assert_true(is_hole(p->origin, i + 1) || i == 38);
	}
	for (i = 40; i < 50; i++)
		if (i != 44)
			assert_unit(p, p->origin, i, 200 + i);
	assert_true(is_hole(p->origin, 44));
	assert_true(is_hole(p->origin, 50));
}

/* Mapped by the origin: 6 of the first 8, 5, 10, and 9 of 10. */
#define CHANGED_UNITS	30u

/* The changes are not merged; with @limits, they go into several leaves. */
static void crash_init_limits(struct pool *p, const struct pdata_limits *limits)
{
	pool_init(p);
	p->limits = limits;
	pool_crash(p);
	change(p);
	pool_crash(p);
	assert_non_null(p->origin->overlay);
}

static void crash_init(struct pool *p)
{
	crash_init_limits(p, &small_leaves);
}

static void assert_mapped(struct pool *p, u64 nr)
{
	struct thin2_dev_status s;

	assert_ok(thin2_dev_status(p->origin, &s));
	assert_u64(s.mapped_units, nr);
}

/* ---- fills and eviction ---- */

/* Nothing is entered before it is asked for; entries are clean, and come again. */
static void fill_and_forget(void **state)
{
	struct thin2_dev_status s;
	struct pool p;

	crash_init(&p);
	assert_u64(pdata_rm_count(p.origin->rm), 0);
	assert_ok(thin2_dev_status(p.origin, &s));
	assert_u64(s.highest, 49);
	assert_changed(&p);
	evict_all(p.origin);
	assert_changed(&p);
	merge(&p);
	assert_changed(&p);
	evict_all(p.origin);
	assert_changed(&p);
	assert_mapped(&p, CHANGED_UNITS);
	pool_exit(&p);
}

/* A hole in the tree with many changes over it: a miss brings in some, not all. */
static void fill_is_bounded(void **state)
{
	struct pool p;
	u64 i, before;

	pool_init(&p);
	for (i = 0; i < 200; i += 2)
		write_unit(&p, p.origin, i, i);
	assert_ok(thin2_flush(p.md));
	pool_crash(&p);
	p.md->fill_ranges = 8;
	assert_unit(&p, p.origin, 100, 100);
	before = pdata_rm_count(p.origin->rm);
	assert_true(before > 8 && before <= 17);
	for (i = 0; i < 200; i += 2)
		assert_unit(&p, p.origin, i, i);
	assert_true(is_hole(p.origin, 1) && is_hole(p.origin, 201));
	pool_exit(&p);
}

static void script_merge(struct pool *p)
{
	merge(p);
}

/* The tree that a fill is reading becomes one that holds the changes. */
static void fill_over_the_commit(void **state)
{
	static const u64 unit[] = { 2, 3, 4, 1, 20, 45, 60 };
	unsigned int i;
	struct pool p;

	for (i = 0; i < ARRAY_SIZE(unit); i++) {
		crash_init(&p);
		p.on_get = script_merge;
		assert_ok(thin2_fill(p.origin, unit[i], unit[i] + 1));
		assert_null(p.on_get);
		assert_changed(&p);
		pool_exit(&p);
	}
}

static void script_merge_change(struct pool *p)
{
	u64 done;

	merge(p);
	assert_ok(thin2_unmap(p->origin, 45, 46, false, &done));
	write_unit(p, p->origin, 2, 202);
	merge(p);
	evict_all(p->origin);
}

/* The same, and what it held has changed since. */
static void fill_over_two_commits(void **state)
{
	static const u64 unit[] = { 2, 45 };
	unsigned int i;
	struct pool p;

	for (i = 0; i < ARRAY_SIZE(unit); i++) {
		crash_init(&p);
		p.on_get = script_merge_change;
		assert_ok(thin2_fill(p.origin, unit[i], unit[i] + 1));
		assert_null(p.on_get);
		assert_true(is_hole(p.origin, 45));
		assert_unit(&p, p.origin, 2, 202);
		pool_exit(&p);
	}
}

/* ---- a part of the changes is committed ---- */

static void script_look(struct pool *p)
{
	assert_non_null(p->origin->overlay);
	assert_false(p->origin->merge.done);
	evict_all(p->origin);
	assert_changed(p);
	p->unit++;
	p->on_drain = p->unit < 2 ? script_look : NULL;
}

/* Somebody waits, so each step of the merge is committed. */
static void look_while_merging(void **state)
{
	struct pool p;

	crash_init(&p);
	p.on_drain = script_look;
	atomic_inc(&p.md->nr_waiting);
	merge(&p);
	atomic_dec(&p.md->nr_waiting);
	assert_u64(p.unit, 2);
	assert_changed(&p);
	evict_all(p.origin);
	assert_changed(&p);
	assert_mapped(&p, CHANGED_UNITS);
	pool_exit(&p);
}

static void script_look_crash(struct pool *p)
{
	script_look(p);
	if (p->unit == 2)
		sim_clock_crash(&p->clock);
}

static void script_wait_crash(struct pool *p)
{
	script_look_crash(p);
	p->on_drain = p->unit < 2 ? script_wait_crash : NULL;
}

/* Power fails between two steps: the same changes, over a tree that has some. */
static void crash_while_merging(void **state)
{
	struct pool p;

	crash_init(&p);
	p.on_drain = script_wait_crash;
	atomic_inc(&p.md->nr_waiting);
	assert_true(thin2_checkpoint(p.md) < 0);
	assert_u64(p.unit, 2);
	pool_crash(&p);
	assert_non_null(p.origin->overlay);
	assert_changed(&p);
	merge(&p);
	evict_all(p.origin);
	assert_changed(&p);
	assert_mapped(&p, CHANGED_UNITS);
	pool_exit(&p);
}

static void script_look_holes(struct pool *p)
{
	u64 unit;

	evict_all(p->origin);
	for (unit = 100; unit < 180; unit += 7)
		assert_true(is_hole(p->origin, unit));
	p->unit++;
	p->on_get = script_look_holes;
}

/* A change over many leaves, in parts, whole to those who look at any moment. */
static void look_at_long_change(void **state)
{
	struct pool p;
	u64 i, done;

	pool_init(&p);
	p.limits = &small_leaves;
	pool_crash(&p);
	for (i = 100; i < 180; i += 2)
		write_unit(&p, p.origin, i, i);
	assert_ok(thin2_checkpoint(p.md));
	assert_ok(thin2_unmap(p.origin, 100, 180, false, &done));
	assert_ok(thin2_flush(p.md));
	pool_crash(&p);
	assert_int_equal(p.origin->nr_overlay, 1);
	p.on_get = script_look_holes;
	merge(&p);
	p.on_get = NULL;
	assert_true(p.unit > 20);
	assert_mapped(&p, 0);
	pool_exit(&p);
}

/* A merge that fails leaves all changes in place. */
static void merge_fails(void **state)
{
	struct pool p;

	crash_init(&p);
	pdata_fault_arm(PDATA_FAULT_MERGE_STEP, 1);
	assert_err(thin2_checkpoint(p.md), PDATA_E_FAULT);
	pdata_fault_disarm_all();
	assert_changed(&p);
	evict_all(p.origin);
	assert_changed(&p);
	pool_exit(&p);
}

/* ---- changes over the overlay ---- */

/* Discards over what was never looked at, writes over what was. */
static void change_more(struct pool *p)
{
	u64 done;

	write_unit(p, p->origin, 2, 302);
	write_unit(p, p->origin, 44, 344);
	write_unit(p, p->origin, 20, 320);
	assert_ok(thin2_unmap(p->origin, 26, 43, false, &done));
	write_unit(p, p->origin, 30, 330);
	assert_ok(thin2_flush(p->md));
}

static void assert_changed_more(struct pool *p)
{
	u64 i;

	assert_unit(p, p->origin, 1, 101);
	assert_unit(p, p->origin, 2, 302);
	assert_zeroes(p->origin, 3);
	assert_unit(p, p->origin, 4, 204);
	assert_unit(p, p->origin, 20, 320);
	assert_unit(p, p->origin, 24, 224);
	for (i = 26; i < 43; i++)
		if (i != 30)
			assert_true(is_hole(p->origin, i));
	assert_unit(p, p->origin, 30, 330);
	assert_unit(p, p->origin, 43, 243);
	assert_unit(p, p->origin, 44, 344);
}

static void change_and_crash_again(void **state)
{
	struct pool p;

	crash_init(&p);
	change_more(&p);
	assert_changed_more(&p);
	pool_crash(&p);
	assert_changed_more(&p);
	/* Nothing but the activation came between. */
	pool_crash(&p);
	assert_changed_more(&p);
	merge(&p);
	assert_changed_more(&p);
	pool_crash(&p);
	assert_null(p.origin->overlay);
	assert_changed_more(&p);
	pool_exit(&p);
}

/* Two lists: the overlay's is committed, the other goes on to be merged. */
static void script_change_more(struct pool *p)
{
	assert_non_null(p->origin->overlay);
	change_more(p);
}

static void change_while_merging(void **state)
{
	struct pool p;

	crash_init(&p);
	p.on_get = script_change_more;
	assert_ok(thin2_checkpoint(p.md));
	assert_null(p.on_get);
	assert_null(p.origin->overlay);
	assert_changed_more(&p);
	merge(&p);
	evict_all(p.origin);
	assert_changed_more(&p);
	assert_mapped(&p, CHANGED_UNITS + 2 - 10 + 1);
	pool_exit(&p);
}

/* ---- sharing ---- */

static void ask_all(struct pool *p)
{
	u64 unit;

	assert_non_null(p->origin->overlay);
	for (unit = 2; unit <= 4; unit++) {
		evict_all(p->origin);
		assert_int_equal(ask(p->origin, unit), 0);
		is_hole(p->origin, unit);
		assert_int_equal(ask(p->origin, unit), 0);
	}
	assert_changed(p);
	/* The others are the origin's alone, and in the tree. */
	assert_int_equal(ask(p->origin, 5), 1);
	assert_int_equal(ask(p->origin, 1), 1);
}

/*
 * The snapshot gives up its references while the origin's changes are not merged
 * yet: the tree says of units 2 to 4 that they are the origin's alone, but that
 * is not what the origin has there.
 */
static void ask_under_overlay(void **state)
{
	struct thin2_dev *snap;
	struct pool p;
	u64 done;

	crash_init(&p);
	assert_ok(thin2_dev_open(p.md, 1, &snap));
	assert_ok(thin2_unmap(snap, 0, 8, false, &done));
	/* Only the snapshot's changes, so that the overlay stays. */
	thin2_lock(p.md);
	assert_ok(thin2_merge_thin(snap));
	assert_ok(thin2_commit(p.md));
	thin2_unlock(p.md);
	ask_all(&p);
	thin2_dev_close(snap);
	merge(&p);
	assert_changed(&p);
	pool_exit(&p);
}

static void snapshot_at_once(void **state)
{
	struct pool p;
	u64 i;

	crash_init(&p);
	write_unit(&p, p.origin, 60, 260);
	assert_ok(thin2_create_snap(p.md, 2, 0));
	assert_ok(thin2_dev_open(p.md, 2, &p.snap));
	assert_null(p.origin->overlay);
	for (i = 0; i < 62; i++)
		if (i % 2)
			write_unit(&p, p.origin, i, 300 + i);
	assert_unit(&p, p.snap, 1, 101);
	assert_true(is_hole(p.snap, 2));
	assert_zeroes(p.snap, 3);
	assert_unit(&p, p.snap, 4, 204);
	for (i = 40; i < 50; i++)
		if (i != 44)
			assert_unit(&p, p.snap, i, 200 + i);
	assert_unit(&p, p.snap, 60, 260);
	for (i = 0; i < 62; i++)
		if (i % 2)
			assert_unit(&p, p.origin, i, 300 + i);
	assert_unit(&p, p.origin, 4, 204);
	pool_exit(&p);
}

/* ---- closed thins ---- */

static u64 data_used(struct pool *p)
{
	struct thin2_pool_status s;

	thin2_pool_status(p->md, &s);
	return s.data_used;
}

static void root_at_once(void **state)
{
	struct thin2_root root;
	struct pool p;

	crash_init(&p);
	thin2_dev_close(p.origin);
	assert_ok(thin2_get_root(p.md, 0, &root));
	assert_u64(root.mapped_units, CHANGED_UNITS);
	assert_ok(thin2_dev_open(p.md, 0, &p.origin));
	assert_null(p.origin->overlay);
	assert_changed(&p);
	pool_exit(&p);
}

/* One step of the merge, which is committed. */
static void merge_a_step(struct pool *p)
{
	atomic_inc(&p->md->nr_waiting);
	thin2_lock(p->md);
	assert_err(thin2_merge_some(p->origin), PDATA_E_RETRY);
	assert_ok(thin2_commit(p->md));
	thin2_unlock(p->md);
	atomic_dec(&p->md->nr_waiting);
	assert_non_null(p->origin->overlay);
}

/* Units that only the overlay knows come back, before its merge or in the midst of it. */
static void delete_after(void (*some)(struct pool *p))
{
	struct pool p;

	crash_init(&p);
	assert_u64(data_used(&p), 8 + 5 + 1 + 10 + 9);
	assert_ok(thin2_delete(p.md, 1));
	if (some)
		some(&p);
	thin2_dev_close(p.origin);
	assert_ok(thin2_delete(p.md, 0));
	while (p.md->nr_deleting)
		assert_ok(thin2_checkpoint(p.md));
	assert_ok(thin2_checkpoint(p.md));
	assert_u64(data_used(&p), 0);
	assert_ok(thin2_create(p.md, 0));
	assert_ok(thin2_dev_open(p.md, 0, &p.origin));
	assert_true(is_hole(p.origin, 0) && is_hole(p.origin, 20));
	pool_exit(&p);
}

static void delete_at_once(void **state)
{
	delete_after(NULL);
}

static void delete_while_merging(void **state)
{
	delete_after(merge_a_step);
}

/* ---- damage ---- */

/* A leaf is lost: what was replayed over it is not. */
static void lost_leaf(void **state)
{
	struct pool p;
	u64 leaf;

	crash_init_limits(&p, NULL);
	leaf = pdata_ptr_block(p.origin->base_root);
	pool_abandon(&p);
	sim_flip_bit(p.meta, leaf, 20000);
	pool_open(&p);
	assert_ok(thin2_dev_open(p.md, 0, &p.origin));
	assert_err(thin2_fill(p.origin, 1, 2), PDATA_E_CSUM);
	assert_true(is_hole(p.origin, 2));
	assert_unit(&p, p.origin, 4, 204);
	assert_unit(&p, p.origin, 20, 220);
	merge(&p);
	assert_unit(&p, p.origin, 4, 204);
	evict_all(p.origin);
	assert_unit(&p, p.origin, 20, 220);
	pool_exit(&p);
}

/* ---- a walk over all three: tree, overlay, changes since ---- */

struct seen {
	struct pool *p;
	bool unit[64];
};

static int see(void *context, const struct pdata_range *r)
{
	struct seen *seen = context;
	u64 i;

	for (i = 0; i < r->len; i++) {
		assert_false(seen->unit[r->begin + i]);
		seen->unit[r->begin + i] = true;
		if (r->kind != PDATA_RANGE_MAPPED)
			assert_u64(r->begin + i, 3);
		else
			assert_u64(r->value + i, read_begin(seen->p->origin, r->begin + i));
	}
	return 0;
}

static void walk(struct pool *p)
{
	struct seen seen = { .p = p };
	u64 i;

	assert_ok(thin2_walk(p->md, &p->origin->details, see, &seen));
	for (i = 0; i < 64; i++)
		assert_int_equal(seen.unit[i], !is_hole(p->origin, i));
}

static void walk_all(void **state)
{
	struct pool p;

	crash_init(&p);
	walk(&p);
	change_more(&p);
	walk(&p);
	pool_abandon(&p);
	p.read_only = true;
	pool_open(&p);
	assert_ok(thin2_dev_open(p.md, 0, &p.origin));
	assert_changed_more(&p);
	walk(&p);
	pool_exit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fill_and_forget),
		cmocka_unit_test(fill_is_bounded),
		cmocka_unit_test(fill_over_the_commit),
		cmocka_unit_test(fill_over_two_commits),
		cmocka_unit_test(look_while_merging),
		cmocka_unit_test(crash_while_merging),
		cmocka_unit_test(look_at_long_change),
		cmocka_unit_test(merge_fails),
		cmocka_unit_test(change_and_crash_again),
		cmocka_unit_test(change_while_merging),
		cmocka_unit_test(ask_under_overlay),
		cmocka_unit_test(snapshot_at_once),
		cmocka_unit_test(root_at_once),
		cmocka_unit_test(delete_at_once),
		cmocka_unit_test(delete_while_merging),
		cmocka_unit_test(lost_leaf),
		cmocka_unit_test(walk_all),
	};

	return cmocka_run_group_tests(tests, test_quiet, NULL);
}
