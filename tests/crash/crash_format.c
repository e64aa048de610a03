// SPDX-License-Identifier: GPL-2.0-only
/*
 * Power fails at each device operation of a format, over what was there before,
 * with every subset of what was not flushed and each such block torn. Then the
 * device is refused, or formatted again, or holds a whole new pool: that works,
 * and nothing of the old one is in it. Only as long as nothing of the new pool
 * is durable may the old one be there, and then as a whole.
 *
 * What is before: zeroes; another pool of dm-thin2, with thins, snapshots and a
 * journal, of which block 0 was zeroed (flushed or not: LVM zeroes 4 KiB);
 * metadata of dm-thin version 1, likewise; noise behind a zeroed block.
 */
#include <stdlib.h>

#include "parallel.h"
#include "pdata-layout.h"
#include "testlib.h"

#define MAX_WINDOW	10

static const struct ps_config config = {
	.seed = 1, .meta_blocks = 512, .data_units = 64, .thin_units = 16, .max_write = 4,
	.journal_blocks = 32, .group_units = 64,
};

static u64 nr_points, nr_states, nr_refused, nr_again, nr_old;
static u64 old_transaction;

static void run(struct pool_sim *ps, struct ps_op op)
{
	ps_run(ps, &op);
}

static struct pool_sim *sim_new(void)
{
	struct pool_sim *ps = calloc(1, sizeof(*ps));

	if (!ps)
		abort();
	ps_init(ps, &config);
	return ps;
}

static void sim_free(struct pool_sim *ps)
{
	ps_exit(ps);
	free(ps);
}

/* ---- what was there ---- */

static void before_zeroes(struct pool_sim *ps)
{
}

/*
 * The model forgets it: whatever comes up again is wrong. Of the last commits,
 * which are @commits transaction ids, superblock A or B has the newest.
 */
static void old_pool(struct pool_sim *ps, unsigned int commits)
{
	unsigned int i;

	run(ps, (struct ps_op){ .kind = PS_OPEN });
	for (i = 0; i < 3; i++) {
		run(ps, (struct ps_op){ .kind = PS_CREATE, .thin = i });
		run(ps, (struct ps_op){ .kind = PS_WRITE, .thin = i, .len = 4 });
	}
	run(ps, (struct ps_op){ .kind = PS_SNAP, .thin = 3, .other = 0 });
	run(ps, (struct ps_op){ .kind = PS_CHECKPOINT });
	run(ps, (struct ps_op){ .kind = PS_WRITE, .thin = 0, .begin = 2, .len = 4 });
	run(ps, (struct ps_op){ .kind = PS_LAND, .n = PS_MAX_FLIGHT });
	run(ps, (struct ps_op){ .kind = PS_FLUSH });
	run(ps, (struct ps_op){ .kind = PS_WRITE, .thin = 1, .begin = 6, .len = 4 });
	run(ps, (struct ps_op){ .kind = PS_LAND, .n = PS_MAX_FLIGHT });
	run(ps, (struct ps_op){ .kind = PS_FLUSH });
	while (commits--)
		run(ps, (struct ps_op){ .kind = PS_TRANSACTION });
	old_transaction = ps->transaction_id;
	ps_abandon(ps);
	for (i = 0; i < PS_MAX_THINS; i++)
		ps->thin[i].exists = false;
	ps->transaction_id = 0;
}

static void zero_first(struct pool_sim *ps, bool flush)
{
	static const u8 zeroes[PDATA_BLOCK_SIZE];

	if (sim_write(ps->meta, 0, zeroes, false) || (flush && pdata_io_flush(&ps->meta->io)))
		ps_die(ps, "cannot write");
}

static void before_old_pool(struct pool_sim *ps)
{
	old_pool(ps, 1);
	zero_first(ps, true);
}

static void old_pool_unflushed(struct pool_sim *ps, unsigned int commits)
{
	old_pool(ps, commits);
	if (pdata_io_flush(&ps->meta->io))
		ps_die(ps, "cannot flush");
	zero_first(ps, false);
}

static void before_unflushed_1(struct pool_sim *ps)
{
	old_pool_unflushed(ps, 1);
}

static void before_unflushed_2(struct pool_sim *ps)
{
	old_pool_unflushed(ps, 2);
}

static void noise(struct pool_sim *ps)
{
	u8 data[PDATA_BLOCK_SIZE];
	u64 b;

	for (b = 0; b < config.meta_blocks; b++) {
		test_fill(data, b);
		sim_poke(ps->meta, b, data);
	}
}

static void before_v1(struct pool_sim *ps)
{
	const __le64 magic = cpu_to_le64(27022010);
	u8 data[PDATA_BLOCK_SIZE];

	noise(ps);
	test_fill(data, 1);
	memcpy(data + 32, &magic, sizeof(magic));
	sim_poke(ps->meta, 0, data);
}

static void before_noise(struct pool_sim *ps)
{
	noise(ps);
	zero_first(ps, true);
}

/* ---- a state ---- */

static bool is_zeroed(struct pool_sim *ps)
{
	return !memchr_inv(sim_peek(ps->meta, 0), 0, PDATA_BLOCK_SIZE);
}

static bool is_old(const struct pool_sim *ps, const u8 *old_uuid)
{
	return old_uuid && !memcmp(ps->md->sb.uuid, old_uuid, PDATA_UUID_SIZE);
}

