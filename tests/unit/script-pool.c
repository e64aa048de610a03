// SPDX-License-Identifier: GPL-2.0-only
/* A pool whose device calls run scripts; see script-pool.h. */
#include "script-pool.h"

static void run(struct pool *p, script_fn *script)
{
	script_fn fn = *script;

	*script = NULL;
	if (fn)
		fn(p);
}

/* ---- the metadata device and what the core asks of the data's side ---- */

static int io_get(struct pdata_io *io, u64 block, struct pdata_io_ref *ref)
{
	struct pool *p = container_of(io, struct pool, io);

	run(p, &p->on_get);
	return pdata_io_get(&p->meta->io, block, ref);
}

static void io_put(struct pdata_io *io, struct pdata_io_ref *ref)
{
	struct pool *p = container_of(io, struct pool, io);

	pdata_io_put(&p->meta->io, ref);
}

static int io_read(struct pdata_io *io, u64 block, void *data)
{
	struct pool *p = container_of(io, struct pool, io);

	return pdata_io_read(&p->meta->io, block, data);
}

static int io_write(struct pdata_io *io, const struct pdata_io_vec *vec, unsigned int n, bool fua)
{
	struct pool *p = container_of(io, struct pool, io);

	return pdata_io_write(&p->meta->io, vec, n, fua);
}

static int io_flush(struct pdata_io *io)
{
	struct pool *p = container_of(io, struct pool, io);

	run(p, &p->on_flush);
	return pdata_io_flush(&p->meta->io);
}

static const struct pdata_io_ops io_ops = {
	.get = io_get,
	.put = io_put,
	.read = io_read,
	.write = io_write,
	.flush = io_flush,
};

static int op_flush_data(void *context)
{
	struct pool *p = context;
	int r;

	run(p, &p->on_flush_data);
	r = pdata_io_flush(&p->data->io);
	run(p, &p->after_flush_data);
	return r;
}

static void op_drain(void *context)
{
	struct pool *p = context;

	run(p, &p->on_drain);
}

static void op_freed(void *context, struct list_head *batch)
{
	struct pool *p = context;

	if (p->keep_freed)
		list_splice_tail_init(batch, &p->freed);
	else
		thin2_release(p->md, batch);
}

static void op_wake(void *context)
{
}

static const struct thin2_md_ops md_ops = {
	.flush_data = op_flush_data,
	.drain = op_drain,
	.freed = op_freed,
	.wake = op_wake,
};

/* ---- the pool ---- */

int pool_try_open(struct pool *p)
{
	struct thin2_md_params params = {
		.io = &p->io,
		.name = "test",
		.data_units = p->data_units ? p->data_units : DATA_UNITS,
		.journal_records = p->journal_records,
		.data_block_size = 128,
		.ops = &md_ops,
		.context = p,
		.read_only = p->read_only,
		.limits = p->limits,
	};

	return thin2_md_open(&params, &p->md);
}

void pool_open(struct pool *p)
{
	assert_ok(pool_try_open(p));
}

void pool_start(struct pool *p)
{
	sim_clock_init(&p->clock, 1);
	INIT_LIST_HEAD(&p->freed);
	p->meta = sim_disk_create(p->meta_blocks ? p->meta_blocks : META_BLOCKS, &p->clock);
	p->data = sim_disk_create(p->data_units ? p->data_units : DATA_UNITS, &p->clock);
	p->io = p->meta->io;
	p->io.ops = &io_ops;
	pool_open(p);
	assert_ok(thin2_create(p->md, 0));
	assert_ok(thin2_dev_open(p->md, 0, &p->origin));
}

void pool_init(struct pool *p)
{
	pool_init_limits(p, NULL);
}

void pool_init_limits(struct pool *p, const struct pdata_limits *limits)
{
	memset(p, 0, sizeof(*p));
	p->limits = limits;
	pool_start(p);
}

static void forget_freed(struct pool *p)
{
	struct pdata_freed *f, *next;

	list_for_each_entry_safe(f, next, &p->freed, list) {
		list_del(&f->list);
		kfree(f);
	}
}

