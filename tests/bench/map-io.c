// SPDX-License-Identifier: GPL-2.0-only
/* struct pdata_io over a mapped file. */
#include "map-io.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct map_io {
	struct pdata_io io;
	u8 *map;
	u8 *checked;	/* a byte a block */
};

static struct map_io *map_of(struct pdata_io *io)
{
	return container_of(io, struct map_io, io);
}

static int map_get(struct pdata_io *io, u64 block, struct pdata_io_ref *ref)
{
	struct map_io *m = map_of(io);

	if (block >= io->nr_blocks)
		return -EIO;
	ref->data = m->map + block * PDATA_BLOCK_SIZE;
	ref->checked = &m->checked[block];
	ref->private = NULL;
	return 0;
}

static void map_put(struct pdata_io *io, struct pdata_io_ref *ref)
{
}

static int map_read(struct pdata_io *io, u64 block, void *data)
{
	if (block >= io->nr_blocks)
		return -EIO;
	memcpy(data, map_of(io)->map + block * PDATA_BLOCK_SIZE, PDATA_BLOCK_SIZE);
	return 0;
}

static int map_write(struct pdata_io *io, const struct pdata_io_vec *vec, unsigned int n,
		     bool fua)
{
	struct map_io *m = map_of(io);
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (vec[i].block >= io->nr_blocks)
			return -EIO;
		memcpy(m->map + vec[i].block * PDATA_BLOCK_SIZE, vec[i].data, PDATA_BLOCK_SIZE);
		m->checked[vec[i].block] = 0;
	}
	return 0;
}

static int map_flush(struct pdata_io *io)
{
	return 0;
}

static const struct pdata_io_ops map_ops = {
	.get = map_get,
	.put = map_put,
	.read = map_read,
	.write = map_write,
	.flush = map_flush,
};

static int map_failed(const char *path, int fd)
{
	const int err = errno;

	fprintf(stderr, "%s: %s\n", path, strerror(err));
	if (fd >= 0)
		close(fd);
	return -err;
}

static int map_setup(const char *path, int fd, u64 nr_blocks, int flags, struct pdata_io **io)
{
	struct map_io *m = calloc(1, sizeof(*m));

	if (!m)
		return map_failed(path, fd);
	m->io.ops = &map_ops;
	m->io.nr_blocks = nr_blocks;
	m->io.name = "map-io";
	m->checked = calloc(nr_blocks, 1);
	m->map = mmap(NULL, nr_blocks * PDATA_BLOCK_SIZE, PROT_READ | PROT_WRITE,
		      flags | MAP_NORESERVE, fd, 0);
	if (!m->checked || m->map == MAP_FAILED) {
		free(m->checked);
		free(m);
		return map_failed(path, fd);
	}
	close(fd);
	*io = &m->io;
	return 0;
}

int map_io_create(const char *path, u64 nr_blocks, struct pdata_io **io)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || ftruncate(fd, nr_blocks * PDATA_BLOCK_SIZE))
		return map_failed(path, fd);
	return map_setup(path, fd, nr_blocks, MAP_SHARED, io);
}

int map_io_open_private(const char *path, struct pdata_io **io)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return map_failed(path, fd);
	return map_setup(path, fd, st.st_size / PDATA_BLOCK_SIZE, MAP_PRIVATE, io);
}

void map_io_close(struct pdata_io *io)
{
	struct map_io *m = map_of(io);

	munmap(m->map, io->nr_blocks * PDATA_BLOCK_SIZE);
	free(m->checked);
	free(m);
}

void map_io_forget(struct pdata_io *io, u64 block)
{
	map_of(io)->checked[block] = 0;
}

void map_io_forget_all(struct pdata_io *io)
{
	memset(map_of(io)->checked, 0, io->nr_blocks);
}
