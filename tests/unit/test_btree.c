// SPDX-License-Identifier: GPL-2.0-only
/*
 * Plain btree: random changes against a sorted array, with snapshots that
 * share nodes, values that count references, commits, power failures and
 * injected faults. Every block's count must be the number of references found.
 */
#include "testlib.h"
#include "pdata-btree.h"
#include "pdata-fault.h"
#include "pdata-layout.h"

#define DISK_BLOCKS	3000
#define JOURNAL_BLOCKS	32
#define KEYS		600	/* at most in a tree */
#define SNAPS		4
#define VALUES		512	/* ids of values, which are counted */

struct entry {
	u64 key;
	u64 id;
};

struct version {
	struct entry e[KEYS];
	unsigned int nr;
	u64 root;
	bool partial;		/* a part of it was taken away: nodes may be less than half full */
};

/* What one checkpoint holds. */
struct state {
	struct version tree;
	struct version snap[SNAPS];	/* root 0 = unused (or empty) */
	s64 refs[VALUES];
};

struct world {
	struct sim_clock clock;
	struct sim_disk *disk;
	struct pdata_super sb;
	struct pdata_bm bm;
	struct pdata_tm tm;
	struct pdata_btree t;
	struct pdata_limits limits;
	u64 random;
	u64 key_space;
	struct state now, committed;
	u64 nr_crashes, nr_survived, nr_failed, depth;
};

struct config {
	unsigned int btree_max;
	u32 value_size;
	u64 key_space;
	unsigned int steps;
};

/* ---- values ---- */

static void value_make(const struct world *w, u64 id, u8 *value)
{
	u8 bytes[PDATA_BTREE_MAX_VALUE];
	unsigned int i;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = id * 31 + i;
	memcpy(bytes, &id, 2);
	memcpy(value, bytes, w->t.value.size);
}

static u64 value_id(const void *value)
{
	u16 id;

	memcpy(&id, value, sizeof(id));
	assert_true(id < VALUES);
	return id;
}

static int value_inc(void *context, const void *value)
{
	struct world *w = context;

	w->now.refs[value_id(value)]++;
	return 0;
}

static int value_dec(void *context, const void *value)
{
	struct world *w = context;

	assert_true(w->now.refs[value_id(value)]-- > 0);
	return 0;
}

/* ---- life ---- */

static void world_open(struct world *w)
{
	pdata_bm_init(&w->bm, &w->disk->io, w->sb.uuid, w->sb.meta_blocks, "test");
	assert_ok(pdata_tm_init(&w->tm, &w->bm, &w->sb));
	assert_ok(pdata_sm_scrub(&w->tm.sm));
	w->tm.limits = w->limits;
	w->t.tm = &w->tm;
	w->t.root = w->now.tree.root;
}

static void world_init(struct world *w, const struct config *c)
{
	memset(w, 0, sizeof(*w));
	w->random = test_seed() + c->btree_max * 1000 + c->value_size;
	w->key_space = c->key_space;
	w->limits = pdata_limits_default;
	w->limits.btree_max = c->btree_max;
	sim_clock_init(&w->clock, w->random);
	w->disk = sim_disk_create(DISK_BLOCKS, &w->clock);
	memset(w->sb.uuid, 0xa5, sizeof(w->sb.uuid));
	w->sb.version = PDATA_FORMAT_VERSION;
	w->sb.meta_blocks = DISK_BLOCKS;
	w->sb.journal_blocks = JOURNAL_BLOCKS;
	w->sb.journal_tail = 1;
	w->sb.journal_tail_rec = 1;
	w->sb.next_uid = PDATA_FIRST_UID;
	assert_ok(pdata_super_format(&w->disk->io, &w->sb));
	w->t.owner = PDATA_OWNER_DETAILS;
	w->t.value.size = c->value_size;
	if (c->value_size > 1) {
		w->t.value.inc = value_inc;
		w->t.value.dec = value_dec;
		w->t.value.context = w;
	}
	world_open(w);
}

static void world_exit(struct world *w)
{
	pdata_tm_exit(&w->tm);
	sim_disk_destroy(w->disk);
}

static unsigned int rnd(struct world *w, unsigned int n)
{
	return rnd_below(&w->random, n);
}

/* ---- model ---- */

/* First entry whose key is >= @key. */
static unsigned int version_find(const struct version *v, u64 key)
{
	unsigned int i = 0;

	while (i < v->nr && v->e[i].key < key)
		i++;
	return i;
}

