// SPDX-License-Identifier: GPL-2.0-only
/*
 * Range tree against a reference array, with nodes of at most four entries:
 * batches, snapshots, deletion in steps, crashes, damage and failures. After
 * each commit every tree is walked: leaves tile the key space, content is what
 * the model says, and each count, of metadata blocks and of data, is exactly
 * the number of references that were found.
 */
#include "testlib.h"
#include "pdata-fault.h"
#include "pdata-layout.h"
#include "pdata-range-tree.h"
#include "pdata-superblock.h"

#define KEYS		3000u		/* modelled */
#define KEY_END		PDATA_MAX_UNITS
#define DATA		20000u
#define TREES		6
#define CHANGES		24
#define NR_BLOCKS	6000u

#define UNMAP		0		/* a change's kind, besides those of ranges */

struct unit {
	u64 value;
	u32 tag;
	u8 kind;			/* 0 = hole */
};

struct tree {
	struct unit unit[KEYS];
	u64 uid;			/* 0 = slot not in use */
	u64 root;
	u64 cursor;
	s64 leaves;
	u64 leaf_sum;
	bool sum_lost;
	bool deleting;
};

/* What a commit makes durable, all of it. */
struct state {
	struct tree tree[TREES];
	s64 data[DATA];
	u64 next_uid;
	u32 time;
};

struct env {
	struct sim_disk *disk;
	struct pdata_bm bm;
	struct pdata_super sb;
	struct pdata_tm tm;
	struct pdata_limits limits;
	struct state now, durable;
	u64 rnd;

	/* of a check */
	u32 *refs;
	s64 *data_refs;
	const struct tree *tree;
	u64 at;
	u64 leaf_at;
	s64 leaves;
	u64 leaf_sum;
	const struct pdata_view *view;
	bool content;			/* compare with the model, else count references */
	u64 nr_err;

	int fail_apply;
	int fail_inc;
};

static struct env *env_of(struct pdata_rt *rt)
{
	return rt->context;
}

/* ---- the tree's callbacks: a plain mapping tree ---- */

static int count_data(struct pdata_rt *rt, const struct pdata_range *r, int delta)
{
	struct env *e = env_of(rt);
	u64 i;

	if (r->kind != PDATA_RANGE_MAPPED)
		return 0;
	for (i = 0; i < r->len; i++) {
		assert_true(r->value + i < DATA);
		e->now.data[r->value + i] += delta;
	}
	return 0;
}

static int op_inc(struct pdata_rt *rt, const struct pdata_range *r)
{
	return env_of(rt)->fail_inc ? -PDATA_E_FAULT : count_data(rt, r, 1);
}

static int op_dec(struct pdata_rt *rt, const struct pdata_range *r)
{
	return count_data(rt, r, -1);
}

/* Keep [begin, end) of an old range. */
static int keep(struct pdata_rt_out *out, const struct pdata_range *old, u64 begin, u64 end)
{
	struct pdata_range part;

	if (begin >= end)
		return 0;
	pdata_range_clip(old, begin, end, &part);
	return pdata_rt_emit(out, &part);
}

static void overwrite(struct pdata_rt *rt, const struct pdata_range *old, u64 begin, u64 end)
{
	struct pdata_range part;

	pdata_range_clip(old, begin, end, &part);
	count_data(rt, &part, -1);
}

static int op_apply(struct pdata_rt *rt, const struct pdata_range *old, unsigned int nr_old,
		    const struct pdata_range *change, unsigned int nr_change,
		    struct pdata_rt_out *out)
{
	unsigned int o = 0, c;
	u64 at = 0, begin, end, oend;
	int r = 0;

	assert_true(out->max >= nr_old + 2 * nr_change + 2);
	if (env_of(rt)->fail_apply)
		return -PDATA_E_FAULT;

	for (c = 0; c < nr_change && !r; c++) {
		begin = change[c].begin;
		end = pdata_range_end(&change[c]);
		assert_true(at <= begin && begin < end);
		for (; o < nr_old && !r; o++) {
			oend = pdata_range_end(&old[o]);
			if (old[o].begin >= end)
				break;
			if (max(at, old[o].begin) < begin)
				r = keep(out, &old[o], max(at, old[o].begin), min(oend, begin));
			if (oend > begin)
				overwrite(rt, &old[o], max(old[o].begin, begin), min(oend, end));
			if (oend > end)
				break;
		}
		if (!r && change[c].kind != UNMAP) {
			r = pdata_rt_emit(out, &change[c]);
			count_data(rt, &change[c], 1);
		}
		at = end;
	}
	for (; o < nr_old && !r; o++)
		r = keep(out, &old[o], max(at, old[o].begin), pdata_range_end(&old[o]));
	return r;
}

static int op_unreadable(struct pdata_rt *rt, u64 lo, u64 hi, int err, struct pdata_rt_out *out)
{
	struct pdata_range r = { .begin = lo, .len = min_t(u64, hi, KEYS) - lo,
				 .kind = PDATA_RANGE_DAMAGED };

	assert_true(err == -EIO || pdata_error_is_damage(err));
	env_of(rt)->nr_err++;
	return lo < KEYS ? pdata_rt_emit(out, &r) : 0;
}

static const struct pdata_rt_ops ops = {
	.codec = PDATA_CODEC_MAP_PACKED,
	.overwrites = true,
	.apply = op_apply,
	.inc = op_inc,
	.dec = op_dec,
	.unreadable = op_unreadable,
};

