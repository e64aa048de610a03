// SPDX-License-Identifier: GPL-2.0-only
/*
 * Range map: random operations against an array, a large map, readers beside
 * a writer.
 */
#include "selftest.h"

#include "dm-thin2-range-map.c"

#include <linux/delay.h>
#include <linux/kthread.h>

static DEFINE_SPINLOCK(st_lock);

/* Make a map, destroy it whatever the test says. */
static int with_map(int (*fn)(struct pdata_range_map *rm, u64 arg), u64 arg)
{
	struct pdata_range_map *rm = pdata_rm_create();
	u64 start;
	int r;

	if (!rm)
		return -ENOMEM;
	pdata_rm_set_lock(rm, &st_lock);
	r = fn(rm, arg);
	start = ktime_get_ns();
	pdata_rm_destroy(rm);
	pr_info("thin2-selftest: map destroyed in %llu us\n",
		(ktime_get_ns() - start) / 1000);
	return r;
}

/* ---- random operations ---- */

#define MODEL_MAX	2048
#define GAP		U64_MAX

struct model {
	u64 value[MODEL_MAX];
	unsigned int nr;
};

/* The map's entries are the model's, none is empty and the count is right. */
static int compare_entries(struct pdata_range_map *rm, const struct model *m)
{
	u64 pos = 0, nr = 0, begin, end, value, i;

	while (pos < m->nr) {
		bool hit = pdata_rm_entry(rm, pos, &begin, &end, &value);

		st_check(begin <= pos && end > pos);
		/* gaps may be seen in two parts, entries begin where the last ended */
		st_check(!hit || (begin == pos && end <= m->nr));
		for (i = pos; i < min_t(u64, end, m->nr); i++)
			st_check(m->value[i] == (hit ? value : GAP));
		nr += hit;
		pos = end;
	}
	st_check(pdata_rm_count(rm) == nr);
	return 0;
}

static int compare_lookup(struct pdata_range_map *rm, const struct model *m, struct st_rnd *rnd)
{
	u64 unit = st_rnd(rnd, m->nr), limit = unit + 1 + st_rnd(rnd, m->nr - unit);
	u64 value = 1, end = 0, i;
	bool hit = pdata_rm_lookup(rm, unit, limit, &value, &end);

	st_check(end > unit && end <= limit);
	for (i = unit; i < end; i++)
		st_check(m->value[i] == (hit ? value : GAP));
	return 0;
}

static int compare_bound(struct pdata_range_map *rm, const struct model *m, struct st_rnd *rnd)
{
	u64 begin = st_rnd(rnd, m->nr), end = begin + 1 + st_rnd(rnd, m->nr - begin);
	unsigned int nr = 1 + st_rnd(rnd, 20), seen = 0;
	u64 bound = pdata_rm_bound(rm, begin, end, nr), pos = begin, b, e, v;

	st_check(bound > begin && bound <= end);
	while (pos < bound) {
		seen += pdata_rm_entry(rm, pos, &b, &e, &v);
		pos = e;
	}
	st_check(seen <= nr);
	st_check(bound == end || seen == nr);
	return 0;
}

/* One random change, in both. */
static int change(struct pdata_range_map *rm, struct model *m, struct st_rnd *rnd)
{
	u64 begin = st_rnd(rnd, m->nr), end, old, value = st_rnd(rnd, 1ull << 63);
	unsigned int what = st_rnd(rnd, 8);
	int r = 0;

	end = begin + 1 + st_rnd(rnd, min_t(u64, m->nr - begin, st_rnd(rnd, 4) ? 8 : m->nr));
	if (what < 3) {
		if (!pdata_rm_entry(rm, begin, &begin, &end, &old))
			return 0;
		pdata_rm_flip(rm, begin, end, value);
	} else if (what < 5) {
		r = pdata_rm_erase(rm, begin, end);
		value = GAP;
	} else {
		r = pdata_rm_store(rm, begin, end, value);
	}
	if (r == -ENOMEM)
		return 0;
	st_check(!r);
	for (; begin < end; begin++)
		m->value[begin] = value;
	return 0;
}

static int random_steps(struct pdata_range_map *rm, struct model *m, struct st_rnd *rnd)
{
	unsigned int i;
	int r;

	for (i = 0; i < 10000; i++) {
		spin_lock_irq(&st_lock);
		r = change(rm, m, rnd);
		/* no store may turn them on under its caller's lock */
		if (!r && !irqs_disabled()) {
			pr_err("thin2-selftest: a store has enabled interrupts\n");
			r = -EINVAL;
		}
		if (!r)
			r = compare_bound(rm, m, rnd);
		if (!r && !(i % 50))
			r = compare_entries(rm, m);
		spin_unlock_irq(&st_lock);
		if (!r)
			r = compare_lookup(rm, m, rnd);
		if (r)
			return r;
		cond_resched();
	}
	return 0;
}

