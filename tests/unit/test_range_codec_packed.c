// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packed leaf codecs: round trips of lists of many shapes, lookups, growth,
 * and refusal of damaged payloads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "pdata-range-codec.h"

#define KEY_END	PDATA_MAX_UNITS
#define MAX	PDATA_LEAF_MAX_RECORDS

static u64 seed, rng_state;

static u64 rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

static u64 rng_below(u64 n)
{
	return rng() % n;
}

static void rng_start(void)
{
	const char *s = getenv("SEED");

	seed = s ? strtoull(s, NULL, 0) : 20240611;
	rng_state = seed * 2862933555777941757ull + 3037000493ull;
	print_message("# SEED=%llu\n", (unsigned long long)seed);
}

static bool same(const struct pdata_range *a, const struct pdata_range *b)
{
	return a->begin == b->begin && a->len == b->len && a->value == b->value &&
	       a->aux == b->aux && a->tag == b->tag && a->kind == b->kind;
}

/* A number of up to @bits bits; small ones are as likely as large ones. */
static u64 any_bits(unsigned int bits)
{
	return rng() >> 1 >> (63 - rng_below(bits + 1));
}

/* What a list is like; the chances are of 256. */
struct shape {
	unsigned int gap_chance, gap_bits;
	unsigned int len_bits, len_odd;		/* chance of a length of any size */
	unsigned int shift;			/* all is aligned to so many bits */
	unsigned int jump_chance, phys_bits;	/* else physicals go on */
	unsigned int other_kind;		/* chance; of an owner in a space map */
	unsigned int tag_values, tag_bits;
};

static const struct shape shapes[] = {
	{ 0, 0, 3, 0, 4, 256, 20, 0, 1, 8 },		/* aged: random places */
	{ 16, 12, 3, 4, 4, 16, 24, 4, 3, 12 },		/* streams with some jumps */
	{ 256, 8, 0, 0, 0, 256, 24, 0, 2, 20 },		/* single units, far apart */
	{ 0, 0, 31, 256, 0, 0, 0, 0, 1, 0 },		/* long and in sequence */
	{ 128, 36, 31, 128, 0, 128, 47, 128, 1000, 32 },	/* everything at once */
	{ 256, 36, 31, 256, 0, 256, 47, 20, 100000, 32 },	/* the widest */
	{ 64, 4, 4, 8, 0, 256, 14, 64, 4, 32 },
	{ 8, 40, 1, 8, 3, 8, 47, 8, 5, 32 },		/* outliers in all fields */
};

static void add_value(const struct shape *s, bool sm, struct pdata_range *r, u64 *phys)
{
	if (sm)
		r->aux = rng_below(256) < s->other_kind ? 1 + any_bits(55) : 0;
	else
		r->kind = rng_below(256) < s->other_kind ? PDATA_RANGE_ZERO + rng_below(2) :
							   PDATA_RANGE_MAPPED;
	if (!pdata_range_advances(r))
		return;
	if (rng_below(256) < s->jump_chance || *phys > PDATA_MAX_UNITS - r->len)
		*phys = any_bits(s->phys_bits) << s->shift & (PDATA_MAX_UNITS - 1);
	*phys = min(*phys, PDATA_MAX_UNITS - r->len);
	r->value = *phys;
	*phys += r->len;
}

