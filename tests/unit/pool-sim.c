// SPDX-License-Identifier: GPL-2.0-only
/* A pool on simulated disks, and the model it is compared with. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "pool-sim.h"

#define SECTORS		8
#define POISON_TAG	0xdeadbeefu
#define STALE_TAG	0x57a1e000u

void ps_die(struct pool_sim *ps, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "pool-sim: seed 0x%llx, operation %llu (%s): ",
		(unsigned long long)ps->c.seed, (unsigned long long)ps->ops,
		ps->op ? ps->op : "-");
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	abort();
}

static u64 below(struct pool_sim *ps, u64 n)
{
	return sim_below(&ps->rnd, n);
}

static void trace(struct pool_sim *ps, const char *fmt, ...)
{
	va_list args;

	if (!ps->trace)
		return;
	va_start(args, fmt);
	fprintf(stderr, "%6llu ", (unsigned long long)ps->ops);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
}

/* ---- data ---- */

/* Each sector carries the unit's tag and its own number; tag 0 is zeroes. */
static void data_fill(void *page, u32 tag)
{
	unsigned int s;
	u32 *p = page;

	memset(page, 0, PDATA_BLOCK_SIZE);
	for (s = 0; tag && s < SECTORS; s++) {
		p[s * 128] = tag;
		p[s * 128 + 127] = tag + s;
	}
}

static int data_write(struct pool_sim *ps, u64 phys, u32 tag)
{
	char page[PDATA_BLOCK_SIZE] __attribute__((aligned(8)));

	data_fill(page, tag);
	return sim_write(ps->data, phys, page, false);
}

/* ---- the metadata's callbacks ---- */

static void concurrent_write(struct pool_sim *ps);

static int op_flush_data(void *context)
{
	struct pool_sim *ps = context;

	concurrent_write(ps);
	return pdata_io_flush(&ps->data->io);
}

static void op_drain(void *context)
{
	ps_drain(context);
	/* I/O does not stop for a checkpoint or a snapshot: this one is newer. */
	concurrent_write(context);
}

static void pass_down(struct pool_sim *ps, struct list_head *batch)
{
	struct pdata_freed *f;
	u64 i;

	/* Losing power here leaves the units as they are: nobody refers to them. */
	list_for_each_entry(f, batch, list)
		for (i = 0; i < f->len; i++)
			if (data_write(ps, f->begin + i, POISON_TAG))
				break;
	thin2_release(ps->md, batch);
}

static void op_freed(void *context, struct list_head *batch)
{
	struct pool_sim *ps = context;

	list_splice_tail_init(batch, &ps->freed);
}

static void op_wake(void *context)
{
}

static const struct thin2_md_ops sim_ops = {
	.flush_data = op_flush_data,
	.drain = op_drain,
	.freed = op_freed,
	.wake = op_wake,
};

/* ---- model ---- */

static void unit_push(struct pool_sim *ps, struct ps_unit *u, u32 tag)
{
	if (u->nr == PS_MAX_VERSIONS)
		ps_die(ps, "model: too many versions of a unit");
	u->tag[u->nr++] = tag;
}

/* A unit of @t got a new content while an operation is under way. */
static void model_touch(struct pool_sim *ps, struct ps_thin *t, u64 unit, u32 tag)
{
	unit_push(ps, &t->unit[unit], tag);
	if (ps->watched == t)
		ps->touched[unit] = true;
}

static bool in_flight(struct pool_sim *ps, const struct ps_thin *t, u64 unit, u32 tag)
{
	const struct ps_flight *f;

	for (f = ps->flight; f < ps->flight + PS_MAX_FLIGHT; f++)
		if (f->state == PS_ISSUED && f->th == t->th && unit >= f->unit &&
		    unit < f->unit + f->len && f->tag[unit - f->unit] == tag)
			return true;
	return false;
}

