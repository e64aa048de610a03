// SPDX-License-Identifier: GPL-2.0-only
/*
 * Journal: random appends, closes, writes and checkpoints against a list of
 * what was appended, on a disk that loses power; and the rules of replay, one
 * by one.
 */
#include "testlib.h"
#include "pdata-fault.h"
#include "pdata-journal.h"

#define DISK_BLOCKS	2048
#define STEPS		20000

struct entry {
	u64 seq;
	struct pdata_record rec;
};

struct world {
	struct sim_clock clock;
	struct sim_disk *disk;
	struct pdata_super sb;
	struct pdata_journal j;
	u64 random;
	unsigned int records_max;

	struct entry *entry;	/* appended, not merged; in order */
	size_t nr, max;
	u64 durable;		/* highest sequence acknowledged */
	unsigned int outstanding;
	bool lazy;		/* few commits, the ring fills up */
	unsigned int dips;	/* commits since the tail moved */
	u64 nr_crashes, nr_full, nr_dips, nr_laps;
};

static void world_open(struct world *w)
{
	assert_ok(pdata_journal_init(&w->j, &w->disk->io, &w->sb, "test"));
	w->j.records_max = w->records_max;
}

static void world_init(struct world *w, u64 nr_blocks, unsigned int records_max)
{
	memset(w, 0, sizeof(*w));
	w->random = test_seed() + nr_blocks * 1000 + records_max;
	sim_clock_init(&w->clock, w->random);
	w->disk = sim_disk_create(DISK_BLOCKS, &w->clock);
	memset(w->sb.uuid, 0x5a, sizeof(w->sb.uuid));
	w->sb.generation = 7;
	w->sb.journal_blocks = nr_blocks;
	w->sb.journal_nonce = sim_random(&w->random);
	w->sb.journal_tail = 1;
	w->sb.journal_tail_rec = 1;
	w->records_max = records_max;
	world_open(w);
}

static void world_exit(struct world *w)
{
	pdata_journal_exit(&w->j);
	sim_disk_destroy(w->disk);
	free(w->entry);
}

static unsigned int rnd(struct world *w, unsigned int n)
{
	return sim_below(&w->random, n);
}

static struct pdata_record some_record(struct world *w)
{
	struct pdata_record rec = {
		.uid = PDATA_FIRST_UID + rnd(w, 100),
		.vbegin = sim_random(&w->random) >> 20,
		.len = 1 + rnd(w, 1000),
		.birth = rnd(w, 1000),
		.kind = PDATA_REC_MAP + rnd(w, 4),
	};

	if (rec.kind == PDATA_REC_MAP)
		rec.phys = sim_random(&w->random) >> 20;
	return rec;
}

static void append(struct world *w)
{
	struct pdata_record rec = some_record(w);
	struct entry *e;

	assert_true(w->outstanding > 0);
	if (w->nr == w->max) {
		w->max = w->max ? w->max * 2 : 64;
		w->entry = realloc(w->entry, w->max * sizeof(*w->entry));
		assert_non_null(w->entry);
	}
	e = &w->entry[w->nr];
	e->rec = rec;
	e->seq = pdata_journal_append(&w->j, &rec);
	assert_false(w->j.failed);
	assert_u64(e->seq, pdata_journal_last(&w->j));
	if (w->nr)
		assert_true(e->seq > e[-1].seq);
	w->nr++;
	w->outstanding--;
}

static void append_n(struct world *w, unsigned int n)
{
	assert_ok(pdata_journal_reserve(&w->j, n));
	w->outstanding += n;
	while (n--)
		append(w);
}

/* No block in use may share its place or its buffer with another. */
static void check_room(const struct world *w)
{
	u64 end = w->j.head_seq + (w->j.open_nr > 0);

	assert_true(end - w->j.tail_seq <= w->j.nr_blocks);
	assert_true(end - w->j.written_seq <= w->j.nr_buffers);
}

/* ---- replay against the model ---- */

struct replayed {
	struct world *w;
	size_t next;
	u64 tail_rec;
};

static int replayed_record(void *context, u64 seq, const struct pdata_record *rec)
{
	struct replayed *p = context;
	const struct entry *e = &p->w->entry[p->next];

	assert_true(p->next < p->w->nr);
	assert_true(seq >= p->tail_rec);
	assert_u64(seq, e->seq);
	assert_u64(rec->uid, e->rec.uid);
	assert_u64(rec->vbegin, e->rec.vbegin);
	assert_u64(rec->phys, e->rec.phys);
	assert_u64(rec->len, e->rec.len);
	assert_u64(rec->birth, e->rec.birth);
	assert_u64(rec->kind, e->rec.kind);
	p->next++;
	return 0;
}

