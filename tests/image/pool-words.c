// SPDX-License-Identifier: GPL-2.0-only
/*
 * Small histories of pools, told in words. Failures end the program: what is to
 * be tested comes afterwards.
 */
#include "dm-thin2-internal.h"
#include "pool-words.h"

static void die(const char *what, int r)
{
	fprintf(stderr, "pool: %s: %s\n", what, pdata_error_text(r));
	exit(1);
}

static void must(const char *what, int r)
{
	if (r)
		die(what, r);
}

static int flush_data(void *context)
{
	return 0;
}

static void drain(void *context)
{
}

static void freed(void *context, struct list_head *batch)
{
	struct pool_words *run = context;

	/* While it is being opened there is no pool to give them back to yet. */
	if (run->md)
		thin2_release(run->md, batch);
}

static void wake(void *context)
{
}

static const struct thin2_md_ops ops = {
	.flush_data = flush_data,
	.drain = drain,
	.freed = freed,
	.wake = wake,
};

static u64 number(struct pool_words *run)
{
	char *end;
	u64 v;

	if (!run->nr)
		die("a number is missing", 0);
	v = strtoull(*run->arg, &end, 0);
	if (*end || end == *run->arg)
		die(*run->arg, -EINVAL);
	run->arg++;
	run->nr--;
	return v;
}

/* One step of a write from @unit on; returns how far it came. */
static u64 write_step(struct thin2_dev *th, u64 unit, u64 end)
{
	struct thin2_where where;
	struct thin2_write w;
	int r;

	thin2_lookup(th, unit, end, true, &where);
	switch (where.action) {
	case THIN2_REMAP:
		return where.end;
	case THIN2_FILL:
		must("fill", thin2_fill(th, unit, end));
		return unit;
	case THIN2_UNSHARE:
		r = thin2_try_exclusive(th, unit, end);
		if (r < 0)
			die("try_exclusive", r);
		if (r)
			return unit;
		break;
	case THIN2_PROVISION:
		break;
	default:
		die("lookup", where.action == THIN2_DAMAGED ? -PDATA_E_DAMAGED : -PDATA_E_RETRY);
	}
	r = thin2_write_begin(th, unit, where.end, &w);
	switch (-r) {
	case 0:
		unit += w.len;
		thin2_write_end(&w, 0);
		return unit;
	case PDATA_E_RETRY:
	case PDATA_E_WOULD_SLEEP:
	case PDATA_E_JOURNAL_FULL:
	case PDATA_E_DIRTY_LIMIT:
		must("make_room", thin2_make_room(th, r));
		return unit;
	case PDATA_E_MISS:
		return unit;
	default:
		die("write", r);
	}
	return unit;
}

static void write_range(struct thin2_dev *th, u64 begin, u64 end)
{
	while (begin < end)
		begin = write_step(th, begin, end);
}

static void unmap_range(struct thin2_dev *th, u64 begin, u64 end, bool zero)
{
	u64 done;
	int r;

	while (begin < end) {
		r = thin2_unmap(th, begin, end, zero, &done);
		if (r == -PDATA_E_JOURNAL_FULL || r == -PDATA_E_DIRTY_LIMIT ||
		    r == -PDATA_E_WOULD_SLEEP)
			r = thin2_make_room(th, r);
		must("unmap", r);
		begin = done;
	}
}

static u64 next_random(u64 *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return *seed >> 20;
}

static void random_writes(struct thin2_dev *th, u64 nr, u64 units, u64 seed)
{
	u64 begin, len;

	while (nr--) {
		next_random(&seed);
		len = 1 + (seed >> 60) / 2;
		begin = (seed >> 20) % (units - len);
		write_range(th, begin, begin + len);
	}
}

/* Ranges that nothing joins: neither their neighbours nor what was allocated before. */
static void scattered_writes(struct pool_words *run, struct thin2_dev *th, u64 begin, u64 nr)
{
	u64 step = number(run), seed = number(run);
	u64 i, j, tmp, *unit = malloc(nr * sizeof(*unit));

	if (!unit)
		die("scatter", -ENOMEM);
	for (i = 0; i < nr; i++)
		unit[i] = begin + step * i;
	for (i = 0; i < nr; i++) {
		j = i + next_random(&seed) % (nr - i);
		tmp = unit[j];
		unit[j] = unit[i];
		write_range(th, tmp, tmp + 1);
		/* In time: what finds the journal's buffers full writes a checkpoint too. */
		if (i % 1024 == 1023)
			must("flush", thin2_flush(run->md));
	}
	free(unit);
}

