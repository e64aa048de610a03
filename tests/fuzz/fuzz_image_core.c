// SPDX-License-Identifier: GPL-2.0-only
/* The core on changed images, used as the kernel does: no crash, no hang, no warning. */
#include "image.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	const struct image_story *story;
	struct image *img;

	if (size < 4)
		return 0;
	pdata_shim_quiet = true;
	pdata_shim_warn_fatal = true;
	pdata_shim_seed(size);
	story = image_fuzz(&img, data, size);
	image_use(img, story->units, data[1] * 256 + data[2]);
	return 0;
}
