// SPDX-License-Identifier: GPL-2.0-only
/* How tools reach a metadata device. Tests put images in memory in its place. */
#include "common.h"
#include "io-file.h"

struct pdata_io *tool_open(const char *path, enum tool_open_mode mode)
{
	unsigned int flags = 0;
	struct pdata_io *io;
	int r;

	if (mode != TOOL_WRITE)
		flags |= PDATA_IO_FILE_READ_ONLY;
	if (mode == TOOL_LIVE)
		flags |= PDATA_IO_FILE_SHARED;
	r = pdata_io_file_open(path, flags, &io);
	if (!r)
		return io;
	if (r == -EBUSY)
		tool_err("%s: is in use", path);
	else
		tool_err("cannot open %s: %s", path, strerror(-r));
	return NULL;
}

void tool_close(struct pdata_io *io)
{
	int r = pdata_io_file_close(io);

	if (r)
		tool_err("close: %s", strerror(-r));
}
