// SPDX-License-Identifier: GPL-2.0-only
/* thin2_stat's output: a table like iostat's, JSON, text for Prometheus. */
#include "poolstat.h"

static const struct pool_sample *find_pool(const struct sample *s, const char *name)
{
	unsigned int i;

	for (i = 0; s && i < s->nr_pools; i++)
		if (!strcmp(s->pools[i].name, name))
			return &s->pools[i];
	return NULL;
}

static const struct thin_sample *find_thin(const struct pool_sample *p, const char *name)
{
	unsigned int i;

	for (i = 0; p && i < p->nr_thins; i++)
		if (!strcmp(p->thins[i].name, name))
			return &p->thins[i];
	return NULL;
}

static double percent(u64 part, u64 whole)
{
	return whole ? 100.0 * part / whole : 0;
}

/* What was added since; all of it if the device was made anew meanwhile. */
static u64 since(u64 old, u64 new)
{
	return new >= old ? new - old : new;
}

/* ---- rates ---- */

/* Two samples of a pool, or one for totals. */
struct span {
	const struct pool_sample *old;	/* NULL: not there before */
	const struct pool_sample *new;
	double seconds;			/* 1 for totals */
};

static struct span make_span(const struct sample *old, const struct sample *s, unsigned int i)
{
	struct span span = { .new = &s->pools[i], .seconds = 1 };

	span.old = find_pool(old, span.new->name);
	if (old && s->at > old->at)
		span.seconds = s->at - old->at;
	return span;
}

static double rate(const struct span *span, enum figure_id id)
{
	return since(span->old ? span->old->v[id] : 0, span->new->v[id]) / span->seconds;
}

/* A thin between two samples. */
static struct thin_sample thin_since(const struct span *span, const struct thin_sample *new)
{
	const struct thin_sample *old = find_thin(span->old, new->name);
	struct thin_sample d = *new;
	unsigned int i;

	if (!old)
		return d;
	d.reads = since(old->reads, new->reads);
	d.read_sectors = since(old->read_sectors, new->read_sectors);
	d.read_ns = since(old->read_ns, new->read_ns);
	d.writes = since(old->writes, new->writes);
	d.write_sectors = since(old->write_sectors, new->write_sectors);
	d.write_ns = since(old->write_ns, new->write_ns);
	for (i = 0; i < LATENCY_BINS; i++)
		d.bins[i] = since(old->bins[i], new->bins[i]);
	return d;
}

static double await_ms(u64 ns, u64 nr)
{
	return nr ? ns / 1e6 / nr : 0;
}

static double mib(u64 sectors)
{
	return sectors / 2048.0;
}

/* ---- table ---- */

static void print_thins(const struct span *span)
{
	static const char * const names[LATENCY_BINS] = {
		"<.1ms", "<.2ms", "<.5ms", "<1ms", "<2ms", "<5ms", "<10ms", "<20ms", "<50ms",
		"<.1s", "<1s", ">=1s",
	};
	struct thin_sample d;
	unsigned int i, k;
	u64 all;

	printf("  %-18s %9s %9s %8s %8s %8s %8s", "thin", "r/s", "w/s", "rMiB/s", "wMiB/s",
	       "r_await", "w_await");
	for (k = 0; k < LATENCY_BINS; k++)
		printf(" %6s", names[k]);
	putchar('\n');
	for (i = 0; i < span->new->nr_thins; i++) {
		d = thin_since(span, &span->new->thins[i]);
		printf("  %-18s %9.1f %9.1f %8.2f %8.2f %8.3f %8.3f", d.name,
		       d.reads / span->seconds, d.writes / span->seconds,
		       mib(d.read_sectors) / span->seconds, mib(d.write_sectors) / span->seconds,
		       await_ms(d.read_ns, d.reads), await_ms(d.write_ns, d.writes));
		for (all = 0, k = 0; k < LATENCY_BINS; k++)
			all += d.bins[k];
		for (k = 0; k < LATENCY_BINS; k++)
			printf(" %6.2f", percent(d.bins[k], all));
		putchar('\n');
	}
}

static void print_pool(const struct span *span)
{
	const struct pool_sample *p = span->new;

	printf("%-20s %4.4s%c %6.2f %6.2f %6llu %8llu", p->name, p->mode,
	       p->needs_check ? '!' : ' ', percent(p->v[FIG_DATA_USED], p->v[FIG_DATA]),
	       percent(p->v[FIG_META_USED], p->v[FIG_META]), p->v[FIG_JOURNAL_FILL],
	       p->v[FIG_UNMERGED]);
	printf(" %9.1f %9.1f %9.1f %8.1f %8.1f %8.1f %8.1f %9.1f %8.1f %6llu\n",
	       rate(span, FIG_PROVISIONED), rate(span, FIG_UNSHARED),
	       rate(span, FIG_COPIED) * 4, rate(span, FIG_DISCARDS), rate(span, FIG_DEFERRED),
	       rate(span, FIG_COMMITS), rate(span, FIG_JOURNAL_FLUSHES), rate(span, FIG_RECORDS),
	       rate(span, FIG_CACHE_FILLS), p->v[FIG_IN_FLIGHT]);
}

void print_table(const struct sample *old, const struct sample *s)
{
	const char *per = old ? "/s" : "";
	struct span span;
	unsigned int i;

	printf("%-20s %-5s %6s %6s %6s %8s", "pool", "mode", "data%", "meta%", "jrnl%",
	       "unmerged");
	printf(" %7s%-2s %7s%-2s %7s%-2s %6s%-2s %6s%-2s %6s%-2s %6s%-2s %7s%-2s %6s%-2s %6s\n",
	       "prov", per, "unshr", per, "copyK", per, "disc", per, "defer", per, "commit", per,
	       "jflush", per, "record", per, "miss", per, "flight");
	for (i = 0; i < s->nr_pools; i++) {
		span = make_span(old, s, i);
		print_pool(&span);
		if (span.new->nr_thins)
			print_thins(&span);
	}
	putchar('\n');
}

