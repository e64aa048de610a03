// SPDX-License-Identifier: GPL-2.0-only
/* A place in a mapping tree. */
#include "cursor.h"

#include "common.h"

void cursor_init(struct cursor *c, struct walk *w, u64 root)
{
	const struct walk_at top = { .level = WALK_ROOT, .hi = PDATA_MAX_UNITS };

	memset(c, 0, sizeof(*c));
	c->w = w;
	c->range = tool_alloc(PDATA_LEAF_MAX_RECORDS * sizeof(*c->range));
	c->leaf = tool_block();
	c->next = top;
	c->unread = root;
	walk_root(&c->next, root);
}

void cursor_exit(struct cursor *c)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(c->step); i++)
		if (c->step[i].data)
			pdata_block_free(c->step[i].data);
	if (c->leaf)
		pdata_block_free(c->leaf);
	free(c->range);
	memset(c, 0, sizeof(*c));
}

/* A subtree ends: on to the next one, if there is any. */
static void next_node(struct cursor *c)
{
	struct cursor_step *s;

	c->pos = c->next.hi;
	c->unread = false;
	while (c->depth) {
		s = &c->step[c->depth - 1];
		if (++s->index < walk_range_children(s->data)) {
			walk_range_child(s->data, &s->at, s->index, &c->next);
			c->unread = true;
			return;
		}
		c->depth--;
	}
}

static void enter(struct cursor *c, void *data)
{
	struct cursor_step *s = &c->step[c->depth++];

	swap(s->data, data);
	c->leaf = data ? data : tool_block();
	s->at = c->next;
	s->index = 0;
	walk_range_child(s->data, &s->at, 0, &c->next);
}

int cursor_descend(struct cursor *c)
{
	int r = walk_range_node(c->w, &c->next, c->leaf);

	if (r)
		return r;
	if (c->next.level) {
		enter(c, c->leaf);
		return 0;
	}
	c->unread = false;
	c->i = 0;
	return walk_range_leaf(c->w, &c->next, c->leaf, c->range, &c->nr);
}

void cursor_skip(struct cursor *c)
{
	next_node(c);
}

void cursor_segment(struct cursor *c, struct pdata_range *r)
{
	const struct pdata_range *here;

	while (c->i < c->nr && pdata_range_end(&c->range[c->i]) <= c->pos)
		c->i++;
	here = &c->range[c->i];
	if (c->i < c->nr && here->begin <= c->pos) {
		pdata_range_clip(here, c->pos, pdata_range_end(here), r);
		return;
	}
	*r = (struct pdata_range){ .begin = c->pos };
	r->len = (c->i < c->nr ? here->begin : c->next.hi) - c->pos;
}

void cursor_advance(struct cursor *c, u64 pos)
{
	if (pos < c->next.hi)
		c->pos = pos;
	else
		next_node(c);
}