/* A flush begins: it covers all that is acknowledged now. */
static void model_flush_begin(struct pool_sim *ps)
{
	struct ps_thin *t;
	struct ps_unit *u;
	u64 i;

	for (t = ps->thin; t < ps->thin + PS_MAX_THINS; t++)
		for (i = 0; t->exists && i < ps->c.thin_units; i++) {
			u = &t->unit[i];
			u->keep = u->nr - 1;
			if (u->keep && in_flight(ps, t, i, u->tag[u->keep]))
				u->keep--;
		}
}

/* It is done: what is older than that can no longer be seen. */
static void model_flushed(struct pool_sim *ps)
{
	struct ps_thin *t;
	struct ps_unit *u;
	u64 i;

	for (t = ps->thin; t < ps->thin + PS_MAX_THINS; t++)
		for (i = 0; t->exists && i < ps->c.thin_units; i++) {
			u = &t->unit[i];
			u->nr -= u->keep;
			memmove(u->tag, u->tag + u->keep, u->nr * sizeof(*u->tag));
			u->keep = 0;
		}
}

static bool model_is_full(struct pool_sim *ps, struct ps_thin *t, u64 begin, u64 len)
{
	u64 i;

	for (i = begin; i < begin + len; i++)
		if (t->unit[i].nr >= PS_MAX_VERSIONS - 1)
			return true;
	return false;
}

/* ---- writes in flight ---- */

static int flight_land(struct pool_sim *ps, struct ps_flight *f)
{
	int r = 0;
	u32 i;

	for (i = 0; i < f->len && !r; i++)
		r = data_write(ps, f->phys + i, f->tag[i]);
	if (f->provisioned)
		thin2_write_end(&f->w, r);
	f->state = PS_IDLE;
	return r;
}

void ps_drain(struct pool_sim *ps)
{
	struct ps_flight *f;

	for (f = ps->flight; f < ps->flight + PS_MAX_FLIGHT; f++)
		if (f->state == PS_ISSUED)
			(void)!flight_land(ps, f);	/* only power failure fails it */
}

static void land_some(struct pool_sim *ps)
{
	struct ps_flight *f = &ps->flight[below(ps, PS_MAX_FLIGHT)];

	if (f->state == PS_ISSUED)
		(void)!flight_land(ps, f);
}

static struct ps_flight *flight_get(struct pool_sim *ps)
{
	struct ps_flight *f = &ps->flight[below(ps, PS_MAX_FLIGHT)];

	if (f->state == PS_ISSUED)
		(void)!flight_land(ps, f);
	memset(f, 0, sizeof(*f));
	return f;
}

/*
 * Two writes to the same place that are in flight together may land in any
 * order; the model wants to know which is the newest.
 */
static void land_overlapping(struct pool_sim *ps, struct thin2_dev *th, u64 begin, u64 end)
{
	struct ps_flight *f;

	for (f = ps->flight; f < ps->flight + PS_MAX_FLIGHT; f++)
		if (f->state == PS_ISSUED && f->th == th && !f->provisioned &&
		    f->unit < end && begin < f->unit + f->len)
			(void)!flight_land(ps, f);
}

/* What the kernel does with an error that only means "later". True: try again. */
static bool wait_for_room(struct pool_sim *ps, struct thin2_dev *th, int *r)
{
	switch (*r) {
	case -PDATA_E_RETRY:
	case -PDATA_E_MISS:
		return true;
	case -PDATA_E_PENDING:
		ps_drain(ps);
		return true;
	case -PDATA_E_WOULD_SLEEP:
	case -PDATA_E_JOURNAL_FULL:
	case -PDATA_E_DIRTY_LIMIT:
		ps_drain(ps);
		*r = thin2_make_room(th, *r);
		if (*r && !ps->clock.off)
			ps_die(ps, "making room: %s", pdata_error_text(*r));
		pass_down(ps, &ps->freed);
		return !*r;
	default:
		return false;
	}
}

