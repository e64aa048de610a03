// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations as text, one a line:
 *
 *	pool meta=512 data=256 units=64 ...
 *	open
 *	create thin=0
 *	write thin=0 begin=3 len=2 seed=0x12
 *	flush crash=2
 *	open fate=none
 *
 * What is not given is 0. "crash=n": power fails at the n-th device operation of
 * this one. "seed": of what else happens meanwhile; without one, nothing does.
 */
#include <stdlib.h>
#include <string.h>

#include "pool-sim.h"

static const char * const kind_names[PS_KINDS] = {
	[PS_OPEN] = "open", [PS_CREATE] = "create", [PS_SNAP] = "snapshot",
	[PS_DELETE] = "delete", [PS_REOPEN] = "reopen", [PS_HOLD] = "hold", [PS_PUT] = "put",
	[PS_HOLD_ALL] = "hold-all", [PS_PUT_ALL] = "put-all",
	[PS_TRANSACTION] = "transaction", [PS_WRITE] = "write", [PS_WRITE_PART] = "write-part",
	[PS_WRITE_FUA] = "write-fua", [PS_DISCARD] = "discard", [PS_ZERO] = "zero",
	[PS_LAND] = "land", [PS_FLUSH] = "flush", [PS_CHECKPOINT] = "checkpoint",
	[PS_WORK] = "work", [PS_EVICT] = "evict", [PS_RELEASE] = "release",
	[PS_GROW_DATA] = "grow-data", [PS_GROW_META] = "grow-metadata",
	[PS_RESTART] = "restart", [PS_VERIFY] = "verify", [PS_CHECK] = "check",
};

static const char * const fate_names[SIM_FATES + 1] = {
	[SIM_RANDOM] = "random", [SIM_NONE] = "none", [SIM_ALL] = "all", [SIM_BLOCKS] = "blocks",
	[SIM_VERSIONS] = "versions", [SIM_TORN] = "torn", [SIM_SECTORS] = "sectors",
	[SIM_ALL_BUT_ONE] = "all-but-one", [SIM_ONLY_ONE] = "only-one", [SIM_PREFIX] = "prefix",
	[PS_FATE_MASK] = "mask",
};

static bool has_thin(u8 kind)
{
	return (kind >= PS_CREATE && kind <= PS_PUT) ||
	       (kind >= PS_WRITE && kind <= PS_ZERO);
}

static void put(FILE *to, const char *name, u64 value)
{
	if (value)
		fprintf(to, " %s=%llu", name, (unsigned long long)value);
}

void ps_print_op(FILE *to, const struct ps_op *op)
{
	fputs(kind_names[op->kind], to);
	if (has_thin(op->kind))
		fprintf(to, " thin=%u", op->thin);
	if (op->kind == PS_SNAP)
		fprintf(to, " of=%u", op->other);
	put(to, "begin", op->begin);
	put(to, "len", op->len);
	put(to, "from", op->from);
	put(to, "to", op->to);
	if (op->kind == PS_OPEN)
		fprintf(to, " fate=%s", fate_names[op->n <= PS_FATE_MASK ? op->n : SIM_RANDOM]);
	else
		put(to, "n", op->n);
	put(to, "crash", op->crash);
	if (op->seed)
		fprintf(to, " seed=0x%llx", (unsigned long long)op->seed);
	fputc('\n', to);
}