static const struct pdata_rt_ops ops_strict = {
	.codec = PDATA_CODEC_MAP_PLAIN,
	.overwrites = true,
	.apply = op_apply,
	.inc = op_inc,
	.dec = op_dec,
};

static struct pdata_rt rt_of(struct env *e, const struct tree *t)
{
	return (struct pdata_rt){
		.tm = &e->tm, .ops = &ops, .owner = t->uid, .key_end = KEY_END,
		.root = t->root, .seq = e->now.time, .leaves = t->leaves,
		.leaf_sum = t->leaf_sum, .sum_lost = t->sum_lost, .context = e,
	};
}

static void tree_is(struct tree *t, const struct pdata_rt *rt)
{
	t->root = rt->root;
	t->leaves = rt->leaves;
	t->leaf_sum = rt->leaf_sum;
	t->sum_lost = rt->sum_lost;
}

/* ---- environment ---- */

static void env_tm(struct env *e)
{
	assert_ok(pdata_tm_init(&e->tm, &e->bm, &e->sb));
	e->tm.limits = e->limits;
}

static struct env *env_new(u64 nr_blocks, unsigned int leaf_max, unsigned int fanout)
{
	struct env *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	e->rnd = test_seed();
	e->limits = (struct pdata_limits){ .leaf_max = leaf_max, .fanout = fanout };
	e->disk = sim_disk_create(nr_blocks, NULL);
	e->sb = (struct pdata_super){
		.uuid = "range tree test", .version = PDATA_FORMAT_VERSION,
		.meta_blocks = nr_blocks, .data_units = DATA,
		.journal_blocks = pdata_journal_default(nr_blocks), .next_uid = PDATA_FIRST_UID,
		.journal_nonce = 1, .journal_tail = 1, .journal_tail_rec = 1,
		.data_block_size = 128,
	};
	assert_ok(pdata_super_format(&e->disk->io, &e->sb));
	pdata_bm_init(&e->bm, &e->disk->io, e->sb.uuid, nr_blocks, "test");
	env_tm(e);
	e->now.next_uid = PDATA_FIRST_UID;
	e->durable = e->now;
	e->refs = calloc(nr_blocks, sizeof(*e->refs));
	e->data_refs = calloc(DATA, sizeof(*e->data_refs));
	return e;
}

static void env_free(struct env *e)
{
	pdata_fault_disarm_all();
	pdata_tm_exit(&e->tm);
	sim_disk_destroy(e->disk);
	free(e->refs);
	free(e->data_refs);
	free(e);
}

static void env_commit(struct env *e)
{
	assert_ok(pdata_tm_commit(&e->tm, &e->sb));
	e->durable = e->now;
}

/* Power fails; what was not committed is gone, the model's part too. */
static void env_reopen(struct env *e, enum sim_fate fate)
{
	struct pdata_super sb;

	pdata_tm_exit(&e->tm);
	sim_crash(e->disk);
	sim_clock_power_on(e->disk->clock, fate);
	assert_int_equal(pdata_super_read(&e->disk->io, &sb), PDATA_SB_VALID);
	assert_u64(sb.generation, e->sb.generation);
	e->sb = sb;
	env_tm(e);
	assert_ok(pdata_sm_scrub(&e->tm.sm));
	e->now = e->durable;
}

/* ---- checks ---- */

static u64 mark_of(struct env *e, u64 ptr)
{
	const u64 block = pdata_ptr_block(ptr);
	const struct pdata_header *h;
	struct pdata_ro b;
	u64 mark;

	assert_ok(pdata_view_read(e->view, ptr, PDATA_TYPE_RANGE_LEAF, &b));
	h = b.data;
	assert_u64(le64_to_cpu(h->blocknr), block);
	mark = pdata_leaf_mark(block, le64_to_cpu(h->generation));
	pdata_view_release(e->view, &b);
	return mark;
}

static int check_node(void *context, u64 ptr, unsigned int level, u64 lo, u64 hi, int err)
{
	const u64 block = pdata_ptr_block(ptr);
	struct env *e = context;

	assert_ok(err);
	if (!e->content) {
		assert_true(block < e->sb.meta_blocks);
		return e->refs[block]++ ? 1 : 0;
	}
	if (!level) {
		e->leaves++;
		e->leaf_sum += mark_of(e, ptr);
		if (!e->tree->cursor)
			assert_u64(lo, e->leaf_at);
		assert_true(lo < hi);
		e->leaf_at = hi;
	}
	return 0;
}

static int check_range(void *context, const struct pdata_range *r)
{
	struct env *e = context;
	const struct unit *u;
	u64 i;

	assert_true(r->len && pdata_range_end(r) <= KEYS);
	if (!e->content) {
		for (i = 0; r->kind == PDATA_RANGE_MAPPED && i < r->len; i++)
			e->data_refs[r->value + i]++;
		return 0;
	}
	assert_true(r->begin >= e->at);
	for (i = e->at; i < r->begin; i++)
		assert_int_equal(e->tree->unit[i].kind, UNMAP);
	for (i = 0; i < r->len; i++) {
		u = &e->tree->unit[r->begin + i];
		assert_int_equal(u->kind, r->kind);
		if (r->kind == PDATA_RANGE_MAPPED)
			assert_u64(u->value, r->value + i);
		assert_true(r->tag <= u->tag);
	}
	e->at = pdata_range_end(r);
	return 0;
}

