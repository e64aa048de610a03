// SPDX-License-Identifier: GPL-2.0-only
/* Transactions: shadows, views, and crashes at every write of a commit. */
#include "testlib.h"

#include "pdata-fault.h"
#include "pdata-layout.h"
#include "pdata-transaction.h"

#define NR_BLOCKS	1200

static const u8 uuid[PDATA_UUID_SIZE] = "all or nothing..";

struct fixture {
	struct sim_clock clock;
	struct sim_disk *disk;
	struct pdata_bm bm;
	struct pdata_super sb;
	struct pdata_tm tm;
};

static void fixture_open(struct fixture *f)
{
	assert_int_equal(pdata_super_read(&f->disk->io, &f->sb), PDATA_SB_VALID);
	pdata_bm_init(&f->bm, &f->disk->io, f->sb.uuid, f->disk->io.nr_blocks, "test");
	assert_ok(pdata_tm_init(&f->tm, &f->bm, &f->sb));
}

static void fixture_init(struct fixture *f, u64 seed)
{
	memset(f, 0, sizeof(*f));
	sim_clock_init(&f->clock, seed);
	f->disk = sim_disk_create(NR_BLOCKS, &f->clock);
	pdata_super_init(&f->sb, uuid, NR_BLOCKS);
	assert_ok(pdata_super_format(&f->disk->io, &f->sb));
	fixture_open(f);
	f->sb.flags &= ~PDATA_SB_CLEAN;
	assert_ok(pdata_tm_commit(&f->tm, &f->sb));
}

static void fixture_exit(struct fixture *f)
{
	pdata_tm_exit(&f->tm);
	sim_disk_destroy(f->disk);
}

/* ---- a structure of our own: one btree node per block, level 0, 8-byte values ---- */

#define NODE_MAX	(4016 / 16)

static __le64 *node_key(void *data)
{
	return (__le64 *)((struct pdata_btree_disk *)data)->data;
}

/* A node that holds one number, which its checker likes. */
static void node_fill(void *data, unsigned int level, u64 value)
{
	struct pdata_btree_disk *d = data;

	d->level = cpu_to_le16(level);
	d->nr = cpu_to_le16(1);
	d->value_size = cpu_to_le32(8);
	node_key(data)[NODE_MAX] = cpu_to_le64(value);
}

static u64 node_value(const void *data)
{
	const struct pdata_btree_disk *d = data;
	__le64 v;

	memcpy(&v, d->data + 8 * NODE_MAX, 8);
	return le64_to_cpu(v);
}

static u64 new_node(struct fixture *f, u64 value)
{
	struct pdata_rw b;

	assert_ok(pdata_tm_new(&f->tm, PDATA_TYPE_BTREE, PDATA_OWNER_DETAILS, &b));
	node_fill(b.data, 0, value);
	return b.ptr;
}

static int view_value(struct fixture *f, const struct pdata_pin *pin, u64 ptr, u64 *value)
{
	struct pdata_view v = { .tm = &f->tm, .pin = pin };
	struct pdata_ro b;
	int r = pdata_view_read(&v, ptr, PDATA_TYPE_BTREE, &b);

	if (r)
		return r;
	assert_u64(b.block, pdata_ptr_block(ptr));
	assert_u64(pdata_ptr_to(pdata_ro_header(&b)), ptr);
	*value = node_value(b.data);
	pdata_view_release(&v, &b);
	return 0;
}

static void check_value(struct fixture *f, const struct pdata_pin *pin, u64 ptr, u64 want)
{
	u64 value;

	assert_ok(view_value(f, pin, ptr, &value));
	assert_u64(value, want);
}

static u32 count_of(struct fixture *f, u64 ptr)
{
	u32 count;

	assert_ok(pdata_sm_get(&f->tm.sm, pdata_ptr_block(ptr), &count));
	return count;
}

static int shadow(struct fixture *f, u64 ptr, struct pdata_rw *b, bool *shared)
{
	return pdata_tm_shadow(&f->tm, ptr, PDATA_TYPE_BTREE, PDATA_FIRST_UID, b, shared);
}

/* ---- tests ---- */