static void forget_merged(struct world *w)
{
	size_t n = 0;

	while (n < w->nr && w->entry[n].seq < w->sb.journal_tail_rec)
		n++;
	if (n)
		memmove(w->entry, w->entry + n, (w->nr - n) * sizeof(*w->entry));
	w->nr -= n;
}

/* What comes back is a prefix of what was appended and holds all that was acknowledged. */
static void world_reopen(struct world *w)
{
	struct replayed p = { .w = w, .tail_rec = w->sb.journal_tail_rec };
	u64 last;

	pdata_journal_exit(&w->j);
	world_open(w);
	forget_merged(w);
	assert_ok(pdata_journal_replay(&w->j, &w->sb, replayed_record, &p));
	assert_true(p.next == w->nr || w->entry[p.next].seq > w->durable);
	w->nr = p.next;
	last = w->nr ? w->entry[w->nr - 1].seq : w->sb.journal_tail_rec - 1;
	assert_true(pdata_journal_last(&w->j) >= last);
	assert_true(pdata_journal_last(&w->j) + 1 >= w->sb.journal_tail_rec);
	assert_u64(pdata_journal_last(&w->j), pdata_journal_durable(&w->j));
	w->durable = last;
	w->outstanding = 0;
	w->dips = 0;
	/* An activation's first superblock, before any block is written. */
	pdata_journal_cut(&w->j, ++w->sb.generation, &w->sb);
	pdata_journal_advance(&w->j, &w->sb);
	check_room(w);
}

static void crash(struct world *w)
{
	w->nr_crashes++;
	sim_clock_crash(&w->clock);
	sim_clock_power_on(&w->clock, SIM_RANDOM);
	world_reopen(w);
}

/* ---- operations ---- */

/* False after a crash. */
static bool write_batch(struct world *w, struct pdata_journal_batch *batch)
{
	u64 end_rec = batch->end_rec;
	int r = pdata_journal_write(&w->j, batch);

	if (r) {
		assert_err(r, EIO);
		assert_true(w->j.failed);
		assert_err(pdata_journal_reserve(&w->j, 1), PDATA_E_FAILED);
		assert_err(pdata_journal_write(&w->j, batch), PDATA_E_FAILED);
		crash(w);
		return false;
	}
	w->durable = max(w->durable, end_rec - 1);
	assert_u64(pdata_journal_durable(&w->j), end_rec - 1);
	return true;
}

static u64 pick_merged(struct world *w)
{
	size_t i, n = 0;

	for (i = 0; i < w->nr && w->entry[i].seq <= w->durable; i++)
		n++;
	if (w->lazy)
		n = rnd(w, n + 1) / 8;
	i = rnd(w, 3) ? n : rnd(w, n + 1);
	if (i < w->nr)
		return w->entry[i].seq;
	return rnd(w, 2) ? w->durable + 1 : pdata_journal_last(&w->j) + 1;
}

static bool commit(struct world *w)
{
	struct pdata_journal_batch batch;
	struct pdata_super sb = w->sb;
	int r = pdata_journal_close(&w->j, &batch, true);

	if (r) {
		/* only if that many commits in a row left the tail where it was */
		assert_err(r, PDATA_E_JOURNAL_FULL);
		assert_true(w->dips >= PDATA_JOURNAL_RESERVE);
		w->nr_dips++;
	} else {
		if (!write_batch(w, &batch))
			return false;
		w->dips++;
	}
	check_room(w);
	pdata_journal_tail(&w->j, pick_merged(w), &sb);
	assert_true(sb.journal_tail >= w->sb.journal_tail);
	assert_true(sb.journal_tail_rec >= w->sb.journal_tail_rec);
	sb.generation++;
	if (!rnd(w, 10)) {		/* power fails before the superblock is there */
		crash(w);
		return false;
	}
	if (sb.journal_tail > w->sb.journal_tail)
		w->dips = 0;
	w->nr_laps = sb.journal_tail / sb.journal_blocks;
	w->sb = sb;
	pdata_journal_advance(&w->j, &sb);
	forget_merged(w);
	return true;
}

