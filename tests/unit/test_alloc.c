// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocator against a model that knows the owner of every unit. The committed
 * space map is a fake: an array of units in use, with parts that cannot be
 * read. test_space_map_data.c runs the allocator over the real one.
 */
#include "pdata-alloc.h"

#include <setjmp.h>
#include <time.h>
#include <cmocka.h>

static int fake_walk(const struct pdata_rt *rt, const struct pdata_view *v, u64 root,
		     u64 begin, u64 end,
		     int (*node)(void *context, u64 block, unsigned int level,
				 u64 lo, u64 hi, int err),
		     int (*range)(void *context, const struct pdata_range *r), void *context);
static void fake_pin(struct pdata_sm_meta *sm, struct pdata_pin *pin);
static void fake_unpin(struct pdata_sm_meta *sm, struct pdata_pin *pin);

static int fake_lookup(const struct pdata_rt *rt, const struct pdata_view *v, u64 root, u64 key,
		       struct pdata_range *r, struct pdata_rt_path *path);

#define pdata_rt_walk	fake_walk
#define pdata_rt_lookup	fake_lookup
#define pdata_sm_pin	fake_pin
#define pdata_sm_unpin	fake_unpin
#include "pdata-alloc.c"

#define UNITS	(1u << 18)
#define ROOT	4711

static unsigned int rnd_state;

static unsigned int rnd(unsigned int n)
{
	return rand_r(&rnd_state) % n;
}

/* ---- the committed space map ---- */

static u8 committed[UNITS];
static u64 bad_lo, bad_hi;
static int walk_error, pins;

static void fake_pin(struct pdata_sm_meta *sm, struct pdata_pin *pin)
{
	pin->data_sm_root = ROOT;
	pins++;
}

static void fake_unpin(struct pdata_sm_meta *sm, struct pdata_pin *pin)
{
	assert_int_equal(pin->data_sm_root, ROOT);
	pins--;
}

static int fake_lookup(const struct pdata_rt *rt, const struct pdata_view *v, u64 root, u64 key,
		       struct pdata_range *r, struct pdata_rt_path *path)
{
	u64 begin = key, end = key;

	might_sleep();
	assert_int_equal(root, ROOT);
	assert_non_null(v->pin);
	if (walk_error)
		return walk_error;
	if (key >= bad_lo && key < bad_hi)
		return -PDATA_E_CSUM;
	while (begin > 0 && committed[begin - 1] == committed[key])
		begin--;
	while (end < UNITS && committed[end] == committed[key])
		end++;
	*r = (struct pdata_range){ .begin = begin, .len = end - begin,
				   .kind = PDATA_RANGE_COUNT, .tag = 1 };
	return committed[key] ? 0 : -PDATA_E_NOT_FOUND;
}

static int fake_walk(const struct pdata_rt *rt, const struct pdata_view *v, u64 root,
		     u64 begin, u64 end,
		     int (*node)(void *context, u64 block, unsigned int level,
				 u64 lo, u64 hi, int err),
		     int (*range)(void *context, const struct pdata_range *r), void *context)
{
	struct pdata_range out = { .kind = PDATA_RANGE_COUNT, .tag = 1 };
	u64 pos, stop;
	int r;

	might_sleep();
	assert_int_equal(root, ROOT);
	assert_non_null(v->pin);
	assert_true(pins > 0);
	if (walk_error)
		return node(context, 3, 0, begin, end, walk_error);
	if (bad_lo < bad_hi) {
		r = node(context, 3, 0, bad_lo, bad_hi, -PDATA_E_CSUM);
		if (r)
			return r;
	}
	/* ranges are not clipped */
	for (pos = begin; pos > 0 && committed[pos - 1]; pos--)
		;
	for (; pos < end; pos = stop) {
		for (stop = pos; stop < UNITS && committed[stop] == committed[pos]; stop++)
			;
		if (!committed[pos] || (pos >= bad_lo && pos < bad_hi))
			continue;
		out.begin = pos;
		out.len = stop - pos;
		r = range(context, &out);
		if (r)
			return r;
	}
	return 0;
}

