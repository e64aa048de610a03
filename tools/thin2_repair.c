// SPDX-License-Identifier: GPL-2.0-only
/* thin2_repair: a new pool from what is left of an old one. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io-file.h"
#include "repair.h"

enum {
	OPT_REPORT = 256,
	OPT_TRANSACTION_ID,
	OPT_DATA_BLOCK_SIZE,
	OPT_NR_DATA_BLOCKS,
	OPT_LOST,
	OPT_JSON,
};

static const struct option options[] = {
	{ "data-block-size", required_argument, NULL, OPT_DATA_BLOCK_SIZE },
	{ "help", no_argument, NULL, 'h' },
	{ "input", required_argument, NULL, 'i' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "lost", required_argument, NULL, OPT_LOST },
	{ "nr-data-blocks", required_argument, NULL, OPT_NR_DATA_BLOCKS },
	{ "output", required_argument, NULL, 'o' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "report", required_argument, NULL, OPT_REPORT },
	{ "transaction-id", required_argument, NULL, OPT_TRANSACTION_ID },
	{ "verbose", no_argument, NULL, 'v' },
	{ "version", no_argument, NULL, 'V' },
	{ }
};

static const char usage_text[] =
	"Usage: thin2_repair [options] -i {device|file} -o {device|file}\n"
	"Makes a new pool's metadata from what is left of an old one's.\n\n"
	"      --data-block-size SECTORS  if no superblock is left\n"
	"  -h, --help\n"
	"  -i, --input FILE\n"
	"      --json                     the report as JSON\n"
	"      --lost damaged|unmapped    what lost ranges read as: errors (default), or zeroes\n"
	"      --nr-data-blocks N         size of the data device, in such blocks\n"
	"  -o, --output FILE\n"
	"  -q, --quiet                    no report\n"
	"      --report FILE              where the report goes; stdout by default\n"
	"      --transaction-id N\n"
	"  -v, --verbose\n"
	"  -V, --version\n";

static bool parse_number(const char *option, u64 max, u64 *value, bool *set)
{
	*set = tool_parse_u64(optarg, max, value);
	if (!*set)
		tool_err("%s: '%s' is not a number up to %llu", option, optarg, max);
	return *set;
}

static bool parse_lost(struct repair *r)
{
	r->lost_unmapped = !strcmp(optarg, "unmapped");
	if (r->lost_unmapped || !strcmp(optarg, "damaged"))
		return true;
	tool_err("--lost: '%s' is neither damaged nor unmapped", optarg);
	return false;
}

/* Options with a value. False: it was reported. */
static bool parse_value(struct repair *r, int opt)
{
	switch (opt) {
	case 'i':
		r->input = optarg;
		return true;
	case 'o':
		r->output = optarg;
		return true;
	case OPT_REPORT:
		r->report_file = optarg;
		return true;
	case OPT_LOST:
		return parse_lost(r);
	case OPT_TRANSACTION_ID:
		return parse_number("--transaction-id", ~0ull, &r->transaction,
				    &r->set_transaction);
	case OPT_DATA_BLOCK_SIZE:
		return parse_number("--data-block-size", ~0u, &r->block_size, &r->set_block_size);
	case OPT_NR_DATA_BLOCKS:
		return parse_number("--nr-data-blocks", PDATA_MAX_UNITS, &r->nr_data_blocks,
				    &r->set_nr_blocks);
	default:
		fputs(usage_text, stderr);
		return false;
	}
}

/* Returns false if the program ends with *status. */
static bool parse_option(struct repair *r, int opt, int *status)
{
	*status = TOOL_OK;
	switch (opt) {
	case OPT_JSON:
		r->json = true;
		return true;
	case 'q':
		r->quiet = true;
		return true;
	case 'v':
		r->verbose = true;
		return true;
	case 'h':
		fputs(usage_text, stdout);
		return false;
	case 'V':
		puts(TOOL_VERSION);
		return false;
	default:
		*status = TOOL_FAIL;
		return parse_value(r, opt);
	}
}

static bool parse(struct repair *r, int argc, char **argv, int *status)
{
	int opt;

	while ((opt = tool_getopt(argc, argv, "hi:o:qvV", options)) != -1)
		if (!parse_option(r, opt, status))
			return false;
	*status = TOOL_FAIL;
	if (optind != argc || !r->input || !r->output) {
		tool_err(optind != argc ? "what is '%s'?" : "an input and an output are needed",
			 argv[optind]);
		fputs(usage_text, stderr);
		return false;
	}
	if (r->set_block_size && (!r->block_size || r->block_size % PDATA_UNIT_SECTORS)) {
		tool_err("--data-block-size: not a multiple of %u sectors", PDATA_UNIT_SECTORS);
		return false;
	}
	return true;
}

/* The input is never written to. */
static bool is_same(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* A file that is not there, or smaller than the input, is made as large as that. */
static int grow_file(const struct repair *r, u64 size)
{
	int fd = open(r->output, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;
	int err = 0;

	if (fd < 0 || fstat(fd, &st) || ((u64)st.st_size < size && ftruncate(fd, size)))
		err = -errno;
	if (fd >= 0)
		close(fd);
	if (err)
		tool_err("%s: %s", r->output, strerror(-err));
	return err;
}

static int open_output(struct repair *r)
{
	struct stat in, out;
	int err = 0;

	if (stat(r->input, &in)) {
		tool_err("%s: %s", r->input, strerror(errno));
		return -ENOENT;
	}
	if (stat(r->output, &out)) {
		err = grow_file(r, r->in->nr_blocks * PDATA_BLOCK_SIZE);
	} else if (is_same(&in, &out)) {
		tool_err("input and output are the same");
		err = -EINVAL;
	} else if (S_ISREG(out.st_mode)) {
		err = grow_file(r, r->in->nr_blocks * PDATA_BLOCK_SIZE);
	}
	if (err)
		return err;
	r->out = tool_open(r->output, TOOL_WRITE);
	return r->out ? 0 : -EIO;
}

static void close_both(struct repair *r)
{
	if (r->out)
		tool_close(r->out);
	if (r->in)
		tool_close(r->in);
}

int main(int argc, char **argv)
{
	struct repair r = { };
	int status, err;

	tool_init("thin2_repair");
	if (!parse(&r, argc, argv, &status))
		return status;
	r.in = tool_open(r.input, TOOL_READ);
	err = r.in ? open_output(&r) : -EIO;
	if (err) {
		close_both(&r);
		return TOOL_FAIL;
	}
	tool_progress_begin(!r.quiet);
	err = rp_repair(&r);
	tool_progress_end();
	status = err ? TOOL_FAIL : TOOL_OK;
	if (err)
		tool_err("%s: not repaired: %s", r.input, tool_error(err));
	if (rp_report(&r, status))
		status = TOOL_FAIL;
	rp_exit(&r);
	close_both(&r);
	if (fflush(stdout) || ferror(stdout)) {
		tool_err("cannot write the report");
		return TOOL_FAIL;
	}
	return status;
}