static bool version_has(const struct version *v, u64 key)
{
	unsigned int i = version_find(v, key);

	return i < v->nr && v->e[i].key == key;
}

static void version_insert(struct version *v, u64 key, u64 id)
{
	unsigned int i = version_find(v, key);

	if (!version_has(v, key)) {
		assert_true(v->nr < KEYS);
		memmove(&v->e[i + 1], &v->e[i], (v->nr - i) * sizeof(v->e[0]));
		v->nr++;
	}
	v->e[i] = (struct entry){ key, id };
}

static void version_remove(struct version *v, u64 key)
{
	unsigned int i = version_find(v, key);

	memmove(&v->e[i], &v->e[i + 1], (v->nr - i - 1) * sizeof(v->e[0]));
	v->nr--;
}

/* ---- checks ---- */

struct check {
	struct world *w;
	const struct pdata_view *v;
	const struct version *model;	/* NULL: do not compare */
	unsigned int next;
	u64 root;
	bool partial;
	u32 *found;		/* references to each block; NULL: do not count */
	s64 *refs;
	bool fresh;		/* the node was not seen before */
};

/* What a parent says of a node: it is new, or as it is on the disk. */
static u64 ptr_of(struct world *w, u64 block)
{
	struct pdata_header h = {
		.blocknr = cpu_to_le64(block),
		.generation = cpu_to_le64(w->tm.generation),
		.salt = cpu_to_le16(w->tm.salt),
	};

	if (!pdata_sm_is_new(&w->tm.sm, block))
		h = *(const struct pdata_header *)sim_peek(w->disk, block);
	return pdata_ptr_to(&h);
}

static int check_node(void *context, u64 block, int level, int err)
{
	struct check *c = context;
	const struct pdata_btree_disk *d;
	struct pdata_ro b;
	unsigned int max;

	assert_ok(err);
	assert_ok(pdata_view_read(c->v, ptr_of(c->w, block), PDATA_TYPE_BTREE, &b));
	d = b.data;
	assert_u64(le16_to_cpu(d->level), level);
	max = (PDATA_BLOCK_SIZE - 80) / (8 + le32_to_cpu(d->value_size));
	if (c->w->limits.btree_max)
		max = min(max, c->w->limits.btree_max);
	assert_true(le16_to_cpu(d->nr) <= max);
	if (c->partial)
		assert_true(d->nr);
	else if (block != pdata_ptr_block(c->root))
		assert_true(le16_to_cpu(d->nr) >= max / 2);
	else if (level && !c->w->nr_failed)	/* a split that failed may leave a new root */
		assert_true(le16_to_cpu(d->nr) >= 2);
	c->w->depth = max_t(u64, c->w->depth, level);
	pdata_view_release(c->v, &b);
	if (!c->found)
		return 0;
	return c->found[block]++ ? 1 : 0;
}

static int check_entry(void *context, u64 key, const void *value)
{
	struct check *c = context;
	u8 want[PDATA_BTREE_MAX_VALUE];

	if (c->model) {
		const struct entry *e = &c->model->e[c->next++];

		assert_true(c->next <= c->model->nr);
		assert_u64(key, e->key);
		value_make(c->w, e->id, want);
		assert_memory_equal(value, want, c->w->t.value.size);
	}
	if (c->refs)
		c->refs[value_id(value)]++;
	return 0;
}

static void check_version(struct world *w, const struct pdata_view *v,
			  const struct version *model)
{
	struct check c = { .w = w, .v = v, .model = model, .root = model->root,
			   .partial = model->partial };
	unsigned int first, i;

	assert_int_equal(!model->nr, !model->root);
	assert_ok(pdata_btree_walk(&w->t, v, model->root, check_node, check_entry, &c));
	assert_u64(c.next, model->nr);

	/* From an entry on, and from behind it. */
	if (!model->nr)
		return;
	first = rnd(w, model->nr);
	for (i = 0; i < 2 && model->e[first].key + i >= i; i++) {
		c.next = first + i;
		assert_ok(pdata_btree_walk_from(&w->t, v, model->root, model->e[first].key + i,
						check_entry, &c));
		assert_u64(c.next, model->nr);
	}
}

