// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_check: the three superblocks, and the two slots of each count group.
 *
 * Both exist more than once, and a crash may leave one copy torn; that must not
 * look like damage, because a pool that only needs its journal replayed is in
 * order. What makes the difference is which copy is bad and whether sectors,
 * which are written in one piece, can have mixed to give what is there.
 */
#include "check.h"

#define SECTOR		512u

static const u64 sb_place[] = { PDATA_SB_A, PDATA_SB_B, PDATA_SB_BACKUP };
static const char * const sb_name[] = { "superblock A", "superblock B", "backup superblock" };

struct sb_copy {
	struct pdata_superblock_disk *d;
	int err;
	struct pdata_check check;
	u64 generation;
};

enum { COPY_A, COPY_B, COPY_BACKUP, NR_COPIES };

static void copy_read(struct check *c, unsigned int i, struct sb_copy *copy)
{
	copy->check = (struct pdata_check) {
		.block = sb_place[i],
		.type = PDATA_TYPE_SUPERBLOCK,
		.max_generation = ~0ull,
		.nr_blocks = c->io->nr_blocks,
	};
	copy->err = pdata_io_read(c->io, sb_place[i], copy->d);
	if (!copy->err)
		copy->err = pdata_block_check(&copy->check, copy->d);
	if (!copy->err && memcmp(copy->d->h.uuid, c->sb.uuid, PDATA_UUID_SIZE)) {
		copy->err = -PDATA_E_UUID;
		copy->check.what = "uuid";
	}
	copy->generation = le64_to_cpu(copy->d->h.generation);
}

static unsigned int home_of(const struct check *c)
{
	return c->sb.generation & 1 ? COPY_B : COPY_A;
}

/* The backup of this copy of a superblock, as it was written. */
static bool backup_of(const struct sb_copy *home, void *result)
{
	struct pdata_check seal = home->check;

	memcpy(result, home->d, PDATA_BLOCK_SIZE);
	seal.block = PDATA_SB_BACKUP;
	seal.uuid = home->d->h.uuid;
	seal.max_generation = home->generation;
	return !pdata_block_seal(&seal, result);
}

/* Is each sector of the backup one of the checkpoint's or of that before? */
static bool backup_may_be_torn(const struct check *c, const struct sb_copy *copy)
{
	u8 *now = tool_block(), *before = tool_block();
	const u8 *p = (const u8 *)copy[COPY_BACKUP].d;
	unsigned int i;
	bool torn;

	torn = !copy[COPY_A].err && !copy[COPY_B].err && backup_of(&copy[home_of(c)], now) &&
	       backup_of(&copy[!home_of(c)], before);
	for (i = 0; torn && i < PDATA_BLOCK_SIZE; i += SECTOR)
		torn = !memcmp(p + i, now + i, SECTOR) || !memcmp(p + i, before + i, SECTOR);
	pdata_block_free(now);
	pdata_block_free(before);
	return torn;
}

/*
 * May a crash have left the copy as it is? The home of the next checkpoint may
 * hold sectors of that, of which nothing else is known than that it began
 * behind the mark of a clean stop, and what no superblock uses.
 */
static bool copy_may_be_torn(const struct check *c, const struct sb_copy *copy, unsigned int i)
{
	const size_t end = offsetof(struct pdata_superblock_disk, reserved);

	if (copy[i].err != -PDATA_E_CSUM || i == home_of(c))
		return false;
	if (i == COPY_BACKUP)
		return backup_may_be_torn(c, copy);
	return !(c->sb.flags & PDATA_SB_CLEAN) &&
	       !memchr_inv((const u8 *)copy[i].d + end, 0, PDATA_BLOCK_SIZE - end);
}

static void copy_report(struct check *c, unsigned int i, const struct sb_copy *copy,
			enum severity severity, const char *text)
{
	struct finding f = FINDING(severity, sb_name[i], "unreadable");

	f.block = sb_place[i];
	f.text = text;
	if (copy->check.what) {
		f.what = copy->check.what;
		f.has_values = copy->err != -PDATA_E_UUID;
		f.expected = copy->check.expected;
		f.found = copy->check.found;
	}
	report(c, &f);
}

