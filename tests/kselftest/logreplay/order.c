// SPDX-License-Identifier: GPL-2.0-only
/*
 * A log of a pool's disk with metadata written through, so that each flush in it
 * is one of data: when a record of the journal is written, what it maps must have
 * been flushed since it was written.
 */
#include "logreplay.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SECTORS	8u
#define JOURNAL_MAGIC	0x324e4a54u	/* pdata-format.h: where it is, and */
#define MAGIC_AT	4u
#define NR_RECORDS_AT	100u		/* the records */
#define RECORDS_AT	112u
#define MAX_RECORDS	124u
#define KIND_MAP	1u

struct record {
	uint64_t uid, vbegin_kind, phys;
	uint32_t len, birth;
};

struct order {
	uint64_t meta_sectors;
	uint64_t units;
	uint64_t *written;	/* entry, from 1, that wrote a unit of data last */
	uint64_t flush;		/* last entry that flushed */
	uint64_t nr;		/* units of records looked at */
};

static void look_at_record(struct order *o, uint64_t entry, const struct record *r)
{
	uint64_t unit = le64toh(r->phys), end = unit + le32toh(r->len);

	if (le64toh(r->vbegin_kind) >> 56 != KIND_MAP)
		return;
	for (; unit < end; unit++, o->nr++) {
		if (unit >= o->units || !o->written[unit])
			fail("entry %llu: a record maps unit %llu, which was never written",
			     (unsigned long long)entry, (unsigned long long)unit);
		if (o->written[unit] >= o->flush)
			fail("entry %llu: a record maps unit %llu, written by entry %llu, not flushed since (last flush: %llu)",
			     (unsigned long long)entry, (unsigned long long)unit,
			     (unsigned long long)o->written[unit], (unsigned long long)o->flush);
	}
}

static void look_at_block(struct order *o, uint64_t entry, const uint8_t *block)
{
	uint32_t magic, nr, i;
	struct record r;

	memcpy(&magic, block + MAGIC_AT, sizeof(magic));
	memcpy(&nr, block + NR_RECORDS_AT, sizeof(nr));
	if (le32toh(magic) != JOURNAL_MAGIC || le32toh(nr) > MAX_RECORDS)
		return;
	for (i = 0; i < le32toh(nr); i++) {
		memcpy(&r, block + RECORDS_AT + i * sizeof(r), sizeof(r));
		look_at_record(o, entry, &r);
	}
}

static void look_at_entry(struct order *o, uint64_t entry, const struct log_entry *e)
{
	uint64_t i;

	if (e->flags & LOG_FLUSH)
		o->flush = entry;
	if (e->flags & (LOG_DISCARD | LOG_MARK))
		return;
	for (i = 0; i < e->nr; i++) {
		if (e->sector + i >= o->meta_sectors)
			o->written[(e->sector + i - o->meta_sectors) / BLOCK_SECTORS] = entry;
		else if (!((e->sector + i) % BLOCK_SECTORS) && i + BLOCK_SECTORS <= e->nr)
			look_at_block(o, entry, e->data + i * SECTOR);
	}
}

void order(const char *device, uint64_t meta_sectors, uint64_t data_sectors)
{
	struct order o = {
		.meta_sectors = meta_sectors,
		.units = data_sectors / BLOCK_SECTORS,
	};
	struct log log;
	uint64_t i;

	o.written = calloc(o.units + 1, sizeof(*o.written));
	if (!o.written)
		fail("no memory");
	log_load(&log, device, NEVER);
	for (i = 0; i < log.nr; i++)
		look_at_entry(&o, i + 1, &log.entry[i]);
	printf("%llu entries, %llu units in records\n", (unsigned long long)log.nr,
	       (unsigned long long)o.nr);
	if (!o.nr)
		fail("there are no records in the log");
}
