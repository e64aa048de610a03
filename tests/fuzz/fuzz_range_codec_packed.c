// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packed leaf codecs. Input is either a payload, arbitrary or nearly right
 * (ranges are made of it, encoded and damaged), or a list of ranges and changes
 * to it, which must survive encode and decode and keep to the codec's bounds.
 */
#include <stdlib.h>

#include "pdata-range-codec.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define MAX	PDATA_LEAF_MAX_RECORDS

static struct pdata_range ranges[MAX], again[MAX];
static u8 scratch[PDATA_LEAF_PAYLOAD];

static void must(bool ok)
{
	if (!ok)
		abort();
}

static bool same(const struct pdata_range *a, const struct pdata_range *b)
{
	return a->begin == b->begin && a->len == b->len && a->value == b->value &&
	       a->aux == b->aux && a->tag == b->tag && a->kind == b->kind;
}

static void look_up(const struct pdata_codec *c, const void *payload, unsigned int bytes,
		    unsigned int nr, u64 lo, u64 hi, u64 key)
{
	struct pdata_range got;
	u64 begin = lo, end = hi;
	unsigned int i;
	int r;

	if (key < lo || key >= hi)
		return;
	r = c->lookup(payload, bytes, nr, lo, hi, key, &got);
	for (i = 0; i < nr && pdata_range_end(&ranges[i]) <= key; i++)
		begin = pdata_range_end(&ranges[i]);
	if (i < nr && ranges[i].begin <= key) {
		must(!r && same(&got, &ranges[i]));
		return;
	}
	if (i < nr)
		end = ranges[i].begin;
	must(r == -PDATA_E_NOT_FOUND && got.begin == begin && got.len == end - begin);
}

static void check_ranges(const struct pdata_codec *c, unsigned int nr, u64 lo, u64 hi)
{
	unsigned int i, n, fit, size;

	fit = c->encode(ranges, nr, nr, scratch, sizeof(scratch), &n);
	must(n <= sizeof(scratch) && fit <= nr && (fit == nr || fit >= c->max_records));
	must(c->encode(ranges, nr, nr, NULL, sizeof(scratch), &size) == fit && size == n);
	must(!c->decode(scratch, n, fit, lo, hi, again));
	for (i = 0; i < fit; i++)
		must(same(&ranges[i], &again[i]));

	/* Decoded, and with one record changed at most, they keep the promise. */
	if (!fit)
		return;
	i = ranges[0].begin % fit;
	again[i].tag = ranges[fit - 1].tag / 2 + 1;
	again[i].was = PDATA_WAS_NEW;
	must(c->encode_tight(again, fit, fit, scratch, min_t(unsigned int, n + c->growth,
							     sizeof(scratch)), &size) == fit ||
	     n + c->growth > sizeof(scratch));
}

static void check_payload(const struct pdata_codec *c, const u8 *data, unsigned int bytes,
			  unsigned int nr, u64 lo, u64 hi)
{
	u8 *payload = malloc(bytes ? bytes : 1);	/* not a byte more */
	struct pdata_range one;
	unsigned int i;
	u64 at = lo;

	memcpy(payload, data, bytes);
	if (c->decode(payload, bytes, nr, lo, hi, ranges)) {
		/* Not to be looked at after this, yet harmless. */
		i = c->lookup(payload, bytes, nr, lo, hi, lo + (hi - lo) / 2, &one);
		must(one.len || i);
		free(payload);
		return;
	}
	for (i = 0; i < nr; i++) {
		must(ranges[i].begin >= at && ranges[i].len);
		at = pdata_range_end(&ranges[i]);
	}
	must(at <= hi);
	for (i = 0; i < nr; i++) {
		look_up(c, payload, bytes, nr, lo, hi, ranges[i].begin - 1);
		look_up(c, payload, bytes, nr, lo, hi, ranges[i].begin);
		look_up(c, payload, bytes, nr, lo, hi, pdata_range_end(&ranges[i]) - 1);
		look_up(c, payload, bytes, nr, lo, hi, pdata_range_end(&ranges[i]));
	}
	free(payload);
	check_ranges(c, nr, lo, hi);
}

/* Eight bytes a range: sizes of its fields, and what is in them. */
static unsigned int make_ranges(bool sm, const u8 *data, size_t size)
{
	u64 at = 0, phys = 1000, x;
	unsigned int n = 0;

	for (; size >= 8 && n < MAX; data += 8, size -= 8) {
		struct pdata_range *r = &ranges[n];

		memcpy(&x, data, 8);
		memset(r, 0, sizeof(*r));
		at += x & 1 ? (x >> 8 & 0xffff) << (x >> 1 & 31) : 0;
		r->begin = at;
		r->len = 1 + (x >> 16 & 0xff) * (x & 64 ? 0xfffff : 1);
		r->tag = 1 + (x >> 24 & 0xff) * (x & 128 ? 0xffffff : 1);
		r->kind = sm ? PDATA_RANGE_COUNT : PDATA_RANGE_MAPPED + (x >> 32) % 67 / 65;
		r->aux = sm && x >> 40 & 1 ? x >> 41 : 0;
		if (r->begin + r->len > PDATA_MAX_UNITS)
			break;
		at += r->len;
		if (pdata_range_advances(r)) {
			phys += x >> 48 & 1 ? x >> 33 : 0;
			phys &= PDATA_MAX_UNITS / 2 - 1;
			r->value = phys;
			phys += r->len;
		}
		n++;
	}
	return n;
}

/*
 * Input: mode and codec, lo, hi, number, payload; or mode and codec, one more
 * byte, ranges.
 */
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	const struct pdata_codec *c;
	unsigned int nr, bytes, i;
	bool sm;
	u64 lo, hi;
	u16 n;

	if (size < 19)
		return 0;
	sm = data[0] & 1;
	c = pdata_codec_find(sm ? PDATA_CODEC_SM_PACKED : PDATA_CODEC_MAP_PACKED);
	if (data[0] & 2) {
		memcpy(&lo, data + 1, 8);
		memcpy(&hi, data + 9, 8);
		memcpy(&n, data + 17, 2);
		size = min_t(size_t, size - 19, PDATA_LEAF_PAYLOAD);
		if (lo < hi)
			check_payload(c, data + 19, size, n, lo, hi);
		return 0;
	}
	nr = make_ranges(sm, data + 2, size - 2);
	if (!nr)
		return 0;
	check_ranges(c, nr, 0, PDATA_MAX_UNITS);
	nr = c->encode(ranges, nr, nr, scratch, sizeof(scratch), &bytes);
	if (data[0] & 4) {	/* damage where the input says */
		for (i = 0; i < data[1] % 4u; i++) {
			memcpy(&n, data + 3 * i + 4, 2);
			scratch[n % bytes] ^= 1 << i;
		}
	}
	check_payload(c, scratch, bytes, nr, 0, PDATA_MAX_UNITS);
	return 0;
}
