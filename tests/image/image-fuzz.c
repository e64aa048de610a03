// SPDX-License-Identifier: GPL-2.0-only
/*
 * Images that a fuzzer has changed: its input is a list of edits of a good one.
 * Most of them make the crc right again, so that what is behind it is reached.
 */
#include "image.h"

struct input {
	const u8 *data;
	size_t size;
};

static u64 take(struct input *in, unsigned int bytes)
{
	u64 v = 0;

	while (bytes--) {
		v <<= 8;
		if (!in->size)
			continue;
		v |= *in->data++;
		in->size--;
	}
	return v;
}

static struct {
	bool made;
	struct image img;
	struct image_nodes nodes;
} base[16];

/* Those that are small: an input should take milliseconds. */
static unsigned int base_find(unsigned int n)
{
	unsigned int i = n % image_nr_stories;

	while (image_stories[i].blocks > 2000)
		i = (i + 1) % image_nr_stories;
	if (!base[i].made) {
		image_tell(&base[i].img, &image_stories[i], NULL);
		image_find_nodes(&base[i].img, &base[i].nodes);
		base[i].made = true;
	}
	return i;
}

static u64 some_number(struct input *in, const struct image_nodes *nodes)
{
	static const u64 odd[] = {
		0, 1, 2, 3, 15, 16, 255, 256, 1024, 4000, 65535, 1ull << 31, (1ull << 32) - 1,
		1ull << 48, (1ull << 48) - 1, 1ull << 56, ~0ull, 1ull << 63,
	};
	const u8 how = take(in, 1);

	if (how < 32)
		return odd[how % ARRAY_SIZE(odd)];
	if (how < 64)
		return nodes->node[take(in, 1) % nodes->nr].block;
	return take(in, how % 8 + 1);
}

/* One edit of @block. */
static void edit(struct image *img, const struct image_nodes *nodes, struct input *in, u64 block)
{
	const u8 op = take(in, 1);
	const size_t at = take(in, 2) % PDATA_BLOCK_SIZE;
	const size_t at8 = at / 8 * 8;
	u8 *data = image_block(img, block);
	struct pdata_header *h = (struct pdata_header *)data;
	const u8 *other;
	u64 v;

	image_touch(img, block);
	other = image_block(img, nodes->node[take(in, 1) % nodes->nr].block);
	switch (op % 8) {
	case 0:
		data[at] ^= take(in, 1);
		break;
	case 1:
		v = cpu_to_le64(some_number(in, nodes));
		memcpy(data + at, &v, min_t(size_t, PDATA_BLOCK_SIZE - at, 1 << op / 8 % 4));
		break;
	case 2:		/* a pointer to another node, its tag included */
		v = cpu_to_le64(pdata_ptr_to((const struct pdata_header *)other));
		memcpy(data + at8, &v, sizeof(v));
		break;
	case 3:		/* all but where it belongs is another block's */
		memmove(data, other, PDATA_BLOCK_SIZE);
		h->blocknr = cpu_to_le64(block);
		break;
	case 4:
		memmove(data + at, other + at, PDATA_BLOCK_SIZE - at);
		break;
	case 5:
		memset(data + at, op, min_t(size_t, PDATA_BLOCK_SIZE - at, take(in, 1) * 8));
		break;
	case 6:		/* what follows, as it is */
		for (v = take(in, 1); v && in->size && at + v < PDATA_BLOCK_SIZE; v--)
			data[at + v] = take(in, 1);
		break;
	default:	/* the header's and the node's first fields */
		v = cpu_to_le64(some_number(in, nodes));
		memcpy(data + at8 % 104, &v, 1 << op / 8 % 4);
		break;
	}
	if (op < 0xf0)
		image_reseal(img, block);
}

const struct image_story *image_fuzz(struct image **result, const u8 *bytes, size_t size)
{
	static struct image img[ARRAY_SIZE(base)];
	struct input in = { bytes, size };
	const unsigned int i = base_find(take(&in, 1));
	const struct image_nodes *nodes = &base[i].nodes;
	unsigned int edits = 0;
	u64 n;

	if (!img[i].data)
		image_init(&img[i], image_stories[i].blocks);
	image_restore(&img[i], &base[i].img);
	while (in.size && edits++ < 64) {
		n = take(&in, 2) % nodes->nr;
		edit(&img[i], nodes, &in, nodes->node[n].block);
	}
	*result = &img[i];
	return &image_stories[i];
}
