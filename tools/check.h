/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside thin2_check.
 *
 * A run collects what the trees say (thins, nodes with their references, data
 * ranges) and then compares that with what the space maps say. Memory grows
 * with nodes and ranges, never with units.
 */
#ifndef THIN2_TOOLS_CHECK_H
#define THIN2_TOOLS_CHECK_H

#include "common.h"
#include "dm-thin2-metadata.h"
#include "extents.h"
#include "pdata-layout.h"
#include "walk.h"

/* ---- findings ---- */

enum severity {
	SEV_NOTE,	/* worth knowing, nothing is wrong */
	SEV_LEAK,	/* wrong, but no data is at risk: a "non-fatal" error */
	SEV_FATAL,
	SEV_NR
};

struct finding {
	enum severity severity;
	const char *type;	/* of structure: "range leaf", "superblock", ... */
	const char *what;	/* field or rule */
	u64 block;		/* metadata block, NO_BLOCK = none */
	u64 nr_blocks;		/* if more than one in a row */
	u64 uid;		/* tree it was met in, 0 = none */
	u32 id;			/* thin, if @has_id */
	bool has_id;
	const char *unit;	/* "units" or "data units" if there is a range */
	u64 begin;
	u64 end;
	bool has_values;
	u64 expected;
	u64 found;
	const char *text;	/* in words, or NULL */
};

#define NO_BLOCK	(~0ull)
#define FINDING(sev, t, w) \
	{ .severity = (sev), .type = (t), .what = (w), .block = NO_BLOCK }

/* ---- what has been seen ---- */

enum node_kind {
	NODE_DETAILS,
	NODE_DETAILS_COPY,
	NODE_DELETING,
	NODE_DATA_SM,
	NODE_MAPPING,
};

struct node {
	u64 block;
	u64 lo;
	u64 hi;
	u64 mapped;		/* units below it */
	u64 leaf_sum;		/* of the marks of leaves below it */
	u32 refs;		/* pointers to it that were met */
	u16 tag;		/* that the first of them had */
	s8 level;		/* WALK_ROOT until it is read */
	u8 kind;
	bool used;		/* this slot of the table is taken */
	bool partial;		/* something below cannot be read */
};

struct thin {
	u64 key;		/* in its tree */
	u64 block;		/* where its entry is */
	struct thin2_details d;
	bool deleting;
	bool held;		/* known through a held checkpoint only */
	bool has_children;	/* it is somebody's origin */
	bool partial;
	u64 mapped;		/* counted */
	u64 leaf_sum;		/* computed */
};

/* Keys of a btree, both ends included. */
struct key_range {
	u64 first;
	u64 last;
};

struct key_ranges {
	struct key_range *v;
	size_t nr;
	size_t max;
};

void key_ranges_add(struct key_ranges *k, u64 first, u64 last);

/* Counted too high. */
struct excess {
	bool blocks;		/* else units of data */
	u64 begin;
	u64 end;
	u64 nr;
};

struct check {
	/* Options. */
	const char *path;
	bool auto_repair;
	bool clear_needs_check;
	bool ignore_non_fatal;
	bool metadata_snap;
	bool super_only;
	bool skip_mappings;
	bool quiet;
	bool json;

	struct pdata_io *io;
	struct pdata_super sb;
	struct json out;
	u64 nr_found[SEV_NR];
	u64 nr_shown;
	u64 nr_mends;		/* findings that --auto-repair can mend */
	struct excess *excess;
	size_t nr_excess;
	size_t max_excess;
	bool mended;
	bool stop_showing;

	struct node *node;	/* hash table */
	u64 nr_nodes;
	u64 max_nodes;
	bool incomplete;	/* nodes could not be read: counts are lower bounds */

	struct thin *thin;
	size_t nr_thins;	/* tombstones and those being deleted are among them */
	size_t max_thins;
	size_t nr_tombstones;
	bool details_lost;	/* some are in neither tree */

	struct u64s begins;	/* of data ranges in distinct leaves */
	struct u64s ends;

	u64 data_used;		/* units with a count > 0 in the space map */
	u64 data_unknown;	/* units whose count is lost */
	u64 sm_leaves;
	u64 meta_used;
	u64 newer_slots;	/* count slots newer than the superblock */
	u64 journal_blocks;	/* to replay */
	u64 journal_records;
	u64 journal_last;	/* sequence of the last record */
};

/* ---- check_mend.c ---- */

/* A finding that --auto-repair can mend: [begin, end) is counted too high by @excess. */
void check_mend_add(struct check *c, bool blocks, u64 begin, u64 end, u64 excess);
/* Is that all there is? */
bool check_can_mend(const struct check *c);
int check_mend(struct check *c);

/* ---- check_report.c ---- */

void report(struct check *c, const struct finding *f);
bool has_errors(const struct check *c);

/* ---- check_super.c ---- */

/* Fills in c->sb. Returns false if there is nothing to go on with. */
bool check_superblocks(struct check *c);
/* Counts of one group as committed; NULL = lost. For counts of the metadata space map. */
bool check_counts_slots(struct check *c, u64 group, struct pdata_counts *counts);

/* ---- check_journal.c ---- */

void check_journal(struct check *c);

/* ---- check_replay.c ---- */

void check_replay(struct check *c);

/* ---- check_trees.c ---- */

/* A walk through one tree. */
struct tree {
	struct walk w;		/* first */
	struct check *c;
	enum node_kind kind;
	u64 uid;		/* of the thin, 0 for others */
	u32 id;
	bool held;
	struct key_ranges *lost;	/* details: collects what cannot be read */
	/* What is below the node at each depth of the walk. */
	unsigned int depth;
	struct {
		u64 mapped;
		u64 leaf_sum;
		bool part;
	} below[WALK_MAX_LEVEL + 2];
};

void tree_init(struct tree *t, struct check *c, enum node_kind kind, u64 owner);
struct finding tree_finding(const struct tree *t, const struct walk_at *at,
			    enum severity severity, const char *what);
struct node *node_find(const struct check *c, u64 block);
int check_trees(struct check *c);
int check_snapshot(struct check *c);	/* the held checkpoint alone */

/* ---- check_details.c ---- */

int check_details(struct check *c);	/* all trees of details: fills in c->thin */
int check_held_details(struct check *c, u64 root);	/* of a held checkpoint alone */

/* ---- check_counts.c ---- */

int check_data_counts(struct check *c);
int check_meta_counts(struct check *c);

/* ---- check_all.c ---- */

/* All there is to check, after check_superblocks(). */
int check_all(struct check *c);
/* What check collected. */
void check_exit(struct check *c);

#endif
