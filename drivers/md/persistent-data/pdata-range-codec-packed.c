// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packed leaf codecs: groups of up to GROUP records, in each of which every
 * field has the width that its values need there.
 *
 *	header | group 0 | group 1 | ... | entry of group 1 | entry of group 0
 *
 * An entry of the directory says where a group lies and with which key it
 * begins, so that a lookup searches the directory and decodes one group. A
 * group stands for itself: nothing in it refers to another one. The format
 * document draws the bits.
 *
 * Values are what is left after subtracting what is expected: the begin of a
 * range is a gap to the end of the one before, a physical address is compared
 * with where that one went on, or with a point in the middle of the group's
 * addresses, whichever takes less. What remains is cut down to the bits above
 * the alignment that the values have in common; the few that need more bits or
 * break the alignment are exceptions, stored apart.
 *
 * How far a leaf can grow. A group costs no more than GROUP_COST with whatever
 * records. Encoding starts groups afresh at each GROUP-th record. If that does
 * not fit, tight encoding keeps the groups that decode has marked, puts records that are
 * new into groups of their own, and tries harder to find the cheapest widths:
 * then a group that no change touched costs no more than before, and a leaf
 * grows by a fixed number of bytes for each change.
 */
#include "pdata-range-codec-packed.h"

/*
 * The most bits that a field of n values takes: its header and n times the
 * width of the widest; exceptions are made only where they cost less.
 */
#define FIELD_HEAD	(1 + WIDTH_BITS + SHIFT_BITS + 1)
#define TAG_HEAD	(1 + WIDTH_BITS + 32 + FIELD_HEAD)
#define VALUE_HEAD	(VALUE_MODE_BITS + WIDTH_BITS + KEY_BITS + FIELD_HEAD)
#define MAP_HEAD	(COUNT_BITS + 3 * FIELD_HEAD + TAG_HEAD + VALUE_HEAD)
#define MAP_EACH	(2 + KEY_BITS + 32 + 32 + KEY_BITS)
#define SM_HEAD		(COUNT_BITS + 2 * FIELD_HEAD + TAG_HEAD + VALUE_HEAD + \
			 AUX_WIDTH_BITS + AUX_BITS + FIELD_HEAD)
#define SM_EACH		(KEY_BITS + 32 + 32 + AUX_BITS + KEY_BITS)

/* Bytes of a group of n records, its entry included. */
#define GROUP_COST(kind, n)	(DIV_ROUND_UP(kind##_HEAD + (n) * kind##_EACH, 8) + ENTRY_BYTES)
#define LEAF_ROOM	(PDATA_LEAF_PAYLOAD - HEAD_BYTES)
#define MAX_RECORDS(kind)	(LEAF_ROOM / GROUP_COST(kind, GROUP) * GROUP)
/*
 * What one change makes kept groups grow by. It leaves at most three records of
 * its own, which get a group, and cuts at most two groups in two: the second
 * part needs a head and an entry. A part costs no more than the whole: it may
 * keep mode, width, shift, dictionary and exceptions, the least tag and owner
 * do not become less, and of the values near the base one takes its place, at
 * a bit more for each. In the space map, besides, the tags of one part of a
 * group may rise while others do not: at most 32 bits for each.
 */
#define PART_COST(kind)	(GROUP_COST(kind, 1) + GROUP / 8)
#define GROWTH(kind)	(GROUP_COST(kind, 3) + 2 * PART_COST(kind))
#define GROWTH_SM	(GROWTH(SM) + 2 * DIV_ROUND_UP(FIELD_HEAD + GROUP * 32, 8))

/* ---- a field of a group: n values ---- */

struct field {
	bool some;		/* else all codes are 0, and nothing more is stored */
	u8 width;
	u8 shift;
	u8 nr_exc;
	unsigned int bits;	/* all of it */
};

/* The codes of a field's values, and the bits that are set in any of them. */
static u64 to_codes(const u64 *v, u64 *code, unsigned int n, enum field_type type)
{
	unsigned int i;
	u64 any = 0;

	switch (type) {
	case FIELD_SIGNED:
		for (i = 0; i < n; i++)
			any |= code[i] = v[i] << 1 ^ -(v[i] >> 63);
		break;
	case FIELD_POSITIVE:
		for (i = 0; i < n; i++)
			any |= code[i] = v[i] - 1;
		break;
	default:
		for (i = 0; i < n; i++)
			any |= code[i] = v[i];
	}
	return any;
}

static bool aligned(u64 v, unsigned int shift)
{
	return !(v & ((1ull << shift) - 1));
}

