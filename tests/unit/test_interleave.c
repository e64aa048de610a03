// SPDX-License-Identifier: GPL-2.0-only
/*
 * What comes in the middle of something else: scripts where the model and crash
 * tests would need luck.
 *
 * A script runs once, out of a read of the metadata, a flush of it or the wait
 * for I/O in flight, and does there what other threads may do at that moment.
 * What units hold tells whether all went well.
 */
#include "script-pool.h"

/* ---- a fill reads the tree while entries come, are merged and go again ---- */

static void script_discard(struct pool *p)
{
	u64 done;

	assert_ok(thin2_unmap(p->origin, 3, 4, false, &done));
	assert_ok(thin2_checkpoint(p->md));
	evict_all(p->origin);
}

static void script_move(struct pool *p)
{
	write_unit(p, p->origin, 3, 7);
	assert_ok(thin2_checkpoint(p->md));
	evict_all(p->origin);
}

/* Unit 3 is changed while the worker that fills @unit sleeps in its first read. */
static void fill_meanwhile(struct pool *p, u64 unit, script_fn script)
{
	evict_all(p->origin);
	p->on_get = script;
	assert_ok(thin2_fill(p->origin, unit, unit + 1));
	assert_null(p->on_get);
}

static void test_fill_discarded(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	fill_meanwhile(&p, 3, script_discard);
	assert_hole(p.origin, 3);
	assert_unit(&p, p.origin, 2, 102);
	pool_exit(&p);
}

/* What was read covers more than was asked for, and all of it is old. */
static void test_fill_neighbour_discarded(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	fill_meanwhile(&p, 5, script_discard);
	assert_hole(p.origin, 3);
	assert_unit(&p, p.origin, 5, 105);
	pool_exit(&p);
}

static void test_fill_moved(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	take_snap(&p);
	fill_meanwhile(&p, 3, script_move);
	assert_unit(&p, p.origin, 3, 7);
	assert_unit(&p, p.snap, 3, 103);
	pool_exit(&p);
}

/* The entry that came meanwhile is still there: it stands, whatever was read. */
static void script_discard_stay(struct pool *p)
{
	u64 done;

	assert_ok(thin2_unmap(p->origin, 3, 4, false, &done));
	assert_ok(thin2_checkpoint(p->md));
}

static void test_fill_overtaken(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	fill_meanwhile(&p, 3, script_discard_stay);
	assert_hole(p.origin, 3);
	fill_meanwhile(&p, 5, script_discard_stay);
	assert_hole(p.origin, 3);
	assert_unit(&p, p.origin, 5, 105);
	pool_exit(&p);
}

/* ---- a commit ends sharing while a read of the last sharer is in flight ---- */

static void script_overwrite(struct pool *p)
{
	write_unit(p, p->origin, p->unit, 7);
}

/*
 * The snapshot gives up its references on units 3 and 4, which only the origin
 * has from the next commit on. A read that the snapshot sent to unit 3 before
 * has not come back when that version is published; overwritten in place, it
 * would bring what the origin wrote.
 */
static void test_read_over_commit(void **state)
{
	struct pool p;
	u64 phys;

	pool_init(&p);
	write_base(&p);
	take_snap(&p);
	phys = read_begin(p.snap, 3);
	write_unit(&p, p.snap, 3, 13);
	write_unit(&p, p.snap, 4, 14);
	p.unit = 3;
	p.on_drain = script_overwrite;
	assert_ok(thin2_checkpoint(p.md));
	assert_null(p.on_drain);

	assert_true(data_is(&p, phys, 103));
	assert_unit(&p, p.origin, 3, 7);
	assert_unit(&p, p.snap, 3, 13);
	/* Without the read nothing would have been wrong with it. */
	assert_int_equal(ask(p.origin, 4), 1);
	pool_exit(&p);
}

/* ---- a question to the trees sleeps while snapshots are taken ---- */

static void script_three_snaps(struct pool *p)
{
	u32 id;

	for (id = 2; id < 5; id++)
		assert_ok(thin2_create_snap(p->md, id, 0));
}

/* Not in the first read, that of the mapping, but in that of the data's counts. */
static void script_second_read(struct pool *p)
{
	p->on_get = script_three_snaps;
}

/*
 * Unit 3 is the origin's alone when a worker asks; before it has read all there
 * is to read, three snapshots are taken, after which the epoch is what it was.
 */
static void test_ask_over_three_snaps(void **state)
{
	struct thin2_dev *last;
	struct pool p;

	pool_init(&p);
	write_base(&p);
	take_snap(&p);
	write_unit(&p, p.snap, 3, 13);
	assert_ok(thin2_checkpoint(p.md));

	p.on_get = script_second_read;
	write_unit(&p, p.origin, 3, 7);
	assert_null(p.on_get);
	assert_ok(thin2_dev_open(p.md, 4, &last));
	assert_unit(&p, last, 3, 103);
	assert_unit(&p, p.origin, 3, 7);
	thin2_dev_close(last);
	pool_exit(&p);
}

/* ---- records born in a snapshot's time that outlive it ---- */

static void script_write_crash(struct pool *p)
{
	assert_int_equal(p->origin->snap_time, p->md->sb.time);
	write_unit(p, p->origin, 20, 7);
	assert_ok(thin2_flush(p->md));
	sim_clock_crash(&p->clock);
}

/*
 * A write between a snapshot's cut and its commit is born in the snapshot's
 * time; its record is flushed, then power fails and the snapshot never was.
 * The next one must get another time, or it would share what looks newer.
 */
static void test_lost_snapshot_time(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	p.on_flush = script_write_crash;
	assert_err(thin2_create_snap(p.md, 1, 0), EIO);
	assert_null(p.on_flush);
	pool_abandon(&p);
	sim_clock_power_on(&p.clock, SIM_NONE);

	pool_open(&p);
	assert_ok(thin2_dev_open(p.md, 0, &p.origin));
	assert_unit(&p, p.origin, 20, 7);
	take_snap(&p);
	evict_all(p.origin);
	write_unit(&p, p.origin, 20, 8);
	assert_unit(&p, p.snap, 20, 7);
	assert_unit(&p, p.origin, 20, 8);
	pool_exit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fill_discarded),
		cmocka_unit_test(test_fill_neighbour_discarded),
		cmocka_unit_test(test_fill_moved),
		cmocka_unit_test(test_fill_overtaken),
		cmocka_unit_test(test_read_over_commit),
		cmocka_unit_test(test_ask_over_three_snaps),
		cmocka_unit_test(test_lost_snapshot_time),
	};

	return cmocka_run_group_tests(tests, test_quiet, NULL);
}