static void check_counts(struct world *w)
{
	struct pdata_view v = { .tm = &w->tm };
	static u32 found[DISK_BLOCKS];
	static s64 refs[VALUES];
	struct check c = { .w = w, .v = &v, .found = found };
	u32 count;
	u64 b;
	int i;

	memset(found, 0, sizeof(found));
	memset(refs, 0, sizeof(refs));
	c.refs = w->t.value.inc ? refs : NULL;
	for (i = -1; i < SNAPS; i++) {
		c.root = i < 0 ? w->t.root : w->now.snap[i].root;
		c.partial = i >= 0 && w->now.snap[i].partial;
		assert_ok(pdata_btree_walk(&w->t, &v, c.root, check_node, check_entry, &c));
	}
	for (b = 0; b < DISK_BLOCKS; b++) {
		if (pdata_is_reserved(b, JOURNAL_BLOCKS))
			continue;
		assert_ok(pdata_sm_get(&w->tm.sm, b, &count));
		assert_u64(count, found[b]);
	}
	if (c.refs)
		assert_memory_equal(refs, w->now.refs, sizeof(refs));
}

static void check_all(struct world *w)
{
	struct pdata_view v = { .tm = &w->tm };
	struct pdata_view cv = { .tm = &w->tm };
	struct pdata_pin pin;
	int i;

	w->now.tree.root = w->t.root;
	check_version(w, &v, &w->now.tree);
	for (i = 0; i < SNAPS; i++)
		check_version(w, &v, &w->now.snap[i]);
	check_counts(w);

	/* the committed version is still there */
	pdata_sm_pin(&w->tm.sm, &pin);
	cv.pin = &pin;
	assert_u64(pin.details_root, w->committed.tree.root);
	check_version(w, &cv, &w->committed.tree);
	for (i = 0; i < SNAPS; i++)
		check_version(w, &cv, &w->committed.snap[i]);
	pdata_sm_unpin(&w->tm.sm, &pin);
}

static void check_lookup(struct world *w, u64 key)
{
	struct pdata_view v = { .tm = &w->tm };
	const struct version *m = &w->now.tree;
	u8 value[PDATA_BTREE_MAX_VALUE], want[PDATA_BTREE_MAX_VALUE];
	unsigned int i = version_find(m, key);
	u64 found;

	if (version_has(m, key)) {
		assert_ok(pdata_btree_lookup(&w->t, &v, w->t.root, key, value));
		value_make(w, m->e[i].id, want);
		assert_memory_equal(value, want, w->t.value.size);
	} else {
		assert_err(pdata_btree_lookup(&w->t, &v, w->t.root, key, value),
			   PDATA_E_NOT_FOUND);
	}
	if (i < m->nr) {
		assert_ok(pdata_btree_next(&w->t, &v, w->t.root, key, &found, value));
		assert_u64(found, m->e[i].key);
		value_make(w, m->e[i].id, want);
		assert_memory_equal(value, want, w->t.value.size);
	} else {
		assert_err(pdata_btree_next(&w->t, &v, w->t.root, key, &found, value),
			   PDATA_E_NOT_FOUND);
	}
}

/* ---- operations ---- */

static void roll_back(struct world *w)
{
	pdata_tm_exit(&w->tm);
	w->now = w->committed;
	world_open(w);
}

/*
 * An operation failed because of an injected fault. Either the transaction is
 * lost, or the tree is what it was.
 */
static void after_fault(struct world *w, int r)
{
	if (r != -ENOMEM && r != -PDATA_E_META_NOSPC)
		fail_msg("unexpected error %d, %s", r, pdata_error_text(r));
	w->nr_failed++;
	if (w->tm.failed) {
		roll_back(w);
		return;
	}
	pdata_fault_disarm_all();
	check_all(w);
}

static u64 some_key(struct world *w)
{
	u64 key = rnd_below(&w->random, w->key_space);

	/* spread, and both ends of the key space */
	return w->key_space > KEYS ? key * (~0ull / (w->key_space - 1)) : key;
}

static void op_insert(struct world *w, u64 key)
{
	u8 value[PDATA_BTREE_MAX_VALUE];
	u64 id = rnd(w, w->t.value.size > 1 ? VALUES : 256);
	int r;

	if (!version_has(&w->now.tree, key) && w->now.tree.nr == KEYS)
		return;
	value_make(w, id, value);
	w->now.refs[id] += !!w->t.value.inc;
	r = pdata_btree_insert(&w->t, key, value);
	if (r) {
		w->now.refs[id] -= !!w->t.value.inc;
		after_fault(w, r);
		return;
	}
	version_insert(&w->now.tree, key, id);
	check_lookup(w, key);
}

