// SPDX-License-Identifier: GPL-2.0-only
/* thin2_repair: what was found, what is lost, and why. */
#include "repair.h"

/* Lines on a terminal; a file gets all. */
#define MAX_SHOWN	1000

static void add_loss(struct repair *r, const struct rp_thin *t, u64 lo, u64 hi, u64 block,
		     const char *why)
{
	struct rp_loss *l;

	if (lo >= hi)
		return;
	l = rp_array_add(&r->losses, sizeof(*l));
	*l = (struct rp_loss){ t->d.uid, t->d.id, lo, hi, block, why };
}

static const char *why_leaf(const struct repair *r, u64 block)
{
	const struct rp_block *b = rp_find(r, block);

	return b ? "its leaf's block holds something else" : rp_why_text(rp_why(r, block));
}

/* What of a lost node's interval nothing was found for. */
static void lost_node(struct repair *r, const struct rp_thin *t, const struct rp_lost *l)
{
	const char *why = l->why;
	u64 pos = l->lo;
	size_t i;

	if (!l->level) {
		add_loss(r, t, l->lo, l->hi, l->block, why_leaf(r, l->block));
		return;
	}
	if (!why && l->proven)
		why = "the node above is lost, and it, too";
	else if (!why)
		why = "the node above is lost, and nothing shows which leaf was the last one";
	for (i = 0; i < l->nr_items; i++) {
		add_loss(r, t, pos, l->item[i].lo, l->block, why);
		pos = l->item[i].hi;
	}
	add_loss(r, t, pos, l->hi, l->block, why);
}

