// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_check: the entries of thins.
 *
 * There are two details trees, which must agree. Where one cannot be read the
 * other one's entries count, as for the pool.
 */
#include "check.h"

void key_ranges_add(struct key_ranges *k, u64 first, u64 last)
{
	if (k->nr == k->max) {
		k->max = k->max ? 2 * k->max : 16;
		k->v = tool_realloc(k->v, k->max * sizeof(*k->v));
	}
	k->v[k->nr++] = (struct key_range){ first, last };
}

static bool key_ranges_have(const struct key_ranges *k, u64 key)
{
	size_t i;

	for (i = 0; i < k->nr; i++)
		if (k->v[i].first <= key && key <= k->v[i].last)
			return true;
	return false;
}

/* ---- one entry ---- */

static void details_report(struct tree *t, const struct walk_at *at,
			   const struct thin2_details *d, const char *what,
			   u64 expected, u64 found)
{
	struct finding f = tree_finding(t, at, SEV_FATAL, what);

	f.uid = d->uid;
	f.id = d->id;
	f.has_id = true;
	f.has_values = true;
	f.expected = expected;
	f.found = found;
	report(t->c, &f);
}

static bool is_tombstone(const struct thin2_details *d)
{
	return d->flags & PDATA_THIN_TOMBSTONE;
}

static void details_check(struct tree *t, const struct walk_at *at, u64 key,
			  const struct thin2_details *d)
{
	const struct pdata_super *sb = &t->c->sb;
	const u32 known = PDATA_THIN_DELETING | PDATA_THIN_TOMBSTONE | PDATA_THIN_SUM_LOST;

	const bool deleting = t->kind == NODE_DELETING;
	const u64 place = deleting ? d->uid : is_tombstone(d) ? PDATA_TOMBSTONE_KEY(d->uid) :
								 d->id;

	if (key != place)
		details_report(t, at, d, "key", key, place);
	if (d->uid < PDATA_FIRST_UID || d->uid >= sb->next_uid)
		details_report(t, at, d, "uid never given out", sb->next_uid - 1, d->uid);
	if (d->flags & ~known)
		details_report(t, at, d, "flags", known, d->flags);
	if (!!(d->flags & PDATA_THIN_DELETING) != deleting)
		details_report(t, at, d, "deleting flag", deleting, d->flags);
	if (is_tombstone(d) && deleting)
		details_report(t, at, d, "tombstone in the deleting tree", 0, d->flags);
	if (is_tombstone(d) && d->root)
		details_report(t, at, d, "root of a tombstone", 0, d->root);
	if (d->origin_uid >= d->uid)
		details_report(t, at, d, "origin is no older", d->uid - 1, d->origin_uid);
	if (d->create_time > sb->time)
		details_report(t, at, d, "creation time in the future", sb->time, d->create_time);
	if (d->snap_time > sb->time)
		details_report(t, at, d, "snapshot time in the future", sb->time, d->snap_time);
	if (d->created_gen > sb->generation)
		details_report(t, at, d, "created by a later checkpoint", sb->generation,
			       d->created_gen);
	if (d->mapped_units > PDATA_MAX_UNITS)
		details_report(t, at, d, "mapped units", PDATA_MAX_UNITS, d->mapped_units);
	if (d->delete_cursor > PDATA_MAX_UNITS)
		details_report(t, at, d, "delete cursor", PDATA_MAX_UNITS, d->delete_cursor);
}

/* Entries of one tree, in order of keys. */
struct entries {
	struct tree t;		/* first */
	struct thin *v;
	size_t nr;
	size_t max;
	struct key_ranges lost;
};

static void entries_add(struct entries *e, const struct thin *thin)
{
	if (e->nr == e->max) {
		e->max = e->max ? 2 * e->max : 64;
		e->v = tool_realloc(e->v, e->max * sizeof(*e->v));
	}
	e->v[e->nr++] = *thin;
}

