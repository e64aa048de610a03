// SPDX-License-Identifier: GPL-2.0-only
/* What pools and dm-stats say of themselves, as figures. */
#include "poolstat.h"

#define UNIT_BYTES	4096

const struct figure figures[NR_FIGURES] = {
	[FIG_META_USED] = { "metadata_blocks_used", FIGURE_GAUGE, "metadata_used_bytes", UNIT_BYTES,
			    "Metadata in use." },
	[FIG_META] = { "metadata_blocks", FIGURE_GAUGE, "metadata_size_bytes", UNIT_BYTES,
		       "Metadata that can be used." },
	[FIG_DATA_USED] = { "data_units_used", FIGURE_GAUGE, "data_used_bytes", UNIT_BYTES,
			    "Data space in use." },
	[FIG_DATA] = { "data_units", FIGURE_GAUGE, "data_size_bytes", UNIT_BYTES,
		       "Size of the data device." },
	[FIG_QUARANTINED] = { "data_units_quarantined", FIGURE_GAUGE, "data_quarantined_bytes",
			      UNIT_BYTES, "Data space freed, not to be given again yet." },
	[FIG_UNMERGED] = { "records_unmerged", FIGURE_GAUGE, "unmerged_records", 1,
			   "Changes that are in the journal and not in the trees." },
	[FIG_UNMERGED_MAX] = { "records_unmerged_max", FIGURE_GAUGE, "unmerged_records_limit", 1,
			       "As many such changes the pool takes." },
	[FIG_MERGED] = { "records_merged", FIGURE_COUNTER, "merged_records_total", 1,
			 "Changes merged into the trees." },
	[FIG_RECORDS] = { "records", FIGURE_COUNTER, "records_total", 1,
			  "Changes written to the journal, since the pool was formatted." },
	[FIG_JOURNAL_FILL] = { "journal_fill_percent", FIGURE_GAUGE, "journal_fill_percent", 1,
			       "How full the journal is." },
	[FIG_CHECKPOINTS] = { "checkpoints", FIGURE_COUNTER, "checkpoints_total", 1,
			      "Checkpoints." },
	[FIG_JOURNAL_FLUSHES] = { "journal_flushes", FIGURE_COUNTER, "journal_flushes_total", 1,
				  "Flushes of the journal." },
	[FIG_DELETING] = { "deleting_thins", FIGURE_GAUGE, "deleting_thins", 1,
			   "Deleted thins whose space is still being freed." },
	[FIG_CACHED_BYTES] = { "cached_bytes", FIGURE_GAUGE, "range_map_bytes", 1,
			       "Memory for ranges." },
	[FIG_CACHE_FILLS] = { "cache_fills", FIGURE_COUNTER, "range_map_misses_total", 1,
			      "Leaves read because a range was not in memory." },
	[FIG_CACHE_EVICTED] = { "cache_ranges_evicted", FIGURE_COUNTER,
				"range_map_evicted_ranges_total", 1, "Ranges forgotten." },
	[FIG_IN_FLIGHT] = { "bios_in_flight", FIGURE_GAUGE, "in_flight_bios", 1,
			    "Requests under way." },
	[FIG_DEFERRED] = { "bios_deferred", FIGURE_COUNTER, "deferred_bios_total", 1,
			   "Requests given to a worker." },
	[FIG_PROVISIONED] = { "writes_provisioned", FIGURE_COUNTER, "provisioned_writes_total", 1,
			      "Writes that were given new space." },
	[FIG_UNSHARED] = { "writes_unshared", FIGURE_COUNTER, "unshared_writes_total", 1,
			   "Writes to what a snapshot shares." },
	[FIG_COPIED] = { "units_copied", FIGURE_COUNTER, "copied_bytes_total", UNIT_BYTES,
			 "Data copied because a write did not cover all of a unit." },
	[FIG_DISCARDS] = { "discards", FIGURE_COUNTER, "discards_total", 1, "Discards." },
	[FIG_COMMITS] = { "commit_bios", FIGURE_COUNTER, "commit_bios_total", 1,
			  "FLUSH and FUA requests." },
};

const u64 latency_bounds[LATENCY_BINS - 1] = {
	100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000, 20000000, 50000000,
	100000000, 1000000000,
};

struct pool_sample *sample_add_pool(struct sample *s, const char *name)
{
	struct pool_sample *p;

	s->pools = tool_realloc(s->pools, (s->nr_pools + 1) * sizeof(*s->pools));
	p = &s->pools[s->nr_pools++];
	memset(p, 0, sizeof(*p));
	p->name = tool_strdup(name);
	return p;
}