static int cmp_loss(const void *a, const void *b)
{
	const struct rp_loss *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

int rp_find_losses(struct repair *r)
{
	struct rp_array lost = { };
	const struct rp_thin *t;
	size_t i, k;
	int err = 0;

	for (i = 0, t = r->thins.v; i < r->thins.nr && !err; i++, t++) {
		if (t->tombstone || t->dropped)
			continue;
		err = rp_collect_lost(r, t, &lost);
		for (k = 0; k < lost.nr && !err; k++)
			lost_node(r, t, rp_lost(r, ((u32 *)lost.v)[k] - 1));
	}
	free(lost.v);
	if (r->losses.nr)
		qsort(r->losses.v, r->losses.nr, sizeof(struct rp_loss), cmp_loss);
	return err;
}

/* ---- text ---- */

static const char * const type_text[RP_NR_TYPES] = {
	[RP_SUPER] = "superblocks",
	[RP_JOURNAL] = "journal_blocks",
	[RP_COUNTS] = "count_blocks",
	[RP_BTREE] = "btree_nodes",
	[RP_NODE] = "range_nodes",
	[RP_LEAF] = "range_leaves",
};

static u64 lost_units(const struct rp_thin *t)
{
	return t->d.mapped_units - min(t->mapped, t->d.mapped_units);
}

static bool lost_anything(const struct repair *r)
{
	size_t i;

	for (i = 0; i < r->thins.nr; i++)
		if (rp_thin(r, i)->dropped && rp_thin(r, i)->note)
			return true;
	return r->losses.nr || r->journal_missing || r->details_doubt;
}

static const char *checkpoint_text(const struct repair *r)
{
	if (r->have_roots)
		return "superblock";
	return r->have_super ? "blocks; all superblocks left are older" : "blocks";
}

static void text_found(const struct repair *r, FILE *f)
{
	unsigned int i;

	fprintf(f, "%s: %llu blocks: ", r->input, r->nr_blocks);
	for (i = 0; i < RP_NR_TYPES; i++)
		fprintf(f, "%s%llu %s", i ? ", " : "", r->nr_type[i], type_text[i]);
	fprintf(f, "\nblocks that are no good: %llu damaged, %llu unreadable, ",
		r->nr_why[RP_BAD], r->nr_why[RP_UNREADABLE]);
	fprintf(f, "%llu of other pools, %llu of older versions\n", r->nr_why[RP_FOREIGN],
		r->nr_stale);
	fprintf(f, "checkpoint %llu, from %s; counts of %llu groups are lost\n", r->generation,
		checkpoint_text(r), r->groups_lost);
	if (r->details_doubt)
		fputs("lost: a part of the details tree; some thins may not be found\n", f);
	fprintf(f, "journal: %zu blocks, %llu records kept of %llu; %llu blocks are lost\n",
		r->journal.nr, r->records_kept, r->journal_records, r->journal_missing);
	if (r->journal_missing)
		fprintf(f, "lost: up to %llu changes of mappings, thins and ranges unknown\n",
			r->journal_missing * PDATA_RECORDS_PER_BLOCK);
	if (r->journal_doubt)
		fputs("journal: a block was torn by a crash, or up to 124 changes are lost\n", f);
}

static void text_thins(const struct repair *r, FILE *f)
{
	const struct rp_thin *t;
	size_t i;

	for (i = 0, t = r->thins.v; i < r->thins.nr; i++, t++) {
		if (t->tombstone || (t->dropped && !t->note))
			continue;
		fprintf(f, "thin %u, uid %llu: ", t->d.id, t->d.uid);
		if (t->dropped) {
			fprintf(f, "lost: %s\n", t->note);
			continue;
		}
		fprintf(f, "%llu units mapped", t->mapped);
		if (!t->doubt && lost_units(t))
			fprintf(f, ", %llu lost", lost_units(t));
		if (t->doubt)
			fputs(", from an entry that may be an older one", f);
		if (t->mismatch)
			fputs("; complete, but its sum does not agree\n", f);
		else
			fputs(t->proven ? "; complete, as its sum shows\n" : "\n", f);
	}
}

static void text_losses(const struct repair *r, FILE *f, size_t max)
{
	const struct rp_loss *l = r->losses.v;
	size_t i;

	for (i = 0; i < r->losses.nr && i < max; i++, l++) {
		fprintf(f, "lost: thin %u, uid %llu, units %llu..%llu, sectors %llu..%llu", l->id,
			l->uid, l->lo, l->hi - 1, l->lo * PDATA_UNIT_SECTORS,
			l->hi * PDATA_UNIT_SECTORS - 1);
		fprintf(f, ": block %llu: %s\n", l->block, l->why);
	}
	if (i < r->losses.nr)
		fprintf(f, "%zu further ranges are lost; --report lists them\n", r->losses.nr - i);
}

/* ---- JSON ---- */

static void json_found(const struct repair *r, struct json *j)
{
	unsigned int i;

	json_object(j, "input");
	json_u64(j, "blocks", r->nr_blocks);
	for (i = 0; i < RP_NR_TYPES; i++)
		json_u64(j, type_text[i], r->nr_type[i]);
	json_u64(j, "damaged_blocks", r->nr_why[RP_BAD]);
	json_u64(j, "unreadable_blocks", r->nr_why[RP_UNREADABLE]);
	json_u64(j, "foreign_blocks", r->nr_why[RP_FOREIGN]);
	json_u64(j, "stale_blocks", r->nr_stale);
	json_u64(j, "generation", r->generation);
	json_bool(j, "newest_superblock_found", r->have_roots);
	json_u64(j, "count_groups_lost", r->groups_lost);
	json_bool(j, "thins_may_be_missing", r->details_doubt);
	json_u64(j, "journal_records", r->journal_records);
	json_u64(j, "journal_records_kept", r->records_kept);
	json_u64(j, "journal_blocks_lost", r->journal_missing);
	json_bool(j, "journal_end_damaged", r->journal_doubt);
	json_object_end(j);
}

static void json_thins(const struct repair *r, struct json *j)
{
	const struct rp_thin *t;
	size_t i;

	json_array(j, "thins");
	for (i = 0, t = r->thins.v; i < r->thins.nr; i++, t++) {
		if (t->tombstone || (t->dropped && !t->note))
			continue;
		json_object(j, NULL);
		json_u64(j, "dev_id", t->d.id);
		json_u64(j, "uid", t->d.uid);
		json_u64(j, "mapped_units", t->dropped ? 0 : t->mapped);
		json_u64(j, "lost_units", lost_units(t));
		json_u64(j, "journal_records", t->records);
		json_bool(j, "complete", t->proven);
		json_bool(j, "sum_mismatch", t->mismatch);
		json_bool(j, "doubtful", t->doubt);
		json_bool(j, "dropped", t->dropped);
		json_object_end(j);
	}
	json_array_end(j);
}

static void json_losses(const struct repair *r, struct json *j)
{
	static const char format[] = "{\"dev_id\": %u, \"uid\": %llu, "
		"\"begin\": %llu, \"end\": %llu, \"block\": %llu, \"why\": \"%s\"}";
	const struct rp_loss *l = r->losses.v;
	size_t i;

	json_array(j, "lost");
	for (i = 0; i < r->losses.nr; i++, l++)
		json_line(j, format, l->id, l->uid, l->lo, l->hi, l->block, l->why);
	json_array_end(j);
}

static void write_json(const struct repair *r, FILE *f, int status)
{
	struct json j;

	json_begin(&j, f);
	json_found(r, &j);
	json_thins(r, &j);
	json_losses(r, &j);
	json_bool(&j, "nothing_lost", !status && !lost_anything(r));
	json_u64(&j, "output_blocks_used", r->out_used);
	json_u64(&j, "transaction_id", r->out_sb.transaction_id);
	json_u64(&j, "exit_status", status);
	json_end(&j);
}

static void write_text(const struct repair *r, FILE *f, int status, size_t max)
{
	text_found(r, f);
	text_thins(r, f);
	text_losses(r, f, max);
	if (status)
		fputs("not repaired\n", f);
	else
		fprintf(f, "repaired, %s\n", lost_anything(r) ? "with losses" : "nothing is lost");
}

static int to_file(const struct repair *r, int status)
{
	FILE *f = fopen(r->report_file, "w");

	if (f && r->json)
		write_json(r, f, status);
	else if (f)
		write_text(r, f, status, SIZE_MAX);
	if (!f || fclose(f)) {
		tool_err("%s: %s", r->report_file, strerror(errno));
		return -EIO;
	}
	return 0;
}

int rp_report(struct repair *r, int status)
{
	if (!status && lost_anything(r))
		tool_err("%s: repaired, with losses: %zu ranges, %llu journal blocks", r->output,
			 r->losses.nr, r->journal_missing);
	if (r->report_file)
		return to_file(r, status);
	if (r->quiet)
		return 0;
	if (r->json)
		write_json(r, stdout, status);
	else
		write_text(r, stdout, status, MAX_SHOWN);
	return 0;
}
