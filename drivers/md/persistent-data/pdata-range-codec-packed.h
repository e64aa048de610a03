/* SPDX-License-Identifier: GPL-2.0-only */
/* What writing and reading packed leaves have in common: the bits' layout. */
#ifndef PDATA_RANGE_CODEC_PACKED_H
#define PDATA_RANGE_CODEC_PACKED_H

#include "pdata-bits.h"
#include "pdata-range-codec-internal.h"

#define GROUP		32u	/* records of a group, at most */
#define HEAD_BYTES	8u
#define ENTRY_BYTES	8u
#define KEY_BITS	48	/* begin of a leaf, and of a group relative to it */
#define KEY_MASK	((1ull << KEY_BITS) - 1)
#define AUX_BITS	PDATA_BITS_MAX

#define WIDTH_BITS	6
#define SHIFT_BITS	3
#define SHIFT_MAX	7u
#define COUNT_BITS	5	/* of records less 1, of exceptions, of an index */
#define BYTES_BITS	3	/* of an exception, less 1 */
#define AUX_WIDTH_BITS	7
#define VALUE_MODE_BITS	2
#define DICT_NR_BITS	2	/* of the values of a dictionary, less 2 */
#define DICT_MAX	4u

/* Where a value is expected to be. */
enum value_mode {
	VALUE_PACKED,		/* behind the last one's end */
	VALUE_LINEAR,		/* as far from the last one as the keys are */
	VALUE_BASE,		/* near a value of the group's own */
	VALUE_MODES,
};

/* What its values are like, and how they become numbers that are often small. */
enum field_type {
	FIELD_NUMBER,		/* as they are, of no alignment */
	FIELD_ALIGNED,		/* as they are */
	FIELD_POSITIVE,		/* not 0: one less */
	FIELD_SIGNED,		/* of either sign, which becomes the lowest bit */
};

static inline unsigned int dict_index_bits(unsigned int nr)
{
	return nr > 2 ? 2 : 1;
}

int __must_check pdata_packed_decode(const u8 *payload, unsigned int bytes, unsigned int nr,
				     u64 lo, u64 hi, bool sm, struct pdata_range *out);

int __must_check pdata_packed_lookup(const u8 *payload, unsigned int bytes, unsigned int nr,
				     u64 lo, u64 hi, u64 key, bool sm, struct pdata_range *out);

#endif
