// SPDX-License-Identifier: GPL-2.0-only
/* Range map, userspace implementation, against an array of units. */
#include "testlib.h"

#include "pdata-format.h"
#include "pdata-range-map.h"

#define UNITS	200
#define NONE	U64_MAX		/* in the model: not in the map */

struct model {
	struct pdata_range_map *rm;
	u64 value[UNITS];
	unsigned int id[UNITS];	/* which store made this entry */
	unsigned int next_id;
};

static int setup(void **state)
{
	struct model *m = calloc(1, sizeof(*m));
	unsigned int i;

	m->rm = pdata_rm_create();
	for (i = 0; i < UNITS; i++)
		m->value[i] = NONE;
	*state = m;
	return !m->rm;
}

static int teardown(void **state)
{
	struct model *m = *state;

	pdata_shim_fail_alloc_after(-1);
	pdata_rm_destroy(m->rm);
	free(m);
	return 0;
}

/* Exact borders of the entry (or gap) at @unit. */
static void model_entry(const struct model *m, u64 unit, u64 *begin, u64 *end)
{
	for (*begin = unit; *begin > 0; --*begin)
		if (m->id[*begin - 1] != m->id[unit] ||
		    (m->value[*begin - 1] == NONE) != (m->value[unit] == NONE))
			break;
	for (*end = unit; *end < UNITS; ++*end)
		if (m->id[*end] != m->id[unit] ||
		    (m->value[*end] == NONE) != (m->value[unit] == NONE))
			break;
	if (*end == UNITS && m->value[unit] == NONE)
		*end = PDATA_MAX_UNITS;
}

static void check_unit(struct model *m, u64 unit, u64 limit)
{
	u64 value = 0, begin, end, want_begin, want_end, i;
	bool hit;

	hit = pdata_rm_lookup(m->rm, unit, limit, &value, &end);
	assert_int_equal(hit, m->value[unit] != NONE);
	assert_true(end > unit && end <= limit);
	if (hit)
		assert_u64(value, m->value[unit]);
	for (i = unit; i < end; i++)
		assert_u64(m->value[i], m->value[unit]);
	if (!hit && end < limit)
		assert_true(m->value[end] != NONE);

	hit = pdata_rm_entry(m->rm, unit, &begin, &end, &value);
	assert_int_equal(hit, m->value[unit] != NONE);
	model_entry(m, unit, &want_begin, &want_end);
	assert_u64(begin, want_begin);
	assert_u64(end, want_end);
	/* a lookup sees at least the rest of its entry */
	pdata_rm_lookup(m->rm, unit, limit, &value, &end);
	assert_true(end >= min(want_end, limit));
}

static void check_all(struct model *m, u64 *rnd)
{
	u64 unit, count = 0, begin, end;

	for (unit = 0; unit < UNITS; unit++)
		check_unit(m, unit, unit + 1 + rnd_below(rnd, UNITS - unit));
	for (unit = 0; unit < UNITS; unit = min(end, (u64)UNITS)) {
		model_entry(m, unit, &begin, &end);
		count += m->value[unit] != NONE;
	}
	assert_u64(pdata_rm_count(m->rm), count);
}

static void model_set(struct model *m, u64 begin, u64 end, u64 value)
{
	unsigned int id = value == NONE ? 0 : ++m->next_id;
	u64 i;

	/* what remains of an entry cut in two is two entries */
	if (end < UNITS && begin && m->id[end] == m->id[begin - 1] && m->value[end] != NONE) {
		unsigned int old = m->id[end], right = ++m->next_id;

		for (i = end; i < UNITS && m->id[i] == old; i++)
			m->id[i] = right;
	}
	for (i = begin; i < end; i++) {
		m->value[i] = value;
		m->id[i] = id;
	}
}

static void random_ops(void **state)
{
	struct model *m = *state;
	u64 rnd = test_seed() + 1, n = test_rounds(1500), i;

	for (i = 0; i < n; i++) {
		u64 begin = rnd_below(&rnd, UNITS);
		u64 end = begin + 1 + rnd_below(&rnd, min((u64)40, UNITS - begin));
		u64 value = pdata_rm_value(rnd_below(&rnd, 8), rnd_below(&rnd, 3), begin,
					   begin + 1000 * rnd_below(&rnd, 2));
		u64 b, e, k;

		switch (rnd_below(&rnd, 4)) {
		case 0:
		case 1:
			assert_ok(pdata_rm_store(m->rm, begin, end, value));
			model_set(m, begin, end, value);
			break;
		case 2:
			assert_ok(pdata_rm_erase(m->rm, begin, end));
			model_set(m, begin, end, NONE);
			break;
		default:
			if (m->value[begin] == NONE)
				break;
			model_entry(m, begin, &b, &e);
			pdata_rm_flip(m->rm, b, e, value);
			for (k = b; k < e; k++)
				m->value[k] = value;
		}
		if (i % 5 == 0)
			check_all(m, &rnd);
	}
}

