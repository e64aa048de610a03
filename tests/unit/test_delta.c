// SPDX-License-Identifier: GPL-2.0-only
/*
 * Delta lists: order over blocks, cuts, netting; and that each write in flight
 * has a place for its record, whatever is frozen or runs out meanwhile.
 */
#include "script-pool.h"

/* ---- lists ---- */

static void add(struct thin2_delta_list *l, u64 seq, u8 kind, u64 begin, u64 len, u64 phys,
		u32 birth)
{
	const struct thin2_delta d = {
		.seq = seq, .vbegin = begin, .kind = kind, .phys = phys, .len = len,
		.birth = birth,
	};

	assert_ok(thin2_delta_list_reserve(l, GFP_KERNEL));
	thin2_delta_list_add(l, &d, len);
}

/* Records first..last, in order. */
static void assert_seqs(const struct thin2_delta_list *l, u64 first, u64 last)
{
	const struct thin2_delta *d;
	struct thin2_delta_iter it;
	u64 seq = first;

	assert_u64(l->nr, last + 1 - first);
	thin2_delta_iter_init(&it, l);
	while ((d = thin2_delta_next(&it)))
		assert_u64(d->seq, seq++);
	assert_u64(seq, last + 1);
	if (l->nr) {
		assert_u64(l->first_seq, first);
		assert_u64(l->last_seq, last);
	}
}

static void fill_list(struct thin2_delta_list *l, u64 first, u64 last)
{
	u64 seq;

	for (seq = first; seq <= last; seq++)
		add(l, seq, PDATA_REC_MAP, 10 * seq, 1, seq, 0);
}

/* Cut at every place, go on in what is left, free the part before. */
static void list_is_cut(void **state)
{
	struct thin2_delta_list l, old;
	u64 at, room;

	for (at = 0; at < 300; at++) {
		thin2_delta_list_init(&l, 1);
		fill_list(&l, 1, at);
		room = l.room;
		thin2_delta_list_cut(&l, &old);
		assert_int_equal(old.tag, 1);
		assert_int_equal(l.tag, 2);
		assert_u64(l.room, room);
		assert_u64(l.nr, 0);
		fill_list(&l, at + 1, 300);
		assert_seqs(&old, 1, at);
		assert_seqs(&l, at + 1, 300);
		assert_u64(thin2_delta_list_free(&old, l.first), at);
		assert_seqs(&l, at + 1, 300);
		assert_u64(thin2_delta_list_free(&l, NULL), 300 - at);
	}
}

static void list_is_skipped(void **state)
{
	struct thin2_delta_list l;
	u64 at;

	for (at = 0; at <= 300; at++) {
		thin2_delta_list_init(&l, 1);
		fill_list(&l, 1, 300);
		thin2_delta_list_skip(&l, at);
		assert_seqs(&l, at + 1, 300);
		fill_list(&l, 301, 310);
		if (at < 300)
			assert_seqs(&l, at + 1, 310);
		thin2_delta_list_free(&l, NULL);
	}
}

/* ---- netting ---- */

static void assert_range(const struct pdata_range *r, u8 kind, u64 begin, u64 len, u64 value,
			 u32 tag)
{
	assert_int_equal(r->kind, kind);
	assert_u64(r->begin, begin);
	assert_u64(r->len, len);
	assert_u64(r->value, value);
	assert_int_equal(r->tag, tag);
}

/* A run written as many units in no order is one change. */
static void net_joins(void **state)
{
	struct thin2_delta_list l;
	struct thin2_net net;
	u64 i, unit;

	thin2_delta_list_init(&l, 1);
	for (i = 0; i < 400; i++) {
		unit = i * 7 % 400;
		add(&l, i + 1, PDATA_REC_MAP, 1000 + unit, 1, 5000 + unit, 3);
	}
	assert_ok(thin2_delta_net(&l, &net));
	assert_int_equal(net.nr, 1);
	assert_int_equal(net.nr_dead, 0);
	assert_range(&net.change[0], PDATA_RANGE_MAPPED, 1000, 400, 5000, 3);
	thin2_net_free(&net);

	/* Written once more: the first ones are dead, in one piece, too. */
	for (i = 0; i < 400; i++)
		add(&l, 500 + i, PDATA_REC_MAP, 1000 + i, 1, 9000 + i, 3);
	assert_ok(thin2_delta_net(&l, &net));
	assert_int_equal(net.nr, 1);
	assert_range(&net.change[0], PDATA_RANGE_MAPPED, 1000, 400, 9000, 3);
	assert_int_equal(net.nr_dead, 1);
	assert_range(&net.dead[0], PDATA_RANGE_MAPPED, 1000, 400, 5000, 3);
	thin2_net_free(&net);
	thin2_delta_list_free(&l, NULL);
}