static void check_content(struct env *e, const struct tree *t, const struct pdata_view *v)
{
	struct pdata_rt rt = rt_of(e, t);

	e->content = true;
	e->tree = t;
	e->at = 0;
	e->leaf_at = 0;
	e->leaves = 0;
	e->leaf_sum = 0;
	e->view = v;
	assert_ok(pdata_rt_walk(&rt, v, t->root, 0, KEY_END, check_node, check_range, e));
	for (; e->at < KEYS; e->at++)
		assert_int_equal(t->unit[e->at].kind, UNMAP);
	if (t->root)
		assert_u64(e->leaf_at, KEY_END);
	assert_int_equal(e->leaves, t->leaves);
	if (!t->sum_lost)
		assert_u64(e->leaf_sum, t->leaf_sum);
}

/* A window tiles a part of the leaf around @key and says of it what lookups say. */
static void check_window(struct env *e, const struct tree *t, const struct pdata_view *v, u64 key)
{
	struct pdata_range out[7], r;
	unsigned int max = 1 + key % ARRAY_SIZE(out), nr = 0, i;
	struct pdata_rt rt = rt_of(e, t);
	bool found = false;
	int err;

	assert_ok(pdata_rt_window(&rt, v, t->root, key, out, max, &nr));
	assert_true(nr >= 1 && nr <= max);
	for (i = 0; i < nr; i++) {
		assert_true(!i || out[i].begin == pdata_range_end(&out[i - 1]));
		found |= out[i].begin <= key && key < pdata_range_end(&out[i]);
		err = pdata_rt_lookup(&rt, v, t->root, out[i].begin, &r, NULL);
		assert_int_equal(err, out[i].kind == UNMAP ? -PDATA_E_NOT_FOUND : 0);
		assert_u64(r.begin, out[i].begin);
		assert_u64(r.len, out[i].len);
		assert_int_equal(r.kind, out[i].kind);
		assert_u64(r.value, out[i].value);
		assert_int_equal(r.tag, out[i].tag);
	}
	assert_true(found);
}

static void check_lookup(struct env *e, const struct tree *t, const struct pdata_view *v, u64 key)
{
	struct pdata_rt rt = rt_of(e, t);
	const struct unit *u = &t->unit[key];
	struct pdata_rt_path path;
	struct pdata_range r;
	int err = pdata_rt_lookup(&rt, v, t->root, key, &r, &path);

	assert_true(r.begin <= key && key < pdata_range_end(&r));
	check_window(e, t, v, key);
	if (t->root) {
		assert_true(path.nr > 0);
		assert_u64(path.block[0], pdata_ptr_block(t->root));
	}
	if (u->kind == UNMAP) {
		assert_err(err, PDATA_E_NOT_FOUND);
		assert_int_equal(t->unit[r.begin].kind, UNMAP);
		assert_int_equal(t->unit[min_t(u64, KEYS, pdata_range_end(&r)) - 1].kind, UNMAP);
		return;
	}
	assert_ok(err);
	assert_int_equal(r.kind, u->kind);
	if (r.kind == PDATA_RANGE_MAPPED)
		assert_u64(r.value + key - r.begin, u->value);
}

/* Every count is the number of references there are. */
static void check_counts(struct env *e)
{
	struct pdata_view v = { .tm = &e->tm };
	unsigned int i;
	u32 count;
	u64 b;

	memset(e->refs, 0, e->sb.meta_blocks * sizeof(*e->refs));
	memset(e->data_refs, 0, DATA * sizeof(*e->data_refs));
	e->content = false;
	for (i = 0; i < TREES; i++) {
		struct tree *t = &e->now.tree[i];
		struct pdata_rt rt = rt_of(e, t);

		e->tree = t;
		if (t->uid)
			assert_ok(pdata_rt_walk(&rt, &v, t->root, t->cursor, KEY_END,
						check_node, check_range, e));
	}
	for (b = 0; b < e->sb.meta_blocks; b++) {
		if (pdata_is_reserved(b, e->sb.journal_blocks) ||
		    pdata_group_of(b) >= pdata_nr_groups(e->sb.meta_blocks))
			continue;
		assert_ok(pdata_sm_get(&e->tm.sm, b, &count));
		if (count != e->refs[b])
			fail_msg("block %llu: count %u, %u references", b, count, e->refs[b]);
	}
	for (b = 0; b < DATA; b++)
		if (e->now.data[b] != e->data_refs[b])
			fail_msg("unit %llu: count %lld, %lld references", b,
				 (long long)e->now.data[b], (long long)e->data_refs[b]);
}

static void check_all(struct env *e)
{
	struct pdata_view v = { .tm = &e->tm };
	unsigned int i, k;

	for (i = 0; i < TREES; i++) {
		const struct tree *t = &e->now.tree[i];

		if (!t->uid || t->deleting)
			continue;
		check_content(e, t, &v);
		for (k = 0; k < 50; k++)
			check_lookup(e, t, &v, rnd_below(&e->rnd, KEYS));
	}
	check_counts(e);
}

/* ---- actions ---- */

