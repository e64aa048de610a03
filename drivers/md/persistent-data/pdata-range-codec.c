// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leaf codecs: ordered disjoint ranges to payload bytes and back.
 *
 * The plain codecs store records of a fixed size, so that a lookup is a binary
 * search over the payload as it lies. The two differ in the record's fields
 * only; order and borders are checked in one place, plain_decode().
 *
 * A value is stored only where it means something (pdata_range_advances());
 * elsewhere the field is zero on disk, and a reader insists on that.
 */
#include "pdata-range-codec-internal.h"

#define UNIT_BITS	56
#define UNIT_MASK	((1ull << UNIT_BITS) - 1)
#define REC_MAX_LEN	PDATA_REC_MAX_LEN

void pdata_range_clip(const struct pdata_range *r, u64 begin, u64 end,
		      struct pdata_range *out)
{
	const u64 skip = begin - r->begin;
	const bool advances = pdata_range_advances(r);
	const bool whole = !skip && end - begin == r->len;

	*out = *r;
	if (!whole)
		out->was = PDATA_WAS_NEW;
	out->begin = begin;
	out->len = end - begin;
	if (advances)
		out->value += skip;
}

bool pdata_range_join(struct pdata_range *a, const struct pdata_range *b)
{
	const u64 next = a->value + (pdata_range_advances(a) ? a->len : 0);

	if (a->kind != b->kind || a->aux != b->aux || pdata_range_end(a) != b->begin ||
	    next != b->value)
		return false;
	if (a->len > REC_MAX_LEN || b->len > REC_MAX_LEN - a->len)
		return false;
	if (a->kind == PDATA_RANGE_COUNT && a->tag != b->tag)
		return false;

	a->was = PDATA_WAS_NEW;
	a->len += b->len;
	a->tag = min(a->tag, b->tag);
	return true;
}

/* ---- what the plain codecs share ---- */

typedef void (*pack_fn)(const struct pdata_range *r, void *rec);
typedef int (*unpack_fn)(const void *rec, struct pdata_range *r);

/* A record that has no disk form ends the leaf, as lack of room does. */
static unsigned int plain_encode(const struct pdata_range *r, unsigned int nr, unsigned int max,
				 u8 *payload, unsigned int room, unsigned int size,
				 pack_fn pack, unsigned int *bytes)
{
	unsigned int i, fit = min3(nr, max, room / size);

	for (i = 0; i < fit; i++) {
		if (!r[i].len || r[i].len > REC_MAX_LEN)
			break;
		if (payload)
			pack(&r[i], payload + i * size);
	}
	*bytes = i * size;
	return i;
}

static int plain_decode(const u8 *payload, unsigned int bytes, unsigned int nr,
			u64 lo, u64 hi, unsigned int size, unpack_fn unpack,
			struct pdata_range *out)
{
	unsigned int i;
	u64 at = lo;
	int r;

	if (nr > PDATA_LEAF_PAYLOAD / size || bytes != nr * size)
		return -PDATA_E_CONTENT;

	for (i = 0; i < nr; i++) {
		r = unpack(payload + i * size, &out[i]);
		if (r)
			return r;
		/* begin is below 2^56 and len below 2^32: the end cannot wrap. */
		if (out[i].begin < at || !out[i].len || pdata_range_end(&out[i]) > hi)
			return -PDATA_E_CONTENT;
		at = pdata_range_end(&out[i]);
	}
	return 0;
}

static int plain_lookup(const u8 *payload, unsigned int nr, u64 lo, u64 hi, u64 key,
			unsigned int size, unpack_fn unpack, struct pdata_range *out)
{
	unsigned int first = 0, last = nr, mid;
	struct pdata_range rec;
	u64 end;
	int r;

	/* first becomes the number of records that begin at or before key. */
	while (first < last) {
		mid = first + (last - first) / 2;
		r = unpack(payload + mid * size, &rec);
		if (r)
			return r;
		if (rec.begin <= key)
			first = mid + 1;
		else
			last = mid;
	}

	if (first < nr) {
		r = unpack(payload + first * size, &rec);
		if (r)
			return r;
		end = rec.begin;
	} else {
		end = hi;
	}

	memset(out, 0, sizeof(*out));
	out->begin = lo;
	if (first) {
		r = unpack(payload + (first - 1) * size, &rec);
		if (r)
			return r;
		if (key < pdata_range_end(&rec)) {
			*out = rec;
			return 0;
		}
		out->begin = pdata_range_end(&rec);
	}
	out->len = end - out->begin;
	return -PDATA_E_NOT_FOUND;
}

/* ---- mappings ---- */

static void map_pack(const struct pdata_range *r, void *rec)
{
	struct pdata_map_rec_disk *d = rec;

	d->vbegin_kind = cpu_to_le64((u64)r->kind << UNIT_BITS | (r->begin & UNIT_MASK));
	d->phys = cpu_to_le64(pdata_range_advances(r) ? r->value : 0);
	d->len = cpu_to_le32(r->len);
	d->birth = cpu_to_le32(r->tag);
}

