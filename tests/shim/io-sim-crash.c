// SPDX-License-Identifier: GPL-2.0-only
/* Simulated disk: power failure and what survives it. */
#include "io-sim-internal.h"

/* Versions of one block that are told apart; the durable one is always among them. */
#define MAX_VERSIONS	8

struct versions {
	struct sim_page *page[MAX_VERSIONS];	/* newest first, durable last */
	unsigned int nr;
};

static void versions_of(struct sim_disk *d, struct sim_slot *s, struct versions *v)
{
	u32 i;

	v->nr = 1;
	v->page[0] = s->page;
	for (i = s->older; i; i = d->ver[i].older) {
		if (v->nr == MAX_VERSIONS)
			v->nr--;
		v->page[v->nr++] = d->ver[i].page;
	}
}

static struct sim_page *durable(const struct versions *v)
{
	return v->page[v->nr - 1];
}

/* @page is the block's content from now on; takes a reference of its own. */
static void slot_keep(struct sim_disk *d, struct sim_slot *s, struct sim_page *page)
{
	sim_page_get(page);
	sim_slot_settle(d, s);
	sim_page_put(s->page);
	s->page = page;
}

static void copy_sector(u8 *to, const struct sim_page *from, unsigned int sector)
{
	if (from)
		memcpy(to + sector * SIM_SECTOR, from->data + sector * SIM_SECTOR, SIM_SECTOR);
	else
		memset(to + sector * SIM_SECTOR, 0, SIM_SECTOR);
}

/* Sectors below @at from @a, the others from @b. */
static void slot_tear(struct sim_disk *d, struct sim_slot *s, const struct sim_page *a,
		      const struct sim_page *b, unsigned int at)
{
	struct sim_page *page = sim_page_new();
	unsigned int i;

	for (i = 0; i < SIM_SECTORS_PER_BLOCK; i++)
		copy_sector(page->data, i < at ? a : b, i);
	slot_keep(d, s, page);
	sim_page_put(page);
}

static void slot_scatter(struct sim_disk *d, struct sim_slot *s, const struct versions *v,
			 u64 *random)
{
	struct sim_page *page = sim_page_new();
	unsigned int i;

	for (i = 0; i < SIM_SECTORS_PER_BLOCK; i++)
		copy_sector(page->data, v->page[sim_below(random, v->nr)], i);
	slot_keep(d, s, page);
	sim_page_put(page);
}

/* The fate of the @i-th dirty block; @chosen is one of them. */
static void slot_fate(struct sim_disk *d, struct sim_slot *s, enum sim_fate fate, u64 i,
		      u64 chosen, u64 *random)
{
	unsigned int at = 1 + sim_below(random, SIM_SECTORS_PER_BLOCK - 1);
	struct versions v;

	versions_of(d, s, &v);
	switch (fate) {
	case SIM_ALL:
		slot_keep(d, s, v.page[0]);
		break;
	case SIM_BLOCKS:
		slot_keep(d, s, sim_below(random, 2) ? v.page[0] : durable(&v));
		break;
	case SIM_VERSIONS:
		slot_keep(d, s, v.page[sim_below(random, v.nr)]);
		break;
	case SIM_TORN:
		slot_tear(d, s, v.page[sim_below(random, v.nr)],
			  v.page[sim_below(random, v.nr)], at);
		break;
	case SIM_SECTORS:
		slot_scatter(d, s, &v, random);
		break;
	case SIM_ALL_BUT_ONE:
		slot_keep(d, s, i == chosen ? durable(&v) : v.page[0]);
		break;
	case SIM_ONLY_ONE:
		slot_keep(d, s, i == chosen ? v.page[0] : durable(&v));
		break;
	case SIM_PREFIX:
		if (i == chosen)
			slot_tear(d, s, v.page[0], durable(&v), at);
		else
			slot_keep(d, s, i < chosen ? v.page[0] : durable(&v));
		break;
	default:
		slot_keep(d, s, durable(&v));
	}
}

