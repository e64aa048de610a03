/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A metadata device of which some blocks are kept in memory.
 *
 * OVERLAY_ALL: whatever is written. So a pool that was not closed can be opened,
 * replayed and merged by the core without changing the device.
 *
 * OVERLAY_SUPER: superblocks only, zeroes to begin with. So the core can build a
 * pool on the device of which nothing is to be seen there before it is whole.
 */
#ifndef THIN2_TOOLS_OVERLAY_IO_H
#define THIN2_TOOLS_OVERLAY_IO_H

#include "pdata-io.h"

enum overlay_mode {
	OVERLAY_ALL,
	OVERLAY_SUPER,
};

/* @base outlives it; @nr_blocks, with OVERLAY_ALL, may be more than @base has. */
struct pdata_io *overlay_io_new(struct pdata_io *base, u64 nr_blocks, enum overlay_mode mode);
void overlay_io_free(struct pdata_io *io);

/**
 * overlay_io_begin - make @base a device that nobody takes for a pool
 * @base: the device
 * @what: says who is at work, for those who look
 *
 * The first block is neither zero, which would be formatted, nor a superblock.
 */
int __must_check overlay_io_begin(struct pdata_io *base, const char *what);

/* OVERLAY_SUPER: make all durable, write the superblocks, A last. */
int __must_check overlay_io_finish(struct pdata_io *io);

#endif
