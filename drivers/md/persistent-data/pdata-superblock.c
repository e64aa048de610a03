// SPDX-License-Identifier: GPL-2.0-only
/* Superblocks: choosing, writing, formatting. */
#include "pdata-superblock.h"
#include "pdata-layout.h"

#define V1_MAGIC		27022010ULL
#define V1_MAGIC_OFFSET		32

/* Candidates in the order in which they are read. */
static const u64 sb_place[] = { PDATA_SB_A, PDATA_SB_B, PDATA_SB_BACKUP };

void pdata_super_init(struct pdata_super *sb, const u8 *uuid, u64 meta_blocks)
{
	memset(sb, 0, sizeof(*sb));
	memcpy(sb->uuid, uuid, PDATA_UUID_SIZE);
	sb->version = PDATA_FORMAT_VERSION;
	sb->flags = PDATA_SB_CLEAN;
	sb->meta_blocks = meta_blocks;
	sb->journal_blocks = pdata_journal_default(meta_blocks);
	sb->journal_tail = 1;
	sb->journal_tail_rec = 1;
	sb->next_uid = PDATA_FIRST_UID;
}

static void pack_hold(const struct pdata_hold *h, struct pdata_hold_disk *d)
{
	d->root = cpu_to_le64(h->root);
	d->uid = cpu_to_le64(h->uid);
	d->generation = cpu_to_le64(h->generation);
	d->id = cpu_to_le32(h->id);
	d->kind = cpu_to_le32(h->kind);
}

void pdata_super_pack(const struct pdata_super *sb, struct pdata_superblock_disk *d)
{
	u32 i;

	memset(d, 0, sizeof(*d));
	d->h.magic = cpu_to_le32(PDATA_TYPE_SUPERBLOCK);
	d->h.owner = cpu_to_le64(PDATA_OWNER_SUPER);
	d->h.generation = cpu_to_le64(sb->generation);
	memcpy(d->h.uuid, sb->uuid, PDATA_UUID_SIZE);
	d->version = cpu_to_le32(sb->version);
	d->flags = cpu_to_le32(sb->flags);
	d->compat_features = cpu_to_le64(sb->compat_features);
	d->ro_compat_features = cpu_to_le64(sb->ro_compat_features);
	d->incompat_features = cpu_to_le64(sb->incompat_features);
	d->meta_blocks = cpu_to_le64(sb->meta_blocks);
	d->data_units = cpu_to_le64(sb->data_units);
	d->meta_groups = cpu_to_le64(sb->meta_groups);
	d->meta_used = cpu_to_le64(sb->meta_used);
	d->data_used = cpu_to_le64(sb->data_used);
	d->journal_blocks = cpu_to_le64(sb->journal_blocks);
	d->journal_nonce = cpu_to_le64(sb->journal_nonce);
	d->journal_tail = cpu_to_le64(sb->journal_tail);
	d->journal_tail_rec = cpu_to_le64(sb->journal_tail_rec);
	d->journal_tail_crc = cpu_to_le32(sb->journal_tail_crc);
	d->journal_cut = cpu_to_le64(sb->journal_cut);
	d->journal_cut_gen = cpu_to_le64(sb->journal_cut_gen);
	d->time = cpu_to_le32(sb->time);
	d->details_root = cpu_to_le64(sb->details_root);
	d->details_copy_root = cpu_to_le64(sb->details_copy_root);
	d->deleting_root = cpu_to_le64(sb->deleting_root);
	d->data_sm_root = cpu_to_le64(sb->data_sm_root);
	memcpy(d->slots, sb->slots, sizeof(d->slots));
	d->data_sm_leaves = cpu_to_le64(sb->data_sm_leaves);
	d->next_uid = cpu_to_le64(sb->next_uid);
	d->transaction_id = cpu_to_le64(sb->transaction_id);
	d->data_block_size = cpu_to_le32(sb->data_block_size);
	d->nr_holds = cpu_to_le32(sb->nr_holds);
	for (i = 0; i < min_t(u32, sb->nr_holds, PDATA_MAX_HOLDS); i++)
		pack_hold(&sb->hold[i], &d->hold[i]);
}

static void unpack_hold(const struct pdata_hold_disk *d, struct pdata_hold *h)
{
	h->root = le64_to_cpu(d->root);
	h->uid = le64_to_cpu(d->uid);
	h->generation = le64_to_cpu(d->generation);
	h->id = le32_to_cpu(d->id);
	h->kind = le32_to_cpu(d->kind);
}

