// SPDX-License-Identifier: GPL-2.0-only
/* A FLUSH in both of the ways the kernel has: by a worker, or from map(). */
#include "pool-sim.h"

#define TRY_BLOCKS	8

/*
 * map() may do it if the data device has no cache, so that what has ended is
 * durable; here its cache is emptied first, as nothing ends in between.
 */
static int flush_from_map(struct pool_sim *ps)
{
	struct pdata_journal_batch batch;
	struct thin2_md *md = ps->md;
	unsigned int nr;
	int r;

	r = pdata_io_flush(&ps->data->io);
	if (r)
		return r;
	r = thin2_flush_try(md, TRY_BLOCKS, &batch);
	if (r)
		return thin2_flush(md);
	nr = batch.end_seq - batch.first_seq;
	if (nr)
		r = pdata_io_write(md->io, md->journal.vec, nr, true);
	thin2_flush_end(md, &batch, r);
	return r;
}

int ps_flush(struct pool_sim *ps, bool from_map)
{
	return from_map ? flush_from_map(ps) : thin2_flush(ps->md);
}
