// SPDX-License-Identifier: GPL-2.0-only
/*
 * Journal: reservations, appends, batches, tail. Replay is in a file of its own.
 *
 * Blocks [tail_seq, written_seq) are durable, [written_seq, closed_seq) belong
 * to a batch, [closed_seq, head_seq) are full, head_seq is open and holds
 * open_nr < records_max records.
 *
 * Why an append cannot fail. Let
 *	need = head_seq + (open block has records ? 1 : 0)
 *	     + blocks for the reserved records that do not fit into the open one
 * be the sequence that all reserved records reach if nothing is closed early.
 * An append leaves need as it is: starting a block, filling it and using up a
 * reservation cancel out. A close of a part-filled block adds at most 1, since
 * the room lost in it was less than a block. So it is enough that reserve and
 * close keep
 *	ring:    need - tail_seq    <= nr_blocks
 *	buffers: need - written_seq <= nr_buffers
 * and that tail_seq and written_seq only grow.
 *
 * Why a commit's close cannot fail. Reservations and ordinary closes keep the
 * ring's need below nr_blocks - PDATA_JOURNAL_RESERVE; each close for a commit
 * adds at most 1 to it, and a commit that advances the tail gives all back.
 * That makes PDATA_JOURNAL_RESERVE commits between two advances. A memory
 * buffer is never short at a close: reservations leave one alone, a close
 * takes it at most, and the write that follows before the next close gives
 * back at least the one that was closed.
 */
#include "pdata-journal.h"
#include "pdata-fault.h"

void pdata_record_pack(const struct pdata_record *rec, struct pdata_record_disk *d)
{
	d->uid = cpu_to_le64(rec->uid);
	d->vbegin_kind = cpu_to_le64((rec->vbegin & ((1ull << 56) - 1)) |
				     (u64)rec->kind << 56);
	d->phys = cpu_to_le64(rec->phys);
	d->len = cpu_to_le32(rec->len);
	d->birth = cpu_to_le32(rec->birth);
}

void pdata_record_unpack(const struct pdata_record_disk *d, struct pdata_record *rec)
{
	u64 vbegin_kind = le64_to_cpu(d->vbegin_kind);

	rec->uid = le64_to_cpu(d->uid);
	rec->vbegin = vbegin_kind & ((1ull << 56) - 1);
	rec->kind = vbegin_kind >> 56;
	rec->phys = le64_to_cpu(d->phys);
	rec->len = le32_to_cpu(d->len);
	rec->birth = le32_to_cpu(d->birth);
}

static struct pdata_journal_slot *journal_slot(const struct pdata_journal *j, u64 seq)
{
	return &j->slot[seq % j->nr_blocks];
}

static struct pdata_journal_disk *journal_buffer(const struct pdata_journal *j, u64 seq)
{
	return j->buffer[seq % j->nr_buffers];
}

/* Sequence behind the last block in use. */
static u64 journal_used_end(const struct pdata_journal *j)
{
	return j->head_seq + (j->open_nr > 0);
}

/* "need" of the comment above, with @reserved reservations. */
static u64 journal_need(const struct pdata_journal *j, u64 reserved)
{
	u64 room = j->open_nr ? j->records_max - j->open_nr : 0;

	if (reserved <= room)
		return journal_used_end(j);
	return journal_used_end(j) + DIV_ROUND_UP(reserved - room, j->records_max);
}

static int journal_alloc_buffers(struct pdata_journal *j)
{
	u64 i;

	j->buffer = kvcalloc(j->nr_buffers, sizeof(*j->buffer), GFP_NOIO);
	j->vec = kvcalloc(j->nr_buffers, sizeof(*j->vec), GFP_NOIO);
	j->slot = kvcalloc(j->nr_blocks, sizeof(*j->slot), GFP_NOIO);
	if (!j->buffer || !j->vec || !j->slot)
		return -ENOMEM;
	for (i = 0; i < j->nr_buffers; i++) {
		j->buffer[i] = pdata_block_alloc(GFP_NOIO);
		if (!j->buffer[i])
			return -ENOMEM;
		memset(j->buffer[i], 0, PDATA_BLOCK_SIZE);
	}
	return 0;
}

