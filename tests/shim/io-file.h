/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * struct pdata_io over a regular file or a block device, for tools and tests.
 *
 * Block devices are opened with O_DIRECT, so that what a live pool's kernel
 * wrote past the page cache is seen, and with O_EXCL, so that a device in use
 * is refused. Reads go through a bounded cache of clean blocks. FUA is a write
 * followed by fdatasync(). After a failed sync nothing is known of what was
 * written before: everything but reads fails from then on.
 */
#ifndef PDATA_IO_FILE_H
#define PDATA_IO_FILE_H

#include "pdata-io.h"

#define PDATA_IO_FILE_READ_ONLY	(1u << 0)	/* writes answer -EROFS */
/* A device may be in use: a tool that reads a held root of a live pool. */
#define PDATA_IO_FILE_SHARED	(1u << 1)
/* O_DIRECT for a regular file too; an error if it cannot be had. */
#define PDATA_IO_FILE_DIRECT	(1u << 2)
#define PDATA_IO_FILE_BUFFERED	(1u << 3)	/* no O_DIRECT on a device */

/* Clean blocks kept when nobody uses them: 64 MiB. */
#define PDATA_IO_FILE_CACHE	16384u

/**
 * pdata_io_file_open - open an existing file or block device
 * @path: its name; copied
 * @flags: PDATA_IO_FILE_*
 * @io: result; close with pdata_io_file_close()
 *
 * Failure is logged with path and reason.
 *
 * Return: 0 or a negated errno: -EBUSY if the device is in use, -EINVAL if it
 * is neither file nor block device or its logical blocks exceed 4 KiB.
 */
int __must_check pdata_io_file_open(const char *path, unsigned int flags, struct pdata_io **io);

/**
 * pdata_io_file_create - make a sparse regular file and open it
 * @path: truncated if it exists
 * @nr_blocks: its size
 * @flags: PDATA_IO_FILE_DIRECT or 0
 * @io: result
 *
 * Return: 0 or a negated errno.
 */
int __must_check pdata_io_file_create(const char *path, u64 nr_blocks, unsigned int flags,
				      struct pdata_io **io);

/**
 * pdata_io_file_close - close without a flush
 * @io: from open or create, may be NULL; no reference is held any more
 *
 * Return: 0, or why closing failed (what was flushed before is safe).
 */
int pdata_io_file_close(struct pdata_io *io);

/* Forget all blocks in the cache: the file was changed by somebody else. */
void pdata_io_file_forget(struct pdata_io *io);
/* How many unused blocks the cache keeps, at least 1. */
void pdata_io_file_set_cache(struct pdata_io *io, unsigned int nr_blocks);
/* Blocks in the cache now, and reads of the device so far. */
unsigned int pdata_io_file_cached(struct pdata_io *io);
u64 pdata_io_file_reads(struct pdata_io *io);

#endif
