// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_check --auto-repair: what can be put right without a doubt.
 *
 * That is what is counted too high, totals, and copies of the superblock, if nothing
 * else is wrong. The pool is opened by the core, as when it is used, and what was
 * counted too high is counted down in one transaction. All else is thin2_repair's.
 */
#include "check.h"

#include "dm-thin2-internal.h"
#include "md.h"

void check_mend_add(struct check *c, bool blocks, u64 begin, u64 end, u64 excess)
{
	c->nr_mends++;
	if (!c->auto_repair)
		return;
	if (c->nr_excess == c->max_excess) {
		c->max_excess = c->max_excess ? 2 * c->max_excess : 64;
		c->excess = tool_realloc(c->excess, c->max_excess * sizeof(*c->excess));
	}
	c->excess[c->nr_excess++] = (struct excess) {
		.blocks = blocks, .begin = begin, .end = end, .nr = excess,
	};
}

bool check_can_mend(const struct check *c)
{
	return c->nr_found[SEV_LEAK] && !c->nr_found[SEV_FATAL] && !c->incomplete &&
	       c->nr_found[SEV_LEAK] == c->nr_mends;
}

static int mend_blocks(struct thin2_md *md, const struct excess *e)
{
	u64 block, i;
	u32 count;
	int r = 0;

	for (block = e->begin; block < e->end && !r; block++)
		for (i = 0; i < e->nr && !r; i++)
			r = pdata_tm_dec(&md->tm, block, &count);
	return r;
}

static int mend_units(struct thin2_md *md, const struct excess *e)
{
	struct pdata_count_log *log = &md->data_sm.log;
	int r = pdata_count_log_reserve(log, 1);

	return r ? r : pdata_count_log_add(log, e->begin, e->end - e->begin, -(s32)e->nr, 0, 0);
}

static int mend_all(struct check *c, struct thin2_md *md)
{
	size_t i;
	int r = 0;

	/* Totals are what the maps say; they follow what is counted down. */
	md->data_sm.used += c->data_used - c->sb.data_used;
	md->data_sm.leaves += c->sm_leaves - c->sb.data_sm_leaves;
	md->tm.sm.used += c->meta_used - c->sb.meta_used;
	for (i = 0; i < c->nr_excess && !r; i++)
		r = c->excess[i].blocks ? mend_blocks(md, &c->excess[i]) :
					  mend_units(md, &c->excess[i]);
	/* This one and that of the close write all copies of the superblock. */
	return r ? r : thin2_commit(md);
}

int check_mend(struct check *c)
{
	struct tool_md t = { };
	const struct thin2_md_params p = {
		.io = c->io,
		.name = c->path,
		.data_units = c->sb.data_units,
		.data_block_size = c->sb.data_block_size,
		.ops = &tool_md_ops,
		.context = &t,
	};
	int r = thin2_md_open(&p, &t.md);

	if (r)
		return r;
	thin2_lock(t.md);
	r = mend_all(c, t.md);
	thin2_unlock(t.md);
	if (r) {
		thin2_md_abandon(t.md);
		return r;
	}
	return thin2_md_close(t.md);
}
