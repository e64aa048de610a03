// SPDX-License-Identifier: GPL-2.0-only
/*
 * The design's rules 1 to 4 and 9: for each the interleaving that breaks it.
 * What each test notices is tried by tests/mutations/mutate.sh.
 */
#include "script-pool.h"

/* Units of which every second one is mapped: so many changes that a merge takes steps. */
#define SCATTERED	(2 * THIN2_STEP_CHANGES + 20)

static bool is_mapped(struct thin2_dev *th, u64 unit, u64 *phys)
{
	struct thin2_where w;

	look(th, unit, false, &w);
	*phys = w.phys;
	return w.action == THIN2_REMAP;
}

/* A unit that may have got lost, but holds nothing else than @tag. */
static void assert_lost_or(struct pool *p, u64 unit, u64 tag)
{
	u64 phys;

	if (is_mapped(p->origin, unit, &phys))
		assert_true(data_is(p, phys, tag));
}

static void script_crash(struct pool *p)
{
	sim_clock_crash(&p->clock);
}

static void script_write(struct pool *p)
{
	write_unit(p, p->origin, p->unit, 7);
}

/* ---- 1: a record becomes durable after all the data it exposes ---- */

static void rule_1_data_before_record(void **state)
{
	struct pool p;

	pool_init(&p);
	write_unit(&p, p.origin, 0, 7);
	assert_ok(thin2_flush(p.md));
	pool_crash(&p);
	assert_unit(&p, p.origin, 0, 7);
	pool_exit(&p);
}

/* Power fails between the data's flush and the journal's write, in that order. */
static void rule_1_flush_comes_first(void **state)
{
	struct pool p;

	pool_init(&p);
	write_unit(&p, p.origin, 0, 7);
	p.on_flush_data = script_crash;
	assert_true(thin2_flush(p.md));
	pool_crash_as(&p, SIM_ALL, SIM_NONE);
	assert_hole(p.origin, 0);
	pool_exit(&p);
}

/* A write ends while the data is flushed: its record is not of this batch. */
static void rule_1_batch_is_closed_first(void **state)
{
	struct pool p;

	pool_init(&p);
	write_unit(&p, p.origin, 0, 7);
	p.unit = 1;
	p.after_flush_data = script_write;
	assert_ok(thin2_flush(p.md));
	assert_null(p.after_flush_data);
	pool_crash(&p);
	assert_unit(&p, p.origin, 0, 7);
	assert_lost_or(&p, 1, 7);
	pool_exit(&p);
}

/* ---- 2: FLUSH and FUA ---- */

static void rule_2_flush_without_records(void **state)
{
	struct pool p;

	pool_init(&p);
	write_unit(&p, p.origin, 0, 7);
	assert_ok(thin2_flush(p.md));
	write_unit(&p, p.origin, 0, 8);
	assert_ok(thin2_flush(p.md));
	pool_crash(&p);
	assert_unit(&p, p.origin, 0, 8);
	pool_exit(&p);
}

/* What was closed and not written by one flush is written by the next. */
static void rule_2_closed_is_not_forgotten(void **state)
{
	struct pdata_journal_batch batch;
	struct pool p;

	pool_init(&p);
	write_unit(&p, p.origin, 0, 7);
	assert_err(thin2_flush_try(p.md, 0, &batch), PDATA_E_WOULD_SLEEP);
	assert_ok(thin2_flush(p.md));
	pool_crash(&p);
	assert_unit(&p, p.origin, 0, 7);
	pool_exit(&p);
}

/* A FUA write in place, whose mapping is not durable. */
static void rule_2_fua_on_overwrite(void **state)
{
	struct thin2_where w;
	u8 data[PDATA_BLOCK_SIZE];
	struct pool p;

	pool_init(&p);
	write_unit(&p, p.origin, 0, 7);
	look(p.origin, 0, true, &w);
	assert_int_equal(w.action, THIN2_REMAP);
	test_fill(data, 8);
	assert_ok(sim_write(p.data, w.phys, data, true));
	if (!thin2_is_durable(p.md, thin2_last_seq(p.origin)))
		assert_ok(thin2_flush(p.md));
	pool_crash(&p);
	assert_unit(&p, p.origin, 0, 8);
	pool_exit(&p);
}

