// SPDX-License-Identifier: GPL-2.0-only
/* thin2_trim: the data device, or a file that stands for one. */
#define _GNU_SOURCE
#include "trim.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Discarded at once, so that an end can be seen. */
#define MAX_UNITS	BIT_ULL(18)

static int failed(const struct trim_device *dev, const char *what)
{
	const int r = -errno;

	tool_err("%s: %s: %s", dev->path, what, strerror(errno));
	return r;
}

int trim_open(const char *path, struct trim_device *dev)
{
	struct stat st;
	u64 size;

	dev->path = path;
	if (stat(path, &st))
		return failed(dev, "cannot open it");
	if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode)) {
		tool_err("%s: is neither a file nor a block device", path);
		return -EINVAL;
	}
	dev->is_file = S_ISREG(st.st_mode);
	dev->fd = open(path, O_RDWR | O_CLOEXEC | (dev->is_file ? 0 : O_EXCL));
	if (dev->fd < 0)
		return failed(dev, errno == EBUSY ? "is in use" : "cannot open it");
	size = st.st_size;
	if (!dev->is_file && ioctl(dev->fd, BLKGETSIZE64, &size))
		return failed(dev, "cannot read its size");
	dev->nr_units = size / PDATA_BLOCK_SIZE;
	return 0;
}

static int discard_piece(const struct trim_device *dev, u64 begin, u64 nr)
{
	u64 range[2] = { begin * PDATA_BLOCK_SIZE, nr * PDATA_BLOCK_SIZE };

	if (dev->is_file)
		return fallocate(dev->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, range[0],
				 range[1]);
	return ioctl(dev->fd, BLKDISCARD, range);
}

int trim_discard(const struct trim_device *dev, u64 begin, u64 end)
{
	u64 nr;

	for (; begin < end; begin += nr) {
		nr = min(end - begin, MAX_UNITS);
		if (discard_piece(dev, begin, nr))
			return failed(dev, "discard");
	}
	return 0;
}

void trim_close(struct trim_device *dev)
{
	if (dev->fd >= 0)
		close(dev->fd);
}