int pdata_journal_init(struct pdata_journal *j, struct pdata_io *io,
		       const struct pdata_super *sb, const char *name)
{
	int r;

	memset(j, 0, sizeof(*j));
	j->io = io;
	j->name = name;
	memcpy(j->uuid, sb->uuid, sizeof(j->uuid));
	j->nonce = sb->journal_nonce;
	j->nr_blocks = sb->journal_blocks;
	j->records_max = PDATA_RECORDS_PER_BLOCK;
	j->nr_buffers = min_t(u64, PDATA_JOURNAL_BUFFERS, j->nr_blocks);
	spin_lock_init(&j->lock);
	j->tail_seq = sb->journal_tail;
	j->head_seq = sb->journal_tail;
	j->closed_seq = sb->journal_tail;
	j->written_seq = sb->journal_tail;
	j->tail_crc = sb->journal_tail_crc;
	j->last_crc = sb->journal_tail_crc;
	j->next_rec = sb->journal_tail_rec;
	j->durable_rec = sb->journal_tail_rec;
	j->generation = sb->generation;
	if (j->nr_blocks < PDATA_JOURNAL_MIN || j->nr_blocks > io->nr_blocks ||
	    pdata_journal_end(j->nr_blocks) > io->nr_blocks ||
	    !j->tail_seq || j->tail_seq >= PDATA_JOURNAL_SEQ_MAX ||
	    !j->next_rec || j->next_rec >= PDATA_JOURNAL_SEQ_MAX) {
		pdata_err("%s: superblock states an impossible journal: %llu blocks, tail %llu",
			  name, j->nr_blocks, j->tail_seq);
		return -PDATA_E_CONTENT;
	}
	r = journal_alloc_buffers(j);
	if (r)
		pdata_journal_exit(j);
	return r;
}

void pdata_journal_exit(struct pdata_journal *j)
{
	u64 i;

	if (j->buffer) {
		for (i = 0; i < j->nr_buffers; i++)
			if (j->buffer[i])
				pdata_block_free(j->buffer[i]);
	}
	kvfree(j->buffer);
	kvfree(j->vec);
	kvfree(j->slot);
	j->buffer = NULL;
	j->vec = NULL;
	j->slot = NULL;
}

/* Reserve within the first 1/@part of ring and buffers. */
static int journal_reserve(struct pdata_journal *j, unsigned int nr, unsigned int part)
{
	unsigned long flags;
	u64 need;
	int r = 0;

	spin_lock_irqsave(&j->lock, flags);
	need = journal_need(j, j->reserved + nr);
	if (j->failed)
		r = -PDATA_E_FAILED;
	else if (need - j->tail_seq > (j->nr_blocks - PDATA_JOURNAL_RESERVE) / part ||
		 need - j->written_seq > (j->nr_buffers - 1) / part)
		r = -PDATA_E_JOURNAL_FULL;
	else
		j->reserved += nr;
	spin_unlock_irqrestore(&j->lock, flags);
	return r;
}

int pdata_journal_reserve(struct pdata_journal *j, unsigned int nr)
{
	return journal_reserve(j, nr, 1);
}

int pdata_journal_reserve_ahead(struct pdata_journal *j, unsigned int nr)
{
	return journal_reserve(j, nr, 2);
}

void pdata_journal_unreserve(struct pdata_journal *j, unsigned int nr)
{
	unsigned long flags;

	spin_lock_irqsave(&j->lock, flags);
	j->reserved -= min_t(u64, j->reserved, nr);
	spin_unlock_irqrestore(&j->lock, flags);
}

/*
 * Only a caller that appends without a reservation can get here without room.
 * Then the record cannot be kept; better to fail the journal, which keeps the
 * data of this and all later writes from being acknowledged, than to overwrite
 * a block that is needed.
 */
static bool journal_has_room(struct pdata_journal *j)
{
	if (j->open_nr || (j->head_seq - j->tail_seq < j->nr_blocks &&
			   j->head_seq - j->written_seq < j->nr_buffers))
		return true;
	if (!j->failed)
		pdata_err_limit("%s: journal record without a reservation", j->name);
	j->failed = true;
	return false;
}

u64 pdata_journal_append(struct pdata_journal *j, const struct pdata_record *rec)
{
	struct pdata_journal_slot *slot;
	u64 seq;

	spin_lock(&j->lock);
	seq = j->next_rec++;
	if (j->reserved)
		j->reserved--;
	if (journal_has_room(j)) {
		slot = journal_slot(j, j->head_seq);
		if (!j->open_nr)
			slot->first_rec = seq;
		pdata_record_pack(rec, &journal_buffer(j, j->head_seq)->record[j->open_nr++]);
		slot->nr_records = j->open_nr;
		if (j->open_nr == j->records_max) {
			j->head_seq++;
			j->open_nr = 0;
		}
	}
	spin_unlock(&j->lock);
	return seq;
}

