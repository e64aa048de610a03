// SPDX-License-Identifier: GPL-2.0-only
/* The simulated disk: what it may lose, and what it may not. */
#include "testlib.h"

#include <unistd.h>

#define BLOCKS		64
#define SECTORS		8
#define MAX_VERS	40

static void *buf;	/* one block, aligned */

static int setup(void **state)
{
	buf = test_block();
	*state = sim_disk_create(BLOCKS, NULL);
	return 0;
}

static int teardown(void **state)
{
	sim_disk_destroy(*state);
	pdata_block_free(buf);
	return 0;
}

static int put(struct sim_disk *d, u64 block, u64 tag, bool fua)
{
	test_fill(buf, tag);
	return sim_write(d, block, buf, fua);
}

static bool holds(struct sim_disk *d, u64 block, u64 tag)
{
	const void *data = sim_peek(d, block);

	return tag ? test_filled(data, tag) : !memchr_inv(data, 0, PDATA_BLOCK_SIZE);
}

static void plain_io(void **state)
{
	struct sim_disk *d = *state;
	struct pdata_io_vec vec[3];
	struct pdata_io_ref ref, old;
	int i;

	assert_ok(pdata_io_read(&d->io, 5, buf));
	assert_null(memchr_inv(buf, 0, PDATA_BLOCK_SIZE));
	for (i = 0; i < 3; i++) {
		vec[i].block = 20 - i;
		vec[i].data = test_block();
		test_fill((void *)vec[i].data, 100 + i);
	}
	assert_ok(pdata_io_write(&d->io, vec, 3, false));
	for (i = 0; i < 3; i++) {
		assert_ok(pdata_io_read(&d->io, 20 - i, buf));
		assert_true(test_filled(buf, 100 + i));
		pdata_block_free((void *)vec[i].data);
	}

	/* a reference stays what it was; the verdict of a checker does not */
	assert_ok(pdata_io_get(&d->io, 20, &old));
	assert_int_equal(*old.checked, 0);
	*old.checked = 1;
	assert_ok(pdata_io_get(&d->io, 20, &ref));
	assert_int_equal(*ref.checked, 1);
	pdata_io_put(&d->io, &ref);
	assert_ok(put(d, 20, 200, false));
	assert_ok(pdata_io_get(&d->io, 20, &ref));
	assert_int_equal(*ref.checked, 0);
	assert_true(test_filled(ref.data, 200));
	assert_true(test_filled(old.data, 100));
	pdata_io_put(&d->io, &old);
	*ref.checked = 1;
	pdata_io_put(&d->io, &ref);
	assert_ok(pdata_io_flush(&d->io));
	sim_power_on(d);
	assert_ok(pdata_io_get(&d->io, 20, &ref));
	assert_int_equal(*ref.checked, 0);
	pdata_io_put(&d->io, &ref);

	/* also when memory is used again */
	for (i = 0; i < 200; i++) {
		assert_ok(put(d, 30, i, true));
		assert_ok(pdata_io_get(&d->io, 30, &ref));
		assert_int_equal(*ref.checked, 0);
		*ref.checked = 1;
		pdata_io_put(&d->io, &ref);
	}

	assert_err(pdata_io_read(&d->io, BLOCKS, buf), EIO);
	assert_err(pdata_io_get(&d->io, BLOCKS, &ref), EIO);
	assert_err(put(d, BLOCKS, 1, true), EIO);
	sim_resize(d, BLOCKS + 1);
	assert_ok(put(d, BLOCKS, 1, true));
	assert_u64(d->stats.writes, 204);
	assert_u64(d->stats.blocks, 206);
	assert_u64(d->stats.flushes, 1);
	assert_u64(d->stats.fuas, 202);
}

/* ---- whatever happens, each sector is one of its versions since the last flush ---- */

struct model {
	u64 ver[BLOCKS][MAX_VERS];	/* tags, [0] durable, 0 = zeroes */
	unsigned int nr[BLOCKS];
};

static void model_flush(struct model *m)
{
	int i;

	for (i = 0; i < BLOCKS; i++) {
		m->ver[i][0] = m->ver[i][m->nr[i] - 1];
		m->nr[i] = 1;
	}
}

