// SPDX-License-Identifier: GPL-2.0-only
/*
 * What repair is built on.
 *
 * A thin's leaf_sum is that of the leaves below its root. Of two leaves of one
 * owner over the same key, be they in use or left behind, the later one has no
 * lower seq. And a thin has at each key the newest leaf of its own that there
 * is, or else the newest one of its origin that is no newer than its
 * origin_seq, and so on up the chain, through tombstones.
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

struct entry {
	struct thin2_details d;
	bool has_child;
	size_t first;		/* its leaves: of leaf_check.all */
	size_t nr;
};

struct leaf_check {
	struct pool_sim *ps;
	struct pdata_view view;
	struct entry *entry;	/* thins and tombstones */
	size_t nr;
	size_t max;
	struct leaves all;	/* of all thins, shared ones for each of them */
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
	leaves_add(c->ps, &c->all, b.data);
	pdata_view_release(&c->view, &b);
	return 0;
}

static void check_sum(struct leaf_check *c, const struct entry *e)
{
	const struct leaf *l = &c->all.v[e->first];
	u64 sum = 0;
	size_t i;

	for (i = 0; i < e->nr; i++)
		sum += pdata_leaf_mark(l[i].block, l[i].generation);
	if (e->d.flags & PDATA_THIN_SUM_LOST)
		ps_die(c->ps, "thin %u: nothing was damaged, its leaf_sum is lost", e->d.id);
	if (sum != e->d.leaf_sum)
		ps_die(c->ps, "thin %u: leaf_sum is 0x%llx, that of its %zu leaves 0x%llx",
		       e->d.id, e->d.leaf_sum, e->nr, sum);
}

static int on_entry(void *context, u64 key, const void *value)
{
	struct leaf_check *c = context;
	struct entry *e;
	struct pdata_rt rt;
	int r;

	if (c->nr == c->max) {
		c->max = c->max ? 2 * c->max : 32;
		c->entry = realloc(c->entry, c->max * sizeof(*c->entry));
		if (!c->entry)
			ps_die(c->ps, "out of memory");
	}
	e = &c->entry[c->nr++];
	memset(e, 0, sizeof(*e));
	thin2_details_unpack(value, &e->d);
	if (!!(e->d.flags & PDATA_THIN_TOMBSTONE) != (key == PDATA_TOMBSTONE_KEY(e->d.uid)))
		ps_die(c->ps, "uid %llu, flags %u, has key 0x%llx", e->d.uid, e->d.flags, key);
	if ((e->d.flags & PDATA_THIN_TOMBSTONE) && e->d.root)
		ps_die(c->ps, "the tombstone of uid %llu has a root", e->d.uid);
	e->first = c->all.nr;
	thin2_rt_init_details(c->ps->md, &e->d, &rt);
	r = pdata_rt_walk(&rt, &c->view, e->d.root, 0, PDATA_MAX_UNITS, on_node, NULL, c);
	if (r)
		ps_die(c->ps, "walk: %d", r);
	e->nr = c->all.nr - e->first;
	check_sum(c, e);
	return 0;
}

/* ---- origins ---- */

static struct entry *find_entry(struct leaf_check *c, u64 uid)
{
	size_t i;

	for (i = 0; i < c->nr; i++)
		if (c->entry[i].d.uid == uid)
			return &c->entry[i];
	ps_die(c->ps, "uid %llu is an origin and has no entry", uid);
}

/*
 * How far @owner is from @e up the chain, 0 if it is @e itself; *limit is the
 * highest seq of its leaves that @e may have.
 */
static unsigned int chain_find(struct leaf_check *c, const struct entry *e, u64 owner, u64 *limit)
{
	unsigned int steps = 0;

	*limit = e->d.applied_seq;
	while (e->d.uid != owner) {
		if (!e->d.origin_uid)
			return ~0u;
		if (e->d.origin_uid >= e->d.uid)
			ps_die(c->ps, "uid %llu has origin %llu", e->d.uid, e->d.origin_uid);
		*limit = e->d.origin_seq;
		e = find_entry(c, e->d.origin_uid);
		steps++;
	}
	return steps;
}

/* Nothing that repair would prefer to leaf @l of @e is in use anywhere. */
static void check_leaf(struct leaf_check *c, const struct entry *e, const struct leaf *l)
{
	const struct leaf *other;
	unsigned int steps, far;
	u64 limit;

	steps = chain_find(c, e, l->owner, &limit);
	if (steps == ~0u)
		ps_die(c->ps, "thin %u, uid %llu: block %llu is owned by uid %llu, no origin of it",
		       e->d.id, e->d.uid, l->block, l->owner);
	if (l->seq > limit)
		ps_die(c->ps, "thin %u, uid %llu: block %llu of uid %llu has seq %llu, above %llu",
		       e->d.id, e->d.uid, l->block, l->owner, l->seq, limit);
	for (other = c->all.v; other < c->all.v + c->all.nr; other++) {
		if (other->block == l->block || !leaves_overlap(other, l))
			continue;
		far = chain_find(c, e, other->owner, &limit);
		if (far > steps || other->seq > limit ||
		    (far == steps && other->generation < l->generation))
			continue;
		ps_die(c->ps, "thin %u, uid %llu: has block %llu of uid %llu, seq %llu, generation %llu, not block %llu of %llu, %llu, %llu",
		       e->d.id, e->d.uid, l->block, l->owner, l->seq, l->generation,
		       other->block, other->owner, other->seq, other->generation);
	}
}

static void check_origins(struct leaf_check *c)
{
	struct thin2_md *md = c->ps->md;
	u64 tombstones = 0, origins = 0;
	size_t i, k;

	for (i = 0; i < c->nr; i++)
		if (c->entry[i].d.origin_uid)
			find_entry(c, c->entry[i].d.origin_uid)->has_child = true;
	for (i = 0; i < c->nr; i++) {
		const struct entry *e = &c->entry[i];

		for (k = 0; k < e->nr; k++)
			check_leaf(c, e, &c->all.v[e->first + k]);
		origins += e->has_child;
		if (!(e->d.flags & PDATA_THIN_TOMBSTONE))
			continue;
		tombstones++;
		if (!e->has_child)
			ps_die(c->ps, "nobody descends from uid %llu, which has a tombstone",
			       e->d.uid);
	}
	if (md->nr_tombstones != tombstones || md->nr_origins != origins || md->nr_childless)
		ps_die(c->ps, "%llu tombstones, %llu origins; %llu, %llu and %llu without children in memory",
		       tombstones, origins, md->nr_tombstones, md->nr_origins, md->nr_childless);
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
	check_origins(&c);
	free(c.entry);
	free(c.all.v);
	check_seqs(ps);
}
