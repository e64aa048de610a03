// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each allocation of an operation on a pool fails once.
 *
 *	allocfail META DATA [OPERATION]
 *
 * Messages, table loads and suspend, or only one of these, on a new pool "t2-pool" with a thin.
 * /proc/thread-self/fail-nth counts the allocations that failslab and
 * fail_page_alloc let through (77-alloc-faults.sh: those in what the module calls).
 * An operation that fails has changed nothing: it is done again. If the pool has
 * given up, which it may, thin2_check must find nothing wrong, and it is opened
 * anew. All in one process, as starting one is what takes long on a debug kernel.
 *
 * Prints a line for each operation. Exit status 0, or 1 and a reason.
 */
#include "logreplay/logreplay.h"

#include <errno.h>
#include <fcntl.h>
#include <libdevmapper.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POOL	"t2-pool"
#define THIN	"t2-thin0"
#define OTHER	"t2-thin20"
#define MOST	300u		/* allocations of one operation */
#define KEPT	(1u << 20)	/* bytes at the thin's beginning that stay as they are */
#define SMALL	4096u

static struct dm_line pool_line;
static const char *meta;
static int fail_nth;
static uint8_t *kept, *buf;
static unsigned int gave_up, writes;

void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("allocfail: ");
	vprintf(fmt, ap);
	putchar('\n');
	va_end(ap);
	exit(1);
}

int open_direct(const char *name)
{
	int fd = open(name, O_RDWR | O_DIRECT);

	if (fd < 0)
		fail("%s: %s", name, strerror(errno));
	return fd;
}

static void must(int r, const char *what)
{
	if (r)
		fail("%s: %s", what, strerror(r));
}

/* ---- the fault ---- */

static void arm(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	if (pwrite(fail_nth, text, len, 0) != len)
		fail("fail-nth: %s", strerror(errno));
}

/* Whether it has not come to that. */
static bool disarm(void)
{
	char text[16] = "";

	if (pread(fail_nth, text, sizeof(text) - 1, 0) <= 0)
		fail("fail-nth: %s", strerror(errno));
	arm(0);
	return atol(text);
}

/* ---- the pool ---- */

static void data_check(void)
{
	int fd = dm_open(THIN);

	if (pread(fd, buf, KEPT, 0) != (ssize_t)KEPT)
		fail("read: %s", strerror(errno));
	close(fd);
	if (memcmp(buf, kept, KEPT))
		fail("the thin's data have changed");
}

static void write_some(void)
{
	int fd = dm_open(THIN);

	memset(buf, ++writes, SMALL);
	/* the second half of it, in pieces that do not touch */
	if (pwrite(fd, buf, SMALL, KEPT + writes % 128 * 2 * SMALL) != (ssize_t)SMALL)
		fail("write: %s", strerror(errno));
	close(fd);
}

static void thin_up(void)
{
	const struct dm_line line = thin_line(POOL, 0);

	must(dm_create(THIN, &line, 1), "opening the thin");
}

static bool pool_is_well(void)
{
	char text[256];

	dm_status(POOL, text, sizeof(text));
	return strstr(text, " rw ");
}

static void pool_down(void)
{
	must(dm_remove(THIN), "closing the thin");
	must(dm_remove(POOL), "closing the pool");
}

static void revive(void)
{
	char command[512];

	if (pool_is_well())
		return;
	gave_up++;
	pool_down();
	snprintf(command, sizeof(command), "thin2_check -q --clear-needs-check-flag %s", meta);
	if (system(command))
		fail("thin2_check finds something wrong");
	must(dm_create(POOL, &pool_line, 1), "opening the pool");
	thin_up();
	data_check();
}

/* ---- operations ---- */

struct operation {
	const char *what;
	bool dirty;			/* there are changes to be merged */
	bool held;			/* what was prepared goes when the pool is opened */
	const char *prepare, *text, *back;	/* messages */
	int (*run)(void);		/* instead of text */
	void (*before)(void), (*after)(void);
};

static int simple(int type, const char *name)
{
	struct dm_task *t = dm_task_create(type);
	int r;

	if (!t || !dm_task_set_name(t, name))
		fail("no memory for a device-mapper task");
	r = dm_task_run(t) ? 0 : dm_task_get_errno(t);
	dm_task_destroy(t);
	return r;
}

static int load(void)
{
	struct dm_task *t = dm_task_create(DM_DEVICE_RELOAD);
	int r;

	if (!t || !dm_task_set_name(t, POOL) ||
	    !dm_task_add_target(t, 0, pool_line.sectors, pool_line.target, pool_line.params))
		fail("no memory for a device-mapper task");
	r = dm_task_run(t) ? 0 : dm_task_get_errno(t);
	dm_task_destroy(t);
	return r;
}

static void unload(void)
{
	must(simple(DM_DEVICE_CLEAR, POOL), "clearing the loaded table");
}

static int do_suspend(void)
{
	return simple(DM_DEVICE_SUSPEND, POOL);
}

