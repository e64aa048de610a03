// SPDX-License-Identifier: GPL-2.0-only
/* Two-slot array: numbers updated in place, atomic with the checkpoint. */
#include "pdata-array.h"
#include "pdata-layout.h"

/* One group in memory. */
struct pdata_array_leaf {
	struct list_head list;	/* pdata_array.dirty */
	u64 group;
	u32 *count;		/* working values; NULL = damaged group */
	u32 *committed;		/* values before this transaction; NULL = not dirty */
	int err;		/* why the group is damaged */
	u8 slot;		/* where the committed content is */
	u8 fresh;		/* nothing of it was ever committed */
};

#define COUNTS_BYTES	(PDATA_COUNTS_PER_BLOCK * sizeof(u32))

/* ---- reading slots ---- */

struct slot {
	struct pdata_counts *disk;
	int err;		/* of the device or of the checker */
	u64 generation;		/* as its header says, if @known */
	bool known;
};

/*
 * A crc that does not match although the header looks right: would it match
 * with one bit of the generation flipped back? Then the generation is what went
 * bad and says nothing.
 */
static bool generation_flipped(struct pdata_check *c, struct pdata_counts *d)
{
	unsigned int bit;

	for (bit = 0; bit < 64; bit++) {
		d->h.generation ^= cpu_to_le64(1ULL << bit);
		if (!pdata_block_check(c, d))
			return true;
		d->h.generation ^= cpu_to_le64(1ULL << bit);
	}
	return false;
}

static void slot_read(struct pdata_array *a, u64 group, unsigned int nr, struct slot *s)
{
	struct pdata_check c = {
		.block = pdata_counts_place(group, nr),
		.type = PDATA_TYPE_COUNTS,
		.uuid = a->bm->uuid,
		.max_generation = ~0ULL,
		.nr_blocks = a->bm->nr_blocks,
	};
	const struct pdata_header *h = &s->disk->h;

	s->known = false;
	s->err = pdata_io_read(a->bm->io, c.block, s->disk);
	if (s->err)
		return;
	s->err = pdata_block_check(&c, s->disk);
	s->generation = le64_to_cpu(h->generation);
	s->known = le32_to_cpu(h->magic) == c.type && le64_to_cpu(h->blocknr) == c.block &&
		   !memcmp(h->uuid, c.uuid, PDATA_UUID_SIZE);
	if (s->err && s->known && generation_flipped(&c, s->disk))
		s->known = false;
}

/* Of a checkpoint up to @generation. */
static bool slot_usable(const struct slot *s, u64 generation)
{
	return !s->err && s->generation <= generation;
}

/*
 * The superblock says which slot holds the content. Slots are written in turn,
 * so that the other one is older, unless the write to this was lost.
 */
static int slot_named(const struct slot *s, unsigned int nr, u64 generation)
{
	if (s[nr].err)
		return s[nr].err;
	if (s[nr].generation > generation)
		return -PDATA_E_GENERATION;
	if (slot_usable(&s[!nr], generation) && s[!nr].generation >= s[nr].generation)
		return -PDATA_E_STALE;
	return nr;
}

/*
 * The same for groups of which the superblock says nothing: the newest slot,
 * unless the other one cannot be read and may have been that.
 */
static int slot_newest(const struct slot *s, u64 generation)
{
	bool ok0 = slot_usable(&s[0], generation);
	bool ok1 = slot_usable(&s[1], generation);
	const struct slot *other;
	int best;

	if (!ok0 && !ok1) {
		if (s[0].err)
			return s[0].err;
		return s[1].err ? s[1].err : -PDATA_E_GENERATION;
	}
	if (ok0 && ok1)
		return s[1].generation > s[0].generation;
	best = ok1;
	other = &s[!best];
	if (!other->err)
		return best;	/* written after the checkpoint, never committed */
	if (other->known &&
	    (other->generation == generation + 1 || other->generation <= s[best].generation))
		return best;
	return other->err;
}

static int slots_alloc(struct slot *s)
{
	s[0].disk = pdata_block_alloc(GFP_NOIO);
	s[1].disk = pdata_block_alloc(GFP_NOIO);
	return s[0].disk && s[1].disk ? 0 : -ENOMEM;
}

static void slots_free(struct slot *s)
{
	if (s[0].disk)
		pdata_block_free(s[0].disk);
	if (s[1].disk)
		pdata_block_free(s[1].disk);
}

