// SPDX-License-Identifier: GPL-2.0-only
#include "kill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t value_of(uint32_t id, uint32_t boot, uint64_t v)
{
	return (uint64_t)id << 48 | (uint64_t)boot << 32 | v;
}

struct work_op op_of(uint32_t id, uint32_t boot, uint64_t v)
{
	struct rng rng = { .state = mix(value_of(id, boot, v)) };
	struct work_op op = { .value = value_of(id, boot, v) };
	const uint64_t what = rnd(&rng, 8);

	if (what < 2) {
		op.sector = rnd(&rng, THIN_SECTORS);
		op.nr = 1 + rnd(&rng, UNIT + 3);
	} else {
		op.discard = what == 2;
		op.sector = rnd(&rng, THIN_SECTORS / UNIT) * UNIT;
		op.nr = UNIT * (1 + rnd(&rng, op.discard ? 16 : 4));
	}
	if (op.sector + op.nr > THIN_SECTORS)
		op.nr = THIN_SECTORS - op.sector;
	op.fua = !op.discard && !rnd(&rng, 6);
	return op;
}

static bool covers(const struct work_op *op, uint32_t sector)
{
	return sector >= op->sector && sector < op->sector + op->nr;
}

/* ---- content ---- */

static void fill_sector(uint64_t *w, uint32_t sector, uint64_t value)
{
	unsigned int i;

	w[0] = value;
	for (i = 1; i < SECTOR / 8; i++)
		w[i] = mix(value + ((uint64_t)sector << 8) + i);
}

void fill(uint8_t *p, uint32_t sector, uint32_t nr, uint64_t value)
{
	for (; nr--; p += SECTOR)
		fill_sector((uint64_t *)p, sector++, value);
}

/* The value of a sector, 0 for zeroes. */
static uint64_t value_in(const uint8_t *p, const struct dev *d, uint32_t sector)
{
	uint64_t expect[SECTOR / 8] = { 0 }, value;

	memcpy(&value, p, sizeof(value));
	if (value)
		fill_sector(expect, sector, value);
	if (memcmp(p, expect, SECTOR))
		fail("thin %u, sector %u: what is there was never written", d->id, sector);
	return value;
}

/* ---- the file ---- */

bool state_load(struct state *s, const char *dir)
{
	char name[512];
	int fd;

	snprintf(name, sizeof(name), "%s/state", dir);
	fd = open(name, O_RDONLY);
	if (fd < 0 && errno == ENOENT)
		return false;
	if (fd < 0 || read(fd, s, sizeof(*s)) != (ssize_t)sizeof(*s))
		fail("%s: %s", name, strerror(errno));
	close(fd);
	return true;
}

void state_save(const struct state *s, const char *dir)
{
	char name[512], tmp[520];
	int fd;

	snprintf(name, sizeof(name), "%s/state", dir);
	snprintf(tmp, sizeof(tmp), "%s.new", name);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, s, sizeof(*s)) != (ssize_t)sizeof(*s) || fsync(fd) || close(fd) ||
	    rename(tmp, name))
		fail("%s: %s", tmp, strerror(errno));
}

/* ---- acknowledgments ---- */

/* One that was written with FUA, perhaps behind all that is acknowledged otherwise. */
struct fua {
	uint32_t id;
	uint64_t v;
};

static struct fua *fuas;
static uint32_t nr_fuas, max_fuas;

static void add_fua(uint32_t id, uint64_t v)
{
	if (nr_fuas == max_fuas) {
		max_fuas = 2 * max_fuas + 64;
		fuas = realloc(fuas, max_fuas * sizeof(*fuas));
		if (!fuas)
			fail("no memory");
	}
	fuas[nr_fuas++] = (struct fua){ id, v };
}

static struct dev *find(struct state *s, uint32_t id)
{
	uint32_t i;

	for (i = 0; i < s->nr; i++)
		if (s->dev[i].id == id)
			return &s->dev[i];
	return NULL;
}

static struct dev *must_find(struct state *s, uint32_t id)
{
	struct dev *d = find(s, id);

	if (!d)
		fail("an acknowledgment of thin %u, which is not known", id);
	return d;
}

