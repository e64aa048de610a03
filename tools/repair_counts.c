// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_repair: the counts of metadata blocks, as the checkpoint has them.
 *
 * They are evidence: a node with count 0 is no part of any tree, and a count
 * above the number of pointers that can be read comes from nodes that cannot.
 * They are taken from the slot that the superblock names; without a superblock,
 * or behind the groups that it has room for, from the newest slot that is not newer
 * than the checkpoint. A slot that cannot be read may have been that one; then the
 * group's counts are unknown, unless the bad block's header says that it was not.
 */
#include "repair.h"

struct slot {
	struct pdata_counts *d;
	bool ok;		/* intact */
	bool ours;		/* if not, the header is of this pool and place */
	u64 generation;
};

/* Is it the generation that went bad? Then it says nothing. */
static bool generation_flipped(struct repair *r, u64 block, struct pdata_counts *d)
{
	struct pdata_check c = {
		.block = block,
		.type = PDATA_TYPE_COUNTS,
		.uuid = r->sb.uuid,
		.max_generation = ~0ull,
		.nr_blocks = r->nr_blocks,
	};
	unsigned int bit;

	for (bit = 0; bit < 64; bit++) {
		d->h.generation ^= cpu_to_le64(1ull << bit);
		if (!pdata_block_check(&c, d))
			return true;
		d->h.generation ^= cpu_to_le64(1ull << bit);
	}
	return false;
}

static void slot_read(struct repair *r, u64 group, unsigned int i, struct slot *s)
{
	const u64 block = pdata_counts_place(group, i);
	const struct rp_block *b = rp_find(r, block);
	const struct pdata_header *h = &s->d->h;

	s->ours = false;
	s->ok = b && b->type == RP_COUNTS && !rp_read(r, b, s->d);
	if (s->ok) {
		s->generation = b->generation;
		return;
	}
	if (block >= r->nr_blocks || pdata_io_read(r->in, block, s->d))
		return;
	s->ours = le32_to_cpu(h->magic) == PDATA_TYPE_COUNTS && le64_to_cpu(h->blocknr) == block &&
		  !memcmp(h->uuid, r->sb.uuid, PDATA_UUID_SIZE) &&
		  !generation_flipped(r, block, s->d);
	s->generation = le64_to_cpu(h->generation);
}

/* The newest of them, -1 if it is not sure which that is. */
static int slot_newest(const struct repair *r, const struct slot *s)
{
	const bool ok0 = s[0].ok && s[0].generation <= r->generation;
	const bool ok1 = s[1].ok && s[1].generation <= r->generation;
	const struct slot *other = &s[ok0];

	if (ok0 && ok1)
		return s[1].generation > s[0].generation;
	if (!ok0 && !ok1)
		return -1;
	if (other->ok)
		return ok1;
	return other->ours && (other->generation > r->generation ||
			       other->generation < s[ok1].generation) ? ok1 : -1;
}

/* The slot with the committed counts, -1 if that is not sure. As the core does it. */
static int slot_choose(const struct repair *r, u64 group, const struct slot *s)
{
	const struct slot *this, *other;
	unsigned int nr;

	if (!r->have_roots || group >= PDATA_SLOT_GROUPS)
		return slot_newest(r, s);
	nr = pdata_slot_of(r->sb.slots, group);
	this = &s[nr];
	other = &s[!nr];
	if (!this->ok || this->generation > r->generation)
		return -1;
	/* Then the write of this one was lost. */
	if (other->ok && other->generation <= r->generation &&
	    other->generation >= this->generation)
		return -1;
	return nr;
}

static void load_group(struct repair *r, u64 group, struct slot *s)
{
	unsigned int i;
	int best;

	slot_read(r, group, 0, &s[0]);
	slot_read(r, group, 1, &s[1]);
	best = slot_choose(r, group, s);
	if (best < 0) {
		r->groups_lost++;
		return;
	}
	r->counts[group] = tool_alloc(PDATA_COUNTS_PER_BLOCK * sizeof(u32));
	for (i = 0; i < PDATA_COUNTS_PER_BLOCK; i++)
		r->counts[group][i] = le32_to_cpu(s[best].d->count[i]);
}

/* Groups that nothing was ever allocated in. */
static bool is_unused(const struct repair *r, u64 group)
{
	return r->have_roots && group >= r->sb.meta_groups;
}

/*
 * Does the total agree? A slot in which an older version has come back is
 * intact, but the sum of all blocks in use is then hardly the superblock's.
 */
static void check_total(struct repair *r)
{
	u64 group, block, used = 0;
	unsigned int i;

	if (r->groups_lost || !r->have_roots)
		return;
	for (group = 0; group < r->nr_groups; group++) {
		for (i = 0; r->counts[group] && i < PDATA_COUNTS_PER_BLOCK; i++) {
			block = pdata_group_begin(group) + i;
			if (r->counts[group][i] && !pdata_is_reserved(block, r->sb.journal_blocks))
				used++;
		}
	}
	r->counts_doubt = used != r->sb.meta_used;
}

void rp_load_counts(struct repair *r)
{
	struct slot s[2] = { };
	u64 group;

	for (group = 0; r->counts && group < r->nr_groups; group++)
		free(r->counts[group]);
	free(r->counts);
	r->nr_groups = pdata_nr_groups(r->nr_blocks);
	r->counts = tool_alloc((r->nr_groups + 1) * sizeof(*r->counts));
	r->groups_lost = 0;
	s[0].d = tool_block();
	s[1].d = tool_block();
	for (group = 0; group < r->nr_groups; group++) {
		if (is_unused(r, group))
			r->counts[group] = tool_alloc(PDATA_COUNTS_PER_BLOCK * sizeof(u32));
		else
			load_group(r, group, s);
	}
	pdata_block_free(s[0].d);
	pdata_block_free(s[1].d);
	check_total(r);
}

bool rp_count(const struct repair *r, u64 block, u32 *count)
{
	const u64 group = pdata_group_of(block);

	if (group >= r->nr_groups || !r->counts[group])
		return false;
	*count = r->counts[group][block - pdata_group_begin(group)];
	return true;
}
