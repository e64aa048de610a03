/* SPDX-License-Identifier: GPL-2.0-only */
/* thin2_stat: figures of live pools, where they come from and how they are shown. */
#ifndef THIN2_TOOLS_POOLSTAT_H
#define THIN2_TOOLS_POOLSTAT_H

#include "common.h"

enum figure_kind {
	FIGURE_GAUGE,		/* what there is now */
	FIGURE_COUNTER,		/* since the pool was activated: only grows */
};

/* A figure of the pool's "stats" message. */
struct figure {
	const char *key;
	enum figure_kind kind;
	const char *metric;	/* Prometheus' name behind "thin2_", with its unit */
	unsigned int scale;	/* to that unit */
	const char *help;
};

enum figure_id {
	FIG_META_USED,
	FIG_META,
	FIG_DATA_USED,
	FIG_DATA,
	FIG_QUARANTINED,
	FIG_UNMERGED,
	FIG_UNMERGED_MAX,
	FIG_MERGED,
	FIG_RECORDS,
	FIG_JOURNAL_FILL,
	FIG_CHECKPOINTS,
	FIG_JOURNAL_FLUSHES,
	FIG_DELETING,
	FIG_CACHED_BYTES,
	FIG_CACHE_FILLS,
	FIG_CACHE_EVICTED,
	FIG_IN_FLIGHT,
	FIG_DEFERRED,
	FIG_PROVISIONED,
	FIG_UNSHARED,
	FIG_COPIED,
	FIG_DISCARDS,
	FIG_COMMITS,
	NR_FIGURES
};

extern const struct figure figures[NR_FIGURES];

#define LATENCY_BINS	12
/* Upper bounds of all bins but the last, ns. */
extern const u64 latency_bounds[LATENCY_BINS - 1];

/* What dm-stats says of a thin since it was asked to count. */
struct thin_sample {
	char *name;
	u64 reads;
	u64 read_sectors;
	u64 read_ns;
	u64 writes;
	u64 write_sectors;
	u64 write_ns;
	u64 bins[LATENCY_BINS];
};

struct pool_sample {
	char *name;
	char *status;		/* the target's status line */
	u64 transaction;
	char mode[24];		/* rw, ro, out_of_data_space, Fail, Error */
	bool needs_check;
	u64 low_meta;		/* metadata low water mark, blocks */
	bool has[NR_FIGURES];
	u64 v[NR_FIGURES];
	struct thin_sample *thins;
	unsigned int nr_thins;
};

struct sample {
	double at;		/* seconds, of any clock */
	struct pool_sample *pools;
	unsigned int nr_pools;
};

/* ---- stat_parse.c ---- */

struct pool_sample *sample_add_pool(struct sample *s, const char *name);
struct thin_sample *pool_add_thin(struct pool_sample *p, const char *name);
/* The line of "dmsetup status", without start, length and target. */
bool pool_parse_status(struct pool_sample *p, const char *line);
/* One line of the "stats" message; keys that are not known are left alone. */
bool pool_parse_figure(struct pool_sample *p, const char *line);
/* What the message @stats_print answers for one area. */
bool thin_parse_stats(struct thin_sample *t, const char *line);
void sample_free(struct sample *s);

/*
 * sample_read - the next sample that --raw has written
 *
 * Return: 1; 0 at the end of the file; or a negated errno, reported.
 */
int sample_read(FILE *f, struct sample *s);

/* ---- stat_dm.c ---- */

struct live;

/* @names: of pools, all if there are none. NULL, reported, if one of them is not there. */
struct live *live_open(char **names, unsigned int nr, bool latency);
/* Ends the counting of latencies, too. */
void live_close(struct live *live);
/* @raw: written to as it is read, if not NULL. */
int live_sample(struct live *live, struct sample *s, FILE *raw);

/* ---- stat_print.c ---- */

/* @old: the sample before, for rates; NULL for totals. */
void print_table(const struct sample *old, const struct sample *s);
void print_json(const struct sample *old, const struct sample *s);
void print_prometheus(const struct sample *s);

#endif
