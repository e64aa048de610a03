// SPDX-License-Identifier: GPL-2.0-only
#include "logreplay.h"

#include <errno.h>
#include <libdevmapper.h>
#include <stdio.h>
#include <string.h>

/* A thin that is not there is tried as well: what fails says so itself. */
__attribute__((format(printf, 5, 6)))
static void quiet(int level, const char *file, int line, int nr, const char *fmt, ...)
{
	(void)level;
	(void)file;
	(void)line;
	(void)nr;
	(void)fmt;
}

static struct dm_task *task(int type, const char *name)
{
	struct dm_task *t;

	dm_log_with_errno_init(quiet);
	t = dm_task_create(type);
	if (!t || !dm_task_set_name(t, name))
		fail("%s: no memory for a device-mapper task", name);
	return t;
}

/* Returns 0 or an errno. */
static int run(struct dm_task *t)
{
	int r = 0;

	if (!dm_task_run(t)) {
		r = dm_task_get_errno(t);
		r = r ? r : EIO;
	}
	dm_task_destroy(t);
	return r;
}

int dm_create(const char *name, const char *target, uint64_t sectors, const char *params)
{
	struct dm_task *t = task(DM_DEVICE_CREATE, name);

	if (!dm_task_add_target(t, 0, sectors, target, params))
		fail("%s: no memory for a table", name);
	return run(t);
}

int dm_remove(const char *name)
{
	struct dm_task *t = task(DM_DEVICE_REMOVE, name);

	dm_task_retry_remove(t);
	return run(t);
}

int dm_message(const char *name, const char *text)
{
	struct dm_task *t = task(DM_DEVICE_TARGET_MSG, name);

	if (!dm_task_set_sector(t, 0) || !dm_task_set_message(t, text))
		fail("%s: no memory for a message", name);
	return run(t);
}

void dm_status(const char *name, char *text, size_t size)
{
	struct dm_task *t = task(DM_DEVICE_STATUS, name);
	char *type = NULL, *params = NULL;
	uint64_t start, length;

	if (!dm_task_run(t))
		fail("%s: no status", name);
	dm_get_next_target(t, NULL, &start, &length, &type, &params);
	snprintf(text, size, "%s", params ? params : "");
	dm_task_destroy(t);
}

static void thin_name(uint32_t id, char *name, size_t size)
{
	snprintf(name, size, "t2-thin%u", id);
}

int thin_open(uint32_t id)
{
	char name[32], params[64];

	thin_name(id, name, sizeof(name));
	snprintf(params, sizeof(params), "/dev/mapper/" POOL_NAME " %u", id);
	return dm_create(name, "thin2", THIN_SECTORS, params);
}

void thin_close(uint32_t id)
{
	char name[32];
	int r;

	thin_name(id, name, sizeof(name));
	r = dm_remove(name);
	if (r)
		fail("%s: remove: %s", name, strerror(r));
}

int thin_fd(uint32_t id)
{
	char name[32], path[64];

	thin_name(id, name, sizeof(name));
	snprintf(path, sizeof(path), "/dev/mapper/%s", name);
	return open_direct(path);
}
