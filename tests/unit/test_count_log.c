// SPDX-License-Identifier: GPL-2.0-only
/* Count log: netting against a model that knows every unit by itself. */
#include "pdata-count-log.h"

#include <setjmp.h>
#include <time.h>
#include <cmocka.h>

#define UNITS	400
#define REFS	24	/* increments remembered for a unit */

struct unit {
	bool touched;
	s64 sum;
	unsigned int nr;
	u64 uid[REFS];
	u64 vbegin[REFS];
};

static struct unit model[UNITS];
static unsigned int rnd_state;

static unsigned int rnd(unsigned int n)
{
	return rand_r(&rnd_state) % n;
}

static void model_add(u64 begin, u64 len, s32 delta, u64 uid, u64 vbegin)
{
	u64 i;

	for (i = begin; i < begin + len; i++) {
		struct unit *u = &model[i];

		u->touched = true;
		u->sum += delta;
		if (delta > 0 && u->nr < REFS) {
			u->uid[u->nr] = uid;
			u->vbegin[u->nr++] = uid ? vbegin + (i - begin) : 0;
		}
	}
}

static bool ref_known(const struct unit *u, u64 uid, u64 vbegin)
{
	unsigned int i;

	if (u->nr == REFS)
		return true;
	for (i = 0; i < u->nr; i++)
		if (u->uid[i] == uid && u->vbegin[i] == vbegin)
			return true;
	return false;
}

static bool could_join(const struct pdata_count_change *a, const struct pdata_count_change *b)
{
	return a->begin + a->len == b->begin && a->delta == b->delta && a->uid == b->uid &&
	       (!a->uid || a->vbegin + a->len == b->vbegin);
}

static void check_net(const struct pdata_count_change *net, size_t nr)
{
	u64 pos = 0;
	size_t i;

	for (i = 0; i < nr; i++) {
		const struct pdata_count_change *c = &net[i];

		assert_true(c->len > 0);
		assert_true(c->begin >= pos);
		for (; pos < c->begin; pos++)
			assert_false(model[pos].touched);
		for (; pos < c->begin + c->len; pos++) {
			assert_true(pos < UNITS);
			assert_true(model[pos].touched);
			assert_int_equal(model[pos].sum, c->delta);
			if (c->delta > 0)
				assert_true(ref_known(&model[pos], c->uid, c->uid ?
						      c->vbegin + (pos - c->begin) : 0));
			else
				assert_true(!c->uid && !c->vbegin);
		}
		if (i)
			assert_false(could_join(&net[i - 1], c));
	}
	for (; pos < UNITS; pos++)
		assert_false(model[pos].touched);
}

static void test_random(void **state)
{
	struct pdata_count_change *net;
	struct pdata_count_log log;
	unsigned int round, n, i;
	size_t nr;

	pdata_count_log_init(&log);
	for (round = 0; round < 3000; round++) {
		const unsigned int most = 1 + rnd(round % 2 ? 40 : 8);

		memset(model, 0, sizeof(model));
		n = rnd(40);
		assert_int_equal(pdata_count_log_reserve(&log, n), 0);
		for (i = 0; i < n; i++) {
			const u64 len = rnd(most);
			const u64 begin = rnd(UNITS - len);
			const s32 delta = (s32)rnd(5) - 2;
			const u64 uid = rnd(3);
			/* mostly one address per unit, as sharers have it */
			const u64 vbegin = begin + 1000 * uid + (rnd(8) ? 0 : rnd(5));

			assert_int_equal(pdata_count_log_add(&log, begin, len, delta, uid,
							     vbegin), 0);
			model_add(begin, len, delta, uid, vbegin);
		}
		assert_int_equal(pdata_count_log_net(&log, &net, &nr), 0);
		assert_int_equal(log.nr, 0);
		check_net(net, nr);
		kvfree(net);
	}
	pdata_count_log_exit(&log);
}

static void test_join_and_zero(void **state)
{
	struct pdata_count_change *net;
	struct pdata_count_log log;
	size_t nr;

	pdata_count_log_init(&log);
	assert_int_equal(pdata_count_log_net(&log, &net, &nr), 0);
	assert_int_equal(nr, 0);
	assert_null(net);

	assert_int_equal(pdata_count_log_reserve(&log, 8), 0);
	/* in two pieces, the later one first */
	assert_int_equal(pdata_count_log_add(&log, 20, 10, 1, 7, 120), 0);
	assert_int_equal(pdata_count_log_add(&log, 10, 10, 1, 7, 110), 0);
	/* adjacent, but elsewhere in the volume */
	assert_int_equal(pdata_count_log_add(&log, 30, 10, 1, 7, 500), 0);
	/* up and down again */
	assert_int_equal(pdata_count_log_add(&log, 50, 10, 1, 7, 150), 0);
	assert_int_equal(pdata_count_log_add(&log, 52, 4, -1, 9, 152), 0);
	assert_int_equal(pdata_count_log_net(&log, &net, &nr), 0);
	assert_int_equal(nr, 5);
	assert_int_equal(net[0].begin, 10);
	assert_int_equal(net[0].len, 20);
	assert_int_equal(net[0].vbegin, 110);
	assert_int_equal(net[1].begin, 30);
	assert_int_equal(net[3].begin, 52);
	assert_int_equal(net[3].len, 4);
	assert_int_equal(net[3].delta, 0);
	assert_int_equal(net[4].begin, 56);
	assert_int_equal(net[4].delta, 1);
	assert_int_equal(net[4].vbegin, 156);
	kvfree(net);
	pdata_count_log_exit(&log);
}

