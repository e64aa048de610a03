// SPDX-License-Identifier: GPL-2.0-only
/* thin2_ls: the thins of a pool. */
#include "ls.h"

enum {
	OPT_NO_HEADERS = 256,
	OPT_JSON,
};

enum measure {
	THIN_DEV,
	THIN_TRANSACTION,
	THIN_CREATE_TIME,
	THIN_SNAP_TIME,
	UNITS_MAPPED,
	UNITS_EXCLUSIVE,
	UNITS_SHARED,
	LAST_MAPPED,		/* the highest mapped place */
};

enum scale {
	AS_BLOCKS,
	AS_SECTORS,
	AS_BYTES,
	AS_TEXT,		/* of bytes, rounded */
};

struct field {
	const char *name;
	enum measure measure;
	enum scale scale;
};

static const struct field all_fields[] = {
	{ "DEV", THIN_DEV },
	{ "MAPPED_BLOCKS", UNITS_MAPPED, AS_BLOCKS },
	{ "EXCLUSIVE_BLOCKS", UNITS_EXCLUSIVE, AS_BLOCKS },
	{ "SHARED_BLOCKS", UNITS_SHARED, AS_BLOCKS },
	{ "HIGHEST_BLOCK", LAST_MAPPED, AS_BLOCKS },
	{ "MAPPED_SECTORS", UNITS_MAPPED, AS_SECTORS },
	{ "EXCLUSIVE_SECTORS", UNITS_EXCLUSIVE, AS_SECTORS },
	{ "SHARED_SECTORS", UNITS_SHARED, AS_SECTORS },
	{ "HIGHEST_SECTOR", LAST_MAPPED, AS_SECTORS },
	{ "MAPPED_BYTES", UNITS_MAPPED, AS_BYTES },
	{ "EXCLUSIVE_BYTES", UNITS_EXCLUSIVE, AS_BYTES },
	{ "SHARED_BYTES", UNITS_SHARED, AS_BYTES },
	{ "HIGHEST_BYTE", LAST_MAPPED, AS_BYTES },
	{ "MAPPED", UNITS_MAPPED, AS_TEXT },
	{ "EXCLUSIVE", UNITS_EXCLUSIVE, AS_TEXT },
	{ "SHARED", UNITS_SHARED, AS_TEXT },
	{ "HIGHEST_MAPPED", LAST_MAPPED, AS_TEXT },
	{ "TRANSACTION", THIN_TRANSACTION },
	{ "CREATE_TIME", THIN_CREATE_TIME },
	{ "SNAP_TIME", THIN_SNAP_TIME },
};

#define DEFAULT_FIELDS	"DEV,MAPPED,CREATE_TIME,SNAP_TIME"

struct ls {
	struct source source;
	const struct field **field;
	size_t nr_fields;
	bool no_headers;
	bool metadata_snap;
	bool json;
	u64 snap_block;
	struct ls_usage *usage;		/* of each thin, if a field needs it */
};

static const struct option options[] = {
	{ "format", required_argument, NULL, 'o' },
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "metadata-snap", optional_argument, NULL, 'm' },
	{ "no-headers", no_argument, NULL, OPT_NO_HEADERS },
	{ "version", no_argument, NULL, 'V' },
	{ }
};

static const char usage_text[] =
	"Usage: thin2_ls [options] {device|file}\n"
	"Lists the thins of a thin-pool2; a block of it is 4 KiB.\n\n"
	"  -h, --help\n"
	"      --json                  the same as a JSON object\n"
	"  -m, --metadata-snap[=BLOCK] those of the snapshot held by a pool in use\n"
	"      --no-headers\n"
	"  -o, --format FIELDS         of these, separated by commas:\n"
	"                                DEV CREATE_TIME SNAP_TIME TRANSACTION\n"
	"                                {MAPPED,EXCLUSIVE,SHARED}[_BLOCKS,_SECTORS,_BYTES]\n"
	"                                HIGHEST_{MAPPED,BLOCK,SECTOR,BYTE}\n"
	"  -V, --version\n";

/* ---- options ---- */

static bool add_field(struct ls *ls, const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all_fields); i++) {
		if (strcmp(all_fields[i].name, name))
			continue;
		ls->field = tool_realloc(ls->field, (ls->nr_fields + 1) * sizeof(*ls->field));
		ls->field[ls->nr_fields++] = &all_fields[i];
		return true;
	}
	tool_err("unknown field '%s'", name);
	return false;
}

static bool parse_fields(struct ls *ls, const char *text)
{
	char *copy = tool_strdup(text), *rest = copy, *name;
	bool ok = true;

	ls->nr_fields = 0;
	while (ok && (name = strsep(&rest, ",")))
		ok = add_field(ls, name);
	free(copy);
	return ok;
}

/* Returns false if the program ends with *status. */
static bool parse_option(struct ls *ls, int opt, int *status)
{
	*status = TOOL_FAIL;
	switch (opt) {
	case OPT_NO_HEADERS:
		ls->no_headers = true;
		return true;
	case OPT_JSON:
		ls->json = true;
		return true;
	case 'm':
		ls->metadata_snap = true;
		return !optarg || tool_parse_arg("-m", optarg, PDATA_MAX_BLOCKS, &ls->snap_block);
	case 'o':
		return parse_fields(ls, optarg);
	default:
		return tool_help_option(opt, usage_text, status);
	}
}