/* Fields of a configuration by name. */
static bool config_field(struct ps_config *c, const char *name, u64 value, FILE *to)
{
	struct { const char *name; void *at; size_t size; } f[] = {
		{ "seed", &c->seed, sizeof(c->seed) },
		{ "meta", &c->meta_blocks, sizeof(c->meta_blocks) },
		{ "data", &c->data_units, sizeof(c->data_units) },
		{ "units", &c->thin_units, sizeof(c->thin_units) },
		{ "max-write", &c->max_write, sizeof(c->max_write) },
		{ "journal", &c->journal_blocks, sizeof(c->journal_blocks) },
		{ "records", &c->journal_records, sizeof(c->journal_records) },
		{ "dirty", &c->max_dirty, sizeof(c->max_dirty) },
		{ "ranges", &c->max_ranges, sizeof(c->max_ranges) },
		{ "fill", &c->fill_ranges, sizeof(c->fill_ranges) },
		{ "group", &c->group_units, sizeof(c->group_units) },
		{ "max-meta", &c->max_meta, sizeof(c->max_meta) },
		{ "max-data", &c->max_data, sizeof(c->max_data) },
		{ "btree", &c->limits.btree_max, sizeof(c->limits.btree_max) },
		{ "fanout", &c->limits.fanout, sizeof(c->limits.fanout) },
		{ "leaf", &c->limits.leaf_max, sizeof(c->limits.leaf_max) },
	};
	unsigned int i;
	u64 v;

	for (i = 0; i < ARRAY_SIZE(f); i++) {
		if (to) {
			v = f[i].size == sizeof(u64) ? *(u64 *)f[i].at : *(unsigned int *)f[i].at;
			put(to, f[i].name, v);
		} else if (!strcmp(f[i].name, name)) {
			if (f[i].size == sizeof(u64))
				*(u64 *)f[i].at = value;
			else
				*(unsigned int *)f[i].at = value;
			return true;
		}
	}
	return to;
}

void ps_print_config(FILE *to, const struct ps_config *c)
{
	struct ps_config copy = *c;

	fputs("pool", to);
	config_field(&copy, NULL, 0, to);
	fputc('\n', to);
}

static int find(const char * const *names, unsigned int nr, const char *name)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}

static bool op_field(struct ps_op *op, const char *name, const char *text)
{
	u64 v = strtoull(text, NULL, 0);
	int fate;

	if (!strcmp(name, "thin"))
		op->thin = v;
	else if (!strcmp(name, "of"))
		op->other = v;
	else if (!strcmp(name, "begin"))
		op->begin = v;
	else if (!strcmp(name, "len"))
		op->len = v;
	else if (!strcmp(name, "from"))
		op->from = v;
	else if (!strcmp(name, "to"))
		op->to = v;
	else if (!strcmp(name, "n"))
		op->n = v;
	else if (!strcmp(name, "crash"))
		op->crash = v;
	else if (!strcmp(name, "seed"))
		op->seed = v;
	else if (!strcmp(name, "fate") && (fate = find(fate_names, PS_FATE_MASK + 1, text)) >= 0)
		op->n = fate;
	else
		return false;
	return true;
}

/* One line without its comment. */
static bool parse_line(char *line, struct ps_config *c, struct ps_log *log)
{
	char *save = NULL, *word = strtok_r(line, " \t\n", &save), *value;
	struct ps_op op = { 0 };
	bool pool;
	int kind;

	if (!word)
		return true;
	pool = !strcmp(word, "pool");
	kind = find(kind_names, PS_KINDS, word);
	if (!pool && (kind < 0 || log->nr == log->max))
		return false;
	op.kind = kind;
	while ((word = strtok_r(NULL, " \t\n", &save))) {
		value = strchr(word, '=');
		if (!value)
			return false;
		*value++ = 0;
		if (pool ? !config_field(c, word, strtoull(value, NULL, 0), NULL) :
			   !op_field(&op, word, value))
			return false;
	}
	if (!pool)
		log->op[log->nr++] = op;
	return true;
}

bool ps_parse(FILE *from, struct ps_config *c, struct ps_log *log)
{
	unsigned int nr = 0;
	char line[512], *comment;

	memset(c, 0, sizeof(*c));
	while (fgets(line, sizeof(line), from)) {
		nr++;
		comment = strchr(line, '#');
		if (comment)
			*comment = 0;
		if (!parse_line(line, c, log)) {
			fprintf(stderr, "line %u of the script is not understood\n", nr);
			return false;
		}
	}
	if (c->meta_blocks && c->data_units && c->thin_units)
		return true;
	fprintf(stderr, "the script has no line for the pool\n");
	return false;
}
