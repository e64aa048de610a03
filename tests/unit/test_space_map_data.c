// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data space map and allocator over the simulated disk, against a model that
 * counts every unit by itself. Tiny nodes, many commits, power cuts in them.
 */
#include "testlib.h"

#include "pdata-alloc.h"

#define UNITS		4096
#define META_BLOCKS	4096
#define GROUP		512
#define MAX_THINS	4
#define LAG		2

struct model {
	u32 count[UNITS];
	u64 used;
};

static u64 rnd;

/* ---- the system under test ---- */

static struct sim_disk *disk;
static struct pdata_super sb;
static struct pdata_bm bm;
static struct pdata_tm tm;
static struct pdata_sm_data sm;
static struct pdata_alloc alloc;
static struct pdata_stream stream[2];
static struct list_head batch[LAG];
static unsigned int batch_now;

/* ---- what it should be like ---- */

static struct model now, stable;
static bool touched[UNITS], freed_now[UNITS];
/* units that may not be handed out: the version below which they are in use */
static bool quarantined[UNITS];
static u64 last_freed;

static int on_freed(void *context, u64 begin, u64 len)
{
	u64 i;

	assert_ptr_equal(context, &sm);
	assert_true(begin >= last_freed);
	last_freed = begin + len;
	for (i = begin; i < begin + len; i++) {
		assert_true(i < UNITS);
		assert_false(freed_now[i]);
		freed_now[i] = true;
		quarantined[i] = true;
	}
	return pdata_alloc_quarantine(&alloc, begin, len);
}

static void close_pool(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++)
		pdata_stream_exit(&alloc, &stream[i]);
	for (i = 0; i < LAG; i++)
		pdata_alloc_release(&alloc, &batch[i]);
	pdata_alloc_exit(&alloc);
	pdata_sm_data_exit(&sm);
	pdata_tm_exit(&tm);
}

static void open_pool(void)
{
	unsigned int i;

	assert_int_equal(pdata_super_read(&disk->io, &sb), PDATA_SB_VALID);
	pdata_bm_init(&bm, &disk->io, sb.uuid, sb.meta_blocks, "test");
	assert_ok(pdata_tm_init(&tm, &bm, &sb));
	if (!(sb.flags & PDATA_SB_CLEAN))
		assert_ok(pdata_sm_scrub(&tm.sm));
	tm.limits.fanout = 4;
	tm.limits.leaf_max = 8;
	assert_ok(pdata_sm_data_init(&sm, &tm, &sb));
	sm.freed = on_freed;
	sm.context = &sm;
	assert_ok(pdata_alloc_init(&alloc, &tm, &sm, sb.data_units, GROUP));
	for (i = 0; i < 2; i++)
		pdata_stream_init(&alloc, &stream[i]);
	for (i = 0; i < LAG; i++)
		INIT_LIST_HEAD(&batch[i]);
	batch_now = 0;
	memset(touched, 0, sizeof(touched));
	memset(freed_now, 0, sizeof(freed_now));
	memset(quarantined, 0, sizeof(quarantined));
	last_freed = 0;
}

static void create_pool(void)
{
	u8 uuid[PDATA_UUID_SIZE];

	disk = sim_disk_create(META_BLOCKS, NULL);
	disk->own.seed = rnd_u64(&rnd);
	get_random_bytes(uuid, sizeof(uuid));
	pdata_super_init(&sb, uuid, META_BLOCKS);
	sb.data_units = UNITS;
	assert_ok(pdata_super_format(&disk->io, &sb));
	memset(&now, 0, sizeof(now));
	stable = now;
	open_pool();
}

static void destroy_pool(void)
{
	close_pool();
	sim_disk_destroy(disk);
}

static int commit(void)
{
	sb.data_sm_root = sm.rt.root;
	sb.data_sm_leaves = sm.leaves;
	sb.data_used = sm.used;
	sb.flags &= ~PDATA_SB_CLEAN;
	return pdata_tm_commit(&tm, &sb);
}

