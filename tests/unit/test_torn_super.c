// SPDX-License-Identifier: GPL-2.0-only
/*
 * A superblock that a crash left torn. If it stayed, the next attempt to write
 * one of its generation, torn as well, could make it whole, after what it points
 * to and its count slots were written over. So it goes before anything else is
 * written.
 */
#include "script-pool.h"

#include "pdata-layout.h"

#define SECTOR		512

static u8 disk_was[META_BLOCKS][PDATA_BLOCK_SIZE];

static void remember(struct pool *p)
{
	u64 b;

	for (b = 0; b < META_BLOCKS; b++)
		memcpy(disk_was[b], sim_peek(p->meta, b), PDATA_BLOCK_SIZE);
}

/* Nothing but @home has changed. */
static void assert_unchanged(struct pool *p, u64 home)
{
	u64 b;

	for (b = 0; b < META_BLOCKS; b++)
		if (b != home)
			assert_memory_equal(disk_was[b], sim_peek(p->meta, b), PDATA_BLOCK_SIZE);
}

static bool is_super(struct pool *p, u64 block)
{
	struct pdata_check c = {
		.block = block,
		.type = PDATA_TYPE_SUPERBLOCK,
		.max_generation = ~0ull,
		.nr_blocks = META_BLOCKS,
	};

	return !pdata_block_check(&c, sim_peek(p->meta, block));
}

/* Slots of the next generation are there: the first group's. */
static bool has_newer_slot(struct pool *p, u64 generation)
{
	const struct pdata_header *h;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		h = sim_peek(p->meta, pdata_counts_place(0, i));
		if (le64_to_cpu(h->generation) > generation)
			return true;
	}
	return false;
}

/*
 * A pool whose next commit was cut off when all but its superblock was there.
 * Of that one, only some of its sectors.
 */
static u64 torn_pool(struct pool *p, struct pdata_super *sb)
{
	struct pdata_super next;
	u8 new[PDATA_BLOCK_SIZE];
	unsigned int n;
	u64 home;

	for (n = 1; ; n++) {
		pool_init(p);
		write_base(p);
		write_unit(p, p->origin, 40, 1);
		assert_ok(thin2_flush(p->md));
		*sb = p->md->sb;
		sim_clock_crash_at(&p->clock, n);
		assert_true(thin2_checkpoint(p->md) < 0);
		pool_abandon(p);
		sim_clock_power_on(&p->clock, SIM_ALL);
		sim_clock_crash_at(&p->clock, 0);
		if (has_newer_slot(p, sb->generation))
			break;
		pool_exit(p);
	}
	home = sb->generation & 1 ? PDATA_SB_A : PDATA_SB_B;
	/* Its home, as the commit would have left it. */
	next = *sb;
	next.generation++;
	next.details_copy_root = sb->details_root;
	assert_ok(pdata_super_write(&p->meta->io, &next, false));
	memcpy(new, sim_peek(p->meta, home), PDATA_BLOCK_SIZE);
	next = *sb;
	next.generation--;
	assert_ok(pdata_super_write(&p->meta->io, &next, false));
	memcpy(new + SECTOR, (const u8 *)sim_peek(p->meta, home) + SECTOR,
	       PDATA_BLOCK_SIZE - SECTOR);
	sim_poke(p->meta, home, new);
	assert_false(is_super(p, home));
	return home;
}

static void mended_before_all_else(void **state)
{
	struct pdata_super sb, found;
	struct pool p;
	u64 home;

	home = torn_pool(&p, &sb);
	remember(&p);

	/* Power fails in the first operation: no matter what it was to do, that is the home. */
	sim_clock_crash_at(&p.clock, 1);
	assert_true(pool_try_open(&p) < 0);
	sim_clock_power_on(&p.clock, SIM_ALL);
	assert_unchanged(&p, home);

	/* In the second one: the first is done. */
	sim_poke(p.meta, home, disk_was[home]);
	sim_clock_crash_at(&p.clock, 2);
	assert_true(pool_try_open(&p) < 0);
	sim_clock_power_on(&p.clock, SIM_NONE);
	assert_unchanged(&p, home);
	assert_true(is_super(&p, home));
	assert_int_equal(pdata_super_read(&p.meta->io, &found), PDATA_SB_VALID);
	assert_u64(found.generation, sb.generation);
	assert_u64(found.details_copy_root, sb.details_copy_root);

	sim_clock_crash_at(&p.clock, 0);
	pool_open(&p);
	assert_ok(thin2_dev_open(p.md, 0, &p.origin));
	assert_unit(&p, p.origin, 3, 103);
	assert_unit(&p, p.origin, 40, 1);
	pool_exit(&p);
}

/* A superblock that is whole stays, however old it is. */
static void whole_ones_stay(void **state)
{
	struct pdata_super sb;
	u8 other[PDATA_BLOCK_SIZE];
	struct pool p;
	u64 home;

	pool_init(&p);
	write_base(&p);
	sb = p.md->sb;
	home = sb.generation & 1 ? PDATA_SB_A : PDATA_SB_B;
	memcpy(other, sim_peek(p.meta, home), PDATA_BLOCK_SIZE);
	assert_ok(pdata_super_mend(&p.meta->io, &sb));
	assert_memory_equal(other, sim_peek(p.meta, home), PDATA_BLOCK_SIZE);
	sim_flip_bit(p.meta, home, 8 * 1500);
	assert_ok(pdata_super_mend(&p.meta->io, &sb));
	assert_true(is_super(&p, home));
	pool_exit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mended_before_all_else),
		cmocka_unit_test(whole_ones_stay),
	};

	return cmocka_run_group_tests(tests, test_quiet, NULL);
}
