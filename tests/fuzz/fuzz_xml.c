// SPDX-License-Identifier: GPL-2.0-only
/*
 * The XML of thin_dump: what a reader is told is complete and in range, whatever the
 * input is; and what thin2_restore makes of it is a pool in which thin2_check finds
 * nothing, or nothing.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "image.h"
#include "../../tools/common.h"
#include "../../tools/xml_read.h"

#define BLOCKS	4096	/* of the restored metadata */

int thin2_restore_main(int argc, char **argv);

struct told {
	unsigned int super, device, def;	/* open ones */
	u64 nr;
};

#define must(cond) do { if (!(cond)) abort(); } while (0)

static struct told *told(struct xml_reader *x)
{
	return x->context;
}

static int super_begin(struct xml_reader *x, const struct pool_super *sb)
{
	must(!told(x)->super++);
	return 0;
}

static int super_end(struct xml_reader *x)
{
	must(told(x)->super == 1 && !told(x)->device && !told(x)->def);
	return 0;
}

static int def_begin(struct xml_reader *x, const char *name)
{
	must(told(x)->super && name && !told(x)->device && !told(x)->def++);
	return 0;
}

static int def_end(struct xml_reader *x)
{
	must(told(x)->def--);
	return 0;
}

static int device_begin(struct xml_reader *x, const struct pool_device *d)
{
	must(told(x)->super && !told(x)->def && !told(x)->device++);
	return 0;
}

static int device_end(struct xml_reader *x)
{
	must(told(x)->device--);
	return 0;
}

static int map(struct xml_reader *x, const struct pool_map *m)
{
	must(told(x)->device + told(x)->def == 1);
	told(x)->nr++;
	return 0;
}

static int ref(struct xml_reader *x, const char *name)
{
	must(name && told(x)->device + told(x)->def == 1);
	return 0;
}

static const struct xml_reader_ops ops = {
	.super_begin = super_begin, .super_end = super_end,
	.def_begin = def_begin, .def_end = def_end,
	.device_begin = device_begin, .device_end = device_end,
	.map = map, .ref = ref,
};

static void read_it(const char *path)
{
	struct told t = { 0 };
	struct xml_reader x = { .ops = &ops, .path = path, .context = &t };

	if (!xml_read(&x))
		must(t.super == 1 && !t.device && !t.def);
}

static void restore_it(const char *path)
{
	const char *args[] = { "-q", "-i", path, "-o", NULL };
	static const char * const check[] = { "-q", NULL };
	struct image img;
	int status;

	image_init(&img, BLOCKS);
	image_tool(&img, thin2_restore_main, args, true, &status);
	if (!status) {
		image_tool(&img, thin2_check_main, check, true, &status);
		must(!status);
	}
	image_exit(&img);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	FILE *err = stderr, *null = fopen("/dev/null", "w");
	int fd = memfd_create("xml", 0);
	char path[32];

	must(null && fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	pdata_shim_quiet = true;
	tool_init("xml");
	stderr = null;
	read_it(path);
	stderr = err;
	restore_it(path);
	fclose(null);
	close(fd);
	return 0;
}