/* ---- comparison ---- */

struct tree_check {
	u64 pos;
	u64 nr;
	u64 used;
	struct pdata_range last;
	u64 leaves;
};

static int check_node(void *context, u64 ptr, unsigned int level, u64 lo, u64 hi, int err)
{
	struct tree_check *c = context;

	assert_ok(err);
	c->leaves += !level;
	/* a leaf border parts records that could be one */
	if (!level)
		c->last.len = 0;
	return 0;
}

static int check_range(void *context, const struct pdata_range *r)
{
	struct tree_check *c = context;

	assert_true(r->begin >= c->pos);
	for (; c->pos < r->begin; c->pos++)
		assert_u64(now.count[c->pos], 0);
	for (; c->pos < pdata_range_end(r); c->pos++)
		assert_u64(now.count[c->pos], r->tag);
	if (r->aux)
		assert_u64(r->value, r->begin + 100000 * r->aux);
	if (c->last.len)
		assert_false(pdata_range_join(&c->last, r));
	c->last = *r;
	c->nr++;
	c->used += r->len;
	return 0;
}

static u64 check_tree(const struct pdata_pin *pin, u64 root)
{
	const struct pdata_view v = { .tm = &tm, .pin = pin };
	struct tree_check c = { 0 };

	assert_ok(pdata_rt_walk(&sm.rt, &v, root, 0, PDATA_MAX_UNITS, check_node, check_range,
				&c));
	for (; c.pos < UNITS; c.pos++)
		assert_u64(now.count[c.pos], 0);
	assert_u64(c.used, now.used);
	assert_u64(sm.used, now.used);
	assert_u64(sm.leaves, c.leaves);
	return c.nr;
}

static void check_get(void)
{
	const struct pdata_view v = { .tm = &tm };
	u64 unit, end, i;
	u32 count;

	for (unit = 0; unit < UNITS; unit = end) {
		assert_ok(pdata_sm_data_get(&sm, &v, sm.rt.root, unit, &count, &end));
		assert_true(end > unit);
		for (i = unit; i < end && i < UNITS; i++)
			assert_u64(count, now.count[i]);
	}
}

/* ---- transactions ---- */

static void count(u64 begin, u64 len, s32 delta, u64 uid)
{
	u64 i;

	assert_ok(pdata_count_log_reserve(&sm.log, 1));
	assert_ok(pdata_count_log_add(&sm.log, begin, len, delta, uid, begin + 100000 * uid));
	for (i = begin; i < begin + len; i++) {
		touched[i] = true;
		now.used += !now.count[i];
		now.count[i] += delta;
		now.used -= !now.count[i];
	}
}

/* Hand out units as a writer would; 0 if there are none. */
static u64 get(u64 want, u64 *begin)
{
	u64 len, i;
	int r;

	do {
		r = pdata_alloc_get(&alloc, &stream[rnd_below(&rnd, 2)], want, begin, &len);
		if (r == -PDATA_E_WOULD_SLEEP)
			assert_ok(pdata_alloc_load(&alloc));
	} while (r == -PDATA_E_WOULD_SLEEP);
	if (r == -PDATA_E_RETRY || r == -PDATA_E_DATA_NOSPC)
		return 0;
	assert_ok(r);
	for (i = *begin; i < *begin + len; i++) {
		assert_false(quarantined[i]);
		assert_u64(now.count[i], 0);
		assert_u64(stable.count[i], 0);
		assert_false(touched[i]);
	}
	return len;
}

/* Something at a random place that is in use all over; the longest up to @most. */
static u64 used_run(u64 most, u32 least, u64 *begin)
{
	u64 len = 0;

	for (*begin = rnd_below(&rnd, UNITS); *begin < UNITS; (*begin)++)
		if (now.count[*begin] >= least)
			break;
	while (len < most && *begin + len < UNITS && now.count[*begin + len] >= least)
		len++;
	return len;
}

