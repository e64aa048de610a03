/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * killwork: work on a pool in a machine that is killed, and in the next one a
 * look at what is left. See tests/vm/kill.sh.
 *
 * main.c	command line, one boot from end to end
 * model.c	what each sector of each device may hold; acknowledgments
 * work.c	writers, snapshots
 *
 * What operation number v of a device does follows from the device, the boot and
 * v, so that acknowledgments are numbers. They go to the console, which is a pipe
 * out of the machine, a line each:
 *
 *	ack BOOT ID V .		operations up to V were synchronised
 *	fua BOOT ID V .		that one was written with FUA
 *	snap? BOOT ID ORIGIN V .	about to be taken; V were complete before
 *	snap! BOOT ID ORIGIN V .	taken; V had begun when it was
 *	del? BOOT ID 0 0 .	about to be deleted
 *	del! BOOT ID 0 0 .	deleted
 *
 * What a boot found of each sector is written to a file outside: the next one
 * has to find the same, but for what came after.
 */
#ifndef KILL_H
#define KILL_H

#include "../logreplay/logreplay.h"

#define POOL		"t2-pool"
#define MAX_DEVS	16u
#define NR_THINS	4u
/* Operations that may have been done behind the last that was acknowledged. */
#define MAX_BEHIND	4096u

struct dev {
	uint32_t id;
	uint32_t new_of;	/* snapshot of this, taken by the last boot */
	bool is_new, unsure;	/* unsure: a delete or a snapshot was under way */
	uint64_t acked;		/* a new snapshot: what it must have */
	uint64_t last;		/* ... and what it may have, else NEVER */
	uint64_t value[THIN_SECTORS];
};

struct state {
	uint32_t boot;		/* whose work is to be looked at, 0 at first */
	uint32_t nr;
	struct dev dev[MAX_DEVS];
};

/* ---- model.c ---- */

struct work_op {
	bool discard, fua;
	uint32_t sector, nr;
	uint64_t value;		/* of what is written */
};

struct work_op op_of(uint32_t id, uint32_t boot, uint64_t v);
void fill(uint8_t *p, uint32_t sector, uint32_t nr, uint64_t value);

/* False: there is none yet. */
bool state_load(struct state *s, const char *dir);
void state_save(const struct state *s, const char *dir);
/* What was acknowledged since: new and deleted devices, how far each got. */
void state_acks(struct state *s, const char *dir);
/* Compares a device with what may be there, which then becomes what is. */
void state_check(struct state *s, struct dev *d, const uint8_t *data);

/* ---- work.c ---- */

/* Never returns: somebody kills the machine. */
__attribute__((noreturn))
void work_on(struct state *s);

#endif
