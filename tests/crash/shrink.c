// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a failure to the shortest list of operations that shows it: parts of
 * the list are left out, large ones first, and each attempt is played in a
 * process of its own. What must stay the same is the kind of the failure, that
 * is, which message it died with.
 */
#include <stdlib.h>

#include "parallel.h"
#include "shrink.h"

struct attempt {
	const struct ps_config *c;
	struct ps_log *log;
	const char *kind;
	int status;
	unsigned int tries;
	struct ps_failure failure;
};

struct ps_log *shrink_log_new(void)
{
	struct ps_log *log = par_memory(sizeof(*log) + SHRINK_MAX_OPS * sizeof(log->op[0]));

	log->max = SHRINK_MAX_OPS;
	return log;
}

void shrink_play(const struct ps_config *c, const struct ps_log *log)
{
	struct pool_sim *ps = calloc(1, sizeof(*ps));
	struct ps_op op;
	unsigned int i;

	if (!ps)
		abort();
	pdata_shim_seed(c->seed);
	ps_init(ps, c);
	for (i = 0; i < log->nr; i++) {
		op = log->op[i];
		ps_run(ps, &op);
	}
	ps_exit(ps);
	free(ps);
}

static void play(void *context)
{
	struct attempt *a = context;

	shrink_play(a->c, a->log);
}

static bool fails(struct attempt *a)
{
	struct ps_failure failure;
	int status = par_try(play, a, &failure);

	a->tries++;
	if (!failure.fmt && status)
		snprintf(failure.text, sizeof(failure.text), "no message, wait status %#x", status);
	if (!status || status != a->status || failure.fmt != a->kind)
		return false;
	a->failure = failure;
	return true;
}

/* Without [at, +nr). The list is as it was if that does not fail. */
static bool leave_out(struct attempt *a, u32 at, u32 nr)
{
	struct ps_log *log = a->log;
	struct ps_op *gone = malloc(nr * sizeof(*gone));
	bool good;

	if (!gone)
		abort();
	memcpy(gone, log->op + at, nr * sizeof(*gone));
	memmove(log->op + at, log->op + at + nr, (log->nr - at - nr) * sizeof(*gone));
	log->nr -= nr;
	good = fails(a);
	if (!good) {
		memmove(log->op + at + nr, log->op + at, (log->nr - at) * sizeof(*gone));
		memcpy(log->op + at, gone, nr * sizeof(*gone));
		log->nr += nr;
	}
	free(gone);
	return good;
}

static bool remove_all(struct attempt *a)
{
	bool any = false;
	u32 size, at;

	for (size = max(a->log->nr / 2, 1u); ; size /= 2) {
		for (at = a->log->nr; at; ) {
			at = at > size ? at - size : 0;
			if (at + size <= a->log->nr)
				any |= leave_out(a, at, size);
		}
		if (size == 1)
			return any;
	}
}

static bool try_op(struct attempt *a, u32 i, struct ps_op simpler)
{
	struct ps_op old = a->log->op[i];

	if (!memcmp(&old, &simpler, sizeof(old)))
		return false;
	a->log->op[i] = simpler;
	if (fails(a))
		return true;
	a->log->op[i] = old;
	return false;
}

static bool try_fate(struct attempt *a, u32 i, u8 fate)
{
	struct ps_op op = a->log->op[i];

	if (op.kind != PS_OPEN || op.n == SIM_NONE || op.n == fate)
		return false;
	op.n = fate;
	return try_op(a, i, op);
}

/* Nothing by chance, one unit instead of many, no crash of no use. */
static bool simplify(struct attempt *a, u32 i)
{
	struct ps_op op = a->log->op[i];
	bool any;

	op.seed = 0;
	any = try_op(a, i, op);
	any |= try_fate(a, i, SIM_NONE) || try_fate(a, i, SIM_ALL);
	op = a->log->op[i];
	op.crash = 0;
	any |= try_op(a, i, op);
	op = a->log->op[i];
	if (op.len > 1) {
		op.len = 1;
		any |= try_op(a, i, op);
	}
	op = a->log->op[i];
	if (op.kind != PS_OPEN) {
		op.n = 0;
		any |= try_op(a, i, op);
	}
	return any;
}

static bool simplify_all(struct attempt *a)
{
	bool any = false;
	u32 i;

	for (i = 0; i < a->log->nr; i++)
		any |= simplify(a, i);
	return any;
}

bool shrink(const struct ps_config *c, struct ps_log *log, struct ps_failure *failure)
{
	struct attempt a = { .c = c, .log = log };
	struct ps_failure first;
	u32 before = log->nr;

	a.status = par_try(play, &a, &first);
	a.kind = first.fmt;
	if (!a.status || !fails(&a))
		return false;
	remove_all(&a);
	while (simplify_all(&a) | remove_all(&a))
		;
	*failure = a.failure;
	printf("# %u operations became %u in %u attempts\n", before, log->nr, a.tries);
	return true;
}

static void print_script(FILE *to, const struct ps_config *c, const struct ps_log *log,
			 const char *before)
{
	u32 i;

	fputs(before, to);
	ps_print_config(to, c);
	for (i = 0; i < log->nr; i++) {
		fputs(before, to);
		ps_print_op(to, &log->op[i]);
	}
}

void shrink_report(const struct ps_config *c, const struct ps_log *log,
		   const struct ps_failure *failure, const char *program)
{
	const char *dir = getenv("SCRIPT_DIR");
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/crash-0x%llx.script", dir ? dir : ".",
		 (unsigned long long)c->seed);
	printf("# it fails with \"%s\", after:\n#\n", failure->text);
	print_script(stdout, c, log, "#   ");
	f = fopen(path, "w");
	if (!f) {
		perror(path);
		return;
	}
	fprintf(f, "# %s\n", failure->text);
	print_script(f, c, log, "");
	if (fclose(f))
		perror(path);
	printf("#\n# To play it again: %s --script %s\n", program, path);
}
