// SPDX-License-Identifier: GPL-2.0-only
/* A pool on simulated disks: the data path, opening and closing. */
#include <stdarg.h>
#include <stdlib.h>

#include "pool-sim.h"

struct ps_failure *ps_failure;

void ps_die(struct pool_sim *ps, const char *fmt, ...)
{
	char text[300];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (ps_failure) {
		ps_failure->fmt = fmt;
		snprintf(ps_failure->text, sizeof(ps_failure->text), "%s: %s",
			 ps->op ? ps->op : "-", text);
	}
	if (!pdata_shim_quiet || !ps_failure)
		fprintf(stderr, "pool-sim: seed 0x%llx, operation %llu (%s): %s\n",
			(unsigned long long)ps->c.seed, (unsigned long long)ps->ops,
			ps->op ? ps->op : "-", text);
	abort();
}

u64 ps_below(struct pool_sim *ps, u64 n)
{
	return ps->quiet ? 0 : sim_below(&ps->rnd, n);
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

void ps_pass_down(struct pool_sim *ps)
{
	struct pdata_freed *f;
	u64 i;

	/* Losing power here leaves the units as they are: nobody refers to them. */
	list_for_each_entry(f, &ps->freed, list)
		for (i = 0; i < f->len; i++)
			if (ps_data_write(ps, f->begin + i, PS_POISON, false))
				break;
	thin2_release(ps->md, &ps->freed);
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

/* ---- writes in flight ---- */

static int land_part(struct pool_sim *ps, struct ps_flight *f)
{
	u32 now[PS_SECTORS];

	if (f->provisioned)
		return ps_data_write_part(ps, f, f->old);
	ps_data_tags(ps, f->phys, now);
	return ps_data_write_part(ps, f, now);
}

int ps_land(struct pool_sim *ps, struct ps_flight *f)
{
	int r = 0;
	u32 i;

	if (f->state != PS_ISSUED)
		return 0;
	if (f->from != f->to)
		r = land_part(ps, f);
	else
		for (i = 0; i < f->len && !r; i++)
			r = ps_data_write(ps, f->phys + i, f->tag[i], f->fua);
	if (f->provisioned)
		thin2_write_end(&f->w, r);
	f->state = PS_IDLE;
	return r;
}

void ps_drain(struct pool_sim *ps)
{
	struct ps_flight *f;

	for (f = ps->flight; f < ps->flight + PS_MAX_FLIGHT; f++)
		(void)!ps_land(ps, f);	/* only power failure fails it */
}

static struct ps_flight *flight_get(struct pool_sim *ps)
{
	struct ps_flight *f = &ps->flight[ps_below(ps, PS_MAX_FLIGHT)];

	while (ps->quiet && f < ps->flight + PS_MAX_FLIGHT - 1 && f->state == PS_ISSUED)
		f++;
	(void)!ps_land(ps, f);
	memset(f, 0, sizeof(*f));
	return f;
}

/*
 * Two writes to the same place that are in flight together may land in any
 * order; the model wants to know which is the newest.
 */
void ps_land_overlapping(struct pool_sim *ps, struct thin2_dev *th, u64 begin, u64 end)
{
	struct ps_flight *f;

	for (f = ps->flight; f < ps->flight + PS_MAX_FLIGHT; f++)
		if (f->state == PS_ISSUED && f->th == th && !f->provisioned &&
		    f->unit < end && begin < f->unit + f->len)
			(void)!ps_land(ps, f);
}

bool ps_wait_for_room(struct pool_sim *ps, struct thin2_dev *th, int *r)
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
		if (*r && !ps->clock.off && !ps->faulty)
			ps_die(ps, "making room: %s", pdata_error_text(*r));
		ps_pass_down(ps);
		return !*r;
	default:
		return false;
	}
}

/*
 * A copy of a unit is not begun while bios on it may not have drained, nor from
 * one whose mapping is lost.
 */
static int begin_write(struct pool_sim *ps, struct thin2_dev *th, u64 unit, u64 end, bool part,
		       struct ps_flight *f)
{
	int r = thin2_write_begin(th, unit, end, &f->w);

	if (r)
		return r;
	if (part && f->w.damaged)
		r = -PDATA_E_DAMAGED;
	else if (part && f->w.unshare && thin2_snap_busy(th))
		r = -PDATA_E_PENDING;
	if (r) {
		thin2_write_end(&f->w, -EAGAIN);
		return r;
	}
	f->provisioned = true;
	f->phys = f->w.phys;
	f->len = f->w.len;
	if (part && f->w.unshare)
		ps_data_tags(ps, f->w.old_phys, f->old);
	return 0;
}

