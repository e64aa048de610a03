// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_repair: what the sum over a tree's leaves tells when some are not there.
 *
 * The sum is known, and so are the marks of the leaves at hand. What is missing is
 * then the marks of those that are lost, less those of older ones that were taken
 * in their place. A mark is that of a block and a generation. There are as many
 * as bad blocks times generations: few enough to try one, often two. A match of
 * 64 bits is no accident, and proves all other leaves at once.
 */
#include "repair.h"

#define TABLE_MAX	BIT_ULL(22)	/* marks in memory */
#define WORK_MAX	BIT_ULL(27)	/* marks tried for one thin */
#define WORK_TOTAL	BIT_ULL(31)
#define RUN_MAX		64u		/* older leaves in the place of a lost one */
#define RUNS_WITH_TWO	256u		/* runs that are tried with two lost leaves */

/* ---- a table of numbers ---- */

struct table {
	u64 *key;
	u32 *value;	/* + 1, 0 = free */
	u64 size;
};

static void table_init(struct table *t, u64 nr)
{
	t->size = roundup_pow_of_two(max(2 * nr, 16ull));
	t->key = tool_alloc(t->size * sizeof(*t->key));
	t->value = tool_alloc(t->size * sizeof(*t->value));
}

static void table_exit(struct table *t)
{
	free(t->key);
	free(t->value);
	memset(t, 0, sizeof(*t));
}

static void table_add(struct table *t, u64 key, u32 value)
{
	u64 i = key & (t->size - 1);

	while (t->value[i])
		i = (i + 1) & (t->size - 1);
	t->key[i] = key;
	t->value[i] = value + 1;
}

static bool table_find(const struct table *t, u64 key, u32 *value)
{
	u64 i = key & (t->size - 1);

	for (; t->value[i]; i = (i + 1) & (t->size - 1)) {
		if (t->key[i] != key)
			continue;
		*value = t->value[i] - 1;
		return true;
	}
	return false;
}

/* ---- marks that may be missing ---- */

/* Every generation in (min, max] of a block, less what @gone says. */
struct guess {
	u64 block;
	u64 min;
	u64 max;
	u64 gone;	/* mark that goes if this one is right, 0 = none */
	u32 leaf;	/* index of that leaf */
};

struct guesses {
	struct rp_array a;	/* struct guess */
	u64 nr;			/* marks */
};

static void guesses_add(struct guesses *g, u64 block, u64 min, u64 max, u64 gone, u32 leaf)
{
	struct guess *x;

	if (min >= max)
		return;
	x = rp_array_add(&g->a, sizeof(*x));
	*x = (struct guess){ block, min, max, gone, leaf };
	g->nr += max - min;
}

static void guesses_exit(struct guesses *g)
{
	free(g->a.v);
	memset(g, 0, sizeof(*g));
}

/* Leaves that were taken and may be older ones: sums of neighbours, none of them first. */
struct run {
	u64 sum;
	u32 lost;	/* which lost node they are in, place in the list */
	u32 from;
	u32 nr;
};

struct solution {
	struct run run;
	u32 leaf[2];	/* of the guesses that fit */
};

struct solver {
	struct repair *r;
	u64 delta;		/* what is missing */
	struct rp_array runs;	/* struct run */
	struct table run_table;
	u64 work;		/* left */
	bool limited;		/* not everything was tried */
};

static bool spend(struct solver *s, u64 work)
{
	if (work > s->work || work > s->r->search_left) {
		s->limited = true;
		return false;
	}
	s->work -= work;
	s->r->search_left -= work;
	return true;
}

static void make_run_table(struct solver *s)
{
	const struct run *run = s->runs.v;
	size_t i;

	table_init(&s->run_table, s->runs.nr);
	for (i = 0; i < s->runs.nr; i++)
		table_add(&s->run_table, run[i].sum, i);
}