static int map_unpack(const void *rec, struct pdata_range *r)
{
	const struct pdata_map_rec_disk *d = rec;
	const u64 vbegin_kind = le64_to_cpu(d->vbegin_kind);

	r->begin = vbegin_kind & UNIT_MASK;
	r->kind = vbegin_kind >> UNIT_BITS;
	r->value = le64_to_cpu(d->phys);
	r->len = le32_to_cpu(d->len);
	r->tag = le32_to_cpu(d->birth);
	r->aux = 0;

	switch (r->kind) {
	case PDATA_RANGE_MAPPED:
	case PDATA_RANGE_ZERO:
	case PDATA_RANGE_DAMAGED:
		return pdata_range_value_valid(r) ? 0 : -PDATA_E_CONTENT;
	default:
		return -PDATA_E_CONTENT;
	}
}

static unsigned int map_encode(const struct pdata_range *r, unsigned int nr, unsigned int max,
			       void *payload, unsigned int room, unsigned int *bytes)
{
	return plain_encode(r, nr, max, payload, room, sizeof(struct pdata_map_rec_disk),
			    map_pack, bytes);
}

static int map_decode(const void *payload, unsigned int bytes, unsigned int nr,
		      u64 lo, u64 hi, struct pdata_range *out)
{
	return plain_decode(payload, bytes, nr, lo, hi, sizeof(struct pdata_map_rec_disk),
			    map_unpack, out);
}

static int map_lookup(const void *payload, unsigned int bytes, unsigned int nr,
		      u64 lo, u64 hi, u64 key, struct pdata_range *out)
{
	return plain_lookup(payload, nr, lo, hi, key, sizeof(struct pdata_map_rec_disk),
			    map_unpack, out);
}

/* ---- data space map ---- */

static void sm_pack(const struct pdata_range *r, void *rec)
{
	struct pdata_sm_rec_disk *d = rec;

	d->begin = cpu_to_le64(r->begin);
	d->uid = cpu_to_le64(r->aux);
	d->vbegin = cpu_to_le64(r->aux ? r->value : 0);
	d->len = cpu_to_le32(r->len);
	d->count = cpu_to_le32(r->tag);
}

static int sm_unpack(const void *rec, struct pdata_range *r)
{
	const struct pdata_sm_rec_disk *d = rec;

	r->begin = le64_to_cpu(d->begin);
	r->aux = le64_to_cpu(d->uid);
	r->value = le64_to_cpu(d->vbegin);
	r->len = le32_to_cpu(d->len);
	r->tag = le32_to_cpu(d->count);
	r->kind = PDATA_RANGE_COUNT;

	if (r->begin > UNIT_MASK || !r->tag || !pdata_range_value_valid(r))
		return -PDATA_E_CONTENT;
	return 0;
}

static unsigned int sm_encode(const struct pdata_range *r, unsigned int nr, unsigned int max,
			      void *payload, unsigned int room, unsigned int *bytes)
{
	return plain_encode(r, nr, max, payload, room, sizeof(struct pdata_sm_rec_disk),
			    sm_pack, bytes);
}

static int sm_decode(const void *payload, unsigned int bytes, unsigned int nr,
		     u64 lo, u64 hi, struct pdata_range *out)
{
	return plain_decode(payload, bytes, nr, lo, hi, sizeof(struct pdata_sm_rec_disk),
			    sm_unpack, out);
}

static int sm_lookup(const void *payload, unsigned int bytes, unsigned int nr,
		     u64 lo, u64 hi, u64 key, struct pdata_range *out)
{
	return plain_lookup(payload, nr, lo, hi, key, sizeof(struct pdata_sm_rec_disk),
			    sm_unpack, out);
}

static const struct pdata_codec codecs[] = {
	{
		.id = PDATA_CODEC_MAP_PLAIN,
		.max_records = PDATA_LEAF_PAYLOAD / sizeof(struct pdata_map_rec_disk),
		.most_records = PDATA_LEAF_PAYLOAD / sizeof(struct pdata_map_rec_disk),
		.encode = map_encode,
		.encode_tight = map_encode,
		.decode = map_decode,
		.lookup = map_lookup,
	}, {
		.id = PDATA_CODEC_SM_PLAIN,
		.max_records = PDATA_LEAF_PAYLOAD / sizeof(struct pdata_sm_rec_disk),
		.most_records = PDATA_LEAF_PAYLOAD / sizeof(struct pdata_sm_rec_disk),
		.encode = sm_encode,
		.encode_tight = sm_encode,
		.decode = sm_decode,
		.lookup = sm_lookup,
	},
};

const struct pdata_codec *pdata_codec_find(u16 id)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(codecs); i++) {
		if (codecs[i].id == id)
			return &codecs[i];
	}
	switch (id) {
	case PDATA_CODEC_MAP_PACKED:
		return &pdata_codec_map_packed;
	case PDATA_CODEC_SM_PACKED:
		return &pdata_codec_sm_packed;
	default:
		return NULL;
	}
}
