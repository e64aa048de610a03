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
 * The model knows for each sector of each thin which contents are allowed: the
 * newest one that was acknowledged and flushed, and every one written since.
 *
 * What is done is a list of struct ps_op. Each carries all that it needs, the
 * seed of what happens by chance meanwhile included, so a list can be kept,
 * shortened and played again (pool-script.c, tests/crash/shrink.c).
 *
 *	pool-sim.c	callbacks, writes in flight, opening and closing
 *	pool-model.c	data, the model, comparing
 *	pool-ops.c	operations, and drawing them by chance
 *	pool-script.c	operations as text
 *	pool-check.c	reference counts
 *	pool-flush.c	the two ways of a FLUSH
 */
#ifndef POOL_SIM_H
#define POOL_SIM_H

#include <stdio.h>

#include "dm-thin2-internal.h"
#include "io-sim.h"

#define PS_MAX_THINS	12
#define PS_MAX_FLIGHT	8
#define PS_MAX_VERSIONS	24
#define PS_MAX_WRITE	16
#define PS_MAX_HELD	4
#define PS_SECTORS	8	/* of a unit */

/* Contents a unit may show: each sector that of any version. Tag 0 = zeroes. */
struct ps_unit {
	u32 nr;
	u32 keep;			/* a flush under way makes older ones impossible */
	u32 tag[PS_MAX_VERSIONS][PS_SECTORS];	/* oldest allowed first, newest last */
};

struct ps_thin {
	bool exists;
	bool unsure;		/* the operation that made or deleted it was cut off */
	u32 id;
	struct thin2_dev *th;
	struct ps_unit *unit;
};

/* A tree that is held for userspace; what it maps must stay as it was. */
struct ps_held {
	bool used;
	u32 id;
	u64 root;
	u32 (*tag)[PS_SECTORS];	/* of each unit */
};

enum ps_flight_state { PS_IDLE, PS_ISSUED };

/* A write between issue and completion. */
struct ps_flight {
	enum ps_flight_state state;
	bool provisioned;
	bool fua;
	struct thin2_write w;
	struct thin2_dev *th;
	u64 unit;		/* virtual */
	u64 phys;
	u32 len;
	u32 from, to;		/* sectors of the (only) unit that are written */
	u32 tag[PS_MAX_WRITE];
	u32 old[PS_SECTORS];	/* what a part of a unit is laid over, if provisioned */
};

struct ps_config {
	u64 seed;
	u64 meta_blocks;
	u64 data_units;
	u64 thin_units;		/* size of each thin */
	unsigned int max_write;	/* units, at most PS_MAX_WRITE */
	u64 journal_blocks;
	unsigned int journal_records;
	unsigned int max_dirty;
	u64 max_ranges;		/* range-map entries kept, 0 = all */
	unsigned int fill_ranges;	/* 0 = default */
	u64 group_units;
	unsigned int lineage;	/* per mille of operations that are snapshots or deletions, besides others */
	u64 max_meta;		/* devices grow up to this; 0 = not */
	u64 max_data;
	struct pdata_limits limits;
};

enum ps_kind {
	PS_OPEN,		/* power returns (fails before, if it is on); n: enum sim_fate,
				 * or PS_FATE_MASK with begin, len: bit i = the i-th un-flushed
				 * block of metadata, data is there; from: 1 + the one (metadata's,
				 * then data's) that is torn, at sector to; 0 = none */
	PS_CREATE,		/* thin */
	PS_SNAP,		/* thin, of other */
	PS_DELETE,		/* thin */
	PS_REOPEN,		/* thin */
	PS_HOLD,		/* thin */
	PS_PUT,			/* thin */
	PS_HOLD_ALL,		/* a checkpoint */
	PS_PUT_ALL,
	PS_TRANSACTION,
	PS_WRITE,		/* thin begin len; stays in flight */
	PS_WRITE_PART,		/* thin begin from to */
	PS_WRITE_FUA,		/* thin begin len from to; ends when durable */
	PS_DISCARD,		/* thin begin len */
	PS_ZERO,		/* thin begin len */
	PS_LAND,		/* a write in flight ends; n: which, PS_MAX_FLIGHT: all */
	PS_FLUSH,		/* n: 0 by a worker, 1 from map() */
	PS_CHECKPOINT,
	PS_WORK,		/* n: idle */
	PS_EVICT,		/* begin: how many, n: enum thin2_evict_how */
	PS_RELEASE,		/* passdown of freed units is done */
	PS_GROW_DATA,		/* begin: by so many units */
	PS_GROW_META,		/* begin: by so many blocks */
	PS_RESTART,
	PS_VERIFY,
	PS_CHECK,		/* reference counts */
	PS_KINDS
};

