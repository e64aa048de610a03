// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_check: do the space maps say what the trees say?
 *
 * Too low a count is an error: the block or unit may be given out although it
 * is in use. Too high a one only leaks. If nodes could not be read, counts of
 * what lies below are unknown to us, and only what is too low can be told.
 */
#include "check.h"

/* Neighbouring differences of one kind become one line. */
struct diff {
	struct check *c;
	const char *type;
	const char *what;
	bool blocks;		/* else units of data */
	bool any;
	u64 begin;
	u64 end;
	u64 expected;
	u64 found;
};

static void diff_flush(struct diff *d)
{
	struct finding f = FINDING(d->found < d->expected ? SEV_FATAL : SEV_LEAK, d->type,
				   d->what);

	if (!d->any)
		return;
	d->any = false;
	if (d->found > d->expected && d->c->incomplete)
		return;
	if (d->blocks) {
		f.block = d->begin;
		f.nr_blocks = d->end - d->begin;
	} else {
		f.unit = "data units";
		f.begin = d->begin;
		f.end = d->end;
	}
	f.has_values = true;
	f.expected = d->expected;
	f.found = d->found;
	f.text = d->found < d->expected ? "in use but counted too low" : "leaked";
	report(d->c, &f);
	if (d->found > d->expected)
		check_mend_add(d->c, d->blocks, d->begin, d->end, d->found - d->expected);
}

static void diff_add(struct diff *d, u64 begin, u64 end, u64 expected, u64 found)
{
	if (begin >= end || expected == found)
		return;
	if (d->any && d->end == begin && d->expected == expected && d->found == found) {
		d->end = end;
		return;
	}
	diff_flush(d);
	d->any = true;
	d->begin = begin;
	d->end = end;
	d->expected = expected;
	d->found = found;
}

static void report_total(struct check *c, const char *what, u64 expected, u64 found)
{
	struct finding f = FINDING(SEV_LEAK, "superblock", what);

	if (expected == found)
		return;
	f.has_values = true;
	f.expected = expected;
	f.found = found;
	report(c, &f);
	check_mend_add(c, true, 0, 0, 0);
}

/* ---- data ---- */

struct data_check {
	struct walk w;		/* first */
	struct check *c;
	struct sweep sweep;
	struct diff diff;
};

/* All up to @end that the trees use has no count but 0 in the space map. */
static void data_gap(struct data_check *d, u64 end, u64 found, bool unknown)
{
	struct sweep *s = &d->sweep;
	u64 stop;

	while (s->begin < s->end && s->begin < end) {
		stop = min(s->end, end);
		if (!unknown)
			diff_add(&d->diff, s->begin, stop, s->count, found);
		s->begin = stop;
		if (s->begin == s->end)
			sweep_next(s);
	}
}

static void data_extent(struct data_check *d, u64 begin, u64 end, u64 found)
{
	struct sweep *s = &d->sweep;
	u64 stop;

	data_gap(d, begin, 0, false);
	while (begin < end) {
		if (s->begin == s->end || s->begin >= end) {
			diff_add(&d->diff, begin, end, 0, found);
			return;
		}
		if (s->begin > begin) {
			diff_add(&d->diff, begin, s->begin, 0, found);
			begin = s->begin;
		}
		stop = min(s->end, end);
		diff_add(&d->diff, begin, stop, s->count, found);
		begin = stop;
		s->begin = stop;
		if (s->begin == s->end)
			sweep_next(s);
	}
}

/* Nothing is known of [begin, end). */
static void data_lost(struct data_check *d, u64 begin, u64 end)
{
	data_gap(d, begin, 0, false);
	data_gap(d, end, 0, true);
	d->c->data_unknown += end - begin;
}

