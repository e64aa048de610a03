// SPDX-License-Identifier: GPL-2.0-only
/*
 * Metadata space map: counts, allocation, quarantine, pins.
 *
 * A block may be handed out if its working count is 0 and it is not in
 * quarantine. Both are known for loaded groups only, so an allocation looks at
 * those first, then loads more, and opens a group never used before only when
 * there is no other free block left.
 */
#include "pdata-space-map-metadata.h"
#include "pdata-fault.h"
#include "pdata-layout.h"

/* What is derived from a loaded group's counts. */
struct pdata_sm_group {
	u32 free;		/* count 0 and not in quarantine */
	bool damaged;
	DECLARE_BITMAP(quarantine, PDATA_COUNTS_PER_BLOCK);
};

#define FREED_MAX	500	/* blocks in one struct sm_freed: about a page */

/* Blocks freed by the transaction of one generation. */
struct sm_freed {
	struct list_head list;
	u64 generation;
	unsigned int nr;
	u64 block[FREED_MAX];
};

/* ---- groups ---- */

/* Blocks of a group that are not reserved. */
static u64 group_capacity(const struct pdata_sm_meta *sm, u64 group)
{
	u64 begin = pdata_group_begin(group);
	u64 end = min(pdata_group_begin(group + 1), sm->nr_blocks);
	u64 first = max(begin, pdata_journal_end(sm->journal_blocks));
	u64 n;
	unsigned int i;

	if (first >= end)
		return 0;
	n = end - first;
	for (i = 0; i < 2; i++)
		if (pdata_counts_place(group, i) >= first && pdata_counts_place(group, i) < end)
			n--;
	if (PDATA_SB_BACKUP >= first && PDATA_SB_BACKUP < end)
		n--;
	return n;
}

static u64 initialised_capacity(const struct pdata_sm_meta *sm)
{
	u64 g, n = 0;

	for (g = 0; g < sm->counts.nr_groups; g++)
		n += group_capacity(sm, g);
	return n;
}

/* A new group: what never can be allocated is in use for ever. */
static int group_reserve(struct pdata_sm_meta *sm, u64 group)
{
	u64 b, begin = pdata_group_begin(group);
	int r;

	for (b = begin; b < begin + PDATA_COUNTS_PER_BLOCK; b++) {
		if (!pdata_is_reserved(b, sm->journal_blocks))
			continue;
		r = pdata_array_set(&sm->counts, b, 1);
		if (r)
			return r;
	}
	return 0;
}

/* Free blocks among [begin, end) of a group, none of them in quarantine yet. */
static u32 group_count_free(struct pdata_sm_meta *sm, u64 begin, u64 end)
{
	u32 n = 0;
	u64 b;

	for (b = begin; b < end; b++)
		n += !pdata_array_get(&sm->counts, b);
	return n;
}

static int group_load(struct pdata_sm_meta *sm, u64 group)
{
	struct pdata_sm_group *g;
	bool fresh = group == sm->counts.nr_groups;
	u64 end = min(pdata_group_begin(group + 1), sm->nr_blocks);
	int r;

	if (group >= sm->counts.max_groups)
		return -PDATA_E_OUT_OF_RANGE;
	if (sm->group[group])
		return 0;
	g = kzalloc(sizeof(*g), GFP_NOIO);
	if (!g)
		return -ENOMEM;
	r = pdata_array_load(&sm->counts, group);
	if (!r && fresh)
		r = group_reserve(sm, group);
	if (r == -ENOMEM || r == -PDATA_E_OUT_OF_RANGE) {
		kfree(g);
		return r;
	}
	if (fresh)
		sm->capacity += group_capacity(sm, group);
	if (r) {
		g->damaged = true;
		sm->lost += group_capacity(sm, group);
	} else {
		g->free = group_count_free(sm, pdata_group_begin(group), end);
		sm->loaded_free += g->free;
	}
	sm->group[group] = g;
	return 0;
}

int pdata_sm_load(struct pdata_sm_meta *sm, u64 block)
{
	u64 group = pdata_group_of(block);

	if (block >= sm->nr_blocks || group >= sm->counts.max_groups)
		return -PDATA_E_OUT_OF_RANGE;
	/* Asking about a group does not initialise it. */
	return group < sm->counts.nr_groups ? group_load(sm, group) : 0;
}

/* ---- quarantine ---- */

/* Room for one more block, so that putting it in cannot fail. */
static struct sm_freed *quarantine_room(struct pdata_sm_meta *sm)
{
	struct sm_freed *f;