/* ---- the model ---- */

enum owner { FREE, USED, QUARANTINED };

static u8 owner[UNITS];
static struct pdata_bm bm = { .name = "test" };
static struct pdata_tm tm = { .bm = &bm };
static struct pdata_sm_data sm;
static struct pdata_alloc alloc;

static void begin_test(u64 nr_units, u64 group_units)
{
	u64 i;

	memcpy(owner, committed, sizeof(owner));
	sm.used = 0;
	for (i = 0; i < nr_units; i++)
		sm.used += committed[i];
	assert_int_equal(pdata_alloc_init(&alloc, &tm, &sm, nr_units, group_units), 0);
}

static void end_test(void)
{
	pdata_alloc_exit(&alloc);
	memset(committed, 0, sizeof(committed));
	bad_lo = bad_hi = 0;
	assert_int_equal(pins, 0);
}

static void own(u64 begin, u64 len, enum owner from, enum owner to)
{
	u64 i;

	for (i = begin; i < begin + len; i++) {
		assert_true(i < UNITS);
		assert_int_equal(owner[i], from);
		owner[i] = to;
	}
}

static u64 owned(u64 nr_units, enum owner who)
{
	u64 i, sum = 0;

	for (i = 0; i < nr_units; i++)
		sum += owner[i] == who;
	return sum;
}

/* Load what is needed and get; 0 at the end of space, then *error says which. */
static u64 get(struct pdata_stream *s, u64 want, u64 *begin, int *error)
{
	u64 len;
	int r;

	for (;;) {
		r = pdata_alloc_get(&alloc, s, want, begin, &len);
		if (!r) {
			assert_true(len >= 1 && len <= want);
			own(*begin, len, FREE, USED);
			return len;
		}
		*error = r;
		if (r != -PDATA_E_WOULD_SLEEP)
			return 0;
		assert_int_equal(pdata_alloc_load(&alloc), 0);
	}
}

/* Groups' bits and counters agree with each other and with the model. */
static void check_groups(u64 nr_units)
{
	u64 i, g, sum = 0;

	for (g = 0; g < alloc.nr_groups; g++) {
		const struct alloc_group *group = group_get(&alloc, g);
		u32 clear;

		if (!group)
			continue;
		clear = alloc.group_units - bitmap_weight(group->map, alloc.group_units);
		assert_int_equal(group->free, clear);
		sum += clear;
		for (i = 0; i < alloc.group_units; i++)
			if (!test_bit(i, group->map)) {
				assert_true(group->begin + i < nr_units);
				assert_int_equal(owner[group->begin + i], FREE);
			}
		for (i = 0; group->no_whole && i < group->units; i += group->run)
			assert_false(group_has_run(group, i));
	}
	assert_int_equal(atomic64_read(&alloc.free), sum + atomic64_read(&alloc.unloaded));
	assert_int_equal(pdata_alloc_free(&alloc), owned(nr_units, FREE));
	assert_int_equal(atomic64_read(&alloc.quarantined), owned(nr_units, QUARANTINED));
}

/* ---- tests ---- */

#define BATCHES	3

/* A run of used units that begins at a random place, as the metadata would free it. */
static u64 used_run(u64 nr_units, u64 most, u64 *begin)
{
	u64 len, pos = rnd(nr_units), i;

	for (i = 0; i < nr_units && owner[pos] != USED; i++)
		pos = (pos + 1) % nr_units;
	for (len = 0; len < most && pos + len < nr_units && owner[pos + len] == USED; len++)
		;
	*begin = pos;
	return len;
}

static void release(struct list_head *batch)
{
	struct pdata_freed *f;

	list_for_each_entry(f, batch, list)
		own(f->begin, f->len, QUARANTINED, FREE);
	pdata_alloc_release(&alloc, batch);
	assert_true(list_empty(batch));
}