int pdata_journal_close(struct pdata_journal *j, struct pdata_journal_batch *batch, bool commit)
{
	unsigned long flags;
	u64 need, limit;
	int r = 0;

	memset(batch, 0, sizeof(*batch));
	limit = j->nr_blocks - (commit ? 0 : PDATA_JOURNAL_RESERVE);
	spin_lock_irqsave(&j->lock, flags);
	need = journal_used_end(j) + DIV_ROUND_UP(j->reserved, j->records_max);
	if (j->failed) {
		r = -PDATA_E_FAILED;
		goto out;
	}
	if (j->open_nr) {
		if (need - j->tail_seq > limit || need - j->written_seq > j->nr_buffers) {
			r = -PDATA_E_JOURNAL_FULL;
			goto out;
		}
		j->head_seq++;
		j->open_nr = 0;
	}
	j->closed_seq = j->head_seq;
	batch->first_seq = j->written_seq;
	batch->end_seq = j->closed_seq;
	batch->end_rec = j->next_rec;
out:
	spin_unlock_irqrestore(&j->lock, flags);
	return r;
}

/* Closed blocks and their slots change no more: sealing needs no lock. */
static int seal_block(struct pdata_journal *j, u64 seq, u64 durable_seq, u64 generation,
		      u32 *crc)
{
	struct pdata_journal_disk *d = journal_buffer(j, seq);
	struct pdata_journal_slot *slot = journal_slot(j, seq);
	struct pdata_check c = {
		.block = pdata_journal_place(seq % j->nr_blocks),
		.type = PDATA_TYPE_JOURNAL,
		.uuid = j->uuid,
		.max_generation = generation,
		.nr_blocks = j->io->nr_blocks,
	};
	int r;

	memset(d, 0, offsetof(struct pdata_journal_disk, record));
	memset(&d->record[slot->nr_records], 0,
	       (PDATA_RECORDS_PER_BLOCK - slot->nr_records) * sizeof(d->record[0]));
	d->h.magic = cpu_to_le32(PDATA_TYPE_JOURNAL);
	d->h.owner = cpu_to_le64(PDATA_OWNER_JOURNAL);
	d->nonce = cpu_to_le64(j->nonce);
	d->seq = cpu_to_le64(seq);
	d->durable_seq = cpu_to_le64(durable_seq);
	d->first_rec = cpu_to_le64(slot->first_rec);
	d->nr_records = cpu_to_le32(slot->nr_records);
	d->prev_crc = cpu_to_le32(*crc);
	r = pdata_block_seal(&c, d);
	if (r) {
		pdata_err("%s: journal block %llu refused before its write: %s: %s is %#llx, expected %#llx",
			  j->name, seq, pdata_error_text(r), c.what, c.found, c.expected);
		return r;
	}
	*crc = le32_to_cpu(d->h.csum);
	slot->crc = *crc;
	return 0;
}

int pdata_journal_seal(struct pdata_journal *j, struct pdata_journal_batch *batch)
{
	unsigned long flags;
	u64 generation, seq;
	unsigned int n = 0;
	int r = 0;

	spin_lock_irqsave(&j->lock, flags);
	if (j->failed)
		r = -PDATA_E_FAILED;
	else if (batch->first_seq != j->written_seq || batch->end_seq < batch->first_seq ||
		 batch->end_seq > j->closed_seq)
		r = -EINVAL;	/* not what the last close gave out */
	generation = j->generation;
	batch->crc = j->last_crc;
	spin_unlock_irqrestore(&j->lock, flags);

	for (seq = batch->first_seq; !r && seq < batch->end_seq; seq++) {
		r = seal_block(j, seq, batch->first_seq - 1, generation, &batch->crc);
		j->vec[n].block = pdata_journal_place(seq % j->nr_blocks);
		j->vec[n++].data = journal_buffer(j, seq);
	}
	return r;
}

