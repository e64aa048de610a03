// SPDX-License-Identifier: GPL-2.0-only
/* thin2_trim: discard what a pool that is not in use has free. */
#include "trim.h"

#include "extents.h"

enum {
	OPT_DATA_DEV = 256,
	OPT_DRY_RUN,
	OPT_JSON,
	OPT_METADATA_DEV,
};

struct trim {
	struct source source;
	const char *data_dev;
	bool quiet;
	bool dry_run;
	bool json;
	struct u64s free;	/* begin and end of what is free, in order */
	u64 nr_free;		/* units */
};

static const struct option options[] = {
	{ "data-dev", required_argument, NULL, OPT_DATA_DEV },
	{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "metadata-dev", required_argument, NULL, OPT_METADATA_DEV },
	{ "quiet", no_argument, NULL, 'q' },
	{ "version", no_argument, NULL, 'V' },
	{ }
};

static const char usage_text[] =
	"Usage: thin2_trim [options] --metadata-dev {device|file} --data-dev {device|file}\n"
	"Discards the free space of a thin-pool2 that is not in use.\n\n"
	"      --data-dev DEVICE\n"
	"      --dry-run              list the free blocks of 4 KiB, discard nothing\n"
	"  -h, --help\n"
	"      --json                 (with --dry-run) the same as a JSON object\n"
	"      --metadata-dev DEVICE\n"
	"  -q, --quiet\n"
	"  -V, --version\n";

static bool parse_option(struct trim *t, int opt, int *status)
{
	switch (opt) {
	case OPT_DATA_DEV:
		t->data_dev = optarg;
		return true;
	case OPT_METADATA_DEV:
		t->source.path = optarg;
		return true;
	case OPT_DRY_RUN:
		t->dry_run = true;
		return true;
	case OPT_JSON:
		t->json = true;
		return true;
	case 'q':
		t->quiet = true;
		return true;
	default:
		return tool_help_option(opt, usage_text, status);
	}
}

static bool parse(struct trim *t, int argc, char **argv, int *status)
{
	int opt;

	while ((opt = tool_getopt(argc, argv, "hqV", options)) != -1)
		if (!parse_option(t, opt, status))
			return false;
	*status = TOOL_FAIL;
	if (optind != argc)
		tool_err("'%s' is not an option", argv[optind]);
	else if (!t->source.path)
		tool_err("no metadata device given");
	else if (!t->data_dev && !t->dry_run)
		tool_err("no data device given");
	else if (t->json && !t->dry_run)
		tool_err("--json goes with --dry-run");
	else
		return true;
	fputs(usage_text, stderr);
	return false;
}

static void list_free(const struct trim *t)
{
	struct json j;
	size_t i;

	if (t->json) {
		json_begin(&j, stdout);
		json_u64(&j, "free_blocks", t->nr_free);
		json_array(&j, "free");
	}
	for (i = 0; i < t->free.nr; i += 2) {
		if (t->json)
			json_line(&j, "{\"begin\": %llu, \"length\": %llu}", t->free.v[i],
				  t->free.v[i + 1] - t->free.v[i]);
		else
			printf("%llu..%llu\n", t->free.v[i], t->free.v[i + 1]);
	}
	if (t->json) {
		json_array_end(&j);
		json_end(&j);
	}
}

static int discard_free(struct trim *t, struct trim_device *dev)
{
	u64 done = 0;
	size_t i;
	int r;

	for (i = 0; i < t->free.nr; i += 2) {
		r = trim_discard(dev, t->free.v[i], t->free.v[i + 1]);
		if (r)
			return r;
		done += t->free.v[i + 1] - t->free.v[i];
		tool_progress_now("discarded", done, t->nr_free);
	}
	return 0;
}

static int find_free(struct trim *t)
{
	size_t i;
	int r = source_open_device(&t->source, false);

	if (!r)
		r = source_open_trees(&t->source);
	if (!r)
		r = trim_find_free(&t->source, &t->free);
	for (i = 0; !r && i < t->free.nr; i += 2)
		t->nr_free += t->free.v[i + 1] - t->free.v[i];
	return r;
}

static int run(struct trim *t)
{
	struct trim_device dev = { .fd = -1 };
	int r = 0;

	/* First of all both devices must be ours alone. */
	if (!t->dry_run)
		r = trim_open(t->data_dev, &dev);
	if (!r)
		r = find_free(t);
	if (!r && !t->dry_run && dev.nr_units < t->source.sb.data_units) {
		tool_err("%s: has %llu blocks of 4 KiB, the pool's data device %llu", t->data_dev,
			 dev.nr_units, t->source.sb.data_units);
		r = -EINVAL;
	}
	if (!r && !t->dry_run)
		r = discard_free(t, &dev);
	tool_progress_end();
	trim_close(&dev);
	if (r)
		return r;
	if (t->dry_run)
		list_free(t);
	else if (!t->quiet)
		printf("%llu of %llu blocks of 4 KiB are free and were discarded\n", t->nr_free,
		       t->source.sb.data_units);
	return 0;
}

int main(int argc, char **argv)
{
	struct trim t = { };
	int r, status;

	tool_init("thin2_trim");
	if (!parse(&t, argc, argv, &status))
		return status;
	tool_progress_begin(!t.quiet);
	r = run(&t);
	source_close(&t.source);
	free(t.free.v);
	return tool_end_output(r);
}
