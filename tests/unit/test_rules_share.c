// SPDX-License-Identifier: GPL-2.0-only
/*
 * The design's rules 5 to 8 and 10 to 15: for each the interleaving that breaks
 * it, as far as there is one. What each test notices is tried by
 * tests/mutations/mutate.sh.
 */
#include "script-pool.h"

#include "pdata-fault.h"
#include "pdata-layout.h"

/* ---- 5: nothing is used again too early ---- */

/* All blocks that can be had now. Is @block one of them? */
static bool handed_out(struct pool *p, u64 block)
{
	struct pdata_sm_meta *sm = &p->md->tm.sm;
	bool found = false;
	u64 b;

	while (!pdata_sm_alloc(sm, &b, true))
		found |= b == block;
	return found;
}

static void rule_5_checkpoint_is_not_overwritten(void **state)
{
	struct pool p;
	u32 count;
	u64 root;

	pool_init(&p);
	write_base(&p);
	root = pdata_ptr_block(p.origin->base_root);
	thin2_lock(p.md);
	assert_ok(pdata_sm_dec(&p.md->tm.sm, root, &count));
	assert_int_equal(count, 0);
	assert_false(handed_out(&p, root));
	thin2_unlock(p.md);
	pool_exit(&p);
}

/* A reader of an older version has its blocks until it leaves. */
static void old_root(bool reader)
{
	struct pdata_pin pin;
	struct pool p;
	u64 root;

	pool_init(&p);
	write_base(&p);
	root = pdata_ptr_block(p.origin->base_root);
	pdata_sm_pin(&p.md->tm.sm, &pin);
	if (!reader)
		pdata_sm_unpin(&p.md->tm.sm, &pin);
	write_unit(&p, p.origin, 20, 7);
	assert_ok(thin2_checkpoint(p.md));
	assert_true(pdata_ptr_block(p.origin->base_root) != root);
	thin2_lock(p.md);
	assert_int_equal(handed_out(&p, root), !reader);
	thin2_unlock(p.md);
	if (reader)
		pdata_sm_unpin(&p.md->tm.sm, &pin);
	pool_exit(&p);
}

static void rule_5_readers_keep_their_version(void **state)
{
	old_root(true);
	old_root(false);
}

static void script_crash(struct pool *p)
{
	sim_clock_crash(&p->clock);
}

/* Power fails in the flush of a commit: what it wrote is lost, the one before stands. */
static void rule_5_blocks_before_superblock(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	write_unit(&p, p.origin, 20, 7);
	p.on_flush = script_crash;
	assert_true(thin2_checkpoint(p.md));
	pool_crash(&p);
	assert_unit(&p, p.origin, 20, 7);
	assert_unit(&p, p.origin, 4, 104);
	pool_exit(&p);
}

/* Both A and B are lost: the backup is of the same commit. */
static void rule_5_backup_follows_every_commit(void **state)
{
	unsigned int round;
	struct pool p;

	for (round = 0; round < 2; round++) {
		pool_init(&p);
		write_base(&p);
		assert_ok(thin2_create(p.md, 5));
		if (round)
			assert_ok(thin2_create(p.md, 6));
		pool_abandon(&p);
		sim_flip_bit(p.meta, PDATA_SB_A, 9000);
		sim_flip_bit(p.meta, PDATA_SB_B, 9000);
		sim_clock_crash(&p.clock);
		sim_clock_power_on(&p.clock, SIM_ALL);
		pool_open(&p);
		assert_ok(thin2_dev_open(p.md, 0, &p.origin));
		assert_err(thin2_create(p.md, 5 + round), PDATA_E_EXISTS);
		pool_exit(&p);
	}
}

/* A full device, half of which a deleted thin has; the rest of its way back is to come. */
static void full_and_deleted(struct pool *p)
{
	struct thin2_dev *th;
	u64 i;

	*p = (struct pool){ .data_units = 16 };
	pool_start(p);
	assert_ok(thin2_create(p->md, 2));
	assert_ok(thin2_dev_open(p->md, 2, &th));
	for (i = 0; i < 8; i++) {
		write_unit(p, p->origin, i, 100 + i);
		write_unit(p, th, i, 200 + i);
	}
	thin2_dev_close(th);
	assert_ok(thin2_checkpoint(p->md));
	assert_ok(thin2_fill(p->origin, 9, 10));
	assert_ok(thin2_delete(p->md, 2));
}