static void flush(struct world *w)
{
	struct pdata_journal_batch batch;
	int r = pdata_journal_close(&w->j, &batch, false);

	check_room(w);
	if (r) {
		assert_err(r, PDATA_E_JOURNAL_FULL);
		w->nr_full++;
		commit(w);
		return;
	}
	/* what is appended between close and write belongs to the next batch */
	while (w->outstanding && rnd(w, 2))
		append(w);
	write_batch(w, &batch);
}

static void reserve(struct world *w)
{
	unsigned int n = 1 + rnd(w, 2 * w->records_max);

	if (!pdata_journal_reserve(&w->j, n)) {
		w->outstanding += n;
		return;
	}
	w->nr_full++;
	if (pdata_journal_wants_write(&w->j))
		flush(w);
	else
		commit(w);
}

static void step(struct world *w)
{
	unsigned int n;

	switch (rnd(w, 12)) {
	case 0 ... 3:
		reserve(w);
		break;
	case 4 ... 7:
		for (n = rnd(w, 2 * w->records_max); n && w->outstanding; n--)
			append(w);
		break;
	case 8:
		n = rnd(w, w->outstanding + 1);
		pdata_journal_unreserve(&w->j, n);
		w->outstanding -= n;
		break;
	case 9:
		if (!rnd(w, 6))
			sim_clock_crash_at(&w->clock, 1);
		flush(w);
		break;
	case 10:
		if (!rnd(w, 100))
			w->lazy = !w->lazy;
		if (w->lazy && rnd(w, 30))
			break;
		if (!rnd(w, 6))
			sim_clock_crash_at(&w->clock, 1);
		commit(w);
		break;
	default:
		if (!rnd(w, w->lazy ? 100 : 10))
			crash(w);
	}
	sim_clock_crash_at(&w->clock, 0);
	check_room(w);
	assert_true(pdata_journal_fill(&w->j) <= 100);
}

static void run_model(u64 nr_blocks, unsigned int records_max, unsigned int min_laps)
{
	struct world w;
	unsigned int i;

	world_init(&w, nr_blocks, records_max);
	for (i = 0; i < test_rounds(STEPS); i++)
		step(&w);
	crash(&w);
	assert_true(w.nr_crashes > 20);
	assert_true(w.nr_laps >= min_laps);
	if (min_laps)
		assert_true(w.nr_full > 10);
	print_message("%llu crashes, %llu laps, %llu times full, %llu with the reserve used up\n",
		      w.nr_crashes, w.nr_laps, w.nr_full, w.nr_dips);
	world_exit(&w);
}

static void model_smallest_ring(void **state)
{
	run_model(PDATA_JOURNAL_MIN, 2, 20);
}

static void model_one_record_blocks(void **state)
{
	run_model(PDATA_JOURNAL_MIN + 5, 1, 10);
}

static void model_full_blocks(void **state)
{
	run_model(PDATA_JOURNAL_MIN + 1, PDATA_RECORDS_PER_BLOCK, 0);
}

/* Goes round blocks 511, 1010 and 1011, which are not the ring's. */
static void model_long_ring(void **state)
{
	run_model(1100, 3, 0);
}

/* ---- one by one ---- */

static bool write_all(struct world *w)
{
	struct pdata_journal_batch batch;

	assert_ok(pdata_journal_close(&w->j, &batch, false));
	return write_batch(w, &batch);
}

static void checkpoint(struct world *w, u64 rec)
{
	pdata_journal_tail(&w->j, rec, &w->sb);
	w->sb.generation++;
	pdata_journal_advance(&w->j, &w->sb);
	forget_merged(w);
}

static u64 place(const struct world *w, u64 seq)
{
	return pdata_journal_place(seq % w->sb.journal_blocks);
}

static int no_record(void *context, u64 seq, const struct pdata_record *rec)
{
	return 77;
}

static int any_record(void *context, u64 seq, const struct pdata_record *rec)
{
	return 0;
}

static int replay(struct world *w, const struct pdata_super *sb,
		  int (*record)(void *context, u64 seq, const struct pdata_record *rec))
{
	int r;

	pdata_journal_exit(&w->j);
	assert_ok(pdata_journal_init(&w->j, &w->disk->io, sb, "test"));
	w->j.records_max = w->records_max;
	r = pdata_journal_replay(&w->j, sb, record, NULL);
	return r;
}

