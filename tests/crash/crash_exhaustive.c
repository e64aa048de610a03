// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crash test without chance: every sequence of up to LEN operations of a fixed
 * set, on two pools, with power failing at each device operation of the last one
 * (those of the others are the last ones of shorter sequences), and at its end;
 * and then every subset of what was not flushed. Nothing else happens meanwhile.
 *
 * Bounds. If more than SUBSET_BITS blocks are un-flushed, not all of their
 * subsets are tried but none, all, each alone, all but each, and those first
 * written up to each. A block that was written more than once since the last
 * flush is there in its newest version or not at all. One block at a time is
 * torn, at sector 1 or 4, with the others there or not. After a crash with none
 * or all there, recovery is cut short at each of its device operations, too, for
 * sequences shorter than LEN; but not more than once.
 *
 *	LEN=n		2 by default
 *	JOBS=n		processes, by default one for each processor
 *
 * A failure is printed as a script for crash_pool --script.
 */
#include <stdlib.h>

#include "parallel.h"
#include "shrink.h"
#include "testlib.h"

#define MAX_LEN		3
#define SUBSET_BITS	5

enum { SEQUENCES, POINTS, STATES, TORN, RECOVERIES, BOUNDED, LARGEST };

static const struct ps_config config = {
	.seed = 1, .meta_blocks = 512, .data_units = 40, .thin_units = 8, .max_write = 4,
	.journal_blocks = 32, .journal_records = 3, .max_dirty = 40, .group_units = 64,
	.max_data = 64, .max_meta = 768, .limits = { .btree_max = 4, .fanout = 4, .leaf_max = 4 },
};

/* How the two pools come about. */
static const struct ps_op plain_pool[] = {
	{ .kind = PS_OPEN },
	{ .kind = PS_CREATE, .thin = 0 },
	{ .kind = PS_WRITE, .thin = 0, .begin = 0, .len = 4 },
	{ .kind = PS_LAND, .n = PS_MAX_FLIGHT },
	{ .kind = PS_CHECKPOINT },
};

/* Leaves that are shared, others that were, and changes that are not merged. */
static const struct ps_op shared_pool[] = {
	{ .kind = PS_OPEN },
	{ .kind = PS_CREATE, .thin = 0 },
	{ .kind = PS_WRITE, .thin = 0, .begin = 0, .len = 4 },
	{ .kind = PS_WRITE, .thin = 0, .begin = 5, .len = 1 },
	{ .kind = PS_WRITE, .thin = 0, .begin = 7, .len = 1 },
	{ .kind = PS_LAND, .n = PS_MAX_FLIGHT },
	{ .kind = PS_SNAP, .thin = 1, .other = 0 },
	{ .kind = PS_WRITE, .thin = 0, .begin = 1, .len = 1 },
	{ .kind = PS_LAND, .n = PS_MAX_FLIGHT },
	{ .kind = PS_CHECKPOINT },
	{ .kind = PS_WRITE, .thin = 0, .begin = 3, .len = 1 },
	{ .kind = PS_WRITE, .thin = 1, .begin = 5, .len = 1 },
	{ .kind = PS_LAND, .n = PS_MAX_FLIGHT },
	{ .kind = PS_FLUSH },
};

