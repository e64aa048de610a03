// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crash test: random operations on a pool until power fails at a random device
 * operation, of metadata or data; then what a disk may have lost, reordered or
 * torn is drawn, the pool is opened again and every unit of every thin must
 * show something the invariants allow. Recovery itself crashes now and then.
 *
 *	SEED=0x...	first pool's seed (printed on failure: replays that pool)
 *	CRASHES=n	how many, 20,000 by default
 *	TRACE=1		print every operation
 */
#include <stdio.h>
#include <stdlib.h>

#include "pool-sim.h"
#include "testlib.h"

#define CRASHES_PER_POOL	20
#define GROW_STEPS		300

static u64 nr_crashes, nr_recovery_crashes, nr_ops;

static const struct ps_config shapes[] = {
	{ .meta_blocks = 8192, .data_units = 384, .thin_units = 64, .max_write = 8,
	  .journal_blocks = 48, .journal_records = 4, .max_dirty = 100, .max_ranges = 60, .fill_ranges = 5,
	  .group_units = 128, .limits = { .btree_max = 4, .fanout = 4, .leaf_max = 4 } },
	{ .meta_blocks = 2048, .data_units = 256, .thin_units = 48, .max_write = 4,
	  .journal_blocks = 32, .journal_records = 2, .max_dirty = 30,
	  .group_units = 64, .limits = { .btree_max = 8, .fanout = 16, .leaf_max = 8 } },
	{ .meta_blocks = 512, .data_units = 256, .thin_units = 64, .max_write = 8 },
	{ .meta_blocks = 8192, .data_units = 512, .thin_units = 96, .max_write = 2,
	  .journal_blocks = 48, .journal_records = 4, .max_dirty = 60, .lineage = 150,
	  .group_units = 128, .limits = { .btree_max = 4, .fanout = 4, .leaf_max = 4 } },
};

/* Open after a crash; power may fail meanwhile, again and again. */
static void recover(struct pool_sim *ps)
{
	int r;

	for (;;) {
		sim_clock_power_on(&ps->clock, SIM_RANDOM);
		if (sim_below(&ps->rnd, 4) == 0)
			sim_clock_crash_at(&ps->clock, 1 + sim_below(&ps->rnd, 12));
		ps->op = "open after a crash";
		r = ps_open(ps);
		if (!ps->clock.off)
			break;
		nr_recovery_crashes++;
		ps_abandon(ps);
	}
	sim_clock_crash_at(&ps->clock, 0);
	if (r)
		ps_die(ps, "open after a crash: %s", pdata_error_text(r));
	ps_verify(ps, true);
	if (sim_below(&ps->rnd, 4) == 0)
		ps_check_counts(ps);
}

/* Trees of some size, to be handed down. */
static void grow(struct pool_sim *ps)
{
	unsigned int i;
	int r = ps_open(ps);

	if (r)
		ps_die(ps, "format: %s", pdata_error_text(r));
	for (i = 0; i < GROW_STEPS; i++)
		ps_step(ps);
}

static void run_pool(u64 seed)
{
	struct pool_sim *ps = calloc(1, sizeof(*ps));
	struct ps_config c;
	unsigned int n;
	int r;

	if (!ps)
		abort();
	c = shapes[seed % ARRAY_SIZE(shapes)];
	c.seed = seed;
	ps_init(ps, &c);
	if (c.lineage)
		grow(ps);
	/* A format that is cut short starts over. */
	sim_clock_crash_at(&ps->clock, 1 + sim_below(&ps->rnd, 200));
	r = ps->md ? 0 : ps_open(ps);
	if (r && !ps->clock.off)
		ps_die(ps, "format: %s", pdata_error_text(r));
	for (n = 0; n < CRASHES_PER_POOL; n++) {
		while (!ps->clock.off)
			ps_step(ps);
		nr_crashes++;
		nr_ops += ps->ops;
		ps_abandon(ps);
		recover(ps);
		sim_clock_crash_at(&ps->clock, 1 + sim_below(&ps->rnd, 150));
	}
	sim_clock_crash_at(&ps->clock, 0);
	ps_check_counts(ps);
	ps_verify(ps, false);
	ps_exit(ps);
	free(ps);
}

int main(void)
{
	u64 seed = test_seed(), want = 20000;

	if (getenv("CRASHES"))
		want = strtoull(getenv("CRASHES"), NULL, 0);
	pdata_shim_quiet = !getenv("TRACE");
	printf("1..1\n");
	while (nr_crashes < want)
		run_pool(seed++);
	printf("ok 1 - %llu crashes, %llu more during recovery, last seed 0x%llx\n",
	       (unsigned long long)nr_crashes, (unsigned long long)nr_recovery_crashes,
	       (unsigned long long)seed - 1);
	return 0;
}
