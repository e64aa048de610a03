// SPDX-License-Identifier: GPL-2.0-only
/* Messages to a pool. Those that change something are durable on success. */
#include "dm-thin2.h"

struct message {
	const char *name;
	unsigned int argc;	/* the name included */
	int (*fn)(struct thin2_pool *pool, char **argv, char *result, unsigned int maxlen);
	bool reads_only;	/* allowed whatever the mode */
};

static int read_id(struct thin2_pool *pool, const char *arg, u32 *id)
{
	if (!kstrtou32(arg, 10, id))
		return 0;
	DMWARN("%s: message with invalid device id: %s", pool->name, arg);
	return -EINVAL;
}

static int msg_create_thin(struct thin2_pool *pool, char **argv, char *result,
			   unsigned int maxlen)
{
	u32 id;
	int r;

	r = read_id(pool, argv[1], &id);
	return r ? r : thin2_create(pool->md, id);
}

static int msg_create_snap(struct thin2_pool *pool, char **argv, char *result,
			   unsigned int maxlen)
{
	u32 id, origin;
	int r;

	r = read_id(pool, argv[1], &id);
	if (!r)
		r = read_id(pool, argv[2], &origin);
	return r ? r : thin2_create_snap(pool->md, id, origin);
}

static int msg_delete(struct thin2_pool *pool, char **argv, char *result, unsigned int maxlen)
{
	u32 id;
	int r;

	r = read_id(pool, argv[1], &id);
	if (r)
		return r;
	r = thin2_delete(pool->md, id);
	if (!r)
		thin2_pool_kick(pool);
	return r;
}

static int msg_set_transaction_id(struct thin2_pool *pool, char **argv, char *result,
				  unsigned int maxlen)
{
	u64 old_id, new_id;

	if (kstrtou64(argv[1], 10, &old_id) || kstrtou64(argv[2], 10, &new_id)) {
		DMWARN("%s: set_transaction_id: expected two numbers, found '%s' and '%s'",
		       pool->name, argv[1], argv[2]);
		return -EINVAL;
	}
	return thin2_set_transaction_id(pool->md, old_id, new_id);
}

static int msg_reserve_snap(struct thin2_pool *pool, char **argv, char *result,
			    unsigned int maxlen)
{
	return thin2_reserve_snap(pool->md);
}

static int msg_release_snap(struct thin2_pool *pool, char **argv, char *result,
			    unsigned int maxlen)
{
	int r = thin2_release_snap(pool->md);

	if (!r)
		thin2_pool_kick(pool);
	return r;
}

static int msg_get_root(struct thin2_pool *pool, char **argv, char *result, unsigned int maxlen)
{
	struct thin2_root root;
	unsigned int sz = 0;
	u32 id;
	int r;

	r = read_id(pool, argv[1], &id);
	if (!r)
		r = thin2_get_root(pool->md, id, &root);
	if (r)
		return r;
	DMEMIT("%llu %llu %llu", root.root, root.mapped_units, root.generation);
	return 1;
}

static int msg_put_root(struct thin2_pool *pool, char **argv, char *result, unsigned int maxlen)
{
	u32 id;
	int r;

	r = read_id(pool, argv[1], &id);
	return r ? r : thin2_put_root(pool->md, id);
}

static int msg_checkpoint(struct thin2_pool *pool, char **argv, char *result,
			  unsigned int maxlen)
{
	return thin2_checkpoint(pool->md);
}

static u64 inflight(struct thin2_pool *pool)
{
	struct thin2_inflight *n;
	long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		n = per_cpu_ptr(pool->inflight, cpu);
		sum += atomic_long_read(&n->nr[0]) + atomic_long_read(&n->nr[1]);
	}
	return max(sum, 0l);
}

