// SPDX-License-Identifier: GPL-2.0-only
/*
 * Three superblocks of arbitrary content, with headers and crc made right. The
 * one that is chosen must be fit for use, and survive being written again.
 */
#include "image.h"
#include "pdata-layout.h"

#define BLOCKS	1200

static const u64 place[] = { PDATA_SB_A, PDATA_SB_B, PDATA_SB_BACKUP };

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* Input: edits of two bytes of place and one of content. */
static void make_copy(struct image *img, u64 block, const struct pdata_super *sb,
		      const u8 *data, size_t size)
{
	u8 *to = image_block(img, block);
	struct pdata_header *h = (struct pdata_header *)to;

	pdata_super_pack(sb, (struct pdata_superblock_disk *)to);
	h->magic = cpu_to_le32(PDATA_TYPE_SUPERBLOCK);
	h->owner = cpu_to_le64(PDATA_OWNER_SUPER);
	h->blocknr = cpu_to_le64(block);
	h->generation = cpu_to_le64(sb->generation);
	memcpy(h->uuid, sb->uuid, sizeof(h->uuid));
	for (; size >= 3; size -= 3, data += 3)
		to[32 + (data[0] | data[1] << 8) % (PDATA_BLOCK_SIZE - 32)] = data[2];
	if (!size)	/* sometimes the crc stays wrong */
		image_reseal(img, block);
	image_touch(img, block);
}

static void check(const struct pdata_super *sb)
{
	u32 i;

	must(sb->version == PDATA_FORMAT_VERSION && !sb->incompat_features);
	must(sb->meta_blocks >= PDATA_MIN_BLOCKS && sb->meta_blocks <= PDATA_MAX_BLOCKS);
	must(sb->journal_blocks && pdata_journal_end(sb->journal_blocks) <= sb->meta_blocks);
	must(sb->meta_groups <= pdata_nr_groups(sb->meta_blocks));
	must(sb->nr_holds <= PDATA_MAX_HOLDS && sb->next_uid >= PDATA_FIRST_UID);
	must(pdata_ptr_block(sb->details_root) < sb->meta_blocks);
	must(pdata_ptr_block(sb->deleting_root) < sb->meta_blocks);
	must(pdata_ptr_block(sb->data_sm_root) < sb->meta_blocks);
	for (i = 0; i < sb->nr_holds; i++)
		must(pdata_ptr_block(sb->hold[i].root) < sb->meta_blocks);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct image img;
	struct pdata_super sb, again;
	size_t n = size / 3;
	unsigned int i;

	pdata_shim_quiet = true;
	if (!img.data)
		image_init(&img, BLOCKS);
	memset(&sb, 0, sizeof(sb));
	pdata_super_init(&sb, (const u8 *)"fuzzed superblk", BLOCKS);
	for (i = 0; i < 3; i++) {
		sb.generation = 5 + i % 2;
		make_copy(&img, place[i], &sb, data + i * n, i < 2 ? n : size - 2 * n);
	}
	if (pdata_super_read(&img.io, &sb) != PDATA_SB_VALID)
		return 0;
	check(&sb);
	/* Written as the next one it is the one that is read. */
	sb.generation = max(sb.generation, (u64)6);
	if (++sb.generation > 1ull << 62 || pdata_super_write(&img.io, &sb, true))
		return 0;
	must(!pdata_super_write(&img.io, &sb, false));
	must(pdata_super_read(&img.io, &again) == PDATA_SB_VALID);
	must(!memcmp(&sb, &again, sizeof(sb)));
	return 0;
}