static void script_begin(struct pool *p)
{
	p->result = thin2_write_begin(p->origin, 9, 10, &p->write);
	if (!p->result)
		thin2_write_end(&p->write, -EIO);
}

static void rule_5_freed_data_waits_for_the_checkpoint(void **state)
{
	struct pool p;

	full_and_deleted(&p);
	p.on_flush = script_begin;
	assert_true(thin2_work(p.md, false) >= 0);
	assert_null(p.on_flush);
	assert_err(p.result, PDATA_E_DIRTY_LIMIT);
	write_unit(&p, p.origin, 9, 7);
	pool_exit(&p);
}

static void rule_5_freed_data_waits_for_the_drain(void **state)
{
	struct pool p;

	full_and_deleted(&p);
	p.on_drain = script_begin;
	assert_true(thin2_work(p.md, false) >= 0);
	assert_null(p.on_drain);
	assert_err(p.result, PDATA_E_DIRTY_LIMIT);
	write_unit(&p, p.origin, 9, 7);
	pool_exit(&p);
}

/* Also: as long as anything is in quarantine, space has not run out. */
static void rule_5_freed_data_waits_for_passdown(void **state)
{
	struct pool p;

	full_and_deleted(&p);
	p.keep_freed = true;
	assert_ok(thin2_checkpoint(p.md));
	script_begin(&p);
	assert_err(p.result, PDATA_E_DIRTY_LIMIT);
	thin2_release(p.md, &p.freed);
	script_begin(&p);
	assert_ok(p.result);
	pool_exit(&p);
}

/* ---- 6: counts ---- */

static void assert_used(struct pool *p, u64 used)
{
	struct thin2_pool_status s;

	assert_ok(thin2_checkpoint(p->md));
	thin2_pool_status(p->md, &s);
	assert_u64(s.data_used, used);
	assert_u64(pdata_alloc_free(&p->md->alloc), s.data_total - used);
}

/* Mapped and superseded before any merge: up and down in one transaction. */
static void rule_6_superseded_before_a_merge(void **state)
{
	struct pool p;
	u64 done;

	pool_init(&p);
	write_unit(&p, p.origin, 0, 7);
	assert_ok(thin2_unmap(p.origin, 0, 1, false, &done));
	write_unit(&p, p.origin, 0, 8);
	assert_used(&p, 1);
	pool_exit(&p);
}

static void rule_6_deleted_before_a_merge(void **state)
{
	struct thin2_dev *th;
	struct pool p;

	pool_init(&p);
	assert_ok(thin2_create(p.md, 2));
	assert_ok(thin2_dev_open(p.md, 2, &th));
	write_unit(&p, th, 0, 7);
	thin2_dev_close(th);
	assert_ok(thin2_delete(p.md, 2));
	assert_used(&p, 0);
	pool_exit(&p);
}

/*
 * In one transaction the origin gives up a unit and a copy of the leaf that it
 * shared brings a reference: never 0 in between.
 */
static void rule_6_a_shared_leaf_is_copied(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	take_snap(&p);
	write_unit(&p, p.origin, 3, 7);
	assert_used(&p, 9);
	assert_unit(&p, p.snap, 3, 103);
	thin2_dev_close(p.snap);
	p.snap = NULL;
	assert_ok(thin2_delete(p.md, 1));
	assert_used(&p, 8);
	pool_exit(&p);
}

/* ---- 7: uids ---- */

/* Records of a deleted thin are in the journal, and another one has its id. */
static void rule_7_an_id_comes_again(void **state)
{
	struct thin2_dev *th;
	struct pool p;

	pool_init(&p);
	assert_ok(thin2_create(p.md, 5));
	assert_ok(thin2_dev_open(p.md, 5, &th));
	/* Keeps the journal's tail where it is. */
	write_unit(&p, p.origin, 3, 8);
	write_unit(&p, th, 3, 7);
	assert_ok(thin2_flush(p.md));
	thin2_dev_close(th);
	assert_ok(thin2_delete(p.md, 5));
	assert_ok(thin2_create(p.md, 5));
	pool_crash(&p);
	assert_ok(thin2_dev_open(p.md, 5, &th));
	assert_hole(th, 3);
	assert_unit(&p, p.origin, 3, 8);
	thin2_dev_close(th);
	pool_exit(&p);
}

