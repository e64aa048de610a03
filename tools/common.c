// SPDX-License-Identifier: GPL-2.0-only
/* What all tools share. */
#include "common.h"

#include <time.h>
#include <unistd.h>

const char *tool_name = "thin2";

void tool_init(const char *name)
{
	tool_name = name;
	pdata_shim_quiet = true;
	/* A damaged pool must not abort a tool that was run to find the damage. */
	pdata_shim_warn_fatal = false;
}

void tool_err(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", tool_name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

int tool_getopt(int argc, char **argv, const char *shorts, const struct option *longs)
{
	int c;

	opterr = 0;
	c = getopt_long(argc, argv, shorts, longs, NULL);
	if (c == ':')
		tool_err("option '%s' needs an argument", argv[optind - 1]);
	else if (c == '?' && optopt && strchr(shorts, optopt))
		tool_err("option '-%c' needs an argument", optopt);
	else if (c == '?' && optopt)
		tool_err("bad use of option '%s'", argv[optind - 1]);
	else if (c == '?')
		tool_err("unrecognized option '%s'", argv[optind - 1]);
	return c == ':' ? '?' : c;
}

bool tool_help_option(int opt, const char *usage, int *status)
{
	*status = opt == 'h' || opt == 'V' ? TOOL_OK : TOOL_FAIL;
	if (opt == 'V')
		puts(TOOL_VERSION);
	else
		fputs(usage, opt == 'h' ? stdout : stderr);
	return false;
}

const char *tool_one_device(int argc, char **argv, const char *usage)
{
	if (optind + 1 == argc)
		return argv[optind];
	tool_err(optind == argc ? "no metadata device given" : "one device at a time");
	fputs(usage, stderr);
	return NULL;
}

int tool_end_output(int r)
{
	if (!fflush(stdout) && !ferror(stdout))
		return r ? TOOL_FAIL : TOOL_OK;
	tool_err("cannot write the output: %s", strerror(errno));
	return TOOL_FAIL;
}

bool tool_parse_u64(const char *text, u64 max, u64 *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return !errno && !*end && *value <= max;
}

bool tool_parse_arg(const char *option, const char *text, u64 max, u64 *value)
{
	if (tool_parse_u64(text, max, value))
		return true;
	tool_err("%s: '%s' is not a number up to %llu", option, text, max);
	return false;
}

void tool_size_text(u64 bytes, char *text, size_t size)
{
	static const char * const unit[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	unsigned int i = 0;
	u64 rest = 0;

	while (bytes > 8192 && i + 1 < ARRAY_SIZE(unit)) {
		rest = bytes % 1024;
		bytes /= 1024;
		i++;
	}
	snprintf(text, size, "%llu%s", bytes + (rest >= 512), bytes ? unit[i] : "");
}

static void *tool_got(void *p)
{
	if (!p) {
		tool_err("out of memory");
		exit(TOOL_FAIL);
	}
	return p;
}

void *tool_alloc(size_t size)
{
	return tool_got(calloc(1, size));
}

void *tool_realloc(void *p, size_t size)
{
	return tool_got(realloc(p, size));
}

char *tool_strdup(const char *text)
{
	return tool_got(strdup(text));
}

void *tool_block(void)
{
	return tool_got(pdata_block_alloc(GFP_NOIO));
}

const char *tool_error(int r)
{
	return r < 0 && r > -PDATA_E_FIRST ? strerror(-r) : pdata_error_text(r);
}

const char *tool_super_error(int r)
{
	switch (r) {
	case -PDATA_E_NOT_V2:
		return "no thin-pool2 metadata (metadata of v1 is for the thin_* tools)";
	case PDATA_SB_ZEROED:
		return "not formatted: the first block is all zero";
	default:
		return tool_error(r);
	}
}

/* ---- progress ---- */

static struct {
	bool enabled;
	bool shown;
	time_t start;
	time_t last;
	unsigned int calls;
} progress;

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

void tool_progress_begin(bool enabled)
{
	memset(&progress, 0, sizeof(progress));
	progress.enabled = enabled && isatty(STDERR_FILENO);
	progress.start = now();
	progress.last = progress.start + 1;
}

void tool_progress(const char *what, u64 done, u64 total)
{
	if (progress.enabled && !(++progress.calls % 256))
		tool_progress_now(what, done, total);
}

void tool_progress_now(const char *what, u64 done, u64 total)
{
	time_t t;

	if (!progress.enabled)
		return;
	t = now();
	if (t <= progress.last)
		return;
	progress.last = t;
	progress.shown = true;
	if (total)
		fprintf(stderr, "\r\033[K%s: %s: %llu%%", tool_name, what,
			(done * 100 / total));
	else
		fprintf(stderr, "\r\033[K%s: %s: %llu", tool_name, what, done);
	fflush(stderr);
}

void tool_progress_end(void)
{
	if (progress.shown)
		fputs("\r\033[K", stderr);
	progress.shown = false;
}

/* ---- JSON ---- */

static void json_key(struct json *j, const char *key)
{
	unsigned int i;

	if (!j->first)
		fputc(',', j->f);
	j->first = false;
	fputc('\n', j->f);
	for (i = 0; i < j->depth; i++)
		fputs("  ", j->f);
	if (key)
		fprintf(j->f, "\"%s\": ", key);
}

static void json_open(struct json *j, char c)
{
	fputc(c, j->f);
	j->depth++;
	j->first = true;
}

static void json_close(struct json *j, char c)
{
	unsigned int i;

	j->depth--;
	if (!j->first) {
		fputc('\n', j->f);
		for (i = 0; i < j->depth; i++)
			fputs("  ", j->f);
	}
	j->first = false;
	fputc(c, j->f);
}

void json_begin(struct json *j, FILE *f)
{
	j->f = f;
	j->depth = 0;
	json_open(j, '{');
}

void json_end(struct json *j)
{
	json_close(j, '}');
	fputc('\n', j->f);
}

void json_object(struct json *j, const char *key)
{
	json_key(j, key);
	json_open(j, '{');
}

void json_object_end(struct json *j)
{
	json_close(j, '}');
}

void json_array(struct json *j, const char *key)
{
	json_key(j, key);
	json_open(j, '[');
}

void json_array_end(struct json *j)
{
	json_close(j, ']');
}

void json_u64(struct json *j, const char *key, u64 value)
{
	json_key(j, key);
	fprintf(j->f, "%llu", value);
}

void json_number(struct json *j, const char *key, const char *text)
{
	json_key(j, key);
	fputs(text, j->f);
}

void json_bool(struct json *j, const char *key, bool value)
{
	json_key(j, key);
	fputs(value ? "true" : "false", j->f);
}

void json_string(struct json *j, const char *key, const char *value)
{
	const unsigned char *p;

	json_key(j, key);
	fputc('"', j->f);
	for (p = (const unsigned char *)value; *p; p++) {
		if (*p == '"' || *p == '\\')
			fprintf(j->f, "\\%c", *p);
		else if (*p < 0x20 || *p >= 0x7f)
			fprintf(j->f, "\\u%04x", *p);
		else
			fputc(*p, j->f);
	}
	fputc('"', j->f);
}

void json_line(struct json *j, const char *fmt, ...)
{
	va_list args;

	json_key(j, NULL);
	va_start(args, fmt);
	vfprintf(j->f, fmt, args);
	va_end(args);
}

void tool_uuid_text(const u8 *uuid, char *text)
{
	unsigned int i;
	char *p = text;

	for (i = 0; i < PDATA_UUID_SIZE; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		p += sprintf(p, "%02x", uuid[i]);
	}
}
