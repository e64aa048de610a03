/* SPDX-License-Identifier: GPL-2.0-only */
/* Simulated disk: what io-sim.c and io-sim-crash.c share. */
#ifndef PDATA_IO_SIM_INTERNAL_H
#define PDATA_IO_SIM_INTERNAL_H

#include "io-sim.h"

#define SIM_SECTOR		512u
#define SIM_SECTORS_PER_BLOCK	(PDATA_BLOCK_SIZE / SIM_SECTOR)
#define SIM_NO_BLOCK		(~0ull)	/* of a free slot */

struct sim_page {
	struct sim_page *next;	/* in the free list */
	u32 refs;
	u8 checked;		/* what pdata_io_ref.checked points to */
	u8 data[PDATA_BLOCK_SIZE] __aligned(64);
	u8 redzone[64];		/* poisoned under ASan */
};

struct sim_slot {
	u64 block;
	struct sim_page *page;	/* newest content, NULL = zeroes */
	u64 stamp;		/* operation that wrote it last */
	u32 older;		/* in disk->ver: next older content; 0 = durable */
};

/* Content that may come back in a crash; the last of a chain is the durable one. */
struct sim_ver {
	struct sim_page *page;	/* NULL = zeroes */
	u32 older;
};

void sim_bug(const char *what) __attribute__((__noreturn__));
struct sim_page *sim_page_new(void);
void sim_page_get(struct sim_page *p);
void sim_page_put(struct sim_page *p);
struct sim_slot *sim_slot_find(struct sim_disk *disk, u64 block);
void sim_slot_settle(struct sim_disk *disk, struct sim_slot *slot);
void sim_cache_empty(struct sim_disk *disk);

#endif
