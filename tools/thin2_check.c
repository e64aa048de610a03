// SPDX-License-Identifier: GPL-2.0-only
/* thin2_check: is this metadata in order? */
#include "check.h"

enum {
	OPT_AUTO_REPAIR = 256,
	OPT_CLEAR_NEEDS_CHECK,
	OPT_IGNORE_NON_FATAL,
	OPT_SUPER_ONLY,
	OPT_SKIP_MAPPINGS,
	OPT_JSON,
};

static const struct option options[] = {
	{ "auto-repair", no_argument, NULL, OPT_AUTO_REPAIR },
	{ "clear-needs-check-flag", no_argument, NULL, OPT_CLEAR_NEEDS_CHECK },
	{ "help", no_argument, NULL, 'h' },
	{ "ignore-non-fatal-errors", no_argument, NULL, OPT_IGNORE_NON_FATAL },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "metadata-snap", no_argument, NULL, 'm' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "skip-mappings", no_argument, NULL, OPT_SKIP_MAPPINGS },
	{ "super-block-only", no_argument, NULL, OPT_SUPER_ONLY },
	{ "version", no_argument, NULL, 'V' },
	{ }
};

static const char usage_text[] =
	"Usage: thin2_check [options] {device|file}\n"
	"Checks the metadata of a thin-pool2.\n\n"
	"      --auto-repair              mend what is counted too high, if that is all\n"
	"      --clear-needs-check-flag   clear the flag if nothing is wrong\n"
	"  -h, --help\n"
	"      --ignore-non-fatal-errors  exit with 1 for fatal errors only\n"
	"      --json                     findings and figures as JSON on stdout\n"
	"  -m, --metadata-snap            check the held snapshot of a pool in use\n"
	"  -q, --quiet                    no output but the exit status\n"
	"      --skip-mappings            leave out mapping trees and space maps\n"
	"      --super-block-only\n"
	"  -V, --version\n";

/* Returns false if the program ends with *status. */
static bool parse_option(struct check *c, int opt, int *status)
{
	switch (opt) {
	case OPT_AUTO_REPAIR:
		c->auto_repair = true;
		return true;
	case OPT_CLEAR_NEEDS_CHECK:
		c->clear_needs_check = true;
		return true;
	case OPT_IGNORE_NON_FATAL:
		c->ignore_non_fatal = true;
		return true;
	case OPT_SUPER_ONLY:
		c->super_only = true;
		return true;
	case OPT_SKIP_MAPPINGS:
		c->skip_mappings = true;
		return true;
	case OPT_JSON:
		c->json = true;
		return true;
	case 'm':
		c->metadata_snap = true;
		return true;
	case 'q':
		c->quiet = true;
		return true;
	case 'h':
		fputs(usage_text, stdout);
		*status = TOOL_OK;
		return false;
	case 'V':
		puts(TOOL_VERSION);
		*status = TOOL_OK;
		return false;
	default:
		fputs(usage_text, stderr);
		*status = TOOL_FAIL;
		return false;
	}
}

static bool parse(struct check *c, int argc, char **argv, int *status)
{
	int opt;

	while ((opt = tool_getopt(argc, argv, "hmqV", options)) != -1)
		if (!parse_option(c, opt, status))
			return false;
	*status = TOOL_FAIL;
	c->path = tool_one_device(argc, argv, usage_text);
	if (!c->path)
		return false;
	if (c->metadata_snap && (c->clear_needs_check || c->auto_repair)) {
		tool_err("a metadata snapshot is only looked at, nothing is changed with it");
		return false;
	}
	if (c->auto_repair && (c->super_only || c->skip_mappings)) {
		tool_err("nothing is repaired but after a full check");
		return false;
	}
	if (c->clear_needs_check && (c->super_only || c->skip_mappings)) {
		tool_err("the needs_check flag is cleared after a full check only");
		return false;
	}
	return true;
}

/*
 * The next superblock must not make count slots valid that a crashed
 * transaction of the same generation left behind: those are written over first.
 */
static int scrub_slots(struct check *c)
{
	struct pdata_array a;
	struct pdata_bm bm;
	int r;

	if (!c->newer_slots)
		return 0;
	pdata_bm_init(&bm, c->io, c->sb.uuid, c->sb.meta_blocks, c->path);
	r = pdata_array_init(&a, &bm, c->sb.meta_groups, pdata_nr_groups(c->sb.meta_blocks),
			     c->sb.generation, c->sb.slots);
	if (r)
		return r;
	r = pdata_array_scrub(&a);
	pdata_array_exit(&a);
	return r;
}

static bool clear_needs_check(struct check *c)
{
	int r;

	if (!(c->sb.flags & PDATA_SB_NEEDS_CHECK))
		return true;
	r = pdata_super_mend(c->io, &c->sb);
	if (!r)
		r = scrub_slots(c);
	if (!r) {
		c->sb.flags &= ~PDATA_SB_NEEDS_CHECK;
		c->sb.generation++;
		r = pdata_super_write(c->io, &c->sb, false);
	}
	if (!r)
		r = pdata_super_write(c->io, &c->sb, true);
	if (r)
		tool_err("%s: cannot clear the needs_check flag: %s", c->path,
			 tool_error(r));
	return !r;
}

