/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Metadata device of the kernel: dm-bufio as the cache of clean blocks, bios
 * of our own for everything else. Kernel only.
 */
#ifndef PDATA_IO_BUFIO_H
#define PDATA_IO_BUFIO_H

#include "pdata-io.h"

struct bio;
struct bio_vec;
struct block_device;

/**
 * pdata_io_bufio_create - open the metadata device for the core
 * @bdev: stays the caller's, outlives the result
 * @name: for log lines, outlives the result
 * @io: on success
 *
 * May sleep. None of the operations may be called from a target's map() or
 * from a bio's completion.
 *
 * Return: 0 or -ENOMEM.
 */
int __must_check pdata_io_bufio_create(struct block_device *bdev, const char *name,
				       struct pdata_io **io);

/* No block is held and no operation runs any more. May sleep. */
void pdata_io_bufio_destroy(struct pdata_io *io);

/**
 * pdata_io_bufio_submit - write consecutive blocks with FUA, without waiting
 * @io: made by pdata_io_bufio_create()
 * @bio: of the caller's, initialised here
 * @table: room for @n segments
 * @vec: blocks that no pdata_io_get() ever reads; their memory stays until the end
 * @n: how many, at least 1
 * @end_io: the bio's
 * @private: the bio's
 *
 * Process context, also in a target's map().
 */
void pdata_io_bufio_submit(struct pdata_io *io, struct bio *bio, struct bio_vec *table,
			   const struct pdata_io_vec *vec, unsigned int n,
			   void (*end_io)(struct bio *bio), void *private);

/* Take the device's present size for io->nr_blocks. Any context. */
void pdata_io_bufio_resize(struct pdata_io *io);

#endif
