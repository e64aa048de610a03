// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_restore: whose is the data?
 *
 * In the XML of a pool in order, what is mapped twice was born before the last
 * snapshots of both thins. XML made or mended by hand need not be like that, and
 * a thin that took shared data for its own would write over the other's.
 *
 * Two bits for each unit, in chunks that need memory only if they are of several
 * minds.
 */
#include "restore.h"

#define CHUNK_UNITS	32768u
#define CHUNK_WORDS	(CHUNK_UNITS / 64)

struct chunk {
	u64 *some;		/* CHUNK_WORDS mapped by somebody, as many claimed; or NULL */
	bool all;		/* all are mapped, once or more */
	bool claimed;		/* ... by one who claims them */
};

struct claims {
	u64 nr;
	struct chunk chunk[];
};

struct claims *claims_new(u64 units)
{
	const u64 nr = DIV_ROUND_UP_ULL(units, CHUNK_UNITS);
	struct claims *c = tool_alloc(sizeof(*c) + nr * sizeof(c->chunk[0]));

	c->nr = nr;
	return c;
}

void claims_free(struct claims *c)
{
	u64 i;

	for (i = 0; c && i < c->nr; i++)
		free(c->chunk[i].some);
	free(c);
}

static u64 word_mask(u32 word, u32 begin, u32 end)
{
	const u32 lo = word * 64;
	u64 mask = ~0ull;

	if (begin > lo)
		mask <<= begin - lo;
	if (end < lo + 64)
		mask &= ~0ull >> (lo + 64 - end);
	return mask;
}

static bool add_some(struct chunk *c, u32 begin, u32 end, bool exclusive)
{
	u64 *mapped, *claimed, mask;
	u32 word;

	if (!c->some)
		c->some = tool_alloc(2 * CHUNK_WORDS * sizeof(u64));
	mapped = c->some;
	claimed = mapped + CHUNK_WORDS;
	for (word = begin / 64; word * 64 < end; word++) {
		mask = word_mask(word, begin, end);
		if (exclusive ? mapped[word] & mask : claimed[word] & mask)
			return false;
		mapped[word] |= mask;
		if (exclusive)
			claimed[word] |= mask;
	}
	return true;
}

static bool chunk_add(struct chunk *c, u32 begin, u32 end, bool exclusive)
{
	if (c->all)
		return !exclusive && !c->claimed;
	if (c->some || begin || end < CHUNK_UNITS)
		return add_some(c, begin, end, exclusive);
	c->all = true;
	c->claimed = exclusive;
	return true;
}

bool claims_add(struct claims *c, u64 begin, u64 len, bool exclusive)
{
	const u64 end = begin + len;
	u64 stop;

	for (; begin < end; begin = stop) {
		stop = min(end, (begin / CHUNK_UNITS + 1) * CHUNK_UNITS);
		if (!chunk_add(&c->chunk[begin / CHUNK_UNITS], begin % CHUNK_UNITS,
			       stop - begin / CHUNK_UNITS * CHUNK_UNITS, exclusive))
			return false;
	}
	return true;
}