static void net_keeps_apart(void **state)
{
	struct thin2_delta_list l;
	struct thin2_net net;

	thin2_delta_list_init(&l, 1);
	add(&l, 1, PDATA_REC_MAP, 10, 2, 100, 1);
	add(&l, 2, PDATA_REC_MAP, 12, 2, 102, 2);	/* of another birth */
	add(&l, 3, PDATA_REC_MAP, 14, 2, 105, 2);	/* elsewhere */
	add(&l, 4, PDATA_REC_MAP, 17, 2, 108, 2);	/* behind a gap */
	add(&l, 5, PDATA_REC_ZERO, 19, 1, 0, 2);
	add(&l, 6, PDATA_REC_UNMAP, 20, 5, 0, 2);
	add(&l, 7, PDATA_REC_UNMAP, 25, 5, 0, 3);
	add(&l, 8, PDATA_REC_MAP, 1ull << 40, PDATA_REC_MAX_LEN, 1ull << 40, 2);
	add(&l, 9, PDATA_REC_MAP, (1ull << 40) + PDATA_REC_MAX_LEN, 1,
	    (1ull << 40) + PDATA_REC_MAX_LEN, 2);
	assert_ok(thin2_delta_net(&l, &net));
	assert_int_equal(net.nr, 8);
	assert_range(&net.change[0], PDATA_RANGE_MAPPED, 10, 2, 100, 1);
	assert_range(&net.change[1], PDATA_RANGE_MAPPED, 12, 2, 102, 2);
	assert_range(&net.change[2], PDATA_RANGE_MAPPED, 14, 2, 105, 2);
	assert_range(&net.change[3], PDATA_RANGE_MAPPED, 17, 2, 108, 2);
	assert_range(&net.change[4], PDATA_RANGE_ZERO, 19, 1, 0, 0);
	assert_range(&net.change[5], THIN2_CHANGE_UNMAP, 20, 10, 0, 0);
	assert_range(&net.change[6], PDATA_RANGE_MAPPED, 1ull << 40, PDATA_REC_MAX_LEN,
		     1ull << 40, 2);
	thin2_net_free(&net);
	thin2_delta_list_free(&l, NULL);
}

#define NET_UNITS	64u

/* What a unit holds after all records of a list, and units mapped in vain. */
struct model {
	u8 kind[NET_UNITS];
	u64 phys[NET_UNITS];
	u32 birth[NET_UNITS];
	u64 nr_dead;
};

static void model_record(struct model *m, u8 kind, u64 begin, u64 len, u64 phys, u32 birth)
{
	u64 i;

	for (i = begin; i < begin + len; i++) {
		if (m->kind[i] == PDATA_REC_MAP)
			m->nr_dead++;
		m->kind[i] = kind;
		m->phys[i] = phys + (i - begin);
		m->birth[i] = birth;
	}
}

static void model_compare(const struct model *m, const struct thin2_net *net)
{
	u64 unit, pos = 0, dead = 0;
	unsigned int i;

	for (i = 0; i < net->nr; i++) {
		const struct pdata_range *r = &net->change[i];

		for (; pos < r->begin; pos++)
			assert_int_equal(m->kind[pos], 0);
		for (unit = r->begin; unit < pdata_range_end(r); unit++) {
			assert_true(m->kind[unit]);
			assert_int_equal(r->kind == PDATA_RANGE_MAPPED,
					 m->kind[unit] == PDATA_REC_MAP);
			if (r->kind != PDATA_RANGE_MAPPED)
				continue;
			assert_u64(r->value + (unit - r->begin), m->phys[unit]);
			assert_int_equal(r->tag, m->birth[unit]);
		}
		pos = pdata_range_end(r);
	}
	for (i = 0; i < net->nr_dead; i++)
		dead += net->dead[i].len;
	assert_u64(dead, m->nr_dead);
}

