// SPDX-License-Identifier: GPL-2.0-only
/*
 * Status and table lines.
 *
 * Scripts and LVM parse these by position and by substring: no word may be
 * added to the pool's line.
 */
#include "dm-thin2.h"

/* Make frees that are under way visible: figures are those of a checkpoint. */
static void settle(struct thin2_pool *pool, struct dm_target *ti, unsigned int flags)
{
	struct thin2_md *md = pool->md;
	int r = 0;

	if ((flags & DM_STATUS_NOFLUSH_FLAG) || dm_suspended(ti) || !thin2_rules(pool)->messages)
		return;
	if (atomic64_read(&md->nr_dirty) || READ_ONCE(md->may_free))
		r = thin2_checkpoint(md);
	if (r)
		thin2_note_error(pool, r, "a checkpoint for status");
	thin2_check_space(pool);
}

static const char *discard_word(const struct thin2_pool *pool)
{
	if (pool->features.ignore_discard)
		return "ignore_discard";
	return READ_ONCE(pool->passdown) ? "discard_passdown" : "no_discard_passdown";
}

/*
 * LVM and Stratis grow the metadata when some share of it is used. The reserve,
 * which is most of a device of 2 MiB, is nobody's to use: it counts in proportion,
 * so that all is used when there is no more to be had.
 */
u64 thin2_meta_used_shown(u64 used, u64 total, u64 kept)
{
	if (kept >= total)
		return total;
	return min(total, mul_u64_u64_div_u64(used, total, total - kept));
}

static void emit_pool(struct thin2_pool_table *t, char *result, unsigned int maxlen)
{
	struct thin2_pool *pool = t->pool;
	u64 block = t->block_sectors / THIN2_UNIT_SECTORS, used, total;
	struct thin2_pool_status s;
	unsigned int sz = 0;

	thin2_pool_status(pool->md, &s);
	total = s.data_total / block;
	used = min(DIV_ROUND_UP(s.data_used, block), total);
	DMEMIT("%llu %llu/%llu %llu/%llu ", s.transaction_id,
	       thin2_meta_used_shown(s.meta_used, s.meta_total, s.meta_kept), s.meta_total,
	       used, total);
	if (s.held)
		DMEMIT("%llu ", s.held_root);
	else
		DMEMIT("- ");
	DMEMIT("%s %s %s %s %llu ", thin2_rules(pool)->status, discard_word(pool),
	       thin2_errors_on_no_space(pool) ? "error_if_no_space" : "queue_if_no_space",
	       s.needs_check ? "needs_check" : "-", READ_ONCE(pool->low_meta_blocks));
}

void thin2_pool_status_line(struct dm_target *ti, status_type_t type, unsigned int flags,
			    char *result, unsigned int maxlen)
{
	struct thin2_pool_table *t = ti->private;
	unsigned int sz = 0;

	switch (type) {
	case STATUSTYPE_INFO:
		if (thin2_mode_is(t->pool, THIN2_MODE_FAIL)) {
			DMEMIT("Fail");
			break;
		}
		settle(t->pool, ti, flags);
		emit_pool(t, result, maxlen);
		break;
	case STATUSTYPE_TABLE:
		thin2_pool_emit_table(t, result, maxlen);
		break;
	case STATUSTYPE_IMA:
		*result = '\0';
		break;
	}
}

static void emit_thin(struct thin2_thin *thin, char *result, unsigned int maxlen)
{
	struct thin2_dev_status s;
	unsigned int sz = 0;
	int r;

	r = thin2_dev_status(thin->dev, &s);
	if (r) {
		DMERR("%s: thin %u: status: %s", thin->pool->name, thin->id,
		      pdata_error_text(r));
		DMEMIT("Error");
		return;
	}
	DMEMIT("%llu ", (u64)thin2_to_sector(s.mapped_units));
	if (s.any)
		DMEMIT("%llu", (u64)thin2_to_sector(s.highest + 1) - 1);
	else
		DMEMIT("-");
}

void thin2_thin_status_line(struct dm_target *ti, status_type_t type, unsigned int flags,
			    char *result, unsigned int maxlen)
{
	struct thin2_thin *thin = ti->private;
	unsigned int sz = 0;
	char dev[16];

	switch (type) {
	case STATUSTYPE_INFO:
		if (thin2_mode_is(thin->pool, THIN2_MODE_FAIL)) {
			DMEMIT("Fail");
			break;
		}
		settle(thin->pool, ti, flags);
		emit_thin(thin, result, maxlen);
		break;
	case STATUSTYPE_TABLE:
		DMEMIT("%s %u", format_dev_t(dev, thin->pool_dev->bdev->bd_dev), thin->id);
		if (thin->origin_dev)
			DMEMIT(" %s", format_dev_t(dev, thin->origin_dev->bdev->bd_dev));
		break;
	case STATUSTYPE_IMA:
		*result = '\0';
		break;
	}
}
