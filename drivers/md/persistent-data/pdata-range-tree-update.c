// SPDX-License-Identifier: GPL-2.0-only
/*
 * Range tree, the changing side: one step applies changes to one leaf.
 *
 * A step first reads whatever it needs without changing anything: the way down
 * and the leaf's ranges. Then it makes the way its own (copies of shared nodes
 * take one reference more on what they point to), lets ops->apply() compute
 * the leaf's new ranges, writes them to as many leaves as they need and carries
 * the change of children upward. From the first copy on, a failure fails the
 * transaction: half a step must never be committed.
 *
 * Emptied leaves stay, so that intervals tile the key space; a leaf or node
 * that has become small takes in a neighbour under the same parent, which
 * moves the neighbour's content and allocates nothing. A neighbour that others
 * share is left alone: taking it in would break its sharing, at a cost that
 * nobody has been charged for.
 */
#include "pdata-range-tree-internal.h"

struct rt_kid {			/* a child, in memory */
	u64 begin;
	u64 ptr;
};

struct rt_step {		/* an internal node on the way down */
	struct rt_at at;
	unsigned int index;	/* child taken */
	struct pdata_range_node_disk *node;	/* once it is our own */
};

struct rt_update {
	struct pdata_rt *rt;
	struct pdata_view v;
	const struct pdata_codec *codec;
	bool tight;		/* how leaves are encoded */
	unsigned int leaf_max;	/* records, whatever the codec could do */
	unsigned int fanout;
	bool changed;		/* a failure fails the transaction */

	unsigned int depth;
	struct rt_step step[PDATA_RT_MAX_DEPTH];	/* root first */
	struct rt_at bottom;	/* the leaf, or what cannot be read */
	u64 bottom_gen;		/* generation of the leaf */
	int err;		/* why it cannot */

	struct pdata_range *old;	/* PDATA_LEAF_MAX_RECORDS */
	unsigned int nr_old;
	struct pdata_rt_out out;
	bool append;		/* all changes lie behind the old ranges */

	/* kid[] takes the place of @drop children, from @from on, one level up. */
	struct rt_kid *kid;
	unsigned int nr_kid;
	unsigned int max_kid;
	unsigned int from;
	unsigned int drop;
	struct rt_kid *list;	/* children of a node while it is rebuilt */
};

/* ---- bounds ---- */

static unsigned int leaf_limit(const struct pdata_rt *rt)
{
	const unsigned int limit = rt->tm->limits.leaf_max;

	return limit ? min_t(unsigned int, limit, PDATA_LEAF_MAX_RECORDS) :
		       PDATA_LEAF_MAX_RECORDS;
}

static unsigned int fanout_limit(const struct pdata_rt *rt)
{
	const unsigned int limit = rt->tm->limits.fanout;

	return limit ? clamp_t(unsigned int, limit, 2, PDATA_RANGE_FANOUT) : PDATA_RANGE_FANOUT;
}

/*
 * Ranges that a leaf of @nr_old becomes at most. Each change adds at most two,
 * apply() may emit two more. A change that does not overwrite what it covers
 * may fill a hole behind each range besides.
 */
static u64 ranges_bound(const struct pdata_rt *rt, u64 nr_old, u64 nr_change)
{
	if (rt->ops->overwrites)
		return nr_old + 2 * nr_change + 2;
	return 2 * nr_old + 3 * nr_change + 2;
}

/*
 * New leaves that a step makes at most, two bounds. Every leaf but the last
 * takes at least max_records ranges, less if limits say so. And where changes
 * overwrite, the codec says by how many bytes its old leaf can grow: every leaf
 * but the last is full, of ranges, after which as much as @waste may be
 * needed once more for a group that was cut, or of bytes but for @waste.
 */
