/* SPDX-License-Identifier: GPL-2.0-only */
/* Between the files of the metadata core; nothing here is for its users. */
#ifndef DM_THIN2_INTERNAL_H
#define DM_THIN2_INTERNAL_H

#include "dm-thin2-metadata.h"

/* Bits of md->want. */
enum {
	THIN2_WANT_CHECKPOINT,
	THIN2_WANT_JOURNAL,
	THIN2_WANT_LOAD,
};

/* Records a thin reserves ahead, so that not every write takes the pool's locks. */
#define THIN2_CREDITS		32u

/* Kind of a change that unmaps; the others are enum pdata_range_kind. */
#define THIN2_CHANGE_UNMAP	0

/* Changes taken into one merge step; the second when metadata space is short. */
#define THIN2_STEP_CHANGES	256u
#define THIN2_STEP_FEW		16u

/* Internal levels that a tree is taken to have until one of more is met: 10^9 ranges. */
#define THIN2_LEVELS		3u

/* Range-map entries changed under one hold of a thin's lock. */
#define THIN2_STEP_RANGES	1024u

/* Take meta_lock; a merge that holds it lets go of it soon. */
static inline void thin2_lock(struct thin2_md *md)
{
	atomic_inc(&md->nr_waiting);
	mutex_lock(&md->meta_lock);
	atomic_dec(&md->nr_waiting);
}

static inline void thin2_unlock(struct thin2_md *md)
{
	mutex_unlock(&md->meta_lock);
}

static inline u64 thin2_delta_end(const struct thin2_delta *d)
{
	return (u64)d->vbegin + d->len;
}

/* Blocks that one change of a btree of details takes: a path, copied and split or joined. */
#define THIN2_PATH_BLOCKS	12u

/*
 * Blocks that writing details entries in a commit may take: a change of each of
 * the three trees (two of details, deleting), and in those of details, for each
 * thin touched, a leaf and what is above it. What is above that is in the paths.
 */
static inline u64 thin2_details_blocks(const struct thin2_md *md)
{
	return 3 * THIN2_PATH_BLOCKS + 4 * (u64)md->nr_touched;
}

/* Entries that a leaf of such a tree has at least, unless it is the root. */
static inline unsigned int thin2_details_half(const struct thin2_md *md)
{
	const unsigned int room = sizeof_field(struct pdata_btree_disk, data) /
				  (sizeof(__le64) + sizeof(struct pdata_details_disk));
	const unsigned int limit = md->tm.limits.btree_max;

	return (limit ? clamp(limit, 4u, room) : room) / 2;
}

/* ---- dm-thin2-metadata.c ---- */

/* The first failure that ends all changes is kept and logged. Returns @r. */
int thin2_fail(struct thin2_md *md, int r, const char *what);
/* 0 while changes are possible. */
int __must_check thin2_check_writable(struct thin2_md *md);
void thin2_wake(struct thin2_md *md);
/* pdata_sm_data.freed */
int thin2_data_freed(void *context, u64 begin, u64 len);
/* A message that @needs_space in the metadata is refused before it changes anything. */
int __must_check thin2_operation_begin(struct thin2_md *md, bool needs_space);
/* Commit what a message did, or, if @r, give up on a transaction left half done. */
int __must_check thin2_operation_end(struct thin2_md *md, int r, const char *what);
/* All changes of thin @id are in its tree, and what that maps counts as shared. Fills @d. */
int __must_check thin2_prepare_origin(struct thin2_md *md, u32 id, struct thin2_details *d);
/* In any case, behind the commit. */
void thin2_origin_done(struct thin2_md *md, u32 id);

/* ---- dm-thin2-details.c; under meta_lock ---- */

/* -NOT_FOUND; damage if neither tree can be read there. */
int __must_check thin2_details_lookup(struct thin2_md *md, u64 key,
				      struct pdata_details_disk *disk);