static u64 meta_free(const struct check *c)
{
	u64 total = c->sb.meta_blocks - pdata_nr_reserved(c->sb.meta_blocks,
							  c->sb.journal_blocks);

	return total > c->sb.meta_used ? total - c->sb.meta_used : 0;
}

static void print_summary(const struct check *c)
{
	printf("TRANSACTION_ID=%llu\n", c->sb.transaction_id);
	printf("METADATA_FREE_BLOCKS=%llu\n", meta_free(c));
	if (c->super_only)
		return;
	printf("checkpoint %llu: %zu thins, %llu tree nodes, ",
	       c->sb.generation, c->nr_thins - c->nr_tombstones, c->nr_nodes);
	printf("%llu of %llu data units in use\n", c->sb.data_used, c->sb.data_units);
	if (!c->metadata_snap)
		printf("journal: %llu records in %llu blocks to replay\n",
		       c->journal_records, c->journal_blocks);
	if (has_errors(c))
		printf("%llu fatal errors, %llu non-fatal errors\n",
		       c->nr_found[SEV_FATAL], c->nr_found[SEV_LEAK]);
	else
		puts("no errors");
}

static void json_summary(struct check *c, int status)
{
	struct json *j = &c->out;

	json_array_end(j);
	json_u64(j, "fatal_errors", c->nr_found[SEV_FATAL]);
	json_u64(j, "non_fatal_errors", c->nr_found[SEV_LEAK]);
	json_u64(j, "notes", c->nr_found[SEV_NOTE]);
	json_bool(j, "findings_complete", !c->stop_showing);
	json_u64(j, "generation", c->sb.generation);
	json_u64(j, "transaction_id", c->sb.transaction_id);
	json_u64(j, "metadata_free_blocks", c->sb.meta_blocks ? meta_free(c) : 0);
	json_u64(j, "data_units", c->sb.data_units);
	json_u64(j, "data_used_units", c->sb.data_used);
	json_bool(j, "needs_check", c->sb.flags & PDATA_SB_NEEDS_CHECK);
	json_u64(j, "thins", c->nr_thins - c->nr_tombstones);
	json_u64(j, "tombstones", c->nr_tombstones);
	json_u64(j, "nodes", c->nr_nodes);
	json_u64(j, "journal_blocks", c->journal_blocks);
	json_u64(j, "journal_records", c->journal_records);
	json_bool(j, "mended", c->mended);
	json_u64(j, "exit_status", status);
	json_end(j);
}

/* What was mended is looked at once more. */
static bool is_mended(const struct check *c)
{
	struct check again = { .path = c->path, .io = c->io, .quiet = true };
	const bool ok = check_superblocks(&again) && !check_all(&again) && !has_errors(&again);

	check_exit(&again);
	return ok;
}

static int auto_repair(struct check *c)
{
	int r;

	if (!check_can_mend(c)) {
		if (!c->quiet)
			tool_err("%s: there is something to repair: use thin2_repair", c->path);
		return 0;
	}
	r = check_mend(c);
	if (r)
		tool_err("%s: cannot mend it: %s", c->path, tool_error(r));
	else if (!is_mended(c))
		tool_err("%s: there is still something to repair: use thin2_repair", c->path);
	else
		c->mended = true;
	if (c->mended && !c->quiet && !c->json)
		puts("mended: no errors any more");
	return r;
}

static int run(struct check *c)
{
	int r = 0;
	bool usable = check_superblocks(c);

	if (usable && !c->super_only)
		r = c->metadata_snap ? check_snapshot(c) : check_all(c);
	if (r)
		tool_err("%s: %s", c->path, tool_error(r));
	if (usable && !r && c->clear_needs_check && !has_errors(c) && !clear_needs_check(c))
		r = -EIO;
	tool_progress_end();
	if (usable && !c->quiet && !c->json)
		print_summary(c);
	if (usable && !r && c->auto_repair && has_errors(c))
		r = auto_repair(c);
	if (r || c->nr_found[SEV_FATAL])
		return TOOL_FAIL;
	if (c->mended)
		return TOOL_OK;
	return c->nr_found[SEV_LEAK] && (!c->ignore_non_fatal || c->auto_repair) ? TOOL_FAIL :
										   TOOL_OK;
}

int main(int argc, char **argv)
{
	enum tool_open_mode mode = TOOL_READ;
	struct check c = { };
	int status;

	tool_init("thin2_check");
	if (!parse(&c, argc, argv, &status))
		return status;
	if (c.metadata_snap)
		mode = TOOL_LIVE;
	else if (c.clear_needs_check || c.auto_repair)
		mode = TOOL_WRITE;
	c.io = tool_open(c.path, mode);
	if (!c.io)
		return TOOL_FAIL;
	tool_progress_begin(!c.quiet && !c.json);
	if (c.json) {
		json_begin(&c.out, stdout);
		json_array(&c.out, "findings");
	}
	status = run(&c);
	if (c.json)
		json_summary(&c, status);
	tool_close(c.io);
	check_exit(&c);
	return tool_end_output(status);
}
