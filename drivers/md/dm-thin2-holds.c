// SPDX-License-Identifier: GPL-2.0-only
/*
 * What userspace holds, to read it on the live device: the root of one thin
 * (get_root), or a checkpoint (reserve_metadata_snap).
 *
 * A checkpoint is held by one more reference on the root of the first details
 * tree. So its nodes are shared, and copied when the pool changes its own; a leaf
 * that is copied counts the roots in it once more. But the tree of a thin may be
 * changed where its counts say that nobody else has it, and they do not say so as
 * long as its root is counted once, for the entry in a shared leaf. Hence
 * thin2_hold_detach() before the first change of each.
 *
 * Letting go of a checkpoint only says so in the superblock. It is taken apart in
 * the background, in steps; roots that it was the last to have go to the deleting
 * tree. Activation lets go of everything.
 */
#include "dm-thin2-internal.h"

/* Blocks of the deleting tree and of the held one for each leaf that is taken apart. */
#define LEAF_BLOCKS	4u

static struct pdata_hold *find_root(struct thin2_md *md, u32 id)
{
	unsigned int i;

	for (i = 0; i < md->sb.nr_holds; i++)
		if (md->sb.hold[i].kind == PDATA_HOLD_ROOT && md->sb.hold[i].id == id)
			return &md->sb.hold[i];
	return NULL;
}

static struct pdata_hold *find_kind(struct thin2_md *md, u32 kind)
{
	unsigned int i;

	for (i = 0; i < md->sb.nr_holds; i++)
		if (md->sb.hold[i].kind == kind)
			return &md->sb.hold[i];
	return NULL;
}

static void remove_hold(struct thin2_md *md, struct pdata_hold *hold)
{
	*hold = md->sb.hold[--md->sb.nr_holds];
	memset(&md->sb.hold[md->sb.nr_holds], 0, sizeof(*hold));
}

/* The reference to a mapping tree becomes that of the deleting tree. */
static int bury(struct thin2_md *md, u64 root, u32 id)
{
	struct pdata_details_disk disk;
	struct thin2_details d = { 0 };
	int r;

	if (!root)
		return 0;
	d.uid = md->sb.next_uid++;
	d.root = root;
	d.id = id;
	d.flags = PDATA_THIN_DELETING;
	d.created_gen = md->tm.generation;
	thin2_details_pack(&d, &disk);
	r = pdata_btree_insert(&md->deleting, d.uid, &disk);
	if (!r)
		md->nr_deleting++;
	return r;
}

/* ---- roots of thins ---- */

/* As for a snapshot: what the held tree maps is not overwritten later. */
static int add_root(struct thin2_md *md, const struct thin2_details *d,
		    struct thin2_root *result)
{
	struct pdata_hold *hold = &md->sb.hold[md->sb.nr_holds];
	int r = 0;

	if (d->root)
		r = pdata_tm_inc(&md->tm, d->root);
	if (r)
		return r;
	hold->root = d->root;
	hold->uid = d->uid;
	hold->id = d->id;
	hold->kind = PDATA_HOLD_ROOT;
	hold->generation = md->tm.generation;
	md->sb.nr_holds++;
	result->root = pdata_ptr_block(d->root);
	result->mapped_units = d->mapped_units;
	result->generation = hold->generation;
	return 0;
}

int thin2_get_root(struct thin2_md *md, u32 id, struct thin2_root *result)
{
	struct thin2_details d;
	struct thin2_dev *th;
	int r;

	thin2_lock(md);
	r = thin2_operation_begin(md, true);
	if (!r)
		r = thin2_details_read(md, id, &d);
	th = thin2_dev_find(md, id);
	if (!r && ((th && th->open_count) || find_root(md, id)))
		r = -PDATA_E_BUSY;
	if (!r && md->sb.nr_holds == PDATA_MAX_HOLDS)
		r = -PDATA_E_LIMIT;
	if (!r)
		r = thin2_prepare_origin(md, id, &d);
	if (!r)
		r = thin2_operation_end(md, add_root(md, &d, result), "holding a root");
	thin2_origin_done(md, id);
	thin2_unlock(md);
	return r;
}

int thin2_put_root(struct thin2_md *md, u32 id)
{
	struct pdata_hold *hold;
	int r;

	thin2_lock(md);
	r = thin2_operation_begin(md, false);
	hold = find_root(md, id);
	if (!r && !hold)
		r = -PDATA_E_NOT_FOUND;
	if (!r) {
		r = bury(md, hold->root, hold->id);
		if (!r)
			remove_hold(md, hold);
		r = thin2_operation_end(md, r, "letting go of a root");
	}
	thin2_unlock(md);
	return r;
}

/* ---- a checkpoint ---- */

int thin2_root_inc(void *context, const void *value)
{
	const struct pdata_details_disk *d = value;
	struct thin2_md *md = context;

	return d->root ? pdata_tm_inc(&md->tm, le64_to_cpu(d->root)) : 0;
}

bool thin2_checkpoint_held(struct thin2_md *md)
{
	return md->nr_releasing || find_kind(md, PDATA_HOLD_CHECKPOINT);
}

u64 thin2_holds_growth(struct thin2_md *md)
{
	return thin2_checkpoint_held(md) ? md->hold_nodes : 0;
}

bool thin2_held_checkpoint(struct thin2_md *md, u64 *block)
{
	const struct pdata_hold *hold = find_kind(md, PDATA_HOLD_CHECKPOINT);

	*block = hold ? pdata_ptr_block(hold->root) : 0;
	return hold;
}

/* The pool may come to have a node of its own for each that it shares now. */
static int count_nodes(struct thin2_md *md)
{
	u64 nr = 0;
	int r = thin2_details_walk(md, thin2_count_entry, &nr);

	if (!r)
		md->hold_nodes = max(md->hold_nodes, thin2_details_nodes(md, nr));
	return r;
}

