/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A pool on simulated disks, and the model it is compared with.
 *
 * The simulator plays the part of the kernel's data path: it looks up, begins
 * and ends writes through the metadata core, and moves the data on a simulated
 * data device that loses, reorders and tears what was not flushed. Writes stay
 * in flight for a while. Freed units are poisoned when they are passed down, so
 * that any early reuse or stale reference shows as wrong content.
 *
 * The model knows for each unit of each thin which contents are allowed: the
 * newest one that was acknowledged and flushed, and every one written since.
 * Each sector of a unit may show any of them.
 */
#ifndef POOL_SIM_H
#define POOL_SIM_H

#include "dm-thin2-internal.h"
#include "io-sim.h"

#define PS_MAX_THINS	12
#define PS_MAX_FLIGHT	8
#define PS_MAX_VERSIONS	24

/* Contents a unit may show. Tag 0 = zeroes. */
struct ps_unit {
	u32 nr;
	u32 keep;			/* a flush under way makes older ones impossible */
	u32 tag[PS_MAX_VERSIONS];	/* oldest allowed first, newest last */
};

struct ps_thin {
	bool exists;
	bool unsure;		/* the operation that made or deleted it was cut off */
	u32 id;
	struct thin2_dev *th;
	struct ps_unit *unit;
};

enum ps_flight_state { PS_IDLE, PS_ISSUED };

/* A write between issue and completion. */
struct ps_flight {
	enum ps_flight_state state;
	bool provisioned;
	struct thin2_write w;
	struct thin2_dev *th;
	u64 unit;		/* virtual */
	u64 phys;
	u32 len;
	u32 tag[16];
};

struct ps_config {
	u64 seed;
	u64 meta_blocks;
	u64 data_units;
	u64 thin_units;		/* size of each thin */
	unsigned int max_write;	/* units, at most 16 */
	u64 journal_blocks;
	unsigned int journal_records;
	unsigned int max_dirty;
	u64 max_ranges;		/* range-map entries kept, 0 = all */
	unsigned int fill_ranges;	/* 0 = default */
	u64 group_units;
	unsigned int lineage;	/* per mille of operations that are snapshots or deletions, besides others */
	struct pdata_limits limits;
};

struct pool_sim {
	struct ps_config c;
	u64 rnd;
	struct sim_clock clock;
	struct sim_disk *meta;
	struct sim_disk *data;
	struct thin2_md *md;
	struct ps_thin thin[PS_MAX_THINS];
	struct ps_flight flight[PS_MAX_FLIGHT];
	struct ps_thin *watched;	/* origin of the snapshot being taken */
	bool *touched;			/* its units written since that began */
	struct list_head freed;	/* batches not passed down yet */
	u32 next_tag;
	u64 transaction_id;
	bool transaction_unsure;
	u64 ops;
	const char *op;		/* what is being done, for messages */
	bool trace;
	bool still;		/* no concurrent writes just now */
	bool refusable;		/* lack of space may end the operation */
	struct ps_thin *busy;	/* none to this thin: its order matters just now */
};

void ps_init(struct pool_sim *ps, const struct ps_config *c);
void ps_exit(struct pool_sim *ps);

/* Open or reopen the pool. An internal error code. */
int ps_open(struct pool_sim *ps);
/* Forget the opened pool without writing: what a crash leaves of it. */
void ps_abandon(struct pool_sim *ps);
int ps_close(struct pool_sim *ps);

/*
 * One random operation. 0, or the error that ended it: with power off anything
 * goes; else only lack of space is forgiven, all else fails the test.
 */
int ps_step(struct pool_sim *ps);

/* A FLUSH, by a worker or from map(). */
int ps_flush(struct pool_sim *ps);

/* Everything in flight completes. */
void ps_drain(struct pool_sim *ps);

/*
 * Read all thins and compare with the model. After a crash (@crashed) what is
 * found becomes the one allowed content. Fails the test on a difference.
 */
void ps_verify(struct pool_sim *ps, bool crashed);

/* Checks counts of metadata and data against all trees; fails the test. */
void ps_check_counts(struct pool_sim *ps);
/* A part of it: leaf_sum, origins and seqs of leaves. All is committed. */
void ps_check_leaves(struct pool_sim *ps);

/* Print and abort. */
void ps_die(struct pool_sim *ps, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));

#endif
