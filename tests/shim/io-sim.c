// SPDX-License-Identifier: GPL-2.0-only
/*
 * Simulated disk: content, write cache, operations. See io-sim-crash.c for
 * what happens when power fails.
 *
 * Pages are counted and never changed once a disk holds them, so that a copy
 * of a disk is a copy of its table, and a reader's reference stays what it
 * was. They come from a free list of their own thread: crash tests fill and
 * empty thousands of disks a second.
 */
#include "io-sim-internal.h"

#include <fcntl.h>
#include <sanitizer/asan_interface.h>
#include <unistd.h>

void sim_bug(const char *what)
{
	fprintf(stderr, "simulated disk: %s\n", what);
	abort();
}

/* ---- pages ---- */

#define SLAB_PAGES	64

struct sim_slab {
	struct sim_slab *next;
	struct sim_page page[SLAB_PAGES];
};

static _Thread_local struct sim_page *free_pages;
static struct sim_slab *slabs;	/* of all threads; keeps them reachable */
static pthread_mutex_t slabs_lock = PTHREAD_MUTEX_INITIALIZER;

static void page_pool_grow(void)
{
	struct sim_slab *slab = aligned_alloc(64, sizeof(*slab));
	unsigned int i;

	if (!slab)
		sim_bug("out of memory");
	for (i = 0; i < SLAB_PAGES; i++) {
		struct sim_page *p = &slab->page[i];

		p->next = free_pages;
		free_pages = p;
		ASAN_POISON_MEMORY_REGION(p->data, sizeof(p->data) + sizeof(p->redzone));
	}
	pthread_mutex_lock(&slabs_lock);
	slab->next = slabs;
	slabs = slab;
	pthread_mutex_unlock(&slabs_lock);
}

/* One reference, content undefined. */
struct sim_page *sim_page_new(void)
{
	struct sim_page *p;

	if (!free_pages)
		page_pool_grow();
	p = free_pages;
	free_pages = p->next;
	p->refs = 1;
	p->checked = 0;
	ASAN_UNPOISON_MEMORY_REGION(p->data, sizeof(p->data));
	return p;
}

void sim_page_get(struct sim_page *p)
{
	if (p)
		__atomic_fetch_add(&p->refs, 1, __ATOMIC_RELAXED);
}

void sim_page_put(struct sim_page *p)
{
	if (!p || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL))
		return;
	ASAN_POISON_MEMORY_REGION(p->data, sizeof(p->data));
	p->next = free_pages;
	free_pages = p;
}

static struct sim_page *page_of(const void *data)
{
	struct sim_page *p = sim_page_new();

	memcpy(p->data, data, PDATA_BLOCK_SIZE);
	return p;
}

/* ---- the table: newest content by block ---- */

static void *sim_grow(void *p, size_t n, size_t size)
{
	p = realloc(p, n * size);
	if (!p)
		sim_bug("out of memory");
	return p;
}

static struct sim_slot *table_probe(struct sim_slot *slot, u64 nr_slots, u64 block)
{
	u64 i = (block * 0x9e3779b97f4a7c15ull >> 32) & (nr_slots - 1);

	while (slot[i].block != block && slot[i].block != SIM_NO_BLOCK)
		i = (i + 1) & (nr_slots - 1);
	return &slot[i];
}

static void table_clear(struct sim_slot *slot, u64 nr_slots)
{
	u64 i;

	for (i = 0; i < nr_slots; i++)
		slot[i] = (struct sim_slot){ .block = SIM_NO_BLOCK };
}

static void table_resize(struct sim_disk *d, u64 nr_slots)
{
	struct sim_slot *slot = sim_grow(NULL, nr_slots, sizeof(*slot));
	u64 i;

	table_clear(slot, nr_slots);
	for (i = 0; i < d->nr_slots; i++)
		if (d->slot[i].block != SIM_NO_BLOCK)
			*table_probe(slot, nr_slots, d->slot[i].block) = d->slot[i];
	free(d->slot);
	d->slot = slot;
	d->nr_slots = nr_slots;
}

/* NULL if the block was never written. */
struct sim_slot *sim_slot_find(struct sim_disk *d, u64 block)
{
	struct sim_slot *s = table_probe(d->slot, d->nr_slots, block);

