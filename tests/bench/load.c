// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long single operations take while others go on.
 *
 *	load SECONDS PROCESS...
 *
 * Every PROCESS is a process, all start together. It is one PART, or several
 * joined by '+', of which it does one operation in turn, waiting for each:
 *
 *	read:DEVICE:BEGIN:NR:STEP	4 KiB at one of NR places, STEP units apart
 *	write:DEVICE:BEGIN:NR:STEP	likewise
 *	fresh:DEVICE:BEGIN:NR:STEP	each place once, no two neighbours in a row
 *	seq:DEVICE:BEGIN:NR:STEP	each place once, in order
 *	fsync:DEVICE:BEGIN:NR:STEP	like fresh, and an fsync after each; the time
 *					of both
 *	flush:DEVICE:BEGIN:NR:STEP	likewise, but the time of the fsync alone
 *	flood:DEVICE:BEGIN:NR:STEP	like fresh, up to 64 under way; the only PART
 *	discard:DEVICE:BEGIN:NR		one BLKDISCARD of NR units; the only PART
 *	message:POOL:TEXT		one device-mapper message; the only PART
 *
 * It ends for all when SECONDS have passed and discards and messages have
 * returned; without one of those also when a process has done all that it had
 * to. A line for each PART, in their order:
 *
 *	OP COUNT SECONDS MEDIAN P99 LONGEST	times of one in microseconds
 *
 * (of flood only the first three mean something).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/aio_abi.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>

#define UNIT		4096
#define MAX_PARTS	32
#define MAX_TIMES	4194304u
#define DEPTH		64
#define BATCH		32

enum op { READ, WRITE, FRESH, SEQ, FSYNC, FLUSH, FLOOD, DISCARD, MESSAGE };
static const char *const op_name[] = {
	"read", "write", "fresh", "seq", "fsync", "flush", "flood", "discard", "message",
};

struct result {
	uint64_t count;
	double seconds, median, p99, longest;
};

struct part {
	enum op op;
	const char *device, *text;
	uint64_t begin, nr, step;
	uint64_t stride, next;	/* of a walk over all places */
	uint64_t done;
	uint64_t random;
	int fd;
	uint32_t *time;		/* in 100 ns, which is enough for seven minutes */
	struct result *result;	/* shared */
};

struct shared {
	int ready, go, stop, actions;	/* atomic; actions under way */
	bool has_action;
	struct result result[MAX_PARTS];
};

static struct shared *shared;

/* Nobody goes on alone. */
static _Noreturn void die(const char *what, const char *who)
{
	fprintf(stderr, "load: %s %s: %s\n", what, who, strerror(errno));
	if (shared && shared != MAP_FAILED)
		__atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);
	exit(1);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static bool stopped(void)
{
	return __atomic_load_n(&shared->stop, __ATOMIC_RELAXED);
}

/* ---- what to do ---- */

static char *field(char **rest, const char *of)
{
	char *f = strsep(rest, ":");

	if (!f || !*f) {
		errno = EINVAL;
		die("a field is missing in", of);
	}
	return f;
}

static uint64_t number(char **rest, const char *of)
{
	char *f = field(rest, of), *end;
	uint64_t v = strtoull(f, &end, 0);

	if (*end) {
		errno = EINVAL;
		die("not a number", f);
	}
	return v;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t t = a % b;

		a = b;
		b = t;
	}
	return a;
}

static void parse_part(char *spec, struct part *p)
{
	char *rest = spec, *name = field(&rest, spec);

	for (p->op = READ; p->op <= MESSAGE && strcmp(name, op_name[p->op]); p->op++)
		;
	p->device = field(&rest, name);
	if (p->op > MESSAGE) {
		errno = EINVAL;
		die("unknown operation", name);
	}
	if (p->op == MESSAGE) {
		p->text = field(&rest, name);
		return;
	}
	p->begin = number(&rest, name);
	p->nr = number(&rest, name);
	p->step = p->op == DISCARD ? 1 : number(&rest, name);
	if (!p->nr) {
		errno = EINVAL;
		die("nothing to do for", name);
	}
	/* The golden section keeps what comes after one another apart. */
	p->stride = p->nr * 0.6180339887 + 1;
	while (common_divisor(p->stride, p->nr) != 1)
		p->stride++;
	if (p->op == SEQ)
		p->stride = 1;
	p->random = p->nr ^ getpid();
}

