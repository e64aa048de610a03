// SPDX-License-Identifier: GPL-2.0-only
/* A checkpoint is held: whatever the pool does, that reads as it did. */
#include "pool-sim.h"

struct hash {
	struct pool_sim *ps;
	struct pdata_view view;
	u64 sum;
};

static void add(struct hash *h, u64 x)
{
	h->sum = pdata_mix(h->sum + x);
}

static int on_node(void *context, u64 block, int level, int err)
{
	struct hash *h = context;

	if (err && h->ps->clock.off)
		return err;
	if (err)
		ps_die(h->ps, "held details, block %llu: %s", block, pdata_error_text(err));
	add(h, block);
	return 0;
}

static int on_range_node(void *context, u64 ptr, unsigned int level, u64 lo, u64 hi, int err)
{
	struct hash *h = context;

	if (err && h->ps->clock.off)
		return err;
	if (err)
		ps_die(h->ps, "held tree, block %llu: %s", pdata_ptr_block(ptr),
		       pdata_error_text(err));
	add(h, ptr);
	return 0;
}

static int on_range(void *context, const struct pdata_range *r)
{
	struct hash *h = context;
	u32 count = 1;
	u64 end;
	int ret = 0;

	add(h, r->begin);
	add(h, r->len);
	add(h, r->value);
	if (r->kind == PDATA_RANGE_MAPPED)
		ret = pdata_sm_data_get(&h->ps->md->data_sm, &h->view,
					h->ps->md->data_sm.rt.root, r->value, &count, &end);
	if (ret && h->ps->clock.off)
		return ret;
	if (ret || !count)
		ps_die(h->ps, "unit %llu, which a held tree maps: count %u, %s", r->value, count,
		       pdata_error_text(ret));
	return 0;
}

static int on_entry(void *context, u64 key, const void *value)
{
	const struct pdata_details_disk *d = value;
	struct hash *h = context;
	struct thin2_details none = { 0 };
	struct pdata_rt rt;

	add(h, key);
	add(h, le64_to_cpu(d->uid));
	add(h, le64_to_cpu(d->root));
	if (!d->root)
		return 0;
	thin2_rt_init_details(h->ps->md, &none, &rt);
	return pdata_rt_walk(&rt, &h->view, le64_to_cpu(d->root), 0, PDATA_MAX_UNITS,
			     on_range_node, on_range, h);
}

static u64 hash_held(struct pool_sim *ps)
{
	struct thin2_md *md = ps->md;
	struct hash h = { .ps = ps, .view = { .tm = &md->tm } };
	const struct pdata_hold *hold = md->sb.hold;
	int r;

	while (hold < md->sb.hold + md->sb.nr_holds && hold->kind != PDATA_HOLD_CHECKPOINT)
		hold++;
	if (hold == md->sb.hold + md->sb.nr_holds)
		ps_die(ps, "no checkpoint is held");
	r = pdata_btree_walk(&md->details, &h.view, hold->root, on_node, on_entry, &h);
	if (r && !ps->clock.off)
		ps_die(ps, "walk of what is held: %s", pdata_error_text(r));
	return h.sum;
}

int ps_hold_all(struct pool_sim *ps)
{
	int r = thin2_reserve_snap(ps->md);

	if (!r && ps->all_held)
		ps_die(ps, "two checkpoints are held");
	if (r == -PDATA_E_BUSY && !ps->all_held && !ps->faulty)
		ps_die(ps, "a checkpoint is held by nobody");
	if (r == -PDATA_E_BUSY || r == -PDATA_E_LIMIT)
		return 0;
	if (r)
		return r;
	ps->all_held = true;
	if (!ps->faulty)
		ps->all_hash = hash_held(ps);
	return 0;
}

int ps_put_all(struct pool_sim *ps)
{
	int r = thin2_release_snap(ps->md);

	if (r == -PDATA_E_NOT_HELD && !ps->all_held)
		return 0;
	if (!r)
		ps->all_held = false;
	return r;
}

void ps_verify_held_all(struct pool_sim *ps)
{
	if (ps->all_held && !ps->faulty && hash_held(ps) != ps->all_hash)
		ps_die(ps, "the held checkpoint has changed");
}
