/* SPDX-License-Identifier: GPL-2.0-only */
/* Inside thin2_dump: where thins and their ranges come from. */
#ifndef THIN2_TOOLS_DUMP_H
#define THIN2_TOOLS_DUMP_H

#include "common.h"
#include "dm-thin2-metadata.h"

typedef int (*source_range_fn)(void *context, const struct pdata_range *r);

struct source {
	const char *path;
	struct pdata_io *io;
	struct pdata_super sb;
	struct thin2_md *md;		/* a whole pool; NULL for what is held */
	const struct pdata_hold *hold;	/* what is held, in @sb */
	bool exact;			/* mapped_units counts all there is */
	struct thin2_details *thin;
	size_t nr_thins;
	size_t max_thins;
};

/* All return 0 or an error that has been reported. */
int source_open_pool(struct source *s);
/* A held checkpoint; @block 0 = any. */
int source_open_snapshot(struct source *s, u64 block);
/* A held root; with @dev_id not NULL that thin's. */
int source_open_root(struct source *s, u64 block, const u32 *dev_id);
int source_walk(struct source *s, const struct thin2_details *d, source_range_fn fn,
	      void *context);
/* After reading a live device: was it held to the end? */
int source_still_held(struct source *s);
void source_close(struct source *s);

#endif
