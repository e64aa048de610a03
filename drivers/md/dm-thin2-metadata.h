/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The metadata of one pool: thins, their range maps and delta lists, the
 * journal, merging, checkpoints and replay. Shared by kernel and userspace.
 *
 * A write to fresh or shared space goes
 *
 *	thin2_lookup()		what is there? (RCU, no lock)
 *	thin2_write_begin()	allocate, reserve, enter the range as pending
 *	... data write ...
 *	thin2_write_end()	flip the entry, append the record: cannot fail
 *	thin2_flush()		make records durable (FLUSH, FUA)
 *	thin2_checkpoint()	in the background: merge deltas, commit
 *
 * Locks, outermost first:
 *	md->meta_lock	mutex: trees, transaction, thins, merge state
 *	md->flush_sem	semaphore: one journal batch at a time; the I/O's end may release it
 *	md->cache_lock	mutex: which thins there are, for eviction; never held
 *			while waiting for memory or I/O
 *	th->lock	spinlock, irq-safe: range-map changes, delta list, epoch
 *	journal.lock, stream and group locks: spinlocks, innermost
 *
 * Lookups take no lock. Units are 4 KiB. Functions return 0 or a negated code
 * of pdata-error.h; the caller maps it at the edge with pdata_to_errno().
 */
#ifndef DM_THIN2_METADATA_H
#define DM_THIN2_METADATA_H

#include "persistent-data/pdata-alloc.h"
#include "persistent-data/pdata-btree.h"
#include "persistent-data/pdata-fault.h"
#include "persistent-data/pdata-journal.h"
#include "persistent-data/pdata-range-map.h"
#include "persistent-data/pdata-range-tree.h"

#define THIN2_MAX_DIRTY		(512u * 1024)	/* un-merged records a pool */
#define THIN2_MAX_ID		0xffffffffu
#define THIN2_FILL_RANGES	64u		/* ranges that a miss reads */
#define THIN2_USED_BITS		4096u
#define THIN2_EVICT_MAX		(1024u * 1024 * 1024)	/* so that shares can be multiplied out */

struct thin2_md;
struct thin2_dev;

/*
 * What the metadata needs from the side that moves data. All may sleep except
 * wake(). None is called with a spinlock held except wake().
 */
struct thin2_md_ops {
	/* Make all data writes that have completed durable. Errno of the device. */
	int (*flush_data)(void *context);
	/* Return when every bio that was issued to the data device before has completed. */
	void (*drain)(void *context);
	/*
	 * These units are free in a durable checkpoint and drained (struct
	 * pdata_freed). Pass them down, then call thin2_release() with the list,
	 * from here or later from anywhere that may sleep.
	 */
	void (*freed)(void *context, struct list_head *batch);
	/*
	 * Something that somebody may wait for has changed: a pending write
	 * ended, a checkpoint or journal write is done, space came back. Any
	 * context, spinlocks may be held: queue work, nothing else.
	 */
	void (*wake)(void *context);
};

struct thin2_md_params {
	struct pdata_io *io;		/* metadata device, outlives the thin2_md */
	const char *name;		/* for log lines, outlives the thin2_md */
	u64 data_units;			/* size of the data device */
	u32 data_block_size;		/* the table's, sectors */
	bool read_only;			/* write nothing, not even a replay's result */
	const struct thin2_md_ops *ops;	/* NULL with read_only in tools */
	void *context;

	/* For tests; 0 = default. */
	u64 journal_blocks;		/* when formatting */
	unsigned int journal_records;	/* a block */
	u64 group_units;
	unsigned int max_dirty;
	const struct pdata_limits *limits;
};

/* A mapping change that is not yet in the tree. */
struct thin2_delta {
	u64 seq;
	u64 vbegin : 56;
	u64 kind : 8;		/* enum pdata_record_kind */
	u64 phys;
	u32 len;
	u32 birth;
};

struct thin2_delta_block;

/*
 * Changes in order of their records, in a chain of blocks. A list may begin in
 * the middle of a block: what is before belongs to the list that was cut off.
 * So free places stay with those who reserved them.
 */
