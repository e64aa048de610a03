// SPDX-License-Identifier: GPL-2.0-only
/* thin2_delta: what two thins map differently. */
#include "delta.h"

enum {
	OPT_THIN1 = 256,
	OPT_THIN2,
	OPT_ROOT1,
	OPT_ROOT2,
	OPT_VERBOSE,
	OPT_SKIP_SAME,
	OPT_JSON,
};

struct delta {
	struct source source;
	struct delta_output out;
	bool set[2];
	bool metadata_snap;
	u64 snap_block;
};

static const struct option options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "metadata-snap", optional_argument, NULL, 'm' },
	{ "root1", required_argument, NULL, OPT_ROOT1 },
	{ "root2", required_argument, NULL, OPT_ROOT2 },
	{ "skip-same", no_argument, NULL, OPT_SKIP_SAME },
	{ "snap1", required_argument, NULL, OPT_THIN1 },
	{ "snap2", required_argument, NULL, OPT_THIN2 },
	{ "thin1", required_argument, NULL, OPT_THIN1 },
	{ "thin2", required_argument, NULL, OPT_THIN2 },
	{ "verbose", no_argument, NULL, OPT_VERBOSE },
	{ "version", no_argument, NULL, 'V' },
	{ }
};

static const char usage_text[] =
	"Usage: thin2_delta [options] {--thin1 ID|--root1 BLOCK} {--thin2 ID|--root2 BLOCK}\n"
	"                   {device|file}\n"
	"Compares what two thins of a thin-pool2 map; a block of it is 4 KiB.\n\n"
	"  -h, --help\n"
	"      --json                  JSON instead of XML\n"
	"  -m, --metadata-snap[=BLOCK] thins of the snapshot held by a pool in use\n"
	"      --root1, --root2 BLOCK  a root held by a pool in use\n"
	"      --skip-same             leave out what is the same\n"
	"      --thin1, --thin2 ID     (or --snap1, --snap2)\n"
	"      --verbose               where the data is, too\n"
	"  -V, --version\n";

static bool set_side(struct delta *d, unsigned int side, const char *option, bool by_root)
{
	if (d->set[side]) {
		tool_err("the %s thin is given twice", side ? "second" : "first");
		return false;
	}
	d->set[side] = true;
	d->out.by_root[side] = by_root;
	return tool_parse_arg(option, optarg, by_root ? PDATA_MAX_BLOCKS : THIN2_MAX_ID,
			      &d->out.side[side]);
}

/* Returns false if the program ends with *status. */
static bool parse_option(struct delta *d, int opt, int *status)
{
	*status = TOOL_FAIL;
	switch (opt) {
	case OPT_THIN1:
		return set_side(d, 0, "--thin1", false);
	case OPT_THIN2:
		return set_side(d, 1, "--thin2", false);
	case OPT_ROOT1:
		return set_side(d, 0, "--root1", true);
	case OPT_ROOT2:
		return set_side(d, 1, "--root2", true);
	case OPT_VERBOSE:
		d->out.verbose = true;
		return true;
	case OPT_SKIP_SAME:
		d->out.skip_same = true;
		return true;
	case OPT_JSON:
		d->out.json = true;
		return true;
	case 'm':
		d->metadata_snap = true;
		return !optarg || tool_parse_arg("-m", optarg, PDATA_MAX_BLOCKS, &d->snap_block);
	default:
		return tool_help_option(opt, usage_text, status);
	}
}

static bool parse(struct delta *d, int argc, char **argv, int *status)
{
	int opt;

	while ((opt = tool_getopt(argc, argv, "hm::V", options)) != -1)
		if (!parse_option(d, opt, status))
			return false;
	*status = TOOL_FAIL;
	if (!d->set[0] || !d->set[1]) {
		tool_err("two thins are needed: --thin1 and --thin2");
		fputs(usage_text, stderr);
		return false;
	}
	if (d->out.by_root[0] != d->out.by_root[1] && !d->metadata_snap) {
		tool_err("beside a held root the other thin is a root, too, or one of a metadata snapshot (-m)");
		return false;
	}
	d->source.path = tool_one_device(argc, argv, usage_text);
	return d->source.path;
}

/* The tree of one side. */
static int find_root(struct delta *d, unsigned int side, u64 *root)
{
	const struct thin2_details *thin;
	int r;

	if (d->out.by_root[side]) {
		r = source_open_root(&d->source, d->out.side[side], NULL);
		if (!r)
			*root = d->source.thin[d->source.nr_thins - 1].root;
		return r;
	}
	thin = source_find(&d->source, d->out.side[side]);
	if (!thin)
		return -PDATA_E_NOT_FOUND;
	*root = thin->root;
	return 0;
}

static int open_source(struct delta *d)
{
	const bool all_roots = d->out.by_root[0] && d->out.by_root[1];
	int r = source_open_device(&d->source, d->metadata_snap || all_roots);

	if (r || all_roots)
		return r;
	return d->metadata_snap ? source_open_snapshot(&d->source, d->snap_block) :
				  source_open_trees(&d->source);
}

static int run(struct delta *d)
{
	u64 root[2] = { };
	int r = open_source(d);

	if (!r)
		r = find_root(d, 0, &root[0]);
	if (!r)
		r = find_root(d, 1, &root[1]);
	if (r)
		return r;
	d->out.sb = &d->source.sb;
	delta_begin(&d->out);
	r = delta_compare(&d->source, root[0], root[1], d->out.skip_same, delta_part, &d->out);
	tool_progress_end();
	if (!r)
		r = source_still_held(&d->source);
	/* Output that is not complete does not end. */
	if (!r)
		delta_end(&d->out);
	return r;
}

int main(int argc, char **argv)
{
	struct delta d = { };
	int r, status;

	tool_init("thin2_delta");
	if (!parse(&d, argc, argv, &status))
		return status;
	tool_progress_begin(true);
	r = run(&d);
	source_close(&d.source);
	return tool_end_output(r);
}