int __must_check thin2_details_read(struct thin2_md *md, u32 id, struct thin2_details *d);
/*
 * Unless the transaction has failed, both trees have the change or none. If one
 * is damaged, and there is no room to build it anew, the transaction fails.
 */
int __must_check thin2_details_write(struct thin2_md *md, const struct thin2_details *d);
int __must_check thin2_details_remove(struct thin2_md *md, u64 key);
/* For walks: counts entries in the u64 at @context. */
int thin2_count_entry(void *context, u64 key, const void *value);
/* Most nodes of a tree of @nr entries: all but the root are half full. */
u64 thin2_details_nodes(const struct thin2_md *md, u64 nr);
/* All entries in order of keys, out of either tree; the callback may end it. */
int __must_check thin2_details_walk(struct thin2_md *md,
				    int (*entry)(void *context, u64 key, const void *value),
				    void *context);

/* ---- dm-thin2-origins.c; under meta_lock ---- */

/* Whom snapshots descend from, by the details. -ENOMEM. */
int __must_check thin2_origins_load(struct thin2_md *md);
void thin2_origins_exit(struct thin2_md *md);
/* Blocks by which the details trees may grow when origins become tombstones. */
u64 thin2_origins_growth(const struct thin2_md *md);
/* Before there is a snapshot of @uid: memory. -ENOMEM. */
int __must_check thin2_origin_prepare(struct thin2_md *md, u64 uid);
/* There was none in the end, or perhaps there was. */
void thin2_origin_unprepare(struct thin2_md *md, u64 uid);
void thin2_origin_add_child(struct thin2_md *md, u64 uid);
/* Take the thin of @d out of the details; leaves a tombstone if others descend from it. */
int __must_check thin2_origin_delete(struct thin2_md *md, const struct thin2_details *d);
/* Remove at most @nr tombstones from which nobody descends. */
int __must_check thin2_tombstones_step(struct thin2_md *md, unsigned int nr);

/* Is there something to free in the background? Any context. */
static inline bool thin2_has_garbage(const struct thin2_md *md)
{
	return READ_ONCE(md->nr_deleting) || READ_ONCE(md->nr_childless) ||
	       READ_ONCE(md->nr_releasing);
}

/* ---- dm-thin2-holds.c; under meta_lock ---- */

/* pdata_btree_value.inc of the first details tree: its leaf was copied. @context: the thin2_md. */
int thin2_root_inc(void *context, const void *value);
/* Activation: nobody holds anything any more. */
int __must_check thin2_holds_drop(struct thin2_md *md);
/*
 * Before the first change of a tree: while a checkpoint is held, its root must be
 * counted for the pool and for that. Changes nothing else.
 */
int __must_check thin2_hold_detach(struct thin2_dev *th);
/* Take a checkpoint apart that was let go of, at most @leaves of its details. */
int __must_check thin2_holds_step(struct thin2_md *md, unsigned int leaves);

/* Block of the root of the one that can be read. */
bool thin2_held_checkpoint(struct thin2_md *md, u64 *block);

/* Is there one, or what is left of one? */
bool thin2_checkpoint_held(struct thin2_md *md);
/* Blocks by which the details tree may grow as it comes to have nodes of its own. */
u64 thin2_holds_growth(struct thin2_md *md);

/* ---- dm-thin2-thins.c; under meta_lock ---- */

/* In-memory thin of @id, or NULL. */
struct thin2_dev *thin2_dev_find(struct thin2_md *md, u32 id);
void thin2_thins_add(struct thin2_dev *th);
void thin2_thins_del(struct thin2_dev *th);
/* th->details must be written by the next commit. */
void thin2_details_touch(struct thin2_dev *th);
/* @th has, or will have, a record. Under th->lock only, before it is appended. */
void thin2_note_changed(struct thin2_dev *th);
/* Thins with records, by changed_list; and some without. */
struct list_head *thin2_changed(struct thin2_md *md);
/* At the end of a checkpoint: those without leave the list; closed ones leave memory. */
void thin2_forget_unchanged(struct thin2_md *md);

