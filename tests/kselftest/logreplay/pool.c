// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each worker has disks and names of its own. All thins that must be there are
 * opened as one device, one behind the other: a device costs more than a table.
 */
#include "pool.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEW_SNAP	1000u		/* an id no work has */
#define NEW_VALUE	(1ull << 32)	/* above all values of the work */
#define NEW_WRITES	12u
#define ABSENT_ONE_IN	16u		/* looked for, though not expected */
#define STEP		2048u		/* sectors written at once */

struct pool_test {
	const struct replay_options *ro;
	const struct model *model;
	int meta_fd, data_fd;
	char meta[64], pool[32], thins[32], other[32];
	char pool_params[128];
	uint8_t *data, *before, *found;	/* THIN_SECTORS each */
	/* of the current call: */
	uint64_t mark;
	struct rng *rng;
	const char *where;
};

extern char **environ;

static bool wrong(const struct pool_test *t, const char *what, const char *why)
{
	fprintf(stderr, "%s: %s: %s\n", t->where, what, why);
	return false;
}

static int check_with(const struct pool_test *t, const char *option)
{
	const char *const argv[] = { "thin2_check", option, t->meta, NULL };
	const char *const loud[] = { "thin2_check", t->meta, NULL };
	int status = -1;
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, (char **)(option ? argv : loud), environ) ||
	    waitpid(pid, &status, 0) != pid)
		fail("thin2_check does not start");
	return status;
}

static bool check_metadata(const struct pool_test *t, const char *when)
{
	if (!check_with(t, "-q"))
		return true;
	wrong(t, "thin2_check", when);
	check_with(t, NULL);
	return false;
}

static bool open_pool(const struct pool_test *t)
{
	struct dm_line line = { .target = "thin-pool2", .sectors = t->ro->data_sectors };
	char status[256] = "";
	int e;

	strcpy(line.params, t->pool_params);
	e = dm_create(t->pool, &line, 1);
	if (e)
		return wrong(t, "the pool does not open", strerror(e));
	dm_status(t->pool, status, sizeof(status));
	if (strstr(status, " rw ") && !strstr(status, "needs_check"))
		return true;
	dm_close(t->pool);
	return wrong(t, "the pool's status", status);
}

/* ---- use it ---- */

/* Writes to the thin at @base of a device, and to its content in memory. */
static void write_on(const struct pool_test *t, int fd, uint64_t base, uint64_t value)
{
	uint8_t *buffer = xbuffer(3 * UNIT * SECTOR);
	unsigned int i;

	for (i = 0; i < NEW_WRITES; i++) {
		uint32_t nr = 1 + rnd(t->rng, 3 * UNIT);
		uint32_t sector = rnd(t->rng, THIN_SECTORS - nr);

		pattern(buffer, sector, nr, value + i);
		memcpy(t->data + sector * SECTOR, buffer, nr * SECTOR);
		write_at(fd, buffer, base + sector, nr);
	}
	free(buffer);
	if (fsync(fd))
		fail("%s: fsync: %s", t->where, strerror(errno));
}

static bool same(const struct pool_test *t, int fd, uint64_t base, const uint8_t *expected,
		 const char *what)
{
	read_at(fd, t->found, base, THIN_SECTORS);
	return !memcmp(t->found, expected, THIN_SECTORS * SECTOR) ||
	       wrong(t, what, "reads back otherwise");
}

static bool check_snap(const struct pool_test *t)
{
	struct dm_line line = thin_line(t->pool, NEW_SNAP);
	int fd, e = dm_create(t->other, &line, 1);
	bool good;

	if (e)
		return wrong(t, "a new snapshot does not open", strerror(e));
	fd = dm_open(t->other);
	good = same(t, fd, 0, t->before, "a new snapshot");
	close(fd);
	dm_close(t->other);
	return good;
}

/* Thin @id, at @base of the device. */
static bool use_thin(const struct pool_test *t, int fd, uint64_t base, uint32_t id)
{
	char text[64];
	bool good;
	int e;

	read_at(fd, t->data, base, THIN_SECTORS);
	write_on(t, fd, base, NEW_VALUE);
	memcpy(t->before, t->data, THIN_SECTORS * SECTOR);
	snprintf(text, sizeof(text), "create_snap %u %u", NEW_SNAP, id);
	e = dm_message(t->pool, text);
	if (e)
		return wrong(t, text, strerror(e));
	write_on(t, fd, base, 2 * NEW_VALUE);
	good = same(t, fd, base, t->data, "a thin that was written on");
	return check_snap(t) && good;
}

