// SPDX-License-Identifier: GPL-2.0-only
/* Metadata space map against a model: counts, quarantine, pins, growth, damage. */
#include "testlib.h"

#include "pdata-fault.h"
#include "pdata-layout.h"
#include "pdata-space-map-metadata.h"

#define PER	PDATA_COUNTS_PER_BLOCK

static const u8 uuid[PDATA_UUID_SIZE] = "space, some free";

struct fixture {
	struct sim_disk *disk;
	struct pdata_bm bm;
	struct pdata_super sb;
	struct pdata_sm_meta sm;
};

static void fixture_open(struct fixture *f)
{
	pdata_bm_init(&f->bm, &f->disk->io, uuid, f->disk->io.nr_blocks, "test");
	assert_ok(pdata_sm_init(&f->sm, &f->bm, &f->sb));
}

static void fixture_init(struct fixture *f, u64 nr_blocks, u64 journal)
{
	f->disk = sim_disk_create(nr_blocks, NULL);
	pdata_super_init(&f->sb, uuid, nr_blocks);
	if (journal)
		f->sb.journal_blocks = journal;
	assert_ok(pdata_super_format(&f->disk->io, &f->sb));
	fixture_open(f);
}

static void fixture_exit(struct fixture *f)
{
	pdata_sm_exit(&f->sm);
	sim_disk_destroy(f->disk);
}

static void commit(struct fixture *f)
{
	f->sb.generation = f->sm.generation;
	f->sb.meta_blocks = f->sm.nr_blocks;
	f->sb.meta_used = f->sm.used;
	f->sb.meta_groups = f->sm.counts.nr_groups;
	pdata_array_next_slots(&f->sm.counts, f->sb.slots);
	f->sb.details_root = 0;
	assert_ok(pdata_sm_write(&f->sm));
	assert_ok(pdata_io_flush(&f->disk->io));
	assert_ok(pdata_super_write(&f->disk->io, &f->sb, false));
	assert_ok(pdata_super_write(&f->disk->io, &f->sb, true));
	pdata_sm_committed(&f->sm, &f->sb);
}

static void reopen(struct fixture *f)
{
	pdata_sm_exit(&f->sm);
	assert_int_equal(pdata_super_read(&f->disk->io, &f->sb), PDATA_SB_VALID);
	fixture_open(f);
}

/* The smallest device, to the last block. */
static void test_smallest(void **state)
{
	struct fixture f;
	u64 total, i, b;
	u32 count;
	u8 *seen = calloc(512, 1);

	fixture_init(&f, 512, 0);
	total = f.sm.total;
	/* 2 superblocks, 2 slots, 32 of journal, 1 backup */
	assert_u64(total, 512 - 2 - 2 - 32 - 1);
	assert_u64(pdata_sm_free(&f.sm, false), total);
	f.sm.reserve = 20;
	for (i = 0; i < total - 20; i++) {
		assert_ok(pdata_sm_alloc(&f.sm, &b, false));
		assert_true(b < 511 && b >= 36 && !seen[b]);
		seen[b] = 1;
	}
	assert_err(pdata_sm_alloc(&f.sm, &b, false), PDATA_E_META_NOSPC);
	for (; i < total; i++) {
		assert_ok(pdata_sm_alloc(&f.sm, &b, true));
		assert_true(b < 511 && b >= 36 && !seen[b]);
		seen[b] = 1;
	}
	assert_err(pdata_sm_alloc(&f.sm, &b, true), PDATA_E_META_NOSPC);
	assert_u64(pdata_sm_free(&f.sm, true), 0);
	/* What the transaction itself allocated is free at once. */
	assert_ok(pdata_sm_dec(&f.sm, 300, &count));
	assert_u64(count, 0);
	assert_u64(pdata_sm_free(&f.sm, false), 1);
	assert_ok(pdata_sm_alloc(&f.sm, &b, true));
	assert_u64(b, 300);
	commit(&f);
	/* Now it is not. */
	assert_ok(pdata_sm_dec(&f.sm, 300, &count));
	assert_u64(pdata_sm_free(&f.sm, false), 0);
	assert_u64(pdata_sm_free(&f.sm, true), 1);
	assert_err(pdata_sm_alloc(&f.sm, &b, true), PDATA_E_META_NOSPC);
	commit(&f);
	assert_ok(pdata_sm_alloc(&f.sm, &b, true));
	assert_u64(b, 300);
	fixture_exit(&f);
	free(seen);
}

