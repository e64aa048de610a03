// SPDX-License-Identifier: GPL-2.0-only
/*
 * Journal replay.
 *
 * A block found in the ring is one of this journal if it is well formed, bears
 * the pool's uuid and the journal's nonce, and lies where its sequence puts
 * it. The chain begins at the superblock's tail and goes on from block s to
 * block s + 1 as long as that has the right sequence, the crc of block s as
 * prev_crc, and record sequences behind those of block s.
 *
 * A batch that was being written when the machine died may have left its later
 * blocks without an earlier one, m. Replay ends before m, and the journal goes
 * on with a new block m. The old block m + 1 must never be taken for its
 * successor. The crc alone would make that unlikely; record sequences make it
 * impossible: replay scans the whole ring and lets next_rec jump behind every
 * record of every block of this journal that it finds. All records of the new
 * block m are then above those of the old block m + 1, whereas a successor's
 * are above those of its predecessor. The same holds at the chain's start: the
 * block at the tail must end behind journal_tail_rec, which is never less than
 * the next_rec of its time if the tail block did not exist yet.
 *
 * Nor may block m itself come back: what its torn write left may be the start of
 * a good block whose other sectors, zeroes perhaps, a torn write of the new
 * block m supplies. So the first superblock of an activation, written before any
 * block, says where replay ended and its own generation: blocks from there on
 * are of the chain only if they are of that generation or a later one.
 *
 * A block states in durable_seq what was durable when it was sealed. If the
 * chain ends at m and any block says that m was durable, m is damaged and
 * acknowledged records would be lost: that is no torn batch but an error.
 */
#include "pdata-journal.h"

struct replay {
	struct pdata_journal *j;
	const struct pdata_super *sb;
	int (*record)(void *context, u64 seq, const struct pdata_record *rec);
	void *context;
	struct pdata_journal_disk *d;	/* the block last read: one of those in buf */
	void *buf[PDATA_IO_RUN];	/* the first is there, others may be NULL */
	unsigned int nr_buf;
	u64 run_seq;		/* blocks of these places, */
	unsigned int nr_run;	/* so many, are in buf */
	u64 next_seq;		/* the chain goes on with this block, */
	u64 next_rec;		/* which has no record below this */
	u32 crc;		/* and has this as prev_crc */
	u64 durable_seq;	/* highest that any block states */
	u64 seen_rec;		/* behind the last record of any block */
	bool ended;		/* the block next_seq is missing */
};

/* What no journal ever writes, right crc or not. */
static bool replay_is_sane(const struct pdata_journal_disk *d)
{
	u64 seq = le64_to_cpu(d->seq), first = le64_to_cpu(d->first_rec);

	return seq && seq < PDATA_JOURNAL_SEQ_MAX && le64_to_cpu(d->durable_seq) < seq &&
	       first && first < PDATA_JOURNAL_SEQ_MAX && d->nr_records;
}

/* How many places from @slot on lie side by side: there are blocks of others between. */
static unsigned int replay_run(const struct replay *p, u64 slot)
{
	const u64 place = pdata_journal_place(slot);
	unsigned int n = 1;

	while (n < p->nr_buf && slot + n < p->j->nr_blocks &&
	       pdata_journal_place(slot + n) == place + n)
		n++;
	return n;
}

/* Get that place of the ring into p->d, with those behind it if it can be. */
static int replay_fetch(struct replay *p, u64 seq)
{
	const u64 slot = seq % p->j->nr_blocks;
	struct pdata_io *io = p->j->io;
	unsigned int n;

	if (seq < p->run_seq || seq - p->run_seq >= p->nr_run) {
		n = replay_run(p, slot);
		p->run_seq = seq;
		p->nr_run = 0;
		if (n > 1 && !io->ops->read_run(io, pdata_journal_place(slot), p->buf, n))
			p->nr_run = n;
	}
	if (p->nr_run) {
		p->d = p->buf[seq - p->run_seq];
		return 0;
	}
	/* One of them may be bad: find out which. */
	p->d = p->buf[0];
	return pdata_io_read(io, pdata_journal_place(slot), p->d);
}

/*
 * Read the place of the ring where block @seq or one of other laps is.
 *
 * Return: 1 if it holds a block of this journal, 0 if it does not, an error.
 */
static int replay_read(struct replay *p, u64 seq)
{
	struct pdata_journal *j = p->j;
	const struct pdata_journal_disk *d;
	struct pdata_check c = {
		.block = pdata_journal_place(seq % j->nr_blocks),
		.type = PDATA_TYPE_JOURNAL,
		.uuid = j->uuid,
		.max_generation = ~0ull,
		.nr_blocks = j->io->nr_blocks,
	};
	int r;

	r = replay_fetch(p, seq);
	if (r)
		return r;
	d = p->d;
	r = pdata_block_check(&c, d);
	if (r && !pdata_error_is_damage(r))
		return r;
	if (r)
		return 0;
	return le64_to_cpu(d->nonce) == j->nonce && replay_is_sane(d) &&
	       le64_to_cpu(d->seq) % j->nr_blocks == seq % j->nr_blocks;
}

/* What any block of this journal tells, in the chain or not. */
static int replay_note(struct replay *p)
{
	const struct pdata_journal_disk *d = p->d;
	u64 generation = le64_to_cpu(d->h.generation);

	if (generation > p->sb->generation) {
		pdata_err("%s: journal block %llu was written under superblock %llu, found %llu",
			  p->j->name, (u64)le64_to_cpu(d->seq), generation, p->sb->generation);
		return -PDATA_E_STALE_SB;
	}
	p->durable_seq = max_t(u64, p->durable_seq, le64_to_cpu(d->durable_seq));
	p->seen_rec = max_t(u64, p->seen_rec,
			    le64_to_cpu(d->first_rec) + le32_to_cpu(d->nr_records));
	return 0;
}

