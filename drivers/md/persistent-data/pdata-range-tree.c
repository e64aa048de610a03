// SPDX-License-Identifier: GPL-2.0-only
/*
 * Range tree, the reading side: lookup, window and walk.
 *
 * A parent says what it expects of a child: level and interval. A child that
 * says otherwise is damage, even if it is a perfect block of its own: it may
 * be an older one, or belong elsewhere in the tree.
 */
#include "pdata-range-tree-internal.h"

int pdata_rt_emit(struct pdata_rt_out *out, const struct pdata_range *r)
{
	struct pdata_range part, *last;
	u64 at = r->begin;
	u64 end = pdata_range_end(r);

	if (!r->len || end < at)
		return -PDATA_E_CONTENT;

	while (at < end) {
		pdata_range_clip(r, at, at + min_t(u64, end - at, PDATA_REC_MAX_LEN), &part);
		at = pdata_range_end(&part);

		last = out->nr ? &out->r[out->nr - 1] : NULL;
		if (last) {
			if (part.begin < pdata_range_end(last))
				return -PDATA_E_CONTENT;
			if (pdata_range_join(last, &part))
				continue;
		}
		if (out->nr >= out->max)
			return -PDATA_E_LIMIT;
		out->r[out->nr++] = part;
	}
	return 0;
}

static int complain(const struct pdata_rt *rt, const struct rt_at *at, const char *what, int r)
{
	pdata_err_limit("%s: range tree of %llu, block %llu: %s, expected level %d [%llu, %llu)",
			rt->tm->bm->name, rt->owner, pdata_ptr_block(at->ptr), what, at->level,
			at->lo, at->hi);
	return r;
}

/*
 * A shared node may have been made by any thin, so that for mapping trees only
 * the class of the owner can be checked.
 */
static bool owner_fits(const struct pdata_rt *rt, const struct pdata_header *h)
{
	const u64 owner = le64_to_cpu(h->owner);

	if (rt->owner == PDATA_OWNER_DATA_SM)
		return owner == PDATA_OWNER_DATA_SM;
	return owner >= PDATA_FIRST_UID;
}

static int node_fits(const struct pdata_rt *rt, struct rt_at *at, const struct pdata_ro *b)
{
	const struct pdata_range_head *head = rt_head(b->data);
	const int level = le16_to_cpu(head->level);
	const u32 magic = le32_to_cpu(pdata_ro_header(b)->magic);

	if (at->level == RT_ROOT_LEVEL && level < PDATA_RT_MAX_DEPTH)
		at->level = level;

	if (!owner_fits(rt, pdata_ro_header(b)))
		return complain(rt, at, "wrong owner", -PDATA_E_OWNER);
	if (level != at->level)
		return complain(rt, at, "wrong level", -PDATA_E_CONTENT);
	if (magic != (level ? PDATA_TYPE_RANGE_NODE : PDATA_TYPE_RANGE_LEAF))
		return complain(rt, at, "level and type disagree", -PDATA_E_CONTENT);
	if (le64_to_cpu(head->lo) != at->lo || le64_to_cpu(head->hi) != at->hi)
		return complain(rt, at, "wrong interval", -PDATA_E_INTERVAL);
	if (level && (!rt_nr(b->data) || rt_nr(b->data) > PDATA_RANGE_FANOUT))
		return complain(rt, at, "wrong number of children", -PDATA_E_CONTENT);
	if (!level && !pdata_codec_find(le16_to_cpu(head->codec)))
		return complain(rt, at, "unknown codec", -PDATA_E_CONTENT);
	return 0;
}

int pdata_rt_read(const struct pdata_rt *rt, const struct pdata_view *v,
		  struct rt_at *at, struct pdata_ro *b)
{
	u32 type;
	int r;

	if (at->level == RT_ROOT_LEVEL)
		type = PDATA_TYPE_RANGE_ANY;
	else
		type = at->level ? PDATA_TYPE_RANGE_NODE : PDATA_TYPE_RANGE_LEAF;

	r = pdata_view_read(v, at->ptr, type, b);
	if (r)
		return r;
	r = node_fits(rt, at, b);
	if (r)
		pdata_view_release(v, b);
	return r;
}

unsigned int pdata_rt_find(const struct pdata_range_node_disk *node, u64 key)
{
	unsigned int first = 1, last = rt_nr(node), mid;

	/* The first child begins at lo, which is not above any key asked for. */
	while (first < last) {
		mid = first + (last - first) / 2;
		if (le64_to_cpu(node->child[mid].begin) <= key)
			first = mid + 1;
		else
			last = mid;
	}
	return first - 1;
}

