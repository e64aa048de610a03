/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * struct pdata_io over a file that is mapped into memory, for generators and
 * benchmarks: no copies, no locks, no syncs. What is measured over it is the
 * core alone. A file made with it is complete once it is closed.
 */
#ifndef BENCH_MAP_IO_H
#define BENCH_MAP_IO_H

#include "pdata-io.h"

/* A sparse file of @nr_blocks, truncated if it exists. 0 or a negated errno, reported. */
int __must_check map_io_create(const char *path, u64 nr_blocks, struct pdata_io **io);
/* A copy of an existing file's content: writes do not reach it. */
int __must_check map_io_open_private(const char *path, struct pdata_io **io);
void map_io_close(struct pdata_io *io);

/* The next reader of @block runs its checks, as after a real read. */
void map_io_forget(struct pdata_io *io, u64 block);
void map_io_forget_all(struct pdata_io *io);

#endif
