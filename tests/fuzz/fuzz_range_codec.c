// SPDX-License-Identifier: GPL-2.0-only
/*
 * Plain leaf codecs on arbitrary payloads: decode never strays; what it accepts keeps
 * the rules, survives encode and decode, and lookup agrees with it.
 */
#include <stdlib.h>

#include "pdata-range-codec.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static struct pdata_range ranges[PDATA_LEAF_MAX_RECORDS];
static struct pdata_range again[PDATA_LEAF_MAX_RECORDS];

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

static void check(const struct pdata_codec *c, const void *data, unsigned int bytes,
		  unsigned int nr, u64 lo, u64 hi)
{
	static u8 payload[PDATA_LEAF_PAYLOAD];
	unsigned int i, n;
	u64 at = lo;

	if (c->decode(data, bytes, nr, lo, hi, ranges))
		return;
	for (i = 0; i < nr; i++) {
		must(ranges[i].begin >= at && ranges[i].len);
		must(pdata_range_end(&ranges[i]) > ranges[i].begin);
		at = pdata_range_end(&ranges[i]);
	}
	must(at <= hi);

	must(c->encode(ranges, nr, nr, payload, sizeof(payload), &n) == nr && n == bytes);
	must(!c->decode(payload, n, nr, lo, hi, again));
	for (i = 0; i < nr; i++)
		must(same(&ranges[i], &again[i]));

	look_up(c, data, bytes, nr, lo, hi, lo);
	look_up(c, data, bytes, nr, lo, hi, hi - 1);
	for (i = 0; i < nr; i++) {
		look_up(c, data, bytes, nr, lo, hi, ranges[i].begin - 1);
		look_up(c, data, bytes, nr, lo, hi, ranges[i].begin);
		look_up(c, data, bytes, nr, lo, hi, pdata_range_end(&ranges[i]) - 1);
		look_up(c, data, bytes, nr, lo, hi, pdata_range_end(&ranges[i]));
	}
}

/*
 * Input: codec, interval, number of records, payload. The high byte of the
 * number is 0 to say "as many as there are bytes for", so that good payloads
 * are not rare.
 */
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	const struct pdata_codec *c;
	u64 lo, hi;
	u16 nr;

	if (size < 19)
		return 0;
	if (data[0] != PDATA_CODEC_MAP_PLAIN && data[0] != PDATA_CODEC_SM_PLAIN)
		return 0;
	c = pdata_codec_find(data[0]);
	memcpy(&lo, data + 1, 8);
	memcpy(&hi, data + 9, 8);
	memcpy(&nr, data + 17, 2);
	data += 19;
	size = min_t(size_t, size - 19, PDATA_LEAF_PAYLOAD);
	if (lo >= hi)
		return 0;
	if (nr < 256) {
		nr = size / (c->id == PDATA_CODEC_MAP_PLAIN ? 24 : 32);
		size = nr * (c->id == PDATA_CODEC_MAP_PLAIN ? 24 : 32);
	}
	check(c, data, size, nr, lo, hi);
	return 0;
}
