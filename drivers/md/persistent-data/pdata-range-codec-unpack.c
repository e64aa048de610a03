// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packed leaf codecs, the reading side: see pdata-range-codec-packed.c for the
 * other, and the format document for the bits.
 *
 * Nothing is taken for granted here, not even by a lookup: no payload, whatever
 * is in it, makes a reader leave it or go on for long.
 */
#include "pdata-range-codec-packed.h"

/* ---- a field ---- */

static u64 from_code(u64 code, enum field_type type, unsigned int shift)
{
	if (type == FIELD_SIGNED)
		return (code >> 1 ^ -(code & 1)) << shift;
	return (code + (type == FIELD_POSITIVE)) << shift;
}

/* Exceptions come in order of their index, each but once. */
static int exceptions_read(struct pdata_bits_in *in, u64 *v, unsigned int n,
			   enum field_type type)
{
	unsigned int nr = pdata_bits_get(in, COUNT_BITS), next = 0, i, bytes;
	u64 code;

	if (!nr)
		return -PDATA_E_CONTENT;
	while (nr--) {
		i = pdata_bits_get(in, COUNT_BITS);
		bytes = pdata_bits_get(in, BYTES_BITS) + 1;
		code = pdata_bits_get(in, 8 * bytes);
		if (in->bad || i < next || i >= n)
			return -PDATA_E_CONTENT;
		v[i] = from_code(code, type, 0);
		next = i + 1;
	}
	return 0;
}

static void fill(u64 *v, unsigned int n, u64 with)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		v[i] = with;
}

static int field_read(struct pdata_bits_in *in, u64 *v, unsigned int n, enum field_type type)
{
	unsigned int width, shift, pos, i;
	bool exceptions;

	if (!pdata_bits_get(in, 1)) {
		fill(v, n, from_code(0, type, 0));
		return in->bad ? -PDATA_E_CONTENT : 0;
	}
	width = pdata_bits_get(in, WIDTH_BITS);
	shift = pdata_bits_get(in, SHIFT_BITS);
	exceptions = pdata_bits_get(in, 1);
	if (width > PDATA_BITS_MAX || !pdata_bits_have(in, n * width))
		return -PDATA_E_CONTENT;

	/* Two passes, each of which is a loop that does one thing. */
	for (i = 0, pos = in->pos; i < n && width; i++, pos += width)
		v[i] = pdata_bits_at(in, pos, width);
	in->pos += n * width;
	if (!width)
		fill(v, n, from_code(0, type, shift));
	for (i = 0; i < n && width; i++)
		v[i] = from_code(v[i], type, shift);
	return exceptions ? exceptions_read(in, v, n, type) : 0;
}

/* ---- a group ---- */

struct group {
	unsigned int n;
	u32 advances;		/* bit i: record i has a value */
	u64 begin[GROUP];
	u32 len[GROUP];
	u64 v[GROUP];		/* what the function called last has read */
};

static u64 get_number(struct pdata_bits_in *in, unsigned int width_bits, unsigned int most)
{
	const unsigned int width = pdata_bits_get(in, width_bits);

	if (width > most)
		in->bad = true;
	return in->bad ? 0 : pdata_bits_get(in, width);
}

/* Ranges lie within [at, hi), the first begins there. */
static int read_extents(struct pdata_bits_in *in, struct group *g, u64 at, u64 hi)
{
	unsigned int i;
	int r;

	g->n = pdata_bits_get(in, COUNT_BITS) + 1;
	r = field_read(in, g->v, g->n, FIELD_ALIGNED);
	if (r)
		return r;
	if (g->v[0])
		return -PDATA_E_CONTENT;
	memcpy(g->begin, g->v, g->n * sizeof(*g->v));
	r = field_read(in, g->v, g->n, FIELD_POSITIVE);
	if (r)
		return r;
	for (i = 0; i < g->n; i++) {
		if (g->begin[i] >= hi - at)
			return -PDATA_E_CONTENT;
		at += g->begin[i];
		if (!g->v[i] || g->v[i] > PDATA_REC_MAX_LEN || g->v[i] > hi - at)
			return -PDATA_E_CONTENT;
		g->begin[i] = at;
		g->len[i] = g->v[i];
		at += g->len[i];
	}
	return 0;
}