void pdata_rt_child(const struct pdata_range_node_disk *node, const struct rt_at *at,
		    unsigned int index, struct rt_at *child)
{
	const u64 hi = at->hi;

	child->ptr = le64_to_cpu(node->child[index].ptr);
	child->level = at->level - 1;
	child->lo = le64_to_cpu(node->child[index].begin);
	child->hi = hi;
	if (index + 1 < rt_nr(node))
		child->hi = le64_to_cpu(node->child[index + 1].begin);
}

int pdata_rt_decode(const struct pdata_range_leaf_disk *leaf, struct pdata_range *out,
		    unsigned int *nr)
{
	const struct pdata_codec *codec = pdata_codec_find(le16_to_cpu(leaf->r.codec));
	const unsigned int bytes = le16_to_cpu(leaf->r.bytes);

	*nr = rt_nr(leaf);
	if (!codec || *nr > PDATA_LEAF_MAX_RECORDS || bytes > PDATA_LEAF_PAYLOAD)
		return -PDATA_E_CONTENT;
	return codec->decode(leaf->payload, bytes, *nr, le64_to_cpu(leaf->r.lo),
			     le64_to_cpu(leaf->r.hi), out);
}

static int leaf_lookup(const struct pdata_range_leaf_disk *leaf, const struct rt_at *at,
		       u64 key, struct pdata_range *r)
{
	const struct pdata_codec *codec = pdata_codec_find(le16_to_cpu(leaf->r.codec));

	if (!codec)
		return -PDATA_E_CONTENT;
	return codec->lookup(leaf->payload, le16_to_cpu(leaf->r.bytes), rt_nr(leaf),
			     at->lo, at->hi, key, r);
}

/*
 * Go down to the leaf of @key, which is left for the caller to release. On
 * failure @at is the node that cannot be read.
 */
static int descend(const struct pdata_rt *rt, const struct pdata_view *v, u64 key,
		   struct rt_at *at, struct pdata_ro *leaf, struct pdata_rt_path *path)
{
	struct rt_at child;
	int r;

	for (;;) {
		r = pdata_rt_read(rt, v, at, leaf);
		if (r)
			return r;
		if (path)
			path->block[path->nr++] = pdata_ptr_block(at->ptr);
		if (!at->level)
			return 0;
		pdata_rt_child(leaf->data, at, pdata_rt_find(leaf->data, key), &child);
		pdata_view_release(v, leaf);
		*at = child;
	}
}

/* What a read error reports: the interval that is out of reach, and why. */
static void out_of_reach(const struct rt_at *at, struct pdata_range *r)
{
	memset(r, 0, sizeof(*r));
	r->begin = at->lo;
	r->len = at->hi - at->lo;
	r->value = pdata_ptr_block(at->ptr);
}

int pdata_rt_lookup(const struct pdata_rt *rt, const struct pdata_view *v, u64 root, u64 key,
		    struct pdata_range *r, struct pdata_rt_path *path)
{
	struct rt_at at = rt_root_at(rt, root);
	struct pdata_ro leaf;
	int err;

	if (path)
		path->nr = 0;
	memset(r, 0, sizeof(*r));
	if (key >= rt->key_end)
		return -EINVAL;
	if (!root) {
		r->len = rt->key_end;
		return -PDATA_E_NOT_FOUND;
	}

	err = descend(rt, v, key, &at, &leaf, path);
	if (!err) {
		err = leaf_lookup(leaf.data, &at, key, r);
		pdata_view_release(v, &leaf);
	}
	if (err && err != -PDATA_E_NOT_FOUND)
		out_of_reach(&at, r);
	return err;
}

static int leaf_window(const struct pdata_range_leaf_disk *leaf, const struct rt_at *at,
		       u64 key, struct pdata_range *out, unsigned int max, unsigned int *nr)
{
	unsigned int back;
	u64 pos;
	int r;

	r = leaf_lookup(leaf, at, key, out);
	pos = out->begin;
	for (back = max / 2; back && pos > at->lo; back--) {
		if (r && r != -PDATA_E_NOT_FOUND)
			return r;
		r = leaf_lookup(leaf, at, pos - 1, out);
		pos = out->begin;
	}
	for (*nr = 0; *nr < max && pos < at->hi; pos = pdata_range_end(&out[(*nr)++])) {
		r = leaf_lookup(leaf, at, pos, &out[*nr]);
		if (r && r != -PDATA_E_NOT_FOUND)
			return r;
	}
	return *nr ? 0 : -PDATA_E_CONTENT;
}

int pdata_rt_window(const struct pdata_rt *rt, const struct pdata_view *v, u64 root, u64 key,
		    struct pdata_range *out, unsigned int max, unsigned int *nr)
{
	struct rt_at at = rt_root_at(rt, root);
	struct pdata_ro leaf;
	int r;

	*nr = 1;
	memset(out, 0, sizeof(*out));
	if (key >= rt->key_end)
		return -EINVAL;
	if (!root) {
		out->len = rt->key_end;
		return 0;
	}

