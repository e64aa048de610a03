/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What unit, model and crash tests share: cmocka with its prerequisites, a
 * seed for random tests, checks that name what failed. With TEST=pattern in the
 * environment a program runs only the tests whose names match ("rule_8_*").
 */
#ifndef PDATA_TESTLIB_H
#define PDATA_TESTLIB_H

#include "pdata-platform.h"

#include <setjmp.h>
#include <cmocka.h>

#include "io-sim.h"
#include "pdata-error.h"

/* Fail with the error's text unless @expr is 0. */
#define assert_ok(expr) do {						\
	int __ok = (expr);						\
									\
	if (__ok)							\
		fail_msg("%s: %d, %s", #expr, __ok, pdata_error_text(__ok)); \
} while (0)

/* Fail unless @expr is -@code: assert_err(f(), PDATA_E_CSUM), assert_err(f(), EIO). */
#define assert_err(expr, code) do {					\
	int __err = (expr);						\
									\
	if (__err != -(code))						\
		fail_msg("%s: %d, %s; expected -%s", #expr, __err,	\
			 pdata_error_text(__err), #code);		\
} while (0)

/* Two u64, with both values in hex and decimal when they differ. */
#define assert_u64(a, b) do {						\
	u64 __a = (a), __b = (b);					\
									\
	if (__a != __b)							\
		fail_msg("%s is %llu (0x%llx), %s is %llu (0x%llx)",	\
			 #a, __a, __a, #b, __b, __b);			\
} while (0)

/**
 * test_seed - seed of this run's random tests
 *
 * From the environment (SEED=0x..., decimal too), else from the clock. Printed
 * once to stderr, and seeds get_random_bytes() as well.
 */
u64 test_seed(void);

/* Scales the length of random tests: ROUNDS=10 in the environment runs ten times @n. */
u64 test_rounds(u64 n);

/* splitmix64; start a test with u64 rnd = test_seed() + something of its own. */
#define rnd_u64(rnd)		sim_random(rnd)
#define rnd_below(rnd, n)	sim_below(rnd, n)
/* True once in @n. */
#define rnd_one_in(rnd, n)	(sim_below(rnd, n) == 0)

/* A zeroed block for pdata_io_write() and so on; pdata_block_free() it. */
void *test_block(void);
/* Fill a block (4 KiB, any alignment) with a pattern that follows from @tag; check it. */
void test_fill(void *data, u64 tag);
bool test_filled(const void *data, u64 tag);

/* For cmocka's setup: silence expected log lines, forget injected faults. */
int test_quiet(void **state);

/* Is this process built with ASan? (Death tests and timings differ.) */
bool test_asan(void);

/*
 * Does @fn die by abort()? It runs in a child with stderr closed. Use it for
 * what must not pass unnoticed.
 */
bool test_dies(void (*fn)(void *arg), void *arg);

#endif