	return s->block == block ? s : NULL;
}

static struct sim_slot *slot_make(struct sim_disk *d, u64 block)
{
	struct sim_slot *s = table_probe(d->slot, d->nr_slots, block);

	if (s->block == block)
		return s;
	if (d->used_slots * 2 >= d->nr_slots) {
		table_resize(d, d->nr_slots * 2);
		s = table_probe(d->slot, d->nr_slots, block);
	}
	d->used_slots++;
	s->block = block;
	return s;
}

/* ---- the write cache: older content until it is out of the question ---- */

/* The newest content is the only one from now on. */
void sim_slot_settle(struct sim_disk *d, struct sim_slot *s)
{
	u32 i;

	for (i = s->older; i; i = d->ver[i].older) {
		sim_page_put(d->ver[i].page);
		d->ver[i].page = NULL;
	}
	s->older = 0;
}

/* @page (its reference goes to the disk, NULL = zeroes) is the newest content. */
static struct sim_slot *cache_put(struct sim_disk *d, u64 block, struct sim_page *page)
{
	struct sim_slot *s = slot_make(d, block);

	if (!s->older) {
		if (d->nr_dirty == d->max_dirty) {
			d->max_dirty = d->max_dirty ? d->max_dirty * 2 : 64;
			d->dirty = sim_grow(d->dirty, d->max_dirty, sizeof(*d->dirty));
		}
		d->dirty[d->nr_dirty++] = block;
	}
	if (d->nr_ver == d->max_ver) {
		d->max_ver = d->max_ver ? d->max_ver * 2 : 64;
		d->ver = sim_grow(d->ver, d->max_ver, sizeof(*d->ver));
	}
	d->ver[d->nr_ver] = (struct sim_ver){ s->page, s->older };
	s->older = d->nr_ver++;
	s->page = page;
	return s;
}

/* All is durable (or was given up): forget older content. */
void sim_cache_empty(struct sim_disk *d)
{
	u64 i;

	for (i = 0; i < d->nr_dirty; i++)
		sim_slot_settle(d, sim_slot_find(d, d->dirty[i]));
	d->nr_dirty = 0;
	d->nr_ver = 1;
}

/* ---- operations ---- */

static struct sim_disk *sim_of(struct pdata_io *io)
{
	return container_of(io, struct sim_disk, io);
}

static bool fires(u64 *countdown)
{
	return *countdown && !--*countdown;
}

static bool is_bad(const struct sim_disk *d, u64 block, bool write)
{
	unsigned int i;

	for (i = 0; i < d->nr_bad; i++)
		if (d->bad[i].block == block)
			return write ? d->bad[i].write : d->bad[i].read;
	return false;
}

/* Count an operation. False: power is off or fails in the middle of this one. */
static bool tick(struct sim_clock *c, bool *now)
{
	*now = false;
	if (c->off)
		return false;
	c->ops++;
	if (c->crash_at && c->ops >= c->crash_at) {
		c->off = true;
		*now = true;
		return false;
	}
	return true;
}

/* The page of a block that may be read, with a reference; -EIO. */
static int read_page(struct sim_disk *d, u64 block, struct sim_page **page)
{
	struct sim_slot *s;

	if (d->clock->off || block >= d->io.nr_blocks)
		return -EIO;
	if (fires(&d->faults.fail_read) || is_bad(d, block, false))
		return -EIO;
	s = sim_slot_find(d, block);
	if (s && s->page) {
		*page = s->page;
		sim_page_get(*page);
		return 0;
	}
	*page = sim_page_new();
	memset((*page)->data, 0, PDATA_BLOCK_SIZE);
	return 0;
}

static int sim_io_get(struct pdata_io *io, u64 block, struct pdata_io_ref *ref)
{
	struct sim_disk *d = sim_of(io);
	struct sim_page *page;
	int r;

	might_sleep();
	pthread_mutex_lock(&d->clock->lock);
	d->stats.gets++;
	r = read_page(d, block, &page);
	if (!r) {
		d->held++;
		ref->data = page->data;
		ref->checked = &page->checked;
		ref->private = page;
	}
	pthread_mutex_unlock(&d->clock->lock);
	return r;
}