static unsigned int make(const struct shape *s, bool sm, u64 lo, u64 hi, struct pdata_range *r,
			 unsigned int max)
{
	u64 at = lo, phys = any_bits(46), gap, len;
	u32 tags[8];
	unsigned int n;

	for (n = 0; n < ARRAY_SIZE(tags); n++)
		tags[n] = max_t(u64, any_bits(s->tag_bits), 1);
	for (n = 0; n < max; n++) {
		gap = rng_below(256) < s->gap_chance ? any_bits(s->gap_bits) << s->shift : 0;
		len = rng_below(256) < s->len_odd ? 1 + any_bits(31) :
						    (1 + any_bits(s->len_bits)) << s->shift;
		len = min_t(u64, len, PDATA_REC_MAX_LEN);
		if (gap >= hi - at || len > hi - at - gap)
			break;
		at += gap;
		r[n] = (struct pdata_range){ .begin = at, .len = len, .kind = PDATA_RANGE_COUNT };
		r[n].tag = s->tag_values > ARRAY_SIZE(tags) ? 1 + any_bits(31) :
							      tags[rng_below(s->tag_values)];
		if (s->tag_values > ARRAY_SIZE(tags) && !rng_below(16))
			r[n].tag = U32_MAX;
		add_value(s, sm, &r[n], &phys);
		at += len;
	}
	return n;
}

static const u16 ids[] = { PDATA_CODEC_MAP_PACKED, PDATA_CODEC_SM_PACKED };

static void check_lookup(const struct pdata_codec *c, const void *payload, unsigned int bytes,
			 const struct pdata_range *r, unsigned int nr, u64 lo, u64 hi, u64 key)
{
	struct pdata_range got;
	unsigned int first = 0, last = nr, mid;
	u64 begin, end;
	int err;

	if (key < lo || key >= hi)
		return;
	err = c->lookup(payload, bytes, nr, lo, hi, key, &got);
	while (first < last) {
		mid = (first + last) / 2;
		if (pdata_range_end(&r[mid]) <= key)
			first = mid + 1;
		else
			last = mid;
	}
	if (first < nr && r[first].begin <= key) {
		assert_int_equal(err, 0);
		assert_true(same(&got, &r[first]));
		return;
	}
	begin = first ? pdata_range_end(&r[first - 1]) : lo;
	end = first < nr ? r[first].begin : hi;
	assert_int_equal(err, -PDATA_E_NOT_FOUND);
	assert_int_equal(got.begin, begin);
	assert_int_equal(got.len, end - begin);
}

/* Encode into memory of just the size that may be used, decode, look all edges up. */
static unsigned int check_list(const struct pdata_codec *c, const struct pdata_range *in,
			       unsigned int nr, unsigned int max, unsigned int room,
			       u64 lo, u64 hi)
{
	struct pdata_range *out = test_malloc(MAX * sizeof(*out));
	u8 *payload = test_malloc(room ? room : 1);
	unsigned int i, fit, bytes, size, again;

	fit = c->encode(in, nr, max, payload, room, &bytes);
	assert_true(fit <= nr && fit <= max && bytes <= room);
	if (fit < nr && fit < max && room == PDATA_LEAF_PAYLOAD)
		assert_true(fit >= c->max_records);
	again = c->encode(in, nr, max, NULL, room, &size);
	assert_int_equal(again, fit);
	assert_int_equal(size, bytes);
	again = c->encode_tight(in, nr, max, NULL, room, &size);
	assert_true(again == fit || fit < min(nr, max));

	payload = test_realloc(payload, bytes ? bytes : 1);
	memset(out, 0xa5, MAX * sizeof(*out));
	assert_int_equal(c->decode(payload, bytes, fit, lo, hi, out), 0);
	for (i = 0; i < fit; i++)
		assert_true(same(&in[i], &out[i]));
	check_lookup(c, payload, bytes, in, fit, lo, hi, lo);
	check_lookup(c, payload, bytes, in, fit, lo, hi, hi - 1);
	for (i = 0; i < fit; i++) {
		check_lookup(c, payload, bytes, in, fit, lo, hi, in[i].begin - 1);
		check_lookup(c, payload, bytes, in, fit, lo, hi, in[i].begin);
		check_lookup(c, payload, bytes, in, fit, lo, hi, pdata_range_end(&in[i]) - 1);
		check_lookup(c, payload, bytes, in, fit, lo, hi, pdata_range_end(&in[i]));
	}
	test_free(payload);
	test_free(out);
	return fit;
}