static void random_change(void)
{
	const u64 uid = PDATA_FIRST_UID + rnd_below(&rnd, MAX_THINS);
	u64 begin, len;

	switch (rnd_below(&rnd, 8)) {
	case 0: case 1: case 2:
		len = get(1 + rnd_below(&rnd, 40), &begin);
		if (len)
			count(begin, len, 1, uid);
		break;
	case 3:
		/* written, recorded and unmapped in one transaction */
		len = get(1 + rnd_below(&rnd, 40), &begin);
		if (len) {
			count(begin, len, 1, uid);
			count(begin, len, -1, rnd_one_in(&rnd, 2) ? uid : 0);
		}
		break;
	case 4:
		len = used_run(1 + rnd_below(&rnd, 100), 1, &begin);
		if (len)
			count(begin, len, 1 + rnd_below(&rnd, 2), uid);
		break;
	case 5: case 6:
		len = used_run(1 + rnd_below(&rnd, 300), 1, &begin);
		if (len)
			count(begin, len, -1, uid);
		break;
	case 7:
		/* down to nothing and up again before it shows */
		len = used_run(1 + rnd_below(&rnd, 60), 1, &begin);
		if (len) {
			count(begin, len, -1, uid);
			count(begin, len, 1, uid);
		}
		break;
	}
}

static size_t net_segments(void)
{
	struct pdata_count_log copy = sm.log;
	struct pdata_count_change *net;
	size_t nr;

	copy.entry = kvmalloc_array(copy.nr + 1, sizeof(*copy.entry), GFP_NOIO);
	if (copy.nr)
		memcpy(copy.entry, sm.log.entry, copy.nr * sizeof(*copy.entry));
	copy.max = copy.nr + 1;
	assert_ok(pdata_count_log_net(&copy, &net, &nr));
	kvfree(net);
	pdata_count_log_exit(&copy);
	return nr;
}

static void apply(void)
{
	const u64 most = pdata_sm_data_apply_blocks(&sm, net_segments() + sm.leaves);
	const u64 before = pdata_sm_free(&tm.sm, false);
	u64 i;

	assert_ok(pdata_sm_data_apply(&sm));
	assert_u64(sm.log.nr, 0);
	assert_true(before <= most + pdata_sm_free(&tm.sm, false));
	for (i = 0; i < UNITS; i++)
		assert_int_equal(freed_now[i], touched[i] && !now.count[i]);
}

/* A checkpoint is durable: what it freed passes through the drain, LAG commits long. */
static void committed(void)
{
	struct pdata_freed *f;

	stable = now;
	memset(touched, 0, sizeof(touched));
	memset(freed_now, 0, sizeof(freed_now));
	last_freed = 0;
	pdata_alloc_seal(&alloc, &batch[batch_now]);
	batch_now = (batch_now + 1) % LAG;
	list_for_each_entry(f, &batch[batch_now], list)
		memset(quarantined + f->begin, 0, f->len);
	pdata_alloc_release(&alloc, &batch[batch_now]);
}

/* Power fails somewhere in the commit. */
static void crashing_commit(void)
{
	const u64 generation = sb.generation;
	int r;

	sim_clock_crash_at(disk->clock, 1 + rnd_below(&rnd, 6));
	r = commit();
	sim_crash(disk);
	close_pool();
	sim_power_on(disk);
	open_pool();
	assert_true(sb.generation == generation || sb.generation == generation + 1);
	if (!r)
		assert_u64(sb.generation, generation + 1);
	if (sb.generation == generation)
		now = stable;
	else
		stable = now;
}

