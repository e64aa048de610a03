// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two trees of details: each node of either is damaged once, and nothing is
 * lost; the next change builds the damaged tree anew. What cannot be built anew
 * ends all changes, and the checkpoint stands.
 */
#include "script-pool.h"

#include "pdata-fault.h"

#define THINS	60

static const struct pdata_limits small = { .btree_max = 4, .fanout = 4, .leaf_max = 4 };

/* ---- looking at the trees ---- */

struct blocks {
	u64 block[512];
	int level[512];
	unsigned int nr;
};

static int see_node(void *context, u64 block, int level, int err)
{
	struct blocks *b = context;

	assert_true(b->nr < ARRAY_SIZE(b->block));
	b->level[b->nr] = level;
	b->block[b->nr++] = block;
	assert_ok(err);
	return 0;
}

static void nodes_of(struct pool *p, const struct pdata_btree *t, struct blocks *b)
{
	struct pdata_view view = { .tm = &p->md->tm };

	memset(b, 0, sizeof(*b));
	assert_ok(pdata_btree_walk(t, &view, t->root, see_node, NULL, b));
}

struct even {
	struct pool *p;
	u64 nr;
};

static int see_entry(void *context, u64 key, const void *value)
{
	struct even *e = context;
	struct thin2_md *md = e->p->md;
	struct pdata_view view = { .tm = &md->tm };
	struct pdata_details_disk other;

	assert_ok(pdata_btree_lookup(&md->details_copy, &view, md->details_copy.root, key, &other));
	assert_memory_equal(value, &other, sizeof(other));
	e->nr++;
	return 0;
}

static int count_one(void *context, u64 key, const void *value)
{
	(*(u64 *)context)++;
	return 0;
}

/* Both trees can be read, and say the same. */
static void assert_even(struct pool *p, u64 nr)
{
	struct thin2_md *md = p->md;
	struct pdata_view view = { .tm = &md->tm };
	struct even e = { .p = p };
	u64 copies = 0;

	assert_ok(pdata_btree_walk(&md->details, &view, md->details.root, NULL, see_entry, &e));
	assert_ok(pdata_btree_walk(&md->details_copy, &view, md->details_copy.root, NULL,
				   count_one, &copies));
	assert_u64(e.nr, nr);
	assert_u64(copies, nr);
}

static int see_details(void *context, const struct thin2_details *d)
{
	u32 *next = context;

	assert_int_equal(d->id, *next);
	(*next)++;
	return 0;
}

/* All are listed once and in order, and each can be looked up. */
static void assert_all_there(struct pool *p, u32 nr)
{
	struct thin2_dev *th;
	u32 next = 0, i;

	assert_ok(thin2_for_each_details(p->md, false, see_details, &next));
	assert_int_equal(next, nr);
	for (i = 1; i < nr; i++) {
		assert_ok(thin2_dev_open(p->md, i, &th));
		assert_int_equal(th->id, i);
		thin2_dev_close(th);
	}
	assert_int_equal(thin2_dev_open(p->md, nr, &th), -PDATA_E_NOT_FOUND);
}

/* ---- the pool ---- */

static void many_init(struct pool *p)
{
	u32 i;

	pool_init_limits(p, &small);
	for (i = 1; i < THINS; i++)
		assert_ok(thin2_create(p->md, i));
	assert_even(p, THINS);
	assert_all_there(p, THINS);
}

static void forget(struct pool *p)
{
	pool_abandon(p);
	sim_clock_crash(&p->clock);
	sim_clock_power_on(&p->clock, SIM_NONE);
}

static void again(struct pool *p)
{
	pool_open(p);
	assert_ok(thin2_dev_open(p->md, 0, &p->origin));
}

static void spoil(struct pool *p, u64 block, bool sector)
{
	if (sector)
		sim_set_bad(p->meta, block, true, false);
	else
		sim_flip_bit(p->meta, block, 8 * 3000 + 1);
}

/* A change of each entry in turn, so that every node has to be written. */
static void touch_all(struct pool *p, u32 nr)
{
	struct thin2_details d;
	u32 i;

	for (i = 1; i < nr; i++) {
		thin2_lock(p->md);
		assert_ok(thin2_details_read(p->md, i, &d));
		d.snap_time++;
		assert_ok(thin2_details_write(p->md, &d));
		assert_ok(thin2_commit(p->md));
		thin2_unlock(p->md);
	}
}

/* ---- tests ---- */