void pdata_super_unpack(const struct pdata_superblock_disk *d, struct pdata_super *sb)
{
	u32 i;

	memset(sb, 0, sizeof(*sb));
	memcpy(sb->uuid, d->h.uuid, PDATA_UUID_SIZE);
	sb->generation = le64_to_cpu(d->h.generation);
	sb->version = le32_to_cpu(d->version);
	sb->flags = le32_to_cpu(d->flags);
	sb->compat_features = le64_to_cpu(d->compat_features);
	sb->ro_compat_features = le64_to_cpu(d->ro_compat_features);
	sb->incompat_features = le64_to_cpu(d->incompat_features);
	sb->meta_blocks = le64_to_cpu(d->meta_blocks);
	sb->data_units = le64_to_cpu(d->data_units);
	sb->meta_groups = le64_to_cpu(d->meta_groups);
	sb->meta_used = le64_to_cpu(d->meta_used);
	sb->data_used = le64_to_cpu(d->data_used);
	sb->journal_blocks = le64_to_cpu(d->journal_blocks);
	sb->journal_nonce = le64_to_cpu(d->journal_nonce);
	sb->journal_tail = le64_to_cpu(d->journal_tail);
	sb->journal_tail_rec = le64_to_cpu(d->journal_tail_rec);
	sb->journal_tail_crc = le32_to_cpu(d->journal_tail_crc);
	sb->journal_cut = le64_to_cpu(d->journal_cut);
	sb->journal_cut_gen = le64_to_cpu(d->journal_cut_gen);
	sb->time = le32_to_cpu(d->time);
	sb->details_root = le64_to_cpu(d->details_root);
	sb->details_copy_root = le64_to_cpu(d->details_copy_root);
	sb->deleting_root = le64_to_cpu(d->deleting_root);
	sb->data_sm_root = le64_to_cpu(d->data_sm_root);
	memcpy(sb->slots, d->slots, sizeof(sb->slots));
	sb->data_sm_leaves = le64_to_cpu(d->data_sm_leaves);
	sb->next_uid = le64_to_cpu(d->next_uid);
	sb->transaction_id = le64_to_cpu(d->transaction_id);
	sb->data_block_size = le32_to_cpu(d->data_block_size);
	sb->nr_holds = min_t(u32, le32_to_cpu(d->nr_holds), PDATA_MAX_HOLDS);
	for (i = 0; i < sb->nr_holds; i++)
		unpack_hold(&d->hold[i], &sb->hold[i]);
}

/* What the search for the newest copy knows so far. */
struct sb_search {
	struct pdata_io *io;
	void *buf;		/* one block */
	struct pdata_super *sb;	/* the best copy, if @valid */
	bool valid;
	bool a_valid;
	bool zeroed;
	bool foreign;		/* block 0 is somebody else's */
	int err_a;		/* why A is no superblock; 0 if it is one or unread */
	int err_io;		/* first device error */
	u8 head[64];		/* of block 0 */
};

static void search_take(struct sb_search *s, u64 place)
{
	const struct pdata_superblock_disk *d = s->buf;

	if (place == PDATA_SB_A) {
		s->a_valid = true;
	} else if (s->a_valid && memcmp(d->h.uuid, s->sb->uuid, PDATA_UUID_SIZE)) {
		pdata_warn("%s: superblock copy %llu belongs to another pool, ignored",
			   s->io->name, place);
		return;
	}
	if (s->valid && le64_to_cpu(d->h.generation) <= s->sb->generation)
		return;
	pdata_super_unpack(d, s->sb);
	s->valid = true;
}

static void search_copy(struct sb_search *s, u64 place)
{
	struct pdata_check c = {
		.block = place,
		.type = PDATA_TYPE_SUPERBLOCK,
		.max_generation = ~0ULL,
		.nr_blocks = s->io->nr_blocks,
	};
	int r = pdata_io_read(s->io, place, s->buf);

	if (r) {
		pdata_err("%s: cannot read superblock copy %llu: error %d", s->io->name, place, r);
		if (!s->err_io)
			s->err_io = r;
		return;
	}
	if (place == PDATA_SB_A) {
		memcpy(s->head, s->buf, sizeof(s->head));
		/* A write of ours torn by a crash leaves the first sector, old or new. */
		s->foreign = le32_to_cpu(((struct pdata_header *)s->buf)->magic) !=
			     PDATA_TYPE_SUPERBLOCK;
		s->zeroed = !memchr_inv(s->buf, 0, PDATA_BLOCK_SIZE);
		if (s->zeroed)
			return;
	}
	r = pdata_block_check(&c, s->buf);
	if (!r) {
		search_take(s, place);
		return;
	}
	if (place == PDATA_SB_A)
		s->err_a = r;
	pdata_warn("%s: superblock copy %llu is not valid: %s: %s is %#llx, expected %#llx",
		   s->io->name, place, pdata_error_text(r), c.what, c.found, c.expected);
}

/* Block 0 is not ours: say what it is. */
static int search_foreign(const struct sb_search *s)
{
	__be64 begin[2];
	__le64 magic;

	memcpy(&magic, s->head + V1_MAGIC_OFFSET, sizeof(magic));
	if (le64_to_cpu(magic) == V1_MAGIC) {
		pdata_err("%s: this is metadata of thin-pool (version 1), not of thin-pool2",
			  s->io->name);
	} else {
		memcpy(begin, s->head, sizeof(begin));
		pdata_err("%s: no thin-pool2 metadata; the device begins with %016llx%016llx",
			  s->io->name, be64_to_cpu(begin[0]), be64_to_cpu(begin[1]));
	}
	/* The device was given to another use after ours: what is there stays. */
	if (s->valid)
		pdata_err("%s: an old superblock of thin-pool2 lies behind it, which is not used",
			  s->io->name);
	return -PDATA_E_NOT_V2;
}

