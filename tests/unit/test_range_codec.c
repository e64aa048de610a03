// SPDX-License-Identifier: GPL-2.0-only
/* Leaf codecs: helpers, round trips, refusal of whatever breaks the format's rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "pdata-range-codec.h"

#define KEY_END	PDATA_MAX_UNITS

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

static struct pdata_range mapped(u64 begin, u64 len, u64 phys, u32 birth)
{
	return (struct pdata_range){ .begin = begin, .len = len, .value = phys, .tag = birth,
				     .kind = PDATA_RANGE_MAPPED };
}

static struct pdata_range plain(u64 begin, u64 len, u8 kind, u32 birth)
{
	return (struct pdata_range){ .begin = begin, .len = len, .tag = birth, .kind = kind };
}

static struct pdata_range counted(u64 begin, u64 len, u32 count, u64 uid, u64 vbegin)
{
	return (struct pdata_range){ .begin = begin, .len = len, .value = vbegin, .aux = uid,
				     .tag = count, .kind = PDATA_RANGE_COUNT };
}

static void assert_range(const struct pdata_range *a, const struct pdata_range *b)
{
	assert_int_equal(a->begin, b->begin);
	assert_int_equal(a->len, b->len);
	assert_int_equal(a->value, b->value);
	assert_int_equal(a->aux, b->aux);
	assert_int_equal(a->tag, b->tag);
	assert_int_equal(a->kind, b->kind);
}

/* ---- helpers ---- */

static void test_clip(void **state)
{
	struct pdata_range r = mapped(100, 50, 1000, 7), out, want;

	pdata_range_clip(&r, 110, 120, &out);
	want = mapped(110, 10, 1010, 7);
	assert_range(&out, &want);

	pdata_range_clip(&r, 140, 150, &r);	/* in place */
	want = mapped(140, 10, 1040, 7);
	assert_range(&r, &want);

	r = plain(100, 50, PDATA_RANGE_ZERO, 3);
	pdata_range_clip(&r, 120, 150, &out);
	want = plain(120, 30, PDATA_RANGE_ZERO, 3);
	assert_range(&out, &want);

	r = counted(100, 50, 2, 77, 5000);
	pdata_range_clip(&r, 149, 150, &out);
	want = counted(149, 1, 2, 77, 5049);
	assert_range(&out, &want);

	r = counted(100, 50, 2, 0, 0);
	pdata_range_clip(&r, 149, 150, &out);
	want = counted(149, 1, 2, 0, 0);
	assert_range(&out, &want);
}

static void test_join(void **state)
{
	struct pdata_range a, b;

	a = mapped(10, 5, 100, 9);
	b = mapped(15, 5, 105, 4);
	assert_true(pdata_range_join(&a, &b));
	b = mapped(10, 10, 100, 4);		/* the smaller birth is kept */
	assert_range(&a, &b);
	b = mapped(20, 1, 110, 8);
	assert_true(pdata_range_join(&a, &b));
	assert_int_equal(a.tag, 4);

	a = mapped(10, 5, 100, 0);
	b = mapped(15, 5, 106, 0);		/* value does not continue */
	assert_false(pdata_range_join(&a, &b));
	b = mapped(16, 5, 106, 0);		/* gap */
	assert_false(pdata_range_join(&a, &b));
	b = plain(15, 5, PDATA_RANGE_ZERO, 0);
	assert_false(pdata_range_join(&a, &b));

	a = plain(10, 5, PDATA_RANGE_ZERO, 2);
	assert_true(pdata_range_join(&a, &b));
	assert_int_equal(a.len, 10);
	assert_int_equal(a.tag, 0);

	a = counted(0, 4, 1, 20, 100);
	b = counted(4, 4, 1, 20, 104);
	assert_true(pdata_range_join(&a, &b));
	b = counted(8, 4, 2, 20, 108);		/* another count */
	assert_false(pdata_range_join(&a, &b));
	b = counted(8, 4, 1, 21, 108);		/* another owner */
	assert_false(pdata_range_join(&a, &b));
	a = counted(0, 4, 1, 0, 0);
	b = counted(4, 4, 1, 0, 0);
	assert_true(pdata_range_join(&a, &b));

	a = plain(0, PDATA_REC_MAX_LEN - 1, PDATA_RANGE_ZERO, 0);
	b = plain(PDATA_REC_MAX_LEN - 1, 2, PDATA_RANGE_ZERO, 0);
	assert_false(pdata_range_join(&a, &b));
	b.len = 1;
	assert_true(pdata_range_join(&a, &b));
}