static u64 extra_leaves(const struct pdata_rt *rt, const struct pdata_codec *codec,
			unsigned int nr_change)
{
	const unsigned int limit = leaf_limit(rt);
	const u64 ranges = ranges_bound(rt, min(limit, codec->most_records), nr_change);
	const u64 by_count = DIV_ROUND_UP_ULL(ranges, min(limit, codec->max_records)) - 1;
	const u64 full = ranges / limit;
	u64 bytes;

	if (!rt->ops->overwrites || !codec->growth)
		return by_count;
	bytes = PDATA_LEAF_PAYLOAD + (nr_change + 1ull) * codec->growth + full * codec->waste;
	return min(by_count, full + bytes / (PDATA_LEAF_PAYLOAD - codec->waste));
}

/*
 * What a step allocates in a tree of @levels internal levels.
 *
 * The way down and the leaf are copied: levels + 1 blocks. (If a node cannot
 * be read, new ones of the same levels stand in for the rest of the way.) The
 * leaf may become several. A node that overflows by e children splits into at
 * most ceil(e / fanout) new ones, and so on to the root; then new roots grow
 * until there is one. Joins allocate nothing.
 */
static u64 step_blocks(const struct pdata_rt *rt, const struct pdata_codec *codec,
		       unsigned int levels, unsigned int nr_change)
{
	const unsigned int fanout = fanout_limit(rt);
	u64 extra = extra_leaves(rt, codec, nr_change);
	u64 blocks = levels + 1 + extra;
	u64 roots;
	unsigned int i;

	for (i = 0; i < levels; i++) {
		extra = DIV_ROUND_UP_ULL(extra, fanout);
		blocks += extra;
	}
	for (roots = extra + 1; roots > 1; ) {
		roots = DIV_ROUND_UP_ULL(roots, fanout);
		blocks += roots;
	}
	return blocks;
}

/*
 * Internal levels that a tree on this device can have.
 *
 * A tree with h internal levels grows by one only while more than fanout nodes
 * exist below the overflowing root, each of them with at least one node of its
 * own on every level further down. So h >= 2 levels once had (fanout + 1) blocks
 * on each of h - 1 levels, all at the same time, and the device never shrinks.
 */
static unsigned int levels_bound(const struct pdata_rt *rt)
{
	return min_t(u64, PDATA_RT_MAX_DEPTH - 1,
		     1 + div_u64(rt->tm->sm.nr_blocks, fanout_limit(rt) + 1));
}

u64 pdata_rt_update_blocks(const struct pdata_rt *rt, unsigned int max)
{
	const struct pdata_codec *codec = pdata_codec_find(rt->ops->codec);

	return codec ? step_blocks(rt, codec, levels_bound(rt), max) : 0;
}

/* ---- marks of leaves ---- */

/* A leaf that this transaction writes. */
static void mark_add(struct rt_update *u, u64 ptr)
{
	u->rt->leaf_sum += pdata_leaf_mark(pdata_ptr_block(ptr), u->rt->tm->generation);
}

static void mark_sub(struct rt_update *u, u64 ptr, u64 generation)
{
	u->rt->leaf_sum -= pdata_leaf_mark(pdata_ptr_block(ptr), generation);
}

static u64 generation_of(const struct pdata_ro *b)
{
	return le64_to_cpu(((const struct pdata_header *)b->data)->generation);
}

/* ---- down ---- */

static int way_down(struct rt_update *u, u64 key)
{
	struct pdata_rt *rt = u->rt;
	struct rt_step *step;
	struct pdata_ro b;
	int r = 0;

	u->bottom = rt_root_at(rt, rt->root);
	while (u->bottom.ptr) {
		r = pdata_rt_read(rt, &u->v, &u->bottom, &b);
		if (r)
			break;
		if (!u->bottom.level) {
			r = pdata_rt_decode(b.data, u->old, &u->nr_old);
			u->bottom_gen = generation_of(&b);
			pdata_view_release(&u->v, &b);
			break;
		}
		step = &u->step[u->depth++];
		step->at = u->bottom;
		step->index = pdata_rt_find(b.data, key);
		pdata_rt_child(b.data, &step->at, step->index, &u->bottom);
		pdata_view_release(&u->v, &b);
	}

	if (!u->depth)
		u->bottom.level = 0;
	rt->levels = u->depth + u->bottom.level;
	if (pdata_error_is_unreadable(r) && rt->ops->unreadable) {
		u->err = r;
		u->nr_old = 0;
		r = 0;
	}
	return r;
}

