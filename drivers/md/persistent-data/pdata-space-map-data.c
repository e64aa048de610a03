// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data space map: a range tree of counts, changed once a transaction.
 *
 * A change given to the range tree has kind PDATA_RANGE_COUNT and the signed
 * change of count in its tag. value and aux are the back-reference of a record
 * that it may make.
 *
 * An existing record keeps its back-reference whatever happens to its count:
 * sharers have the unit at the same virtual address, so it stays a good place
 * to begin a search, and runs of one thin stay one record.
 */
#include "pdata-space-map-data.h"

/* Changes given to the range tree at once. */
#define SM_CHUNK	512u
#define SM_COUNT_MAX	(PDATA_SM_COUNT_UNKNOWN - 1)

static int sm_freed(struct pdata_sm_data *sm, u64 begin, u64 end)
{
	return sm->freed ? sm->freed(sm->context, begin, end - begin) : 0;
}

static u64 change_value(const struct pdata_range *c, u64 begin)
{
	return c->aux ? c->value + (begin - c->begin) : 0;
}

/* [begin, end) of @c, where no record is. */
static int apply_hole(struct pdata_sm_data *sm, const struct pdata_range *c,
		      u64 begin, u64 end, struct pdata_rt_out *out)
{
	const s32 delta = (s32)c->tag;
	const struct pdata_range r = {
		.begin = begin,
		.len = end - begin,
		.value = change_value(c, begin),
		.aux = c->aux,
		.tag = c->tag,
		.kind = PDATA_RANGE_COUNT,
	};

	if (delta < 0)
		return -PDATA_E_COUNT;
	if (!delta)
		return sm_freed(sm, begin, end);
	sm->used += r.len;
	return pdata_rt_emit(out, &r);
}

/* The change @c on @r, a piece of a record that lies within it. */
static int apply_record(struct pdata_sm_data *sm, const struct pdata_range *c,
			struct pdata_range *r, struct pdata_rt_out *out)
{
	s64 count;

	if (r->tag == PDATA_SM_COUNT_UNKNOWN)
		return pdata_rt_emit(out, r);
	count = (s64)r->tag + (s32)c->tag;
	if (count < 0 || count > SM_COUNT_MAX)
		return -PDATA_E_COUNT;
	if (!count) {
		sm->used -= r->len;
		return sm_freed(sm, r->begin, pdata_range_end(r));
	}
	r->tag = count;
	if (!r->aux && c->aux) {
		r->aux = c->aux;
		r->value = change_value(c, r->begin);
	}
	return pdata_rt_emit(out, r);
}

/* The records of a leaf not dealt with; head is the first, perhaps its rest. */
struct old_ranges {
	const struct pdata_range *next;
	const struct pdata_range *stop;
	struct pdata_range head;
	bool some;
};

static void old_advance(struct old_ranges *o)
{
	o->some = o->next < o->stop;
	if (o->some)
		o->head = *o->next++;
}

/* Cut the head's first part off, up to @end. */
static void old_cut(struct old_ranges *o, u64 end, struct pdata_range *cut)
{
	const struct pdata_range r = o->head;

	if (end >= pdata_range_end(&r)) {
		*cut = r;
		old_advance(o);
		return;
	}
	pdata_range_clip(&r, r.begin, end, cut);
	pdata_range_clip(&r, end, pdata_range_end(&r), &o->head);
}

static int apply_change(struct pdata_sm_data *sm, struct old_ranges *o,
			const struct pdata_range *c, struct pdata_rt_out *out)
{
	const u64 end = pdata_range_end(c);
	u64 pos = c->begin, stop;
	struct pdata_range cut;
	int r = 0;

	while (!r && o->some && o->head.begin < pos) {
		old_cut(o, pos, &cut);
		r = pdata_rt_emit(out, &cut);
	}
	while (!r && pos < end) {
		stop = o->some ? min(o->head.begin, end) : end;
		if (stop > pos) {
			r = apply_hole(sm, c, pos, stop, out);
		} else {
			stop = min(pdata_range_end(&o->head), end);
			old_cut(o, end, &cut);
			r = apply_record(sm, c, &cut, out);
		}
		pos = stop;
	}
	return r;
}

static int sm_apply(struct pdata_rt *rt, const struct pdata_range *old, unsigned int nr_old,
		    const struct pdata_range *change, unsigned int nr_change,
		    struct pdata_rt_out *out)
{
	struct pdata_sm_data *sm = rt->context;
	struct old_ranges o = { .next = old, .stop = old + nr_old };
	unsigned int i;
	int r = 0;

