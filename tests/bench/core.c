// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the core costs, on a pool's metadata from genpool: sizes, and time for
 * each operation, for every leaf codec that there is.
 *
 *	core stat FILE			sizes of the pool, as JSON
 *	core codecs			ids of the codecs of mapping trees
 *	core run [-c CODEC] [-m METRIC] [-n OPS] [-r RANGES] FILE
 *					nanoseconds for each metric, as JSON
 *	core time FILE COMMAND...	seconds and memory of a command, as JSON to FILE
 *
 * "run" takes the ranges of the thin that has most (up to RANGES), builds a
 * tree of them in a pool of its own with leaves of CODEC, and measures on
 * that. All I/O is memory: what is measured is the core. Functions whose names
 * begin with measure_ do a metric's work and nothing else, so that callgrind
 * can count their instructions (--toggle-collect).
 *
 *	merge_dense	all ranges into an empty tree, commits included; a range
 *	merge_sparse	sorted changes spread over the tree; a change
 *	insert		single changes anywhere, without commits
 *	lookup_warm	leaf in the cache
 *	lookup_cold	leaf to be checked first, as after a read
 *	net		delta list to net changes; a record
 *	encode, decode	a leaf's payload; a range
 *	find		lookup in a payload
 *	check		crc and checker of a leaf
 */
#include "dm-thin2-internal.h"
#include "map-io.h"

#include <getopt.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_CODEC	64
#define STEP		256u	/* changes a step, as the merge takes */
#define REPEAT		5u	/* what can be, the best counts */
#define COMMIT_BLOCKS	8192u	/* dirty blocks after which a merge commits */

static void must(const char *what, int r)
{
	if (!r)
		return;
	fprintf(stderr, "core: %s: %s\n", what, r < 0 ? pdata_error_text(r) : "failed");
	exit(1);
}

static void *must_alloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		must("memory", -ENOMEM);
	return p;
}

static u64 seed = 1;

