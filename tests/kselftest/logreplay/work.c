// SPDX-License-Identifier: GPL-2.0-only
/*
 * The work: a few writers, each alone on its part of a thin, and messages to
 * the pool meanwhile. Each operation's times are taken around its system call.
 */
#include "logreplay.h"

#include <errno.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_OPS		16384u
#define POOL		"t2-pool"
#define LOG		"t2-log"
#define MARKS		"t2-mark"
/* longest write: units */
#define MAX_WRITE	4u
#define MAX_DISCARD	24u

struct writer {
	pthread_t thread;
	const struct options *o;
	uint32_t thin;
	uint32_t first, nr;	/* units */
	struct rng rng;
	int fd;
	uint8_t *buffer;
};

static struct op ops[MAX_OPS];
static atomic_uint nr_ops;
static atomic_ulong ticks;
static atomic_ulong values;
static pthread_mutex_t mark_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t last_mark;
static int mark_fd = -1;

static uint64_t tick(void)
{
	return atomic_fetch_add(&ticks, 1);
}

static struct op *begin(enum op_kind kind, uint32_t thin)
{
	unsigned int i = atomic_fetch_add(&nr_ops, 1);

	if (i >= MAX_OPS)
		fail("more than %u operations", MAX_OPS);
	ops[i].kind = kind;
	ops[i].thin = thin;
	ops[i].submit = tick();
	return &ops[i];
}

static void end(struct op *op)
{
	op->end = tick();
}

/*
 * What was acknowledged before a mark must be there at all points of the log
 * behind it.
 */
static void mark(const struct options *o)
{
	static _Alignas(4096) uint64_t sector[SECTOR / 8];
	struct op *op;
	char text[32];
	int r;

	pthread_mutex_lock(&mark_lock);
	op = begin(OP_MARK, 0);
	op->value = ++last_mark;
	if (o->through) {
		sector[0] = MARK_MAGIC;
		sector[1] = op->value;
		write_at(mark_fd, sector, 0, 1);
	} else {
		snprintf(text, sizeof(text), "mark %llu", (unsigned long long)op->value);
		r = dm_message(LOG, text);
		if (r)
			fail("mark: %s", strerror(r));
	}
	end(op);
	pthread_mutex_unlock(&mark_lock);
}

static void message(const struct options *o, struct op *op, const char *text)
{
	int r = dm_message(POOL, text);

	if (r)
		fail("message '%s': %s", text, strerror(r));
	if (op)
		end(op);
	mark(o);
}

struct name {
	char text[32];
};

static struct name thin_name(uint32_t id)
{
	struct name n;

	snprintf(n.text, sizeof(n.text), "t2-thin%u", id);
	return n;
}

/* ---- writers ---- */

static void do_write(struct writer *w, uint32_t sector, uint32_t nr, bool fua)
{
	struct iovec iov = { .iov_base = w->buffer, .iov_len = nr * SECTOR };
	struct op *op;
	uint64_t value = 1 + atomic_fetch_add(&values, 1);

	pattern(w->buffer, sector, nr, value);
	op = begin(OP_WRITE, w->thin);
	op->sector = sector;
	op->nr = nr;
	op->value = value;
	op->fua = fua;
	if (pwritev2(w->fd, &iov, 1, (off_t)sector * SECTOR, fua ? RWF_DSYNC : 0) !=
	    (ssize_t)iov.iov_len)
		fail("thin %u: write at %u: %s", w->thin, sector, strerror(errno));
	end(op);
	if (fua)
		mark(w->o);
}

static void do_range(struct writer *w, unsigned long request, uint32_t sector, uint32_t nr)
{
	uint64_t range[2] = { (uint64_t)sector * SECTOR, (uint64_t)nr * SECTOR };
	struct op *op = begin(OP_WRITE, w->thin);

	op->sector = sector;
	op->nr = nr;
	if (ioctl(w->fd, request, range))
		fail("thin %u: discard or zeroes at %u: %s", w->thin, sector, strerror(errno));
	end(op);
}

static void do_flush(struct writer *w)
{
	struct op *op = begin(OP_FLUSH, w->thin);

	if (fdatasync(w->fd))
		fail("thin %u: flush: %s", w->thin, strerror(errno));
	end(op);
	mark(w->o);
}