struct thin_sample *pool_add_thin(struct pool_sample *p, const char *name)
{
	struct thin_sample *t;

	p->thins = tool_realloc(p->thins, (p->nr_thins + 1) * sizeof(*p->thins));
	t = &p->thins[p->nr_thins++];
	memset(t, 0, sizeof(*t));
	t->name = tool_strdup(name);
	return t;
}

void sample_free(struct sample *s)
{
	struct pool_sample *p;
	unsigned int i;

	for (p = s->pools; p < s->pools + s->nr_pools; p++) {
		for (i = 0; i < p->nr_thins; i++)
			free(p->thins[i].name);
		free(p->thins);
		free(p->name);
		free(p->status);
	}
	free(s->pools);
	memset(s, 0, sizeof(*s));
}

bool pool_parse_status(struct pool_sample *p, const char *line)
{
	char check[16];
	int n;

	p->status = tool_strdup(line);
	if (!strcmp(line, "Fail") || !strcmp(line, "Error")) {
		strcpy(p->mode, line);
		return true;
	}
	/* Blocks are those of the table: figures in bytes come from the stats. */
	n = sscanf(line, "%llu %*u/%*u %*u/%*u %*s %23s %*s %*s %15s %llu", &p->transaction,
		   p->mode, check, &p->low_meta);
	p->needs_check = n == 4 && !strcmp(check, "needs_check");
	return n == 4;
}

bool pool_parse_figure(struct pool_sample *p, const char *line)
{
	const char *value = strchr(line, '=');
	unsigned int i;

	if (!value)
		return false;
	for (i = 0; i < NR_FIGURES; i++)
		if (strlen(figures[i].key) == (size_t)(value - line) &&
		    !strncmp(figures[i].key, line, value - line))
			break;
	if (i == NR_FIGURES)
		return true;
	p->has[i] = tool_parse_u64(value + 1, U64_MAX, &p->v[i]);
	return p->has[i];
}

/* "n:n:...:n", as many as there are bins. */
static bool parse_bins(const char *text, u64 *bins)
{
	unsigned int i;
	char *end;

	for (i = 0; i < LATENCY_BINS; i++) {
		if (*text < '0' || *text > '9')
			return false;
		bins[i] = strtoull(text, &end, 10);
		if (*end != (i + 1 < LATENCY_BINS ? ':' : '\0'))
			return false;
		text = end + 1;
	}
	return true;
}

bool thin_parse_stats(struct thin_sample *t, const char *line)
{
	char bins[256];
	int n;

	/* Documentation/admin-guide/device-mapper/statistics.rst */
	n = sscanf(line, "%*u+%*u %llu %*u %llu %llu %llu %*u %llu %llu %*u %*u %*u %*u %*u %255s",
		   &t->reads, &t->read_sectors, &t->read_ns, &t->writes, &t->write_sectors,
		   &t->write_ns, bins);
	return n == 7 && parse_bins(bins, t->bins);
}

/* ---- what --raw has written ---- */

static bool read_line(struct sample *s, char *line)
{
	struct pool_sample *p = s->nr_pools ? &s->pools[s->nr_pools - 1] : NULL;
	char *rest;

	if (!strncmp(line, "pool ", 5)) {
		rest = strchr(line + 5, ' ');
		if (!rest)
			return false;
		*rest++ = '\0';
		return pool_parse_status(sample_add_pool(s, line + 5), rest);
	}
	if (!p)
		return false;
	if (!strncmp(line, "thin ", 5)) {
		rest = strchr(line + 5, ' ');
		if (!rest)
			return false;
		*rest++ = '\0';
		return thin_parse_stats(pool_add_thin(p, line + 5), rest);
	}
	return pool_parse_figure(p, line);
}

int sample_read(FILE *f, struct sample *s)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int r = 0;

	memset(s, 0, sizeof(*s));
	while (!r && (len = getline(&line, &size, f)) > 0) {
		if (line[len - 1] == '\n')
			line[--len] = '\0';
		if (!len)
			break;
		if (sscanf(line, "sample %lf", &s->at) != 1 && !read_line(s, line)) {
			tool_err("not what --raw writes: '%s'", line);
			r = -EINVAL;
		}
	}
	if (!r && ferror(f)) {
		tool_err("cannot read: %s", strerror(errno));
		r = -EIO;
	}
	free(line);
	if (r)
		sample_free(s);
	return r ? r : s->at > 0;
}