/* What a write has to do at @unit. 1: begin; 0: look again; an error. */
static int ask(struct pool_sim *ps, struct thin2_dev *th, u64 unit, u64 end, bool part)
{
	struct thin2_where where;
	int r;

	thin2_lookup(th, unit, end, true, &where);
	switch (where.action) {
	case THIN2_FILL:
		r = thin2_fill(th, unit, end);
		if (!part && (r == -EIO || pdata_error_is_damage(r)))
			r = thin2_fill_lost(th, unit, end);
		return r;
	case THIN2_WAIT:
		ps_drain(ps);
		return 0;
	case THIN2_UNSHARE:
		r = thin2_try_exclusive(th, unit, end);
		return r < 0 ? r : !r;
	case THIN2_PROVISION:
	case THIN2_REMAP:
		return 1;
	default:	/* damaged: a write of whole units heals it */
		return part ? -PDATA_E_DAMAGED : 1;
	}
}

int ps_issue_write(struct pool_sim *ps, struct thin2_dev *th, u64 unit, u64 end,
		   const struct ps_flight *what, u64 *done)
{
	const bool part = what->from != what->to;
	unsigned int rounds = 0;
	struct thin2_where where;
	struct ps_flight *f;
	int r;

	for (;;) {
		if (++rounds > 100)
			ps_die(ps, "a write to thin %u unit %llu makes no progress (%d)", th->id,
			       (unsigned long long)unit, r);
		r = ask(ps, th, unit, end, part);
		if (r < 0)
			return r;
		if (!r)
			continue;
		f = flight_get(ps);
		/* Landing another one may have changed what the lookup saw. */
		thin2_lookup(th, unit, end, true, &where);
		if (where.action == THIN2_REMAP) {
			f->phys = where.phys;
			f->len = where.end - unit;
			break;
		}
		r = begin_write(ps, th, unit, end, part, f);
		if (!r)
			break;
		if (!ps_wait_for_room(ps, th, &r))
			return r;
	}
	f->th = th;
	f->unit = unit;
	f->from = what->from;
	f->to = what->to;
	f->fua = what->fua;
	f->state = PS_ISSUED;
	memcpy(f->tag, what->tag + (unit - what->unit), f->len * sizeof(*f->tag));
	*done = unit + f->len;
	return 0;
}

/* What the kernel's worker does over the limit, and its shrinker at any time. */
void ps_evict(struct pool_sim *ps, u64 nr, enum thin2_evict_how how)
{
	if (ps->md)
		thin2_evict(ps->md, nr, how);
}

static void evict_meanwhile(struct pool_sim *ps)
{
	u64 total = thin2_cached_ranges(ps->md);

	ps_evict(ps, total > ps->c.max_ranges ? total - ps->c.max_ranges : ps_below(ps, total + 1),
		 ps_below(ps, 3));
}

static struct ps_thin *meanwhile_thin(struct pool_sim *ps)
{
	struct ps_thin *t = &ps->thin[ps_below(ps, PS_MAX_THINS)];

	if (ps->watched && ps_below(ps, 2))
		t = ps->watched;
	if (!t->exists || !t->th || t == ps->busy)
		return NULL;
	return ps_below(ps, 3) ? t : NULL;
}

static int meanwhile_place(struct pool_sim *ps, struct ps_flight *f, struct thin2_dev *th, u64 unit)
{
	struct thin2_where where;
	u64 load;

	thin2_lookup(th, unit, unit + 1, true, &where);
	if (where.action == THIN2_UNSHARE && thin2_ask_exclusive(th, unit, &load) == 1)
		thin2_lookup(th, unit, unit + 1, true, &where);
	if (where.action != THIN2_REMAP)
		return begin_write(ps, th, unit, unit + 1, f->from != f->to, f);
	f->phys = where.phys;
	f->len = 1;
	return 0;
}

/* A small write as it may come in while the core is at work under its locks. */
static void concurrent_write(struct pool_sim *ps)
{
	struct ps_flight *f;
	struct ps_thin *t;
	u64 unit;

	if (ps->still || ps->quiet || !ps->md)
		return;
	if (ps->c.max_ranges && ps_below(ps, 4) == 0)
		evict_meanwhile(ps);
	t = meanwhile_thin(ps);
	if (!t)
		return;
	unit = ps_below(ps, min_t(u64, 24, ps->c.thin_units));
	f = flight_get(ps);
	ps_land_overlapping(ps, t->th, unit, unit + 1);
	if (ps_is_full(ps, t, unit, 1))
		return;
	if (ps_below(ps, 3) == 0) {
		f->from = ps_below(ps, PS_SECTORS - 1);
		f->to = f->from + 1;
	}
	if (meanwhile_place(ps, f, t->th, unit))
		return;
	f->th = t->th;
	f->unit = unit;
	f->tag[0] = ps->next_tag++;
	f->state = PS_ISSUED;
	ps_touch(ps, t, unit, f->from, f->to, f->tag[0]);
	if (ps->trace)
		fprintf(stderr, "       meanwhile a write to thin %u unit %llu tag %u\n", t->id,
			(unsigned long long)unit, f->tag[0]);
	if (ps_below(ps, 2))
		(void)!ps_land(ps, f);
}