static void bound(void **state)
{
	struct model *m = *state;
	u64 i;

	/* entries [10i, 10i + 5) */
	for (i = 0; i < 10; i++)
		assert_ok(pdata_rm_store(m->rm, 10 * i, 10 * i + 5, i));
	assert_u64(pdata_rm_bound(m->rm, 0, 100, 1), 5);
	assert_u64(pdata_rm_bound(m->rm, 0, 3, 1), 3);
	assert_u64(pdata_rm_bound(m->rm, 5, 100, 1), 15);
	assert_u64(pdata_rm_bound(m->rm, 2, 100, 3), 25);
	assert_u64(pdata_rm_bound(m->rm, 2, 100, 10), 95);
	assert_u64(pdata_rm_bound(m->rm, 2, 100, 11), 100);
	assert_u64(pdata_rm_bound(m->rm, 95, 500, 1), 500);
}

static void no_memory_changes_nothing(void **state)
{
	struct model *m = *state;
	u64 value, begin, end;
	int i;

	assert_ok(pdata_rm_store(m->rm, 10, 90, 7));
	for (i = 0; i < 2; i++) {
		pdata_shim_fail_alloc_after(i);
		assert_err(pdata_rm_store(m->rm, 20, 30, 9), ENOMEM);
	}
	pdata_shim_fail_alloc_after(0);
	assert_err(pdata_rm_erase(m->rm, 20, 30), ENOMEM);
	assert_true(pdata_rm_entry(m->rm, 25, &begin, &end, &value));
	assert_u64(begin, 10);
	assert_u64(end, 90);
	assert_u64(value, 7);
	/* a flip needs none */
	pdata_shim_fail_alloc_from(0);
	pdata_rm_flip(m->rm, 10, 90, 8);
	pdata_shim_fail_alloc_after(-1);
	assert_true(pdata_rm_lookup(m->rm, 89, 200, &value, &end));
	assert_u64(value, 8);
	assert_u64(end, 90);
}

static void values(void **state)
{
	u64 v = pdata_rm_value(PDATA_RM_SHARED, 2, 1ull << 40, 5);

	assert_int_equal(pdata_rm_state(v), PDATA_RM_SHARED);
	assert_int_equal(pdata_rm_dirty(v), 2);
	assert_u64(pdata_rm_phys(v, 1ull << 40), 5);
	assert_u64(pdata_rm_phys(v, (1ull << 40) + 77), 82);
	assert_u64(v >> 63, 0);
	v = pdata_rm_set_dirty(pdata_rm_set_state(v, PDATA_RM_EXCL1), 0);
	assert_int_equal(pdata_rm_state(v), PDATA_RM_EXCL1);
	assert_int_equal(pdata_rm_dirty(v), 0);
	assert_u64(pdata_rm_phys(v, 1ull << 40), 5);
	assert_true(pdata_rm_is_excl(v) && pdata_rm_is_mapped(v));
}

static void flip_half(void *rm)
{
	pdata_rm_flip(rm, 10, 15, 1);
}

static void flip_gap(void *rm)
{
	pdata_rm_flip(rm, 50, 60, 1);
}

static void store_over_all(void *rm)
{
	u64 i;

	for (i = 0; i < 1100; i++)
		if (pdata_rm_store(rm, 1000 + i, 1001 + i, i))
			return;
	pdata_shim_quiet = pdata_rm_store(rm, 1000, 2100, 1);
}

static void misuse_dies(void **state)
{
	struct model *m = *state;

	assert_ok(pdata_rm_store(m->rm, 10, 20, 3));
	assert_true(test_dies(flip_half, m->rm));
	assert_true(test_dies(flip_gap, m->rm));
	assert_true(test_dies(store_over_all, m->rm));
}

static void bounded_store_of_many(void **state)
{
	struct model *m = *state;
	u64 i, at, value, end;

	for (i = 0; i < 5000; i++)
		assert_ok(pdata_rm_store(m->rm, 2 * i, 2 * i + 1, i));
	for (at = 0; at < 10000; at = end) {
		end = pdata_rm_bound(m->rm, at, 10000, 1024);
		assert_true(end > at);
		assert_ok(pdata_rm_erase(m->rm, at, end));
	}
	assert_u64(pdata_rm_count(m->rm), 0);
	assert_false(pdata_rm_lookup(m->rm, 0, 10000, &value, &end));
	assert_u64(end, 10000);
}

int main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(random_ops),
		T(bound),
		T(no_memory_changes_nothing),
		cmocka_unit_test(values),
		T(misuse_dies),
		T(bounded_store_of_many),
	};

	return cmocka_run_group_tests_name("range map", tests, NULL, NULL);
}