/* ---- 3: a record and its change of the range map are one ---- */

static struct pool *unlock_pool;
static unsigned int unlock_in;

static void unlocked(void)
{
	u64 done;

	if (--unlock_in)
		return;
	pdata_shim_unlocked = NULL;
	(void)!thin2_unmap(unlock_pool->origin, 9, 10, false, &done);
}

/* A discard comes in at any moment of a write's end. True: there was such a moment. */
static bool discard_at(unsigned int moment)
{
	bool there, live;
	struct pool p;
	u64 phys;

	pool_init(&p);
	assert_ok(thin2_fill(p.origin, 9, 10));
	assert_ok(thin2_make_room(p.origin, -PDATA_E_WOULD_SLEEP));
	assert_ok(thin2_write_begin(p.origin, 9, 10, &p.write));
	data_write(&p, p.write.phys, 7);
	unlock_pool = &p;
	unlock_in = moment;
	pdata_shim_unlocked = unlocked;
	thin2_write_end(&p.write, 0);
	there = !pdata_shim_unlocked;
	pdata_shim_unlocked = NULL;
	live = is_mapped(p.origin, 9, &phys);
	assert_ok(thin2_flush(p.md));
	pool_crash(&p);
	assert_int_equal(is_mapped(p.origin, 9, &phys), live);
	pool_exit(&p);
	return there;
}

static void rule_3_record_and_map_are_one(void **state)
{
	unsigned int moment = 1;

	while (discard_at(moment))
		moment++;
	assert_true(moment > 1);
}

/* Unit 9's write is in flight. */
static void begin_nine(struct pool *p)
{
	pool_init(p);
	write_base(p);
	assert_ok(thin2_fill(p->origin, 9, 10));
	assert_ok(thin2_write_begin(p->origin, 9, 10, &p->write));
}

static void end_nine(struct pool *p)
{
	data_write(p, p->write.phys, 7);
	thin2_write_end(&p->write, 0);
	assert_unit(p, p->origin, 9, 7);
	assert_ok(thin2_flush(p->md));
	pool_crash(p);
	assert_unit(p, p->origin, 9, 7);
	pool_exit(p);
}

static void rule_3_discard_waits_for_a_write(void **state)
{
	struct pool p;
	u64 done;

	begin_nine(&p);
	assert_err(thin2_unmap(p.origin, 8, 12, false, &done), PDATA_E_PENDING);
	assert_u64(done, 9);
	end_nine(&p);
}

static void rule_3_write_waits_for_a_write(void **state)
{
	struct thin2_write second;
	struct pool p;

	begin_nine(&p);
	assert_err(thin2_write_begin(p.origin, 9, 10, &second), PDATA_E_PENDING);
	end_nine(&p);
}

static void rule_3_eviction_spares_a_write(void **state)
{
	struct thin2_where w;
	struct pool p;

	begin_nine(&p);
	thin2_evict(p.md, ~0ull, THIN2_EVICT_ALL);
	thin2_lookup(p.origin, 9, 10, false, &w);
	assert_int_equal(w.action, THIN2_WAIT);
	end_nine(&p);
}

static void rule_3_eviction_spares_the_unmerged(void **state)
{
	struct pool p;

	pool_init(&p);
	write_unit(&p, p.origin, 0, 7);
	thin2_evict(p.md, ~0ull, THIN2_EVICT_ALL);
	assert_unit(&p, p.origin, 0, 7);
	pool_exit(&p);
}