static int search_result(const struct sb_search *s)
{
	const struct pdata_super *sb = s->sb;

	if (s->foreign)
		return search_foreign(s);
	if (!s->valid && s->err_io)
		return s->err_io;
	if (!s->valid) {
		pdata_err("%s: all superblocks of this thin-pool2 metadata are damaged",
			  s->io->name);
		return s->err_a;
	}
	if (sb->version != PDATA_FORMAT_VERSION || sb->incompat_features) {
		pdata_err("%s: metadata format %u with features %#llx is unknown to this version",
			  s->io->name, sb->version, sb->incompat_features);
		return -PDATA_E_VERSION;
	}
	return PDATA_SB_VALID;
}

int pdata_super_read(struct pdata_io *io, struct pdata_super *sb)
{
	struct sb_search s = { .io = io, .sb = sb };
	unsigned int i;
	int r;

	if (io->nr_blocks < PDATA_MIN_BLOCKS) {
		pdata_err("%s: metadata device has %llu blocks, the smallest has %u",
			  io->name, io->nr_blocks, PDATA_MIN_BLOCKS);
		return -PDATA_E_TOO_SMALL;
	}
	s.buf = pdata_block_alloc(GFP_NOIO);
	if (!s.buf)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(sb_place) && !s.zeroed; i++)
		search_copy(&s, sb_place[i]);
	r = s.zeroed ? PDATA_SB_ZEROED : search_result(&s);
	pdata_block_free(s.buf);
	return r;
}

static int super_write_at(struct pdata_io *io, const struct pdata_super *sb, u64 place,
			  void *buf)
{
	struct pdata_check c = {
		.block = place,
		.type = PDATA_TYPE_SUPERBLOCK,
		.uuid = sb->uuid,
		.max_generation = sb->generation,
		.nr_blocks = io->nr_blocks,
	};
	struct pdata_io_vec vec = { .block = place, .data = buf };
	int r;

	pdata_super_pack(sb, buf);
	r = pdata_block_seal(&c, buf);
	/* A reader decides about other versions. We write ours. */
	if (!r && (((struct pdata_superblock_disk *)buf)->incompat_features ||
		   le32_to_cpu(((struct pdata_superblock_disk *)buf)->version) !=
		   PDATA_FORMAT_VERSION)) {
		r = -PDATA_E_VERSION;
		c.what = "version";
	}
	if (r) {
		pdata_err("%s: superblock refused: %s: %s is %#llx, expected %#llx", io->name,
			  pdata_error_text(r), c.what, c.found, c.expected);
	} else {
		r = pdata_io_write(io, &vec, 1, true);
		if (r)
			pdata_err("%s: cannot write superblock copy %llu: error %d",
				  io->name, place, r);
	}
	return r;
}

int pdata_super_write_buf(struct pdata_io *io, const struct pdata_super *sb, bool backup,
			  void *buf)
{
	u64 place = sb->generation & 1 ? PDATA_SB_B : PDATA_SB_A;

	return super_write_at(io, sb, backup ? PDATA_SB_BACKUP : place, buf);
}

int pdata_super_write(struct pdata_io *io, const struct pdata_super *sb, bool backup)
{
	void *buf = pdata_block_alloc(GFP_NOIO);
	int r;

	if (!buf)
		return -ENOMEM;
	r = pdata_super_write_buf(io, sb, backup, buf);
	pdata_block_free(buf);
	return r;
}

int pdata_super_mend(struct pdata_io *io, const struct pdata_super *sb)
{
	struct pdata_check c = {
		.block = sb->generation & 1 ? PDATA_SB_A : PDATA_SB_B,
		.type = PDATA_TYPE_SUPERBLOCK,
		.max_generation = ~0ULL,
		.nr_blocks = io->nr_blocks,
	};
	void *buf = pdata_block_alloc(GFP_NOIO);
	int r;

	if (!buf)
		return -ENOMEM;
	r = pdata_io_read(io, c.block, buf);
	if (!r)
		r = pdata_block_check(&c, buf);
	if (r)
		r = super_write_at(io, sb, c.block, buf);
	pdata_block_free(buf);
	return r;
}

int pdata_super_format(struct pdata_io *io, const struct pdata_super *sb)
{
	void *buf;
	int r;

	if (io->nr_blocks < PDATA_MIN_BLOCKS)
		return -PDATA_E_TOO_SMALL;
	buf = pdata_block_alloc(GFP_NOIO);
	if (!buf)
		return -ENOMEM;
	/*
	 * Block 0 reads as zeroes, which may be in a cache only. If it came back as
	 * superblock A of an older pool without that pool's newer B, that would be
	 * an older state of it.
	 */
	r = pdata_io_flush(io);
	if (!r)
		r = super_write_at(io, sb, PDATA_SB_B, buf);
	if (!r)
		r = super_write_at(io, sb, PDATA_SB_BACKUP, buf);
	if (!r)
		r = pdata_io_flush(io);
	if (!r)
		r = super_write_at(io, sb, PDATA_SB_A, buf);
	pdata_block_free(buf);
	return r;
}