static bool sector_is(const u8 *data, unsigned int sector, u64 tag)
{
	static u8 want[PDATA_BLOCK_SIZE];
	static u64 filled = ~0ull;

	if (filled != tag) {
		if (tag)
			test_fill(want, tag);
		else
			memset(want, 0, sizeof(want));
		filled = tag;
	}
	return !memcmp(data + sector * 512, want + sector * 512, 512);
}

struct seen {
	u64 lost, kept, middle, torn;
};

/* Check a block after a crash and note what happened to it; its content becomes tag or torn. */
static bool judge(struct sim_disk *d, struct model *m, unsigned int block, struct seen *seen)
{
	const u8 *data = sim_peek(d, block);
	unsigned int i, v, first = 0;
	bool torn = false;

	for (i = 0; i < SECTORS; i++) {
		for (v = 0; v < m->nr[block]; v++)
			if (sector_is(data, i, m->ver[block][v]))
				break;
		if (v == m->nr[block])
			fail_msg("block %u sector %u holds what was never written", block, i);
		if (!i)
			first = v;
		torn |= v != first;
	}
	if (m->nr[block] > 1) {
		seen->torn += torn;
		seen->lost += !torn && !first;
		seen->kept += !torn && first == m->nr[block] - 1;
		seen->middle += !torn && first && first < m->nr[block] - 1;
	}
	m->ver[block][0] = m->ver[block][first];
	m->nr[block] = 1;
	return torn;
}

static void write_some(struct sim_disk *d, struct model *m, u64 *rnd, u64 *tag)
{
	u64 block = rnd_below(rnd, BLOCKS);

	if (rnd_one_in(rnd, 12)) {
		assert_ok(pdata_io_flush(&d->io));
		model_flush(m);
	} else if (m->nr[block] < MAX_VERS) {
		bool fua = rnd_one_in(rnd, 8);

		assert_ok(put(d, block, ++*tag, fua));
		m->ver[block][m->nr[block]++] = *tag;
		if (fua) {
			m->ver[block][0] = *tag;
			m->nr[block] = 1;
		}
	}
}

static void crash_keeps_its_promises(void **state)
{
	struct sim_disk *d = *state;
	u64 rnd = test_seed() + 1, rounds = test_rounds(400), tag = 1;
	struct model *m = calloc(1, sizeof(*m));
	struct seen seen = { 0 };
	unsigned int i, r;

	d->clock->seed = rnd;
	for (i = 0; i < BLOCKS; i++)
		m->nr[i] = 1;
	for (r = 0; r < rounds; r++) {
		for (i = rnd_below(&rnd, 60); i; i--)
			write_some(d, m, &rnd, &tag);
		sim_crash(d);
		assert_err(put(d, 0, 1, true), EIO);
		assert_err(pdata_io_flush(&d->io), EIO);
		assert_err(pdata_io_read(&d->io, 0, buf), EIO);
		sim_clock_power_on(d->clock, rnd_below(&rnd, SIM_FATES));
		for (i = 0; i < BLOCKS; i++)
			if (judge(d, m, i, &seen)) {
				assert_ok(put(d, i, ++tag, true));
				m->ver[i][0] = tag;
			}
	}
	/* and it did use its freedom */
	assert_true(seen.lost > rounds / 10);
	assert_true(seen.kept > rounds / 10);
	assert_true(seen.torn > rounds / 10);
	assert_true(seen.middle > rounds / 100);
	free(m);
}

static void fates(void **state)
{
	struct sim_disk *d = *state;
	unsigned int i, n;

	assert_ok(put(d, 1, 1, true));
	for (i = 2; i < 12; i++)
		assert_ok(put(d, i, i, false));
	assert_ok(put(d, 1, 20, false));
	assert_u64(sim_nr_pending(d), 11);
	sim_clock_power_on(d->clock, SIM_NONE);
	assert_true(holds(d, 1, 1));
	for (i = 2; i < 12; i++)
		assert_true(holds(d, i, 0));

	for (i = 2; i < 12; i++)
		assert_ok(put(d, i, i, false));
	sim_clock_power_on(d->clock, SIM_ALL);
	for (i = 2; i < 12; i++)
		assert_true(holds(d, i, i));
	assert_u64(sim_nr_pending(d), 0);

	for (i = 2; i < 12; i++)
		assert_ok(put(d, i, 50 + i, false));
	sim_clock_power_on(d->clock, SIM_ALL_BUT_ONE);
	for (i = 2, n = 0; i < 12; i++)
		n += holds(d, i, 50 + i);
	assert_int_equal(n, 9);

	for (i = 2; i < 12; i++)
		assert_ok(put(d, i, 70 + i, false));
	sim_clock_power_on(d->clock, SIM_ONLY_ONE);
	for (i = 2, n = 0; i < 12; i++)
		n += holds(d, i, 70 + i);
	assert_int_equal(n, 1);
}