static int issue_write(struct pool_sim *ps, struct thin2_dev *th, u64 unit, u64 end,
		       const u32 *tag, u64 *done)
{
	unsigned int rounds = 0;
	struct thin2_where where;
	struct ps_flight *f;
	int r;

	for (;;) {
		if (++rounds > 100)
			ps_die(ps, "a write to thin %u unit %llu makes no progress (%d)", th->id,
			       (unsigned long long)unit, r);
		thin2_lookup(th, unit, end, true, &where);
		switch (where.action) {
		case THIN2_FILL:
			r = thin2_fill(th, unit, end);
			if (r)
				return r;
			continue;
		case THIN2_WAIT:
			ps_drain(ps);
			continue;
		case THIN2_UNSHARE:
			r = thin2_try_exclusive(th, unit, end);
			if (r < 0)
				return r;
			if (r)
				continue;
			break;
		case THIN2_PROVISION:
		case THIN2_REMAP:
			break;
		default:
			return -PDATA_E_DAMAGED;
		}
		f = flight_get(ps);
		/* Landing another one may have changed what the lookup saw. */
		thin2_lookup(th, unit, end, true, &where);
		if (where.action == THIN2_REMAP) {
			f->phys = where.phys;
			f->len = where.end - unit;
			break;
		}
		r = thin2_write_begin(th, unit, end, &f->w);
		if (!r) {
			f->provisioned = true;
			f->phys = f->w.phys;
			f->len = f->w.len;
			break;
		}
		if (!wait_for_room(ps, th, &r))
			return r;
	}
	f->th = th;
	f->unit = unit;
	f->state = PS_ISSUED;
	memcpy(f->tag, tag, f->len * sizeof(*tag));
	*done = unit + f->len;
	return 0;
}

/* ---- reading ---- */

/* Where a unit's data is; false if it reads as zeroes. */
static bool locate(struct pool_sim *ps, struct ps_thin *t, u64 unit, u64 *phys)
{
	struct thin2_where where;
	int r;

	for (;;) {
		thin2_lookup(t->th, unit, unit + 1, false, &where);
		switch (where.action) {
		case THIN2_FILL:
			r = thin2_fill(t->th, unit, unit + 1);
			if (r)
				ps_die(ps, "thin %u unit %llu: fill: %s", t->id, unit,
				       pdata_error_text(r));
			continue;
		case THIN2_WAIT:
			ps_drain(ps);
			continue;
		case THIN2_ZERO:
			return false;
		case THIN2_REMAP:
			*phys = where.phys;
			return true;
		default:
			ps_die(ps, "thin %u unit %llu: lookup says %d", t->id, unit, where.action);
		}
	}
}

/* Tag of a unit's first sector. */
static u32 read_tag(struct pool_sim *ps, struct ps_thin *t, u64 unit)
{
	const u32 *page;
	u64 phys;

	if (!locate(ps, t, unit, &phys))
		return 0;
	page = sim_peek(ps->data, phys);
	return page[0];
}

/* ---- operations ---- */

static struct ps_thin *pick_thin(struct pool_sim *ps)
{
	struct ps_thin *t = &ps->thin[below(ps, PS_MAX_THINS)];

	return t->exists && t->th ? t : NULL;
}

/* What the kernel's worker does over the limit, and its shrinker at any time. */
static void evict(struct pool_sim *ps)
{
	enum thin2_evict_how how = below(ps, 3);
	u64 total, nr, gone;

	if (!ps->c.max_ranges || !ps->md)
		return;
	total = thin2_cached_ranges(ps->md);
	nr = total > ps->c.max_ranges ? total - ps->c.max_ranges : below(ps, total + 1);
	gone = thin2_evict(ps->md, nr, how);
	trace(ps, "evict %llu of %llu, %d: %llu went", nr, total, how, gone);
}