static void test_find(void **state)
{
	assert_int_equal(pdata_codec_find(PDATA_CODEC_MAP_PLAIN)->id, PDATA_CODEC_MAP_PLAIN);
	assert_int_equal(pdata_codec_find(PDATA_CODEC_SM_PLAIN)->id, PDATA_CODEC_SM_PLAIN);
	assert_null(pdata_codec_find(0));
	assert_null(pdata_codec_find(0xffff));
	assert_int_equal(pdata_codec_find(PDATA_CODEC_MAP_PLAIN)->max_records, 166);
	assert_int_equal(pdata_codec_find(PDATA_CODEC_SM_PLAIN)->max_records, 125);
}

/* ---- round trips ---- */

static unsigned int random_ranges(u16 id, u64 lo, u64 hi, struct pdata_range *r, unsigned int max)
{
	unsigned int n;
	u64 at = lo, room;

	for (n = 0; n < max; n++) {
		u64 gap = rng_below(4) ? rng_below(1000) : 0;
		u64 len = 1 + (rng_below(8) ? rng_below(300) : rng_below(PDATA_REC_MAX_LEN));

		if (at + gap >= hi)
			break;
		at += gap;
		room = hi - at;
		len = min(len, room);
		if (id == PDATA_CODEC_SM_PLAIN) {
			r[n] = counted(at, len, 1 + rng_below(3), rng_below(3) * 1000, 0);
			if (r[n].aux)
				r[n].value = rng_below(PDATA_MAX_UNITS - len + 1);
		} else {
			switch (rng_below(4)) {
			case 0:
				r[n] = plain(at, len, PDATA_RANGE_ZERO, rng());
				break;
			case 1:
				r[n] = plain(at, len, PDATA_RANGE_DAMAGED, rng());
				break;
			default:
				r[n] = mapped(at, len, rng_below(PDATA_MAX_UNITS - len + 1),
					      rng());
			}
		}
		at += len;
	}
	return n;
}

static void check_lookup(const struct pdata_codec *c, const void *payload, unsigned int bytes,
			 const struct pdata_range *r, unsigned int nr, u64 lo, u64 hi, u64 key)
{
	struct pdata_range got, want;
	u64 begin = lo, end = hi;
	unsigned int i;
	int err;

	err = c->lookup(payload, bytes, nr, lo, hi, key, &got);
	for (i = 0; i < nr; i++) {
		if (key >= r[i].begin && key < pdata_range_end(&r[i])) {
			assert_int_equal(err, 0);
			assert_range(&got, &r[i]);
			return;
		}
		if (pdata_range_end(&r[i]) <= key) {
			begin = pdata_range_end(&r[i]);
		} else {
			end = r[i].begin;
			break;
		}
	}
	assert_int_equal(err, -PDATA_E_NOT_FOUND);
	want = (struct pdata_range){ .begin = begin, .len = end - begin };
	assert_range(&got, &want);
}