/* Let the parent of the node at @depth (0 = root) say @ptr. */
static void point_to(struct rt_update *u, unsigned int depth, u64 ptr)
{
	struct rt_step *parent;

	if (!depth) {
		u->rt->root = ptr;
		return;
	}
	parent = &u->step[depth - 1];
	parent->node->child[parent->index].ptr = cpu_to_le64(ptr);
}

/* Make the internal nodes on the way our own. */
static int own_way(struct rt_update *u)
{
	struct pdata_rt *rt = u->rt;
	struct rt_step *step;
	struct pdata_rw rw;
	unsigned int i, c;
	bool shared;
	int r;

	for (i = 0; i < u->depth; i++) {
		step = &u->step[i];
		r = pdata_tm_shadow(rt->tm, step->at.ptr, PDATA_TYPE_RANGE_NODE,
				    rt->owner, &rw, &shared);
		if (r)
			return r;
		u->changed = true;
		step->node = rw.data;
		step->at.ptr = rw.ptr;
		point_to(u, i, rw.ptr);
		if (!shared)
			continue;
		for (c = 0; c < rt_nr(step->node); c++) {
			r = pdata_tm_inc(rt->tm, le64_to_cpu(step->node->child[c].ptr));
			if (r)
				return r;
		}
	}
	return 0;
}

/*
 * A fresh leaf stands in for what cannot be read. Our reference to that is
 * dropped; where even its count cannot be had, it stays counted until repair.
 */
static int stand_in(struct rt_update *u, struct pdata_rw *rw)
{
	const struct rt_at *at = &u->bottom;
	struct pdata_rt *rt = u->rt;
	struct pdata_rt_out out = {
		.r = u->old,
		.max = min(u->leaf_max, u->codec->most_records),
	};
	u32 count;
	int r;

	r = pdata_tm_new(rt->tm, PDATA_TYPE_RANGE_LEAF, rt->owner, rw);
	if (r)
		return r;
	u->changed = true;
	mark_add(u, rw->ptr);
	rt->sum_lost = true;
	r = pdata_tm_dec(rt->tm, at->ptr, &count);
	if (r && !pdata_error_is_unreadable(r))
		return r;

	pdata_err_limit("%s: range tree of %llu: [%llu, %llu) in block %llu is lost: %s",
			rt->tm->bm->name, rt->owner, at->lo, at->hi, pdata_ptr_block(at->ptr),
			pdata_error_text(u->err));
	r = rt->ops->unreadable(rt, at->lo, at->hi, u->err, &out);
	u->nr_old = out.nr;
	return r;
}

/* The leaf to write the first part of the result to. */
static int own_leaf(struct rt_update *u, struct pdata_rw *rw)
{
	struct pdata_rt *rt = u->rt;
	unsigned int i;
	bool shared;
	int r;

	if (u->err)
		return stand_in(u, rw);
	if (!u->bottom.ptr) {
		r = pdata_tm_new(rt->tm, PDATA_TYPE_RANGE_LEAF, rt->owner, rw);
		if (!r) {
			u->changed = true;
			mark_add(u, rw->ptr);
			rt->leaves++;
		}
		return r;
	}

	r = pdata_tm_shadow(rt->tm, u->bottom.ptr, PDATA_TYPE_RANGE_LEAF, rt->owner,
			    rw, &shared);
	if (r)
		return r;
	u->changed = true;
	mark_sub(u, u->bottom.ptr, u->bottom_gen);
	mark_add(u, rw->ptr);
	for (i = 0; shared && i < u->nr_old; i++) {
		r = rt->ops->inc(rt, &u->old[i]);
		if (r)
			return r;
	}
	return 0;
}

