/* SPDX-License-Identifier: GPL-2.0-only */
/* Sorting of long arrays, which the heap sort of lib/sort.c walks all over. */
#ifndef PDATA_SORT_H
#define PDATA_SORT_H

#include "pdata-platform.h"

/**
 * pdata_sort - sort entries by the u64 that each begins with
 * @base: array, aligned for a u64
 * @nr: entries
 * @size: of an entry, bytes, a multiple of 8
 * @bits: keys are below 2^@bits
 * @cmp: the same order, as for sort(); where keys are equal it has to agree
 *	with the order in which the entries came, and decides without memory
 *
 * Stable. By radix, if there is memory for another array; an array that is in
 * order already costs one walk. May sleep.
 */
void pdata_sort(void *base, size_t nr, size_t size, unsigned int bits,
		int (*cmp)(const void *a, const void *b));

#endif
