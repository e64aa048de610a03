// SPDX-License-Identifier: GPL-2.0-only
/*
 * What may be read after a crash.
 *
 * A change of a sector is certain from the moment on that a flush of its thin,
 * submitted after the change was acknowledged, is acknowledged; or its own
 * acknowledgment, with FUA. A point of the log behind a mark is later than all
 * that was acknowledged before the mark; one before a mark is earlier than all
 * that was submitted after that mark ended. So a sector holds the last certain
 * change, or any later one that can have begun, all the same whether it was
 * acknowledged.
 *
 * A snapshot begins with the changes of its origin that were submitted before
 * it was there. Those still under way then may be in it or not, for ever.
 */
#include "logreplay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* changes of one sector that may be seen at one time */
#define MAX_CANDIDATES	40u

struct change {
	uint32_t thin;		/* it was written to */
	uint32_t sector, nr;
	uint64_t value;
	uint64_t submit, end;
	uint64_t certain;	/* tick */
};

struct sector_state {
	unsigned int nr;
	uint64_t value[MAX_CANDIDATES];
};

/* A snapshot comes behind all that may be in it. */
static uint64_t op_time(const struct op *op)
{
	return op->kind == OP_SNAP ? op->end : op->submit;
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = op_time(a), y = op_time(b);

	return (x > y) - (x < y);
}

static void load_ops(struct ops *ops, const char *file)
{
	FILE *f = fopen(file, "r");
	long size;

	if (!f || fseek(f, 0, SEEK_END))
		fail("%s: %s", file, strerror(errno));
	size = ftell(f);
	rewind(f);
	ops->nr = size / sizeof(ops->op[0]);
	ops->op = xalloc((ops->nr + 1) * sizeof(ops->op[0]));
	if (fread(ops->op, sizeof(ops->op[0]), ops->nr, f) != ops->nr)
		fail("%s: short", file);
	fclose(f);
	qsort(ops->op, ops->nr, sizeof(ops->op[0]), by_time);
}

static void add_change(struct model *m, uint32_t thin, const struct change *c)
{
	m->change[thin][m->nr_changes[thin]++] = *c;
}

static void add_write(struct model *m, const struct op *op)
{
	struct change c = {
		.thin = op->thin,
		.sector = op->sector,
		.nr = op->nr,
		.value = op->value,
		.submit = op->submit,
		.end = op->end,
		.certain = op->fua ? op->end : NEVER,
	};

	if (op->sector + op->nr > THIN_SECTORS)
		fail("an operation beyond the end of its thin");
	add_change(m, op->thin, &c);
}

/* Of the changes of its thin, in snapshots too, and of what its thin came with. */
static void add_flush(struct model *m, const struct op *op)
{
	unsigned int thin, i;

	for (thin = 0; thin < MAX_THINS; thin++)
		for (i = 0; i < m->nr_changes[thin]; i++) {
			struct change *c = &m->change[thin][i];

			if ((thin == op->thin || c->thin == op->thin) && c->end < op->submit &&
			    op->end < c->certain)
				c->certain = op->end;
		}
}

static void add_snap(struct model *m, const struct op *op)
{
	unsigned int i;

	for (i = 0; i < m->nr_changes[op->origin]; i++) {
		struct change c = m->change[op->origin][i];

		/* Under way, it is never certain: no flush helps it. */
		if (c.end > op->submit)
			c.certain = c.end = NEVER;
		add_change(m, op->thin, &c);
	}
}

static void add_mark(struct model *m, const struct op *op)
{
	if (op->value != ++m->nr_marks)
		fail("mark %llu is the %uth", (unsigned long long)op->value, m->nr_marks);
	m->mark_submit[op->value] = op->submit;
	m->mark_end[op->value] = op->end;
}

static void add_op(struct model *m, const struct op *op)
{
	switch (op->kind) {
	case OP_MARK:
		add_mark(m, op);
		break;
	case OP_WRITE:
		add_write(m, op);
		break;
	case OP_FLUSH:
		add_flush(m, op);
		break;
	case OP_SNAP:
		add_snap(m, op);
		break;
	}
}

