// SPDX-License-Identifier: GPL-2.0-only
/* Scripts of the pool simulator: what is printed is what is read. */
#include "testlib.h"

#include "pool-sim.h"

#define OPS	500

static struct ps_log *log_new(void)
{
	struct ps_log *log = calloc(1, sizeof(*log) + OPS * sizeof(log->op[0]));

	assert_non_null(log);
	log->max = OPS;
	return log;
}

static void draw(u64 *rnd, struct ps_op *op)
{
	memset(op, 0, sizeof(*op));
	op->kind = rnd_below(rnd, PS_KINDS);
	if ((op->kind >= PS_CREATE && op->kind <= PS_PUT) ||
	    (op->kind >= PS_WRITE && op->kind <= PS_ZERO))
		op->thin = rnd_below(rnd, PS_MAX_THINS);
	if (op->kind == PS_SNAP)
		op->other = rnd_below(rnd, PS_MAX_THINS);
	op->begin = rnd_below(rnd, 2) ? rnd_u64(rnd) : 0;
	op->len = rnd_below(rnd, 17);
	op->from = rnd_below(rnd, PS_SECTORS);
	op->to = rnd_below(rnd, PS_SECTORS);
	op->n = rnd_below(rnd, SIM_FATES + 1);
	op->crash = rnd_below(rnd, 3);
	op->seed = rnd_below(rnd, 2) ? rnd_u64(rnd) : 0;
}

static void print_and_parse(void **state)
{
	/* Static: without noise between its fields. */
	static struct ps_config c = {
		.seed = 3, .meta_blocks = 512, .data_units = 7, .thin_units = 5, .max_write = 2,
		.journal_blocks = 32, .journal_records = 4, .max_dirty = 9, .max_ranges = 8,
		.fill_ranges = 6, .group_units = 64, .max_meta = 600, .max_data = 10,
		.limits = { .btree_max = 4, .fanout = 5, .leaf_max = 6 },
	};
	struct ps_log *out = log_new(), *in = log_new();
	struct ps_config c2;
	u64 rnd = test_seed();
	FILE *f = tmpfile();

	assert_non_null(f);
	fputs("# a comment\n\n", f);
	ps_print_config(f, &c);
	while (out->nr < OPS) {
		draw(&rnd, &out->op[out->nr]);
		ps_print_op(f, &out->op[out->nr++]);
	}
	rewind(f);
	assert_true(ps_parse(f, &c2, in));
	fclose(f);
	assert_memory_equal(&c, &c2, sizeof(c));
	assert_int_equal(in->nr, out->nr);
	assert_memory_equal(in->op, out->op, OPS * sizeof(out->op[0]));
	free(in);
	free(out);
}

static void refuses(const char *text)
{
	struct ps_log *log = log_new();
	struct ps_config c;
	FILE *f = tmpfile();

	assert_non_null(f);
	fputs(text, f);
	rewind(f);
	assert_false(ps_parse(f, &c, log));
	fclose(f);
	free(log);
}

static void nonsense(void **state)
{
	refuses("open\n");
	refuses("pool meta=512 data=1 units=1\nopne\n");
	refuses("pool meta=512 data=1 units=1\nopen fate=some\n");
	refuses("pool meta=512 data=1 units=1\nwrite thin\n");
	refuses("pool meta=512 data=1 units=1 colour=3\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(print_and_parse),
		cmocka_unit_test(nonsense),
	};

	return cmocka_run_group_tests(tests, test_quiet, NULL);
}
