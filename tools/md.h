/* SPDX-License-Identifier: GPL-2.0-only */
/* The core on metadata alone: no data device is behind it, and nobody waits. */
#ifndef THIN2_TOOLS_MD_H
#define THIN2_TOOLS_MD_H

#include "dm-thin2-metadata.h"

struct tool_md {
	struct thin2_md *md;	/* NULL until it is open */
};

/* Their context is a struct tool_md. */
extern const struct thin2_md_ops tool_md_ops;

#endif
