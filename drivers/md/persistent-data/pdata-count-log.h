/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Count log: changes to data reference counts, collected while mapping trees
 * are changed, netted and applied to the data space map in sorted order.
 * Netting makes every increment count before any decrement frees (invariant 6).
 */
#ifndef PDATA_COUNT_LOG_H
#define PDATA_COUNT_LOG_H

#include "pdata-range-codec.h"

/* A change of count of a run of units. */
struct pdata_count_change {
	u64 begin;		/* physical, units */
	u64 len;
	u64 uid;		/* who, for the back-reference; 0 = unknown */
	u64 vbegin;		/* where uid has it, units */
	s32 delta;
};

struct pdata_count_log {
	struct pdata_count_change *entry;
	size_t nr;
	size_t max;
};

void pdata_count_log_init(struct pdata_count_log *log);
void pdata_count_log_exit(struct pdata_count_log *log);

/* Room for @nr more entries, so that as many appends cannot fail. May sleep. */
int __must_check pdata_count_log_reserve(struct pdata_count_log *log, size_t nr);
/*
 * Add a change; uses room reserved before (-ENOMEM if there is none).
 * -PDATA_E_OUT_OF_RANGE if it reaches past PDATA_MAX_UNITS.
 */
int __must_check pdata_count_log_add(struct pdata_count_log *log, u64 begin, u64 len,
				     s32 delta, u64 uid, u64 vbegin);

/**
 * pdata_count_log_net - sort and sum
 * @log: emptied on success, room reserved goes with it; else it says the same
 * @net: result: sorted, disjoint segments of at most PDATA_REC_MAX_LEN units;
 *	one whose sum is 0 is kept (delta 0): its count may be 0 and then it is
 *	free now. Only segments with a positive sum carry a back-reference, that
 *	of an increment. NULL if there is none. kvfree() it.
 * @nr: length of @net
 *
 * O(n log n). May sleep.
 *
 * Return: 0, -ENOMEM, or -PDATA_E_COUNT if a sum does not fit.
 */
int __must_check pdata_count_log_net(struct pdata_count_log *log,
				     struct pdata_count_change **net, size_t *nr);

/* Make what is left of @net, from @done on, the content of the empty log. Owns @net then. */
void pdata_count_log_restore(struct pdata_count_log *log, struct pdata_count_change *net,
			     size_t done, size_t nr);

#endif