	r = descend(rt, v, key, &at, &leaf, NULL);
	if (!r) {
		r = leaf_window(leaf.data, &at, key, out, max, nr);
		pdata_view_release(v, &leaf);
	}
	if (r)
		out_of_reach(&at, out);
	return r;
}

/* ---- walk ---- */

/*
 * Nodes are copied on the way down, so that no block is held while a callback
 * runs, which may read other blocks and take its time.
 */
struct walk {
	const struct pdata_rt *rt;
	const struct pdata_view *v;
	u64 begin;
	u64 end;
	int (*node)(void *context, u64 ptr, unsigned int level, u64 lo, u64 hi, int err);
	int (*range)(void *context, const struct pdata_range *r);
	void *context;

	unsigned int depth;	/* entries of the stack in use */
	struct walk_step {
		struct rt_at at;
		unsigned int next;	/* child to visit */
		struct pdata_range_node_disk *copy;
	} step[PDATA_RT_MAX_DEPTH];

	unsigned int nr;	/* ranges of the leaf being visited */
	struct pdata_range *ranges;
};

static int walk_leaf(struct walk *w)
{
	unsigned int i;
	int r;

	for (i = 0; i < w->nr; i++) {
		if (pdata_range_end(&w->ranges[i]) <= w->begin)
			continue;
		if (w->ranges[i].begin >= w->end)
			break;
		r = w->range(w->context, &w->ranges[i]);
		if (r)
			return r;
	}
	return 0;
}

/* Read the node at @at onto the stack, or its ranges if it is a leaf. */
static int walk_fetch(struct walk *w, struct rt_at *at)
{
	struct walk_step *step;
	struct pdata_ro b;
	int r;

	r = pdata_rt_read(w->rt, w->v, at, &b);
	if (r)
		return r;

	if (!at->level) {
		r = pdata_rt_decode(b.data, w->ranges, &w->nr);
	} else {
		step = &w->step[w->depth];
		if (!step->copy)
			step->copy = kmalloc(PDATA_BLOCK_SIZE, GFP_NOIO);
		if (step->copy)
			memcpy(step->copy, b.data, PDATA_BLOCK_SIZE);
		else
			r = -ENOMEM;
	}
	pdata_view_release(w->v, &b);
	return r;
}

/* Visit one node; an internal one is left on the stack for its children. */
static int walk_visit(struct walk *w, struct rt_at at)
{
	struct walk_step *step;
	int r, err;

	err = walk_fetch(w, &at);
	if (err && (!w->node || !pdata_error_is_unreadable(err)))
		return err;
	if (w->node) {
		r = w->node(w->context, at.ptr, at.level < 0 ? 0 : at.level, at.lo, at.hi, err);
		if (r == 1 || (!r && err))
			return 0;
		if (r)
			return r;
	}
	if (!at.level)
		return w->range ? walk_leaf(w) : 0;

	step = &w->step[w->depth++];
	step->at = at;
	step->next = pdata_rt_find(step->copy, max(w->begin, at.lo));
	return 0;
}

static int walk_run(struct walk *w, u64 root)
{
	struct walk_step *step;
	struct rt_at child;
	int r;

	r = walk_visit(w, rt_root_at(w->rt, root));
	while (!r && w->depth) {
		step = &w->step[w->depth - 1];
		if (step->next >= rt_nr(step->copy)) {
			w->depth--;
			continue;
		}
		pdata_rt_child(step->copy, &step->at, step->next++, &child);
		if (child.lo >= w->end)
			w->depth--;
		else
			r = walk_visit(w, child);
	}
	return r;
}

int pdata_rt_walk(const struct pdata_rt *rt, const struct pdata_view *v, u64 root,
		  u64 begin, u64 end,
		  int (*node)(void *context, u64 ptr, unsigned int level,
			      u64 lo, u64 hi, int err),
		  int (*range)(void *context, const struct pdata_range *r),
		  void *context)
{
	struct walk *w;
	unsigned int i;
	int r = -ENOMEM;

	end = min(end, rt->key_end);
	if (!root || begin >= end)
		return 0;

	w = kzalloc(sizeof(*w), GFP_NOIO);
	if (!w)
		return -ENOMEM;
	w->rt = rt;
	w->v = v;
	w->begin = begin;
	w->end = end;
	w->node = node;
	w->range = range;
	w->context = context;
	w->ranges = kvmalloc_array(PDATA_LEAF_MAX_RECORDS, sizeof(*w->ranges), GFP_NOIO);
	if (w->ranges)
		r = walk_run(w, root);

	for (i = 0; i < PDATA_RT_MAX_DEPTH; i++)
		kfree(w->step[i].copy);
	kvfree(w->ranges);
	kfree(w);
	return r;
}