static void test_round_trip(void **state)
{
	struct pdata_range *in = test_malloc(MAX * sizeof(*in));
	unsigned int round, nr, max, room, i;
	u64 lo, hi;

	rng_start();
	for (round = 0; round < 600; round++) {
		i = round % 2;
		lo = rng_below(2) ? 0 : rng_below(KEY_END / 2);
		hi = rng_below(4) ? KEY_END : lo + 1 + rng_below(100000);
		nr = make(&shapes[round / 2 % ARRAY_SIZE(shapes)], i, lo, hi, in,
			  rng_below(3) ? MAX : rng_below(70));
		if (nr && !rng_below(4))
			hi = pdata_range_end(&in[nr - 1]);
		max = rng_below(3) ? MAX : rng_below(80);
		room = rng_below(3) ? PDATA_LEAF_PAYLOAD : rng_below(PDATA_LEAF_PAYLOAD);
		check_list(pdata_codec_find(ids[i]), in, nr, max, room, lo, hi);
	}
	test_free(in);
}

/* Values at the format's limits. */
static void test_limits(void **state)
{
	const struct pdata_codec *map = pdata_codec_find(PDATA_CODEC_MAP_PACKED);
	const struct pdata_codec *sm = pdata_codec_find(PDATA_CODEC_SM_PACKED);
	const u64 max_len = PDATA_REC_MAX_LEN, end = PDATA_MAX_UNITS;
	struct pdata_range m[] = {
		{ 0, max_len, end - max_len, 0, U32_MAX, PDATA_RANGE_MAPPED },
		{ max_len, 1, 0, 0, 0, PDATA_RANGE_MAPPED },
		{ end / 2, 1, end - 1, 0, 1, PDATA_RANGE_MAPPED },
		{ end - max_len, max_len - 1, 0, 0, U32_MAX - 1, PDATA_RANGE_ZERO },
		{ end - 1, 1, 0, 0, 5, PDATA_RANGE_MAPPED },
	};
	struct pdata_range s[] = {
		{ 0, 1, end - 1, (1ull << 56) - 1, U32_MAX, PDATA_RANGE_COUNT },
		{ 1, 1, 0, 0, 1, PDATA_RANGE_COUNT },
		{ end - max_len, max_len, 1, 1, 2, PDATA_RANGE_COUNT },
	};
	struct pdata_range bad[2];
	unsigned int bytes;
	u8 payload[PDATA_LEAF_PAYLOAD];

	assert_int_equal(check_list(map, m, ARRAY_SIZE(m), MAX, 4000, 0, end), ARRAY_SIZE(m));
	assert_int_equal(check_list(map, m + 4, 1, MAX, 4000, end - 1, end), 1);
	assert_int_equal(check_list(sm, s, ARRAY_SIZE(s), MAX, 4000, 0, end), ARRAY_SIZE(s));
	assert_int_equal(check_list(map, m, 0, MAX, 4000, 7, 9), 0);

	/* Records that have no disk form end the leaf. */
	bad[0] = m[0];
	bad[1] = m[1];
	bad[1].len = 0;
	assert_int_equal(map->encode(bad, 2, MAX, payload, sizeof(payload), &bytes), 1);
	bad[1].len = max_len + 1;
	assert_int_equal(map->encode(bad, 2, MAX, payload, sizeof(payload), &bytes), 1);
	bad[1] = m[1];
	bad[1].kind = PDATA_RANGE_COMPRESSED;
	assert_int_equal(map->encode(bad, 2, MAX, payload, sizeof(payload), &bytes), 1);
	bad[1] = s[0];
	bad[1].aux = 1ull << 56;
	assert_int_equal(sm->encode(bad + 1, 1, MAX, payload, sizeof(payload), &bytes), 0);
	assert_int_equal(bytes, 0);
	assert_null(pdata_codec_find(5));
}

/* ---- growth ---- */