static void sim_io_put(struct pdata_io *io, struct pdata_io_ref *ref)
{
	struct sim_disk *d = sim_of(io);

	pthread_mutex_lock(&d->clock->lock);
	if (!d->held)
		sim_bug("a reference was put that nobody got");
	d->held--;
	sim_page_put(ref->private);
	ref->data = NULL;
	ref->checked = NULL;
	ref->private = NULL;
	pthread_mutex_unlock(&d->clock->lock);
}

static int sim_io_read(struct pdata_io *io, u64 block, void *data)
{
	struct sim_disk *d = sim_of(io);
	struct sim_page *page;
	int r;

	might_sleep();
	if ((unsigned long)data % PDATA_BLOCK_SIZE)
		sim_bug("read into memory that is not from pdata_block_alloc()");
	pthread_mutex_lock(&d->clock->lock);
	d->stats.reads++;
	r = read_page(d, block, &page);
	if (!r) {
		memcpy(data, page->data, PDATA_BLOCK_SIZE);
		sim_page_put(page);
	}
	pthread_mutex_unlock(&d->clock->lock);
	return r;
}

static int sim_io_read_run(struct pdata_io *io, u64 block, void *const *data, unsigned int n)
{
	unsigned int i;
	int r = 0;

	if (!n || n > PDATA_IO_RUN)
		sim_bug("a run of no or too many blocks");
	for (i = 0; i < n && !r; i++)
		r = sim_io_read(io, block + i, data[i]);
	return r;
}

/* One block of a write call. */
static void write_one(struct sim_disk *d, u64 block, const void *data, bool fua)
{
	const bool spared = d->faults.spare && d->faults.spare(d, block, data);
	bool strays = !spared && fires(&d->faults.misdirect_write);
	struct sim_slot *s;

	if (!spared && fires(&d->faults.lose_write))
		return;
	if (strays)
		block = d->faults.misdirect_to;
	s = cache_put(d, block, page_of(data));
	if (s->stamp == d->clock->ops && !strays)
		sim_bug("one write call has the same block twice");
	if (!strays)
		s->stamp = d->clock->ops;
	if (fua)
		sim_slot_settle(d, s);
}

/* The call as a whole fails: any subset of it happens. */
static void write_some(struct sim_disk *d, const struct pdata_io_vec *vec, unsigned int n)
{
	u64 random = d->clock->seed ^ d->clock->ops;
	unsigned int i;

	for (i = 0; i < n; i++)
		if (vec[i].block < d->io.nr_blocks && (sim_random(&random) & 1))
			write_one(d, vec[i].block, vec[i].data, false);
}

static int write_locked(struct sim_disk *d, const struct pdata_io_vec *vec, unsigned int n,
			bool fua)
{
	unsigned int i;
	bool now;
	int r = 0;

	if (!tick(d->clock, &now)) {
		/* whether they happen is decided with all the rest */
		for (i = 0; now && i < n; i++)
			if (vec[i].block < d->io.nr_blocks)
				write_one(d, vec[i].block, vec[i].data, false);
		return -EIO;
	}
	d->stats.writes++;
	d->stats.blocks += n;
	d->stats.fuas += fua;
	if (fires(&d->faults.fail_write)) {
		write_some(d, vec, n);
		return -EIO;
	}
	for (i = 0; i < n; i++) {
		if (vec[i].block >= d->io.nr_blocks || is_bad(d, vec[i].block, true))
			r = -EIO;
		else
			write_one(d, vec[i].block, vec[i].data, fua);
	}
	return r;
}

static int sim_io_write(struct pdata_io *io, const struct pdata_io_vec *vec, unsigned int n,
			bool fua)
{
	struct sim_disk *d = sim_of(io);
	unsigned int i;
	int r;

	might_sleep();
	for (i = 0; i < n; i++)
		if ((unsigned long)vec[i].data % PDATA_BLOCK_SIZE)
			sim_bug("write of memory that is not from pdata_block_alloc()");
	pthread_mutex_lock(&d->clock->lock);
	r = write_locked(d, vec, n, fua);
	pthread_mutex_unlock(&d->clock->lock);
	return r;
}