static void round_trip(u16 id)
{
	const struct pdata_codec *c = pdata_codec_find(id);
	struct pdata_range *in = test_malloc(PDATA_LEAF_MAX_RECORDS * sizeof(*in));
	struct pdata_range *out = test_malloc(PDATA_LEAF_MAX_RECORDS * sizeof(*out));
	u8 *payload = test_malloc(PDATA_LEAF_PAYLOAD);
	unsigned int round, i, nr, fit, bytes, max, room;
	u64 lo, hi;

	rng_start();
	for (round = 0; round < 400; round++) {
		lo = rng_below(2) ? 0 : rng_below(KEY_END / 2);
		hi = rng_below(2) ? KEY_END : lo + 1 + rng_below(100000);
		nr = random_ranges(id, lo, hi, in, rng_below(300));
		max = rng_below(3) ? PDATA_LEAF_MAX_RECORDS : rng_below(50);
		room = rng_below(3) ? PDATA_LEAF_PAYLOAD : rng_below(PDATA_LEAF_PAYLOAD);

		fit = c->encode(in, nr, max, payload, room, &bytes);
		assert_true(fit <= nr && fit <= max && bytes <= room);
		if (fit < nr && fit < max && room == PDATA_LEAF_PAYLOAD)
			assert_true(fit >= c->max_records);

		memset(out, 0xa5, PDATA_LEAF_MAX_RECORDS * sizeof(*out));
		assert_int_equal(c->decode(payload, bytes, fit, lo, hi, out), 0);
		for (i = 0; i < fit; i++)
			assert_range(&in[i], &out[i]);

		for (i = 0; i < 20; i++)
			check_lookup(c, payload, bytes, in, fit, lo, hi, lo + rng_below(hi - lo));
		for (i = 0; i < fit && i < 20; i++) {
			const struct pdata_range *r = &in[rng_below(fit)];

			check_lookup(c, payload, bytes, in, fit, lo, hi, r->begin);
			check_lookup(c, payload, bytes, in, fit, lo, hi, pdata_range_end(r) - 1);
			if (r->begin > lo)
				check_lookup(c, payload, bytes, in, fit, lo, hi, r->begin - 1);
			if (pdata_range_end(r) < hi)
				check_lookup(c, payload, bytes, in, fit, lo, hi, pdata_range_end(r));
		}
	}
	test_free(payload);
	test_free(out);
	test_free(in);
}

static void test_round_trip_map(void **state)
{
	round_trip(PDATA_CODEC_MAP_PLAIN);
}

static void test_round_trip_sm(void **state)
{
	round_trip(PDATA_CODEC_SM_PLAIN);
}

/* A record that has no disk form ends the leaf before it. */
static void test_encode_impossible(void **state)
{
	const struct pdata_codec *c = pdata_codec_find(PDATA_CODEC_MAP_PLAIN);
	struct pdata_range r[3] = {
		mapped(0, 1, 5, 0), mapped(1, PDATA_REC_MAX_LEN + 1, 9, 0), mapped(1ull << 40, 1, 1, 0),
	};
	u8 payload[PDATA_LEAF_PAYLOAD];
	unsigned int bytes;

	assert_int_equal(c->encode(r, 3, 10, payload, sizeof(payload), &bytes), 1);
	assert_int_equal(bytes, 24);
	r[1].len = 0;
	assert_int_equal(c->encode(r, 3, 10, payload, sizeof(payload), &bytes), 1);
	r[1].len = PDATA_REC_MAX_LEN;
	assert_int_equal(c->encode(r, 3, 10, payload, sizeof(payload), &bytes), 3);
	assert_int_equal(c->encode(r, 3, 10, payload, 47, &bytes), 1);
	assert_int_equal(c->encode(r, 3, 10, payload, 0, &bytes), 0);
	assert_int_equal(bytes, 0);
}

/* ---- refusals ---- */

struct bad {
	const char *what;
	u64 lo, hi;
	unsigned int nr, bytes;
	struct pdata_map_rec_disk m[2];
};

#define KIND(k)	((u64)(k) << 56)
#define REC(v, p, l) { cpu_to_le64(v), cpu_to_le64(p), cpu_to_le32(l), 0 }