static int details_entry(struct walk *w, const struct walk_at *at, u64 key, const void *value)
{
	struct entries *e = (struct entries *)w;
	struct thin thin = {
		.key = key, .block = at->block, .held = e->t.held,
		.deleting = e->t.kind == NODE_DELETING,
	};

	thin2_details_unpack(value, &thin.d);
	details_check(&e->t, at, key, &thin.d);
	entries_add(e, &thin);
	return 0;
}

/* Give back with entries_free(). @twice: another tree has the same. */
static int read_entries(struct check *c, struct entries **result, enum node_kind kind, u64 root,
			bool held, bool twice)
{
	static const u64 owner[] = {
		[NODE_DETAILS] = PDATA_OWNER_DETAILS,
		[NODE_DETAILS_COPY] = PDATA_OWNER_DETAILS_COPY,
		[NODE_DELETING] = PDATA_OWNER_DELETING,
	};
	struct entries *e = tool_alloc(sizeof(*e));
	int r;

	*result = e;
	tree_init(&e->t, c, kind, owner[kind]);
	e->t.held = held;
	e->t.lost = twice ? &e->lost : NULL;
	e->t.w.entry = details_entry;
	r = walk_btree(&e->t.w, root);
	walk_exit(&e->t.w);
	return r;
}

static void entries_free(struct entries *e)
{
	free(e->v);
	free(e->lost.v);
	free(e);
}

static void thin_add(struct check *c, const struct thin *thin)
{
	if (c->nr_thins == c->max_thins) {
		c->max_thins = c->max_thins ? 2 * c->max_thins : 64;
		c->thin = tool_realloc(c->thin, c->max_thins * sizeof(*c->thin));
	}
	c->thin[c->nr_thins++] = *thin;
}

static int check_single(struct check *c, enum node_kind kind, u64 root, bool held)
{
	struct entries *e;
	size_t i;
	int r = read_entries(c, &e, kind, root, held, false);

	for (i = 0; i < e->nr; i++)
		thin_add(c, &e->v[i]);
	entries_free(e);
	return r;
}

/* ---- two trees with the same entries ---- */

static void report_entry(const struct entries *e, const struct thin *thin, const char *what)
{
	const struct walk_at at = { .block = thin->block };
	struct finding f = tree_finding(&e->t, &at, SEV_FATAL, what);

	f.uid = thin->d.uid;
	f.id = thin->d.id;
	f.has_id = true;
	report(e->t.c, &f);
}

/* @thin of @e has no counterpart in @other. */
static void only_here(const struct entries *e, const struct thin *thin,
		      const struct entries *other)
{
	if (!key_ranges_have(&other->lost, thin->key))
		report_entry(e, thin, "the other details tree lacks this entry");
	thin_add(e->t.c, thin);
}

static void compare_entries(struct check *c, const struct entries *a, const struct entries *b)
{
	size_t i = 0, k = 0;

	while (i < a->nr || k < b->nr) {
		if (k == b->nr || (i < a->nr && a->v[i].key < b->v[k].key)) {
			only_here(a, &a->v[i++], b);
			continue;
		}
		if (i == a->nr || b->v[k].key < a->v[i].key) {
			only_here(b, &b->v[k++], a);
			continue;
		}
		if (memcmp(&a->v[i].d, &b->v[k].d, sizeof(a->v[i].d)))
			report_entry(b, &b->v[k], "the other details tree says otherwise");
		thin_add(c, &a->v[i++]);
		k++;
	}
}

static void compare_lost(struct check *c, const struct entries *a, const struct entries *b)
{
	struct finding f = FINDING(SEV_FATAL, "details", "entries are lost in both trees");
	size_t i, k;

	for (i = 0; i < a->lost.nr; i++)
		for (k = 0; k < b->lost.nr; k++) {
			const struct key_range *x = &a->lost.v[i], *y = &b->lost.v[k];

			f.unit = "thin ids";
			f.begin = max(x->first, y->first);
			f.end = min(x->last, y->last) + 1;
			if (f.begin > f.end - 1)
				continue;
			c->details_lost = true;
			report(c, &f);
		}
}

