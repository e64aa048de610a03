// SPDX-License-Identifier: GPL-2.0-only
/*
 * The details of thins, kept twice: two trees with the same entries and no node
 * in common, so that no block has the only copy of some thins' roots.
 *
 * Every change goes to both. Readers take the first tree; where that cannot be
 * read they take the copy. A change that cannot be made in one tree because of
 * damage is made in the other, from which the damaged one is then built anew,
 * within the same transaction.
 */
#include "dm-thin2-internal.h"

/* Nodes that a tree built anew may have: they are in memory until the commit. */
#define REBUILD_MAX_NODES	8192

void thin2_details_unpack(const struct pdata_details_disk *d, struct thin2_details *details)
{
	details->uid = le64_to_cpu(d->uid);
	details->root = le64_to_cpu(d->root);
	details->applied_seq = le64_to_cpu(d->applied_seq);
	details->mapped_units = le64_to_cpu(d->mapped_units);
	details->origin_uid = le64_to_cpu(d->origin_uid);
	details->origin_seq = le64_to_cpu(d->origin_seq);
	details->created_gen = le64_to_cpu(d->created_gen);
	details->delete_cursor = le64_to_cpu(d->delete_cursor);
	details->transaction_id = le64_to_cpu(d->transaction_id);
	details->id = le32_to_cpu(d->id);
	details->flags = le32_to_cpu(d->flags);
	details->create_time = le32_to_cpu(d->create_time);
	details->snap_time = le32_to_cpu(d->snap_time);
	memcpy(details->name, d->name, sizeof(details->name));
	details->leaf_sum = le64_to_cpu(d->leaf_sum);
}

void thin2_details_pack(const struct thin2_details *details, struct pdata_details_disk *d)
{
	memset(d, 0, sizeof(*d));
	d->uid = cpu_to_le64(details->uid);
	d->root = cpu_to_le64(details->root);
	d->applied_seq = cpu_to_le64(details->applied_seq);
	d->mapped_units = cpu_to_le64(details->mapped_units);
	d->origin_uid = cpu_to_le64(details->origin_uid);
	d->origin_seq = cpu_to_le64(details->origin_seq);
	d->created_gen = cpu_to_le64(details->created_gen);
	d->delete_cursor = cpu_to_le64(details->delete_cursor);
	d->transaction_id = cpu_to_le64(details->transaction_id);
	d->id = cpu_to_le32(details->id);
	d->flags = cpu_to_le32(details->flags);
	d->create_time = cpu_to_le32(details->create_time);
	d->snap_time = cpu_to_le32(details->snap_time);
	memcpy(d->name, details->name, sizeof(d->name));
	d->leaf_sum = cpu_to_le64(details->leaf_sum);
}

/* ---- reading ---- */

int thin2_details_lookup(struct thin2_md *md, u64 key, struct pdata_details_disk *disk)
{
	struct pdata_view view = { .tm = &md->tm };
	int r, r2;

	r = pdata_btree_lookup(&md->details, &view, md->details.root, key, disk);
	if (!r || !pdata_error_is_unreadable(r))
		return r;
	r2 = pdata_btree_lookup(&md->details_copy, &view, md->details_copy.root, key, disk);
	if (r2 && r2 != -PDATA_E_NOT_FOUND)
		return r;
	pdata_err_limit("%s: details %llu are taken from the copy, the first tree says: %s",
			md->name, key, pdata_error_text(r));
	return r2;
}

int thin2_details_read(struct thin2_md *md, u32 id, struct thin2_details *d)
{
	struct pdata_details_disk disk;
	int r;

	r = thin2_details_lookup(md, id, &disk);
	if (!r)
		thin2_details_unpack(&disk, d);
	return r;
}

struct details_walk {
	int (*entry)(void *context, u64 key, const void *value);
	void *context;
	u64 next;		/* keys below were visited */
	bool stopped;		/* by the callback */
};

static int walk_entry(void *context, u64 key, const void *value)
{
	struct details_walk *w = context;
	int r = w->entry(w->context, key, value);

	w->next = key + 1;
	w->stopped = r;
	return r;
}

int thin2_details_walk(struct thin2_md *md,
		       int (*entry)(void *context, u64 key, const void *value), void *context)
{
	const struct pdata_btree *tree = &md->details;
	struct details_walk w = { .entry = entry, .context = context };
	struct pdata_view view = { .tm = &md->tm };
	bool again = false;
	u64 from;
	int r;

	for (;;) {
		from = w.next;
		r = pdata_btree_walk_from(tree, &view, tree->root, from, walk_entry, &w);
		if (!r || w.stopped || !pdata_error_is_unreadable(r))
			return r;
		/* Where one tree has ended the other one can go on, or nobody can. */
		if (again && w.next == from)
			return r;
		again = true;
		pdata_err_limit("%s: details from %llu on are taken from the other tree: %s",
				md->name, w.next, pdata_error_text(r));
		tree = tree == &md->details ? &md->details_copy : &md->details;
	}
}

