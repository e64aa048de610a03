// SPDX-License-Identifier: GPL-2.0-only
/* Radix sort: order, stability, and what happens without memory. */
#include "testlib.h"

#include "pdata-format.h"
#include "pdata-sort.h"

struct item {
	u64 key;
	u64 nr;
};

static int cmp_item(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->nr < y->nr ? -1 : x->nr > y->nr;
}

static void round_of(u64 *rnd, size_t nr, u64 keys)
{
	struct item *item = calloc(nr, sizeof(*item));
	u64 sum = 0, after = 0;
	size_t i;

	assert_non_null(item);
	for (i = 0; i < nr; i++) {
		item[i].key = rnd_below(rnd, keys);
		item[i].nr = i;
		sum += item[i].key * (i + 1);
	}
	pdata_sort(item, nr, sizeof(*item), PDATA_KEY_BITS, cmp_item);
	for (i = 0; i < nr; i++) {
		after += item[i].key * (item[i].nr + 1);
		if (i)
			assert_true(cmp_item(&item[i - 1], &item[i]) < 0);
	}
	assert_u64(sum, after);
	free(item);
}

static void test_random(void **state)
{
	u64 rnd = test_seed();
	unsigned int n;

	for (n = 0; n < 200; n++)
		round_of(&rnd, 1 + rnd_below(&rnd, 3000), 1 + (sim_random(&rnd) >>
				 (16 + rnd_below(&rnd, 48))));
	round_of(&rnd, 1000, PDATA_MAX_UNITS);
	round_of(&rnd, 1000, 1);
}

static void test_without_memory(void **state)
{
	u64 rnd = test_seed();

	pdata_shim_fail_alloc_from(0);
	round_of(&rnd, 2000, PDATA_MAX_UNITS);
	pdata_shim_fail_alloc_from(-1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
