// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes metadata images for the tests of the tools.
 *
 *	mkpool FILE META_BLOCKS DATA_UNITS WORD...
 *
 * opens FILE (makes it if META_BLOCKS is not 0) and obeys the words of
 * pool-words.h in order.
 */
#include "io-file.h"
#include "pool-words.h"

int main(int argc, char **argv)
{
	struct pool_words run = { };
	u64 blocks;
	int r;

	if (argc < 5) {
		fprintf(stderr, "usage: mkpool FILE META_BLOCKS DATA_UNITS WORD...\n");
		return 1;
	}
	blocks = strtoull(argv[2], NULL, 0);
	if (blocks)
		r = pdata_io_file_create(argv[1], blocks, 0, &run.p.io);
	else
		r = pdata_io_file_open(argv[1], 0, &run.p.io);
	if (r) {
		fprintf(stderr, "mkpool: %s: %s\n", argv[1], strerror(-r));
		return 1;
	}
	run.p.name = argv[1];
	run.p.data_units = strtoull(argv[3], NULL, 0);
	pool_words_run(&run, argc - 4, argv + 4);
	return pdata_io_file_close(run.p.io) ? 1 : 0;
}
