// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_repair: trees in the output.
 *
 * The trees keep their shape: each intact node is copied once, whoever shares it,
 * and each lost one is built once from what was found in its place. So all
 * sharing between snapshots stays. What is lost becomes a leaf that says so, or
 * that says nothing if the user wants it like that.
 */
#include "repair.h"

/* As the core does it: what one leaf can hold in records of the greatest length. */
#define DAMAGED_RECORDS	128u

/* A leaf for an interval whose mappings are lost. */
static int put_damaged(struct repair *r, u64 lo, u64 hi, u64 owner, u64 generation,
		       struct rp_kid *kid)
{
	const struct pdata_codec *codec = pdata_codec_find(PDATA_CODEC_MAP_PACKED);
	struct pdata_range_leaf_disk *d = rp_out_buf(r);
	struct pdata_range range[DAMAGED_RECORDS] = { };
	const u64 block = rp_out_new(r);
	unsigned int nr = 0, bytes = 0;
	u64 pos = lo;

	*kid = (struct rp_kid){ .lo = lo };
	if (!block)
		return -PDATA_E_META_NOSPC;
	for (; !r->lost_unmapped && pos < hi && nr < DAMAGED_RECORDS; pos += range[nr++].len) {
		range[nr].begin = pos;
		range[nr].len = min(hi - pos, (u64)PDATA_REC_MAX_LEN);
		range[nr].kind = PDATA_RANGE_DAMAGED;
	}
	d->h.magic = cpu_to_le32(PDATA_TYPE_RANGE_LEAF);
	d->h.owner = cpu_to_le64(owner);
	d->h.salt = cpu_to_le16(r->out_salt);
	d->r.lo = cpu_to_le64(lo);
	d->r.hi = cpu_to_le64(hi);
	d->r.codec = cpu_to_le16(codec->id);
	if (codec->encode(range, nr, nr, d->payload, sizeof(d->payload), &bytes) != nr)
		return -PDATA_E_LIMIT;
	d->r.nr = cpu_to_le16(nr);
	d->r.bytes = cpu_to_le16(bytes);
	kid->sum = pdata_leaf_mark(block, generation);
	return rp_out_put(r, block, generation, &kid->ptr);
}

static int copy_node(struct repair *r, u32 index, struct rp_kid *kid);
static int copy_lost(struct repair *r, u32 lost, struct rp_kid *kid);

static int copy_leaf(struct repair *r, struct rp_block *b, struct rp_kid *kid)
{
	const u64 block = rp_out_new(r);
	int err;

	if (!block)
		return -PDATA_E_META_NOSPC;
	err = rp_read(r, b, rp_out_buf(r));
	if (err)
		return err;
	b->sum = pdata_leaf_mark(block, b->generation);
	*kid = (struct rp_kid){ .lo = b->lo, .sum = b->sum, .mapped = b->mapped };
	tool_progress("trees", r->out_used, 0);
	err = rp_out_put(r, block, b->generation, &kid->ptr);
	b->copy = kid->ptr;
	return err;
}

/* Whatever a pointer leads to. */
static int copy_at(struct repair *r, const struct rp_at *at, struct rp_kid *kid)
{
	const struct rp_ref ref = rp_resolve(r, at);

	return ref.node ? copy_node(r, ref.node, kid) : copy_lost(r, ref.lost, kid);
}

static int copy_children(struct repair *r, struct rp_block *b, struct pdata_range_node_disk *d,
			 struct rp_kid *kid)
{
	struct rp_kid child;
	struct rp_at at;
	unsigned int i;
	int err;

	for (i = 0; i < le16_to_cpu(d->r.nr); i++) {
		rp_child(b, d, i, &at);
		err = copy_at(r, &at, &child);
		if (err)
			return err;
		d->child[i].ptr = cpu_to_le64(child.ptr);
		rp_out_ref(r, child.ptr);
		kid->sum += child.sum;
		kid->mapped += child.mapped;
	}
	return 0;
}

/* As deep as the tree. */
static int copy_node(struct repair *r, u32 index, struct rp_kid *kid)
{
	struct rp_block *b = rp_block(r, index);
	struct pdata_range_node_disk *d;
	u64 block = 0;
	int err;

	*kid = (struct rp_kid){ b->lo, b->copy, b->sum, b->mapped, b->level };
	if (b->copy)
		return 0;
	if (b->type == RP_LEAF)
		return copy_leaf(r, b, kid);
	*kid = (struct rp_kid){ .lo = b->lo, .level = b->level };
	d = tool_block();
	err = rp_read(r, b, d);
	if (!err)
		err = copy_children(r, b, d, kid);
	if (!err)
		block = rp_out_new(r);
	if (!err && !block)
		err = -PDATA_E_META_NOSPC;
	if (!err) {
		memcpy(rp_out_buf(r), d, PDATA_BLOCK_SIZE);
		err = rp_out_put(r, block, b->generation, &kid->ptr);
	}
	b->copy = kid->ptr;
	b->sum = kid->sum;
	b->mapped = kid->mapped;
	pdata_block_free(d);
	return err;
}

/* ---- lost nodes ---- */