/* A whole old pool: all that had been flushed. */
static void check_old(struct pool_sim *ps)
{
	u32 id;

	if (ps->md->sb.transaction_id != old_transaction)
		ps_die(ps, "the old pool is back with transaction id %llu, it had %llu",
		       ps->md->sb.transaction_id, old_transaction);
	for (id = 0; id < 4; id++)
		if (thin2_create(ps->md, id) != -PDATA_E_EXISTS)
			ps_die(ps, "the old pool is back without thin %u", id);
	ps->transaction_id = old_transaction;
	nr_old++;
}

/* It works, also after another crash. */
static void check_new(struct pool_sim *ps)
{
	struct thin2_pool_status s;

	thin2_pool_status(ps->md, &s);
	if (s.data_used || s.transaction_id || s.nr_deleting || ps->md->sb.time)
		ps_die(ps, "a new pool has %llu units in use, transaction id %llu",
		       s.data_used, s.transaction_id);
	run(ps, (struct ps_op){ .kind = PS_CHECK });
	run(ps, (struct ps_op){ .kind = PS_CREATE, .thin = 0 });
	if (!ps->thin[0].exists)
		ps_die(ps, "a new pool has thin 0");
	run(ps, (struct ps_op){ .kind = PS_VERIFY });
	run(ps, (struct ps_op){ .kind = PS_WRITE_FUA, .thin = 0, .begin = 1, .len = 3 });
	run(ps, (struct ps_op){ .kind = PS_OPEN, .n = SIM_NONE });
	run(ps, (struct ps_op){ .kind = PS_CHECK });
}

/* @open: what survives. A refusal is taken. */
static void check_state(const struct pool_sim *dead, struct ps_op open, const u8 *old_uuid)
{
	struct pool_sim *ps = calloc(1, sizeof(*ps));
	bool zeroed;

	if (!ps)
		abort();
	ps_clone(ps, dead);
	sim_clock_crash(&ps->clock);
	ps->faulty = true;
	/* Have it settled, then look, then open. */
	sim_settle_torn(ps->meta, open.begin, open.from - 1ull, open.to);
	zeroed = is_zeroed(ps);
	run(ps, (struct ps_op){ .kind = PS_OPEN, .n = SIM_ALL });
	ps->faulty = false;
	nr_states++;
	nr_again += zeroed;
	if (!ps->md)
		nr_refused++;
	else if (is_old(ps, old_uuid))
		check_old(ps);
	else
		check_new(ps);
	if (zeroed && !ps->md)
		ps_die(ps, "a zeroed block is refused");
	sim_free(ps);
}

static void explore(const struct pool_sim *dead, const u8 *old_uuid)
{
	const u64 n = sim_nr_pending(dead->meta);
	struct ps_op open = { .kind = PS_OPEN };
	u64 i;

	if (n > MAX_WINDOW)
		ps_die((struct pool_sim *)dead, "%llu blocks in one window: raise the bound", n);
	nr_points++;
	for (i = 0; i < 1ull << n; i++) {
		open.begin = i;
		check_state(dead, open, old_uuid);
	}
	for (i = 0; i < n * 7 * 2; i++) {
		open.begin = i % 2 ? (1u << n) - 1 : 0;
		open.from = 1 + i / 14;
		open.to = 1 + i / 2 % 7;
		check_state(dead, open, old_uuid);
	}
}

/* ---- a format ---- */

static void test_format(const char *name, void (*before)(struct pool_sim *ps), bool refused)
{
	struct pool_sim *base = sim_new(), *ps;
	u8 uuid[PDATA_UUID_SIZE];
	const struct pdata_superblock_disk *b;
	bool old, more = true;
	u32 crash;
	int r;

	before(base);
	b = sim_peek(base->meta, PDATA_SB_BACKUP);
	old = le32_to_cpu(b->h.magic) == PDATA_TYPE_SUPERBLOCK;
	memcpy(uuid, b->h.uuid, sizeof(uuid));
	for (crash = 1; more; crash++) {
		ps = calloc(1, sizeof(*ps));
		if (!ps)
			abort();
		ps_clone(ps, base);
		ps->faulty = refused;
		/* Not run_open(), which would settle what is not flushed. */
		sim_clock_crash_at(&ps->clock, crash);
		ps->op = name;
		ps->quiet = true;
		r = ps_open(ps);
		more = ps->clock.off;
		if (refused != (r == -PDATA_E_NOT_V2))
			if (!more || refused)
				ps_die(ps, "opened: %s", pdata_error_text(r));
		sim_clock_crash(&ps->clock);
		ps_abandon(ps);
		explore(ps, old ? uuid : NULL);
		sim_free(ps);
	}
	sim_free(base);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*before)(struct pool_sim *ps);
		bool refused;
	} test[] = {
		{ "zeroes", before_zeroes },
		{ "another pool, block 0 zeroed", before_old_pool },
		{ "another pool, block 0 zeroed but not flushed", before_unflushed_1 },
		{ "the same, one commit later", before_unflushed_2 },
		{ "version 1", before_v1, true },
		{ "noise, block 0 zeroed", before_noise },
	};
	unsigned int i;

	pdata_shim_seed(1);
	pdata_shim_quiet = !getenv("TRACE");
	printf("1..%zu\n", ARRAY_SIZE(test));
	for (i = 0; i < ARRAY_SIZE(test); i++) {
		nr_points = nr_states = nr_refused = nr_again = nr_old = 0;
		test_format(test[i].name, test[i].before, test[i].refused);
		printf("ok %u - %s: %llu crash points, %llu states: %llu formatted again, %llu refused, %llu the old pool\n",
		       i + 1, test[i].name, nr_points, nr_states, nr_again, nr_refused, nr_old);
		fflush(stdout);
	}
	return 0;
}