/* Drop what repeats, or became durable since, from the list of dirty blocks. */
static void dirty_unique(struct sim_disk *d)
{
	u64 i, n = 0;

	for (i = 0; i < d->nr_dirty; i++) {
		struct sim_slot *s = sim_slot_find(d, d->dirty[i]);

		if (!s->older || s->stamp == ~0ull)
			continue;
		s->stamp = ~0ull;	/* seen */
		d->dirty[n++] = d->dirty[i];
	}
	d->nr_dirty = n;
	for (i = 0; i < n; i++)
		sim_slot_find(d, d->dirty[i])->stamp = 0;
}

static void settle_locked(struct sim_disk *d, enum sim_fate fate, u64 seed)
{
	u64 random = seed, i, chosen;

	dirty_unique(d);
	if (!d->nr_dirty)
		return;
	if (fate == SIM_RANDOM)
		fate = SIM_NONE + sim_below(&random, SIM_FATES - SIM_NONE);
	chosen = sim_below(&random, d->nr_dirty);
	for (i = 0; i < d->nr_dirty; i++)
		slot_fate(d, sim_slot_find(d, d->dirty[i]), fate, i, chosen, &random);
	sim_cache_empty(d);
}

void sim_settle(struct sim_disk *d, enum sim_fate fate, u64 seed)
{
	pthread_mutex_lock(&d->clock->lock);
	settle_locked(d, fate, seed);
	pthread_mutex_unlock(&d->clock->lock);
}

u64 sim_nr_pending(struct sim_disk *d)
{
	u64 n;

	pthread_mutex_lock(&d->clock->lock);
	dirty_unique(d);
	n = d->nr_dirty;
	pthread_mutex_unlock(&d->clock->lock);
	return n;
}

void sim_settle_mask(struct sim_disk *d, u64 mask)
{
	sim_settle_torn(d, mask, ~0ull, 0);
}

void sim_settle_torn(struct sim_disk *d, u64 mask, u64 torn, unsigned int at)
{
	u64 i;

	pthread_mutex_lock(&d->clock->lock);
	dirty_unique(d);
	if (d->nr_dirty > 64)
		sim_bug("more un-flushed blocks than a mask has bits");
	for (i = 0; i < d->nr_dirty; i++) {
		struct sim_slot *s = sim_slot_find(d, d->dirty[i]);
		struct versions v;

		versions_of(d, s, &v);
		if (i == torn)
			slot_tear(d, s, v.page[0], durable(&v), at);
		else
			slot_keep(d, s, mask >> i & 1 ? v.page[0] : durable(&v));
	}
	sim_cache_empty(d);
	pthread_mutex_unlock(&d->clock->lock);
}

/* ---- clock ---- */

void sim_clock_init(struct sim_clock *c, u64 seed)
{
	memset(c, 0, sizeof(*c));
	pthread_mutex_init(&c->lock, NULL);
	INIT_LIST_HEAD(&c->disks);
	c->seed = seed;
}

void sim_clock_crash_at(struct sim_clock *c, u64 n)
{
	pthread_mutex_lock(&c->lock);
	c->crash_at = n ? c->ops + n : 0;
	pthread_mutex_unlock(&c->lock);
}

void sim_clock_crash(struct sim_clock *c)
{
	pthread_mutex_lock(&c->lock);
	c->off = true;
	pthread_mutex_unlock(&c->lock);
}

/* Nothing that was read before is known any more. */
static void forget_checks(struct sim_disk *d)
{
	u64 i;

	for (i = 0; i < d->nr_slots; i++)
		if (d->slot[i].block != SIM_NO_BLOCK && d->slot[i].page)
			d->slot[i].page->checked = 0;
}

void sim_clock_power_on(struct sim_clock *c, enum sim_fate fate)
{
	struct sim_disk *d;
	u64 seed = c->seed;

	pthread_mutex_lock(&c->lock);
	seed = sim_random(&seed) + c->cycles++;
	list_for_each_entry(d, &c->disks, list) {
		settle_locked(d, fate, sim_random(&seed));
		forget_checks(d);
	}
	c->crash_at = 0;
	c->off = false;
	pthread_mutex_unlock(&c->lock);
}
