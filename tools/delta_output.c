// SPDX-License-Identifier: GPL-2.0-only
/* thin2_delta: XML as v1's tool has it, and JSON. */
#include "delta.h"

static const char * const name[] = {
	[DELTA_SAME] = "same",
	[DELTA_DIFFERENT] = "different",
	[DELTA_LEFT] = "left_only",
	[DELTA_RIGHT] = "right_only",
	[DELTA_DAMAGED] = "damaged",
};

static bool has_left(enum delta_kind kind)
{
	return kind == DELTA_SAME || kind == DELTA_DIFFERENT || kind == DELTA_LEFT;
}

static bool has_right(enum delta_kind kind)
{
	return kind == DELTA_DIFFERENT || kind == DELTA_RIGHT;
}

static bool continues(const struct delta_output *o, const struct delta_part *a,
		      const struct delta_part *p)
{
	if (!a->len || a->kind != p->kind || a->begin + a->len != p->begin)
		return false;
	if (!o->verbose)
		return true;
	return (!has_left(p->kind) || a->left + a->len == p->left) &&
	       (!has_right(p->kind) || a->right + a->len == p->right);
}

static void close_element(struct delta_output *o)
{
	if (o->open != DELTA_NONE && o->open != DELTA_DAMAGED)
		printf("    </%s>\n", name[o->open]);
	o->open = DELTA_NONE;
}

static void xml_verbose(struct delta_output *o, const struct delta_part *p)
{
	if (o->open != p->kind) {
		close_element(o);
		printf("    <%s>\n", name[p->kind]);
		o->open = p->kind;
	}
	printf("      <range begin=\"%llu\"", p->begin);
	if (p->kind == DELTA_DIFFERENT)
		printf(" left_data_begin=\"%llu\" right_data_begin=\"%llu\"", p->left, p->right);
	else
		printf(" data_begin=\"%llu\"", has_left(p->kind) ? p->left : p->right);
	printf(" length=\"%llu\"/>\n", p->len);
}

static void xml_part(struct delta_output *o, const struct delta_part *p)
{
	if (p->kind == DELTA_DAMAGED) {
		close_element(o);
		printf("    <!-- damaged begin=\"%llu\" length=\"%llu\" -->\n", p->begin, p->len);
	} else if (o->verbose) {
		xml_verbose(o, p);
	} else {
		printf("    <%s begin=\"%llu\" length=\"%llu\"/>\n", name[p->kind], p->begin,
		       p->len);
	}
}

static void json_part(struct delta_output *o, const struct delta_part *p)
{
	char left[40] = "", right[40] = "";

	if (o->verbose && has_left(p->kind))
		snprintf(left, sizeof(left), ", \"left_data_begin\": %llu", p->left);
	if (o->verbose && p->kind == DELTA_SAME)
		snprintf(right, sizeof(right), ", \"right_data_begin\": %llu", p->left);
	else if (o->verbose && has_right(p->kind))
		snprintf(right, sizeof(right), ", \"right_data_begin\": %llu", p->right);
	json_line(&o->j, "{\"kind\": \"%s\", \"begin\": %llu, \"length\": %llu%s%s}",
		  name[p->kind], p->begin, p->len, left, right);
}

static void flush_last(struct delta_output *o)
{
	if (!o->last.len)
		return;
	if (o->json)
		json_part(o, &o->last);
	else
		xml_part(o, &o->last);
	o->last.len = 0;
}

void delta_part(void *context, const struct delta_part *p)
{
	struct delta_output *o = context;

	if (p->kind == DELTA_SAME && o->skip_same)
		return;
	if (continues(o, &o->last, p)) {
		o->last.len += p->len;
		return;
	}
	flush_last(o);
	o->last = *p;
}

static void xml_begin(const struct delta_output *o)
{
	static const char * const side[] = { "left", "right" };
	unsigned int i;

	printf("<superblock uuid=\"\" time=\"%u\" transaction=\"%llu\"", o->sb->time,
	       o->sb->transaction_id);
	printf(" data_block_size=\"%u\" nr_data_blocks=\"%llu\">\n  <diff", PDATA_UNIT_SECTORS,
	       o->sb->data_units);
	for (i = 0; i < 2; i++)
		printf(" %s%s=\"%llu\"", side[i], o->by_root[i] ? "_root" : "", o->side[i]);
	puts(">");
}

void delta_begin(struct delta_output *o)
{
	if (!o->json) {
		xml_begin(o);
		return;
	}
	json_begin(&o->j, stdout);
	json_u64(&o->j, "time", o->sb->time);
	json_u64(&o->j, "transaction", o->sb->transaction_id);
	json_u64(&o->j, "data_block_size", PDATA_UNIT_SECTORS);
	json_u64(&o->j, "nr_data_blocks", o->sb->data_units);
	json_u64(&o->j, o->by_root[0] ? "left_root" : "left", o->side[0]);
	json_u64(&o->j, o->by_root[1] ? "right_root" : "right", o->side[1]);
	json_array(&o->j, "ranges");
}

void delta_end(struct delta_output *o)
{
	flush_last(o);
	if (o->json) {
		json_array_end(&o->j);
		json_end(&o->j);
		return;
	}
	close_element(o);
	puts("  </diff>\n</superblock>");
}
