/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Simulated disk: struct pdata_io in memory that behaves as badly as a disk
 * may, and always the same way for the same seed.
 *
 * It has a volatile write cache. What was written without FUA and not flushed
 * since may, when power fails, be there or not, block by block in any order,
 * and torn at 512-byte sectors; a sector may also hold any of the versions
 * written since the last flush. A write call during which power fails leaves
 * the same choice for each of its blocks, FUA or not.
 *
 * Disks that share a struct sim_clock count their operations (write calls and
 * flushes) together and lose power together. While power is off all calls fail
 * with -EIO. Which content survived is decided at sim_power_on(), so that a
 * copy made in between can be given other fates (exhaustive exploration).
 *
 * The same object serves as metadata device (blocks) and as data device
 * (units): both are 4 KiB. What was never written reads as zeroes and costs no
 * memory. Several threads may use disks and a clock at the same time, but for
 * create, destroy, reset and copy.
 */
#ifndef PDATA_IO_SIM_H
#define PDATA_IO_SIM_H

#include "pdata-io.h"

struct sim_disk;
struct sim_page;
struct sim_slot;
struct sim_ver;

struct sim_clock {
	pthread_mutex_t lock;	/* guards all below and all that its disks hold */
	struct list_head disks;
	u64 seed;
	u64 ops;		/* write calls and flushes so far */
	u64 crash_at;		/* value of ops at which power fails, 0 = never */
	u64 cycles;		/* how often power came back */
	bool off;
};

struct sim_stats {
	u64 gets;
	u64 reads;
	u64 writes;		/* calls */
	u64 blocks;		/* written */
	u64 fuas;		/* calls with FUA */
	u64 flushes;
};

/* Faults that fire once, at the n-th event from now (1 = the next), 0 = off. */
struct sim_faults {
	u64 lose_write;		/* block write: reported as done, never happens */
	u64 misdirect_write;	/* block write: goes to misdirect_to instead */
	u64 misdirect_to;
	/* Writes for which this is true do neither, nor do they count. */
	bool (*spare)(struct sim_disk *disk, u64 block, const void *data);
	u64 fail_write;		/* write call: any subset of it happens, -EIO */
	u64 fail_flush;		/* flush: nothing becomes durable, -EIO */
	u64 fail_read;		/* get or read: -EIO */
};

#define SIM_MAX_BAD	16

struct sim_bad {
	u64 block;
	bool read;
	bool write;
};

struct sim_disk {
	struct pdata_io io;	/* first: pdata_io_*(&disk->io) */
	struct sim_clock *clock;
	struct list_head list;	/* in clock->disks */
	struct sim_clock own;	/* of a disk made without one */
	struct sim_stats stats;
	struct sim_faults faults;
	struct sim_bad bad[SIM_MAX_BAD];
	unsigned int nr_bad;
	u64 held;		/* references given out by get() */

	struct sim_slot *slot;	/* hash table by block */
	u64 nr_slots;		/* power of two */
	u64 used_slots;
	struct sim_ver *ver;	/* older content, from 1 */
	u32 nr_ver;
	u32 max_ver;
	u64 *dirty;		/* blocks that have older content, may repeat */
	u64 nr_dirty;
	u64 max_dirty;
};

/* How a power cycle treats what was not durable. */
enum sim_fate {
	SIM_RANDOM,		/* one of the next, drawn from the seed */
	SIM_NONE,		/* nothing survives */
	SIM_ALL,		/* all survives: as if only the program had died */
	SIM_BLOCKS,		/* each block: newest or durable */
	SIM_VERSIONS,		/* each block: any of its versions */
	SIM_TORN,		/* each block: torn once between two versions */
	SIM_SECTORS,		/* each sector: any version */
	SIM_ALL_BUT_ONE,
	SIM_ONLY_ONE,
	SIM_PREFIX,		/* blocks first written until some moment, the last one torn */
	SIM_FATES
};

/* ---- chance ---- */

/* splitmix64: the next number of the sequence that @state stands for. */
static inline u64 sim_random(u64 *state)
{
	u64 z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* 0 .. n - 1 */
static inline u64 sim_below(u64 *state, u64 n)
{
	return sim_random(state) % n;
}

/* ---- clock ---- */

void sim_clock_init(struct sim_clock *clock, u64 seed);
/* Power fails at the @n-th operation from now (1 = the next), which itself fails. 0 = never. */
void sim_clock_crash_at(struct sim_clock *clock, u64 n);
/* Power fails now. */
void sim_clock_crash(struct sim_clock *clock);
/* Power comes back (a running clock loses it first). Clears crash_at. */
void sim_clock_power_on(struct sim_clock *clock, enum sim_fate fate);

/* ---- disk; allocation failure aborts ---- */

/* @clock may be NULL: then the disk has its own, seeded with 0. */
struct sim_disk *sim_disk_create(u64 nr_blocks, struct sim_clock *clock);
void sim_disk_destroy(struct sim_disk *disk);	/* aborts if references are held */
/* Empty again, as new, with its memory kept; also statistics and faults. */
void sim_reset(struct sim_disk *disk, u64 nr_blocks);
/* More or fewer blocks; what lies beyond the end is kept. */
void sim_resize(struct sim_disk *disk, u64 nr_blocks);

/*
 * @dst becomes a copy of @src, un-flushed content included; @dst's clock,
 * faults and statistics stay its own. Pages are shared until written, so a
 * checker's verdict on a block counts for both until their next power cycle.
 */
void sim_disk_copy(struct sim_disk *dst, const struct sim_disk *src);
struct sim_disk *sim_disk_clone(const struct sim_disk *src, struct sim_clock *clock);

static inline void sim_crash(struct sim_disk *disk)
{
	sim_clock_crash(disk->clock);
}

static inline void sim_power_on(struct sim_disk *disk)
{
	sim_clock_power_on(disk->clock, SIM_RANDOM);
}

/* Decide what survives for one disk, power untouched. */
void sim_settle(struct sim_disk *disk, enum sim_fate fate, u64 seed);
/* Distinct blocks with un-flushed content, in the order in which they were first written. */
u64 sim_nr_pending(struct sim_disk *disk);
/* As sim_settle(): bit i of @mask keeps the newest content of the i-th such block. */
void sim_settle_mask(struct sim_disk *disk, u64 mask);
/* The same, and of the @torn-th such block sectors below @at are new, the others old. */
void sim_settle_torn(struct sim_disk *disk, u64 mask, u64 torn, unsigned int at);

/* ---- damage ---- */

/* Flip one bit of a block (newest content), durable at once. */
void sim_flip_bit(struct sim_disk *disk, u64 block, unsigned int bit);
/* Overwrite a block behind everybody's back, durable at once. */
void sim_poke(struct sim_disk *disk, u64 block, const void *data);
/* What a read would see; valid until the next operation on the disk. */
const void *sim_peek(struct sim_disk *disk, u64 block);
/* A block that fails until it is set to neither. At most SIM_MAX_BAD of them. */
void sim_set_bad(struct sim_disk *disk, u64 block, bool read, bool write);

/* ---- conveniences ---- */

/* One block, any alignment. */
int __must_check sim_write(struct sim_disk *disk, u64 block, const void *data, bool fua);
int __must_check sim_read(struct sim_disk *disk, u64 block, void *data);
/* [begin, +n) reads as zeroes; un-flushed as a write is. One operation. */
int __must_check sim_discard(struct sim_disk *disk, u64 begin, u64 n);
/* Write the newest content to a file (sparse), for tools to look at. */
int __must_check sim_save(struct sim_disk *disk, const char *path);

#endif