static int check_twice(struct check *c)
{
	struct entries *a, *b = NULL;
	int r;

	r = read_entries(c, &a, NODE_DETAILS, c->sb.details_root, false, true);
	if (!r)
		r = read_entries(c, &b, NODE_DETAILS_COPY, c->sb.details_copy_root, false, true);
	if (!r) {
		compare_entries(c, a, b);
		compare_lost(c, a, b);
	}
	entries_free(a);
	if (b)
		entries_free(b);
	return r;
}

/* ---- all of them ---- */

/* By uid; what is in use comes first, then what is being deleted, then what is only held. */
static int cmp_thin(const void *a, const void *b)
{
	const struct thin *x = a, *y = b;

	if (x->d.uid != y->d.uid)
		return x->d.uid < y->d.uid ? -1 : 1;
	if (x->held != y->held)
		return (int)x->held - (int)y->held;
	return (int)x->deleting - (int)y->deleting;
}

static void check_uids(struct check *c)
{
	struct finding f = FINDING(SEV_FATAL, "details", "two thins have one uid");
	const struct thin *thin, *last;
	size_t i;

	if (c->nr_thins)
		qsort(c->thin, c->nr_thins, sizeof(*c->thin), cmp_thin);
	for (i = 1; i < c->nr_thins; i++) {
		thin = &c->thin[i];
		last = thin - 1;
		/* A held checkpoint knows the same thins again. */
		if (thin->held || thin->d.uid != last->d.uid)
			continue;
		/* And one that is being deleted may have left a tombstone. */
		if (thin->deleting && is_tombstone(&last->d))
			continue;
		f.uid = thin->d.uid;
		f.id = thin->d.id;
		f.has_id = true;
		report(c, &f);
	}
}

/* ---- origins ---- */

/* The thin or tombstone of @uid. */
static struct thin *find_origin(const struct check *c, u64 uid)
{
	size_t lo = 0, hi = c->nr_thins, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (c->thin[mid].d.uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == c->nr_thins || c->thin[lo].d.uid != uid || c->thin[lo].deleting ||
	    c->thin[lo].held)
		return NULL;
	return &c->thin[lo];
}

static void report_origin(struct check *c, const struct thin *thin, enum severity severity,
			  const char *what, const char *text)
{
	struct finding f = FINDING(severity, "details", what);

	f.uid = thin->d.uid;
	f.id = thin->d.id;
	f.has_id = true;
	f.text = text;
	report(c, &f);
}

/* Chains of origins are what repair goes along. Nothing else needs them. */
static void check_origins(struct check *c)
{
	struct thin *thin, *origin;
	size_t i;

	for (i = 0; i < c->nr_thins; i++) {
		thin = &c->thin[i];
		if (thin->deleting || thin->held || !thin->d.origin_uid)
			continue;
		origin = find_origin(c, thin->d.origin_uid);
		if (origin)
			origin->has_children = true;
		else if (!c->details_lost)
			report_origin(c, thin, SEV_LEAK, "its origin is not known",
				      "no thin or tombstone has that uid");
	}
	for (i = 0; i < c->nr_thins; i++) {
		thin = &c->thin[i];
		if (!is_tombstone(&thin->d))
			continue;
		c->nr_tombstones++;
		if (!thin->held && !thin->has_children && !c->details_lost)
			report_origin(c, thin, SEV_NOTE, "tombstone that nobody needs",
				      "it goes when the pool is in use");
	}
}

int check_details(struct check *c)
{
	u32 i;
	int r;

	r = check_twice(c);
	if (!r)
		r = check_single(c, NODE_DELETING, c->sb.deleting_root, false);
	for (i = 0; i < c->sb.nr_holds && !r; i++)
		if (c->sb.hold[i].kind != PDATA_HOLD_ROOT)
			r = check_single(c, NODE_DETAILS, c->sb.hold[i].root, true);
	check_uids(c);
	check_origins(c);
	return r;
}

int check_held_details(struct check *c, u64 root)
{
	int r = check_single(c, NODE_DETAILS, root, false);

	check_uids(c);
	check_origins(c);
	return r;
}
