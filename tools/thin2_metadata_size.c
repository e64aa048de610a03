// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_metadata_size: how large should a metadata device be?
 *
 * An estimate from the format, for a pool that is full of ranges of one block, each
 * somewhere else. Documentation/man/thin2_metadata_size.8 explains it.
 */
#include "common.h"
#include "pdata-layout.h"

/* Bytes of a packed record whose places are far from the last one's. */
#define MAP_BYTES	12u
#define COUNT_BYTES	4u
/* Leaves and nodes that have split at random are that full. */
#define FILL_PERCENT	69u
/* A thin's entries in the details trees, and a leaf and two nodes of its own. */
#define DETAILS_TREES	2u
#define DETAILS_FANOUT	26u
#define THIN_BLOCKS	3u
/* New versions beside the old ones until a commit: a merge's, and the reserve. */
#define DIRTY_BLOCKS	8192u
#define RESERVE_BLOCKS	1024u

enum {
	OPT_JSON = 256,
};

struct size {
	u64 block_size;		/* bytes */
	u64 pool_size;
	u64 max_thins;
	char unit;
	bool numeric;
	bool numeric_short;
	bool numeric_long;
	bool json;

	/* Blocks of metadata. */
	u64 mappings;
	u64 counts;
	u64 thins;
	u64 headroom;
	u64 fixed;
	u64 total;
};

struct unit {
	char letter;
	const char *name;
	double factor;
};

static const struct unit units[] = {
	{ 'b', "bytes", 1 },
	{ 's', "sectors", 512 },
	{ 'k', "kibibytes", 1024.0 },
	{ 'K', "kilobytes", 1e3 },
	{ 'm', "mebibytes", 1024.0 * 1024 },
	{ 'M', "megabytes", 1e6 },
	{ 'g', "gibibytes", 1024.0 * 1024 * 1024 },
	{ 'G', "gigabytes", 1e9 },
	{ 't', "tebibytes", 1024.0 * 1024 * 1024 * 1024 },
	{ 'T', "terabytes", 1e12 },
	{ 'p', "pebibytes", 1024.0 * 1024 * 1024 * 1024 * 1024 },
	{ 'P', "petabytes", 1e15 },
	{ 'e', "exbibytes", 1024.0 * 1024 * 1024 * 1024 * 1024 * 1024 },
	{ 'E', "exabytes", 1e18 },
	{ 'z', "zebibytes", 1024.0 * 1024 * 1024 * 1024 * 1024 * 1024 * 1024 },
	{ 'Z', "zettabytes", 1e21 },
	{ 'y', "yobibytes", 1024.0 * 1024 * 1024 * 1024 * 1024 * 1024 * 1024 * 1024 },
	{ 'Y', "yottabytes", 1e24 },
};

static const struct option options[] = {
	{ "block-size", required_argument, NULL, 'b' },
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "max-thins", required_argument, NULL, 'm' },
	{ "numeric-only", optional_argument, NULL, 'n' },
	{ "pool-size", required_argument, NULL, 's' },
	{ "unit", required_argument, NULL, 'u' },
	{ "version", no_argument, NULL, 'V' },
	{ }
};

static const char usage_text[] =
	"Usage: thin2_metadata_size [options] -b SIZE -s SIZE -m N\n"
	"Estimates the size of the metadata device of a thin-pool2.\n\n"
	"  -b, --block-size SIZE[bskKmMgGtTpPeEzZyY]  of which most of what is written is,\n"
	"                                             4 KiB at least\n"
	"  -h, --help\n"
	"      --json                                 with the parts of the estimate\n"
	"  -m, --max-thins N[kKmMgG...]               thins and snapshots\n"
	"  -n, --numeric-only[=short|long]            the number only (with its unit)\n"
	"  -s, --pool-size SIZE[bskKmMgGtTpPeEzZyY]   of the data device\n"
	"  -u, --unit bskKmMgGtTpPeEzZyY              of the output; default: sectors\n"
	"  -V, --version\n"
	"Sizes without a unit are in sectors.\n";

/* ---- sizes as text ---- */

/* A letter, or the beginning of a name. */
static const struct unit *find_unit(const char *text)
{
	const size_t len = strlen(text);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(units); i++)
		if (len == 1 ? *text == units[i].letter :
			       len && !strncmp(text, units[i].name, len))
			return &units[i];
	return NULL;
}

/* A number with a unit; @def is one without. */
static bool parse_size(const char *option, char def, u64 *value)
{
	const char default_unit[] = { def, '\0' };
	const struct unit *unit;
	double size;
	char *end;

	if (*optarg < '0' || *optarg > '9') {
		tool_err("%s: '%s' is not a number", option, optarg);
		return false;
	}
	size = strtod(optarg, &end);
	unit = find_unit(*end ? end : default_unit);
	if (!unit) {
		tool_err("%s: '%s' is no unit", option, end);
		return false;
	}
	size *= unit->factor;
	if (size >= 18446744073709551615.0) {
		tool_err("%s: %s is too large", option, optarg);
		return false;
	}
	*value = size;
	return true;
}

