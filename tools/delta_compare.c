// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_delta: two trees side by side.
 *
 * The one that stands before the higher node goes down, so that both stand before
 * the same node if there is one that both have: that is read for one of them only,
 * or not at all.
 */
#include "delta.h"

#include "cursor.h"

struct compare {
	struct cursor left;
	struct cursor right;
	u64 shared;		/* up to here both have the same nodes */
	bool skip_same;
	delta_fn fn;
	void *context;
};

/* A root's level is not known: it is above all others. */
static int height(const struct cursor *c)
{
	return c->next.level == WALK_ROOT ? WALK_MAX_LEVEL + 1 : c->next.level;
}

static bool is_shared(const struct cursor *a, const struct cursor *b)
{
	return a->unread && b->unread && a->next.block == b->next.block &&
	       a->next.hi == b->next.hi;
}

static enum delta_kind kind_of(const struct pdata_range *l, const struct pdata_range *r)
{
	const bool left = l->kind == PDATA_RANGE_MAPPED, right = r->kind == PDATA_RANGE_MAPPED;

	if (l->kind == PDATA_RANGE_DAMAGED || r->kind == PDATA_RANGE_DAMAGED)
		return DELTA_DAMAGED;
	if (left && right)
		return l->value == r->value ? DELTA_SAME : DELTA_DIFFERENT;
	if (left)
		return DELTA_LEFT;
	return right ? DELTA_RIGHT : DELTA_NONE;
}

static void tell(struct compare *c, const struct pdata_range *l, const struct pdata_range *r,
		 u64 len)
{
	const struct delta_part p = {
		.kind = kind_of(l, r),
		.begin = l->begin,
		.len = len,
		.left = l->value,
		.right = r->value,
	};

	if (p.kind != DELTA_NONE)
		c->fn(c->context, &p);
}

/* Both are in leaves, or one is where it is known to be as the other. */
static void compare_leaves(struct compare *c)
{
	const bool shared = c->left.pos < c->shared;
	struct pdata_range l, r;
	u64 len;

	cursor_segment(&c->left, &l);
	if (shared)
		r = l;
	else
		cursor_segment(&c->right, &r);
	len = min(l.len, r.len);
	tell(c, &l, &r, len);
	cursor_advance(&c->left, l.begin + len);
	if (!shared)
		cursor_advance(&c->right, l.begin + len);
}

/* A tree that is nothing but a hole stands in a leaf without ranges. */
static int step(struct compare *c)
{
	struct cursor *l = &c->left, *r = &c->right;

	if (l->pos < c->shared) {
		if (l->unread)
			return cursor_descend(l);
	} else if (is_shared(l, r)) {
		c->shared = l->next.hi;
		cursor_skip(r);
		if (c->skip_same)
			cursor_skip(l);
		return 0;
	} else if (l->unread && (!r->unread || height(l) >= height(r))) {
		return cursor_descend(l);
	} else if (r->unread) {
		return cursor_descend(r);
	}
	compare_leaves(c);
	return 0;
}

int delta_compare(struct source *s, u64 left, u64 right, bool skip_same, delta_fn fn,
		  void *context)
{
	struct compare c = { .skip_same = skip_same, .fn = fn, .context = context };
	struct source_walk h;
	u64 steps = 0;
	int r = 0;

	source_walk_init(&h, s, 0);
	cursor_init(&c.left, &h.w, left);
	cursor_init(&c.right, &h.w, right);
	while (c.left.pos < PDATA_MAX_UNITS && !r) {
		r = step(&c);
		tool_progress("ranges", ++steps, 0);
	}
	cursor_exit(&c.left);
	cursor_exit(&c.right);
	walk_exit(&h.w);
	return r;
}