static int sm_range(struct walk *w, const struct walk_at *at, const struct pdata_range *r)
{
	struct data_check *d = (struct data_check *)w;
	struct finding f = FINDING(SEV_LEAK, "data space map", "counts are lost");

	if (r->tag == PDATA_SM_COUNT_UNKNOWN) {
		f.unit = "data units";
		f.begin = r->begin;
		f.end = pdata_range_end(r);
		f.text = "these units count as in use until repair";
		report(d->c, &f);
		data_lost(d, r->begin, pdata_range_end(r));
		return 0;
	}
	if (pdata_range_end(r) > d->c->sb.data_units) {
		f.what = "beyond the end of the data device";
		f.unit = "data units";
		f.begin = r->begin;
		f.end = pdata_range_end(r);
		f.block = at->block;
		report(d->c, &f);
	}
	d->c->data_used += r->len;
	data_extent(d, r->begin, pdata_range_end(r), r->tag);
	return 0;
}

/*
 * The tree is walked a second time, in key order and without looking at nodes
 * again: the first walk has reported what is bad.
 */
static int sm_bad(struct walk *w, const struct walk_at *at, const struct walk_bad *bad)
{
	data_lost((struct data_check *)w, at->lo, at->hi);
	return 0;
}

int check_data_counts(struct check *c)
{
	struct data_check *d = tool_alloc(sizeof(*d));
	int r;

	u64s_sort(&c->begins);
	u64s_sort(&c->ends);
	d->c = c;
	d->sweep.begins = &c->begins;
	d->sweep.ends = &c->ends;
	sweep_next(&d->sweep);
	d->diff.c = c;
	d->diff.type = "data space map";
	d->diff.what = "count";
	d->w.io = c->io;
	d->w.uuid = c->sb.uuid;
	d->w.nr_blocks = c->sb.meta_blocks;
	d->w.max_generation = c->sb.generation;
	d->w.owner = PDATA_OWNER_DATA_SM;
	d->w.range = sm_range;
	d->w.bad = sm_bad;
	r = walk_range_tree(&d->w, c->sb.data_sm_root);
	if (!r) {
		data_gap(d, PDATA_MAX_UNITS, 0, false);
		diff_flush(&d->diff);
		if (!c->data_unknown) {
			report_total(c, "data units in use", c->data_used, c->sb.data_used);
			report_total(c, "leaves of the data space map", c->sm_leaves,
				     c->sb.data_sm_leaves);
		}
	}
	walk_exit(&d->w);
	free(d);
	return r;
}

/* ---- metadata ---- */

static void check_group(struct check *c, u64 group, const struct pdata_counts *counts,
			struct diff *diff)
{
	const u64 begin = pdata_group_begin(group);
	const struct node *n;
	u64 block, expected, found;
	unsigned int i;

	for (i = 0; i < PDATA_COUNTS_PER_BLOCK; i++) {
		block = begin + i;
		found = le32_to_cpu(counts->count[i]);
		if (pdata_is_reserved(block, c->sb.journal_blocks)) {
			expected = 1;
		} else {
			n = node_find(c, block);
			expected = n ? n->refs : 0;
			c->meta_used += found > 0;
		}
		diff_add(diff, block, block + 1, expected, found);
	}
}

/* Nodes where the space map has no counts yet. */
static void check_beyond(struct check *c, struct diff *diff)
{
	const u64 end = pdata_group_begin(c->sb.meta_groups);
	u64 i;

	for (i = 0; i < c->max_nodes; i++)
		if (c->node[i].used && c->node[i].block >= end &&
		    c->node[i].block < c->sb.meta_blocks)
			diff_add(diff, c->node[i].block, c->node[i].block + 1,
				 c->node[i].refs, 0);
}

int check_meta_counts(struct check *c)
{
	struct diff diff = {
		.c = c, .type = "metadata space map", .what = "count", .blocks = true,
	};
	struct pdata_counts *counts = tool_block();
	bool complete = true;
	u64 group;

	for (group = 0; group < c->sb.meta_groups; group++) {
		tool_progress("space map", group, c->sb.meta_groups);
		if (check_counts_slots(c, group, counts))
			check_group(c, group, counts, &diff);
		else
			complete = false;
	}
	check_beyond(c, &diff);
	diff_flush(&diff);
	if (complete)
		report_total(c, "metadata blocks in use", c->meta_used, c->sb.meta_used);
	pdata_block_free(counts);
	return 0;
}