static void net_of_random_records(void **state)
{
	u64 rnd = test_seed(), rounds, i, begin, len, phys, nr;
	struct thin2_delta_list l;
	struct thin2_net net;
	struct model m;
	u32 birth;
	u8 kind;

	for (rounds = test_rounds(2000); rounds--; ) {
		memset(&m, 0, sizeof(m));
		thin2_delta_list_init(&l, 1);
		nr = 1 + rnd_below(&rnd, 100);
		for (i = 0, phys = 0, birth = 0; i < nr; i++) {
			begin = rnd_below(&rnd, NET_UNITS);
			len = 1 + rnd_below(&rnd, min(8ull, NET_UNITS - begin));
			kind = rnd_one_in(&rnd, 3) ? PDATA_REC_UNMAP : PDATA_REC_MAP;
			birth += rnd_one_in(&rnd, 10);
			add(&l, i + 1, kind, begin, len, phys, birth);
			model_record(&m, kind, begin, len, phys, birth);
			phys += len;
		}
		assert_ok(thin2_delta_net(&l, &net));
		model_compare(&m, &net);
		thin2_net_free(&net);
		thin2_delta_list_free(&l, NULL);
	}
}

static void net_without_memory(void **state)
{
	struct thin2_delta_list l;
	struct thin2_net net;
	long n;

	thin2_delta_list_init(&l, 1);
	add(&l, 1, PDATA_REC_MAP, 1, 5, 100, 1);
	add(&l, 2, PDATA_REC_MAP, 2, 5, 200, 1);
	for (n = 0; n < 5; n++) {
		pdata_shim_fail_alloc_after(n);
		assert_err(thin2_delta_net(&l, &net), ENOMEM);
	}
	pdata_shim_fail_alloc_after(-1);
	assert_ok(thin2_delta_net(&l, &net));
	thin2_net_free(&net);
	thin2_delta_list_free(&l, NULL);
}

/* ---- places for the records of writes in flight ---- */

#define NR_FLIGHT	100u

static void begin(struct pool *p, struct thin2_write *w, u64 unit)
{
	struct thin2_where where;
	int r;

	look(p->origin, unit, true, &where);
	do {
		r = thin2_write_begin(p->origin, unit, unit + 1, w);
	} while (r == -PDATA_E_WOULD_SLEEP && !thin2_make_room(p->origin, r));
	assert_ok(r);
	data_write(p, w->phys, 1000 + unit);
}

static void end_without_memory(struct thin2_write *w, unsigned int nr, int error)
{
	unsigned long allocs = pdata_shim_allocs();

	pdata_shim_fail_alloc_from(0);
	while (nr--)
		thin2_write_end(w++, error);
	pdata_shim_fail_alloc_from(-1);
	assert_int_equal(pdata_shim_allocs(), allocs);
}

/*
 * Two thirds of the writes end behind freezes of what the others recorded. Their
 * records must find the places that were there when they began.
 */
static void writes_in_flight_over_freezes(void **state)
{
	struct thin2_write w[NR_FLIGHT];
	struct pool p;
	u64 i;

	pool_init(&p);
	for (i = 0; i < NR_FLIGHT; i++)
		begin(&p, &w[i], i);
	end_without_memory(&w[0], 30, 0);
	assert_ok(thin2_checkpoint(p.md));
	end_without_memory(&w[30], 30, 0);
	take_snap(&p);
	end_without_memory(&w[60], 40, 0);
	assert_int_equal(p.origin->active.nr, 40);

	for (i = 0; i < NR_FLIGHT; i++)
		assert_unit(&p, p.origin, i, 1000 + i);
	assert_ok(thin2_flush(p.md));
	pool_crash(&p);
	for (i = 0; i < NR_FLIGHT; i++)
		assert_unit(&p, p.origin, i, 1000 + i);
	pool_exit(&p);
}

/* Without memory a write is refused, and whoever began before is not hurt. */
static void begin_without_memory(void **state)
{
	struct thin2_write w[NR_FLIGHT], more;
	struct thin2_where where;
	struct pool p;
	u64 i, n;
	int r;

	pool_init(&p);
	begin(&p, &w[0], 0);
	look(p.origin, NR_FLIGHT, true, &where);
	for (n = 1; n < NR_FLIGHT; n++) {
		if (p.origin->active.room == p.origin->pending) {
			pdata_shim_fail_alloc_from(0);
			r = thin2_write_begin(p.origin, n, n + 1, &more);
			pdata_shim_fail_alloc_from(-1);
			assert_err(r, ENOMEM);
			assert_int_equal(p.origin->pending, n);
			break;
		}
		begin(&p, &w[n], n);
	}
	assert_true(n < NR_FLIGHT);
	end_without_memory(w, n, 0);
	/* The list is full now, and the same again. */
	assert_u64(p.origin->active.room, 0);
	pdata_shim_fail_alloc_from(0);
	assert_err(thin2_write_begin(p.origin, n, n + 1, &more), ENOMEM);
	pdata_shim_fail_alloc_from(-1);
	write_unit(&p, p.origin, n, 1000 + n);
	for (i = 0; i <= n; i++)
		assert_unit(&p, p.origin, i, 1000 + i);
	pool_exit(&p);
}