/* A small write as it may come in while the core is at work under its locks. */
static void concurrent_write(struct pool_sim *ps)
{
	struct ps_thin *t = ps->watched && below(ps, 2) ? ps->watched : pick_thin(ps);
	struct thin2_where where;
	struct ps_flight *f;
	u64 unit, load;

	if (!ps->still && below(ps, 4) == 0)
		evict(ps);
	if (!t || !t->th || t == ps->busy || ps->still || below(ps, 3) == 0)
		return;
	unit = below(ps, min_t(u64, 24, ps->c.thin_units));
	f = flight_get(ps);
	land_overlapping(ps, t->th, unit, unit + 1);
	if (model_is_full(ps, t, unit, 1))
		return;
	thin2_lookup(t->th, unit, unit + 1, true, &where);
	if (where.action == THIN2_UNSHARE && thin2_ask_exclusive(t->th, unit, &load) == 1)
		thin2_lookup(t->th, unit, unit + 1, true, &where);
	if (where.action == THIN2_REMAP) {
		f->phys = where.phys;
	} else {
		if (thin2_write_begin(t->th, unit, unit + 1, &f->w))
			return;
		f->provisioned = true;
		f->phys = f->w.phys;
	}
	f->len = 1;
	f->th = t->th;
	f->unit = unit;
	f->tag[0] = ps->next_tag++;
	f->state = PS_ISSUED;
	model_touch(ps, t, unit, f->tag[0]);
	trace(ps, "concurrent write thin %u unit %llu tag %u", t->id, unit, f->tag[0]);
	if (below(ps, 2))
		(void)!flight_land(ps, f);
}


static void pick_range(struct pool_sim *ps, u64 max, u64 *begin, u64 *len)
{
	/* Half of all accesses go to a small hot part. */
	u64 space = below(ps, 2) ? ps->c.thin_units : min_t(u64, 24, ps->c.thin_units);

	*begin = below(ps, space);
	*len = 1 + below(ps, min(max, ps->c.thin_units - *begin));
}

static int op_flush(struct pool_sim *ps)
{
	int r;

	ps->op = "flush";
	model_flush_begin(ps);
	r = ps_flush(ps);
	trace(ps, "flush: %d", r);
	if (!r)
		model_flushed(ps);
	return r;
}

static int op_write(struct pool_sim *ps, struct ps_thin *t)
{
	u64 begin, len, unit, end, i;
	u32 tag[16];
	int r = 0;

	ps->op = "write";
	ps->refusable = true;
	ps->busy = t;
	pick_range(ps, ps->c.max_write, &begin, &len);
	if (model_is_full(ps, t, begin, len)) {
		r = op_flush(ps);
		if (r)
			return r;
	}
	trace(ps, "write thin %u [%llu, +%llu) tags from %u", t->id, begin, len, ps->next_tag);
	for (i = 0; i < len; i++) {
		tag[i] = ps->next_tag++;
		model_touch(ps, t, begin + i, tag[i]);
	}
	end = begin + len;
	land_overlapping(ps, t->th, begin, end);
	for (unit = begin; unit < end && !r;)
		r = issue_write(ps, t->th, unit, end, tag + (unit - begin), &unit);
	/* What was not written keeps its old content as the newest one. */
	if (r && !ps->clock.off)
		for (; unit < end; unit++)
			t->unit[unit].nr--;
	return r;
}

static int op_discard(struct pool_sim *ps, struct ps_thin *t)
{
	bool zero = !below(ps, 4);
	u64 begin, len, pos, end, i;
	int r;

	ps->op = "discard";
	ps->busy = t;
	pick_range(ps, ps->c.thin_units, &begin, &len);
	if (model_is_full(ps, t, begin, len)) {
		r = op_flush(ps);
		if (r)
			return r;
	}
	trace(ps, "%s thin %u [%llu, +%llu)", zero ? "zero" : "discard", t->id, begin, len);
	for (i = begin; i < begin + len; i++)
		unit_push(ps, &t->unit[i], 0);
	end = begin + len;
	for (pos = begin; pos < end;) {
		r = thin2_unmap(t->th, pos, end, zero, &pos);
		if (r && !wait_for_room(ps, t->th, &r))
			break;
	}
	if (pos < end && !ps->clock.off)
		for (; pos < end; pos++)
			t->unit[pos].nr--;
	return pos < end ? r : 0;
}

