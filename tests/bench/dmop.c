// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations on device-mapper devices, timed inside one process: starting a
 * program costs far more than what is measured.
 *
 *	dmop message NAME MESSAGE...	microseconds of each, a line for each
 *	dmop status NAME...		microseconds of all together, of a status
 *					that commits first
 *	dmop discard DEVICE OFFSET LENGTH	microseconds of one BLKDISCARD
 *	dmop load NAME LENGTH TYPE PARAMETERS	microseconds of loading a table of one
 *					target (which makes it, for a pool
 *					including replay)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/dm-ioctl.h>
#include <linux/fs.h>

#define BUFFER	16384

static _Noreturn void die(const char *what, const char *who)
{
	fprintf(stderr, "dmop: %s %s: %s\n", what, who, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int open_or_die(const char *path)
{
	int fd = open(path, O_RDWR);

	if (fd < 0)
		die("cannot open", path);
	return fd;
}

static struct dm_ioctl *prepare(const char *name)
{
	static _Alignas(struct dm_ioctl) char buffer[BUFFER];
	struct dm_ioctl *dmi = (struct dm_ioctl *)buffer;

	memset(buffer, 0, sizeof(buffer));
	dmi->version[0] = DM_VERSION_MAJOR;
	dmi->data_size = sizeof(buffer);
	dmi->data_start = sizeof(*dmi);
	if (strlen(name) >= sizeof(dmi->name)) {
		errno = ENAMETOOLONG;
		die("device", name);
	}
	strcpy(dmi->name, name);
	return dmi;
}

static double send_message(int control, const char *name, const char *text)
{
	struct dm_ioctl *dmi = prepare(name);
	struct dm_target_msg *msg = (struct dm_target_msg *)((char *)dmi + dmi->data_start);
	double begin;

	if (strlen(text) >= BUFFER - sizeof(*dmi) - sizeof(*msg)) {
		errno = E2BIG;
		die("message", text);
	}
	strcpy(msg->message, text);
	begin = now();
	if (ioctl(control, DM_TARGET_MSG, dmi))
		die("message", text);
	return now() - begin;
}

static void message(int argc, char **argv)
{
	int control = open_or_die("/dev/mapper/control"), i;

	for (i = 1; i < argc; i++)
		printf("%.1f\n", send_message(control, argv[0], argv[i]));
	close(control);
}

static void status(int argc, char **argv)
{
	int control = open_or_die("/dev/mapper/control"), i;
	double begin = now();

	for (i = 0; i < argc; i++)
		if (ioctl(control, DM_TABLE_STATUS, prepare(argv[i])))
			die("status of", argv[i]);
	printf("%.1f\n", now() - begin);
	close(control);
}

static void load_table(char **argv)
{
	int control = open_or_die("/dev/mapper/control");
	struct dm_ioctl *dmi = prepare(argv[0]);
	struct dm_target_spec *spec = (struct dm_target_spec *)((char *)dmi + dmi->data_start);
	double begin;

	dmi->target_count = 1;
	spec->length = strtoull(argv[1], NULL, 0);
	snprintf(spec->target_type, sizeof(spec->target_type), "%s", argv[2]);
	snprintf((char *)(spec + 1), BUFFER - sizeof(*dmi) - sizeof(*spec), "%s", argv[3]);
	begin = now();
	if (ioctl(control, DM_TABLE_LOAD, dmi))
		die("table of", argv[0]);
	printf("%.1f\n", now() - begin);
	close(control);
}

static void discard(char **argv)
{
	uint64_t range[2] = { strtoull(argv[1], NULL, 0), strtoull(argv[2], NULL, 0) };
	int fd = open_or_die(argv[0]);
	double begin = now();

	if (ioctl(fd, BLKDISCARD, range))
		die("discard on", argv[0]);
	printf("%.1f\n", now() - begin);
	close(fd);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "message") && argc > 3)
		message(argc - 2, argv + 2);
	else if (!strcmp(what, "status"))
		status(argc - 2, argv + 2);
	else if (!strcmp(what, "discard") && argc == 5)
		discard(argv + 2);
	else if (!strcmp(what, "load") && argc == 6)
		load_table(argv + 2);
	else
		return fprintf(stderr, "usage: dmop message NAME MESSAGE... | status NAME... | discard DEVICE OFFSET LENGTH | load NAME LENGTH TYPE PARAMETERS\n"), 2;
	return fflush(stdout) ? 1 : 0;
}
