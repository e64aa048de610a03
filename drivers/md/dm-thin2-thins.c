// SPDX-License-Identifier: GPL-2.0-only
/*
 * The thins of a pool that are in memory, and those among them that a commit or
 * a checkpoint has to look at: there may be 10^5 open thins, of which a few
 * change.
 *
 * Touched: their details are to be written by the next commit, or were by the
 * one under way.
 *
 * Changed: they have records, or charged for some. I/O notes a thin on
 * md->noted, under th->lock; whoever looks at md->changed, under meta_lock,
 * first collects them. Only a checkpoint's end lets go of thins.
 */
#include "dm-thin2-internal.h"

struct thin2_dev *thin2_dev_find(struct thin2_md *md, u32 id)
{
	struct rb_node *node = md->by_id.rb_node;
	struct thin2_dev *th;

	while (node) {
		th = rb_entry(node, struct thin2_dev, node);
		if (th->id == id)
			return th;
		node = id < th->id ? node->rb_left : node->rb_right;
	}
	return NULL;
}

void thin2_thins_add(struct thin2_dev *th)
{
	struct rb_node **link = &th->md->by_id.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = th->id < rb_entry(parent, struct thin2_dev, node)->id ?
		       &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&th->node, parent, link);
	rb_insert_color(&th->node, &th->md->by_id);
	list_add_tail(&th->list, &th->md->thins);
	INIT_LIST_HEAD(&th->touched_list);
	INIT_LIST_HEAD(&th->changed_list);
}

void thin2_thins_del(struct thin2_dev *th)
{
	struct thin2_md *md = th->md;
	unsigned long flags;

	rb_erase(&th->node, &md->by_id);
	list_del(&th->list);
	if (th->details_dirty)
		md->nr_touched--;
	list_del(&th->touched_list);
	spin_lock_irqsave(&md->noted_lock, flags);
	list_del(&th->changed_list);
	spin_unlock_irqrestore(&md->noted_lock, flags);
	if (th->noted)
		atomic_dec(&md->nr_noted);
}

void thin2_details_touch(struct thin2_dev *th)
{
	if (!th->details_dirty)
		th->md->nr_touched++;
	th->details_dirty = true;
	if (list_empty(&th->touched_list))
		list_add_tail(&th->touched_list, &th->md->touched);
}

void thin2_note_changed(struct thin2_dev *th)
{
	lockdep_assert_held(&th->lock);
	if (likely(th->noted))
		return;
	th->noted = true;
	spin_lock(&th->md->noted_lock);
	list_add_tail(&th->changed_list, &th->md->noted);
	spin_unlock(&th->md->noted_lock);
	atomic_inc(&th->md->nr_noted);
}

struct list_head *thin2_changed(struct thin2_md *md)
{
	unsigned long flags;

	lockdep_assert_held(&md->meta_lock);
	spin_lock_irqsave(&md->noted_lock, flags);
	list_splice_tail_init(&md->noted, &md->changed);
	spin_unlock_irqrestore(&md->noted_lock, flags);
	return &md->changed;
}

void thin2_forget_unchanged(struct thin2_md *md)
{
	struct thin2_delta_list unused;
	struct thin2_dev *th, *tmp;
	unsigned long flags;
	bool changed;

	list_for_each_entry_safe(th, tmp, thin2_changed(md), changed_list) {
		thin2_delta_list_init(&unused, 0);
		spin_lock_irqsave(&th->lock, flags);
		/* A write in flight was noted when it began and has its record to come. */
		changed = th->active.nr || th->frozen.nr || th->credits || th->pending;
		if (!changed) {
			list_del_init(&th->changed_list);
			th->noted = false;
			atomic_dec(&md->nr_noted);
			unused = th->active;
			thin2_delta_list_init(&th->active, unused.tag);
		}
		spin_unlock_irqrestore(&th->lock, flags);
		thin2_delta_list_free(&unused, NULL);
		/* Closed while it had changes, which are all in the trees by now. */
		if (!changed && !th->open_count && !thin2_dev_is_dirty(th))
			thin2_dev_destroy(th);
	}
}