/* A record as expensive as there is one, within [begin, end). */
static struct pdata_range worst(bool sm, u64 begin, u64 end)
{
	struct pdata_range r = { .begin = begin, .len = min(end - begin, PDATA_REC_MAX_LEN) };

	if (rng_below(2))
		r.len = 1 + rng_below(r.len);
	r.value = rng_below(PDATA_MAX_UNITS - r.len + 1);
	r.tag = 1 + (rng() >> 32) % U32_MAX;
	r.kind = sm ? PDATA_RANGE_COUNT : PDATA_RANGE_MAPPED;
	if (sm)
		r.aux = 1 + rng_below((1ull << 56) - 1);
	return r;
}

/* Put @c in the place of what it covers. Returns the new number. */
static unsigned int put(const struct pdata_range *in, unsigned int nr, const struct pdata_range *c,
			struct pdata_range *out)
{
	const u64 end = pdata_range_end(c);
	unsigned int i, n = 0;
	bool done = false;

	for (i = 0; i < nr; i++) {
		if (in[i].begin < c->begin)
			pdata_range_clip(&in[i], in[i].begin,
					 min(pdata_range_end(&in[i]), c->begin), &out[n++]);
		if (!done && pdata_range_end(&in[i]) > c->begin) {
			out[n++] = *c;
			done = true;
		}
		if (pdata_range_end(&in[i]) > end)
			pdata_range_clip(&in[i], max(in[i].begin, end), pdata_range_end(&in[i]),
					 &out[n++]);
	}
	if (!done)
		out[n++] = *c;
	return n;
}

/*
 * Leaves filled to the brim, changed again and again in one place after the
 * other: each change may cost so many bytes and no more.
 */
static void growth(const struct pdata_codec *c, bool sm, const struct shape *s)
{
	struct pdata_range *in = test_malloc(2 * MAX * sizeof(*in));
	struct pdata_range *out = test_malloc(2 * MAX * sizeof(*out));
	struct pdata_range change;
	u8 *payload = test_malloc(PDATA_LEAF_PAYLOAD);
	unsigned int nr, bytes, size, i, n, fit;
	u64 begin;

	nr = make(s, sm, 0, KEY_END, in, MAX);
	nr = c->encode_tight(in, nr, MAX, payload, PDATA_LEAF_PAYLOAD, &bytes);
	for (i = 0; i < 30 && nr; i++) {
		assert_int_equal(c->decode(payload, bytes, nr, 0, KEY_END, in), 0);
		begin = in[rng_below(nr)].begin + rng_below(3);
		change = worst(sm, begin, min(begin + 1 + any_bits(34), KEY_END));
		n = put(in, nr, &change, out);
		if (n > MAX)
			n = MAX;

		/* All of it fits into as much as the bound says. */
		fit = c->encode_tight(out, n, n, NULL, bytes + c->growth, &size);
		assert_int_equal(fit, n);

		/* The rest of what one leaf does not hold fits into a second. */
		fit = c->encode_tight(out, n, n, payload, PDATA_LEAF_PAYLOAD, &bytes);
		if (fit < n)
			assert_int_equal(c->encode_tight(out + fit, n - fit, n, NULL,
						   PDATA_LEAF_PAYLOAD, &size), n - fit);
		nr = fit;
	}
	test_free(payload);
	test_free(out);
	test_free(in);
}

static void test_growth(void **state)
{
	unsigned int round;

	rng_start();
	for (round = 0; round < 160; round++)
		growth(pdata_codec_find(ids[round % 2]), round % 2,
		       &shapes[round / 2 % ARRAY_SIZE(shapes)]);
}

/*
 * Groups that are cheap and expensive in turn, and changes in front of all that
 * shift them by half a group: grouped afresh each would be an expensive one.
 */
