// SPDX-License-Identifier: GPL-2.0-only
/* thin2_check on changed images: whatever they hold, it comes to an end and says so. */
#include "image.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const char * const clear[] = { "--clear-needs-check-flag", NULL };
	static const char * const json[] = { "--json", NULL };
	struct image *img;
	int status, again;

	if (size < 4)
		return 0;
	pdata_shim_quiet = true;
	image_fuzz(&img, data, size);
	image_tool(img, thin2_check_main, json, true, &status);
	if (status != 0 && status != 1)
		abort();
	if (data[1] % 8)
		return 0;
	/* Nothing was written, so that it says the same again. */
	image_tool(img, thin2_check_main, clear, true, &again);
	if (again != status)
		abort();
	return 0;
}