struct thin2_delta_list {
	struct thin2_delta_block *first;	/* NULL: no places at all */
	struct thin2_delta_block *last;	/* holds the newest; those behind it are free */
	u32 begin;		/* place of the first change in its block */
	u32 end;		/* places taken in the last one */
	u64 room;		/* free places */
	u64 nr;
	u64 first_seq;		/* 0 = empty */
	u64 last_seq;
	u64 high;		/* one past the highest unit a record maps */
	s64 mapped;		/* units these changes add to the mapped ones, as far as known */
	unsigned int tag;	/* dirty tag of range-map entries they made: 1 or 2 */
};

/* Progress of merging a frozen list; guarded by meta_lock. */
struct thin2_merge {
	struct pdata_range *change;	/* net, sorted */
	unsigned int nr;
	unsigned int pos;		/* those below are in the tree, */
	u64 from;			/* and this one's units below */
	struct pdata_range *dead;	/* allocated and superseded before any merge */
	unsigned int nr_dead;
	u64 seq;			/* applied_seq when done */
	bool done;			/* all merged, waits for the commit */
};

struct thin2_details {
	u64 uid;
	u64 root;
	u64 applied_seq;
	u64 mapped_units;
	u64 origin_uid;
	u64 origin_seq;
	u64 created_gen;
	u64 delete_cursor;
	u64 transaction_id;
	u32 id;
	u32 flags;
	u32 create_time;
	u32 snap_time;
	u8 name[32];
	u64 leaf_sum;
};

struct thin2_dev {
	struct thin2_md *md;
	u32 id;
	u64 uid;
	struct pdata_range_map *rm;	/* read under RCU */
	bool aging;			/* lookups mark what they use; set once; READ_ONCE */
	struct pdata_stream stream;	/* own lock */

	spinlock_t lock;		/* guards down to the next comment */
	unsigned int epoch;		/* 0..2: state EXCL0 + epoch is exclusive; READ_ONCE */
	u32 snap_time;			/* births below it may be shared */
	bool snap_busy;			/* a snapshot was cut and is not committed yet */
	bool epoch_used[3];		/* entries of that state may exist */
	struct thin2_delta_list active;
	struct thin2_delta_list frozen;
	unsigned int credits;		/* records reserved ahead */
	bool noted;			/* is on md->noted or md->changed */
	u64 last_seq;			/* of the last record appended */
	u64 version;			/* entries were forgotten: fills in flight are stale */
	bool waiter;			/* at a pending range: wake() when it ends; no lock */
	unsigned int pending;		/* writes begun, <= active.room: their records */
	u64 base_root;			/* mapping tree as of base_gen */
	u64 base_gen;
	const struct pdata_range *overlay;	/* replayed changes, or NULL; merge.change */
	unsigned int nr_overlay;

	/* Guarded by md->meta_lock. */
	struct list_head list;		/* md->thins */
	struct rb_node node;		/* md->by_id */
	struct list_head touched_list;	/* md->touched, or empty */
	struct list_head changed_list;	/* md->changed, or md->noted and md->noted_lock */
	struct thin2_details details;	/* of the transaction being built */
	bool details_dirty;
	struct thin2_merge merge;
	u64 round;			/* last checkpoint that froze its changes */
	u64 detached;			/* nr_holds_made when its entry was no hold's */
	unsigned int open_count;
	u64 own_decs;			/* those of them that its own merges caused; READ_ONCE */
	u64 shared_base;		/* nr_decs - own_decs then, ~0 = unknown; READ_ONCE */

	/* Guarded by md->cache_lock, which nests in meta_lock. */
	struct list_head cache_list;	/* md->cached */
	u64 evict_hand;			/* unit where eviction goes on */

	unsigned long used[THIN2_USED_BITS / BITS_PER_LONG];	/* regions looked at; atomic bits */
};