static void test_shift(void **state)
{
	struct pdata_range *in = test_malloc(2 * MAX * sizeof(*in));
	struct pdata_range *out = test_malloc(2 * MAX * sizeof(*out));
	u8 *payload = test_malloc(PDATA_LEAF_PAYLOAD);
	const u64 base = 1ull << 40;
	unsigned int t, i, nr, n, bytes, size, fresh;

	rng_start();
	for (t = 0; t < 2; t++) {
		const struct pdata_codec *c = pdata_codec_find(ids[t]);

		for (i = 0; i < MAX; i++) {
			in[i] = i / 32 % 2 ? worst(t, base + (u64)i * (1 << 20),
						   base + (i + 1ull) * (1 << 20)) :
				(struct pdata_range){ base + (u64)i * (1 << 20), 1, 0, 0, 1,
						      t ? PDATA_RANGE_COUNT : PDATA_RANGE_ZERO };
		}
		nr = c->encode_tight(in, MAX, MAX, payload, PDATA_LEAF_PAYLOAD, &bytes);
		assert_int_equal(nr % 32, 0);
		assert_int_equal(c->decode(payload, bytes, nr, 0, KEY_END, in), 0);
		for (n = 0; n < 16; n++)
			out[n] = worst(t, n * (base / 16), (n + 1) * (base / 16));
		memcpy(out + n, in, nr * sizeof(*in));
		/* What is new takes what it takes alone, and the rest what it did before. */
		assert_int_equal(c->encode_tight(out, n, n, NULL, PDATA_LEAF_PAYLOAD, &size), n);
		n += nr;
		assert_true(size <= 16 * c->growth);
		assert_int_equal(c->encode_tight(out, n, n, NULL, bytes + size, &size), n);

		for (i = 0; i < n; i++)
			out[i].was = PDATA_WAS_NEW;
		c->encode(out, n, n, NULL, 16 * PDATA_LEAF_PAYLOAD, &fresh);
		assert_true(fresh > size);
	}
	test_free(payload);
	test_free(out);
	test_free(in);
}

/* Full lists of the widest records: as many fit as is said. */
static void test_worst(void **state)
{
	struct pdata_range *in = test_malloc(MAX * sizeof(*in));
	unsigned int round, i, j, bytes;

	rng_start();
	for (round = 0; round < 40; round++) {
		const struct pdata_codec *c = pdata_codec_find(ids[round % 2]);
		const u64 step = KEY_END / MAX;

		for (i = 0; i < MAX; i++) {
			in[i] = worst(round % 2, i * step + rng_below(step / 2),
				      (i + 1) * step);
			if (!(round % 2) && !rng_below(3)) {
				in[i].kind = PDATA_RANGE_DAMAGED;
				in[i].value = 0;
			}
		}
		j = c->encode_tight(in, MAX, MAX, NULL, PDATA_LEAF_PAYLOAD, &bytes);
		assert_true(j >= c->max_records);
		assert_true(bytes <= PDATA_LEAF_PAYLOAD && bytes + c->waste >= PDATA_LEAF_PAYLOAD);
	}
	test_free(in);
}

/* ---- damage ---- */

static void assert_rules(const struct pdata_range *r, unsigned int nr, u64 lo, u64 hi)
{
	unsigned int i;
	u64 at = lo;

	for (i = 0; i < nr; i++) {
		assert_true(r[i].begin >= at && r[i].len && r[i].len <= PDATA_REC_MAX_LEN);
		at = pdata_range_end(&r[i]);
		assert_true(at <= hi);
		if (r[i].kind == PDATA_RANGE_COUNT)
			assert_true(r[i].tag);
		else
			assert_true(!r[i].aux && r[i].kind && r[i].kind <= PDATA_RANGE_DAMAGED);
		if (pdata_range_advances(&r[i]))
			assert_true(r[i].value < PDATA_MAX_UNITS &&
				    r[i].len <= PDATA_MAX_UNITS - r[i].value);
		else
			assert_int_equal(r[i].value, 0);
	}
}

