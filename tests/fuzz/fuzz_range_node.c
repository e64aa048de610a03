// SPDX-License-Identifier: GPL-2.0-only
/*
 * A range tree whose nodes have arbitrary content.
 *
 * The input is cut into nodes. Header and crc are made right and children are
 * made to point to other nodes of the input; then the tree is walked, searched,
 * changed and deleted. Nothing may crash, loop, or lose what was just written.
 */
#include "io-sim.h"
#include "pdata-range-tree.h"

#define DISK_BLOCKS	1200
#define NODES		8
#define KEY_END		1024

static struct sim_disk *base;	/* a pool whose tree has NODES nodes of its own */
static struct sim_disk *disk;
static struct pdata_super sb;
static u64 node_ptr[NODES];

static void must(int r)
{
	if (r) {
		fprintf(stderr, "set-up failed: %d\n", r);
		abort();
	}
}

static void make_base(void)
{
	struct pdata_range_leaf_disk *d;
	struct pdata_bm bm;
	struct pdata_tm tm;
	struct pdata_rw b;
	int i;

	base = sim_disk_create(DISK_BLOCKS, NULL);
	disk = sim_disk_create(DISK_BLOCKS, NULL);
	pdata_super_init(&sb, (const u8 *)"fuzzed ranges  ", DISK_BLOCKS);
	must(pdata_super_format(&base->io, &sb));
	pdata_bm_init(&bm, &base->io, sb.uuid, sb.meta_blocks, "fuzz");
	must(pdata_tm_init(&tm, &bm, &sb));
	for (i = 0; i < NODES; i++) {
		must(pdata_tm_new(&tm, PDATA_TYPE_RANGE_LEAF, PDATA_FIRST_UID, &b));
		node_ptr[i] = b.ptr;
		d = b.data;
		d->r.codec = cpu_to_le16(PDATA_CODEC_MAP_PLAIN);
		d->r.hi = cpu_to_le64(KEY_END);
	}
	must(pdata_tm_commit(&tm, &sb));
	pdata_tm_exit(&tm);
}

/* Children that lie in order, whatever the input says, and point into it. */
static void regular_node(struct pdata_range_node_disk *d)
{
	unsigned int i, nr = 1 + le16_to_cpu(d->r.nr) % 20;
	u64 at = le64_to_cpu(d->r.lo);

	d->r.nr = cpu_to_le16(nr);
	for (i = 0; i < nr; i++) {
		if (i)
			at += 1 + le64_to_cpu(d->child[i].begin) % 300;
		d->child[i].begin = cpu_to_le64(at);
		d->child[i].ptr = cpu_to_le64(node_ptr[le64_to_cpu(d->child[i].ptr) % NODES]);
	}
	if (le64_to_cpu(d->r.hi) <= at)
		d->r.hi = cpu_to_le64(at + 1);
}

static void regular_leaf(struct pdata_range_leaf_disk *d)
{
	struct pdata_map_rec_disk *rec = (struct pdata_map_rec_disk *)d->payload;
	unsigned int i, nr = le16_to_cpu(d->r.nr) % 60;
	u64 at = le64_to_cpu(d->r.lo);

	d->r.codec = cpu_to_le16(PDATA_CODEC_MAP_PLAIN);
	for (i = 0; i < nr; i++) {
		at += le64_to_cpu(rec[i].vbegin_kind) % 50;
		rec[i].len = cpu_to_le32(1 + le32_to_cpu(rec[i].len) % 50);
		if (at + le32_to_cpu(rec[i].len) > le64_to_cpu(d->r.hi))
			break;
		rec[i].vbegin_kind = cpu_to_le64(at | (u64)PDATA_RANGE_MAPPED << 56);
		rec[i].phys = cpu_to_le64(le64_to_cpu(rec[i].phys) % (1u << 20));
		at += le32_to_cpu(rec[i].len);
	}
	d->r.nr = cpu_to_le16(i);
	d->r.bytes = cpu_to_le16(i * sizeof(*rec));
}

static void make_node(unsigned int n, const u8 *data, size_t size)
{
	struct pdata_range_leaf_disk *d = pdata_block_alloc(GFP_KERNEL);
	struct pdata_check c = {
		.block = pdata_ptr_block(node_ptr[n]),
		.uuid = sb.uuid,
		.max_generation = sb.generation,
		.nr_blocks = DISK_BLOCKS,
	};

	if (!d)
		abort();
	memset(d, 0, sizeof(*d));
	memcpy((u8 *)d + sizeof(d->h), data, min(size, sizeof(*d) - sizeof(d->h)));
	d->r.level = cpu_to_le16(n ? le16_to_cpu(d->r.level) % 3 : 1 + le16_to_cpu(d->r.level) % 3);
	if (data[0] & 0x80) {	/* the input need not find what is regular */
		d->r.lo = cpu_to_le64(n ? le64_to_cpu(d->r.lo) % KEY_END : 0);
		d->r.hi = cpu_to_le64(n ? le64_to_cpu(d->r.lo) + 1 +
				      le64_to_cpu(d->r.hi) % KEY_END : KEY_END);
		if (d->r.level)
			regular_node((struct pdata_range_node_disk *)d);
		else
			regular_leaf(d);
		if (!n)
			d->r.hi = cpu_to_le64(KEY_END);
	}
	c.type = d->r.level ? PDATA_TYPE_RANGE_NODE : PDATA_TYPE_RANGE_LEAF;
	d->h.magic = cpu_to_le32(c.type);
	d->h.owner = cpu_to_le64(PDATA_FIRST_UID);
	d->h.salt = cpu_to_le16(pdata_ptr_tag(node_ptr[n]) - sb.generation);
	(void)!pdata_block_seal(&c, d);
	sim_poke(disk, c.block, d);
	pdata_block_free(d);
}

