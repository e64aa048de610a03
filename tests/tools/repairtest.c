// SPDX-License-Identifier: GPL-2.0-only
/*
 * Damages pools in memory, repairs them with thin2_repair's code, and compares
 * every unit of every thin with the undamaged pool.
 *
 *	repairtest [-s SEED] [-n ROUNDS] [-k BLOCKS] [-a KIND] [-c CASE] [-jv]
 *		IMAGE MODE [OLD...]
 *
 * MODE:
 *	single	each block in use, one by one, in each way
 *	random	ROUNDS times, BLOCKS random blocks, zeroed, flipped or with noise
 *	mixed	the same in all ways
 *	share	as random, BLOCKS per mille of the blocks in use
 *	kinds	all blocks of a kind, and of several: superblocks, counts, internal
 *		nodes, ... (or the name of one of these)
 *	oldsuper  the superblocks of each OLD image
 *	none	nothing
 *
 * A block is zeroed, a bit of it flipped, filled with noise, set back to what it
 * was in an OLD image, or overwritten with another of its type. IMAGE and OLD are
 * of one pool. -a destroys all blocks of a kind besides the random ones, -c runs
 * one case only, -j prints the sums as JSON, -v what the repair says.
 *
 * Whatever reads differently must read as damaged. But in random modes and for some
 * kinds, that may be no more than the leaves that were hit. What the journal said
 * in blocks that were hit may be missing. A deleted thin may be back only if the
 * report says that it is doubtful.
 */
#include <getopt.h>
#include <sys/mman.h>

#include "io-file.h"

#include "../../tools/repair.h"

/* ---- a device in memory ---- */

struct mem_io {
	struct pdata_io io;
	u8 *map;
	u8 *checked;
};

static struct mem_io *mem_of(struct pdata_io *io)
{
	return container_of(io, struct mem_io, io);
}

static int mem_get(struct pdata_io *io, u64 block, struct pdata_io_ref *ref)
{
	struct mem_io *m = mem_of(io);

	if (block >= io->nr_blocks)
		return -EIO;
	ref->data = m->map + block * PDATA_BLOCK_SIZE;
	ref->checked = &m->checked[block];
	return 0;
}

static void mem_put(struct pdata_io *io, struct pdata_io_ref *ref)
{
}

static int mem_read(struct pdata_io *io, u64 block, void *data)
{
	if (block >= io->nr_blocks)
		return -EIO;
	memcpy(data, mem_of(io)->map + block * PDATA_BLOCK_SIZE, PDATA_BLOCK_SIZE);
	return 0;
}

static int mem_write(struct pdata_io *io, const struct pdata_io_vec *vec, unsigned int n,
		     bool fua)
{
	struct mem_io *m = mem_of(io);
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (vec[i].block >= io->nr_blocks)
			return -EIO;
		memcpy(m->map + vec[i].block * PDATA_BLOCK_SIZE, vec[i].data, PDATA_BLOCK_SIZE);
		m->checked[vec[i].block] = 0;
	}
	return 0;
}

static int mem_flush(struct pdata_io *io)
{
	return 0;
}

static const struct pdata_io_ops mem_ops = {
	.get = mem_get, .put = mem_put, .read = mem_read, .write = mem_write, .flush = mem_flush,
};