/* ---- building anew ---- */

int thin2_count_entry(void *context, u64 key, const void *value)
{
	u64 *nr = context;

	(*nr)++;
	cond_resched();
	return 0;
}

struct rebuild {
	struct pdata_btree *tree;
	bool counts;		/* its entries hold references of their own */
};

static int copy_entry(void *context, u64 key, const void *value)
{
	struct rebuild *b = context;
	int r = 0;

	cond_resched();
	if (b->counts)
		r = b->tree->value.inc(b->tree->value.context, value);
	return r ? r : pdata_btree_insert(b->tree, key, value);
}

static int root_dec(void *context, const void *value)
{
	const struct pdata_details_disk *d = value;
	struct thin2_md *md = context;
	u32 count;

	return d->root ? pdata_tm_dec(&md->tm, le64_to_cpu(d->root), &count) : 0;
}

u64 thin2_details_nodes(const struct thin2_md *md, u64 nr)
{
	const unsigned int half = thin2_details_half(md);
	u64 nodes = 1;

	while (nr > 1) {
		nr = div_u64(nr, half);
		nodes += nr;
	}
	return nodes;
}

/*
 * What can still be reached of the old tree is freed; the rest leaks until repair.
 * While a checkpoint is held, nobody knows whether an entry that cannot be read was
 * the pool's alone: the new one has a reference of its own, what is left of the old
 * tree gives its own up.
 */
static int rebuild(struct thin2_md *md, struct pdata_btree *bad, const struct pdata_btree *good)
{
	struct pdata_view view = { .tm = &md->tm };
	struct rebuild b = {
		.tree = bad,
		.counts = bad == &md->details && thin2_checkpoint_held(md),
	};
	struct pdata_btree old = *bad;
	u64 nr = 0, nodes;
	int r;

	r = pdata_btree_walk(good, &view, good->root, NULL, thin2_count_entry, &nr);
	if (r)
		return r;
	nodes = thin2_details_nodes(md, nr);
	if (nodes > REBUILD_MAX_NODES ||
	    pdata_sm_free(&md->tm.sm, false) < nodes + thin2_reserve_blocks(md)) {
		pdata_err("%s: no room for a new details tree of %llu entries, up to %llu blocks",
			  md->name, nr, nodes);
		return -PDATA_E_META_NOSPC;
	}
	bad->root = 0;
	if (b.counts)
		old.value.dec = root_dec;
	r = pdata_btree_walk(good, &view, good->root, NULL, copy_entry, &b);
	if (!r)
		r = pdata_btree_del(&old);
	if (!r)
		pdata_warn("%s: %s details tree is built anew from the other, %llu entries",
			   md->name, bad == &md->details ? "the first" : "the second", nr);
	return r;
}

/* ---- changing ---- */

typedef int (*change_fn)(struct pdata_btree *t, u64 key, const void *value);

static int do_remove(struct pdata_btree *t, u64 key, const void *value)
{
	return pdata_btree_remove(t, key);
}

/*
 * One tree has the change, the other one said @r. From here on a failure fails
 * the transaction: trees that differ must not be committed.
 */
static int even(struct thin2_md *md, struct pdata_btree *bad, const struct pdata_btree *good,
		int r)
{
	if (md->tm.failed)
		return r;
	if (r == -PDATA_E_NOT_FOUND) {
		pdata_err("%s: one of the details trees lacked an entry that is removed now",
			  md->name);
		return 0;
	}
	if (pdata_error_is_unreadable(r)) {
		pdata_err("%s: a details tree cannot be changed: %s", md->name,
			  pdata_error_text(r));
		r = rebuild(md, bad, good);
	}
	if (r)
		md->tm.failed = true;
	return r;
}

static int change_both(struct thin2_md *md, change_fn change, u64 key, const void *value)
{
	int r, r2;

	r = change(&md->details, key, value);
	if (md->tm.failed || (r && !pdata_error_is_unreadable(r)))
		return r;
	r2 = change(&md->details_copy, key, value);
	if (r && r2)
		return r;
	if (r)
		return even(md, &md->details, &md->details_copy, r);
	return r2 ? even(md, &md->details_copy, &md->details, r2) : 0;
}

int thin2_details_write(struct thin2_md *md, const struct thin2_details *d)
{
	struct pdata_details_disk disk;

	thin2_details_pack(d, &disk);
	return change_both(md, pdata_btree_insert,
			   d->flags & PDATA_THIN_TOMBSTONE ? PDATA_TOMBSTONE_KEY(d->uid) : d->id,
			   &disk);
}

int thin2_details_remove(struct thin2_md *md, u64 key)
{
	return change_both(md, do_remove, key, NULL);
}