static int slots_read(struct pdata_array *a, u64 group, struct slot *s)
{
	int r;

	slot_read(a, group, 0, &s[0]);
	slot_read(a, group, 1, &s[1]);
	if (group < a->named)
		r = slot_named(s, pdata_slot_of(a->slots, group), a->generation);
	else
		r = slot_newest(s, a->generation);
	if (r < 0 && r != -ENOMEM)
		pdata_err_limit("%s: space-map group %llu (blocks from %llu on) is damaged: %s",
				a->bm->name, group, pdata_group_begin(group),
				pdata_error_text(r));
	return r;
}

/* ---- leaves ---- */

static void leaf_free(struct pdata_array_leaf *leaf)
{
	if (!leaf)
		return;
	kfree(leaf->count);
	kfree(leaf->committed);
	kfree(leaf);
}

static struct pdata_array_leaf *leaf_alloc(u64 group)
{
	struct pdata_array_leaf *leaf = kzalloc(sizeof(*leaf), GFP_NOIO);

	if (!leaf)
		return NULL;
	INIT_LIST_HEAD(&leaf->list);
	leaf->group = group;
	leaf->count = kzalloc(COUNTS_BYTES, GFP_NOIO);
	if (!leaf->count) {
		kfree(leaf);
		return NULL;
	}
	return leaf;
}

static int leaf_fill(struct pdata_array *a, struct pdata_array_leaf *leaf)
{
	struct slot s[2] = { };
	unsigned int i;
	int r = slots_alloc(s);

	if (!r)
		r = slots_read(a, leaf->group, s);
	if (r >= 0) {
		leaf->slot = r;
		for (i = 0; i < PDATA_COUNTS_PER_BLOCK; i++)
			leaf->count[i] = le32_to_cpu(s[r].disk->count[i]);
		r = 0;
	} else if (r != -ENOMEM) {
		leaf->err = r;
		kfree(leaf->count);
		leaf->count = NULL;
		r = 0;
	}
	slots_free(s);
	return r;
}

/* The first change in a transaction keeps a copy of what is committed. */
static int leaf_make_dirty(struct pdata_array *a, struct pdata_array_leaf *leaf)
{
	u32 *copy;

	if (leaf->committed)
		return 0;
	copy = kmalloc(COUNTS_BYTES, GFP_NOIO);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, leaf->count, COUNTS_BYTES);
	spin_lock(&a->lock);
	leaf->committed = copy;
	spin_unlock(&a->lock);
	list_add_tail(&leaf->list, &a->dirty);
	a->nr_dirty++;
	return 0;
}

/* ---- interface ---- */

int pdata_array_init(struct pdata_array *a, struct pdata_bm *bm, u64 nr_groups,
		     u64 max_groups, u64 generation, const u8 *slots)
{
	unsigned int i;

	memset(a, 0, sizeof(*a));
	a->bm = bm;
	spin_lock_init(&a->lock);
	INIT_LIST_HEAD(&a->dirty);
	a->generation = generation;
	a->nr_groups = nr_groups;
	a->committed_groups = nr_groups;
	a->max_groups = max_groups;
	if (nr_groups > max_groups)
		return -PDATA_E_OUT_OF_RANGE;
	a->named = PDATA_SLOT_GROUPS;
	memcpy(a->slots, slots, sizeof(a->slots));
	a->leaf = kvcalloc(max_groups, sizeof(*a->leaf), GFP_NOIO);
	if (!a->leaf)
		return -ENOMEM;
	for (i = 0; i < PDATA_ARRAY_BATCH; i++) {
		a->buf[i] = pdata_block_alloc(GFP_NOIO);
		if (!a->buf[i]) {
			pdata_array_exit(a);
			return -ENOMEM;
		}
	}
	return 0;
}

void pdata_array_exit(struct pdata_array *a)
{
	unsigned int i;
	u64 g;

	for (i = 0; i < PDATA_ARRAY_BATCH; i++) {
		if (a->buf[i])
			pdata_block_free(a->buf[i]);
		a->buf[i] = NULL;
	}
	if (!a->leaf)
		return;
	for (g = 0; g < a->max_groups; g++)
		leaf_free(a->leaf[g]);
	kvfree(a->leaf);
	a->leaf = NULL;
}

int pdata_array_grow(struct pdata_array *a, u64 max_groups)
{
	struct pdata_array_leaf **leaf, **old = a->leaf;

	if (max_groups <= a->max_groups)
		return 0;
	leaf = kvcalloc(max_groups, sizeof(*leaf), GFP_NOIO);
	if (!leaf)
		return -ENOMEM;
	memcpy(leaf, old, a->max_groups * sizeof(*leaf));
	spin_lock(&a->lock);
	a->leaf = leaf;
	a->max_groups = max_groups;
	spin_unlock(&a->lock);
	kvfree(old);
	return 0;
}

