// SPDX-License-Identifier: GPL-2.0-only
/* thin2_stat: what pools do, every few seconds. */
#include "poolstat.h"

#include <signal.h>
#include <time.h>

enum {
	OPT_JSON = 256,
	OPT_PROMETHEUS,
	OPT_RAW,
	OPT_REPLAY,
};

enum format {
	FORMAT_TABLE,
	FORMAT_JSON,
	FORMAT_PROMETHEUS,
	FORMAT_RAW,
};

struct stat_run {
	char **names;
	unsigned int nr_names;
	u64 interval;		/* seconds; 0: once, totals */
	u64 count;		/* 0: until a signal comes */
	bool latency;
	enum format format;
	const char *replay;
	FILE *file;		/* of replay */
	struct live *live;
	sigset_t signals;	/* that end it */
};

static const struct option options[] = {
	{ "count", required_argument, NULL, 'c' },
	{ "help", no_argument, NULL, 'h' },
	{ "interval", required_argument, NULL, 'i' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "latency", no_argument, NULL, 'l' },
	{ "prometheus", no_argument, NULL, OPT_PROMETHEUS },
	{ "raw", no_argument, NULL, OPT_RAW },
	{ "replay", required_argument, NULL, OPT_REPLAY },
	{ "version", no_argument, NULL, 'V' },
	{ }
};

static const char usage_text[] =
	"Usage: thin2_stat [options] [POOL...]\n"
	"What active pools do: totals, or with --interval rates.\n\n"
	"  -c, --count N          as many reports\n"
	"  -h, --help\n"
	"  -i, --interval SECONDS\n"
	"      --json             each report as a JSON object\n"
	"  -l, --latency          (with --interval) of the pools' thins, by dm-stats\n"
	"      --prometheus       totals once, as text for Prometheus\n"
	"      --raw              what the kernel says, for --replay\n"
	"      --replay FILE      report what --raw wrote, at once\n"
	"  -V, --version\n";

/*
 * What dm-stats counts must be ended, so these wait until they are asked for; a
 * closed pipe is an error of writing.
 */
static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	sigprocmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Until the interval is over: false; or one of the signals comes: true. */
static bool wait_or_end(const struct stat_run *st)
{
	struct timespec ts = { .tv_sec = st->interval };

	return !st->replay && sigtimedwait(&st->signals, NULL, &ts) > 0;
}

static bool parse_option(struct stat_run *st, int opt, int *status)
{
	switch (opt) {
	case 'c':
		return tool_parse_arg("--count", optarg, U32_MAX, &st->count);
	case 'i':
		return tool_parse_arg("--interval", optarg, 86400, &st->interval);
	case 'l':
		st->latency = true;
		return true;
	case OPT_JSON:
		st->format = FORMAT_JSON;
		return true;
	case OPT_PROMETHEUS:
		st->format = FORMAT_PROMETHEUS;
		return true;
	case OPT_RAW:
		st->format = FORMAT_RAW;
		return true;
	case OPT_REPLAY:
		st->replay = optarg;
		return true;
	default:
		return tool_help_option(opt, usage_text, status);
	}
}

static bool parse(struct stat_run *st, int argc, char **argv, int *status)
{
	int opt;

	*status = TOOL_FAIL;
	while ((opt = tool_getopt(argc, argv, "c:hi:lV", options)) != -1)
		if (!parse_option(st, opt, status))
			return false;
	st->names = argv + optind;
	st->nr_names = argc - optind;
	if (st->latency && !st->interval && !st->replay)
		tool_err("--latency goes with --interval");
	else if (st->count && !st->interval && !st->replay)
		tool_err("--count goes with --interval");
	else if (st->format == FORMAT_PROMETHEUS && st->interval)
		tool_err("--prometheus and --interval exclude each other");
	else if (st->replay && st->nr_names)
		tool_err("--replay takes no pools");
	else
		return true;
	fputs(usage_text, stderr);
	return false;
}

/* Return: 1, 0 if there is no other one, or a negated errno, reported. */
static int next_sample(struct stat_run *st, struct sample *s)
{
	int r;

	if (st->replay)
		return sample_read(st->file, s);
	r = live_sample(st->live, s, st->format == FORMAT_RAW ? stdout : NULL);
	return r ? r : 1;
}

static void report(const struct stat_run *st, const struct sample *old, const struct sample *s)
{
	switch (st->format) {
	case FORMAT_TABLE:
		print_table(old, s);
		break;
	case FORMAT_JSON:
		print_json(old, s);
		break;
	case FORMAT_PROMETHEUS:
		print_prometheus(s);
		break;
	case FORMAT_RAW:
		break;
	}
}

static bool written(void)
{
	return !fflush(stdout) && !ferror(stdout);
}

/*
 * Rates: the first sample is what the second one is compared with. A sample that
 * fails is empty.
 */
static int report_rates(struct stat_run *st)
{
	struct sample old, new;
	int r = next_sample(st, &old);
	bool end = false;
	u64 n = 0;

	while (r > 0 && !end && written()) {
		/* A last report of less than an interval comes after a signal. */
		end = wait_or_end(st);
		r = next_sample(st, &new);
		if (r <= 0)
			break;
		report(st, &old, &new);
		sample_free(&old);
		old = new;
		if (++n == st->count)
			break;
	}
	sample_free(&old);
	return r < 0 ? r : 0;
}

static int report_totals(struct stat_run *st)
{
	struct sample s;
	int r = next_sample(st, &s);

	if (!r)
		tool_err("%s: there is nothing in it", st->replay);
	if (r <= 0)
		return r ? r : -EINVAL;
	report(st, NULL, &s);
	sample_free(&s);
	return 0;
}

static int run(struct stat_run *st)
{
	int r = -EIO;

	if (st->replay) {
		st->file = fopen(st->replay, "r");
		if (!st->file)
			tool_err("%s: %s", st->replay, strerror(errno));
	} else {
		block_signals(&st->signals);
		st->live = live_open(st->names, st->nr_names, st->latency);
	}
	if (st->file || st->live)
		r = st->interval ? report_rates(st) : report_totals(st);
	if (st->live)
		live_close(st->live);
	if (st->file)
		fclose(st->file);
	return r;
}

int main(int argc, char **argv)
{
	struct stat_run st = { };
	int status;

	tool_init("thin2_stat");
	if (!parse(&st, argc, argv, &status))
		return status;
	return tool_end_output(run(&st));
}