/* Anywhere, beyond the device too. */
static void get_at(u64 nr_units)
{
	const u64 begin = rnd(50) ? rnd(nr_units) : ~0ull >> rnd(64), want = 1 + rnd(20);
	const bool loaded = group_get(&alloc, begin / alloc.group_units);
	const bool reserved = loaded &&
		test_bit(begin % alloc.group_units, group_get(&alloc, begin / alloc.group_units)->map);
	const u64 len = pdata_alloc_get_at(&alloc, begin, want);

	assert_true(len <= want);
	assert_int_equal(!len, !loaded || reserved);
	own(begin, len, FREE, USED);
}

static void get_chunk(struct pdata_stream *s)
{
	static const u32 sizes[] = { 2, 8, 12, 16, 64 };
	const u32 chunk = sizes[rnd(ARRAY_SIZE(sizes))], offset = rnd(chunk);
	const u64 want = 1 + rnd(20);
	u64 begin, i, len = pdata_alloc_get_chunk(&alloc, s, chunk, offset, want, &begin);

	if (!len)
		return;
	assert_int_equal(len, min_t(u64, want, chunk - offset));
	assert_int_equal(begin % chunk, offset);
	for (i = begin - offset; i < begin - offset + chunk; i++)
		assert_int_equal(owner[i], FREE);
	own(begin, len, FREE, USED);
}

static void random_round(u64 nr_units, u64 group_units, unsigned int percent, unsigned int steps)
{
	struct pdata_stream stream[5];
	struct list_head batch[BATCHES];
	u64 i, begin, len, size = nr_units / 2 + rnd(nr_units / 2);
	unsigned int now = 0;
	int error = 0;

	for (i = 0; i < size;) {
		const bool used = rnd(100) < percent;

		for (len = 1 + rnd(300); len && i < size; len--)
			committed[i++] = used;
	}
	begin_test(size, group_units);
	for (i = 0; i < ARRAY_SIZE(stream); i++)
		pdata_stream_init(&alloc, &stream[i]);
	for (i = 0; i < BATCHES; i++)
		INIT_LIST_HEAD(&batch[i]);

	while (steps--) {
		switch (rnd(15)) {
		case 0: case 1: case 2: case 3: case 4: case 5:
			len = get(&stream[rnd(5)], 1 + rnd(rnd(4) ? 16 : 600), &begin, &error);
			if (!len && error == -PDATA_E_DATA_NOSPC)
				assert_int_equal(owned(size, FREE) + owned(size, QUARANTINED), 0);
			if (!len && error == -PDATA_E_RETRY)
				assert_int_equal(owned(size, FREE), 0);
			if (len && !rnd(4)) {
				own(begin, len, USED, FREE);
				pdata_alloc_put(&alloc, begin, len);
			}
			break;
		case 6: case 7:
			len = used_run(size, 1 + rnd(200), &begin);
			if (len) {
				own(begin, len, USED, QUARANTINED);
				assert_int_equal(pdata_alloc_quarantine(&alloc, begin, len), 0);
			}
			break;
		case 8:
			pdata_alloc_seal(&alloc, &batch[now]);
			assert_true(list_empty(&alloc.pending));
			now = (now + 1) % BATCHES;
			release(&batch[now]);
			break;
		case 9:
			i = rnd(5);
			pdata_stream_exit(&alloc, &stream[i]);
			pdata_stream_init(&alloc, &stream[i]);
			break;
		case 10:
			if (rnd(20) || size == nr_units)
				break;
			size += rnd(4) ? 1 + rnd(nr_units - size) : 0;
			assert_int_equal(pdata_alloc_grow(&alloc, size), 0);
			break;
		case 11:
			/* replay says again what it knows */
			len = used_run(size, 1 + rnd(200), &begin);
			assert_int_equal(pdata_alloc_take(&alloc, begin, len), 0);
			break;
		case 12:
			get_at(nr_units);
			break;
		case 13:
			get_chunk(&stream[rnd(5)]);
			break;
		case 14:
			if (!rnd(20))
				pdata_alloc_set_run(&alloc, 8u << rnd(8));
			break;
		}
		if (!(steps % 64))
			check_groups(size);
	}
	check_groups(size);
	for (i = 0; i < BATCHES; i++)
		release(&batch[i]);
	for (i = 0; i < ARRAY_SIZE(stream); i++)
		pdata_stream_exit(&alloc, &stream[i]);
	assert_int_equal(atomic64_read(&alloc.reserved), 0);
	assert_int_equal(pdata_alloc_load_range(&alloc, 0, size), 0);
	assert_int_equal(pdata_alloc_load(&alloc), -PDATA_E_NOT_FOUND);
	assert_int_equal(atomic64_read(&alloc.unloaded), 0);
	check_groups(size);
	end_test();
}