/* SIM_TORN and SIM_PREFIX: old and new meet once, at any sector. */
static void tears_once(void **state)
{
	struct sim_disk *d = *state;
	unsigned int r, i, k, borders, at[SECTORS] = { 0 };

	d->clock->seed = test_seed() + 4;
	for (r = 0; r < 60; r++) {
		for (i = 0; i < 10; i++) {
			assert_ok(put(d, i, 1, true));
			assert_ok(put(d, i, 2, false));
		}
		sim_clock_power_on(d->clock, r & 1 ? SIM_TORN : SIM_PREFIX);
		for (i = 0; i < 10; i++) {
			const u8 *data = sim_peek(d, i);

			for (k = 1, borders = 0; k < SECTORS; k++) {
				if (sector_is(data, k, 1) == sector_is(data, k - 1, 1))
					continue;
				borders++;
				at[k]++;
			}
			assert_true(borders <= 1);
		}
	}
	for (k = 1; k < SECTORS; k++)
		assert_true(at[k] > 0);
}

static void same_seed_same_fate(void **state)
{
	struct sim_disk *d[2];
	u64 seed = test_seed() + 2;
	unsigned int i, k, same = 0;
	struct sim_clock clock[2];

	for (k = 0; k < 2; k++) {
		sim_clock_init(&clock[k], seed);
		d[k] = sim_disk_create(BLOCKS, &clock[k]);
	}
	for (i = 0; i < 300; i++) {
		if (i == 299)
			clock[1].seed++;
		for (k = 0; k < 2; k++) {
			u64 rnd = seed + i, n;

			for (n = 10; n; n--)
				assert_ok(put(d[k], rnd_below(&rnd, BLOCKS), rnd_u64(&rnd), false));
			sim_power_on(d[k]);
		}
		for (k = 0, same = 0; k < BLOCKS; k++)
			same += !memcmp(sim_peek(d[0], k), sim_peek(d[1], k), PDATA_BLOCK_SIZE);
		if (i < 299)
			assert_int_equal(same, BLOCKS);
	}
	for (k = 0; k < 2; k++)
		sim_disk_destroy(d[k]);
}

static void power_fails_in_the_middle(void **state)
{
	struct sim_clock clock;
	struct sim_disk *meta, *data;
	struct pdata_io_vec vec[4];
	unsigned int i, n, some = 0, r;

	sim_clock_init(&clock, test_seed() + 3);
	meta = sim_disk_create(BLOCKS, &clock);
	data = sim_disk_create(1ull << 40, &clock);
	for (i = 0; i < 4; i++) {
		vec[i].block = i;
		vec[i].data = test_block();
	}
	for (r = 1; r <= 200; r++) {
		sim_reset(meta, BLOCKS);
		sim_reset(data, 1ull << 40);
		sim_clock_crash_at(&clock, 3);
		assert_ok(put(data, 1ull << 39, 9, false));
		assert_ok(pdata_io_flush(&data->io));
		for (i = 0; i < 4; i++)
			test_fill((void *)vec[i].data, 10 + i);
		assert_err(pdata_io_write(&meta->io, vec, 4, true), EIO);
		/* both have lost power */
		assert_true(clock.off);
		assert_err(pdata_io_flush(&data->io), EIO);
		assert_err(pdata_io_read(&data->io, 0, buf), EIO);
		sim_clock_power_on(&clock, SIM_RANDOM);
		assert_true(holds(data, 1ull << 39, 9));
		for (i = 0, n = 0; i < 4; i++)
			n += holds(meta, i, 10 + i);
		some += n > 0 && n < 4;
		assert_ok(pdata_io_write(&meta->io, vec, 4, true));
	}
	assert_true(some > 10);
	for (i = 0; i < 4; i++)
		pdata_block_free((void *)vec[i].data);
	sim_disk_destroy(meta);
	sim_disk_destroy(data);
}