static unsigned int make_changes(struct env *e, struct pdata_range *c, unsigned int max,
				 unsigned int gap, unsigned int len_max, unsigned int unmap)
{
	u64 at = rnd_below(&e->rnd, KEYS);
	unsigned int n;

	for (n = 0; n < max && at < KEYS; n++) {
		u64 len = min_t(u64, 1 + rnd_below(&e->rnd, len_max), KEYS - at);
		unsigned int dice = rnd_below(&e->rnd, 100);

		c[n] = (struct pdata_range){ .begin = at, .len = len, .tag = e->now.time };
		if (dice < unmap) {
			c[n].kind = UNMAP;
		} else if (dice < unmap + 10) {
			c[n].kind = PDATA_RANGE_ZERO;
		} else {
			c[n].kind = PDATA_RANGE_MAPPED;
			c[n].value = rnd_below(&e->rnd, DATA - len + 1);
		}
		at += len + rnd_below(&e->rnd, gap);
	}
	return n;
}

static void model_change(struct tree *t, const struct pdata_range *c)
{
	u64 i;

	for (i = 0; i < c->len; i++)
		t->unit[c->begin + i] = (struct unit){
			.kind = c->kind,
			.value = c->kind == PDATA_RANGE_MAPPED ? c->value + i : 0,
			.tag = c->tag,
		};
}

static void apply_changes(struct env *e, struct tree *t, struct pdata_range *c, unsigned int nr)
{
	struct pdata_rt rt = rt_of(e, t);
	unsigned int done, i, max;
	u64 from = 0, before, after;

	for (i = 0; i < nr; i++)
		model_change(t, &c[i]);
	while (nr) {
		max = 1 + rnd_below(&e->rnd, CHANGES);
		before = pdata_sm_free(&e->tm.sm, false);
		assert_ok(pdata_rt_update(&rt, c, nr, max, &from, &done));
		after = pdata_sm_free(&e->tm.sm, false);
		assert_true(done <= min(nr, max));
		if (before > after)
			assert_true(before - after <= pdata_rt_update_blocks(&rt, max));
		c += done;
		nr -= done;
	}
	tree_is(t, &rt);
}

static struct tree *any_tree(struct env *e, bool used)
{
	unsigned int i, first = rnd_below(&e->rnd, TREES);

	for (i = 0; i < TREES; i++) {
		struct tree *t = &e->now.tree[(first + i) % TREES];

		if (used ? t->uid && !t->deleting : !t->uid)
			return t;
	}
	return NULL;
}

static void create(struct env *e)
{
	struct tree *t = any_tree(e, false);

	if (t) {
		memset(t, 0, sizeof(*t));
		t->uid = e->now.next_uid++;
	}
}

static void snapshot(struct env *e)
{
	struct tree *from = any_tree(e, true), *t = any_tree(e, false);

	if (!from || !t)
		return;
	*t = *from;
	t->uid = e->now.next_uid++;
	if (t->root)
		assert_ok(pdata_tm_inc(&e->tm, t->root));
}

static void update(struct env *e)
{
	struct pdata_range c[CHANGES];
	struct tree *t = any_tree(e, true);
	unsigned int n;

	if (!t)
		return;
	switch (rnd_below(&e->rnd, 4)) {
	case 0:
		n = make_changes(e, c, CHANGES, 200, 30, 20);
		break;
	case 1:		/* long ones, over many leaves */
		n = make_changes(e, c, 3, 300, 900, 60);
		break;
	case 2:		/* single units, dense */
		n = make_changes(e, c, CHANGES, 3, 1, 10);
		break;
	default:
		n = make_changes(e, c, CHANGES, 20, 5, 30);
	}
	apply_changes(e, t, c, n);
}

static void delete_start(struct env *e)
{
	struct tree *t = any_tree(e, true);

	if (t)
		t->deleting = true;
}

static bool delete_some(struct env *e, unsigned int steps)
{
	unsigned int i;
	bool any = false;
	int r = 0;

	for (i = 0; i < TREES; i++) {
		struct tree *t = &e->now.tree[i];
		struct pdata_rt rt = rt_of(e, t);
		u64 free;

		if (!t->uid || !t->deleting)
			continue;
		any = true;
		while (steps-- && !r) {
			u64 was = t->cursor;

			free = pdata_sm_free(&e->tm.sm, false);
			r = pdata_rt_del_step(&rt, &t->cursor);
			assert_true(r >= 0);
			assert_true(pdata_sm_free(&e->tm.sm, false) >= free);
			assert_true(r || t->cursor > was);
		}
		t->root = rt.root;
		if (r)
			memset(t, 0, sizeof(*t));
		break;
	}
	return any;
}

/* ---- random tests ---- */

static void random_run(u64 nr_blocks, unsigned int leaf_max, unsigned int fanout, u64 rounds)
{
	struct env *e = env_new(nr_blocks, leaf_max, fanout);
	unsigned int i, dice;

	while (rounds--) {
		for (i = rnd_below(&e->rnd, 12); i; i--) {
			dice = rnd_below(&e->rnd, 100);
			if (dice < 15)
				create(e);
			else if (dice < 30)
				snapshot(e);
			else if (dice < 36)
				delete_start(e);
			else if (dice < 50)
				delete_some(e, 1 + rnd_below(&e->rnd, 40));
			else
				update(e);
		}
		e->now.time++;
		if (rnd_one_in(&e->rnd, 4)) {
			check_all(e);		/* uncommitted */
			env_reopen(e, SIM_RANDOM);
			check_all(e);
			continue;
		}
		env_commit(e);
		check_all(e);
	}
	/* In the end nothing may be left. */
	for (i = 0; i < TREES; i++)
		e->now.tree[i].deleting = e->now.tree[i].uid;
	while (delete_some(e, 50)) {
		if (!rnd_one_in(&e->rnd, 3))
			continue;
		env_commit(e);
		check_counts(e);
		env_reopen(e, SIM_NONE);
	}
	env_commit(e);
	check_counts(e);
	assert_u64(e->tm.sm.used, 0);
	env_free(e);
}