static int decode_bytes(u16 id, const void *payload, unsigned int bytes, unsigned int nr,
			u64 lo, u64 hi)
{
	struct pdata_range *out = test_malloc(PDATA_LEAF_MAX_RECORDS * sizeof(*out));
	int r;

	r = pdata_codec_find(id)->decode(payload, bytes, nr, lo, hi, out);
	test_free(out);
	return r;
}

static void test_refuse_map(void **state)
{
	static const struct pdata_map_rec_disk good[2] = {
		REC(KIND(1) | 10, 100, 5), REC(KIND(2) | 15, 0, 5),
	};
	static const struct bad bads[] = {
		{ "overlap", 0, 100, 2, 48, { REC(KIND(1) | 10, 100, 6), REC(KIND(1) | 15, 7, 5) } },
		{ "order", 0, 100, 2, 48, { REC(KIND(1) | 50, 100, 6), REC(KIND(1) | 15, 7, 5) } },
		{ "below lo", 11, 100, 1, 24, { REC(KIND(1) | 10, 100, 6) } },
		{ "above hi", 0, 15, 1, 24, { REC(KIND(1) | 10, 100, 6) } },
		{ "far above hi", 0, 15, 1, 24, { REC(KIND(1) | ((1ull << 56) - 1), 100, 6) } },
		{ "length 0", 0, 100, 1, 24, { REC(KIND(1) | 10, 100, 0) } },
		{ "kind 0", 0, 100, 1, 24, { REC(10, 100, 5) } },
		{ "kind compressed", 0, 100, 1, 24, { REC(KIND(4) | 10, 100, 5) } },
		{ "kind count", 0, 100, 1, 24, { REC(KIND(5) | 10, 100, 5) } },
		{ "kind 255", 0, 100, 1, 24, { REC(KIND(255) | 10, 100, 5) } },
		{ "phys at end", 0, 100, 1, 24, { REC(KIND(1) | 10, PDATA_MAX_UNITS - 4, 5) } },
		{ "phys beyond", 0, 100, 1, 24, { REC(KIND(1) | 10, PDATA_MAX_UNITS, 5) } },
		{ "phys wraps", 0, 100, 1, 24, { REC(KIND(1) | 10, ~0ull, 5) } },
		{ "blob", 0, 100, 1, 24, { REC(KIND(1) | 10, KIND(1) | 5, 5) } },
		{ "zero with phys", 0, 100, 1, 24, { REC(KIND(2) | 10, 1, 5) } },
		{ "damaged with phys", 0, 100, 1, 24, { REC(KIND(3) | 10, 1, 5) } },
		{ "bytes short", 0, 100, 1, 23, { REC(KIND(1) | 10, 100, 5) } },
		{ "bytes long", 0, 100, 1, 25, { REC(KIND(1) | 10, 100, 5) } },
		{ "bytes without records", 0, 100, 0, 24, { REC(KIND(1) | 10, 100, 5) } },
	};
	u8 big[PDATA_LEAF_PAYLOAD];
	unsigned int i;

	assert_int_equal(decode_bytes(PDATA_CODEC_MAP_PLAIN, good, 48, 2, 10, 20), 0);
	assert_int_equal(decode_bytes(PDATA_CODEC_MAP_PLAIN, good, 0, 0, 10, 20), 0);
	for (i = 0; i < ARRAY_SIZE(bads); i++) {
		const struct bad *b = &bads[i];

		if (decode_bytes(PDATA_CODEC_MAP_PLAIN, b->m, b->bytes, b->nr, b->lo, b->hi) !=
		    -PDATA_E_CONTENT)
			fail_msg("%s was not refused", b->what);
	}
	/* More records than a payload can hold must not be looked at. */
	memset(big, 0, sizeof(big));
	assert_int_equal(decode_bytes(PDATA_CODEC_MAP_PLAIN, big, 167 * 24, 167, 0, 100),
			 -PDATA_E_CONTENT);
	assert_int_equal(decode_bytes(PDATA_CODEC_MAP_PLAIN, big, 0, 0xffffffff, 0, 100),
			 -PDATA_E_CONTENT);
}

