/* SPDX-License-Identifier: GPL-2.0-only */
/* Reading the XML of thin_dump and thin2_dump as a stream. */
#ifndef THIN2_TOOLS_XML_READ_H
#define THIN2_TOOLS_XML_READ_H

#include "pool.h"

struct xml_reader;

/*
 * What is met, in order, in blocks of the XML. Each returns 0, or xml_fail().
 * Elements are where they belong and attributes are complete and in range;
 * what they mean together is for the callbacks to check.
 */
struct xml_reader_ops {
	int (*super_begin)(struct xml_reader *x, const struct pool_super *sb);
	int (*super_end)(struct xml_reader *x);
	int (*def_begin)(struct xml_reader *x, const char *name);
	int (*def_end)(struct xml_reader *x);
	int (*device_begin)(struct xml_reader *x, const struct pool_device *d);
	int (*device_end)(struct xml_reader *x);
	int (*map)(struct xml_reader *x, const struct pool_map *m);
	int (*ref)(struct xml_reader *x, const char *name);
};

struct xml_reader {
	const struct xml_reader_ops *ops;
	const char *path;
	const char *task;	/* for progress */
	void *context;		/* the callbacks' */
	void *parser;
	unsigned int where;	/* enum of xml_read.c */
	bool seen_super;
	bool failed;
};

/* Report what is wrong where the parser is now, and stop it. Returns -1. */
int __printf(2, 3) xml_fail(struct xml_reader *x, const char *fmt, ...);

/**
 * xml_read - parse a file
 * @x: ops, path, task and context are set, the rest is zero
 *
 * Return: 0, or -1 with the reason, line and column on stderr.
 */
int __must_check xml_read(struct xml_reader *x);

#endif