int pdata_array_load(struct pdata_array *a, u64 group)
{
	struct pdata_array_leaf *leaf;
	int r = 0;

	if (group >= a->max_groups || group > a->nr_groups)
		return -PDATA_E_OUT_OF_RANGE;
	if (a->leaf[group])
		return a->leaf[group]->err;
	leaf = leaf_alloc(group);
	if (!leaf)
		return -ENOMEM;
	if (group == a->nr_groups) {
		leaf->fresh = true;
		r = leaf_make_dirty(a, leaf);
		if (!r)
			a->nr_groups++;
	} else {
		r = leaf_fill(a, leaf);
	}
	if (r) {
		leaf_free(leaf);
		return r;
	}
	spin_lock(&a->lock);
	a->leaf[group] = leaf;
	spin_unlock(&a->lock);
	return leaf->err;
}

static struct pdata_array_leaf *leaf_of(struct pdata_array *a, u64 index, u32 *offset)
{
	return a->leaf[div_u64_rem(index, PDATA_COUNTS_PER_BLOCK, offset)];
}

u32 pdata_array_get(struct pdata_array *a, u64 index)
{
	u32 i;
	const struct pdata_array_leaf *leaf = leaf_of(a, index, &i);

	return leaf->count ? leaf->count[i] : PDATA_ARRAY_BAD;
}

static u32 leaf_old(const struct pdata_array_leaf *leaf, u32 i)
{
	if (!leaf->count)
		return PDATA_ARRAY_BAD;
	return leaf->committed ? leaf->committed[i] : leaf->count[i];
}

u32 pdata_array_get_old(struct pdata_array *a, u64 index)
{
	u32 i;
	const struct pdata_array_leaf *leaf = leaf_of(a, index, &i);

	return leaf_old(leaf, i);
}

int pdata_array_set(struct pdata_array *a, u64 index, u32 value)
{
	u32 i;
	struct pdata_array_leaf *leaf = leaf_of(a, index, &i);
	int r;

	if (!leaf->count)
		return leaf->err;
	if (leaf->count[i] == value)
		return 0;
	r = leaf_make_dirty(a, leaf);
	if (r)
		return r;
	/* Readers use the committed copy from now on: no lock needed. */
	leaf->count[i] = value;
	return 0;
}

int pdata_array_get_committed(struct pdata_array *a, u64 index, u64 generation, u32 *value)
{
	u32 i;
	u64 group = div_u64_rem(index, PDATA_COUNTS_PER_BLOCK, &i);
	const struct pdata_array_leaf *leaf;
	int r = 0;

	spin_lock(&a->lock);
	leaf = group < a->max_groups ? a->leaf[group] : NULL;
	if (group >= a->max_groups)
		r = -PDATA_E_OUT_OF_RANGE;
	else if (generation != a->generation)
		r = -PDATA_E_RETRY;
	else if (group >= a->committed_groups)
		*value = 0;
	else if (!leaf)
		r = -PDATA_E_WOULD_SLEEP;
	else
		*value = leaf_old(leaf, i);
	spin_unlock(&a->lock);
	return r;
}

/* ---- writing ---- */

static int batch_write(struct pdata_array *a, struct pdata_io_vec *vec, unsigned int *nr)
{
	int r = *nr ? pdata_io_write(a->bm->io, vec, *nr, false) : 0;

	if (r)
		pdata_err("%s: cannot write the space map: error %d", a->bm->name, r);
	*nr = 0;
	return r;
}

static int slot_seal(struct pdata_array *a, const struct pdata_array_leaf *leaf,
		     unsigned int slot, u64 generation, struct pdata_counts *d)
{
	struct pdata_check c = {
		.block = pdata_counts_place(leaf->group, slot),
		.type = PDATA_TYPE_COUNTS,
		.uuid = a->bm->uuid,
		.max_generation = generation,
		.nr_blocks = a->bm->nr_blocks,
	};
	unsigned int i;
	int r;

	memset(&d->h, 0, sizeof(d->h));
	d->h.magic = cpu_to_le32(PDATA_TYPE_COUNTS);
	d->h.owner = cpu_to_le64(PDATA_OWNER_META_SM);
	for (i = 0; i < PDATA_COUNTS_PER_BLOCK; i++)
		d->count[i] = cpu_to_le32(leaf->count[i]);
	r = pdata_block_seal(&c, d);
	if (r)
		pdata_err("%s: space-map block %llu refused: %s: %s is %#llx, expected %#llx",
			  a->bm->name, c.block, pdata_error_text(r), c.what, c.found, c.expected);
	return r;
}

