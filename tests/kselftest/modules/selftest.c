// SPDX-License-Identifier: GPL-2.0-only
/*
 * The target "thin2-selftest TEST [NUMBER [DEVICE]]". It maps nothing.
 */
#include "selftest.h"

#include <linux/module.h>

static const struct selftest tests[] = {
	{ "rm-random", st_rm_random },
	{ "rm-large", st_rm_large },
	{ "rm-bytes", st_rm_bytes },
	{ "rm-readers", st_rm_readers },
	{ "io-cache", st_io_cache },
	{ "io-errors", st_io_errors },
	{ "fua", st_fua },
};

static int selftest_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct dm_dev *dev = NULL;
	unsigned int i;
	u64 arg = 0;
	int r;

	if (!argc || (argc > 1 && kstrtou64(argv[1], 0, &arg))) {
		ti->error = "TEST [NUMBER [DEVICE]]";
		return -EINVAL;
	}
	for (i = 0; i < ARRAY_SIZE(tests) && strcmp(tests[i].name, argv[0]); i++)
		;
	if (i == ARRAY_SIZE(tests)) {
		ti->error = "no such test";
		return -EINVAL;
	}
	if (argc > 2) {
		r = dm_get_device(ti, argv[2], dm_table_get_mode(ti->table), &dev);
		if (r) {
			ti->error = "cannot open the device";
			return r;
		}
	}
	r = tests[i].run(arg, dev);
	if (dev)
		dm_put_device(ti, dev);
	if (r)
		ti->error = "test failed";
	else
		pr_info("thin2-selftest: %s %llu passed\n", argv[0], arg);
	return r;
}

static void selftest_dtr(struct dm_target *ti)
{
}

static int selftest_map(struct dm_target *ti, struct bio *bio)
{
	return DM_MAPIO_KILL;
}

static struct target_type selftest_target = {
	.name = "thin2-selftest",
	.version = { 1, 0, 0 },
	.module = THIS_MODULE,
	.ctr = selftest_ctr,
	.dtr = selftest_dtr,
	.map = selftest_map,
};

static int __init selftest_init(void)
{
	return dm_register_target(&selftest_target);
}

static void __exit selftest_exit(void)
{
	dm_unregister_target(&selftest_target);
}

module_init(selftest_init);
module_exit(selftest_exit);
MODULE_DESCRIPTION("dm-thin2 kernel self tests");
MODULE_LICENSE("GPL");
