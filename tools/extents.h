/* SPDX-License-Identifier: GPL-2.0-only */
/* Ranges of units, in any order and number: how many cover each? */
#ifndef THIN2_TOOLS_EXTENTS_H
#define THIN2_TOOLS_EXTENTS_H

#include "common.h"

/* Growing array of u64. */
struct u64s {
	u64 *v;
	size_t nr;
	size_t max;
};

int u64s_add(struct u64s *a, u64 v);
void u64s_sort(struct u64s *a);

/* Segments of equal count, from begins and ends of ranges, each sorted. */
struct sweep {
	const struct u64s *begins;
	const struct u64s *ends;
	size_t b;
	size_t e;
	u64 count;
	u64 begin;		/* current segment; begin == end: no more */
	u64 end;
};

/* The first one, or the one behind. Those that nothing covers are left out. */
void sweep_next(struct sweep *s);

#endif
