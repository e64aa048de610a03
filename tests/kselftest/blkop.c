// SPDX-License-Identifier: GPL-2.0-only
/*
 * Block device operations for the tests, many in one process: starting one
 * costs more than the operation, in an emulated machine.
 *
 *	blkop DEVICE COMMAND [ARGUMENT]... [COMMAND ...]...
 *
 *	write OFFSET LENGTH SEED	a pattern that depends on seed and place
 *	check OFFSET LENGTH SEED	is it there?
 *	zero OFFSET LENGTH		are there zeroes?
 *	bad OFFSET LENGTH		does each 4 KiB of it fail to be read with EIO?
 *	discard OFFSET LENGTH		BLKDISCARD
 *	zeroout OFFSET LENGTH		BLKZEROOUT
 *	sync				fsync()
 *	bs BYTES			size of the writes that follow
 *	nowait				reads and writes that follow must not block
 *	sum OFFSET LENGTH		print a checksum
 *	same FILE			compare all of it with another device or file
 *	random SEED COUNT FILE		COUNT random operations, done to FILE too
 *	grain BYTES			of random: a multiple of this only, no zeroout
 *	dev DEVICE			go on with another device
 *
 * Offsets and lengths are bytes, with a suffix k, m or g. "end" is the length
 * up to the end. Direct I/O. Exit status: 0; 1 for a failed check or operation,
 * said on stderr; 2 for a wrong command line.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define CHUNK	(1u << 20)

struct dev {
	const char *name;
	int fd;
	uint64_t size;
};

static uint8_t *buf, *buf2;
static uint64_t bs = CHUNK;
static uint64_t min_grain;
static int rw_flags;

__attribute__((noreturn, format(printf, 1, 2)))
static void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static uint64_t rnd_state;

static uint64_t rnd(uint64_t limit)
{
	rnd_state += 0x9e3779b97f4a7c15ull;
	return mix(rnd_state) % limit;
}

/* Every sector says where it belongs, and no two seeds agree anywhere. */
static void pattern(uint8_t *p, uint64_t offset, uint64_t len, uint64_t seed)
{
	uint64_t *w = (uint64_t *)p, i;

	for (i = 0; i < len / 8; i++)
		w[i] = mix(seed << 44 ^ (offset / 8 + i)) | 1;
}

static struct dev open_dev(const char *name, int flags)
{
	struct dev d = { .name = name };
	off_t end;

	d.fd = open(name, flags | O_DIRECT);
	if (d.fd < 0 && errno == EINVAL)
		d.fd = open(name, flags);	/* a file in memory */
	if (d.fd < 0)
		fail("%s: open: %s", name, strerror(errno));
	end = lseek(d.fd, 0, SEEK_END);
	if (end < 0)
		fail("%s: size: %s", name, strerror(errno));
	d.size = end;
	return d;
}

static void read_at(const struct dev *d, uint8_t *p, uint64_t offset, uint64_t len)
{
	struct iovec iov = { .iov_base = p, .iov_len = len };
	ssize_t n = preadv2(d->fd, &iov, 1, offset, rw_flags);

	if (n != (ssize_t)len)
		fail("%s: read at %llu: %s", d->name, (unsigned long long)offset,
		     n < 0 ? strerror(errno) : "short");
}

static void write_at(const struct dev *d, const uint8_t *p, uint64_t offset, uint64_t len)
{
	struct iovec iov = { .iov_base = (void *)p, .iov_len = len };
	ssize_t n = pwritev2(d->fd, &iov, 1, offset, rw_flags);

	if (n != (ssize_t)len)
		fail("%s: write at %llu: %s", d->name, (unsigned long long)offset,
		     n < 0 ? strerror(errno) : "short");
}

