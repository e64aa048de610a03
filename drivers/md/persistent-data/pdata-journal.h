/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Journal: a ring of blocks that records mapping changes since the checkpoint.
 *
 * A written block is never rewritten; a part-filled one is closed when
 * somebody needs it durable. Life of a record: room is reserved before the
 * data write is issued; on its completion the record is appended to the open
 * block (this cannot fail or sleep); a batch is closed; the data device is
 * flushed; the batch is written with FUA. Group commit: everything appended
 * before the close becomes durable together.
 *
 * Blocks form a chain: sequence, predecessor's crc, nonce of this journal.
 * Replay follows it from the superblock's tail to the first block that does
 * not continue it.
 */
#ifndef PDATA_JOURNAL_H
#define PDATA_JOURNAL_H

#include "pdata-io.h"
#include "pdata-layout.h"
#include "pdata-superblock.h"
#include "pdata-validate.h"

struct pdata_record {
	u64 uid;
	u64 vbegin;		/* units */
	u64 phys;		/* MAP only */
	u32 len;		/* units, at least 1 */
	u32 birth;
	u8 kind;		/* enum pdata_record_kind */
};

/* Sequences of blocks and records never come near it. */
#define PDATA_JOURNAL_SEQ_MAX	0x4000000000000000ull
/* Shortest ring. */
#define PDATA_JOURNAL_MIN	32
/* Ring blocks that only a commit's batch may use. */
#define PDATA_JOURNAL_RESERVE	4
/* Most blocks buffered in memory. */
#define PDATA_JOURNAL_BUFFERS	512

/* What is known of a block in the ring, by place. */
struct pdata_journal_slot {
	u64 first_rec;
	u32 nr_records;
	u32 crc;		/* valid once the block is sealed */
};

struct pdata_journal {
	struct pdata_io *io;
	const char *name;	/* pool, for log lines */
	u8 uuid[PDATA_UUID_SIZE];
	u64 nonce;
	u64 nr_blocks;		/* length of the ring */
	unsigned int records_max;	/* a block, <= PDATA_RECORDS_PER_BLOCK (tests: less) */
	u64 nr_buffers;
	struct pdata_journal_disk **buffer;	/* block seq s is in buffer[s % nr_buffers] */
	struct pdata_io_vec *vec;	/* nr_buffers long; used by the one writer */

	spinlock_t lock;	/* irq-safe; guards all below */
	u64 tail_seq;		/* oldest block still needed */
	u32 tail_crc;		/* of block tail_seq - 1 */
	u32 open_nr;		/* records in the open block, < records_max */
	u64 head_seq;		/* the open block */
	u64 closed_seq;		/* blocks below are closed */
	u64 written_seq;	/* blocks below are durable */
	u32 last_crc;		/* of block written_seq - 1 */
	u64 next_rec;		/* sequence of the next record */
	u64 durable_rec;	/* records below are durable */
	u64 reserved;		/* records reserved, not appended */
	u64 generation;		/* of the superblock in force */
	bool failed;
	struct pdata_journal_slot *slot;	/* of seq s: slot[s % nr_blocks] */
};

struct pdata_journal_batch {
	u64 first_seq;		/* blocks [first_seq, end_seq) */
	u64 end_seq;
	u64 end_rec;		/* records below it are durable when the batch is */
	u32 crc;		/* of block end_seq - 1, once sealed */
};

/**
 * pdata_journal_init - set up the journal of a checkpoint
 * @j: to initialise
 * @io: metadata device, outlives @j
 * @sb: the superblock in force. Whoever formats sets journal_tail = 1,
 *	journal_tail_rec = 1, journal_tail_crc = 0 and a random journal_nonce.
 * @name: for log lines, outlives @j
 *
 * Reads nothing: pdata_journal_replay() comes next, also after a clean stop.
 * Sleeps.
 *
 * Return: 0, -PDATA_E_CONTENT (@sb states an impossible ring) or -ENOMEM.
 */
int __must_check pdata_journal_init(struct pdata_journal *j, struct pdata_io *io,
				    const struct pdata_super *sb, const char *name);
void pdata_journal_exit(struct pdata_journal *j);

/**
 * pdata_journal_reserve - make sure that @nr appends will find room
 *
 * Any context. Counts ring blocks and memory buffers; see pdata-journal.c for
 * why an append then cannot fail, whatever is closed meanwhile.
 *
 * Return: 0; -PDATA_E_JOURNAL_FULL: write a batch (if only buffers are short,
 * see pdata_journal_wants_write()) or advance the tail by a checkpoint, then
 * try again; -PDATA_E_FAILED.
 */
int __must_check pdata_journal_reserve(struct pdata_journal *j, unsigned int nr);
/*
 * The same for appends that may come some day: only while less than half of
 * the ring and of the buffers is spoken for, so that these never keep a
 * reservation for now from being granted once what is written was merged.
 */
