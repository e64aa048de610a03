// SPDX-License-Identifier: GPL-2.0-only
/* thin2_rmap: who maps these units of data? */
#include "block_table.h"
#include "source.h"

enum {
	OPT_REGION = 256,
	OPT_JSON,
};

struct region {
	u64 begin;
	u64 end;
};

struct hit {
	u64 data;
	u64 len;
	u64 begin;
	u32 id;
};

struct rmap {
	struct source_walk h;		/* first */
	struct source source;
	struct region *region;
	size_t nr_regions;
	bool json;

	struct block_table empty;	/* nodes: 1 = nothing below it is of interest */
	unsigned int depth;
	bool found[WALK_MAX_LEVEL + 2];	/* anything, below the node at each depth? */
	u32 id;				/* the thin */
	struct hit *hit;
	size_t nr_hits;
	size_t max_hits;
};

static const struct option options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "region", required_argument, NULL, OPT_REGION },
	{ "version", no_argument, NULL, 'V' },
	{ }
};

static const char usage_text[] =
	"Usage: thin2_rmap [options] --region A..B {device|file}\n"
	"Lists who maps data blocks of 4 KiB, from A up to, not including, B.\n\n"
	"  -h, --help\n"
	"      --json          the same as a JSON object\n"
	"      --region A..B   (may be repeated)\n"
	"  -V, --version\n";

/* ---- options ---- */

static bool add_region(struct rmap *m, char *text)
{
	char *dots = strstr(text, "..");
	struct region g;
	bool ok = false;

	if (dots) {
		*dots = '\0';
		ok = tool_parse_u64(text, PDATA_MAX_UNITS, &g.begin) &&
		     tool_parse_u64(dots + 2, PDATA_MAX_UNITS, &g.end) && g.begin < g.end;
		*dots = '.';
	}
	if (!ok) {
		tool_err("--region: '%s' is not a range A..B, with B behind its last block", text);
		return false;
	}
	m->region = tool_realloc(m->region, (m->nr_regions + 1) * sizeof(g));
	m->region[m->nr_regions++] = g;
	return true;
}

static int cmp_region(const void *a, const void *b)
{
	const struct region *x = a, *y = b;

	return x->begin < y->begin ? -1 : x->begin > y->begin;
}

/* Regions that overlap or touch are one: nothing is to be said twice. */
static void join_regions(struct rmap *m)
{
	size_t i, nr = 0;

	qsort(m->region, m->nr_regions, sizeof(*m->region), cmp_region);
	for (i = 0; i < m->nr_regions; i++) {
		if (nr && m->region[i].begin <= m->region[nr - 1].end)
			m->region[nr - 1].end = max(m->region[nr - 1].end, m->region[i].end);
		else
			m->region[nr++] = m->region[i];
	}
	m->nr_regions = nr;
}

static bool parse(struct rmap *m, int argc, char **argv, int *status)
{
	int opt;

	*status = TOOL_FAIL;
	while ((opt = tool_getopt(argc, argv, "hV", options)) != -1) {
		if (opt == OPT_JSON)
			m->json = true;
		else if (opt != OPT_REGION)
			return tool_help_option(opt, usage_text, status);
		else if (!add_region(m, optarg))
			return false;
	}
	if (!m->nr_regions) {
		tool_err("no region given");
		fputs(usage_text, stderr);
		return false;
	}
	join_regions(m);
	m->source.path = tool_one_device(argc, argv, usage_text);
	return m->source.path;
}

/* ---- walk ---- */

static int rmap_enter(struct walk *w, const struct walk_at *at)
{
	struct rmap *m = (struct rmap *)w;
	const u64 *empty = block_table_find(&m->empty, at->block);

	tool_progress("nodes", m->empty.nr, m->source.sb.meta_used);
	return empty && *empty;
}

static int rmap_node(struct walk *w, const struct walk_at *at, const struct pdata_header *h)
{
	struct rmap *m = (struct rmap *)w;

	m->found[++m->depth] = false;
	return 0;
}

static int rmap_leave(struct walk *w, const struct walk_at *at)
{
	struct rmap *m = (struct rmap *)w;
	const bool found = m->found[m->depth--];

	*block_table_get(&m->empty, at->block) = !found;
	m->found[m->depth] |= found;
	return 0;
}

