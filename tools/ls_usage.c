// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_ls: what is mapped by one thin only?
 *
 * The first walk reads each node of all trees once and counts the pointers to it.
 * Data that several leaves map is found from the leaves' ranges. The second walk
 * looks only at what one thin alone points to: all else is shared.
 */
#include "ls.h"

#include "block_table.h"
#include "extents.h"

struct usage {
	struct source_walk h;		/* first */
	struct block_table refs;	/* pointers to a node */
	struct block_table ends;	/* one past the highest unit below it */
	struct u64s begins;		/* of data ranges in distinct leaves */
	struct u64s tails;		/* their ends */
	struct u64s twice;		/* begin and end of what several of them have, in order */
	unsigned int depth;
	u64 end[WALK_MAX_LEVEL + 2];	/* highest below the node at each depth */
	u64 exclusive;
};

/* ---- first walk ---- */

static int count_enter(struct walk *w, const struct walk_at *at)
{
	struct usage *u = (struct usage *)w;
	u64 *refs = block_table_get(&u->refs, at->block);

	tool_progress("nodes", u->refs.nr, u->h.s->sb.meta_used);
	if ((*refs)++) {
		u->end[u->depth] = max(u->end[u->depth], *block_table_get(&u->ends, at->block));
		return 1;
	}
	return 0;
}

static int count_node(struct walk *w, const struct walk_at *at, const struct pdata_header *h)
{
	struct usage *u = (struct usage *)w;

	u->end[++u->depth] = 0;
	return 0;
}

static int count_leave(struct walk *w, const struct walk_at *at)
{
	struct usage *u = (struct usage *)w;
	const u64 end = u->end[u->depth--];

	*block_table_get(&u->ends, at->block) = end;
	u->end[u->depth] = max(u->end[u->depth], end);
	return 0;
}

static int count_range(struct walk *w, const struct walk_at *at, const struct pdata_range *r)
{
	struct usage *u = (struct usage *)w;

	if (r->kind != PDATA_RANGE_MAPPED)
		return 0;
	u->end[u->depth] = pdata_range_end(r);
	u64s_add(&u->begins, r->value);
	return u64s_add(&u->tails, r->value + r->len);
}

static int count_all(struct usage *u, struct ls_usage *result)
{
	struct walk *w = &u->h.w;
	size_t i;
	int r = 0;

	w->enter = count_enter;
	w->node = count_node;
	w->leave = count_leave;
	w->range = count_range;
	for (i = 0; i < u->h.s->nr_thins && !r; i++) {
		u->depth = 0;
		u->end[0] = 0;
		r = walk_range_tree(w, u->h.s->thin[i].root);
		result[i].end = u->end[0];
	}
	return r;
}

static void find_twice(struct usage *u)
{
	struct sweep s = { .begins = &u->begins, .ends = &u->tails };

	u64s_sort(&u->begins);
	u64s_sort(&u->tails);
	for (sweep_next(&s); s.begin < s.end; sweep_next(&s)) {
		if (s.count < 2)
			continue;
		u64s_add(&u->twice, s.begin);
		u64s_add(&u->twice, s.end);
	}
}

/* ---- second walk ---- */

static int own_enter(struct walk *w, const struct walk_at *at)
{
	struct usage *u = (struct usage *)w;

	return *block_table_get(&u->refs, at->block) > 1;
}

/* The first pair in u->twice that ends behind @unit. */
static size_t twice_from(const struct usage *u, u64 unit)
{
	size_t lo = 0, hi = u->twice.nr / 2, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (u->twice.v[2 * mid + 1] > unit)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

static int own_range(struct walk *w, const struct walk_at *at, const struct pdata_range *r)
{
	struct usage *u = (struct usage *)w;
	const u64 end = r->value + r->len;
	size_t i;

	if (r->kind != PDATA_RANGE_MAPPED)
		return 0;
	u->exclusive += r->len;
	for (i = twice_from(u, r->value); i < u->twice.nr / 2 && u->twice.v[2 * i] < end; i++)
		u->exclusive -= min(end, u->twice.v[2 * i + 1]) - max(r->value, u->twice.v[2 * i]);
	return 0;
}

static int own_all(struct usage *u, struct ls_usage *result)
{
	struct walk *w = &u->h.w;
	size_t i;
	int r = 0;

	w->enter = own_enter;
	w->node = NULL;
	w->leave = NULL;
	w->range = own_range;
	for (i = 0; i < u->h.s->nr_thins && !r; i++) {
		u->exclusive = 0;
		r = walk_range_tree(w, u->h.s->thin[i].root);
		result[i].exclusive = u->exclusive;
	}
	return r;
}

int ls_usage(struct source *s, struct ls_usage **usage)
{
	struct usage *u = tool_alloc(sizeof(*u));
	int r;

	*usage = tool_alloc((s->nr_thins + 1) * sizeof(**usage));
	source_walk_init(&u->h, s, 0);
	r = count_all(u, *usage);
	if (!r) {
		find_twice(u);
		r = own_all(u, *usage);
	}
	walk_exit(&u->h.w);
	block_table_exit(&u->refs);
	block_table_exit(&u->ends);
	free(u->begins.v);
	free(u->tails.v);
	free(u->twice.v);
	free(u);
	return r;
}
