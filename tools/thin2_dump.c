// SPDX-License-Identifier: GPL-2.0-only
/* thin2_dump: a pool's metadata as text. */
#include "source.h"
#include "pool.h"

enum {
	OPT_SKIP_MAPPINGS = 256,
	OPT_DEV_ID,
	OPT_ROOT,
	OPT_JSON,
	OPT_BLOCK_SIZE,
};

struct dump {
	struct source source;
	const struct pool_writer_ops *format;
	const char *output;
	bool quiet;
	bool repair;
	bool skip_mappings;
	bool metadata_snap;
	u64 snap_block;
	bool by_root;
	u64 root;
	u32 *dev_id;
	size_t nr_dev_ids;
	u64 block_size;		/* to write, sectors */
	u64 scale;		/* units in one */
};

static const struct option options[] = {
	{ "data-block-size", required_argument, NULL, OPT_BLOCK_SIZE },
	{ "dev-id", required_argument, NULL, OPT_DEV_ID },
	{ "format", required_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "metadata-snap", optional_argument, NULL, 'm' },
	{ "output", required_argument, NULL, 'o' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "repair", no_argument, NULL, 'r' },
	{ "root", required_argument, NULL, OPT_ROOT },
	{ "skip-mappings", no_argument, NULL, OPT_SKIP_MAPPINGS },
	{ "version", no_argument, NULL, 'V' },
	{ }
};

static const char usage_text[] =
	"Usage: thin2_dump [options] {device|file}\n"
	"Writes the metadata of a thin-pool2 as text; a block of it is 4 KiB.\n\n"
	"      --data-block-size SECTORS  in larger blocks, if all fits them\n"
	"      --dev-id ID             this thin only (may be repeated)\n"
	"  -f, --format FORMAT         xml (default), human_readable or json\n"
	"  -h, --help\n"
	"      --json                  the same as -f json\n"
	"  -m, --metadata-snap[=BLOCK] the snapshot held by a pool in use\n"
	"  -o, --output FILE\n"
	"  -q, --quiet\n"
	"  -r, --repair                (needs thin2_repair if something is wrong)\n"
	"      --root BLOCK            the root of one thin held by a pool in use\n"
	"      --skip-mappings         devices only\n"
	"  -V, --version\n";

static bool parse_format(struct dump *d, const char *name)
{
	if (!strcmp(name, "xml"))
		d->format = &xml_writer;
	else if (!strcmp(name, "human_readable"))
		d->format = &human_writer;
	else if (!strcmp(name, "json"))
		d->format = &json_writer;
	else
		tool_err("unknown format '%s'", name);
	return d->format;
}

static bool add_dev_id(struct dump *d, const char *text)
{
	u64 id;

	if (!tool_parse_arg("--dev-id", text, THIN2_MAX_ID, &id))
		return false;
	d->dev_id = tool_realloc(d->dev_id, (d->nr_dev_ids + 1) * sizeof(*d->dev_id));
	d->dev_id[d->nr_dev_ids++] = id;
	return true;
}

/* v1 has 64 KiB at least, but its tools take less. */
static bool parse_block_size(struct dump *d)
{
	if (tool_parse_u64(optarg, 2097152, &d->block_size) && d->block_size &&
	    !(d->block_size % PDATA_UNIT_SECTORS))
		return true;
	tool_err("--data-block-size: '%s' is not a multiple of %u sectors up to 2097152", optarg,
		 PDATA_UNIT_SECTORS);
	return false;
}

/* Options with a value. False: it was reported. */
static bool parse_value(struct dump *d, int opt)
{
	switch (opt) {
	case OPT_DEV_ID:
		return add_dev_id(d, optarg);
	case OPT_BLOCK_SIZE:
		return parse_block_size(d);
	case OPT_ROOT:
		d->by_root = true;
		return tool_parse_arg("--root", optarg, PDATA_MAX_BLOCKS, &d->root);
	case 'f':
		return parse_format(d, optarg);
	case 'm':
		d->metadata_snap = true;
		return !optarg || tool_parse_arg("-m", optarg, PDATA_MAX_BLOCKS, &d->snap_block);
	case 'o':
		d->output = optarg;
		return true;
	default:
		fputs(usage_text, stderr);
		return false;
	}
}

