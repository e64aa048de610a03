// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crash test: random operations on a pool until power fails at a random device
 * operation, of metadata or data; then what a disk may have lost, reordered or
 * torn is drawn, the pool is opened again and every sector of every thin must
 * show something the invariants allow. Formats and recoveries are cut short, too.
 *
 *	SEED=0x...	first pool's seed
 *	CRASHES=n	how many, 20,000 by default
 *	JOBS=n		processes, by default one for each processor
 *	TRACE=1		print every operation
 *	SCRIPT_DIR=dir	where the script of a failure goes
 *	--script FILE	do what a script says
 *
 * A pool that fails is done once more, its operations kept; then they are left
 * out as long as it still fails. The script that remains is printed.
 */
#include <stdlib.h>

#include "parallel.h"
#include "shrink.h"
#include "testlib.h"

#define CRASHES_PER_POOL	20
#define GROW_STEPS		300

enum { CRASHES, RECOVERY_CRASHES, FORMAT_CRASHES, OPS };

static u64 wanted = 20000, first_seed;

static const struct ps_config shapes[] = {
	{ .meta_blocks = 8192, .data_units = 384, .thin_units = 64, .max_write = 8,
	  .journal_blocks = 48, .journal_records = 4, .max_dirty = 100, .max_ranges = 60, .fill_ranges = 5,
	  .group_units = 128, .max_data = 512, .max_meta = 12288,
	  .limits = { .btree_max = 4, .fanout = 4, .leaf_max = 4 } },
	{ .meta_blocks = 2048, .data_units = 256, .thin_units = 48, .max_write = 4,
	  .journal_blocks = 32, .journal_records = 2, .max_dirty = 30,
	  .group_units = 64, .max_data = 300, .max_meta = 3072,
	  .limits = { .btree_max = 8, .fanout = 16, .leaf_max = 8 } },
	{ .meta_blocks = 512, .data_units = 256, .thin_units = 64, .max_write = 8,
	  .max_data = 320, .max_meta = 1024 },
	{ .meta_blocks = 8192, .data_units = 512, .thin_units = 96, .max_write = 2,
	  .journal_blocks = 48, .journal_records = 4, .max_dirty = 60, .lineage = 150,
	  .group_units = 128, .limits = { .btree_max = 4, .fanout = 4, .leaf_max = 4 } },
};

static void run(struct pool_sim *ps, u8 kind)
{
	struct ps_op op = { .kind = kind };

	ps_run(ps, &op);
}

/* Open, also for the first time; power may fail meanwhile, again and again. */
static void power_on(struct pool_sim *ps, unsigned int one_in, u64 most, u64 *failed)
{
	struct ps_op op;

	for (;;) {
		op = (struct ps_op){ .kind = PS_OPEN, .n = SIM_RANDOM };
		op.seed = 1 + sim_random(&ps->gen) / 2;
		if (sim_below(&ps->gen, one_in) == 0)
			op.crash = 1 + sim_below(&ps->gen, most);
		ps_run(ps, &op);
		if (ps->md)
			return;
		(*failed)++;
	}
}

static void run_pool(u64 seed, struct ps_log *log, u64 *count)
{
	struct pool_sim *ps = calloc(1, sizeof(*ps));
	struct ps_config c;
	unsigned int n;

	if (!ps)
		abort();
	c = shapes[seed % ARRAY_SIZE(shapes)];
	c.seed = seed;
	pdata_shim_seed(seed);
	ps_init(ps, &c);
	ps->log = log;
	power_on(ps, 2, 20, &count[FORMAT_CRASHES]);
	/* Trees of some size, to be handed down. */
	for (n = 0; c.lineage && n < GROW_STEPS; n++)
		ps_step(ps);
	for (n = 0; n < CRASHES_PER_POOL; n++) {
		sim_clock_crash_at(&ps->clock, 1 + sim_below(&ps->gen, 150));
		while (!ps->clock.off)
			ps_step(ps);
		count[CRASHES]++;
		power_on(ps, 4, 12, &count[RECOVERY_CRASHES]);
		if (sim_below(&ps->gen, 4) == 0)
			run(ps, PS_CHECK);
	}
	run(ps, PS_CHECK);
	run(ps, PS_VERIFY);
	count[OPS] += ps->ops;
	ps_exit(ps);
	free(ps);
}

static void work(struct par_worker *me, unsigned int i, unsigned int jobs)
{
	u64 share = wanted / jobs + (i < wanted % jobs), n = 0;

	while (me->count[CRASHES] < share) {
		WRITE_ONCE(me->current, first_seed + i + n++ * jobs);
		run_pool(me->current, NULL, me->count);
	}
}

static void progress(const struct par_worker *all, unsigned int jobs)
{
	fprintf(stderr, "%llu of %llu crashes\n",
		(unsigned long long)par_sum(all, jobs, CRASHES), (unsigned long long)wanted);
}

/* ---- a failure ---- */

struct recording {
	u64 seed;
	struct ps_log *log;
};

static void record(void *context)
{
	struct recording *rec = context;
	u64 count[PAR_COUNTERS] = { 0 };

	run_pool(rec->seed, rec->log, count);
}

static void explain(u64 seed, const char *program)
{
	struct recording rec = { .seed = seed, .log = shrink_log_new() };
	struct ps_config c = shapes[seed % ARRAY_SIZE(shapes)];
	struct ps_failure failure;

	c.seed = seed;
	printf("# seed 0x%llx", (unsigned long long)seed);
	if (!par_try(record, &rec, &failure)) {
		printf(" does not fail when it is done again\n");
		return;
	}
	printf(" fails after %u operations: %s\n", rec.log->nr, failure.text);
	fflush(stdout);
	if (shrink(&c, rec.log, &failure))
		shrink_report(&c, rec.log, &failure, program);
	else
		printf("# its operations do not fail when they are done again\n");
}

static int play_script(const char *path)
{
	struct ps_log *log = shrink_log_new();
	FILE *f = fopen(path, "r");
	struct ps_config c;

	if (!f) {
		perror(path);
		return 1;
	}
	if (!ps_parse(f, &c, log))
		return 1;
	fclose(f);
	setenv("TRACE", "1", 1);
	pdata_shim_quiet = false;
	shrink_play(&c, log);
	printf("%u operations, nothing is wrong\n", log->nr);
	return 0;
}

int main(int argc, char **argv)
{
	const unsigned int jobs = par_jobs();
	const struct par_worker *all;
	int died;

	if (argc == 3 && !strcmp(argv[1], "--script"))
		return play_script(argv[2]);
	first_seed = test_seed();
	if (getenv("CRASHES"))
		wanted = strtoull(getenv("CRASHES"), NULL, 0);
	pdata_shim_quiet = !getenv("TRACE");
	printf("1..1\n");
	all = par_run(jobs, work, progress, &died);
	if (died >= 0) {
		printf("not ok 1 - after %llu crashes\n",
		       (unsigned long long)par_sum(all, jobs, CRASHES));
		explain(all[died].current, argv[0]);
		return 1;
	}
	printf("ok 1 - %llu crashes, %llu more during recovery, %llu during format, %llu operations, seeds from 0x%llx\n",
	       (unsigned long long)par_sum(all, jobs, CRASHES),
	       (unsigned long long)par_sum(all, jobs, RECOVERY_CRASHES),
	       (unsigned long long)par_sum(all, jobs, FORMAT_CRASHES),
	       (unsigned long long)par_sum(all, jobs, OPS), (unsigned long long)first_seed);
	return 0;
}
