// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs a command in which one allocation of the kernel's fails.
 *
 *	failnth N COMMAND [ARGUMENT]...
 *
 * The N-th of those that /sys/kernel/debug/failslab and fail_page_alloc let
 * through (by their stack, for example) in the process itself; not in threads of
 * the kernel that work for it. Exit status: 0 if the command ended with 0, 1 if
 * not, and 10 more if there was no N-th one; 2 for a wrong command line, or if the
 * kernel cannot do it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noreturn))
static void die(const char *what)
{
	fprintf(stderr, "failnth: %s: %s\n", what, strerror(errno));
	exit(2);
}

__attribute__((noreturn))
static void run(const char *n, char **argv)
{
	int fd = open("/proc/self/fail-nth", O_WRONLY);

	if (fd < 0 || write(fd, n, strlen(n)) < 0)
		die("/proc/self/fail-nth");
	close(fd);
	execvp(argv[0], argv);
	die(argv[0]);
}

/* What is left to count. The process has ended, and is still there. */
static long left_of(pid_t pid)
{
	char name[64], text[32] = "";
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/fail-nth", (int)pid);
	fd = open(name, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		die(name);
	close(fd);
	return atol(text);
}

int main(int argc, char **argv)
{
	siginfo_t info;
	int status;
	pid_t pid;
	long left;

	if (argc < 3 || atol(argv[1]) <= 0) {
		fprintf(stderr, "usage: failnth N COMMAND [ARGUMENT]...\n");
		return 2;
	}
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid)
		run(argv[1], argv + 2);
	if (waitid(P_PID, pid, &info, WEXITED | WNOWAIT))
		die("waitid");
	left = left_of(pid);
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	return (status ? 1 : 0) + (left ? 10 : 0);
}
