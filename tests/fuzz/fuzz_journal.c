// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replay of a ring with arbitrary content.
 *
 * The input is a list of short blocks: a few bytes say where in the chain the
 * block pretends to be, the rest is its content. Header and crc are made right,
 * so that replay has to look at what is inside. Then the journal is used on.
 */
#include "io-sim.h"
#include "pdata-journal.h"

#define RING		32
#define DISK_BLOCKS	600
#define HEAD		12	/* bytes of input that steer a block */

static struct sim_disk *disk;
static struct pdata_super sb;

struct input {
	const u8 *data;
	size_t size;
};

static u8 next_byte(struct input *in)
{
	if (!in->size)
		return 0;
	in->size--;
	return *in->data++;
}

static void make_block(struct input *in, struct pdata_journal_disk *d, u32 *prev_crc)
{
	u8 flags = next_byte(in), seq = next_byte(in), nr = next_byte(in);
	u8 first = next_byte(in), durable = next_byte(in), generation = next_byte(in);
	size_t n = min_t(size_t, in->size, next_byte(in) * 16);

	memset(d, 0, sizeof(*d));
	if (n > sizeof(*d) - offsetof(struct pdata_journal_disk, record))
		n = sizeof(*d) - offsetof(struct pdata_journal_disk, record);
	n = min(n, in->size);
	memcpy(d->record, in->data, n);
	in->data += n;
	in->size -= n;
	if (flags & 1) {	/* well-formed records instead */
		struct pdata_record rec = { .uid = 16, .len = 1, .kind = PDATA_REC_UNMAP };
		unsigned int i;

		for (i = 0; i < PDATA_RECORDS_PER_BLOCK; i++)
			pdata_record_pack(&rec, &d->record[i]);
	}
	d->h.magic = cpu_to_le32(PDATA_TYPE_JOURNAL);
	d->h.owner = cpu_to_le64(PDATA_OWNER_JOURNAL);
	d->nonce = cpu_to_le64(sb.journal_nonce + (flags >> 7));
	d->seq = cpu_to_le64(sb.journal_tail + seq);
	d->durable_seq = cpu_to_le64(flags & 2 ? ~0ull : durable);
	d->first_rec = cpu_to_le64(flags & 4 ? ~0ull - first : sb.journal_tail_rec + first);
	d->nr_records = cpu_to_le32(flags & 8 ? nr * 0x01010101u : nr % 125);
	d->prev_crc = cpu_to_le32(*prev_crc);
	memcpy(d->h.uuid, sb.uuid, sizeof(sb.uuid));
	d->h.generation = cpu_to_le64(generation % 8 ? sb.generation : sb.generation + 1);
	d->h.blocknr = cpu_to_le64(pdata_journal_place((sb.journal_tail + seq) % RING));
	d->h.csum = cpu_to_le32(crc32c(~0u, (u8 *)d + 4, PDATA_BLOCK_SIZE - 4));
	if (!(flags & 16))
		*prev_crc = le32_to_cpu(d->h.csum);
}

static int record(void *context, u64 seq, const struct pdata_record *rec)
{
	u64 *last = context;

	if (seq <= *last)
		abort();
	*last = seq;
	return 0;
}

/* Whatever was replayed, the journal has to go on from there. */
static void use(struct pdata_journal *j)
{
	struct pdata_record rec = { .uid = 20, .len = 1, .kind = PDATA_REC_ZERO };
	struct pdata_journal_batch batch;
	struct pdata_super next = sb;
	u64 last = pdata_journal_last(j);
	int i;

	for (i = 0; i < 200; i++) {
		if (pdata_journal_reserve(j, 1))
			break;
		if (pdata_journal_append(j, &rec) != ++last)
			abort();
		if (i % 50 == 49 && !pdata_journal_close(j, &batch, i & 1) &&
		    pdata_journal_write(j, &batch))
			abort();
	}
	pdata_journal_tail(j, pdata_journal_durable(j) + 1, &next);
	if (next.journal_tail < sb.journal_tail || next.journal_tail > j->head_seq)
		abort();
	pdata_journal_advance(j, &next);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };
	struct pdata_journal_disk *d;
	struct pdata_journal j;
	u32 prev_crc = 0;
	u64 last;

	pdata_shim_quiet = true;
	if (!disk)
		disk = sim_disk_create(DISK_BLOCKS, NULL);
	sim_reset(disk, DISK_BLOCKS);
	d = pdata_block_alloc(GFP_KERNEL);
	if (!d)
		return 0;
	memset(&sb, 0, sizeof(sb));
	sb.generation = 5;
	sb.journal_blocks = RING;
	sb.journal_nonce = 0x1234;
	sb.journal_tail = 1 + next_byte(&in);
	sb.journal_tail_rec = 1 + next_byte(&in);
	sb.flags = next_byte(&in) % 8 ? 0 : PDATA_SB_CLEAN;
	while (in.size > HEAD) {
		make_block(&in, d, &prev_crc);
		sim_poke(disk, le64_to_cpu(d->h.blocknr), d);
	}
	pdata_block_free(d);
	if (pdata_journal_init(&j, &disk->io, &sb, "fuzz"))
		return 0;
	last = sb.journal_tail_rec - 1;
	if (!pdata_journal_replay(&j, &sb, record, &last))
		use(&j);
	pdata_journal_exit(&j);
	return 0;
}
