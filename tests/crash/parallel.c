// SPDX-License-Identifier: GPL-2.0-only
/* Work that is shared by processes, of which any may die. */
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "parallel.h"

#define MAX_JOBS	64
#define PROGRESS_SECS	10
#define TRY_SECS	60

unsigned int par_jobs(void)
{
	const char *env = getenv("JOBS");
	long n = env ? strtol(env, NULL, 0) : sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > MAX_JOBS ? MAX_JOBS : n;
}

void *par_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return p;
}

static void no_core(void)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
}

static pid_t start(void)
{
	pid_t pid;

	/* Pools come and go: their memory need not, each time, to the kernel. */
	mallopt(M_MMAP_THRESHOLD, 1 << 28);
	mallopt(M_TRIM_THRESHOLD, 1 << 28);
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(1);
	}
	return pid;
}

static void end_all(const pid_t *pid, unsigned int jobs)
{
	unsigned int i;

	for (i = 0; i < jobs; i++)
		if (pid[i])
			kill(pid[i], SIGKILL);
	for (i = 0; i < jobs; i++)
		if (pid[i])
			waitpid(pid[i], NULL, 0);
}

/* Until all have ended, or the first has died: that one, or -1. */
static int wait_all(pid_t *pid, unsigned int jobs, const struct par_worker *all,
		    void (*progress)(const struct par_worker *all, unsigned int jobs))
{
	const struct timespec tick = { 0, 20 * 1000 * 1000 };
	time_t last = time(NULL);
	unsigned int left = jobs, i;
	int status;

	while (left) {
		for (i = 0; i < jobs; i++) {
			if (!pid[i] || waitpid(pid[i], &status, WNOHANG) != pid[i])
				continue;
			pid[i] = 0;
			left--;
			if (status)
				return i;
		}
		if (progress && time(NULL) - last >= PROGRESS_SECS) {
			progress(all, jobs);
			last = time(NULL);
		}
		nanosleep(&tick, NULL);
	}
	return -1;
}

const struct par_worker *par_run(unsigned int jobs,
				 void (*work)(struct par_worker *me, unsigned int i,
					      unsigned int jobs),
				 void (*progress)(const struct par_worker *all, unsigned int jobs),
				 int *died)
{
	struct par_worker *all = par_memory(jobs * sizeof(*all));
	pid_t pid[MAX_JOBS] = { 0 };
	unsigned int i;

	for (i = 0; i < jobs; i++) {
		pid[i] = start();
		if (!pid[i]) {
			no_core();
			ps_failure = &all[i].failure;
			work(&all[i], i, jobs);
			exit(0);
		}
	}
	*died = wait_all(pid, jobs, all, progress);
	if (*died >= 0)
		end_all(pid, jobs);
	return all;
}

u64 par_sum(const struct par_worker *all, unsigned int jobs, unsigned int counter)
{
	unsigned int i;
	u64 sum = 0;

	for (i = 0; i < jobs; i++)
		sum += READ_ONCE(all[i].count[counter]);
	return sum;
}

int par_try(void (*fn)(void *context), void *context, struct ps_failure *failure)
{
	struct ps_failure *shared = par_memory(sizeof(*shared));
	int status, null;
	pid_t pid;

	pid = start();
	if (!pid) {
		no_core();
		alarm(TRY_SECS);
		null = open("/dev/null", O_WRONLY);
		if (null >= 0) {
			dup2(null, STDOUT_FILENO);
			dup2(null, STDERR_FILENO);
		}
		ps_failure = shared;
		fn(context);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid) {
		perror("waitpid");
		exit(1);
	}
	*failure = *shared;
	munmap(shared, sizeof(*shared));
	return status;
}
