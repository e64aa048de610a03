// SPDX-License-Identifier: GPL-2.0-only
/*
 * The target thin-pool2: its table line, suspend and resume.
 *
 *	thin-pool2 <metadata dev> <data dev> <block size> <low water mark>
 *		   [<#features> <feature>...]
 *
 * Block size in sectors: what status figures count in, and a hint for where
 * new data goes; it may differ from one table to the next. Low water mark in
 * such blocks. Features: skip_block_zeroing, ignore_discard,
 * no_discard_passdown, read_only, error_if_no_space, erase_size <sectors>.
 *
 * Loading a table opens the pool, or finds it open by another table of the
 * same device. What a table asks for comes into force when it is resumed.
 */
#include "dm-thin2.h"
#include "persistent-data/pdata-io-bufio.h"

/* ---- features ---- */

#define MIN_ERASE_SIZE		THIN2_UNIT_SECTORS
#define MAX_ERASE_SIZE		THIN2_MAX_BLOCK_SIZE

static const char * const flag_names[THIN2_NR_FLAGS] = {
	"skip_block_zeroing",
	"ignore_discard",
	"no_discard_passdown",
	"read_only",
	"error_if_no_space",
};

static bool *feature_flag(struct thin2_features *f, unsigned int i)
{
	bool * const flags[THIN2_NR_FLAGS] = {
		&f->skip_block_zeroing,
		&f->ignore_discard,
		&f->no_discard_passdown,
		&f->read_only,
		&f->error_if_no_space,
	};

	return flags[i];
}

static int parse_erase_size(struct thin2_pool_table *t, struct dm_arg_set *as,
			    unsigned int *argc)
{
	const char *value = *argc ? dm_shift_arg(as) : NULL;
	u32 sectors;

	if (value)
		(*argc)--;
	if (!value || kstrtou32(value, 10, &sectors) || !is_power_of_2(sectors) ||
	    sectors < MIN_ERASE_SIZE || sectors > MAX_ERASE_SIZE) {
		t->ti->error = "Invalid erase size";
		DMERR("erase_size is '%s', expected a power of two from %u to %u sectors",
		      value ? value : "", MIN_ERASE_SIZE, MAX_ERASE_SIZE);
		return -EINVAL;
	}
	t->features.erase_sectors = sectors;
	return 0;
}

static int parse_feature(struct thin2_pool_table *t, struct dm_arg_set *as, unsigned int *argc)
{
	const char *name = dm_shift_arg(as);
	unsigned int i;

	(*argc)--;
	for (i = 0; i < THIN2_NR_FLAGS; i++)
		if (!strcasecmp(name, flag_names[i]))
			break;
	t->feature[t->nr_features++] = i;
	if (i < THIN2_NR_FLAGS) {
		*feature_flag(&t->features, i) = true;
		return 0;
	}
	if (!strcasecmp(name, "erase_size"))
		return parse_erase_size(t, as, argc);
	t->ti->error = "Unrecognised pool feature requested";
	DMERR("unknown pool feature '%s'", name);
	return -EINVAL;
}

static int parse_features(struct thin2_pool_table *t, struct dm_arg_set *as)
{
	static const struct dm_arg args[] = {
		{ 0, THIN2_MAX_FEATURE_ARGS, "Invalid number of pool feature arguments" },
	};
	struct dm_target *ti = t->ti;
	unsigned int argc, nr;
	int r;

	if (!as->argc)
		return 0;
	r = dm_read_arg_group(args, as, &argc, &ti->error);
	if (r)
		return -EINVAL;
	nr = argc;
	while (argc && !r)
		r = parse_feature(t, as, &argc);
	/* Version 1 takes such tables, without a word. */
	if (!r && as->argc)
		DMWARN("ignoring what follows the %u feature arguments, from '%s' on",
		       nr, as->argv[0]);
	return r;
}

/* ---- other arguments ---- */

static int parse_numbers(struct thin2_pool_table *t, char **argv)
{
	struct dm_target *ti = t->ti;

	if (kstrtou32(argv[2], 10, &t->block_sectors) ||
	    t->block_sectors < THIN2_MIN_BLOCK_SIZE || t->block_sectors > THIN2_MAX_BLOCK_SIZE ||
	    t->block_sectors % THIN2_UNIT_SECTORS) {
		ti->error = "Invalid block size";
		DMERR("block size is '%s', expected a multiple of %u from %u to %u sectors",
		      argv[2], THIN2_UNIT_SECTORS, THIN2_MIN_BLOCK_SIZE, THIN2_MAX_BLOCK_SIZE);
		return -EINVAL;
	}
	if (kstrtou64(argv[3], 10, &t->low_water_blocks)) {
		ti->error = "Invalid low water mark";
		DMERR("low water mark is '%s', expected a number of blocks", argv[3]);
		return -EINVAL;
	}
	return 0;
}

