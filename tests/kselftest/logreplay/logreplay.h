/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * logreplay: what a pool keeps when power fails, at every point of a log that
 * dm-log-writes took of its disk.
 *
 * main.c	command line
 * work.c	random work on a pool, with a record of when each operation was
 *		submitted and when it was acknowledged
 * log.c	reads a log, rebuilds the disk step by step
 * model.c	what each sector of each thin may hold at a point of the log
 * replay.c	stops at points of the log
 * pool.c	opens the pool on the disk of a stop, and compares
 * order.c	data before the record that maps it
 * cut.c	one stop, for whoever looks by other means
 * dm.c		device-mapper
 *
 * The disk is one device for metadata, marks and data, in this order, so that
 * one log orders all of them. Two ways to take it:
 *
 * cache	the disk has a write cache: what the log holds is durable at
 *		FLUSH and FUA. Marks are messages to the log.
 * through	metadata is written through: its flushes and FUAs are taken off
 *		on their way, and the log has its writes in the order of their
 *		ends. All flushes in it are then the data device's own (in the
 *		other way a flush of metadata makes data durable, too). Marks
 *		are writes, so that they keep that order.
 */
#ifndef LOGREPLAY_H
#define LOGREPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECTOR		512u
#define UNIT		8u		/* sectors */
#define THIN_SECTORS	4096u
#define MAX_THINS	8u
#define MARK_SECTORS	8u
#define NEVER		UINT64_MAX

enum op_kind { OP_MARK, OP_CREATE, OP_SNAP, OP_DELETE, OP_WRITE, OP_FLUSH };

/*
 * One operation of the work. Times are ticks of one counter: what was
 * acknowledged before another was submitted has the smaller one. OP_WRITE
 * stands for all that changes content; a write's value names its content, 0 is
 * zeroes.
 */
struct op {
	uint32_t kind;
	uint32_t thin;
	uint32_t origin;	/* OP_SNAP */
	uint32_t sector, nr;	/* OP_WRITE */
	bool fua;		/* OP_WRITE: durable when acknowledged */
	uint64_t value;		/* OP_WRITE; OP_MARK: its number, from 1 */
	uint64_t submit, end;
};

struct ops {
	struct op *op;
	uint32_t nr;
};

/* ---- main.c ---- */

struct options {
	const char *ops;	/* file */
	uint64_t seed;
	bool through;
	unsigned int count;	/* operations of each writer */
};

__attribute__((noreturn, format(printf, 1, 2)))
void fail(const char *fmt, ...);
void *xalloc(size_t size);
void *xbuffer(size_t size);	/* fit for direct I/O */

struct rng {
	uint64_t state;
};

uint64_t mix(uint64_t x);
uint64_t rnd(struct rng *r, uint64_t limit);

/* Content of @nr sectors from @sector on. No two values agree anywhere. */
void pattern(uint8_t *p, uint32_t sector, uint32_t nr, uint64_t value);
bool sector_is(const uint8_t *p, uint32_t sector, uint64_t value);
/* What is on the disk before all, and where a discard took it away. */
void poison(uint8_t *p, uint64_t sector, uint64_t nr);

int open_direct(const char *name);
void read_at(int fd, void *p, uint64_t sector, uint64_t nr);
void write_at(int fd, const void *p, uint64_t sector, uint64_t nr);

/* ---- work.c ---- */

void work(const struct options *o);

/* ---- log.c ---- */

/* A mark's write starts with this. */
#define MARK_MAGIC	0x6b72616d32746874ull

struct log_entry {
	uint64_t sector, nr;
	uint64_t flags;
	uint64_t mark;		/* its number, or 0 */
	const uint8_t *data;
};

#define LOG_FLUSH	1u
#define LOG_FUA		2u
#define LOG_DISCARD	4u
#define LOG_MARK	8u

struct log {
	struct log_entry *entry;
	uint64_t nr;
	uint8_t *raw;
};

void log_load(struct log *log, const char *device, uint64_t mark_sector);
/*
 * What waited in the cache for a flush comes later in the log than a FUA write
 * to the same sectors. It must not come back over it: no writer here writes
 * behind such a write before a flush.
 */
struct image {
	uint64_t sectors;
	uint8_t *data;
	uint64_t *fua;		/* section of the last FUA write to a sector */
	uint64_t section;	/* flushes so far, from 1 */
};

/* @torn: only some of its sectors */
void log_apply(const struct log_entry *e, struct image *image, struct rng *torn);

/* ---- model.c ---- */

struct model {
	struct ops ops;
	struct change *change[MAX_THINS];
	unsigned int nr_changes[MAX_THINS];
	uint64_t *mark_submit, *mark_end;
	unsigned int nr_marks;
};

void model_load(struct model *m, const char *file);

enum presence { ABSENT, UNSURE, PRESENT };

enum presence model_presence(const struct model *m, uint64_t mark, uint32_t thin);
/* Compares a whole thin; a wrong sector is told, with @where. */
bool model_check(const struct model *m, uint64_t mark, uint32_t thin, const uint8_t *data,
		 const char *where);

/* ---- replay.c ---- */

struct replay_options {
	struct options o;
	const char *log;
	uint64_t meta_sectors, data_sectors;
	uint64_t block_size;
	unsigned int workers;
};

void replay(const struct replay_options *ro);

/* ---- order.c ---- */

void order(const char *log, uint64_t meta_sectors, uint64_t data_sectors);

/* ---- cut.c ---- */

void cuts(const char *log);
void cut(const char *log, const char *disk, uint64_t entry, uint64_t seed, uint64_t sure);

/* ---- dm.c ---- */

/* Of a table. */
struct dm_line {
	const char *target;
	uint64_t sectors;
	char params[128];
};

/* 0 or an errno */
int dm_create(const char *name, const struct dm_line *line, unsigned int nr);
int dm_remove(const char *name);
void dm_close(const char *name);	/* a remove that must succeed */
int dm_message(const char *name, const char *text);
void dm_status(const char *name, char *text, size_t size);
int dm_open(const char *name);		/* a file descriptor */
struct dm_line thin_line(const char *pool, uint32_t id);

#endif
