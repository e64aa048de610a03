// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_check: what the journal adds to the trees.
 *
 * The core must be able to do what the kernel will, open and replay. After
 * that the thins' overlays say which data the journal's records map. A unit may
 * be in one of them only, and if the checkpoint counts it, it must be because a
 * part of the list had been merged: then the thin's tree maps it from the same
 * place.
 */
#include "check.h"

struct claim {
	u64 phys;
	u64 end;
	u64 vbegin;
	const struct thin2_dev *th;
};

struct claims {
	struct claim *v;
	size_t nr;
	size_t max;
};

static void claim_add(struct claims *cs, const struct thin2_dev *th, const struct pdata_range *r)
{
	if (cs->nr == cs->max) {
		cs->max = cs->max ? 2 * cs->max : 1024;
		cs->v = tool_realloc(cs->v, cs->max * sizeof(*cs->v));
	}
	cs->v[cs->nr++] = (struct claim) {
		.phys = r->value,
		.end = r->value + r->len,
		.vbegin = r->begin,
		.th = th,
	};
}

static int cmp_claim(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	return x->phys < y->phys ? -1 : x->phys > y->phys;
}

static void claim_report(struct check *c, const struct claim *claim, u64 begin, u64 end,
			 const char *what)
{
	struct finding f = FINDING(SEV_FATAL, "journal", what);

	f.uid = claim->th->uid;
	f.id = claim->th->id;
	f.has_id = true;
	f.unit = "data units";
	f.begin = begin;
	f.end = end;
	report(c, &f);
}

static void check_overlaps(struct check *c, struct claims *cs)
{
	const struct claim *last = NULL;
	size_t i;

	if (cs->nr)
		qsort(cs->v, cs->nr, sizeof(*cs->v), cmp_claim);
	for (i = 0; i < cs->nr; i++) {
		if (last && cs->v[i].phys < last->end)
			claim_report(c, &cs->v[i], cs->v[i].phys, min(cs->v[i].end, last->end),
				     "two changes map the same data");
		if (!last || cs->v[i].end > last->end)
			last = &cs->v[i];
	}
}

/* Does the thin's tree have the claim's unit @phys where the claim has it? Up to *end. */
static int tree_agrees(struct thin2_md *md, const struct claim *claim, u64 phys, u64 *end)
{
	const struct pdata_view view = { .tm = &md->tm };
	const struct pdata_rt rt = {
		.tm = &md->tm,
		.owner = claim->th->uid,
		.key_end = PDATA_MAX_UNITS,
	};
	const u64 key = claim->vbegin + (phys - claim->phys);
	struct pdata_range r;
	int err;

	err = pdata_rt_lookup(&rt, &view, claim->th->details.root, key, &r, NULL);
	if (err && err != -PDATA_E_NOT_FOUND)
		return err;
	*end = min(*end, phys + (pdata_range_end(&r) - key));
	return !err && r.kind == PDATA_RANGE_MAPPED && r.value + (key - r.begin) == phys;
}

static int check_claim(struct check *c, struct thin2_md *md, const struct claim *claim)
{
	const struct pdata_view view = { .tm = &md->tm };
	u64 pos = claim->phys, end;
	u32 count;
	int r;

	while (pos < claim->end) {
		r = pdata_sm_data_get(&md->data_sm, &view, md->sb.data_sm_root, pos, &count, &end);
		if (r)
			return r;
		end = min(end, claim->end);
		if (count && count != PDATA_SM_COUNT_UNKNOWN) {
			r = tree_agrees(md, claim, pos, &end);
			if (r < 0)
				return r;
			if (!r)
				claim_report(c, claim, pos, end,
					     "maps data that the checkpoint uses elsewhere");
		}
		pos = end;
	}
	return 0;
}

static int check_claims(struct check *c, struct thin2_md *md)
{
	struct claims cs = { };
	const struct thin2_dev *th;
	size_t i;
	int r = 0;

	list_for_each_entry(th, &md->thins, list)
		for (i = 0; i < th->nr_overlay; i++)
			if (th->overlay[i].kind == PDATA_RANGE_MAPPED)
				claim_add(&cs, th, &th->overlay[i]);
	check_overlaps(c, &cs);
	for (i = 0; i < cs.nr && !r; i++)
		r = check_claim(c, md, &cs.v[i]);
	free(cs.v);
	return r;
}

void check_replay(struct check *c)
{
	const struct thin2_md_params p = {
		.io = c->io,
		.name = c->path,
		.data_units = c->sb.data_units,
		.data_block_size = c->sb.data_block_size,
		.read_only = true,
	};
	struct finding f = FINDING(SEV_FATAL, "metadata", "cannot be opened read-only");
	struct thin2_md *md;
	int r = thin2_md_open(&p, &md);

	if (!r) {
		r = check_claims(c, md);
		f.what = "journal cannot be compared with the trees";
		thin2_md_abandon(md);
	}
	if (r) {
		f.text = tool_error(r);
		report(c, &f);
	}
}