static int apply(struct rt_update *u, const struct pdata_range *change, unsigned int nr)
{
	const struct pdata_rt_out *out = &u->out;
	int r;

	u->append = u->nr_old && change[0].begin >= pdata_range_end(&u->old[u->nr_old - 1]);
	r = u->rt->ops->apply(u->rt, u->old, u->nr_old, change, nr, &u->out);
	if (r)
		return r;
	if (out->nr && (out->r[0].begin < u->bottom.lo ||
			pdata_range_end(&out->r[out->nr - 1]) > u->bottom.hi))
		return -PDATA_E_CONTENT;
	return 0;
}

/* ---- leaves ---- */

static unsigned int encode(struct rt_update *u, const struct pdata_range *ranges,
			   unsigned int nr, unsigned int max, void *payload, unsigned int *bytes)
{
	if (u->tight)
		return u->codec->encode_tight(ranges, nr, max, payload, PDATA_LEAF_PAYLOAD, bytes);
	return u->codec->encode(ranges, nr, max, payload, PDATA_LEAF_PAYLOAD, bytes);
}

/* Encode the first of @nr ranges into a leaf that covers [lo, hi). */
static unsigned int fill_leaf(struct rt_update *u, struct pdata_range_leaf_disk *leaf,
			      const struct pdata_range *ranges, unsigned int nr,
			      unsigned int max, u64 lo, u64 hi)
{
	unsigned int n, bytes;

	n = encode(u, ranges, nr, max, leaf->payload, &bytes);
	if (n < nr)
		hi = ranges[n].begin;
	memset(leaf->payload + bytes, 0, PDATA_LEAF_PAYLOAD - bytes);
	leaf->h.owner = cpu_to_le64(u->rt->owner);
	leaf->h.seq = cpu_to_le64(u->rt->seq);
	leaf->r = (struct pdata_range_head) {
		.nr = cpu_to_le16(n),
		.codec = cpu_to_le16(u->codec->id),
		.bytes = cpu_to_le16(bytes),
		.lo = cpu_to_le64(lo),
		.hi = cpu_to_le64(hi),
	};
	return n;
}

/* Are so many ranges in so many bytes little enough for @quarters of a leaf? */
static bool within(const struct rt_update *u, unsigned int nr, unsigned int bytes,
		   unsigned int quarters)
{
	return nr <= min(u->leaf_max, u->codec->most_records) * quarters / 4 &&
	       bytes <= PDATA_LEAF_PAYLOAD * quarters / 4;
}

/* Leaves that take up all ranges, at most @max in each; 0 if they cannot. */
static unsigned int count_leaves(struct rt_update *u, const struct pdata_range *ranges,
				 unsigned int nr, unsigned int max)
{
	unsigned int n, bytes, at, leaves = 0;

	for (at = 0; at < nr; at += n) {
		n = encode(u, ranges + at, nr - at, max, NULL, &bytes);
		if (!n)
			return 0;
		leaves++;
	}
	return leaves;
}

/*
 * Records for each leaf so that none of them is left nearly empty: equal shares
 * if they need no more leaves than filling each to the brim does. More leaves
 * than two are not for granted: then the codec's promise is needed.
 */
static unsigned int share_of(struct rt_update *u, const struct pdata_range *ranges,
			     unsigned int nr)
{
	unsigned int leaves, share;

	leaves = count_leaves(u, ranges, nr, u->leaf_max);
	if (leaves > 2) {
		u->tight = true;
		leaves = count_leaves(u, ranges, nr, u->leaf_max);
	}
	if (!leaves || u->append)
		return u->leaf_max;
	share = DIV_ROUND_UP(nr, leaves);
	return count_leaves(u, ranges, nr, share) == leaves ? share : u->leaf_max;
}

