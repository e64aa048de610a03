// SPDX-License-Identifier: GPL-2.0-only
/* Data of a simulated pool, the model of what it may hold, and comparing them. */
#include <stdlib.h>

#include "pool-sim.h"

#define STALE_TAG	0x57a1e000u

/* ---- data ---- */

/* Each sector carries a tag and its own number; tag 0 is zeroes. */
static void page_fill(void *page, const u32 *tag)
{
	unsigned int s;
	u32 *p = page;

	memset(page, 0, PDATA_BLOCK_SIZE);
	for (s = 0; s < PS_SECTORS; s++) {
		p[s * 128] = tag[s];
		p[s * 128 + 127] = tag[s] ? tag[s] + s : 0;
	}
}

static int tags_write(struct pool_sim *ps, u64 phys, const u32 *tag, bool fua)
{
	char page[PDATA_BLOCK_SIZE] __attribute__((aligned(8)));

	page_fill(page, tag);
	return sim_write(ps->data, phys, page, fua);
}

static void tags_same(u32 *tags, u32 tag)
{
	unsigned int s;

	for (s = 0; s < PS_SECTORS; s++)
		tags[s] = tag;
}

int ps_data_write(struct pool_sim *ps, u64 phys, u32 tag, bool fua)
{
	u32 tags[PS_SECTORS];

	tags_same(tags, tag);
	return tags_write(ps, phys, tags, fua);
}

int ps_data_write_part(struct pool_sim *ps, const struct ps_flight *f, const u32 *old)
{
	u32 tags[PS_SECTORS];
	unsigned int s;

	memcpy(tags, old, sizeof(tags));
	for (s = f->from; s < f->to; s++)
		tags[s] = f->tag[0];
	return tags_write(ps, f->phys, tags, f->fua);
}

void ps_data_tags(struct pool_sim *ps, u64 phys, u32 *tag)
{
	const u32 *page = sim_peek(ps->data, phys);
	unsigned int s;

	for (s = 0; s < PS_SECTORS; s++)
		tag[s] = page[s * 128];
}

/* Content of a former user, which nobody may ever see. */
void ps_data_stale(struct pool_sim *ps, u64 phys)
{
	char page[PDATA_BLOCK_SIZE] __attribute__((aligned(8)));
	u32 tags[PS_SECTORS];

	tags_same(tags, STALE_TAG);
	page_fill(page, tags);
	sim_poke(ps->data, phys, page);
}

/* ---- versions ---- */

static const u32 *newest(const struct ps_unit *u)
{
	return u->tag[u->nr - 1];
}

void ps_touch(struct pool_sim *ps, struct ps_thin *t, u64 unit, u32 from, u32 to, u32 tag)
{
	struct ps_unit *u = &t->unit[unit];
	unsigned int s;
	u32 *v;

	if (u->nr == PS_MAX_VERSIONS)
		ps_die(ps, "model: too many versions of a unit");
	v = u->tag[u->nr];
	memcpy(v, newest(u), sizeof(u->tag[0]));
	if (from == to)
		to = PS_SECTORS;
	for (s = from; s < to; s++)
		v[s] = tag;
	u->nr++;
	if (ps->watched == t)
		ps->touched[unit] = true;
}

/* Is the newest content of a unit still on its way? */
static bool in_flight(struct pool_sim *ps, const struct ps_thin *t, u64 unit)
{
	const u32 *v = newest(&t->unit[unit]);
	const struct ps_flight *f;

	for (f = ps->flight; f < ps->flight + PS_MAX_FLIGHT; f++)
		if (f->state == PS_ISSUED && f->th == t->th && unit >= f->unit &&
		    unit < f->unit + f->len && f->tag[unit - f->unit] == v[f->from])
			return true;
	return false;
}

void ps_flush_begins(struct pool_sim *ps)
{
	struct ps_thin *t;
	struct ps_unit *u;
	u64 i;

	for (t = ps->thin; t < ps->thin + PS_MAX_THINS; t++)
		for (i = 0; t->exists && i < ps->c.thin_units; i++) {
			u = &t->unit[i];
			u->keep = u->nr - 1;
			if (u->keep && in_flight(ps, t, i))
				u->keep--;
		}
}

void ps_flushed(struct pool_sim *ps)
{
	struct ps_thin *t;
	struct ps_unit *u;
	u64 i;

	for (t = ps->thin; t < ps->thin + PS_MAX_THINS; t++)
		for (i = 0; t->exists && i < ps->c.thin_units; i++) {
			u = &t->unit[i];
			if (!u->keep)
				continue;
			u->nr -= u->keep;
			memmove(u->tag, u->tag + u->keep, u->nr * sizeof(*u->tag));
			u->keep = 0;
		}
}

bool ps_is_full(struct pool_sim *ps, struct ps_thin *t, u64 begin, u64 len)
{
	u64 i;

	for (i = begin; i < begin + len; i++)
		if (t->unit[i].nr >= PS_MAX_VERSIONS - 1)
			return true;
	return false;
}

