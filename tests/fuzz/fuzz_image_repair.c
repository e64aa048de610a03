// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_repair on changed images: it comes to an end, leaves its input alone, and
 * what it calls repaired is a pool in which thin2_check finds nothing.
 */
#include <string.h>

#include "image.h"
#include "../../tools/repair.h"

static bool is_repaired(struct image *out)
{
	static const char * const args[] = { "-q", NULL };
	int status;

	image_tool(out, thin2_check_main, args, true, &status);
	return !status;
}

/* The report is written whatever has happened. */
static int report(struct repair *r, int status)
{
	FILE *out = stdout, *err = stderr, *null = fopen("/dev/null", "w");
	int ret;

	if (!null)
		abort();
	stdout = null;
	stderr = null;
	ret = rp_report(r, status);
	stdout = out;
	stderr = err;
	fclose(null);
	return ret;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct repair r = { .input = "in", .output = IMAGE_NAME, .quiet = true };
	struct image *img, out;
	u64 sum, blocks;
	int ret;

	if (size < 4)
		return 0;
	pdata_shim_quiet = true;
	image_fuzz(&img, data, size);
	blocks = img->io.nr_blocks;
	/* An output of the same size, or of half of it. */
	image_init(&out, data[1] % 4 ? blocks : max_t(u64, blocks / 2, PDATA_MIN_BLOCKS));
	r.json = data[2] & 1;
	r.lost_unmapped = data[2] & 2;
	r.in = &img->io;
	r.out = &out.io;
	sum = crc32c(0, img->data, blocks * PDATA_BLOCK_SIZE);
	tool_init("repair");
	ret = rp_repair(&r);
	if (report(&r, !!ret))
		abort();
	rp_exit(&r);
	if (sum != crc32c(0, img->data, blocks * PDATA_BLOCK_SIZE))
		abort();
	if (!ret && !is_repaired(&out))
		abort();
	image_exit(&out);
	return 0;
}