/* Write ranges to @rw and as many new leaves as they need, together [lo, hi). */
static int write_leaves(struct rt_update *u, struct pdata_rw *rw,
			const struct pdata_range *ranges, unsigned int nr, u64 lo, u64 hi)
{
	unsigned int n, share, at = 0;
	int r;

	/* One leaf is enough but for rare cases, so that its ranges are encoded once. */
	u->kid[0] = (struct rt_kid){ .begin = lo, .ptr = rw->ptr };
	u->nr_kid = 1;
	if (fill_leaf(u, rw->data, ranges, nr, u->leaf_max, lo, hi) == nr)
		return 0;

	share = share_of(u, ranges, nr);
	for (u->nr_kid = 0; ; ) {
		if (u->nr_kid >= u->max_kid)
			return -PDATA_E_LIMIT;
		u->kid[u->nr_kid++] = (struct rt_kid){ .begin = lo, .ptr = rw->ptr };
		n = fill_leaf(u, rw->data, ranges + at, nr - at, share, lo, hi);
		at += n;
		if (at == nr)
			return 0;
		if (!n)
			return -PDATA_E_CONTENT;

		lo = ranges[at].begin;
		r = pdata_tm_new(u->rt->tm, PDATA_TYPE_RANGE_LEAF, u->rt->owner, rw);
		if (r)
			return r;
		mark_add(u, rw->ptr);
		u->rt->leaves++;
	}
}

/* ---- joins ---- */

/* Read a neighbour that may be taken in: nobody else refers to it. */
static bool neighbour_open(struct rt_update *u, unsigned int depth, int side,
			   struct rt_at *at, struct pdata_ro *b)
{
	const struct rt_step *parent = &u->step[depth - 1];
	u32 count;

	if (side < 0 ? !parent->index : parent->index + 1 >= rt_nr(parent->node))
		return false;
	pdata_rt_child(parent->node, &parent->at, parent->index + side, at);
	/* A join may be left out: an unreadable neighbour is not our business. */
	if (pdata_sm_get(&u->rt->tm->sm, pdata_ptr_block(at->ptr), &count) || count != 1)
		return false;
	return !pdata_rt_read(u->rt, &u->v, at, b);
}

/* The neighbour's content is ours now: free it, let us cover its interval. */
static int neighbour_take(struct rt_update *u, int side, const struct rt_at *at,
			  u64 *lo, u64 *hi)
{
	u32 count;

	if (side < 0) {
		*lo = at->lo;
		u->from--;
	} else {
		*hi = at->hi;
	}
	u->drop++;
	return pdata_tm_dec(u->rt->tm, at->ptr, &count);
}

/* Put the result and a neighbour's ranges together in u->old, if they fit well. */
static bool merge_leaves(struct rt_update *u, const struct pdata_range_leaf_disk *neighbour,
			 int side)
{
	const struct pdata_rt_out *out = &u->out;
	struct pdata_range *all = u->old;
	unsigned int nr, border, bytes;

	if (pdata_rt_decode(neighbour, all, &nr) || nr + out->nr > PDATA_LEAF_MAX_RECORDS)
		return false;
	if (side > 0) {
		memmove(all + out->nr, all, nr * sizeof(*all));
		memcpy(all, out->r, out->nr * sizeof(*all));
		border = out->nr;
	} else {
		memcpy(all + nr, out->r, out->nr * sizeof(*all));
		border = nr;
	}
	nr += out->nr;
	if (border && border < nr && pdata_range_join(&all[border - 1], &all[border])) {
		nr--;
		memmove(all + border, all + border + 1, (nr - border) * sizeof(*all));
	}
	u->nr_old = nr;
	return encode(u, all, nr, nr, NULL, &bytes) == nr && within(u, nr, bytes, 3);
}