static void acknowledge(struct state *s, const char *what, uint32_t id, uint32_t origin,
			uint64_t v)
{
	struct dev *d;

	if (!strcmp(what, "ack")) {
		d = must_find(s, id);
		d->acked = d->acked > v ? d->acked : v;
	} else if (!strcmp(what, "fua")) {
		add_fua(id, v);
	} else if (!strcmp(what, "snap?")) {
		if (s->nr == MAX_DEVS)
			fail("too many devices");
		d = &s->dev[s->nr++];
		memset(d, 0, sizeof(*d));
		d->id = id;
		d->new_of = origin;
		d->is_new = true;
		d->unsure = true;
		d->acked = v;
	} else if (!strcmp(what, "snap!")) {
		d = must_find(s, id);
		d->last = v;
		d->unsure = false;
	} else if (!strcmp(what, "del?")) {
		must_find(s, id)->unsure = true;
	} else if (!strcmp(what, "del!")) {
		d = must_find(s, id);
		*d = s->dev[--s->nr];
	}
}

void state_acks(struct state *s, const char *dir)
{
	char name[512], line[256], what[16], end[2];
	unsigned long long v;
	uint32_t boot, id, origin, i;
	FILE *f;

	for (i = 0; i < s->nr; i++) {
		s->dev[i].is_new = false;
		s->dev[i].unsure = false;
		s->dev[i].acked = 0;
		s->dev[i].last = NEVER;
	}
	snprintf(name, sizeof(name), "%s/acks", dir);
	f = fopen(name, "r");
	if (!f)
		fail("%s: %s", name, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		/* The last line may have been cut off. */
		if (sscanf(line, "%15s %u %u %u %llu %1[.]", what, &boot, &id, &origin, &v,
			   end) == 6 && boot == s->boot)
			acknowledge(s, what, id, origin, v);
	}
	fclose(f);
}

/* ---- what may be there ---- */

struct check {
	uint64_t base[THIN_SECTORS];	/* the last that must be there */
	uint64_t least[THIN_SECTORS];	/* its number */
	uint64_t zeroed[THIN_SECTORS];	/* last discard that may have been */
};

static void must_be_there(struct check *c, uint32_t id, uint32_t boot, uint64_t v)
{
	const struct work_op op = op_of(id, boot, v);
	uint32_t i;

	for (i = op.sector; i < op.sector + op.nr; i++) {
		if (v < c->least[i])
			continue;
		c->base[i] = op.discard ? 0 : op.value;
		c->least[i] = v;
	}
}

static void may_be_there(struct check *c, uint32_t id, uint32_t boot, uint64_t v)
{
	const struct work_op op = op_of(id, boot, v);
	uint32_t i;

	for (i = op.sector; op.discard && i < op.sector + op.nr; i++)
		c->zeroed[i] = v;
}

static bool fits(const struct check *c, const struct dev *d, uint32_t id, uint32_t boot,
		 uint32_t sector, uint64_t value)
{
	const uint64_t v = (uint32_t)value;
	struct work_op op;

	if (value == c->base[sector])
		return true;
	if (!value)
		return c->zeroed[sector] > c->least[sector];
	if (value != value_of(id, boot, v) || v <= c->least[sector] || v > d->last)
		return false;
	op = op_of(id, boot, v);
	return !op.discard && covers(&op, sector);
}

void state_check(struct state *s, struct dev *d, const uint8_t *data)
{
	const uint32_t id = d->is_new ? d->new_of : d->id;
	struct check *c = xalloc(sizeof(*c));
	uint64_t v, value;
	uint32_t i;

	memset(c, 0, sizeof(*c));
	memcpy(c->base, must_find(s, id)->value, sizeof(c->base));
	for (v = 1; v <= d->acked; v++)
		must_be_there(c, id, s->boot, v);
	for (i = 0; i < nr_fuas; i++)
		if (fuas[i].id == id && (!d->is_new || fuas[i].v <= d->acked))
			must_be_there(c, id, s->boot, fuas[i].v);
	for (v = d->acked + 1; v <= d->acked + MAX_BEHIND && v <= d->last; v++)
		may_be_there(c, id, s->boot, v);
	for (i = 0; i < THIN_SECTORS; i++) {
		value = value_in(data + i * SECTOR, d, i);
		if (!fits(c, d, id, s->boot, i, value))
			fail("thin %u%s, sector %u: %#llx, expected %#llx or newer (boot %u, %llu acknowledged)",
			     d->id, d->is_new ? ", new" : "", i, (unsigned long long)value,
			     (unsigned long long)c->base[i], s->boot,
			     (unsigned long long)d->acked);
	}
	free(c);
}
