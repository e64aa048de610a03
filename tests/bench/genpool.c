// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes metadata of pools that look like real ones, from a seed: the same
 * arguments give the same bytes.
 *
 *	genpool [-s SEED] [-n RANGES] [-t THINS] [-p SNAPSHOTS] [-m BLOCKS] FILE KIND
 *
 * KIND, with the defaults of -n, -t and -p:
 *
 *	aged:RUN  pool of dm-thin 1 that has aged: runs of RUN blocks of 64 KiB
 *		in the mean, written by eight writers at a time; between
 *		snapshots some files in a hot tenth are written anew
 *	vm	a golden image, its clones, and snapshots of those
 *	db	a database file and its log; 4 KiB overwrites between snapshots
 *	media	long files, appended to by some writers at a time, some deleted
 *	scale	thins of 1,000 ranges and many more snapshots of them
 *	scattered  thins of which every second unit is mapped, each a range of its
 *		own: written in random order within each 2^18 of them
 *
 * RANGES is about how many are written before the first snapshot (aged, scale),
 * or in all. vm, db and media write as the kernel does, and the core chooses
 * where. aged, scale and scattered say where: their changes go into journal and delta
 * lists as a replay's do, and from there the usual way: merges, checkpoints,
 * snapshots. No tree is built directly.
 *
 * Prints what it did and the seconds of CPU it took, as JSON. Thins have the ids
 * 1..THINS, snapshots follow.
 */
#include "dm-thin2-internal.h"
#include "map-io.h"

#include <getopt.h>
#include <math.h>

#define BLOCK_UNITS	16u	/* 64 KiB, dm-thin 1's smallest */
#define WRITERS		8u	/* at a time */
#define CHURN_PERCENT	2u	/* of a thin between two snapshots */

struct gen {
	struct thin2_md_params p;
	struct thin2_md *md;
	const char *kind;
	u64 seed;
	u64 rnd;
	u64 nr;			/* -n */
	u32 thins;
	u32 snaps;
	u32 next_id;
	u64 phys;		/* next data unit, when we choose */

	u64 records;
	u64 created;
	u64 snapped;
	double create_s;
	double record_s;
	double merge_s;
	double snap_s;
};

/* Our CPU's: others may be busy on the machine, and there is no device to wait for. */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void must(const char *what, int r)
{
	if (!r)
		return;
	fprintf(stderr, "genpool: %s: %s\n", what, r < 0 ? pdata_error_text(r) : "failed");
	exit(1);
}

static void *must_alloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		must("memory", -ENOMEM);
	return p;
}

/* ---- chance ---- */

