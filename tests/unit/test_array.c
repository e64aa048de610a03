// SPDX-License-Identifier: GPL-2.0-only
/* Two-slot array: atomic with the superblock, whatever a crash leaves of the slots. */
#include "testlib.h"

#include "pdata-array.h"
#include "pdata-fault.h"
#include "pdata-layout.h"
#include "pdata-superblock.h"

#define GROUPS		3
#define PER		PDATA_COUNTS_PER_BLOCK
#define NR_BLOCKS	(GROUPS * PER)
#define NUMBERS		(GROUPS * PER)

static const u8 uuid[PDATA_UUID_SIZE] = "arrays like this";

/* An array on a disk, with the superblock it hangs from. */
struct fixture {
	struct sim_clock clock;
	struct sim_disk *disk;
	struct pdata_bm bm;
	struct pdata_super sb;
	struct pdata_array a;
	bool open;
	bool newest;		/* groups of which the superblock says nothing */
	u32 committed[NUMBERS];
	u32 working[NUMBERS];
	u64 committed_groups;
};

static void fixture_open(struct fixture *f)
{
	pdata_bm_init(&f->bm, &f->disk->io, uuid, NR_BLOCKS, "test");
	assert_ok(pdata_array_init(&f->a, &f->bm, f->sb.meta_groups, GROUPS, f->sb.generation,
				   f->sb.slots));
	if (f->newest)
		f->a.named = 0;
	f->open = true;
}

static void fixture_close(struct fixture *f)
{
	if (f->open)
		pdata_array_exit(&f->a);
	f->open = false;
}

static struct fixture *fixture_new(u64 seed)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	sim_clock_init(&f->clock, seed);
	f->disk = sim_disk_create(NR_BLOCKS, &f->clock);
	pdata_super_init(&f->sb, uuid, NR_BLOCKS);
	assert_ok(pdata_super_format(&f->disk->io, &f->sb));
	fixture_open(f);
	return f;
}

static void fixture_free(struct fixture *f)
{
	fixture_close(f);
	sim_disk_destroy(f->disk);
	free(f);
}

static void set(struct fixture *f, u64 i, u32 value)
{
	assert_ok(pdata_array_set(&f->a, i, value));
	f->working[i] = value;
}

/* A new group, with what its checker wants to be in use. */
static void init_group(struct fixture *f, u64 g)
{
	assert_ok(pdata_array_load(&f->a, g));
	set(f, pdata_counts_place(g, 0), 1);
	set(f, pdata_counts_place(g, 1), 1);
	if (!g) {
		set(f, PDATA_SB_A, 1);
		set(f, PDATA_SB_B, 1);
		set(f, PDATA_SB_BACKUP, 1);
	}
}

static int commit(struct fixture *f)
{
	int r;

	f->sb.generation++;
	f->sb.meta_groups = f->a.nr_groups;
	pdata_array_next_slots(&f->a, f->sb.slots);
	r = pdata_array_write(&f->a, f->sb.generation);
	if (!r)
		r = pdata_io_flush(&f->disk->io);
	if (!r)
		r = pdata_super_write(&f->disk->io, &f->sb, false);
	if (r)
		return r;
	pdata_array_committed(&f->a, f->sb.generation);
	memcpy(f->committed, f->working, sizeof(f->committed));
	f->committed_groups = f->sb.meta_groups;
	return 0;
}

static void check_all(struct fixture *f)
{
	u64 i;
	u32 v;

	for (i = 0; i < f->a.nr_groups; i++)
		assert_ok(pdata_array_load(&f->a, i));
	for (i = 0; i < f->a.nr_groups * PER; i++) {
		assert_u64(pdata_array_get(&f->a, i), f->working[i]);
		assert_u64(pdata_array_get_old(&f->a, i), f->committed[i]);
		assert_ok(pdata_array_get_committed(&f->a, i, f->sb.generation, &v));
		assert_u64(v, f->committed[i]);
	}
}

