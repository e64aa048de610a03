// SPDX-License-Identifier: GPL-2.0-only
/*
 * Plays the log on an image of the disk and stops at many points: the image
 * goes to a real disk, and there must be a pool with what it had acknowledged.
 *
 * "base" has all that is durable at the current entry. What the write cache
 * may hold is "pending": it is durable from the next flush on, and before that
 * any part of it may be.
 *
 * Making and removing devices is mostly waiting. So a few processes share the
 * stops: all of them play the whole log, each stops at its own.
 */
#include "logreplay.h"
#include "pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* One in so many: */
#define TORN_ONE_IN	6u	/* the last write is torn */
#define LOST_ONE_IN	2u	/* part of what is pending is there */
#define GO_ON_ONE_IN	5u	/* the pool is used and checked again */
/* Wrong stops of a worker, after which there is no more to learn. */
#define MAX_BAD		5u

enum stop_kind { STOP_FLUSH, STOP_TORN, STOP_LOST, NR_KINDS };

static const char *const kind_name[] = {
	[STOP_FLUSH] = "at a flush, FUA or mark",
	[STOP_TORN] = "with a torn last write",
	[STOP_LOST] = "with a part of what was not flushed",
};

struct counts {
	unsigned int stops[NR_KINDS], went_on, bad;
};

struct replay {
	const struct replay_options *ro;
	struct log log;
	struct model model;
	struct image base, image;
	uint64_t *pending;
	uint64_t nr_pending;
	uint64_t mark;			/* last one passed */
	bool changed;			/* since the last stop */
	struct rng rng;			/* new at each entry */
	uint64_t nr_stops;
	unsigned int worker;
	struct pool_test *pool;
	struct counts *counts;		/* one for each worker */
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static bool mine(struct replay *r)
{
	return r->nr_stops++ % r->ro->workers == r->worker;
}

static void stop(struct replay *r, uint64_t entry, enum stop_kind kind,
		 const struct image *image)
{
	struct counts *counts = &r->counts[r->worker];
	/* no influence on what other workers choose */
	struct rng rng = { .state = mix(r->rng.state + kind) };
	bool use = !rnd(&rng, GO_ON_ONE_IN);
	char where[128];

	snprintf(where, sizeof(where), "entry %llu, mark %llu, %s",
		 (unsigned long long)entry, (unsigned long long)r->mark, kind_name[kind]);
	counts->stops[kind]++;
	counts->went_on += use;
	if (!pool_test(r->pool, image, r->mark, &rng, use, where))
		counts->bad++;
}

static void copy_base(struct replay *r)
{
	memcpy(r->image.data, r->base.data, r->base.sectors * SECTOR);
	memcpy(r->image.fua, r->base.fua, r->base.sectors * sizeof(r->base.fua[0]));
	r->image.section = r->base.section;
}

static void stop_torn(struct replay *r, uint64_t entry)
{
	if (rnd(&r->rng, TORN_ONE_IN) || !mine(r))
		return;
	copy_base(r);
	log_apply(&r->log.entry[entry], &r->image, &r->rng);
	stop(r, entry, STOP_TORN, &r->image);
}

static void stop_lost(struct replay *r, uint64_t entry)
{
	uint64_t i;

	if (!r->nr_pending || rnd(&r->rng, LOST_ONE_IN) || !mine(r))
		return;
	copy_base(r);
	for (i = 0; i < r->nr_pending; i++)
		log_apply(&r->log.entry[r->pending[i]], &r->image, &r->rng);
	stop(r, entry, STOP_LOST, &r->image);
}

static bool durable(const struct replay *r, const struct log_entry *e)
{
	if (r->ro->o.through)
		return e->nr && e->sector < r->ro->meta_sectors + MARK_SECTORS;
	return e->flags & LOG_FUA;
}

/* A mark asks for more than what is right before it, of the same disk. */
static void stop_here(struct replay *r, uint64_t entry)
{
	if (!r->changed || (entry + 1 < r->log.nr && r->log.entry[entry + 1].mark))
		return;
	r->changed = false;
	if (r->ro->o.through)
		stop_lost(r, entry);
	if (mine(r))
		stop(r, entry, STOP_FLUSH, &r->base);
}

static void flush(struct replay *r)
{
	uint64_t i;

	r->changed |= r->nr_pending > 0;
	for (i = 0; i < r->nr_pending; i++)
		log_apply(&r->log.entry[r->pending[i]], &r->base, NULL);
	r->nr_pending = 0;
	r->base.section++;
}

static void one_entry(struct replay *r, uint64_t entry)
{
	const struct log_entry *e = &r->log.entry[entry];

	r->rng.state = mix(r->ro->o.seed + 1) + mix(entry);
	if (e->mark) {
		r->mark = e->mark;
		r->changed = true;
	} else if (durable(r, e)) {
		stop_torn(r, entry);
		log_apply(e, &r->base, NULL);
		r->changed = true;
	} else if (e->nr) {
		r->pending[r->nr_pending++] = entry;
	}
	if (e->flags & LOG_FLUSH) {
		/* Written through, pending was of interest at each write before. */
		if (!r->ro->o.through)
			stop_lost(r, entry);
		flush(r);
	}
	stop_here(r, entry);
}

static void image_init(struct image *image, uint64_t sectors)
{
	image->sectors = sectors;
	image->data = xbuffer(sectors * SECTOR);
	image->fua = xalloc(sectors * sizeof(image->fua[0]));
	image->section = 1;
}

static void load(struct replay *r)
{
	const struct replay_options *ro = r->ro;
	size_t size = ro->workers * sizeof(r->counts[0]);

	model_load(&r->model, ro->o.ops);
	log_load(&r->log, ro->log, ro->meta_sectors);
	image_init(&r->base, ro->meta_sectors + MARK_SECTORS + ro->data_sectors);
	image_init(&r->image, r->base.sectors);
	/* zeroes in the first block ask for a format */
	poison(r->base.data + UNIT * SECTOR, UNIT, r->base.sectors - UNIT);
	r->pending = xalloc((r->log.nr + 1) * sizeof(r->pending[0]));
	r->counts = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->counts == MAP_FAILED)
		fail("no memory");
}