static int may_hold(struct thin2_md *md)
{
	if (find_kind(md, PDATA_HOLD_CHECKPOINT))
		return -PDATA_E_BUSY;
	return md->sb.nr_holds == PDATA_MAX_HOLDS ? -PDATA_E_LIMIT : 0;
}

static int add_checkpoint(struct thin2_md *md)
{
	struct pdata_hold *hold = &md->sb.hold[md->sb.nr_holds];
	int r = 0;

	if (md->details.root)
		r = pdata_tm_inc(&md->tm, md->details.root);
	if (r)
		return r;
	hold->root = md->details.root;
	hold->uid = md->sb.transaction_id;
	hold->id = md->sb.time;
	hold->kind = PDATA_HOLD_CHECKPOINT;
	hold->generation = md->sb.generation;
	md->sb.nr_holds++;
	md->nr_holds_made++;
	return 0;
}

int thin2_reserve_snap(struct thin2_md *md)
{
	int r;

	thin2_lock(md);
	r = thin2_operation_begin(md, true);
	if (!r)
		r = may_hold(md);
	if (!r)
		r = thin2_checkpoint_locked(md);
	/* Which lets others have the lock. */
	if (!r)
		r = may_hold(md);
	if (!r)
		r = count_nodes(md);
	if (!r && pdata_sm_free(&md->tm.sm, true) <
		  thin2_reserve_blocks(md) + thin2_origins_growth(md) + md->hold_nodes)
		r = -PDATA_E_META_NOSPC;
	if (!r)
		r = thin2_operation_end(md, add_checkpoint(md), "holding a checkpoint");
	thin2_unlock(md);
	return r;
}

static void let_go(struct thin2_md *md, struct pdata_hold *hold)
{
	hold->kind = PDATA_HOLD_RELEASING;
	WRITE_ONCE(md->nr_releasing, md->nr_releasing + 1);
}

int thin2_release_snap(struct thin2_md *md)
{
	struct pdata_hold *hold;
	int r;

	thin2_lock(md);
	r = thin2_operation_begin(md, false);
	hold = find_kind(md, PDATA_HOLD_CHECKPOINT);
	if (!r && !hold)
		r = -PDATA_E_NOT_HELD;
	if (!r) {
		let_go(md, hold);
		r = thin2_operation_end(md, 0, "letting go of a checkpoint");
		WRITE_ONCE(md->may_free, true);
	}
	thin2_unlock(md);
	return r;
}

int thin2_hold_detach(struct thin2_dev *th)
{
	struct thin2_md *md = th->md;
	int r;

	if (!thin2_checkpoint_held(md) || th->detached == md->nr_holds_made)
		return 0;
	/* The same entry again: its leaf is copied, if it is shared. */
	r = thin2_details_write(md, &th->details);
	if (!r)
		th->detached = md->nr_holds_made;
	return r;
}

/* ---- in the background ---- */

/* A leaf of a held details tree is gone. */
static int root_gone(void *context, const void *value)
{
	struct thin2_md *md = context;
	struct thin2_details d;
	u32 count;
	int r;

	thin2_details_unpack(value, &d);
	if (!d.root)
		return 0;
	r = pdata_sm_get(&md->tm.sm, pdata_ptr_block(d.root), &count);
	if (!r)
		return count > 1 ? pdata_tm_dec(&md->tm, d.root, &count) :
				   bury(md, d.root, d.id);
	if (!pdata_error_is_unreadable(r))
		return r;
	pdata_err_limit("%s: thin %u: tree of block %llu, held before, stays until repair: %s",
			md->name, d.id, pdata_ptr_block(d.root), pdata_error_text(r));
	return 0;
}

static u64 step_blocks(struct thin2_md *md, unsigned int leaves)
{
	return thin2_commit_blocks(md, 0) + 2 * THIN2_PATH_BLOCKS + LEAF_BLOCKS * (u64)leaves;
}

int thin2_holds_step(struct thin2_md *md, unsigned int leaves)
{
	struct pdata_btree held = md->details;
	struct pdata_hold *hold;
	int r;

	if (!md->nr_releasing)
		return 0;
	while (leaves > 1 && pdata_sm_free(&md->tm.sm, false) < step_blocks(md, leaves))
		leaves /= 2;
	r = thin2_step_room(md, step_blocks(md, leaves));
	hold = find_kind(md, PDATA_HOLD_RELEASING);
	held.root = hold->root;
	held.value.dec = root_gone;
	/* What it shared with thins is theirs alone again. */
	WRITE_ONCE(md->nr_decs, md->nr_decs + 1);
	while (!r && leaves-- && held.root) {
		r = pdata_btree_del_step(&held);
		hold->root = held.root;
		cond_resched();
	}
	if (!held.root) {
		remove_hold(md, hold);
		WRITE_ONCE(md->nr_releasing, md->nr_releasing - 1);
	}
	return r;
}

int thin2_holds_drop(struct thin2_md *md)
{
	unsigned int i = 0;
	int r;

	while (i < md->sb.nr_holds) {
		struct pdata_hold *hold = &md->sb.hold[i];

		if (hold->kind != PDATA_HOLD_ROOT) {
			let_go(md, hold);
			md->nr_holds_made++;
			i++;
			continue;
		}
		r = bury(md, hold->root, hold->id);
		if (r)
			return r;
		remove_hold(md, hold);
	}
	if (!md->nr_releasing)
		return 0;
	r = count_nodes(md);
	if (pdata_error_is_unreadable(r)) {
		pdata_err("%s: some details cannot be read (%s): room for those of a held checkpoint is not known",
			  md->name, pdata_error_text(r));
		r = 0;
	}
	return r;
}
