// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes a damaged metadata image as the fuzzers do, for tests outside of this
 * program:
 *
 *	spoil FILE SEED		0 = as it was before
 *
 * Prints the number of its blocks and the data device's units.
 */
#include "image.h"
#include "io-sim.h"

int main(int argc, char **argv)
{
	const struct image_story *story;
	struct image *img;
	u8 edits[256];
	u64 seed;
	size_t i, n;
	FILE *f;

	if (argc != 3)
		return 1;
	pdata_shim_quiet = true;
	seed = strtoull(argv[2], NULL, 0);
	n = seed ? 1 + 14 * (1 + seed % 12) : 1;
	for (i = 0; i < sizeof(edits); i++)
		edits[i] = sim_random(&seed) >> 32;
	/*
	 * Where 512 blocks hold a half merged list in small nodes, a kernel, which
	 * reckons with larger ones, finds no room to go on, and that is right.
	 */
	do {
		story = image_fuzz(&img, edits, n);
		edits[0]++;
	} while (story->blocks < 1000);
	f = fopen(argv[1], "w");
	if (!f || fwrite(img->data, PDATA_BLOCK_SIZE, story->blocks, f) != story->blocks ||
	    fclose(f)) {
		perror(argv[1]);
		return 1;
	}
	printf("%llu %llu\n", story->blocks, story->units);
	return 0;
}
