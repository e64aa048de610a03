// SPDX-License-Identifier: GPL-2.0-only
/* What is done to a simulated pool, and drawing it by chance. */
#include <stdlib.h>

#include "pool-sim.h"

/* Operations that a log does not have room for end the process: raise LOG_MAX. */
static void log_op(struct pool_sim *ps, const struct ps_op *op)
{
	struct ps_log *log = ps->log;

	if (!log)
		return;
	if (log->nr == log->max)
		ps_die(ps, "more than %u operations in a log", log->max);
	log->op[log->nr++] = *op;
}

static struct ps_thin *thin_of(struct pool_sim *ps, const struct ps_op *op)
{
	struct ps_thin *t = op->thin < PS_MAX_THINS ? &ps->thin[op->thin] : NULL;

	return t && t->exists && t->th ? t : NULL;
}

static struct ps_thin *free_slot(struct pool_sim *ps, unsigned int i)
{
	return i < PS_MAX_THINS && !ps->thin[i].exists ? &ps->thin[i] : NULL;
}

static int flush(struct pool_sim *ps, bool from_map)
{
	int r;

	ps_flush_begins(ps);
	r = ps_flush(ps, from_map);
	if (!r)
		ps_flushed(ps);
	return r;
}

/* ---- I/O ---- */

/* The model has room for one more version of each of these units. */
static int model_room(struct pool_sim *ps, struct ps_thin *t, u64 begin, u64 len)
{
	return ps_is_full(ps, t, begin, len) ? flush(ps, false) : 0;
}

static int do_write(struct pool_sim *ps, struct ps_thin *t, const struct ps_op *op)
{
	struct ps_flight what = {
		.unit = op->begin, .from = op->from, .to = op->to,
		.fua = op->kind == PS_WRITE_FUA,
	};
	const u64 end = op->begin + op->len;
	u64 unit = op->begin;
	int r;

	ps->refusable = true;
	ps->busy = t;
	r = model_room(ps, t, op->begin, op->len);
	if (r)
		return r;
	for (; unit < end; unit++) {
		what.tag[unit - op->begin] = ps->next_tag++;
		ps_touch(ps, t, unit, op->from, op->to, what.tag[unit - op->begin]);
	}
	ps_land_overlapping(ps, t->th, op->begin, end);
	for (unit = op->begin; unit < end && !r;)
		r = ps_issue_write(ps, t->th, unit, end, &what, &unit);
	/* What was not written keeps its old content as the newest one. */
	if (r && !ps->clock.off)
		for (; unit < end; unit++)
			t->unit[unit].nr--;
	return r;
}

/* Only the newest content of [begin, +len) is left. */
static void forget_older(struct ps_thin *t, u64 begin, u64 len)
{
	u64 i;

	for (i = begin; i < begin + len; i++) {
		struct ps_unit *u = &t->unit[i];

		memcpy(u->tag[0], u->tag[u->nr - 1], sizeof(u->tag[0]));
		u->nr = 1;
	}
}

/*
 * As thin2_endio() does it: the data is written with FUA, then the thin's last
 * record at that time has to be durable.
 */
static int do_fua(struct pool_sim *ps, struct ps_thin *t, const struct ps_op *op)
{
	struct ps_flight *f;
	u64 seq;
	int r;

	r = do_write(ps, t, op);
	for (f = ps->flight; f < ps->flight + PS_MAX_FLIGHT && !r; f++)
		if (f->fua)
			r = ps_land(ps, f);
	if (r)
		return r;
	seq = thin2_last_seq(t->th);
	if (!thin2_is_durable(ps->md, seq))
		r = ps_flush(ps, op->n);
	if (!r)
		forget_older(t, op->begin, op->len);
	return r;
}

static int do_unmap(struct pool_sim *ps, struct ps_thin *t, const struct ps_op *op)
{
	const u64 end = op->begin + op->len;
	u64 pos, i;
	int r;

	ps->busy = t;
	r = model_room(ps, t, op->begin, op->len);
	if (r)
		return r;
	for (i = op->begin; i < end; i++)
		ps_touch(ps, t, i, 0, 0, 0);
	for (pos = op->begin; pos < end;) {
		r = thin2_unmap(t->th, pos, end, op->kind == PS_ZERO, &pos);
		if (r && !ps_wait_for_room(ps, t->th, &r))
			break;
	}
	if (pos < end && !ps->clock.off)
		for (; pos < end; pos++)
			t->unit[pos].nr--;
	return pos < end ? r : 0;
}