static void test_random(void **state)
{
	const u64 rounds = test_rounds(300);
	u64 i, n;

	create_pool();
	for (i = 0; i < rounds; i++) {
		for (n = rnd_below(&rnd, i % 10 ? 30 : 400); n; n--)
			random_change();
		if (rnd_one_in(&rnd, 12)) {
			/* not even applied */
			sim_crash(disk);
			close_pool();
			sim_power_on(disk);
			open_pool();
			now = stable;
		}
		apply();
		if (rnd_one_in(&rnd, 4))
			check_get();
		check_tree(NULL, sm.rt.root);
		if (rnd_one_in(&rnd, 5)) {
			crashing_commit();
		} else {
			assert_ok(commit());
			committed();
		}
		check_tree(NULL, sm.rt.root);
	}
	/* free it all again */
	for (i = 0; i < UNITS; i++)
		if (now.count[i])
			count(i, 1, -(s32)now.count[i], 0);
	apply();
	assert_u64(check_tree(NULL, sm.rt.root), 0);
	assert_u64(sm.used, 0);
	assert_ok(commit());
	destroy_pool();
}

/* A run of one thin, recorded piece by piece and out of order, is one record. */
static void test_one_record(void **state)
{
	u64 i;

	create_pool();
	for (i = 0; i < 64; i++) {
		count(((i * 27) % 64) * 16, 16, 1, 20);
		if (i % 8 == 7) {
			apply();
			assert_ok(commit());
			committed();
		}
	}
	assert_u64(check_tree(NULL, sm.rt.root), 1);
	/* a snapshot of a part and its end leave no trace */
	count(100, 300, 1, 21);
	apply();
	assert_u64(check_tree(NULL, sm.rt.root), 3);
	assert_ok(commit());
	committed();
	count(100, 300, -1, 21);
	apply();
	assert_u64(check_tree(NULL, sm.rt.root), 1);
	destroy_pool();
}

static void test_count_limits(void **state)
{
	create_pool();
	count(10, 5, S32_MAX, 20);
	apply();
	count(10, 5, S32_MAX, 20);
	apply();
	check_tree(NULL, sm.rt.root);
	/* now 2^32 - 2, the most */
	count(12, 1, 1, 20);
	assert_err(pdata_sm_data_apply(&sm), PDATA_E_COUNT);
	assert_true(tm.failed);
	assert_err(pdata_sm_data_apply(&sm), PDATA_E_FAILED);
	destroy_pool();

	create_pool();
	count(10, 5, 1, 20);
	apply();
	assert_ok(commit());
	committed();
	count(8, 4, -1, 20);
	assert_err(pdata_sm_data_apply(&sm), PDATA_E_COUNT);
	assert_true(tm.failed);
	destroy_pool();
}

/*
 * Let the n-th allocation fail, for every n. Either the transaction says that
 * it has failed, or the log holds what is not in the tree and applies later.
 */
static void test_no_memory(void **state)
{
	unsigned int i, failed = 0, early = 0, late = 0;
	size_t nr;
	long n;
	int r;

	for (n = 0, r = -ENOMEM; r; n++) {
		create_pool();
		/* nobody's: they take the back-reference of what comes */
		for (i = 0; i < 60; i++)
			count(i * 20, 7, 1, 0);
		apply();
		assert_ok(commit());
		committed();
		assert_ok(pdata_alloc_load_range(&alloc, 0, UNITS));
		for (i = 0; i < 59; i++)
			count(i * 20 + 3, 20, i % 2 ? 1 : 2, 21);
		nr = net_segments();
		pdata_shim_fail_alloc_after(n);
		r = pdata_sm_data_apply(&sm);
		pdata_shim_fail_alloc_after(-1);
		if (r && tm.failed) {
			failed++;
		} else if (r) {
			assert_err(r, ENOMEM);
			*(net_segments() == nr ? &early : &late) += 1;
			assert_ok(pdata_sm_data_apply(&sm));
		}
		if (!tm.failed)
			check_tree(NULL, sm.rt.root);
		destroy_pool();
	}
	print_message("failed %u, before the first step %u, later %u\n", failed, early, late);
	assert_true(early > 3 && late > 3);
}

/* A lost leaf counts as in use, is not given out, and stops nobody. */
static u64 leaf_begin, leaf_block, leaf_lo, leaf_hi;

