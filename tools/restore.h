/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside thin2_restore.
 *
 * The XML is read twice. The first time (restore_survey.c) it is checked, before
 * anything is written, and three things are learnt that a stream cannot know:
 * which thin has most in common with each, whether the births can be relied on,
 * and ids that nobody uses. The second time (restore_build.c) the pool is made.
 */
#ifndef THIN2_TOOLS_RESTORE_H
#define THIN2_TOOLS_RESTORE_H

#include "block_table.h"
#include "dm-thin2-metadata.h"
#include "xml_read.h"

#define NO_BASE		(~0u)

/* ---- restore_claims.c ---- */

struct claims;

/*
 * Who says that units of data are his alone? A range born at or after its thin's
 * last snapshot does, and will be overwritten in place.
 */
struct claims *claims_new(u64 units);
void claims_free(struct claims *c);
/* Another mapping of these units. False if it and an earlier one cannot both be right. */
bool claims_add(struct claims *c, u64 begin, u64 len, bool exclusive);

/* ---- restore_similar.c ---- */

/*
 * Of a sample of mappings, chosen by their hash, the last thin that had them: the
 * one that most of a thin's sample are found with is the one to begin with.
 */
struct similar;

struct similar *similar_new(void);
void similar_free(struct similar *s);
/* The thin of index @who has something of that hash, which stands for @weight mappings. */
void similar_add(struct similar *s, u32 who, u64 hash, u64 weight);
/* All of @who has been added: who has half of it or more? */
u32 similar_base(struct similar *s, u32 who);
u64 similar_hash(u64 a, u64 b);

/* ---- restore_survey.c ---- */

/* Options that stand for what the XML says. */
struct restore_override {
	bool transaction_set;
	bool block_size_set;
	bool nr_blocks_set;
	u64 transaction;
	u64 block_size;
	u64 nr_blocks;
};

struct restore_device {
	u32 id;
	u32 base;		/* index of an earlier one, or NO_BASE */
};

struct restore_def {
	char *name;
	u64 begin;		/* units */
	u64 end;
	u64 nr;			/* mappings */
	u32 birth;		/* the latest */
	u32 nr_refs;
	struct thin2_details d;	/* once it is built */
};

/* What both runs know of the XML; its reader's context is each one's own. */
struct restore_xml {
	struct xml_reader x;
	struct restore_override override;
	struct pool_super sb;	/* overrides applied */
	u64 scale;		/* units in a block */
	u64 data_units;
	struct restore_device *device;
	u32 nr_devices;
	u32 max_devices;
	struct restore_def *def;
	u32 nr_defs;
	u32 max_defs;
	struct block_table ids;	/* of thins */
	struct block_table names;	/* of defs, by hash: index + 1 of the last */
	u64 pos;		/* units; end of the last range of this device or def */
	u32 max_time;		/* latest birth or snapshot */
	bool births_lie;
};

/* All return 0 or what xml_fail() does. */
int restore_super(struct restore_xml *s, const struct pool_super *sb);
/* @m in units; in order, and within the devices. */
int restore_range(struct restore_xml *s, const struct pool_map *m, struct pdata_range *r);
/* The def that a ref means, in order. */
int restore_ref(struct restore_xml *s, const char *name, struct restore_def **def);

/* Check all of it; fill in @s. Returns 0, or -1 with the reason reported. */
int restore_survey(struct restore_xml *s);
void restore_xml_exit(struct restore_xml *s);

/* ---- restore_build.c ---- */

/* Make the pool on @io. 0, or -1 with the reason reported. */
int restore_build(struct restore_xml *s, struct pdata_io *io);

#endif