static void play(struct replay *r)
{
	uint64_t entry;

	r->pool = pool_test_new(r->ro, &r->model, r->worker);
	for (entry = 0; entry < r->log.nr && r->counts[r->worker].bad < MAX_BAD; entry++)
		one_entry(r, entry);
	if (entry == r->log.nr && r->mark != r->model.nr_marks)
		fail("the log's last mark is %llu, the work's %u", (unsigned long long)r->mark,
		     r->model.nr_marks);
}

/* Returns how many workers failed. */
static unsigned int play_all(struct replay *r)
{
	unsigned int failed = 0;
	pid_t pid;
	int status;

	for (r->worker = 0; r->worker < r->ro->workers; r->worker++) {
		pid = fork();
		if (pid < 0)
			fail("fork: %s", strerror(errno));
		if (!pid) {
			play(r);
			exit(0);
		}
	}
	while (wait(&status) > 0)
		failed += status != 0;
	return failed;
}

void replay(const struct replay_options *ro)
{
	struct replay r = { .ro = ro };
	unsigned int i, k, failed, went_on = 0, bad = 0;
	double t = now();

	load(&r);
	fflush(stdout);
	failed = play_all(&r);
	printf("%llu entries", (unsigned long long)r.log.nr);
	for (k = 0; k < NR_KINDS; k++) {
		unsigned int stops = 0;

		for (i = 0; i < ro->workers; i++)
			stops += r.counts[i].stops[k];
		printf(", %u stops %s", stops, kind_name[k]);
	}
	for (i = 0; i < ro->workers; i++) {
		went_on += r.counts[i].went_on;
		bad += r.counts[i].bad;
	}
	printf("; used and checked again at %u; %.1f s\n", went_on, now() - t);
	fflush(stdout);
	if (bad || failed)
		fail("%u stops are wrong, %u of %u workers failed", bad, failed, ro->workers);
}