static unsigned int alignment(u64 v)
{
	return __ffs(v | 1ull << SHIFT_MAX);
}

static unsigned int exc_bytes(u64 code)
{
	return max(1, DIV_ROUND_UP(fls64(code), 8));
}

/*
 * Find the width that takes the least with @shift; keep it in @f if it is
 * better. The code of an aligned value shifted down is its code shifted down,
 * whatever the field's type.
 */
static void field_try(const u64 *v, const u64 *code, unsigned int n, unsigned int shift,
		      bool all_aligned, struct field *f)
{
	unsigned int exc = 0, nr_exc = 0, i, w, top = 0, bits;
	u8 hist[65];

	memset(hist, 0, sizeof(hist));
	for (i = 0; i < n; i++) {
		if (!all_aligned && !aligned(v[i], shift)) {
			exc += COUNT_BITS + BYTES_BITS + 8 * exc_bytes(code[i]);
			nr_exc++;
			continue;
		}
		w = fls64(code[i] >> shift);
		hist[w]++;
		top = max(top, w);
	}
	/* hist[w] values need w bits: with a smaller width they are exceptions. */
	for (w = top; nr_exc < GROUP; w--) {
		bits = FIELD_HEAD + n * w + exc + (nr_exc ? COUNT_BITS : 0);
		if (w <= PDATA_BITS_MAX && bits < f->bits) {
			f->bits = bits;
			f->width = w;
			f->shift = shift;
			f->nr_exc = nr_exc;
		}
		if (!w || exc >= f->bits)
			break;
		nr_exc += hist[w];
		exc += hist[w] * (COUNT_BITS + BYTES_BITS + 8 * DIV_ROUND_UP(w + shift, 8));
	}
}

/*
 * Find a cheap way to store @v, the cheapest that there is if it is to be
 * @exact; codes are left in @code.
 */
static void field_plan(const u64 *v, u64 *code, unsigned int n, enum field_type type,
		       bool exact, struct field *f)
{
	unsigned int i, below, least, most;
	u8 hist[SHIFT_MAX + 1] = { 0 };
	u64 any = 0;

	*f = (struct field){ .bits = 1 };
	if (!to_codes(v, code, n, type))
		return;
	f->some = true;
	f->bits = ~0u;
	if (type == FIELD_NUMBER) {
		field_try(v, code, n, 0, true, f);
		return;
	}
	for (i = 0; i < n; i++)
		any |= v[i];
	least = alignment(any);
	field_try(v, code, n, least, true, f);
	for (most = least; exact && most < SHIFT_MAX; )
		field_try(v, code, n, ++most, false, f);
	if (least == SHIFT_MAX || exact)
		return;

	/* The alignment that all but a few have. */
	for (i = 0; i < n; i++)
		hist[alignment(v[i])]++;
	for (most = least, below = hist[least]; most < SHIFT_MAX && below <= n / 8; )
		below += hist[++most];
	if (most > least)
		field_try(v, code, n, most, false, f);
}

static void field_write(struct pdata_bits_out *o, const u64 *v, const u64 *code, unsigned int n,
			const struct field *f)
{
	unsigned int i, bytes;
	u32 exc = 0;

	pdata_bits_put(o, f->some, 1);
	if (!f->some)
		return;
	pdata_bits_put(o, f->width | f->shift << WIDTH_BITS |
			  !!f->nr_exc << (WIDTH_BITS + SHIFT_BITS), FIELD_HEAD - 1);
	for (i = 0; f->nr_exc && i < n; i++) {
		if (!aligned(v[i], f->shift) || fls64(code[i] >> f->shift) > f->width)
			exc |= 1u << i;
	}
	for (i = 0; f->width && i < n; i++)
		pdata_bits_put(o, exc >> i & 1 ? 0 : code[i] >> f->shift, f->width);
	if (!exc)
		return;
	pdata_bits_put(o, f->nr_exc, COUNT_BITS);
	for (; exc; exc &= exc - 1) {
		i = __ffs(exc);
		bytes = exc_bytes(code[i]);
		pdata_bits_put(o, i, COUNT_BITS);
		pdata_bits_put(o, bytes - 1, BYTES_BITS);
		pdata_bits_put(o, code[i], 8 * bytes);
	}
}

static void field_plan_write(struct pdata_bits_out *o, const u64 *v, unsigned int n,
			     enum field_type type, bool exact)
{
	u64 code[GROUP];
	struct field f;

	field_plan(v, code, n, type, exact, &f);
	field_write(o, v, code, n, &f);
}

/* ---- writing a group ---- */

