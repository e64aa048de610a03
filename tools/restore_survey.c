// SPDX-License-Identifier: GPL-2.0-only
/* thin2_restore: the first run, which checks; and checks that the second shares. */
#include "restore.h"

/* v1's and v2's smallest and largest block, sectors. */
#define MIN_BLOCK	PDATA_UNIT_SECTORS
#define MAX_BLOCK	2097152u

struct survey {
	struct restore_xml *xml;
	struct claims *claims;
	struct similar *similar;
	struct restore_def *def;	/* the one being defined */
	u32 snap_time;
};

/* ---- for both runs ---- */

int restore_super(struct restore_xml *s, const struct pool_super *sb)
{
	const struct restore_override *o = &s->override;

	s->sb = *sb;
	if (o->transaction_set)
		s->sb.transaction = o->transaction;
	if (o->block_size_set)
		s->sb.data_block_size = o->block_size;
	if (o->nr_blocks_set)
		s->sb.nr_data_blocks = o->nr_blocks;
	if (s->sb.data_block_size < MIN_BLOCK || s->sb.data_block_size > MAX_BLOCK ||
	    s->sb.data_block_size % MIN_BLOCK)
		return xml_fail(&s->x, "data_block_size: %u is no multiple of %u up to %u",
				s->sb.data_block_size, MIN_BLOCK, MAX_BLOCK);
	s->scale = s->sb.data_block_size / PDATA_UNIT_SECTORS;
	if (s->sb.nr_data_blocks > PDATA_MAX_UNITS / s->scale)
		return xml_fail(&s->x, "nr_data_blocks: %llu is more than a pool can have",
				s->sb.nr_data_blocks);
	s->data_units = s->sb.nr_data_blocks * s->scale;
	return 0;
}

int restore_range(struct restore_xml *s, const struct pool_map *m, struct pdata_range *r)
{
	if (!m->len)
		return xml_fail(&s->x, "a range of length 0");
	if (m->len > PDATA_MAX_UNITS / s->scale ||
	    m->begin > PDATA_MAX_UNITS / s->scale - m->len)
		return xml_fail(&s->x, "blocks %llu..%llu are beyond the largest volume",
				m->begin, m->begin + m->len - 1);
	if (m->kind == PDATA_RANGE_MAPPED &&
	    (m->len > s->sb.nr_data_blocks || m->value > s->sb.nr_data_blocks - m->len))
		return xml_fail(&s->x, "data blocks %llu..%llu are beyond the pool's %llu",
				m->value, m->value + m->len - 1, s->sb.nr_data_blocks);
	*r = *m;
	r->begin *= s->scale;
	r->len *= s->scale;
	r->value *= s->scale;
	if (r->begin < s->pos)
		return xml_fail(&s->x, "block %llu is not in order, or comes again",
				m->begin);
	s->pos = pdata_range_end(r);
	return 0;
}

static u64 name_hash(const char *name)
{
	u64 h = 0;

	while (*name)
		h = similar_hash(h, (u8)*name++);
	return h >> 1;
}

/* NULL if there is none; names of one hash are taken to be one. */
static struct restore_def *find_def(struct restore_xml *s, const char *name)
{
	const u64 *index = block_table_find(&s->names, name_hash(name));
	struct restore_def *def = index && *index ? &s->def[*index - 1] : NULL;

	return def && !strcmp(def->name, name) ? def : NULL;
}

int restore_ref(struct restore_xml *s, const char *name, struct restore_def **def)
{
	struct restore_def *d = find_def(s, name);

	*def = d;
	if (!d)
		return xml_fail(&s->x, "there is no <def> of the name '%s' before", name);
	if (!d->nr)
		return 0;
	if (d->begin < s->pos)
		return xml_fail(&s->x, "block %llu of '%s' is not in order, or comes again",
				d->begin / s->scale, name);
	s->pos = d->end;
	return 0;
}

void restore_xml_exit(struct restore_xml *s)
{
	u32 i;

	for (i = 0; i < s->nr_defs; i++)
		free(s->def[i].name);
	free(s->def);
	free(s->device);
	block_table_exit(&s->ids);
	block_table_exit(&s->names);
}

/* ---- the survey ---- */

static void time_seen(struct restore_xml *s, u32 birth)
{
	s->max_time = max(s->max_time, birth);
}

static int super_begin(struct xml_reader *x, const struct pool_super *sb)
{
	struct survey *v = x->context;
	struct restore_xml *s = v->xml;

	if (restore_super(s, sb))
		return -1;
	time_seen(s, s->sb.time);
	v->claims = claims_new(s->data_units);
	return 0;
}