/* A format writes below 4 MiB only, and an empty pool has no groups. */
static void test_empty(void **state)
{
	struct fixture f;
	u64 b;

	fixture_init(&f, 100000, 0);
	commit(&f);
	assert_u64(f.sb.meta_groups, 0);
	assert_u64(f.sb.meta_used, 0);
	/* 1562 blocks of journal: the first free block is in the second group. */
	assert_ok(pdata_sm_alloc(&f.sm, &b, false));
	assert_u64(b, pdata_journal_end(f.sm.journal_blocks));
	assert_u64(f.sm.counts.nr_groups, 2);
	commit(&f);
	assert_u64(f.sb.meta_groups, 2);
	assert_u64(f.sb.meta_used, 1);
	fixture_exit(&f);
}

static void test_refusals(void **state)
{
	struct fixture f;
	u64 b;
	u32 count;

	fixture_init(&f, 2048, 0);
	assert_ok(pdata_sm_alloc(&f.sm, &b, false));
	assert_err(pdata_sm_inc(&f.sm, b + 1), PDATA_E_COUNT);
	assert_err(pdata_sm_dec(&f.sm, b + 1, &count), PDATA_E_COUNT);
	assert_err(pdata_sm_inc(&f.sm, 0), PDATA_E_COUNT);
	assert_err(pdata_sm_dec(&f.sm, PDATA_SB_BACKUP, &count), PDATA_E_COUNT);
	assert_err(pdata_sm_inc(&f.sm, 2048), PDATA_E_OUT_OF_RANGE);
	assert_err(pdata_sm_get(&f.sm, ~0ull, &count), PDATA_E_OUT_OF_RANGE);
	/* Asking does not initialise. */
	assert_ok(pdata_sm_get(&f.sm, 1500, &count));
	assert_u64(count, 0);
	assert_ok(pdata_sm_get(&f.sm, PER + 2, &count));
	assert_u64(count, 1);
	assert_err(pdata_sm_inc(&f.sm, 1500), PDATA_E_COUNT);
	assert_u64(f.sm.counts.nr_groups, 1);
	pdata_fault_arm(PDATA_FAULT_META_ALLOC, 0);
	assert_err(pdata_sm_alloc(&f.sm, &b, false), PDATA_E_META_NOSPC);
	assert_err(pdata_sm_grow(&f.sm, 2047), PDATA_E_SHRUNK);
	f.sb.meta_blocks = 4096;
	pdata_sm_exit(&f.sm);
	assert_err(pdata_sm_init(&f.sm, &f.bm, &f.sb), PDATA_E_SHRUNK);
	fixture_exit(&f);
}

static void test_pins(void **state)
{
	struct fixture f;
	struct pdata_pin old, young;
	u64 b, c;
	u32 count;

	fixture_init(&f, 512, 0);
	assert_ok(pdata_sm_alloc(&f.sm, &b, false));
	assert_ok(pdata_sm_alloc(&f.sm, &c, false));
	assert_ok(pdata_sm_inc(&f.sm, b));
	assert_true(pdata_sm_is_new(&f.sm, b));
	commit(&f);
	assert_false(pdata_sm_is_new(&f.sm, b));
	pdata_sm_pin(&f.sm, &old);
	assert_u64(old.generation, 1);
	assert_ok(pdata_sm_get_committed(&f.sm, &old, b, &count));
	assert_u64(count, 2);
	assert_ok(pdata_sm_dec(&f.sm, b, &count));
	assert_u64(count, 1);
	assert_ok(pdata_sm_dec(&f.sm, c, &count));
	assert_u64(count, 0);
	assert_ok(pdata_sm_get_committed(&f.sm, &old, b, &count));
	assert_u64(count, 2);
	commit(&f);
	assert_err(pdata_sm_get_committed(&f.sm, &old, b, &count), PDATA_E_RETRY);
	pdata_sm_pin(&f.sm, &young);
	assert_ok(pdata_sm_get_committed(&f.sm, &young, b, &count));
	assert_u64(count, 1);
	/* c is held by the older reader, commits or not. */
	assert_u64(f.sm.quarantined, 1);
	commit(&f);
	commit(&f);
	assert_u64(f.sm.quarantined, 1);
	pdata_sm_unpin(&f.sm, &old);
	assert_u64(f.sm.quarantined, 1);
	commit(&f);
	assert_u64(f.sm.quarantined, 0);
	pdata_sm_unpin(&f.sm, &young);
	/* Of a map that is not loaded, a reader learns to come back. */
	reopen(&f);
	pdata_sm_pin(&f.sm, &young);
	assert_err(pdata_sm_get_committed(&f.sm, &young, b, &count), PDATA_E_WOULD_SLEEP);
	assert_ok(pdata_sm_load(&f.sm, b));
	assert_ok(pdata_sm_get_committed(&f.sm, &young, b, &count));
	assert_u64(count, 1);
	pdata_sm_unpin(&f.sm, &young);
	fixture_exit(&f);
}

