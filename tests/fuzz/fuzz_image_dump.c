// SPDX-License-Identifier: GPL-2.0-only
/* thin2_dump on changed images, of the whole pool and of what is held. */
#include "image.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const char * const human[] = { "-q", "-f", "human_readable", NULL };
	static const char * const snap[] = { "-q", "-m", NULL };
	static const char * const xml[] = { "-q", NULL };
	struct image *img;
	int status;

	if (size < 4)
		return 0;
	pdata_shim_quiet = true;
	image_fuzz(&img, data, size);
	image_tool(img, thin2_dump_main, data[1] % 4 ? xml : human, true, &status);
	if (status != 0 && status != 1)
		abort();
	if (data[1] % 4 == 1)
		image_tool(img, thin2_dump_main, snap, true, &status);
	return 0;
}