static int rm_random(struct pdata_range_map *rm, u64 seed)
{
	struct st_rnd rnd = { seed };
	struct model *m = kvmalloc(sizeof(*m), GFP_KERNEL);
	unsigned int i;
	int r;

	if (!m)
		return -ENOMEM;
	/* from a tree without nodes to one of several levels */
	m->nr = 1 + st_rnd(&rnd, 1 << st_rnd(&rnd, 12));
	for (i = 0; i < m->nr; i++)
		m->value[i] = GAP;
	r = random_steps(rm, m, &rnd);
	if (r)
		pr_err("thin2-selftest: seed %llu, %u units\n", seed, m->nr);
	kvfree(m);
	return r;
}

int st_rm_random(u64 seed, struct dm_dev *dev)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < 256 && !r; i++)
		r = with_map(rm_random, seed + i);
	return r;
}

/* ---- a large map ---- */

static int rm_large(struct pdata_range_map *rm, u64 nr)
{
	u64 i, pos, end, value, steps = 0, worst = 0, t;
	int r;

	for (i = 0; i < nr; i++) {
		spin_lock_irq(&st_lock);
		r = pdata_rm_store(rm, 2 * i, 2 * i + 1, i);
		spin_unlock_irq(&st_lock);
		if (r == -ENOMEM) {
			/* what GFP_NOWAIT could not have comes back with time */
			msleep(20);
			i--;
			continue;
		}
		st_check(!r);
		cond_resched();
	}
	st_check(pdata_rm_count(rm) == nr);
	st_check(pdata_rm_lookup(rm, nr, nr + 9, &value, &end) == !(nr & 1));

	/* a store over half of it, in bounded steps */
	for (pos = 0; pos < nr; pos = end) {
		spin_lock_irq(&st_lock);
		t = ktime_get_ns();
		end = pdata_rm_bound(rm, pos, nr, 1024);
		r = pdata_rm_store(rm, pos, end, 7);
		worst = max(worst, ktime_get_ns() - t);
		spin_unlock_irq(&st_lock);
		st_check(!r);
		steps++;
		cond_resched();
	}
	/* what reaches into a block is an entry of its own there */
	st_check(pdata_rm_count(rm) >= nr - (nr + 1) / 2 + steps);
	st_check(pdata_rm_count(rm) <= nr - (nr + 1) / 2 + 3 * steps);
	pr_info("thin2-selftest: %llu stores over 1024 entries each, the longest %llu us\n",
		steps, worst / 1000);
	return 0;
}

int st_rm_large(u64 nr, struct dm_dev *dev)
{
	return with_map(rm_large, nr);
}

/* ---- memory ---- */

#define BYTES_BITS	18

/*
 * Blocks, and nodes of the tree, in bytes: leaves, and those above with at least 8
 * children on the average.
 */
static u64 map_bytes(struct pdata_range_map *rm)
{
	MA_STATE(mas, &rm->mt, 0, 0);
	struct maple_enode *last = NULL;
	u64 leaves = 0, blocks = 0;
	void *entry;

	spin_lock_irq(&st_lock);
	while ((entry = mas_find(&mas, ULONG_MAX))) {
		leaves += mas.node != last;
		last = mas.node;
		if (to_block(entry))
			blocks += ksize(entry);
	}
	spin_unlock_irq(&st_lock);
	return (leaves + leaves / 7) * sizeof(struct maple_node) + blocks;
}

static int rm_must_store(struct pdata_range_map *rm, u64 begin, u64 end)
{
	int r;

	do {
		spin_lock_irq(&st_lock);
		r = pdata_rm_store(rm, begin, end, begin & (U64_MAX >> 1));
		spin_unlock_irq(&st_lock);
		if (r)
			msleep(20);
	} while (r == -ENOMEM);
	cond_resched();
	return r;
}

/* Every entry beside the next one, or with gaps; in order, in no order, in windows of 64. */
static int bytes_fill(struct pdata_range_map *rm, unsigned int shape)
{
	u64 i, at, mask = (1ull << BYTES_BITS) - 1;
	unsigned int gap = shape & 1;
	int r = 0;

	for (i = 0; i <= mask && !r; i++) {
		at = i;
		if (shape >= 4)
			at = ((i >> 6) * 0x9e3779b1 << 6 | (i & 63)) & mask;
		else if (shape >= 2)
			at = i * 0x9e3779b1 & mask;
		r = rm_must_store(rm, at << gap, (at << gap) + 1);
	}
	return r;
}

/* A hand has taken half of the map, in runs of 256. */
static int bytes_evict(struct pdata_range_map *rm, unsigned int shape)
{
	u64 pos, step = 256ull << (shape & 1), end = 1ull << (BYTES_BITS - 1 + (shape & 1));
	int r = 0;

	for (pos = 0; pos < end && !r; pos += step) {
		spin_lock_irq(&st_lock);
		r = pdata_rm_erase(rm, pos, pos + step);
		spin_unlock_irq(&st_lock);
		cond_resched();
	}
	return r;
}