static void test_random(void **state)
{
	unsigned int i;

	for (i = 0; i < 40; i++)
		random_round(2000 + rnd(14000), 64u << rnd(7), rnd(101), 1500);
}

/* Interleaved sequential writers of an empty device stay contiguous. */
static void test_contiguous(void **state)
{
	struct pdata_stream stream[8];
	u64 expect[8] = { 0 }, run[8] = { 0 }, begin, len, all = 0;
	unsigned int breaks = 0, i;
	int error = 0;

	begin_test(UNITS, PDATA_GROUP_UNITS);
	for (i = 0; i < 8; i++)
		pdata_stream_init(&alloc, &stream[i]);
	/* three quarters of the device */
	while (all < UNITS / 4 * 3) {
		i = rnd(8);
		len = get(&stream[i], 1 + rnd(32), &begin, &error);
		assert_true(len > 0);
		if (run[i] && begin != expect[i]) {
			assert_true(run[i] >= PDATA_RUN_UNITS);
			assert_int_equal(begin % PDATA_RUN_UNITS, 0);
			run[i] = 0;
			breaks++;
		}
		run[i] += len;
		expect[i] = begin + len;
		all += len;
	}
	print_message("%llu units, %u breaks\n", all, breaks);
	assert_true(all / (breaks + 8) >= 2 * PDATA_RUN_UNITS);
	for (i = 0; i < 8; i++)
		pdata_stream_exit(&alloc, &stream[i]);
	check_groups(UNITS);
	end_test();
}

/* A large request on an empty device is one extent, also past a reserve. */
static void test_large_want(void **state)
{
	struct pdata_stream s;
	u64 begin, len, next;
	int error = 0;

	begin_test(UNITS, 1u << 14);
	pdata_stream_init(&alloc, &s);
	assert_int_equal(get(&s, 3, &begin, &error), 3);
	next = begin + 3;
	len = get(&s, 4000, &begin, &error);
	assert_int_equal(begin, next);
	assert_true(len == 4000 || begin + len == 1u << 14);
	pdata_stream_exit(&alloc, &s);
	check_groups(UNITS);
	end_test();
}

static void test_exhaustion(void **state)
{
	const u64 size = 5000;
	struct pdata_stream s[3];
	LIST_HEAD(batch);
	u64 begin, len, sum = 0;
	unsigned int i;
	int error = 0;

	begin_test(size, 1024);
	for (i = 0; i < 3; i++)
		pdata_stream_init(&alloc, &s[i]);
	/* each of them holds a reserve */
	for (i = 0; i < 3; i++)
		sum += get(&s[i], 1, &begin, &error);
	assert_true(atomic64_read(&alloc.reserved) > 0);
	do {
		len = get(&s[1], 100, &begin, &error);
		sum += len;
	} while (len);
	assert_int_equal(error, -PDATA_E_DATA_NOSPC);
	assert_int_equal(sum, size);
	assert_int_equal(pdata_alloc_free(&alloc), 0);

	/* what is freed comes back after its checkpoint and not before */
	own(4000, 300, USED, QUARANTINED);
	assert_int_equal(pdata_alloc_quarantine(&alloc, 4100, 100), 0);
	assert_int_equal(pdata_alloc_quarantine(&alloc, 4200, 100), 0);
	assert_int_equal(pdata_alloc_quarantine(&alloc, 4000, 100), 0);
	assert_true(list_is_singular(&alloc.pending));
	assert_int_equal(get(&s[0], 1, &begin, &error), 0);
	assert_int_equal(error, -PDATA_E_RETRY);
	pdata_alloc_seal(&alloc, &batch);
	assert_int_equal(get(&s[0], 1, &begin, &error), 0);
	assert_int_equal(error, -PDATA_E_RETRY);
	release(&batch);
	assert_int_equal(get(&s[0], 300, &begin, &error), 300);
	assert_int_equal(begin, 4000);
	assert_int_equal(get(&s[0], 1, &begin, &error), 0);
	assert_int_equal(error, -PDATA_E_DATA_NOSPC);

	/* and so does a larger device: within the last group and beyond */
	assert_int_equal(pdata_alloc_grow(&alloc, size - 1), -PDATA_E_SHRUNK);
	assert_int_equal(pdata_alloc_grow(&alloc, PDATA_MAX_UNITS + 1), -PDATA_E_LIMIT);
	assert_int_equal(pdata_alloc_grow(&alloc, 20000), 0);
	assert_int_equal(pdata_alloc_free(&alloc), 20000 - size);
	for (sum = 0; (len = get(&s[2], 1000, &begin, &error)); sum += len)
		;
	assert_int_equal(error, -PDATA_E_DATA_NOSPC);
	assert_int_equal(sum, 20000 - size);
	for (i = 0; i < 3; i++)
		pdata_stream_exit(&alloc, &s[i]);
	end_test();
}