/* An allocation that finds nothing looks whether a reader has left meanwhile. */
static void test_pin_leaves(void **state)
{
	struct fixture f;
	struct pdata_pin pin;
	u64 b, c = 0;
	u32 count;

	fixture_init(&f, 512, 0);
	while (!pdata_sm_alloc(&f.sm, &b, true))
		c = b;
	commit(&f);
	pdata_sm_pin(&f.sm, &pin);
	assert_ok(pdata_sm_dec(&f.sm, c, &count));
	commit(&f);
	assert_err(pdata_sm_alloc(&f.sm, &b, true), PDATA_E_META_NOSPC);
	pdata_sm_unpin(&f.sm, &pin);
	assert_ok(pdata_sm_alloc(&f.sm, &b, true));
	assert_u64(b, c);
	fixture_exit(&f);
}

/* Groups are read only when needed. */
static void test_lazy(void **state)
{
	struct fixture f;
	u64 b, i;

	fixture_init(&f, 10 * PER, 0);
	for (i = 0; i < 5 * PER; i++)
		assert_ok(pdata_sm_alloc(&f.sm, &b, false));
	assert_u64(f.sm.counts.nr_groups, 6);
	commit(&f);
	reopen(&f);
	f.disk->stats.reads = 0;
	/* The first 5 groups are full and known to be: but which, only a look tells. */
	assert_ok(pdata_sm_alloc(&f.sm, &b, false));
	assert_true(f.disk->stats.reads <= 12);
	f.disk->stats.reads = 0;
	for (i = 0; i < PER; i++)
		assert_ok(pdata_sm_alloc(&f.sm, &b, false));
	assert_u64(f.disk->stats.reads, 0);
	fixture_exit(&f);
}

/* A full device grows: within its last group, by a stub, by groups. */
static void test_grow(void **state)
{
	static const u64 sizes[] = { 600, PER - 1, PER + 4, PER + 6, 3 * PER };
	struct fixture f;
	unsigned int i;
	u64 b, n = 0;

	fixture_init(&f, 512, 0);
	for (i = 0; i <= ARRAY_SIZE(sizes); i++) {
		while (!pdata_sm_alloc(&f.sm, &b, true)) {
			assert_false(pdata_is_reserved(b, 32));
			n++;
		}
		assert_u64(n, f.sm.total);
		assert_u64(n, f.sm.nr_blocks - pdata_nr_reserved(f.sm.nr_blocks, 32));
		assert_u64(pdata_sm_free(&f.sm, true), 0);
		if (i == ARRAY_SIZE(sizes))
			break;
		sim_resize(f.disk, sizes[i]);
		assert_ok(pdata_sm_grow(&f.sm, sizes[i]));
		if (i & 1)
			commit(&f);
	}
	assert_u64(n, 3 * PER - 2 - 6 - 32 - 1);
	commit(&f);
	fixture_exit(&f);
}

static void test_damaged(void **state)
{
	struct fixture f;
	u64 b, i, n, held = 0;
	u32 count;

	fixture_init(&f, 3 * PER, 32);
	for (i = 0; i < 1500; i++) {
		assert_ok(pdata_sm_alloc(&f.sm, &b, false));
		if (b < PER)
			held = b;
	}
	commit(&f);
	sim_flip_bit(f.disk, pdata_counts_place(0, 0), 7777);
	sim_flip_bit(f.disk, pdata_counts_place(0, 1), 7777);
	reopen(&f);
	assert_ok(pdata_sm_get(&f.sm, held, &count));
	assert_u64(count, PDATA_SM_UNKNOWN);
	assert_ok(pdata_sm_inc(&f.sm, held));
	assert_ok(pdata_sm_dec(&f.sm, held, &count));
	assert_u64(count, PDATA_SM_UNKNOWN);
	assert_false(pdata_sm_is_new(&f.sm, held));
	/* The rest goes on, to the last block outside of the damaged group. */
	for (n = 0; !pdata_sm_alloc(&f.sm, &b, true); n++)
		assert_true(b >= PER);
	assert_true(n > 400 && n < 2 * PER);
	commit(&f);
	reopen(&f);
	assert_ok(pdata_sm_get(&f.sm, b, &count));
	assert_u64(count, 1);
	fixture_exit(&f);
}