static void stale_superblock(void **state)
{
	struct pdata_super old;
	struct world w;

	world_init(&w, 32, 2);
	append_n(&w, 3);
	assert_true(write_all(&w));
	old = w.sb;
	checkpoint(&w, 3);
	/* nothing was written under the new one yet: the old one will do */
	assert_ok(replay(&w, &old, any_record));
	world_reopen(&w);
	append_n(&w, 1);
	assert_true(write_all(&w));
	assert_err(replay(&w, &old, any_record), PDATA_E_STALE_SB);
	assert_ok(replay(&w, &w.sb, any_record));
	old.flags |= PDATA_SB_CLEAN;
	assert_err(replay(&w, &old, any_record), PDATA_E_STALE_SB);
	world_exit(&w);
}

/* Stale by a whole lap: the tail's own block has gone. */
static void stale_superblock_lapped(void **state)
{
	struct pdata_super old;
	struct world w;
	unsigned int i;

	world_init(&w, 32, 2);
	append_n(&w, 3);
	assert_true(write_all(&w));
	checkpoint(&w, 4);
	old = w.sb;
	old.flags |= PDATA_SB_CLEAN;
	for (i = 0; i < 40; i++) {
		append_n(&w, 2);
		assert_true(write_all(&w));
		checkpoint(&w, pdata_journal_last(&w.j) + 1);
	}
	assert_err(replay(&w, &old, any_record), PDATA_E_STALE_SB);
	old.flags = 0;
	assert_err(replay(&w, &old, any_record), PDATA_E_STALE_SB);
	world_exit(&w);
}

static void gap(void **state)
{
	struct world w;
	u64 seq;

	for (seq = 1; seq <= 3; seq++) {
		world_init(&w, 32, 2);
		append_n(&w, 2);
		assert_true(write_all(&w));
		append_n(&w, 2);
		assert_true(write_all(&w));
		append_n(&w, 2);
		assert_true(write_all(&w));
		sim_flip_bit(w.disk, place(&w, seq), 900);
		/* of the last one nobody knows whether it was ever written whole */
		if (seq < 3) {
			assert_err(replay(&w, &w.sb, any_record), PDATA_E_JOURNAL_GAP);
		} else {
			assert_ok(replay(&w, &w.sb, any_record));
			assert_u64(pdata_journal_last(&w.j), 4);
		}
		world_exit(&w);
	}
}

static void unreadable(void **state)
{
	struct world w;

	world_init(&w, 32, 2);
	append_n(&w, 4);
	assert_true(write_all(&w));
	sim_set_bad(w.disk, place(&w, 2), true, false);
	assert_err(replay(&w, &w.sb, any_record), EIO);
	sim_set_bad(w.disk, place(&w, 2), false, false);
	sim_set_bad(w.disk, place(&w, 9), true, false);
	assert_ok(replay(&w, &w.sb, any_record));
	assert_u64(pdata_journal_last(&w.j), 4);
	world_exit(&w);
}

static void foreign_nonce(void **state)
{
	struct pdata_super other;
	struct world w;

	world_init(&w, 32, 2);
	w.sb.generation = 1000;
	world_reopen(&w);
	append_n(&w, 4);
	assert_true(write_all(&w));
	other = w.sb;
	other.journal_nonce++;
	other.generation = 1;
	assert_ok(replay(&w, &other, no_record));
	assert_u64(pdata_journal_last(&w.j), 0);
	other = w.sb;
	other.uuid[3]++;
	other.generation = 1;
	assert_ok(replay(&w, &other, no_record));
	world_exit(&w);
}

static void clean_stop(void **state)
{
	struct world w;
	u64 reads, last;

	world_init(&w, 32, 2);
	append_n(&w, 5);
	assert_true(write_all(&w));
	last = pdata_journal_last(&w.j);
	checkpoint(&w, last + 1);
	w.sb.flags |= PDATA_SB_CLEAN;
	reads = w.disk->stats.reads;
	assert_ok(replay(&w, &w.sb, no_record));
	assert_u64(w.disk->stats.reads, reads + 1);
	assert_u64(pdata_journal_last(&w.j), last);
	world_exit(&w);
}

/*
 * Blocks m and m + 1 of a torn batch: m is lost. Afterwards the same records
 * are written again as m. The old m + 1 must not come back.
 */