static void test_new(void **state)
{
	struct fixture f;
	struct pdata_rw b;
	const struct pdata_header *h;
	u64 a;

	fixture_init(&f, 1);
	assert_u64(f.tm.generation, 2);
	assert_ok(pdata_tm_new(&f.tm, PDATA_TYPE_BTREE, 77, &b));
	h = b.data;
	assert_u64(le32_to_cpu(h->magic), PDATA_TYPE_BTREE);
	assert_u64(le64_to_cpu(h->owner), 77);
	assert_u64(le64_to_cpu(h->blocknr), pdata_ptr_block(b.ptr));
	assert_null(memchr_inv((u8 *)b.data + sizeof(*h), 0, PDATA_BLOCK_SIZE - sizeof(*h)));
	assert_u64(count_of(&f, b.ptr), 1);
	node_fill(b.data, 0, 5);
	check_value(&f, NULL, b.ptr, 5);
	a = b.ptr;
	assert_ok(pdata_tm_commit(&f.tm, &f.sb));
	assert_u64(f.tm.nr_dirty, 0);
	assert_u64(f.tm.generation, 3);
	check_value(&f, NULL, a, 5);
	fixture_exit(&f);
}

static void test_shadow(void **state)
{
	struct fixture f;
	struct pdata_rw b, c;
	struct pdata_pin pin;
	bool shared;
	u64 a;
	u32 count;

	fixture_init(&f, 2);
	a = new_node(&f, 1);
	/* Own and unshared: itself, but with a new owner. */
	assert_ok(shadow(&f, a, &b, &shared));
	assert_u64(b.ptr, a);
	assert_false(shared);
	assert_u64(le64_to_cpu(((struct pdata_header *)b.data)->owner), PDATA_FIRST_UID);
	assert_ok(pdata_tm_commit(&f.tm, &f.sb));

	/* Committed: a copy; the original is free but kept. */
	pdata_sm_pin(&f.tm.sm, &pin);
	assert_ok(shadow(&f, a, &b, &shared));
	assert_int_not_equal(b.ptr, a);
	assert_false(shared);
	assert_u64(count_of(&f, a), 0);
	assert_u64(count_of(&f, b.ptr), 1);
	assert_u64(f.tm.sm.quarantined, 1);
	assert_u64(node_value(b.data), 1);
	node_fill(b.data, 0, 2);
	check_value(&f, NULL, b.ptr, 2);
	check_value(&f, &pin, a, 1);
	/* Twice is free of charge. */
	assert_ok(shadow(&f, b.ptr, &c, &shared));
	assert_u64(c.ptr, b.ptr);
	assert_ptr_equal(c.data, b.data);
	/* A free block cannot be shadowed. */
	assert_err(shadow(&f, a, &c, &shared), PDATA_E_COUNT);

	/* Shared, and of this transaction: a copy for the new owner, the other stays. */
	assert_ok(pdata_tm_inc(&f.tm, b.ptr));
	assert_ok(shadow(&f, b.ptr, &c, &shared));
	assert_int_not_equal(c.ptr, b.ptr);
	assert_true(shared);
	assert_u64(count_of(&f, b.ptr), 1);
	node_fill(c.data, 0, 3);
	check_value(&f, NULL, b.ptr, 2);
	check_value(&f, NULL, c.ptr, 3);

	/* Dropping one of the transaction's own takes its memory away. */
	assert_u64(f.tm.nr_dirty, 2);
	assert_ok(pdata_tm_dec(&f.tm, b.ptr, &count));
	assert_u64(count, 0);
	assert_u64(f.tm.nr_dirty, 1);
	assert_ok(pdata_tm_commit(&f.tm, &f.sb));
	check_value(&f, NULL, c.ptr, 3);
	check_value(&f, &pin, a, 1);
	pdata_sm_unpin(&f.tm.sm, &pin);
	fixture_exit(&f);
}

/* Shared, and committed. */
static void test_shadow_shared(void **state)
{
	struct fixture f;
	struct pdata_rw b;
	bool shared;
	u64 a;
	u32 count;

	fixture_init(&f, 3);
	a = new_node(&f, 1);
	assert_ok(pdata_tm_inc(&f.tm, a));
	assert_ok(pdata_tm_commit(&f.tm, &f.sb));
	assert_ok(shadow(&f, a, &b, &shared));
	assert_true(shared);
	assert_u64(count_of(&f, a), 1);
	node_fill(b.data, 0, 2);
	assert_ok(pdata_tm_commit(&f.tm, &f.sb));
	check_value(&f, NULL, a, 1);
	check_value(&f, NULL, b.ptr, 2);
	assert_ok(pdata_tm_dec(&f.tm, a, &count));
	assert_u64(count, 0);
	fixture_exit(&f);
}