static int rm_bytes(struct pdata_range_map *rm, u64 shape)
{
	static const char *const name[] = {
		"adjacent, in order", "with gaps, in order",
		"adjacent, in no order", "with gaps, in no order",
		"adjacent, in windows", "with gaps, in windows",
	};
	u64 full, half;
	int r;

	st_check(shape < ARRAY_SIZE(name));
	r = bytes_fill(rm, shape);
	st_check(!r);
	full = map_bytes(rm);
	r = bytes_evict(rm, shape);
	st_check(!r);
	half = map_bytes(rm);
	pr_info("thin2-selftest: %s: %llu bytes an entry, %llu with half of them evicted\n",
		name[shape], full >> BYTES_BITS, half >> (BYTES_BITS - 1));
	/* a gap takes as much as an entry; most maps have few */
	st_check(full >> BYTES_BITS < PDATA_RM_ENTRY_BYTES * (1 + (shape & 1)));
	/* who evicts gets nodes back */
	st_check(half <= full * 6 / 10);
	return 0;
}

int st_rm_bytes(u64 shape, struct dm_dev *dev)
{
	return with_map(rm_bytes, shape);
}

/* ---- readers beside a writer ---- */

/*
 * Every value says which range it was stored for. Flips keep the range, stores
 * over part of a range take from it: a unit must always read as a value that
 * was stored for a range around it.
 */
#define READERS		4
#define RANGE_UNITS	24

struct readers {
	struct pdata_range_map *rm;
	atomic64_t lookups;
	atomic_t wrong;
};

static u64 range_value(u64 begin, u64 end, u64 state)
{
	return pdata_rm_plain(state, 0) | begin << 13 | end << 38;
}

static int reader(void *context)
{
	struct readers *rd = context;
	struct st_rnd rnd = { ktime_get_ns() };

	while (!kthread_should_stop()) {
		u64 unit = st_rnd(&rnd, RANGE_UNITS), value, end, b, e;

		if (pdata_rm_lookup(rd->rm, unit, RANGE_UNITS, &value, &end)) {
			b = (value >> 13) & 0x1ffffff;
			e = value >> 38;
			if (unit < b || unit >= e || end > e) {
				if (atomic_inc_return(&rd->wrong) < 5)
					pr_err("thin2-selftest: unit %llu..%llu reads as [%llu, %llu)\n",
					       unit, end, b, e);
			}
		}
		if (!(atomic64_inc_return(&rd->lookups) % 1024))
			cond_resched();
	}
	return 0;
}

static int write_one(struct pdata_range_map *rm, struct st_rnd *rnd)
{
	u64 begin = st_rnd(rnd, RANGE_UNITS), end, old, len = RANGE_UNITS - begin;
	int r = 0;

	switch (st_rnd(rnd, 4)) {
	case 0:
		if (pdata_rm_entry(rm, begin, &begin, &end, &old))
			pdata_rm_flip(rm, begin, end,
				      range_value(begin, end, st_rnd(rnd, 8)));
		break;
	case 1:
		/* move the border between two entries: changed in place */
		if (!pdata_rm_entry(rm, begin, &begin, &end, &old) || end >= RANGE_UNITS ||
		    !pdata_rm_entry(rm, end, &begin, &end, &old) || end - begin < 2)
			break;
		begin--;
		end--;
		fallthrough;
	default:
		if (begin + 1 > RANGE_UNITS)
			break;
		end = min(begin + 1 + st_rnd(rnd, min(len, 12ull)), (u64)RANGE_UNITS);
		r = pdata_rm_store(rm, begin, end, range_value(begin, end, st_rnd(rnd, 8)));
	}
	return r == -ENOMEM ? 0 : r;
}

static int rm_readers(struct pdata_range_map *rm, u64 msecs)
{
	u64 stop = ktime_get_ns() + msecs * 1000000, writes = 0;
	struct st_rnd rnd = { stop };
	struct readers rd = { .rm = rm };
	struct task_struct *task[READERS];
	unsigned int i, n;
	int r = 0;

	for (n = 0; n < READERS; n++) {
		task[n] = kthread_run(reader, &rd, "thin2-reader");
		if (IS_ERR(task[n])) {
			r = PTR_ERR(task[n]);
			break;
		}
	}
	while (!r && ktime_get_ns() < stop) {
		spin_lock_irq(&st_lock);
		for (i = 0; i < 256 && !r; i++)
			r = write_one(rm, &rnd);
		spin_unlock_irq(&st_lock);
		writes += i;
		cond_resched();
	}
	for (i = 0; i < n; i++)
		kthread_stop(task[i]);
	pr_info("thin2-selftest: %llu writes beside %lld lookups, %d wrong\n", writes,
		(s64)atomic64_read(&rd.lookups), atomic_read(&rd.wrong));
	st_check(!r);
	st_check(!atomic_read(&rd.wrong));
	return 0;
}

int st_rm_readers(u64 msecs, struct dm_dev *dev)
{
	return with_map(rm_readers, msecs);
}