static int msg_stats(struct thin2_pool *pool, char **argv, char *result, unsigned int maxlen)
{
	struct thin2_pool_status s;
	unsigned int sz = 0;

	thin2_pool_status(pool->md, &s);
	DMEMIT("generation=%llu\n", s.generation);
	DMEMIT("metadata_blocks_used=%llu\n", s.meta_used);
	DMEMIT("metadata_blocks=%llu\n", s.meta_total);
	DMEMIT("metadata_blocks_kept=%llu\n", s.meta_kept);
	DMEMIT("data_units_used=%llu\n", s.data_used);
	DMEMIT("data_units=%llu\n", s.data_total);
	DMEMIT("data_units_quarantined=%llu\n", s.quarantined);
	DMEMIT("data_groups=%llu\n", s.groups);
	DMEMIT("data_groups_in_memory=%llu\n", s.group_maps);
	DMEMIT("records_unmerged=%llu\n", s.nr_dirty);
	DMEMIT("records_unmerged_max=%llu\n", s.max_dirty);
	DMEMIT("records_merged=%llu\n", s.merged);
	DMEMIT("records=%llu\n", s.journal_last);
	DMEMIT("records_durable=%llu\n", s.journal_durable);
	DMEMIT("journal_fill_percent=%u\n", s.journal_fill);
	DMEMIT("checkpoints=%llu\n", s.checkpoints);
	DMEMIT("journal_flushes=%llu\n", s.flushes);
	DMEMIT("deleting_thins=%llu\n", s.nr_deleting);
	DMEMIT("cached_ranges=%llu\n", s.ranges);
	DMEMIT("cached_bytes=%llu\n", s.ranges * PDATA_RM_ENTRY_BYTES);
	DMEMIT("cache_fills=%llu\n", s.fills);
	DMEMIT("cache_ranges_filled=%llu\n", s.filled);
	DMEMIT("cache_ranges_evicted=%llu\n", s.evicted);
	DMEMIT("bios_in_flight=%llu\n", inflight(pool));
	DMEMIT("bios_deferred=%llu\n", (u64)atomic64_read(&pool->nr_deferred));
	DMEMIT("writes_provisioned=%llu\n", (u64)atomic64_read(&pool->nr_provisioned));
	DMEMIT("writes_unshared=%llu\n", (u64)atomic64_read(&pool->nr_unshared));
	DMEMIT("units_copied=%llu\n", (u64)atomic64_read(&pool->nr_copied));
	DMEMIT("discards=%llu\n", (u64)atomic64_read(&pool->nr_discards));
	DMEMIT("commit_bios=%llu\n", (u64)atomic64_read(&pool->nr_flushes));
	return 1;
}

static const struct message messages[] = {
	{ "create_thin", 2, msg_create_thin },
	{ "create_snap", 3, msg_create_snap },
	{ "delete", 2, msg_delete },
	{ "set_transaction_id", 3, msg_set_transaction_id },
	{ "reserve_metadata_snap", 1, msg_reserve_snap },
	{ "release_metadata_snap", 1, msg_release_snap },
	{ "get_root", 2, msg_get_root },
	{ "put_root", 2, msg_put_root },
	{ "checkpoint", 1, msg_checkpoint },
	{ "stats", 1, msg_stats, true },
};

static const struct message *find(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(messages); i++)
		if (!strcasecmp(name, messages[i].name))
			return &messages[i];
	return NULL;
}

/* As in version 1, the mode is looked at first: it refuses wrong messages, too. */
static int check(struct thin2_pool *pool, const struct message *m, unsigned int argc,
		 const char *name)
{
	if (!(m && m->reads_only) && !thin2_rules(pool)->messages) {
		DMERR("%s: unable to service pool target messages in READ_ONLY or FAIL mode",
		      pool->name);
		return -EOPNOTSUPP;
	}
	if (!m) {
		DMWARN("%s: unrecognised message: %s", pool->name, name);
		return -EINVAL;
	}
	if (argc != m->argc) {
		DMWARN("%s: message %s with %u arguments, expected %u", pool->name,
		       m->name, argc - 1, m->argc - 1);
		return -EINVAL;
	}
	return 0;
}

int thin2_pool_message(struct dm_target *ti, unsigned int argc, char **argv,
		       char *result, unsigned int maxlen)
{
	struct thin2_pool_table *t = ti->private;
	const struct message *m = find(argv[0]);
	struct thin2_pool *pool = t->pool;
	int r;

	r = check(pool, m, argc, argv[0]);
	if (r)
		return r;
	r = m->fn(pool, argv, result, maxlen);
	if (r < 0) {
		DMWARN("%s: message %s failed: %s (%d)", pool->name, m->name,
		       pdata_error_text(r), pdata_to_errno(r));
		thin2_note_error(pool, r, m->name);
	}
	return pdata_to_errno(r);
}
