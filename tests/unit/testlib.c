// SPDX-License-Identifier: GPL-2.0-only
/* What tests share. */
#include "testlib.h"

#include "pdata-fault.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

u64 test_seed(void)
{
	static bool known;
	static u64 seed;
	const char *env;

	if (known)
		return seed;
	env = getenv("SEED");
	seed = env ? strtoull(env, NULL, 0) : ktime_get_real_ns();
	known = true;
	fprintf(stderr, "SEED=0x%llx\n", seed);
	pdata_shim_seed(seed);
	return seed;
}

static void __attribute__((constructor)) choose_tests(void)
{
	if (getenv("TEST"))
		cmocka_set_test_filter(getenv("TEST"));
}

u64 test_rounds(u64 n)
{
	const char *env = getenv("ROUNDS");
	u64 factor = env ? strtoull(env, NULL, 0) : 1;

	return n * (factor ? factor : 1);
}

void *test_block(void)
{
	return pdata_block_alloc(GFP_KERNEL | __GFP_ZERO | __GFP_NOFAIL);
}

void test_fill(void *data, u64 tag)
{
	u8 *p = data;
	unsigned int i;

	for (i = 0; i < PDATA_BLOCK_SIZE; i += sizeof(u64)) {
		u64 v = sim_random(&tag);

		memcpy(p + i, &v, sizeof(v));
	}
}

bool test_filled(const void *data, u64 tag)
{
	const u8 *p = data;
	unsigned int i;

	for (i = 0; i < PDATA_BLOCK_SIZE; i += sizeof(u64)) {
		u64 v = sim_random(&tag);

		if (memcmp(p + i, &v, sizeof(v)))
			return false;
	}
	return true;
}

int test_quiet(void **state)
{
	pdata_shim_quiet = true;
	pdata_shim_fail_alloc_after(-1);
	pdata_fault_disarm_all();
	return 0;
}

bool test_asan(void)
{
#if defined(__SANITIZE_ADDRESS__)
	return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
	return true;
#endif
#endif
	return false;
}

bool test_dies(void (*fn)(void *arg), void *arg)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		fail_msg("fork: %s", strerror(errno));
	if (!pid) {
		struct rlimit no_core = { 0, 0 };
		int null = open("/dev/null", O_WRONLY);

		/* cmocka caught SIGABRT and would go on with the test here */
		signal(SIGABRT, SIG_DFL);
		setrlimit(RLIMIT_CORE, &no_core);
		if (null >= 0)
			dup2(null, STDERR_FILENO);
		fn(arg);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		fail_msg("waitpid: %s", strerror(errno));
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