	old_advance(&o);
	for (i = 0; !r && i < nr_change; i++)
		r = apply_change(sm, &o, &change[i], out);
	while (!r && o.some) {
		r = pdata_rt_emit(out, &o.head);
		old_advance(&o);
	}
	return r;
}

/* Records of this tree refer to nothing that is counted. */
static int sm_no_count(struct pdata_rt *rt, const struct pdata_range *r)
{
	return 0;
}

/*
 * What a lost leaf knew counts as in use until repair (invariant 11): one unit
 * too many kept is harmless, one given out twice is not.
 */
static int sm_unreadable(struct pdata_rt *rt, u64 lo, u64 hi, int err,
			 struct pdata_rt_out *out)
{
	const struct pdata_sm_data *sm = rt->context;
	struct pdata_range r = {
		.begin = lo,
		.tag = PDATA_SM_COUNT_UNKNOWN,
		.kind = PDATA_RANGE_COUNT,
	};

	hi = min(hi, sm->nr_units);
	if (lo >= hi)
		return 0;
	r.len = hi - lo;
	pdata_err_limit("%s: data space map lost units [%llu, %llu) (%s): in use until repair",
			rt->tm->bm->name, lo, hi, pdata_error_text(err));
	return pdata_rt_emit(out, &r);
}

static const struct pdata_rt_ops sm_ops = {
	.codec = PDATA_CODEC_SM_PACKED,
	.apply = sm_apply,
	.inc = sm_no_count,
	.dec = sm_no_count,
	.unreadable = sm_unreadable,
};

int pdata_sm_data_init(struct pdata_sm_data *sm, struct pdata_tm *tm,
		       const struct pdata_super *sb)
{
	if (sb->data_units > PDATA_MAX_UNITS)
		return -PDATA_E_CONTENT;
	memset(sm, 0, sizeof(*sm));
	sm->rt.tm = tm;
	sm->rt.ops = &sm_ops;
	sm->rt.owner = PDATA_OWNER_DATA_SM;
	sm->rt.key_end = PDATA_MAX_UNITS;
	sm->rt.root = sb->data_sm_root;
	sm->rt.leaves = sb->data_sm_leaves;
	sm->rt.context = sm;
	sm->used = sb->data_used;
	sm->leaves = sb->data_sm_leaves;
	sm->nr_units = sb->data_units;
	pdata_count_log_init(&sm->log);
	return 0;
}

void pdata_sm_data_exit(struct pdata_sm_data *sm)
{
	pdata_count_log_exit(&sm->log);
}

static void chunk_fill(struct pdata_range *chunk, const struct pdata_count_change *net,
		       unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		chunk[i] = (struct pdata_range) {
			.begin = net[i].begin,
			.len = net[i].len,
			.value = net[i].vbegin,
			.aux = net[i].uid,
			.tag = (u32)net[i].delta,
			.kind = PDATA_RANGE_COUNT,
		};
	}
}

/*
 * Apply @nr changes. *done of them are through, and @net, which they were made
 * from, is without the part of the next one that is.
 */
static int apply_chunk(struct pdata_sm_data *sm, struct pdata_range *chunk,
		       struct pdata_count_change *net, unsigned int nr, unsigned int *done)
{
	unsigned int n;
	u64 from = 0, cut;
	int r = 0;

	for (*done = 0; !r && *done < nr; *done += n) {
		r = pdata_rt_update(&sm->rt, chunk + *done, nr - *done, nr - *done, &from, &n);
		cond_resched();
	}
	if (r && from) {
		net += *done;
		cut = from - net->begin;
		net->begin += cut;
		net->len -= cut;
		net->vbegin += net->uid ? cut : 0;
	}
	return r;
}

static int apply_net(struct pdata_sm_data *sm, struct pdata_count_change *net, size_t nr,
		     size_t *done)
{
	struct pdata_range *chunk;
	unsigned int n;
	int r = 0;

	chunk = kvmalloc_array(SM_CHUNK, sizeof(*chunk), GFP_NOIO);
	if (!chunk)
		return -ENOMEM;
	for (*done = 0; !r && *done < nr; *done += n) {
		n = min_t(size_t, nr - *done, SM_CHUNK);
		chunk_fill(chunk, net + *done, n);
		r = apply_chunk(sm, chunk, net + *done, n, &n);
	}
	kvfree(chunk);
	return r;
}