static const struct ps_op set[] = {
	{ .kind = PS_WRITE, .thin = 0, .begin = 3, .len = 2 },
	{ .kind = PS_WRITE, .thin = 0, .begin = 0, .len = 1 },
	{ .kind = PS_WRITE, .thin = 1, .begin = 0, .len = 1 },
	{ .kind = PS_WRITE_PART, .thin = 0, .begin = 2, .len = 1, .from = 2, .to = 5 },
	{ .kind = PS_WRITE_PART, .thin = 0, .begin = 6, .len = 1, .from = 0, .to = 3 },
	{ .kind = PS_WRITE_FUA, .thin = 0, .begin = 0, .len = 1 },
	{ .kind = PS_DISCARD, .thin = 0, .begin = 0, .len = 3 },
	{ .kind = PS_ZERO, .thin = 0, .begin = 2, .len = 3 },
	{ .kind = PS_LAND, .n = PS_MAX_FLIGHT },
	{ .kind = PS_FLUSH },
	{ .kind = PS_FLUSH, .n = 1 },
	{ .kind = PS_SNAP, .thin = 1, .other = 0 },
	{ .kind = PS_SNAP, .thin = 2, .other = 1 },
	{ .kind = PS_CREATE, .thin = 3 },
	{ .kind = PS_DELETE, .thin = 0 },
	{ .kind = PS_DELETE, .thin = 1 },
	{ .kind = PS_HOLD, .thin = 0 },
	{ .kind = PS_PUT, .thin = 0 },
	{ .kind = PS_HOLD_ALL },
	{ .kind = PS_PUT_ALL },
	{ .kind = PS_TRANSACTION },
	{ .kind = PS_CHECKPOINT },
	{ .kind = PS_WORK, .n = 1 },
	{ .kind = PS_EVICT, .begin = 1000, .n = THIN2_EVICT_ALL },
	{ .kind = PS_RELEASE },
	{ .kind = PS_GROW_DATA, .begin = 8 },
	{ .kind = PS_GROW_META, .begin = 128 },
	{ .kind = PS_RESTART },
};

static const struct {
	const struct ps_op *op;
	unsigned int nr;
} pools[] = {
	{ plain_pool, ARRAY_SIZE(plain_pool) },
	{ shared_pool, ARRAY_SIZE(shared_pool) },
};

static unsigned int max_len = 2;
static struct ps_log *script;		/* what a failure would come from */
static struct ps_log **scripts;		/* the same, of each worker */

/* A sequence being explored, and a state of it. */
struct run {
	struct pool_sim *base;
	unsigned int pool;
	unsigned int len;
	struct ps_op op[MAX_LEN];
	u64 *count;
};

static struct pool_sim *sim_new(void)
{
	struct pool_sim *ps = calloc(1, sizeof(*ps));

	if (!ps)
		abort();
	return ps;
}

static void sim_free(struct pool_sim *ps)
{
	ps_exit(ps);
	free(ps);
}

static void say(const struct ps_op *op)
{
	script->op[script->nr++] = *op;
}

/* ---- one state ---- */

static struct pool_sim *reopened(const struct pool_sim *dead, const struct ps_op *open)
{
	struct pool_sim *ps = sim_new();
	struct ps_op op = *open;

	ps_clone(ps, dead);
	sim_clock_crash(&ps->clock);
	ps_run(ps, &op);
	return ps;
}

static void check_state(struct run *run, const struct pool_sim *dead, const struct ps_op *open,
			bool counts)
{
	const u32 nr = script->nr;
	struct ps_op check = { .kind = PS_CHECK };
	struct pool_sim *ps;

	say(open);
	if (counts)
		say(&check);
	ps = reopened(dead, open);
	if (counts)
		ps_run(ps, &check);
	sim_free(ps);
	run->count[STATES]++;
	script->nr = nr;
}

/* Power fails again at each device operation of the recovery. */
static void check_recovery(struct run *run, const struct pool_sim *dead, struct ps_op open)
{
	static const u8 fates[] = { SIM_NONE, SIM_ALL };
	const u32 nr = script->nr;
	struct pool_sim *ps;
	unsigned int i;
	bool more = true;

	for (open.crash = 1; more; open.crash++) {
		say(&open);
		ps = reopened(dead, &open);
		more = !ps->md;
		for (i = 0; more && i < ARRAY_SIZE(fates); i++) {
			const struct ps_op again = { .kind = PS_OPEN, .n = fates[i] };

			check_state(run, ps, &again, true);
			run->count[RECOVERIES]++;
		}
		sim_free(ps);
		script->nr = nr;
	}
}

/* ---- all states of one crash ---- */

struct window {
	u64 meta, data;		/* un-flushed blocks */
};

static struct ps_op fate(const struct window *w, u64 mask)
{
	return (struct ps_op){
		.kind = PS_OPEN, .n = PS_FATE_MASK,
		.begin = mask & ((1ull << w->meta) - 1), .len = mask >> w->meta,
	};
}

static void check_mask(struct run *run, const struct pool_sim *dead, const struct window *w,
		       u64 mask, bool counts)
{
	const struct ps_op open = fate(w, mask);

	check_state(run, dead, &open, counts);
}

