// SPDX-License-Identifier: GPL-2.0-only
/*
 * Origins, and what is left of those that are deleted.
 *
 * Repair builds a snapshot from its own leaves and those of its origin that are
 * no newer than the snapshot, and so on up the chain of origins. So a thin that
 * others descend from leaves a tombstone when it is deleted: an entry in the
 * details trees, behind all thin ids, without a root. It goes when nobody
 * descends from it any more.
 *
 * The pool knows of each uid that is an origin how many thins and tombstones
 * name it, which is known anew at each activation. A tombstone that nobody
 * names is removed in the background, a few in each commit; that may leave the
 * next one up the chain without children.
 */
#include "dm-thin2-internal.h"

struct thin2_origin {
	struct rb_node node;		/* md->origins */
	struct list_head list;		/* md->childless, or empty */
	u64 uid;
	u64 children;
	bool tombstone;
};

static struct thin2_origin *origin_find(struct thin2_md *md, u64 uid)
{
	struct rb_node *node = md->origins.rb_node;
	struct thin2_origin *o;

	while (node) {
		o = rb_entry(node, struct thin2_origin, node);
		if (uid == o->uid)
			return o;
		node = uid < o->uid ? node->rb_left : node->rb_right;
	}
	return NULL;
}

/* The one of @uid, made if there is none. NULL without memory. */
static struct thin2_origin *origin_get(struct thin2_md *md, u64 uid)
{
	struct rb_node **link = &md->origins.rb_node, *parent = NULL;
	struct thin2_origin *o;

	while (*link) {
		parent = *link;
		o = rb_entry(parent, struct thin2_origin, node);
		if (uid == o->uid)
			return o;
		link = uid < o->uid ? &parent->rb_left : &parent->rb_right;
	}
	o = kzalloc(sizeof(*o), GFP_NOIO);
	if (!o)
		return NULL;
	o->uid = uid;
	INIT_LIST_HEAD(&o->list);
	rb_link_node(&o->node, parent, link);
	rb_insert_color(&o->node, &md->origins);
	md->nr_origins++;
	return o;
}

static void origin_free(struct thin2_md *md, struct thin2_origin *o)
{
	if (o->tombstone)
		md->nr_tombstones--;
	if (!list_empty(&o->list))
		WRITE_ONCE(md->nr_childless, md->nr_childless - 1);
	list_del(&o->list);
	rb_erase(&o->node, &md->origins);
	md->nr_origins--;
	kfree(o);
}

static void origin_is_tombstone(struct thin2_md *md, struct thin2_origin *o)
{
	o->tombstone = true;
	md->nr_tombstones++;
}

static void origin_childless(struct thin2_md *md, struct thin2_origin *o)
{
	list_add_tail(&o->list, &md->childless);
	WRITE_ONCE(md->nr_childless, md->nr_childless + 1);
}

/* An entry that named @uid as its origin is gone. */
static void child_gone(struct thin2_md *md, u64 uid)
{
	struct thin2_origin *o = uid ? origin_find(md, uid) : NULL;

	if (!o || --o->children)
		return;
	if (o->tombstone)
		origin_childless(md, o);
	else
		origin_free(md, o);
}

/* ---- what the details say ---- */

static int load_entry(void *context, u64 key, const void *value)
{
	struct thin2_md *md = context;
	struct thin2_origin *o;
	struct thin2_details d;

	cond_resched();
	thin2_details_unpack(value, &d);
	if (d.flags & PDATA_THIN_TOMBSTONE) {
		o = origin_get(md, d.uid);
		if (!o)
			return -ENOMEM;
		if (!o->tombstone)
			origin_is_tombstone(md, o);
	}
	if (!d.origin_uid)
		return 0;
	o = origin_get(md, d.origin_uid);
	if (!o)
		return -ENOMEM;
	o->children++;
	return 0;
}

