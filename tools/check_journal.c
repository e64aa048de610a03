// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_check: the journal.
 *
 * Whether it replays is for the core's replay to say. A scan of our own finds
 * the place where the chain ends, so that a hole can be named.
 */
#include "check.h"

#include "pdata-journal.h"

/* Where and why the chain of blocks ends. */
struct chain {
	u64 seq;		/* first block that does not continue it */
	u64 place;
	int err;
	struct pdata_check check;
};

/* Does the block at @place continue the chain? */
static bool chain_next(struct check *c, struct chain *chain, struct pdata_journal_disk *d,
		       u32 *crc)
{
	chain->place = pdata_journal_place(chain->seq % c->sb.journal_blocks);
	chain->check = (struct pdata_check) {
		.block = chain->place,
		.type = PDATA_TYPE_JOURNAL,
		.uuid = c->sb.uuid,
		.max_generation = ~0ull,
		.nr_blocks = c->sb.meta_blocks,
	};
	chain->err = pdata_io_read(c->io, chain->place, d);
	if (!chain->err)
		chain->err = pdata_block_check(&chain->check, d);
	if (chain->err)
		return false;
	if (le64_to_cpu(d->nonce) != c->sb.journal_nonce ||
	    le64_to_cpu(d->seq) != chain->seq || le32_to_cpu(d->prev_crc) != *crc)
		return false;
	*crc = le32_to_cpu(d->h.csum);
	return true;
}

static void chain_scan(struct check *c, struct chain *chain)
{
	struct pdata_journal_disk *d = tool_block();
	const u64 end = c->sb.journal_tail + c->sb.journal_blocks;
	u32 crc = c->sb.journal_tail_crc;

	memset(chain, 0, sizeof(*chain));
	for (chain->seq = c->sb.journal_tail; chain->seq < end; chain->seq++)
		if (!chain_next(c, chain, d, &crc))
			break;
	c->journal_blocks = chain->seq - c->sb.journal_tail;
	pdata_block_free(d);
}

static void record_report(struct check *c, const struct pdata_record *rec, u64 seq,
			  const char *what, u64 expected, u64 found)
{
	struct finding f = FINDING(SEV_FATAL, "journal record", what);
	char text[64];

	snprintf(text, sizeof(text), "record %llu", seq);
	f.uid = rec->uid;
	f.unit = "units";
	f.begin = rec->vbegin;
	f.end = rec->vbegin + rec->len;
	f.has_values = true;
	f.expected = expected;
	f.found = found;
	f.text = text;
	report(c, &f);
}

static int record_check(void *context, u64 seq, const struct pdata_record *rec)
{
	struct check *c = context;

	c->journal_records++;
	c->journal_last = seq;
	if (rec->kind == PDATA_REC_MAP && rec->phys + rec->len > c->sb.data_units)
		record_report(c, rec, seq, "beyond the end of the data device",
			      c->sb.data_units, rec->phys + rec->len);
	if (rec->uid < PDATA_FIRST_UID || rec->uid >= c->sb.next_uid)
		record_report(c, rec, seq, "uid never given out", c->sb.next_uid - 1, rec->uid);
	tool_progress("journal", c->journal_records, 0);
	return 0;
}

static void replay_report(struct check *c, const struct chain *chain, int r)
{
	struct finding f = FINDING(SEV_FATAL, "journal block", "cannot be replayed");

	if (r == -PDATA_E_JOURNAL_GAP || r == -EIO) {
		f.block = chain->place;
		if (chain->check.what) {
			f.what = chain->check.what;
			f.has_values = true;
			f.expected = chain->check.expected;
			f.found = chain->check.found;
		}
	}
	f.text = tool_error(r);
	report(c, &f);
}

void check_journal(struct check *c)
{
	struct finding f = FINDING(SEV_LEAK, "journal", "records behind a clean stop");
	struct pdata_journal j;
	struct chain chain;
	int r;

	chain_scan(c, &chain);
	r = pdata_journal_init(&j, c->io, &c->sb, c->path);
	if (r) {
		f = (struct finding)FINDING(SEV_FATAL, "superblock", "journal");
		f.text = tool_error(r);
		report(c, &f);
		return;
	}
	r = pdata_journal_replay(&j, &c->sb, record_check, c);
	if (r)
		replay_report(c, &chain, r);
	else if (c->journal_records && (c->sb.flags & PDATA_SB_CLEAN))
		report(c, &f);
	pdata_journal_exit(&j);
}