static void test_basic(void **state)
{
	struct fixture *f = fixture_new(1);
	u32 v;

	assert_err(pdata_array_load(&f->a, 1), PDATA_E_OUT_OF_RANGE);
	assert_err(pdata_array_load(&f->a, GROUPS), PDATA_E_OUT_OF_RANGE);
	init_group(f, 0);
	set(f, 700, 5);
	/* Not committed yet: a reader sees what was there before, nothing. */
	assert_ok(pdata_array_get_committed(&f->a, 700, 0, &v));
	assert_u64(v, 0);
	assert_u64(f->a.nr_dirty, 1);
	assert_ok(commit(f));
	assert_u64(f->a.nr_dirty, 0);
	assert_ok(pdata_array_get_committed(&f->a, 700, 1, &v));
	assert_u64(v, 5);
	assert_err(pdata_array_get_committed(&f->a, 700, 0, &v), PDATA_E_RETRY);
	assert_err(pdata_array_get_committed(&f->a, 700, 2, &v), PDATA_E_RETRY);
	assert_err(pdata_array_get_committed(&f->a, NUMBERS, 1, &v), PDATA_E_OUT_OF_RANGE);
	set(f, 700, 6);
	assert_ok(pdata_array_get_committed(&f->a, 700, 1, &v));
	assert_u64(v, 5);
	check_all(f);

	/* Dropped without a commit; another activation finds 5. */
	fixture_close(f);
	fixture_open(f);
	assert_err(pdata_array_get_committed(&f->a, 700, 1, &v), PDATA_E_WOULD_SLEEP);
	assert_ok(pdata_array_load(&f->a, 0));
	assert_ok(pdata_array_get_committed(&f->a, 700, 1, &v));
	assert_u64(v, 5);
	/* Setting what is there already is no change. */
	assert_ok(pdata_array_set(&f->a, 700, 5));
	assert_u64(f->a.nr_dirty, 0);
	fixture_free(f);
}

/* Updates without a commit touch only the slot that is free. */
static void test_slots_alternate(void **state)
{
	struct fixture *f = fixture_new(2);
	unsigned int i, slot;
	u64 gen[2];

	init_group(f, 0);
	assert_ok(commit(f));
	for (slot = 0; slot < 2; slot++) {
		const struct pdata_header *h = sim_peek(f->disk, 2 + slot);

		assert_u64(le64_to_cpu(h->generation), !slot);
	}
	for (i = 2; i < 9; i++) {
		set(f, 600, i);
		assert_ok(commit(f));
		for (slot = 0; slot < 2; slot++) {
			const struct pdata_header *h = sim_peek(f->disk, 2 + slot);

			gen[slot] = le64_to_cpu(h->generation);
		}
		assert_u64(max(gen[0], gen[1]), i);
		assert_u64(min(gen[0], gen[1]), i - 1);
	}
	/* A commit that does not change a group does not write it. */
	assert_ok(commit(f));
	assert_u64(le64_to_cpu(((struct pdata_header *)sim_peek(f->disk, 2))->generation), gen[0]);
	assert_u64(le64_to_cpu(((struct pdata_header *)sim_peek(f->disk, 3))->generation), gen[1]);
	check_all(f);
	fixture_free(f);
}

static void test_grow(void **state)
{
	struct fixture *f = fixture_new(3);
	u64 g;

	fixture_close(f);
	assert_ok(pdata_array_init(&f->a, &f->bm, 0, 1, 0, f->sb.slots));
	f->open = true;
	init_group(f, 0);
	assert_ok(commit(f));
	assert_err(pdata_array_load(&f->a, 1), PDATA_E_OUT_OF_RANGE);
	assert_ok(pdata_array_grow(&f->a, GROUPS));
	for (g = 1; g < GROUPS; g++)
		init_group(f, g);
	set(f, NUMBERS - 1, 77);
	assert_ok(commit(f));
	check_all(f);
	fixture_close(f);
	fixture_open(f);
	check_all(f);
	fixture_free(f);
}