static void random_op(struct writer *w)
{
	struct rng *r = &w->rng;
	unsigned int what = rnd(r, 100);
	uint32_t max = what < 76 ? MAX_WRITE : MAX_DISCARD;
	uint32_t unit = w->first + rnd(r, w->nr), nr = 1 + rnd(r, max);
	uint32_t sector = unit * UNIT, left = (w->first + w->nr - unit) * UNIT;

	nr = nr * UNIT < left ? nr * UNIT : left;
	if (what < 50) {
		do_write(w, sector, nr, false);
	} else if (what < 66) {
		sector += rnd(r, UNIT);
		left -= sector - unit * UNIT;
		nr = 1 + rnd(r, 2 * UNIT);
		do_write(w, sector, nr < left ? nr : left, false);
	} else if (what < 76) {
		do_write(w, sector, nr, !w->o->through);
	} else if (what < 82) {
		do_range(w, BLKDISCARD, sector, nr);
	} else if (what < 87) {
		do_range(w, BLKZEROOUT, sector, nr);
	} else {
		do_flush(w);
	}
}

static void *writer_main(void *arg)
{
	struct writer *w = arg;
	unsigned int i;

	for (i = 0; i < w->o->count; i++)
		random_op(w);
	return NULL;
}

static void start_writer(struct writer *w, const struct options *o, unsigned int nr,
			 uint32_t thin, uint32_t first, uint32_t units)
{
	w->o = o;
	w->thin = thin;
	w->first = first;
	w->nr = units;
	w->rng.state = mix(o->seed + nr);
	w->fd = dm_open(thin_name(thin).text);
	w->buffer = xbuffer(MAX_WRITE * UNIT * SECTOR);
	if (pthread_create(&w->thread, NULL, writer_main, w))
		fail("no thread");
}

static void join_writer(struct writer *w)
{
	pthread_join(w->thread, NULL);
	close(w->fd);
	free(w->buffer);
}

/* ---- the pool ---- */

static void open_thin(uint32_t id)
{
	struct dm_line line = thin_line(POOL, id);
	int r = dm_create(thin_name(id).text, &line, 1);

	if (r)
		fail("thin %u: %s", id, strerror(r));
}

static void create_thin(const struct options *o, uint32_t id)
{
	struct op *op = begin(OP_CREATE, id);
	char text[64];

	snprintf(text, sizeof(text), "create_thin %u", id);
	message(o, op, text);
}

static void create_snap(const struct options *o, uint32_t id, uint32_t origin)
{
	struct op *op = begin(OP_SNAP, id);
	char text[64];

	op->origin = origin;
	snprintf(text, sizeof(text), "create_snap %u %u", id, origin);
	message(o, op, text);
}

static void delete(const struct options *o, uint32_t id)
{
	struct op *op = begin(OP_DELETE, id);
	char text[64];

	snprintf(text, sizeof(text), "delete %u", id);
	message(o, op, text);
}

static void wait_ops(unsigned int nr)
{
	while (atomic_load(&nr_ops) < nr)
		usleep(200);
}

static void save(const char *file)
{
	FILE *f = fopen(file, "w");
	size_t nr = atomic_load(&nr_ops);

	if (!f || fwrite(ops, sizeof(ops[0]), nr, f) != nr || fclose(f))
		fail("%s: %s", file, strerror(errno));
}

void work(const struct options *o)
{
	const uint32_t half = THIN_SECTORS / UNIT / 2;
	/* what the four writers make at least, in eight parts */
	const unsigned int part = 4 * o->count / 8;
	struct writer w[5] = { };
	unsigned int i, base;

	if (o->through)
		mark_fd = dm_open(MARKS);
	mark(o);
	for (i = 0; i < 2; i++) {
		create_thin(o, i);
		open_thin(i);
	}
	base = atomic_load(&nr_ops);
	for (i = 0; i < 4; i++)
		start_writer(&w[i], o, i, i / 2, i % 2 * half, half);

	wait_ops(base + part);
	create_snap(o, 2, 0);
	wait_ops(base + 2 * part);
	create_snap(o, 3, 1);
	open_thin(2);
	start_writer(&w[4], o, 4, 2, 0, 2 * half);
	wait_ops(base + 3 * part);
	message(o, NULL, "checkpoint");
	wait_ops(base + 4 * part);
	create_snap(o, 4, 2);
	wait_ops(base + 5 * part);
	delete(o, 3);
	wait_ops(base + 6 * part);
	create_snap(o, 5, 4);
	delete(o, 4);
	wait_ops(base + 7 * part);
	message(o, NULL, "checkpoint");

	for (i = 0; i < 5; i++)
		join_writer(&w[i]);
	for (i = 0; i < 3; i++)
		dm_close(thin_name(i).text);
	save(o->ops);
	printf("%u operations, %llu marks\n", atomic_load(&nr_ops),
	       (unsigned long long)last_mark);
}