/* Returns false if the program ends with *status. */
static bool parse_option(struct dump *d, int opt, int *status)
{
	*status = TOOL_OK;
	switch (opt) {
	case OPT_SKIP_MAPPINGS:
		d->skip_mappings = true;
		return true;
	case OPT_JSON:
		d->format = &json_writer;
		return true;
	case 'q':
		d->quiet = true;
		return true;
	case 'r':
		d->repair = true;
		return true;
	case 'h':
		fputs(usage_text, stdout);
		return false;
	case 'V':
		puts(TOOL_VERSION);
		return false;
	default:
		*status = TOOL_FAIL;
		return parse_value(d, opt);
	}
}

static bool parse(struct dump *d, int argc, char **argv, int *status)
{
	int opt;

	while ((opt = tool_getopt(argc, argv, "f:hm::o:qrV", options)) != -1)
		if (!parse_option(d, opt, status))
			return false;
	*status = TOOL_FAIL;
	d->source.path = tool_one_device(argc, argv, usage_text);
	if (!d->source.path)
		return false;
	if (d->metadata_snap && d->by_root) {
		tool_err("either a metadata snapshot or a root");
		return false;
	}
	if (d->by_root && d->nr_dev_ids > 1) {
		tool_err("a root belongs to one thin");
		return false;
	}
	if (!d->format)
		d->format = &xml_writer;
	if (!d->block_size)
		d->block_size = PDATA_UNIT_SECTORS;
	d->scale = d->block_size / PDATA_UNIT_SECTORS;
	return true;
}

/* ---- output ---- */

/* Ranges that continue each other across leaves become one. */
struct join {
	const struct dump *d;
	u32 id;			/* thin */
	struct pool_writer *w;	/* NULL: only count */
	struct pdata_range r;	/* len 0: none yet */
	u64 mapped;
};

static int join_flush(struct join *j)
{
	const u64 scale = j->d->scale;
	struct pdata_range m = j->r;

	j->r.len = 0;
	if (!m.len || !j->w)
		return 0;
	if (m.begin % scale || m.len % scale || m.value % scale) {
		tool_err("%s: thin %u: units %llu..%llu are not mapped in blocks of %llu sectors",
			 j->d->source.path, j->id, m.begin, pdata_range_end(&m) - 1,
			 j->d->block_size);
		return -PDATA_E_OUT_OF_RANGE;
	}
	m.begin /= scale;
	m.len /= scale;
	m.value /= scale;
	j->w->ops->map(j->w, &m);
	return 0;
}

static int join_range(void *context, const struct pdata_range *r)
{
	struct join *j = context;
	int ret;

	if (r->kind == PDATA_RANGE_MAPPED)
		j->mapped += r->len;
	if (!j->w)
		return 0;
	if (j->r.len && j->r.kind == r->kind && j->r.tag == r->tag &&
	    pdata_range_end(&j->r) == r->begin &&
	    (r->kind != PDATA_RANGE_MAPPED || j->r.value + j->r.len == r->value)) {
		j->r.len += r->len;
		return 0;
	}
	ret = join_flush(j);
	j->r = *r;
	return ret;
}

static bool is_wanted(const struct dump *d, u32 id)
{
	size_t i;

	for (i = 0; i < d->nr_dev_ids; i++)
		if (d->dev_id[i] == id)
			return true;
	return !d->nr_dev_ids;
}