static int check_block_size(struct dm_target *ti, struct dm_dev *dev, const char *what)
{
	unsigned int size = bdev_logical_block_size(dev->bdev);

	if (size <= THIN2_UNIT_BYTES)
		return 0;
	ti->error = "Logical block size of a device is too large";
	DMERR("%s device %s: logical blocks of %u bytes, expected at most %u",
	      what, dev->name, size, THIN2_UNIT_BYTES);
	return -EINVAL;
}

static int check_devices(struct thin2_pool_table *t)
{
	struct dm_target *ti = t->ti;
	sector_t size = bdev_nr_sectors(t->data_dev->bdev);
	int r;

	if (t->meta_dev->bdev == t->data_dev->bdev) {
		ti->error = "Metadata and data device are the same";
		DMERR("metadata and data device are both %s", t->data_dev->name);
		return -EINVAL;
	}
	r = check_block_size(ti, t->meta_dev, "metadata");
	if (!r)
		r = check_block_size(ti, t->data_dev, "data");
	if (!r && ti->len > size) {
		ti->error = "Target is longer than the data device";
		DMERR("target has %llu sectors, data device %s only %llu",
		      (unsigned long long)ti->len, t->data_dev->name, (unsigned long long)size);
		r = -EINVAL;
	}
	if (!r && ti->len < THIN2_UNIT_SECTORS) {
		ti->error = "Target is shorter than 4 KiB";
		r = -EINVAL;
	}
	return r;
}

static int get_devices(struct thin2_pool_table *t, char **argv)
{
	thin2_open_mode_t mode = THIN2_OPEN_READ;
	struct dm_target *ti = t->ti;
	int r;

	if (!t->features.read_only)
		mode |= THIN2_OPEN_WRITE;
	r = dm_get_device(ti, argv[0], mode, &t->meta_dev);
	if (r) {
		ti->error = "Error opening metadata block device";
		return r;
	}
	r = dm_get_device(ti, argv[1], THIN2_OPEN_READ | THIN2_OPEN_WRITE, &t->data_dev);
	if (r) {
		ti->error = "Error opening data device";
		dm_put_device(ti, t->meta_dev);
		return r;
	}
	r = check_devices(t);
	if (r) {
		dm_put_device(ti, t->data_dev);
		dm_put_device(ti, t->meta_dev);
	}
	return r;
}

/* ---- constructor and destructor ---- */

bool thin2_pool_can_discard(struct thin2_pool_table *t)
{
	return bdev_max_discard_sectors(t->data_dev->bdev);
}

static void setup_target(struct thin2_pool_table *t)
{
	struct dm_target *ti = t->ti;

	ti->num_flush_bios = 1;
	ti->num_write_zeroes_bios = 1;
	ti->flush_supported = true;
	ti->limit_swap_bios = true;
	t->passdown = !t->features.ignore_discard && !t->features.no_discard_passdown;
	if (t->passdown && !thin2_pool_can_discard(t)) {
		DMWARN("%s: data device %s does not support discards: they are not passed down",
		       dm_device_name(dm_table_get_md(ti->table)), t->data_dev->name);
		t->passdown = false;
	}
	if (t->passdown) {
		ti->num_discard_bios = 1;
		ti->discards_supported = true;
	}
	ti->private = t;
}

static int bind_pool(struct thin2_pool_table *t)
{
	struct dm_target *ti = t->ti;
	bool created;
	int r;

	mutex_lock(&thin2_pools_lock);
	r = thin2_pool_bind(t, &ti->error, &created);
	if (!r && !created &&
	    t->features.ignore_discard != READ_ONCE(t->pool->features.ignore_discard)) {
		ti->error = "Discard support cannot be changed while the pool is active";
		DMERR("%s: ignore_discard cannot be %s by a reload", t->pool->name,
		      t->features.ignore_discard ? "set" : "cleared");
		thin2_pool_unbind(t->pool);
		r = -EINVAL;
	}
	if (!r && created)
		t->pool->features = t->features;
	mutex_unlock(&thin2_pools_lock);
	return r;
}

static int pool_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct dm_arg_set as = { .argc = argc, .argv = argv };
	struct thin2_pool_table *t;
	int r = -EINVAL;

	if (argc < 4) {
		ti->error = "Invalid argument count";
		DMERR("found %u arguments, expected <metadata> <data> <block size> <low water>",
		      argc);
		return -EINVAL;
	}
	t = kzalloc(sizeof(*t), GFP_KERNEL);
	if (!t) {
		ti->error = "Out of memory";
		return -ENOMEM;
	}
	t->ti = ti;
	dm_consume_args(&as, 4);
	r = parse_numbers(t, argv);
	if (!r)
		r = parse_features(t, &as);
	if (!r)
		r = get_devices(t, argv);
	if (r)
		goto bad;
	r = bind_pool(t);
	if (r)
		goto bad_bind;
	setup_target(t);
	return 0;

