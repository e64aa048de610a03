// SPDX-License-Identifier: GPL-2.0-only
/* Begins and ends of ranges, each sorted by itself: no more is needed to count. */
#include "extents.h"

int u64s_add(struct u64s *a, u64 v)
{
	if (a->nr == a->max) {
		a->max = a->max ? 2 * a->max : 1024;
		a->v = tool_realloc(a->v, a->max * sizeof(*a->v));
	}
	a->v[a->nr++] = v;
	return 0;
}

#define DIGIT_BITS	11
#define DIGITS		BIT(DIGIT_BITS)

/* One digit of a radix sort; false if all have the same, then nothing is done. */
static bool sort_digit(const u64 *from, u64 *to, size_t nr, unsigned int shift)
{
	size_t count[DIGITS] = { 0 }, sum = 0, n;
	unsigned int d;
	size_t i;

	for (i = 0; i < nr; i++)
		count[(from[i] >> shift) & (DIGITS - 1)]++;
	if (count[(from[0] >> shift) & (DIGITS - 1)] == nr)
		return false;
	for (d = 0; d < DIGITS; d++) {
		n = count[d];
		count[d] = sum;
		sum += n;
	}
	for (i = 0; i < nr; i++)
		to[count[(from[i] >> shift) & (DIGITS - 1)]++] = from[i];
	return true;
}

/* There are as many as the pool has ranges: comparing them took half of a check's time. */
void u64s_sort(struct u64s *a)
{
	unsigned int shift;
	u64 *other;

	if (a->nr < 2)
		return;
	other = tool_alloc(a->nr * sizeof(*other));
	for (shift = 0; shift < 64; shift += DIGIT_BITS)
		if (sort_digit(a->v, other, a->nr, shift)) {
			swap(a->v, other);
			a->max = a->nr;
		}
	free(other);
}

void sweep_next(struct sweep *s)
{
	const u64 none = ~0ull;
	u64 pos = s->end, next;

	do {
		while (s->b < s->begins->nr && s->begins->v[s->b] <= pos) {
			s->b++;
			s->count++;
		}
		while (s->e < s->ends->nr && s->ends->v[s->e] <= pos) {
			s->e++;
			s->count--;
		}
		next = s->b < s->begins->nr ? s->begins->v[s->b] : none;
		if (s->e < s->ends->nr)
			next = min(next, (u64)s->ends->v[s->e]);
		s->begin = pos;
		s->end = next == none ? pos : next;
		pos = next;
	} while (!s->count && s->end > s->begin);
}