	if (!list_empty(&sm->quarantine)) {
		f = list_last_entry(&sm->quarantine, struct sm_freed, list);
		if (f->generation == sm->generation && f->nr < FREED_MAX)
			return f;
	}
	f = kmalloc(sizeof(*f), GFP_NOIO);
	if (!f)
		return NULL;
	f->generation = sm->generation;
	f->nr = 0;
	list_add_tail(&f->list, &sm->quarantine);
	return f;
}

static void quarantine_end(struct pdata_sm_meta *sm, struct sm_freed *f)
{
	struct pdata_sm_group *g;
	unsigned int i;
	u32 offset;

	for (i = 0; i < f->nr; i++) {
		g = sm->group[div_u64_rem(f->block[i], PDATA_COUNTS_PER_BLOCK, &offset)];
		__clear_bit(offset, g->quarantine);
		g->free++;
	}
	sm->quarantined -= f->nr;
	sm->loaded_free += f->nr;
	list_del(&f->list);
	kfree(f);
}

/* Let go what is neither reachable from the durable checkpoint nor by a reader. */
static void quarantine_release(struct pdata_sm_meta *sm)
{
	struct sm_freed *f, *next;
	unsigned long flags;
	u64 limit;

	spin_lock_irqsave(&sm->reader_lock, flags);
	limit = sm->published;
	if (!list_empty(&sm->readers))
		limit = list_first_entry(&sm->readers, struct pdata_pin, list)->generation;
	spin_unlock_irqrestore(&sm->reader_lock, flags);

	list_for_each_entry_safe(f, next, &sm->quarantine, list) {
		if (f->generation > limit)
			break;
		quarantine_end(sm, f);
	}
}

/* ---- allocation ---- */

u64 pdata_sm_free(const struct pdata_sm_meta *sm, bool with_quarantine)
{
	u64 taken = sm->used + sm->lost;

	if (!with_quarantine)
		taken += sm->quarantined;
	return sm->total > taken ? sm->total - taken : 0;
}

/* May an initialised group that is not loaded have a free block? */
static bool unloaded_has_free(const struct pdata_sm_meta *sm)
{
	if (sm->lost)
		return true;	/* how much of used lies there is unknown */
	return sm->capacity > sm->used + sm->quarantined + sm->loaded_free;
}

static bool block_is_free(struct pdata_sm_meta *sm, const struct pdata_sm_group *g, u64 block,
			  u32 offset)
{
	return !pdata_array_get(&sm->counts, block) && !test_bit(offset, g->quarantine);
}

/* First free block of a loaded group from @offset on, wrapping round. */
static int group_find(struct pdata_sm_meta *sm, u64 group, u32 offset, u64 *block)
{
	const struct pdata_sm_group *g = sm->group[group];
	u64 begin = pdata_group_begin(group);
	u32 i, n = min_t(u64, PDATA_COUNTS_PER_BLOCK, sm->nr_blocks - begin);

	if (!g->free)
		return -PDATA_E_META_NOSPC;
	for (i = 0; i < n; i++, offset++) {
		if (offset >= n)
			offset = 0;
		if (block_is_free(sm, g, begin + offset, offset)) {
			*block = begin + offset;
			return 0;
		}
	}
	return -PDATA_E_META_NOSPC;
}

/* Search all initialised groups from the cursor on, loading what is not loaded with @load. */
static int find_initialised(struct pdata_sm_meta *sm, bool load, u64 *block)
{
	u32 offset;
	u64 g = div_u64_rem(sm->cursor, PDATA_COUNTS_PER_BLOCK, &offset);
	u64 i;
	int r;

	for (i = 0; i < sm->counts.nr_groups; i++, g++, offset = 0) {
		if (g >= sm->counts.nr_groups) {
			g = 0;
			offset = 0;
		}
		if (!sm->group[g]) {
			if (!load)
				continue;
			r = group_load(sm, g);
			if (r)
				return r;
		}
		if (!group_find(sm, g, offset, block))
			return 0;
		if (load && !unloaded_has_free(sm))
			break;
	}
	return -PDATA_E_META_NOSPC;
}

static int find_free(struct pdata_sm_meta *sm, u64 *block)
{
	u64 group;
	int r = -PDATA_E_META_NOSPC;

	if (sm->loaded_free)
		r = find_initialised(sm, false, block);
	if (r == -PDATA_E_META_NOSPC && unloaded_has_free(sm))
		r = find_initialised(sm, true, block);
	while (r == -PDATA_E_META_NOSPC && sm->counts.nr_groups < sm->counts.max_groups) {
		group = sm->counts.nr_groups;
		r = group_load(sm, group);
		if (!r)
			r = group_find(sm, group, 0, block);
	}
	return r;
}