static void check_subsets(struct run *run, const struct pool_sim *dead, const struct window *w)
{
	const u64 n = w->meta + w->data, all = (1ull << n) - 1;
	u64 i;

	check_mask(run, dead, w, 0, true);
	if (n)
		check_mask(run, dead, w, all, true);
	if (n <= SUBSET_BITS) {
		for (i = 1; i < all; i++)
			check_mask(run, dead, w, i, false);
		return;
	}
	run->count[BOUNDED]++;
	for (i = 0; i < n; i++) {
		check_mask(run, dead, w, 1ull << i, false);
		check_mask(run, dead, w, all & ~(1ull << i), false);
		if (i)
			check_mask(run, dead, w, (2ull << i) - 1, false);
	}
}

static void check_torn(struct run *run, const struct pool_sim *dead, const struct window *w)
{
	static const u8 sector[] = { 1, 4 };
	const u64 n = w->meta + w->data, all = (1ull << n) - 1;
	struct ps_op open;
	unsigned int s;
	u64 i;

	for (i = 0; i < n; i++)
		for (s = 0; s < ARRAY_SIZE(sector); s++) {
			open = fate(w, s ? all : 0);
			open.from = 1 + i;
			open.to = sector[s];
			check_state(run, dead, &open, false);
			run->count[TORN]++;
		}
}

/* What was written is in the caches of @dead's disks. */
static void explore(struct run *run, const struct pool_sim *dead)
{
	const struct window w = {
		.meta = sim_nr_pending(dead->meta), .data = sim_nr_pending(dead->data),
	};

	if (w.meta + w.data > 31)
		ps_die((struct pool_sim *)dead, "%llu blocks in one window: raise the bound",
		       w.meta + w.data);
	run->count[POINTS]++;
	run->count[LARGEST] = max(run->count[LARGEST], w.meta + w.data);
	check_subsets(run, dead, &w);
	check_torn(run, dead, &w);
	if (run->len < max_len) {
		check_recovery(run, dead, fate(&w, 0));
		if (w.meta + w.data)
			check_recovery(run, dead, fate(&w, (1ull << (w.meta + w.data)) - 1));
	}
}

/* ---- sequences ---- */

static struct pool_sim *base_make(unsigned int pool)
{
	struct pool_sim *ps = sim_new();
	unsigned int i;

	ps_init(ps, &config);
	for (i = 0; i < pools[pool].nr; i++) {
		struct ps_op op = pools[pool].op[i];

		ps_run(ps, &op);
	}
	ps_abandon(ps);
	if (pdata_io_flush(&ps->data->io) || pdata_io_flush(&ps->meta->io))
		ps_die(ps, "cannot flush");
	return ps;
}

static void say_base(unsigned int pool)
{
	const struct ps_op open = { .kind = PS_OPEN, .n = SIM_ALL };
	unsigned int i;

	script->nr = 0;
	for (i = 0; i < pools[pool].nr; i++)
		say(&pools[pool].op[i]);
	say(&open);
}

/* The sequence, with power failing at operation @crash of the last one. False: it ended before. */
static bool run_until(struct run *run, u32 crash)
{
	const struct ps_op open = { .kind = PS_OPEN, .n = SIM_ALL };
	struct pool_sim *ps = reopened(run->base, &open);
	unsigned int i;
	bool failed;

	say_base(run->pool);
	for (i = 0; i < run->len; i++) {
		struct ps_op op = run->op[i];

		if (i == run->len - 1)
			sim_clock_crash_at(&ps->clock, crash);
		say(&op);
		ps_run(ps, &op);
	}
	failed = ps->clock.off;
	if (failed)
		script->op[script->nr - 1].crash = crash;
	sim_clock_crash(&ps->clock);
	ps_abandon(ps);
	explore(run, ps);
	sim_free(ps);
	return failed;
}