/* Write the result, together with a neighbour's ranges if it has become small. */
static int write_result(struct rt_update *u, struct pdata_rw *rw)
{
	const struct pdata_range_leaf_disk *leaf = rw->data;
	const struct pdata_rt_out *out = &u->out;
	u64 lo = u->bottom.lo, hi = u->bottom.hi, generation;
	struct rt_at at;
	struct pdata_ro b;
	bool joined;
	int side, r;

	u->from = u->depth ? u->step[u->depth - 1].index : 0;
	u->drop = 1;
	r = write_leaves(u, rw, out->r, out->nr, lo, hi);
	if (r || !u->depth || u->bottom.level || u->nr_kid > 1 ||
	    !within(u, out->nr, le16_to_cpu(leaf->r.bytes), 1))
		return r;

	for (side = 1; side >= -1; side -= 2) {
		if (!neighbour_open(u, u->depth, side, &at, &b))
			continue;
		joined = merge_leaves(u, b.data, side);
		generation = generation_of(&b);
		pdata_view_release(&u->v, &b);
		if (!joined)
			continue;
		r = neighbour_take(u, side, &at, &lo, &hi);
		if (r)
			return r;
		mark_sub(u, at.ptr, generation);
		u->rt->leaves--;
		return write_leaves(u, rw, u->old, u->nr_old, lo, hi);
	}
	return 0;
}

/* ---- upward ---- */

static void fill_node(struct rt_update *u, struct pdata_range_node_disk *node, int level,
		      const struct rt_kid *list, unsigned int nr, u64 hi)
{
	unsigned int i;

	node->h.owner = cpu_to_le64(u->rt->owner);
	node->r = (struct pdata_range_head) {
		.level = cpu_to_le16(level),
		.nr = cpu_to_le16(nr),
		.lo = cpu_to_le64(list[0].begin),
		.hi = cpu_to_le64(hi),
	};
	for (i = 0; i < nr; i++) {
		node->child[i].begin = cpu_to_le64(list[i].begin);
		node->child[i].ptr = cpu_to_le64(list[i].ptr);
	}
	memset(&node->child[nr], 0, (PDATA_RANGE_FANOUT - nr) * sizeof(node->child[0]));
}

/*
 * Put children into nodes of @level that end at @hi, the first of them into
 * @rw if its data is not NULL, others into new blocks. The nodes become u->kid;
 * @list may be u->kid itself: an entry is written after it was read.
 */
static int write_nodes(struct rt_update *u, struct pdata_rw *rw, int level,
		       const struct rt_kid *list, unsigned int nr, u64 hi, bool append)
{
	const unsigned int nodes = DIV_ROUND_UP(nr, u->fanout);
	const unsigned int share = append ? u->fanout : DIV_ROUND_UP(nr, nodes);
	unsigned int at = 0, n, made = 0;
	struct rt_kid kid;
	int r;

	if (level >= PDATA_RT_MAX_DEPTH || nodes > u->max_kid)
		return -PDATA_E_LIMIT;

	while (at < nr) {
		if (!rw->data) {
			r = pdata_tm_new(u->rt->tm, PDATA_TYPE_RANGE_NODE, u->rt->owner, rw);
			if (r)
				return r;
		}
		n = min(nr - at, share);
		kid = (struct rt_kid){ .begin = list[at].begin, .ptr = rw->ptr };
		fill_node(u, rw->data, level, list + at, n,
			  at + n < nr ? list[at + n].begin : hi);
		at += n;
		u->kid[made++] = kid;
		rw->data = NULL;
	}
	u->nr_kid = made;
	return 0;
}

/* Children of step @i after kid[] took its place among them. */
static unsigned int new_children(struct rt_update *u, unsigned int i)
{
	const struct pdata_range_node_disk *node = u->step[i].node;
	const unsigned int nr_old = rt_nr(node);
	unsigned int c, nr = 0;

	for (c = 0; c < nr_old; c++) {
		if (c == u->from) {
			memcpy(u->list + nr, u->kid, u->nr_kid * sizeof(*u->kid));
			nr += u->nr_kid;
		}
		if (c >= u->from && c < u->from + u->drop)
			continue;
		u->list[nr].begin = le64_to_cpu(node->child[c].begin);
		u->list[nr].ptr = le64_to_cpu(node->child[c].ptr);
		nr++;
	}
	return nr;
}

