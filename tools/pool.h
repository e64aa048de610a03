/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A pool's metadata as text formats see it: what dump writes and restore reads.
 *
 * The model is that of thin-provisioning-tools' XML, in which v2's 4 KiB units
 * are blocks of eight sectors; ranges that v1 does not know have a kind.
 */
#ifndef THIN2_TOOLS_POOL_H
#define THIN2_TOOLS_POOL_H

#include <stdio.h>

#include "pdata-range-codec.h"

struct pool_super {
	char uuid[40];
	u64 time;
	u64 transaction;
	u32 flags;		/* v1's: bit 0 = needs_check */
	u32 data_block_size;	/* sectors */
	u64 nr_data_blocks;
	u64 generation;		/* v2's; 0 = unknown */
};

struct pool_device {
	u64 dev_id;
	u64 mapped_blocks;
	u64 transaction;
	u64 creation_time;
	u64 snap_time;
	u64 uid;		/* v2's; 0 = unknown */
	u64 origin_uid;
};

/* MAPPED, ZERO or DAMAGED; value is the data block, tag the time. */
#define pool_map pdata_range

struct pool_writer;

struct pool_writer_ops {
	void (*super_begin)(struct pool_writer *w, const struct pool_super *sb);
	void (*super_end)(struct pool_writer *w);
	void (*device_begin)(struct pool_writer *w, const struct pool_device *d);
	void (*device_end)(struct pool_writer *w);
	void (*map)(struct pool_writer *w, const struct pool_map *m);
};

struct pool_writer {
	const struct pool_writer_ops *ops;
	FILE *f;
	void *private;
};

extern const struct pool_writer_ops xml_writer;		/* xml.c */
extern const struct pool_writer_ops human_writer;	/* dump_formats.c */
extern const struct pool_writer_ops json_writer;

#endif
