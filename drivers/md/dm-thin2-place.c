// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where new data goes.
 *
 * A write of a chunk or more takes what the thin's stream has next, so what is
 * written in sequence lies in sequence. A smaller one looks at what lies beside
 * it in its chunk: its own place is the same distance away. The first write to a
 * chunk gets one of which the rest is free. So a region that is filled in any
 * order ends as one range a chunk.
 *
 * The range map is all the memory this needs. The rest of a chunk is not held:
 * see pdata-alloc.h.
 */
#include "dm-thin2-internal.h"

/*
 * A neighbour that shows where the chunk's new data are. What an unshared write
 * leaves behind stays in use, and so, mostly, does what was shared with it.
 */
static bool shows_place(struct thin2_dev *th, u64 value, bool unshare)
{
	switch (pdata_rm_state(value)) {
	case PDATA_RM_PENDING:
		return true;
	case PDATA_RM_HOLE:
	case PDATA_RM_ZERO:
	case PDATA_RM_DAMAGED:
		return false;
	default:
		return !unshare || pdata_rm_state(value) == PDATA_RM_EXCL0 + th->epoch;
	}
}

/* Beside the neighbour at @beside, which is in the same chunk. *tried: there is one. */
static u64 place_beside(struct thin2_dev *th, u64 unit, u64 want, u64 beside, bool unshare,
			u64 *phys, bool *tried)
{
	u64 begin, end, value;

	if (!pdata_rm_entry(th->rm, beside, &begin, &end, &value) ||
	    !shows_place(th, value, unshare))
		return 0;
	*tried = true;
	*phys = pdata_rm_phys(value, unit);
	return pdata_alloc_get_at(&th->md->alloc, *phys, want);
}

static u64 place_in_chunk(struct thin2_dev *th, u64 unit, u64 want,
			  const struct thin2_entry *e, u32 chunk, u64 *phys)
{
	const bool unshare = pdata_rm_is_mapped(e->value);
	const u32 offset = unit % chunk;
	bool tried = false;
	u64 len = 0;

	if (e->begin > unit - offset)
		len = place_beside(th, unit, want, e->begin - 1, unshare, phys, &tried);
	if (!len && e->end < unit - offset + chunk)
		len = place_beside(th, unit, want, e->end, unshare, phys, &tried);
	if (!len && !tried)
		len = pdata_alloc_get_chunk(&th->md->alloc, &th->stream, chunk, offset, want,
					    phys);
	return len;
}

int thin2_place(struct thin2_dev *th, u64 unit, u64 want, const struct thin2_entry *e,
		u64 *phys, u64 *len)
{
	const u32 chunk = READ_ONCE(th->md->chunk_units);

	lockdep_assert_held(&th->lock);
	if (want < chunk) {
		*len = place_in_chunk(th, unit, want, e, chunk, phys);
		if (*len)
			return 0;
	}
	return pdata_alloc_get(&th->md->alloc, &th->stream, want, phys, len);
}

void thin2_set_placement(struct thin2_md *md, u64 chunk_units, u64 erase_units)
{
	const u64 run = erase_units ? erase_units : PDATA_RUN_UNITS;

	pdata_alloc_set_run(&md->alloc, run);
	WRITE_ONCE(md->chunk_units, min_t(u64, chunk_units, md->alloc.run_units));
}