static void test_refuse_sm(void **state)
{
	const struct pdata_sm_rec_disk good = {
		.begin = cpu_to_le64(10), .uid = cpu_to_le64(20), .vbegin = cpu_to_le64(30),
		.len = cpu_to_le32(5), .count = cpu_to_le32(1),
	};
	struct pdata_sm_rec_disk d[2] = { good };
	const u16 id = PDATA_CODEC_SM_PLAIN;

	assert_int_equal(decode_bytes(id, d, 32, 1, 10, 15), 0);
	assert_int_equal(decode_bytes(id, d, 32, 1, 11, 15), -PDATA_E_CONTENT);
	assert_int_equal(decode_bytes(id, d, 32, 1, 10, 14), -PDATA_E_CONTENT);
	assert_int_equal(decode_bytes(id, d, 31, 1, 10, 15), -PDATA_E_CONTENT);
	d[1] = good;
	assert_int_equal(decode_bytes(id, d, 64, 2, 0, 100), -PDATA_E_CONTENT);

	d[0] = good;
	d[0].count = 0;
	assert_int_equal(decode_bytes(id, d, 32, 1, 0, 100), -PDATA_E_CONTENT);
	d[0] = good;
	d[0].len = 0;
	assert_int_equal(decode_bytes(id, d, 32, 1, 0, 100), -PDATA_E_CONTENT);
	d[0] = good;
	d[0].vbegin = cpu_to_le64(PDATA_MAX_UNITS - 4);
	assert_int_equal(decode_bytes(id, d, 32, 1, 0, 100), -PDATA_E_CONTENT);
	d[0] = good;
	d[0].uid = 0;			/* no owner, yet an address */
	assert_int_equal(decode_bytes(id, d, 32, 1, 0, 100), -PDATA_E_CONTENT);
	d[0].vbegin = 0;
	assert_int_equal(decode_bytes(id, d, 32, 1, 0, 100), 0);
	d[0] = good;
	d[0].begin = cpu_to_le64(~0ull - 2);	/* begin + len wraps */
	assert_int_equal(decode_bytes(id, d, 32, 1, 0, ~0ull), -PDATA_E_CONTENT);
}

/* Any single flipped bit is either refused or gives ranges that keep the rules. */
static void test_flips(void **state)
{
	const struct pdata_codec *c = pdata_codec_find(PDATA_CODEC_MAP_PLAIN);
	struct pdata_range in[3] = {
		mapped(10, 5, 100, 1), plain(15, 5, PDATA_RANGE_ZERO, 2), mapped(30, 70, 7, 3),
	};
	struct pdata_range *out = test_malloc(PDATA_LEAF_MAX_RECORDS * sizeof(*out));
	u8 payload[PDATA_LEAF_PAYLOAD];
	unsigned int bit, i, bytes, refused = 0;
	u64 at;

	assert_int_equal(c->encode(in, 3, 3, payload, sizeof(payload), &bytes), 3);
	for (bit = 0; bit < bytes * 8; bit++) {
		payload[bit / 8] ^= 1 << bit % 8;
		if (c->decode(payload, bytes, 3, 0, 1000, out)) {
			refused++;
		} else {
			for (at = 0, i = 0; i < 3; i++) {
				assert_true(out[i].begin >= at && out[i].len);
				at = pdata_range_end(&out[i]);
			}
			assert_true(at <= 1000);
		}
		payload[bit / 8] ^= 1 << bit % 8;
	}
	assert_true(refused > 100);
	test_free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clip),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_round_trip_map),
		cmocka_unit_test(test_round_trip_sm),
		cmocka_unit_test(test_encode_impossible),
		cmocka_unit_test(test_refuse_map),
		cmocka_unit_test(test_refuse_sm),
		cmocka_unit_test(test_flips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
