/* SPDX-License-Identifier: GPL-2.0-only */
/* Inside thin2_dump: where thins and their ranges come from. */
#ifndef THIN2_TOOLS_DUMP_H
#define THIN2_TOOLS_DUMP_H

#include "common.h"
#include "dm-thin2-metadata.h"

typedef int (*dump_range_fn)(void *context, const struct pdata_range *r);

struct dump_source {
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
int dump_open_pool(struct dump_source *s);
/* A held checkpoint; @block 0 = any. */
int dump_open_snapshot(struct dump_source *s, u64 block);
/* A held root; with @dev_id not NULL that thin's. */
int dump_open_root(struct dump_source *s, u64 block, const u32 *dev_id);
int dump_walk(struct dump_source *s, const struct thin2_details *d, dump_range_fn fn,
	      void *context);
/* After reading a live device: was it held to the end? */
int dump_still_held(struct dump_source *s);
void dump_close(struct dump_source *s);

#endif