/* Any flipped bit is refused or gives valid ranges; a lookup does not stray either way. */
static void flips(const struct pdata_codec *c, bool sm, const struct shape *s)
{
	struct pdata_range *in = test_malloc(MAX * sizeof(*in)), one;
	struct pdata_range *out = test_malloc(MAX * sizeof(*out));
	u8 *payload = test_malloc(PDATA_LEAF_PAYLOAD);
	unsigned int nr, bytes, bit, refused = 0;
	int r;

	nr = make(s, sm, 1000, KEY_END, in, 70);
	nr = c->encode(in, nr, nr, payload, PDATA_LEAF_PAYLOAD, &bytes);
	payload = test_realloc(payload, bytes);
	for (bit = 0; bit < bytes * 8; bit++) {
		payload[bit / 8] ^= 1 << bit % 8;
		if (c->decode(payload, bytes, nr, 1000, KEY_END, out))
			refused++;
		else
			assert_rules(out, nr, 1000, KEY_END);
		r = c->lookup(payload, bytes, nr, 1000, KEY_END, in[bit % nr].begin, &one);
		assert_true(r == 0 || r == -PDATA_E_NOT_FOUND || r == -PDATA_E_CONTENT);
		payload[bit / 8] ^= 1 << bit % 8;
	}
	assert_true(refused >= 64);
	/* Cut short, or of another number of records. */
	assert_int_equal(c->decode(payload, bytes - 1, nr, 1000, KEY_END, out), -PDATA_E_CONTENT);
	assert_int_equal(c->decode(payload, bytes, nr - 1, 1000, KEY_END, out), -PDATA_E_CONTENT);
	assert_int_equal(c->decode(payload, bytes, nr + 1, 1000, KEY_END, out), -PDATA_E_CONTENT);
	assert_int_equal(c->decode(payload, bytes, 0, 1000, KEY_END, out), -PDATA_E_CONTENT);
	assert_int_equal(c->decode(payload, bytes, nr, in[0].begin + 1, KEY_END, out),
			 -PDATA_E_CONTENT);
	assert_int_equal(c->decode(payload, bytes, nr, 1000, pdata_range_end(&in[nr - 1]) - 1, out),
			 -PDATA_E_CONTENT);
	test_free(payload);
	test_free(out);
	test_free(in);
}

static void test_flips(void **state)
{
	unsigned int i;

	rng_start();
	for (i = 0; i < 2 * ARRAY_SIZE(shapes); i++)
		flips(pdata_codec_find(ids[i % 2]), i % 2, &shapes[i / 2]);
}

/* Noise: nothing but refusal is likely, and nothing worse is possible. */
static void test_noise(void **state)
{
	struct pdata_range *out = test_malloc(MAX * sizeof(*out)), one;
	unsigned int round, i, bytes;
	__le64 head;
	u8 *payload;

	rng_start();
	for (round = 0; round < 20000; round++) {
		const struct pdata_codec *c = pdata_codec_find(ids[round % 2]);

		bytes = rng_below(200);
		payload = test_malloc(bytes + 1);
		payload = test_realloc(payload, bytes ? bytes : 1);
		for (i = 0; i < bytes; i++)
			payload[i] = rng();
		if (bytes >= 16) {	/* one group, where it should be */
			head = cpu_to_le64(1ull << 48);
			memcpy(payload, &head, 8);
			head = cpu_to_le64(8ull << 48);
			memcpy(payload + bytes - 8, &head, 8);
		}
		if (!c->decode(payload, bytes, 1 + rng_below(32), 0, KEY_END, out))
			assert_true(out[0].len);
		(void)!c->lookup(payload, bytes, 1 + rng_below(32), 0, KEY_END, rng_below(KEY_END),
				 &one);
		test_free(payload);
	}
	test_free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_shift),
		cmocka_unit_test(test_worst),
		cmocka_unit_test(test_flips),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