/* ---- dm-thin2-dev.c ---- */

struct thin2_dev *thin2_dev_create(struct thin2_md *md, const struct thin2_details *d);
void thin2_dev_destroy(struct thin2_dev *th);	/* un-listed; drops its deltas */
bool thin2_dev_is_dirty(struct thin2_dev *th);
/* Turn entries of exclusive state @epoch into shared ones, in steps. Sleeps. */
void thin2_dev_sweep(struct thin2_dev *th, unsigned int epoch);
/*
 * thin2_try_exclusive() without loading what is not in memory: *load is the
 * block whose counts are missing on -WOULD_SLEEP. Needs no meta_lock.
 */
int __must_check thin2_ask_exclusive(struct thin2_dev *th, u64 unit, u64 *load);
/* Give up what a thin has reserved ahead. Under th->lock. */
void thin2_credits_return(struct thin2_dev *th);

/* ---- dm-thin2-place.c ---- */

/* An entry of the range map, its borders exact. */
struct thin2_entry {
	u64 begin;
	u64 end;
	u64 value;
};

/*
 * Units for a write of up to @want from @unit on, where @e is now. Under th->lock.
 * Errors as pdata_alloc_get().
 */
int __must_check thin2_place(struct thin2_dev *th, u64 unit, u64 want,
			     const struct thin2_entry *e, u64 *phys, u64 *len);

/* ---- dm-thin2-evict.c ---- */

/* A lookup was here. Any context. */
void thin2_dev_mark_used(struct thin2_dev *th, u64 unit);
void thin2_cache_add(struct thin2_dev *th);
void thin2_cache_del(struct thin2_dev *th);

/* ---- dm-thin2-delta.c ---- */

struct thin2_delta_block {
	struct thin2_delta_block *next;
	u32 max;
	struct thin2_delta delta[];
};

void thin2_delta_list_init(struct thin2_delta_list *l, unsigned int tag);
/* A block of places. A thin with few changes makes do with a @small one. NULL without memory. */
struct thin2_delta_block *thin2_delta_block_new(bool small, gfp_t gfp);
/* @l gets the places of @b. */
void thin2_delta_list_extend(struct thin2_delta_list *l, struct thin2_delta_block *b);
/* Make sure of a free place in a list that nobody else uses. -ENOMEM. */
int __must_check thin2_delta_list_reserve(struct thin2_delta_list *l, gfp_t gfp);
/* There is a free place: cannot fail. */
void thin2_delta_list_add(struct thin2_delta_list *l, const struct thin2_delta *d, s64 mapped);
/* Changes of records up to @seq, which come first, go. For a list that nobody else uses. */
void thin2_delta_list_skip(struct thin2_delta_list *l, u64 seq);
/* The changes of @l become @old's; the free places stay. */
void thin2_delta_list_cut(struct thin2_delta_list *l, struct thin2_delta_list *old);
/*
 * Free a list's blocks before @stop, which another list goes on in, or all
 * (NULL). What the list says of its changes stays.
 */
void thin2_delta_list_drop(struct thin2_delta_list *l, const struct thin2_delta_block *stop);
/* The same, and there are no changes any more; returns how many there were. */
u64 thin2_delta_list_free(struct thin2_delta_list *l, const struct thin2_delta_block *stop);

struct thin2_delta_iter {
	const struct thin2_delta_block *block;
	u32 pos;
	u64 left;
};

static inline void thin2_delta_iter_init(struct thin2_delta_iter *it,
					 const struct thin2_delta_list *l)
{
	it->block = l->first;
	it->pos = l->begin;
	it->left = l->nr;
}

/* The next change, oldest first, or NULL. The list may grow meanwhile. */
static inline const struct thin2_delta *thin2_delta_next(struct thin2_delta_iter *it)
{
	if (!it->left)
		return NULL;
	it->left--;
	if (it->pos == it->block->max) {
		it->block = it->block->next;
		it->pos = 0;
	}
	return &it->block->delta[it->pos++];
}