int pdata_sm_data_apply(struct pdata_sm_data *sm)
{
	struct pdata_count_change *net;
	size_t nr, done = 0;
	int r;

	if (sm->rt.tm->failed)
		return -PDATA_E_FAILED;
	r = pdata_count_log_net(&sm->log, &net, &nr);
	if (r == -PDATA_E_COUNT)
		sm->rt.tm->failed = true;
	if (r || !nr)
		return r;
	r = apply_net(sm, net, nr, &done);
	sm->leaves = sm->rt.leaves;
	if (r)
		pdata_count_log_restore(&sm->log, net, done, nr);
	else
		kvfree(net);
	return r;
}

int pdata_sm_data_get(const struct pdata_sm_data *sm, const struct pdata_view *v,
		      u64 root, u64 unit, u32 *count, u64 *end)
{
	struct pdata_range range = { .begin = unit, .len = 1 };
	int r;

	*count = 0;
	*end = unit;
	if (unit >= sm->rt.key_end)
		return -PDATA_E_OUT_OF_RANGE;
	r = pdata_rt_lookup(&sm->rt, v, root, unit, &range, NULL);
	*end = pdata_range_end(&range);
	if (r == -PDATA_E_NOT_FOUND)
		return 0;
	if (!r)
		*count = range.tag;
	return r;
}

/*
 * Most internal nodes over @leaves leaves. This tree is never shared, so a node
 * that falls under a quarter is joined with a neighbour if both fit in three
 * quarters: of two neighbours at most one is emptier than 3/8, and nodes hold
 * 3/16 of the fanout on average. The way to the leftmost leaf comes on top.
 */
static u64 internal_bound(const struct pdata_sm_data *sm)
{
	const unsigned int limit = sm->rt.tm->limits.fanout;
	const unsigned int fanout = limit ? min_t(unsigned int, limit, PDATA_RANGE_FANOUT) :
					    PDATA_RANGE_FANOUT;

	return DIV_ROUND_UP_ULL(sm->leaves * 16, 3 * fanout) + PDATA_RT_MAX_DEPTH / 2;
}

/*
 * Leaves that L leaves become when @nr segments change, less L. Two bounds.
 *
 * Each step, of which there is one for each leaf and another one where a chunk
 * ends within a leaf, leaves no more records than there were, two more for each
 * segment (one at each end that cuts a record, or one in a hole, if segments
 * are taken as they were logged) and two; each leaf but the last that a step
 * writes holds max_records.
 *
 * And: a group of records that a segment covers costs what it did before, but
 * for five bytes of a wider base. Growing by no more than that, a full leaf
 * becomes two. For that and for being too many records it becomes three at
 * most; and for each segment, leaves together grow by codec->growth.
 */
static u64 more_leaves(const struct pdata_sm_data *sm, u64 nr, u64 chunks)
{
	const struct pdata_codec *codec = pdata_codec_find(sm->rt.ops->codec);
	const unsigned int limit = sm->rt.tm->limits.leaf_max ? : PDATA_LEAF_MAX_RECORDS;
	const u64 most = min(limit, codec->most_records), least = min(limit, codec->max_records);
	const u64 steps = sm->leaves + chunks;
	const u64 by_count = DIV_ROUND_UP_ULL(steps * (most + 2) + 2 * nr, least);
	const u64 grown = DIV_ROUND_UP_ULL(nr * codec->growth, PDATA_LEAF_PAYLOAD - codec->waste);

	if (!codec->growth || least < codec->max_records)
		return by_count;
	return min(by_count, 3 * steps + grown);
}

/*
 * All of the tree may be copied, each internal node split, and new leaves need
 * new nodes; the last step wants to see its own bound free besides.
 */
u64 pdata_sm_data_apply_blocks(const struct pdata_sm_data *sm, size_t nr)
{
	const unsigned int limit = sm->rt.tm->limits.fanout;
	const unsigned int fanout = limit ? clamp_t(unsigned int, limit, 2, PDATA_RANGE_FANOUT) :
					    PDATA_RANGE_FANOUT;
	const u64 chunks = DIV_ROUND_UP((u64)nr, SM_CHUNK);
	u64 more, blocks;

	if (!nr)
		return 0;
	more = more_leaves(sm, nr, chunks);
	blocks = sm->leaves + more + 2 * internal_bound(sm);
	/* Nodes are left half full at least when they are split. */
	blocks += DIV_ROUND_UP_ULL(2 * more, fanout - 1);
	return blocks + pdata_rt_update_blocks(&sm->rt, min_t(u64, nr, SM_CHUNK));
}
