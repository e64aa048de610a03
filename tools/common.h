/* SPDX-License-Identifier: GPL-2.0-only */
/* What all tools share: messages, options, opening a metadata device, progress, JSON. */
#ifndef THIN2_TOOLS_COMMON_H
#define THIN2_TOOLS_COMMON_H

#include <getopt.h>
#include <stdio.h>

#include "pdata-superblock.h"

#define TOOL_VERSION	"2.0.0"

/*
 * LVM takes exit status 2 of a check for "skipped, activate anyway": no tool
 * ever exits with anything but these.
 */
#define TOOL_OK		0
#define TOOL_FAIL	1

extern const char *tool_name;

/* Set the name for messages and make the core silent, whose log repeats ours. */
void tool_init(const char *name);

/* One line on stderr, "NAME: ...". */
void __printf(1, 2) tool_err(const char *fmt, ...);

/*
 * getopt_long() with messages of our own. Returns as it does; '?' has been
 * reported.
 */
int tool_getopt(int argc, char **argv, const char *shorts, const struct option *longs);

/*
 * What all tools do alike: -h, -V, and whatever is not an option. Returns false,
 * and the status to end with.
 */
bool tool_help_option(int opt, const char *usage, int *status);

/* The only argument behind the options; NULL, reported, if there is not one. */
const char *tool_one_device(int argc, char **argv, const char *usage);

/* The status for main(): was it a success, and did all of the output get out? */
int tool_end_output(int r);

/* Decimal, all of it, up to @max. */
bool tool_parse_u64(const char *text, u64 max, u64 *value);
/* The same for an option's value, and what is wrong is reported. */
bool tool_parse_arg(const char *option, const char *text, u64 max, u64 *value);

/* Bytes as v1's tools write them for people: up to 8192 of the largest unit. */
void tool_size_text(u64 bytes, char *text, size_t size);

/* Memory, zeroed, or an end with status 1. Give back with free() and pdata_block_free(). */
void *tool_alloc(size_t size);
void *tool_realloc(void *p, size_t size);
char *tool_strdup(const char *text);
void *tool_block(void);

/* ---- metadata device ---- */

enum tool_open_mode {
	TOOL_READ,		/* nobody else may have it */
	TOOL_WRITE,		/* the same, to write */
	TOOL_LIVE,		/* to read while a pool uses it */
};

/**
 * tool_open - open a metadata device or image
 * @path: of a block device or a regular file
 * @mode: with TOOL_READ and TOOL_WRITE a device that is in use is refused
 *
 * Return: the device, or NULL with the reason on stderr.
 */
struct pdata_io *tool_open(const char *path, enum tool_open_mode mode);
void tool_close(struct pdata_io *io);

/* Text of a negated errno or internal code. */
const char *tool_error(int r);
/* What a failed pdata_super_read() means to a user. */
const char *tool_super_error(int r);

/* ---- progress ---- */

/* For the user of a terminal: says so if a run takes over two seconds. */
void tool_progress_begin(bool enabled);
/* @done of @total, in whatever unit; @total 0 = unknown. Cheap. */
void tool_progress(const char *what, u64 done, u64 total);
/* The same for rare calls. */
void tool_progress_now(const char *what, u64 done, u64 total);
void tool_progress_end(void);

/* ---- JSON ---- */

struct json {
	FILE *f;
	unsigned int depth;
	bool first;		/* nothing has been written at this depth */
};

void json_begin(struct json *j, FILE *f);	/* opens the outermost object */
void json_end(struct json *j);
/* @key is NULL in arrays. */
void json_object(struct json *j, const char *key);
void json_object_end(struct json *j);
void json_array(struct json *j, const char *key);
void json_array_end(struct json *j);
void json_u64(struct json *j, const char *key, u64 value);
void json_bool(struct json *j, const char *key, bool value);
/* @text is a number as JSON has them. */
void json_number(struct json *j, const char *key, const char *text);
void json_string(struct json *j, const char *key, const char *value);
/* An array's element in one line, in JSON already. */
void __printf(2, 3) json_line(struct json *j, const char *fmt, ...);

/* ---- uuid ---- */

#define TOOL_UUID_LEN	37
void tool_uuid_text(const u8 *uuid, char *text);

#endif
