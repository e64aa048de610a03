// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that goes bad: a block that is damaged before it is written, whichever
 * it is of all that a pool writes, is refused and named in the log. From then on
 * the pool changes nothing any more, and what is on disk is in order: the last
 * checkpoint, and all that was flushed.
 */
#include "testlib.h"
#include "image.h"
#include "pdata-fault.h"

#define UNITS	65536
#define STORY	"limits 4 5 8 journal 32 create 1 random 1 60 4000 1 create 2 create 3 create 4 " \
		"create 5 create 6 create 7 checkpoint snap 8 1 checkpoint abandon"

static const struct image_story story = {
	.name = "memory", .words = STORY, .blocks = 1100, .units = UNITS,
};
static const struct pdata_limits limits = { .btree_max = 4, .fanout = 5, .leaf_max = 8 };

static const char * const type[] = {
	"superblock", "journal block", "space-map block", "btree node", "range node",
	"range leaf",
};

static unsigned int refused[ARRAY_SIZE(type)];
static unsigned int refusals;	/* of this run */

/* A line that says that a block was refused has its kind and its number. */
static void see_line(const char *line)
{
	unsigned int i;

	if (!strstr(line, "refused"))
		return;
	for (i = 0; i < ARRAY_SIZE(type); i++)
		if (strstr(line, type[i]) && strpbrk(strstr(line, type[i]), "0123456789"))
			break;
	if (i == ARRAY_SIZE(type))
		return;
	refused[i]++;
	refusals++;
}

/* All that writes metadata. Return: the first error. */
static int work(struct thin2_md *md, u64 *flushed)
{
	struct thin2_dev *th;
	unsigned int i;
	int r;

	*flushed = 0;
	r = thin2_dev_open(md, 1, &th);
	if (r)
		return r;
	for (i = 0; i < 30; i++)
		image_io(th, 50000 + 3 * i, 50001 + 3 * i, true);
	r = thin2_flush(md);
	if (!r)
		*flushed = 30;
	if (!r)
		r = thin2_create_snap(md, 9, 1);
	image_io(th, 100, 400, true);
	thin2_dev_close(th);
	if (!r)
		r = thin2_checkpoint(md);
	if (!r)
		r = thin2_delete(md, 8);
	for (i = 0; i < 50 && !r; i++)
		r = thin2_work(md, true);
	return min(r, 0);
}

static void check_frozen(struct image *img, struct thin2_md *md)
{
	u8 *before = malloc(img->io.nr_blocks * PDATA_BLOCK_SIZE);

	assert_non_null(before);
	memcpy(before, img->data, img->io.nr_blocks * PDATA_BLOCK_SIZE);
	assert_true(thin2_create(md, 20) < 0);
	assert_true(thin2_checkpoint(md) < 0);
	assert_true(thin2_create_snap(md, 21, 2) < 0);
	assert_memory_equal(before, img->data, img->io.nr_blocks * PDATA_BLOCK_SIZE);
	free(before);
}

static int count_units(void *context, const struct pdata_range *r)
{
	if (r->kind == PDATA_RANGE_MAPPED && r->begin >= 50000)
		*(u64 *)context += r->len;
	return 0;
}

static int find_thin(void *context, const struct thin2_details *d)
{
	if (d->id == 1)
		*(struct thin2_details *)context = *d;
	return 0;
}

/* What another activation finds. */
static void check_disk(struct image *img, u64 flushed)
{
	struct image_pool pool = { .limits = &limits };
	struct thin2_details d = { 0 };
	u64 units = 0;
	char *report;
	int status;

	memset(img->checked, 0, img->io.nr_blocks);
	report = image_tool(img, thin2_check_main, NULL, false, &status);
	if (status)
		fail_msg("the disk is not in order:\n%s", report);
	free(report);
	assert_ok(image_open(img, &pool, UNITS, true));
	assert_ok(thin2_for_each_details(pool.md, false, find_thin, &d));
	assert_ok(thin2_walk(pool.md, &d, count_units, &units));
	assert_true(units >= flushed);
	thin2_md_abandon(pool.md);
}

/* Return: whether the @n-th block of all that is written was damaged. */
static bool run(struct image *img, const struct image *good, enum pdata_fault_point how,
		unsigned int n)
{
	struct image_pool pool = { .limits = &limits };
	u64 flushed = 0;
	bool fired;
	int r;

	image_restore(img, good);
	refusals = 0;
	pdata_fault_arm(how, n);
	r = image_open(img, &pool, UNITS, false);
	if (!r)
		r = work(pool.md, &flushed);
	fired = !(pdata_fault_armed & (1ul << how));
	pdata_fault_disarm_all();
	if (fired && !r)
		fail_msg("block %u was damaged, and nobody has noticed", n);
	if (fired && !refusals)
		fail_msg("block %u was refused with %d, and the log does not say so", n, r);
	if (fired && pool.md)
		check_frozen(img, pool.md);
	if (pool.md)
		thin2_md_abandon(pool.md);
	check_disk(img, flushed);
	if (!fired)
		assert_ok(r);
	return fired;
}

static void each_block(enum pdata_fault_point how)
{
	struct image good, img;
	unsigned int i, n = 0;

	memset(refused, 0, sizeof(refused));
	image_tell(&good, &story, NULL);
	image_init(&img, story.blocks);
	pdata_shim_log_hook = see_line;
	while (run(&img, &good, how, n))
		n++;
	pdata_shim_log_hook = NULL;
	for (i = 0; i < ARRAY_SIZE(type); i++) {
		print_message("%s: refused %u times\n", type[i], refused[i]);
		assert_true(refused[i]);
	}
	image_exit(&img);
	image_exit(&good);
}

/* The block's content is damaged before it has a crc. */
static void test_content(void **state)
{
	each_block(PDATA_FAULT_BLOCK_CORRUPT);
}

/* A bit flips afterwards. */
static void test_flipped(void **state)
{
	each_block(PDATA_FAULT_SEAL_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_content, test_quiet),
		cmocka_unit_test_setup(test_flipped, test_quiet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
