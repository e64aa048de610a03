/* SPDX-License-Identifier: GPL-2.0-only */
/* Inside thin2_trim. Functions return 0 or an error that was reported. */
#ifndef THIN2_TOOLS_TRIM_H
#define THIN2_TOOLS_TRIM_H

#include "extents.h"
#include "source.h"

/*
 * Units that the data space map does not count: begins and ends, in order. It is an
 * error if a thin maps one of them, or if anything cannot be read.
 */
int trim_find_free(struct source *s, struct u64s *free);

struct trim_device {
	const char *path;
	int fd;
	bool is_file;		/* then holes are punched */
	u64 nr_units;
};

int trim_open(const char *path, struct trim_device *dev);
int trim_discard(const struct trim_device *dev, u64 begin, u64 end);
void trim_close(struct trim_device *dev);

#endif