static void op_remove(struct world *w, u64 key)
{
	bool there = version_has(&w->now.tree, key);
	int r = pdata_btree_remove(&w->t, key);

	if (!there) {
		assert_err(r, PDATA_E_NOT_FOUND);
	} else if (r) {
		after_fault(w, r);
	} else {
		version_remove(&w->now.tree, key);
		check_lookup(w, key);
	}
}

static void op_drop(struct world *w, struct version *s)
{
	struct pdata_btree t = w->t;
	int r;

	t.root = s->root;
	r = pdata_btree_del(&t);
	if (r) {
		after_fault(w, r);
		return;
	}
	assert_u64(t.root, 0);
	memset(s, 0, sizeof(*s));
}

/* A part of a version goes: some of its first entries, or all that it shares with others. */
static void op_drop_step(struct world *w, struct version *s)
{
	struct pdata_view v = { .tm = &w->tm };
	struct pdata_btree t = w->t;
	unsigned int n = 0;
	u64 first;
	int r;

	t.root = s->root;
	r = pdata_btree_del_step(&t);
	s->root = t.root;
	if (r) {
		after_fault(w, r);
		return;
	}
	if (!t.root) {
		memset(s, 0, sizeof(*s));
		return;
	}
	assert_ok(pdata_btree_next(&t, &v, t.root, 0, &first, NULL));
	assert_true(version_has(s, first));
	while (s->e[n].key < first)
		n++;
	assert_true(n);
	memmove(s->e, s->e + n, (s->nr - n) * sizeof(s->e[0]));
	s->nr -= n;
	s->partial = true;
}

static void op_snap(struct world *w)
{
	struct version *s = &w->now.snap[rnd(w, SNAPS)];

	if (s->root) {
		if (!s->partial && rnd(w, 2))
			op_drop(w, s);
		else
			op_drop_step(w, s);
		return;
	}
	if (!w->t.root)
		return;
	assert_ok(pdata_tm_inc(&w->tm, w->t.root));
	*s = w->now.tree;
	s->root = w->t.root;
}

static void op_commit(struct world *w, bool crash)
{
	struct pdata_super sb = w->sb;
	int r;

	w->now.tree.root = w->t.root;
	sb.details_root = w->t.root;
	if (crash)
		sim_clock_crash_at(&w->clock, 1 + rnd(w, 8));
	r = pdata_tm_commit(&w->tm, &sb);
	if (!r) {
		w->committed = w->now;
		w->sb = sb;
	}
	if (!r && !crash)
		return;
	if (!crash)
		fail_msg("commit failed: %d, %s", r, pdata_error_text(r));
	w->nr_crashes++;
	pdata_tm_exit(&w->tm);
	sim_clock_crash(&w->clock);
	sim_clock_power_on(&w->clock, SIM_RANDOM);
	assert_int_equal(pdata_super_read(&w->disk->io, &sb), PDATA_SB_VALID);
	if (r && sb.generation > w->sb.generation) {
		/* it got through, although nobody was told */
		w->committed = w->now;
		w->nr_survived++;
	}
	assert_u64(sb.details_root, w->committed.tree.root);
	w->sb = sb;
	w->now = w->committed;
	world_open(w);
	check_all(w);
}

static void step(struct world *w, bool shrink)
{
	if (!rnd(w, 12))
		pdata_fault_arm(rnd(w, 2) ? PDATA_FAULT_META_ALLOC : PDATA_FAULT_MEMORY,
				rnd(w, 5));
	switch (rnd(w, 40)) {
	case 0:
		op_snap(w);
		break;
	case 1:
		pdata_fault_disarm_all();
		op_commit(w, !rnd(w, 3));
		break;
	case 2 ... 5:
		check_lookup(w, some_key(w));
		break;
	case 6 ... 18:
		op_remove(w, some_key(w));
		break;
	default:
		/* keys that are there are hit as often as the model is full */
		if (shrink && w->now.tree.nr)
			op_remove(w, w->now.tree.e[rnd(w, w->now.tree.nr)].key);
		else
			op_insert(w, some_key(w));
	}
	pdata_fault_disarm_all();
}