static int read_kinds(struct pdata_bits_in *in, struct group *g)
{
	unsigned int i;
	int r;

	r = field_read(in, g->v, g->n, FIELD_NUMBER);
	g->advances = 0;
	for (i = 0; i < g->n && !r; i++) {
		if (g->v[i] > PDATA_RANGE_DAMAGED - PDATA_RANGE_MAPPED)
			return -PDATA_E_CONTENT;
		g->v[i] += PDATA_RANGE_MAPPED;
		if (g->v[i] == PDATA_RANGE_MAPPED)
			g->advances |= 1u << i;
	}
	return r;
}

static int read_owners(struct pdata_bits_in *in, struct group *g)
{
	const u64 base = get_number(in, AUX_WIDTH_BITS, AUX_BITS);
	unsigned int i;
	int r;

	r = field_read(in, g->v, g->n, FIELD_NUMBER);
	g->advances = 0;
	for (i = 0; i < g->n && !r; i++) {
		if (g->v[i] >= (1ull << AUX_BITS) - base)
			return -PDATA_E_CONTENT;
		g->v[i] += base;
		if (g->v[i])
			g->advances |= 1u << i;
	}
	return r;
}

static int dict_read(struct pdata_bits_in *in, struct group *g)
{
	const unsigned int nr = pdata_bits_get(in, DICT_NR_BITS) + 2;
	const unsigned int width = pdata_bits_get(in, WIDTH_BITS);
	u64 value[DICT_MAX] = { 0 };
	unsigned int i, index;

	if (nr > DICT_MAX || width > 32)
		return -PDATA_E_CONTENT;
	for (i = 1; i < nr; i++)
		value[i] = pdata_bits_get(in, width);
	for (i = 0; i < g->n; i++) {
		index = pdata_bits_get(in, dict_index_bits(nr));
		if (index >= nr)
			return -PDATA_E_CONTENT;
		g->v[i] = value[index];
	}
	return in->bad ? -PDATA_E_CONTENT : 0;
}

static int read_tags(struct pdata_bits_in *in, struct group *g)
{
	const u64 base = get_number(in, WIDTH_BITS, 32);
	unsigned int i;
	int r;

	r = pdata_bits_get(in, 1) ? dict_read(in, g) : field_read(in, g->v, g->n, FIELD_NUMBER);
	for (i = 0; i < g->n && !r; i++) {
		if (g->v[i] > U32_MAX - base)
			return -PDATA_E_CONTENT;
		g->v[i] += base;
	}
	return r;
}

/* The sums may wrap: what comes out is checked by itself. */
static int read_values(struct pdata_bits_in *in, struct group *g)
{
	unsigned int i, last = 0, mode;
	bool some = false;
	u64 expected;
	int r;

	if (!g->advances) {
		memset(g->v, 0, g->n * sizeof(*g->v));
		return in->bad ? -PDATA_E_CONTENT : 0;
	}
	mode = pdata_bits_get(in, VALUE_MODE_BITS);
	expected = get_number(in, WIDTH_BITS, KEY_BITS);
	r = field_read(in, g->v, g->n, FIELD_SIGNED);
	if (r || mode >= VALUE_MODES)
		return -PDATA_E_CONTENT;
	for (i = 0; i < g->n; i++) {
		if (!(g->advances >> i & 1)) {
			if (g->v[i])
				return -PDATA_E_CONTENT;
			continue;
		}
		if (some && mode == VALUE_PACKED)
			expected = g->v[last] + g->len[last];
		else if (some && mode == VALUE_LINEAR)
			expected = g->v[last] + (g->begin[i] - g->begin[last]);
		g->v[i] += expected;
		last = i;
		some = true;
	}
	return 0;
}