static void test_random_tiny(void **state)
{
	random_run(NR_BLOCKS, 4, 4, test_rounds(300));
}

static void test_random_small(void **state)
{
	random_run(NR_BLOCKS, 11, 7, test_rounds(300));
}

static void test_random_full(void **state)
{
	random_run(NR_BLOCKS, 0, 0, test_rounds(200));
}

/* ---- single matters ---- */

static void fill(struct env *e, struct tree *t, unsigned int step)
{
	struct pdata_range c[CHANGES];
	unsigned int n;
	u64 at;

	for (at = 0; at < KEYS; ) {
		for (n = 0; n < CHANGES && at < KEYS; n++, at += step)
			c[n] = (struct pdata_range){ .begin = at, .len = 1, .kind = PDATA_RANGE_MAPPED,
						     .value = at * 2, .tag = 1 };
		apply_changes(e, t, c, n);
	}
}

static unsigned int height(struct env *e, const struct tree *t, u64 key)
{
	struct pdata_view v = { .tm = &e->tm };
	struct pdata_rt rt = rt_of(e, t);
	struct pdata_rt_path path;
	struct pdata_range r;
	int err = pdata_rt_lookup(&rt, &v, t->root, key, &r, &path);

	assert_true(!err || err == -PDATA_E_NOT_FOUND);
	return path.nr;
}

/* Leaves written in order are full; removal joins them and lowers the tree. */
static void test_append_and_join(void **state)
{
	struct env *e = env_new(NR_BLOCKS, 4, 4);
	struct tree *t = &e->now.tree[0];
	struct pdata_range c;
	unsigned int i;

	create(e);
	t = any_tree(e, true);
	fill(e, t, 2);
	assert_true(t->leaves >= KEYS / 2 / 4 && t->leaves <= KEYS / 2 / 4 + 8);
	assert_true(height(e, t, 0) >= 5);
	env_commit(e);
	check_all(e);

	for (i = 0; i < KEYS; i += 50) {
		c = (struct pdata_range){ .begin = i, .len = 49, .kind = UNMAP, .tag = 2 };
		apply_changes(e, t, &c, 1);
	}
	check_all(e);
	if (t->leaves > KEYS / 50 * 2)
		fail_msg("%lld leaves are left", (long long)t->leaves);
	env_commit(e);
	check_all(e);

	/* What a sweep leaves behind, each leaf having one chance to join, goes in the next. */
	for (i = 0; i < 3; i++) {
		s64 was = t->leaves;

		c = (struct pdata_range){ .begin = 0, .len = KEYS, .kind = UNMAP, .tag = 3 };
		apply_changes(e, t, &c, 1);
		check_all(e);
		assert_true(t->leaves < was || was == 1);
	}
	assert_int_equal(t->leaves, 1);
	assert_int_equal(height(e, t, 0), 1);
	env_commit(e);
	check_all(e);
	env_free(e);
}

/* A change longer than its leaf goes on in the next call, value and all. */
static void test_cut(void **state)
{
	struct env *e = env_new(NR_BLOCKS, 4, 4);
	struct pdata_range c = { .begin = 100, .len = 1000, .kind = PDATA_RANGE_MAPPED,
				 .value = 5000, .tag = 2 };
	const struct pdata_range was = c;
	struct tree *t;
	struct pdata_rt rt;
	unsigned int done, steps = 0;
	u64 from = 0;

	create(e);
	t = any_tree(e, true);
	fill(e, t, 2);
	model_change(t, &c);
	rt = rt_of(e, t);
	do {
		const u64 before = from;

		assert_ok(pdata_rt_update(&rt, &c, 1, 1, &from, &done));
		assert_memory_equal(&was, &c, sizeof(c));
		if (done)
			assert_u64(from, 0);
		else
			assert_true(from > max(before, c.begin) && from < pdata_range_end(&c));
		steps++;
	} while (!done);
	assert_true(steps > 50);
	tree_is(t, &rt);
	env_commit(e);
	check_all(e);

	assert_ok(pdata_rt_update(&rt, &c, 0, 1, &from, &done));
	assert_ok(pdata_rt_update(&rt, &c, 1, 0, &from, &done));
	from = pdata_range_end(&c);
	assert_err(pdata_rt_update(&rt, &c, 1, 1, &from, &done), EINVAL);
	from = 0;
	c.begin = KEY_END;
	assert_err(pdata_rt_update(&rt, &c, 1, 1, &from, &done), EINVAL);
	assert_false(e->tm.failed);
	env_free(e);
}