static struct ps_thin *free_slot(struct pool_sim *ps)
{
	struct ps_thin *t;

	for (t = ps->thin; t < ps->thin + PS_MAX_THINS; t++)
		if (!t->exists)
			return t;
	return NULL;
}

static int open_thin(struct pool_sim *ps, struct ps_thin *t)
{
	return thin2_dev_open(ps->md, t->id, &t->th);
}

/* A new thin: with the contents of @origin, or zeroes. */
static void slot_fill(struct pool_sim *ps, struct ps_thin *t, const struct ps_thin *origin)
{
	u64 i;

	if (!t->unit)
		t->unit = calloc(ps->c.thin_units, sizeof(*t->unit));
	if (!t->unit)
		ps_die(ps, "out of memory");
	t->id = t - ps->thin;
	for (i = 0; i < ps->c.thin_units; i++)
		if (origin) {
			t->unit[i] = origin->unit[i];
		} else {
			t->unit[i].nr = 1;
			t->unit[i].tag[0] = 0;
		}
}

static int op_create(struct pool_sim *ps)
{
	struct ps_thin *t = free_slot(ps);
	int r;

	if (!t)
		return 0;
	ps->op = "create";
	ps->refusable = true;
	slot_fill(ps, t, NULL);
	r = thin2_create(ps->md, t->id);
	trace(ps, "create thin %u: %d", t->id, r);
	if (!r)
		t->exists = true;
	else if (ps->clock.off)
		t->exists = t->unsure = true;
	return r ? r : open_thin(ps, t);
}

/*
 * Writes in flight at the cut, and those issued while the snapshot is taken,
 * may be in it or not; which it was shows now, and must not change any more.
 */
static void snap_settle(struct pool_sim *ps, struct ps_thin *snap)
{
	struct ps_unit *u;
	u64 i;
	u32 tag;

	for (i = 0; i < ps->c.thin_units; i++) {
		if (!ps->touched[i])
			continue;
		u = &snap->unit[i];
		tag = read_tag(ps, snap, i);
		while (u->nr > 1 && u->tag[u->nr - 1] != tag)
			u->nr--;
		if (u->tag[u->nr - 1] != tag)
			ps_die(ps, "snapshot %u unit %llu holds 0x%x, which was never written",
			       snap->id, i, tag);
	}
}

static void snap_watch(struct pool_sim *ps, struct ps_thin *origin)
{
	const struct ps_flight *f;
	u64 i;

	memset(ps->touched, 0, ps->c.thin_units * sizeof(*ps->touched));
	for (f = ps->flight; f < ps->flight + PS_MAX_FLIGHT; f++)
		for (i = 0; f->state == PS_ISSUED && f->th == origin->th && i < f->len; i++)
			ps->touched[f->unit + i] = true;
	ps->watched = origin;
}

static int op_snap(struct pool_sim *ps, struct ps_thin *origin)
{
	struct ps_thin *t = free_slot(ps);
	int r;

	if (!t)
		return 0;
	ps->op = "snapshot";
	ps->refusable = true;
	snap_watch(ps, origin);
	r = thin2_create_snap(ps->md, t - ps->thin, origin->id);
	ps->watched = NULL;
	/* The origin's contents by now: what may be in the snapshot, and perhaps more. */
	slot_fill(ps, t, origin);
	trace(ps, "snapshot thin %u of %u: %d", t->id, origin->id, r);
	if (!r)
		t->exists = true;
	else if (ps->clock.off)
		t->exists = t->unsure = true;
	if (!r)
		r = open_thin(ps, t);
	if (!r)
		snap_settle(ps, t);
	return r;
}

static int op_delete(struct pool_sim *ps, struct ps_thin *t)
{
	int r;

	ps->op = "delete";
	ps_drain(ps);
	thin2_dev_close(t->th);
	t->th = NULL;
	r = thin2_delete(ps->md, t->id);
	trace(ps, "delete thin %u: %d", t->id, r);
	if (!r)
		t->exists = false;
	else if (ps->clock.off)
		t->unsure = true;
	else
		ps_die(ps, "delete: %s", pdata_error_text(r));
	return r;
}