static int run_io(struct pool_sim *ps, const struct ps_op *op)
{
	struct ps_thin *t = thin_of(ps, op);

	if (!t || !op->len || op->begin + op->len > ps->c.thin_units)
		return 0;
	if (op->kind == PS_DISCARD || op->kind == PS_ZERO)
		return do_unmap(ps, t, op);
	if (op->len > PS_MAX_WRITE || op->from > op->to || op->to > PS_SECTORS ||
	    (op->from != op->to && op->len != 1))
		return 0;
	return op->kind == PS_WRITE_FUA ? do_fua(ps, t, op) : do_write(ps, t, op);
}

static int run_land(struct pool_sim *ps, const struct ps_op *op)
{
	if (op->n >= PS_MAX_FLIGHT)
		ps_drain(ps);
	else
		(void)!ps_land(ps, &ps->flight[op->n]);
	return 0;
}

/* ---- messages ---- */

static void made(struct pool_sim *ps, struct ps_thin *t, int r)
{
	if (!r)
		t->exists = true;
	else if (ps->clock.off)
		t->exists = t->unsure = true;
}

static int run_create(struct pool_sim *ps, const struct ps_op *op)
{
	struct ps_thin *t = free_slot(ps, op->thin);
	int r;

	if (!t)
		return 0;
	ps->refusable = true;
	ps_slot_fill(ps, t, NULL);
	r = thin2_create(ps->md, t->id);
	made(ps, t, r);
	return r ? r : ps_open_thin(ps, t);
}

static int run_snap(struct pool_sim *ps, const struct ps_op *op)
{
	struct ps_thin *t = free_slot(ps, op->thin), *origin;
	struct ps_op of = { .thin = op->other };
	int r;

	origin = thin_of(ps, &of);
	if (!t || !origin)
		return 0;
	ps->refusable = true;
	ps_snap_watch(ps, origin);
	r = thin2_create_snap(ps->md, op->thin, origin->id);
	ps->watched = NULL;
	/* The origin's contents by now: what may be in the snapshot, and perhaps more. */
	ps_slot_fill(ps, t, origin);
	made(ps, t, r);
	if (!r)
		r = ps_open_thin(ps, t);
	if (!r)
		ps_snap_settle(ps, t);
	return r;
}

static void close_thin(struct pool_sim *ps, struct ps_thin *t)
{
	ps_drain(ps);
	thin2_dev_close(t->th);
	t->th = NULL;
}

static int run_delete(struct pool_sim *ps, const struct ps_op *op)
{
	struct ps_thin *t = thin_of(ps, op);
	int r;

	if (!t)
		return 0;
	close_thin(ps, t);
	r = thin2_delete(ps->md, t->id);
	if (!r)
		t->exists = false;
	else if (ps->clock.off || ps->faulty)
		t->unsure = true;
	else
		ps_die(ps, "delete: %s", pdata_error_text(r));
	return r;
}

/* Only a closed thin's root can be held. */
static int run_reopen(struct pool_sim *ps, const struct ps_op *op)
{
	struct ps_thin *t = thin_of(ps, op);
	struct thin2_root root;
	int r = 0, r2;

	if (!t)
		return 0;
	close_thin(ps, t);
	if (op->kind == PS_HOLD) {
		ps->refusable = true;
		r = thin2_get_root(ps->md, t->id, &root);
		if (!r)
			ps_hold(ps, t, root.root);
		if (r == -PDATA_E_BUSY || r == -PDATA_E_LIMIT)
			r = 0;
	} else if (op->kind == PS_PUT) {
		ps_put(ps, t->id);
		r = thin2_put_root(ps->md, t->id);
		if (r == -PDATA_E_NOT_FOUND)
			r = 0;
	}
	r2 = ps_open_thin(ps, t);
	return r ? r : r2;
}