int pdata_sm_alloc(struct pdata_sm_meta *sm, u64 *block, bool use_reserve)
{
	u64 keep = use_reserve ? 0 : sm->reserve;
	u64 b;
	int r;

	if (pdata_fault(META_ALLOC))
		return -PDATA_E_META_NOSPC;
	/* A reader may have left since the last commit. */
	if (pdata_sm_free(sm, false) <= keep)
		quarantine_release(sm);
	if (pdata_sm_free(sm, false) <= keep)
		return -PDATA_E_META_NOSPC;
	r = find_free(sm, &b);
	if (r)
		return r;
	r = pdata_array_set(&sm->counts, b, 1);
	if (r)
		return r;
	sm->group[pdata_group_of(b)]->free--;
	sm->loaded_free--;
	sm->used++;
	sm->cursor = b + 1;
	*block = b;
	return 0;
}

/* ---- counts ---- */

static int count_load(struct pdata_sm_meta *sm, u64 block, u32 *count)
{
	int r = pdata_sm_load(sm, block);

	if (r)
		return r;
	if (pdata_group_of(block) < sm->counts.nr_groups)
		*count = pdata_array_get(&sm->counts, block);
	else
		*count = pdata_is_reserved(block, sm->journal_blocks);
	return 0;
}

int pdata_sm_get(struct pdata_sm_meta *sm, u64 block, u32 *count)
{
	return count_load(sm, block, count);
}

static int count_refuse(struct pdata_sm_meta *sm, u64 block, u32 count, const char *what)
{
	pdata_err_limit("%s: refused to %s the count of metadata block %llu, which is %u",
			sm->bm->name, what, block, count);
	return -PDATA_E_COUNT;
}

int pdata_sm_inc(struct pdata_sm_meta *sm, u64 block)
{
	u32 count;
	int r = count_load(sm, block, &count);

	if (r || count == PDATA_SM_UNKNOWN)
		return r;
	if (!count || count == PDATA_SM_UNKNOWN - 1 ||
	    pdata_is_reserved(block, sm->journal_blocks))
		return count_refuse(sm, block, count, "raise");
	return pdata_array_set(&sm->counts, block, count + 1);
}

static int drop_last(struct pdata_sm_meta *sm, u64 block)
{
	u32 offset;
	u64 group = div_u64_rem(block, PDATA_COUNTS_PER_BLOCK, &offset);
	struct pdata_sm_group *g = sm->group[group];
	struct sm_freed *f = NULL;
	int r;

	if (!pdata_sm_is_new(sm, block)) {
		f = quarantine_room(sm);
		if (!f)
			return -ENOMEM;
	}
	r = pdata_array_set(&sm->counts, block, 0);
	if (r)
		return r;
	sm->used--;
	if (f) {
		f->block[f->nr++] = block;
		__set_bit(offset, g->quarantine);
		sm->quarantined++;
	} else {
		g->free++;
		sm->loaded_free++;
	}
	return 0;
}

int pdata_sm_dec(struct pdata_sm_meta *sm, u64 block, u32 *count)
{
	u32 old;
	int r = count_load(sm, block, &old);

	if (r)
		return r;
	if (old == PDATA_SM_UNKNOWN) {
		*count = old;
		return 0;
	}
	if (!old || pdata_is_reserved(block, sm->journal_blocks))
		return count_refuse(sm, block, old, "lower");
	r = old > 1 ? pdata_array_set(&sm->counts, block, old - 1) : drop_last(sm, block);
	if (!r)
		*count = old - 1;
	return r;
}

bool pdata_sm_is_new(struct pdata_sm_meta *sm, u64 block)
{
	if (block >= sm->nr_blocks || !sm->group[pdata_group_of(block)])
		return false;
	return pdata_array_get(&sm->counts, block) && !pdata_array_get_old(&sm->counts, block);
}

/* ---- life ---- */

int pdata_sm_init(struct pdata_sm_meta *sm, struct pdata_bm *bm, const struct pdata_super *sb)
{
	u64 max_groups = pdata_nr_groups(sb->meta_blocks);
	int r;

	memset(sm, 0, sizeof(*sm));
	sm->bm = bm;
	sm->nr_blocks = sb->meta_blocks;
	sm->journal_blocks = sb->journal_blocks;
	sm->used = sb->meta_used;
	sm->total = sm->nr_blocks - pdata_nr_reserved(sm->nr_blocks, sm->journal_blocks);
	sm->generation = sb->generation + 1;
	INIT_LIST_HEAD(&sm->quarantine);
	spin_lock_init(&sm->reader_lock);
	INIT_LIST_HEAD(&sm->readers);
	sm->published = sb->generation;
	sm->published_data_sm = sb->data_sm_root;
	sm->published_details = sb->details_root;
	if (sb->meta_blocks > bm->nr_blocks)
		return -PDATA_E_SHRUNK;

	sm->group = kvcalloc(max_groups, sizeof(*sm->group), GFP_NOIO);
	if (!sm->group)
		return -ENOMEM;
	r = pdata_array_init(&sm->counts, bm, sb->meta_groups, max_groups, sb->generation,
			     sb->slots);
	if (r) {
		kvfree(sm->group);
		sm->group = NULL;
		return r;
	}
	sm->capacity = initialised_capacity(sm);
	return 0;
}

