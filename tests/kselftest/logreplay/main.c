// SPDX-License-Identifier: GPL-2.0-only
/*
 *	logreplay work cache|through OPS SEED COUNT
 *	logreplay replay cache|through OPS SEED LOG META_SECTORS DATA_SECTORS
 *		BLOCK_SIZE WORKERS
 *	logreplay order LOG META_SECTORS DATA_SECTORS
 *	logreplay cuts LOG
 *	logreplay cut LOG DISK ENTRY SEED SURE
 *
 * "work" works on the pool t2-pool, over t2-log and with t2-mark, and writes
 * what it did to the file OPS. "replay" has each of its workers make pools on
 * t2-meta<N> and t2-data<N>, N from 0. "order" looks at such a log, taken in the
 * way "through". "cuts" prints entries after which power can fail, each with the
 * number of the last mark before; "cut" makes DISK, as it was before the log, what it
 * is after such an entry; SEED, if not 0, takes some of what was not flushed, too, and all
 * of that below sector SURE.
 * Exit status 0, or 1 with the reason on stderr.
 */
#include "logreplay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

void *xalloc(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		fail("no memory");
	return p;
}

void *xbuffer(size_t size)
{
	void *p;

	if (posix_memalign(&p, 4096, size))
		fail("no memory");
	memset(p, 0, size);
	return p;
}

uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

uint64_t rnd(struct rng *r, uint64_t limit)
{
	r->state += 0x9e3779b97f4a7c15ull;
	return mix(r->state) % limit;
}

/* Words of a sector count up from one that says which sector and value it is. */
static uint64_t first_word(uint64_t sector, uint64_t value)
{
	return value ? mix(value << 24 ^ sector) | 1ull << 63 : 0;
}

static uint64_t word_step(uint64_t value)
{
	return value ? 0x9e3779b9ull : 0;
}

void pattern(uint8_t *p, uint32_t sector, uint32_t nr, uint64_t value)
{
	uint64_t *w = (uint64_t *)p, word;
	unsigned int i;

	for (; nr; nr--, sector++) {
		word = first_word(sector, value);
		for (i = 0; i < SECTOR / 8; i++, word += word_step(value))
			*w++ = word;
	}
}

bool sector_is(const uint8_t *p, uint32_t sector, uint64_t value)
{
	const uint64_t *w = (const uint64_t *)p;
	uint64_t word = first_word(sector, value);
	unsigned int i;

	for (i = 0; i < SECTOR / 8; i++, word += word_step(value))
		if (w[i] != word)
			return false;
	return true;
}

void poison(uint8_t *p, uint64_t sector, uint64_t nr)
{
	uint64_t *w = (uint64_t *)p, i;

	for (i = 0; i < nr * SECTOR / 8; i++)
		w[i] = 0xdead000000000000ull | sector << 8;
}

int open_direct(const char *name)
{
	int fd = open(name, O_RDWR | O_DIRECT);

	if (fd < 0)
		fail("%s: open: %s", name, strerror(errno));
	return fd;
}

void read_at(int fd, void *p, uint64_t sector, uint64_t nr)
{
	ssize_t n = pread(fd, p, nr * SECTOR, sector * SECTOR);

	if (n != (ssize_t)(nr * SECTOR))
		fail("read of %llu sectors at %llu: %s", (unsigned long long)nr,
		     (unsigned long long)sector, n < 0 ? strerror(errno) : "short");
}

void write_at(int fd, const void *p, uint64_t sector, uint64_t nr)
{
	ssize_t n = pwrite(fd, p, nr * SECTOR, sector * SECTOR);

	if (n != (ssize_t)(nr * SECTOR))
		fail("write of %llu sectors at %llu: %s", (unsigned long long)nr,
		     (unsigned long long)sector, n < 0 ? strerror(errno) : "short");
}

static uint64_t number(const char *s)
{
	char *end;
	uint64_t v = strtoull(s, &end, 0);

	if (end == s || *end)
		fail("not a number: %s", s);
	return v;
}

static struct options common(char **argv)
{
	struct options o = { .ops = argv[3], .seed = number(argv[4]) };

	o.through = !strcmp(argv[2], "through");
	if (!o.through && strcmp(argv[2], "cache"))
		fail("cache or through, not '%s'", argv[2]);
	return o;
}

int main(int argc, char **argv)
{
	/* Workers share it: whole lines. */
	setvbuf(stderr, NULL, _IOLBF, 1 << 16);
	if (argc == 6 && !strcmp(argv[1], "work")) {
		struct options o = common(argv);

		o.count = number(argv[5]);
		work(&o);
	} else if (argc == 10 && !strcmp(argv[1], "replay")) {
		struct replay_options ro = {
			.o = common(argv),
			.log = argv[5],
			.meta_sectors = number(argv[6]),
			.data_sectors = number(argv[7]),
			.block_size = number(argv[8]),
			.workers = number(argv[9]),
		};

		replay(&ro);
	} else if (argc == 5 && !strcmp(argv[1], "order")) {
		order(argv[2], number(argv[3]), number(argv[4]));
	} else if (argc == 3 && !strcmp(argv[1], "cuts")) {
		cuts(argv[2]);
	} else if (argc == 7 && !strcmp(argv[1], "cut")) {
		cut(argv[2], argv[3], number(argv[4]), number(argv[5]), number(argv[6]));
	} else {
		fail("usage: see the top of the source");
	}
	return 0;
}