/* Failing for lack of anything leaves everything as it was. */
static void test_failures(void **state)
{
	struct fixture f;
	struct pdata_rw b;
	bool shared;
	u64 a, used;
	long n;
	int r;

	fixture_init(&f, 4);
	a = new_node(&f, 1);
	assert_ok(pdata_tm_commit(&f.tm, &f.sb));
	used = f.tm.sm.used;
	pdata_fault_arm(PDATA_FAULT_MEMORY, 0);
	assert_err(pdata_tm_new(&f.tm, PDATA_TYPE_BTREE, 77, &b), ENOMEM);
	pdata_fault_arm(PDATA_FAULT_META_ALLOC, 0);
	assert_err(shadow(&f, a, &b, &shared), PDATA_E_META_NOSPC);
	f.tm.sm.reserve = NR_BLOCKS;
	assert_err(shadow(&f, a, &b, &shared), PDATA_E_META_NOSPC);
	f.tm.use_reserve = true;
	for (n = 0; ; n++) {
		assert_u64(f.tm.sm.used, used);
		assert_u64(count_of(&f, a), 1);
		assert_u64(f.tm.nr_dirty, 0);
		pdata_shim_fail_alloc_after(n);
		r = shadow(&f, a, &b, &shared);
		pdata_shim_fail_alloc_after(-1);
		if (!r)
			break;
		assert_err(r, ENOMEM);
	}
	assert_true(n >= 3);
	assert_false(f.tm.failed);
	/* Unreadable: refused, and known to be. */
	assert_ok(pdata_tm_commit(&f.tm, &f.sb));
	a = b.ptr;
	fixture_exit(&f);
	fixture_init(&f, 4);
	a = new_node(&f, 1);
	assert_ok(pdata_tm_commit(&f.tm, &f.sb));
	sim_flip_bit(f.disk, pdata_ptr_block(a), 12345);
	assert_err(shadow(&f, a, &b, &shared), PDATA_E_CSUM);
	assert_u64(count_of(&f, a), 1);
	assert_err(view_value(&f, NULL, NR_BLOCKS, &used), PDATA_E_OUT_OF_RANGE);
	fixture_exit(&f);
}

/* A block that its checker refuses: nothing is written at all. */
static void test_seal_refuses(void **state)
{
	struct fixture f;
	u64 writes;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		u64 a;

		fixture_init(&f, 5);
		a = new_node(&f, 1);
		new_node(&f, 2);
		if (i) {
			pdata_fault_arm(PDATA_FAULT_SEAL_CORRUPT, 1);
		} else {
			struct pdata_rw b;
			bool shared;

			assert_ok(shadow(&f, a, &b, &shared));
			node_fill(b.data, 3, NR_BLOCKS + 5);	/* child beyond the end */
		}
		writes = f.disk->stats.writes;
		assert_err(pdata_tm_commit(&f.tm, &f.sb), i ? PDATA_E_CSUM : PDATA_E_CONTENT);
		assert_u64(f.disk->stats.writes, writes);
		assert_true(f.tm.failed);
		assert_err(pdata_tm_commit(&f.tm, &f.sb), PDATA_E_FAILED);
		assert_err(pdata_tm_inc(&f.tm, a), PDATA_E_FAILED);
		pdata_tm_exit(&f.tm);
		fixture_open(&f);
		assert_u64(f.sb.generation, 1);
		fixture_exit(&f);
	}
}

/* Faults in the write phase: failed for good, one whole version on disk. */
static void test_write_faults(void **state)
{
	static const struct {
		enum pdata_fault_point point;
		unsigned int after;
		u64 generation;
	} cases[] = {
		{ PDATA_FAULT_COMMIT_WRITE, 0, 1 },
		{ PDATA_FAULT_COMMIT_SUPER, 0, 1 },
		{ PDATA_FAULT_COMMIT_SUPER, 1, 2 },	/* only the backup is missing */
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fixture f;
		struct pdata_rw b;

		fixture_init(&f, 6);
		new_node(&f, 1);
		pdata_fault_arm(cases[i].point, cases[i].after);
		assert_err(pdata_tm_commit(&f.tm, &f.sb), PDATA_E_FAULT);
		assert_true(f.tm.failed);
		assert_err(pdata_tm_new(&f.tm, PDATA_TYPE_BTREE, 77, &b), PDATA_E_FAILED);
		pdata_tm_exit(&f.tm);
		fixture_open(&f);
		assert_u64(f.sb.generation, cases[i].generation);
		fixture_exit(&f);
	}
}

