// SPDX-License-Identifier: GPL-2.0-only
/* thin2_check: one line for each finding. */
#include "check.h"

/* A pool that has lost a space map must not fill the user's disk with lines. */
#define MAX_SHOWN	1000

static const char * const severity_text[SEV_NR] = { "note", "error (non-fatal)", "error" };
static const char * const severity_json[SEV_NR] = { "note", "non-fatal", "fatal" };

static void print_number(const struct finding *f, u64 v)
{
	if (!strcmp(f->what, "crc") || !strcmp(f->what, "magic") || !strcmp(f->what, "leaf_sum"))
		fprintf(stderr, "%#llx", v);
	else
		fprintf(stderr, "%llu", v);
}

static void report_text(const struct finding *f)
{
	fprintf(stderr, "%s: %s", severity_text[f->severity], f->type);
	if (f->block != NO_BLOCK && f->nr_blocks > 1)
		fprintf(stderr, ", blocks %llu..%llu", f->block, f->block + f->nr_blocks - 1);
	else if (f->block != NO_BLOCK)
		fprintf(stderr, ", block %llu", f->block);
	if (f->has_id)
		fprintf(stderr, ", thin %u", f->id);
	if (f->uid)
		fprintf(stderr, ", uid %llu", f->uid);
	if (f->unit)
		fprintf(stderr, ", %s %llu..%llu", f->unit, f->begin, f->end - 1);
	fprintf(stderr, ": %s", f->what);
	if (f->has_values) {
		fputs(": expected ", stderr);
		print_number(f, f->expected);
		fputs(", found ", stderr);
		print_number(f, f->found);
	}
	if (f->text)
		fprintf(stderr, " (%s)", f->text);
	fputc('\n', stderr);
}

static void report_json(struct check *c, const struct finding *f)
{
	struct json *j = &c->out;

	json_object(j, NULL);
	json_string(j, "severity", severity_json[f->severity]);
	json_string(j, "type", f->type);
	json_string(j, "what", f->what);
	if (f->block != NO_BLOCK) {
		json_u64(j, "block", f->block);
		json_u64(j, "nr_blocks", f->nr_blocks ? f->nr_blocks : 1);
	}
	if (f->has_id)
		json_u64(j, "dev_id", f->id);
	if (f->uid)
		json_u64(j, "uid", f->uid);
	if (f->unit) {
		json_string(j, "unit", f->unit);
		json_u64(j, "begin", f->begin);
		json_u64(j, "end", f->end);
	}
	if (f->has_values) {
		json_u64(j, "expected", f->expected);
		json_u64(j, "found", f->found);
	}
	if (f->text)
		json_string(j, "text", f->text);
	json_object_end(j);
}

void report(struct check *c, const struct finding *f)
{
	c->nr_found[f->severity]++;
	if (c->quiet && !c->json)
		return;
	if (++c->nr_shown > MAX_SHOWN) {
		if (!c->stop_showing && !c->json)
			fputs("further findings are counted only\n", stderr);
		c->stop_showing = true;
		return;
	}
	if (c->json) {
		report_json(c, f);
	} else {
		tool_progress_end();
		report_text(f);
	}
}

bool has_errors(const struct check *c)
{
	return c->nr_found[SEV_FATAL] || c->nr_found[SEV_LEAK];
}
