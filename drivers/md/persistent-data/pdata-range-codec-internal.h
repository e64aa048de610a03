/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the leaf codecs share among themselves. */
#ifndef PDATA_RANGE_CODEC_INTERNAL_H
#define PDATA_RANGE_CODEC_INTERNAL_H

#include "pdata-range-codec.h"

/* A value that advances must stay within the space it points into. */
static inline bool pdata_range_value_valid(const struct pdata_range *r)
{
	if (!pdata_range_advances(r))
		return !r->value;
	return r->value < PDATA_MAX_UNITS && r->len <= PDATA_MAX_UNITS - r->value;
}

extern const struct pdata_codec pdata_codec_map_packed;
extern const struct pdata_codec pdata_codec_sm_packed;

#endif
