/* SPDX-License-Identifier: GPL-2.0-only */
/* XML as thin_dump, thin_restore and thin_repair of v1 write and read it. */
#ifndef THIN2_TOOLS_XML_H
#define THIN2_TOOLS_XML_H

#include "pool.h"

/* The format's version, which v1's tools call the metadata's. */
#define XML_VERSION	2

/* Text for the inside of an attribute's quotes. */
void xml_escape(FILE *f, const char *text);

#endif