static void open_part(struct part *p)
{
	p->fd = open(p->op == MESSAGE ? "/dev/mapper/control" : p->device,
		     p->op == MESSAGE ? O_RDWR : O_RDWR | O_DIRECT);
	if (p->fd < 0)
		die("cannot open", p->device);
	p->time = mmap(NULL, MAX_TIMES * sizeof(*p->time), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p->time == MAP_FAILED)
		die("no memory for", p->device);
}

/* ---- doing it ---- */

/* False when each place has had its turn. */
static bool next_place(struct part *p, uint64_t *offset)
{
	uint64_t k;

	if (p->op == READ || p->op == WRITE) {
		p->random = p->random * 6364136223846793005ull + 1442695040888963407ull;
		k = (p->random >> 24) % p->nr;
	} else {
		if (p->done == p->nr)
			return false;
		k = p->next;
		p->next = (p->next + p->stride) % p->nr;
	}
	*offset = (p->begin + k * p->step) * UNIT;
	return true;
}

static void do_discard(struct part *p)
{
	uint64_t range[2] = { p->begin * UNIT, p->nr * UNIT };

	if (ioctl(p->fd, BLKDISCARD, range))
		die("discard on", p->device);
}

static void do_message(struct part *p)
{
	static _Alignas(struct dm_ioctl) char buffer[4096];
	struct dm_ioctl *dmi = (struct dm_ioctl *)buffer;
	struct dm_target_msg *msg = (struct dm_target_msg *)(dmi + 1);

	dmi->version[0] = DM_VERSION_MAJOR;
	dmi->data_size = sizeof(buffer);
	dmi->data_start = sizeof(*dmi);
	snprintf(dmi->name, sizeof(dmi->name), "%s", p->device);
	snprintf(msg->message, sizeof(buffer) - sizeof(*dmi) - sizeof(*msg), "%s", p->text);
	if (ioctl(p->fd, DM_TARGET_MSG, dmi))
		die("message", p->text);
}

static bool one(struct part *p, char *buffer)
{
	uint64_t offset = 0, begin;
	ssize_t done = UNIT;

	if (p->op < DISCARD && !next_place(p, &offset))
		return false;
	begin = now();
	switch (p->op) {
	case READ:
		done = pread(p->fd, buffer, UNIT, offset);
		break;
	case DISCARD:
		do_discard(p);
		break;
	case MESSAGE:
		do_message(p);
		break;
	default:
		done = pwrite(p->fd, buffer, UNIT, offset);
		if (p->op == FLUSH)
			begin = now();
		if (done == UNIT && (p->op == FSYNC || p->op == FLUSH) && fsync(p->fd))
			die("fsync of", p->device);
	}
	begin = (now() - begin) / 100;
	if (done != UNIT)
		die("I/O on", p->device);
	if (p->done < MAX_TIMES)
		p->time[p->done] = begin < UINT32_MAX ? begin : UINT32_MAX;
	p->done++;
	return p->op < DISCARD;
}

static void flood(struct part *p, char *buffer)
{
	struct iocb iocb[DEPTH], *free[DEPTH], *list[BATCH];
	unsigned int nr_free = DEPTH, n, i;
	struct io_event event[DEPTH];
	aio_context_t context = 0;
	uint64_t offset;
	bool more = true;
	int r;

	if (syscall(SYS_io_setup, DEPTH, &context))
		die("io_setup for", p->device);
	for (i = 0; i < DEPTH; i++)
		free[i] = &iocb[i];
	while (more || nr_free < DEPTH) {
		more = more && !stopped();
		for (n = 0; more && n < BATCH && nr_free; n++) {
			if (!next_place(p, &offset)) {
				more = false;
				break;
			}
			p->done++;
			list[n] = free[--nr_free];
			*list[n] = (struct iocb){
				.aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = p->fd,
				.aio_buf = (uintptr_t)buffer, .aio_nbytes = UNIT,
				.aio_offset = offset,
			};
		}
		if (n && syscall(SYS_io_submit, context, (long)n, list) != n)
			die("io_submit on", p->device);
		if (nr_free == DEPTH)
			break;
		r = syscall(SYS_io_getevents, context, 1l, (long)DEPTH, event, NULL);
		if (r < 0)
			die("io_getevents for", p->device);
		for (i = 0; i < (unsigned int)r; i++) {
			if (event[i].res != UNIT) {
				errno = event[i].res < 0 ? -event[i].res : EIO;
				die("write on", p->device);
			}
			free[nr_free++] = (struct iocb *)(uintptr_t)event[i].obj;
		}
	}
	syscall(SYS_io_destroy, context);
}

