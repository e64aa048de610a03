// SPDX-License-Identifier: GPL-2.0-only
/* Tree walkers of the tools. */
#include "walk.h"

#include "pdata-layout.h"

static const struct pdata_range_head *range_head(const void *data)
{
	return data + sizeof(struct pdata_header);
}

static int bad(struct walk *w, const struct walk_at *at, int err, const char *what,
	       u64 expected, u64 found)
{
	const struct walk_bad b = {
		.err = err, .what = what, .has_values = true,
		.expected = expected, .found = found,
	};

	return w->bad(w, at, &b) ?: 1;
}

/* Read and check. Returns 1 if the node was reported and is left out. */
static int fetch(struct walk *w, const struct walk_at *at, u32 type, void *data)
{
	struct pdata_check c = {
		.block = at->block,
		.type = type,
		.uuid = w->uuid,
		.max_generation = w->max_generation,
		.nr_blocks = w->nr_blocks,
		.scratch = w->ranges,
	};
	const struct pdata_header *h = data;
	struct walk_bad b = { };
	u64 owner;

	if (at->block >= w->nr_blocks || at->block >= w->io->nr_blocks)
		return bad(w, at, -PDATA_E_OUT_OF_RANGE, "block number", w->nr_blocks - 1,
			   at->block);
	b.err = pdata_io_read(w->io, at->block, data);
	if (b.err) {
		b.what = "read";
		return w->bad(w, at, &b) ?: 1;
	}
	b.err = pdata_block_check(&c, data);
	if (b.err == -ENOMEM)
		return b.err;
	if (b.err) {
		b.what = c.what;
		b.has_values = c.what;
		b.expected = c.expected;
		b.found = c.found;
		return w->bad(w, at, &b) ?: 1;
	}
	if (pdata_tag(h) != at->tag)
		return bad(w, at, -PDATA_E_STALE, "tag", at->tag, pdata_tag(h));
	owner = le64_to_cpu(h->owner);
	if (w->owner ? owner != w->owner : owner < PDATA_FIRST_UID || owner >= w->next_uid)
		return bad(w, at, -PDATA_E_OWNER, "owner",
			   w->owner ? w->owner : w->next_uid - 1, owner);
	return 0;
}

/* A buffer for the node at @at; a root's goes to the top. */
static void *buffer(struct walk *w, const struct walk_at *at)
{
	const unsigned int i = at->level == WALK_ROOT ? WALK_MAX_LEVEL : at->level;

	if (!w->buf[i])
		w->buf[i] = pdata_block_alloc(GFP_NOIO);
	if (!w->ranges)
		w->ranges = kvmalloc(PDATA_CHECK_SCRATCH, GFP_NOIO);
	return w->ranges ? w->buf[i] : NULL;
}

void walk_exit(struct walk *w)
{
	unsigned int i;

	for (i = 0; i <= WALK_MAX_LEVEL; i++) {
		if (w->buf[i])
			pdata_block_free(w->buf[i]);
		w->buf[i] = NULL;
	}
	kvfree(w->ranges);
	w->ranges = NULL;
}

static int leave(struct walk *w, const struct walk_at *at)
{
	return w->leave ? w->leave(w, at) : 0;
}

/* ---- range trees ---- */

static int range_fits(struct walk *w, const struct walk_at *at, const void *data)
{
	const struct pdata_range_head *head = range_head(data);
	const int level = le16_to_cpu(head->level);

	/* Levels fall on the way down, so that a ring of nodes ends somewhere. */
	if (at->level == WALK_ROOT ? level > WALK_MAX_LEVEL - 1 : level != at->level)
		return bad(w, at, -PDATA_E_CONTENT, "level", at->level, level);
	if (le64_to_cpu(head->lo) != at->lo)
		return bad(w, at, -PDATA_E_INTERVAL, "begin of the interval", at->lo,
			   le64_to_cpu(head->lo));
	if (le64_to_cpu(head->hi) != at->hi)
		return bad(w, at, -PDATA_E_INTERVAL, "end of the interval", at->hi,
			   le64_to_cpu(head->hi));
	return 0;
}

int walk_range_leaf(struct walk *w, const struct walk_at *at, const void *data,
		    struct pdata_range *ranges, unsigned int *nr)
{
	const struct pdata_range_leaf_disk *d = data;
	const struct pdata_codec *codec = pdata_codec_find(le16_to_cpu(d->r.codec));
	int r;

	*nr = le16_to_cpu(d->r.nr);
	r = codec ? codec->decode(d->payload, le16_to_cpu(d->r.bytes), *nr, at->lo, at->hi,
				  ranges) : -PDATA_E_CONTENT;
	return r ? bad(w, at, r, "payload", *nr, 0) : 0;
}

static int range_leaf(struct walk *w, const struct walk_at *at, const void *data)
{
	unsigned int i, nr;
	int r;

	if (!w->range)
		return 0;
	r = walk_range_leaf(w, at, data, w->ranges, &nr);
	for (i = 0; !r && i < nr; i++)
		if (pdata_range_end(&w->ranges[i]) > w->begin)
			r = w->range(w, at, &w->ranges[i]);
	return r;
}

void walk_root(struct walk_at *at, u64 ptr)
{
	at->block = pdata_ptr_block(ptr);
	at->tag = pdata_ptr_tag(ptr);
}

static int range_visit(struct walk *w, struct walk_at at);

unsigned int walk_range_children(const void *data)
{
	return le16_to_cpu(range_head(data)->nr);
}

void walk_range_child(const void *data, const struct walk_at *at, unsigned int i,
		      struct walk_at *child)
{
	const struct pdata_range_node_disk *d = data;