/* ---- what is there ---- */

static bool check_present(const struct pool_test *t, bool use)
{
	struct dm_line line[MAX_THINS];
	uint32_t id[MAX_THINS], nr = 0, i;
	bool good = true;
	int fd, e;

	for (i = 0; i < MAX_THINS; i++)
		if (model_presence(t->model, t->mark, i) == PRESENT) {
			id[nr] = i;
			line[nr++] = thin_line(t->pool, i);
		}
	if (!nr)
		return true;
	e = dm_create(t->thins, line, nr);
	if (e)
		return wrong(t, "thins that must be there do not open", strerror(e));
	fd = dm_open(t->thins);
	for (i = 0; i < nr; i++) {
		read_at(fd, t->data, i * THIN_SECTORS, THIN_SECTORS);
		good &= model_check(t->model, t->mark, id[i], t->data, t->where);
	}
	if (good && use) {
		i = rnd(t->rng, nr);
		good = use_thin(t, fd, i * THIN_SECTORS, id[i]);
	}
	close(fd);
	dm_close(t->thins);
	return good;
}

/* One that may be there, or must not. */
static bool check_other(const struct pool_test *t, uint32_t id, enum presence expected)
{
	struct dm_line line = thin_line(t->pool, id);
	int fd, e = dm_create(t->other, &line, 1);
	bool good;

	if (e)
		return e == ENODATA || wrong(t, "a thin that may be there", strerror(e));
	fd = dm_open(t->other);
	read_at(fd, t->data, 0, THIN_SECTORS);
	good = expected == ABSENT ? wrong(t, line.params, "should not be there") :
				    model_check(t->model, t->mark, id, t->data, t->where);
	close(fd);
	dm_close(t->other);
	return good;
}

static void write_disk(const struct pool_test *t, const struct image *image)
{
	const uint64_t data = t->ro->meta_sectors + MARK_SECTORS;
	uint64_t sector, n;

	for (sector = 0; sector < t->ro->meta_sectors; sector += n) {
		n = t->ro->meta_sectors - sector < STEP ? t->ro->meta_sectors - sector : STEP;
		write_at(t->meta_fd, image->data + sector * SECTOR, sector, n);
	}
	for (sector = 0; sector < t->ro->data_sectors; sector += n) {
		n = t->ro->data_sectors - sector < STEP ? t->ro->data_sectors - sector : STEP;
		write_at(t->data_fd, image->data + (data + sector) * SECTOR, sector, n);
	}
}

bool pool_test(struct pool_test *t, const struct image *image, uint64_t mark, struct rng *rng,
	       bool use, const char *where)
{
	enum presence p;
	bool good;
	uint32_t id;

	t->mark = mark;
	t->rng = rng;
	t->where = where;
	write_disk(t, image);
	/* The first mark says that there is a pool. */
	if (mark && !check_metadata(t, "before"))
		return false;
	if (!open_pool(t))
		return false;
	good = check_present(t, use);
	for (id = 0; id < MAX_THINS; id++) {
		p = model_presence(t->model, mark, id);
		if (p == UNSURE || (p == ABSENT && !rnd(rng, ABSENT_ONE_IN)))
			good &= check_other(t, id, p);
	}
	dm_close(t->pool);
	return good && (!use || check_metadata(t, "after"));
}

struct pool_test *pool_test_new(const struct replay_options *ro, const struct model *m,
				unsigned int worker)
{
	struct pool_test *t = xalloc(sizeof(*t));
	char data[64];

	t->ro = ro;
	t->model = m;
	snprintf(t->meta, sizeof(t->meta), "/dev/mapper/t2-meta%u", worker);
	snprintf(data, sizeof(data), "/dev/mapper/t2-data%u", worker);
	snprintf(t->pool, sizeof(t->pool), "t2-pool%u", worker);
	snprintf(t->thins, sizeof(t->thins), "t2-thins%u", worker);
	snprintf(t->other, sizeof(t->other), "t2-thin-other%u", worker);
	snprintf(t->pool_params, sizeof(t->pool_params), "%.40s %.40s %llu 0", t->meta, data,
		 (unsigned long long)ro->block_size);
	t->meta_fd = open_direct(t->meta);
	t->data_fd = open_direct(data);
	t->data = xbuffer(THIN_SECTORS * SECTOR);
	t->before = xbuffer(THIN_SECTORS * SECTOR);
	t->found = xbuffer(THIN_SECTORS * SECTOR);
	return t;
}