static u64 rnd(struct gen *g)
{
	u64 z = (g->rnd += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static u64 below(struct gen *g, u64 n)
{
	return n ? rnd(g) % n : 0;
}

static bool percent(struct gen *g, unsigned int p)
{
	return below(g, 100) < p;
}

/* 1, 2, ...; geometric with that mean. */
static u64 geometric(struct gen *g, double mean)
{
	const double u = ((rnd(g) >> 11) + 1) / 9007199254740992.0;

	return mean <= 1 ? 1 : 1 + (u64)(log(u) / log(1 - 1 / mean));
}

/* Evenly many of each magnitude from 2^lo to 2^hi. */
static u64 magnitude(struct gen *g, unsigned int lo, unsigned int hi)
{
	const u64 base = 1ull << (lo + below(g, hi - lo));

	return base + below(g, base);
}

/* ---- thins ---- */

static void create(struct gen *g, u32 id)
{
	const double t = now();

	must("create", thin2_create(g->md, id));
	g->create_s += now() - t;
	g->created++;
}

static u32 snapshot(struct gen *g, u32 origin)
{
	const double t = now();

	must("snapshot", thin2_create_snap(g->md, g->next_id, origin));
	g->snap_s += now() - t;
	g->snapped++;
	return g->next_id++;
}

static struct thin2_dev *open_thin(struct gen *g, u32 id)
{
	struct thin2_dev *th;

	must("open", thin2_dev_open(g->md, id, &th));
	return th;
}

static void checkpoint(struct gen *g)
{
	const double t = now();

	must("checkpoint", thin2_checkpoint(g->md));
	g->merge_s += now() - t;
}

/* ---- changes whose place we choose ---- */

static void reserve_record(struct gen *g, struct thin2_dev *th)
{
	struct thin2_md *md = g->md;
	int r;

	if ((u64)atomic64_read(&md->nr_dirty) >= min(thin2_admit(md), md->max_dirty) / 2)
		checkpoint(g);
	while ((r = pdata_journal_reserve(&md->journal, 1)) == -PDATA_E_JOURNAL_FULL) {
		must("flush", thin2_flush(md));
		if (pdata_journal_fill(&md->journal) > 25)
			checkpoint(g);
	}
	must("journal", r);
}

/* @th has [begin, +len) at @phys from now on. */
static void put_record(struct gen *g, struct thin2_dev *th, u64 begin, u64 phys, u32 len)
{
	const struct pdata_record rec = {
		.uid = th->uid,
		.vbegin = begin,
		.phys = phys,
		.len = len,
		.birth = th->snap_time,
		.kind = PDATA_REC_MAP,
	};
	struct thin2_delta d = {
		.vbegin = begin,
		.kind = rec.kind,
		.phys = phys,
		.len = len,
		.birth = rec.birth,
	};
	unsigned long flags;

	reserve_record(g, th);
	must("data", pdata_alloc_take(&g->md->alloc, phys, len));
	must("delta", thin2_delta_list_reserve(&th->active, GFP_NOIO));
	atomic64_inc(&g->md->nr_dirty);
	spin_lock_irqsave(&th->lock, flags);
	thin2_note_changed(th);
	d.seq = pdata_journal_append(&g->md->journal, &rec);
	thin2_delta_list_add(&th->active, &d, 0);
	spin_unlock_irqrestore(&th->lock, flags);
	g->records++;
}

/* ---- writes as the kernel does them ---- */

static u64 write_step(struct gen *g, struct thin2_dev *th, u64 unit, u64 end)
{
	struct thin2_where where;
	struct thin2_write w;
	int r;

	thin2_lookup(th, unit, end, true, &where);
	if (where.action == THIN2_REMAP)
		return where.end;
	if (where.action == THIN2_FILL) {
		must("fill", thin2_fill(th, unit, end));
		return unit;
	}
	if (where.action == THIN2_UNSHARE) {
		r = thin2_try_exclusive(th, unit, end);
		must("sharing", min(r, 0));
		if (r)
			return unit;
	}
	r = thin2_write_begin(th, unit, where.end, &w);
	if (!r) {
		unit += w.len;
		thin2_write_end(&w, 0);
		g->records++;
	} else if (r != -PDATA_E_MISS) {
		must("room", thin2_make_room(th, r));
	}
	return unit;
}

static void write_range(struct gen *g, struct thin2_dev *th, u64 begin, u64 len)
{
	const u64 end = begin + len;
	double t;

	while (begin < end)
		begin = write_step(g, th, begin, end);
	if ((u64)atomic64_read(&g->md->nr_dirty) <= g->md->max_dirty / 2)
		return;
	t = now();
	must("work", min(thin2_work(g->md, false), 0));
	g->merge_s += now() - t;
}

static void unmap_range(struct gen *g, struct thin2_dev *th, u64 begin, u64 end)
{
	int r;

	while (begin < end) {
		r = thin2_unmap(th, begin, end, false, &begin);
		if (r)
			must("unmap", thin2_make_room(th, r));
	}
}

/* ---- kinds: aged ---- */

/* A file: some runs that one writer writes in order. */
struct file {
	u32 thin;
	u32 first;		/* run */
	u32 nr;
	u32 done;
};

struct run {
	u64 begin;		/* units */
	u32 len;
};

struct aged {
	struct gen *g;
	struct thin2_dev **th;
	struct run **run;	/* of each thin */
	u32 nr_runs;		/* a thin */
	struct file *file;
	u32 nr_files;
	u64 files_of;		/* a thin, first ones are those of thin 0 */
};

static void aged_shape(struct aged *a, double mean)
{
	struct gen *g = a->g;
	u32 t, i, n;
	u64 pos;

	for (t = 0; t < g->thins; t++) {
		a->run[t] = must_alloc(a->nr_runs, sizeof(**a->run));
		for (i = 0, pos = 0; i < a->nr_runs; i++) {
			if (percent(g, 20))
				pos += BLOCK_UNITS * geometric(g, 8);
			a->run[t][i].begin = pos;
			a->run[t][i].len = BLOCK_UNITS * min_t(u64, geometric(g, mean), 4096);
			pos += a->run[t][i].len;
		}
		for (i = 0; i < a->nr_runs; i += n) {
			n = min_t(u32, geometric(g, 16), a->nr_runs - i);
			a->file[a->nr_files++] = (struct file){ .thin = t, .first = i, .nr = n };
		}
	}
}

/* Some writers take turns, never one twice running: so runs are runs. */
static void aged_write(struct aged *a, struct file *list, u32 nr)
{
	u32 next = 0, active = 0, last = ~0u, i;
	struct gen *g = a->g;
	struct file writer[WRITERS], *f;
	struct run *run;

	while (active || next < nr) {
		while (active < WRITERS && next < nr)
			writer[active++] = list[next++];
		i = below(g, active);
		if (i == last) {
			i = (i + 1) % active;
			if (active == 1)
				g->phys += BLOCK_UNITS;
		}
		last = i;
		f = &writer[i];
		run = &a->run[f->thin][f->first + f->done];
		put_record(g, a->th[f->thin], run->begin, g->phys, run->len);
		g->phys += run->len;
		if (++f->done == f->nr) {
			*f = writer[--active];
			last = ~0u;
			g->phys += BLOCK_UNITS;
		}
	}
}

static void shuffle(struct gen *g, struct file *f, u32 nr)
{
	u32 i;

	for (i = nr; i > 1; i--)
		swap(f[i - 1], f[below(g, i)]);
}

/* Half of what changes is whole files, half single runs; nine tenths is in the hot tenth. */
static u32 aged_churn(struct aged *a, struct file *list)
{
	const u32 runs = a->nr_runs * a->g->thins * CHURN_PERCENT / 100 + 1;
	const u32 hot = a->nr_files / 10 + 1;
	struct gen *g = a->g;
	u32 nr = 0, done = 0;
	struct file f;

	while (done < runs) {
		f = a->file[percent(g, 90) ? below(g, hot) : below(g, a->nr_files)];
		if (done < runs / 2) {
			f.first += below(g, f.nr);
			f.nr = 1;
		}
		done += f.nr;
		list[nr++] = f;
	}
	return nr;
}

static void gen_aged(struct gen *g, double mean)
{
	struct aged a = { .g = g, .nr_runs = g->nr / g->thins + 1 };
	struct file *list;
	u32 i, s, nr;

	a.th = must_alloc(g->thins, sizeof(*a.th));
	a.run = must_alloc(g->thins, sizeof(*a.run));
	a.file = must_alloc((u64)a.nr_runs * g->thins, sizeof(*a.file));
	list = must_alloc((u64)a.nr_runs * g->thins, sizeof(*list));
	for (i = 0; i < g->thins; i++) {
		create(g, i + 1);
		a.th[i] = open_thin(g, i + 1);
	}
	g->next_id = g->thins + 1;
	aged_shape(&a, mean);
	shuffle(g, a.file, a.nr_files);
	aged_write(&a, a.file, a.nr_files);
	for (s = 0; s < g->snaps; s++) {
		for (i = 0; i < g->thins; i++)
			snapshot(g, i + 1);
		nr = aged_churn(&a, list);
		aged_write(&a, list, nr);
	}
	for (i = 0; i < g->thins; i++) {
		thin2_dev_close(a.th[i]);
		free(a.run[i]);
	}
	free(a.th);
	free(a.run);
	free(a.file);
	free(list);
}

/* ---- vm ---- */

#define IMAGE_UNITS	(5ull << 18)	/* 5 GiB installed */

static void gen_vm(struct gen *g)
{
	const u64 writes = g->nr / ((u64)g->thins * (g->snaps + 1)) + 1;
	const u64 hot = IMAGE_UNITS / 10;
	struct thin2_dev *th;
	u64 pos, len, i;
	u32 t, s;

	create(g, 1);
	th = open_thin(g, 1);
	for (pos = 0; pos < IMAGE_UNITS; pos += len + (percent(g, 30) ? magnitude(g, 0, 8) : 0)) {
		len = magnitude(g, 2, 14);
		write_range(g, th, pos, len);
	}
	thin2_dev_close(th);
	g->next_id = 2;
	for (t = 0; t < g->thins; t++)
		snapshot(g, 1);
	for (s = 0; s <= g->snaps; s++)
		for (t = 0; t < g->thins; t++) {
			th = open_thin(g, 2 + t);
			if (s)
				snapshot(g, 2 + t);
			for (i = 0; i < writes; i++) {
				pos = percent(g, 80) ? 4096 + below(g, hot) :
						       below(g, IMAGE_UNITS * 2);
				write_range(g, th, pos, percent(g, 60) ? 1 + below(g, 4) :
								       magnitude(g, 2, 8));
			}
			thin2_dev_close(th);
		}
}

/* ---- db ---- */

static void gen_db(struct gen *g)
{
	const u64 units = 8 * g->nr, writes = g->nr / (g->snaps ? g->snaps : 1);
	struct thin2_dev *file, *log;
	u64 i, end = 0;
	u32 s;

	create(g, 1);
	create(g, 2);
	g->next_id = 3;
	file = open_thin(g, 1);
	log = open_thin(g, 2);
	for (i = 0; i < units; i += 256) {
		write_range(g, file, i, 256);
		if (percent(g, 10)) {
			write_range(g, log, end, 16);
			end += 16;
		}
	}
	for (s = 0; s < g->snaps; s++) {
		snapshot(g, 1);
		for (i = 0; i < writes; i++) {
			write_range(g, file, percent(g, 80) ? below(g, units / 5) :
							      below(g, units), 1);
			if (percent(g, 10))
				write_range(g, log, end++, 1);
		}
	}
	thin2_dev_close(file);
	thin2_dev_close(log);
}

/* ---- media ---- */

static void gen_media(struct gen *g)
{
	struct {
		struct thin2_dev *th;
		u64 begin, pos, end;
		u64 old_begin, old_end;
	} *w = must_alloc(g->thins, sizeof(*w));
	u64 done = 0;
	u32 t;

	g->next_id = g->thins + 1;
	for (t = 0; t < g->thins; t++) {
		create(g, t + 1);
		w[t].th = open_thin(g, t + 1);
	}
	while (done < g->nr) {
		t = below(g, g->thins);
		if (w[t].pos < w[t].end) {
			write_range(g, w[t].th, w[t].pos, min(w[t].end - w[t].pos, 256ull));
			w[t].pos = min(w[t].end, w[t].pos + 256);
			continue;
		}
		/* A file of 4 MiB to 256 MiB is complete; one in eight older ones goes. */
		if (w[t].old_end && percent(g, 12))
			unmap_range(g, w[t].th, w[t].old_begin, w[t].old_end);
		w[t].old_begin = w[t].begin;
		w[t].old_end = w[t].end;
		w[t].begin = w[t].end + below(g, 64);
		w[t].pos = w[t].begin;
		w[t].end = w[t].begin + magnitude(g, 10, 16);
		done++;
	}
	for (t = 0; t < g->thins; t++) {
		if (t < g->snaps)
			snapshot(g, t + 1);
		thin2_dev_close(w[t].th);
	}
	free(w);
}

/* ---- scale ---- */

/* 4 KiB to 5 MiB, 110 units in the mean. */
static u32 scale_len(struct gen *g)
{
	const u64 kind = below(g, 10);

	if (kind < 5)
		return 1 + below(g, 8);
	return kind < 9 ? 8 + below(g, 120) : 128 + below(g, 1200);
}

/* Sixteen thins at a time grow side by side, each over 100 GiB. */
static void scale_fill(struct gen *g, u32 first, u32 nr, u64 ranges)
{
	const u64 gap = (100ull << 18) / ranges;
	struct thin2_dev *th[16];
	u64 pos[16] = { 0 }, i;
	u32 t, len;

	for (t = 0; t < nr; t++)
		th[t] = open_thin(g, first + t);
	for (i = 0; i < ranges; i++)
		for (t = 0; t < nr; t++) {
			len = scale_len(g);
			pos[t] += below(g, gap);
			put_record(g, th[t], pos[t], g->phys, len);
			pos[t] += len;
			g->phys += len;
		}
	for (t = 0; t < nr; t++)
		thin2_dev_close(th[t]);
}

static void gen_scale(struct gen *g)
{
	const u64 ranges = g->nr / g->thins + 1;
	double t, merge;
	u32 i, origin;
	struct thin2_dev *th;

	for (i = 1; i <= g->thins; i++)
		create(g, i);
	g->next_id = g->thins + 1;
	t = now();
	merge = g->merge_s;
	for (i = 1; i <= g->thins; i += 16)
		scale_fill(g, i, min(16u, g->thins + 1 - i), ranges);
	checkpoint(g);
	g->record_s = now() - t - (g->merge_s - merge);
	for (i = 0; i < g->snaps; i++) {
		origin = 1 + i % g->thins;
		snapshot(g, origin);
		/* The kernel's worker comes by every second and lets idle thins leave memory. */
		if (i % 1000 == 999)
			checkpoint(g);
		if (i % 10)
			continue;
		th = open_thin(g, origin);
		put_record(g, th, below(g, 100ull << 18), g->phys, 16);
		g->phys += 32;
		thin2_dev_close(th);
	}
}

/* ---- scattered ---- */

#define WINDOW	(1u << 18)	/* no more than reserve_record() lets wait for a merge */

static void scatter_window(struct gen *g, struct thin2_dev *th, u64 begin, u32 *order, u32 nr)
{
	u32 i, j;

	for (i = 0; i < nr; i++)
		order[i] = i;
	for (i = 0; i < nr; i++) {
		j = i + below(g, nr - i);
		swap(order[i], order[j]);
		put_record(g, th, begin + 2ull * order[i], g->phys++, 1);
	}
}

static void gen_scattered(struct gen *g)
{
	const u64 ranges = g->nr / g->thins;
	u32 *order = must_alloc(WINDOW, sizeof(*order));
	struct thin2_dev *th;
	u64 done;
	u32 t;

	for (t = 1; t <= g->thins; t++) {
		create(g, t);
		th = open_thin(g, t);
		for (done = 0; done < ranges; done += WINDOW)
			scatter_window(g, th, 2 * done, order, min_t(u64, WINDOW, ranges - done));
		thin2_dev_close(th);
	}
	g->next_id = g->thins + 1;
	free(order);
}

/* ---- the program ---- */

static int flush_data(void *context)
{
	return 0;
}

static void drain(void *context)
{
}

static void freed(void *context, struct list_head *batch)
{
	struct gen *g = context;

	if (g->md)
		thin2_release(g->md, batch);
}

static void wake(void *context)
{
}

static const struct thin2_md_ops ops = {
	.flush_data = flush_data,
	.drain = drain,
	.freed = freed,
	.wake = wake,
};

static const struct shape {
	const char *kind;
	u64 nr;
	u32 thins;
	u32 snaps;
} shapes[] = {
	{ "aged:", 200000, 4, 50 },
	{ "vm", 200000, 16, 4 },
	{ "db", 400000, 2, 8 },
	{ "media", 20000, 8, 4 },
	{ "scale", 10000, 10, 990 },
	{ "scattered", 1000000, 1, 0 },
};

static const struct shape *find_shape(const char *kind)
{
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(shapes); i++) {
		n = strlen(shapes[i].kind);
		if (shapes[i].kind[n - 1] == ':' ? !strncmp(kind, shapes[i].kind, n) :
						   !strcmp(kind, shapes[i].kind))
			return &shapes[i];
	}
	return NULL;
}

static int print_usage(void)
{
	fputs("usage: genpool [-s SEED] [-n RANGES] [-t THINS] [-p SNAPSHOTS] [-m BLOCKS]\n"
	      "               FILE {aged:RUN|vm|db|media|scale|scattered}\n", stderr);
	return 1;
}

static void generate(struct gen *g)
{
	if (!strncmp(g->kind, "aged:", 5))
		gen_aged(g, strtod(g->kind + 5, NULL));
	else if (!strcmp(g->kind, "vm"))
		gen_vm(g);
	else if (!strcmp(g->kind, "db"))
		gen_db(g);
	else if (!strcmp(g->kind, "media"))
		gen_media(g);
	else if (!strcmp(g->kind, "scattered"))
		gen_scattered(g);
	else
		gen_scale(g);
}

static void print_result(const struct gen *g, u64 meta_used, double total)
{
	printf("{\"kind\": \"%s\", \"seed\": %llu, \"thins\": %llu, \"snapshots\": %llu, ",
	       g->kind, (unsigned long long)g->seed, (unsigned long long)g->created,
	       (unsigned long long)g->snapped);
	printf("\"records\": %llu, \"metadata_blocks\": %llu, ",
	       (unsigned long long)g->records, (unsigned long long)meta_used);
	printf("\"create_s\": %.3f, \"record_s\": %.3f, \"merge_s\": %.3f, \"snapshot_s\": %.3f, ",
	       g->create_s, g->record_s, g->merge_s, g->snap_s);
	printf("\"total_s\": %.3f}\n", total);
}

int main(int argc, char **argv)
{
	struct gen g = { .seed = 1, .next_id = 1 };
	u64 nr = 0, thins = 0, snaps = ~0ull, blocks = 1 << 20, used;
	const struct shape *shape;
	const double start = now();
	int opt;

	while ((opt = getopt(argc, argv, "s:n:t:p:m:")) != -1) {
		if (opt == '?')
			return print_usage();
		*(opt == 's' ? &g.seed : opt == 'n' ? &nr : opt == 't' ? &thins :
		  opt == 'p' ? &snaps : &blocks) = strtoull(optarg, NULL, 0);
	}
	if (optind + 2 != argc)
		return print_usage();
	g.kind = argv[optind + 1];
	shape = find_shape(g.kind);
	if (!shape)
		return print_usage();
	g.nr = nr ? nr : shape->nr;
	g.thins = thins ? thins : shape->thins;
	g.snaps = snaps != ~0ull ? snaps : shape->snaps;
	g.rnd = g.seed;
	pdata_shim_seed(g.seed);

	must(argv[optind], map_io_create(argv[optind], blocks, &g.p.io));
	g.p.name = "genpool";
	g.p.data_units = 1ull << 34;	/* 64 TiB */
	g.p.data_block_size = 128;
	g.p.ops = &ops;
	g.p.context = &g;
	must("open", thin2_md_open(&g.p, &g.md));
	generate(&g);
	checkpoint(&g);
	must("some changes were not merged", atomic64_read(&g.md->nr_dirty) != 0);
	used = g.md->tm.sm.used;
	must("close", thin2_md_close(g.md));
	map_io_close(g.p.io);
	print_result(&g, used, now() - start);
	return 0;
}