/* A commit needs no memory but for the superblock's two pages. */
static void test_big_commit(void **state)
{
	struct fixture f;
	u64 first = 0, b = 0, i, writes;

	fixture_init(&f, 7);
	for (i = 0; i < 600; i++) {
		b = new_node(&f, i);
		if (!i)
			first = b;
	}
	writes = f.disk->stats.writes;
	assert_ok(pdata_tm_commit(&f.tm, &f.sb));
	/* 600 blocks in three, both slots of a new group in one, two superblocks */
	assert_u64(f.disk->stats.writes - writes, 3 + 1 + 2);
	assert_u64(f.sb.meta_used, 600);
	check_value(&f, NULL, first, 0);
	check_value(&f, NULL, b, 599);
	fixture_exit(&f);
}

/* A block handed to the wrong reader: type, generation. */
static void test_expectations(void **state)
{
	struct fixture f;
	struct pdata_pin pin;
	struct pdata_view v = { .tm = &f.tm };
	struct pdata_ro ro;
	u64 a, value;

	fixture_init(&f, 8);
	pdata_sm_pin(&f.tm.sm, &pin);
	a = new_node(&f, 1);
	assert_err(pdata_view_read(&v, a, PDATA_TYPE_RANGE_NODE, &ro), PDATA_E_MAGIC);
	assert_ok(pdata_tm_commit(&f.tm, &f.sb));
	assert_err(pdata_view_read(&v, a, PDATA_TYPE_RANGE_NODE, &ro), PDATA_E_MAGIC);
	/* Twice: checked from the disk, then from the cache. */
	assert_err(view_value(&f, &pin, a, &value), PDATA_E_GENERATION);
	assert_ok(view_value(&f, NULL, a, &value));
	assert_err(view_value(&f, &pin, a, &value), PDATA_E_GENERATION);
	assert_err(pdata_view_read(&v, a, PDATA_TYPE_RANGE_NODE, &ro), PDATA_E_MAGIC);
	pdata_sm_unpin(&f.tm.sm, &pin);
	fixture_exit(&f);
}

/* Content that a block once had, good in itself, in place of what was written last. */
static void test_stale(void **state)
{
	struct fixture f;
	struct pdata_rw b;
	void *old = test_block();
	u64 a, again, value;
	bool shared;
	u32 count;

	fixture_init(&f, 10);
	a = new_node(&f, 1);
	assert_ok(pdata_tm_commit(&f.tm, &f.sb));
	memcpy(old, sim_peek(f.disk, pdata_ptr_block(a)), PDATA_BLOCK_SIZE);
	assert_ok(pdata_tm_dec(&f.tm, a, &count));
	assert_ok(pdata_tm_commit(&f.tm, &f.sb));
	for (;;) {
		again = new_node(&f, 2);
		if (pdata_ptr_block(again) == pdata_ptr_block(a))
			break;
	}
	assert_ok(pdata_tm_commit(&f.tm, &f.sb));
	check_value(&f, NULL, again, 2);
	sim_poke(f.disk, pdata_ptr_block(again), old);
	assert_err(view_value(&f, NULL, again, &value), PDATA_E_STALE);
	assert_err(view_value(&f, NULL, again, &value), PDATA_E_STALE);
	assert_err(shadow(&f, again, &b, &shared), PDATA_E_STALE);
	check_value(&f, NULL, a, 1);
	pdata_block_free(old);
	fixture_exit(&f);
}

