/* SPDX-License-Identifier: GPL-2.0-only */
/* From a failure to the shortest list of operations that shows it. */
#ifndef CRASH_SHRINK_H
#define CRASH_SHRINK_H

#include "pool-sim.h"

#define SHRINK_MAX_OPS	(1u << 17)

struct ps_log *shrink_log_new(void);

/* Do what @log says, from the beginning, on a new pool. Dies as the test did. */
void shrink_play(const struct ps_config *c, const struct ps_log *log);

/**
 * shrink - leave operations out as long as it still fails in the same way
 * @c: the pool
 * @log: what was done; on return, what is left of it
 * @failure: how it failed; on return, how it does now
 *
 * In the end no single operation can be left out, and none made simpler.
 *
 * Return: false if the list as it is does not fail.
 */
bool shrink(const struct ps_config *c, struct ps_log *log, struct ps_failure *failure);

/* Write a script, and say on stdout what it is and how to play it. */
void shrink_report(const struct ps_config *c, const struct ps_log *log,
		   const struct ps_failure *failure, const char *program);

#endif
