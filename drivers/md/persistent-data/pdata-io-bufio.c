// SPDX-License-Identifier: GPL-2.0-only
/*
 * Metadata device of the kernel.
 *
 * dm-bufio only ever holds clean blocks here. What is written comes from the
 * core's own sealed memory, in own bios, so that a failed write is known by
 * its caller and no write waits for the cache's buffers.
 */
#include "pdata-io-bufio.h"

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/dm-bufio.h>

/*
 * Buffers dm-bufio keeps back for when there is no memory: what the one thread
 * that holds several at a time, the merge, has on its way down two trees.
 */
#define RESERVED_BUFFERS	16

/* Bios that writers share for when there is no memory. */
#define RESERVED_BIOS		8

#define OPF_READ	(REQ_OP_READ | REQ_META | REQ_SYNC | REQ_PRIO)
#define OPF_WRITE	(REQ_OP_WRITE | REQ_META | REQ_SYNC | REQ_PRIO)

struct io_bufio {
	struct pdata_io io;
	struct block_device *bdev;
	struct dm_bufio_client *cache;
	struct bio_set bios;
};

/* One call of write(): all of its bios. */
struct write_batch {
	atomic_t pending;		/* bios in flight, and one for the submitter */
	int error;			/* the first that came, cmpxchg */
	struct completion done;
};

static struct io_bufio *to_io_bufio(struct pdata_io *io)
{
	return container_of(io, struct io_bufio, io);
}

static sector_t block_to_sector(u64 block)
{
	return block * PDATA_BLOCK_SECTORS;
}

/*
 * Inside of a submit_bio() the bios issued here would wait for its end, and
 * older dm-bufio stops the machine.
 */
static int check_call(struct pdata_io *io, u64 block)
{
	might_sleep();
	if (WARN_ON_ONCE(current->bio_list))
		return -EDEADLK;
	if (block >= READ_ONCE(io->nr_blocks))
		return -EIO;
	return 0;
}

/* ---- clean cache ---- */

/* A buffer gets new content: read from the device, unless cache_update() says more. */
static void buffer_fresh(struct dm_buffer *buf)
{
	u8 *checked = dm_bufio_get_aux_data(buf);

	*checked = 0;
}

static int io_bufio_get(struct pdata_io *io, u64 block, struct pdata_io_ref *ref)
{
	struct io_bufio *b = to_io_bufio(io);
	struct dm_buffer *buf;
	void *data;
	int r;

	r = check_call(io, block);
	if (r)
		return r;
	data = dm_bufio_read(b->cache, block, &buf);
	if (IS_ERR(data))
		return PTR_ERR(data);
	ref->data = data;
	ref->checked = dm_bufio_get_aux_data(buf);
	ref->private = buf;
	return 0;
}

static void io_bufio_put(struct pdata_io *io, struct pdata_io_ref *ref)
{
	dm_bufio_release(ref->private);
	ref->data = NULL;
	ref->checked = NULL;
	ref->private = NULL;
}

/*
 * Make the cache agree with a block that has been written.
 *
 * dm_bufio_new() rather than _get() or _forget(): these two pass over a buffer
 * whose read is in flight, and that read may have taken the old content. Tree
 * blocks stay cached, the next merge reads them. What is written with FUA,
 * journal and superblocks, is not read through the cache and leaves it at once.
 */
static void cache_update(struct io_bufio *b, const struct pdata_io_vec *v, bool keep)
{
	struct dm_buffer *buf;
	void *data;

	data = dm_bufio_new(b->cache, v->block, &buf);
	if (!IS_ERR(data)) {
		memcpy(data, v->data, PDATA_BLOCK_SIZE);
		/* Sealed, that is checked, before it was written. */
		*(u8 *)dm_bufio_get_aux_data(buf) = 1;
		dm_bufio_release(buf);
		if (keep)
			return;
	}
	/* an error is that of an older read, the buffer is of no use */
	dm_bufio_forget(b->cache, v->block);
}

/* ---- own bios ---- */

static int io_bufio_read(struct pdata_io *io, u64 block, void *data)
{
	struct io_bufio *b = to_io_bufio(io);
	struct bio_vec vec;
	struct bio bio;
	int r;

	r = check_call(io, block);
	if (r)
		return r;
	bio_init(&bio, b->bdev, &vec, 1, OPF_READ);
	bio.bi_iter.bi_sector = block_to_sector(block);
	__bio_add_page(&bio, virt_to_page(data), PDATA_BLOCK_SIZE, offset_in_page(data));
	r = submit_bio_wait(&bio);
	bio_uninit(&bio);
	return r;
}

static int io_bufio_read_run(struct pdata_io *io, u64 block, void *const *data, unsigned int n)
{
	struct io_bufio *b = to_io_bufio(io);
	struct bio *bio;
	unsigned int i;
	int r;

	r = check_call(io, block + n - 1);
	if (r)
		return r;
	bio = bio_alloc_bioset(b->bdev, n, OPF_READ, GFP_NOIO, &b->bios);
	bio->bi_iter.bi_sector = block_to_sector(block);
	for (i = 0; i < n; i++)
		__bio_add_page(bio, virt_to_page(data[i]), PDATA_BLOCK_SIZE,
			       offset_in_page(data[i]));
	r = submit_bio_wait(bio);
	bio_put(bio);
	return r;
}