static void put_number(struct pdata_bits_out *o, u64 v, unsigned int width_bits)
{
	const unsigned int width = fls64(v);

	pdata_bits_put(o, width, width_bits);
	pdata_bits_put(o, v, width);
}

static void write_extents(struct pdata_bits_out *o, const struct pdata_range *r, unsigned int n,
			  bool exact)
{
	u64 v[GROUP];
	unsigned int i;

	v[0] = 0;
	for (i = 1; i < n; i++)
		v[i] = r[i].begin - pdata_range_end(&r[i - 1]);
	field_plan_write(o, v, n, FIELD_ALIGNED, exact);
	for (i = 0; i < n; i++)
		v[i] = r[i].len;
	field_plan_write(o, v, n, FIELD_POSITIVE, exact);
}

static void write_kinds(struct pdata_bits_out *o, const struct pdata_range *r, unsigned int n,
			bool exact)
{
	u64 v[GROUP];
	unsigned int i;

	for (i = 0; i < n; i++)
		v[i] = r[i].kind - PDATA_RANGE_MAPPED;
	field_plan_write(o, v, n, FIELD_NUMBER, exact);
}

static void write_owners(struct pdata_bits_out *o, const struct pdata_range *r, unsigned int n,
			 bool exact)
{
	u64 v[GROUP], base = r[0].aux;
	unsigned int i;

	for (i = 1; i < n; i++)
		base = min(base, r[i].aux);
	for (i = 0; i < n; i++)
		v[i] = r[i].aux - base;
	put_number(o, base, AUX_WIDTH_BITS);
	field_plan_write(o, v, n, FIELD_NUMBER, exact);
}

/* A few distinct values, all that there are; less than two: no use. */
struct dict {
	unsigned int nr;
	unsigned int width;	/* of the values, less the least */
	u32 value[DICT_MAX];
};

static void dict_make(const struct pdata_range *r, unsigned int n, u32 base, struct dict *d)
{
	unsigned int i, j;
	u32 v, any = 0;

	d->value[0] = base;
	d->nr = 1;
	for (i = 0; i < n; i++) {
		v = r[i].tag;
		for (j = 0; j < d->nr && d->value[j] != v; j++)
			;
		if (j < d->nr)
			continue;
		if (d->nr == DICT_MAX) {
			d->nr = 0;
			return;
		}
		d->value[d->nr++] = v;
		any |= v - base;
	}
	d->width = fls64(any);
}

static void dict_write(struct pdata_bits_out *o, const struct pdata_range *r, unsigned int n,
		       const struct dict *d)
{
	unsigned int i, j;

	pdata_bits_put(o, d->nr - 2, DICT_NR_BITS);
	pdata_bits_put(o, d->width, WIDTH_BITS);
	for (j = 1; j < d->nr; j++)
		pdata_bits_put(o, d->value[j] - d->value[0], d->width);
	for (i = 0; i < n; i++) {
		for (j = 0; d->value[j] != r[i].tag; j++)
			;
		pdata_bits_put(o, j, dict_index_bits(d->nr));
	}
}

static void write_tags(struct pdata_bits_out *o, const struct pdata_range *r, unsigned int n,
		       bool exact)
{
	u32 base = r[0].tag;
	struct dict d;
	struct field f;
	u64 v[GROUP], code[GROUP];
	unsigned int i;

	for (i = 1; i < n; i++)
		base = min(base, r[i].tag);
	for (i = 0; i < n; i++)
		v[i] = r[i].tag - base;
	field_plan(v, code, n, FIELD_NUMBER, exact, &f);
	put_number(o, base, WIDTH_BITS);

	d.nr = 0;
	if (f.some)
		dict_make(r, n, base, &d);
	if (d.nr > 1 && DICT_NR_BITS + WIDTH_BITS + (d.nr - 1) * d.width +
			n * dict_index_bits(d.nr) < f.bits) {
		pdata_bits_put(o, 1, 1);
		dict_write(o, r, n, &d);
	} else {
		pdata_bits_put(o, 0, 1);
		field_write(o, v, code, n, &f);
	}
}

/* The point that VALUE_BASE measures from, as well aligned as the values are. */
static u64 value_middle(const struct pdata_range *r, unsigned int n)
{
	u64 low = ~0ull, high = 0, any = 0;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (!pdata_range_advances(&r[i]))
			continue;
		low = min(low, r[i].value);
		high = max(high, r[i].value);
		any |= r[i].value;
	}
	return low + ((high - low) / 2 & ~((1ull << alignment(any)) - 1));
}