static int sim_io_flush(struct pdata_io *io)
{
	struct sim_disk *d = sim_of(io);
	bool now;
	int r = -EIO;

	might_sleep();
	pthread_mutex_lock(&d->clock->lock);
	if (tick(d->clock, &now)) {
		d->stats.flushes++;
		if (!fires(&d->faults.fail_flush)) {
			sim_cache_empty(d);
			r = 0;
		}
	}
	pthread_mutex_unlock(&d->clock->lock);
	return r;
}

static const struct pdata_io_ops sim_io_ops = {
	.get = sim_io_get,
	.put = sim_io_put,
	.read = sim_io_read,
	.read_run = sim_io_read_run,
	.write = sim_io_write,
	.flush = sim_io_flush,
};

/* ---- life of a disk ---- */

static void disk_empty(struct sim_disk *d)
{
	u64 i;

	if (d->held)
		sim_bug("references are still held");
	sim_cache_empty(d);
	for (i = 0; i < d->nr_slots; i++)
		if (d->slot[i].block != SIM_NO_BLOCK)
			sim_page_put(d->slot[i].page);
	d->used_slots = 0;
}

struct sim_disk *sim_disk_create(u64 nr_blocks, struct sim_clock *clock)
{
	struct sim_disk *d = calloc(1, sizeof(*d));

	if (!d)
		sim_bug("out of memory");
	if (!clock) {
		sim_clock_init(&d->own, 0);
		clock = &d->own;
	}
	d->io.ops = &sim_io_ops;
	d->io.name = "sim";
	d->clock = clock;
	list_add_tail(&d->list, &clock->disks);
	table_resize(d, 64);
	d->nr_ver = 1;
	d->max_ver = 64;
	d->ver = sim_grow(NULL, d->max_ver, sizeof(*d->ver));
	d->io.nr_blocks = nr_blocks;
	return d;
}

void sim_disk_destroy(struct sim_disk *d)
{
	if (!d)
		return;
	disk_empty(d);
	list_del(&d->list);
	free(d->slot);
	free(d->ver);
	free(d->dirty);
	free(d);
}

void sim_reset(struct sim_disk *d, u64 nr_blocks)
{
	disk_empty(d);
	table_clear(d->slot, d->nr_slots);
	memset(&d->stats, 0, sizeof(d->stats));
	memset(&d->faults, 0, sizeof(d->faults));
	d->nr_bad = 0;
	d->io.nr_blocks = nr_blocks;
}

void sim_resize(struct sim_disk *d, u64 nr_blocks)
{
	pthread_mutex_lock(&d->clock->lock);
	WRITE_ONCE(d->io.nr_blocks, nr_blocks);
	pthread_mutex_unlock(&d->clock->lock);
}

void sim_disk_copy(struct sim_disk *dst, const struct sim_disk *src)
{
	u64 i;

	disk_empty(dst);
	if (dst->nr_slots != src->nr_slots) {
		dst->slot = sim_grow(dst->slot, src->nr_slots, sizeof(*dst->slot));
		dst->nr_slots = src->nr_slots;
	}
	if (dst->max_ver < src->nr_ver) {
		dst->max_ver = src->max_ver;
		dst->ver = sim_grow(dst->ver, dst->max_ver, sizeof(*dst->ver));
	}
	if (dst->max_dirty < src->nr_dirty) {
		dst->max_dirty = src->max_dirty;
		dst->dirty = sim_grow(dst->dirty, dst->max_dirty, sizeof(*dst->dirty));
	}
	memcpy(dst->slot, src->slot, src->nr_slots * sizeof(*src->slot));
	memcpy(dst->ver, src->ver, src->nr_ver * sizeof(*src->ver));
	if (src->nr_dirty)
		memcpy(dst->dirty, src->dirty, src->nr_dirty * sizeof(*src->dirty));
	dst->used_slots = src->used_slots;
	dst->nr_ver = src->nr_ver;
	dst->nr_dirty = src->nr_dirty;
	dst->io.nr_blocks = src->io.nr_blocks;
	for (i = 0; i < dst->nr_slots; i++) {
		if (dst->slot[i].block != SIM_NO_BLOCK)
			sim_page_get(dst->slot[i].page);
		dst->slot[i].stamp = 0;
	}
	for (i = 1; i < dst->nr_ver; i++)
		sim_page_get(dst->ver[i].page);
}