void pdata_sm_exit(struct pdata_sm_meta *sm)
{
	struct sm_freed *f, *next;
	u64 g;

	if (!sm->group)
		return;
	list_for_each_entry_safe(f, next, &sm->quarantine, list) {
		list_del(&f->list);
		kfree(f);
	}
	for (g = 0; g < sm->counts.max_groups; g++)
		kfree(sm->group[g]);
	kvfree(sm->group);
	sm->group = NULL;
	pdata_array_exit(&sm->counts);
}

static int groups_grow(struct pdata_sm_meta *sm, u64 max_groups)
{
	struct pdata_sm_group **group;
	u64 old = sm->counts.max_groups;
	int r;

	if (max_groups <= old)
		return 0;
	group = kvcalloc(max_groups, sizeof(*group), GFP_NOIO);
	if (!group)
		return -ENOMEM;
	r = pdata_array_grow(&sm->counts, max_groups);
	if (r) {
		kvfree(group);
		return r;
	}
	memcpy(group, sm->group, old * sizeof(*group));
	kvfree(sm->group);
	sm->group = group;
	return 0;
}

int pdata_sm_grow(struct pdata_sm_meta *sm, u64 nr_blocks)
{
	u64 old = sm->nr_blocks;
	u64 last = pdata_group_of(old);
	struct pdata_sm_group *g;
	u32 more;
	int r;

	if (nr_blocks < old)
		return -PDATA_E_SHRUNK;
	if (nr_blocks > PDATA_MAX_BLOCKS)
		return -PDATA_E_LIMIT;
	g = last < sm->counts.max_groups ? sm->group[last] : NULL;
	r = groups_grow(sm, pdata_nr_groups(nr_blocks));
	if (r)
		return r;
	if (g && g->damaged)
		sm->lost -= group_capacity(sm, last);
	sm->nr_blocks = nr_blocks;
	WRITE_ONCE(sm->bm->nr_blocks, nr_blocks);
	sm->total = nr_blocks - pdata_nr_reserved(nr_blocks, sm->journal_blocks);
	sm->capacity = initialised_capacity(sm);
	if (g && g->damaged) {
		sm->lost += group_capacity(sm, last);
	} else if (g) {
		more = group_count_free(sm, old, min(pdata_group_begin(last + 1), nr_blocks));
		g->free += more;
		sm->loaded_free += more;
	}
	return 0;
}

int pdata_sm_scrub(struct pdata_sm_meta *sm)
{
	return pdata_array_scrub(&sm->counts);
}

/* ---- commit ---- */

int pdata_sm_write(struct pdata_sm_meta *sm)
{
	return pdata_array_write(&sm->counts, sm->generation);
}

void pdata_sm_committed(struct pdata_sm_meta *sm, const struct pdata_super *sb)
{
	unsigned long flags;

	/* A reader between the two steps is told to try again. */
	pdata_array_committed(&sm->counts, sb->generation);
	spin_lock_irqsave(&sm->reader_lock, flags);
	sm->published = sb->generation;
	sm->published_data_sm = sb->data_sm_root;
	sm->published_details = sb->details_root;
	spin_unlock_irqrestore(&sm->reader_lock, flags);
	sm->generation = sb->generation + 1;
	quarantine_release(sm);
}

/* ---- readers ---- */

void pdata_sm_pin(struct pdata_sm_meta *sm, struct pdata_pin *pin)
{
	unsigned long flags;

	spin_lock_irqsave(&sm->reader_lock, flags);
	pin->generation = sm->published;
	pin->data_sm_root = sm->published_data_sm;
	pin->details_root = sm->published_details;
	/* published never goes back: the list stays sorted. */
	list_add_tail(&pin->list, &sm->readers);
	spin_unlock_irqrestore(&sm->reader_lock, flags);
}

void pdata_sm_unpin(struct pdata_sm_meta *sm, struct pdata_pin *pin)
{
	unsigned long flags;

	spin_lock_irqsave(&sm->reader_lock, flags);
	list_del_init(&pin->list);
	spin_unlock_irqrestore(&sm->reader_lock, flags);
}

int pdata_sm_get_committed(struct pdata_sm_meta *sm, const struct pdata_pin *pin,
			   u64 block, u32 *count)
{
	return pdata_array_get_committed(&sm->counts, block, pin->generation, count);
}