/* As many writes as are let in at once all find room for their records. */
static void rule_3_journal_is_reserved(void **state)
{
	struct pool p = { .journal_records = 1 };
	struct thin2_write w[64];
	unsigned int nr, i;

	pool_start(&p);
	assert_ok(thin2_fill(p.origin, 0, 128));
	assert_ok(thin2_make_room(p.origin, -PDATA_E_WOULD_SLEEP));
	for (nr = 0; nr < 64; nr++)
		if (thin2_write_begin(p.origin, 2 * nr, 2 * nr + 1, &w[nr]))
			break;
	for (i = 0; i < nr; i++) {
		data_write(&p, w[i].phys, 100 + i);
		thin2_write_end(&w[i], 0);
	}
	assert_ok(thin2_flush(p.md));
	pool_crash(&p);
	for (i = 0; i < nr; i++)
		assert_unit(&p, p.origin, 2 * i, 100 + i);
	assert_true(nr > 8);
	pool_exit(&p);
}

/* ---- 4: what is merged ---- */

static void rule_4_journal_before_superblock(void **state)
{
	struct pool p;

	pool_init(&p);
	write_unit(&p, p.origin, 0, 7);
	assert_ok(thin2_checkpoint(p.md));
	pool_crash(&p);
	assert_unit(&p, p.origin, 0, 7);
	pool_exit(&p);
}

/* A merge of many steps, and somebody who waits: power fails after a commit in between. */
static void crash_in_a_merge(struct pool *p, bool flushed)
{
	unsigned int i;

	*p = (struct pool){ .data_units = 4096 };
	pool_start(p);
	for (i = 0; i < SCATTERED; i++)
		write_unit(p, p->origin, 2 * i, 1000 + i);
	if (flushed)
		assert_ok(thin2_flush(p->md));
	p->on_drain = script_crash;
	atomic_inc(&p->md->nr_waiting);
	assert_true(thin2_checkpoint(p->md));
	assert_null(p->on_drain);
	pool_crash(p);
}

static void rule_4_also_of_what_is_merged_in_part(void **state)
{
	unsigned int i;
	struct pool p;

	crash_in_a_merge(&p, false);
	for (i = 0; i < SCATTERED; i++)
		assert_lost_or(&p, 2 * i, 1000 + i);
	pool_exit(&p);
}

static void rule_4_tail_is_the_oldest_not_merged(void **state)
{
	unsigned int i;
	struct pool p;

	crash_in_a_merge(&p, true);
	for (i = 0; i < SCATTERED; i++)
		assert_unit(&p, p.origin, 2 * i, 1000 + i);
	pool_exit(&p);
}

static void script_write_and_flush(struct pool *p)
{
	script_write(p);
	assert_ok(thin2_flush(p->md));
}

/* A write comes in and is flushed while what came before is merged. */
static void rule_4_tail_leaves_newer_ones(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	write_unit(&p, p.origin, 20, 8);
	p.unit = 21;
	p.on_get = script_write_and_flush;
	assert_ok(thin2_checkpoint(p.md));
	assert_null(p.on_get);
	pool_crash(&p);
	assert_unit(&p, p.origin, 20, 8);
	assert_unit(&p, p.origin, 21, 7);
	pool_exit(&p);
}

static void script_look(struct pool *p)
{
	thin2_evict(p->md, ~0ull, THIN2_EVICT_ALL);
	assert_unit(p, p->origin, 20, 7);
}

/* What was replayed is merged, and the tree that holds it not committed yet. */
static void rule_4_overlay_stays_until_the_commit(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	write_unit(&p, p.origin, 20, 7);
	assert_ok(thin2_flush(p.md));
	pool_crash(&p);
	p.on_flush = script_look;
	assert_ok(thin2_checkpoint(p.md));
	assert_null(p.on_flush);
	assert_unit(&p, p.origin, 20, 7);
	pool_exit(&p);
}

/* ---- 9: a snapshot of an origin in use ---- */

/* What is complete before the cut is in the snapshot, though it came after the merge. */
static void rule_9_complete_before_the_cut(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	write_unit(&p, p.origin, 10, 8);
	p.unit = 20;
	p.on_flush = script_write;	/* of the commit that comes before the cut */
	take_snap(&p);
	assert_null(p.on_flush);
	assert_unit(&p, p.snap, 20, 7);
	pool_exit(&p);
}