static u64 rnd(void)
{
	u64 z = (seed += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* ---- pools ---- */

static int flush_data(void *context)
{
	return 0;
}

static void nothing(void *context)
{
}

static void freed(void *context, struct list_head *batch)
{
	struct thin2_md **md = context;

	if (*md)
		thin2_release(*md, batch);
}

static const struct thin2_md_ops ops = {
	.flush_data = flush_data,
	.drain = nothing,
	.freed = freed,
	.wake = nothing,
};

static struct thin2_md *open_pool(const char *path, struct pdata_io **io)
{
	struct thin2_md_params p = { .name = path, .read_only = true };
	struct thin2_md *md;

	must(path, map_io_open_private(path, io));
	p.io = *io;
	must(path, thin2_md_open(&p, &md));
	return md;
}

/* ---- codecs ---- */

static bool codec_takes(const struct pdata_codec *c, const struct pdata_range *r)
{
	struct pdata_range out[2] = { };
	u8 payload[PDATA_LEAF_PAYLOAD];
	unsigned int bytes;

	/* One for the other kind of tree would lose what this one has. */
	if (c->encode(r, 1, 1, payload, sizeof(payload), &bytes) != 1)
		return false;
	if (c->decode(payload, bytes, 1, 0, PDATA_MAX_UNITS, out))
		return false;
	return out->kind == r->kind && out->begin == r->begin && out->len == r->len &&
	       out->value == r->value && out->aux == r->aux && out->tag == r->tag;
}

/* The codec of that id, if it is for mappings (or for the data space map). */
static const struct pdata_codec *codec_for(u16 id, bool mapping)
{
	static const struct pdata_range map = {
		.begin = 1000, .len = 16, .value = 5000, .tag = 3, .kind = PDATA_RANGE_MAPPED,
	};
	static const struct pdata_range sm = {
		.begin = 1000, .len = 16, .tag = 3, .kind = PDATA_RANGE_COUNT,
	};
	const struct pdata_codec *c = pdata_codec_find(id);

	return c && codec_takes(c, mapping ? &map : &sm) ? c : NULL;
}

static int list_codecs(void)
{
	unsigned int id;

	for (id = 1; id < MAX_CODEC; id++)
		if (codec_for(id, true))
			printf("%u\n", id);
	return 0;
}

/* ---- stat ---- */

struct codec_stat {
	u64 leaves;
	u64 ranges;
	u64 payload;
};

struct stat_run {
	struct thin2_md *md;
	u8 *seen;		/* a byte a block */
	u64 thins;
	u64 snapshots;
	u64 mapped;		/* units of all thins, shared ones more than once */
	u64 map_nodes;
	u64 map_ranges;		/* in distinct leaves */
	u64 units;		/* that they map */
	u64 sm_nodes;
	u64 sm_ranges;
	u64 details_nodes;
	struct codec_stat codec[2][MAX_CODEC];	/* mappings; data space map */
	u64 base_ranges;	/* of the thin with most mapped units */
	u64 base_units;
	struct thin2_details base;
	bool sm;
};

static void stat_leaf(struct stat_run *s, u64 ptr)
{
	const struct pdata_view v = { .tm = &s->md->tm };
	const struct pdata_range_leaf_disk *leaf;
	struct codec_stat *c;
	struct pdata_ro b;

	must("leaf", pdata_view_read(&v, ptr, PDATA_TYPE_RANGE_ANY, &b));
	leaf = b.data;
	c = &s->codec[s->sm][le16_to_cpu(leaf->r.codec) % MAX_CODEC];
	c->leaves++;
	c->ranges += le16_to_cpu(leaf->r.nr);
	c->payload += le16_to_cpu(leaf->r.bytes);
	if (s->sm)
		s->sm_ranges += le16_to_cpu(leaf->r.nr);
	else
		s->map_ranges += le16_to_cpu(leaf->r.nr);
	pdata_view_release(&v, &b);
}

static int stat_node(void *context, u64 ptr, unsigned int level, u64 lo, u64 hi, int err)
{
	const u64 block = pdata_ptr_block(ptr);
	struct stat_run *s = context;
	const struct pdata_view v = { .tm = &s->md->tm };
	struct pdata_ro b;

	must("node", err);
	if (s->seen[block])
		return 1;
	s->seen[block] = 1;
	if (s->sm)
		s->sm_nodes++;
	else
		s->map_nodes++;
	must("node", pdata_view_read(&v, ptr, PDATA_TYPE_RANGE_ANY, &b));
	level = le32_to_cpu(pdata_ro_header(&b)->magic) == PDATA_TYPE_RANGE_NODE;
	pdata_view_release(&v, &b);
	if (!level)
		stat_leaf(s, ptr);
	return 0;
}

static int stat_range(void *context, const struct pdata_range *r)
{
	struct stat_run *s = context;

	if (r->kind == PDATA_RANGE_MAPPED)
		s->units += r->len;
	return 0;
}

static int base_range(void *context, const struct pdata_range *r)
{
	struct stat_run *s = context;

	s->base_ranges++;
	s->base_units += r->len;
	return 0;
}

static int stat_thin(void *context, u64 key, const void *value)
{
	struct stat_run *s = context;
	const struct pdata_view v = { .tm = &s->md->tm };
	struct thin2_details d;
	struct pdata_rt rt;

	thin2_details_unpack(value, &d);
	s->thins++;
	s->snapshots += d.origin_uid != 0;
	s->mapped += d.mapped_units;
	if (d.mapped_units > s->base.mapped_units)
		s->base = d;
	thin2_rt_init_details(s->md, &d, &rt);
	return pdata_rt_walk(&rt, &v, d.root, 0, PDATA_MAX_UNITS, stat_node, stat_range, s);
}

static int details_node(void *context, u64 block, int level, int err)
{
	struct stat_run *s = context;

	s->details_nodes++;
	return err;
}

static void codecs_print(const char *name, const struct codec_stat *c)
{
	const char *comma = "";
	unsigned int i;

	printf(" \"%s\": {", name);
	for (i = 0; i < MAX_CODEC; i++) {
		if (!c[i].leaves)
			continue;
		printf("%s\"%u\": {\"leaves\": %llu, \"ranges\": %llu, \"payload_bytes\": %llu}",
		       comma, i, c[i].leaves, c[i].ranges, c[i].payload);
		comma = ", ";
	}
	printf("}");
}

static void stat_print(const struct stat_run *s)
{
	printf("{\"thins\": %llu, \"snapshots\": %llu, \"mapped_units\": %llu,\n",
	       s->thins, s->snapshots, s->mapped);
	printf(" \"metadata_bytes\": %llu, \"mapping_nodes\": %llu, \"distinct_ranges\": %llu,\n",
	       s->md->tm.sm.used * PDATA_BLOCK_SIZE, s->map_nodes, s->map_ranges);
	printf(" \"units_a_range\": %.2f, \"bytes_a_range\": %.2f,\n",
	       (double)s->units / max(s->map_ranges, 1ull),
	       (double)s->map_nodes * PDATA_BLOCK_SIZE / max(s->map_ranges, 1ull));
	printf(" \"sm_nodes\": %llu, \"sm_ranges\": %llu, \"details_nodes\": %llu,\n",
	       s->sm_nodes, s->sm_ranges, s->details_nodes);
	printf(" \"largest\": {\"id\": %u, \"ranges\": %llu, \"units_a_range\": %.2f},\n",
	       s->base.id, s->base_ranges, (double)s->base_units / max(s->base_ranges, 1ull));
	codecs_print("codecs", s->codec[0]);
	puts(",");
	codecs_print("sm_codecs", s->codec[1]);
	puts("}");
}

static int stat_pool(const char *path)
{
	struct stat_run s = { };
	const struct pdata_btree *details;
	struct pdata_view v = { };
	struct pdata_io *io;
	struct pdata_rt rt;

	s.md = open_pool(path, &io);
	s.seen = must_alloc(io->nr_blocks, 1);
	v.tm = &s.md->tm;
	details = &s.md->details;
	must("details", pdata_btree_walk(details, &v, details->root, details_node, stat_thin, &s));
	s.sm = true;
	must("space map", pdata_rt_walk(&s.md->data_sm.rt, &v, s.md->sb.data_sm_root, 0,
					PDATA_MAX_UNITS, stat_node, NULL, &s));
	thin2_rt_init_details(s.md, &s.base, &rt);
	must("walk", pdata_rt_walk(&rt, &v, s.base.root, 0, PDATA_MAX_UNITS, NULL, base_range,
				   &s));
	stat_print(&s);
	thin2_md_abandon(s.md);
	map_io_close(io);
	free(s.seen);
	return 0;
}

/* ---- ranges to measure with ---- */

struct ranges {
	struct pdata_range *r;
	size_t nr;
	size_t max;
	struct thin2_details d;
	u64 data_units;
};

static int pick_largest(void *context, const struct thin2_details *d)
{
	struct ranges *rs = context;

	if (d->mapped_units > rs->d.mapped_units)
		rs->d = *d;
	return 0;
}

static int take_range(void *context, const struct pdata_range *r)
{
	struct ranges *rs = context;

	if (r->kind != PDATA_RANGE_MAPPED)
		return 0;
	rs->r[rs->nr++] = *r;
	return rs->nr == rs->max;
}

static void load_ranges(const char *path, size_t max, struct ranges *rs)
{
	struct pdata_io *io;
	struct thin2_md *md = open_pool(path, &io);

	rs->max = max;
	rs->r = must_alloc(max, sizeof(*rs->r));
	rs->data_units = md->sb.data_units;
	must("thins", thin2_for_each_details(md, false, pick_largest, rs));
	must("walk", min(thin2_walk(md, &rs->d, take_range, rs), 0));
	thin2_md_abandon(md);
	map_io_close(io);
	if (!rs->nr) {
		fprintf(stderr, "core: %s: nothing is mapped\n", path);
		exit(1);
	}
}

/* ---- the bench ---- */

struct bench {
	struct ranges *rs;
	const struct pdata_codec *codec;
	const char *only;
	u64 ops;

	char path[4096];
	struct pdata_io *io;
	struct thin2_md_params p;
	struct thin2_md *md;
	struct thin2_dev *th;
	struct pdata_rt_ops rt_ops;
	struct pdata_rt rt;
	u64 phys;		/* next data unit for changes */
	u64 *key;		/* ops of them */
	struct pdata_range *change;
	const char *comma;
	u64 leaves;
};

typedef u64 (*measure_fn)(struct bench *b);	/* returns how many were done */

static bool wanted(const struct bench *b, const char *metric)
{
	return !b->only || !strcmp(b->only, metric);
}

static void result(struct bench *b, const char *metric, double value)
{
	printf("%s\"%s\": %.1f", b->comma, metric, value);
	b->comma = ", ";
}

/* The best of @tries; one only where instructions are counted. */
static void measure(struct bench *b, const char *metric, unsigned int tries, measure_fn fn)
{
	double best = 0, ns;
	unsigned int i;
	u64 t, nr;

	if (!wanted(b, metric))
		return;
	if (b->only)
		tries = 1;
	for (i = 0; i < tries; i++) {
		t = ktime_get_ns();
		nr = fn(b);
		ns = (double)(ktime_get_ns() - t) / nr;
		if (!i || ns < best)
			best = ns;
	}
	result(b, metric, best);
}

static void step(struct bench *b, struct pdata_range *change, unsigned int nr,
		 u64 *from, unsigned int *done)
{
	struct pdata_count_log *log = &b->md->data_sm.log;

	must("log", pdata_count_log_reserve(log, 3 * PDATA_LEAF_MAX_RECORDS + 3 * STEP));
	must("update", pdata_rt_update(&b->rt, change, nr, STEP, from, done));
	b->th->details.root = b->rt.root;
	thin2_details_touch(b->th);
}

static void merge(struct bench *b, struct pdata_range *change, u64 nr)
{
	unsigned int done;
	u64 pos = 0, from = 0;

	while (pos < nr) {
		if (b->md->tm.nr_dirty > COMMIT_BLOCKS)
			must("commit", thin2_commit(b->md));
		step(b, change + pos, min_t(u64, nr - pos, U32_MAX), &from, &done);
		pos += done;
	}
	must("commit", thin2_commit(b->md));
}

/* Kept as functions of their own, for callgrind to find. */
static noinline u64 measure_merge_dense(struct bench *b)
{
	merge(b, b->change, b->rs->nr);
	return b->rs->nr;
}

static noinline u64 measure_merge_sparse(struct bench *b)
{
	merge(b, b->change, b->ops);
	return b->ops;
}

static noinline u64 measure_insert(struct bench *b)
{
	unsigned int done;
	u64 from = 0, i;

	for (i = 0; i < b->ops; i++)
		step(b, b->change + i, 1, &from, &done);
	return b->ops;
}

/* ---- lookups ---- */

static void lookup(struct bench *b, const struct pdata_view *v, u64 root, u64 key,
		   struct pdata_rt_path *path)
{
	struct pdata_range r;

	must("lookup", pdata_rt_lookup(&b->rt, v, root, key, &r, path));
}

static u64 lookups(struct bench *b, u64 first, bool cold)
{
	struct pdata_rt_path path;
	struct pdata_pin pin;
	const struct pdata_view v = { .tm = &b->md->tm, .pin = &pin };
	u64 i;

	pdata_sm_pin(&b->md->tm.sm, &pin);
	for (i = 0; i < b->ops; i++) {
		lookup(b, &v, b->rt.root, b->key[(first + i) % b->ops], &path);
		if (cold)
			map_io_forget(b->io, path.block[path.nr - 1]);
	}
	pdata_sm_unpin(&b->md->tm.sm, &pin);
	return b->ops;
}

static noinline u64 measure_lookup_warm(struct bench *b)
{
	return lookups(b, 0, false);
}

static noinline u64 measure_lookup_cold(struct bench *b)
{
	return lookups(b, 0, true);
}

static void *lookup_thread(void *context)
{
	struct bench *b = context;

	lookups(b, b->ops / 2, false);
	return NULL;
}

/* Lookups a second of all threads, in millions. */
static void measure_threads(struct bench *b, unsigned int nr)
{
	pthread_t thread[8];
	unsigned int i;
	char name[32];
	u64 t;

	snprintf(name, sizeof(name), "lookup_mops_%u_threads", nr);
	if (!wanted(b, name))
		return;
	t = ktime_get_ns();
	for (i = 0; i < nr; i++)
		must("thread", -pthread_create(&thread[i], NULL, lookup_thread, b));
	for (i = 0; i < nr; i++)
		must("thread", -pthread_join(thread[i], NULL));
	result(b, name, (double)nr * b->ops * 1000 / (ktime_get_ns() - t));
}

/* ---- delta lists ---- */

static noinline u64 measure_net(struct bench *b)
{
	struct thin2_net net;

	must("net", thin2_delta_net(&b->th->active, &net));
	thin2_net_free(&net);
	return b->th->active.nr;
}

static void net(struct bench *b)
{
	struct thin2_delta_list *list = &b->th->active;
	u64 i;

	if (!wanted(b, "net"))
		return;
	for (i = 0; i < b->ops; i++) {
		const struct thin2_delta d = {
			.seq = i + 1,
			.vbegin = b->key[i],
			.kind = PDATA_REC_MAP,
			.phys = b->phys + i,
			.len = 1,
		};

		must("delta", thin2_delta_list_reserve(list, GFP_NOIO));
		thin2_delta_list_add(list, &d, 0);
	}
	measure(b, "net", REPEAT, measure_net);
	thin2_delta_list_free(list, NULL);
}

/* ---- codecs and blocks ---- */

struct packed {
	struct pdata_range_leaf_disk disk;
	unsigned int nr;
	unsigned int bytes;
	u64 lo;
	u64 hi;
};

static struct packed *packed;

static noinline u64 measure_encode(struct bench *b)
{
	const struct ranges *rs = b->rs;
	struct packed *p;
	size_t i = 0;

	for (b->leaves = 0; i < rs->nr; b->leaves++, i += p->nr) {
		if (b->leaves > rs->nr / 16)
			must("encode", -PDATA_E_LIMIT);
		p = &packed[b->leaves];
		p->nr = b->codec->encode(rs->r + i, min_t(u64, rs->nr - i, PDATA_LEAF_MAX_RECORDS),
					 PDATA_LEAF_MAX_RECORDS, p->disk.payload,
					 PDATA_LEAF_PAYLOAD, &p->bytes);
		if (!p->nr)
			must("encode", -PDATA_E_CONTENT);
		p->lo = rs->r[i].begin;
		p->hi = pdata_range_end(&rs->r[i + p->nr - 1]);
	}
	return rs->nr;
}

static struct pdata_range decoded[PDATA_LEAF_MAX_RECORDS];

static noinline u64 measure_decode(struct bench *b)
{
	u64 i;

	for (i = 0; i < b->leaves; i++)
		must("decode", b->codec->decode(packed[i].disk.payload, packed[i].bytes,
						packed[i].nr, packed[i].lo, packed[i].hi,
						decoded));
	return b->rs->nr;
}

static noinline u64 measure_find(struct bench *b)
{
	const struct packed *p = packed;
	struct pdata_range r;
	u64 i, key;

	for (i = 0; i < b->ops; i++) {
		p = &packed[i * 7919 % b->leaves];
		key = p->lo + b->key[i] % (p->hi - p->lo);
		if (b->codec->lookup(p->disk.payload, p->bytes, p->nr, p->lo, p->hi, key, &r) ==
		    -PDATA_E_CONTENT)
			must("find", -PDATA_E_CONTENT);
	}
	return b->ops;
}

/* The checks alone of one leaf after another. */
static noinline u64 measure_check(struct bench *b)
{
	struct pdata_check c = {
		.uuid = b->md->sb.uuid, .type = PDATA_TYPE_RANGE_LEAF,
		.nr_blocks = b->io->nr_blocks, .max_generation = ~0ull, .scratch = decoded,
	};
	struct pdata_io_ref ref;
	u64 i;

	for (i = 0; i < b->ops; i++) {
		c.block = b->change[i].begin;
		must("get", pdata_io_get(b->io, c.block, &ref));
		must("check", pdata_block_check(&c, ref.data));
		pdata_io_put(b->io, &ref);
	}
	return b->ops;
}

static void check(struct bench *b)
{
	const struct pdata_view v = { .tm = &b->md->tm };
	struct pdata_rt_path path;
	u64 i;

	if (!wanted(b, "check"))
		return;
	for (i = 0; i < b->ops; i++) {
		lookup(b, &v, b->rt.root, b->key[i], &path);
		b->change[i].begin = path.block[path.nr - 1];
	}
	measure(b, "check", REPEAT, measure_check);
}

static void codecs(struct bench *b)
{
	u64 i, payload = 0;

	packed = must_alloc(b->rs->nr / 16 + 2, sizeof(*packed));
	if (!b->only || strcmp(b->only, "encode"))
		measure_encode(b);
	measure(b, "encode", REPEAT, measure_encode);
	measure(b, "decode", REPEAT, measure_decode);
	measure(b, "find", REPEAT, measure_find);
	for (i = 0; i < b->leaves; i++)
		payload += packed[i].bytes;
	result(b, "bytes_a_range_payload", (double)payload / b->rs->nr);
	result(b, "bytes_a_range_leaves", (double)b->leaves * PDATA_BLOCK_SIZE / b->rs->nr);
	free(packed);
}

/* ---- changes ---- */

static int cmp_begin(const void *a, const void *b)
{
	const struct pdata_range *x = a, *y = b;

	return x->begin < y->begin ? -1 : x->begin > y->begin;
}

/* One-unit changes inside ranges that exist; sorted and disjoint if asked for. */
static u64 make_changes(struct bench *b, bool sorted)
{
	u64 i, nr = 0;

	for (i = 0; i < b->ops; i++)
		b->change[i] = (struct pdata_range){
			.begin = b->key[rnd() % b->ops], .len = 1, .tag = 1,
			.kind = PDATA_RANGE_MAPPED,
		};
	if (sorted)
		qsort(b->change, b->ops, sizeof(*b->change), cmp_begin);
	for (i = 0; i < b->ops; i++) {
		if (sorted && nr && b->change[nr - 1].begin == b->change[i].begin)
			continue;
		b->change[nr] = b->change[i];
		b->change[nr++].value = b->phys++;
	}
	/* What the journal's records would have done before. */
	must("data", pdata_alloc_take(&b->md->alloc, b->phys - nr, nr));
	return nr;
}

static void updates(struct bench *b)
{
	const u64 ops = b->ops;

	if (wanted(b, "merge_sparse")) {
		b->ops = make_changes(b, true);
		measure(b, "merge_sparse", 1, measure_merge_sparse);
		b->ops = ops;
	}
	if (wanted(b, "insert")) {
		make_changes(b, false);
		measure(b, "insert", 1, measure_insert);
		must("commit", thin2_commit(b->md));
	}
}

/* ---- all of it ---- */

static void bench_open(struct bench *b, const char *path)
{
	const struct ranges *rs = b->rs;
	/* 24 bytes a range in leaves that may be half full, both trees. */
	const u64 blocks = 65536 + rs->nr / 20 + b->ops;

	snprintf(b->path, sizeof(b->path), "%s.%d", path, getpid());
	must(b->path, map_io_create(b->path, blocks, &b->io));
	unlink(b->path);
	b->p.io = b->io;
	b->p.name = "bench";
	b->p.data_units = rs->data_units + (1ull << 30);
	b->p.data_block_size = 128;
	b->p.ops = &ops;
	b->p.context = &b->md;
	b->phys = rs->data_units;
	must("open", thin2_md_open(&b->p, &b->md));
	must("create", thin2_create(b->md, 1));
	must("open", thin2_dev_open(b->md, 1, &b->th));
	thin2_rt_init(b->th, &b->rt);
	b->rt_ops = *b->rt.ops;
	b->rt_ops.codec = b->codec->id;
	b->rt.ops = &b->rt_ops;
	mutex_lock(&b->md->meta_lock);
}

static void bench_close(struct bench *b)
{
	mutex_unlock(&b->md->meta_lock);
	thin2_dev_close(b->th);
	thin2_md_abandon(b->md);
	map_io_close(b->io);
}

static void bench_run(struct bench *b, const char *path)
{
	struct ranges *rs = b->rs;
	u64 i, t;

	b->key = must_alloc(b->ops, sizeof(*b->key));
	b->change = must_alloc(max_t(u64, b->ops, rs->nr), sizeof(*b->change));
	for (i = 0; i < b->ops; i++) {
		const struct pdata_range *r = &rs->r[rnd() % rs->nr];

		b->key[i] = r->begin + rnd() % r->len;
	}
	memcpy(b->change, rs->r, rs->nr * sizeof(*rs->r));
	b->comma = "";
	printf("{\"codec\": %u, \"ranges\": %zu, ", b->codec->id, rs->nr);
	bench_open(b, path);
	for (i = 0; i < rs->nr; i++)
		must("data", pdata_alloc_take(&b->md->alloc, rs->r[i].value, rs->r[i].len));
	t = ktime_get_ns();
	measure_merge_dense(b);
	t = ktime_get_ns() - t;
	result(b, "pool_bytes", b->md->tm.sm.used * (double)PDATA_BLOCK_SIZE);
	if (wanted(b, "merge_dense"))
		result(b, "merge_dense", (double)t / rs->nr);
	if (wanted(b, "lookup_warm"))
		lookups(b, 0, false);
	measure(b, "lookup_warm", REPEAT, measure_lookup_warm);
	measure_threads(b, 1);
	measure_threads(b, 2);
	measure(b, "lookup_cold", REPEAT, measure_lookup_cold);
	check(b);
	net(b);
	updates(b);
	bench_close(b);
	codecs(b);
	printf("}\n");
	free(b->key);
	free(b->change);
}

/* ---- commands ---- */

static double seconds(const struct timeval *t)
{
	return t->tv_sec + t->tv_usec / 1e6;
}

static int time_command(const char *path, char **argv)
{
	const u64 start = ktime_get_ns();
	struct rusage u;
	int status;
	pid_t pid = fork();
	FILE *f;

	if (!pid) {
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &u) != pid)
		must("wait", -ECHILD);
	f = fopen(path, "w");
	if (!f)
		must(path, -EIO);
	fprintf(f, "{\"seconds\": %.3f, \"cpu_seconds\": %.3f, \"max_kib\": %ld}\n",
		(ktime_get_ns() - start) / 1e9, seconds(&u.ru_utime) + seconds(&u.ru_stime),
		u.ru_maxrss);
	must(path, fclose(f) ? -EIO : 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static int usage(void)
{
	fprintf(stderr, "usage: core stat FILE\n       core codecs\n"
		"       core run [-c CODEC] [-m METRIC] [-n OPS] [-r RANGES] FILE\n"
		"       core time FILE COMMAND...\n");
	return 1;
}

static int run(int argc, char **argv)
{
	struct ranges rs = { };
	struct bench b = { .rs = &rs, .ops = 200000 };
	u64 codec = PDATA_CODEC_MAP_PLAIN, max = 1 << 20;
	int opt;

	while ((opt = getopt(argc, argv, "c:m:n:r:")) != -1) {
		if (opt == '?')
			return usage();
		if (opt == 'm')
			b.only = optarg;
		else
			*(opt == 'c' ? &codec : opt == 'n' ? &b.ops : &max) =
				strtoull(optarg, NULL, 0);
	}
	b.codec = codec < MAX_CODEC ? codec_for(codec, true) : NULL;
	if (optind + 1 != argc || !b.codec || !b.ops || !max)
		return usage();
	load_ranges(argv[optind], max, &rs);
	bench_run(&b, argv[optind]);
	free(rs.r);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "stat"))
		return stat_pool(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "codecs"))
		return list_codecs();
	if (argc > 3 && !strcmp(argv[1], "time"))
		return time_command(argv[2], argv + 3);
	if (argc > 2 && !strcmp(argv[1], "run"))
		return run(argc - 1, argv + 1);
	return usage();
}