bad_bind:
	dm_put_device(ti, t->data_dev);
	dm_put_device(ti, t->meta_dev);
bad:
	kfree(t);
	return r;
}

static void pool_dtr(struct dm_target *ti)
{
	struct thin2_pool_table *t = ti->private;
	struct thin2_pool *pool = t->pool;

	mutex_lock(&thin2_pools_lock);
	mutex_lock(&pool->bind_lock);
	if (pool->ti == ti)
		pool->ti = NULL;
	mutex_unlock(&pool->bind_lock);
	thin2_pool_unbind(pool);
	mutex_unlock(&thin2_pools_lock);

	dm_put_device(ti, t->data_dev);
	dm_put_device(ti, t->meta_dev);
	kfree(t);
}

/* ---- suspend and resume ---- */

static int check_sizes(struct thin2_pool *pool, u64 data_units, u64 meta_blocks)
{
	if (data_units < pool->data_units) {
		DMERR("%s: target has %llu units of 4 KiB, expected at least the %llu recorded",
		      pool->name, data_units, pool->data_units);
		return -EINVAL;
	}
	if (meta_blocks < pool->meta_blocks) {
		DMERR("%s: metadata device has %llu blocks, expected at least the %llu recorded",
		      pool->name, meta_blocks, pool->meta_blocks);
		return -EINVAL;
	}
	return 0;
}

static int resize(struct thin2_pool *pool, struct thin2_pool_table *t)
{
	u64 data_units = thin2_to_unit(t->ti->len), meta_blocks;
	int r;

	pdata_io_bufio_resize(pool->io);
	meta_blocks = pool->io->nr_blocks;
	r = check_sizes(pool, data_units, meta_blocks);
	if (r)
		return r;
	if (data_units == pool->data_units && meta_blocks == pool->meta_blocks)
		return 0;
	if (pool->md->read_only || t->features.read_only || READ_ONCE(pool->md->failed)) {
		DMWARN("%s: not growing a read-only pool", pool->name);
		return 0;
	}
	DMINFO("%s: growing from %llu to %llu units of data, from %llu to %llu blocks of metadata",
	       pool->name, pool->data_units, data_units, pool->meta_blocks, meta_blocks);
	r = thin2_md_resize(pool->md, data_units, meta_blocks);
	if (r) {
		DMERR("%s: growing failed: %s", pool->name, pdata_error_text(r));
		thin2_note_error(pool, r, "growing");
		return pdata_to_errno(r);
	}
	WRITE_ONCE(pool->data_units, data_units);
	pool->meta_blocks = meta_blocks;
	return 0;
}

/* A pool opened read-only can be written only after its metadata was opened anew. */
static int maybe_reopen(struct thin2_pool *pool, struct thin2_pool_table *t)
{
	int r = -EBUSY;

	if (!pool->md->read_only || t->features.read_only || thin2_md_needs_check(pool->md))
		return 0;
	mutex_lock(&pool->thins_lock);
	if (list_empty(&pool->thins))
		r = thin2_pool_reopen(pool, t);
	mutex_unlock(&pool->thins_lock);
	if (r)
		DMERR("%s: cannot leave read_only%s: %s", pool->name,
		      r == -EBUSY ? " while thins are active" : "", pdata_error_text(r));
	return pdata_to_errno(r);
}

/* Of a table that is resumed, @again if it was the last one, too. */
static void set_first_mode(struct thin2_pool *pool, bool again)
{
	if (again && thin2_mode_is(pool, THIN2_MODE_NO_SPACE))
		thin2_no_space_again(pool);
	else if (pool->features.read_only)
		thin2_set_mode(pool, THIN2_MODE_READ_ONLY, "asked for");
	else if (thin2_md_needs_check(pool->md))
		thin2_set_mode(pool, THIN2_MODE_READ_ONLY, "the metadata needs a check");
	else
		thin2_set_mode(pool, THIN2_MODE_WRITE, "resumed");
}

static u64 low_water_units(const struct thin2_pool_table *t)
{
	u64 units = t->block_sectors / THIN2_UNIT_SECTORS;

	return min(t->low_water_blocks, U64_MAX / units) * units;
}

/* LVM's rule for when metadata is short. */
static u64 low_meta_blocks(struct thin2_pool *pool)
{
	return min_t(u64, 1024, pool->meta_blocks / 4);
}