struct thin2_md {
	const char *name;
	struct pdata_io *io;
	const struct thin2_md_ops *ops;
	void *context;
	bool read_only;			/* asked for, or needs_check is set */
	bool marked;			/* needs_check was set, after a failure */
	bool replayed;			/* there was something to replay */
	int failed;			/* first error that ended all changes; READ_ONCE */

	struct mutex meta_lock;		/* trees, superblock, commits */
	atomic_t nr_waiting;		/* for meta_lock, between steps of a merge */
	u64 nr_rounds;			/* checkpoints begun */
	struct pdata_bm bm;
	struct pdata_tm tm;
	struct pdata_btree details;	/* by thin id */
	struct pdata_btree details_copy;	/* the same entries, other nodes */
	struct pdata_btree deleting;	/* by uid */
	struct pdata_sm_data data_sm;
	struct pdata_super sb;		/* the next checkpoint's */
	struct list_head thins;		/* struct thin2_dev in memory */
	struct rb_root by_id;		/* the same */
	struct list_head touched;	/* thins for the next commit */
	struct list_head changed;	/* thins for the next checkpoint */
	spinlock_t noted_lock;		/* nests in th->lock; guards noted */
	struct list_head noted;		/* thins that belong to changed */
	u64 merged_seq;			/* highest record merged, even partly */
	u64 nr_decs;			/* events that may end sharing; READ_ONCE */
	s64 merge_mapped;		/* units the merge step under way maps (+) or unmaps (-) */
	u64 nr_deleting;		/* READ_ONCE */
	struct rb_root origins;		/* what others descend from, by uid */
	struct list_head childless;	/* tombstones to be removed */
	u64 nr_childless;		/* READ_ONCE */
	u64 nr_origins;
	u64 nr_tombstones;		/* of those */
	bool origins_lost;		/* some are not known */
	unsigned int nr_releasing;	/* READ_ONCE */
	u64 nr_holds_made;		/* of checkpoints */
	u64 hold_nodes;			/* most nodes that the details tree had when one was made */
	unsigned int nr_touched;	/* thins with details_dirty */
	u64 drained_gen;		/* bios older than this version are done; READ_ONCE */
	u64 roots_gen;			/* of every th->base_root, at least; acquire/release */
	unsigned long want;		/* THIN2_WANT_*, of thin2_work(); atomic bits */
	bool starved;			/* the last merge lacked metadata space; READ_ONCE */
	bool may_free;			/* un-merged changes may free data; READ_ONCE */

	struct semaphore flush_sem;
	struct pdata_journal journal;

	struct pdata_alloc alloc;
	atomic64_t nr_dirty;		/* records in all lists, reserved ones included */
	u64 max_dirty;			/* hard cap; READ_ONCE */
	u64 budget;			/* blocks that un-merged records may cost; READ_ONCE */
	u64 budget_used;		/* blocks in use then; READ_ONCE */
	u64 kept;			/* blocks that stay free, the reserve; READ_ONCE */
	unsigned int levels;		/* internal ones of any tree merged into; READ_ONCE */
	atomic_t nr_noted;		/* thins that have, or had, records since a checkpoint */
	unsigned int fill_ranges;	/* ranges read on a miss; READ_ONCE */
	u32 chunk_units;		/* writes of less are placed by chunk; READ_ONCE */

	struct mutex cache_lock;	/* one at a time evicts */
	struct list_head cached;	/* cache_lock: struct thin2_dev */

	/* Figures for stats. */
	atomic64_t nr_checkpoints;
	atomic64_t nr_merged;
	atomic64_t nr_flushes;
	atomic64_t nr_fills;
	atomic64_t nr_filled;
	atomic64_t nr_evicted;
};

/* ---- pool ---- */

/**
 * thin2_md_open - open, format or replay a pool's metadata
 * @p: parameters
 * @result: on success
 *
 * A zeroed first block is formatted (not with read_only: -PDATA_E_UNFORMATTED_RO).
 * After an unclean stop the journal is replayed into memory. Unless read-only,
 * a checkpoint is written, so that the device is known to be in use. With
 * needs_check set in the superblock it is opened as with read_only. Sleeps.
 *
 * Return: 0; -PDATA_E_NOT_V2, _VERSION, _TOO_SMALL, _SHRUNK (data or metadata
 * smaller than recorded; what was found and expected is logged), _STALE_SB,
 * _JOURNAL_GAP, a checker's code, an errno. On failure nothing was written
 * (but for a format that was cut short, which starts over).
 */
