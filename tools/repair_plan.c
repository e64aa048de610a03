// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_repair: the plan.
 *
 * Without the newest superblock the generation of the checkpoint has to be found
 * out. It is that of the newest blocks, or, if a crash left these half written, the
 * one before. Both say the same, as the journal is written before a transaction's
 * blocks, but what the newer one has freed may be in use by now. So that is taken if
 * the details are of it, which each commit writes. Else what loses less is right.
 */
#include "repair.h"

/*
 * An entry that nobody vouches for stays if its tree is surely in use. While the
 * counts are known, they say so; else a sum that agrees is taken for it.
 */
static bool is_in_use(const struct repair *r, const struct rp_thin *t)
{
	if (t->adopted)
		return true;
	return t->d.root && t->proven && !t->stale && (r->groups_lost || r->counts_doubt);
}

static void drop_doubtful(struct repair *r)
{
	struct rp_thin *t;
	size_t i;

	for (i = 0, t = r->thins.v; i < r->thins.nr; i++, t++) {
		if (!t->doubt || t->tombstone || t->dropped || is_in_use(r, t))
			continue;
		t->dropped = true;
		t->note = "its entry may be one of a thin that was deleted";
	}
}

/* Units that are known to be mapped and were not found. */
static u64 units_lost(struct repair *r)
{
	struct rp_array lost = { };
	struct rp_thin *t;
	u64 all = 0;
	size_t i, k;

	for (i = 0, t = r->thins.v; i < r->thins.nr; i++, t++) {
		const struct rp_at at = rp_root_at(t);
		const struct rp_ref ref = rp_resolve(r, &at);

		if (t->tombstone)
			continue;
		t->mapped = ref.node ? rp_block(r, ref.node)->mapped : 0;
		if (rp_collect_lost(r, t, &lost))
			continue;
		for (k = 0; k < lost.nr; k++)
			t->mapped += rp_lost(r, ((u32 *)lost.v)[k] - 1)->mapped;
		all += t->d.mapped_units - min(t->mapped, t->d.mapped_units);
	}
	free(lost.v);
	return all;
}

static int plan_for(struct repair *r, u64 generation, u64 *lost)
{
	int err;

	r->generation = generation;
	rp_restore(r);
	rp_load_counts(r);
	err = rp_details(r);
	if (!err)
		rp_doubt_stale(r);
	if (!err)
		err = rp_trees(r);
	if (!err)
		err = rp_fill_lost(r);
	if (err)
		return err;
	drop_doubtful(r);
	*lost = units_lost(r);
	return 0;
}

/* One of the checkpoints there may have been. */
struct choice {
	u64 generation;
	bool roots;	/* the superblock's hold for it */
};

static int plan_choice(struct repair *r, const struct choice *c, u64 *lost)
{
	r->have_roots = c->roots;
	return plan_for(r, c->generation, lost);
}

static bool has_details(const struct repair *r, u64 generation)
{
	const struct rp_block *b = r->index.v, *end = b + r->index.nr;

	for (; b < end; b++)
		if (b->pool == r->pool && b->type == RP_BTREE && b->generation == generation &&
		    (b->owner == PDATA_OWNER_DETAILS || b->owner == PDATA_OWNER_DETAILS_COPY))
			return true;
	return false;
}

int rp_plan(struct repair *r)
{
	const struct choice newest = { r->newest, false };
	const struct choice before = { r->newest - 1, r->have_roots };
	u64 lost, lost_before, thins;
	int err;

	if (r->have_roots && !r->roots_doubt)
		return plan_for(r, r->generation, &lost);
	err = plan_choice(r, &newest, &lost);
	if (err || !r->newest || (r->thins.nr && (!lost || has_details(r, r->newest))))
		return err;
	thins = r->thins.nr;
	err = plan_choice(r, &before, &lost_before);
	if (err || (r->thins.nr >= thins && lost_before < lost))
		return err;
	return plan_choice(r, &newest, &lost);
}

int rp_repair(struct repair *r)
{
	int err;

	err = rp_scan(r);
	if (!err)
		err = rp_choose_super(r);
	if (!err)
		err = rp_plan(r);
	if (!err)
		err = rp_journal(r);
	if (!err)
		err = rp_find_losses(r);
	if (!err)
		err = rp_write(r);
	return err;
}

void rp_exit(struct repair *r)
{
	u64 i;

	for (i = 0; i < r->lost.nr; i++)
		free(rp_lost(r, i)->item);
	for (i = 0; r->counts && i < r->nr_groups; i++)
		free(r->counts[i]);
	free(r->counts);
	free(r->at);
	free(r->scratch);
	free(r->lost_table);
	free(r->index.v);
	free(r->hints.v);
	free(r->lost.v);
	free(r->thins.v);
	free(r->deleting.v);
	free(r->losses.v);
	free(r->holes.v);
	free(r->journal.v);
	free(r->extra.v);
	free(r->by_owner.v);
	free(r->by_uid.v);
}