static void explore_all_outcomes(void **state)
{
	struct sim_disk *d = *state, *copy;
	struct sim_clock clock;
	u64 mask;
	int i;

	for (i = 0; i < 5; i++) {
		assert_ok(put(d, i, 10 + i, true));
		assert_ok(put(d, i, 20 + i, false));
	}
	sim_crash(d);
	sim_clock_init(&clock, 1);
	copy = sim_disk_clone(d, &clock);
	assert_u64(sim_nr_pending(copy), 5);
	for (mask = 0; mask < 32; mask++) {
		sim_disk_copy(copy, d);
		sim_settle_mask(copy, mask);
		for (i = 0; i < 5; i++)
			assert_true(holds(copy, i, (mask >> i & 1 ? 20 : 10) + i));
		/* a copy is independent */
		assert_ok(put(copy, 0, 99, true));
	}
	sim_clock_power_on(d->clock, SIM_NONE);
	for (i = 0; i < 5; i++)
		assert_true(holds(d, i, 10 + i));
	sim_disk_destroy(copy);
}

static void faults(void **state)
{
	struct sim_disk *d = *state;
	struct pdata_io_ref ref;

	d->faults.lose_write = 2;
	assert_ok(put(d, 1, 1, true));
	assert_ok(put(d, 2, 2, true));
	assert_ok(put(d, 3, 3, true));
	assert_true(holds(d, 1, 1) && holds(d, 2, 0) && holds(d, 3, 3));

	d->faults.misdirect_write = 1;
	d->faults.misdirect_to = 3;
	assert_ok(put(d, 4, 4, true));
	assert_true(holds(d, 4, 0) && holds(d, 3, 4));

	d->faults.fail_flush = 1;
	assert_ok(put(d, 5, 5, false));
	assert_err(pdata_io_flush(&d->io), EIO);
	sim_clock_power_on(d->clock, SIM_NONE);
	assert_true(holds(d, 5, 0));

	d->faults.fail_write = 1;
	assert_err(put(d, 5, 5, true), EIO);
	assert_ok(put(d, 5, 6, true));

	d->faults.fail_read = 1;
	assert_err(pdata_io_get(&d->io, 5, &ref), EIO);
	assert_ok(pdata_io_get(&d->io, 5, &ref));
	*ref.checked = 1;
	pdata_io_put(&d->io, &ref);

	sim_flip_bit(d, 5, 12345);
	assert_ok(pdata_io_get(&d->io, 5, &ref));
	assert_int_equal(*ref.checked, 0);
	test_fill(buf, 6);
	((u8 *)buf)[12345 / 8] ^= 1 << 12345 % 8;
	assert_memory_equal(ref.data, buf, PDATA_BLOCK_SIZE);
	pdata_io_put(&d->io, &ref);
	sim_flip_bit(d, 5, 12345);
	assert_true(holds(d, 5, 6));

	sim_set_bad(d, 5, true, false);
	sim_set_bad(d, 6, false, true);
	assert_err(pdata_io_read(&d->io, 5, buf), EIO);
	assert_ok(put(d, 5, 7, true));
	assert_err(put(d, 6, 7, true), EIO);
	sim_set_bad(d, 5, false, false);
	sim_set_bad(d, 6, false, false);
	assert_ok(pdata_io_read(&d->io, 5, buf));
	assert_ok(put(d, 6, 7, true));
}

static void discards(void **state)
{
	struct sim_disk *d = *state;

	assert_ok(put(d, 3, 3, true));
	assert_ok(sim_discard(d, 0, 10));
	assert_true(holds(d, 3, 0));
	sim_clock_power_on(d->clock, SIM_NONE);
	assert_true(holds(d, 3, 3));
	assert_ok(sim_discard(d, 3, 1));
	assert_ok(pdata_io_flush(&d->io));
	sim_clock_power_on(d->clock, SIM_NONE);
	assert_true(holds(d, 3, 0));
	assert_err(sim_discard(d, BLOCKS - 1, 2), EIO);
}

static void die_unaligned(void *d)
{
	struct pdata_io_vec vec = { 1, buf + 512 };

	pdata_shim_quiet = pdata_io_write(d, &vec, 1, false);
}

