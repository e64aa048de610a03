// SPDX-License-Identifier: GPL-2.0-only
/* struct pdata_io over a file or block device. */
#include "io-file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define HASH_BUCKETS	4096u	/* power of two */
#define WRITE_BATCH	64u	/* blocks in one pwritev() */

struct file_block {
	struct hlist_node hash;	/* unhashed: overwritten meanwhile, goes with its last user */
	struct list_head lru;	/* while nobody uses it */
	u64 block;
	unsigned int refs;
	u8 checked;
	void *data;
};

struct io_file {
	struct pdata_io io;
	int fd;
	bool read_only;
	char *path;
	struct mutex lock;	/* guards all below; held across I/O */
	bool failed;		/* a sync failed */
	u64 reads;
	u64 held;
	unsigned int nr_cached;
	unsigned int max_cached;
	struct list_head lru;	/* least recently used first */
	struct hlist_head hash[HASH_BUCKETS];
};

static struct io_file *file_of(struct pdata_io *io)
{
	return container_of(io, struct io_file, io);
}

/* ---- raw I/O ---- */

static int read_all(struct io_file *f, u64 block, void *data)
{
	size_t done = 0;

	f->reads++;
	while (done < PDATA_BLOCK_SIZE) {
		ssize_t n = pread(f->fd, data + done, PDATA_BLOCK_SIZE - done,
				  block * PDATA_BLOCK_SIZE + done);

		if (n > 0) {
			done += n;
		} else if (!n) {
			pdata_err("%s: block %llu: file ends early", f->path, block);
			return -EIO;
		} else if (errno != EINTR) {
			n = -errno;
			pdata_err("%s: block %llu: read: %s", f->path, block, strerror(-n));
			return n;
		}
	}
	return 0;
}

static int write_failed(struct io_file *f, u64 block, int err)
{
	pdata_err("%s: block %llu: write: %s", f->path, block, strerror(err));
	return -err;
}

/* @n blocks that follow each other on the device. */
static int write_run(struct io_file *f, const struct pdata_io_vec *vec, unsigned int n)
{
	struct iovec iov[WRITE_BATCH];
	size_t size = n * (size_t)PDATA_BLOCK_SIZE, done = 0;
	unsigned int i;

	for (i = 0; i < n; i++)
		iov[i] = (struct iovec){ (void *)vec[i].data, PDATA_BLOCK_SIZE };
	i = 0;
	while (done < size) {
		ssize_t r = pwritev(f->fd, iov + i, n - i,
				    vec[0].block * PDATA_BLOCK_SIZE + done);

		if (r < 0) {
			if (errno == EINTR)
				continue;
			return write_failed(f, vec[i].block, errno);
		}
		if (!r)
			return write_failed(f, vec[i].block, ENOSPC);
		done += r;
		while (r) {
			size_t part = min((size_t)r, iov[i].iov_len);

			iov[i].iov_base += part;
			iov[i].iov_len -= part;
			r -= part;
			if (!iov[i].iov_len)
				i++;
		}
	}
	return 0;
}

static int sync_all(struct io_file *f)
{
	int r;

	do {
		r = fdatasync(f->fd);
	} while (r && errno == EINTR);
	if (!r)
		return 0;
	r = -errno;
	pdata_err("%s: sync: %s", f->path, strerror(-r));
	f->failed = true;
	return r;
}

/* ---- cache ---- */

static struct hlist_head *bucket_of(struct io_file *f, u64 block)
{
	return &f->hash[(block * 0x9e3779b97f4a7c15ull >> 40) & (HASH_BUCKETS - 1)];
}

static struct file_block *cache_find(struct io_file *f, u64 block)
{
	struct file_block *b;

	hlist_for_each_entry(b, bucket_of(f, block), hash)
		if (b->block == block)
			return b;
	return NULL;
}

static void block_free(struct file_block *b)
{
	pdata_block_free(b->data);
	kfree(b);
}

/* Take it out of the cache; its memory stays while somebody uses it. */
static void cache_forget(struct io_file *f, struct file_block *b)
{
	hlist_del_init(&b->hash);
	f->nr_cached--;
	if (!b->refs) {
		list_del(&b->lru);
		block_free(b);
	}
}

static void cache_shrink(struct io_file *f, unsigned int max)
{
	while (f->nr_cached > max && !list_empty(&f->lru))
		cache_forget(f, list_first_entry(&f->lru, struct file_block, lru));
}

static int cache_fill(struct io_file *f, u64 block, struct file_block **result)
{
	struct file_block *b;
	int r;

	cache_shrink(f, f->max_cached - 1);
	b = kzalloc(sizeof(*b), GFP_NOIO);
	if (!b)
		return -ENOMEM;
	b->data = pdata_block_alloc(GFP_NOIO);
	r = b->data ? read_all(f, block, b->data) : -ENOMEM;
	if (r) {
		block_free(b);
		return r;
	}
	b->block = block;
	hlist_add_head(&b->hash, bucket_of(f, block));
	list_add_tail(&b->lru, &f->lru);
	f->nr_cached++;
	*result = b;
	return 0;
}