static void on_thin(struct pool_words *run, const char *cmd)
{
	struct thin2_dev *th;
	u64 a, b;

	must("open", thin2_dev_open(run->md, number(run), &th));
	a = number(run);
	b = number(run);
	if (!strcmp(cmd, "write"))
		write_range(th, a, a + b);
	else if (!strcmp(cmd, "random"))
		random_writes(th, a, b, number(run));
	else if (!strcmp(cmd, "scatter"))
		scattered_writes(run, th, a, b);
	else
		unmap_range(th, a, a + b, !strcmp(cmd, "zero"));
	thin2_dev_close(th);
}

static void get_root(struct pool_words *run)
{
	struct thin2_root root;

	must("hold", thin2_get_root(run->md, number(run), &root));
	if (!run->quiet)
		printf("%llu\n", (unsigned long long)root.root);
}

static void snapshot(struct pool_words *run)
{
	struct thin2_pool_status s;

	must("snapshot", thin2_reserve_snap(run->md));
	thin2_pool_status(run->md, &s);
	printf("%llu\n", (unsigned long long)s.held_root);
}

/* Returns false at the end. */
static bool command(struct pool_words *run, const char *cmd)
{
	u64 a;
	int r;

	if (!strcmp(cmd, "mark")) {
		run->mark(run->context);
	} else if (!strcmp(cmd, "create")) {
		must(cmd, thin2_create(run->md, number(run)));
	} else if (!strcmp(cmd, "snap")) {
		a = number(run);
		must(cmd, thin2_create_snap(run->md, a, number(run)));
	} else if (!strcmp(cmd, "delete")) {
		must(cmd, thin2_delete(run->md, number(run)));
	} else if (!strcmp(cmd, "txn")) {
		a = number(run);
		must(cmd, thin2_set_transaction_id(run->md, a, number(run)));
	} else if (!strcmp(cmd, "hold")) {
		get_root(run);
	} else if (!strcmp(cmd, "put")) {
		must(cmd, thin2_put_root(run->md, number(run)));
	} else if (!strcmp(cmd, "snapshot")) {
		snapshot(run);
	} else if (!strcmp(cmd, "flush")) {
		must(cmd, thin2_flush(run->md));
	} else if (!strcmp(cmd, "checkpoint")) {
		must(cmd, thin2_checkpoint(run->md));
	} else if (!strcmp(cmd, "squeeze")) {
		r = thin2_checkpoint(run->md);
		must(cmd, r == -PDATA_E_META_NOSPC ? 0 : r);
	} else if (!strcmp(cmd, "work")) {
		r = thin2_work(run->md, true);
		if (r < 0)
			die(cmd, r);
	} else if (!strcmp(cmd, "needs_check")) {
		run->md->sb.flags |= PDATA_SB_NEEDS_CHECK;
	} else if (!strcmp(cmd, "close")) {
		must(cmd, thin2_md_close(run->md));
		return false;
	} else if (!strcmp(cmd, "abandon")) {
		thin2_md_abandon(run->md);
		return false;
	} else {
		on_thin(run, cmd);
	}
	return true;
}

/* Commands that must come before the pool is opened. */
static void early(struct pool_words *run)
{
	for (; run->nr; ) {
		if (!strcmp(*run->arg, "limits")) {
			run->arg++;
			run->nr--;
			run->limits.btree_max = number(run);
			run->limits.fanout = number(run);
			run->limits.leaf_max = number(run);
			run->p.limits = &run->limits;
		} else if (!strcmp(*run->arg, "journal")) {
			run->arg++;
			run->nr--;
			run->p.journal_blocks = number(run);
		} else if (!strcmp(*run->arg, "step")) {
			run->arg++;
			run->nr--;
			run->p.group_units = number(run);
		} else {
			return;
		}
	}
}

void pool_words_run(struct pool_words *run, int nr, char **arg)
{
	const char *cmd;
	bool more = true;

	run->arg = arg;
	run->nr = nr;
	run->p.data_block_size = 128;
	run->p.ops = &ops;
	run->p.context = run;
	early(run);
	must("open", thin2_md_open(&run->p, &run->md));
	while (more && run->nr) {
		cmd = *run->arg++;
		run->nr--;
		more = command(run, cmd);
	}
	if (more)
		thin2_md_abandon(run->md);
	run->md = NULL;
}

void pool_words_tell(struct pool_words *run, const char *story)
{
	char *copy = strdup(story), *save = NULL, *word;
	char *arg[POOL_WORDS_MAX];
	int nr = 0;

	if (!copy)
		die("story", -ENOMEM);
	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		if (nr == POOL_WORDS_MAX)
			die("story is too long", 0);
		arg[nr++] = word;
	}
	pool_words_run(run, nr, arg);
	free(copy);
}