static int op_reopen_thin(struct pool_sim *ps, struct ps_thin *t)
{
	struct thin2_root root;
	int r = 0, r2;

	ps->op = "reopen a thin";
	ps_drain(ps);
	thin2_dev_close(t->th);
	t->th = NULL;
	if (!below(ps, 3)) {
		ps->op = "hold a root";
	ps->refusable = true;
		r = thin2_get_root(ps->md, t->id, &root);
		trace(ps, "get_root thin %u: %d", t->id, r);
		if (r == -PDATA_E_BUSY || r == -PDATA_E_LIMIT)
			r = 0;
	} else if (!below(ps, 2)) {
		ps->op = "let go of a root";
		r = thin2_put_root(ps->md, t->id);
		trace(ps, "put_root thin %u: %d", t->id, r);
		if (r == -PDATA_E_NOT_FOUND)
			r = 0;
	}
	r2 = open_thin(ps, t);
	return r ? r : r2;
}

static int op_transaction(struct pool_sim *ps)
{
	int r;

	ps->op = "set_transaction_id";
	r = thin2_set_transaction_id(ps->md, ps->transaction_id, ps->transaction_id + 1);
	if (!r)
		ps->transaction_id++;
	else if (ps->clock.off)
		ps->transaction_unsure = true;
	return r;
}

static int op_background(struct pool_sim *ps)
{
	int r;

	if (below(ps, 3) == 0) {
		ps->op = "evict";
		evict(ps);
		return 0;
	}
	if (below(ps, 2)) {
		ps->op = "work";
		r = thin2_work(ps->md, below(ps, 2));
		r = r > 0 ? 0 : r;
	} else {
		ps->op = "checkpoint";
		r = thin2_checkpoint(ps->md);
	}
	trace(ps, "%s: %d", ps->op, r);
	return r;
}

/* Clean restart in the middle of everything. */
static int op_restart(struct pool_sim *ps)
{
	int r;

	trace(ps, "restart");
	ps->op = "restart";
	ps_drain(ps);
	model_flush_begin(ps);
	r = ps_close(ps);
	if (r)
		return r;
	model_flushed(ps);
	return ps_open(ps);
}

/* Snapshots of snapshots, whose origins go. */
static int op_lineage(struct pool_sim *ps, struct ps_thin *t)
{
	return free_slot(ps) && below(ps, 2) ? op_snap(ps, t) : op_delete(ps, t);
}

static int do_step(struct pool_sim *ps)
{
	u64 dice = below(ps, 1000);
	struct ps_thin *t = pick_thin(ps);

	if (t && ps->c.lineage && below(ps, 1000) < ps->c.lineage)
		return op_lineage(ps, t);

	if (dice < 20 || !t)
		return op_create(ps);
	if (dice < 50)
		return op_snap(ps, t);
	if (dice < 70)
		return op_delete(ps, t);
	if (dice < 80)
		return op_reopen_thin(ps, t);
	if (dice < 90)
		return op_transaction(ps);
	if (dice < 160)
		return op_background(ps);
	if (dice < 240)
		return op_flush(ps);
	if (dice < 340)
		return op_discard(ps, t);
	if (dice < 343)
		return op_restart(ps);
	if (dice < 360) {
		pass_down(ps, &ps->freed);
		return 0;
	}
	if (dice < 460) {
		land_some(ps);
		return 0;
	}
	return op_write(ps, t);
}

int ps_step(struct pool_sim *ps)
{
	int r;

	ps->ops++;
	ps->refusable = false;
	r = do_step(ps);
	ps->busy = NULL;
	if (r && !ps->clock.off && !(ps->refusable && (r == -PDATA_E_DATA_NOSPC ||
						       r == -PDATA_E_META_NOSPC)))
		ps_die(ps, "%s (%d)", pdata_error_text(r), r);
	return r;
}

