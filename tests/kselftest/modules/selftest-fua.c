// SPDX-License-Identifier: GPL-2.0-only
/*
 * A write with FUA and nothing else. From userspace a synchronous write is
 * followed by a flush, which hides what FUA leaves out.
 */
#include "selftest.h"

#include <linux/bio.h>
#include <linux/blkdev.h>

#define MAX_SECTORS	128u
#define MAX_PAGES	(MAX_SECTORS * 512u / PAGE_SIZE)

static u64 mix(u64 x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* As blkop's. */
static void fill(u64 *w, u64 offset, u64 seed)
{
	unsigned int i;

	for (i = 0; i < 512 / 8; i++)
		w[i] = mix(seed << 44 ^ (offset / 8 + i)) | 1;
}

static int write_fua(struct block_device *bdev, void *data, u64 sector, unsigned int nr, u64 seed)
{
	struct bio_vec vec[MAX_PAGES];
	unsigned int i;
	struct bio bio;
	int r;

	bio_init(&bio, bdev, vec, MAX_PAGES, REQ_OP_WRITE | REQ_SYNC | REQ_FUA);
	bio.bi_iter.bi_sector = sector;
	for (i = 0; i < nr; i++) {
		fill(data + 512 * i, (sector + i) * 512, seed);
		if (bio_add_page(&bio, virt_to_page(data + 512 * i), 512,
				 offset_in_page(data + 512 * i)) != 512) {
			bio_uninit(&bio);
			return -EINVAL;
		}
	}
	r = submit_bio_wait(&bio);
	bio_uninit(&bio);
	return r;
}

/* @arg: bits 0..31 the first sector, 32..47 how many, 48..63 the pattern's seed */
int st_fua(u64 arg, struct dm_dev *dev)
{
	const unsigned int nr = (arg >> 32) & 0xffff;
	void *data;
	int r;

	st_check(dev && nr && nr <= MAX_SECTORS);
	data = kmalloc(MAX_SECTORS * 512, GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	r = write_fua(dev->bdev, data, (u32)arg, nr, arg >> 48);
	kfree(data);
	return r;
}