/* ---- operations ---- */

static int file_get(struct pdata_io *io, u64 block, struct pdata_io_ref *ref)
{
	struct io_file *f = file_of(io);
	struct file_block *b;
	int r = 0;

	if (block >= io->nr_blocks)
		return -EIO;
	mutex_lock(&f->lock);
	b = cache_find(f, block);
	if (!b)
		r = cache_fill(f, block, &b);
	if (!r) {
		if (!b->refs++)
			list_del(&b->lru);
		f->held++;
		ref->data = b->data;
		ref->checked = &b->checked;
		ref->private = b;
	}
	mutex_unlock(&f->lock);
	return r;
}

static void file_put(struct pdata_io *io, struct pdata_io_ref *ref)
{
	struct io_file *f = file_of(io);
	struct file_block *b = ref->private;

	mutex_lock(&f->lock);
	WARN_ON(!b->refs);
	f->held--;
	if (!--b->refs) {
		if (hlist_unhashed(&b->hash)) {
			block_free(b);
		} else {
			list_add_tail(&b->lru, &f->lru);
			cache_shrink(f, f->max_cached);
		}
	}
	mutex_unlock(&f->lock);
	*ref = (struct pdata_io_ref){ NULL };
}

static int file_read(struct pdata_io *io, u64 block, void *data)
{
	struct io_file *f = file_of(io);
	int r;

	if (block >= io->nr_blocks)
		return -EIO;
	mutex_lock(&f->lock);
	r = read_all(f, block, data);
	mutex_unlock(&f->lock);
	return r;
}

static int file_read_run(struct pdata_io *io, u64 block, void *const *data, unsigned int n)
{
	struct io_file *f = file_of(io);
	struct iovec iov[PDATA_IO_RUN];
	unsigned int i;
	ssize_t r;

	if (!n || n > PDATA_IO_RUN || block >= io->nr_blocks || n > io->nr_blocks - block)
		return -EIO;
	for (i = 0; i < n; i++)
		iov[i] = (struct iovec){ data[i], PDATA_BLOCK_SIZE };
	mutex_lock(&f->lock);
	f->reads += n;
	do {
		r = preadv(f->fd, iov, n, block * PDATA_BLOCK_SIZE);
	} while (r < 0 && errno == EINTR);
	mutex_unlock(&f->lock);
	/* Whoever wants to know which block is bad reads them one by one. */
	return r == (ssize_t)(n * (size_t)PDATA_BLOCK_SIZE) ? 0 : -EIO;
}

/* Length of the run of blocks that @vec begins with. */
static unsigned int run_length(const struct pdata_io_vec *vec, unsigned int n)
{
	unsigned int i = 1;

	while (i < n && i < WRITE_BATCH && vec[i].block == vec[0].block + i)
		i++;
	return i;
}

static int write_locked(struct io_file *f, const struct pdata_io_vec *vec, unsigned int n,
			bool fua)
{
	unsigned int i, run;
	int r;

	if (f->failed)
		return -EIO;
	for (i = 0; i < n; i++) {
		struct file_block *b = cache_find(f, vec[i].block);

		if (vec[i].block >= f->io.nr_blocks)
			return -EIO;
		if (b)
			cache_forget(f, b);
	}
	for (i = 0; i < n; i += run) {
		run = run_length(vec + i, n - i);
		r = write_run(f, vec + i, run);
		if (r)
			return r;
	}
	return fua ? sync_all(f) : 0;
}

static int file_write(struct pdata_io *io, const struct pdata_io_vec *vec, unsigned int n,
		      bool fua)
{
	struct io_file *f = file_of(io);
	int r;

	if (f->read_only)
		return -EROFS;
	mutex_lock(&f->lock);
	r = write_locked(f, vec, n, fua);
	mutex_unlock(&f->lock);
	return r;
}

static int file_flush(struct pdata_io *io)
{
	struct io_file *f = file_of(io);
	int r;

	if (f->read_only)
		return -EROFS;
	mutex_lock(&f->lock);
	r = f->failed ? -EIO : sync_all(f);
	mutex_unlock(&f->lock);
	return r;
}

static const struct pdata_io_ops file_ops = {
	.get = file_get,
	.put = file_put,
	.read = file_read,
	.read_run = file_read_run,
	.write = file_write,
	.flush = file_flush,
};

/* ---- open and close ---- */

static int open_failed(const char *path, const char *what, int err)
{
	pdata_err("%s: %s: %s", path, what, strerror(err));
	return -err;
}

/* Size in bytes; refuses what we cannot work on. */
static int file_size(const char *path, int fd, const struct stat *st, u64 *size)
{
	int sector = 0;

	if (S_ISREG(st->st_mode)) {
		*size = st->st_size;
		return 0;
	}
	if (ioctl(fd, BLKSSZGET, &sector) || ioctl(fd, BLKGETSIZE64, size))
		return open_failed(path, "cannot read its size", errno);
	if (sector > (int)PDATA_BLOCK_SIZE) {
		pdata_err("%s: logical block size of %d bytes is not supported", path, sector);
		return -EINVAL;
	}
	return 0;
}