int __must_check thin2_md_open(const struct thin2_md_params *p, struct thin2_md **result);

/**
 * thin2_md_close - merge everything, mark clean, free
 * @md: no thin is open, no I/O in flight
 *
 * Return: 0 or why the last checkpoint could not be written; @md is gone in
 * any case and what was flushed is safe.
 */
int thin2_md_close(struct thin2_md *md);

/*
 * Once all changes have ended with an error: have the superblock say that the pool
 * needs a check, so that nobody writes to it before. At most once; a failure is
 * logged. Sleeps.
 */
void thin2_md_mark_failed(struct thin2_md *md);

static inline bool thin2_md_needs_check(const struct thin2_md *md)
{
	return READ_ONCE(md->sb.flags) & PDATA_SB_NEEDS_CHECK;
}

/* As close, but writes nothing: what tests call a crash. */
void thin2_md_abandon(struct thin2_md *md);

/* Grow data and metadata to the devices' new sizes and commit. Shrinking: -PDATA_E_SHRUNK. */
int __must_check thin2_md_resize(struct thin2_md *md, u64 data_units, u64 meta_blocks);

/**
 * thin2_set_placement - where new data is put
 * @md: metadata
 * @chunk_units: what is written piecemeal within so many aligned units of virtual
 *	space lies together, if it can; 0 or 1 = in order of writing. Cut to a run.
 * @erase_units: streams take aligned runs of so many units, a power of two;
 *	0 = PDATA_RUN_UNITS
 *
 * What is mapped already stays where it is. Sleeps.
 */
void thin2_set_placement(struct thin2_md *md, u64 chunk_units, u64 erase_units);

/* ---- operations of messages; durable on success, may sleep ---- */

int __must_check thin2_create(struct thin2_md *md, u32 id);		/* -EXISTS */
/* -EXISTS, -NOT_FOUND */
int __must_check thin2_create_snap(struct thin2_md *md, u32 id, u32 origin);
int __must_check thin2_delete(struct thin2_md *md, u32 id);		/* -NOT_FOUND, -BUSY */
int __must_check thin2_set_transaction_id(struct thin2_md *md, u64 old, u64 new); /* -TXN_ID */

struct thin2_root {
	u64 root;
	u64 mapped_units;
	u64 generation;
};

/* Hold an inactive thin's tree for userspace. -NOT_FOUND, -BUSY (open or held), -LIMIT. */
int __must_check thin2_get_root(struct thin2_md *md, u32 id, struct thin2_root *r);
int __must_check thin2_put_root(struct thin2_md *md, u32 id);		/* -NOT_FOUND */

/**
 * thin2_reserve_snap - hold a checkpoint for userspace
 * @md: metadata
 *
 * All changes up to now are merged, and the trees of that moment stay as they are
 * on the device until thin2_release_snap(), or the next activation. That is so for
 * mappings; data may be overwritten in place. Durable on success. Sleeps.
 *
 * Return: 0; -PDATA_E_BUSY if one is held, -PDATA_E_LIMIT, -PDATA_E_META_NOSPC.
 */
int __must_check thin2_reserve_snap(struct thin2_md *md);
/* Let go of it; what only it had is freed in the background. -NOT_HELD. */
int __must_check thin2_release_snap(struct thin2_md *md);

/* ---- thins ---- */

/* -NOT_FOUND. Opens count; one thin2_dev an id. Sleeps. */
int __must_check thin2_dev_open(struct thin2_md *md, u32 id, struct thin2_dev **result);
void thin2_dev_close(struct thin2_dev *th);	/* no I/O in flight; sleeps */