struct thin2_net {
	struct pdata_range *change;	/* sorted, disjoint; what the list amounts to */
	unsigned int nr;
	struct pdata_range *dead;	/* units that were mapped and superseded in the list */
	unsigned int nr_dead;
};

/*
 * What a list amounts to. Changes that continue each other, in virtual and
 * physical units and with the same birth, are one. -ENOMEM. Free with
 * thin2_net_free().
 */
int __must_check thin2_delta_net(const struct thin2_delta_list *l, struct thin2_net *net);
void thin2_net_free(struct thin2_net *net);

/* ---- dm-thin2-merge.c; under meta_lock ---- */

void thin2_rt_init(struct thin2_dev *th, struct pdata_rt *rt);
void thin2_rt_init_details(struct thin2_md *md, const struct thin2_details *d,
			   struct pdata_rt *rt);
/* Freeze what is there and merge all of it. */
int __must_check thin2_merge_thin(struct thin2_dev *th);
/* Merge a list that was frozen by the caller. */
int __must_check thin2_merge_frozen(struct thin2_dev *th);
/*
 * The same, but with a break if somebody waits for meta_lock: -PDATA_E_RETRY,
 * and the caller commits, lets him have it, and looks for @th anew.
 */
int __must_check thin2_merge_some(struct thin2_dev *th);
/*
 * Sorted, disjoint changes without records go into the tree of @d, which nobody has
 * open; it is for the caller to write @d. There may be commits in between, which
 * do not know of the tree: for a pool that is being built, and valid when all is in.
 */
int __must_check thin2_merge_changes(struct thin2_md *md, struct thin2_details *d,
				     struct pdata_range *change, unsigned int nr);
void thin2_freeze_locked(struct thin2_dev *th);
/* Freeze what is there. What was frozen before is merged. */
int __must_check thin2_freeze(struct thin2_dev *th);
int __must_check thin2_delete_step(struct thin2_md *md, unsigned int leaves);

/* Entries of a list that is merged and committed become clean; the list goes. */
void thin2_merge_committed(struct thin2_dev *th);

/* ---- dm-thin2-checkpoint.c; under meta_lock ---- */

int __must_check thin2_commit(struct thin2_md *md);
/*
 * thin2_checkpoint() for those who hold meta_lock. Lets go of it while others
 * wait, so nothing learned under it before holds. No transaction is open at the
 * end.
 */
int __must_check thin2_checkpoint_locked(struct thin2_md *md);
/*
 * Ends a run of steps that returned @r: no transaction stays open. Returns what the
 * caller returns.
 */
int __must_check thin2_end_step(struct thin2_md *md, int r);
/* Commit if fewer than @blocks can be allocated. */
int __must_check thin2_step_room(struct thin2_md *md, u64 blocks);
u64 thin2_reserve_blocks(struct thin2_md *md);
/* Count changes that a merge step of @changes can make. */
size_t thin2_step_entries(const struct thin2_md *md, unsigned int changes);
/* Blocks that a commit can allocate if @entries count changes are still added. */
u64 thin2_commit_blocks(struct thin2_md *md, size_t entries);
/* Blocks that such a step and the commit behind it can allocate. */
u64 thin2_step_blocks(struct thin2_md *md, unsigned int changes);

/* ---- dm-thin2-overlay.c ---- */

/*
 * What holds at @unit, of which the base tree says @base: *r is @base as far as
 * no replayed change is over it, or, returning true, that change. Under th->lock.
 */
bool thin2_overlay_apply(const struct thin2_dev *th, const struct pdata_range *base, u64 unit,
			 struct pdata_range *r);
/* The base holds all of the overlay's changes. */
void thin2_overlay_drop(struct thin2_dev *th);

/* ---- dm-thin2-replay.c ---- */

int __must_check thin2_replay(struct thin2_md *md);

#endif
