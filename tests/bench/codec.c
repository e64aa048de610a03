// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leaf codecs measured: bytes for a range, and time for a lookup, an encode and
 * a decode, on synthetic range lists.
 *
 *	codec [UNITS]		data device, default 2^24 (64 GiB)
 */
#include <stdlib.h>
#include <time.h>

#include "pdata-range-codec.h"

#define NR	(200 * PDATA_LEAF_MAX_RECORDS)
#define LEAVES	(NR / 64)

static struct pdata_range *all, *out;
static u8 (*payload)[PDATA_LEAF_PAYLOAD];
static struct {
	unsigned int at, nr, bytes;
	u64 lo, hi;
} leaf[LEAVES];

static u64 state = 88172645463325252ull;

static u64 rnd(u64 n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % n;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1e6 + t.tv_nsec * 1e-3;
}

/* Runs of blocks of 16 units, geometric around a mean given in tenths. */
static u64 run(unsigned int tenths)
{
	u64 n = 1;

	while (rnd(tenths) >= 10)
		n++;
	return n * 16;
}

enum place { ANYWHERE, REGION, WRITE_ORDER, SEQUENCE };

/*
 * @place: ANYWHERE on the device; in a REGION of 1 GiB that a leaf's neighbours
 * share; WRITE_ORDER: of one of eight streams that filled the volume in turn.
 */
static void make(unsigned int tenths, enum place place, u64 units)
{
	u64 at = 0, phys = 0, stream[8], region = 0;
	unsigned int i;

	for (i = 0; i < 8; i++)
		stream[i] = rnd(units / 16) * 16;
	for (i = 0; i < NR; i++) {
		struct pdata_range *r = &all[i];

		*r = (struct pdata_range){ .begin = at, .kind = PDATA_RANGE_MAPPED, .tag = 3 };
		r->len = tenths ? run(tenths) : 1;
		if (!tenths)
			r->begin = at += place == SEQUENCE ? 0 : rnd(32);
		if (i % PDATA_LEAF_MAX_RECORDS == 0)
			region = rnd(units - (1 << 18)) / 16 * 16;
		switch (place) {
		case ANYWHERE:
			phys = rnd(units / 16 - 1000) * 16;
			break;
		case REGION:
			phys = region + rnd((1 << 14) - 100) * 16;
			break;
		case WRITE_ORDER:
			phys = stream[rnd(8)] += 16 * (1 + rnd(20));
			break;
		case SEQUENCE:	/* a stream with a stop now and then */
			phys += all[i ? i - 1 : 0].len + (rnd(8) ? 0 : rnd(500));
			break;
		}
		if (!tenths && place == ANYWHERE)
			phys = rnd(units);
		r->value = phys;
		if (rnd(4) == 0)
			r->tag = 5;
		at += r->len;
		if (place == SEQUENCE)
			at += rnd(3);
	}
}

/* The same extents as the data space map sees them. */
static void make_counts(void)
{
	u64 at = 0;
	unsigned int i;

	for (i = 0; i < NR; i++) {
		at += rnd(3) ? 0 : rnd(8) * 16;
		all[i] = (struct pdata_range){ .begin = at, .len = run(22), .tag = 1 + !rnd(6),
					       .kind = PDATA_RANGE_COUNT };
		at += all[i].len;
	}
}

static void measure(const char *what, const struct pdata_codec *c)
{
	unsigned int i, n = 0, at = 0, bytes = 0, rounds, key;
	double t, encode, decode, lookup;
	struct pdata_range r;

	memset(payload, 0, LEAVES * sizeof(*payload));
	t = now();
	for (n = 0; at < NR && n < LEAVES; n++) {
		leaf[n].at = at;
		/* Several times, so that memory that is touched first does not count much. */
		for (rounds = 0; rounds < 5; rounds++)
			leaf[n].nr = c->encode(all + at, NR - at, PDATA_LEAF_MAX_RECORDS,
					       payload[n], PDATA_LEAF_PAYLOAD, &leaf[n].bytes);
		leaf[n].lo = all[at].begin;
		at += leaf[n].nr;
		leaf[n].hi = at < NR ? all[at].begin : PDATA_MAX_UNITS;
		bytes += leaf[n].bytes;
	}
	encode = (now() - t) / n / rounds;

	t = now();
	for (rounds = 0; rounds < 5; rounds++) {
		for (i = 0; i < n; i++) {
			if (c->decode(payload[i], leaf[i].bytes, leaf[i].nr, leaf[i].lo,
				      leaf[i].hi, out))
				abort();
		}
	}
	decode = (now() - t) / n / rounds;

	t = now();
	for (rounds = 0; rounds < 200000; rounds++) {
		i = rnd(n);
		key = leaf[i].at + rnd(leaf[i].nr);
		if (c->lookup(payload[i], leaf[i].bytes, leaf[i].nr, leaf[i].lo, leaf[i].hi,
			      all[key].begin, &r) || r.value != all[key].value)
			abort();
	}
	lookup = (now() - t) / rounds;
	printf("%-34s %5u a leaf  %5.2f payload  %5.2f block bytes a range  "
	       "encode %6.2f us  decode %6.2f us  lookup %5.2f us\n",
	       what, at / n, (double)bytes / at, 4096.0 * n / at, encode, decode, lookup);
}

int main(int argc, char **argv)
{
	const u64 units = argc > 1 ? strtoull(argv[1], NULL, 0) : 1ull << 24;
	const struct pdata_codec *map = pdata_codec_find(PDATA_CODEC_MAP_PACKED);
	static const unsigned int means[] = { 17, 22, 51 };
	static const char * const places[] = { "anywhere", "in a region", "in write order" };
	unsigned int i, p;
	char what[80];

	all = malloc(NR * sizeof(*all));
	out = malloc(PDATA_LEAF_MAX_RECORDS * sizeof(*out));
	payload = malloc(LEAVES * sizeof(*payload));
	if (!all || !out || !payload)
		return 1;
	for (p = 0; p < 3; p++) {
		for (i = 0; i < 3; i++) {
			make(means[i], p, units);
			snprintf(what, sizeof(what), "runs of %u.%u, %s", means[i] / 10,
				 means[i] % 10, places[p]);
			measure(what, map);
		}
	}
	make(0, ANYWHERE, units);
	measure("single units, anywhere", map);
	make(22, SEQUENCE, units);
	measure("in sequence", map);
	measure("in sequence, plain codec", pdata_codec_find(PDATA_CODEC_MAP_PLAIN));
	make_counts();
	measure("counts", pdata_codec_find(PDATA_CODEC_SM_PACKED));
	return 0;
}