/* What is in the place of a lost node: its items, and leaves for the holes between them. */
static int lost_kids(struct repair *r, u32 lost, struct rp_array *kids)
{
	const u64 owner = rp_lost(r, lost - 1)->owner;
	const u64 generation = rp_lost(r, lost - 1)->max_generation;
	const u64 hi = rp_lost(r, lost - 1)->hi;
	u64 pos = rp_lost(r, lost - 1)->lo, next;
	struct rp_kid kid;
	size_t i = 0;
	u32 child;
	int err;

	while (pos < hi) {
		const struct rp_lost *l = rp_lost(r, lost - 1);

		next = i < l->nr_items ? l->item[i].lo : hi;
		if (pos < next) {
			err = put_damaged(r, pos, next, owner, generation, &kid);
			pos = next;
		} else {
			child = l->item[i].child;
			pos = l->item[i++].hi;
			err = copy_node(r, child, &kid);
		}
		if (err)
			return err;
		*(struct rp_kid *)rp_array_add(kids, sizeof(kid)) = kid;
	}
	return 0;
}

/* Put nodes above runs of kids of level @level, so that all are above that. */
static int raise_kids(struct repair *r, const struct rp_lost *l, struct rp_array *kids, u8 level)
{
	struct rp_kid *k = kids->v;
	struct rp_array up = { }, run = { };
	size_t i, end;
	int err = 0;

	for (i = 0; i < kids->nr && !err; i = end) {
		end = i + 1;
		if (k[i].level > level) {
			*(struct rp_kid *)rp_array_add(&up, sizeof(*k)) = k[i];
			continue;
		}
		while (end < kids->nr && k[end].level == level)
			end++;
		run = (struct rp_array){ };
		for (; i < end; i++)
			*(struct rp_kid *)rp_array_add(&run, sizeof(*k)) = k[i];
		err = rp_out_nodes(r, &run, end < kids->nr ? k[end].lo : l->hi, l->owner,
				   l->max_generation);
		for (i = 0; i < run.nr && !err; i++)
			*(struct rp_kid *)rp_array_add(&up, sizeof(*k)) =
				((struct rp_kid *)run.v)[i];
		free(run.v);
	}
	free(kids->v);
	*kids = up;
	return err;
}

static u8 lowest(const struct rp_array *kids)
{
	const struct rp_kid *k = kids->v;
	u8 level = k[0].level;
	size_t i;

	for (i = 1; i < kids->nr; i++)
		level = min(level, k[i].level);
	return level;
}

static u8 highest(const struct rp_array *kids)
{
	const struct rp_kid *k = kids->v;
	u8 level = k[0].level;
	size_t i;

	for (i = 1; i < kids->nr; i++)
		level = max(level, k[i].level);
	return level;
}

/* One node of the lost one's level, or, for a root, of whatever it takes. */
static int build_lost(struct repair *r, u32 lost, struct rp_array *kids)
{
	struct rp_lost *l = rp_lost(r, lost - 1);
	const int level = l->level;
	int err = 0;

	while (!err && (lowest(kids) < highest(kids) || kids->nr > 1 || lowest(kids) < level)) {
		if (level >= 0 && lowest(kids) >= level)
			return -PDATA_E_LIMIT;
		err = raise_kids(r, l, kids, lowest(kids));
	}
	return err;
}

/* More children than there can have been: cannot happen, unless what was found is wrong. */
static int give_up(struct repair *r, u32 lost, struct rp_array *kids)
{
	struct rp_lost *l = rp_lost(r, lost - 1);

	l->nr_items = 0;
	l->found = false;
	l->why = "more was found in its place than it had room for";
	kids->nr = 0;
	return lost_kids(r, lost, kids);
}

static int copy_lost(struct repair *r, u32 lost, struct rp_kid *kid)
{
	struct rp_lost *l = rp_lost(r, lost - 1);
	struct rp_array kids = { };
	int err;

	if (!l->copy) {
		err = lost_kids(r, lost, &kids);
		if (!err)
			err = build_lost(r, lost, &kids);
		if (err == -PDATA_E_LIMIT) {
			err = give_up(r, lost, &kids);
			if (!err)
				err = build_lost(r, lost, &kids);
		}
		if (err) {
			free(kids.v);
			return err;
		}
		l = rp_lost(r, lost - 1);
		*kid = *(struct rp_kid *)kids.v;
		free(kids.v);
		l->copy = kid->ptr;
		l->copy_level = kid->level;
		l->sum = kid->sum;
		l->mapped = kid->mapped;
	}
	*kid = (struct rp_kid){ l->lo, l->copy, l->sum, l->mapped, l->copy_level };
	return 0;
}

int rp_copy_trees(struct repair *r)
{
	struct rp_thin *t;
	struct rp_kid kid;
	struct rp_at at;
	size_t i;
	int err;

	for (i = 0, t = r->thins.v; i < r->thins.nr; i++, t++) {
		t->copy = 0;
		t->sum = 0;
		t->mapped = 0;
		if (t->tombstone || t->dropped || !t->d.root)
			continue;
		at = rp_root_at(t);
		err = copy_at(r, &at, &kid);
		if (err)
			return err;
		t->copy = kid.ptr;
		t->sum = kid.sum;
		t->mapped = kid.mapped;
		rp_out_ref(r, kid.ptr);
	}
	return 0;
}
