/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Data space map: a range tree of physical extents in use, with count and one
 * back-reference each. Free space is what it does not mention.
 */
#ifndef PDATA_SPACE_MAP_DATA_H
#define PDATA_SPACE_MAP_DATA_H

#include "pdata-count-log.h"
#include "pdata-range-tree.h"

/*
 * Count of units whose record was lost to damage: in use until repair, never
 * counted up or down. Such units do not change `used`.
 */
#define PDATA_SM_COUNT_UNKNOWN	0xffffffffu

struct pdata_sm_data {
	struct pdata_rt rt;	/* owner PDATA_OWNER_DATA_SM, key_end PDATA_MAX_UNITS */
	u64 used;		/* units with a count > 0 */
	u64 leaves;
	u64 nr_units;		/* size of the data device; raised by who grows it */
	struct pdata_count_log log;	/* of the transaction being built */

	/*
	 * A segment was touched and its count is 0 now. Called in ascending
	 * order. A failure fails the transaction. May be NULL (tools).
	 */
	int (*freed)(void *context, u64 begin, u64 len);
	void *context;
};

int __must_check pdata_sm_data_init(struct pdata_sm_data *sm, struct pdata_tm *tm,
				    const struct pdata_super *sb);
void pdata_sm_data_exit(struct pdata_sm_data *sm);

/**
 * pdata_sm_data_apply - work the count log into the tree
 * @sm: space map; freed() is called for each segment whose count is 0 now,
 *	whatever it was before
 *
 * Called at the end of each transaction, and by it alone. Sleeps.
 *
 * Return: 0; -PDATA_E_COUNT if a count would go below 0 or above 2^32 - 2; or
 * another error. Unless it has set tm->failed, as -ENOMEM and
 * -PDATA_E_META_NOSPC need not, the log holds what was not applied yet and the
 * call may be repeated.
 */
int __must_check pdata_sm_data_apply(struct pdata_sm_data *sm);

/**
 * pdata_sm_data_get - count of the extent at a unit
 * @sm: space map
 * @v: version; @root is of that version
 * @unit: physical
 * @count: result, 0 if free
 * @end: one past the last unit of which the same is known (with a read error:
 *	that cannot be read)
 */
int __must_check pdata_sm_data_get(const struct pdata_sm_data *sm, const struct pdata_view *v,
				   u64 root, u64 unit, u32 *count, u64 *end);

/*
 * Most blocks that applying @nr net segments can allocate (capped by the tree's
 * size). A segment that reaches over the borders of k leaves counts k + 1 times.
 */
u64 pdata_sm_data_apply_blocks(const struct pdata_sm_data *sm, size_t nr);

#endif