/* After a crash the next transaction writes the same block in the same generation. */
static void test_stale_after_crash(void **state)
{
	struct fixture f;
	void *old = test_block();
	const struct pdata_header *h = old;
	u64 a, again, value;
	u16 salt;

	fixture_init(&f, 11);
	assert_ok(pdata_tm_commit(&f.tm, &f.sb));
	a = new_node(&f, 1);
	sim_clock_crash_at(&f.clock, 3);	/* slots, blocks, flush */
	assert_err(pdata_tm_commit(&f.tm, &f.sb), EIO);
	sim_clock_power_on(&f.clock, SIM_ALL);
	memcpy(old, sim_peek(f.disk, pdata_ptr_block(a)), PDATA_BLOCK_SIZE);
	assert_u64(pdata_ptr_to(h), a);
	salt = f.tm.salt;
	pdata_tm_exit(&f.tm);
	fixture_open(&f);
	if (f.tm.salt == salt)	/* once in 65536 */
		f.tm.salt++;
	again = new_node(&f, 2);
	assert_u64(pdata_ptr_block(again), pdata_ptr_block(a));
	assert_ok(pdata_tm_commit(&f.tm, &f.sb));
	assert_u64(le64_to_cpu(h->generation), f.sb.generation);
	sim_poke(f.disk, pdata_ptr_block(again), old);
	assert_err(view_value(&f, NULL, again, &value), PDATA_E_STALE);
	pdata_block_free(old);
	fixture_exit(&f);
}

/* The mark goes before the first write, and comes off with the last. */
static void test_clean_mark(void **state)
{
	struct fixture f;
	struct pdata_super sb;

	fixture_init(&f, 9);
	new_node(&f, 1);
	f.sb.flags |= PDATA_SB_CLEAN;
	assert_ok(pdata_tm_commit(&f.tm, &f.sb));
	pdata_tm_exit(&f.tm);
	fixture_open(&f);
	assert_true(f.sb.flags & PDATA_SB_CLEAN);
	new_node(&f, 2);
	/* backup and superblock again, then the slot of the space map */
	sim_clock_crash_at(&f.clock, 3);
	assert_err(pdata_tm_commit(&f.tm, &f.sb), EIO);
	sim_clock_power_on(&f.clock, SIM_ALL);
	assert_int_equal(pdata_super_read(&f.disk->io, &sb), PDATA_SB_VALID);
	assert_u64(sb.generation, 2);
	assert_false(sb.flags & PDATA_SB_CLEAN);
	sim_flip_bit(f.disk, PDATA_SB_A, 9999);
	assert_int_equal(pdata_super_read(&f.disk->io, &sb), PDATA_SB_VALID);
	assert_u64(sb.generation, 2);
	assert_false(sb.flags & PDATA_SB_CLEAN);
	fixture_exit(&f);
}

/* ---- crashes ---- */

#define CHAIN	12	/* nodes in the structure under test */

/*
 * The structure: details_root is a node of level 1 whose children, all of the
 * same number, are level 0 nodes with the same value: the version.
 */
static void chain_read(struct fixture *f, u64 *version)
{
	struct pdata_view v = { .tm = &f->tm };
	struct pdata_btree_disk *d;
	struct pdata_ro root;
	unsigned int i;

	*version = 0;
	if (!f->sb.details_root)
		return;
	assert_ok(pdata_view_read(&v, f->sb.details_root, PDATA_TYPE_BTREE, &root));
	d = (void *)root.data;
	assert_int_equal(le16_to_cpu(d->nr), CHAIN);
	*version = le64_to_cpu(node_key(d)[0]);
	for (i = 0; i < CHAIN; i++) {
		u64 ptr = le64_to_cpu(node_key(d)[NODE_MAX + i]);

		check_value(f, NULL, ptr, *version + (i % 3 ? 0 : ptr));
		assert_u64(count_of(f, ptr), 1);
	}
	assert_u64(count_of(f, f->sb.details_root), 1);
	assert_u64(f->tm.sm.used, CHAIN + 1);
	pdata_view_release(&v, &root);
}

