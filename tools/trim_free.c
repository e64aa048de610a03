// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_trim: what is free?
 *
 * The data space map says. But what is discarded is gone, so the trees are asked,
 * too: nothing that a thin maps may be free.
 */
#include "trim.h"

#include "block_table.h"

struct find {
	struct source_walk h;		/* first */
	struct u64s *free;
	u64 pos;			/* counted up to here */
	struct block_table seen;	/* nodes */
};

static void add_free(struct find *f, u64 begin, u64 end)
{
	end = min(end, f->h.s->sb.data_units);
	if (begin >= end)
		return;
	u64s_add(f->free, begin);
	u64s_add(f->free, end);
}

/* Whatever its count, and if that was lost: the units are in use. */
static int sm_range(struct walk *w, const struct walk_at *at, const struct pdata_range *r)
{
	struct find *f = (struct find *)w;

	add_free(f, f->pos, r->begin);
	f->pos = max(f->pos, pdata_range_end(r));
	return 0;
}

/* The first pair that ends behind @unit. */
static size_t free_from(const struct find *f, u64 unit)
{
	size_t lo = 0, hi = f->free->nr / 2, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (f->free->v[2 * mid + 1] > unit)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

static int map_enter(struct walk *w, const struct walk_at *at)
{
	struct find *f = (struct find *)w;

	tool_progress("nodes", f->seen.nr, f->h.s->sb.meta_used);
	return (*block_table_get(&f->seen, at->block))++ > 0;
}

static int map_range(struct walk *w, const struct walk_at *at, const struct pdata_range *r)
{
	struct find *f = (struct find *)w;
	size_t i;

	if (r->kind != PDATA_RANGE_MAPPED)
		return 0;
	i = free_from(f, r->value);
	if (i == f->free->nr / 2 || f->free->v[2 * i] >= r->value + r->len)
		return 0;
	tool_err("%s: data blocks %llu..%llu are in use, but the space map has some as free: see thin2_check",
		 f->h.s->path, r->value, r->value + r->len - 1);
	return -PDATA_E_COUNT;
}

static int check_maps(struct find *f)
{
	struct source *s = f->h.s;
	size_t i;
	int r = 0;

	source_walk_init(&f->h, s, 0);
	f->h.w.enter = map_enter;
	f->h.w.range = map_range;
	for (i = 0; i < s->nr_thins && !r; i++)
		r = walk_range_tree(&f->h.w, s->thin[i].root);
	walk_exit(&f->h.w);
	block_table_exit(&f->seen);
	return r;
}

int trim_find_free(struct source *s, struct u64s *free)
{
	struct find f = { .free = free };
	int r;

	if (s->sb.flags & PDATA_SB_NEEDS_CHECK) {
		tool_err("%s: needs_check is set: thin2_check comes first", s->path);
		return -PDATA_E_CONTENT;
	}
	source_walk_init(&f.h, s, PDATA_OWNER_DATA_SM);
	f.h.w.range = sm_range;
	r = walk_range_tree(&f.h.w, s->sb.data_sm_root);
	walk_exit(&f.h.w);
	if (r)
		return r;
	add_free(&f, f.pos, PDATA_MAX_UNITS);
	return check_maps(&f);
}