static int find_leaf(void *context, u64 ptr, unsigned int level, u64 lo, u64 hi, int err)
{
	assert_ok(err);
	if (!level && (leaf_begin == U64_MAX || (lo > leaf_begin && !leaf_block))) {
		leaf_block = pdata_ptr_block(ptr);
		leaf_lo = lo;
		leaf_hi = hi;
	}
	return 0;
}

static int no_range(void *context, const struct pdata_range *r)
{
	return 0;
}

/* The first leaf that begins behind @from, with U64_MAX the last one. */
static void lost_leaf(u64 from)
{
	const struct pdata_view v = { .tm = &tm };
	u64 i, begin, len, end, lost, sum = 0, used;
	u32 c;

	create_pool();
	for (i = 0; i < 200; i++)
		count(i * 20, 7, 1, 20);
	apply();
	assert_ok(commit());
	leaf_begin = from;
	leaf_block = 0;
	assert_ok(pdata_rt_walk(&sm.rt, &v, sm.rt.root, 0, UNITS, find_leaf, no_range, NULL));
	assert_true(leaf_block);
	lost = min(leaf_hi, sb.data_units) - leaf_lo;
	close_pool();
	sim_crash(disk);
	sim_flip_bit(disk, leaf_block, 12345);
	sim_power_on(disk);
	open_pool();

	used = sm.used;
	/* reading says so, and for how long */
	assert_true(pdata_error_is_damage(pdata_sm_data_get(&sm, &v, sm.rt.root, leaf_lo + 1,
							    &c, &end)));
	assert_u64(end, leaf_hi);
	/* units in it are not handed out, though most of them are free */
	for (;;) {
		len = get(50, &begin);
		if (!len)
			break;
		assert_true(begin + len <= leaf_lo || begin >= leaf_hi);
		sum += len;
	}
	/* 7 of 20 are in use, below 4000 */
	assert_u64(sum + 200 * 7 + lost - 7 * DIV_ROUND_UP(min(leaf_hi, 4000ull) - leaf_lo, 20),
		   UNITS);

	/* changes go on: around it as ever, within it they have no effect */
	count(leaf_lo, 7, -1, 20);
	count(leaf_lo + 10, 5, 1, 20);
	count(leaf_lo - 20, 7, -1, 20);
	assert_ok(pdata_sm_data_apply(&sm));
	for (i = leaf_lo - 20; i < leaf_lo + lost; i++)
		assert_int_equal(freed_now[i], i < leaf_lo - 13);
	assert_ok(pdata_sm_data_get(&sm, &v, sm.rt.root, leaf_lo + 1, &c, &end));
	assert_u64(c, PDATA_SM_COUNT_UNKNOWN);
	assert_u64(end, leaf_lo + lost);
	assert_u64(sm.used, used - 7);
	assert_ok(commit());
	destroy_pool();
}

static void test_lost_leaf(void **state)
{
	lost_leaf(1000);
}

/* Its interval reaches far beyond the device. */
static void test_lost_last_leaf(void **state)
{
	lost_leaf(U64_MAX);
	assert_u64(leaf_hi, PDATA_MAX_UNITS);
}

/*
 * One change over units that are alternately in use and free: it is one segment
 * when netted, and leaves a record for each of them.
 */
static void test_fill_holes(void **state)
{
	unsigned int i;

	create_pool();
	for (i = 0; i < 400; i += 2)
		count(i, 1, 1, 0);
	apply();
	assert_ok(commit());
	committed();
	for (i = 0; i < 399; i++)
		count(i, 1, 1, 0);
	assert_u64(net_segments(), 1);
	assert_ok(pdata_sm_data_apply(&sm));
	check_tree(NULL, sm.rt.root);
	destroy_pool();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_random, test_quiet),
		cmocka_unit_test(test_one_record),
		cmocka_unit_test(test_fill_holes),
		cmocka_unit_test_setup(test_count_limits, test_quiet),
		cmocka_unit_test_setup(test_no_memory, test_quiet),
		cmocka_unit_test_setup(test_lost_leaf, test_quiet),
		cmocka_unit_test_setup(test_lost_last_leaf, test_quiet),
	};

	rnd = test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
