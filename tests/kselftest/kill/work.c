// SPDX-License-Identifier: GPL-2.0-only
#include "kill.h"

#include <errno.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

/* Of each boot, not more than so many at a time. */
#define SNAPS	3u

struct writer {
	pthread_t thread;
	uint32_t id, boot;
	int fd;
	uint8_t *buffer;
	atomic_ullong begun, done;
};

static struct writer writers[MAX_DEVS];
static uint32_t nr_writers;

/* One write: lines of several threads do not mix. */
static void tell(const char *what, uint32_t boot, uint32_t id, uint32_t origin, uint64_t v)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%s %u %u %u %llu .\n", what, boot, id, origin,
			 (unsigned long long)v);

	if (write(STDOUT_FILENO, line, n) != n)
		fail("console: %s", strerror(errno));
}

/* And wait until it is outside: what follows must not come before it. */
static void announce(const char *what, uint32_t boot, uint32_t id, uint32_t origin, uint64_t v)
{
	tell(what, boot, id, origin, v);
	if (isatty(STDOUT_FILENO) && tcdrain(STDOUT_FILENO))
		fail("console: %s", strerror(errno));
}

static void do_op(struct writer *w, const struct work_op *op)
{
	uint64_t range[2] = { (uint64_t)op->sector * SECTOR, (uint64_t)op->nr * SECTOR };
	struct iovec iov = { .iov_base = w->buffer, .iov_len = range[1] };

	if (op->discard) {
		if (ioctl(w->fd, BLKDISCARD, range))
			fail("thin %u: discard: %s", w->id, strerror(errno));
		return;
	}
	fill(w->buffer, op->sector, op->nr, op->value);
	if (pwritev2(w->fd, &iov, 1, range[0], op->fua ? RWF_DSYNC : 0) != (ssize_t)range[1])
		fail("thin %u: write: %s", w->id, strerror(errno));
}

static void *write_thread(void *arg)
{
	struct writer *w = arg;
	struct rng rng = { .state = mix(w->boot << 8 | w->id) };
	struct work_op op;
	uint64_t v;

	for (v = 1; v < UINT32_MAX; v++) {
		op = op_of(w->id, w->boot, v);
		atomic_store(&w->begun, v);
		do_op(w, &op);
		atomic_store(&w->done, v);
		if (op.fua)
			tell("fua", w->boot, w->id, 0, v);
		if (rnd(&rng, 8))
			continue;
		if (fsync(w->fd))
			fail("thin %u: fsync: %s", w->id, strerror(errno));
		tell("ack", w->boot, w->id, 0, v);
	}
	return NULL;
}

static void start_writer(const struct dev *d, uint32_t boot)
{
	struct writer *w = &writers[nr_writers++];
	char name[32];

	snprintf(name, sizeof(name), "t2-thin%u", d->id);
	w->id = d->id;
	w->boot = boot;
	w->fd = dm_open(name);
	w->buffer = xbuffer((size_t)THIN_SECTORS * SECTOR);
	if (pthread_create(&w->thread, NULL, write_thread, w))
		fail("no thread");
}

static void message(const char *fmt, uint32_t a, uint32_t b)
{
	char text[64];
	int r;

	snprintf(text, sizeof(text), fmt, a, b);
	r = dm_message(POOL, text);
	if (r)
		fail("message '%s': %s", text, strerror(r));
}

static void take_snap(struct writer *w, uint32_t id)
{
	announce("snap?", w->boot, id, w->id, atomic_load(&w->done));
	message("create_snap %u %u", id, w->id);
	tell("snap!", w->boot, id, w->id, atomic_load(&w->begun));
}

static void delete_snap(uint32_t boot, uint32_t id)
{
	announce("del?", boot, id, 0, 0);
	message("delete %u", id, 0);
	tell("del!", boot, id, 0, 0);
}

void work_on(struct state *s)
{
	const uint32_t first = 100 * s->boot;
	struct rng rng = { .state = mix(s->boot) };
	uint32_t i, id;

	for (i = 0; i < s->nr; i++)
		start_writer(&s->dev[i], s->boot);
	for (id = first; ; id++) {
		usleep(rnd(&rng, 200) * 1000);
		/* The ids behind are the next boot's. */
		while (id == first + 99)
			pause();
		/* Thins come first in the list. */
		take_snap(&writers[rnd(&rng, NR_THINS)], id);
		if (id >= first + SNAPS)
			delete_snap(s->boot, id - SNAPS);
		if (!rnd(&rng, 3))
			message("checkpoint", 0, 0);
	}
}
