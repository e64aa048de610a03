// SPDX-License-Identifier: GPL-2.0-only
/*
 * A disk that lies: one write of metadata is acknowledged and never happens, or
 * goes to another block. Random operations go on, with crashes and restarts.
 * What cannot be known any more may be refused, for as long as it likes; what is
 * read is never wrong.
 *
 * The journal is spared: that its last block, which nothing refers to yet, was
 * lost cannot be seen (rule_10_a_lost_journal_block is about the others).
 *
 *	SEED=0x...	first pool's seed
 *	LIES=n		how many, 1,000 by default
 *	JOBS=n		processes, by default one for each processor
 */
#include <stdlib.h>

#include "io-sim-internal.h"
#include "parallel.h"
#include "pdata-layout.h"
#include "shrink.h"
#include "testlib.h"

#define STEPS_BEFORE	200
#define STEPS_AFTER	150

enum { LIES, TOLD, REFUSED, DEAD };

static u64 wanted = 1000, first_seed;

static const struct ps_config shapes[] = {
	{ .meta_blocks = 512, .data_units = 256, .thin_units = 64, .max_write = 8,
	  .journal_blocks = 32, .max_ranges = 40 },
	{ .meta_blocks = 1024, .data_units = 256, .thin_units = 48, .max_write = 4,
	  .journal_blocks = 32, .journal_records = 4, .max_dirty = 30, .group_units = 64,
	  .limits = { .btree_max = 4, .fanout = 4, .leaf_max = 4 } },
};

static void power_on(struct pool_sim *ps)
{
	struct ps_op op = { .kind = PS_OPEN, .n = SIM_RANDOM };

	op.seed = 1 + sim_random(&ps->gen) / 2;
	ps_run(ps, &op);
}

static void steps(struct pool_sim *ps, unsigned int nr)
{
	while (nr-- && ps->md)
		ps_step(ps);
}

static bool spare(struct sim_disk *disk, u64 block, const void *data)
{
	return le32_to_cpu(((const struct pdata_header *)data)->magic) == PDATA_TYPE_JOURNAL;
}

static void tell_a_lie(struct pool_sim *ps)
{
	struct sim_faults *f = &ps->meta->faults;

	f->spare = spare;
	if (sim_below(&ps->gen, 2)) {
		f->lose_write = 1 + sim_below(&ps->gen, 20);
	} else {
		f->misdirect_write = 1 + sim_below(&ps->gen, 20);
		do {
			f->misdirect_to = sim_below(&ps->gen, ps->c.meta_blocks);
		} while (f->misdirect_to < pdata_journal_end(ps->c.journal_blocks) &&
			 f->misdirect_to >= PDATA_JOURNAL_FIRST);
	}
	ps->faulty = true;
}

static void run_pool(u64 seed, u64 *count)
{
	struct pool_sim *ps = calloc(1, sizeof(*ps));
	struct ps_op verify = { .kind = PS_VERIFY };
	struct ps_config c;
	unsigned int n;

	if (!ps)
		abort();
	c = shapes[seed % ARRAY_SIZE(shapes)];
	c.seed = seed;
	pdata_shim_seed(seed);
	ps_init(ps, &c);
	power_on(ps);
	steps(ps, sim_below(&ps->gen, STEPS_BEFORE));
	tell_a_lie(ps);
	for (n = 0; n < 4 && ps->md; n++) {
		steps(ps, sim_below(&ps->gen, STEPS_AFTER));
		if (ps->md && sim_below(&ps->gen, 2))
			ps_run(ps, &verify);
		power_on(ps);
	}
	count[LIES]++;
	count[TOLD] += !ps->meta->faults.lose_write && !ps->meta->faults.misdirect_write;
	count[REFUSED] += !!ps->refused;
	count[DEAD] += !ps->md;
	ps_exit(ps);
	free(ps);
}

static void work(struct par_worker *me, unsigned int i, unsigned int jobs)
{
	u64 share = wanted / jobs + (i < wanted % jobs), n = 0;

	while (me->count[LIES] < share) {
		WRITE_ONCE(me->current, first_seed + i + n++ * jobs);
		run_pool(me->current, me->count);
	}
}

int main(void)
{
	const unsigned int jobs = par_jobs();
	const struct par_worker *all;
	int died;

	first_seed = test_seed();
	if (getenv("LIES"))
		wanted = strtoull(getenv("LIES"), NULL, 0);
	pdata_shim_quiet = !getenv("TRACE");
	printf("1..1\n");
	all = par_run(jobs, work, NULL, &died);
	if (died >= 0) {
		printf("not ok 1 - seed 0x%llx: %s\n", (unsigned long long)all[died].current,
		       all[died].failure.text);
		return 1;
	}
	printf("ok 1 - %llu pools, %llu lies came up, something was refused in %llu, everything in %llu, seeds from 0x%llx\n",
	       par_sum(all, jobs, LIES), par_sum(all, jobs, TOLD), par_sum(all, jobs, REFUSED),
	       par_sum(all, jobs, DEAD), (unsigned long long)first_seed);
	return 0;
}