enum thin2_action {
	THIN2_REMAP,		/* go to phys */
	THIN2_ZERO,		/* reads as zeroes, nothing is mapped (read only) */
	THIN2_PROVISION,	/* write into a hole: thin2_write_begin() */
	/* write into a range that may be shared: thin2_try_exclusive(), then thin2_write_begin() */
	THIN2_UNSHARE,
	THIN2_FILL,		/* not in memory: thin2_fill() from a worker */
	THIN2_WAIT,		/* a write in flight overlaps: retry after wake() */
	/* lost: I/O error, but for a write of whole units, which heals it: thin2_write_begin() */
	THIN2_DAMAGED,
};

struct thin2_where {
	enum thin2_action action;
	u64 phys;		/* REMAP, UNSHARE: unit where @unit lies */
	u64 end;		/* one past the last unit of which the same is true */
	bool hole;		/* ZERO, PROVISION: a hole (an external origin shows), not zeroes */
};

/**
 * thin2_lookup - from a virtual unit to what must be done
 * @th: thin
 * @unit: virtual
 * @limit: one past the last unit of interest
 * @write: false for a read
 * @w: answer
 *
 * The one lookup-to-action function. No lock, never sleeps, allocates
 * nothing. A caller that acts on REMAP holds rcu_read_lock() from before this
 * call until the bio is counted as in flight, so that drain() sees it.
 */
void thin2_lookup(struct thin2_dev *th, u64 unit, u64 limit, bool write,
		  struct thin2_where *w);

/**
 * thin2_fill - read what lookup missed from the base tree into the range map
 * @th: thin
 * @unit: where lookup said THIN2_FILL
 * @limit: one past the last unit of interest
 *
 * Enters the range that holds @unit, and up to md->fill_ranges of those around
 * it that lie in the same leaf, as far as the map says nothing of them. Sleeps.
 *
 * Return: 0: look up again (it may miss again); -ENOMEM; a read error.
 */
int __must_check thin2_fill(struct thin2_dev *th, u64 unit, u64 limit);

/**
 * thin2_fill_lost - a write of whole units takes the place of what cannot be read
 * @th: thin
 * @unit: where thin2_fill() failed
 * @limit: one past the last unit that the write covers
 *
 * Enters as damaged what the tree cannot say of these units, so that the next
 * lookup says THIN2_DAMAGED and not THIN2_FILL. Sleeps.
 *
 * Return: 0: look up again (it may miss again, and the tree may be readable by
 * now); or an error that has nothing to do with the tree's blocks.
 */
int __must_check thin2_fill_lost(struct thin2_dev *th, u64 unit, u64 limit);

/* Range-map entries in memory. Waits for an eviction under way. */
u64 thin2_cached_ranges(struct thin2_md *md);

enum thin2_evict_how {
	THIN2_EVICT_BACKGROUND,	/* what was used since the last time stays */
	THIN2_EVICT_RECLAIM,	/* the same; does not wait for a lock */
	THIN2_EVICT_ALL,	/* in use or not */
};

/**
 * thin2_evict - forget clean range-map entries
 * @md: metadata
 * @nr: how many, at most THIN2_EVICT_MAX; taken from each thin in proportion to what it holds
 * @how: which
 *
 * Works without memory to spare and takes no lock that is held by somebody who
 * waits for memory. May be called from reclaim. Sleeps (cond_resched()).
 *
 * Return: how many went; more or less than @nr, 0 if RECLAIM finds a lock taken.
 */
u64 thin2_evict(struct thin2_md *md, u64 nr, enum thin2_evict_how how);

/**
 * thin2_try_exclusive - ask the trees whether a range is still shared
 * @th: thin
 * @unit: where lookup said THIN2_UNSHARE
 * @limit: one past the last unit of interest
 *
 * Sleeps, reads the last durable checkpoint. If the range is exclusive that is
 * entered in the range map and the next lookup answers REMAP.
 *
 * Return: 1 exclusive now, 0 shared: go on with thin2_write_begin(), or an error.
 */
int __must_check thin2_try_exclusive(struct thin2_dev *th, u64 unit, u64 limit);