static bool parse(struct ls *ls, int argc, char **argv, int *status)
{
	int opt;

	if (!parse_fields(ls, DEFAULT_FIELDS))
		return false;
	while ((opt = tool_getopt(argc, argv, "hm::o:V", options)) != -1)
		if (!parse_option(ls, opt, status))
			return false;
	*status = TOOL_FAIL;
	ls->source.path = tool_one_device(argc, argv, usage_text);
	return ls->source.path;
}

/* ---- values ---- */

/* Place or size? Of a place the last byte, or sector, is meant. */
static u64 scaled(const struct field *f, u64 units)
{
	const u64 last = f->measure == LAST_MAPPED;

	switch (f->scale) {
	case AS_BLOCKS:
		return units - last;
	case AS_SECTORS:
		return units * PDATA_UNIT_SECTORS - last;
	default:
		return units * PDATA_BLOCK_SIZE - last;
	}
}

/* False if there is none. */
static bool value_of(const struct ls *ls, const struct field *f, size_t i, u64 *value)
{
	const struct thin2_details *d = &ls->source.thin[i];
	const struct ls_usage *u = ls->usage ? &ls->usage[i] : NULL;

	switch (f->measure) {
	case THIN_DEV:
		*value = d->id;
		return true;
	case THIN_TRANSACTION:
		*value = d->transaction_id;
		return true;
	case THIN_CREATE_TIME:
		*value = d->create_time;
		return true;
	case THIN_SNAP_TIME:
		*value = d->snap_time;
		return true;
	case UNITS_MAPPED:
		*value = scaled(f, d->mapped_units);
		return true;
	case UNITS_EXCLUSIVE:
		*value = scaled(f, u->exclusive);
		return true;
	case UNITS_SHARED:
		*value = scaled(f, d->mapped_units - u->exclusive);
		return true;
	default:
		*value = u->end ? scaled(f, u->end) : 0;
		return u->end;
	}
}

#define CELL_LEN	32

static void cell_text(const struct ls *ls, const struct field *f, size_t i, char *text)
{
	u64 value;

	if (!value_of(ls, f, i, &value))
		strcpy(text, "-");
	else if (f->scale == AS_TEXT)
		tool_size_text(value, text, CELL_LEN);
	else
		snprintf(text, CELL_LEN, "%llu", value);
}

/* ---- output ---- */

static int column_width(const struct ls *ls, const struct field *f)
{
	int width = ls->no_headers ? 0 : strlen(f->name);
	char text[CELL_LEN];
	size_t i;

	for (i = 0; i < ls->source.nr_thins; i++) {
		cell_text(ls, f, i, text);
		width = max_t(int, width, strlen(text));
	}
	return width;
}

static void print_table(const struct ls *ls)
{
	int *width = tool_alloc(ls->nr_fields * sizeof(*width));
	char text[CELL_LEN];
	size_t i, f;

	for (f = 0; f < ls->nr_fields; f++) {
		width[f] = column_width(ls, ls->field[f]);
		if (!ls->no_headers)
			printf("%*s ", width[f], ls->field[f]->name);
	}
	if (!ls->no_headers)
		putchar('\n');
	for (i = 0; i < ls->source.nr_thins; i++) {
		for (f = 0; f < ls->nr_fields; f++) {
			cell_text(ls, ls->field[f], i, text);
			printf("%*s ", width[f], text);
		}
		putchar('\n');
	}
	free(width);
}

static void print_json(const struct ls *ls)
{
	struct json j;
	size_t i, f;
	u64 value;

	json_begin(&j, stdout);
	json_array(&j, "thins");
	for (i = 0; i < ls->source.nr_thins; i++) {
		json_object(&j, NULL);
		for (f = 0; f < ls->nr_fields; f++)
			if (value_of(ls, ls->field[f], i, &value))
				json_u64(&j, ls->field[f]->name, value);
		json_object_end(&j);
	}
	json_array_end(&j);
	json_end(&j);
}

static bool needs_usage(const struct ls *ls)
{
	size_t f;

	for (f = 0; f < ls->nr_fields; f++)
		if (ls->field[f]->measure >= UNITS_EXCLUSIVE)
			return true;
	return false;
}

static int run(struct ls *ls)
{
	int r = source_open_device(&ls->source, ls->metadata_snap);

	if (r)
		return r;
	r = ls->metadata_snap ? source_open_snapshot(&ls->source, ls->snap_block) :
				source_open_trees(&ls->source);
	if (!r && needs_usage(ls))
		r = ls_usage(&ls->source, &ls->usage);
	tool_progress_end();
	if (!r)
		r = source_still_held(&ls->source);
	if (r)
		return r;
	if (ls->json)
		print_json(ls);
	else
		print_table(ls);
	return 0;
}

int main(int argc, char **argv)
{
	struct ls ls = { };
	int r = -EINVAL, status;

	tool_init("thin2_ls");
	if (parse(&ls, argc, argv, &status)) {
		tool_progress_begin(true);
		r = run(&ls);
		source_close(&ls.source);
		status = tool_end_output(r);
	}
	free(ls.usage);
	free(ls.field);
	return status;
}
