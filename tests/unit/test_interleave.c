// SPDX-License-Identifier: GPL-2.0-only
/*
 * What comes in the middle of something else: scripts where the model and crash
 * tests would need luck.
 *
 * A script runs once, out of a read of the metadata, a flush of it or the wait
 * for I/O in flight, and does there what other threads may do at that moment.
 * What units hold tells whether all went well.
 */
#include "testlib.h"

#include "dm-thin2-internal.h"

#define META_BLOCKS	1024
#define DATA_UNITS	256

struct pool;
typedef void (*script_fn)(struct pool *p);

struct pool {
	struct pdata_io io;		/* the metadata as the core sees it */
	struct sim_clock clock;
	struct sim_disk *meta;
	struct sim_disk *data;
	struct thin2_md *md;
	struct thin2_dev *origin;	/* id 0 */
	struct thin2_dev *snap;		/* id 1 */
	script_fn on_get;
	script_fn on_flush;
	script_fn on_drain;
	u64 unit;			/* for scripts */
};

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

	return pdata_io_flush(&p->data->io);
}

static void op_drain(void *context)
{
	struct pool *p = context;

	run(p, &p->on_drain);
}

static void op_freed(void *context, struct list_head *batch)
{
	struct pool *p = context;

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

static void pool_open(struct pool *p)
{
	struct thin2_md_params params = {
		.io = &p->io,
		.name = "test",
		.data_units = DATA_UNITS,
		.data_block_size = 128,
		.ops = &md_ops,
		.context = p,
	};

	assert_ok(thin2_md_open(&params, &p->md));
}

static void pool_init(struct pool *p)
{
	memset(p, 0, sizeof(*p));
	sim_clock_init(&p->clock, 1);
	p->meta = sim_disk_create(META_BLOCKS, &p->clock);
	p->data = sim_disk_create(DATA_UNITS, &p->clock);
	p->io = p->meta->io;
	p->io.ops = &io_ops;
	pool_open(p);
	assert_ok(thin2_create(p->md, 0));
	assert_ok(thin2_dev_open(p->md, 0, &p->origin));
}

static void pool_abandon(struct pool *p)
{
	thin2_dev_close(p->origin);
	if (p->snap)
		thin2_dev_close(p->snap);
	p->snap = NULL;
	thin2_md_abandon(p->md);
}

static void pool_exit(struct pool *p)
{
	pool_abandon(p);
	sim_disk_destroy(p->meta);
	sim_disk_destroy(p->data);
}

static void take_snap(struct pool *p)
{
	assert_ok(thin2_create_snap(p->md, 1, 0));
	assert_ok(thin2_dev_open(p->md, 1, &p->snap));
}

static void evict_all(struct thin2_dev *th)
{
	thin2_evict(th->md, ~0ull, THIN2_EVICT_ALL);
	assert_u64(pdata_rm_count(th->rm), 0);
}

/* ---- I/O ---- */

static void look(struct thin2_dev *th, u64 unit, bool write, struct thin2_where *w)
{
	for (;;) {
		thin2_lookup(th, unit, unit + 1, write, w);
		if (w->action != THIN2_FILL)
			return;
		assert_ok(thin2_fill(th, unit, unit + 1));
	}
}

/* As a worker does, or out of a commit, which holds the lock that loading counts takes. */
static int ask(struct thin2_dev *th, u64 unit)
{
	u64 load;

	if (pdata_shim_mutex_held(&th->md->meta_lock))
		return thin2_ask_exclusive(th, unit, &load);
	return thin2_try_exclusive(th, unit, unit + 1);
}

static void data_write(struct pool *p, u64 phys, u64 tag)
{
	u8 data[PDATA_BLOCK_SIZE];

	test_fill(data, tag);
	assert_ok(sim_write(p->data, phys, data, false));
}

static bool data_is(struct pool *p, u64 phys, u64 tag)
{
	return test_filled(sim_peek(p->data, phys), tag);
}

static void write_unit(struct pool *p, struct thin2_dev *th, u64 unit, u64 tag)
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

/* A read in flight: where it was sent. */
static u64 read_begin(struct thin2_dev *th, u64 unit)
{
	struct thin2_where where;

	look(th, unit, false, &where);
	assert_int_equal(where.action, THIN2_REMAP);
	return where.phys;
}

static void assert_unit(struct pool *p, struct thin2_dev *th, u64 unit, u64 tag)
{
	assert_true(data_is(p, read_begin(th, unit), tag));
}

static void assert_hole(struct thin2_dev *th, u64 unit)
{
	struct thin2_where where;

	look(th, unit, false, &where);
	assert_int_equal(where.action, THIN2_ZERO);
}

/* Units 0 to 7 of the origin, in one range and in its tree; unit n holds tag 100 + n. */
static void write_base(struct pool *p)
{
	u64 i;

	for (i = 0; i < 8; i++)
		write_unit(p, p->origin, i, 100 + i);
	assert_ok(thin2_checkpoint(p->md));
}

/* ---- a fill reads the tree while entries come, are merged and go again ---- */

static void script_discard(struct pool *p)
{
	u64 done;

	assert_ok(thin2_unmap(p->origin, 3, 4, false, &done));
	assert_ok(thin2_checkpoint(p->md));
	evict_all(p->origin);
}

static void script_move(struct pool *p)
{
	write_unit(p, p->origin, 3, 7);
	assert_ok(thin2_checkpoint(p->md));
	evict_all(p->origin);
}

/* Unit 3 is changed while the worker that fills @unit sleeps in its first read. */
static void fill_meanwhile(struct pool *p, u64 unit, script_fn script)
{
	evict_all(p->origin);
	p->on_get = script;
	assert_ok(thin2_fill(p->origin, unit, unit + 1));
	assert_null(p->on_get);
}

static void test_fill_discarded(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	fill_meanwhile(&p, 3, script_discard);
	assert_hole(p.origin, 3);
	assert_unit(&p, p.origin, 2, 102);
	pool_exit(&p);
}

/* What was read covers more than was asked for, and all of it is old. */
static void test_fill_neighbour_discarded(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	fill_meanwhile(&p, 5, script_discard);
	assert_hole(p.origin, 3);
	assert_unit(&p, p.origin, 5, 105);
	pool_exit(&p);
}

static void test_fill_moved(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	take_snap(&p);
	fill_meanwhile(&p, 3, script_move);
	assert_unit(&p, p.origin, 3, 7);
	assert_unit(&p, p.snap, 3, 103);
	pool_exit(&p);
}

/* The entry that came meanwhile is still there: it stands, whatever was read. */
static void script_discard_stay(struct pool *p)
{
	u64 done;

	assert_ok(thin2_unmap(p->origin, 3, 4, false, &done));
	assert_ok(thin2_checkpoint(p->md));
}

static void test_fill_overtaken(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	fill_meanwhile(&p, 3, script_discard_stay);
	assert_hole(p.origin, 3);
	fill_meanwhile(&p, 5, script_discard_stay);
	assert_hole(p.origin, 3);
	assert_unit(&p, p.origin, 5, 105);
	pool_exit(&p);
}

/* ---- a commit ends sharing while a read of the last sharer is in flight ---- */

static void script_overwrite(struct pool *p)
{
	write_unit(p, p->origin, p->unit, 7);
}

/*
 * The snapshot gives up its references on units 3 and 4, which only the origin
 * has from the next commit on. A read that the snapshot sent to unit 3 before
 * has not come back when that version is published; overwritten in place, it
 * would bring what the origin wrote.
 */
static void test_read_over_commit(void **state)
{
	struct pool p;
	u64 phys;

	pool_init(&p);
	write_base(&p);
	take_snap(&p);
	phys = read_begin(p.snap, 3);
	write_unit(&p, p.snap, 3, 13);
	write_unit(&p, p.snap, 4, 14);
	p.unit = 3;
	p.on_drain = script_overwrite;
	assert_ok(thin2_checkpoint(p.md));
	assert_null(p.on_drain);

	assert_true(data_is(&p, phys, 103));
	assert_unit(&p, p.origin, 3, 7);
	assert_unit(&p, p.snap, 3, 13);
	/* Without the read nothing would have been wrong with it. */
	assert_int_equal(ask(p.origin, 4), 1);
	pool_exit(&p);
}

/* ---- a question to the trees sleeps while snapshots are taken ---- */

static void script_three_snaps(struct pool *p)
{
	u32 id;

	for (id = 2; id < 5; id++)
		assert_ok(thin2_create_snap(p->md, id, 0));
}

/* Not in the first read, that of the mapping, but in that of the data's counts. */
static void script_second_read(struct pool *p)
{
	p->on_get = script_three_snaps;
}

/*
 * Unit 3 is the origin's alone when a worker asks; before it has read all there
 * is to read, three snapshots are taken, after which the epoch is what it was.
 */
static void test_ask_over_three_snaps(void **state)
{
	struct thin2_dev *last;
	struct pool p;

	pool_init(&p);
	write_base(&p);
	take_snap(&p);
	write_unit(&p, p.snap, 3, 13);
	assert_ok(thin2_checkpoint(p.md));

	p.on_get = script_second_read;
	write_unit(&p, p.origin, 3, 7);
	assert_null(p.on_get);
	assert_ok(thin2_dev_open(p.md, 4, &last));
	assert_unit(&p, last, 3, 103);
	assert_unit(&p, p.origin, 3, 7);
	thin2_dev_close(last);
	pool_exit(&p);
}

/* ---- records born in a snapshot's time that outlive it ---- */

static void script_write_crash(struct pool *p)
{
	assert_int_equal(p->origin->snap_time, p->md->sb.time);
	write_unit(p, p->origin, 20, 7);
	assert_ok(thin2_flush(p->md));
	sim_clock_crash(&p->clock);
}

/*
 * A write between a snapshot's cut and its commit is born in the snapshot's
 * time; its record is flushed, then power fails and the snapshot never was.
 * The next one must get another time, or it would share what looks newer.
 */
static void test_lost_snapshot_time(void **state)
{
	struct pool p;

	pool_init(&p);
	write_base(&p);
	p.on_flush = script_write_crash;
	assert_err(thin2_create_snap(p.md, 1, 0), EIO);
	assert_null(p.on_flush);
	pool_abandon(&p);
	sim_clock_power_on(&p.clock, SIM_NONE);

	pool_open(&p);
	assert_ok(thin2_dev_open(p.md, 0, &p.origin));
	assert_unit(&p, p.origin, 20, 7);
	take_snap(&p);
	evict_all(p.origin);
	write_unit(&p, p.origin, 20, 8);
	assert_unit(&p, p.snap, 20, 7);
	assert_unit(&p, p.origin, 20, 8);
	pool_exit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fill_discarded),
		cmocka_unit_test(test_fill_neighbour_discarded),
		cmocka_unit_test(test_fill_moved),
		cmocka_unit_test(test_fill_overtaken),
		cmocka_unit_test(test_read_over_commit),
		cmocka_unit_test(test_ask_over_three_snaps),
		cmocka_unit_test(test_lost_snapshot_time),
	};

	return cmocka_run_group_tests(tests, test_quiet, NULL);
}