/* ---- opening ---- */

/* Where data goes makes no difference to what is in it. */
static void choose_placement(struct pool_sim *ps)
{
	static const u64 chunk[] = { 0, 3, 4, 8, 16, 48 };

	thin2_set_placement(ps->md, chunk[below(ps, ARRAY_SIZE(chunk))],
			    below(ps, 2) ? 8ull << below(ps, 4) : 0);
}

int ps_open(struct pool_sim *ps)
{
	struct thin2_md_params p = {
		.io = &ps->meta->io,
		.name = "sim",
		.data_units = ps->c.data_units,
		.data_block_size = 128,
		.ops = &sim_ops,
		.context = ps,
		.journal_blocks = ps->c.journal_blocks,
		.journal_records = ps->c.journal_records,
		.group_units = ps->c.group_units,
		.max_dirty = ps->c.max_dirty,
		.limits = &ps->c.limits,
	};
	struct ps_thin *t;
	int r;

	INIT_LIST_HEAD(&ps->freed);
	r = thin2_md_open(&p, &ps->md);
	if (r) {
		ps->md = NULL;
		return r;
	}
	if (ps->c.fill_ranges)
		ps->md->fill_ranges = ps->c.fill_ranges;
	choose_placement(ps);
	for (t = ps->thin; t < ps->thin + PS_MAX_THINS; t++) {
		if (!t->exists)
			continue;
		r = open_thin(ps, t);
		if (r == -PDATA_E_NOT_FOUND && t->unsure) {
			t->exists = t->unsure = false;
			continue;
		}
		if (r)
			return r;
		t->unsure = false;
	}
	return 0;
}

static void forget_freed(struct pool_sim *ps)
{
	struct pdata_freed *f, *tmp;

	list_for_each_entry_safe(f, tmp, &ps->freed, list) {
		list_del(&f->list);
		kfree(f);
	}
}

static void close_thins(struct pool_sim *ps)
{
	struct ps_thin *t;

	for (t = ps->thin; t < ps->thin + PS_MAX_THINS; t++) {
		if (t->th)
			thin2_dev_close(t->th);
		t->th = NULL;
	}
}

void ps_abandon(struct pool_sim *ps)
{
	if (!ps->md)
		return;
	ps->still = true;
	ps_drain(ps);
	ps->still = false;
	forget_freed(ps);
	close_thins(ps);
	thin2_md_abandon(ps->md);
	ps->md = NULL;
}

int ps_close(struct pool_sim *ps)
{
	int r;

	ps->still = true;
	ps_drain(ps);
	close_thins(ps);
	pass_down(ps, &ps->freed);
	r = thin2_md_close(ps->md);
	ps->still = false;
	ps->md = NULL;
	forget_freed(ps);	/* what the last checkpoint freed: nobody is left to use it */
	return r;
}

void ps_init(struct pool_sim *ps, const struct ps_config *c)
{
	u64 i;

	memset(ps, 0, sizeof(*ps));
	ps->c = *c;
	ps->rnd = c->seed;
	ps->next_tag = 1;
	ps->touched = calloc(c->thin_units, sizeof(*ps->touched));
	if (!ps->touched)
		ps_die(ps, "out of memory");
	ps->trace = getenv("TRACE");
	INIT_LIST_HEAD(&ps->freed);
	sim_clock_init(&ps->clock, c->seed ^ 0x5eed);
	ps->meta = sim_disk_create(c->meta_blocks, &ps->clock);
	ps->data = sim_disk_create(c->data_units, &ps->clock);
	/* Content of former users, which nobody may ever see. */
	for (i = 0; i < c->data_units; i++)
		if (data_write(ps, i, STALE_TAG))
			ps_die(ps, "cannot write");
	if (pdata_io_flush(&ps->data->io))
		ps_die(ps, "cannot flush");
}

