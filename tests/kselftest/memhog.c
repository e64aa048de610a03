// SPDX-License-Identifier: GPL-2.0-only
/*
 * More memory than there is, written and compared.
 *
 *	memhog MIB ROUNDS
 *
 * Each round writes a pattern of its own to all pages, and then compares them.
 * Prints a line for each. Exit status: 0, 1 if a
 * page is not what was written, 2 for a wrong command line.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE	4096u
#define WORDS	(PAGE / sizeof(uint64_t))

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static void fill(uint64_t *page, size_t i, unsigned int round)
{
	size_t w;

	for (w = 0; w < WORDS; w++)
		page[w] = mix(((uint64_t)round << 48) + i * WORDS + w);
}

static int compare(const uint64_t *page, size_t i, unsigned int round)
{
	size_t w;

	for (w = 0; w < WORDS; w++) {
		if (page[w] == mix(((uint64_t)round << 48) + i * WORDS + w))
			continue;
		fprintf(stderr, "memhog: round %u, page %zu, word %zu: %#llx\n", round, i, w,
			(unsigned long long)page[w]);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	size_t pages, n;
	unsigned int round, rounds;
	uint64_t *mem;

	if (argc != 3 || atol(argv[1]) <= 0 || atol(argv[2]) <= 0) {
		fprintf(stderr, "usage: memhog MIB ROUNDS\n");
		return 2;
	}
	pages = (size_t)atol(argv[1]) * 256;
	rounds = atol(argv[2]);
	mem = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED) {
		perror("memhog: mmap");
		return 1;
	}
	for (round = 1; round <= rounds; round++) {
		for (n = 0; n < pages; n++)
			fill(mem + n * WORDS, n, round);
		for (n = 0; n < pages; n++)
			if (compare(mem + n * WORDS, n, round))
				return 1;
		printf("memhog: round %u of %u\n", round, rounds);
		fflush(stdout);
	}
	return 0;
}