/* ---- 8: what may be written in place ---- */

static void rule_8_not_what_a_snapshot_has(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	take_snap(&p);
	write_unit(&p, p.origin, 3, 7);
	assert_unit(&p, p.snap, 3, 103);
	assert_unit(&p, p.origin, 3, 7);
	pool_exit(&p);
}

/* Read from the tree again: births tell. */
static void rule_8_nor_by_its_birth(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	take_snap(&p);
	evict_all(p.origin);
	write_unit(&p, p.origin, 3, 7);
	assert_unit(&p, p.snap, 3, 103);
	pool_exit(&p);
}

static void rule_8_nor_when_an_epoch_comes_round(void **state)
{
	struct thin2_dev *last;
	struct pool p;
	u32 id;

	pool_init(&p);
	write_base(&p);
	for (id = 2; id < 5; id++)
		assert_ok(thin2_create_snap(p.md, id, 0));
	write_unit(&p, p.origin, 3, 7);
	assert_ok(thin2_dev_open(p.md, 4, &last));
	assert_unit(&p, last, 3, 103);
	thin2_dev_close(last);
	pool_exit(&p);
}

static void rule_8_nodes_of_the_path(void **state)
{
	struct thin2_where w;
	struct pool p;
	u64 load;

	pool_init(&p);
	write_base(&p);
	take_snap(&p);
	look(p.origin, 3, true, &w);
	assert_int_equal(thin2_ask_exclusive(p.origin, 3, &load), 0);
	pool_exit(&p);
}

/* The leaf is the origin's own by now, what it maps is not. */
static void rule_8_count_of_the_data(void **state)
{
	struct pool p;
	u64 load;

	pool_init(&p);
	write_base(&p);
	take_snap(&p);
	write_unit(&p, p.origin, 5, 7);
	assert_ok(thin2_checkpoint(p.md));
	assert_int_equal(thin2_ask_exclusive(p.origin, 3, &load), 0);
	pool_exit(&p);
}

static void script_overwrite(struct pool *p)
{
	write_unit(p, p->origin, 3, 7);
}

/* The version that can be asked about knows nothing yet of the snapshot being taken. */
static void rule_8_a_snapshot_under_way(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	p.on_flush = script_overwrite;
	take_snap(&p);
	assert_null(p.on_flush);
	assert_unit(&p, p.snap, 3, 103);
	assert_unit(&p, p.origin, 3, 7);
	pool_exit(&p);
}

/* Joined with a newer neighbour a range is as old as it was. */
static void rule_8_joined_births(void **state)
{
	struct thin2_where w;
	struct pool p;
	u64 phys;

	pool_init(&p);
	write_unit(&p, p.origin, 0, 100);
	assert_ok(thin2_checkpoint(p.md));
	take_snap(&p);
	phys = read_begin(p.origin, 0);
	write_unit(&p, p.origin, 1, 7);
	assert_u64(read_begin(p.origin, 1), phys + 1);
	assert_ok(thin2_checkpoint(p.md));
	evict_all(p.origin);
	look(p.origin, 0, true, &w);
	assert_int_equal(w.action, THIN2_UNSHARE);
	pool_exit(&p);
}

/* What a held root maps is not overwritten either. */
static void rule_8_held_roots(void **state)
{
	struct thin2_root root;
	struct pool p;
	u64 phys;

	pool_init(&p);
	write_base(&p);
	phys = read_begin(p.origin, 3);
	thin2_dev_close(p.origin);
	assert_ok(thin2_get_root(p.md, 0, &root));
	assert_ok(thin2_dev_open(p.md, 0, &p.origin));
	write_unit(&p, p.origin, 3, 7);
	assert_ok(thin2_checkpoint(p.md));
	assert_true(data_is(&p, phys, 103));
	assert_unit(&p, p.origin, 3, 7);
	pool_exit(&p);
}