static void torn_batch_stays_cut(void **state)
{
	struct pdata_journal_disk *old;
	struct world w;
	u64 lost, seen;

	world_init(&w, 32, 2);
	append_n(&w, 2);
	assert_true(write_all(&w));
	append_n(&w, 6);
	seen = pdata_journal_last(&w.j);
	assert_true(write_all(&w));
	lost = 2;
	old = pdata_block_alloc(GFP_KERNEL);
	assert_non_null(old);
	memset(old, 0, PDATA_BLOCK_SIZE);
	sim_poke(w.disk, place(&w, lost), old);

	w.durable = 2;
	world_reopen(&w);
	assert_u64(w.nr, 2);
	assert_true(pdata_journal_last(&w.j) >= seen);
	append_n(&w, 2);
	assert_true(write_all(&w));

	/* even if by a rare chance its crc fits */
	memcpy(old, sim_peek(w.disk, place(&w, lost + 1)), PDATA_BLOCK_SIZE);
	assert_u64(le64_to_cpu(old->seq), lost + 1);
	old->prev_crc = cpu_to_le32(w.j.last_crc);
	old->h.csum = cpu_to_le32(crc32c(~0u, (u8 *)old + 4, PDATA_BLOCK_SIZE - 4));
	sim_poke(w.disk, place(&w, lost + 1), old);
	world_reopen(&w);
	assert_u64(w.nr, 4);
	assert_u64(w.j.head_seq, lost + 1);

	/* nor as the block at a tail */
	checkpoint(&w, pdata_journal_last(&w.j) + 1);
	assert_u64(w.sb.journal_tail, lost + 1);
	old->prev_crc = cpu_to_le32(w.sb.journal_tail_crc);
	old->h.csum = cpu_to_le32(crc32c(~0u, (u8 *)old + 4, PDATA_BLOCK_SIZE - 4));
	sim_poke(w.disk, place(&w, lost + 1), old);
	world_reopen(&w);
	assert_u64(w.nr, 0);
	assert_u64(w.j.head_seq, lost + 1);
	pdata_block_free(old);
	world_exit(&w);
}

/*
 * Two torn writes of one block, with an activation between them, make a whole
 * block of the first one's content: the second supplied the zeroes.
 */
static void torn_block_stays_cut(void **state)
{
	static u8 old[PDATA_BLOCK_SIZE] __aligned(8), half[PDATA_BLOCK_SIZE] __aligned(8);
	struct world w;

	world_init(&w, 32, 4);
	append_n(&w, 2);
	assert_true(write_all(&w));
	append_n(&w, 2);
	assert_true(write_all(&w));

	memcpy(old, sim_peek(w.disk, place(&w, 2)), sizeof(old));
	assert_u64(le64_to_cpu(((struct pdata_journal_disk *)old)->seq), 2);
	memcpy(half, old, sizeof(half));
	memset(half + 512, 0xee, sizeof(half) - 512);
	sim_poke(w.disk, place(&w, 2), half);
	w.durable = 2;
	world_reopen(&w);
	assert_u64(w.nr, 2);

	append_n(&w, 2);	/* not written yet when power fails, but its zeroes */
	sim_poke(w.disk, place(&w, 2), old);
	world_reopen(&w);
	assert_u64(w.nr, 2);
	world_exit(&w);
}

/* A block with the right sequences that was not written behind this predecessor. */
static void chain_of_crcs(void **state)
{
	struct pdata_journal_disk *d = pdata_block_alloc(GFP_KERNEL);
	struct world w;

	assert_non_null(d);
	world_init(&w, 32, 2);
	append_n(&w, 4);
	assert_true(write_all(&w));
	memcpy(d, sim_peek(w.disk, place(&w, 2)), PDATA_BLOCK_SIZE);
	d->prev_crc ^= cpu_to_le32(1);
	d->h.csum = cpu_to_le32(crc32c(~0u, (u8 *)d + 4, PDATA_BLOCK_SIZE - 4));
	sim_poke(w.disk, place(&w, 2), d);
	w.durable = 2;
	world_reopen(&w);
	assert_u64(w.nr, 2);
	assert_u64(w.j.head_seq, 2);
	pdata_block_free(d);
	world_exit(&w);
}