/* Add a neighbour's children to u->list; false if together they are too many. */
static bool merge_nodes(struct rt_update *u, const struct pdata_range_node_disk *neighbour,
			int side, unsigned int *nr)
{
	const unsigned int more = rt_nr(neighbour);
	struct rt_kid *to = u->list + *nr;
	unsigned int i;

	if ((*nr + more) * 4 > u->fanout * 3)
		return false;
	if (side < 0) {
		memmove(u->list + more, u->list, *nr * sizeof(*u->list));
		to = u->list;
	}
	for (i = 0; i < more; i++) {
		to[i].begin = le64_to_cpu(neighbour->child[i].begin);
		to[i].ptr = le64_to_cpu(neighbour->child[i].ptr);
	}
	*nr += more;
	return true;
}

/* Carry the change of children into step @i, and what becomes of it into u->kid. */
static int raise(struct rt_update *u, unsigned int i)
{
	struct rt_step *step = &u->step[i];
	struct pdata_rw rw = { .data = step->node, .ptr = step->at.ptr };
	const bool append = u->append && u->from + u->drop == rt_nr(step->node);
	unsigned int nr = new_children(u, i);
	u64 lo = step->at.lo, hi = step->at.hi;
	bool joined = false;
	struct rt_at at;
	struct pdata_ro b;
	int side, r;

	u->from = i ? u->step[i - 1].index : 0;
	u->drop = 1;
	for (side = 1; i && side >= -1 && !joined && nr * 4 <= u->fanout; side -= 2) {
		if (!neighbour_open(u, i, side, &at, &b))
			continue;
		joined = merge_nodes(u, b.data, side, &nr);
		pdata_view_release(&u->v, &b);
		if (!joined)
			continue;
		r = neighbour_take(u, side, &at, &lo, &hi);
		if (r)
			return r;
	}
	return write_nodes(u, &rw, step->at.level, u->list, nr, hi, append);
}

/*
 * A root with one child is of no use. That child is on the way we came, so both
 * are our own, and the root's reference to it becomes the tree's.
 */
static int lower_root(struct rt_update *u)
{
	struct pdata_rt *rt = u->rt;
	struct rt_at root, child;
	struct pdata_ro b;
	u32 count;
	int r;

	for (;;) {
		root = rt_root_at(rt, rt->root);
		r = pdata_rt_read(rt, &u->v, &root, &b);
		if (r)
			return r;
		if (!root.level || rt_nr(b.data) > 1) {
			pdata_view_release(&u->v, &b);
			return 0;
		}
		pdata_rt_child(b.data, &root, 0, &child);
		pdata_view_release(&u->v, &b);

		r = pdata_tm_dec(rt->tm, root.ptr, &count);
		if (r)
			return r;
		if (count)
			return -PDATA_E_COUNT;
		rt->root = child.ptr;
	}
}

static int upward(struct rt_update *u)
{
	struct pdata_rw none = { .data = NULL };
	unsigned int i = u->depth;
	int level, r;

	/* The leaf may stand in for an unreadable node of a higher level. */
	for (level = 1; level <= u->bottom.level; level++) {
		r = write_nodes(u, &none, level, u->kid, u->nr_kid, u->bottom.hi, false);
		if (r)
			return r;
	}
	while (i--) {
		r = raise(u, i);
		if (r)
			return r;
		level++;
	}
	for (; u->nr_kid > 1; level++) {
		r = write_nodes(u, &none, level, u->kid, u->nr_kid, u->rt->key_end, u->append);
		if (r)
			return r;
	}
	u->rt->root = u->kid[0].ptr;
	return u->depth ? lower_root(u) : 0;
}

/* ---- the step ---- */

static void update_free(struct rt_update *u)
{
	if (!u)
		return;
	kvfree(u->old);
	kvfree(u->out.r);
	kvfree(u->kid);
	kvfree(u->list);
	kfree(u);
}

static struct rt_update *update_alloc(struct pdata_rt *rt)
{
	struct rt_update *u = kzalloc(sizeof(*u), GFP_NOIO);