#define PS_FATE_MASK	SIM_FATES

struct ps_op {
	u8 kind;		/* enum ps_kind */
	u8 thin, other;
	u8 from, to;		/* sectors of a unit; from == to: whole units */
	u8 n;
	u32 begin, len;
	u32 crash;		/* power fails at its so many-th device operation; 0 = it does not */
	u64 seed;		/* of what happens meanwhile; 0 = nothing does */
};

/* Operations done, for who wants them. Shared memory, so it outlives the process. */
struct ps_log {
	u32 nr, max;
	struct ps_op op[];
};

/* How a test failed; shared memory, too. */
struct ps_failure {
	const char *fmt;	/* of the message: what kind of failure it was */
	char text[400];
};

struct pool_sim {
	struct ps_config c;
	u64 gen;		/* draws operations */
	u64 rnd;		/* what happens by chance during one */
	struct sim_clock clock;
	struct sim_disk *meta;
	struct sim_disk *data;
	struct thin2_md *md;
	struct ps_thin thin[PS_MAX_THINS];
	struct ps_flight flight[PS_MAX_FLIGHT];
	struct ps_held held[PS_MAX_HELD];
	bool all_held;			/* a checkpoint is, and that is what it holds: */
	u64 all_hash;
	struct ps_thin *watched;	/* origin of the snapshot being taken */
	bool *touched;			/* its units written since that began */
	struct list_head freed;	/* batches not passed down yet */
	u32 next_tag;
	u64 transaction_id;
	bool transaction_unsure;
	u64 ops;
	const char *op;		/* what is being done, for messages */
	struct ps_log *log;
	bool trace;
	bool quiet;		/* nothing by chance during this operation */
	bool still;		/* no concurrent writes just now */
	bool refusable;		/* lack of space may end the operation */
	bool faulty;		/* the disk lied: whatever is refused is forgiven, wrong data is not */
	u64 refused;		/* and so many units or operations were */
	struct ps_thin *busy;	/* none to this thin: its order matters just now */
};

/* ---- pool-sim.c ---- */

void ps_init(struct pool_sim *ps, const struct ps_config *c);
void ps_exit(struct pool_sim *ps);
/* Model and disks as @from has them, as a crash leaves them: nothing is open. @to is new. */
void ps_clone(struct pool_sim *to, const struct pool_sim *from);

/* Open or reopen the pool. An internal error code. */
int ps_open(struct pool_sim *ps);
/* Forget the opened pool without writing: what a crash leaves of it. */
void ps_abandon(struct pool_sim *ps);
int ps_close(struct pool_sim *ps);
int ps_open_thin(struct pool_sim *ps, struct ps_thin *t);

/* Everything in flight completes. */
void ps_drain(struct pool_sim *ps);
int ps_land(struct pool_sim *ps, struct ps_flight *f);
void ps_land_overlapping(struct pool_sim *ps, struct thin2_dev *th, u64 begin, u64 end);
/* A write goes off, as far as one range reaches: up to *done. */
int ps_issue_write(struct pool_sim *ps, struct thin2_dev *th, u64 unit, u64 end,
		   const struct ps_flight *what, u64 *done);