/* When only others' reserves are left, they are called in. */
static void test_call_in(void **state)
{
	struct pdata_stream a, b;
	u64 begin, len, sum;
	int error = 0;

	begin_test(256, 256);
	pdata_stream_init(&alloc, &a);
	sum = get(&a, 10, &begin, &error);
	assert_int_equal(sum, 10);
	/* as it was alone, it may have taken much; take all */
	stream_continue(&alloc, &a, 256);
	pdata_stream_init(&alloc, &b);
	for (; (len = get(&b, 7, &begin, &error)); sum += len)
		;
	assert_int_equal(error, -PDATA_E_DATA_NOSPC);
	assert_int_equal(sum, 256);
	pdata_stream_exit(&alloc, &a);
	pdata_stream_exit(&alloc, &b);
	end_test();
}

static void test_unreadable(void **state)
{
	struct pdata_stream s;
	u64 begin, len, sum = 0;
	int error = 0;

	memset(committed + 700, 1, 100);
	bad_lo = 1000;
	bad_hi = 1500;
	pdata_shim_quiet = true;
	begin_test(4096, 1024);
	pdata_stream_init(&alloc, &s);

	walk_error = -ENOMEM;
	assert_int_equal(pdata_alloc_load(&alloc), -ENOMEM);
	assert_int_equal(pdata_alloc_quarantine(&alloc, 700, 1), -ENOMEM);
	assert_int_equal(alloc.nr_loaded, 0);
	walk_error = 0;

	for (; (len = get(&s, 50, &begin, &error)); sum += len)
		assert_true(begin + len <= bad_lo || begin >= bad_hi);
	assert_int_equal(error, -PDATA_E_DATA_NOSPC);
	assert_int_equal(sum, 4096 - 100 - 500);
	pdata_stream_exit(&alloc, &s);

	/* a group that cannot be read at all */
	assert_int_equal(pdata_alloc_grow(&alloc, 6144), 0);
	walk_error = -EIO;
	assert_int_equal(pdata_alloc_load_range(&alloc, 5000, 10), 0);
	walk_error = 0;
	assert_int_equal(pdata_alloc_free(&alloc), 1024);
	pdata_shim_quiet = false;
	end_test();
}

