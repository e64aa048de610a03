/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How the core reaches the metadata device.
 *
 * Three implementations: dm-bufio and bios in the kernel (pdata-io-bufio.c),
 * a file or block device in userspace (tests/shim/io-file.c), and the
 * simulated disk that loses, reorders and tears un-flushed writes
 * (tests/shim/io-sim.c). Embed struct pdata_io as first member.
 *
 * All calls may sleep. Blocks are PDATA_BLOCK_SIZE bytes. Errors are negated
 * errnos of the device.
 */
#ifndef PDATA_IO_H
#define PDATA_IO_H

#include "pdata-format.h"

struct pdata_io;

#define PDATA_IO_RUN	64u

/* A block held in the clean cache. */
struct pdata_io_ref {
	const void *data;
	u8 *checked;	/* cache's own byte: non-zero once a checker passed it */
	void *private;	/* the implementation's */
};

struct pdata_io_vec {
	u64 block;
	const void *data;	/* from pdata_block_alloc() */
};

struct pdata_io_ops {
	/*
	 * Cached read of one block. *checked starts as 0 after each real read;
	 * content that came by write() was sealed and may count as checked.
	 */
	int (*get)(struct pdata_io *io, u64 block, struct pdata_io_ref *ref);
	void (*put)(struct pdata_io *io, struct pdata_io_ref *ref);

	/* Read past the cache into memory from pdata_block_alloc(). */
	int (*read)(struct pdata_io *io, u64 block, void *data);

	/*
	 * The same for @n consecutive blocks, at most PDATA_IO_RUN, in one go.
	 * On failure nothing is known of any of them. NULL: not offered.
	 */
	int (*read_run)(struct pdata_io *io, u64 block, void *const *data, unsigned int n);

	/*
	 * Write n blocks, in any order, and wait for all of them. With @fua
	 * they are durable on return, else after the next flush. On success
	 * later get() calls see the new content; on failure the content of any
	 * of the blocks is unknown and the cache forgets them.
	 */
	int (*write)(struct pdata_io *io, const struct pdata_io_vec *vec,
		     unsigned int n, bool fua);
	int (*flush)(struct pdata_io *io);
};

struct pdata_io {
	const struct pdata_io_ops *ops;
	u64 nr_blocks;		/* size of the device, blocks */
	const char *name;	/* for log lines */
};

static inline int __must_check pdata_io_get(struct pdata_io *io, u64 block,
					    struct pdata_io_ref *ref)
{
	return io->ops->get(io, block, ref);
}

static inline void pdata_io_put(struct pdata_io *io, struct pdata_io_ref *ref)
{
	io->ops->put(io, ref);
}

static inline int __must_check pdata_io_read(struct pdata_io *io, u64 block, void *data)
{
	return io->ops->read(io, block, data);
}

static inline int __must_check pdata_io_write(struct pdata_io *io,
					      const struct pdata_io_vec *vec,
					      unsigned int n, bool fua)
{
	return io->ops->write(io, vec, n, fua);
}

static inline int __must_check pdata_io_flush(struct pdata_io *io)
{
	return io->ops->flush(io);
}

#endif