/* A write that fails gives its place back: no memory is taken however many do. */
static void failed_writes_need_no_more(void **state)
{
	struct thin2_write w[10];
	u64 i, n, room;
	struct pool p;

	pool_init(&p);
	for (n = 0; n < 50; n++) {
		for (i = 0; i < 10; i++)
			begin(&p, &w[i], i);
		room = n ? room : p.origin->active.room;
		assert_u64(p.origin->active.room, room);
		end_without_memory(w, 10, -EIO);
		assert_int_equal(p.origin->pending, 0);
	}
	assert_u64(p.origin->active.nr, 0);
	assert_ok(thin2_checkpoint(p.md));
	/* A thin with nothing to merge keeps nothing. */
	assert_null(p.origin->active.first);
	assert_hole(p.origin, 0);
	pool_exit(&p);
}

/* A discard needs a place that no write in flight counts on. */
static void unmap_leaves_places(void **state)
{
	struct thin2_write w[NR_FLIGHT];
	struct pool p;
	u64 i, done;

	pool_init(&p);
	for (i = 0; i < NR_FLIGHT; i++)
		begin(&p, &w[i], 2 * i);
	for (i = 0; i < NR_FLIGHT; i++)
		assert_ok(thin2_unmap(p.origin, 2 * i + 1, 2 * i + 2, true, &done));
	end_without_memory(w, NR_FLIGHT, 0);
	for (i = 0; i < NR_FLIGHT; i++)
		assert_unit(&p, p.origin, 2 * i, 1000 + 2 * i);
	pool_exit(&p);
}

/*
 * A merge that stopped leaves its list frozen. Whoever freezes next must leave it
 * alone: what is appended meanwhile stays where it is, nothing is forgotten.
 */
static void frozen_list_stays(void **state)
{
	struct thin2_dev *th;
	struct pool p;
	u64 i, nr, first, last;

	pool_init(&p);
	th = p.origin;
	for (i = 0; i < 10; i++)
		write_unit(&p, th, i, 100 + i);
	thin2_lock(p.md);
	assert_ok(thin2_freeze(th));
	thin2_unlock(p.md);
	nr = th->frozen.nr;
	first = th->frozen.first_seq;
	last = th->frozen.last_seq;
	assert_u64(nr, 10);
	assert_u64(th->active.nr, 0);

	for (i = 20; i < 25; i++)
		write_unit(&p, th, i, 100 + i);
	thin2_lock(p.md);
	assert_ok(thin2_freeze(th));
	thin2_unlock(p.md);
	assert_u64(th->frozen.nr, nr);
	assert_u64(th->frozen.first_seq, first);
	assert_u64(th->frozen.last_seq, last);
	assert_u64(th->active.nr, 5);

	assert_ok(thin2_checkpoint(p.md));
	assert_u64(th->frozen.nr, 0);
	assert_u64(th->active.nr, 0);
	assert_u64(th->details.mapped_units, 15);
	evict_all(th);
	for (i = 0; i < 25; i++) {
		if (i < 10 || i >= 20)
			assert_unit(&p, th, i, 100 + i);
		else
			assert_hole(th, i);
	}
	pool_exit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_is_cut),
		cmocka_unit_test(list_is_skipped),
		cmocka_unit_test(net_joins),
		cmocka_unit_test(net_keeps_apart),
		cmocka_unit_test(net_of_random_records),
		cmocka_unit_test(net_without_memory),
		cmocka_unit_test(writes_in_flight_over_freezes),
		cmocka_unit_test(begin_without_memory),
		cmocka_unit_test(failed_writes_need_no_more),
		cmocka_unit_test(unmap_leaves_places),
		cmocka_unit_test(frozen_list_stays),
	};

	return cmocka_run_group_tests(tests, test_quiet, NULL);
}