static void batch_put(struct write_batch *batch)
{
	if (atomic_dec_and_test(&batch->pending))
		complete(&batch->done);
}

static void write_end_io(struct bio *bio)
{
	struct write_batch *batch = bio->bi_private;

	if (bio->bi_status)
		cmpxchg(&batch->error, 0, blk_status_to_errno(bio->bi_status));
	bio_put(bio);
	batch_put(batch);
}

/* Issue one bio: a run of consecutive blocks. Returns how many it took. */
static unsigned int write_run(struct io_bufio *b, struct write_batch *batch,
			      const struct pdata_io_vec *vec, unsigned int n,
			      blk_opf_t opf)
{
	unsigned int max = bio_max_segs(n), i = 0;
	struct bio *bio;

	/* Sleeps rather than fail: all bios of the set are on their way. */
	bio = bio_alloc_bioset(b->bdev, max, opf, GFP_NOIO, &b->bios);
	bio->bi_iter.bi_sector = block_to_sector(vec[0].block);
	bio->bi_private = batch;
	bio->bi_end_io = write_end_io;
	do {
		const void *data = vec[i].data;

		__bio_add_page(bio, virt_to_page(data), PDATA_BLOCK_SIZE,
			       offset_in_page(data));
		i++;
	} while (i < max && vec[i].block == vec[i - 1].block + 1);
	atomic_inc(&batch->pending);
	submit_bio(bio);
	return i;
}

static int io_bufio_write(struct pdata_io *io, const struct pdata_io_vec *vec,
			  unsigned int n, bool fua)
{
	struct io_bufio *b = to_io_bufio(io);
	struct write_batch batch = { .pending = ATOMIC_INIT(1) };
	blk_opf_t opf = OPF_WRITE | (fua ? REQ_FUA : 0);
	struct blk_plug plug;
	unsigned int i;
	int r;

	for (i = 0; i < n; i++) {
		r = check_call(io, vec[i].block);
		if (r)
			return r;
	}
	init_completion(&batch.done);
	blk_start_plug(&plug);
	for (i = 0; i < n;)
		i += write_run(b, &batch, vec + i, n - i, opf);
	blk_finish_plug(&plug);
	batch_put(&batch);
	wait_for_completion_io(&batch.done);

	r = batch.error;
	for (i = 0; i < n; i++) {
		if (r)
			dm_bufio_forget(b->cache, vec[i].block);
		else
			cache_update(b, &vec[i], !fua);
	}
	return r;
}

void pdata_io_bufio_submit(struct pdata_io *io, struct bio *bio, struct bio_vec *table,
			   const struct pdata_io_vec *vec, unsigned int n,
			   void (*end_io)(struct bio *bio), void *private)
{
	unsigned int i;

	bio_init(bio, to_io_bufio(io)->bdev, table, n, OPF_WRITE | REQ_FUA);
	bio->bi_iter.bi_sector = block_to_sector(vec[0].block);
	bio->bi_end_io = end_io;
	bio->bi_private = private;
	for (i = 0; i < n; i++)
		__bio_add_page(bio, virt_to_page(vec[i].data), PDATA_BLOCK_SIZE,
			       offset_in_page(vec[i].data));
	submit_bio(bio);
}

static int io_bufio_flush(struct pdata_io *io)
{
	might_sleep();
	return blkdev_issue_flush(to_io_bufio(io)->bdev);
}

static const struct pdata_io_ops io_bufio_ops = {
	.get = io_bufio_get,
	.put = io_bufio_put,
	.read = io_bufio_read,
	.read_run = io_bufio_read_run,
	.write = io_bufio_write,
	.flush = io_bufio_flush,
};

/* ---- lifetime ---- */

void pdata_io_bufio_resize(struct pdata_io *io)
{
	u64 bytes = bdev_nr_bytes(to_io_bufio(io)->bdev);

	WRITE_ONCE(io->nr_blocks, bytes >> PDATA_BLOCK_SHIFT);
}

int pdata_io_bufio_create(struct block_device *bdev, const char *name,
			  struct pdata_io **io)
{
	struct io_bufio *b;
	int r;

	b = kzalloc(sizeof(*b), GFP_KERNEL);
	if (!b)
		return -ENOMEM;
	b->io.ops = &io_bufio_ops;
	b->io.name = name;
	b->bdev = bdev;
	r = bioset_init(&b->bios, RESERVED_BIOS, 0, BIOSET_NEED_BVECS);
	if (r)
		goto bad_bios;
	b->cache = dm_bufio_client_create(bdev, PDATA_BLOCK_SIZE, RESERVED_BUFFERS,
					  sizeof(u8), buffer_fresh, NULL, 0);
	if (IS_ERR(b->cache)) {
		r = PTR_ERR(b->cache);
		goto bad_cache;
	}
	pdata_io_bufio_resize(&b->io);
	*io = &b->io;
	return 0;

bad_cache:
	bioset_exit(&b->bios);
bad_bios:
	kfree(b);
	return r;
}

void pdata_io_bufio_destroy(struct pdata_io *io)
{
	struct io_bufio *b = to_io_bufio(io);

	dm_bufio_client_destroy(b->cache);
	bioset_exit(&b->bios);
	kfree(b);
}