static int run_transaction(struct pool_sim *ps)
{
	int r = thin2_set_transaction_id(ps->md, ps->transaction_id, ps->transaction_id + 1);

	if (!r)
		ps->transaction_id++;
	else if (ps->clock.off)
		ps->transaction_unsure = true;
	return r;
}

static int run_grow(struct pool_sim *ps, const struct ps_op *op)
{
	u64 old = ps->c.data_units;

	if (op->kind == PS_GROW_DATA) {
		if (old + op->begin > ps->c.max_data)
			return 0;
		ps->c.data_units += op->begin;
		sim_resize(ps->data, ps->c.data_units);
		ps_data_grown(ps, old);
	} else {
		if (ps->c.meta_blocks + op->begin > ps->c.max_meta)
			return 0;
		ps->c.meta_blocks += op->begin;
		sim_resize(ps->meta, ps->c.meta_blocks);
	}
	return thin2_md_resize(ps->md, ps->c.data_units, ps->c.meta_blocks);
}

/* ---- power ---- */

/* Clean restart in the middle of everything. */
static int run_restart(struct pool_sim *ps)
{
	int r;

	ps_drain(ps);
	ps_flush_begins(ps);
	r = ps_close(ps);
	if (r)
		return r;
	ps_flushed(ps);
	return ps_open(ps);
}

/* What survives is said block by block. */
static void settle_mask(struct pool_sim *ps, const struct ps_op *op)
{
	const u64 nr = sim_nr_pending(ps->meta);
	const u64 torn = op->from - 1ull;

	sim_settle_torn(ps->meta, op->begin, torn, op->to);
	sim_settle_torn(ps->data, op->len, torn >= nr ? torn - nr : ~0ull, op->to);
}

/* Power may fail again meanwhile. */
static int run_open(struct pool_sim *ps, const struct ps_op *op)
{
	int r;

	if (!ps->clock.off)
		sim_clock_crash(&ps->clock);
	ps_abandon(ps);
	ps->clock.seed = op->seed;
	ps->clock.cycles = 0;
	if (op->n == PS_FATE_MASK)
		settle_mask(ps, op);
	sim_clock_power_on(&ps->clock, op->n == PS_FATE_MASK ? SIM_NONE : op->n);
	sim_clock_crash_at(&ps->clock, op->crash);
	r = ps_open(ps);
	if (ps->clock.off) {
		ps_abandon(ps);
		return -EIO;
	}
	sim_clock_crash_at(&ps->clock, 0);
	if (r) {
		if (!ps->faulty)
			ps_die(ps, "open: %s", pdata_error_text(r));
		ps_abandon(ps);
		ps->refused++;
		return r;
	}
	ps_verify(ps, true);
	return 0;
}

/* ---- all of them ---- */

static const char * const op_names[PS_KINDS] = {
	[PS_OPEN] = "open after a crash", [PS_CREATE] = "create", [PS_SNAP] = "snapshot",
	[PS_DELETE] = "delete", [PS_REOPEN] = "reopen a thin", [PS_HOLD] = "hold a root",
	[PS_PUT] = "let go of a root", [PS_HOLD_ALL] = "hold a checkpoint",
	[PS_PUT_ALL] = "let go of a checkpoint", [PS_TRANSACTION] = "set_transaction_id",
	[PS_WRITE] = "write", [PS_WRITE_PART] = "write a part of a unit",
	[PS_WRITE_FUA] = "write with FUA", [PS_DISCARD] = "discard", [PS_ZERO] = "zero",
	[PS_LAND] = "land", [PS_FLUSH] = "flush", [PS_CHECKPOINT] = "checkpoint",
	[PS_WORK] = "work", [PS_EVICT] = "evict", [PS_RELEASE] = "passdown",
	[PS_GROW_DATA] = "grow data", [PS_GROW_META] = "grow metadata",
	[PS_RESTART] = "restart", [PS_VERIFY] = "verify", [PS_CHECK] = "check counts",
};