/* ---- leaves ---- */

struct directory {
	const u8 *end;		/* entries lie before it, the first one last */
	unsigned int nr;
	unsigned int pos;	/* of the directory: end of the last group */
	u64 first;		/* begin of the leaf's first record */
};

static int read_directory(const u8 *payload, unsigned int bytes, struct directory *d)
{
	__le64 word;

	if (bytes < HEAD_BYTES + ENTRY_BYTES || bytes > PDATA_LEAF_PAYLOAD)
		return -PDATA_E_CONTENT;
	memcpy(&word, payload, sizeof(word));
	d->first = le64_to_cpu(word) & KEY_MASK;
	d->nr = le64_to_cpu(word) >> KEY_BITS;
	if (!d->nr || d->nr > (bytes - HEAD_BYTES) / ENTRY_BYTES)
		return -PDATA_E_CONTENT;
	d->end = payload + bytes;
	d->pos = bytes - d->nr * ENTRY_BYTES;
	return 0;
}

/* First key of group @index, and where it lies; one behind the last is the end. */
static u64 read_entry(const struct directory *d, unsigned int index, unsigned int *pos)
{
	__le64 word;

	if (index == d->nr) {
		*pos = d->pos;
		return ~0ull;
	}
	memcpy(&word, d->end - (index + 1) * ENTRY_BYTES, sizeof(word));
	*pos = le64_to_cpu(word) >> KEY_BITS;
	return d->first + (le64_to_cpu(word) & KEY_MASK);
}

/* Set @in to group @index and tell its first key. */
static int open_group(const u8 *payload, unsigned int bytes, const struct directory *d,
		      unsigned int index, struct pdata_bits_in *in, u64 *key)
{
	unsigned int pos, end;

	*key = read_entry(d, index, &pos);
	read_entry(d, index + 1, &end);
	if (pos < HEAD_BYTES || pos > end || end > d->pos)
		return -PDATA_E_CONTENT;
	*in = (struct pdata_bits_in){
		.data = payload, .bytes = bytes, .pos = pos * 8, .end = end * 8,
	};
	return 0;
}

/* What is left of the last byte is 0, and a group has no more bytes. */
static int close_group(struct pdata_bits_in *in)
{
	const unsigned int left = in->end - in->pos;

	return in->bad || left >= 8 || pdata_bits_at(in, in->pos, left) ? -PDATA_E_CONTENT : 0;
}

/* The rest of a group whose extents were read, to @out. */
static int decode_rest(struct pdata_bits_in *in, struct group *g, bool sm,
		       struct pdata_range *out)
{
	unsigned int i;
	int r;

	for (i = 0; i < g->n; i++) {
		out[i] = (struct pdata_range){
			.begin = g->begin[i], .len = g->len[i],
			.kind = PDATA_RANGE_COUNT,
			.was = i ? PDATA_WAS_WITHIN : PDATA_WAS_FIRST,
		};
	}
	r = sm ? read_owners(in, g) : read_kinds(in, g);
	for (i = 0; i < g->n && !r; i++) {
		if (sm)
			out[i].aux = g->v[i];
		else
			out[i].kind = g->v[i];
	}
	if (!r)
		r = read_tags(in, g);
	for (i = 0; i < g->n && !r; i++) {
		out[i].tag = g->v[i];
		if (sm && !out[i].tag)
			r = -PDATA_E_CONTENT;
	}
	if (!r)
		r = read_values(in, g);
	for (i = 0; i < g->n && !r; i++) {
		out[i].value = g->v[i];
		if (!pdata_range_value_valid(&out[i]))
			r = -PDATA_E_CONTENT;
	}
	return r ? r : close_group(in);
}