static void test_limits(void **state)
{
	struct pdata_count_change *net;
	struct pdata_count_log log;
	size_t nr, i;
	u64 pos;

	pdata_count_log_init(&log);
	assert_int_equal(pdata_count_log_add(&log, 0, 1, 1, 0, 0), -ENOMEM);
	assert_int_equal(pdata_count_log_reserve(&log, SIZE_MAX), -ENOMEM);
	assert_int_equal(pdata_count_log_reserve(&log, 8), 0);
	assert_int_equal(pdata_count_log_add(&log, PDATA_MAX_UNITS, 1, 1, 0, 0),
			 -PDATA_E_OUT_OF_RANGE);
	assert_int_equal(pdata_count_log_add(&log, 1, PDATA_MAX_UNITS, 1, 0, 0),
			 -PDATA_E_OUT_OF_RANGE);
	assert_int_equal(pdata_count_log_add(&log, 1, U64_MAX, 1, 0, 0), -PDATA_E_OUT_OF_RANGE);
	assert_int_equal(pdata_count_log_add(&log, 5, 0, 1, 0, 0), 0);
	assert_int_equal(log.nr, 0);

	/* no segment is longer than a record may be */
	assert_int_equal(pdata_count_log_add(&log, 0, PDATA_MAX_UNITS / 4, 1, 17, 5), 0);
	assert_int_equal(pdata_count_log_net(&log, &net, &nr), 0);
	for (pos = 0, i = 0; i < nr; i++) {
		assert_int_equal(net[i].begin, pos);
		assert_int_equal(net[i].vbegin, pos + 5);
		assert_true(net[i].len <= PDATA_REC_MAX_LEN);
		pos += net[i].len;
	}
	assert_int_equal(pos, PDATA_MAX_UNITS / 4);
	kvfree(net);

	/* a sum that does not fit is said so, the log stays */
	assert_int_equal(pdata_count_log_reserve(&log, 8), 0);
	assert_int_equal(pdata_count_log_add(&log, 0, 1, S32_MAX, 0, 0), 0);
	assert_int_equal(pdata_count_log_add(&log, 0, 1, S32_MAX, 0, 0), 0);
	assert_int_equal(pdata_count_log_net(&log, &net, &nr), -PDATA_E_COUNT);
	assert_int_equal(log.nr, 2);
	assert_null(net);
	pdata_count_log_exit(&log);
}

static void test_no_memory(void **state)
{
	struct pdata_count_change *net;
	struct pdata_count_log log;
	size_t nr;
	long n;

	memset(model, 0, sizeof(model));
	pdata_count_log_init(&log);
	pdata_shim_fail_alloc_after(0);
	assert_int_equal(pdata_count_log_reserve(&log, 100), -ENOMEM);
	assert_int_equal(pdata_count_log_reserve(&log, 3), 0);
	for (n = 0; n < 3; n++) {
		assert_int_equal(pdata_count_log_add(&log, 10 * (3 - n), 15, 1, 0, 0), 0);
		model_add(10 * (3 - n), 15, 1, 0, 0);
	}
	pdata_shim_fail_alloc_after(0);
	assert_int_equal(pdata_count_log_reserve(&log, 100), -ENOMEM);
	for (n = 0; n < 2; n++) {
		pdata_shim_fail_alloc_after(n);
		assert_int_equal(pdata_count_log_net(&log, &net, &nr), -ENOMEM);
		assert_int_equal(log.nr, 3);
	}
	pdata_shim_fail_alloc_after(-1);
	assert_int_equal(pdata_count_log_net(&log, &net, &nr), 0);
	check_net(net, nr);
	kvfree(net);
	pdata_count_log_exit(&log);
}

/* 2 * 10^5 entries, half of them all over one another: far from quadratic. */
static void test_large(void **state)
{
	const unsigned int n = 100000;
	struct pdata_count_change *net;
	struct pdata_count_log log;
	s64 sum = 0, found = 0;
	unsigned int i;
	clock_t start;
	size_t nr;

	pdata_count_log_init(&log);
	start = clock();
	for (i = 0; i < n; i++) {
		const u64 len = i % 2 ? 3 : 1 + rnd(50000);

		assert_int_equal(pdata_count_log_reserve(&log, 2), 0);
		assert_int_equal(pdata_count_log_add(&log, (u64)((i * 7919u) % n) * 8, len, 1,
						     16 + i % 5, rnd(1 << 20)), 0);
		assert_int_equal(pdata_count_log_add(&log, rnd(8 * n), 1, -1, 16, 0), 0);
		sum += len - 1;
	}
	assert_int_equal(pdata_count_log_net(&log, &net, &nr), 0);
	for (i = 0; i < nr; i++)
		found += (s64)net[i].len * net[i].delta;
	assert_int_equal(found, sum);
	assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 5);
	kvfree(net);
	pdata_count_log_exit(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_join_and_zero),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_large),
	};

	rnd_state = getenv("SEED") ? (unsigned int)atoi(getenv("SEED")) : (unsigned int)time(NULL);
	printf("# SEED=%u\n", rnd_state);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