/* A pinned version stays what it was while later ones are built and committed. */
static void test_pinned(void **state)
{
	struct env *e = env_new(NR_BLOCKS, 4, 4);
	struct state *old = malloc(sizeof(*old));
	struct pdata_pin pin;
	struct pdata_view v = { .tm = &e->tm, .pin = &pin };
	unsigned int i, k;

	for (i = 0; i < 3; i++)
		create(e);
	for (i = 0; i < 30; i++)
		update(e);
	env_commit(e);
	*old = e->now;
	pdata_sm_pin(&e->tm.sm, &pin);
	for (k = 0; k < 4; k++) {
		for (i = 0; i < 8; i++)
			update(e);
		e->now.time++;
		for (i = 0; i < TREES; i++)
			if (old->tree[i].uid)
				check_content(e, &old->tree[i], &v);
		for (i = 0; i < 200; i++)
			check_lookup(e, &old->tree[i % 3], &v, rnd_below(&e->rnd, KEYS));
		env_commit(e);
	}
	check_all(e);
	pdata_sm_unpin(&e->tm.sm, &pin);
	free(old);
	env_free(e);
}

/* Emit cuts what one record cannot hold, and insists on order. */
static void test_emit(void **state)
{
	struct pdata_range slot[4];
	struct pdata_rt_out out = { .r = slot, .max = 4 };
	struct pdata_range r = { .begin = 10, .len = PDATA_REC_MAX_LEN * 2 + 5,
				 .kind = PDATA_RANGE_MAPPED, .value = 7 };

	assert_ok(pdata_rt_emit(&out, &r));
	assert_int_equal(out.nr, 3);
	assert_u64(slot[0].len, PDATA_REC_MAX_LEN);
	assert_u64(slot[2].len, 5);
	assert_u64(slot[2].value, 7 + PDATA_REC_MAX_LEN * 2);
	r.begin = pdata_range_end(&slot[2]) - 1;
	r.len = 1;
	assert_err(pdata_rt_emit(&out, &r), PDATA_E_CONTENT);
	r.len = 0;
	assert_err(pdata_rt_emit(&out, &r), PDATA_E_CONTENT);
	r.begin += 100;
	r.len = 1;
	assert_ok(pdata_rt_emit(&out, &r));
	r.begin += 100;
	assert_err(pdata_rt_emit(&out, &r), PDATA_E_LIMIT);
}

/* ---- damage ---- */

static int find_node(void *context, u64 ptr, unsigned int level, u64 lo, u64 hi, int err)
{
	u64 *want = context;	/* level, key, result */

	if (level == want[0] && lo <= want[1] && want[1] < hi)
		want[2] = pdata_ptr_block(ptr);
	return 0;
}

static u64 node_at(struct env *e, const struct tree *t, unsigned int level, u64 key)
{
	struct pdata_view v = { .tm = &e->tm };
	struct pdata_rt rt = rt_of(e, t);
	u64 want[3] = { level, key, 0 };

	assert_ok(pdata_rt_walk(&rt, &v, t->root, 0, KEY_END, find_node, NULL, want));
	assert_true(want[2]);
	return want[2];
}

/* Of a node that the transaction being built has written. */
static u64 new_ptr(struct env *e, u64 block)
{
	const struct pdata_header h = {
		.blocknr = cpu_to_le64(block),
		.generation = cpu_to_le64(e->tm.generation),
		.salt = cpu_to_le16(e->tm.salt),
	};

	assert_true(pdata_sm_is_new(&e->tm.sm, block));
	return pdata_ptr_to(&h);
}

struct damage {
	u64 lo, hi;
	unsigned int nr;
	int err;
	u64 ranges;
};

static int see_damage(void *context, u64 ptr, unsigned int level, u64 lo, u64 hi, int err)
{
	struct damage *d = context;

	if (err) {
		d->lo = lo;
		d->hi = hi;
		d->err = err;
		d->nr++;
	}
	return 0;
}

static int see_range(void *context, const struct pdata_range *r)
{
	((struct damage *)context)->ranges++;
	return 0;
}