/* Allocates nothing; growing does, see 77-alloc-faults.sh. */
static void resume(void)
{
	must(simple(DM_DEVICE_RESUME, POOL), "resume");
}

static int open_other(void)
{
	const struct dm_line line = thin_line(POOL, 20);

	return dm_create(OTHER, &line, 1);
}

static void close_other(void)
{
	must(dm_remove(OTHER), "closing the other thin");
}

static int open_pool(void)
{
	return dm_create(POOL, &pool_line, 1);
}

static const struct operation ops[] = {
	{ .what = "create_thin", .text = "create_thin 20", .back = "delete 20" },
	{ .what = "create_snap", .dirty = true, .text = "create_snap 20 0", .back = "delete 20" },
	{ .what = "delete", .dirty = true, .prepare = "create_snap 20 0", .text = "delete 20" },
	{ .what = "checkpoint", .dirty = true, .text = "checkpoint" },
	/* from here on there is a thin 20 */
	{ .what = "get_root", .dirty = true, .text = "get_root 20", .back = "put_root 20" },
	{ .what = "put_root", .dirty = true, .held = true, .prepare = "get_root 20",
	  .text = "put_root 20" },
	{ .what = "reserve_metadata_snap", .dirty = true, .text = "reserve_metadata_snap",
	  .back = "release_metadata_snap" },
	{ .what = "release_metadata_snap", .dirty = true, .held = true,
	  .prepare = "reserve_metadata_snap", .text = "release_metadata_snap" },
	{ .what = "opening a thin", .run = open_other, .after = close_other },
	{ .what = "loading a table", .run = load, .after = unload },
	{ .what = "suspend", .dirty = true, .run = do_suspend, .after = resume },
	{ .what = "opening the pool", .before = pool_down, .run = open_pool, .after = thin_up },
};

static int once(const struct operation *op)
{
	return op->run ? op->run() : dm_message(POOL, op->text);
}

static void prepare(const struct operation *op)
{
	if (op->dirty)
		write_some();
	if (op->prepare)
		must(dm_message(POOL, op->prepare), op->prepare);
	if (op->before)
		op->before();
}

/* There may be no pool yet. */
static int again(const struct operation *op)
{
	const unsigned int before = gave_up;

	if (op->run == open_pool)
		return once(op);
	revive();
	if (op->held && gave_up != before)
		must(dm_message(POOL, op->prepare), op->prepare);
	return once(op);
}

static void undo(const struct operation *op)
{
	if (op->after)
		op->after();
	revive();
	if (op->back)
		must(dm_message(POOL, op->back), op->back);
}

static void each(const struct operation *op)
{
	unsigned int n, failed = 0, before = gave_up;
	bool none = false;
	int r;

	for (n = 1; !none; n++) {
		if (n > MOST)
			fail("%s: more than %u allocations", op->what, MOST);
		prepare(op);
		arm(n);
		r = once(op);
		none = disarm();
		if (none && r)
			fail("%s: %s, and no allocation has failed", op->what, strerror(r));
		if (r && again(op))
			fail("%s: allocation %u fails: it cannot be done again", op->what, n);
		failed += r != 0;
		undo(op);
	}
	data_check();
	n -= 2;
	printf("allocfail: %s: %u allocations, %u of them make it fail, %u pools gave up\n",
	       op->what, n, failed, gave_up - before);
	if (!n)
		fail("%s: no allocation can fail", op->what);
}

int main(int argc, char **argv)
{
	unsigned int i;
	int fd;

	if (argc != 3 && argc != 4)
		fail("usage: allocfail META DATA [OPERATION]");
	setvbuf(stdout, NULL, _IOLBF, 0);
	meta = argv[1];
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR);
	if (fail_nth < 0)
		fail("/proc/thread-self/fail-nth: %s", strerror(errno));
	if (posix_memalign((void **)&kept, 4096, KEPT) || posix_memalign((void **)&buf, 4096, KEPT))
		fail("no memory");
	for (i = 0; i < KEPT; i++)
		kept[i] = i * 2654435761u >> 24;

	fd = open_direct(argv[2]);
	pool_line.target = "thin-pool2";
	pool_line.sectors = lseek(fd, 0, SEEK_END) / 512;
	close(fd);
	snprintf(pool_line.params, sizeof(pool_line.params), "%s %s 128 0", meta, argv[2]);
	must(dm_create(POOL, &pool_line, 1), "opening the pool");
	must(dm_message(POOL, "create_thin 0"), "create_thin");
	thin_up();
	fd = dm_open(THIN);
	if (pwrite(fd, kept, KEPT, 0) != (ssize_t)KEPT || fsync(fd))
		fail("write: %s", strerror(errno));
	close(fd);
	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (!strcmp(ops[i].what, "get_root"))
			must(dm_message(POOL, "create_snap 20 0"), "create_snap");
		if (argc == 3 || !strcmp(ops[i].what, argv[3]))
			each(&ops[i]);
	}
	pool_down();
	printf("allocfail: %u pools gave up\n", gave_up);
	return 0;
}
