// SPDX-License-Identifier: GPL-2.0-only
/* thin2_restore: a pool's metadata from text. */
#include "restore.h"

enum {
	OPT_BLOCK_SIZE = 256,
	OPT_NR_BLOCKS,
	OPT_TRANSACTION,
};

struct restore {
	struct restore_xml xml;
	const char *output;
	bool quiet;
};

static const struct option options[] = {
	{ "data-block-size", required_argument, NULL, OPT_BLOCK_SIZE },
	{ "help", no_argument, NULL, 'h' },
	{ "input", required_argument, NULL, 'i' },
	{ "nr-data-blocks", required_argument, NULL, OPT_NR_BLOCKS },
	{ "output", required_argument, NULL, 'o' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "transaction-id", required_argument, NULL, OPT_TRANSACTION },
	{ "version", no_argument, NULL, 'V' },
	{ }
};

static const char usage_text[] =
	"Usage: thin2_restore [options] -i XML -o {device|file}\n"
	"Writes the metadata of a thin-pool2 from what thin_dump or thin2_dump wrote.\n\n"
	"      --data-block-size SECTORS  instead of what the XML says\n"
	"  -h, --help\n"
	"  -i, --input FILE\n"
	"      --nr-data-blocks N         instead of what the XML says\n"
	"  -o, --output DEVICE|FILE       all that is on it is lost\n"
	"  -q, --quiet                    no messages but errors\n"
	"      --transaction-id N         instead of what the XML says\n"
	"  -V, --version\n";

static bool parse_number(const char *option, u64 max, u64 *value, bool *set)
{
	*set = tool_parse_arg(option, optarg, max, value);
	return *set;
}

/* Returns false if the program ends with *status. */
static bool parse_option(struct restore *t, int opt, int *status)
{
	struct restore_override *o = &t->xml.override;

	*status = TOOL_FAIL;
	switch (opt) {
	case OPT_BLOCK_SIZE:
		return parse_number("--data-block-size", U32_MAX, &o->block_size,
				    &o->block_size_set);
	case OPT_NR_BLOCKS:
		return parse_number("--nr-data-blocks", ~0ull, &o->nr_blocks, &o->nr_blocks_set);
	case OPT_TRANSACTION:
		return parse_number("--transaction-id", ~0ull, &o->transaction,
				    &o->transaction_set);
	case 'i':
		t->xml.x.path = optarg;
		return true;
	case 'o':
		t->output = optarg;
		return true;
	case 'q':
		t->quiet = true;
		return true;
	default:
		return tool_help_option(opt, usage_text, status);
	}
}

static bool parse(struct restore *t, int argc, char **argv, int *status)
{
	int opt;

	while ((opt = tool_getopt(argc, argv, "hi:o:qV", options)) != -1)
		if (!parse_option(t, opt, status))
			return false;
	*status = TOOL_FAIL;
	if (optind != argc)
		tool_err("'%s' is not an option", argv[optind]);
	else if (!t->xml.x.path)
		tool_err("no input file given");
	else if (!t->output)
		tool_err("no output device given");
	else
		return true;
	fputs(usage_text, stderr);
	return false;
}

static int run(struct restore *t)
{
	struct pdata_io *io;
	int r;

	tool_progress_begin(!t->quiet);
	r = restore_survey(&t->xml);
	if (r)
		return r;
	io = tool_open(t->output, TOOL_WRITE);
	if (!io)
		return -EIO;
	if (io->nr_blocks < PDATA_MIN_BLOCKS) {
		tool_err("%s: has %llu blocks of 4 KiB, the smallest metadata has %u", t->output,
			 io->nr_blocks, PDATA_MIN_BLOCKS);
		r = -EINVAL;
	} else {
		r = restore_build(&t->xml, io);
	}
	tool_close(io);
	tool_progress_end();
	if (!r && t->xml.births_lie && !t->quiet)
		tool_err("note: data that thins share is said to be newer than their last snapshots; all of it is taken for shared until a write asks");
	return r;
}

int main(int argc, char **argv)
{
	struct restore t = { };
	int r, status;

	tool_init("thin2_restore");
	if (!parse(&t, argc, argv, &status))
		return status;
	r = run(&t);
	restore_xml_exit(&t.xml);
	return r ? TOOL_FAIL : TOOL_OK;
}
