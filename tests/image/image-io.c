// SPDX-License-Identifier: GPL-2.0-only
/* A metadata device in memory; see image.h. */
#include "image.h"

static struct image *image_of(struct pdata_io *io)
{
	return container_of(io, struct image, io);
}

void *image_block(const struct image *img, u64 block)
{
	return img->data + block * PDATA_BLOCK_SIZE;
}

void image_touch(struct image *img, u64 block)
{
	img->checked[block] = 0;
	img->touched[block] = 1;
}

static int get(struct pdata_io *io, u64 block, struct pdata_io_ref *ref)
{
	struct image *img = image_of(io);

	if (block >= io->nr_blocks)
		return -EIO;
	ref->data = image_block(img, block);
	ref->checked = &img->checked[block];
	ref->private = NULL;
	return 0;
}

static void put(struct pdata_io *io, struct pdata_io_ref *ref)
{
}

static int image_read(struct pdata_io *io, u64 block, void *data)
{
	if (block >= io->nr_blocks)
		return -EIO;
	memcpy(data, image_block(image_of(io), block), PDATA_BLOCK_SIZE);
	return 0;
}

static int image_write(struct pdata_io *io, const struct pdata_io_vec *vec, unsigned int n,
		       bool fua)
{
	struct image *img = image_of(io);
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (vec[i].block >= io->nr_blocks)
			return -EIO;
		image_touch(img, vec[i].block);
		memcpy(image_block(img, vec[i].block), vec[i].data, PDATA_BLOCK_SIZE);
	}
	if (img->cut && !--img->cut)
		memcpy(img->cut_data, img->data, io->nr_blocks * PDATA_BLOCK_SIZE);
	return 0;
}

static int image_flush(struct pdata_io *io)
{
	return 0;
}

static const struct pdata_io_ops image_ops = {
	.get = get,
	.put = put,
	.read = image_read,
	.write = image_write,
	.flush = image_flush,
};

static void *must_alloc(size_t size)
{
	void *p = aligned_alloc(PDATA_BLOCK_SIZE, ALIGN(size, PDATA_BLOCK_SIZE));

	if (!p)
		abort();
	return memset(p, 0, size);
}

void image_init(struct image *img, u64 nr_blocks)
{
	memset(img, 0, sizeof(*img));
	img->io = (struct pdata_io){
		.ops = &image_ops, .nr_blocks = nr_blocks, .name = IMAGE_NAME,
	};
	img->data = must_alloc(nr_blocks * PDATA_BLOCK_SIZE);
	img->checked = must_alloc(nr_blocks);
	img->touched = must_alloc(nr_blocks);
	memset(img->touched, 1, nr_blocks);
}

void image_exit(struct image *img)
{
	free(img->data);
	free(img->checked);
	free(img->touched);
	free(img->cut_data);
}

void image_restore(struct image *img, const struct image *from)
{
	u64 b;

	for (b = 0; b < img->io.nr_blocks; b++) {
		if (!img->touched[b])
			continue;
		memcpy(image_block(img, b), image_block(from, b), PDATA_BLOCK_SIZE);
		img->touched[b] = 0;
	}
	memset(img->checked, 0, img->io.nr_blocks);
}

void image_reseal(struct image *img, u64 block)
{
	struct pdata_header *h = image_block(img, block);

	image_touch(img, block);
	h->csum = cpu_to_le32(crc32c(~0u, (u8 *)h + sizeof(h->csum),
				     PDATA_BLOCK_SIZE - sizeof(h->csum)));
}