static u32 count_of(struct pool *p, u64 ptr)
{
	u32 count;

	thin2_lock(p->md);
	assert_ok(pdata_sm_get(&p->md->tm.sm, pdata_ptr_block(ptr), &count));
	thin2_unlock(p->md);
	return count;
}

/* What a held checkpoint reaches is neither changed nor freed, but is once it is let go of. */
static void rule_5_held_checkpoint(void **state)
{
	u64 tree, details;
	struct pool p;

	pool_init(&p);
	write_base(&p);
	tree = p.origin->base_root;
	assert_ok(thin2_reserve_snap(p.md));
	assert_err(thin2_reserve_snap(p.md), PDATA_E_BUSY);
	details = p.md->sb.hold[0].root;
	write_unit(&p, p.origin, 9, 7);
	assert_ok(thin2_checkpoint(p.md));
	assert_true(p.origin->base_root != tree);
	assert_u64(count_of(&p, details), 1);
	assert_u64(count_of(&p, tree), 1);
	write_unit(&p, p.origin, 11, 8);
	assert_ok(thin2_checkpoint(p.md));
	assert_u64(count_of(&p, tree), 1);
	assert_ok(thin2_release_snap(p.md));
	assert_err(thin2_release_snap(p.md), PDATA_E_NOT_HELD);
	assert_ok(thin2_checkpoint(p.md));
	assert_u64(p.md->sb.nr_holds, 0);
	assert_u64(count_of(&p, details), 0);
	assert_u64(count_of(&p, tree), 0);
	pool_exit(&p);
}

/* ---- 10: what is wrong with a block is noticed ---- */

static int fill_anew(struct pool *p)
{
	pool_crash(p);
	return thin2_fill(p->origin, 3, 4);
}

static void rule_10_a_flipped_bit(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	sim_flip_bit(p.meta, pdata_ptr_block(p.origin->base_root), 8 * 100);
	assert_err(fill_anew(&p), PDATA_E_CSUM);
	pool_exit(&p);
}

static void rule_10_a_misdirected_block(void **state)
{
	struct thin2_dev *th;
	struct pool p;
	u64 root;

	pool_init(&p);
	write_base(&p);
	assert_ok(thin2_create(p.md, 2));
	assert_ok(thin2_dev_open(p.md, 2, &th));
	write_unit(&p, th, 3, 9);
	assert_ok(thin2_checkpoint(p.md));
	root = pdata_ptr_block(th->base_root);
	thin2_dev_close(th);
	sim_poke(p.meta, pdata_ptr_block(p.origin->base_root), sim_peek(p.meta, root));
	assert_err(fill_anew(&p), PDATA_E_BLOCKNR);
	pool_exit(&p);
}

/* Superblocks from before a flush: its journal block tells. */
static void rule_10_a_stale_superblock(void **state)
{
	static const u64 place[] = { PDATA_SB_A, PDATA_SB_B, PDATA_SB_BACKUP };
	u8 old[3][PDATA_BLOCK_SIZE];
	struct thin2_md_params params;
	struct thin2_md *md;
	unsigned int i;
	struct pool p;

	pool_init(&p);
	write_base(&p);
	for (i = 0; i < 3; i++)
		memcpy(old[i], sim_peek(p.meta, place[i]), PDATA_BLOCK_SIZE);
	write_unit(&p, p.origin, 20, 7);
	assert_ok(thin2_checkpoint(p.md));
	write_unit(&p, p.origin, 21, 7);
	assert_ok(thin2_flush(p.md));
	pool_abandon(&p);
	for (i = 0; i < 3; i++)
		sim_poke(p.meta, place[i], old[i]);
	params = (struct thin2_md_params){ .io = &p.meta->io, .name = "stale", .read_only = true };
	assert_err(thin2_md_open(&params, &md), PDATA_E_STALE_SB);
	sim_disk_destroy(p.meta);
	sim_disk_destroy(p.data);
}

