/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A place in a mapping tree, moving from left to right, that stops before each
 * node: whoever knows that node already may pass it by unread.
 */
#ifndef THIN2_TOOLS_CURSOR_H
#define THIN2_TOOLS_CURSOR_H

#include "walk.h"

struct cursor_step {
	struct walk_at at;
	void *data;
	unsigned int index;	/* the child taken */
};

struct cursor {
	struct walk *w;
	u64 pos;		/* PDATA_MAX_UNITS = the end */
	bool unread;		/* before the node @next, which begins at @pos; else in a leaf */
	struct walk_at next;	/* of the leaf, if in one */
	struct cursor_step step[WALK_MAX_LEVEL + 1];	/* root first */
	unsigned int depth;
	void *leaf;
	struct pdata_range *range;	/* of the leaf */
	unsigned int nr;
	unsigned int i;
};

/* @w says how to read, and outlives it; its bad() must return an error. @root 0 = empty. */
void cursor_init(struct cursor *c, struct walk *w, u64 root);
void cursor_exit(struct cursor *c);

/* Read the node. What it begins with, a node or ranges, comes next. */
int __must_check cursor_descend(struct cursor *c);
/* Pass it by. */
void cursor_skip(struct cursor *c);
/* In a leaf: what is at pos, a range or a hole (kind 0), as far as it goes in the leaf. */
void cursor_segment(struct cursor *c, struct pdata_range *r);
/* In a leaf: go on to @pos, which is in it or at its end. */
void cursor_advance(struct cursor *c, u64 pos);

#endif
