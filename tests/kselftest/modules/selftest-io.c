// SPDX-License-Identifier: GPL-2.0-only
/*
 * The metadata device's I/O. Overwrites the first blocks of the device.
 */
#include "selftest.h"

#include "pdata-io-bufio.c"

#define NR_BLOCKS	600	/* more than one bio takes */

struct io_test {
	struct pdata_io *io;
	struct pdata_io_vec vec[NR_BLOCKS];
	void *scratch;
};

static void fill(void *data, u64 block, u64 version)
{
	u64 *p = data;
	unsigned int i;

	for (i = 0; i < PDATA_BLOCK_SIZE / sizeof(u64); i++)
		p[i] = block << 40 | version << 16 | i;
}

static bool is_filled(const void *data, u64 block, u64 version)
{
	const u64 *p = data;
	unsigned int i;

	for (i = 0; i < PDATA_BLOCK_SIZE / sizeof(u64); i++)
		if (p[i] != (block << 40 | version << 16 | i))
			return false;
	return true;
}

/* Open the device, give @fn its blocks' memory. */
static int with_io(struct dm_dev *dev, int (*fn)(struct io_test *t, u64 arg), u64 arg)
{
	struct io_test *t = kvzalloc(sizeof(*t), GFP_KERNEL);
	unsigned int i;
	int r = -ENOMEM;

	if (!t)
		return r;
	for (i = 0; i < NR_BLOCKS; i++) {
		t->vec[i].data = pdata_block_alloc(GFP_KERNEL);
		if (!t->vec[i].data)
			goto out;
	}
	t->scratch = pdata_block_alloc(GFP_KERNEL);
	if (!t->scratch)
		goto out;
	r = pdata_io_bufio_create(dev->bdev, "selftest", &t->io);
	if (r)
		goto out;
	r = fn(t, arg);
	pdata_io_bufio_destroy(t->io);
out:
	for (i = 0; i < NR_BLOCKS; i++)
		pdata_block_free((void *)t->vec[i].data);
	pdata_block_free(t->scratch);
	kvfree(t);
	return r;
}

static int expect(struct io_test *t, u64 block, u64 version, u8 checked)
{
	struct pdata_io_ref ref, again;

	st_check(!pdata_io_get(t->io, block, &ref));
	st_check(is_filled(ref.data, block, version));
	st_check(*ref.checked == checked);
	*ref.checked = 1;
	st_check(!pdata_io_get(t->io, block, &again));
	st_check(again.data == ref.data && *again.checked == 1);
	pdata_io_put(t->io, &again);
	pdata_io_put(t->io, &ref);
	st_check(!pdata_io_read(t->io, block, t->scratch));
	st_check(is_filled(t->scratch, block, version));
	return 0;
}

static int cache_round(struct io_test *t, struct st_rnd *rnd, u64 version)
{
	unsigned int nr = version == 1 ? NR_BLOCKS : 1 + st_rnd(rnd, NR_BLOCKS), i, n = 0;
	bool fua = version & 1;
	u64 block;
	int r;

	/* runs and single blocks */
	for (block = 0; n < nr && block < NR_BLOCKS; block++) {
		if (nr < NR_BLOCKS && !st_rnd(rnd, 4))
			continue;
		t->vec[n].block = block;
		fill((void *)t->vec[n].data, block, version);
		n++;
	}
	st_check(!pdata_io_write(t->io, t->vec, n, fua));
	st_check(!pdata_io_flush(t->io));
	for (i = 0; i < n; i++) {
		/* with FUA it left the cache and is read again, else the write checked it */
		r = expect(t, t->vec[i].block, version, !fua);
		if (!r && !st_rnd(rnd, 2))
			r = expect(t, t->vec[i].block, version, 1);
		if (r)
			return r;
	}
	return 0;
}

static int io_cache(struct io_test *t, u64 seed)
{
	struct st_rnd rnd = { seed };
	struct pdata_io_ref ref;
	u64 version;
	int r = 0;

	st_check(t->io->nr_blocks >= NR_BLOCKS);
	st_check(pdata_io_get(t->io, t->io->nr_blocks, &ref) == -EIO);
	st_check(pdata_io_read(t->io, t->io->nr_blocks, t->scratch) == -EIO);
	t->vec[0].block = t->io->nr_blocks;
	st_check(pdata_io_write(t->io, t->vec, 1, false) == -EIO);
	st_check(!pdata_io_write(t->io, t->vec, 0, true));
	for (version = 1; version < 12 && !r; version++)
		r = cache_round(t, &rnd, version);
	return r;
}

int st_io_cache(u64 seed, struct dm_dev *dev)
{
	st_check(dev);
	return with_io(dev, io_cache, seed);
}

/* The device fails reads and writes of the blocks from @bad on. */
static int io_errors(struct io_test *t, u64 bad)
{
	struct pdata_io_ref ref;
	unsigned int i;

	st_check(bad > 4 && bad + 4 < t->io->nr_blocks);
	for (i = 0; i < 8; i++) {
		t->vec[i].block = bad - 4 + i;
		fill((void *)t->vec[i].data, t->vec[i].block, 1);
	}
	st_check(!pdata_io_write(t->io, t->vec, 4, false));
	for (i = 0; i < 8; i++)
		fill((void *)t->vec[i].data, t->vec[i].block, 2);
	st_check(pdata_io_write(t->io, t->vec, 8, false) == -EIO);

	/* nothing is left in the cache: what is read now comes from the device */
	for (i = 0; i < 4; i++) {
		st_check(!pdata_io_read(t->io, bad - 4 + i, t->scratch));
		st_check(!pdata_io_get(t->io, bad - 4 + i, &ref));
		st_check(!memcmp(ref.data, t->scratch, PDATA_BLOCK_SIZE));
		pdata_io_put(t->io, &ref);
	}
	for (i = 0; i < 4; i++) {
		st_check(pdata_io_get(t->io, bad + i, &ref) == -EIO);
		st_check(pdata_io_read(t->io, bad + i, t->scratch) == -EIO);
	}
	return 0;
}

int st_io_errors(u64 bad, struct dm_dev *dev)
{
	st_check(dev);
	return with_io(dev, io_errors, bad);
}