int pdata_packed_decode(const u8 *payload, unsigned int bytes, unsigned int nr, u64 lo, u64 hi,
			bool sm, struct pdata_range *out)
{
	unsigned int i, done = 0, pos = HEAD_BYTES;
	struct pdata_bits_in in;
	struct directory d;
	struct group g;
	u64 at = lo, key;
	int r;

	if (!nr)
		return bytes ? -PDATA_E_CONTENT : 0;
	if (nr > PDATA_LEAF_MAX_RECORDS)
		return -PDATA_E_CONTENT;
	r = read_directory(payload, bytes, &d);
	for (i = 0; !r && i < d.nr; i++) {
		r = open_group(payload, bytes, &d, i, &in, &key);
		/* Groups follow one another, and the first one the head. */
		if (!r && (in.pos != pos * 8 || key < at || key >= hi || (!i && key != d.first)))
			r = -PDATA_E_CONTENT;
		if (!r)
			r = read_extents(&in, &g, key, hi);
		if (!r && g.n > nr - done)
			r = -PDATA_E_CONTENT;
		if (!r)
			r = decode_rest(&in, &g, sm, out + done);
		if (r)
			break;
		pos = in.end / 8;
		at = pdata_range_end(&out[done + g.n - 1]);
		done += g.n;
	}
	return r ? r : done == nr ? 0 : -PDATA_E_CONTENT;
}

/* Record @i of a group whose extents were read. */
static int lookup_rest(struct pdata_bits_in *in, struct group *g, unsigned int i, bool sm,
		       struct pdata_range *out)
{
	int r;

	*out = (struct pdata_range){
		.begin = g->begin[i], .len = g->len[i], .kind = PDATA_RANGE_COUNT,
	};
	if (sm) {
		r = read_owners(in, g);
		out->aux = g->v[i];
	} else {
		r = read_kinds(in, g);
		out->kind = g->v[i];
	}
	if (r)
		return r;
	r = read_tags(in, g);
	if (r)
		return r;
	out->tag = g->v[i];
	r = read_values(in, g);
	if (r)
		return r;
	out->value = g->v[i];
	if ((sm && !out->tag) || !pdata_range_value_valid(out))
		return -PDATA_E_CONTENT;
	return close_group(in);
}

int pdata_packed_lookup(const u8 *payload, unsigned int bytes, unsigned int nr, u64 lo, u64 hi,
			u64 key, bool sm, struct pdata_range *out)
{
	unsigned int first = 0, last, mid, pos, i;
	struct pdata_bits_in in;
	struct directory d;
	struct group g;
	u64 begin;
	int r;

	memset(out, 0, sizeof(*out));
	out->begin = lo;
	out->len = hi - lo;
	if (!nr)
		return -PDATA_E_NOT_FOUND;
	r = read_directory(payload, bytes, &d);
	if (r)
		return r;

	/* first becomes the number of groups that begin at or before key. */
	for (last = d.nr; first < last; ) {
		mid = first + (last - first) / 2;
		if (read_entry(&d, mid, &pos) <= key)
			first = mid + 1;
		else
			last = mid;
	}
	if (first < d.nr)
		out->len = read_entry(&d, first, &pos) - lo;
	if (!first)
		return out->len <= hi - lo ? -PDATA_E_NOT_FOUND : -PDATA_E_CONTENT;

	r = open_group(payload, bytes, &d, first - 1, &in, &begin);
	if (!r)
		r = read_extents(&in, &g, begin, hi);
	if (r)
		return r;
	for (i = 0; i < g.n && g.begin[i] + g.len[i] <= key; i++)
		;
	if (i < g.n && g.begin[i] <= key)
		return lookup_rest(&in, &g, i, sm, out);

	/* A hole: up to the next record, the next group or the leaf's end. */
	begin = i ? g.begin[i - 1] + g.len[i - 1] : lo;
	out->len = (i < g.n ? g.begin[i] : lo + out->len) - begin;
	out->begin = begin;
	return out->len <= hi - begin ? -PDATA_E_NOT_FOUND : -PDATA_E_CONTENT;
}