static void damage_run(unsigned int level, bool bad_sector)
{
	struct env *e = env_new(NR_BLOCKS, 4, 4);
	struct pdata_view v = { .tm = &e->tm };
	struct damage d = { 0 };
	struct pdata_range r, c;
	struct pdata_rt_path path;
	struct tree *t;
	struct pdata_rt rt;
	unsigned int done, tall;
	u64 from = 0;
	u64 block, i;

	create(e);
	t = any_tree(e, true);
	fill(e, t, 3);
	env_commit(e);
	tall = height(e, t, 0);
	block = level < tall ? node_at(e, t, level, 1000) : pdata_ptr_block(t->root);
	env_reopen(e, SIM_ALL);
	if (bad_sector)
		sim_set_bad(e->disk, block, true, false);
	else
		sim_flip_bit(e->disk, block, 8 * 2000 + 3);
	rt = rt_of(e, t);

	/* Readers: the interval fails, all else goes on. */
	assert_err(pdata_rt_lookup(&rt, &v, t->root, 1000, &r, &path),
		   bad_sector ? EIO : PDATA_E_CSUM);
	assert_true(r.begin <= 1000 && 1000 < pdata_range_end(&r));
	for (i = 0; i < KEYS; i++)
		if (i < r.begin || i >= pdata_range_end(&r))
			check_lookup(e, t, &v, i);
	assert_ok(pdata_rt_walk(&rt, &v, t->root, 0, KEY_END, see_damage, see_range, &d));
	assert_int_equal(d.nr, 1);
	assert_u64(d.lo, r.begin);
	assert_u64(d.hi, pdata_range_end(&r));
	assert_int_equal(d.err, bad_sector ? -EIO : -PDATA_E_CSUM);
	assert_true(level >= tall || d.ranges > 0);
	assert_true(pdata_rt_walk(&rt, &v, t->root, 0, KEY_END, NULL, see_range, &d) < 0);

	/* Without a callback the writer is told, and nothing has changed. */
	c = (struct pdata_range){ .begin = 1000, .len = 2, .kind = PDATA_RANGE_ZERO, .tag = 1 };
	rt.ops = &ops_strict;
	assert_true(pdata_rt_update(&rt, &c, 1, 1, &from, &done) < 0);
	assert_false(e->tm.failed);
	assert_u64(rt.root, t->root);
	assert_u64(rt.leaf_sum, t->leaf_sum);
	assert_false(rt.sum_lost);

	/* With one a fresh leaf stands in. */
	rt.ops = &ops;
	assert_ok(pdata_rt_update(&rt, &c, 1, 1, &from, &done));
	assert_int_equal(done, 1);
	assert_u64(e->nr_err, 1);
	assert_true(rt.sum_lost);
	tree_is(t, &rt);
	for (i = r.begin; i < min_t(u64, pdata_range_end(&r), KEYS); i++)
		t->unit[i] = (struct unit){ .kind = PDATA_RANGE_DAMAGED };
	model_change(t, &c);
	env_commit(e);
	for (i = 0; i < KEYS; i++)
		check_lookup(e, t, &v, i);
	sim_set_bad(e->disk, block, false, false);
	d.nr = 0;
	assert_ok(pdata_rt_walk(&rt, &v, t->root, 0, KEY_END, see_damage, see_range, &d));
	assert_int_equal(d.nr, 0);

	/* And life goes on. */
	fill(e, t, 2);
	env_commit(e);
	for (i = 0; i < KEYS; i++)
		check_lookup(e, t, &v, i);
	env_free(e);
}

static void test_damaged_leaf(void **state)
{
	damage_run(0, false);
	damage_run(0, true);
}

static void test_damaged_node(void **state)
{
	damage_run(1, false);
	damage_run(2, true);
}

static void test_damaged_root(void **state)
{
	damage_run(99, false);
	damage_run(99, true);
}

/* A perfect block in a wrong place of the tree is damage. */
static void test_wrong_interval(void **state)
{
	struct env *e = env_new(NR_BLOCKS, 4, 4);
	struct pdata_view v = { .tm = &e->tm };
	struct pdata_rw rw;
	struct tree *t;
	struct pdata_rt rt;
	struct pdata_range r;
	unsigned int nr;
	struct pdata_range_node_disk *node;
	bool shared;
	u64 tmp;

	create(e);
	t = any_tree(e, true);
	fill(e, t, 30);
	rt = rt_of(e, t);
	assert_ok(pdata_tm_shadow(&e->tm, new_ptr(e, node_at(e, t, 1, 0)),
				  PDATA_TYPE_RANGE_NODE, t->uid, &rw, &shared));
	node = rw.data;
	assert_true(le16_to_cpu(node->r.nr) >= 2);
	tmp = node->child[0].ptr;
	node->child[0].ptr = node->child[1].ptr;
	node->child[1].ptr = tmp;
	assert_err(pdata_rt_lookup(&rt, &v, t->root, 0, &r, NULL), PDATA_E_INTERVAL);
	assert_err(pdata_rt_window(&rt, &v, t->root, 0, &r, 1, &nr), PDATA_E_INTERVAL);
	assert_true(r.len);
	/* As a space map it is somebody else's. */
	rt.owner = PDATA_OWNER_DATA_SM;
	assert_err(pdata_rt_lookup(&rt, &v, t->root, 0, &r, NULL), PDATA_E_OWNER);
	env_free(e);
}

/* Deletion steps over what it cannot read and frees the rest. */
static void test_delete_damaged(void **state)
{
	struct env *e = env_new(NR_BLOCKS, 4, 4);
	struct tree *t;
	u64 leaf, node;
	u32 count;

	create(e);
	t = any_tree(e, true);
	fill(e, t, 3);
	env_commit(e);
	leaf = node_at(e, t, 0, 100);
	node = node_at(e, t, 1, 2000);
	env_reopen(e, SIM_ALL);
	sim_flip_bit(e->disk, leaf, 8 * 2000);
	sim_flip_bit(e->disk, node, 8 * 2000);
	t->deleting = true;
	while (delete_some(e, 7))
		;
	env_commit(e);
	assert_ok(pdata_sm_get(&e->tm.sm, leaf, &count));
	assert_int_equal(count, 1);
	assert_ok(pdata_sm_get(&e->tm.sm, node, &count));
	assert_int_equal(count, 1);
	/* Left: the leaf, the node and the (2 to 4) leaves below it. */
	assert_true(e->tm.sm.used >= 3 && e->tm.sm.used <= 6);
	env_free(e);
}

/* ---- failures ---- */