/* A journal block that later ones say was durable is not there. */
static void rule_10_a_lost_journal_block(void **state)
{
	struct thin2_md_params params;
	struct thin2_md *md;
	struct pool p;

	pool_init(&p);
	write_unit(&p, p.origin, 0, 7);
	p.meta->faults.lose_write = 1;
	assert_ok(thin2_flush(p.md));
	write_unit(&p, p.origin, 1, 8);
	assert_ok(thin2_flush(p.md));
	pool_abandon(&p);
	params = (struct thin2_md_params){ .io = &p.meta->io, .name = "lost", .read_only = true };
	assert_err(thin2_md_open(&params, &md), PDATA_E_JOURNAL_GAP);
	sim_disk_destroy(p.meta);
	sim_disk_destroy(p.data);
}

/* Damaged in memory: refused on its way to disk, and the old checkpoint stands. */
static void rule_10_checked_before_a_write(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	write_unit(&p, p.origin, 3, 7);
	assert_ok(thin2_flush(p.md));
	pdata_fault_arm(PDATA_FAULT_SEAL_CORRUPT, 0);
	assert_true(thin2_checkpoint(p.md));
	pdata_fault_disarm_all();
	pool_crash_as(&p, SIM_ALL, SIM_ALL);
	assert_unit(&p, p.origin, 3, 7);
	assert_unit(&p, p.origin, 4, 104);
	pool_exit(&p);
}

/*
 * Whatever cannot be written, the superblock that is in force says so, that of a commit
 * that failed half way included, and nothing is written until somebody has looked.
 */
static void fails_at(enum pdata_fault_point point, unsigned int after)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	write_unit(&p, p.origin, 9, 7);
	assert_ok(thin2_flush(p.md));
	if (point == PDATA_FAULT_JOURNAL_WRITE)
		write_unit(&p, p.origin, 11, 8);
	pdata_fault_arm(point, after);
	assert_true(point == PDATA_FAULT_JOURNAL_WRITE ? thin2_flush(p.md) : thin2_checkpoint(p.md));
	pdata_fault_disarm_all();
	assert_false(thin2_md_needs_check(p.md));
	thin2_md_mark_failed(p.md);
	pool_crash(&p);
	assert_true(thin2_md_needs_check(p.md));
	assert_err(thin2_checkpoint(p.md), PDATA_E_READ_ONLY);
	assert_unit(&p, p.origin, 9, 7);
	assert_unit(&p, p.origin, 4, 104);
	pool_exit(&p);
}

static void needs_check_is_set(void **state)
{
	fails_at(PDATA_FAULT_JOURNAL_WRITE, 0);
	fails_at(PDATA_FAULT_COMMIT_WRITE, 0);
	fails_at(PDATA_FAULT_COMMIT_SUPER, 0);
	fails_at(PDATA_FAULT_COMMIT_SUPER, 1);
}

/* ---- 11: damage stays where it is ---- */

static void rule_11_a_merge_replaces_a_lost_leaf(void **state)
{
	static const struct pdata_limits limits = { .btree_max = 4, .fanout = 4, .leaf_max = 4 };
	struct pool p = { .limits = &limits };
	struct pdata_rt_path path;
	struct thin2_where w;
	struct pdata_view view;
	struct pdata_range r;
	struct pdata_rt rt;
	u64 i;

	pool_start(&p);
	for (i = 0; i < 16; i++)
		write_unit(&p, p.origin, 2 * i, 100 + i);
	assert_ok(thin2_checkpoint(p.md));
	view = (struct pdata_view){ .tm = &p.md->tm };
	thin2_rt_init(p.origin, &rt);
	assert_ok(pdata_rt_lookup(&rt, &view, p.origin->base_root, 0, &r, &path));
	write_unit(&p, p.origin, 1, 50);
	assert_ok(thin2_flush(p.md));
	sim_flip_bit(p.meta, path.block[path.nr - 1], 8 * 100);
	pool_crash(&p);
	assert_true(thin2_fill(p.origin, 0, 1));
	assert_unit(&p, p.origin, 30, 115);
	assert_ok(thin2_checkpoint(p.md));
	assert_u64(atomic64_read(&p.md->nr_dirty), 0);
	evict_all(p.origin);
	look(p.origin, 0, false, &w);
	assert_int_equal(w.action, THIN2_DAMAGED);
	assert_unit(&p, p.origin, 1, 50);
	assert_unit(&p, p.origin, 30, 115);
	take_snap(&p);
	write_unit(&p, p.origin, 28, 9);
	assert_unit(&p, p.snap, 28, 114);
	pool_exit(&p);
}