static void test_memory(void **state)
{
	struct fixture *f = fixture_new(4);
	long n;
	int r;

	init_group(f, 0);
	set(f, 600, 1);
	assert_ok(commit(f));
	for (n = 0; ; n++) {
		pdata_shim_fail_alloc_after(n);
		r = pdata_array_set(&f->a, 600, 2);
		pdata_shim_fail_alloc_after(-1);
		if (!r)
			break;
		assert_err(r, ENOMEM);
		assert_u64(pdata_array_get(&f->a, 600), 1);
		assert_u64(f->a.nr_dirty, 0);
	}
	assert_int_not_equal(n, 0);
	/* A commit needs none. */
	f->working[600] = 2;
	pdata_shim_fail_alloc_after(0);
	r = pdata_array_write(&f->a, 2);
	pdata_shim_fail_alloc_after(-1);
	assert_ok(r);
	assert_ok(commit(f));

	/* Loading: nothing is remembered of a failure for lack of memory. */
	fixture_close(f);
	fixture_open(f);
	for (n = 0; ; n++) {
		pdata_shim_fail_alloc_after(n);
		r = pdata_array_load(&f->a, 0);
		pdata_shim_fail_alloc_after(-1);
		if (!r)
			break;
		assert_err(r, ENOMEM);
	}
	assert_int_not_equal(n, 0);
	check_all(f);
	/* And initialising. */
	for (n = 0; ; n++) {
		pdata_shim_fail_alloc_after(n);
		r = pdata_array_load(&f->a, 1);
		pdata_shim_fail_alloc_after(-1);
		if (!r)
			break;
		assert_err(r, ENOMEM);
		assert_u64(f->a.nr_groups, 1);
	}
	fixture_free(f);
}

/* Power comes back: which version is it, and is it complete? */
static void recover(struct fixture *f, enum sim_fate fate)
{
	u64 before = f->sb.generation;
	u64 committed_groups = f->committed_groups;
	int r;

	fixture_close(f);
	sim_clock_power_on(&f->clock, fate);
	r = pdata_super_read(&f->disk->io, &f->sb);
	assert_int_equal(r, PDATA_SB_VALID);
	if (f->sb.generation == before && f->sb.meta_groups != committed_groups)
		f->committed_groups = f->sb.meta_groups;
	fixture_open(f);
	/* Power fails while the scrub is at it, too. */
	sim_clock_crash_at(&f->clock, 1 + before % 3);
	r = pdata_array_scrub(&f->a);
	if (r) {
		fixture_close(f);
		sim_clock_power_on(&f->clock, SIM_RANDOM);
		fixture_open(f);
		assert_ok(pdata_array_scrub(&f->a));
	}
	sim_clock_crash_at(&f->clock, 0);
}

/*
 * Commits with a power failure at a random operation: after each the numbers
 * are those of the superblock's generation, all of them.
 */
static void crash_run(bool newest)
{
	u64 rnd = test_seed() + newest, rounds = test_rounds(400), i, k;
	struct fixture *f = fixture_new(rnd);
	u32 *newer = malloc(sizeof(f->working));
	u64 both = 0;
	int r;

	assert_non_null(newer);
	f->newest = newest;
	f->a.named = newest ? 0 : PDATA_SLOT_GROUPS;
	for (i = 0; i < rounds; i++) {
		u64 old_gen = f->sb.generation;

		if (f->a.nr_groups < GROUPS && rnd_one_in(&rnd, 20))
			init_group(f, f->a.nr_groups);
		for (k = rnd_below(&rnd, 5); k && f->a.nr_groups; k--) {
			u64 n = rnd_below(&rnd, f->a.nr_groups * PER);

			assert_ok(pdata_array_load(&f->a, n / PER));
			set(f, n, 1 + rnd_below(&rnd, 4));
		}
		if (rnd_below(&rnd, 2))
			sim_clock_crash_at(&f->clock, 1 + rnd_below(&rnd, 4));
		memcpy(newer, f->working, sizeof(f->working));
		r = commit(f);
		sim_clock_crash_at(&f->clock, 0);
		if (r || rnd_one_in(&rnd, 8)) {
			recover(f, SIM_RANDOM);
			if (r && f->sb.generation == old_gen + 1) {
				/* The superblock made it. */
				memcpy(f->committed, newer, sizeof(f->committed));
				both |= 1;
			} else if (r) {
				assert_u64(f->sb.generation, old_gen);
				both |= 2;
			}
			memcpy(f->working, f->committed, sizeof(f->working));
		}
		check_all(f);
	}
	assert_u64(both, 3);
	free(newer);
	fixture_free(f);
}