static void die_same_block_twice(void *d)
{
	struct pdata_io_vec vec[2] = { { 1, buf }, { 1, buf } };

	pdata_shim_quiet = pdata_io_write(d, vec, 2, false);
}

static void die_destroy_held(void *d)
{
	struct pdata_io_ref ref;

	if (!pdata_io_get(d, 1, &ref))
		sim_disk_destroy(d);
}

static void die_under_spinlock(void *d)
{
	static DEFINE_SPINLOCK(lock);

	spin_lock(&lock);
	pdata_shim_quiet = pdata_io_flush(d);
}

static void misuse_dies(void **state)
{
	assert_true(test_dies(die_unaligned, *state));
	assert_true(test_dies(die_same_block_twice, *state));
	assert_true(test_dies(die_destroy_held, *state));
	assert_true(test_dies(die_under_spinlock, *state));
}

static void saves(void **state)
{
	struct sim_disk *d = *state;
	char path[] = "/tmp/thin2-test-XXXXXX";
	int fd = mkstemp(path);
	unsigned int i;

	assert_true(fd >= 0);
	for (i = 0; i < 10; i++)
		assert_ok(put(d, i * 5, i + 1, false));
	assert_ok(sim_save(d, path));
	assert_u64(lseek(fd, 0, SEEK_END), BLOCKS * PDATA_BLOCK_SIZE);
	for (i = 0; i < 10; i++) {
		assert_int_equal(pread(fd, buf, 4096, i * 5 * 4096), 4096);
		assert_true(test_filled(buf, i + 1));
	}
	close(fd);
	unlink(path);
}

/* A crash test makes, fills, breaks and drops thousands of these. */
static void is_fast(void **state)
{
	struct sim_disk *d = *state, *copy;
	u64 begin = ktime_get_ns(), ns;
	unsigned int i, k;

	copy = sim_disk_create(1, NULL);
	for (i = 0; i < 300; i++) {
		sim_reset(d, 2048);
		for (k = 0; k < 600; k++) {
			assert_ok(sim_write(d, k * 3, buf, false));
			if (k % 64 == 63)
				assert_ok(pdata_io_flush(&d->io));
		}
		sim_power_on(d);
		sim_disk_copy(copy, d);
	}
	sim_disk_destroy(copy);
	ns = (ktime_get_ns() - begin) / i;
	fprintf(stderr, "fill 600 of 2048 blocks, crash, copy: %llu us\n", ns / 1000);
	/* generous: sanitizers, a busy machine */
	assert_true(ns < 50000000);
}

static void *hammer(void *arg)
{
	struct sim_disk *d = arg;
	u64 rnd = (unsigned long)&rnd;
	void *mine = test_block();
	struct pdata_io_ref ref;
	unsigned int i;

	for (i = 0; i < 3000; i++) {
		u64 block = rnd_below(&rnd, BLOCKS);

		test_fill(mine, block);
		if (rnd_one_in(&rnd, 3) && sim_write(d, block, mine, rnd_one_in(&rnd, 2)))
			break;
		if (rnd_one_in(&rnd, 50) && pdata_io_flush(&d->io))
			break;
		if (pdata_io_get(&d->io, block, &ref))
			break;
		if (memchr_inv(ref.data, 0, PDATA_BLOCK_SIZE) && memcmp(ref.data, mine, 4096))
			break;
		pdata_io_put(&d->io, &ref);
	}
	pdata_block_free(mine);
	return i == 3000 ? NULL : arg;
}

static void many_threads(void **state)
{
	pthread_t thread[3];
	unsigned int i;
	void *bad;

	for (i = 0; i < ARRAY_SIZE(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, hammer, *state), 0);
	for (i = 0; i < ARRAY_SIZE(thread); i++) {
		pthread_join(thread[i], &bad);
		assert_null(bad);
	}
}

int main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(plain_io),
		T(crash_keeps_its_promises),
		T(fates),
		T(tears_once),
		T(same_seed_same_fate),
		T(power_fails_in_the_middle),
		T(explore_all_outcomes),
		T(faults),
		T(discards),
		T(misuse_dies),
		T(saves),
		T(is_fast),
		T(many_threads),
	};

	return cmocka_run_group_tests_name("simulated disk", tests, NULL, NULL);
}