static int pool_preresume(struct dm_target *ti)
{
	struct thin2_pool_table *t = ti->private;
	struct thin2_pool *pool = t->pool;
	bool again;
	int r;

	mutex_lock(&pool->bind_lock);
	r = maybe_reopen(pool, t);
	if (!r)
		r = resize(pool, t);
	if (r)
		goto out;
	again = pool->ti == ti;
	pool->ti = ti;
	pool->features = t->features;
	WRITE_ONCE(pool->passdown, t->passdown);
	WRITE_ONCE(pool->low_water_units, low_water_units(t));
	WRITE_ONCE(pool->low_meta_blocks, low_meta_blocks(pool));
	thin2_set_placement(pool->md, t->block_sectors / THIN2_UNIT_SECTORS,
			    t->features.erase_sectors / THIN2_UNIT_SECTORS);
	set_first_mode(pool, again);
out:
	mutex_unlock(&pool->bind_lock);
	return r;
}

static void pool_resume(struct dm_target *ti)
{
	struct thin2_pool_table *t = ti->private;

	thin2_pool_start(t->pool);
	thin2_pool_resume_thins(t->pool);
	thin2_event(t->pool);
}

static void pool_presuspend(struct dm_target *ti)
{
	struct thin2_pool_table *t = ti->private;

	thin2_pool_suspend_thins(t->pool);
}

static void pool_presuspend_undo(struct dm_target *ti)
{
	struct thin2_pool_table *t = ti->private;

	thin2_pool_start(t->pool);
	thin2_pool_resume_thins(t->pool);
}

static void pool_postsuspend(struct dm_target *ti)
{
	struct thin2_pool_table *t = ti->private;

	thin2_pool_stop(t->pool);
}

/* ---- the rest ---- */

static int pool_map(struct dm_target *ti, struct bio *bio)
{
	struct thin2_pool_table *t = ti->private;

	bio_set_dev(bio, t->data_dev->bdev);
	return DM_MAPIO_REMAPPED;
}

static int pool_iterate_devices(struct dm_target *ti, iterate_devices_callout_fn fn, void *data)
{
	struct thin2_pool_table *t = ti->private;

	return fn(ti, t->data_dev, 0, ti->len, data);
}

/* Bios of whole blocks, or of whole parts of a block, please the data device. */
static void pool_io_hints(struct dm_target *ti, struct queue_limits *limits)
{
	struct thin2_pool_table *t = ti->private;
	unsigned int block = t->block_sectors, opt = limits->io_opt >> SECTOR_SHIFT;

	if (limits->max_sectors < block) {
		/* The largest power of two that divides a block and is allowed. */
		unsigned int part = 1u << __ffs(block);

		while (part > limits->max_sectors)
			part >>= 1;
		limits->max_sectors = max(part, THIN2_UNIT_SECTORS);
	}
	if (opt < block || opt % block) {
		unsigned int min = block % limits->max_sectors ? block : limits->max_sectors;

		limits->io_min = min << SECTOR_SHIFT;
		limits->io_opt = block << SECTOR_SHIFT;
	}
	if (t->features.ignore_discard)
		limits->discard_granularity = 0;
	else if (!t->passdown)
		thin2_limit_discards(limits, 0, limits->discard_granularity);
}

/* STATUSTYPE_TABLE */
void thin2_pool_emit_table(struct thin2_pool_table *t, char *result, unsigned int maxlen)
{
	unsigned int nr_args = t->nr_features, sz = 0, i;
	char meta[16], data[16];

	for (i = 0; i < t->nr_features; i++)
		nr_args += t->feature[i] == THIN2_NR_FLAGS;

	DMEMIT("%s %s %u %llu %u ", format_dev_t(meta, t->meta_dev->bdev->bd_dev),
	       format_dev_t(data, t->data_dev->bdev->bd_dev), t->block_sectors,
	       t->low_water_blocks, nr_args);
	for (i = 0; i < t->nr_features; i++)
		if (t->feature[i] < THIN2_NR_FLAGS)
			DMEMIT("%s ", flag_names[t->feature[i]]);
		else
			DMEMIT("erase_size %u ", t->features.erase_sectors);
}

struct target_type thin2_pool_target = {
	.name = "thin-pool2",
	.features = DM_TARGET_SINGLETON | DM_TARGET_ALWAYS_WRITEABLE | DM_TARGET_IMMUTABLE |
		    DM_TARGET_PASSES_CRYPTO | DM_TARGET_NOWAIT,
	.version = { 2, 0, 0 },
	.module = THIS_MODULE,
	.ctr = pool_ctr,
	.dtr = pool_dtr,
	.map = pool_map,
	.presuspend = pool_presuspend,
	.presuspend_undo = pool_presuspend_undo,
	.postsuspend = pool_postsuspend,
	.preresume = pool_preresume,
	.resume = pool_resume,
	.message = thin2_pool_message,
	.status = thin2_pool_status_line,
	.iterate_devices = pool_iterate_devices,
	.io_hints = pool_io_hints,
};