/* One mark makes up for what is missing and for a run that goes. */
static bool solve_one(struct solver *s, const struct guesses *g, struct solution *sol)
{
	const struct guess *x = g->a.v;
	u64 gen;
	size_t i;
	u32 run;

	if (!spend(s, g->nr))
		return false;
	for (i = 0; i < g->a.nr; i++, x++)
		for (gen = x->min + 1; gen <= x->max; gen++) {
			const u64 mark = pdata_leaf_mark(x->block, gen) - x->gone;

			if (!table_find(&s->run_table, mark - s->delta, &run))
				continue;
			sol->run = ((struct run *)s->runs.v)[run];
			sol->leaf[0] = x->leaf;
			sol->leaf[1] = 0;
			return true;
		}
	return false;
}

/* Which guess the @n-th mark belongs to is kept beside it. */
static void marks_table(const struct guesses *g, struct table *t)
{
	const struct guess *x = g->a.v;
	u64 gen;
	size_t i;

	table_init(t, g->nr);
	for (i = 0; i < g->a.nr; i++, x++)
		for (gen = x->min + 1; gen <= x->max; gen++)
			table_add(t, pdata_leaf_mark(x->block, gen) - x->gone, i);
}

static bool solve_two(struct solver *s, const struct guesses *a, const struct guesses *b,
		      struct solution *sol)
{
	const size_t runs = min_t(size_t, s->runs.nr, RUNS_WITH_TWO);
	const struct guess *x = b->a.v;
	const struct run *run = s->runs.v;
	struct table t;
	bool done = false;
	size_t i, k;
	u32 other;
	u64 gen;

	if (!a->nr || !b->nr)
		return false;
	if (a->nr > TABLE_MAX || b->nr > s->work / runs) {
		s->limited = true;
		return false;
	}
	if (!spend(s, a->nr + b->nr * runs))
		return false;
	marks_table(a, &t);
	for (i = 0; i < b->a.nr && !done; i++, x++)
		for (gen = x->min + 1; gen <= x->max && !done; gen++) {
			const u64 want = s->delta - (pdata_leaf_mark(x->block, gen) - x->gone);

			for (k = 0; k < runs && !done; k++) {
				if (!table_find(&t, want + run[k].sum, &other))
					continue;
				done = true;
				sol->run = run[k];
				sol->leaf[0] = ((struct guess *)a->a.v)[other].leaf;
				sol->leaf[1] = x->leaf;
			}
		}
	table_exit(&t);
	return done;
}

/* ---- lost leaves ---- */

/* A block that may have been a leaf which nothing points to any more. */
static bool may_be_leaf(const struct repair *r, u64 block, u64 high)
{
	u32 count;

	if (rp_find(r, block) || pdata_is_reserved(block, r->sb.journal_blocks))
		return false;
	if (rp_count(r, block, &count))
		return count;
	return block < high;
}

/* Bad blocks, all generations. Those that a pointer leads to are known otherwise. */
static void guess_unknown(struct repair *r, struct guesses *g)
{
	const struct rp_block *last = r->index.nr ? rp_block(r, r->index.nr) : NULL;
	const u64 high = last ? last->block : 0;
	u64 block;

	for (block = 0; block < r->nr_blocks; block++)
		if (may_be_leaf(r, block, high))
			guesses_add(g, block, 0, r->generation, 0, 0);
}

struct case_of {
	struct rp_thin *t;
	const struct rp_array *lost;	/* u32 */
	struct rp_array *items;		/* for each: the newest leaves */
	struct guesses known[2];	/* lost leaves whose block is known */
	unsigned int nr_known;
	unsigned int nr_open;		/* lost nodes of which nothing is proven */
};

static void add_run(struct solver *s, u64 sum, u32 lost, u32 from, u32 nr)
{
	*(struct run *)rp_array_add(&s->runs, sizeof(struct run)) =
		(struct run){ sum, lost, from, nr };
}

static void add_runs(struct solver *s, const struct rp_array *items, u32 lost)
{
	struct rp_array one = { .nr = 1 };
	u32 from, nr;
	u64 sum;

	for (from = 0; from < items->nr; from++) {
		sum = 0;
		for (nr = 1; nr <= RUN_MAX && from + nr <= items->nr; nr++) {
			one.v = (struct rp_item *)items->v + from + nr - 1;
			sum += rp_sum_of(s->r, &one);
			add_run(s, sum, lost, from, nr);
		}
	}
}