/* ---- 14, 15: no lock, no memory ---- */

/* With every lock held that others may hold: mapped I/O goes on. */
static void rule_14_mapped_io_takes_no_lock(void **state)
{
	struct thin2_where w;
	struct pool p;

	pool_init(&p);
	write_base(&p);
	thin2_lock(p.md);
	mutex_lock(&p.md->cache_lock);
	down(&p.md->flush_sem);
	spin_lock(&p.origin->lock);
	thin2_lookup(p.origin, 3, 4, false, &w);
	assert_int_equal(w.action, THIN2_REMAP);
	thin2_lookup(p.origin, 3, 4, true, &w);
	assert_int_equal(w.action, THIN2_REMAP);
	spin_unlock(&p.origin->lock);
	up(&p.md->flush_sem);
	mutex_unlock(&p.md->cache_lock);
	thin2_unlock(p.md);
	pool_exit(&p);
}

/* More writes in flight than a block of a delta list has places: all of them end. */
static void rule_15_completion_needs_no_memory(void **state)
{
	struct thin2_write w[200];
	unsigned int i;
	struct pool p;

	pool_init(&p);
	assert_ok(thin2_fill(p.origin, 0, 512));
	assert_ok(thin2_make_room(p.origin, -PDATA_E_WOULD_SLEEP));
	for (i = 0; i < 200; i++)
		assert_ok(thin2_write_begin(p.origin, 2 * i, 2 * i + 1, &w[i]));
	pdata_shim_fail_alloc_from(0);
	for (i = 0; i < 200; i++)
		thin2_write_end(&w[i], 0);
	pdata_shim_fail_alloc_after(-1);
	for (i = 0; i < 200; i++)
		assert_u64(read_begin(p.origin, 2 * i), w[i].phys);
	assert_ok(thin2_checkpoint(p.md));
	pool_exit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rule_5_checkpoint_is_not_overwritten),
		cmocka_unit_test(rule_5_readers_keep_their_version),
		cmocka_unit_test(rule_5_blocks_before_superblock),
		cmocka_unit_test(rule_5_backup_follows_every_commit),
		cmocka_unit_test(rule_5_freed_data_waits_for_the_checkpoint),
		cmocka_unit_test(rule_5_freed_data_waits_for_the_drain),
		cmocka_unit_test(rule_5_freed_data_waits_for_passdown),
		cmocka_unit_test(rule_6_superseded_before_a_merge),
		cmocka_unit_test(rule_6_deleted_before_a_merge),
		cmocka_unit_test(rule_6_a_shared_leaf_is_copied),
		cmocka_unit_test(rule_7_an_id_comes_again),
		cmocka_unit_test(rule_8_not_what_a_snapshot_has),
		cmocka_unit_test(rule_8_nor_by_its_birth),
		cmocka_unit_test(rule_8_nor_when_an_epoch_comes_round),
		cmocka_unit_test(rule_8_nodes_of_the_path),
		cmocka_unit_test(rule_8_count_of_the_data),
		cmocka_unit_test(rule_8_a_snapshot_under_way),
		cmocka_unit_test(rule_8_joined_births),
		cmocka_unit_test(rule_8_held_roots),
		cmocka_unit_test(rule_5_held_checkpoint),
		cmocka_unit_test(rule_10_a_flipped_bit),
		cmocka_unit_test(rule_10_a_misdirected_block),
		cmocka_unit_test(rule_10_a_stale_superblock),
		cmocka_unit_test(rule_10_a_lost_journal_block),
		cmocka_unit_test(rule_10_checked_before_a_write),
		cmocka_unit_test(needs_check_is_set),
		cmocka_unit_test(rule_11_a_merge_replaces_a_lost_leaf),
		cmocka_unit_test(rule_14_mapped_io_takes_no_lock),
		cmocka_unit_test(rule_15_completion_needs_no_memory),
	};

	return cmocka_run_group_tests(tests, test_quiet, NULL);
}
