// SPDX-License-Identifier: GPL-2.0-only
#include "logreplay.h"

#include <errno.h>
#include <fcntl.h>
#include <libdevmapper.h>
#include <linux/dm-ioctl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

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
	dm_task_update_nodes();
	return r;
}

/* In steps: all in one tells no reason when the table is refused. */
int dm_create(const char *name, const struct dm_line *line, unsigned int nr)
{
	struct dm_task *t;
	uint64_t start = 0;
	unsigned int i;
	int r = run(task(DM_DEVICE_CREATE, name));

	if (r)
		return r;
	t = task(DM_DEVICE_RELOAD, name);
	for (i = 0; i < nr; start += line[i++].sectors)
		if (!dm_task_add_target(t, start, line[i].sectors, line[i].target,
					line[i].params))
			fail("%s: no memory for a table", name);
	r = run(t);
	if (!r)
		r = run(task(DM_DEVICE_RESUME, name));
	if (r)
		dm_remove(name);
	return r;
}

int dm_remove(const char *name)
{
	struct dm_task *t = task(DM_DEVICE_REMOVE, name);

	dm_task_retry_remove(t);
	return run(t);
}

/* The library is not made for threads, and these come from several. */
int dm_message(const char *name, const char *text)
{
	static atomic_int control = -1;
	union {
		struct dm_ioctl dmi;
		char buffer[sizeof(struct dm_ioctl) + sizeof(struct dm_target_msg) + 256];
	} u = { .dmi = { .version = { DM_VERSION_MAJOR } } };
	struct dm_target_msg *msg = (struct dm_target_msg *)(u.buffer + sizeof(u.dmi));

	if (control < 0)
		control = open("/dev/mapper/control", O_RDWR);
	u.dmi.data_size = sizeof(u);
	u.dmi.data_start = sizeof(u.dmi);
	snprintf(u.dmi.name, sizeof(u.dmi.name), "%s", name);
	snprintf(msg->message, 256, "%s", text);
	return ioctl(control, DM_TARGET_MSG, &u) ? errno : 0;
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

void dm_close(const char *name)
{
	int r = dm_remove(name);

	if (r)
		fail("%s: remove: %s", name, strerror(r));
}

int dm_open(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/dev/mapper/%s", name);
	return open_direct(path);
}

struct dm_line thin_line(const char *pool, uint32_t id)
{
	struct dm_line line = { .target = "thin2", .sectors = THIN_SECTORS };

	snprintf(line.params, sizeof(line.params), "/dev/mapper/%s %u", pool, id);
	return line;
}