static int dump_thin(struct dump *d, struct pool_writer *w, const struct thin2_details *thin)
{
	struct pool_device dev = {
		.dev_id = thin->id,
		.mapped_blocks = thin->mapped_units / d->scale,
		.transaction = thin->transaction_id,
		.creation_time = thin->create_time,
		.snap_time = thin->snap_time,
		.uid = thin->uid,
		.origin_uid = thin->origin_uid,
	};
	struct join j = { .d = d, .id = thin->id };
	int r;

	if (!d->source.exact) {
		r = source_walk(&d->source, thin, join_range, &j);
		if (r)
			return r;
		dev.mapped_blocks = j.mapped / d->scale;
	}
	w->ops->device_begin(w, &dev);
	if (!d->skip_mappings) {
		j.w = w;
		r = source_walk(&d->source, thin, join_range, &j);
		if (!r)
			r = join_flush(&j);
		if (r)
			return r;
	}
	w->ops->device_end(w);
	return 0;
}

static int dump_all(struct dump *d, struct pool_writer *w)
{
	const struct pdata_super *sb = &d->source.sb;
	struct pool_super super = {
		.time = sb->time,
		.transaction = sb->transaction_id,
		.flags = !!(sb->flags & PDATA_SB_NEEDS_CHECK),
		.data_block_size = d->block_size,
		.nr_data_blocks = sb->data_units / d->scale,
		.generation = sb->generation,
	};
	size_t i;
	int r = 0;

	tool_uuid_text(sb->uuid, super.uuid);
	w->ops->super_begin(w, &super);
	for (i = 0; i < d->source.nr_thins && !r; i++)
		if (is_wanted(d, d->source.thin[i].id))
			r = dump_thin(d, w, &d->source.thin[i]);
	if (!r)
		r = source_still_held(&d->source);
	if (!r)
		w->ops->super_end(w);
	return r;
}

static int check_dev_ids(const struct dump *d)
{
	size_t i;

	for (i = 0; i < d->nr_dev_ids; i++)
		if (!source_find(&d->source, d->dev_id[i]))
			return -PDATA_E_NOT_FOUND;
	return 0;
}

static int open_source(struct dump *d)
{
	int r = source_open_device(&d->source, d->metadata_snap || d->by_root);

	if (r)
		return r;
	if (d->metadata_snap)
		return source_open_snapshot(&d->source, d->snap_block);
	if (d->by_root)
		return source_open_root(&d->source, d->root, d->nr_dev_ids ? d->dev_id : NULL);
	return source_open_pool(&d->source);
}

static int dump_to(struct dump *d, FILE *f)
{
	struct pool_writer w = { .ops = d->format, .f = f };
	int r = dump_all(d, &w);

	free(w.private);
	if (!r && (fflush(f) || ferror(f))) {
		tool_err("%s: cannot write: %s", d->output ? d->output : "output",
			 strerror(errno));
		r = -EIO;
	}
	return r;
}

static int run(struct dump *d)
{
	FILE *f = stdout;
	int r = open_source(d);

	if (!r)
		r = check_dev_ids(d);
	if (!r && d->output) {
		f = fopen(d->output, "w");
		if (!f) {
			tool_err("%s: %s", d->output, strerror(errno));
			r = -EIO;
		}
	}
	if (!r)
		r = dump_to(d, f);
	if (f && f != stdout && fclose(f) && !r) {
		tool_err("%s: %s", d->output, strerror(errno));
		r = -EIO;
	}
	if (r && d->repair)
		tool_err("%s: repairing needs thin2_repair", d->source.path);
	return r;
}

int main(int argc, char **argv)
{
	struct dump d = { };
	int r, status;

	tool_init("thin2_dump");
	if (!parse(&d, argc, argv, &status)) {
		free(d.dev_id);
		return status;
	}
	/* What the core has to say names the blocks. */
	pdata_shim_quiet = d.quiet;
	r = run(&d);
	source_close(&d.source);
	free(d.dev_id);
	return r ? TOOL_FAIL : TOOL_OK;
}