/* Returns false if the program ends with *status. */
static bool parse_option(struct size *s, int opt, int *status)
{
	*status = TOOL_FAIL;
	switch (opt) {
	case 'b':
		return parse_size("--block-size", 's', &s->block_size);
	case 's':
		return parse_size("--pool-size", 's', &s->pool_size);
	case 'm':
		return parse_size("--max-thins", 'b', &s->max_thins);
	case 'n':
		s->numeric = true;
		s->numeric_short = optarg && !strcmp(optarg, "short");
		s->numeric_long = optarg && !strcmp(optarg, "long");
		if (!optarg || s->numeric_short || s->numeric_long)
			return true;
		tool_err("--numeric-only: '%s' is neither short nor long", optarg);
		return false;
	case 'u':
		if (find_unit(optarg)) {
			s->unit = find_unit(optarg)->letter;
			return true;
		}
		tool_err("--unit: '%s' is no unit", optarg);
		return false;
	case OPT_JSON:
		s->json = true;
		return true;
	default:
		return tool_help_option(opt, usage_text, status);
	}
}

static bool parse(struct size *s, int argc, char **argv, int *status)
{
	int opt;

	while ((opt = tool_getopt(argc, argv, "b:hm:n::s:u:V", options)) != -1)
		if (!parse_option(s, opt, status))
			return false;
	*status = TOOL_FAIL;
	if (optind != argc)
		tool_err("'%s' is not an option", argv[optind]);
	else if (!s->block_size)
		tool_err("block size required!");
	else if (!s->pool_size)
		tool_err("pool size required!");
	else if (!s->max_thins)
		tool_err("max thins required!");
	else if (s->block_size < PDATA_BLOCK_SIZE)
		tool_err("the block size is 4 KiB at least");
	else if (s->pool_size < s->block_size)
		tool_err("the pool is smaller than a block");
	else if (s->pool_size / PDATA_BLOCK_SIZE > PDATA_MAX_UNITS || s->max_thins > U32_MAX)
		tool_err("that is more than a pool can have");
	else
		return true;
	return false;
}

/* ---- the estimate ---- */

/* A tree whose leaves take @bytes of records. */
static u64 tree_blocks(u64 bytes)
{
	u64 leaves = DIV_ROUND_UP_ULL(bytes * 100, PDATA_LEAF_PAYLOAD * FILL_PERCENT);

	return leaves + DIV_ROUND_UP_ULL(leaves * 100, PDATA_RANGE_FANOUT * FILL_PERCENT) + 2;
}

static void estimate(struct size *s)
{
	const u64 ranges = s->pool_size / s->block_size;
	u64 trees, journal, groups, before;

	s->mappings = tree_blocks(ranges * MAP_BYTES);
	s->counts = tree_blocks(ranges * COUNT_BYTES);
	s->thins = s->max_thins * THIN_BLOCKS +
		   DETAILS_TREES * (2 + DIV_ROUND_UP_ULL(s->max_thins * 100,
							 DETAILS_FANOUT * FILL_PERCENT));
	trees = s->mappings + s->counts + s->thins;
	s->headroom = min_t(u64, trees, DIRTY_BLOCKS) + RESERVE_BLOCKS;

	/* Superblocks, counts and journal grow with the device that they are on. */
	s->total = max(trees + s->headroom, (u64)PDATA_MIN_BLOCKS);
	do {
		before = s->total;
		journal = pdata_journal_default(s->total);
		groups = DIV_ROUND_UP_ULL(s->total, PDATA_COUNTS_PER_BLOCK);
		s->fixed = 3 + 2 * groups + journal;
		s->total = max(trees + s->headroom + s->fixed, (u64)PDATA_MIN_BLOCKS);
	} while (s->total > before);
}

/* ---- output ---- */

static void print_text(const struct size *s)
{
	const char letter[] = { s->unit, '\0' };
	const struct unit *unit = find_unit(letter);
	const double size = (double)s->total * PDATA_BLOCK_SIZE / unit->factor;

	if (size == (double)(u64)size)
		printf("%llu", (u64)size);
	else
		printf("%.2f", size);
	if (s->numeric_short)
		putchar(unit->letter);
	else if (s->numeric_long)
		fputs(unit->name, stdout);
	else if (!s->numeric)
		printf(" %s", unit->name);
	putchar('\n');
}

static void print_json(const struct size *s)
{
	struct json j;

	json_begin(&j, stdout);
	json_u64(&j, "bytes", s->total * PDATA_BLOCK_SIZE);
	json_u64(&j, "blocks", s->total);
	json_u64(&j, "mapping_blocks", s->mappings);
	json_u64(&j, "count_blocks", s->counts);
	json_u64(&j, "thin_blocks", s->thins);
	json_u64(&j, "headroom_blocks", s->headroom);
	json_u64(&j, "fixed_blocks", s->fixed);
	json_end(&j);
}

int main(int argc, char **argv)
{
	struct size s = { .unit = 's' };
	int status;

	tool_init("thin2_metadata_size");
	if (!parse(&s, argc, argv, &status))
		return status;
	estimate(&s);
	if (s.json)
		print_json(&s);
	else
		print_text(&s);
	return tool_end_output(0);
}