/* ---- JSON ---- */

static void json_double(struct json *j, const char *key, double value)
{
	char text[32];

	/* The helper writes whole numbers only; three places are enough for rates. */
	snprintf(text, sizeof(text), "%.3f", value);
	json_number(j, key, text);
}

static void json_thin(struct json *j, const struct span *span, const struct thin_sample *t)
{
	struct thin_sample d = thin_since(span, t);
	unsigned int i;

	json_object(j, NULL);
	json_string(j, "name", d.name);
	json_double(j, "reads", d.reads / span->seconds);
	json_double(j, "writes", d.writes / span->seconds);
	json_double(j, "read_mib", mib(d.read_sectors) / span->seconds);
	json_double(j, "write_mib", mib(d.write_sectors) / span->seconds);
	json_double(j, "read_await_ms", await_ms(d.read_ns, d.reads));
	json_double(j, "write_await_ms", await_ms(d.write_ns, d.writes));
	json_array(j, "latency");
	for (i = 0; i < LATENCY_BINS; i++)
		if (i + 1 < LATENCY_BINS)
			json_line(j, "{\"below_us\": %llu, \"requests\": %llu}",
				  latency_bounds[i] / 1000, d.bins[i]);
		else
			json_line(j, "{\"below_us\": null, \"requests\": %llu}", d.bins[i]);
	json_array_end(j);
	json_object_end(j);
}

static void json_pool(struct json *j, const struct span *span)
{
	const struct pool_sample *p = span->new;
	unsigned int i;

	json_object(j, NULL);
	json_string(j, "name", p->name);
	json_string(j, "mode", p->mode);
	json_bool(j, "needs_check", p->needs_check);
	json_u64(j, "transaction_id", p->transaction);
	for (i = 0; i < NR_FIGURES; i++) {
		if (!p->has[i])
			continue;
		if (figures[i].kind == FIGURE_GAUGE)
			json_u64(j, figures[i].key, p->v[i]);
		else
			json_double(j, figures[i].key, rate(span, i));
	}
	json_array(j, "thins");
	for (i = 0; i < p->nr_thins; i++)
		json_thin(j, span, &p->thins[i]);
	json_array_end(j);
	json_object_end(j);
}

void print_json(const struct sample *old, const struct sample *s)
{
	struct span span;
	struct json j;
	unsigned int i;

	json_begin(&j, stdout);
	if (old)
		json_double(&j, "seconds", s->at - old->at);
	json_array(&j, "pools");
	for (i = 0; i < s->nr_pools; i++) {
		span = make_span(old, s, i);
		json_pool(&j, &span);
	}
	json_array_end(&j);
	json_end(&j);
}

/* ---- Prometheus ---- */

/* A label's value: backslash, quote and line feed are escaped. */
static void print_label(const char *name)
{
	printf("{pool=\"");
	for (; *name; name++) {
		if (*name == '\\' || *name == '"')
			putchar('\\');
		putchar(*name);
	}
	printf("\"");
}

static void print_heading(const char *metric, const char *help, const char *type)
{
	printf("# HELP thin2_%s %s\n# TYPE thin2_%s %s\n", metric, help, metric, type);
}

static void print_gauge(const struct sample *s, const char *metric, const char *help,
			u64 (*value)(const struct pool_sample *p))
{
	unsigned int i;

	print_heading(metric, help, "gauge");
	for (i = 0; i < s->nr_pools; i++) {
		printf("thin2_%s", metric);
		print_label(s->pools[i].name);
		printf("} %llu\n", value(&s->pools[i]));
	}
}

static u64 get_needs_check(const struct pool_sample *p)
{
	return p->needs_check;
}

static u64 get_transaction(const struct pool_sample *p)
{
	return p->transaction;
}

static u64 get_low_meta(const struct pool_sample *p)
{
	return p->low_meta * PDATA_BLOCK_SIZE;
}

/* One of these is 1: an alert can name the mode. */
static void print_modes(const struct sample *s)
{
	static const char * const modes[] = { "rw", "ro", "out_of_data_space", "Fail", "Error" };
	unsigned int i, k;

	print_heading("mode", "1 for the mode in which the pool is.", "gauge");
	for (i = 0; i < s->nr_pools; i++)
		for (k = 0; k < ARRAY_SIZE(modes); k++) {
			printf("thin2_mode");
			print_label(s->pools[i].name);
			printf(",mode=\"%s\"} %d\n", modes[k],
			       !strcmp(s->pools[i].mode, modes[k]));
		}
}

void print_prometheus(const struct sample *s)
{
	const struct figure *f;
	unsigned int i;

	print_modes(s);
	print_gauge(s, "needs_check", "1 if thin2_check has to be run.", get_needs_check);
	print_gauge(s, "transaction_id", "What set_transaction_id has set.", get_transaction);
	print_gauge(s, "metadata_low_bytes", "An event is sent when less metadata is free.",
		    get_low_meta);
	for (f = figures; f < figures + NR_FIGURES; f++) {
		print_heading(f->metric, f->help, f->kind == FIGURE_GAUGE ? "gauge" : "counter");
		for (i = 0; i < s->nr_pools; i++) {
			if (!s->pools[i].has[f - figures])
				continue;
			printf("thin2_%s", f->metric);
			print_label(s->pools[i].name);
			printf("} %llu\n", s->pools[i].v[f - figures] * f->scale);
		}
	}
}