static void test_misuse(void **state)
{
	LIST_HEAD(batch);
	unsigned long lines;

	memset(committed, 1, 2048);
	begin_test(4096, 1024);
	pdata_shim_quiet = true;
	assert_int_equal(pdata_alloc_take(&alloc, 4000, 97), -PDATA_E_OUT_OF_RANGE);
	assert_int_equal(pdata_alloc_take(&alloc, U64_MAX, 2), -PDATA_E_OUT_OF_RANGE);
	assert_int_equal(pdata_alloc_quarantine(&alloc, 5000, 1), -PDATA_E_OUT_OF_RANGE);
	assert_int_equal(pdata_alloc_take(&alloc, 3000, 96), 0);
	assert_int_equal(pdata_alloc_free(&alloc), 2048 - 96);
	assert_int_equal(pdata_alloc_take(&alloc, 2990, 96), 0);
	assert_int_equal(pdata_alloc_free(&alloc), 2048 - 106);

	/* free already: not to be handed out before it leaves the quarantine */
	lines = pdata_shim_log_lines;
	assert_int_equal(pdata_alloc_quarantine(&alloc, 3500, 10), 0);
	assert_int_equal(pdata_shim_log_lines, lines + 1);
	assert_int_equal(pdata_alloc_free(&alloc), 2048 - 116);
	pdata_alloc_seal(&alloc, &batch);
	pdata_alloc_release(&alloc, &batch);
	assert_int_equal(pdata_shim_log_lines, lines + 1);
	assert_int_equal(pdata_alloc_free(&alloc), 2048 - 106);

	/* given back twice: counted once */
	pdata_alloc_put(&alloc, 2990, 10);
	pdata_alloc_put(&alloc, 2990, 20);
	assert_int_equal(pdata_shim_log_lines, lines + 2);
	assert_int_equal(pdata_alloc_free(&alloc), 2048 - 86);
	pdata_shim_quiet = false;
	end_test();
}

static void test_no_memory(void **state)
{
	struct pdata_stream s;
	u64 begin, len;
	long n;

	memset(committed, 1, 100);
	for (n = 0; n < 2; n++) {
		pdata_shim_fail_alloc_after(n ? -1 : 0);
		assert_int_equal(pdata_alloc_init(&alloc, &tm, &sm, 4096, 1024), n ? 0 : -ENOMEM);
		if (n)
			pdata_alloc_exit(&alloc);
	}
	begin_test(4096, 1024);
	pdata_stream_init(&alloc, &s);
	for (n = 0; n < 2; n++) {
		pdata_shim_fail_alloc_after(n);
		assert_int_equal(pdata_alloc_load(&alloc), -ENOMEM);
	}
	pdata_shim_fail_alloc_after(-1);
	assert_int_equal(pdata_alloc_load(&alloc), 0);
	pdata_shim_fail_alloc_from(0);
	assert_int_equal(pdata_alloc_quarantine(&alloc, 50, 10), -ENOMEM);
	assert_int_equal(atomic64_read(&alloc.quarantined), 0);
	assert_int_equal(pdata_alloc_grow(&alloc, 40960), -ENOMEM);
	assert_int_equal(alloc.nr_units, 4096);
	/* on the way of a write nothing is allocated */
	assert_int_equal(pdata_alloc_get(&alloc, &s, 10, &begin, &len), 0);
	pdata_alloc_put(&alloc, begin, len);
	pdata_stream_exit(&alloc, &s);
	pdata_shim_fail_alloc_after(-1);
	assert_int_equal(pdata_alloc_free(&alloc), 4096 - 100);
	end_test();
}

/* ---- two writers, while units go through the quarantine and the device grows ---- */

#define THREAD_UNITS	(1u << 15)
#define THREAD_GETS	20000
#define HANDS		64

static u8 shared_owner[THREAD_UNITS];
static int thread_errors;

struct writer {
	pthread_t thread;
	unsigned int seed;
	struct pdata_stream stream;
	u64 begin[HANDS];
	u64 len[HANDS];
};

static void thread_check(bool good)
{
	if (!good)
		__atomic_add_fetch(&thread_errors, 1, __ATOMIC_RELAXED);
}

static void hand(u64 begin, u64 len, u8 from, u8 to)
{
	for (; len; begin++, len--)
		thread_check(begin < THREAD_UNITS &&
			     __atomic_exchange_n(&shared_owner[begin], to,
						 __ATOMIC_SEQ_CST) == from);
}

static struct mutex meta_lock;