/* Changes take the place of what there was. Unit by unit: emit() joins them again. */
static int apply(struct pdata_rt *rt, const struct pdata_range *old, unsigned int nr_old,
		 const struct pdata_range *change, unsigned int nr_change,
		 struct pdata_rt_out *out)
{
	static const struct pdata_range *of[KEY_END];
	struct pdata_range part;
	unsigned int i;
	u64 at;
	int r = 0;

	memset(of, 0, sizeof(of));
	for (i = 0; i < nr_old + nr_change; i++) {
		const struct pdata_range *from = i < nr_old ? &old[i] : &change[i - nr_old];

		for (at = from->begin; at < pdata_range_end(from); at++)
			of[at] = from;
	}
	for (at = 0; at < KEY_END && !r; at++) {
		if (!of[at])
			continue;
		pdata_range_clip(of[at], at, at + 1, &part);
		r = pdata_rt_emit(out, &part);
	}
	return r;
}

static int keep(struct pdata_rt *rt, const struct pdata_range *r)
{
	return 0;
}

static int unreadable(struct pdata_rt *rt, u64 lo, u64 hi, int err, struct pdata_rt_out *out)
{
	const struct pdata_range r = {
		.begin = lo, .len = min(hi, (u64)KEY_END) - lo, .kind = PDATA_RANGE_DAMAGED,
	};

	return lo < KEY_END ? pdata_rt_emit(out, &r) : 0;
}

static const struct pdata_rt_ops ops = {
	.codec = PDATA_CODEC_MAP_PACKED, .overwrites = true,
	.apply = apply, .inc = keep, .dec = keep, .unreadable = unreadable,
};

static int on_node(void *context, u64 block, unsigned int level, u64 lo, u64 hi, int err)
{
	if (++*(u64 *)context > 100000 || lo >= hi || hi > KEY_END)
		abort();
	return 0;
}

static int on_range(void *context, const struct pdata_range *r)
{
	if (!r->len || pdata_range_end(r) > KEY_END)
		abort();
	return 0;
}

static void look(struct pdata_rt *rt, u64 key)
{
	const struct pdata_view v = { .tm = rt->tm };
	struct pdata_range r, around[8];
	unsigned int nr;
	int err = pdata_rt_lookup(rt, &v, rt->root, key, &r, NULL);

	if (r.begin > key || pdata_range_end(&r) <= key)
		abort();
	if (!pdata_rt_window(rt, &v, rt->root, key, around, ARRAY_SIZE(around), &nr) !=
	    (!err || err == -PDATA_E_NOT_FOUND))
		abort();
}

/* What was written is there, or the step has failed. */
static void change(struct pdata_rt *rt, u64 key)
{
	const struct pdata_view v = { .tm = rt->tm };
	struct pdata_range c = {
		.begin = key, .len = 1 + key % 7, .value = 1000000 + key,
		.kind = PDATA_RANGE_MAPPED,
	};
	struct pdata_range r;
	unsigned int done;
	u64 from = 0;
	int err;

	c.len = min(c.len, KEY_END - key);
	do {
		err = pdata_rt_update(rt, &c, 1, 1, &from, &done);
	} while (!err && !done);
	if (err)
		return;
	if (pdata_rt_lookup(rt, &v, rt->root, key, &r, NULL) ||
	    r.value + (key - r.begin) != c.value)
		abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct pdata_rt rt = { .ops = &ops, .owner = PDATA_FIRST_UID, .key_end = KEY_END };
	struct pdata_view v = { .tm = NULL };
	u64 nodes = 0, cursor = 0, steps = 0;
	struct pdata_bm bm;
	struct pdata_tm tm;
	unsigned int i;
	int r;

	if (size < 16 * NODES)
		return 0;
	pdata_shim_quiet = true;
	if (!base)
		make_base();
	sim_disk_copy(disk, base);
	for (i = 0; i < NODES; i++)
		make_node(i, data + i * (size / NODES), size / NODES);
	pdata_bm_init(&bm, &disk->io, sb.uuid, sb.meta_blocks, "fuzz");
	must(pdata_tm_init(&tm, &bm, &sb));
	tm.limits.fanout = data[8] % 4 ? 2 + data[8] % 8 : 0;
	tm.limits.leaf_max = data[9] % 4 ? 4 + data[9] % 30 : 0;
	rt.tm = &tm;
	v.tm = &tm;
	rt.root = node_ptr[0];
	r = pdata_rt_walk(&rt, &v, rt.root, 0, KEY_END, on_node, on_range, &nodes);
	for (i = 0; i < 8 && !tm.failed; i++) {
		look(&rt, (data[10 + i] * 4 + i) % KEY_END);
		change(&rt, (data[40 + i] * 4 + i) % KEY_END);
	}
	while (!tm.failed && !pdata_rt_del_step(&rt, &cursor))
		if (++steps > 100000)
			abort();
	pdata_tm_exit(&tm);
	return r > 0;
}