/* All reservations of a full journal can be appended, with commits in between. */
static void reserve_is_enough(void **state)
{
	struct pdata_journal_batch batch;
	unsigned int commits, max;
	struct world w;

	for (max = 1; max < 6; max++) {
		for (commits = 0; commits <= PDATA_JOURNAL_RESERVE; commits++) {
			unsigned int i;

			world_init(&w, 32, max);
			while (!pdata_journal_reserve(&w.j, 1))
				w.outstanding++;
			assert_u64(w.outstanding, (32 - PDATA_JOURNAL_RESERVE) * max);
			for (i = 0; i < commits; i++) {
				append(&w);
				assert_ok(pdata_journal_close(&w.j, &batch, true));
				assert_true(write_batch(&w, &batch));
			}
			while (w.outstanding)
				append(&w);
			check_room(&w);
			assert_ok(pdata_journal_close(&w.j, &batch, true));
			assert_true(write_batch(&w, &batch));
			world_reopen(&w);
			world_exit(&w);
		}
	}
}

/* The ring is long, the memory buffers are what runs out. */
static void buffers(void **state)
{
	struct pdata_journal_batch batch;
	struct world w;

	world_init(&w, 1500, 2);
	while (!pdata_journal_reserve(&w.j, 1))
		w.outstanding++;
	assert_u64(w.outstanding, (PDATA_JOURNAL_BUFFERS - 1) * 2);
	assert_false(pdata_journal_wants_write(&w.j));
	append(&w);
	assert_ok(pdata_journal_close(&w.j, &batch, false));
	while (w.outstanding > 3)
		append(&w);
	check_room(&w);
	assert_true(pdata_journal_wants_write(&w.j));
	assert_err(pdata_journal_reserve(&w.j, 1), PDATA_E_JOURNAL_FULL);
	assert_true(write_batch(&w, &batch));
	append(&w);
	assert_true(write_all(&w));
	assert_false(pdata_journal_wants_write(&w.j));
	assert_ok(pdata_journal_reserve(&w.j, 1));
	world_exit(&w);
}

static void faults(void **state)
{
	struct pdata_journal_batch batch;
	struct pdata_record rec;
	struct pdata_super sb;
	struct world w;

	world_init(&w, 32, 2);
	append_n(&w, 2);
	assert_ok(pdata_journal_close(&w.j, &batch, false));
	pdata_fault_arm(PDATA_FAULT_JOURNAL_WRITE, 0);
	assert_err(pdata_journal_write(&w.j, &batch), PDATA_E_FAULT);
	assert_true(w.j.failed);
	assert_err(pdata_journal_close(&w.j, &batch, true), PDATA_E_FAILED);
	assert_u64(pdata_journal_durable(&w.j), 0);
	world_exit(&w);

	/* a record that makes its block malformed is not written */
	world_init(&w, 32, 2);
	rec = some_record(&w);
	rec.kind = 99;
	assert_ok(pdata_journal_reserve(&w.j, 1));
	pdata_journal_append(&w.j, &rec);
	assert_ok(pdata_journal_close(&w.j, &batch, false));
	assert_err(pdata_journal_write(&w.j, &batch), PDATA_E_CONTENT);
	assert_true(w.j.failed);
	pdata_journal_exit(&w.j);

	sb = w.sb;
	sb.journal_blocks = 31;
	assert_err(pdata_journal_init(&w.j, &w.disk->io, &sb, "test"), PDATA_E_CONTENT);
	sb.journal_blocks = 5000;
	assert_err(pdata_journal_init(&w.j, &w.disk->io, &sb, "test"), PDATA_E_CONTENT);
	sb = w.sb;
	sb.journal_tail = 0;
	assert_err(pdata_journal_init(&w.j, &w.disk->io, &sb, "test"), PDATA_E_CONTENT);
	world_open(&w);
	world_exit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(model_smallest_ring),
		cmocka_unit_test(model_one_record_blocks),
		cmocka_unit_test(model_full_blocks),
		cmocka_unit_test(model_long_ring),
		cmocka_unit_test(stale_superblock),
		cmocka_unit_test(stale_superblock_lapped),
		cmocka_unit_test(gap),
		cmocka_unit_test(unreadable),
		cmocka_unit_test(foreign_nonce),
		cmocka_unit_test(clean_stop),
		cmocka_unit_test(torn_batch_stays_cut),
		cmocka_unit_test(torn_block_stays_cut),
		cmocka_unit_test(chain_of_crcs),
		cmocka_unit_test(reserve_is_enough),
		cmocka_unit_test(buffers),
		cmocka_unit_test(faults),
	};

	return cmocka_run_group_tests(tests, test_quiet, NULL);
}