static void script_land(struct pool *p)
{
	data_write(p, p->unit, 7);
}

/* A write in place that was issued before the cut lands before anybody sees the snapshot. */
static void rule_9_issued_before_the_cut(void **state)
{
	struct thin2_where w;
	struct pool p;

	pool_init(&p);
	write_base(&p);
	look(p.origin, 3, true, &w);
	assert_int_equal(w.action, THIN2_REMAP);
	p.unit = w.phys;
	p.on_drain = script_land;
	take_snap(&p);
	assert_null(p.on_drain);
	assert_unit(&p, p.snap, 3, 7);
	pool_exit(&p);
}

static void script_end(struct pool *p)
{
	data_write(p, p->write.phys, 7);
	thin2_write_end(&p->write, 0);
}

/* In the commit before the cut; what is left for the cut is merged behind it. */
static void script_write_then_end(struct pool *p)
{
	script_write(p);
	p->on_get = script_end;
}

/*
 * A write that maps something new and ends behind the cut, while what came
 * before the cut is merged, is not in the snapshot: the origin has it alone and
 * overwrites it in place.
 */
static void rule_9_ends_behind_the_cut(void **state)
{
	struct pool p;

	begin_nine(&p);
	write_unit(&p, p.origin, 10, 8);
	p.unit = 20;
	p.on_flush = script_write_then_end;
	take_snap(&p);
	assert_null(p.on_flush);
	assert_null(p.on_get);
	assert_hole(p.snap, 9);
	assert_unit(&p, p.snap, 20, 7);
	write_unit(&p, p.origin, 9, 9);
	assert_ok(thin2_checkpoint(p.md));
	evict_all(p.snap);
	assert_hole(p.snap, 9);
	assert_unit(&p, p.origin, 9, 9);
	pool_exit(&p);
}

static void script_is_busy(struct pool *p)
{
	p->result = thin2_snap_busy(p->origin);
}

/* Until writes issued before the cut have drained nothing is copied from under them. */
static void rule_9_no_copy_before_the_drain(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	p.on_drain = script_is_busy;
	take_snap(&p);
	assert_null(p.on_drain);
	assert_true(p.result);
	assert_false(thin2_snap_busy(p.origin));
	pool_exit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_1_data_before_record),
		cmocka_unit_test(rule_1_flush_comes_first),
		cmocka_unit_test(rule_1_batch_is_closed_first),
		cmocka_unit_test(rule_2_flush_without_records),
		cmocka_unit_test(rule_2_closed_is_not_forgotten),
		cmocka_unit_test(rule_2_fua_on_overwrite),
		cmocka_unit_test(rule_3_record_and_map_are_one),
		cmocka_unit_test(rule_3_discard_waits_for_a_write),
		cmocka_unit_test(rule_3_write_waits_for_a_write),
		cmocka_unit_test(rule_3_eviction_spares_a_write),
		cmocka_unit_test(rule_3_eviction_spares_the_unmerged),
		cmocka_unit_test(rule_3_journal_is_reserved),
		cmocka_unit_test(rule_4_journal_before_superblock),
		cmocka_unit_test(rule_4_also_of_what_is_merged_in_part),
		cmocka_unit_test(rule_4_tail_is_the_oldest_not_merged),
		cmocka_unit_test(rule_4_tail_leaves_newer_ones),
		cmocka_unit_test(rule_4_overlay_stays_until_the_commit),
		cmocka_unit_test(rule_9_complete_before_the_cut),
		cmocka_unit_test(rule_9_issued_before_the_cut),
		cmocka_unit_test(rule_9_ends_behind_the_cut),
		cmocka_unit_test(rule_9_no_copy_before_the_drain),
	};

	return cmocka_run_group_tests(tests, test_quiet, NULL);
}