int pdata_journal_wrote(struct pdata_journal *j, const struct pdata_journal_batch *batch, int r)
{
	unsigned long flags;

	spin_lock_irqsave(&j->lock, flags);
	if (r) {
		j->failed = true;
	} else {
		j->written_seq = batch->end_seq;
		j->durable_rec = batch->end_rec;
		j->last_crc = batch->crc;
	}
	spin_unlock_irqrestore(&j->lock, flags);
	if (r)
		pdata_err("%s: cannot write the journal's blocks %llu to %llu, block %llu on: %s (%d)",
			  j->name, batch->first_seq, batch->end_seq - 1,
			  pdata_journal_place(batch->first_seq % j->nr_blocks),
			  pdata_error_text(r), r);
	return r;
}

int pdata_journal_write(struct pdata_journal *j, struct pdata_journal_batch *batch)
{
	int r;

	if (batch->first_seq == batch->end_seq)
		return READ_ONCE(j->failed) ? -PDATA_E_FAILED : 0;
	r = pdata_journal_seal(j, batch);
	if (r == -PDATA_E_FAILED || r == -EINVAL)
		return r;
	if (!r && pdata_fault(JOURNAL_WRITE))
		r = -PDATA_E_FAULT;
	if (!r)
		r = pdata_io_write(j->io, j->vec, batch->end_seq - batch->first_seq, true);
	return pdata_journal_wrote(j, batch, r);
}

u64 pdata_journal_last(struct pdata_journal *j)
{
	unsigned long flags;
	u64 rec;

	spin_lock_irqsave(&j->lock, flags);
	rec = j->next_rec - 1;
	spin_unlock_irqrestore(&j->lock, flags);
	return rec;
}

u64 pdata_journal_durable(struct pdata_journal *j)
{
	unsigned long flags;
	u64 rec;

	spin_lock_irqsave(&j->lock, flags);
	rec = j->durable_rec - 1;
	spin_unlock_irqrestore(&j->lock, flags);
	return rec;
}

/* First block of [tail_seq, end) that ends behind @rec; end if there is none. */
static u64 journal_find(const struct pdata_journal *j, u64 rec, u64 end)
{
	u64 low = j->tail_seq, high = end;

	while (low < high) {
		u64 mid = low + (high - low) / 2;
		const struct pdata_journal_slot *slot = journal_slot(j, mid);

		if (slot->first_rec + slot->nr_records > rec)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

void pdata_journal_tail(struct pdata_journal *j, u64 rec, struct pdata_super *sb)
{
	unsigned long flags;
	u64 found, seq, end;

	spin_lock_irqsave(&j->lock, flags);
	end = journal_used_end(j);
	found = journal_find(j, rec, end);
	/* A block that is not sealed has no crc; only a wrong @rec gets beyond. */
	seq = min(found, j->written_seq);
	if (seq == end)
		rec = j->next_rec;
	else if (seq != found || rec < journal_slot(j, seq)->first_rec)
		rec = journal_slot(j, seq)->first_rec;
	sb->journal_tail = seq;
	sb->journal_tail_rec = rec;
	sb->journal_tail_crc = seq == j->tail_seq ? j->tail_crc : journal_slot(j, seq - 1)->crc;
	spin_unlock_irqrestore(&j->lock, flags);
}

void pdata_journal_advance(struct pdata_journal *j, const struct pdata_super *sb)
{
	unsigned long flags;

	spin_lock_irqsave(&j->lock, flags);
	if (sb->journal_tail > j->tail_seq && sb->journal_tail <= j->written_seq) {
		j->tail_seq = sb->journal_tail;
		j->tail_crc = sb->journal_tail_crc;
	}
	j->generation = max(j->generation, sb->generation);
	spin_unlock_irqrestore(&j->lock, flags);
}

void pdata_journal_cut(struct pdata_journal *j, u64 generation, struct pdata_super *sb)
{
	unsigned long flags;

	spin_lock_irqsave(&j->lock, flags);
	sb->journal_cut = j->head_seq;
	sb->journal_cut_gen = generation;
	spin_unlock_irqrestore(&j->lock, flags);
}

unsigned int pdata_journal_fill(struct pdata_journal *j)
{
	unsigned long flags;
	u64 used;

	spin_lock_irqsave(&j->lock, flags);
	used = journal_used_end(j) - j->tail_seq;
	spin_unlock_irqrestore(&j->lock, flags);
	return used * 100 / j->nr_blocks;
}

bool pdata_journal_wants_write(struct pdata_journal *j)
{
	unsigned long flags;
	bool wants;

	spin_lock_irqsave(&j->lock, flags);
	wants = journal_used_end(j) - j->written_seq > j->nr_buffers / 2;
	spin_unlock_irqrestore(&j->lock, flags);
	return wants;
}