void model_load(struct model *m, const char *file)
{
	unsigned int i;

	load_ops(&m->ops, file);
	for (i = 0; i < MAX_THINS; i++)
		m->change[i] = xalloc((m->ops.nr + 1) * sizeof(m->change[i][0]));
	m->mark_submit = xalloc((m->ops.nr + 2) * sizeof(uint64_t));
	m->mark_end = xalloc((m->ops.nr + 2) * sizeof(uint64_t));
	for (i = 0; i < m->ops.nr; i++)
		if (m->ops.op[i].thin >= MAX_THINS || m->ops.op[i].origin >= MAX_THINS)
			fail("%s: a thin number too large", file);
	for (i = 0; i < m->ops.nr; i++)
		add_op(m, &m->ops.op[i]);
}

/* All acknowledged before this tick is certain to have ended ... */
static uint64_t ended_before(const struct model *m, uint64_t mark)
{
	return mark ? m->mark_submit[mark] : 0;
}

/* ... and what was submitted after this one cannot have begun. */
static uint64_t begun_before(const struct model *m, uint64_t mark)
{
	return mark < m->nr_marks ? m->mark_end[mark + 1] : NEVER;
}

enum presence model_presence(const struct model *m, uint64_t mark, uint32_t thin)
{
	uint64_t ended = ended_before(m, mark), begun = begun_before(m, mark);
	enum presence p = ABSENT;
	unsigned int i;

	for (i = 0; i < m->ops.nr; i++) {
		const struct op *op = &m->ops.op[i];

		if (op->thin != thin || op->submit >= begun)
			continue;
		if (op->kind == OP_CREATE || op->kind == OP_SNAP)
			p = op->end < ended ? PRESENT : UNSURE;
		else if (op->kind == OP_DELETE)
			p = op->end < ended ? ABSENT : UNSURE;
	}
	return p;
}

static void change_sector(struct sector_state *s, uint64_t value, bool certain)
{
	unsigned int i;

	if (certain)
		s->nr = 0;
	for (i = 0; i < s->nr; i++)
		if (s->value[i] == value)
			return;
	if (s->nr == MAX_CANDIDATES)
		fail("more than %u values of one sector", MAX_CANDIDATES);
	s->value[s->nr++] = value;
}

static void candidates(const struct model *m, uint64_t mark, uint32_t thin,
		       struct sector_state *state)
{
	uint64_t ended = ended_before(m, mark), begun = begun_before(m, mark);
	unsigned int i;
	uint32_t s;

	for (s = 0; s < THIN_SECTORS; s++) {
		state[s].nr = 1;
		state[s].value[0] = 0;
	}
	for (i = 0; i < m->nr_changes[thin]; i++) {
		const struct change *c = &m->change[thin][i];

		if (c->submit >= begun)
			continue;
		for (s = c->sector; s < c->sector + c->nr; s++)
			change_sector(&state[s], c->value, c->certain < ended);
	}
}

/* Whose content is it? */
static void tell(const struct model *m, uint32_t thin, uint32_t sector, const uint8_t *p,
		 const struct sector_state *s, const char *where)
{
	unsigned int i;
	uint32_t at;

	fprintf(stderr, "%s: thin %u, sector %u: %016llx, expected one of", where, thin, sector,
		*(const unsigned long long *)p);
	for (i = 0; i < s->nr; i++)
		fprintf(stderr, " %llu", (unsigned long long)s->value[i]);
	for (i = 0; i < m->ops.nr; i++) {
		const struct op *op = &m->ops.op[i];

		for (at = op->sector; op->kind == OP_WRITE && at < op->sector + op->nr; at++)
			if (sector_is(p, at, op->value)) {
				fprintf(stderr, "; it is %llu of thin %u, sector %u, "
					"ticks %llu to %llu", (unsigned long long)op->value,
					op->thin, at, (unsigned long long)op->submit,
					(unsigned long long)op->end);
				i = m->ops.nr - 1;
				break;
			}
	}
	fputc('\n', stderr);
}

bool model_check(const struct model *m, uint64_t mark, uint32_t thin, const uint8_t *data,
		 const char *where)
{
	static struct sector_state state[THIN_SECTORS];
	unsigned int i, wrong = 0;
	uint32_t s;

	candidates(m, mark, thin, state);
	for (s = 0; s < THIN_SECTORS; s++) {
		for (i = 0; i < state[s].nr; i++)
			if (sector_is(data + s * SECTOR, s, state[s].value[i]))
				break;
		if (i == state[s].nr && wrong++ < 8)
			tell(m, thin, s, data + s * SECTOR, &state[s], where);
	}
	return !wrong;
}
