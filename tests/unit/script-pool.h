/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small pool for scripted interleavings. A script runs once, out of a read of
 * the metadata, a flush of it or the wait for I/O in flight, and does there what
 * other threads may do at that moment.
 */
#ifndef SCRIPT_POOL_H
#define SCRIPT_POOL_H

#include "testlib.h"

#include "dm-thin2-internal.h"

#define META_BLOCKS	1024
#define DATA_UNITS	256

struct pool;
typedef void (*script_fn)(struct pool *p);

struct pool {
	struct pdata_io io;		/* the metadata as the core sees it */
	struct sim_clock clock;
	struct sim_disk *meta;
	struct sim_disk *data;
	struct thin2_md *md;
	struct thin2_dev *origin;	/* id 0 */
	struct thin2_dev *snap;		/* id 1 */
	script_fn on_get;
	script_fn on_flush;
	script_fn on_flush_data;	/* the data device has been told to flush */
	script_fn after_flush_data;	/* and has */
	script_fn on_drain;
	u64 unit;			/* for scripts */
	int result;			/* theirs */
	struct thin2_write write;	/* one in flight */
	struct list_head freed;		/* units that are being passed down, if */
	bool keep_freed;		/* they do not come back at once */
	bool read_only;			/* for pool_open() */
	u64 data_units;			/* 0: DATA_UNITS */
	u64 meta_blocks;		/* 0: META_BLOCKS */
	unsigned int journal_records;
	const struct pdata_limits *limits;
};

int __must_check pool_try_open(struct pool *p);
void pool_open(struct pool *p);
/* With thin 0, opened as the origin. */
void pool_init(struct pool *p);
/* The same, with sizes and limits as they are in @p. */
void pool_start(struct pool *p);
void pool_init_limits(struct pool *p, const struct pdata_limits *limits);
/* As a crash leaves it; the disks stay. */
void pool_abandon(struct pool *p);
/* Power fails; what was not flushed is lost. Open again, with the origin. */
void pool_crash(struct pool *p);
/* The same with what may have been lost up to the disks: of metadata, of data. */
void pool_crash_as(struct pool *p, enum sim_fate meta, enum sim_fate data);
void pool_exit(struct pool *p);
/* Snapshot 1 of the origin. */
void take_snap(struct pool *p);
/* All entries must have been clean. */
void evict_all(struct thin2_dev *th);

/* Look up, filling in what is missed. */
void look(struct thin2_dev *th, u64 unit, bool write, struct thin2_where *w);
/* As a worker does, or out of a commit, which holds the lock that loading counts takes. */
int ask(struct thin2_dev *th, u64 unit);
void data_write(struct pool *p, u64 phys, u64 tag);
bool data_is(struct pool *p, u64 phys, u64 tag);
/* The whole way of a write of one unit. */
void write_unit(struct pool *p, struct thin2_dev *th, u64 unit, u64 tag);
/* A read in flight: where it was sent. */
u64 read_begin(struct thin2_dev *th, u64 unit);
void assert_unit(struct pool *p, struct thin2_dev *th, u64 unit, u64 tag);
void assert_hole(struct thin2_dev *th, u64 unit);
/* Units 0 to 7 of the origin, in one range and in its tree; unit n holds tag 100 + n. */
void write_base(struct pool *p);

#endif