static void value_rests(const struct pdata_range *r, unsigned int n, enum value_mode mode,
			u64 base, u64 *v)
{
	u64 expected = base;
	unsigned int i, last = 0;
	bool some = false;

	for (i = 0; i < n; i++) {
		v[i] = 0;
		if (!pdata_range_advances(&r[i]))
			continue;
		if (some && mode == VALUE_PACKED)
			expected = r[last].value + r[last].len;
		else if (some && mode == VALUE_LINEAR)
			expected = r[last].value + (r[i].begin - r[last].begin);
		v[i] = r[i].value - expected;
		last = i;
		some = true;
	}
}

/* Modes and bases as they are tried one after the other, and what became of that. */
struct value_plan {
	enum value_mode mode;
	u64 base;
	struct field f;
};

static void value_try(const struct pdata_range *r, unsigned int n, enum value_mode mode,
		      u64 base, bool exact, struct value_plan *best)
{
	u64 v[GROUP], code[GROUP];
	struct field f;

	value_rests(r, n, mode, base, v);
	field_plan(v, code, n, FIELD_SIGNED, exact, &f);
	if (f.bits < best->f.bits)
		*best = (struct value_plan){ .mode = mode, .base = base, .f = f };
}

static void value_plan(const struct pdata_range *r, unsigned int n, unsigned int first,
		       bool exact, struct value_plan *best)
{
	u64 gaps = r[n - 1].begin - r[0].begin;
	unsigned int i;

	for (i = 0; i + 1 < n; i++)
		gaps -= r[i].len;
	best->f.bits = ~0u;
	value_try(r, n, VALUE_PACKED, r[first].value, exact, best);
	if (gaps && best->f.some)
		value_try(r, n, VALUE_LINEAR, r[first].value, exact, best);
	if (best->f.some)
		value_try(r, n, VALUE_BASE, value_middle(r, n), exact, best);
	/* Some of these lies among those that were near the base before. */
	for (i = first; exact && i < n; i++) {
		if (pdata_range_advances(&r[i]))
			value_try(r, n, VALUE_BASE, r[i].value, exact, best);
	}
}

static void write_values(struct pdata_bits_out *o, const struct pdata_range *r, unsigned int n,
			 bool exact)
{
	struct value_plan p;
	u64 v[GROUP], code[GROUP];
	unsigned int first;

	for (first = 0; first < n && !pdata_range_advances(&r[first]); first++)
		;
	if (first == n)
		return;
	value_plan(r, n, first, exact, &p);
	pdata_bits_put(o, p.mode, VALUE_MODE_BITS);
	put_number(o, p.base, WIDTH_BITS);
	value_rests(r, n, p.mode, p.base, v);
	to_codes(v, code, n, FIELD_SIGNED);
	field_write(o, v, code, n, &p.f);
}

static void write_group(struct pdata_bits_out *o, const struct pdata_range *r, unsigned int n,
			bool sm, bool exact)
{
	pdata_bits_put(o, n - 1, COUNT_BITS);
	write_extents(o, r, n, exact);
	if (sm)
		write_owners(o, r, n, exact);
	else
		write_kinds(o, r, n, exact);
	write_tags(o, r, n, exact);
	write_values(o, r, n, exact);
	pdata_bits_pad(o);
}

/* ---- leaves ---- */

/* Does @r have a place in a leaf that begins at @first? */
static bool has_form(const struct pdata_range *r, u64 first, bool sm)
{
	if (!r->len || r->len > PDATA_REC_MAX_LEN || r->begin - first > KEY_MASK ||
	    !pdata_range_value_valid(r))
		return false;
	if (sm)
		return r->kind == PDATA_RANGE_COUNT && !(r->aux >> AUX_BITS);
	return r->kind >= PDATA_RANGE_MAPPED && r->kind <= PDATA_RANGE_DAMAGED;
}

/* Records of the group that begins with r[0]; @keep: as they lay before, new ones apart. */
static unsigned int group_size(const struct pdata_range *r, unsigned int nr, bool keep)
{
	unsigned int n = min(nr, GROUP), i;

	for (i = 1; keep && i < n; i++) {
		if (r[i].was == PDATA_WAS_FIRST || !r[i].was != !r[0].was)
			return i;
	}
	return n;
}

/*
 * Groups grow upward from the head, the directory downward from the room's
 * end. Groups are taken whole. Without @payload nothing is written.
 */
