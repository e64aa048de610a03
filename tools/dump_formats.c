// SPDX-License-Identifier: GPL-2.0-only
/* thin2_dump: the human readable format, line by line as v1's tool has it, and JSON. */
#include "common.h"
#include "pool.h"
#include "xml.h"

/* ---- human readable ---- */

static void human_super_begin(struct pool_writer *w, const struct pool_super *sb)
{
	fprintf(w->f, "begin superblock: \"%s\", %llu, %llu, %u, %u, %u, %llu\n",
		sb->uuid, sb->time, sb->transaction, sb->flags,
		XML_VERSION, sb->data_block_size, sb->nr_data_blocks);
}

static void human_super_end(struct pool_writer *w)
{
	fputs("end superblock\n", w->f);
}

static void human_device_begin(struct pool_writer *w, const struct pool_device *d)
{
	fprintf(w->f, "device: %llu\nmapped_blocks: %llu\n", d->dev_id, d->mapped_blocks);
	fprintf(w->f, "transaction: %llu\ncreation time: %llu\n",
		d->transaction, d->creation_time);
	fprintf(w->f, "snap time: %llu\n", d->snap_time);
}

static void human_device_end(struct pool_writer *w)
{
	fputc('\n', w->f);
}

static void human_map(struct pool_writer *w, const struct pool_map *m)
{
	fprintf(w->f, "    (%llu..%llu) -> ", m->begin, (pdata_range_end(m) - 1));
	if (m->kind == PDATA_RANGE_MAPPED)
		fprintf(w->f, "(%llu..%llu), %u\n", m->value, (m->value + m->len - 1), m->tag);
	else
		fputs(m->kind == PDATA_RANGE_ZERO ? "zero\n" : "damaged\n", w->f);
}

const struct pool_writer_ops human_writer = {
	.super_begin = human_super_begin,
	.super_end = human_super_end,
	.device_begin = human_device_begin,
	.device_end = human_device_end,
	.map = human_map,
};

/* ---- JSON ---- */

static struct json *json_of(struct pool_writer *w)
{
	if (!w->private)
		w->private = tool_alloc(sizeof(struct json));
	return w->private;
}

static void json_super_begin(struct pool_writer *w, const struct pool_super *sb)
{
	struct json *j = json_of(w);

	json_begin(j, w->f);
	json_string(j, "uuid", sb->uuid);
	json_u64(j, "generation", sb->generation);
	json_u64(j, "time", sb->time);
	json_u64(j, "transaction", sb->transaction);
	json_bool(j, "needs_check", sb->flags & 1);
	json_u64(j, "data_block_size", sb->data_block_size);
	json_u64(j, "nr_data_blocks", sb->nr_data_blocks);
	json_array(j, "devices");
}

static void json_super_end(struct pool_writer *w)
{
	struct json *j = json_of(w);

	json_array_end(j);
	json_end(j);
	free(j);
	w->private = NULL;
}

static void json_device_begin(struct pool_writer *w, const struct pool_device *d)
{
	struct json *j = json_of(w);

	json_object(j, NULL);
	json_u64(j, "dev_id", d->dev_id);
	if (d->uid) {
		json_u64(j, "uid", d->uid);
		json_u64(j, "origin_uid", d->origin_uid);
	}
	json_u64(j, "mapped_blocks", d->mapped_blocks);
	json_u64(j, "transaction", d->transaction);
	json_u64(j, "creation_time", d->creation_time);
	json_u64(j, "snap_time", d->snap_time);
	json_array(j, "mappings");
}

static void json_device_end(struct pool_writer *w)
{
	json_array_end(json_of(w));
	json_object_end(json_of(w));
}

static void json_map(struct pool_writer *w, const struct pool_map *m)
{
	struct json *j = json_of(w);

	if (m->kind == PDATA_RANGE_MAPPED)
		json_line(j,
			  "{\"begin\": %llu, \"length\": %llu, \"data_begin\": %llu, \"time\": %u}",
			  m->begin, m->len, m->value, m->tag);
	else
		json_line(j, "{\"begin\": %llu, \"length\": %llu, \"kind\": \"%s\"}",
			  m->begin, m->len,
			  m->kind == PDATA_RANGE_ZERO ? "zero" : "damaged");
}

const struct pool_writer_ops json_writer = {
	.super_begin = json_super_begin,
	.super_end = json_super_end,
	.device_begin = json_device_begin,
	.device_end = json_device_end,
	.map = json_map,
};
