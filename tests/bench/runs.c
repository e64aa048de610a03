// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long the runs of physically consecutive writes are in a log of
 * dm-log-writes, which has them in the order in which they ended; on a ramdisk
 * that is the order of their submission.
 *
 *	runs LOG [STREAMS]
 *
 * prints KIB RUN STREAM EXTENT, all in KiB: what was written; the mean length of
 * runs, each write going on where the one before it ended; of runs of which
 * STREAMS (8) are open at a time, each write going on where any of them ended, or
 * beginning one in place of that which was left alone longest; and of pieces
 * that are written in the end, whatever the order.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC		0x6a736677736872ull
#define VERSION		1ull
#define FLAG_DISCARD	4ull
#define FLAG_MARK	8ull
#define MAX_STREAMS	256u

struct head {
	uint64_t sector, nr_sectors, flags, data_len;
};

struct super {
	uint64_t magic, version, nr_entries;
	uint32_t sector_size;
};

struct extent {
	uint64_t begin, end;
};

struct stream {
	uint64_t end, last_use;
};

static _Noreturn void die(const char *what, const char *who)
{
	fprintf(stderr, "runs: %s %s\n", who, what);
	exit(1);
}

static void read_at(int fd, void *p, size_t n, uint64_t offset, const char *who)
{
	if (pread(fd, p, n, offset) != (ssize_t)n)
		die(errno ? strerror(errno) : "is cut short", who);
}

/* All writes in their order; @sector_size of the log, and of what it counts in. */
static struct extent *read_log(const char *path, uint64_t *nr, uint32_t *sector_size)
{
	int fd = open(path, O_RDONLY);
	struct extent *write;
	struct super super;
	uint64_t n, pos;
	struct head h;

	if (fd < 0)
		die(strerror(errno), path);
	read_at(fd, &super, sizeof(super), 0, path);
	if (le64toh(super.magic) != MAGIC || le64toh(super.version) != VERSION)
		die("is no log of dm-log-writes", path);
	*sector_size = le32toh(super.sector_size);
	n = le64toh(super.nr_entries);
	write = calloc(n + 1, sizeof(*write));
	if (!write)
		die("is too long", path);
	for (pos = *sector_size, *nr = 0; n--; pos += *sector_size) {
		read_at(fd, &h, sizeof(h), pos, path);
		if (le64toh(h.flags) & FLAG_DISCARD)
			continue;
		pos += le64toh(h.nr_sectors) * *sector_size;
		if (!h.nr_sectors || le64toh(h.flags) & FLAG_MARK)
			continue;
		write[*nr].begin = le64toh(h.sector);
		write[*nr].end = write[*nr].begin + le64toh(h.nr_sectors);
		++*nr;
	}
	close(fd);
	return write;
}

static uint64_t count_runs(const struct extent *write, uint64_t nr, unsigned int streams)
{
	struct stream stream[MAX_STREAMS] = { 0 }, *s;
	uint64_t runs = 0, i;
	unsigned int j, old;

	for (i = 0; i < nr; i++) {
		for (j = old = 0; j < streams; j++) {
			if (stream[j].last_use && stream[j].end == write[i].begin)
				break;
			if (stream[j].last_use < stream[old].last_use)
				old = j;
		}
		runs += j == streams;
		s = &stream[j < streams ? j : old];
		s->end = write[i].end;
		s->last_use = i + 1;
	}
	return runs;
}

static int by_begin(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	return (x->begin > y->begin) - (x->begin < y->begin);
}

/* Changes the order; @sectors is what they cover. */
static uint64_t count_extents(struct extent *write, uint64_t nr, uint64_t *sectors)
{
	uint64_t extents = 0, end = 0, i;

	qsort(write, nr, sizeof(*write), by_begin);
	for (i = 0, *sectors = 0; i < nr; i++) {
		if (!i || write[i].begin > end) {
			extents++;
			end = write[i].begin;
		}
		if (write[i].end > end) {
			*sectors += write[i].end - end;
			end = write[i].end;
		}
	}
	return extents;
}

int main(int argc, char **argv)
{
	unsigned int streams = argc > 2 ? strtoul(argv[2], NULL, 0) : 8;
	uint64_t nr, sectors = 0, covered, runs, stream_runs, extents, i;
	struct extent *write;
	uint32_t size;
	double kib;

	if (argc < 2 || argc > 3 || !streams || streams > MAX_STREAMS)
		return fprintf(stderr, "usage: runs LOG [STREAMS]\n"), 2;
	write = read_log(argv[1], &nr, &size);
	if (!nr)
		die("has no writes", argv[1]);
	for (i = 0; i < nr; i++)
		sectors += write[i].end - write[i].begin;
	runs = count_runs(write, nr, 1);
	stream_runs = count_runs(write, nr, streams);
	extents = count_extents(write, nr, &covered);
	kib = size / 1024.;
	printf("%.0f %.2f %.2f %.2f\n", sectors * kib, sectors * kib / runs,
	       sectors * kib / stream_runs, covered * kib / extents);
	free(write);
	return fflush(stdout) ? 1 : 0;
}
