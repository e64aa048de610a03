// SPDX-License-Identifier: GPL-2.0-only
/*
 * The two slots of a group of counts, with arbitrary content in good blocks. The
 * array takes one of them or none, and goes on from there.
 */
#include "image.h"
#include "pdata-array.h"
#include "pdata-layout.h"

#define BLOCKS		3024
#define GENERATION	10

static const u8 uuid[PDATA_UUID_SIZE] = "fuzzed counts  ";

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void make_slot(struct image *img, unsigned int slot, const u8 *data, size_t size)
{
	const u64 block = pdata_counts_place(1, slot);
	struct pdata_counts *d = image_block(img, block);
	unsigned int i, n;

	memset(d, 0, sizeof(*d));
	d->h.magic = cpu_to_le32(PDATA_TYPE_COUNTS);
	d->h.owner = cpu_to_le64(PDATA_OWNER_META_SM);
	d->h.blocknr = cpu_to_le64(block);
	d->h.generation = cpu_to_le64(1 + data[0] % 15);
	memcpy(d->h.uuid, uuid, sizeof(uuid));
	d->count[2] = cpu_to_le32(1);
	d->count[3] = cpu_to_le32(1);
	for (i = 1; i + 4 < size; i += 5) {
		n = (data[i] | data[i + 1] << 8) % (PDATA_BLOCK_SIZE - 8);
		memcpy((u8 *)d + 4 + (data[1] % 8 ? max(n, 64u) : n), data + i + 2,
		       min_t(size_t, 3, PDATA_BLOCK_SIZE - 4 - n - 64));
	}
	image_reseal(img, block);
	if (data[0] & 0x80)
		((u8 *)d)[2000] ^= 1;
}

static void use(struct pdata_array *a, const struct image *img)
{
	const u64 first = pdata_group_begin(1);
	u8 slots[PDATA_SLOT_BYTES];
	const struct pdata_counts *d;
	unsigned int i, slot;
	u32 v;

	if (pdata_array_load(a, 1)) {
		must(pdata_array_get(a, first) == PDATA_ARRAY_BAD);
		must(pdata_array_set(a, first, 1) < 0);
		return;
	}
	/* Whatever it took is what is in a slot that is not newer. */
	for (slot = 0; slot < 2; slot++) {
		d = image_block(img, pdata_counts_place(1, slot));
		for (i = 0; i < PDATA_COUNTS_PER_BLOCK; i++)
			if (pdata_array_get(a, first + i) != le32_to_cpu(d->count[i]))
				break;
		if (i == PDATA_COUNTS_PER_BLOCK && le64_to_cpu(d->h.generation) <= GENERATION)
			break;
	}
	must(slot < 2);
	must(!pdata_array_set(a, first + 500, 12345));
	must(!pdata_array_get_committed(a, first + 500, GENERATION, &v));
	must(v == le32_to_cpu(d->count[500]));
	pdata_array_next_slots(a, slots);
	if (pdata_array_write(a, GENERATION + 1))
		return;		/* refused: counts that no group has */
	pdata_array_committed(a, GENERATION + 1);
	must(pdata_array_get(a, first + 500) == 12345);
	must(!memcmp(slots, a->slots, sizeof(slots)));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct image img;
	u8 slots[PDATA_SLOT_BYTES] = { 0 };
	struct pdata_array a;
	struct pdata_bm bm;

	if (size < 8)
		return 0;
	pdata_shim_quiet = true;
	if (!img.data)
		image_init(&img, BLOCKS);
	make_slot(&img, 0, data + 1, (size - 1) / 2);
	make_slot(&img, 1, data + 1 + (size - 1) / 2, (size - 1) / 2);
	slots[0] = data[0] & 2;
	pdata_bm_init(&bm, &img.io, uuid, BLOCKS, "fuzz");
	must(!pdata_array_init(&a, &bm, 2, 3, GENERATION, slots));
	if (data[0] & 4)
		a.named = 0;
	if (data[0] & 8)
		must(!pdata_array_scrub(&a));
	use(&a, &img);
	pdata_array_exit(&a);
	return 0;
}