static void expect_same(const struct dev *d, uint64_t offset, uint64_t len, const char *what)
{
	uint64_t i;

	if (!memcmp(buf, buf2, len))
		return;
	for (i = 0; buf[i] == buf2[i]; i++)
		;
	fail("%s: byte %llu (sector %llu) is %#x, expected %#x (%s)", d->name,
	     (unsigned long long)(offset + i), (unsigned long long)((offset + i) / 512),
	     buf[i], buf2[i], what);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void do_write(const struct dev *d, uint64_t offset, uint64_t len, uint64_t seed)
{
	while (len) {
		uint64_t n = min_u64(len, bs);

		pattern(buf, offset, n, seed);
		write_at(d, buf, offset, n);
		offset += n;
		len -= n;
	}
}

/* Against the pattern of @seed, or zeroes if @seed is 0. */
static void do_check(const struct dev *d, uint64_t offset, uint64_t len, uint64_t seed)
{
	memset(buf2, 0, CHUNK);
	while (len) {
		uint64_t n = min_u64(len, CHUNK);

		read_at(d, buf, offset, n);
		if (seed)
			pattern(buf2, offset, n, seed);
		expect_same(d, offset, n, seed ? "pattern" : "zeroes");
		offset += n;
		len -= n;
	}
}

static void do_bad(const struct dev *d, uint64_t offset, uint64_t len)
{
	uint64_t end = offset + len;
	ssize_t n;

	for (; offset < end; offset += 4096) {
		n = pread(d->fd, buf, 4096, offset);
		if (n >= 0 || errno != EIO)
			fail("%s: read at %llu: %s, expected an I/O error", d->name,
			     (unsigned long long)offset, n < 0 ? strerror(errno) : "succeeded");
	}
}

static void do_range(const struct dev *d, unsigned long request, const char *what,
		     uint64_t offset, uint64_t len)
{
	uint64_t range[2] = { offset, len };

	if (ioctl(d->fd, request, range))
		fail("%s: %s of %llu at %llu: %s", d->name, what, (unsigned long long)len,
		     (unsigned long long)offset, strerror(errno));
}

static void do_sum(const struct dev *d, uint64_t offset, uint64_t len)
{
	uint64_t sum = 0, i;

	while (len) {
		uint64_t n = min_u64(len, CHUNK);

		read_at(d, buf, offset, n);
		for (i = 0; i < n / 8; i++)
			sum = mix(sum + ((uint64_t *)buf)[i]);
		offset += n;
		len -= n;
	}
	printf("%016llx\n", (unsigned long long)sum);
}

static void do_same(const struct dev *d, const char *name)
{
	struct dev other = open_dev(name, O_RDONLY);
	uint64_t offset, n;

	if (other.size != d->size)
		fail("%s and %s differ in size", d->name, name);
	for (offset = 0; offset < d->size; offset += n) {
		n = min_u64(d->size - offset, CHUNK);
		read_at(d, buf, offset, n);
		read_at(&other, buf2, offset, n);
		expect_same(d, offset, n, name);
	}
	close(other.fd);
}

/*
 * The same random operations on two devices. Discards are of whole 64 KiB, all
 * that two kinds of thin device agree on: inside of one only one may unmap.
 */
static void do_random(const struct dev *d, uint64_t seed, uint64_t count, const char *name)
{
	struct dev other = open_dev(name, O_RDWR);
	uint64_t size = min_u64(d->size, other.size), i;

	rnd_state = seed;
	for (i = 0; i < count; i++) {
		uint64_t what = rnd(20), grain = rnd(3) ? 4096 : 512, max, offset, len;

		max = rnd(8) ? 64 << 10 : CHUNK;
		if (what < 3)
			grain = 64 << 10;
		if (grain < min_grain)
			grain = min_grain;
		if (max < grain)
			max = grain;
		offset = rnd(size / grain) * grain;
		len = (1 + rnd(max / grain)) * grain;
		len = min_u64(len, size - offset);
		if (what < 3) {
			len = len / grain * grain;
			if (!len)
				continue;
			do_range(d, BLKDISCARD, "discard", offset, len);
			do_range(&other, BLKDISCARD, "discard", offset, len);
		} else if (what < 5 && !min_grain) {
			do_range(d, BLKZEROOUT, "zeroout", offset, len);
			do_range(&other, BLKZEROOUT, "zeroout", offset, len);
		} else {
			uint64_t id = 1 + rnd(1 << 19);

			do_write(d, offset, len, id);
			do_write(&other, offset, len, id);
		}
	}
	close(other.fd);
}

static uint64_t number(const struct dev *d, const char *s, uint64_t offset)
{
	char *end;
	uint64_t v = strtoull(s, &end, 0);

	if (!strcmp(s, "end"))
		return d->size - offset;
	switch (*end) {
	case 'g':
		v <<= 10;
		/* fall through */
	case 'm':
		v <<= 10;
		/* fall through */
	case 'k':
		v <<= 10;
		end++;
	}
	if (end == s || *end) {
		fprintf(stderr, "not a number: %s\n", s);
		exit(2);
	}
	return v;
}

/* Returns how many arguments the command took, 0 if it is none. */
static int command(const struct dev *d, int argc, char **argv)
{
	const char *c = argv[0];
	uint64_t a = 0, b = 0;

	if (!strcmp(c, "sync")) {
		if (fsync(d->fd))
			fail("%s: fsync: %s", d->name, strerror(errno));
		return 1;
	}
	if (!strcmp(c, "nowait")) {
		rw_flags = RWF_NOWAIT;
		return 1;
	}
	if (argc < 2)
		return 0;
	if (!strcmp(c, "same")) {
		do_same(d, argv[1]);
		return 2;
	}
	a = number(d, argv[1], 0);
	if (!strcmp(c, "bs")) {
		bs = a;
		return bs && bs <= CHUNK && bs % 512 == 0 ? 2 : 0;
	}
	if (!strcmp(c, "grain")) {
		min_grain = a;
		return a && a % 4096 == 0 && a <= CHUNK ? 2 : 0;
	}
	if (argc < 3)
		return 0;
	b = number(d, argv[2], a);
	if (!strcmp(c, "zero"))
		do_check(d, a, b, 0);
	else if (!strcmp(c, "bad"))
		do_bad(d, a, b);
	else if (!strcmp(c, "discard"))
		do_range(d, BLKDISCARD, c, a, b);
	else if (!strcmp(c, "zeroout"))
		do_range(d, BLKZEROOUT, c, a, b);
	else if (!strcmp(c, "sum"))
		do_sum(d, a, b);
	else if (argc < 4)
		return 0;
	else if (!strcmp(c, "write"))
		do_write(d, a, b, number(d, argv[3], 0));
	else if (!strcmp(c, "check"))
		do_check(d, a, b, number(d, argv[3], 0));
	else if (!strcmp(c, "random"))
		do_random(d, a, b, argv[3]);
	else
		return 0;
	return strcmp(c, "write") && strcmp(c, "check") && strcmp(c, "random") ? 3 : 4;
}

int main(int argc, char **argv)
{
	struct dev d;
	int i = 2, n, ro = 1;

	if (argc < 3) {
		fprintf(stderr, "usage: see the top of the source\n");
		return 2;
	}
	for (n = 2; n < argc; n++)
		if (!strcmp(argv[n], "write") || !strcmp(argv[n], "discard") ||
		    !strcmp(argv[n], "zeroout") || !strcmp(argv[n], "random") ||
		    !strcmp(argv[n], "sync"))
			ro = 0;
	if (posix_memalign((void **)&buf, 4096, CHUNK) ||
	    posix_memalign((void **)&buf2, 4096, CHUNK))
		fail("no memory");
	d = open_dev(argv[1], ro ? O_RDONLY : O_RDWR);
	for (; i < argc; i += n) {
		if (!strcmp(argv[i], "dev") && i + 1 < argc) {
			close(d.fd);
			d = open_dev(argv[i + 1], ro ? O_RDONLY : O_RDWR);
			n = 2;
			continue;
		}
		n = command(&d, argc - i, argv + i);
		if (!n) {
			fprintf(stderr, "wrong command: %s\n", argv[i]);
			return 2;
		}
	}
	return 0;
}