static void mem_init(struct mem_io *m, u64 nr_blocks, const char *name)
{
	m->io = (struct pdata_io){ .ops = &mem_ops, .nr_blocks = nr_blocks, .name = name };
	m->map = mmap(NULL, nr_blocks * PDATA_BLOCK_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	m->checked = tool_alloc(nr_blocks);
	if (m->map == MAP_FAILED)
		exit(2);
}

static void mem_reset(struct mem_io *m)
{
	madvise(m->map, m->io.nr_blocks * PDATA_BLOCK_SIZE, MADV_DONTNEED);
	memset(m->checked, 0, m->io.nr_blocks);
}

static void mem_load(struct mem_io *m, const char *path)
{
	struct pdata_io *io;
	void *d = tool_block();
	u64 i;

	if (pdata_io_file_open(path, PDATA_IO_FILE_READ_ONLY, &io)) {
		fprintf(stderr, "cannot open %s\n", path);
		exit(2);
	}
	mem_init(m, io->nr_blocks, path);
	for (i = 0; i < io->nr_blocks; i++) {
		if (pdata_io_read(io, i, d))
			exit(2);
		/* Zeroes are there already, for free. */
		if (memchr_inv(d, 0, PDATA_BLOCK_SIZE))
			memcpy(m->map + i * PDATA_BLOCK_SIZE, d, PDATA_BLOCK_SIZE);
	}
	pdata_block_free(d);
	if (pdata_io_file_close(io))
		exit(2);
}

static void mem_exit(struct mem_io *m)
{
	munmap(m->map, m->io.nr_blocks * PDATA_BLOCK_SIZE);
	free(m->checked);
}

static void *mem_block(struct mem_io *m, u64 block)
{
	return m->map + block * PDATA_BLOCK_SIZE;
}

/* ---- what a pool says ---- */

struct thin_map {
	u32 id;
	u64 uid;
	struct rp_array ranges;		/* struct pdata_range */
};

struct pool_map {
	struct rp_array thins;		/* struct thin_map */
	u64 mapped;
};

static int note_range(void *context, const struct pdata_range *r)
{
	struct thin_map *t = context;

	*(struct pdata_range *)rp_array_add(&t->ranges, sizeof(*r)) = *r;
	return 0;
}

struct map_thins {
	struct pool_map *map;
	struct rp_array details;
};

static int note_details(void *context, const struct thin2_details *d)
{
	struct map_thins *m = context;

	*(struct thin2_details *)rp_array_add(&m->details, sizeof(*d)) = *d;
	return 0;
}

static int read_pool(struct pdata_io *io, struct pool_map *map)
{
	struct thin2_md_params p = { .io = io, .name = "pool", .read_only = true };
	struct map_thins m = { .map = map };
	const struct thin2_details *d;
	struct thin_map *t;
	struct thin2_md *md;
	size_t i, k;
	int err = thin2_md_open(&p, &md);

	memset(map, 0, sizeof(*map));
	if (err)
		return err;
	err = thin2_for_each_details(md, false, note_details, &m);
	for (i = 0, d = m.details.v; i < m.details.nr && !err; i++, d++) {
		t = rp_array_add(&map->thins, sizeof(*t));
		t->id = d->id;
		t->uid = d->uid;
		err = thin2_walk(md, d, note_range, t);
		for (k = 0; k < t->ranges.nr; k++)
			if (((struct pdata_range *)t->ranges.v)[k].kind == PDATA_RANGE_MAPPED)
				map->mapped += ((struct pdata_range *)t->ranges.v)[k].len;
	}
	thin2_md_abandon(md);
	free(m.details.v);
	return err;
}

static void free_pool(struct pool_map *map)
{
	size_t i;

	for (i = 0; i < map->thins.nr; i++)
		free(((struct thin_map *)map->thins.v)[i].ranges.v);
	free(map->thins.v);
}

static struct thin_map *find_thin(const struct pool_map *map, u32 id)
{
	struct thin_map *t = map->thins.v;
	size_t i;

	for (i = 0; i < map->thins.nr; i++)
		if (t[i].id == id)
			return &t[i];
	return NULL;
}

/* ---- a run ---- */

struct span {
	u64 uid;
	u64 lo;
	u64 hi;
};

struct in_thin {
	u64 block;
	u64 uid;
};

/* Blocks that are destroyed together. */
struct kind {
	const char *name;
	bool (*is)(const struct rp_block *b);
	bool strict;		/* nothing may be lost */
};

struct test {
	struct mem_io good;
	struct mem_io work;
	struct mem_io out;
	struct mem_io again;
	struct mem_io *old;
	unsigned int nr_old;
	struct pool_map oracle;
	struct repair base;		/* of the undamaged pool: who is who */
	struct rp_array used;		/* u32: index + 1 of blocks in use */
	struct rp_array in_thins;	/* struct in_thin: who has which leaf */
	struct rp_array hit;		/* u64: blocks damaged now */
	struct rp_array leaves;		/* struct span: leaves that were hit */
	struct rp_array records;	/* struct span: what journal blocks that were hit said */
	struct rp_array history;	/* text of what was done */
	struct rp_array doubtful;	/* u32: thins that the repair was not sure of */
	u64 seed;
	bool verbose;
	bool strict;
	u64 only;			/* this case */
	const struct kind *also;	/* what is destroyed besides random blocks */

	u64 cases;
	u64 wrong;
	u64 bad;			/* cases that failed */
	u64 lost;			/* units */
	u64 due;			/* ... of leaves that were hit */
	u64 beyond;			/* lost ones that were not in such leaves */
	u64 all_hit;			/* blocks, in all cases */
};

static u64 rnd(struct test *t)
{
	u64 z = (t->seed += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static void say(struct test *t, const char *fmt, ...) __printf(2, 3);

static void say(struct test *t, const char *fmt, ...)
{
	va_list args;
	char text[128];
	size_t i;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	for (i = 0; text[i]; i++)
		*(char *)rp_array_add(&t->history, 1) = text[i];
}

static bool in_spans(const struct rp_array *a, u64 uid, u64 pos, u64 *end)
{
	const struct span *s = a->v;
	size_t i;

	for (i = 0; i < a->nr; i++, s++) {
		if (s->uid != uid)
			continue;
		if (pos >= s->lo && pos < s->hi) {
			*end = min(*end, s->hi);
			return true;
		}
		if (s->lo > pos)
			*end = min(*end, s->lo);
	}
	return false;
}

/* What is at @pos; *end is lowered to where it ends. */
static struct pdata_range range_at(const struct thin_map *t, size_t *i, u64 pos, u64 *end)
{
	const struct pdata_range *r = t ? t->ranges.v : NULL;
	struct pdata_range hole = { .begin = pos };

	while (t && *i < t->ranges.nr && pdata_range_end(&r[*i]) <= pos)
		(*i)++;
	if (!t || *i == t->ranges.nr)
		return hole;
	if (r[*i].begin > pos) {
		*end = min(*end, r[*i].begin);
		return hole;
	}
	*end = min(*end, pdata_range_end(&r[*i]));
	pdata_range_clip(&r[*i], pos, *end, &hole);
	return hole;
}

/*
 * Compare one thin, piece by piece. Births are those of the leaves; but what comes
 * from the journal is joined with what lies beside it, and that may be lost.
 */
static void compare_thin(struct test *t, const struct thin_map *want, const struct thin_map *got)
{
	size_t i = 0, k = 0;
	u64 pos = 0, end;

	for (; pos < PDATA_MAX_UNITS; pos = end) {
		struct pdata_range a, b;
		bool due, journal;

		end = PDATA_MAX_UNITS;
		a = range_at(want, &i, pos, &end);
		b = range_at(got, &k, pos, &end);
		journal = in_spans(&t->records, want->uid, pos, &end);
		due = in_spans(&t->leaves, want->uid, pos, &end);
		if (a.kind == PDATA_RANGE_MAPPED && due)
			t->due += end - pos;
		if (a.kind == b.kind && a.value == b.value &&
		    (a.kind != PDATA_RANGE_MAPPED || b.tag <= a.tag || t->base.records_kept))
			continue;
		if (journal && b.kind != PDATA_RANGE_DAMAGED)
			continue;
		if (got && b.kind != PDATA_RANGE_DAMAGED) {
			printf("# thin %u, units %llu..%llu: kind %u at %llu (%u), not %u at %llu (%u)\n",
			       want->id, pos, end - 1, b.kind, b.value, b.tag, a.kind, a.value,
			       a.tag);
			t->wrong++;
			return;
		}
		if (a.kind == PDATA_RANGE_MAPPED) {
			t->lost += end - pos;
			t->beyond += due ? 0 : end - pos;
		}
		if (a.kind && t->strict && !due && !journal) {
			printf("# thin %u, units %llu..%llu: lost, and need not be\n", want->id,
			       pos, end - 1);
			t->wrong++;
			return;
		}
	}
}

static bool is_doubtful(const struct test *t, u32 id)
{
	const u32 *v = t->doubtful.v;
	size_t i;

	for (i = 0; i < t->doubtful.nr; i++)
		if (v[i] == id)
			return !t->strict;
	return false;
}

static void compare(struct test *t, const struct pool_map *got)
{
	const struct thin_map *want = t->oracle.thins.v, *g = got->thins.v;
	size_t i;

	for (i = 0; i < t->oracle.thins.nr; i++, want++) {
		const struct thin_map *x = find_thin(got, want->id);

		if (x && x->uid != want->uid) {
			printf("# thin %u has uid %llu, not %llu\n", want->id, x->uid, want->uid);
			t->wrong++;
			continue;
		}
		compare_thin(t, want, x);
	}
	for (i = 0; i < got->thins.nr; i++, g++) {
		if (find_thin(&t->oracle, g->id) || is_doubtful(t, g->id))
			continue;
		printf("# thin %u was deleted and is back\n", g->id);
		t->wrong++;
	}
}

static int repair(struct test *t, struct mem_io *from, struct mem_io *to)
{
	struct repair r = { .input = "input", .output = "output", .quiet = !t->verbose };
	size_t i;
	int err;

	mem_reset(to);
	r.in = &from->io;
	r.out = &to->io;
	r.verbose = t->verbose;
	err = rp_repair(&r);
	if (!err && t->verbose)
		rp_report(&r, 0);
	t->doubtful.nr = 0;
	for (i = 0; i < r.thins.nr; i++)
		if (rp_thin(&r, i)->doubt)
			*(u32 *)rp_array_add(&t->doubtful, sizeof(u32)) = rp_thin(&r, i)->d.id;
	rp_exit(&r);
	return err;
}

/* Repairing what was repaired changes nothing. */
static void check_again(struct test *t, const struct pool_map *first)
{
	const struct thin_map *x = first->thins.v, *y;
	struct pool_map second;
	size_t i;
	int err = repair(t, &t->out, &t->again);

	if (!err)
		err = read_pool(&t->again.io, &second);
	if (err) {
		printf("# what was repaired cannot be repaired: %s\n", tool_error(err));
		t->wrong++;
		return;
	}
	for (i = 0; i < first->thins.nr; i++, x++) {
		y = find_thin(&second, x->id);
		if (!y || x->ranges.nr != y->ranges.nr ||
		    memcmp(x->ranges.v, y->ranges.v, x->ranges.nr * sizeof(struct pdata_range))) {
			printf("# a second repair changes thin %u\n", x->id);
			t->wrong++;
		}
	}
	free_pool(&second);
}

static void restore(struct test *t)
{
	const u64 *b = t->hit.v;
	size_t i;

	for (i = 0; i < t->hit.nr; i++)
		memcpy(mem_block(&t->work, b[i]), mem_block(&t->good, b[i]), PDATA_BLOCK_SIZE);
	t->hit.nr = 0;
	t->leaves.nr = 0;
	t->records.nr = 0;
	t->history.nr = 0;
}

static void run_case(struct test *t)
{
	const u64 before = t->wrong;
	struct pool_map got;
	int err;

	t->cases++;
	if (t->only && t->cases != t->only) {
		restore(t);
		return;
	}
	if (t->verbose)
		printf("# case:%.*s\n", (int)t->history.nr, (char *)t->history.v);
	memset(t->work.checked, 0, t->work.io.nr_blocks);
	err = repair(t, &t->work, &t->out);
	if (!err)
		err = read_pool(&t->out.io, &got);
	if (err) {
		printf("# not repaired: %s\n", tool_error(err));
		t->wrong++;
	} else {
		compare(t, &got);
		if (t->cases % 16 == 1)
			check_again(t, &got);
		free_pool(&got);
	}
	if (t->wrong != before) {
		t->bad++;
		printf("# ... in case %llu:%.*s\n", t->cases, (int)t->history.nr,
		       (char *)t->history.v);
	}
	restore(t);
}

/* ---- damage ---- */

enum way { WAY_ZERO, WAY_FLIP, WAY_NOISE, WAY_OLD, WAY_OTHER, NR_WAYS };

static const char * const way_text[NR_WAYS] = { "zero", "flip", "noise", "old", "other" };

/* Another content that was good for that place, or NULL. */
static const void *old_content(struct test *t, u64 block)
{
	unsigned int i, from = rnd(t) % (t->nr_old ? t->nr_old : 1);
	struct pdata_check c = {
		.block = block,
		.max_generation = ~0ull,
		.nr_blocks = t->good.io.nr_blocks,
		.uuid = t->base.sb.uuid,
	};
	const struct pdata_header *h;

	for (i = 0; i < t->nr_old; i++) {
		struct mem_io *m = &t->old[(from + i) % t->nr_old];

		if (block >= m->io.nr_blocks)
			continue;
		h = mem_block(m, block);
		c.type = le32_to_cpu(h->magic);
		if (c.type && !pdata_block_check(&c, h) &&
		    memcmp(h, mem_block(&t->good, block), PDATA_BLOCK_SIZE))
			return h;
	}
	return NULL;
}

/* Another block in use of the same type, or NULL. */
static const void *other_content(struct test *t, const struct rp_block *b)
{
	unsigned int i, from = rnd(t) % t->used.nr;

	for (i = 0; i < t->used.nr; i++) {
		const struct rp_block *o = rp_block(&t->base,
				((u32 *)t->used.v)[(from + i) % t->used.nr]);

		if (o != b && o->type == b->type)
			return mem_block(&t->good, o->block);
	}
	return NULL;
}

static void note_hit(struct test *t, const struct rp_block *b)
{
	const struct pdata_journal_disk *d = mem_block(&t->good, b->block);
	const struct in_thin *in = t->in_thins.v;
	struct pdata_record rec;
	size_t k;
	u32 i;

	*(u64 *)rp_array_add(&t->hit, sizeof(u64)) = b->block;
	t->all_hit++;
	for (k = 0; k < t->in_thins.nr; k++, in++)
		if (in->block == b->block)
			*(struct span *)rp_array_add(&t->leaves, sizeof(struct span)) =
				(struct span){ in->uid, b->lo, b->hi };
	for (i = 0; b->type == RP_JOURNAL && i < le32_to_cpu(d->nr_records); i++) {
		pdata_record_unpack(&d->record[i], &rec);
		*(struct span *)rp_array_add(&t->records, sizeof(struct span)) =
			(struct span){ rec.uid, rec.vbegin, rec.vbegin + rec.len };
	}
}

static bool damage(struct test *t, const struct rp_block *b, enum way way)
{
	u8 *d = mem_block(&t->work, b->block);
	const void *content = NULL;
	unsigned int i;

	if (way == WAY_OLD)
		content = old_content(t, b->block);
	else if (way == WAY_OTHER)
		content = other_content(t, b);
	if (!content && (way == WAY_OLD || way == WAY_OTHER))
		return false;
	if (content)
		memcpy(d, content, PDATA_BLOCK_SIZE);
	else if (way == WAY_ZERO)
		memset(d, 0, PDATA_BLOCK_SIZE);
	else if (way == WAY_FLIP)
		d[rnd(t) % PDATA_BLOCK_SIZE] ^= 1 << rnd(t) % 8;
	else
		for (i = 0; i < PDATA_BLOCK_SIZE; i++)
			d[i] = rnd(t);
	note_hit(t, b);
	say(t, " %s %llu (type %u, owner %llu, level %u, generation %llu, [%llu, %llu))",
	    way_text[way], b->block, b->type, b->owner, b->level, b->generation, b->lo, b->hi);
	return true;
}

static const struct rp_block *used_block(const struct test *t, size_t i)
{
	return rp_block(&t->base, ((u32 *)t->used.v)[i]);
}

static void run_single(struct test *t)
{
	unsigned int way;
	size_t i;

	t->strict = true;
	for (i = 0; i < t->used.nr; i++)
		for (way = 0; way < NR_WAYS; way++)
			if (damage(t, used_block(t, i), way))
				run_case(t);
}

static void run_random(struct test *t, u64 rounds, u64 blocks, unsigned int ways)
{
	u64 i;

	while (rounds--) {
		for (i = 0; t->also && i < t->used.nr; i++)
			if (t->also->is(used_block(t, i)))
				damage(t, used_block(t, i), WAY_ZERO);
		for (i = 0; i < blocks; i++)
			damage(t, used_block(t, rnd(t) % t->used.nr), rnd(t) % ways);
		run_case(t);
	}
}

/* ---- all blocks of some kind ---- */

static bool is_super(const struct rp_block *b)
{
	return b->type == RP_SUPER;
}

static bool is_counts(const struct rp_block *b)
{
	return b->type == RP_COUNTS;
}

static bool is_data_map(const struct rp_block *b)
{
	return b->owner == PDATA_OWNER_DATA_SM;
}

static bool is_internal(const struct rp_block *b)
{
	return b->type == RP_NODE || (b->type == RP_BTREE && b->level);
}

/* All that can be told from leaves of thins, details and the journal. */
static bool is_index(const struct rp_block *b)
{
	return is_super(b) || is_counts(b) || is_data_map(b) || is_internal(b);
}

static bool is_root(const struct rp_block *b)
{
	return (b->type == RP_NODE && !b->lo && b->hi == PDATA_MAX_UNITS) ||
	       (b->type == RP_BTREE && b->level);
}

static bool is_details(const struct rp_block *b)
{
	return b->type == RP_BTREE;
}

static bool is_journal(const struct rp_block *b)
{
	return b->type == RP_JOURNAL;
}

static bool is_super_or_journal(const struct rp_block *b)
{
	return is_super(b) || is_journal(b);
}

static bool is_space_map(const struct rp_block *b)
{
	return is_counts(b) || is_data_map(b);
}

static bool is_super_or_space_map(const struct rp_block *b)
{
	return is_super(b) || is_space_map(b);
}

static bool is_super_or_internal(const struct rp_block *b)
{
	return is_super(b) || is_internal(b);
}

static bool is_super_or_counts(const struct rp_block *b)
{
	return is_super(b) || is_counts(b);
}

static const struct kind kinds[] = {
	{ "super", is_super, true },
	{ "counts", is_counts, true },
	{ "datamap", is_data_map, true },
	{ "internal", is_internal, true },
	{ "roots", is_root, true },
	{ "spacemaps", is_space_map, true },
	{ "super+counts", is_super_or_counts, true },
	{ "super+spacemaps", is_super_or_space_map, true },
	{ "super+internal", is_super_or_internal, true },
	{ "index", is_index, true },
	{ "details", is_details, false },
	{ "journal", is_journal, false },
	{ "super+journal", is_super_or_journal, false },
};

static void run_kind(struct test *t, const struct kind *k)
{
	enum way way;
	size_t i;

	t->strict = k->strict;
	for (way = WAY_ZERO; way < WAY_OLD; way++) {
		for (i = 0; i < t->used.nr; i++)
			if (k->is(used_block(t, i)))
				damage(t, used_block(t, i), way);
		if (!t->hit.nr)
			return;
		if (!t->verbose) {
			t->history.nr = 0;
			say(t, " all %s: %s", k->name, way_text[way]);
		}
		run_case(t);
	}
}

/* All superblocks are those of an older image. */
static void run_old_super(struct test *t)
{
	static const u64 place[] = { PDATA_SB_A, PDATA_SB_B, PDATA_SB_BACKUP };
	unsigned int i, k;

	t->strict = true;
	for (i = 0; i < t->nr_old; i++) {
		for (k = 0; k < 3; k++) {
			*(u64 *)rp_array_add(&t->hit, sizeof(u64)) = place[k];
			memcpy(mem_block(&t->work, place[k]), mem_block(&t->old[i], place[k]),
			       PDATA_BLOCK_SIZE);
		}
		say(t, " superblocks of old image %u", i + 1);
		run_case(t);
	}
}

/* ---- setting up ---- */

static bool in_use(const struct repair *r, const struct rp_block *b)
{
	u32 count;

	if (b->pool != r->pool)
		return false;
	switch (b->type) {
	case RP_SUPER:
	case RP_COUNTS:
		return true;
	case RP_JOURNAL:
		return false;
	default:
		return b->generation <= r->generation && rp_count(r, b->block, &count) && count;
	}
}

/* Which leaves the thin's tree has. */
static void note_leaves(struct test *t, const struct rp_at *at, u64 uid)
{
	struct repair *r = &t->base;
	const struct rp_ref ref = rp_resolve(r, at);
	const struct rp_block *b = ref.node ? rp_block(r, ref.node) : NULL;
	const struct pdata_range_node_disk *d;
	struct rp_at child;
	unsigned int i;

	if (!b)
		return;
	if (b->type == RP_LEAF) {
		*(struct in_thin *)rp_array_add(&t->in_thins, sizeof(struct in_thin)) =
			(struct in_thin){ b->block, uid };
		return;
	}
	d = mem_block(&t->good, b->block);
	for (i = 0; i < le16_to_cpu(d->r.nr); i++) {
		rp_child(b, d, i, &child);
		note_leaves(t, &child, uid);
	}
}

static void set_up(struct test *t, const char *image)
{
	struct repair *r = &t->base;
	int err;
	u32 i;

	mem_load(&t->good, image);
	mem_load(&t->work, image);
	mem_init(&t->out, t->good.io.nr_blocks, "output");
	mem_init(&t->again, t->good.io.nr_blocks, "second output");
	err = read_pool(&t->good.io, &t->oracle);
	*r = (struct repair){ .input = image, .output = "output", .quiet = true };
	r->in = &t->good.io;
	r->out = &t->out.io;
	if (!err)
		err = rp_repair(r);
	if (err) {
		printf("# %s: %s\n", image, tool_error(err));
		exit(1);
	}
	for (i = 1; i <= r->index.nr; i++)
		if (in_use(r, rp_block(r, i)))
			*(u32 *)rp_array_add(&t->used, sizeof(u32)) = i;
	for (i = 0; i < r->thins.nr; i++) {
		const struct rp_at at = rp_root_at(rp_thin(r, i));

		if (!rp_thin(r, i)->tombstone)
			note_leaves(t, &at, rp_thin(r, i)->d.uid);
	}
	for (i = 0; i < r->journal.nr; i++)
		*(u32 *)rp_array_add(&t->used, sizeof(u32)) = ((u32 *)r->journal.v)[i];
}

static void tear_down(struct test *t)
{
	unsigned int i;

	for (i = 0; i < t->nr_old; i++)
		mem_exit(&t->old[i]);
	free(t->old);
	mem_exit(&t->good);
	mem_exit(&t->work);
	mem_exit(&t->out);
	mem_exit(&t->again);
	rp_exit(&t->base);
	free_pool(&t->oracle);
	free(t->used.v);
	free(t->in_thins.v);
	free(t->hit.v);
	free(t->leaves.v);
	free(t->records.v);
	free(t->history.v);
	free(t->doubtful.v);
}

static bool run_kinds(struct test *t, const char *name)
{
	bool any = false;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(name, "kinds") && strcmp(name, kinds[i].name))
			continue;
		run_kind(t, &kinds[i]);
		any = true;
	}
	return any;
}

static bool run_mode(struct test *t, const char *mode, u64 rounds, u64 blocks)
{
	if (!strcmp(mode, "single"))
		run_single(t);
	else if (!strcmp(mode, "random"))
		run_random(t, rounds, blocks, WAY_OLD);
	else if (!strcmp(mode, "mixed"))
		run_random(t, rounds, blocks, NR_WAYS);
	else if (!strcmp(mode, "share"))
		run_random(t, rounds, max(1ull, t->used.nr * blocks / 1000), WAY_OLD);
	else if (!strcmp(mode, "oldsuper"))
		run_old_super(t);
	else if (!strcmp(mode, "none"))
		run_case(t);
	else
		return run_kinds(t, mode);
	return true;
}

static const struct kind *find_kind(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(name, kinds[i].name))
			return &kinds[i];
	fprintf(stderr, "unknown kind '%s'\n", name);
	exit(2);
}