static void check_copy(struct check *c, unsigned int i, const struct sb_copy *copies)
{
	const struct sb_copy *copy = &copies[i];
	const u64 gen = c->sb.generation;
	struct finding f = FINDING(SEV_LEAK, sb_name[i], "generation");

	if (copy_may_be_torn(c, copies, i)) {
		copy_report(c, i, copy, SEV_NOTE,
			    "torn by a crash; the next checkpoint rewrites it");
		return;
	}
	if (copy->err) {
		copy_report(c, i, copy, SEV_LEAK, tool_error(copy->err));
		check_mend_add(c, true, 0, 0, 0);
		return;
	}
	f.block = sb_place[i];
	f.has_values = true;
	f.expected = gen;
	f.found = copy->generation;
	if (i == home_of(c) && copy->generation != gen) {
		f.text = "only another copy has the current checkpoint";
		report(c, &f);
		check_mend_add(c, true, 0, 0, 0);
	} else if (copy->generation != gen && copy->generation + 1 != gen) {
		f.text = "it is older than the checkpoint before the last";
		report(c, &f);
		check_mend_add(c, true, 0, 0, 0);
	}
}

/*
 * Copies of one generation must say the same, but for the clean mark: taking
 * that away, in both, is the first thing an activation does.
 */
static bool copies_agree(const struct sb_copy *a, const struct sb_copy *b)
{
	const size_t skip = offsetof(struct pdata_superblock_disk, compat_features);
	const u32 flags = le32_to_cpu(a->d->flags) ^ le32_to_cpu(b->d->flags);

	return !(flags & ~PDATA_SB_CLEAN) &&
	       !memcmp((const u8 *)a->d + skip, (const u8 *)b->d + skip,
		       PDATA_BLOCK_SIZE - skip);
}

static void check_agreement(struct check *c, const struct sb_copy *copy)
{
	struct finding f = FINDING(SEV_FATAL, "superblock", "content");
	unsigned int i, j;

	for (i = 0; i < NR_COPIES; i++) {
		for (j = i + 1; j < NR_COPIES; j++) {
			if (copy[i].err || copy[j].err ||
			    copy[i].generation != copy[j].generation ||
			    copies_agree(&copy[i], &copy[j]))
				continue;
			f.block = sb_place[j];
			f.text = "differs from another copy of the same generation";
			report(c, &f);
		}
	}
}

static void check_copies(struct check *c)
{
	struct sb_copy copy[NR_COPIES] = { };
	unsigned int i;

	for (i = 0; i < NR_COPIES; i++) {
		copy[i].d = tool_block();
		copy_read(c, i, &copy[i]);
	}
	for (i = 0; i < NR_COPIES; i++)
		check_copy(c, i, copy);
	check_agreement(c, copy);
	for (i = 0; i < NR_COPIES; i++)
		pdata_block_free(copy[i].d);
}

static void check_sizes(struct check *c)
{
	struct finding f = FINDING(SEV_FATAL, "superblock", "metadata device size, blocks");

	if (c->sb.meta_blocks > c->io->nr_blocks) {
		f.has_values = true;
		f.expected = c->sb.meta_blocks;
		f.found = c->io->nr_blocks;
		f.text = "the device is smaller than recorded";
		report(c, &f);
	}
	if (c->sb.flags & PDATA_SB_NEEDS_CHECK) {
		f = (struct finding)FINDING(SEV_NOTE, "superblock", "needs_check is set");
		report(c, &f);
	}
}

bool check_superblocks(struct check *c)
{
	struct finding f = FINDING(SEV_FATAL, "superblock", "unusable");
	int r = pdata_super_read(c->io, &c->sb);

	if (r != PDATA_SB_VALID) {
		f.text = tool_super_error(r);
		report(c, &f);
		return false;
	}
	/* On a live device copies change while we look. */
	if (!c->metadata_snap)
		check_copies(c);
	check_sizes(c);
	return true;
}

/* ---- count slots ---- */

struct slot {
	struct pdata_counts *d;
	struct pdata_check check;
	int err;
	u64 generation;
	bool ours;	/* header is this pool's and of this place */
};