/* Where the next commit puts a dirty group, and its committed content is from then on. */
static unsigned int next_slot(const struct pdata_array_leaf *leaf)
{
	return leaf->fresh ? 0 : !leaf->slot;
}

static bool slot_is_spare(const struct pdata_array_leaf *leaf, unsigned int slot)
{
	return leaf->fresh && slot;
}

static void set_slot(u8 *slots, u64 group, unsigned int slot)
{
	if (group >= PDATA_SLOT_GROUPS)
		return;
	if (slot)
		slots[group / 8] |= 1 << group % 8;
	else
		slots[group / 8] &= ~(1 << group % 8);
}

void pdata_array_next_slots(const struct pdata_array *a, u8 *slots)
{
	const struct pdata_array_leaf *leaf;

	memcpy(slots, a->slots, sizeof(a->slots));
	list_for_each_entry(leaf, &a->dirty, list)
		set_slot(slots, leaf->group, next_slot(leaf));
}

int pdata_array_write(struct pdata_array *a, u64 generation)
{
	struct pdata_io_vec vec[PDATA_ARRAY_BATCH];
	struct pdata_array_leaf *leaf;
	unsigned int nr = 0, slot, slots;
	int r;

	list_for_each_entry(leaf, &a->dirty, list) {
		slot = next_slot(leaf);
		for (slots = leaf->fresh ? 2 : 1; slots; slots--, slot ^= 1) {
			/* Both slots of a new group: one is older. */
			r = slot_seal(a, leaf, slot, generation - slot_is_spare(leaf, slot),
				      a->buf[nr]);
			if (r)
				return r;
			vec[nr].block = pdata_counts_place(leaf->group, slot);
			vec[nr].data = a->buf[nr];
			if (++nr < PDATA_ARRAY_BATCH)
				continue;
			r = batch_write(a, vec, &nr);
			if (r)
				return r;
		}
	}
	return batch_write(a, vec, &nr);
}

void pdata_array_committed(struct pdata_array *a, u64 generation)
{
	struct pdata_array_leaf *leaf, *next;

	/* Readers must see all of the new version or none of it. */
	spin_lock(&a->lock);
	a->generation = generation;
	a->committed_groups = a->nr_groups;
	list_for_each_entry_safe(leaf, next, &a->dirty, list) {
		list_del_init(&leaf->list);
		leaf->slot = next_slot(leaf);
		set_slot(a->slots, leaf->group, leaf->slot);
		leaf->fresh = false;
		kfree(leaf->committed);
		leaf->committed = NULL;
	}
	spin_unlock(&a->lock);
	a->nr_dirty = 0;
}

/* ---- after an unclean stop ---- */

/* What is written is older than what it is a copy of. */
static int scrub_slot(struct pdata_array *a, u64 group, unsigned int slot,
		      struct pdata_counts *d)
{
	struct pdata_check c = {
		.block = pdata_counts_place(group, slot),
		.type = PDATA_TYPE_COUNTS,
		.uuid = a->bm->uuid,
		.max_generation = le64_to_cpu(d->h.generation) - 1,
		.nr_blocks = a->bm->nr_blocks,
	};
	struct pdata_io_vec vec = { .block = c.block, .data = d };
	int r = pdata_block_seal(&c, d);

	return r ? r : pdata_io_write(a->bm->io, &vec, 1, false);
}

static int scrub_group(struct pdata_array *a, u64 group, struct slot *s, bool *wrote)
{
	int best = slots_read(a, group, s);

	if (best < 0 || slot_usable(&s[!best], a->generation))
		return 0;
	*wrote = true;
	return scrub_slot(a, group, !best, s[best].disk);
}

int pdata_array_scrub(struct pdata_array *a)
{
	struct slot s[2] = { };
	bool wrote = false;
	u64 group;
	int r = slots_alloc(s);

	for (group = 0; !r && group < a->nr_groups; group++)
		r = scrub_group(a, group, s, &wrote);
	slots_free(s);
	if (!r && wrote)
		r = pdata_io_flush(a->bm->io);
	if (r)
		pdata_err("%s: cannot clean the space map after an unclean stop: error %d",
			  a->bm->name, r);
	return r;
}