static void test_crash(void **state)
{
	crash_run(false);
	crash_run(true);
}

/* Slots of an aborted transaction do not come back as those of a later one. */
static void test_stale_slot(void **state)
{
	struct fixture *f = fixture_new(5);
	u8 old[PDATA_BLOCK_SIZE];
	u64 i;

	init_group(f, 0);
	set(f, 600, 1);
	assert_ok(commit(f));
	set(f, 600, 99);
	assert_ok(pdata_array_write(&f->a, 2));
	assert_ok(pdata_io_flush(&f->disk->io));
	recover(f, SIM_ALL);
	memcpy(f->working, f->committed, sizeof(f->working));
	for (i = 0; i < 3; i++) {
		assert_ok(commit(f));	/* generation 2 and so on, group 0 unchanged */
		fixture_close(f);
		fixture_open(f);
		check_all(f);
	}
	/* Nor what was written over them, if the next write is lost. */
	memcpy(old, sim_peek(f->disk, pdata_counts_place(0, 1)), sizeof(old));
	set(f, 600, 98);
	assert_ok(commit(f));
	assert_int_equal(pdata_slot_of(f->sb.slots, 0), 1);
	fixture_close(f);
	sim_poke(f->disk, pdata_counts_place(0, 1), old);
	fixture_open(f);
	assert_err(pdata_array_load(&f->a, 0), PDATA_E_STALE);
	fixture_free(f);
}

/* A flipped bit: never the numbers of another time. */
static void flip_run(bool by_age)
{
	struct fixture *f = fixture_new(6);
	unsigned int bit, slot, newest, damaged = 0;
	u8 saved[PDATA_BLOCK_SIZE];
	int r;

	init_group(f, 0);
	for (slot = 1; slot < 4; slot++) {
		set(f, 600, slot);
		assert_ok(commit(f));
	}
	f->newest = by_age;
	/* Generations 1, 2, 3 went to slots both, 1, 0. */
	newest = 0;
	for (slot = 0; slot < 2; slot++) {
		memcpy(saved, sim_peek(f->disk, 2 + slot), sizeof(saved));
		for (bit = 0; bit < 8 * PDATA_BLOCK_SIZE; bit += bit < 1024 ? 1 : 97) {
			fixture_close(f);
			sim_flip_bit(f->disk, 2 + slot, bit);
			fixture_open(f);
			r = pdata_array_load(&f->a, 0);
			if (slot == newest) {
				assert_err(r, PDATA_E_CSUM);
				assert_u64(pdata_array_get(&f->a, 600), PDATA_ARRAY_BAD);
				assert_err(pdata_array_load(&f->a, 0), PDATA_E_CSUM);
				assert_err(pdata_array_set(&f->a, 600, 0), PDATA_E_CSUM);
			} else if (r) {
				/* A header that cannot be trusted: better safe than sorry. */
				assert_err(r, PDATA_E_CSUM);
				assert_true(bit < 512);
				damaged++;
			} else {
				assert_u64(pdata_array_get(&f->a, 600), 3);
			}
			sim_poke(f->disk, 2 + slot, saved);
		}
	}
	/* magic, blocknr, uuid, generation */
	assert_int_equal(damaged, by_age ? 32 + 64 + 128 + 64 : 0);
	fixture_free(f);
}

static void test_flip(void **state)
{
	flip_run(false);
	flip_run(true);
}