static void slot_read(struct check *c, u64 group, unsigned int i, struct slot *s)
{
	const struct pdata_header *h = &s->d->h;

	s->check = (struct pdata_check) {
		.block = pdata_counts_place(group, i),
		.type = PDATA_TYPE_COUNTS,
		.uuid = c->sb.uuid,
		.max_generation = ~0ull,
		.nr_blocks = c->sb.meta_blocks,
	};
	s->ours = false;
	s->err = pdata_io_read(c->io, s->check.block, s->d);
	if (s->err)
		return;
	s->err = pdata_block_check(&s->check, s->d);
	s->generation = le64_to_cpu(h->generation);
	s->ours = le32_to_cpu(h->magic) == PDATA_TYPE_COUNTS &&
		  le64_to_cpu(h->blocknr) == s->check.block &&
		  !memcmp(h->uuid, c->sb.uuid, PDATA_UUID_SIZE);
}

static void slot_report(struct check *c, const struct slot *s, enum severity sev,
			const char *text)
{
	struct finding f = FINDING(sev, "space-map block", "unreadable");

	f.block = s->check.block;
	if (s->check.what) {
		f.what = s->check.what;
		f.has_values = true;
		f.expected = s->check.expected;
		f.found = s->check.found;
	}
	f.text = text;
	report(c, &f);
}

/*
 * Which slot has the committed counts, if only slots tell? The newest one not
 * newer than the superblock, unless the other is unreadable and may have been
 * that.
 */
static int slot_newest(const struct check *c, const struct slot *s)
{
	const u64 gen = c->sb.generation;
	const bool ok0 = !s[0].err && s[0].generation <= gen;
	const bool ok1 = !s[1].err && s[1].generation <= gen;
	const struct slot *other;

	if (ok0 && ok1)
		return s[1].generation > s[0].generation;
	if (!ok0 && !ok1)
		return -1;
	other = &s[ok0];
	if (!other->err)
		return ok1;
	if (other->ours && (other->generation > gen || other->generation <= s[ok1].generation))
		return ok1;
	return -1;
}

/* Of most groups the superblock says which it is. */
static int slot_choose(struct check *c, u64 group, struct slot *s)
{
	const unsigned int nr = group < PDATA_SLOT_GROUPS ? pdata_slot_of(c->sb.slots, group) : 0;
	const struct slot *other = &s[!nr];

	if (group >= PDATA_SLOT_GROUPS)
		return slot_newest(c, s);
	if (s[nr].err)
		return -1;
	if (s[nr].generation > c->sb.generation ||
	    (!other->err && other->generation <= c->sb.generation &&
	     other->generation >= s[nr].generation)) {
		s[nr].err = -PDATA_E_STALE;
		s[nr].check.what = "generation";
		s[nr].check.found = s[nr].generation;
		s[nr].check.expected = c->sb.generation;
		return -1;
	}
	return nr;
}

static bool slots_judge(struct check *c, u64 group, const struct slot *s, int best)
{
	struct finding f = FINDING(SEV_LEAK, "metadata space map", "counts are lost");
	unsigned int i;

	for (i = 0; i < 2; i++) {
		if (!s[i].err && s[i].generation > c->sb.generation)
			c->newer_slots++;
		if (!s[i].err)
			continue;
		/*
		 * A crash may have torn the slot that was being written; not
		 * after a clean stop: its mark goes before anything is written.
		 */
		if (best >= 0 && !(c->sb.flags & PDATA_SB_CLEAN))
			slot_report(c, &s[i], SEV_NOTE, "torn by a crash; not needed");
		else
			slot_report(c, &s[i], SEV_LEAK, tool_error(s[i].err));
		if (best >= 0)
			c->newer_slots++;
	}
	if (best >= 0)
		return true;
	f.block = pdata_group_begin(group);
	f.nr_blocks = PDATA_COUNTS_PER_BLOCK;
	f.text = "these blocks count as in use until repair";
	report(c, &f);
	return false;
}

bool check_counts_slots(struct check *c, u64 group, struct pdata_counts *counts)
{
	struct slot s[2] = { };
	bool ok;
	int best;

	s[0].d = tool_block();
	s[1].d = tool_block();
	slot_read(c, group, 0, &s[0]);
	slot_read(c, group, 1, &s[1]);
	best = slot_choose(c, group, s);
	ok = slots_judge(c, group, s, best);
	if (ok)
		memcpy(counts, s[best].d, PDATA_BLOCK_SIZE);
	pdata_block_free(s[0].d);
	pdata_block_free(s[1].d);
	return ok;
}
