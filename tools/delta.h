/* SPDX-License-Identifier: GPL-2.0-only */
/* Inside thin2_delta. */
#ifndef THIN2_TOOLS_DELTA_H
#define THIN2_TOOLS_DELTA_H

#include "source.h"

enum delta_kind {
	DELTA_NONE,		/* nothing is mapped in either */
	DELTA_SAME,
	DELTA_DIFFERENT,
	DELTA_LEFT,
	DELTA_RIGHT,
	DELTA_DAMAGED,		/* one cannot be read, nor be told to be the same */
};

struct delta_part {
	enum delta_kind kind;
	u64 begin;
	u64 len;
	u64 left;		/* data unit, if mapped there */
	u64 right;
};

typedef void (*delta_fn)(void *context, const struct delta_part *p);

/**
 * delta_compare - go through two thins
 * @s: where both are
 * @left: root of the one
 * @right: root of the other
 * @skip_same: do not look for what is the same: shared subtrees are not read
 * @fn: called in order; parts that continue each other may come in pieces
 * @context: its
 *
 * Return: 0 or an error that was reported.
 */
int delta_compare(struct source *s, u64 left, u64 right, bool skip_same, delta_fn fn,
		  void *context);

/* ---- delta_output.c ---- */

struct delta_output {
	const struct pdata_super *sb;
	/* What the sides are called: by id, or by root. */
	bool by_root[2];
	u64 side[2];
	bool verbose;
	bool json;
	bool skip_same;

	struct json j;
	enum delta_kind open;		/* verbose: element that is open */
	struct delta_part last;		/* may grow yet; none if its len is 0 */
};

void delta_begin(struct delta_output *o);
void delta_part(void *context, const struct delta_part *p);	/* delta_fn */
void delta_end(struct delta_output *o);

#endif