/* ---- opening ---- */

int ps_open_thin(struct pool_sim *ps, struct ps_thin *t)
{
	return thin2_dev_open(ps->md, t->id, &t->th);
}

/* Where data goes makes no difference to what is in it. */
static void choose_placement(struct pool_sim *ps)
{
	static const u64 chunk[] = { 0, 3, 4, 8, 16, 48 };

	thin2_set_placement(ps->md, chunk[ps_below(ps, ARRAY_SIZE(chunk))],
			    ps_below(ps, 2) ? 8ull << ps_below(ps, 4) : 0);
}

static int open_thins(struct pool_sim *ps)
{
	struct ps_thin *t;
	int r;

	for (t = ps->thin; t < ps->thin + PS_MAX_THINS; t++) {
		if (!t->exists)
			continue;
		r = ps_open_thin(ps, t);
		if (r == -PDATA_E_NOT_FOUND && t->unsure) {
			t->exists = t->unsure = false;
			continue;
		}
		if (r && !ps->faulty)
			return r;
		t->unsure = false;
	}
	return 0;
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
	int r;

	INIT_LIST_HEAD(&ps->freed);
	ps_forget_held(ps);
	r = thin2_md_open(&p, &ps->md);
	if (r) {
		ps->md = NULL;
		return r;
	}
	if (ps->c.fill_ranges)
		ps->md->fill_ranges = ps->c.fill_ranges;
	choose_placement(ps);
	return open_thins(ps);
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
	ps_pass_down(ps);
	r = thin2_md_close(ps->md);
	ps->still = false;
	ps->md = NULL;
	forget_freed(ps);	/* what the last checkpoint freed: nobody is left to use it */
	return r;
}

/* ---- life ---- */

void ps_data_grown(struct pool_sim *ps, u64 from)
{
	for (; from < ps->c.data_units; from++)
		ps_data_stale(ps, from);
}

static void init(struct pool_sim *ps, const struct ps_config *c)
{
	memset(ps, 0, sizeof(*ps));
	ps->c = *c;
	ps->gen = c->seed;
	ps->rnd = c->seed;
	ps->next_tag = 1;
	ps->touched = calloc(c->thin_units, sizeof(*ps->touched));
	if (!ps->touched)
		ps_die(ps, "out of memory");
	ps->trace = getenv("TRACE");
	INIT_LIST_HEAD(&ps->freed);
	sim_clock_init(&ps->clock, c->seed ^ 0x5eed);
}

void ps_init(struct pool_sim *ps, const struct ps_config *c)
{
	init(ps, c);
	ps->meta = sim_disk_create(c->meta_blocks, &ps->clock);
	ps->data = sim_disk_create(c->data_units, &ps->clock);
	ps_data_grown(ps, 0);
}

void ps_clone(struct pool_sim *to, const struct pool_sim *from)
{
	unsigned int i;

	init(to, &from->c);
	to->meta = sim_disk_clone(from->meta, &to->clock);
	to->data = sim_disk_clone(from->data, &to->clock);
	to->next_tag = from->next_tag;
	to->transaction_id = from->transaction_id;
	to->transaction_unsure = from->transaction_unsure;
	to->quiet = from->quiet;
	to->faulty = from->faulty;
	for (i = 0; i < PS_MAX_THINS; i++) {
		if (!from->thin[i].exists)
			continue;
		ps_slot_fill(to, &to->thin[i], &from->thin[i]);
		to->thin[i].exists = true;
		to->thin[i].unsure = from->thin[i].unsure;
	}
}

void ps_exit(struct pool_sim *ps)
{
	unsigned int i;

	ps_abandon(ps);
	for (i = 0; i < PS_MAX_THINS; i++)
		free(ps->thin[i].unit);
	for (i = 0; i < PS_MAX_HELD; i++)
		free(ps->held[i].tag);
	free(ps->touched);
	sim_disk_destroy(ps->meta);
	sim_disk_destroy(ps->data);
}