static void print_json(const struct test *t)
{
	printf("{\"cases\": %llu, \"used_blocks\": %zu, \"hit_blocks\": %llu, ", t->cases,
	       t->used.nr, t->all_hit);
	printf("\"mapped\": %llu, \"due\": %llu, \"lost\": %llu, \"failed\": %llu}\n",
	       t->oracle.mapped, t->due, t->lost, t->bad);
}

int main(int argc, char **argv)
{
	struct test t = { .seed = 1 };
	u64 rounds = 1, blocks = 1;
	bool json = false;
	int opt, i;

	tool_init("repairtest");
	while ((opt = getopt(argc, argv, "a:s:n:k:c:jv")) != -1) {
		if (opt == '?')
			return 2;
		if (opt == 'v')
			t.verbose = true;
		else if (opt == 'j')
			json = true;
		else if (opt == 'a')
			t.also = find_kind(optarg);
		else
			*(opt == 's' ? &t.seed : opt == 'n' ? &rounds :
			  opt == 'c' ? &t.only : &blocks) =
				strtoull(optarg, NULL, 0);
	}
	if (optind + 2 > argc)
		return 2;
	set_up(&t, argv[optind]);
	t.nr_old = argc - optind - 2;
	t.old = tool_alloc((t.nr_old + 1) * sizeof(*t.old));
	for (i = 0; i < (int)t.nr_old; i++)
		mem_load(&t.old[i], argv[optind + 2 + i]);
	if (!run_mode(&t, argv[optind + 1], rounds, blocks))
		return 2;
	if (json)
		print_json(&t);
	else
		printf("# %llu cases, %zu blocks in use, %llu failed; of %llu units mapped in each, %llu were in leaves that were hit, %llu are lost, %llu of them beyond those leaves\n",
	       t.cases, t.used.nr, t.bad, t.oracle.mapped, t.due, t.lost, t.beyond);
	tear_down(&t);
	return t.wrong ? 1 : 0;
}
