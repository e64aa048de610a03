/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where tools read thins and their mappings from: a pool that nobody uses, whose
 * journal is replayed in memory, or what a pool in use holds for them.
 */
#ifndef THIN2_TOOLS_SOURCE_H
#define THIN2_TOOLS_SOURCE_H

#include "common.h"
#include "dm-thin2-metadata.h"
#include "md.h"
#include "walk.h"

#define SOURCE_MAX_HELD	3	/* a checkpoint and two roots */

typedef int (*source_range_fn)(void *context, const struct pdata_range *r);

struct source {
	const char *path;
	struct pdata_io *io;
	struct pdata_io *trees;		/* what trees are read from */
	struct pdata_io *overlay;	/* that, if not @io itself */
	struct pdata_super sb;
	struct tool_md pool;		/* a whole one, opened by the core */
	struct pdata_hold held[SOURCE_MAX_HELD];	/* what is used of what is held */
	unsigned int nr_held;
	bool exact;			/* mapped_units counts all there is */
	struct thin2_details *thin;
	size_t nr_thins;
	size_t max_thins;
};

/* All return 0 or an error that has been reported. */

/* Open @s->path: to read a pool nobody uses, or, if @live, what one holds. */
int source_open_device(struct source *s, bool live);
/* A whole pool; source_walk() lays what the journal has over the trees. */
int source_open_pool(struct source *s);
/* The same, but if there is something to replay it is merged, in memory. */
int source_open_trees(struct source *s);
/* A held checkpoint; @block 0 = any. */
int source_open_snapshot(struct source *s, u64 block);
/* One more thin: a held root; with @dev_id not NULL that thin's. */
int source_open_root(struct source *s, u64 block, const u32 *dev_id);
/* After reading a live device: was it held to the end? */
int source_still_held(struct source *s);
void source_close(struct source *s);

/* NULL, reported, if there is none. */
const struct thin2_details *source_find(const struct source *s, u32 id);

int source_walk(struct source *s, const struct thin2_details *d, source_range_fn fn,
		void *context);

/* For walks through trees as they lie on s->trees. What cannot be read is reported. */
struct source_walk {
	struct walk w;		/* first; callbacks but bad() are the caller's */
	struct source *s;
	source_range_fn fn;
	void *context;
};

/* @owner 0: any thin's tree. */
void source_walk_init(struct source_walk *h, struct source *s, u64 owner);

#endif
