// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log of dm-log-writes: a superblock, then for each entry a sector with
 * its head (and a mark's text), and the sectors it wrote. Sectors are of the
 * logged device's logical block size.
 */
#include "logreplay.h"

#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC		0x6a736677736872ull
#define VERSION		1ull
#define END_MARK	"dm-log-writes-end"
#define MAX_SECTORS	(1ull << 20)

struct head {
	uint64_t sector, nr_sectors, flags, data_len;
};

struct super {
	uint64_t magic, version, nr_entries;
	uint32_t sector_size;
};

static uint8_t *read_all(const char *device, uint64_t *sectors)
{
	int fd = open_direct(device);
	uint64_t sector, n;
	uint8_t *raw;

	*sectors = lseek(fd, 0, SEEK_END) / SECTOR;
	raw = xbuffer(*sectors * SECTOR);
	for (sector = 0; sector < *sectors; sector += n) {
		n = *sectors - sector < 2048 ? *sectors - sector : 2048;
		read_at(fd, raw + sector * SECTOR, sector, n);
	}
	close(fd);
	return raw;
}

/* The number of a mark: in its text, or in what was written to the marks' place. */
static uint64_t mark_number(const struct log_entry *e, const char *text, uint64_t mark_sector)
{
	const uint64_t *w = (const uint64_t *)e->data;

	if (e->flags & LOG_MARK)
		return strtoull(text, NULL, 10);
	if (e->nr && !(e->flags & LOG_DISCARD) && e->sector == mark_sector && w[0] == MARK_MAGIC)
		return w[1];
	return 0;
}

void log_load(struct log *log, const char *device, uint64_t mark_sector)
{
	uint64_t sectors, pos = 1, i, len;
	const struct super *super;
	const char *text = "";

	log->raw = read_all(device, &sectors);
	super = (const struct super *)log->raw;
	if (le64toh(super->magic) != MAGIC || le64toh(super->version) != VERSION ||
	    le32toh(super->sector_size) != SECTOR)
		fail("%s: no log of sectors of %u bytes", device, SECTOR);
	log->nr = le64toh(super->nr_entries);
	log->entry = xalloc((log->nr + 1) * sizeof(log->entry[0]));
	for (i = 0; i < log->nr; i++) {
		const struct head *h = (const struct head *)(log->raw + pos * SECTOR);
		struct log_entry *e = &log->entry[i];

		e->sector = le64toh(h->sector);
		e->nr = le64toh(h->nr_sectors);
		e->flags = le64toh(h->flags);
		e->data = (const uint8_t *)h + SECTOR;
		len = e->flags & LOG_DISCARD ? 0 : e->nr;
		if (e->nr > MAX_SECTORS || pos + 1 + len > sectors)
			fail("%s: entry %llu goes over the end", device, (unsigned long long)i);
		text = e->flags & LOG_MARK ? (const char *)(h + 1) : "";
		e->mark = mark_number(e, text, mark_sector);
		pos += 1 + len;
	}
	if (strncmp(text, END_MARK, sizeof(END_MARK) - 1))
		fail("%s: the log has no end after %llu entries: it is full or failed", device,
		     (unsigned long long)log->nr);
}

/* What a discard leaves is anybody's guess. */
static void discard(const struct log_entry *e, uint8_t *disk, struct rng *torn)
{
	uint64_t what = torn ? rnd(torn, 3) : mix(e->sector) % 3;
	uint8_t *p = disk + e->sector * SECTOR;

	if (what == 0)
		memset(p, 0, e->nr * SECTOR);
	else if (what == 1)
		poison(p, e->sector, e->nr);
}

static bool keep_sector(struct rng *torn, unsigned int how)
{
	return how == 0 || (how > 1 && rnd(torn, 2));
}

void log_apply(const struct log_entry *e, struct image *image, struct rng *torn)
{
	/* all, nothing, or each sector for itself */
	unsigned int how = torn ? rnd(torn, 4) : 0;
	bool fua = e->flags & LOG_FUA;
	uint64_t i;

	if (e->flags & LOG_MARK || !e->nr)
		return;
	if (e->sector + e->nr > image->sectors)
		fail("the log writes beyond the disk, at %llu", (unsigned long long)e->sector);
	if (e->flags & LOG_DISCARD) {
		discard(e, image->data, torn);
		return;
	}
	for (i = 0; i < e->nr; i++) {
		uint64_t sector = e->sector + i;

		if (!keep_sector(torn, how) || (!fua && image->fua[sector] == image->section))
			continue;
		memcpy(image->data + sector * SECTOR, e->data + i * SECTOR, SECTOR);
		if (fua)
			image->fua[sector] = image->section;
	}
}
