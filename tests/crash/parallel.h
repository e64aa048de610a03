/* SPDX-License-Identifier: GPL-2.0-only */
/* Work that is shared by processes, of which any may die. */
#ifndef CRASH_PARALLEL_H
#define CRASH_PARALLEL_H

#include "pool-sim.h"

#define PAR_COUNTERS	8

/* What a worker says of itself, in memory that outlives it. */
struct par_worker {
	u64 current;			/* what it is at: for who asks when it has died */
	u64 count[PAR_COUNTERS];	/* figures, added up by par_sum() */
	struct ps_failure failure;	/* ps_failure points to it */
};

/* How many: JOBS in the environment, else one for each processor. */
unsigned int par_jobs(void);

/* Zeroed memory that children share. */
void *par_memory(size_t size);

/**
 * par_run - run @work in @jobs processes
 * @jobs: how many
 * @work: what each does; it returns when it is done
 * @progress: prints how far all of them are, every few seconds; may be NULL
 *
 * When one dies the others are ended, too.
 *
 * Return: all workers' figures, @jobs of them, and in *@died the one that did or -1.
 */
const struct par_worker *par_run(unsigned int jobs,
				 void (*work)(struct par_worker *me, unsigned int i,
					      unsigned int jobs),
				 void (*progress)(const struct par_worker *all, unsigned int jobs),
				 int *died);

u64 par_sum(const struct par_worker *all, unsigned int jobs, unsigned int counter);

/**
 * par_try - run @fn in a child
 * @fn: what
 * @context: its argument
 * @failure: how it failed, if by ps_die()
 *
 * Nothing of what it prints is seen. A minute is the most it may take.
 *
 * Return: its wait status: 0, or how it died.
 */
int par_try(void (*fn)(void *context), void *context, struct ps_failure *failure);

#endif