struct sim_disk *sim_disk_clone(const struct sim_disk *src, struct sim_clock *clock)
{
	struct sim_disk *d = sim_disk_create(src->io.nr_blocks, clock);

	sim_disk_copy(d, src);
	return d;
}

/* ---- damage, conveniences ---- */

void sim_poke(struct sim_disk *d, u64 block, const void *data)
{
	struct sim_page *page = page_of(data);
	struct sim_slot *s;

	pthread_mutex_lock(&d->clock->lock);
	s = slot_make(d, block);
	sim_slot_settle(d, s);
	sim_page_put(s->page);
	s->page = page;
	pthread_mutex_unlock(&d->clock->lock);
}

const void *sim_peek(struct sim_disk *d, u64 block)
{
	static const u8 zeroes[PDATA_BLOCK_SIZE];
	struct sim_slot *s;
	const void *data;

	pthread_mutex_lock(&d->clock->lock);
	s = sim_slot_find(d, block);
	data = s && s->page ? s->page->data : zeroes;
	pthread_mutex_unlock(&d->clock->lock);
	return data;
}

void sim_flip_bit(struct sim_disk *d, u64 block, unsigned int bit)
{
	u8 *data = malloc(PDATA_BLOCK_SIZE);

	if (!data)
		sim_bug("out of memory");
	memcpy(data, sim_peek(d, block), PDATA_BLOCK_SIZE);
	data[bit / 8 % PDATA_BLOCK_SIZE] ^= 1 << bit % 8;
	sim_poke(d, block, data);
	free(data);
}

void sim_set_bad(struct sim_disk *d, u64 block, bool read, bool write)
{
	unsigned int i;

	pthread_mutex_lock(&d->clock->lock);
	for (i = 0; i < d->nr_bad && d->bad[i].block != block; i++)
		;
	if (!read && !write) {
		if (i < d->nr_bad)
			d->bad[i] = d->bad[--d->nr_bad];
	} else {
		if (i == SIM_MAX_BAD)
			sim_bug("too many bad blocks");
		d->bad[i] = (struct sim_bad){ block, read, write };
		if (i == d->nr_bad)
			d->nr_bad++;
	}
	pthread_mutex_unlock(&d->clock->lock);
}

int sim_write(struct sim_disk *d, u64 block, const void *data, bool fua)
{
	struct pdata_io_vec vec = { block, data };
	int r;

	might_sleep();
	pthread_mutex_lock(&d->clock->lock);
	r = write_locked(d, &vec, 1, fua);
	pthread_mutex_unlock(&d->clock->lock);
	return r;
}

int sim_read(struct sim_disk *d, u64 block, void *data)
{
	struct pdata_io_ref ref;
	int r = sim_io_get(&d->io, block, &ref);

	if (r)
		return r;
	memcpy(data, ref.data, PDATA_BLOCK_SIZE);
	sim_io_put(&d->io, &ref);
	return 0;
}

int sim_discard(struct sim_disk *d, u64 begin, u64 n)
{
	bool ok, now;
	u64 i;

	might_sleep();
	pthread_mutex_lock(&d->clock->lock);
	ok = tick(d->clock, &now);
	for (i = begin; (ok || now) && i < min(begin + n, d->io.nr_blocks); i++)
		if (sim_slot_find(d, i))
			cache_put(d, i, NULL);
	pthread_mutex_unlock(&d->clock->lock);
	return ok && begin + n <= d->io.nr_blocks ? 0 : -EIO;
}

int sim_save(struct sim_disk *d, const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int r = 0;
	u64 i;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, d->io.nr_blocks * PDATA_BLOCK_SIZE))
		r = -errno;
	for (i = 0; !r && i < d->nr_slots; i++) {
		const struct sim_slot *s = &d->slot[i];

		if (s->block >= d->io.nr_blocks || !s->page)
			continue;
		errno = ENOSPC;		/* of a short write */
		if (pwrite(fd, s->page->data, PDATA_BLOCK_SIZE,
			   s->block * PDATA_BLOCK_SIZE) != PDATA_BLOCK_SIZE)
			r = -errno;
	}
	if (close(fd) && !r)
		r = -errno;
	return r;
}
