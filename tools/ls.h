/* SPDX-License-Identifier: GPL-2.0-only */
/* Inside thin2_ls: what thins have for themselves. */
#ifndef THIN2_TOOLS_LS_H
#define THIN2_TOOLS_LS_H

#include "source.h"

struct ls_usage {
	u64 exclusive;		/* units mapped that no other thin maps */
	u64 end;		/* one past the highest mapped unit, 0 = none */
};

/* For each of s->thin[]; free() *usage. Returns 0 or an error that was reported. */
int ls_usage(struct source *s, struct ls_usage **usage);

#endif