static int by_time(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void set_result(struct part *p, uint64_t ns)
{
	uint64_t n = p->done < MAX_TIMES ? p->done : MAX_TIMES;
	struct result *r = p->result;

	r->count = p->done;
	r->seconds = ns / 1e9;
	if (!n)
		return;
	qsort(p->time, n, sizeof(*p->time), by_time);
	r->median = p->time[n / 2] / 10.;
	r->p99 = p->time[n - 1 - n / 100] / 10.;
	r->longest = p->time[n - 1] / 10.;
}

static void process(struct part *part, unsigned int nr)
{
	char *buffer = aligned_alloc(UNIT, UNIT);
	uint64_t begin;
	unsigned int i;

	if (!buffer)
		die("no memory for", part->device);
	memset(buffer, 0x5a, UNIT);
	for (i = 0; i < nr; i++)
		open_part(&part[i]);
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&shared->go, __ATOMIC_ACQUIRE))
		usleep(1000);
	begin = now();
	if (part->op == FLOOD)
		flood(part, buffer);
	else
		for (i = 0; !stopped() && one(&part[i], buffer); )
			i = (i + 1) % nr;
	begin = now() - begin;
	if (part->op >= DISCARD)
		__atomic_sub_fetch(&shared->actions, 1, __ATOMIC_RELAXED);
	else if (!shared->has_action)
		__atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < nr; i++)
		set_result(&part[i], begin);
	exit(0);
}

/* Returns how many processes failed. */
static unsigned int run_all(struct part *part, const unsigned int *size, unsigned int nr,
			    double seconds)
{
	unsigned int i, failed = 0;
	uint64_t end;
	int status;

	for (i = 0; i < nr; part += size[i++]) {
		pid_t pid = fork();

		if (pid < 0)
			die("cannot", "fork");
		if (!pid)
			process(part, size[i]);
	}
	end = now() + 10000000000ull;
	while (__atomic_load_n(&shared->ready, __ATOMIC_SEQ_CST) < (int)nr && now() < end)
		usleep(1000);
	__atomic_store_n(&shared->go, 1, __ATOMIC_RELEASE);
	end = now() + seconds * 1e9;
	while (!stopped() &&
	       (now() < end || __atomic_load_n(&shared->actions, __ATOMIC_RELAXED)))
		usleep(2000);
	__atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < nr; i++)
		if (wait(&status) < 0 || status)
			failed++;
	return failed;
}

int main(int argc, char **argv)
{
	static struct part part[MAX_PARTS];
	unsigned int size[MAX_PARTS], nr = 0, i;
	char *spec;

	if (argc < 3)
		return fprintf(stderr, "usage: load SECONDS PROCESS...\n"), 2;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("no", "memory");
	for (i = 2; i < (unsigned int)argc; i++) {
		size[i - 2] = 0;
		while ((spec = strsep(&argv[i], "+"))) {
			if (nr == MAX_PARTS) {
				errno = E2BIG;
				die("too many parts:", spec);
			}
			parse_part(spec, &part[nr]);
			part[nr].random += nr * 0x9e3779b97f4a7c15ull;
			part[nr].result = &shared->result[nr];
			shared->actions += part[nr].op >= DISCARD;
			if (part[nr++].op >= FLOOD && (size[i - 2] || argv[i])) {
				errno = EINVAL;
				die("must be alone:", spec);
			}
			size[i - 2]++;
		}
	}
	shared->has_action = shared->actions;
	if (run_all(part, size, argc - 2, atof(argv[1])))
		return 1;
	for (i = 0; i < nr; i++) {
		struct result *r = &shared->result[i];

		printf("%s %llu %.6f %.1f %.1f %.1f\n", op_name[part[i].op],
		       (unsigned long long)r->count, r->seconds, r->median, r->p99, r->longest);
	}
	return fflush(stdout) ? 1 : 0;
}