static void test_memory(void **state)
{
	struct fixture f;
	u64 b, c;
	u32 count;
	long n;
	int r;

	fixture_init(&f, 512, 0);
	for (n = 0; ; n++) {
		pdata_shim_fail_alloc_after(n);
		r = pdata_sm_alloc(&f.sm, &b, false);
		pdata_shim_fail_alloc_after(-1);
		if (!r)
			break;
		assert_err(r, ENOMEM);
		assert_u64(f.sm.used, 0);
	}
	commit(&f);
	for (n = 0; ; n++) {
		pdata_shim_fail_alloc_after(n);
		r = pdata_sm_dec(&f.sm, b, &count);
		pdata_shim_fail_alloc_after(-1);
		if (!r)
			break;
		assert_err(r, ENOMEM);
		assert_ok(pdata_sm_get(&f.sm, b, &count));
		assert_u64(count, 1);
		assert_u64(f.sm.quarantined, 0);
	}
	assert_true(n > 1);
	commit(&f);
	for (n = 0; ; n++) {
		pdata_shim_fail_alloc_after(n);
		r = pdata_sm_grow(&f.sm, 5000);
		pdata_shim_fail_alloc_after(-1);
		if (!r)
			break;
		assert_err(r, ENOMEM);
		assert_u64(f.sm.nr_blocks, 512);
	}
	assert_true(n > 1);
	assert_ok(pdata_sm_alloc(&f.sm, &c, false));
	fixture_exit(&f);
}

/* ---- random model ---- */

#define MODEL_MAX	(6 * PER)
#define MODEL_PINS	4

struct model {
	u32 count[MODEL_MAX];
	u32 committed[MODEL_MAX];	/* of the newest checkpoint */
	u64 freed[MODEL_MAX];		/* generation that freed it, while it may not be reused */
	struct pdata_pin pin[MODEL_PINS];
	bool pinned[MODEL_PINS];
	u64 nr_blocks;
	u64 cap;			/* of blocks in use: below, above and at the brink */
};

/* May a freed block be used again? By the rules, not by the implementation's lists. */
static bool model_may_reuse(const struct fixture *f, const struct model *m, u64 b)
{
	u64 durable = f->sm.generation - 1;
	unsigned int i;

	if (!m->freed[b])
		return true;
	if (m->freed[b] > durable)
		return false;
	for (i = 0; i < MODEL_PINS; i++)
		if (m->pinned[i] && m->pin[i].generation < m->freed[b])
			return false;
	return true;
}

static void model_alloc(struct fixture *f, struct model *m)
{
	u64 b, i;
	int r = pdata_sm_alloc(&f->sm, &b, true);

	if (r) {
		assert_err(r, PDATA_E_META_NOSPC);
		for (i = 0; i < pdata_group_begin(pdata_nr_groups(m->nr_blocks)) &&
		     i < m->nr_blocks; i++)
			if (!m->count[i] && !pdata_is_reserved(i, f->sm.journal_blocks))
				assert_false(model_may_reuse(f, m, i));
		return;
	}
	assert_true(b < m->nr_blocks);
	assert_false(pdata_is_reserved(b, f->sm.journal_blocks));
	assert_u64(m->count[b], 0);
	assert_true(model_may_reuse(f, m, b));
	m->count[b] = 1;
	m->freed[b] = 0;
}

static u64 model_pick(const struct model *m, u64 *rnd)
{
	u64 i, b = rnd_below(rnd, m->nr_blocks);

	for (i = 0; i < m->nr_blocks; i++, b++) {
		if (b >= m->nr_blocks)
			b = 0;
		if (m->count[b])
			return b;
	}
	return m->nr_blocks;
}