	if (!u)
		return NULL;
	u->rt = rt;
	u->v.tm = rt->tm;
	u->codec = pdata_codec_find(rt->ops->codec);
	u->leaf_max = leaf_limit(rt);
	u->fanout = fanout_limit(rt);
	u->old = kvmalloc_array(PDATA_LEAF_MAX_RECORDS, sizeof(*u->old), GFP_NOIO);
	if (u->old)
		return u;
	update_free(u);
	return NULL;
}

/* Memory for @nr changes, and metadata space: before anything is changed. */
static int update_reserve(struct rt_update *u, unsigned int nr)
{
	const int levels = u->depth ? u->step[0].at.level : 0;
	const unsigned int old = u->err ? min(u->leaf_max, u->codec->most_records) : u->nr_old;
	const struct pdata_tm *tm = u->rt->tm;
	u64 need;

	u->out.max = ranges_bound(u->rt, old, nr);
	u->max_kid = PDATA_RANGE_FANOUT +
		     DIV_ROUND_UP(u->out.max, min(u->leaf_max, u->codec->max_records));
	u->out.r = kvmalloc_array(u->out.max, sizeof(*u->out.r), GFP_NOIO);
	u->kid = kvmalloc_array(u->max_kid, sizeof(*u->kid), GFP_NOIO);
	u->list = kvmalloc_array(u->max_kid + PDATA_RANGE_FANOUT, sizeof(*u->list), GFP_NOIO);
	if (!u->out.r || !u->kid || !u->list)
		return -ENOMEM;

	need = step_blocks(u->rt, u->codec, levels, nr);
	if (!tm->use_reserve)
		need += tm->sm.reserve;
	if (pdata_sm_free(&tm->sm, false) < need)
		return -PDATA_E_META_NOSPC;
	return 0;
}

static int update_run(struct rt_update *u, const struct pdata_range *change, unsigned int nr)
{
	struct pdata_rw leaf;
	int r;

	r = update_reserve(u, nr);
	if (!r)
		r = own_way(u);
	if (!r)
		r = own_leaf(u, &leaf);
	if (!r)
		r = apply(u, change, nr);
	if (!r)
		r = write_result(u, &leaf);
	if (!r)
		r = upward(u);
	if (r && u->changed)
		u->rt->tm->failed = true;
	return r;
}

/* Cut @r at @hi. Returns whether there is more behind it. */
static bool cut_at(struct pdata_range *r, u64 hi)
{
	const struct pdata_range whole = *r;

	if (pdata_range_end(r) <= hi)
		return false;
	pdata_range_clip(&whole, whole.begin, hi, r);
	return true;
}

int pdata_rt_update(struct pdata_rt *rt, struct pdata_range *change,
		    unsigned int nr, unsigned int max, u64 *from, unsigned int *done)
{
	struct pdata_range first, last;
	struct rt_update *u;
	unsigned int n = 0;
	bool more = false;
	int r;

	*done = 0;
	if (rt->tm->failed)
		return -PDATA_E_FAILED;
	nr = min(nr, max);
	if (!nr)
		return 0;
	if (change[0].begin >= rt->key_end || *from >= pdata_range_end(&change[0]) ||
	    !pdata_codec_find(rt->ops->codec))
		return -EINVAL;

	u = update_alloc(rt);
	if (!u)
		return -ENOMEM;
	first = change[0];
	if (*from > first.begin)
		pdata_range_clip(&first, *from, pdata_range_end(&first), &change[0]);
	r = way_down(u, change[0].begin);
	if (!r) {
		while (n < nr && change[n].begin < u->bottom.hi)
			n++;
		last = change[n - 1];
		more = cut_at(&change[n - 1], u->bottom.hi);
		r = update_run(u, change, n);
		change[n - 1] = last;
	}
	change[0] = first;
	if (!r) {
		*from = more ? u->bottom.hi : 0;
		*done = n - more;
	}
	update_free(u);
	return r;
}