static int file_setup(const char *path, int fd, u64 size, unsigned int flags,
		      struct pdata_io **io)
{
	struct io_file *f = kzalloc(sizeof(*f), GFP_KERNEL);

	if (f)
		f->path = kstrdup(path, GFP_KERNEL);
	if (!f || !f->path) {
		kfree(f);
		return -ENOMEM;
	}
	f->io.ops = &file_ops;
	f->io.nr_blocks = size / PDATA_BLOCK_SIZE;
	f->io.name = f->path;
	f->fd = fd;
	f->read_only = flags & PDATA_IO_FILE_READ_ONLY;
	f->max_cached = PDATA_IO_FILE_CACHE;
	mutex_init(&f->lock);
	INIT_LIST_HEAD(&f->lru);
	*io = &f->io;
	return 0;
}

static int open_existing(const char *path, unsigned int flags, struct pdata_io **io)
{
	int mode = (flags & PDATA_IO_FILE_READ_ONLY ? O_RDONLY : O_RDWR) | O_CLOEXEC;
	struct stat st;
	u64 size;
	int fd, r;

	if (stat(path, &st))
		return open_failed(path, "cannot find it", errno);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		pdata_err("%s: is neither a file nor a block device", path);
		return -EINVAL;
	}
	if (S_ISBLK(st.st_mode) && !(flags & PDATA_IO_FILE_SHARED))
		mode |= O_EXCL;
	if (flags & PDATA_IO_FILE_DIRECT ||
	    (S_ISBLK(st.st_mode) && !(flags & PDATA_IO_FILE_BUFFERED)))
		mode |= O_DIRECT;
	fd = open(path, mode);
	if (fd < 0)
		return open_failed(path, errno == EBUSY ? "is in use" : "cannot open it", errno);
	r = fstat(fd, &st) ? open_failed(path, "fstat", errno) :
			     file_size(path, fd, &st, &size);
	if (!r)
		r = file_setup(path, fd, size, flags, io);
	if (r)
		close(fd);
	return r;
}

int pdata_io_file_open(const char *path, unsigned int flags, struct pdata_io **io)
{
	*io = NULL;
	return open_existing(path, flags, io);
}

int pdata_io_file_create(const char *path, u64 nr_blocks, unsigned int flags,
			 struct pdata_io **io)
{
	int mode = O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC;
	struct stat st;
	int fd, r;

	*io = NULL;
	if (!stat(path, &st) && !S_ISREG(st.st_mode)) {
		pdata_err("%s: is not a regular file", path);
		return -EINVAL;
	}
	if (flags & PDATA_IO_FILE_DIRECT)
		mode |= O_DIRECT;
	fd = open(path, mode, 0644);
	if (fd < 0)
		return open_failed(path, "cannot create it", errno);
	if (ftruncate(fd, nr_blocks * PDATA_BLOCK_SIZE))
		r = open_failed(path, "cannot set its size", errno);
	else
		r = file_setup(path, fd, nr_blocks * PDATA_BLOCK_SIZE,
			       flags & ~PDATA_IO_FILE_READ_ONLY, io);
	if (r)
		close(fd);
	return r;
}

int pdata_io_file_close(struct pdata_io *io)
{
	struct io_file *f;
	int r = 0;

	if (!io)
		return 0;
	f = file_of(io);
	WARN_ON(f->held);
	cache_shrink(f, 0);
	if (close(f->fd))
		r = open_failed(f->path, "close", errno);
	mutex_destroy(&f->lock);
	kfree(f->path);
	kfree(f);
	return r;
}

void pdata_io_file_forget(struct pdata_io *io)
{
	struct io_file *f = file_of(io);
	struct file_block *b;
	struct hlist_node *n;
	unsigned int i;

	mutex_lock(&f->lock);
	for (i = 0; i < HASH_BUCKETS; i++)
		hlist_for_each_entry_safe(b, n, &f->hash[i], hash)
			cache_forget(f, b);
	mutex_unlock(&f->lock);
}

void pdata_io_file_set_cache(struct pdata_io *io, unsigned int nr_blocks)
{
	struct io_file *f = file_of(io);

	mutex_lock(&f->lock);
	f->max_cached = max(nr_blocks, 1u);
	cache_shrink(f, f->max_cached);
	mutex_unlock(&f->lock);
}

unsigned int pdata_io_file_cached(struct pdata_io *io)
{
	struct io_file *f = file_of(io);
	unsigned int n;

	mutex_lock(&f->lock);
	n = f->nr_cached;
	mutex_unlock(&f->lock);
	return n;
}

u64 pdata_io_file_reads(struct pdata_io *io)
{
	struct io_file *f = file_of(io);
	u64 n;

	mutex_lock(&f->lock);
	n = f->reads;
	mutex_unlock(&f->lock);
	return n;
}