static bool replay_continues(const struct replay *p)
{
	const struct pdata_journal_disk *d = p->d;
	u64 first = le64_to_cpu(d->first_rec);

	if (le64_to_cpu(d->seq) != p->next_seq || le32_to_cpu(d->prev_crc) != p->crc)
		return false;
	if (p->next_seq >= p->sb->journal_cut &&
	    le64_to_cpu(d->h.generation) < p->sb->journal_cut_gen)
		return false;
	if (p->next_seq == p->sb->journal_tail)
		return first + le32_to_cpu(d->nr_records) > p->next_rec;
	return first >= p->next_rec;
}

static int replay_block(struct replay *p)
{
	const struct pdata_journal_disk *d = p->d;
	u64 first = le64_to_cpu(d->first_rec);
	u32 i, nr = le32_to_cpu(d->nr_records);
	struct pdata_journal_slot *slot = &p->j->slot[p->next_seq % p->j->nr_blocks];
	struct pdata_record rec;
	int r;

	for (i = 0; i < nr; i++) {
		if (first + i < p->sb->journal_tail_rec)
			continue;
		pdata_record_unpack(&d->record[i], &rec);
		r = p->record(p->context, first + i, &rec);
		if (r)
			return r;
	}
	slot->first_rec = first;
	slot->nr_records = nr;
	slot->crc = le32_to_cpu(d->h.csum);
	p->crc = slot->crc;
	p->next_rec = first + nr;
	p->next_seq++;
	return 0;
}

/*
 * Behind a clean stop the ring need not be read. Whatever was written since
 * that superblock began with block journal_tail, and later laps went over it:
 * that place tells. Torn or damaged content may have been one of ours, so then
 * the ring is read.
 */
static int replay_is_clean(struct replay *p, bool *clean)
{
	int r;

	*clean = false;
	if (!(p->sb->flags & PDATA_SB_CLEAN))
		return 0;
	r = replay_fetch(p, p->next_seq);
	if (r)
		return r;
	if (!memchr_inv(p->d, 0, PDATA_BLOCK_SIZE)) {
		*clean = true;
		return 0;
	}
	r = replay_read(p, p->next_seq);
	if (r < 0)
		return r;
	*clean = r && le64_to_cpu(p->d->seq) < p->next_seq &&
		 le64_to_cpu(p->d->h.generation) <= p->sb->generation;
	return 0;
}

/* Buffers to read ahead into; without memory for them it is done without. */
static void replay_buffers(struct replay *p)
{
	while (p->nr_buf < PDATA_IO_RUN) {
		p->buf[p->nr_buf] = pdata_block_alloc(GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
		if (!p->buf[p->nr_buf])
			return;
		p->nr_buf++;
	}
}

/* Walk the ring once from the tail: first the chain, then what else is there. */
static int replay_ring(struct replay *p)
{
	u64 seq, end = p->sb->journal_tail + p->j->nr_blocks;
	int r, found;

	if (p->j->io->ops->read_run)
		replay_buffers(p);
	for (seq = p->sb->journal_tail; seq < end; seq++) {
		found = replay_read(p, seq);
		if (found < 0 && !p->ended)
			return found;
		if (found < 0) {
			pdata_err_limit("%s: journal place of block %llu cannot be read (%d)",
					p->j->name, seq, found);
			continue;
		}
		if (found) {
			r = replay_note(p);
			if (r)
				return r;
		}
		if (p->ended)
			continue;
		if (found && replay_continues(p)) {
			r = replay_block(p);
			if (r)
				return r;
		} else {
			p->ended = true;
		}
	}
	if (p->ended && p->durable_seq >= p->next_seq) {
		pdata_err("%s: journal block %llu is missing, blocks through %llu were durable",
			  p->j->name, p->next_seq, p->durable_seq);
		return -PDATA_E_JOURNAL_GAP;
	}
	return 0;
}

static void replay_finish(struct replay *p)
{
	struct pdata_journal *j = p->j;
	unsigned long flags;

	spin_lock_irqsave(&j->lock, flags);
	j->head_seq = p->next_seq;
	j->closed_seq = p->next_seq;
	j->written_seq = p->next_seq;
	j->open_nr = 0;
	j->last_crc = p->crc;
	j->next_rec = max3(p->next_rec, p->seen_rec, p->sb->journal_tail_rec);
	j->durable_rec = j->next_rec;
	spin_unlock_irqrestore(&j->lock, flags);
}

int pdata_journal_replay(struct pdata_journal *j, const struct pdata_super *sb,
			 int (*record)(void *context, u64 seq, const struct pdata_record *rec),
			 void *context)
{
	struct replay p = {
		.j = j,
		.sb = sb,
		.record = record,
		.context = context,
		.next_seq = sb->journal_tail,
		.next_rec = sb->journal_tail_rec,
		.crc = sb->journal_tail_crc,
	};
	unsigned int i;
	bool clean;
	int r;

	p.buf[0] = pdata_block_alloc(GFP_NOIO);
	if (!p.buf[0])
		return -ENOMEM;
	p.d = p.buf[0];
	p.nr_buf = 1;
	r = replay_is_clean(&p, &clean);
	if (!r && !clean)
		r = replay_ring(&p);
	if (!r)
		replay_finish(&p);
	for (i = 0; i < p.nr_buf; i++)
		pdata_block_free(p.buf[i]);
	return r;
}