int thin2_origins_load(struct thin2_md *md)
{
	struct rb_node *node;
	int r;

	/* The clock stands at the beginning: there has never been a snapshot. */
	if (!md->sb.time)
		return 0;
	r = thin2_details_walk(md, load_entry, md);
	if (r == -ENOMEM)
		return r;
	if (r) {
		pdata_err("%s: some details cannot be read (%s): tombstones stay until repair",
			  md->name, pdata_error_text(r));
		md->origins_lost = true;
		return 0;
	}
	for (node = rb_first(&md->origins); node; node = rb_next(node)) {
		struct thin2_origin *o = rb_entry(node, struct thin2_origin, node);

		if (!o->children)
			origin_childless(md, o);
	}
	return 0;
}

void thin2_origins_exit(struct thin2_md *md)
{
	struct rb_node *node;

	while ((node = rb_first(&md->origins))) {
		origin_free(md, rb_entry(node, struct thin2_origin, node));
		cond_resched();
	}
}

u64 thin2_origins_growth(const struct thin2_md *md)
{
	const u64 alive = md->nr_origins - md->nr_tombstones;

	return alive ? 2 * thin2_details_nodes(md, alive) : 0;
}

/* ---- snapshots come and go ---- */

int thin2_origin_prepare(struct thin2_md *md, u64 uid)
{
	return origin_get(md, uid) ? 0 : -ENOMEM;
}

void thin2_origin_unprepare(struct thin2_md *md, u64 uid)
{
	struct thin2_origin *o = origin_find(md, uid);

	if (o && !o->children && !o->tombstone)
		origin_free(md, o);
}

void thin2_origin_add_child(struct thin2_md *md, u64 uid)
{
	struct thin2_origin *o = origin_find(md, uid);

	if (o)
		o->children++;
}

static int write_tombstone(struct thin2_md *md, const struct thin2_details *d)
{
	const struct thin2_details t = {
		.uid = d->uid,
		.applied_seq = d->applied_seq,
		.origin_uid = d->origin_uid,
		.origin_seq = d->origin_seq,
		.created_gen = d->created_gen,
		.id = d->id,
		.flags = PDATA_THIN_TOMBSTONE,
		.create_time = d->create_time,
		.snap_time = d->snap_time,
	};

	return thin2_details_write(md, &t);
}

int thin2_origin_delete(struct thin2_md *md, const struct thin2_details *d)
{
	struct thin2_origin *o = origin_find(md, d->uid);
	int r = 0;

	if (o || md->origins_lost)
		r = write_tombstone(md, d);
	if (!r)
		r = thin2_details_remove(md, d->id);
	if (r)
		return r;
	if (o)
		origin_is_tombstone(md, o);
	else if (!md->origins_lost)
		child_gone(md, d->origin_uid);
	return 0;
}

/* ---- in the background ---- */

/* What cannot be read now stays, and all above it. */
static int remove_tombstone(struct thin2_md *md, struct thin2_origin *o)
{
	const u64 key = PDATA_TOMBSTONE_KEY(o->uid);
	struct pdata_details_disk disk;
	int r;

	r = thin2_details_lookup(md, key, &disk);
	if (r == -ENOMEM)
		return r;
	if (!r)
		r = thin2_details_remove(md, key);
	else
		pdata_err_limit("%s: tombstone of uid %llu stays until repair: %s", md->name,
				o->uid, pdata_error_text(r));
	if (md->tm.failed)
		return r;
	origin_free(md, o);
	if (!r)
		child_gone(md, le64_to_cpu(disk.origin_uid));
	return 0;
}

/* Each removal changes both trees; what is common to their paths is not looked for. */
static u64 remove_blocks(struct thin2_md *md, unsigned int nr)
{
	return thin2_commit_blocks(md, 0) + 2 * THIN2_PATH_BLOCKS * (u64)nr;
}

int thin2_tombstones_step(struct thin2_md *md, unsigned int nr)
{
	struct thin2_origin *o;
	int r;

	if (!md->nr_childless)
		return 0;
	while (nr > 1 && pdata_sm_free(&md->tm.sm, false) < remove_blocks(md, nr))
		nr /= 2;
	r = thin2_step_room(md, remove_blocks(md, nr));
	while (!r && nr-- && !list_empty(&md->childless)) {
		o = list_first_entry(&md->childless, struct thin2_origin, list);
		r = remove_tombstone(md, o);
	}
	return r;
}