/* A write to a slot that was lost, whole or in part: never what was there before. */
static void test_lost_write(void **state)
{
	struct fixture *f = fixture_new(9);
	u8 old[PDATA_BLOCK_SIZE], now[PDATA_BLOCK_SIZE];
	unsigned int slot, i;
	u64 place;

	init_group(f, 0);
	for (i = 1; i < 8; i++) {
		set(f, 600, i);
		slot = !pdata_slot_of(f->sb.slots, 0) && i > 1;
		place = pdata_counts_place(0, slot);
		memcpy(old, sim_peek(f->disk, place), sizeof(old));
		assert_ok(commit(f));
		assert_int_equal(pdata_slot_of(f->sb.slots, 0), slot);
		fixture_close(f);
		memcpy(now, sim_peek(f->disk, place), sizeof(now));
		sim_poke(f->disk, place, old);
		fixture_open(f);
		assert_err(pdata_array_load(&f->a, 0), i == 1 ? PDATA_E_CSUM : PDATA_E_STALE);
		assert_u64(pdata_array_get(&f->a, 600), PDATA_ARRAY_BAD);
		fixture_close(f);
		memcpy(old + 512, now + 512, sizeof(now) - 512);
		sim_poke(f->disk, place, old);
		fixture_open(f);
		if (i > 1)	/* only the header differs, and the number */
			assert_err(pdata_array_load(&f->a, 0), PDATA_E_CSUM);
		fixture_close(f);
		sim_poke(f->disk, place, now);
		fixture_open(f);
		check_all(f);
	}
	fixture_free(f);
}

static void test_damaged(void **state)
{
	struct fixture *f = fixture_new(7);
	u64 g;
	u32 v;

	for (g = 0; g < GROUPS; g++)
		init_group(f, g);
	set(f, 600, 3);
	set(f, PER + 10, 4);
	assert_ok(commit(f));
	fixture_close(f);
	sim_flip_bit(f->disk, pdata_counts_place(1, 0), 9000);
	sim_flip_bit(f->disk, pdata_counts_place(1, 1), 9000);
	sim_set_bad(f->disk, pdata_counts_place(2, 0), true, false);
	fixture_open(f);
	/* The scrub leaves them alone. */
	assert_ok(pdata_array_scrub(&f->a));
	assert_ok(pdata_array_load(&f->a, 0));
	assert_err(pdata_array_load(&f->a, 1), PDATA_E_CSUM);
	assert_err(pdata_array_load(&f->a, 2), EIO);
	assert_u64(pdata_array_get(&f->a, 600), 3);
	assert_u64(pdata_array_get(&f->a, PER + 10), PDATA_ARRAY_BAD);
	assert_u64(pdata_array_get_old(&f->a, PER + 10), PDATA_ARRAY_BAD);
	assert_ok(pdata_array_get_committed(&f->a, PER + 10, 1, &v));
	assert_u64(v, PDATA_ARRAY_BAD);
	/* The others go on. */
	set(f, 600, 9);
	assert_ok(commit(f));
	fixture_close(f);
	fixture_open(f);
	assert_ok(pdata_array_load(&f->a, 0));
	assert_u64(pdata_array_get(&f->a, 600), 9);
	fixture_free(f);
}

/* A slot write that went elsewhere: the slot still says what it was before. */
static void test_refused(void **state)
{
	struct fixture *f = fixture_new(8);

	init_group(f, 0);
	assert_ok(commit(f));
	set(f, 600, 9);
	pdata_fault_arm(PDATA_FAULT_SEAL_CORRUPT, 0);
	assert_err(pdata_array_write(&f->a, 2), PDATA_E_CSUM);
	sim_set_bad(f->disk, 2, false, true);
	sim_set_bad(f->disk, 3, false, true);
	assert_err(pdata_array_write(&f->a, 2), EIO);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_basic),
		cmocka_unit_test(test_slots_alternate),
		cmocka_unit_test(test_grow),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_crash),
		cmocka_unit_test(test_stale_slot),
		cmocka_unit_test(test_flip),
		cmocka_unit_test(test_lost_write),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, test_quiet, NULL);
}