/* What the kernel does with an error that only means "later". True: try again. */
bool ps_wait_for_room(struct pool_sim *ps, struct thin2_dev *th, int *r);
void ps_pass_down(struct pool_sim *ps);
void ps_evict(struct pool_sim *ps, u64 nr, enum thin2_evict_how how);
void ps_data_grown(struct pool_sim *ps, u64 from);

/* 0 .. n - 1, by chance; 0 when nothing happens by chance. */
u64 ps_below(struct pool_sim *ps, u64 n);

/* ---- pool-ops.c ---- */

/*
 * One operation. 0, or the error that ended it: with power off anything goes;
 * else only lack of space is forgiven, all else fails the test. Operations on
 * what does not exist do nothing.
 */
int ps_run(struct pool_sim *ps, struct ps_op *op);
/* A random one, while power is on; ps_step() runs it, too. */
void ps_draw(struct pool_sim *ps, struct ps_op *op);
int ps_step(struct pool_sim *ps);

/* ---- pool-flush.c ---- */

int ps_flush(struct pool_sim *ps, bool from_map);

/* ---- pool-model.c ---- */

bool ps_is_full(struct pool_sim *ps, struct ps_thin *t, u64 begin, u64 len);
/* Sectors [from, to) of a unit of @t got a new content; from == to: all. */
void ps_touch(struct pool_sim *ps, struct ps_thin *t, u64 unit, u32 from, u32 to, u32 tag);
/* A flush begins: it covers all that is acknowledged now. */
void ps_flush_begins(struct pool_sim *ps);
/* It is done: what is older than that can no longer be seen. */
void ps_flushed(struct pool_sim *ps);
/* A new thin: with the contents of @origin, or zeroes. */
void ps_slot_fill(struct pool_sim *ps, struct ps_thin *t, const struct ps_thin *origin);
void ps_snap_watch(struct pool_sim *ps, struct ps_thin *origin);
void ps_snap_settle(struct pool_sim *ps, struct ps_thin *snap);
void ps_hold(struct pool_sim *ps, struct ps_thin *t, u64 root);
void ps_put(struct pool_sim *ps, u32 id);
void ps_forget_held(struct pool_sim *ps);

/* ---- pool-holds.c ---- */

/* Hold a checkpoint, or let go of it; what is held stays what it was. */
int ps_hold_all(struct pool_sim *ps);
int ps_put_all(struct pool_sim *ps);
void ps_verify_held_all(struct pool_sim *ps);

int ps_data_write(struct pool_sim *ps, u64 phys, u32 tag, bool fua);
/* Sectors of @f over @old. */
int ps_data_write_part(struct pool_sim *ps, const struct ps_flight *f, const u32 *old);
void ps_data_tags(struct pool_sim *ps, u64 phys, u32 *tag);
void ps_data_stale(struct pool_sim *ps, u64 phys);
#define PS_POISON	0xdeadbeefu

/*
 * Read all thins and compare with the model. After a crash (@crashed) what is
 * found becomes the one allowed content. Fails the test on a difference.
 */
void ps_verify(struct pool_sim *ps, bool crashed);

/* ---- pool-check.c ---- */

/* Checks counts of metadata and data against all trees; fails the test. */
void ps_check_counts(struct pool_sim *ps);
/* A part of it: leaf_sum, origins and seqs of leaves. All is committed. */
void ps_check_leaves(struct pool_sim *ps);

/* ---- pool-script.c ---- */

void ps_print_op(FILE *to, const struct ps_op *op);
void ps_print_config(FILE *to, const struct ps_config *c);
/* Lines of a script, "#" begins a comment. False, with a message, if there is a wrong one. */
bool ps_parse(FILE *from, struct ps_config *c, struct ps_log *log);

/* ---- all ---- */

/* Where ps_die() says what happened, for who survives it. */
extern struct ps_failure *ps_failure;
/* Print and abort. */
void ps_die(struct pool_sim *ps, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));

#endif
