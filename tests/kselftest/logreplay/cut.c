// SPDX-License-Identifier: GPL-2.0-only
/*
 * One stop at a time, for tests that look at the disk by other means: "cuts" tells
 * where power can fail so that what is durable differs, "cut" makes a disk, which has
 * what was there before the log, what it is then.
 *
 * The disk has a write cache (the way "cache" of logreplay.h).
 */
#include "logreplay.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct cut {
	struct log log;
	struct image image;
	int fd;
	uint64_t first_pending;		/* entries from here on are not flushed */
};

void cuts(const char *device)
{
	uint64_t i, mark = 0, pending = 0;
	bool changed = false;
	struct log log;

	log_load(&log, device, NEVER);
	for (i = 0; i < log.nr; i++) {
		const struct log_entry *e = &log.entry[i];

		if (e->mark)
			mark = e->mark;
		else if (e->flags & LOG_FUA)
			changed = true;
		else if (e->nr)
			pending++;
		if (e->flags & LOG_FLUSH) {
			changed |= pending > 0;
			pending = 0;
		}
		if (!changed && !e->mark)
			continue;
		printf("%llu %llu\n", (unsigned long long)i, (unsigned long long)mark);
		changed = false;
	}
}

static void apply(struct cut *c, uint64_t entry, struct rng *torn)
{
	const struct log_entry *e = &c->log.entry[entry];

	if (e->flags & LOG_MARK || !e->nr)
		return;
	log_apply(e, &c->image, torn);
	write_at(c->fd, c->image.data + e->sector * SECTOR, e->sector, e->nr);
}

/* What had been written before the flush is durable. */
static void flush(struct cut *c, uint64_t entry)
{
	for (; c->first_pending <= entry; c->first_pending++)
		if (!(c->log.entry[c->first_pending].flags & LOG_FUA))
			apply(c, c->first_pending, NULL);
	c->image.section++;
}

/*
 * Any part of what comes up to the next flush, or to a FUA write, and any part of that:
 * what comes after it may have been written because it was durable. What was written
 * below sector @sure is there: by somebody who never flushes.
 */
static void some_of_the_rest(struct cut *c, uint64_t entry, uint64_t seed, uint64_t sure)
{
	struct rng rng = { .state = mix(seed + 1) + mix(entry) };
	uint64_t i;

	for (i = c->first_pending; i < c->log.nr; i++) {
		if (i > entry && c->log.entry[i].flags & LOG_FLUSH)
			break;
		if (i > entry || !(c->log.entry[i].flags & LOG_FUA))
			apply(c, i, c->log.entry[i].sector < sure ? NULL : &rng);
		if (i > entry && c->log.entry[i].flags & LOG_FUA)
			break;
	}
}

void cut(const char *log, const char *disk, uint64_t entry, uint64_t seed, uint64_t sure)
{
	struct cut c = { .image.section = 1 };
	uint64_t i;

	log_load(&c.log, log, NEVER);
	if (entry >= c.log.nr)
		fail("%s: there is no entry %llu", log, (unsigned long long)entry);
	c.fd = open_direct(disk);
	c.image.sectors = lseek(c.fd, 0, SEEK_END) / SECTOR;
	c.image.data = xbuffer(c.image.sectors * SECTOR);
	c.image.fua = xalloc(c.image.sectors * sizeof(c.image.fua[0]));
	read_at(c.fd, c.image.data, 0, c.image.sectors);
	for (i = 0; i <= entry; i++) {
		if (c.log.entry[i].flags & LOG_FUA)
			apply(&c, i, NULL);
		if (c.log.entry[i].flags & LOG_FLUSH)
			flush(&c, i);
	}
	if (seed)
		some_of_the_rest(&c, entry, seed, sure);
	if (fsync(c.fd))
		fail("%s: fsync failed", disk);
	close(c.fd);
}