int __must_check pdata_journal_reserve_ahead(struct pdata_journal *j, unsigned int nr);
void pdata_journal_unreserve(struct pdata_journal *j, unsigned int nr);

/**
 * pdata_journal_append - add a record, using up one reservation
 *
 * With interrupts off; never sleeps, cannot fail. The caller holds the lock
 * that orders this record against other changes of its range (invariant 3).
 *
 * Return: the record's sequence, from 1.
 */
u64 pdata_journal_append(struct pdata_journal *j, const struct pdata_record *rec);

/**
 * pdata_journal_close - close everything appended so far as one batch
 * @j: journal
 * @batch: result; empty (first_seq == end_seq) if nothing is open
 * @commit: allowed to use the commit's reserve
 *
 * Closing a part-filled block costs ring space; outstanding reservations stay
 * covered. One batch at a time: close, then write, under the caller's lock.
 *
 * With @commit it succeeds at least PDATA_JOURNAL_RESERVE times between two
 * advances of the tail. A commit that merged only records already durable
 * needs no close at all.
 *
 * Return: 0; -PDATA_E_JOURNAL_FULL: advance the tail by a checkpoint first;
 * -PDATA_E_FAILED.
 */
int __must_check pdata_journal_close(struct pdata_journal *j, struct pdata_journal_batch *batch,
				     bool commit);

/**
 * pdata_journal_write - make a closed batch durable
 *
 * The caller has flushed the data device after the close and before this call
 * (invariant 1). Sleeps. Failure is final: the journal has failed, nothing
 * more becomes durable.
 */
int __must_check pdata_journal_write(struct pdata_journal *j, struct pdata_journal_batch *batch);

/*
 * pdata_journal_write() in parts, for a caller who does the I/O himself and
 * need not sleep: seal the blocks, which leaves them in j->vec, write them with
 * FUA, and tell how that went. All calls in any context, one batch at a time;
 * a batch that was sealed may also be left to a later close and write.
 */
int __must_check pdata_journal_seal(struct pdata_journal *j, struct pdata_journal_batch *batch);
/* Returns @r. */
int pdata_journal_wrote(struct pdata_journal *j, const struct pdata_journal_batch *batch, int r);

/* Sequence of the last record appended / durable. Any context. */
u64 pdata_journal_last(struct pdata_journal *j);
u64 pdata_journal_durable(struct pdata_journal *j);

/**
 * pdata_journal_tail - what a superblock says when all records below are merged
 * @j: journal
 * @rec: first record sequence not merged; all below it are durable
 * @sb: journal_tail, journal_tail_rec, journal_tail_crc are filled in
 *
 * Record sequences may have holes where a torn batch was cut off; @rec may lie
 * in one, journal_tail_rec is then the first sequence behind it.
 */
void pdata_journal_tail(struct pdata_journal *j, u64 rec, struct pdata_super *sb);
/*
 * That superblock is durable: what lies before its tail may be overwritten, and
 * blocks carry its generation from now on. Called after every commit.
 */
void pdata_journal_advance(struct pdata_journal *j, const struct pdata_super *sb);

/*
 * Replay is done: say in @sb, whose generation will be @generation and which is
 * made durable before any block is written, where it ended. What is left there
 * of blocks that it did not accept never counts again.
 */
void pdata_journal_cut(struct pdata_journal *j, u64 generation, struct pdata_super *sb);

/* Share of the ring in use, 0..100. Any context. */
unsigned int pdata_journal_fill(struct pdata_journal *j);
/* More than half of the memory buffers wait to be written. Any context. */
bool pdata_journal_wants_write(struct pdata_journal *j);

/**
 * pdata_journal_replay - read the journal after a crash
 * @j: just initialised
 * @sb: the superblock in force
 * @record: called for each record from journal_tail_rec on, in order, with
 *	its sequence; a non-zero return stops with that value
 * @context: for @record
 *
 * Works read-only and reads the ring once, in order; behind a clean stop it
 * reads one block. Afterwards the journal goes on behind the last valid block.
 * With an error, records delivered before it mean nothing.
 *
 * Return: 0; -PDATA_E_STALE_SB if a valid block of this journal carries a
 * newer generation than @sb; -PDATA_E_JOURNAL_GAP if the chain breaks below a
 * durable_seq that a block found anywhere in the ring states; a read error at
 * the place where the chain would go on; -ENOMEM.
 */
int __must_check pdata_journal_replay(struct pdata_journal *j, const struct pdata_super *sb,
				      int (*record)(void *context, u64 seq,
						    const struct pdata_record *rec),
				      void *context);

void pdata_record_pack(const struct pdata_record *rec, struct pdata_record_disk *d);
void pdata_record_unpack(const struct pdata_record_disk *d, struct pdata_record *rec);

#endif