static int run_kind(struct pool_sim *ps, const struct ps_op *op)
{
	int r;

	switch (op->kind) {
	case PS_CREATE:
		return run_create(ps, op);
	case PS_SNAP:
		return run_snap(ps, op);
	case PS_DELETE:
		return run_delete(ps, op);
	case PS_REOPEN:
	case PS_HOLD:
	case PS_PUT:
		return run_reopen(ps, op);
	case PS_HOLD_ALL:
		ps->refusable = true;
		return ps_hold_all(ps);
	case PS_PUT_ALL:
		return ps_put_all(ps);
	case PS_TRANSACTION:
		return run_transaction(ps);
	case PS_WRITE:
	case PS_WRITE_PART:
	case PS_WRITE_FUA:
	case PS_DISCARD:
	case PS_ZERO:
		return run_io(ps, op);
	case PS_LAND:
		return run_land(ps, op);
	case PS_FLUSH:
		return flush(ps, op->n);
	case PS_CHECKPOINT:
		return thin2_checkpoint(ps->md);
	case PS_WORK:
		r = thin2_work(ps->md, op->n);
		return r > 0 ? 0 : r;
	case PS_EVICT:
		ps_evict(ps, op->begin, op->n);
		return 0;
	case PS_RELEASE:
		ps_pass_down(ps);
		return 0;
	case PS_GROW_DATA:
	case PS_GROW_META:
		return run_grow(ps, op);
	case PS_RESTART:
		return run_restart(ps);
	case PS_VERIFY:
		ps_drain(ps);
		if (ps->clock.off)
			return -EIO;
		ps_verify(ps, false);
		return 0;
	case PS_CHECK:
		ps_check_counts(ps);
		return 0;
	default:
		ps_die(ps, "no such operation: %u", op->kind);
	}
}

static bool is_forgiven(const struct pool_sim *ps, int r)
{
	return ps->clock.off || ps->faulty ||
	       (ps->refusable && (r == -PDATA_E_DATA_NOSPC || r == -PDATA_E_META_NOSPC));
}

static void run_begin(struct pool_sim *ps, struct ps_op *op)
{
	ps->ops++;
	ps->op = op_names[op->kind];
	ps->rnd = op->seed;
	ps->quiet = !op->seed;
	ps->refusable = false;
	if (ps->trace) {
		fprintf(stderr, "%6llu ", (unsigned long long)ps->ops);
		ps_print_op(stderr, op);
	}
}

int ps_run(struct pool_sim *ps, struct ps_op *op)
{
	u64 before = ps->clock.ops;
	struct ps_op unlogged, *logged;
	int r;

	if (!ps->md && op->kind != PS_OPEN)
		return 0;
	run_begin(ps, op);
	log_op(ps, op);
	logged = ps->log ? &ps->log->op[ps->log->nr - 1] : &unlogged;
	if (op->kind == PS_OPEN) {
		r = run_open(ps, op);
		ps->busy = NULL;
		return r;
	}
	if (op->crash)
		sim_clock_crash_at(&ps->clock, op->crash);
	else if (ps->clock.crash_at)
		logged->crash = ps->clock.crash_at - before;	/* if it dies */
	r = run_kind(ps, op);
	ps->busy = NULL;
	if (op->crash && !ps->clock.off)
		sim_clock_crash(&ps->clock);	/* it took less than it once did */
	if (!op->crash)
		logged->crash = ps->clock.off ? ps->clock.ops - before : 0;
	if (r && !is_forgiven(ps, r))
		ps_die(ps, "%s (%d)", pdata_error_text(r), r);
	return r;
}

/* ---- by chance ---- */

static u64 draw(struct pool_sim *ps, u64 n)
{
	return sim_below(&ps->gen, n);
}

static void draw_range(struct pool_sim *ps, struct ps_op *op, u64 max)
{
	/* Half of all accesses go to a small hot part. */
	u64 space = draw(ps, 2) ? ps->c.thin_units : min_t(u64, 24, ps->c.thin_units);

	op->begin = draw(ps, space);
	op->len = 1 + draw(ps, min(max, ps->c.thin_units - op->begin));
}

