/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Named fault points.
 *
 * A fault point is a place where a test may make the core fail or stop. They
 * are named once, here. pdata_fault(POINT) is true if the point fires; it
 * costs one read of a zero word when nothing is armed.
 */
#ifndef PDATA_FAULT_H
#define PDATA_FAULT_H

#include "pdata-platform.h"

#define PDATA_FAULTS(X) \
	X(META_ALLOC)		/* a metadata block cannot be allocated */ \
	X(MEMORY)		/* memory for a dirty block cannot be had */ \
	X(JOURNAL_WRITE)	/* writing a journal batch fails */ \
	X(COMMIT_WRITE)		/* writing dirty blocks fails */ \
	X(COMMIT_SUPER)		/* writing the superblock fails */ \
	X(BLOCK_CORRUPT)	/* a block is damaged in memory before it has a crc */ \
	X(SEAL_CORRUPT)		/* ... and afterwards, before its check */ \
	X(MERGE_STEP)		/* a merge step fails before it changes anything */

enum pdata_fault_point {
#define X(name) PDATA_FAULT_##name,
	PDATA_FAULTS(X)
#undef X
	PDATA_FAULT_NR
};

/* Bit n set: point n fires when its countdown reaches zero. */
extern unsigned long pdata_fault_armed;

bool pdata_fault_fires(enum pdata_fault_point point);

static inline bool pdata_fault_hit(enum pdata_fault_point point)
{
	return unlikely(READ_ONCE(pdata_fault_armed)) && pdata_fault_fires(point);
}

#define pdata_fault(name) pdata_fault_hit(PDATA_FAULT_##name)

/**
 * pdata_fault_arm - let a point fire
 * @point: which
 * @after: how many passes go well before it fires once
 */
void pdata_fault_arm(enum pdata_fault_point point, unsigned int after);
void pdata_fault_disarm_all(void);

#endif