/* Set up what is known of a thin: false if there is too much that is not. */
static bool prepare(struct repair *r, struct case_of *c, struct solver *s)
{
	const u32 *v = c->lost->v;
	u64 sum = c->t->sum;
	struct rp_lost *l;
	size_t i;

	add_run(s, 0, 0, 0, 0);
	for (i = 0; i < c->lost->nr; i++) {
		l = rp_lost(r, v[i] - 1);
		if (l->found) {
			sum += l->sum;
		} else if (!l->level) {
			if (c->nr_known == 2)
				return false;
			guesses_add(&c->known[c->nr_known++], l->block, 0, l->max_generation, 0, 0);
		} else {
			/* Holes that counts have left are leaves of unknown number. */
			rp_newest_leaves(r, c->t, l, &c->items[i]);
			sum += rp_sum_of(r, &c->items[i]);
			add_runs(s, &c->items[i], i);
			c->nr_open++;
		}
	}
	s->delta = c->t->d.leaf_sum - sum;
	make_run_table(s);
	return true;
}

static bool solve(struct solver *s, struct case_of *c, struct solution *sol)
{
	struct guesses unknown = { };
	bool ok = false;

	if (c->nr_known == 2)
		return solve_two(s, &c->known[0], &c->known[1], sol);
	if (c->nr_known == 1)
		ok = solve_one(s, &c->known[0], sol);
	if (ok || !c->nr_open)
		return ok;
	guess_unknown(s->r, &unknown);
	if (!c->nr_known)
		ok = solve_one(s, &unknown, sol);
	if (!ok)
		ok = solve_two(s, c->nr_known ? &c->known[0] : &unknown, &unknown, sol);
	guesses_exit(&unknown);
	return ok;
}

/* Give lost nodes their leaves, but for those that turned out to be older ones. */
static int apply(struct repair *r, struct case_of *c, const struct solution *sol)
{
	const u32 *v = c->lost->v;
	struct rp_array *items;
	struct rp_item *it;
	struct rp_lost *l;
	size_t i, k;
	int err = 0;

	for (i = 0; i < c->lost->nr && !err; i++) {
		l = rp_lost(r, v[i] - 1);
		if (l->found || !l->level)
			continue;
		items = &c->items[i];
		it = items->v;
		if (sol->run.nr && sol->run.lost == i) {
			for (k = sol->run.from + sol->run.nr; k < items->nr; k++)
				it[k - sol->run.nr] = it[k];
			items->nr -= sol->run.nr;
		}
		for (k = 0; k < items->nr && !err; k++)
			err = rp_visit(r, it[k].child);
		rp_set_items(r, l, items);
		l->proven = true;
		l->by_sum = true;
	}
	c->t->verified = true;
	return err;
}

static int search_thin(struct repair *r, struct rp_thin *t, const struct rp_array *lost)
{
	struct case_of c = {
		.t = t,
		.lost = lost,
		.items = tool_alloc((lost->nr + 1) * sizeof(*c.items)),
	};
	struct solver s = { .r = r, .work = WORK_MAX };
	struct solution sol;
	size_t i;
	int err = 0;

	if (prepare(r, &c, &s)) {
		if (solve(&s, &c, &sol))
			err = apply(r, &c, &sol);
		else
			t->mismatch |= !c.nr_open && !s.limited;
	}
	for (i = 0; i < lost->nr; i++)
		free(c.items[i].v);
	free(c.items);
	guesses_exit(&c.known[0]);
	guesses_exit(&c.known[1]);
	free(s.runs.v);
	table_exit(&s.run_table);
	return err;
}

static bool is_settled(const struct rp_thin *t)
{
	return t->tombstone || t->proven || t->verified || t->d.flags & PDATA_THIN_SUM_LOST;
}

int rp_search(struct repair *r)
{
	struct rp_array lost = { };
	struct rp_thin *t;
	size_t i;
	int err = 0;

	r->search_left = WORK_TOTAL;
	for (i = 0, t = r->thins.v; i < r->thins.nr && !err; i++, t++) {
		if (is_settled(t) || !t->broken)
			continue;
		r->visiting = i;
		err = rp_collect_lost(r, t, &lost);
		if (!err && lost.nr <= 4096)
			err = search_thin(r, t, &lost);
	}
	free(lost.v);
	return err;
}