/**
 * thin2_surely_shared - is there no point in asking the trees?
 * @th: thin
 *
 * What was mapped at the last snapshot can only have become exclusive since if
 * somebody else gave up a reference on data. Until that happens a write that
 * lookup calls THIN2_UNSHARE may go straight to thin2_write_begin(). Unsharing
 * is right whatever the answer, so it needs no lock. Any context.
 */
bool thin2_surely_shared(struct thin2_dev *th);

/* A provisioning or unsharing write in flight. */
struct thin2_write {
	struct thin2_dev *th;
	u64 vbegin;
	u64 phys;		/* where the data goes */
	u32 len;		/* units */
	bool unshare;		/* old_phys holds the data a sub-unit write must copy from */
	bool zeroes;		/* what was there reads as zeroes, whatever the origin says */
	bool damaged;		/* what was there is lost: nothing can be copied */
	u64 old_phys;
	u64 old_value;		/* to restore on failure */
};

/**
 * thin2_write_begin - allocate for a write into a hole or shared range
 * @th: thin
 * @unit: first virtual unit
 * @limit: one past the last unit wanted
 * @w: filled in; covers w->len units from @unit on, cut at range borders and
 *	at what could be allocated in one piece
 *
 * Any context (never sleeps). On success the range is pending until
 * thin2_write_end(). Sub-unit parts of the first and last unit that the caller
 * does not write must be copied from old_phys (unshare) or zeroed, before
 * thin2_write_end().
 *
 * For a sub-unit write into a shared range call it only when thin2_snap_busy()
 * is false (bios of the old epoch must have drained before a copy).
 *
 * Return: 0; -PDATA_E_RETRY or _PENDING or _MISS: look up again;
 * -PDATA_E_WOULD_SLEEP: thin2_make_room(); -PDATA_E_JOURNAL_FULL, _DIRTY_LIMIT:
 * wait for a checkpoint (call thin2_work(), it knows what is owed; also
 * returned when only the quarantine holds free space); -PDATA_E_DATA_NOSPC,
 * _META_NOSPC: out of space; -ENOMEM: try again from a worker; -PDATA_E_FAILED.
 */
int __must_check thin2_write_begin(struct thin2_dev *th, u64 unit, u64 limit,
				   struct thin2_write *w);

/* The data is written (error 0) or not (entry restored, space given back). Any context. */
void thin2_write_end(struct thin2_write *w, int error);

bool thin2_snap_busy(struct thin2_dev *th);

/* After -WOULD_SLEEP, _JOURNAL_FULL or _DIRTY_LIMIT: do what is needed. Sleeps. */
int __must_check thin2_make_room(struct thin2_dev *th, int why);

/**
 * thin2_unmap - discard, or write zeroes by mapping
 * @th: thin
 * @begin: first virtual unit
 * @end: one past the last
 * @zero: reads as zeroes from now on, even with an external origin
 * @done: first unit not handled yet; equals @end on success
 *
 * Sleeps. One record, unless more than 1,024 range-map entries are covered;
 * then one for each step of so many.
 *
 * Return: 0; -PDATA_E_PENDING: a write in flight overlaps at *done, go on
 * there after wake(); others as thin2_write_begin().
 */
int __must_check thin2_unmap(struct thin2_dev *th, u64 begin, u64 end, bool zero, u64 *done);

/* Sequence of the thin's last record: what a FUA write waits for. Any context. */
u64 thin2_last_seq(struct thin2_dev *th);
/* Are all records up to @seq durable? Any context. */
bool thin2_is_durable(struct thin2_md *md, u64 seq);

/**
 * thin2_flush - FLUSH: everything appended before is durable on return
 *
 * Closes a batch, flushes the data device, writes the batch: two device
 * latencies. The data flush is made even if there is no record. If the journal
 * is full a checkpoint is made first. Sleeps; takes flush_sem.
 */
int __must_check thin2_flush(struct thin2_md *md);

