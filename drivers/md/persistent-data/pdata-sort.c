// SPDX-License-Identifier: GPL-2.0-only
/* Radix sort, least digit first. */
#include "pdata-sort.h"

/* Shorter arrays are sorted in place. */
#define RADIX_MIN	256u
#define RADIX_BITS	11
#define RADIX_DIGITS	BIT(RADIX_BITS)
#define RADIX_BREAK	8192	/* entries moved before others may run */

static u64 entry_key(const void *entry)
{
	return *(const u64 *)entry;
}

/* Order @nr entries by one digit of their key. False if all have the same: nothing is done. */
static bool radix_pass(const u8 *from, u8 *to, size_t nr, size_t size, unsigned int shift,
		       size_t *place)
{
	size_t i, n, sum = 0;
	unsigned int d;

	memset(place, 0, RADIX_DIGITS * sizeof(*place));
	for (i = 0; i < nr; i++)
		place[(entry_key(from + i * size) >> shift) % RADIX_DIGITS]++;
	if (place[(entry_key(from) >> shift) % RADIX_DIGITS] == nr)
		return false;
	for (d = 0; d < RADIX_DIGITS; d++) {
		n = place[d];
		place[d] = sum;
		sum += n;
	}
	for (i = 0; i < nr; i++) {
		d = (entry_key(from + i * size) >> shift) % RADIX_DIGITS;
		memcpy(to + place[d]++ * size, from + i * size, size);
		if (!(i % RADIX_BREAK))
			cond_resched();
	}
	return true;
}

/* False without memory: nothing is done. */
static bool radix_sort(void *base, size_t nr, size_t size, unsigned int bits)
{
	size_t *place = kvmalloc_array(RADIX_DIGITS, sizeof(*place), GFP_NOIO | __GFP_NOWARN);
	u8 *other = kvmalloc_array(nr, size, GFP_NOIO | __GFP_NOWARN);
	u8 *from = base, *to = other;
	unsigned int shift;

	for (shift = 0; place && other && shift < bits; shift += RADIX_BITS)
		if (radix_pass(from, to, nr, size, shift, place)) {
			swap(from, to);
			cond_resched();
		}
	if (place && other && from != base)
		memcpy(base, other, nr * size);
	kvfree(other);
	kvfree(place);
	return place && other;
}

void pdata_sort(void *base, size_t nr, size_t size, unsigned int bits,
		int (*cmp)(const void *a, const void *b))
{
	const u8 *p = base;
	size_t i;

	for (i = 1; i < nr; i++, p += size)
		if (cmp(p, p + size) > 0)
			break;
	if (i < nr && (nr < RADIX_MIN || !radix_sort(base, nr, size, bits)))
		sort(base, nr, size, cmp, NULL);
}
