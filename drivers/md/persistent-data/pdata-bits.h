/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Streams of bits in memory, lowest bit of each byte first. Neither end ever
 * leaves its buffer: a writer that has no room and a reader that is asked for
 * more than there is remember it, and go on doing nothing.
 */
#ifndef PDATA_BITS_H
#define PDATA_BITS_H

#include "pdata-platform.h"

#define PDATA_BITS_MAX	56	/* that one access moves, wherever it begins */

struct pdata_bits_out {
	u8 *data;		/* NULL: only count */
	unsigned int pos;	/* next byte to write */
	unsigned int end;	/* first byte that must not be written */
	unsigned int fill;	/* bits in hold, less than 8 between calls */
	u64 hold;
	bool full;
};

/* Append the low @nr bits of @v, the others of which are 0. */
static inline void pdata_bits_put(struct pdata_bits_out *o, u64 v, unsigned int nr)
{
	__le64 raw;

	if (nr > PDATA_BITS_MAX) {
		pdata_bits_put(o, v & 0xffffffff, 32);
		v >>= 32;
		nr -= 32;
	}
	o->hold |= v << o->fill;
	o->fill += nr;
	/* Eight bytes at once, of which those not yet due will be written again. */
	if (likely(o->pos + sizeof(raw) <= o->end)) {
		if (o->data) {
			raw = cpu_to_le64(o->hold);
			memcpy(o->data + o->pos, &raw, sizeof(raw));
		}
		o->pos += o->fill / 8;
		o->hold >>= o->fill & ~7u;
		o->fill %= 8;
		return;
	}
	for (; o->fill >= 8; o->fill -= 8) {
		if (o->pos >= o->end)
			o->full = true;
		else if (o->data)
			o->data[o->pos] = o->hold;
		o->pos++;
		o->hold >>= 8;
	}
}

/* Zeros up to the next byte. */
static inline void pdata_bits_pad(struct pdata_bits_out *o)
{
	if (o->fill)
		pdata_bits_put(o, 0, 8 - o->fill);
}

struct pdata_bits_in {
	const u8 *data;
	unsigned int bytes;	/* of data that may be looked at */
	unsigned int pos;	/* next bit */
	unsigned int end;	/* first bit that is not this stream's, <= 8 * bytes */
	bool bad;		/* more was wanted than there is */
};

/* @nr bits (up to PDATA_BITS_MAX) from bit @pos on, which must be there. */
static inline u64 pdata_bits_at(const struct pdata_bits_in *in, unsigned int pos, unsigned int nr)
{
	const unsigned int byte = pos / 8, left = in->bytes - byte;
	__le64 raw = 0;

	/* The copy of a fixed size is one load. */
	if (likely(left >= sizeof(raw)))
		memcpy(&raw, in->data + byte, sizeof(raw));
	else
		memcpy(&raw, in->data + byte, left);
	return le64_to_cpu(raw) >> pos % 8 & ((1ull << nr) - 1);
}

static inline bool pdata_bits_have(struct pdata_bits_in *in, unsigned int nr)
{
	if (nr > in->end - in->pos)
		in->bad = true;
	return !in->bad;
}

static inline u64 pdata_bits_get(struct pdata_bits_in *in, unsigned int nr)
{
	u64 v;

	if (nr > PDATA_BITS_MAX) {
		v = pdata_bits_get(in, 32);
		return v | pdata_bits_get(in, nr - 32) << 32;
	}
	if (!pdata_bits_have(in, nr))
		return 0;
	v = pdata_bits_at(in, in->pos, nr);
	in->pos += nr;
	return v;
}

#endif
