// SPDX-License-Identifier: GPL-2.0-only
/* Values of the details trees: arbitrary bytes come back as they were. */
#include "dm-thin2-metadata.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct pdata_details_disk d, back;
	struct thin2_details a, b;

	if (size < sizeof(d))
		return 0;
	memcpy(&d, data, sizeof(d));
	memset(d.reserved, 0, sizeof(d.reserved));
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	thin2_details_unpack(&d, &a);
	memset(&back, 0xee, sizeof(back));
	thin2_details_pack(&a, &back);
	thin2_details_unpack(&back, &b);
	if (memcmp(&a, &b, sizeof(a)) || memcmp(&d, &back, sizeof(d)))
		abort();
	return 0;
}