static void run(const struct config *c)
{
	struct world *w = test_malloc(sizeof(*w));
	bool shrink = false;
	u64 i;

	world_init(w, c);
	for (i = 0; i < test_rounds(c->steps); i++) {
		if (!rnd(w, 500))
			shrink = !shrink;
		step(w, shrink);
		if (!rnd(w, 40))
			check_all(w);
	}
	check_all(w);
	while (w->now.tree.nr)
		op_remove(w, w->now.tree.e[rnd(w, w->now.tree.nr)].key);
	assert_u64(w->t.root, 0);
	for (i = 0; i < SNAPS; i++)
		op_drop(w, &w->now.snap[i]);
	check_all(w);
	op_commit(w, false);
	op_commit(w, false);
	assert_u64(w->tm.sm.used, 0);
	print_message("%llu crashes (%llu after the superblock), %llu faults, depth %llu\n",
		      w->nr_crashes, w->nr_survived, w->nr_failed, w->depth);
	assert_true(w->nr_crashes > 0);
	if (c->btree_max)
		assert_true(w->nr_failed > 0);
	world_exit(w);
	test_free(w);
}

static void tiny_nodes(void **state)
{
	run(&(struct config){ 4, 8, 300, 6000 });
}

static void small_nodes(void **state)
{
	run(&(struct config){ 6, 144, 2000, 6000 });
}

static void odd_nodes(void **state)
{
	run(&(struct config){ 5, 1, 500, 6000 });
}

static void large_values(void **state)
{
	run(&(struct config){ 0, PDATA_BTREE_MAX_VALUE, 1ull << 32, 6000 });
}

static void whole_nodes(void **state)
{
	run(&(struct config){ 0, 8, 1200, 4000 });
}

/* ---- one by one ---- */

static void ascending(void **state)
{
	const struct config c = { 6, 16, KEYS, 0 };
	struct world *w = test_malloc(sizeof(*w));
	unsigned int i;

	world_init(w, &c);
	for (i = 0; i < KEYS; i++)
		op_insert(w, i);
	check_all(w);
	for (i = 0; i < KEYS; i++)
		op_remove(w, i);
	check_all(w);
	for (i = KEYS; i--;)
		op_insert(w, i);
	check_all(w);
	for (i = KEYS; i--;)
		op_remove(w, i);
	check_all(w);
	assert_u64(w->t.root, 0);
	world_exit(w);
	test_free(w);
}

/* Replacing keeps full nodes whole. */
static void replace_does_not_split(void **state)
{
	const struct config c = { 4, 16, KEYS, 0 };
	struct world *w = test_malloc(sizeof(*w));
	unsigned int i;
	u64 used;

	world_init(w, &c);
	for (i = 0; i < 100; i++)
		op_insert(w, i);
	op_commit(w, false);
	used = w->tm.sm.used;
	for (i = 0; i < 100; i++)
		op_insert(w, i);
	assert_u64(w->tm.sm.used, used);
	check_all(w);
	world_exit(w);
	test_free(w);
}

struct damage {
	unsigned int nr_nodes, nr_bad, nr_entries;
	u64 leaf;
};

static int damage_node(void *context, u64 block, int level, int err)
{
	struct damage *d = context;

	d->nr_nodes++;
	d->nr_bad += !!err;
	if (err)
		assert_true(pdata_error_is_damage(err));
	if (!level && d->nr_nodes > 3 && !d->leaf)
		d->leaf = block;
	return 0;
}

static int damage_entry(void *context, u64 key, const void *value)
{
	struct damage *d = context;

	d->nr_entries++;
	return 0;
}

/* A damaged leaf hides what it held and nothing else. */
static void with_damaged_leaf(bool in_steps)
{
	const struct config c = { 4, 16, KEYS, 0 };
	struct world *w = test_malloc(sizeof(*w));
	struct pdata_view v = { .tm = &w->tm };
	struct damage d = { 0 }, after = { 0 }, stopped = { 0 };
	u8 value[16];
	unsigned int i, lost = 0;
	u64 root;
	int r;

	world_init(w, &c);
	for (i = 0; i < 100; i++)
		op_insert(w, i);
	op_commit(w, false);
	root = w->t.root;
	assert_ok(pdata_btree_walk(&w->t, &v, root, damage_node, damage_entry, &d));
	assert_u64(d.nr_entries, 100);
	assert_u64(d.nr_bad, 0);
	assert_true(d.leaf);
	sim_flip_bit(w->disk, d.leaf, 8 * 100);

	pdata_tm_exit(&w->tm);
	world_open(w);
	assert_ok(pdata_btree_walk(&w->t, &v, root, damage_node, damage_entry, &after));
	assert_u64(after.nr_bad, 1);
	assert_u64(after.nr_nodes, d.nr_nodes);
	assert_err(pdata_btree_walk(&w->t, &v, root, NULL, damage_entry, &stopped),
		   PDATA_E_CSUM);
	assert_true(stopped.nr_entries < after.nr_entries);
	for (i = 0; i < 100; i++) {
		r = pdata_btree_lookup(&w->t, &v, root, i, value);
		lost += r == -PDATA_E_CSUM;
		assert_true(!r || r == -PDATA_E_CSUM);
		value_make(w, 1, value);
		if (r)
			assert_err(pdata_btree_insert(&w->t, i, value), PDATA_E_CSUM);
	}
	assert_u64(lost, 100 - after.nr_entries);
	assert_false(w->tm.failed);

	/* deleting leaks it and what it refers to, no more */
	if (in_steps)
		while (w->t.root)
			assert_ok(pdata_btree_del_step(&w->t));
	else
		assert_ok(pdata_btree_del(&w->t));
	assert_u64(w->tm.sm.used, 1);
	world_exit(w);
	test_free(w);
}

