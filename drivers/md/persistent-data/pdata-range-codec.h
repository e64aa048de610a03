/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Leaf codecs of range trees: how an ordered list of disjoint ranges becomes
 * the payload of a leaf. Pure functions over memory: fuzz these first.
 */
#ifndef PDATA_RANGE_CODEC_H
#define PDATA_RANGE_CODEC_H

#include "pdata-error.h"
#include "pdata-format.h"

/* Most records a leaf may hold with any codec. */
#define PDATA_LEAF_MAX_RECORDS	1024

/*
 * One range, both kinds of tree:
 *			mapping tree		data space map
 *   begin, len		virtual, units		physical, units
 *   kind		enum pdata_range_kind	PDATA_RANGE_COUNT
 *   value		physical (MAPPED), else 0	virtual address of back-reference
 *   aux		0			uid of back-reference, 0 = unknown
 *   tag		birth			count
 */
struct pdata_range {
	u64 begin;
	u64 len;
	u64 value;
	u64 aux;
	u32 tag;
	u8 kind;
	u8 was;			/* enum pdata_range_was */
};

/* What decode tells encode of a range; a change of begin or len makes it new. */
enum pdata_range_was {
	PDATA_WAS_NEW = 0,
	PDATA_WAS_WITHIN,	/* it lay within a group */
	PDATA_WAS_FIRST,	/* it was the first one of a group */
};

static inline u64 pdata_range_end(const struct pdata_range *r)
{
	return r->begin + r->len;
}

/* Does value advance with begin? */
static inline bool pdata_range_advances(const struct pdata_range *r)
{
	return r->kind == PDATA_RANGE_MAPPED ||
	       (r->kind == PDATA_RANGE_COUNT && r->aux);
}

/* Cut [begin, end) out of @r, which covers it. */
void pdata_range_clip(const struct pdata_range *r, u64 begin, u64 end,
		      struct pdata_range *out);

/**
 * pdata_range_join - append @b to @a if they continue each other
 *
 * Same kind, adjacent, value continues, same aux; counts must be equal;
 * of two births the smaller is kept (invariant 8). Length stays within
 * PDATA_REC_MAX_LEN.
 *
 * Return: true if @a was extended.
 */
bool pdata_range_join(struct pdata_range *a, const struct pdata_range *b);

struct pdata_codec {
	u16 id;			/* enum pdata_codec_id */
	unsigned int max_records;	/* that fit in the worst case */
	unsigned int most_records;	/* that fit in the best case */
	/*
	 * Bytes that a leaf decoded and encoded tightly may grow by for each
	 * change made to its ranges, each of which leaves at most three ranges;
	 * and bytes that may be left over when not all ranges fit in. A growth
	 * of 0: nothing is promised but max_records.
	 */
	unsigned int growth;
	unsigned int waste;

	/*
	 * Encode as many leading records as fit into @room bytes and at most
	 * @max records. Returns how many; *bytes is the payload length. A
	 * record that has no disk form (len 0 or > PDATA_REC_MAX_LEN) ends it.
	 * Without @payload nothing is written: how many would fit, and into how
	 * many bytes.
	 */
	unsigned int (*encode)(const struct pdata_range *r, unsigned int nr,
			       unsigned int max, void *payload, unsigned int room,
			       unsigned int *bytes);
	/*
	 * The same, slower, with the promise of @growth if decode told what each
	 * range @was. Not often better than encode.
	 */
	unsigned int (*encode_tight)(const struct pdata_range *r, unsigned int nr,
				     unsigned int max, void *payload, unsigned int room,
				     unsigned int *bytes);
	/*
	 * Decode and check all: ordered, disjoint, within [lo, hi), kinds
	 * known, values within limits. @out has room for PDATA_LEAF_MAX_RECORDS.
	 * -PDATA_E_CONTENT otherwise.
	 */
	int __must_check (*decode)(const void *payload, unsigned int bytes, unsigned int nr,
				   u64 lo, u64 hi, struct pdata_range *out);
	/*
	 * Range that holds @key, or, with -PDATA_E_NOT_FOUND, the hole around
	 * it (begin, len). Decodes a bounded part. The payload was checked
	 * before and lo <= key < hi; a bad record met on the way is still
	 * refused (-PDATA_E_CONTENT).
	 */
	int __must_check (*lookup)(const void *payload, unsigned int bytes, unsigned int nr,
				   u64 lo, u64 hi, u64 key, struct pdata_range *out);
};

/* NULL if there is none of that id. */
const struct pdata_codec *pdata_codec_find(u16 id);

#endif