void ps_exit(struct pool_sim *ps)
{
	struct ps_thin *t;

	ps_abandon(ps);
	for (t = ps->thin; t < ps->thin + PS_MAX_THINS; t++)
		free(t->unit);
	free(ps->touched);
	sim_disk_destroy(ps->meta);
	sim_disk_destroy(ps->data);
}

/* ---- comparing ---- */

static bool tag_allowed(const struct ps_unit *u, u32 tag, bool crashed)
{
	u32 i;

	if (!crashed)
		return tag == u->tag[u->nr - 1];
	for (i = 0; i < u->nr; i++)
		if (u->tag[i] == tag)
			return true;
	return false;
}

static void verify_unit(struct pool_sim *ps, struct ps_thin *t, u64 unit, bool crashed)
{
	u32 zeroes[PDATA_BLOCK_SIZE / 4] = { 0 };
	struct ps_unit *u = &t->unit[unit];
	const u32 *page = zeroes;
	unsigned int s;
	bool torn = false;
	u64 phys = 0;
	u32 tag = 0;

	if (locate(ps, t, unit, &phys))
		page = sim_peek(ps->data, phys);
	for (s = 0; s < SECTORS; s++) {
		tag = page[s * 128];
		if (page[s * 128 + 127] != (tag ? tag + s : 0) || !tag_allowed(u, tag, crashed))
			ps_die(ps, "thin %u unit %llu sector %u at %llu holds 0x%x/0x%x; newest allowed of %u is 0x%x, oldest 0x%x",
			       t->id, (unsigned long long)unit, s, (unsigned long long)phys, tag,
			       page[s * 128 + 127], u->nr, u->tag[u->nr - 1], u->tag[0]);
	}
	if (!crashed)
		return;
	for (s = 1; s < SECTORS; s++)
		if (page[s * 128] != page[0])
			torn = true;
	u->tag[0] = tag;
	u->nr = torn ? 0 : 1;
}

/* What a file system would do with a torn unit: write it again. */
static void heal_torn(struct pool_sim *ps, struct ps_thin *t)
{
	u64 i, done;
	u32 tag;
	int r;

	for (i = 0; i < ps->c.thin_units; i++) {
		if (t->unit[i].nr)
			continue;
		tag = ps->next_tag++;
		t->unit[i].nr = 1;
		t->unit[i].tag[0] = tag;
		r = issue_write(ps, t->th, i, i + 1, &tag, &done);
		if (r == -PDATA_E_DATA_NOSPC || r == -PDATA_E_META_NOSPC) {
			/* No room for a copy: give the unit up instead. */
			t->unit[i].tag[0] = 0;
			do {
				r = thin2_unmap(t->th, i, i + 1, false, &done);
			} while (r && wait_for_room(ps, t->th, &r));
		}
		if (r)
			ps_die(ps, "healing: %s", pdata_error_text(r));
	}
}

void ps_verify(struct pool_sim *ps, bool crashed)
{
	struct ps_thin *t;
	u64 i;

	ps->op = crashed ? "verify after a crash" : "verify";
	ps->still = true;
	ps_drain(ps);
	for (t = ps->thin; t < ps->thin + PS_MAX_THINS; t++)
		for (i = 0; t->exists && i < ps->c.thin_units; i++)
			verify_unit(ps, t, i, crashed);
	for (t = ps->thin; crashed && t < ps->thin + PS_MAX_THINS; t++)
		if (t->exists)
			heal_torn(ps, t);
	if (crashed) {
		ps_drain(ps);
		if (thin2_flush(ps->md))
			ps_die(ps, "flush after healing");
	}
	if (ps->transaction_unsure && ps->md->sb.transaction_id == ps->transaction_id + 1)
		ps->transaction_id++;
	ps->transaction_unsure = false;
	if (ps->md->sb.transaction_id != ps->transaction_id)
		ps_die(ps, "transaction id is %llu, not %llu",
		       (unsigned long long)ps->md->sb.transaction_id,
		       (unsigned long long)ps->transaction_id);
	ps->still = false;
}