/* Rewrite all of it as @version; some nodes by shadow, some by new and free. */
static void chain_write(struct fixture *f, u64 version, u64 *rnd)
{
	struct pdata_rw root, b;
	struct pdata_btree_disk *d;
	bool fresh = !f->sb.details_root, shared;
	unsigned int i;
	u32 count;

	if (fresh)
		assert_ok(pdata_tm_new(&f->tm, PDATA_TYPE_BTREE, PDATA_OWNER_DETAILS, &root));
	else
		assert_ok(shadow(f, f->sb.details_root, &root, &shared));
	d = root.data;
	d->level = cpu_to_le16(1);
	d->nr = cpu_to_le16(CHAIN);
	d->value_size = cpu_to_le32(8);
	for (i = 0; i < CHAIN; i++) {
		__le64 *child = &node_key(d)[NODE_MAX + i];

		if (fresh || rnd_one_in(rnd, 2)) {
			if (!fresh)
				assert_ok(pdata_tm_dec(&f->tm, le64_to_cpu(*child), &count));
			assert_ok(pdata_tm_new(&f->tm, PDATA_TYPE_BTREE, 77, &b));
		} else {
			assert_ok(shadow(f, le64_to_cpu(*child), &b, &shared));
		}
		node_fill(b.data, 0, version + (i % 3 ? 0 : b.ptr));
		*child = cpu_to_le64(b.ptr);
		node_key(d)[i] = cpu_to_le64(version + i);
	}
	f->sb.details_root = root.ptr;
}

/* One pool, commits that crash at operation @at with @fate; then it goes on. */
static u64 crash_run(u64 seed, unsigned int commits, unsigned int at, enum sim_fate fate,
		     bool *crashed)
{
	u64 rnd = seed, version, i;
	struct fixture f;
	int r;

	fixture_init(&f, seed);
	for (i = 1; i <= commits; i++) {
		chain_write(&f, i * 100, &rnd);
		assert_ok(pdata_tm_commit(&f.tm, &f.sb));
	}
	chain_write(&f, i * 100, &rnd);
	sim_clock_crash_at(&f.clock, at);
	r = pdata_tm_commit(&f.tm, &f.sb);
	*crashed = r;
	pdata_tm_exit(&f.tm);
	sim_clock_power_on(&f.clock, fate);

	fixture_open(&f);
	assert_ok(pdata_sm_scrub(&f.tm.sm));
	chain_read(&f, &version);
	if (version != i * 100 && (version != commits * 100 || !r))
		fail_msg("crash at %u, fate %d: version %llu", at, fate, version);
	i = version;
	/* All goes on from there; another crash at the first commit changes nothing. */
	chain_write(&f, 50000, &rnd);
	sim_clock_crash_at(&f.clock, 1 + rnd_below(&rnd, 4));
	r = pdata_tm_commit(&f.tm, &f.sb);
	pdata_tm_exit(&f.tm);
	sim_clock_power_on(&f.clock, SIM_RANDOM);
	fixture_open(&f);
	assert_ok(pdata_sm_scrub(&f.tm.sm));
	chain_read(&f, &version);
	assert_true(version == i || version == 50000);
	for (i = 1; i < 4; i++) {
		chain_write(&f, 60000 + i * 100, &rnd);
		assert_ok(pdata_tm_commit(&f.tm, &f.sb));
		pdata_tm_exit(&f.tm);
		fixture_open(&f);
		chain_read(&f, &version);
		assert_u64(version, 60000 + i * 100);
	}
	version = f.tm.sm.lost;
	fixture_exit(&f);
	return version;
}

static void test_crash(void **state)
{
	u64 seed = test_seed(), rounds = test_rounds(2), k;
	unsigned int at, commits, fate;
	bool crashed = true;

	for (commits = 0; commits < 4; commits++) {
		for (at = 1, crashed = true; crashed; at++)
			for (fate = SIM_NONE; fate < SIM_FATES; fate++)
				for (k = 0; k < rounds; k++)
					/* No space gets lost either. */
					assert_u64(crash_run(seed + at * 131 + fate * 7 + k,
							     commits, at, fate, &crashed), 0);
		/* slots, blocks, flush, two superblocks */
		assert_int_equal(at - 2, 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new),
		cmocka_unit_test(test_shadow),
		cmocka_unit_test(test_shadow_shared),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_seal_refuses),
		cmocka_unit_test(test_write_faults),
		cmocka_unit_test(test_big_commit),
		cmocka_unit_test(test_expectations),
		cmocka_unit_test_setup(test_stale, test_quiet),
		cmocka_unit_test_setup(test_stale_after_crash, test_quiet),
		cmocka_unit_test(test_clean_mark),
		cmocka_unit_test(test_crash),
	};

	return cmocka_run_group_tests(tests, test_quiet, NULL);
}