/* Without a crash: contents and counts. */
static void run_through(struct run *run)
{
	const struct ps_op open = { .kind = PS_OPEN, .n = SIM_ALL };
	struct ps_op verify = { .kind = PS_VERIFY }, check = { .kind = PS_CHECK };
	struct pool_sim *ps = reopened(run->base, &open);
	unsigned int i;

	say_base(run->pool);
	for (i = 0; i < run->len; i++) {
		struct ps_op op = run->op[i];

		say(&op);
		ps_run(ps, &op);
	}
	say(&verify);
	ps_run(ps, &verify);
	say(&check);
	ps_run(ps, &check);
	sim_free(ps);
}

static void run_sequence(struct run *run)
{
	u32 crash = 1;

	run_through(run);
	while (run_until(run, crash))
		crash++;
	run->count[SEQUENCES]++;
}

static u64 nr_sequences(unsigned int len)
{
	u64 n = ARRAY_SIZE(pools);

	while (len--)
		n *= ARRAY_SIZE(set);
	return n;
}

static void work(struct par_worker *me, unsigned int worker, unsigned int jobs)
{
	struct run run = { .count = me->count };
	struct pool_sim *base[ARRAY_SIZE(pools)];
	unsigned int i;
	u64 n, rest;

	script = scripts[worker];
	for (i = 0; i < ARRAY_SIZE(pools); i++)
		base[i] = base_make(i);
	for (run.len = 1; run.len <= max_len; run.len++)
		for (n = worker; n < nr_sequences(run.len); n += jobs) {
			rest = n;
			run.pool = rest % ARRAY_SIZE(pools);
			run.base = base[run.pool];
			rest /= ARRAY_SIZE(pools);
			for (i = 0; i < run.len; i++, rest /= ARRAY_SIZE(set))
				run.op[i] = set[rest % ARRAY_SIZE(set)];
			run_sequence(&run);
		}
	for (i = 0; i < ARRAY_SIZE(pools); i++)
		sim_free(base[i]);
}

/* ---- all of it ---- */

static u64 all_sequences(void)
{
	unsigned int len;
	u64 n = 0;

	for (len = 1; len <= max_len; len++)
		n += nr_sequences(len);
	return n;
}

static void progress(const struct par_worker *all, unsigned int jobs)
{
	fprintf(stderr, "%llu of %llu sequences, %llu states\n",
		(unsigned long long)par_sum(all, jobs, SEQUENCES),
		(unsigned long long)all_sequences(),
		(unsigned long long)par_sum(all, jobs, STATES));
}

static void report(const struct par_worker *all, unsigned int jobs)
{
	u64 sum[PAR_COUNTERS], largest = 0;
	unsigned int i;

	for (i = 0; i < PAR_COUNTERS; i++)
		sum[i] = par_sum(all, jobs, i);
	for (i = 0; i < jobs; i++)
		largest = max(largest, all[i].count[LARGEST]);
	printf("ok 1 - all %llu sequences of up to %u of %zu operations on %zu pools, %llu crash points\n",
	       sum[SEQUENCES], max_len, ARRAY_SIZE(set), ARRAY_SIZE(pools), sum[POINTS]);
	printf("# %llu states: of %llu with a torn block, %llu after a crash in the recovery\n",
	       sum[STATES], sum[TORN], sum[RECOVERIES]);
	printf("# all subsets where at most %u blocks are un-flushed, not of %llu windows of up to %llu\n",
	       SUBSET_BITS, sum[BOUNDED], largest);
}

int main(void)
{
	const unsigned int jobs = par_jobs();
	const struct par_worker *all;
	unsigned int i;
	int died;

	if (getenv("LEN"))
		max_len = clamp_t(unsigned int, strtoul(getenv("LEN"), NULL, 0), 1, MAX_LEN);
	pdata_shim_seed(1);
	pdata_shim_quiet = !getenv("TRACE");
	scripts = calloc(jobs, sizeof(*scripts));
	if (!scripts)
		abort();
	for (i = 0; i < jobs; i++)
		scripts[i] = shrink_log_new();
	printf("1..1\n");
	all = par_run(jobs, work, progress, &died);
	if (died < 0) {
		report(all, jobs);
		return 0;
	}
	printf("not ok 1 - after %llu sequences: %s\n",
	       par_sum(all, jobs, SEQUENCES), all[died].failure.text);
	shrink_report(&config, scripts[died], &all[died].failure, "crash_pool");
	return 1;
}
