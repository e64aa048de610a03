// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replay: after a crash the journal's records become, for each thin, one sorted
 * array of what they amount to: its first merge, and until that is durable its
 * overlay (dm-thin2-overlay.c). Nothing is written and nothing is allocated on
 * the metadata device, so it works read-only too.
 *
 * Records are collected by uid. Those of unknown uids (deleted thins) and those
 * that a tree already holds (applied_seq) are dropped. What remains is netted
 * per thin before any unit is marked as in use: a unit that an old record maps
 * may have been freed and given to another thin before the crash, whose record
 * then follows in the journal, behind the one that took it from the first.
 *
 * Where details cannot be read, those thins are lost until repair, and with them
 * their records: the others go on.
 */
#include "dm-thin2-internal.h"
#include "persistent-data/pdata-sort.h"

/* Records of one uid. */
struct replay_thin {
	struct rb_node node;
	u64 uid;
	bool found;		/* its details were */
	struct thin2_delta_list list;
};

struct replay {
	struct thin2_md *md;
	struct rb_root thins;
	struct replay_thin *last;	/* whose record the last one was */
	u64 nr;
	int lost;			/* why details of some thins cannot be read */
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
	struct replay_thin *rt = rp->last;
	const struct thin2_delta d = {
		.seq = seq,
		.vbegin = rec->vbegin,
		.kind = rec->kind,
		.phys = rec->phys,
		.len = rec->len,
		.birth = rec->birth,
	};

	if (!rt || rt->uid != rec->uid)
		rt = replay_find(rp, rec->uid, true);
	rp->last = rt;
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

/* ---- what a thin's records amount to ---- */

struct extent {
	u64 begin;
	u64 len;
};

static_assert(!offsetof(struct extent, begin));	/* the key */

static int cmp_extent(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	return x->begin < y->begin ? -1 : x->begin > y->begin;
}

/* What is mapped is in use. In physical order, where it mostly was allocated in one go. */
static int take_mapped(struct thin2_md *md, const struct thin2_net *net)
{
	struct extent *e = kvmalloc_array(net->nr, sizeof(*e), GFP_NOIO);
	unsigned int i, next, n = 0;
	u64 end;
	int r = 0;

	if (!e)
		return -ENOMEM;
	for (i = 0; i < net->nr; i++)
		if (net->change[i].kind == PDATA_RANGE_MAPPED)
			e[n++] = (struct extent){ net->change[i].value, net->change[i].len };
	pdata_sort(e, n, sizeof(*e), PDATA_KEY_BITS, cmp_extent);
	for (i = 0; i < n && !r; i = next) {
		end = e[i].begin + e[i].len;
		for (next = i + 1; next < n && e[next].begin == end; next++)
			end += e[next].len;
		r = pdata_alloc_take(&md->alloc, e[i].begin, end - e[i].begin);
	}
	kvfree(e);
	return r;
}

/* One past the highest unit that is mapped, 0 if none. */
static u64 net_high(const struct thin2_net *net)
{
	unsigned int i = net->nr;

	while (i--)
		if (net->change[i].kind == PDATA_RANGE_MAPPED)
			return pdata_range_end(&net->change[i]);
	return 0;
}

/*
 * The changes become the thin's frozen list, netted already, and its overlay.
 * All records count as merged once these are, superseded ones included. Units
 * that were mapped in vain are not in use, nothing needs to free them.
 */
static void restore_list(struct thin2_dev *th, const struct thin2_delta_list *l,
			 struct thin2_net *net)
{
	struct thin2_md *md = th->md;
	unsigned long flags;

	th->merge.change = net->change;
	th->merge.nr = net->nr;
	th->merge.seq = l->last_seq;
	kvfree(net->dead);
	md->merged_seq = max(md->merged_seq, l->last_seq);
	atomic64_add(net->nr, &md->nr_dirty);

	spin_lock_irqsave(&th->lock, flags);
	thin2_note_changed(th);
	th->frozen.nr = net->nr;
	th->frozen.first_seq = l->first_seq;
	th->frozen.last_seq = l->last_seq;
	th->frozen.high = net_high(net);
	th->last_seq = l->last_seq;
	th->overlay = net->change;
	th->nr_overlay = net->nr;
	spin_unlock_irqrestore(&th->lock, flags);
}

static int restore_thin(struct thin2_md *md, const struct thin2_details *d,
			struct replay_thin *rt)
{
	struct thin2_dev *th = NULL;
	struct thin2_net net;
	int r;

	thin2_delta_list_skip(&rt->list, d->applied_seq);
	if (!rt->list.nr)
		return 0;
	r = thin2_delta_net(&rt->list, &net);
	if (r)
		return r;
	if (!md->read_only)
		r = take_mapped(md, &net);
	if (!r) {
		th = thin2_dev_create(md, d);
		r = th ? 0 : -ENOMEM;
	}
	if (r)
		thin2_net_free(&net);
	else
		restore_list(th, &rt->list, &net);
	return r;
}

/* pdata_btree_walk(): a leaf that cannot be read costs its own thins. */
static int lost_details(void *context, u64 block, int level, int err)
{
	struct replay *rp = context;

	if (err && !pdata_error_is_unreadable(err))
		return err;
	if (!err)
		return 0;
	pdata_err("%s: details of thins in block %llu are lost until repair: %s", rp->md->name,
		  block, pdata_error_text(err));
	rp->lost = rp->lost == -EIO ? rp->lost : err;
	return 0;
}

/*
 * Records whose thin was not found: it was deleted, or is lost. A device that
 * cannot be read may be read another time, so then nothing is given up.
 */
static int drop_lost(const struct replay *rp)
{
	const struct replay_thin *rt;
	struct rb_node *node;
	u64 nr = 0;

	for (node = rb_first(&rp->thins); node; node = rb_next(node)) {
		rt = rb_entry(node, struct replay_thin, node);
		if (!rt->found)
			nr += rt->list.nr;
	}
	if (!nr)
		return 0;
	if (rp->lost == -EIO)
		return rp->lost;
	pdata_err("%s: %llu journal records of thins that are lost, or were deleted, are dropped",
		  rp->md->name, nr);
	return 0;
}

static int match_details(void *context, u64 key, const void *value)
{
	struct replay *rp = context;
	struct thin2_details d;
	struct replay_thin *rt;

	thin2_details_unpack(value, &d);
	if (d.flags & PDATA_THIN_TOMBSTONE)
		return 0;
	rt = replay_find(rp, d.uid, false);
	if (!rt || rt->found)
		return 0;
	rt->found = true;
	return restore_thin(rp->md, &d, rt);
}

/* Where neither details tree can be read, what either has left is matched. */
static int match_all(struct replay *rp)
{
	struct thin2_md *md = rp->md;
	struct pdata_view view = { .tm = &md->tm };
	int r = thin2_details_walk(md, match_details, rp);

	if (!pdata_error_is_unreadable(r))
		return r;
	r = pdata_btree_walk(&md->details, &view, md->details.root, lost_details,
			     match_details, rp);
	if (!r)
		r = pdata_btree_walk(&md->details_copy, &view, md->details_copy.root,
				     lost_details, match_details, rp);
	return r ? r : drop_lost(rp);
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
	int r;

	r = pdata_journal_replay(&md->journal, &md->sb, collect_record, &rp);
	if (!r && rp.nr)
		r = match_all(&rp);
	if (!r && rp.nr && !md->read_only)
		pdata_info("%s: replayed %llu journal records", md->name, rp.nr);
	WRITE_ONCE(md->may_free, true);
	replay_exit(&rp);
	return r;
}