static void give(struct writer *w, unsigned int i)
{
	if (!w->len[i])
		return;
	if (rand_r(&w->seed) % 2) {
		hand(w->begin[i], w->len[i], USED, FREE);
		pdata_alloc_put(&alloc, w->begin[i], w->len[i]);
	} else {
		hand(w->begin[i], w->len[i], USED, QUARANTINED);
		mutex_lock(&meta_lock);
		thread_check(!pdata_alloc_quarantine(&alloc, w->begin[i], w->len[i]));
		mutex_unlock(&meta_lock);
	}
	w->len[i] = 0;
}

/* In one of the three ways. */
static int thread_get(struct writer *w, unsigned int i)
{
	const u64 want = 1 + rand_r(&w->seed) % 400;

	switch (rand_r(&w->seed) % 3) {
	case 0:
		w->begin[i] = rand_r(&w->seed) % THREAD_UNITS;
		w->len[i] = pdata_alloc_get_at(&alloc, w->begin[i], want);
		break;
	case 1:
		w->len[i] = pdata_alloc_get_chunk(&alloc, &w->stream, 16,
						  rand_r(&w->seed) % 16, want, &w->begin[i]);
		break;
	default:
		w->len[i] = 0;
	}
	return w->len[i] ? 0 : pdata_alloc_get(&alloc, &w->stream, want, &w->begin[i], &w->len[i]);
}

static void *writer_run(void *arg)
{
	struct writer *w = arg;
	unsigned int n, i;
	int r;

	for (n = 0; n < THREAD_GETS; n++) {
		i = rand_r(&w->seed) % HANDS;
		give(w, i);
		r = thread_get(w, i);
		if (!r) {
			hand(w->begin[i], w->len[i], FREE, USED);
			continue;
		}
		w->len[i] = 0;
		if (r == -PDATA_E_WOULD_SLEEP)
			r = pdata_alloc_load(&alloc);
		thread_check(!r || r == -PDATA_E_RETRY || r == -PDATA_E_NOT_FOUND ||
			     r == -PDATA_E_DATA_NOSPC);
	}
	for (i = 0; i < HANDS; i++)
		give(w, i);
	return NULL;
}

static void thread_release(void)
{
	struct pdata_freed *f;
	LIST_HEAD(batch);

	mutex_lock(&meta_lock);
	pdata_alloc_seal(&alloc, &batch);
	mutex_unlock(&meta_lock);
	list_for_each_entry(f, &batch, list)
		hand(f->begin, f->len, QUARANTINED, FREE);
	pdata_alloc_release(&alloc, &batch);
}

static void test_threads(void **state)
{
	static struct writer w[2];
	u64 size = 4096;
	unsigned int i;

	begin_test(size, 512);
	mutex_init(&meta_lock);
	for (i = 0; i < 2; i++) {
		w[i].seed = rnd(1 << 30);
		pdata_stream_init(&alloc, &w[i].stream);
		assert_int_equal(pthread_create(&w[i].thread, NULL, writer_run, &w[i]), 0);
	}
	for (; size < THREAD_UNITS; size += 100) {
		thread_release();
		thread_check(!pdata_alloc_grow(&alloc, size));
		sched_yield();
	}
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_join(w[i].thread, NULL), 0);
	thread_release();
	assert_int_equal(thread_errors, 0);
	assert_int_equal(atomic64_read(&alloc.quarantined), 0);
	for (i = 0; i < 2; i++)
		pdata_stream_exit(&alloc, &w[i].stream);
	assert_int_equal(pdata_alloc_load_range(&alloc, 0, alloc.nr_units), 0);
	check_groups(alloc.nr_units);
	assert_int_equal(pdata_alloc_free(&alloc), alloc.nr_units);
	mutex_destroy(&meta_lock);
	end_test();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_contiguous),
		cmocka_unit_test(test_large_want),
		cmocka_unit_test(test_exhaustion),
		cmocka_unit_test(test_call_in),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_threads),
	};

	rnd_state = getenv("SEED") ? (unsigned int)atoi(getenv("SEED")) : (unsigned int)time(NULL);
	printf("# SEED=%u\n", rnd_state);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