static void model_change(struct fixture *f, struct model *m, u64 *rnd)
{
	u64 b = model_pick(m, rnd);
	u32 count;

	if (b == m->nr_blocks)
		return;
	if (rnd_one_in(rnd, 4)) {
		assert_ok(pdata_sm_inc(&f->sm, b));
		m->count[b]++;
		return;
	}
	assert_ok(pdata_sm_dec(&f->sm, b, &count));
	assert_u64(count, m->count[b] - 1);
	m->count[b]--;
	if (!m->count[b] && m->committed[b])
		m->freed[b] = f->sm.generation;
}

static void model_check(struct fixture *f, struct model *m)
{
	u64 b, used = 0, quarantined = 0;
	u32 count;

	for (b = 0; b < m->nr_blocks; b++) {
		if (pdata_is_reserved(b, f->sm.journal_blocks))
			continue;
		used += m->count[b] > 0;
		quarantined += !m->count[b] && m->freed[b];
		if (b >= pdata_group_begin(pdata_nr_groups(m->nr_blocks)))
			continue;
		assert_ok(pdata_sm_get(&f->sm, b, &count));
		assert_u64(count, m->count[b]);
		assert_true(pdata_sm_is_new(&f->sm, b) == (m->count[b] && !m->committed[b]));
	}
	assert_u64(f->sm.used, used);
	assert_u64(pdata_sm_free(&f->sm, true), f->sm.total - used);
	/* The model never forgets what was released late. */
	assert_true(f->sm.quarantined <= quarantined);
}

static void model_pin(struct fixture *f, struct model *m, u64 *rnd)
{
	unsigned int i = rnd_below(rnd, MODEL_PINS);

	if (m->pinned[i])
		pdata_sm_unpin(&f->sm, &m->pin[i]);
	else
		pdata_sm_pin(&f->sm, &m->pin[i]);
	m->pinned[i] = !m->pinned[i];
}

static void model_reopen(struct fixture *f, struct model *m)
{
	unsigned int i;

	for (i = 0; i < MODEL_PINS; i++) {
		if (m->pinned[i])
			pdata_sm_unpin(&f->sm, &m->pin[i]);
		m->pinned[i] = false;
	}
	reopen(f);
	assert_ok(pdata_sm_scrub(&f->sm));
	m->nr_blocks = f->sm.nr_blocks;
	memcpy(m->count, m->committed, sizeof(m->count));
	memset(m->freed, 0, sizeof(m->freed));
}

static void model_grow(struct fixture *f, struct model *m, u64 *rnd)
{
	u64 nr = min_t(u64, MODEL_MAX, m->nr_blocks + rnd_below(rnd, 700));

	sim_resize(f->disk, nr);
	assert_ok(pdata_sm_grow(&f->sm, nr));
	assert_u64(f->bm.nr_blocks, nr);
	m->nr_blocks = nr;
}

static void model_step(struct fixture *f, struct model *m, u64 *rnd)
{
	u64 what = rnd_below(rnd, 1000);

	if (what < 2) {
		model_reopen(f, m);
	} else if (what < 4) {
		model_grow(f, m, rnd);
	} else if (what < 30) {
		commit(f);
		memcpy(m->committed, m->count, sizeof(m->count));
		if (rnd_one_in(rnd, 8))
			model_check(f, m);
		m->cap = rnd_one_in(rnd, 3) ? m->nr_blocks : rnd_below(rnd, m->nr_blocks);
	} else if (what < 50) {
		model_pin(f, m, rnd);
	} else if (f->sm.used < m->cap) {
		model_alloc(f, m);
		if (rnd_one_in(rnd, 4))
			model_change(f, m, rnd);
	} else {
		model_change(f, m, rnd);
		if (rnd_one_in(rnd, 3))
			model_alloc(f, m);
	}
}

static void test_model(void **state)
{
	u64 rnd = test_seed(), rounds = test_rounds(60000), i;
	struct model *m = calloc(1, sizeof(*m));
	struct fixture f;

	assert_non_null(m);
	m->nr_blocks = 512;
	m->cap = 512;
	fixture_init(&f, 512, 0);
	for (i = 0; i < rounds; i++)
		model_step(&f, m, &rnd);
	model_check(&f, m);
	assert_true(m->nr_blocks > 2 * PER);
	fixture_exit(&f);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_smallest),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_pin_leaves),
		cmocka_unit_test(test_lazy),
		cmocka_unit_test(test_grow),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, test_quiet, NULL);
}
