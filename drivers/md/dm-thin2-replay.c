// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replay: after a crash the journal's records become delta lists and range-map
 * entries again. Nothing is written and nothing is allocated on the metadata
 * device, so it works read-only too.
 *
 * Records are collected by uid. Those of unknown uids (deleted thins) and those
 * that a tree already holds (applied_seq) are dropped. What remains is netted
 * per thin before any unit is marked as in use: a unit that an old record maps
 * may have been freed and given to another thin before the crash, whose record
 * then follows in the journal, behind the one that took it from the first.
 */
#include "dm-thin2-internal.h"

/* Records of one uid. */
struct replay_thin {
	struct rb_node node;
	u64 uid;
	struct thin2_delta_list list;
};

struct replay {
	struct thin2_md *md;
	struct rb_root thins;
	u64 nr;
};

static struct replay_thin *replay_find(struct replay *rp, u64 uid, bool add)
{
	struct rb_node **p = &rp->thins.rb_node, *parent = NULL;
	struct replay_thin *rt;

	while (*p) {
		parent = *p;
		rt = rb_entry(parent, struct replay_thin, node);
		if (uid == rt->uid)
			return rt;
		p = uid < rt->uid ? &parent->rb_left : &parent->rb_right;
	}
	if (!add)
		return NULL;
	rt = kzalloc(sizeof(*rt), GFP_NOIO);
	if (!rt)
		return NULL;
	rt->uid = uid;
	thin2_delta_list_init(&rt->list, 1);
	rb_link_node(&rt->node, parent, p);
	rb_insert_color(&rt->node, &rp->thins);
	return rt;
}

static int collect_record(void *context, u64 seq, const struct pdata_record *rec)
{
	struct replay *rp = context;
	struct replay_thin *rt = replay_find(rp, rec->uid, true);
	const struct thin2_delta d = {
		.seq = seq,
		.vbegin = rec->vbegin,
		.kind = rec->kind,
		.phys = rec->phys,
		.len = rec->len,
		.birth = rec->birth,
	};

	if (!rt || thin2_delta_list_reserve(&rt->list, GFP_NOIO))
		return -ENOMEM;
	/*
	 * A snapshot that the crash prevented may have lent its time to births
	 * already; the next snapshot must not use that time again.
	 */
	rp->md->sb.time = max(rp->md->sb.time, rec->birth);
	thin2_delta_list_add(&rt->list, &d, 0);
	rp->nr++;
	return 0;
}

static u8 record_kind(u8 kind)
{
	switch (kind) {
	case PDATA_RANGE_MAPPED:
		return PDATA_REC_MAP;
	case PDATA_RANGE_ZERO:
		return PDATA_REC_ZERO;
	case PDATA_RANGE_DAMAGED:
		return PDATA_REC_DAMAGED;
	default:
		return PDATA_REC_UNMAP;
	}
}

static u64 entry_value(struct thin2_dev *th, const struct pdata_range *r)
{
	unsigned int tag = th->active.tag;

	switch (r->kind) {
	case PDATA_RANGE_MAPPED:
		if (r->tag < th->snap_time)
			return pdata_rm_value(PDATA_RM_SHARED, tag, r->begin, r->value);
		th->epoch_used[th->epoch] = true;
		return pdata_rm_value(PDATA_RM_EXCL0 + th->epoch, tag, r->begin, r->value);
	case PDATA_RANGE_ZERO:
		return pdata_rm_plain(PDATA_RM_ZERO, tag);
	case PDATA_RANGE_DAMAGED:
		return pdata_rm_plain(PDATA_RM_DAMAGED, tag);
	default:
		return pdata_rm_plain(PDATA_RM_HOLE, tag);
	}
}

/*
 * One net change becomes a delta and a range-map entry. Its record's sequence
 * is lost; all say that of the first record, which keeps the journal's tail.
 */
static int restore_change(struct thin2_dev *th, const struct pdata_range *r, u64 seq)
{
	const struct thin2_delta d = {
		.seq = seq,
		.vbegin = r->begin,
		.kind = record_kind(r->kind),
		.phys = r->value,
		.len = r->len,
		.birth = r->tag,
	};
	unsigned long flags;
	int ret;

	if (r->kind == PDATA_RANGE_MAPPED && !th->md->read_only) {
		ret = pdata_alloc_take(&th->md->alloc, r->value, r->len);
		if (ret)
			return ret;
	}
	/* No I/O yet, nobody else uses the list. */
	ret = thin2_delta_list_reserve(&th->active, GFP_NOIO);
	if (ret)
		return ret;
	spin_lock_irqsave(&th->lock, flags);
	thin2_note_changed(th);
	thin2_delta_list_add(&th->active, &d, 0);
	ret = pdata_rm_store(th->rm, r->begin, pdata_range_end(r), entry_value(th, r));
	spin_unlock_irqrestore(&th->lock, flags);
	atomic64_inc(&th->md->nr_dirty);
	return ret;
}

static int restore_thin(struct thin2_md *md, const struct thin2_details *d,
			struct replay_thin *rt)
{
	struct thin2_dev *th;
	struct thin2_net net;
	unsigned int i;
	int r;

	thin2_delta_list_skip(&rt->list, d->applied_seq);
	if (!rt->list.nr)
		return 0;
	th = thin2_dev_create(md, d);
	if (!th)
		return -ENOMEM;
	r = thin2_delta_net(&rt->list, &net);
	if (r)
		return r;
	for (i = 0; i < net.nr && !r; i++)
		r = restore_change(th, &net.change[i], rt->list.first_seq);
	thin2_net_free(&net);
	if (r)
		return r;
	/* All of them count as merged once the highest is, superseded ones included. */
	th->active.last_seq = rt->list.last_seq;
	th->last_seq = rt->list.last_seq;
	return 0;
}

static int match_details(void *context, u64 key, const void *value)
{
	struct replay *rp = context;
	struct thin2_details d;
	struct replay_thin *rt;

	thin2_details_unpack(value, &d);
	rt = replay_find(rp, d.uid, false);
	return rt ? restore_thin(rp->md, &d, rt) : 0;
}

static void replay_exit(struct replay *rp)
{
	struct replay_thin *rt;
	struct rb_node *node;

	while ((node = rb_first(&rp->thins))) {
		rt = rb_entry(node, struct replay_thin, node);
		rb_erase(node, &rp->thins);
		thin2_delta_list_free(&rt->list, NULL);
		kfree(rt);
	}
}

int thin2_replay(struct thin2_md *md)
{
	struct replay rp = { .md = md, .thins = RB_ROOT };
	struct pdata_view view = { .tm = &md->tm };
	int r;

	r = pdata_journal_replay(&md->journal, &md->sb, collect_record, &rp);
	if (!r && rp.nr)
		r = pdata_btree_walk(&md->details, &view, md->details.root, NULL,
				     match_details, &rp);
	if (!r && rp.nr && !md->read_only)
		pdata_info("%s: replayed %llu journal records", md->name, rp.nr);
	WRITE_ONCE(md->may_free, true);
	replay_exit(&rp);
	return r;
}