static void damaged_leaf(void **state)
{
	with_damaged_leaf(false);
}

static void damaged_leaf_in_steps(void **state)
{
	with_damaged_leaf(true);
}

/* A pointer to a well-formed node that does not belong there. */
static void wrong_child(void **state)
{
	const struct config c = { 4, 16, KEYS, 0 };
	struct world *w = test_malloc(sizeof(*w));
	struct pdata_view v = { .tm = &w->tm };
	struct pdata_btree other;
	struct pdata_ro b;
	u8 value[16];
	unsigned int i;
	u64 root, child[2];

	world_init(w, &c);
	for (i = 0; i < 8; i++)
		op_insert(w, i);
	root = w->t.root;
	assert_ok(pdata_view_read(&v, root, PDATA_TYPE_BTREE, &b));
	assert_u64(le16_to_cpu(((struct pdata_btree_disk *)b.data)->level), 1);
	/* exchange two children */
	for (i = 0; i < 2; i++)
		child[i] = le64_to_cpu(((__le64 *)((struct pdata_btree_disk *)b.data)->data)
				       [251 + i]);
	for (i = 0; i < 2; i++)
		((__le64 *)((struct pdata_btree_disk *)b.data)->data)[251 + i] =
			cpu_to_le64(child[!i]);
	pdata_view_release(&v, &b);
	assert_err(pdata_btree_lookup(&w->t, &v, root, 0, value), PDATA_E_INTERVAL);
	value_make(w, 1, value);
	assert_err(pdata_btree_insert(&w->t, 0, value), PDATA_E_INTERVAL);
	assert_err(pdata_btree_remove(&w->t, 0), PDATA_E_INTERVAL);

	other = w->t;
	other.owner = PDATA_OWNER_DELETING;
	assert_err(pdata_btree_lookup(&other, &v, root, 0, value), PDATA_E_OWNER);
	other = w->t;
	other.value.size = 8;
	assert_err(pdata_btree_lookup(&other, &v, child[0], 0, value), PDATA_E_CONTENT);
	world_exit(w);
	test_free(w);
}

static void empty(void **state)
{
	const struct config c = { 4, 16, KEYS, 0 };
	struct world *w = test_malloc(sizeof(*w));
	struct pdata_view v = { .tm = &w->tm };
	struct damage d = { 0 };
	u8 value[16];
	u64 key;

	world_init(w, &c);
	assert_err(pdata_btree_lookup(&w->t, &v, 0, 1, value), PDATA_E_NOT_FOUND);
	assert_err(pdata_btree_next(&w->t, &v, 0, 0, &key, value), PDATA_E_NOT_FOUND);
	assert_err(pdata_btree_remove(&w->t, 1), PDATA_E_NOT_FOUND);
	assert_ok(pdata_btree_del(&w->t));
	assert_ok(pdata_btree_walk(&w->t, &v, 0, damage_node, damage_entry, &d));
	op_insert(w, ~0ull);
	op_insert(w, 0);
	check_all(w);
	world_exit(w);
	test_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tiny_nodes),
		cmocka_unit_test(small_nodes),
		cmocka_unit_test(odd_nodes),
		cmocka_unit_test(large_values),
		cmocka_unit_test(whole_nodes),
		cmocka_unit_test(ascending),
		cmocka_unit_test(replace_does_not_split),
		cmocka_unit_test(damaged_leaf),
		cmocka_unit_test(damaged_leaf_in_steps),
		cmocka_unit_test(wrong_child),
		cmocka_unit_test(empty),
	};

	return cmocka_run_group_tests(tests, test_quiet, NULL);
}