void ps_slot_fill(struct pool_sim *ps, struct ps_thin *t, const struct ps_thin *origin)
{
	struct ps_unit *u;
	u64 i;

	if (!t->unit)
		t->unit = malloc(ps->c.thin_units * sizeof(*t->unit));
	if (!t->unit)
		ps_die(ps, "out of memory");
	t->id = t - ps->thin;
	for (i = 0; i < ps->c.thin_units; i++) {
		u = &t->unit[i];
		u->nr = origin ? origin->unit[i].nr : 1;
		u->keep = 0;
		if (origin)
			memcpy(u->tag, origin->unit[i].tag, u->nr * sizeof(*u->tag));
		else
			memset(u->tag[0], 0, sizeof(u->tag[0]));
	}
}

/* ---- reading ---- */

enum found { FOUND_ZEROES, FOUND_DATA, FOUND_REFUSED };

static enum found refused(struct pool_sim *ps, struct ps_thin *t, u64 unit, const char *what, int r)
{
	if (!ps->faulty)
		ps_die(ps, "thin %u unit %llu: %s (%d)", t->id, unit, what, r);
	ps->refused++;
	return FOUND_REFUSED;
}

/* Where a unit's data is. */
static enum found locate(struct pool_sim *ps, struct ps_thin *t, u64 unit, u64 *phys)
{
	struct thin2_where where;
	int r;

	for (;;) {
		thin2_lookup(t->th, unit, unit + 1, false, &where);
		switch (where.action) {
		case THIN2_FILL:
			r = thin2_fill(t->th, unit, unit + 1);
			if (r)
				return refused(ps, t, unit, pdata_error_text(r), r);
			continue;
		case THIN2_WAIT:
			ps_drain(ps);
			continue;
		case THIN2_ZERO:
			return FOUND_ZEROES;
		case THIN2_REMAP:
			*phys = where.phys;
			return FOUND_DATA;
		default:
			return refused(ps, t, unit, "lookup says", where.action);
		}
	}
}

/* ---- snapshots ---- */

/*
 * Writes in flight at the cut, and those issued while the snapshot is taken,
 * may be in it or not; which it was shows now, and must not change any more.
 */
void ps_snap_settle(struct pool_sim *ps, struct ps_thin *snap)
{
	struct ps_unit *u;
	u32 tag[PS_SECTORS];
	u64 i, phys;

	for (i = 0; i < ps->c.thin_units; i++) {
		if (!ps->touched[i])
			continue;
		u = &snap->unit[i];
		memset(tag, 0, sizeof(tag));
		switch (locate(ps, snap, i, &phys)) {
		case FOUND_DATA:
			ps_data_tags(ps, phys, tag);
			break;
		case FOUND_REFUSED:
			continue;
		default:
			break;
		}
		while (u->nr > 1 && memcmp(newest(u), tag, sizeof(tag)))
			u->nr--;
		if (memcmp(newest(u), tag, sizeof(tag)))
			ps_die(ps, "snapshot %u unit %llu holds 0x%x, which was never written",
			       snap->id, i, tag[0]);
	}
}

void ps_snap_watch(struct pool_sim *ps, struct ps_thin *origin)
{
	const struct ps_flight *f;
	u64 i;

	memset(ps->touched, 0, ps->c.thin_units * sizeof(*ps->touched));
	for (f = ps->flight; f < ps->flight + PS_MAX_FLIGHT; f++)
		for (i = 0; f->state == PS_ISSUED && f->th == origin->th && i < f->len; i++)
			ps->touched[f->unit + i] = true;
	ps->watched = origin;
}

/* ---- held trees ---- */

void ps_hold(struct pool_sim *ps, struct ps_thin *t, u64 root)
{
	struct ps_held *h = ps->held;
	u64 i;

	while (h < ps->held + PS_MAX_HELD && h->used)
		h++;
	if (h == ps->held + PS_MAX_HELD)
		return;		/* not looked at */
	if (!h->tag)
		h->tag = malloc(ps->c.thin_units * sizeof(*h->tag));
	if (!h->tag)
		ps_die(ps, "out of memory");
	h->used = true;
	h->id = t->id;
	h->root = root;
	for (i = 0; i < ps->c.thin_units; i++)
		memcpy(h->tag[i], newest(&t->unit[i]), sizeof(*h->tag));
}

void ps_put(struct pool_sim *ps, u32 id)
{
	struct ps_held *h;

	for (h = ps->held; h < ps->held + PS_MAX_HELD; h++)
		if (h->used && h->id == id)
			h->used = false;
}

void ps_forget_held(struct pool_sim *ps)
{
	struct ps_held *h;

	for (h = ps->held; h < ps->held + PS_MAX_HELD; h++)
		h->used = false;
	ps->all_held = false;
}

struct held_walk {
	struct pool_sim *ps;
	const struct ps_held *h;
};