/**
 * thin2_flush_try - the first half of a flush, if that needs no waiting
 * @md: metadata
 * @max: blocks of the journal to write, at most
 * @batch: result; they are in md->journal.vec, consecutive on the device
 *
 * For a caller who knows that the data device has nothing to flush, writes the
 * blocks with FUA himself, and then calls thin2_flush_end(). Never sleeps.
 *
 * Return: 0; anything else: call thin2_flush() from where it may sleep.
 */
int __must_check thin2_flush_try(struct thin2_md *md, unsigned int max,
				 struct pdata_journal_batch *batch);
/* The write has ended with @r (0 or an errno). Any context. */
void thin2_flush_end(struct thin2_md *md, const struct pdata_journal_batch *batch, int r);

/* ---- background ---- */

/**
 * thin2_checkpoint - merge all deltas that exist now and commit
 *
 * I/O goes on meanwhile. Sleeps.
 */
int __must_check thin2_checkpoint(struct thin2_md *md);

/**
 * thin2_work - one bounded piece of background work
 * @md: metadata
 * @idle: no pressing need; @md has been quiet: bring the trees up to date
 *
 * Writes the journal when its buffers fill, merges and commits when the journal
 * or the delta lists fill, frees deleted thins. Call from a worker: after
 * wake(), and every second.
 *
 * Return: 1 if there is more to do at once, 0, or an error.
 */
int __must_check thin2_work(struct thin2_md *md, bool idle);

/*
 * The part of it that writes run into first: the journal's buffers fill up. For
 * another worker, as a merge may take seconds: after wake(), if it is wanted.
 */
bool thin2_wants_journal(const struct thin2_md *md);	/* any context */
int __must_check thin2_journal_work(struct thin2_md *md);

/* Units that freed() handed out may be used again. */
void thin2_release(struct thin2_md *md, struct list_head *batch);

/* ---- figures; any context unless noted ---- */

/* How many records may be un-merged at once, for all that the metadata has room for. */
u64 thin2_admit(const struct thin2_md *md);

struct thin2_pool_status {
	u64 transaction_id;
	u64 meta_used, meta_total;	/* blocks, fixed structures left out */
	u64 meta_kept;			/* blocks of the total that stay free */
	u64 data_used, data_total;	/* units; used leaves quarantine out */
	bool held;			/* a checkpoint is, whose details tree has its */
	u64 held_root;			/* root in this block; 0 = it is empty */
	bool needs_check;
	u64 generation;
	u64 nr_dirty, max_dirty;
	u64 nr_deleting;
	u64 quarantined;		/* units */
	unsigned int journal_fill;	/* per cent */
	u64 journal_last, journal_durable;	/* records */
	u64 checkpoints, merged, flushes;
	u64 ranges;			/* range-map entries in memory */
	u64 groups, group_maps;		/* of the data allocator; those in memory */
	u64 fills, filled, evicted;	/* misses read; entries that brought, entries forgotten */
};

void thin2_pool_status(struct thin2_md *md, struct thin2_pool_status *s);	/* sleeps */

struct thin2_dev_status {
	u64 mapped_units;
	bool any;
	u64 highest;		/* highest mapped unit, if any */
};

/* Sleeps. Exact after a checkpoint when nothing else runs. */
int __must_check thin2_dev_status(struct thin2_dev *th, struct thin2_dev_status *s);

/* ---- whole-pool views for tools and tests; sleep ---- */

/* Thins in order of ids, without tombstones; or those being deleted. */
int __must_check thin2_for_each_details(struct thin2_md *md, bool deleting,
					int (*fn)(void *context, const struct thin2_details *d),
					void *context);
/*
 * Ranges of a thin in key order, un-merged changes included; works on a pool
 * opened read-only. Nothing may change the thin meanwhile.
 */
int __must_check thin2_walk(struct thin2_md *md, const struct thin2_details *d,
			    int (*fn)(void *context, const struct pdata_range *r),
			    void *context);

void thin2_details_unpack(const struct pdata_details_disk *d, struct thin2_details *details);
void thin2_details_pack(const struct thin2_details *details, struct pdata_details_disk *d);

#endif