void pool_abandon(struct pool *p)
{
	forget_freed(p);
	if (p->origin)
		thin2_dev_close(p->origin);
	if (p->snap)
		thin2_dev_close(p->snap);
	p->origin = NULL;
	p->snap = NULL;
	thin2_md_abandon(p->md);
}

void pool_crash(struct pool *p)
{
	pool_crash_as(p, SIM_NONE, SIM_NONE);
}

void pool_crash_as(struct pool *p, enum sim_fate meta, enum sim_fate data)
{
	pool_abandon(p);
	sim_clock_crash(&p->clock);
	sim_settle(p->meta, meta, 1);
	sim_settle(p->data, data, 1);
	sim_clock_power_on(&p->clock, SIM_NONE);
	pool_open(p);
	assert_ok(thin2_dev_open(p->md, 0, &p->origin));
}

void pool_exit(struct pool *p)
{
	pool_abandon(p);
	sim_disk_destroy(p->meta);
	sim_disk_destroy(p->data);
}

void take_snap(struct pool *p)
{
	assert_ok(thin2_create_snap(p->md, 1, 0));
	assert_ok(thin2_dev_open(p->md, 1, &p->snap));
}

void evict_all(struct thin2_dev *th)
{
	thin2_evict(th->md, ~0ull, THIN2_EVICT_ALL);
	assert_u64(pdata_rm_count(th->rm), 0);
}

/* ---- I/O ---- */

void look(struct thin2_dev *th, u64 unit, bool write, struct thin2_where *w)
{
	for (;;) {
		thin2_lookup(th, unit, unit + 1, write, w);
		if (w->action != THIN2_FILL)
			return;
		assert_ok(thin2_fill(th, unit, unit + 1));
	}
}

int ask(struct thin2_dev *th, u64 unit)
{
	u64 load;

	if (pdata_shim_mutex_held(&th->md->meta_lock))
		return thin2_ask_exclusive(th, unit, &load);
	return thin2_try_exclusive(th, unit, unit + 1);
}

void data_write(struct pool *p, u64 phys, u64 tag)
{
	u8 data[PDATA_BLOCK_SIZE];

	test_fill(data, tag);
	assert_ok(sim_write(p->data, phys, data, false));
}

bool data_is(struct pool *p, u64 phys, u64 tag)
{
	return test_filled(sim_peek(p->data, phys), tag);
}

void write_unit(struct pool *p, struct thin2_dev *th, u64 unit, u64 tag)
{
	struct thin2_where where;
	struct thin2_write w;
	int r;

	look(th, unit, true, &where);
	if (where.action == THIN2_UNSHARE && ask(th, unit) > 0)
		look(th, unit, true, &where);
	if (where.action == THIN2_REMAP) {
		data_write(p, where.phys, tag);
		return;
	}
	do {
		r = thin2_write_begin(th, unit, unit + 1, &w);
	} while (r == -PDATA_E_WOULD_SLEEP && !thin2_make_room(th, r));
	assert_ok(r);
	data_write(p, w.phys, tag);
	thin2_write_end(&w, 0);
}

u64 read_begin(struct thin2_dev *th, u64 unit)
{
	struct thin2_where where;

	look(th, unit, false, &where);
	assert_int_equal(where.action, THIN2_REMAP);
	return where.phys;
}

void assert_unit(struct pool *p, struct thin2_dev *th, u64 unit, u64 tag)
{
	assert_true(data_is(p, read_begin(th, unit), tag));
}

void assert_hole(struct thin2_dev *th, u64 unit)
{
	struct thin2_where where;

	look(th, unit, false, &where);
	assert_int_equal(where.action, THIN2_ZERO);
}

void write_base(struct pool *p)
{
	u64 i;

	for (i = 0; i < 8; i++)
		write_unit(p, p->origin, i, 100 + i);
	assert_ok(thin2_checkpoint(p->md));
}
