// SPDX-License-Identifier: GPL-2.0-only
/* thin2_check: all of a check, for whoever wants one. */
#include "check.h"

int check_all(struct check *c)
{
	int r;

	check_journal(c);
	r = check_trees(c);
	if (!r && !c->skip_mappings)
		r = check_data_counts(c);
	if (!r && !c->skip_mappings)
		r = check_meta_counts(c);
	if (!r && !c->nr_found[SEV_FATAL])
		check_replay(c);
	return r;
}

void check_exit(struct check *c)
{
	free(c->node);
	free(c->thin);
	free(c->begins.v);
	free(c->ends.v);
	free(c->excess);
}
