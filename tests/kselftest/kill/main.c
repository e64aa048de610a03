// SPDX-License-Identifier: GPL-2.0-only
/*
 *	killwork DIR META DATA		look at what is left, work until killed
 *	killwork DIR META DATA end	look, and close the pool
 */
#include "kill.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Snapshots of older boots that are kept, and written to. */
#define KEEP	4u

void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("killwork: ");
	vprintf(fmt, ap);
	putchar('\n');
	fflush(stdout);
	_exit(1);
}

void *xalloc(size_t size)
{
	void *p = malloc(size);

	if (!p)
		fail("no memory");
	return p;
}

void *xbuffer(size_t size)
{
	void *p;

	if (posix_memalign(&p, 4096, size))
		fail("no memory");
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

int open_direct(const char *name)
{
	int fd = open(name, O_RDWR | O_DIRECT);

	if (fd < 0)
		fail("%s: %s", name, strerror(errno));
	return fd;
}

static uint64_t sectors_of(const char *device)
{
	int fd = open_direct(device);
	uint64_t bytes = 0;

	if (ioctl(fd, BLKGETSIZE64, &bytes))
		fail("%s: %s", device, strerror(errno));
	close(fd);
	return bytes / SECTOR;
}

static void open_pool(const char *meta, const char *data)
{
	struct dm_line line = { .target = "thin-pool2", .sectors = sectors_of(data) };
	int r;

	snprintf(line.params, sizeof(line.params), "%s %s 128 0", meta, data);
	r = dm_create(POOL, &line, 1);
	if (r)
		fail("the pool is refused: %s", strerror(r));
}

static void thin_name(char *name, size_t size, uint32_t id)
{
	snprintf(name, size, "t2-thin%u", id);
}

static void open_thin(uint32_t id)
{
	const struct dm_line line = thin_line(POOL, id);
	char name[32];
	int r;

	thin_name(name, sizeof(name), id);
	r = dm_create(name, &line, 1);
	if (r)
		fail("thin %u is not there: %s", id, strerror(r));
}

static void close_thin(uint32_t id)
{
	char name[32];

	thin_name(name, sizeof(name), id);
	dm_close(name);
}

/* Whether it is there or not. */
static void drop(uint32_t id)
{
	char text[32];

	snprintf(text, sizeof(text), "delete %u", id);
	dm_message(POOL, text);
}

static uint8_t *content_of(uint32_t id)
{
	const size_t size = (size_t)THIN_SECTORS * SECTOR;
	uint8_t *data = xbuffer(size);
	char name[32];
	int fd;

	thin_name(name, sizeof(name), id);
	fd = dm_open(name);
	if (pread(fd, data, size, 0) != (ssize_t)size)
		fail("thin %u: read: %s", id, strerror(errno));
	close(fd);
	return data;
}

static void first_boot(struct state *s)
{
	char text[32];
	uint32_t id;
	int r;

	memset(s, 0, sizeof(*s));
	for (id = 0; id < NR_THINS; id++) {
		snprintf(text, sizeof(text), "create_thin %u", id);
		r = dm_message(POOL, text);
		/* A first boot that was killed may have come that far. */
		if (r && r != EEXIST)
			fail("message '%s': %s", text, strerror(r));
		s->dev[s->nr++].id = id;
		open_thin(id);
	}
}

/* All of it is compared before any of it is taken for what is there. */
static void look(struct state *s)
{
	uint8_t *data[MAX_DEVS];
	uint32_t i, j, n = 0;
	uint64_t acks = 0;

	for (i = 0; i < s->nr; i++) {
		if (s->dev[i].unsure) {
			drop(s->dev[i].id);
			s->dev[i--] = s->dev[--s->nr];
		}
	}
	for (i = 0; i < s->nr; i++) {
		open_thin(s->dev[i].id);
		data[i] = content_of(s->dev[i].id);
		state_check(s, &s->dev[i], data[i]);
		n += s->dev[i].is_new;
		acks += s->dev[i].is_new ? 0 : s->dev[i].acked;
	}
	for (i = 0; i < s->nr; i++) {
		for (j = 0; j < THIN_SECTORS; j++)
			memcpy(&s->dev[i].value[j], data[i] + j * SECTOR, sizeof(uint64_t));
		free(data[i]);
	}
	printf("killwork: boot %u: %u thins are as they must be, %u of them new snapshots, %llu operations acknowledged\n",
	       s->boot, s->nr, n, (unsigned long long)acks);
}

/*
 * Snapshots grow old: the first ones behind the thins. The state forgets them
 * before they are deleted: whoever is killed in between leaves one too many.
 */
static void save_and_drop_oldest(struct state *s, const char *dir)
{
	uint32_t id[MAX_DEVS], nr = 0, i;

	while (s->nr > NR_THINS + KEEP) {
		id[nr++] = s->dev[NR_THINS].id;
		s->nr--;
		memmove(&s->dev[NR_THINS], &s->dev[NR_THINS + 1],
			(s->nr - NR_THINS) * sizeof(s->dev[0]));
	}
	s->boot++;
	state_save(s, dir);
	for (i = 0; i < nr; i++) {
		close_thin(id[i]);
		drop(id[i]);
	}
}

int main(int argc, char **argv)
{
	static struct state s;
	uint32_t i;

	if (argc < 4)
		fail("usage: killwork DIR META DATA [end]");
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("killwork: opening");
	open_pool(argv[2], argv[3]);
	if (state_load(&s, argv[1])) {
		state_acks(&s, argv[1]);
		look(&s);
	} else {
		first_boot(&s);
	}
	if (argc > 4) {
		for (i = 0; i < s.nr; i++)
			close_thin(s.dev[i].id);
		dm_close(POOL);
		return 0;
	}
	save_and_drop_oldest(&s, argv[1]);
	puts("killwork: working");
	work_on(&s);
}
