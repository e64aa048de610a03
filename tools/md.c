// SPDX-License-Identifier: GPL-2.0-only
/* What the core asks for, answered by tools that move no data. */
#include "md.h"

static int flush_data(void *context)
{
	return 0;
}

static void drain(void *context)
{
}

static void freed(void *context, struct list_head *batch)
{
	struct tool_md *t = context;

	/* While it is being opened there is no pool to give them back to yet. */
	if (t->md)
		thin2_release(t->md, batch);
}

static void wake(void *context)
{
}

const struct thin2_md_ops tool_md_ops = {
	.flush_data = flush_data,
	.drain = drain,
	.freed = freed,
	.wake = wake,
};