static int nothing(struct xml_reader *x)
{
	return 0;
}

static int def_begin(struct xml_reader *x, const char *name)
{
	struct survey *v = x->context;
	struct restore_xml *s = v->xml;
	u64 *index;

	if (find_def(s, name))
		return xml_fail(x, "a second <def> of the name '%s'", name);
	index = block_table_get(&s->names, name_hash(name));
	if (*index)
		return xml_fail(x, "the name '%s' cannot be used beside '%s'", name,
				s->def[*index - 1].name);
	if (s->nr_defs == s->max_defs) {
		s->max_defs = s->max_defs ? 2 * s->max_defs : 64;
		s->def = tool_realloc(s->def, s->max_defs * sizeof(*s->def));
	}
	v->def = &s->def[s->nr_defs++];
	*index = s->nr_defs;
	memset(v->def, 0, sizeof(*v->def));
	v->def->name = tool_strdup(name);
	s->pos = 0;
	return 0;
}

static int def_end(struct xml_reader *x)
{
	struct survey *v = x->context;

	v->def->end = v->xml->pos;
	v->def = NULL;
	return 0;
}

static int device_begin(struct xml_reader *x, const struct pool_device *d)
{
	struct survey *v = x->context;
	struct restore_xml *s = v->xml;
	u64 *id = block_table_get(&s->ids, d->dev_id);

	if (*id)
		return xml_fail(x, "a second <device> with dev_id %llu", d->dev_id);
	*id = 1;
	if (s->nr_devices == s->max_devices) {
		s->max_devices = s->max_devices ? 2 * s->max_devices : 64;
		s->device = tool_realloc(s->device, s->max_devices * sizeof(*s->device));
	}
	s->device[s->nr_devices++] = (struct restore_device) {
		.id = d->dev_id,
		.base = NO_BASE,
	};
	time_seen(s, d->creation_time);
	time_seen(s, d->snap_time);
	v->snap_time = d->snap_time;
	s->pos = 0;
	return 0;
}

static int device_end(struct xml_reader *x)
{
	struct survey *v = x->context;
	struct restore_xml *s = v->xml;
	const u32 who = s->nr_devices - 1;

	s->device[who].base = similar_base(v->similar, who);
	return 0;
}

static void claim(struct survey *v, const struct pdata_range *r)
{
	struct restore_xml *s = v->xml;
	const bool exclusive = !v->def && r->tag >= v->snap_time;

	if (r->kind == PDATA_RANGE_MAPPED && !s->births_lie)
		s->births_lie = !claims_add(v->claims, r->value, r->len, exclusive);
}

static int map(struct xml_reader *x, const struct pool_map *m)
{
	struct survey *v = x->context;
	struct restore_xml *s = v->xml;
	struct restore_def *def = v->def;
	struct pdata_range r;

	if (restore_range(s, m, &r))
		return -1;
	time_seen(s, r.tag);
	claim(v, &r);
	if (def) {
		if (!def->nr++)
			def->begin = r.begin;
		def->birth = max(def->birth, r.tag);
	} else {
		similar_add(v->similar, s->nr_devices - 1,
			    similar_hash(r.begin, r.value + r.kind), 1);
	}
	return 0;
}

static int ref(struct xml_reader *x, const char *name)
{
	struct survey *v = x->context;
	struct restore_xml *s = v->xml;
	struct restore_def *def;

	if (restore_ref(s, name, &def))
		return -1;
	/* Others have it too, or why should it have a name. */
	if (def->nr && def->birth >= v->snap_time)
		s->births_lie = true;
	def->nr_refs++;
	similar_add(v->similar, s->nr_devices - 1, 1 + (name_hash(name) >> 24),
		    def->nr);
	return 0;
}

static const struct xml_reader_ops survey_ops = {
	.super_begin = super_begin,
	.super_end = nothing,
	.def_begin = def_begin,
	.def_end = def_end,
	.device_begin = device_begin,
	.device_end = device_end,
	.map = map,
	.ref = ref,
};

int restore_survey(struct restore_xml *s)
{
	struct survey v = { .xml = s, .similar = similar_new() };
	int r;

	s->x.context = &v;
	s->x.ops = &survey_ops;
	s->x.task = "checking the XML";
	r = xml_read(&s->x);
	claims_free(v.claims);
	similar_free(v.similar);
	if (!r && s->births_lie && s->max_time == U32_MAX) {
		tool_err("%s: there is no time left after %u", s->x.path, s->max_time);
		r = -1;
	}
	return r;
}