static void draw_part(struct pool_sim *ps, struct ps_op *op)
{
	draw_range(ps, op, 1);
	op->from = draw(ps, PS_SECTORS - 1);
	op->to = op->from + 1 + draw(ps, PS_SECTORS - 1 - op->from);
}

static void draw_new(struct pool_sim *ps, struct ps_op *op)
{
	while (op->thin < PS_MAX_THINS && ps->thin[op->thin].exists)
		op->thin++;
}

static void draw_small(struct pool_sim *ps, struct ps_op *op, u64 dice)
{
	u64 total = ps->md ? thin2_cached_ranges(ps->md) : 0;

	if (dice < 24) {
		op->kind = PS_EVICT;
		op->n = draw(ps, 3);
		op->begin = total > ps->c.max_ranges ? total - ps->c.max_ranges :
						       draw(ps, total + 1);
	} else if (dice < 46) {
		op->kind = PS_WORK;
		op->n = draw(ps, 2);
	} else if (dice < 66) {
		op->kind = PS_CHECKPOINT;
	} else if (dice < 68) {
		op->kind = PS_GROW_DATA;
		op->begin = 1 + draw(ps, 32);
	} else {
		op->kind = PS_GROW_META;
		op->begin = 1 + draw(ps, 512);
	}
}

static void draw_io(struct pool_sim *ps, struct ps_op *op, u64 dice)
{
	if (dice < 70) {
		op->kind = PS_FLUSH;
		op->n = draw(ps, 2);
	} else if (dice < 90) {
		op->kind = PS_WRITE_FUA;
		op->n = draw(ps, 2);
		if (draw(ps, 2))
			draw_part(ps, op);
		else
			draw_range(ps, op, ps->c.max_write);
	} else if (dice < 190) {
		op->kind = draw(ps, 4) ? PS_DISCARD : PS_ZERO;
		draw_range(ps, op, ps->c.thin_units);
	} else if (dice < 290) {
		op->kind = PS_LAND;
		op->n = draw(ps, PS_MAX_FLIGHT);
	} else if (dice < 400) {
		op->kind = PS_WRITE_PART;
		draw_part(ps, op);
	} else {
		op->kind = PS_WRITE;
		draw_range(ps, op, ps->c.max_write);
	}
}

static void draw_snap(struct pool_sim *ps, struct ps_op *op)
{
	op->kind = PS_SNAP;
	op->other = op->thin;
	op->thin = 0;
	draw_new(ps, op);
}

void ps_draw(struct pool_sim *ps, struct ps_op *op)
{
	u64 dice = draw(ps, 1000);

	memset(op, 0, sizeof(*op));
	op->seed = 1 + sim_random(&ps->gen) / 2;
	op->thin = draw(ps, PS_MAX_THINS);
	if (ps->c.lineage && thin_of(ps, op) && draw(ps, 1000) < ps->c.lineage) {
		/* Snapshots of snapshots, whose origins go. */
		if (draw(ps, 2))
			draw_snap(ps, op);
		else
			op->kind = PS_DELETE;
	} else if (dice < 50 || !thin_of(ps, op)) {
		draw_snap(ps, op);
		if (dice < 20 || !thin_of(ps, &(struct ps_op){ .thin = op->other }))
			op->kind = PS_CREATE;
	} else if (dice < 70) {
		op->kind = PS_DELETE;
	} else if (dice < 80) {
		op->kind = dice < 77 ? PS_HOLD : dice < 79 ? PS_PUT : PS_REOPEN;
	} else if (dice < 85) {
		op->kind = dice < 83 ? PS_HOLD_ALL : PS_PUT_ALL;
	} else if (dice < 90) {
		op->kind = PS_TRANSACTION;
	} else if (dice < 160) {
		draw_small(ps, op, dice - 90);
	} else if (dice < 163) {
		op->kind = PS_RESTART;
	} else if (dice < 165) {
		op->kind = PS_VERIFY;
	} else if (dice < 180) {
		op->kind = PS_RELEASE;
	} else {
		draw_io(ps, op, dice - 180);
	}
}

int ps_step(struct pool_sim *ps)
{
	struct ps_op op;

	ps_draw(ps, &op);
	return ps_run(ps, &op);
}
