// SPDX-License-Identifier: GPL-2.0-only
/*
 * What leaves say of themselves, on which repair is built: a thin's leaf_sum is
 * that of the leaves below its root; and of two leaves of one owner over the
 * same key, be they in use or left behind, the later one has no lower seq.
 */
#include <stdlib.h>

#include "pool-sim.h"

struct leaf {
	u64 block;
	u64 owner;
	u64 generation;
	u64 seq;
	u64 lo;
	u64 hi;
};

struct leaves {
	struct leaf *v;
	size_t nr;
	size_t max;
};

struct leaf_check {
	struct pool_sim *ps;
	struct pdata_view view;
	struct leaves thin;	/* of the thin that is walked */
};

static void leaves_add(struct pool_sim *ps, struct leaves *ls, const void *data)
{
	const struct pdata_range_leaf_disk *d = data;

	if (ls->nr == ls->max) {
		ls->max = ls->max ? 2 * ls->max : 256;
		ls->v = realloc(ls->v, ls->max * sizeof(*ls->v));
		if (!ls->v)
			ps_die(ps, "out of memory");
	}
	ls->v[ls->nr++] = (struct leaf) {
		.block = le64_to_cpu(d->h.blocknr),
		.owner = le64_to_cpu(d->h.owner),
		.generation = le64_to_cpu(d->h.generation),
		.seq = le64_to_cpu(d->h.seq),
		.lo = le64_to_cpu(d->r.lo),
		.hi = le64_to_cpu(d->r.hi),
	};
}

static bool leaves_overlap(const struct leaf *a, const struct leaf *b)
{
	return a->lo < b->hi && b->lo < a->hi;
}

/* ---- thins ---- */

static int on_node(void *context, u64 ptr, unsigned int level, u64 lo, u64 hi, int err)
{
	struct leaf_check *c = context;
	struct pdata_ro b;
	int r = err;

	if (!r && !level)
		r = pdata_view_read(&c->view, ptr, PDATA_TYPE_RANGE_LEAF, &b);
	if (r)
		ps_die(c->ps, "range block %llu: %s", pdata_ptr_block(ptr), pdata_error_text(r));
	if (level)
		return 0;
	leaves_add(c->ps, &c->thin, b.data);
	pdata_view_release(&c->view, &b);
	return 0;
}

static void check_sum(struct leaf_check *c, const struct thin2_details *d)
{
	const struct leaves *ls = &c->thin;
	u64 sum = 0;
	size_t i;

	for (i = 0; i < ls->nr; i++)
		sum += pdata_leaf_mark(ls->v[i].block, ls->v[i].generation);
	if (d->flags & PDATA_THIN_SUM_LOST)
		ps_die(c->ps, "thin %u: nothing was damaged, its leaf_sum is lost", d->id);
	if (sum != d->leaf_sum)
		ps_die(c->ps, "thin %u: leaf_sum is 0x%llx, that of its %zu leaves 0x%llx", d->id,
		       d->leaf_sum, ls->nr, sum);
}

static int on_entry(void *context, u64 key, const void *value)
{
	struct leaf_check *c = context;
	struct thin2_details d;
	struct pdata_rt rt;
	int r;

	thin2_details_unpack(value, &d);
	c->thin.nr = 0;
	thin2_rt_init_details(c->ps->md, &d, &rt);
	r = pdata_rt_walk(&rt, &c->view, d.root, 0, PDATA_MAX_UNITS, on_node, NULL, c);
	if (r)
		ps_die(c->ps, "walk: %d", r);
	check_sum(c, &d);
	return 0;
}

/* ---- all leaves that lie about ---- */

static int cmp_leaf(const void *a, const void *b)
{
	const struct leaf *x = a, *y = b;

	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	return x->generation < y->generation ? -1 : x->generation > y->generation;
}

static void check_seqs(struct pool_sim *ps)
{
	const struct pdata_range_leaf_disk *d;
	struct leaves ls = { 0 };
	size_t i, k;
	u64 b;

	for (b = 0; b < ps->md->sb.meta_blocks; b++) {
		d = sim_peek(ps->meta, b);
		if (le32_to_cpu(d->h.magic) == PDATA_TYPE_RANGE_LEAF &&
		    le64_to_cpu(d->h.owner) >= PDATA_FIRST_UID)
			leaves_add(ps, &ls, d);
	}
	if (ls.nr)
		qsort(ls.v, ls.nr, sizeof(*ls.v), cmp_leaf);
	for (i = 0; i < ls.nr; i++)
		for (k = i + 1; k < ls.nr && ls.v[k].owner == ls.v[i].owner; k++)
			if (ls.v[k].seq < ls.v[i].seq &&
			    ls.v[k].generation > ls.v[i].generation &&
			    leaves_overlap(&ls.v[k], &ls.v[i]))
				ps_die(ps, "uid %llu: block %llu of generation %llu has seq %llu, block %llu of generation %llu has %llu",
				       ls.v[i].owner, ls.v[k].block, ls.v[k].generation,
				       ls.v[k].seq, ls.v[i].block, ls.v[i].generation, ls.v[i].seq);
	free(ls.v);
}

void ps_check_leaves(struct pool_sim *ps)
{
	struct thin2_md *md = ps->md;
	struct leaf_check c = { .ps = ps, .view = { .tm = &md->tm } };
	int r;

	r = pdata_btree_walk(&md->details, &c.view, md->details.root, NULL, on_entry, &c);
	if (r)
		ps_die(ps, "walk: %d", r);
	free(c.thin.v);
	check_seqs(ps);
}