static unsigned int pack(const struct pdata_range *r, unsigned int nr, u8 *payload,
			 unsigned int room, bool sm, bool keep, unsigned int *bytes)
{
	struct pdata_bits_out o = { .data = payload, .pos = HEAD_BYTES };
	unsigned int at, n, pos = HEAD_BYTES, dir = room, groups = 0;
	__le64 word;

	for (at = 0; at < nr && pos + ENTRY_BYTES <= dir; at += n) {
		n = group_size(r + at, nr - at, keep);
		o.end = dir - ENTRY_BYTES;
		write_group(&o, r + at, n, sm, keep);
		if (o.full)
			break;
		dir -= ENTRY_BYTES;
		word = cpu_to_le64((r[at].begin - r[0].begin) | (u64)pos << KEY_BITS);
		if (payload)
			memcpy(payload + dir, &word, sizeof(word));
		pos = o.pos;
		groups++;
	}
	*bytes = groups ? pos + room - dir : 0;
	if (groups && payload) {
		word = cpu_to_le64(r[0].begin | (u64)groups << KEY_BITS);
		memcpy(payload, &word, sizeof(word));
		memmove(payload + pos, payload + dir, room - dir);
	}
	return at;
}

static unsigned int packed_encode(const struct pdata_range *r, unsigned int nr, unsigned int max,
				  u8 *payload, unsigned int room, bool sm, bool tight,
				  unsigned int *bytes)
{
	const unsigned int most = min_t(unsigned int, min(nr, max), PDATA_LEAF_MAX_RECORDS);
	unsigned int fit, n;

	for (fit = 0; fit < most; fit++) {
		if (r[0].begin > KEY_MASK || !has_form(&r[fit], r[0].begin, sm))
			break;
	}
	n = pack(r, fit, payload, room, sm, false, bytes);
	if (n == fit || !tight)
		return n;
	return pack(r, fit, payload, room, sm, true, bytes);
}

static unsigned int map_encode(const struct pdata_range *r, unsigned int nr, unsigned int max,
			       void *payload, unsigned int room, unsigned int *bytes)
{
	return packed_encode(r, nr, max, payload, room, false, false, bytes);
}

static unsigned int map_encode_tight(const struct pdata_range *r, unsigned int nr, unsigned int max,
				     void *payload, unsigned int room, unsigned int *bytes)
{
	return packed_encode(r, nr, max, payload, room, false, true, bytes);
}

static int map_decode(const void *payload, unsigned int bytes, unsigned int nr,
		      u64 lo, u64 hi, struct pdata_range *out)
{
	return pdata_packed_decode(payload, bytes, nr, lo, hi, false, out);
}

static int map_lookup(const void *payload, unsigned int bytes, unsigned int nr,
		      u64 lo, u64 hi, u64 key, struct pdata_range *out)
{
	return pdata_packed_lookup(payload, bytes, nr, lo, hi, key, false, out);
}

static unsigned int sm_encode(const struct pdata_range *r, unsigned int nr, unsigned int max,
			      void *payload, unsigned int room, unsigned int *bytes)
{
	return packed_encode(r, nr, max, payload, room, true, false, bytes);
}

static unsigned int sm_encode_tight(const struct pdata_range *r, unsigned int nr, unsigned int max,
				    void *payload, unsigned int room, unsigned int *bytes)
{
	return packed_encode(r, nr, max, payload, room, true, true, bytes);
}

static int sm_decode(const void *payload, unsigned int bytes, unsigned int nr,
		     u64 lo, u64 hi, struct pdata_range *out)
{
	return pdata_packed_decode(payload, bytes, nr, lo, hi, true, out);
}

static int sm_lookup(const void *payload, unsigned int bytes, unsigned int nr,
		     u64 lo, u64 hi, u64 key, struct pdata_range *out)
{
	return pdata_packed_lookup(payload, bytes, nr, lo, hi, key, true, out);
}

const struct pdata_codec pdata_codec_map_packed = {
	.id = PDATA_CODEC_MAP_PACKED,
	.max_records = MAX_RECORDS(MAP),
	.most_records = PDATA_LEAF_MAX_RECORDS,
	.growth = GROWTH(MAP),
	.waste = HEAD_BYTES + GROUP_COST(MAP, GROUP),
	.encode = map_encode,
	.encode_tight = map_encode_tight,
	.decode = map_decode,
	.lookup = map_lookup,
};

const struct pdata_codec pdata_codec_sm_packed = {
	.id = PDATA_CODEC_SM_PACKED,
	.max_records = MAX_RECORDS(SM),
	.most_records = PDATA_LEAF_MAX_RECORDS,
	.growth = GROWTH_SM,
	.waste = HEAD_BYTES + GROUP_COST(SM, GROUP),
	.encode = sm_encode,
	.encode_tight = sm_encode_tight,
	.decode = sm_decode,
	.lookup = sm_lookup,
};