static void damage_each(bool copy, bool sector)
{
	struct blocks was, now;
	struct pool p;
	unsigned int i;
	u64 leaked;

	for (i = 0; ; i++) {
		many_init(&p);
		nodes_of(&p, copy ? &p.md->details_copy : &p.md->details, &was);
		assert_true(was.nr > THINS / 4);
		if (i >= was.nr) {
			pool_exit(&p);
			return;
		}
		forget(&p);
		spoil(&p, was.block[i], sector);
		again(&p);
		assert_all_there(&p, THINS);
		touch_all(&p, THINS);
		assert_even(&p, THINS);
		/* What was below the damage has leaked, nothing else. */
		nodes_of(&p, &p.md->details, &now);
		leaked = p.md->sb.meta_used - now.nr;
		nodes_of(&p, &p.md->details_copy, &now);
		leaked -= now.nr;
		if (was.level[i])
			assert_true(leaked > 2 && leaked <= was.nr);
		else
			assert_u64(leaked, 1);
		forget(&p);
		sim_set_bad(p.meta, was.block[i], false, false);
		again(&p);
		assert_all_there(&p, THINS);
		assert_even(&p, THINS);
		pool_exit(&p);
	}
}

static void each_node(void **state)
{
	damage_each(false, false);
}

static void each_node_of_the_copy(void **state)
{
	damage_each(true, false);
}

static void each_bad_sector(void **state)
{
	damage_each(false, true);
	damage_each(true, true);
}

/* A removal meets the damage, and so do creation, snapshot and the details of a merge. */
static void each_operation(void **state)
{
	struct blocks was;
	struct pool p;
	unsigned int op, tree;

	for (tree = 0; tree < 2; tree++)
		for (op = 0; op < 4; op++) {
			many_init(&p);
			write_base(&p);
			nodes_of(&p, tree ? &p.md->details_copy : &p.md->details, &was);
			forget(&p);
			spoil(&p, was.block[0], false);	/* the root */
			again(&p);
			assert_all_there(&p, THINS);
			if (op == 0)
				assert_ok(thin2_create(p.md, THINS));
			else if (op == 1)
				assert_ok(thin2_create_snap(p.md, THINS, 0));
			else if (op == 2)
				assert_ok(thin2_delete(p.md, THINS - 1));
			else
				write_unit(&p, p.origin, 9, 9);
			assert_ok(thin2_checkpoint(p.md));
			assert_even(&p, op < 2 ? THINS + 1 : op == 2 ? THINS - 1 : THINS);
			assert_unit(&p, p.origin, 3, 103);
			pool_exit(&p);
		}
}

/* A node of each tree is bad: where they have no entry in common nothing is lost. */
static void both_trees(void **state)
{
	struct blocks a, b;
	struct pool p;
	u32 next = 0;

	many_init(&p);
	nodes_of(&p, &p.md->details, &a);
	nodes_of(&p, &p.md->details_copy, &b);
	forget(&p);
	spoil(&p, a.block[a.nr - 1], false);	/* the last leaf */
	spoil(&p, b.block[b.nr / 4], false);
	again(&p);
	assert_all_there(&p, THINS);
	forget(&p);
	spoil(&p, a.block[b.nr / 4], false);
	again(&p);
	assert_true(thin2_for_each_details(p.md, false, see_details, &next) < 0);
	assert_true(next > 0 && next < THINS);
	pool_exit(&p);
}

static bool all_can_be_read(struct pool *p)
{
	struct thin2_details d;
	u32 i;
	int r = 0;

	thin2_lock(p->md);
	for (i = 0; i < THINS && !r; i++)
		r = thin2_details_read(p->md, i, &d);
	thin2_unlock(p->md);
	assert_true(!r || pdata_error_is_damage(r));
	return !r;
}

/* Nor does the order in which walks meet damage matter. */
static void walk_over_both(void **state)
{
	struct blocks a, b;
	struct pool p;
	unsigned int i;
	u32 next, good = 0, bad = 0;
	int r;

	for (i = 1; i < 200; i++) {
		many_init(&p);
		nodes_of(&p, &p.md->details, &a);
		nodes_of(&p, &p.md->details_copy, &b);
		assert_int_equal(a.nr, b.nr);
		forget(&p);
		/* Trees of one shape: node k of one has the entries of node k of the other. */
		spoil(&p, a.block[(i * 7) % (a.nr - 3) + 3], false);
		spoil(&p, b.block[(i * 13) % (b.nr - 3) + 3], false);
		p.read_only = true;
		pool_open(&p);
		next = 0;
		r = thin2_for_each_details(p.md, false, see_details, &next);
		if (all_can_be_read(&p)) {
			assert_ok(r);
			assert_int_equal(next, THINS);
			good++;
		} else {
			assert_true(pdata_error_is_damage(r));
			bad++;
		}
		pool_exit(&p);
	}
	assert_true(good && bad);
}