/* Each allocation of a step fails once: nothing changed, or the transaction failed. */
static void test_alloc_faults(void **state)
{
	static const enum pdata_fault_point points[] = {
		PDATA_FAULT_META_ALLOC, PDATA_FAULT_MEMORY,
	};
	struct env *e = env_new(NR_BLOCKS, 4, 4);
	struct pdata_range c[CHANGES] = { 0 }, was[CHANGES];
	unsigned int p, n, i, done, nr, clean = 0, failed = 0;
	struct tree *t;
	int r;

	create(e);
	create(e);
	for (i = 0; i < 30; i++)
		update(e);
	snapshot(e);
	snapshot(e);
	env_commit(e);
	for (p = 0; p < 2; p++) {
		for (n = 0; n < 40; n++) {
			struct pdata_rt rt;
			u64 from = 0;

			t = any_tree(e, true);
			rt = rt_of(e, t);
			nr = make_changes(e, c, CHANGES, 10, 50, 10);
			memcpy(was, c, sizeof(c));
			pdata_fault_arm(points[p], n % 10);
			r = pdata_rt_update(&rt, c, nr, CHANGES, &from, &done);
			pdata_fault_disarm_all();
			if (r)
				assert_memory_equal(was, c, nr * sizeof(*c));
			if (!r) {
				env_reopen(e, SIM_NONE);
			} else if (e->tm.failed) {
				failed++;
				assert_int_equal(done, 0);
				assert_err(pdata_rt_update(&rt, c, nr, 1, &from, &done), PDATA_E_FAILED);
				assert_err(pdata_rt_del_step(&rt, &t->cursor), PDATA_E_FAILED);
				assert_true(pdata_tm_commit(&e->tm, &e->sb) < 0);
				env_reopen(e, SIM_NONE);
			} else {
				clean++;
				assert_true(r == -ENOMEM || r == -PDATA_E_META_NOSPC);
				assert_u64(rt.root, t->root);
				assert_u64(rt.leaf_sum, t->leaf_sum);
			}
			check_all(e);
		}
	}
	assert_true(clean && failed);

	/* What the callbacks refuse fails the transaction. */
	t = any_tree(e, true);
	for (i = 0; i < 2; i++) {
		struct pdata_rt rt = rt_of(e, t);
		u64 from = 0;

		nr = make_changes(e, c, 3, 10, 5, 10);
		e->fail_apply = i;
		e->fail_inc = !i;
		r = pdata_rt_update(&rt, c, nr, CHANGES, &from, &done);
		if (i)
			assert_err(r, PDATA_E_FAULT);
		assert_true(!r || e->tm.failed);
		e->fail_apply = 0;
		e->fail_inc = 0;
		env_reopen(e, SIM_NONE);
	}
	check_all(e);
	env_free(e);
}

/* A full device: the step is refused before it changes anything. */
static void test_no_space(void **state)
{
	struct env *e = env_new(PDATA_MIN_BLOCKS, 4, 4);
	struct pdata_range c;
	unsigned int done, refused = 0;
	struct tree *t;
	u64 at = 0, from = 0;

	create(e);
	t = any_tree(e, true);
	while (refused < 5) {
		struct pdata_rt rt = rt_of(e, t);
		int r;

		assert_true(at < KEYS);
		c = (struct pdata_range){ .begin = at, .len = 1, .kind = PDATA_RANGE_MAPPED,
					  .value = at, .tag = at };
		r = pdata_rt_update(&rt, &c, 1, 1, &from, &done);
		assert_false(e->tm.failed);
		assert_u64(c.begin, at);
		if (!r) {
			assert_int_equal(done, 1);
			tree_is(t, &rt);
			model_change(t, &c);
			at += 2;
			refused = 0;
			continue;
		}
		assert_err(r, PDATA_E_META_NOSPC);
		assert_u64(rt.root, t->root);
		refused++;
		env_commit(e);
		check_all(e);
	}
	assert_true(at > 500);
	/* Deleting needs no space. */
	t->deleting = true;
	while (delete_some(e, 100))
		;
	env_commit(e);
	check_counts(e);
	assert_u64(e->tm.sm.used, 0);
	env_free(e);
}

/* The bound grows with the changes, and is small where it can be. */
static void test_bound(void **state)
{
	struct env *e = env_new(PDATA_MIN_BLOCKS, 0, 0);
	struct pdata_rt rt = { .tm = &e->tm, .ops = &ops, .key_end = KEY_END };
	u64 one = pdata_rt_update_blocks(&rt, 1);
	u64 many = pdata_rt_update_blocks(&rt, 1000);

	/* 3 levels fit: a way of 4, new leaves, 3 splits, a new root. */
	assert_true(one >= 6 && one <= 13);
	assert_true(many > one && many <= 40);
	env_free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_emit, test_quiet),
		cmocka_unit_test_setup(test_bound, test_quiet),
		cmocka_unit_test_setup(test_cut, test_quiet),
		cmocka_unit_test_setup(test_append_and_join, test_quiet),
		cmocka_unit_test_setup(test_pinned, test_quiet),
		cmocka_unit_test_setup(test_random_tiny, test_quiet),
		cmocka_unit_test_setup(test_random_small, test_quiet),
		cmocka_unit_test_setup(test_random_full, test_quiet),
		cmocka_unit_test_setup(test_damaged_leaf, test_quiet),
		cmocka_unit_test_setup(test_damaged_node, test_quiet),
		cmocka_unit_test_setup(test_damaged_root, test_quiet),
		cmocka_unit_test_setup(test_wrong_interval, test_quiet),
		cmocka_unit_test_setup(test_delete_damaged, test_quiet),
		cmocka_unit_test_setup(test_alloc_faults, test_quiet),
		cmocka_unit_test_setup(test_no_space, test_quiet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