static void add_hit(struct rmap *m, u64 data, u64 len, u64 begin)
{
	struct hit *last = m->nr_hits ? &m->hit[m->nr_hits - 1] : NULL;

	m->found[m->depth] = true;
	if (last && last->id == m->id && last->data + last->len == data &&
	    last->begin + last->len == begin) {
		last->len += len;
		return;
	}
	if (m->nr_hits == m->max_hits) {
		m->max_hits = m->max_hits ? 2 * m->max_hits : 256;
		m->hit = tool_realloc(m->hit, m->max_hits * sizeof(*m->hit));
	}
	m->hit[m->nr_hits++] = (struct hit) {
		.data = data, .len = len, .begin = begin, .id = m->id,
	};
}

/* The first region that ends behind @unit. */
static size_t region_from(const struct rmap *m, u64 unit)
{
	size_t lo = 0, hi = m->nr_regions, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (m->region[mid].end > unit)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

static int rmap_range(struct walk *w, const struct walk_at *at, const struct pdata_range *r)
{
	struct rmap *m = (struct rmap *)w;
	const u64 end = r->value + r->len;
	u64 lo, hi;
	size_t i;

	if (r->kind != PDATA_RANGE_MAPPED)
		return 0;
	for (i = region_from(m, r->value); i < m->nr_regions && m->region[i].begin < end; i++) {
		lo = max(r->value, m->region[i].begin);
		hi = min(end, m->region[i].end);
		add_hit(m, lo, hi - lo, r->begin + (lo - r->value));
	}
	return 0;
}

static int walk_thins(struct rmap *m)
{
	struct source *s = &m->source;
	struct walk *w = &m->h.w;
	size_t i;
	int r = 0;

	source_walk_init(&m->h, s, 0);
	w->enter = rmap_enter;
	w->node = rmap_node;
	w->leave = rmap_leave;
	w->range = rmap_range;
	for (i = 0; i < s->nr_thins && !r; i++) {
		m->depth = 0;
		m->id = s->thin[i].id;
		r = walk_range_tree(w, s->thin[i].root);
	}
	walk_exit(w);
	block_table_exit(&m->empty);
	return r;
}

/* ---- output ---- */

static int cmp_hit(const void *a, const void *b)
{
	const struct hit *x = a, *y = b;

	if (x->data != y->data)
		return x->data < y->data ? -1 : 1;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->begin < y->begin ? -1 : x->begin > y->begin;
}

static void print_hits(const struct rmap *m)
{
	const struct hit *h;

	for (h = m->hit; h < m->hit + m->nr_hits; h++)
		printf("data %llu..%llu -> thin(%u) %llu..%llu\n", h->data, h->data + h->len, h->id,
		       h->begin, h->begin + h->len);
}

static void json_hits(const struct rmap *m)
{
	const struct hit *h;
	struct json j;

	json_begin(&j, stdout);
	json_array(&j, "mappings");
	for (h = m->hit; h < m->hit + m->nr_hits; h++)
		json_line(&j,
			  "{\"data_begin\": %llu, \"length\": %llu, \"dev_id\": %u, \"begin\": %llu}",
			  h->data, h->len, h->id, h->begin);
	json_array_end(&j);
	json_end(&j);
}

static int run(struct rmap *m)
{
	int r = source_open_device(&m->source, false);

	if (!r)
		r = source_open_trees(&m->source);
	if (!r)
		r = walk_thins(m);
	tool_progress_end();
	if (r)
		return r;
	if (m->nr_hits)
		qsort(m->hit, m->nr_hits, sizeof(*m->hit), cmp_hit);
	if (m->json)
		json_hits(m);
	else
		print_hits(m);
	return 0;
}

int main(int argc, char **argv)
{
	struct rmap m = { };
	int r, status;

	tool_init("thin2_rmap");
	if (parse(&m, argc, argv, &status)) {
		tool_progress_begin(true);
		r = run(&m);
		source_close(&m.source);
		status = tool_end_output(r);
	}
	free(m.region);
	free(m.hit);
	return status;
}
