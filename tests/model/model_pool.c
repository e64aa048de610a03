// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model test: random operations on a whole pool against a plain array, with
 * tiny nodes and journals, without crashes. 10^6 operations by default, spread
 * over pools of several shapes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "pool-sim.h"
#include "testlib.h"

static const struct ps_config shapes[] = {
	{ .meta_blocks = 16384, .data_units = 2048, .thin_units = 256, .max_write = 16,
	  .journal_blocks = 64, .journal_records = 8, .max_dirty = 400, .max_ranges = 200,
	  .fill_ranges = 7, .group_units = 256, .limits = { .btree_max = 4, .fanout = 4, .leaf_max = 4 } },
	{ .meta_blocks = 8192, .data_units = 768, .thin_units = 128, .max_write = 8,
	  .journal_blocks = 32, .journal_records = 4, .max_dirty = 64, .max_ranges = 64,
	  .group_units = 256, .limits = { .btree_max = 6, .fanout = 5, .leaf_max = 8 } },
	{ .meta_blocks = 512, .data_units = 512, .thin_units = 96, .max_write = 4 },
	{ .meta_blocks = 8192, .data_units = 1024, .thin_units = 128, .max_write = 2,
	  .journal_blocks = 48, .journal_records = 4, .max_dirty = 60, .lineage = 40,
	  .group_units = 256, .limits = { .btree_max = 4, .fanout = 4, .leaf_max = 4 } },
};

static void run(const struct ps_config *shape, u64 seed, u64 ops)
{
	struct ps_config c = *shape;
	struct pool_sim *ps = calloc(1, sizeof(*ps));
	u64 i;
	int r;

	if (!ps)
		abort();
	c.seed = seed;
	ps_init(ps, &c);
	r = ps_open(ps);
	if (r)
		ps_die(ps, "open: %s", pdata_error_text(r));
	for (i = 1; i <= ops; i++) {
		ps_step(ps);
		if (i % 2000 == 0)
			ps_verify(ps, false);
		if (i % 10000 == 0)
			ps_check_counts(ps);
	}
	ps_verify(ps, false);
	ps_check_counts(ps);
	r = ps_close(ps);
	if (r)
		ps_die(ps, "close: %s", pdata_error_text(r));
	r = ps_open(ps);
	if (r)
		ps_die(ps, "open again: %s", pdata_error_text(r));
	ps_verify(ps, false);
	ps_check_counts(ps);
	ps_exit(ps);
	free(ps);
}

int main(void)
{
	u64 seed = test_seed(), per = test_rounds(1000000) / ARRAY_SIZE(shapes) + 1;
	unsigned int i;

	printf("1..%zu\n", ARRAY_SIZE(shapes));
	for (i = 0; i < ARRAY_SIZE(shapes); i++) {
		run(&shapes[i], seed + i, per);
		printf("ok %u - %llu operations, metadata of %llu blocks, seed 0x%llx\n", i + 1,
		       (unsigned long long)per, (unsigned long long)shapes[i].meta_blocks,
		       (unsigned long long)seed + i);
		fflush(stdout);
	}
	return 0;
}