	child->level = at->level - 1;
	walk_root(child, le64_to_cpu(d->child[i].ptr));
	child->lo = le64_to_cpu(d->child[i].begin);
	child->hi = i + 1 < walk_range_children(data) ? le64_to_cpu(d->child[i + 1].begin) :
							at->hi;
}

static int range_children(struct walk *w, const struct walk_at *at, const void *data)
{
	unsigned int i, nr = walk_range_children(data);
	struct walk_at child;
	int r = 0;

	for (i = 0; i < nr && !r; i++) {
		walk_range_child(data, at, i, &child);
		if (child.hi > w->begin)
			r = range_visit(w, child);
	}
	return r;
}

int walk_range_node(struct walk *w, struct walk_at *at, void *data)
{
	int r;

	if (!w->ranges)
		w->ranges = kvmalloc(PDATA_CHECK_SCRATCH, GFP_NOIO);
	if (!w->ranges)
		return -ENOMEM;
	r = fetch(w, at, PDATA_TYPE_RANGE_ANY, data);
	if (!r)
		r = range_fits(w, at, data);
	if (!r)
		at->level = le16_to_cpu(range_head(data)->level);
	return r;
}

/* Recursion is as deep as the tree: WALK_MAX_LEVEL. */
static int range_visit(struct walk *w, struct walk_at at)
{
	void *data;
	int r;

	r = w->enter ? w->enter(w, &at) : 0;
	if (r)
		return r == 1 ? 0 : r;
	data = buffer(w, &at);
	if (!data)
		return -ENOMEM;
	r = walk_range_node(w, &at, data);
	if (r)
		return r == 1 ? 0 : r;
	r = w->node ? w->node(w, &at, data) : 0;
	if (!r && at.level)
		r = range_children(w, &at, data);
	else if (!r)
		r = range_leaf(w, &at, data);
	if (r == 1)
		r = 0;
	return r ? r : leave(w, &at);
}

int walk_range_tree(struct walk *w, u64 root)
{
	struct walk_at at = { .level = WALK_ROOT, .hi = PDATA_MAX_UNITS };

	walk_root(&at, root);
	return root ? range_visit(w, at) : 0;
}

/* ---- btrees ---- */

static u64 btree_key(const struct pdata_btree_disk *d, unsigned int i)
{
	return le64_to_cpu(((const __le64 *)d->data)[i]);
}

static const void *btree_value(const struct pdata_btree_disk *d, unsigned int i)
{
	u32 size = le32_to_cpu(d->value_size);
	unsigned int max = sizeof(d->data) / (sizeof(__le64) + size);

	return d->data + max * sizeof(__le64) + (size_t)i * size;
}

static int btree_fits(struct walk *w, const struct walk_at *at,
		      const struct pdata_btree_disk *d)
{
	const int level = le16_to_cpu(d->level);
	const unsigned int nr = le16_to_cpu(d->nr);
	const u32 size = level ? sizeof(__le64) : w->value_size;

	if (at->level == WALK_ROOT ? level > WALK_MAX_LEVEL - 1 : level != at->level)
		return bad(w, at, -PDATA_E_CONTENT, "level", at->level, level);
	if (le32_to_cpu(d->value_size) != size)
		return bad(w, at, -PDATA_E_CONTENT, "size of a value", size,
			   le32_to_cpu(d->value_size));
	if (btree_key(d, 0) < at->lo)
		return bad(w, at, -PDATA_E_INTERVAL, "first key", at->lo, btree_key(d, 0));
	if (btree_key(d, nr - 1) > at->hi - 1)
		return bad(w, at, -PDATA_E_INTERVAL, "last key", at->hi - 1,
			   btree_key(d, nr - 1));
	return 0;
}

static int btree_visit(struct walk *w, struct walk_at at);

static int btree_content(struct walk *w, const struct walk_at *at,
			 const struct pdata_btree_disk *d)
{
	unsigned int i, nr = le16_to_cpu(d->nr);
	struct walk_at child = { .level = at->level - 1 };
	__le64 ptr;
	int r = 0;

	for (i = 0; i < nr && !r; i++) {
		if (!at->level) {
			r = w->entry ? w->entry(w, at, btree_key(d, i), btree_value(d, i)) : 0;
			continue;
		}
		memcpy(&ptr, btree_value(d, i), sizeof(ptr));
		walk_root(&child, le64_to_cpu(ptr));
		child.lo = btree_key(d, i);
		child.hi = i + 1 < nr ? btree_key(d, i + 1) : at->hi;
		r = btree_visit(w, child);
	}
	return r;
}

static int btree_visit(struct walk *w, struct walk_at at)
{
	struct pdata_btree_disk *data;
	int r;

	r = w->enter ? w->enter(w, &at) : 0;
	if (r)
		return r == 1 ? 0 : r;
	data = buffer(w, &at);
	if (!data)
		return -ENOMEM;
	r = fetch(w, &at, PDATA_TYPE_BTREE, data);
	if (!r)
		r = btree_fits(w, &at, data);
	if (r)
		return r == 1 ? 0 : r;
	at.level = le16_to_cpu(data->level);
	r = w->node ? w->node(w, &at, &data->h) : 0;
	if (!r)
		r = btree_content(w, &at, data);
	if (r == 1)
		r = 0;
	return r ? r : leave(w, &at);
}

int walk_btree(struct walk *w, u64 root)
{
	struct walk_at at = { .level = WALK_ROOT };

	walk_root(&at, root);
	return root ? btree_visit(w, at) : 0;
}