static int held_node(void *context, u64 ptr, unsigned int level, u64 lo, u64 hi, int err)
{
	struct held_walk *w = context;

	if (err)
		ps_die(w->ps, "held tree of thin %u, block %llu: %s", w->h->id,
		       pdata_ptr_block(ptr), pdata_error_text(err));
	return 0;
}

static int held_range(void *context, const struct pdata_range *r)
{
	struct held_walk *w = context;
	u32 tag[PS_SECTORS];
	u64 i;

	for (i = 0; r->kind == PDATA_RANGE_MAPPED && i < r->len; i++) {
		ps_data_tags(w->ps, r->value + i, tag);
		if (memcmp(tag, w->h->tag[r->begin + i], sizeof(tag)))
			ps_die(w->ps, "held tree of thin %u, unit %llu at %llu: 0x%x, was 0x%x",
			       w->h->id, r->begin + i, r->value + i, tag[0],
			       w->h->tag[r->begin + i][0]);
	}
	return 0;
}

/* The superblock has the pointer to the block that we were told. */
static u64 held_ptr(struct pool_sim *ps, u64 block)
{
	const struct pdata_super *sb = &ps->md->sb;
	u32 i;

	for (i = 0; i < sb->nr_holds; i++)
		if (pdata_ptr_block(sb->hold[i].root) == block)
			return sb->hold[i].root;
	ps_die(ps, "the root in block %llu is not held any more", block);
	return 0;
}

static void verify_held(struct pool_sim *ps, const struct ps_held *h)
{
	struct held_walk w = { .ps = ps, .h = h };
	struct pdata_view view = { .tm = &ps->md->tm };
	struct thin2_details none = { 0 };
	struct pdata_rt rt;
	int r;

	if (!h->used || !h->root || ps->faulty)
		return;
	thin2_rt_init_details(ps->md, &none, &rt);
	r = pdata_rt_walk(&rt, &view, held_ptr(ps, h->root), 0, PDATA_MAX_UNITS, held_node,
			  held_range, &w);
	if (r)
		ps_die(ps, "walk: %d", r);
}

/* ---- comparing ---- */

static bool tag_allowed(const struct ps_unit *u, unsigned int s, u32 tag, bool crashed)
{
	u32 i;

	if (!crashed)
		return tag == newest(u)[s];
	for (i = 0; i < u->nr; i++)
		if (u->tag[i][s] == tag)
			return true;
	return false;
}

static void verify_unit(struct pool_sim *ps, struct ps_thin *t, u64 unit, bool crashed)
{
	static const u32 zeroes[PDATA_BLOCK_SIZE / 4];
	struct ps_unit *u = &t->unit[unit];
	const u32 *page = zeroes;
	unsigned int s;
	u64 phys = 0;
	u32 tag;

	switch (locate(ps, t, unit, &phys)) {
	case FOUND_DATA:
		page = sim_peek(ps->data, phys);
		break;
	case FOUND_REFUSED:
		return;
	default:
		break;
	}
	for (s = 0; s < PS_SECTORS; s++) {
		tag = page[s * 128];
		if (page[s * 128 + 127] != (tag ? tag + s : 0) || !tag_allowed(u, s, tag, crashed))
			ps_die(ps, "thin %u unit %llu sector %u at %llu holds 0x%x/0x%x; newest allowed of %u is 0x%x, oldest 0x%x",
			       t->id, (unsigned long long)unit, s, (unsigned long long)phys, tag,
			       page[s * 128 + 127], u->nr, newest(u)[s], u->tag[0][s]);
	}
	if (!crashed)
		return;
	for (s = 0; s < PS_SECTORS; s++)
		u->tag[0][s] = page[s * 128];
	u->nr = 1;
}

static void verify_transaction(struct pool_sim *ps)
{
	if (ps->transaction_unsure && ps->md->sb.transaction_id == ps->transaction_id + 1)
		ps->transaction_id++;
	ps->transaction_unsure = false;
	if (ps->md->sb.transaction_id != ps->transaction_id && !ps->faulty)
		ps_die(ps, "transaction id is %llu, not %llu",
		       (unsigned long long)ps->md->sb.transaction_id,
		       (unsigned long long)ps->transaction_id);
}

void ps_verify(struct pool_sim *ps, bool crashed)
{
	struct ps_thin *t;
	unsigned int h;
	u64 i;

	ps->op = crashed ? "verify after a crash" : "verify";
	ps->still = true;
	ps_drain(ps);
	for (t = ps->thin; t < ps->thin + PS_MAX_THINS; t++)
		for (i = 0; t->exists && t->th && i < ps->c.thin_units; i++)
			verify_unit(ps, t, i, crashed);
	for (h = 0; h < PS_MAX_HELD && !crashed; h++)
		verify_held(ps, &ps->held[h]);
	if (!crashed)
		ps_verify_held_all(ps);
	verify_transaction(ps);
	ps->still = false;
}