static void no_room(void **state)
{
	struct thin2_details d;
	struct pdata_rw rw;
	struct blocks was;
	struct pool p;
	int r = 0;
	u32 i;

	many_init(&p);
	nodes_of(&p, &p.md->details, &was);
	forget(&p);
	spoil(&p, was.block[was.nr / 2], false);
	again(&p);
	/* What is taken here is never committed. */
	thin2_lock(p.md);
	while (pdata_sm_free(&p.md->tm.sm, false) > thin2_reserve_blocks(p.md) + 8)
		assert_ok(pdata_tm_new(&p.md->tm, PDATA_TYPE_RANGE_LEAF, 16, &rw));
	for (i = 1; i < THINS && !r; i++) {
		assert_ok(thin2_details_read(p.md, i, &d));
		r = thin2_details_write(p.md, &d);
	}
	assert_int_equal(r, -PDATA_E_META_NOSPC);
	assert_true(p.md->tm.failed);
	assert_true(thin2_commit(p.md) < 0);
	thin2_unlock(p.md);
	assert_int_equal(thin2_create(p.md, THINS), -PDATA_E_FAILED);
	forget(&p);
	again(&p);
	assert_all_there(&p, THINS);
	touch_all(&p, THINS);
	assert_even(&p, THINS);
	pool_exit(&p);
}

/* One tree has the change when the other one fails: that must not be committed. */
static void half_a_change(void **state)
{
	unsigned int after, whole = 0, failed = 0, refused = 0;
	struct thin2_details d;
	struct pool p;
	int r;

	for (after = 0; after < 12; after++) {
		many_init(&p);
		thin2_lock(p.md);
		assert_ok(thin2_details_read(p.md, 20, &d));
		d.snap_time++;
		pdata_fault_arm(PDATA_FAULT_MEMORY, after);
		r = thin2_details_write(p.md, &d);
		pdata_fault_disarm_all();
		if (!r)
			whole++;
		else if (p.md->tm.failed)
			failed++;
		else
			refused++;
		if (!p.md->tm.failed) {
			assert_ok(thin2_commit(p.md));
			assert_even(&p, THINS);
		}
		thin2_unlock(p.md);
		pool_crash(&p);
		assert_even(&p, THINS);
		pool_exit(&p);
	}
	assert_true(whole && failed && refused);
}

/* A root is missing: not a pool to work with. */
static void missing_root(void **state)
{
	struct thin2_md_params params = { .name = "test", .data_units = DATA_UNITS };
	struct thin2_md *md;
	struct pdata_super sb;
	struct pool p;
	int i;

	pool_init(&p);
	params.io = &p.meta->io;
	params.read_only = true;
	for (i = 0; i < 2; i++) {
		sb = p.md->sb;
		sb.generation += 2;
		if (i)
			sb.details_copy_root = 0;
		else
			sb.details_root = 0;
		assert_ok(pdata_super_write(&p.meta->io, &sb, false));
		assert_int_equal(thin2_md_open(&params, &md), -PDATA_E_CONTENT);
	}
	pool_exit(&p);
}

/* ---- leaf_sum and damage ---- */

static struct thin2_details details_of(struct pool *p, u32 id)
{
	struct thin2_details d;

	thin2_lock(p->md);
	assert_ok(thin2_details_read(p->md, id, &d));
	thin2_unlock(p->md);
	return d;
}

/* A leaf that is lost takes the sum along, for the thin and its snapshots to come. */
static void sum_is_lost(void **state)
{
	struct pool p;
	u64 root, done;

	pool_init(&p);
	write_base(&p);
	assert_int_equal(details_of(&p, 0).flags, 0);
	assert_true(details_of(&p, 0).leaf_sum);
	take_snap(&p);
	assert_u64(details_of(&p, 1).leaf_sum, details_of(&p, 0).leaf_sum);
	root = pdata_ptr_block(details_of(&p, 0).root);
	forget(&p);
	spoil(&p, root, false);
	again(&p);
	assert_ok(thin2_unmap(p.origin, 20, 24, true, &done));
	assert_ok(thin2_checkpoint(p.md));
	assert_int_equal(details_of(&p, 0).flags, PDATA_THIN_SUM_LOST);
	assert_int_equal(details_of(&p, 1).flags, 0);
	assert_ok(thin2_create_snap(p.md, 2, 0));
	assert_int_equal(details_of(&p, 2).flags, PDATA_THIN_SUM_LOST);
	pool_crash(&p);
	assert_ok(thin2_unmap(p.origin, 22, 26, true, &done));
	assert_ok(thin2_checkpoint(p.md));
	assert_int_equal(details_of(&p, 0).flags, PDATA_THIN_SUM_LOST);
	pool_exit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_node),
		cmocka_unit_test(each_node_of_the_copy),
		cmocka_unit_test(each_bad_sector),
		cmocka_unit_test(each_operation),
		cmocka_unit_test(both_trees),
		cmocka_unit_test(walk_over_both),
		cmocka_unit_test(no_room),
		cmocka_unit_test(half_a_change),
		cmocka_unit_test(missing_root),
		cmocka_unit_test(sum_is_lost),
	};

	return cmocka_run_group_tests(tests, test_quiet, NULL);
}
