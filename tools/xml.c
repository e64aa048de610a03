// SPDX-License-Identifier: GPL-2.0-only
/*
 * XML writer.
 *
 * v1's tools take an attribute or element that they do not know for an error,
 * but skip comments: what v2 has and v1 has not goes into those.
 */
#include "xml.h"

void xml_escape(FILE *f, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", f);
			break;
		case '<':
			fputs("&lt;", f);
			break;
		case '"':
			fputs("&quot;", f);
			break;
		default:
			fputc(*text, f);
		}
	}
}

static void xml_super_begin(struct pool_writer *w, const struct pool_super *sb)
{
	fputs("<superblock uuid=\"", w->f);
	xml_escape(w->f, sb->uuid);
	fprintf(w->f, "\" time=\"%llu\" transaction=\"%llu\" flags=\"%u\"",
		sb->time, sb->transaction, sb->flags);
	fprintf(w->f, " version=\"%u\" data_block_size=\"%u\" nr_data_blocks=\"%llu\">\n",
		XML_VERSION, sb->data_block_size, sb->nr_data_blocks);
}

static void xml_super_end(struct pool_writer *w)
{
	fputs("</superblock>\n", w->f);
}

static void xml_device_begin(struct pool_writer *w, const struct pool_device *d)
{
	fprintf(w->f, "  <device dev_id=\"%llu\" mapped_blocks=\"%llu\"",
		d->dev_id, d->mapped_blocks);
	fprintf(w->f, " transaction=\"%llu\" creation_time=\"%llu\"",
		d->transaction, d->creation_time);
	fprintf(w->f, " snap_time=\"%llu\">\n", d->snap_time);
}

static void xml_device_end(struct pool_writer *w)
{
	fputs("  </device>\n", w->f);
}

static void xml_map(struct pool_writer *w, const struct pool_map *m)
{
	if (m->kind != PDATA_RANGE_MAPPED)
		fprintf(w->f, "    <!-- %s origin_begin=\"%llu\" length=\"%llu\" -->\n",
			m->kind == PDATA_RANGE_ZERO ? "zero" : "damaged",
			m->begin, m->len);
	else if (m->len == 1)
		fprintf(w->f,
			"    <single_mapping origin_block=\"%llu\" data_block=\"%llu\" time=\"%u\"/>\n",
			m->begin, m->value, m->tag);
	else
		fprintf(w->f,
			"    <range_mapping origin_begin=\"%llu\" data_begin=\"%llu\" length=\"%llu\" time=\"%u\"/>\n",
			m->begin, m->value, m->len, m->tag);
}

const struct pool_writer_ops xml_writer = {
	.super_begin = xml_super_begin,
	.super_end = xml_super_end,
	.device_begin = xml_device_begin,
	.device_end = xml_device_end,
	.map = xml_map,
};
