// SPDX-License-Identifier: GPL-2.0-only
/*
 * Detection: each block in use of a few pools is damaged in all the ways that
 * disks have. The core's readers and thin2_check must find it, and the check
 * must name it. What cannot be told from something harmless is counted, each
 * with its reason.
 */
#include "testlib.h"
#include "image.h"
#include "dm-thin2-internal.h"
#include "pdata-layout.h"

enum damage {
	FLIP,		/* 1 to 64 bits, anywhere */
	FLIP_HEADER,	/* one bit of the header */
	TORN_ZERO,	/* some first or last sectors are zeroes */
	TORN_OLD,	/* ... or older content */
	STALE,		/* what the block held before, in one piece */
	OLDER_SELF,	/* an older version of the same node, as if it had lain here */
	MISDIRECTED,	/* another block of the same kind */
	LOST,		/* all zeroes: the block's first write never came */
	FOREIGN,	/* the same block of a pool that was here before */
	DAMAGES
};

static const char * const damage_name[] = {
	"flip", "flip in the header", "torn, zeroes", "torn, old", "stale",
	"older version of itself", "misdirected", "lost", "other pool's",
};

struct bench {
	const struct image_story *story;
	struct image good;
	struct image bad;
	struct image other;	/* pool */
	struct image_past past;
	struct image_nodes nodes;
	u64 random;
	bool has_backup;	/* of the superblock in force */
	u64 nr[IMAGE_KINDS][DAMAGES];
	u64 harmless[IMAGE_KINDS][DAMAGES];
};

/* ---- damage ---- */

static void *bad_block(struct bench *b, u64 block)
{
	return image_block(&b->bad, block);
}

/* Older content of a block, NULL if it was always the same or unused. */
static const void *older(struct bench *b, u64 block)
{
	const void *now = image_block(&b->good, block);
	const void *found[IMAGE_MARKS];
	unsigned int i, nr = 0;

	for (i = 0; i < b->past.nr; i++) {
		const void *p = image_past_block(&b->past, i, block);

		if (memcmp(p, now, PDATA_BLOCK_SIZE) && memchr_inv(p, 0, PDATA_BLOCK_SIZE))
			found[nr++] = p;
	}
	return nr ? found[rnd_below(&b->random, nr)] : NULL;
}

/* The same node of a tree, as far as a node says itself? */
static bool same_node(const void *a, const void *b)
{
	const struct pdata_header *x = a, *y = b;
	const struct pdata_range_head *p = a + sizeof(*x), *q = b + sizeof(*y);
	const struct pdata_btree_disk *s = a, *t = b;

	if (x->magic != y->magic || x->owner != y->owner ||
	    memcmp(x->uuid, y->uuid, PDATA_UUID_SIZE))
		return false;
	if (le32_to_cpu(x->magic) == PDATA_TYPE_BTREE)
		return s->level == t->level;
	return p->level == q->level && p->lo == q->lo && p->hi == q->hi;
}

/*
 * Blocks are reused in turn, so that on a larger device it takes long until a
 * node comes back to a block that it had. This is what it would find there.
 */
static void older_self(struct bench *b, const struct image_node *node)
{
	const struct pdata_header *good = image_block(&b->good, node->block);
	struct pdata_header *bad = bad_block(b, node->block);
	u64 block, nr = 0;
	unsigned int i;

	if (node->kind < IMAGE_DETAILS)
		return;
	for (i = 0; i < b->past.nr; i++) {
		for (block = 0; block < b->good.io.nr_blocks; block++) {
			const struct pdata_header *h = image_past_block(&b->past, i, block);

			if (!same_node(good, h) ||
			    le64_to_cpu(h->blocknr) != block ||
			    h->generation == good->generation)
				continue;
			if (!rnd_one_in(&b->random, ++nr))
				continue;
			memcpy(bad, h, PDATA_BLOCK_SIZE);
		}
	}
	if (!nr)
		return;
	bad->blocknr = cpu_to_le64(node->block);
	image_reseal(&b->bad, node->block);
}

/* Sectors of @from in place of some of the block's, from one end. */
static void tear(struct bench *b, u64 block, const void *from)
{
	const size_t n = 512 * (1 + rnd_below(&b->random, 7));
	u8 *to = bad_block(b, block);

	if (rnd_one_in(&b->random, 2))
		memcpy(to, from, n);
	else
		memcpy(to + PDATA_BLOCK_SIZE - n, (const u8 *)from + PDATA_BLOCK_SIZE - n, n);
}

static void flip(struct bench *b, u64 block, unsigned int nr, unsigned int bytes)
{
	u8 *data = bad_block(b, block);

	while (nr--) {
		u64 bit = rnd_below(&b->random, 8 * bytes);

		data[bit / 8] ^= 1 << bit % 8;
	}
}

static const void *misdirected(struct bench *b, const struct image_node *node)
{
	unsigned int i = rnd_below(&b->random, b->nodes.nr), n;

	for (n = 0; n < b->nodes.nr; n++, i = (i + 1) % b->nodes.nr)
		if (b->nodes.node[i].kind == node->kind && b->nodes.node[i].block != node->block)
			return image_block(&b->good, b->nodes.node[i].block);
	return NULL;
}

/* Return: whether anything has changed. */
static bool damage(struct bench *b, const struct image_node *node, enum damage how)
{
	static const u8 zero[PDATA_BLOCK_SIZE];
	static const u8 bits[] = { 1, 1, 1, 2, 3, 4, 8, 16, 32, 64 };
	const void *from = NULL;

	image_restore(&b->bad, &b->good);
	image_touch(&b->bad, node->block);
	switch (how) {
	case FLIP:
		flip(b, node->block, bits[rnd_below(&b->random, ARRAY_SIZE(bits))],
		     PDATA_BLOCK_SIZE);
		break;
	case FLIP_HEADER:
		flip(b, node->block, 1, sizeof(struct pdata_header));
		break;
	case TORN_ZERO:
		tear(b, node->block, zero);
		break;
	case TORN_OLD:
		from = older(b, node->block);
		if (from)
			tear(b, node->block, from);
		break;
	case STALE:
		from = older(b, node->block);
		break;
	case OLDER_SELF:
		older_self(b, node);
		break;
	case MISDIRECTED:
		from = misdirected(b, node);
		break;
	case LOST:
		from = zero;
		break;
	case FOREIGN:
		from = image_block(&b->other, node->block);
		break;
	default:
		abort();
	}
	if (from && how != TORN_OLD)
		memcpy(bad_block(b, node->block), from, PDATA_BLOCK_SIZE);
	return memcmp(bad_block(b, node->block), image_block(&b->good, node->block),
		      PDATA_BLOCK_SIZE);
}

/* ---- what thin2_check says ---- */

/* Does the report have a line of an error with @text and all of the others? */
static bool says(const char *report, const char *a, const char *text, const char *c)
{
	const char *line, *end;

	for (line = report; *line; line = end + (*end == '\n')) {
		char *copy;
		bool found;

		end = strchrnul(line, '\n');
		copy = strndup(line, end - line);
		found = strstr(copy, a) && strstr(copy, text) && strstr(copy, c);
		free(copy);
		if (found)
			return true;
	}
	return false;
}

static bool names_sharer(const char *report, const struct image_node *node, const char *block)
{
	char text[64];
	unsigned int i;

	for (i = 0; i < node->nr_uids; i++) {
		snprintf(text, sizeof(text), ", uid %llu,", node->uid[i]);
		if (says(report, block, text, ", thin "))
			return true;
	}
	return false;
}

static bool names(const char *report, const struct image_node *node)
{
	static const char * const type[] = {
		[IMAGE_SUPER] = "superblock", [IMAGE_SLOT] = "space-map block",
		[IMAGE_JOURNAL] = "journal block",
		[IMAGE_DETAILS] = "btree node of the details tree",
		[IMAGE_DELETING] = "btree node of the deleting tree",
		[IMAGE_DATA_SM] = "of the data space map", [IMAGE_MAPPING] = "",
	};
	char block[64], range[64] = "";

	/* Behind the number comes what else is known of the block, or what is wrong. */
	snprintf(block, sizeof(block), "block %llu%c", node->block,
		 node->kind < IMAGE_DATA_SM ? ':' : ',');
	if (node->kind == IMAGE_DATA_SM || node->kind == IMAGE_MAPPING)
		snprintf(range, sizeof(range), "units %llu..%llu:", node->lo, node->hi - 1);
	return says(report, block, type[node->kind], range) &&
	       (node->kind != IMAGE_MAPPING || names_sharer(report, node, block));
}

/* ---- what the core says ---- */

struct reader {
	u64 block;
	int err;
};

static int see_btree(void *context, u64 block, int level, int err)
{
	struct reader *r = context;

	if (block == r->block && err)
		r->err = err;
	return 0;
}

static int see_range(void *context, u64 ptr, unsigned int level, u64 lo, u64 hi, int err)
{
	return see_btree(context, pdata_ptr_block(ptr), level, err);
}

struct trees {
	struct thin2_md *md;
	struct reader *reader;
};

static void walk_range(struct trees *t, u64 root, u64 owner, u64 from)
{
	const struct pdata_view view = { .tm = &t->md->tm };
	const struct pdata_rt rt = {
		.tm = &t->md->tm, .owner = owner, .key_end = PDATA_MAX_UNITS,
	};

	assert_ok(pdata_rt_walk(&rt, &view, root, from, PDATA_MAX_UNITS, see_range, NULL,
				t->reader));
}

static int walk_details(void *context, u64 key, const void *value)
{
	const struct pdata_details_disk *d = value;

	walk_range(context, le64_to_cpu(d->root), le64_to_cpu(d->uid),
		   le64_to_cpu(d->delete_cursor));
	return 0;
}

static void walk_btree(struct trees *t, const struct pdata_btree *tree)
{
	const struct pdata_view view = { .tm = &t->md->tm };
	struct trees all = *t;

	assert_ok(pdata_btree_walk(tree, &view, tree->root, see_btree, NULL, t->reader));
	/* What cannot be read is stepped over. */
	(void)!pdata_btree_walk(tree, &view, tree->root, NULL, walk_details, &all);
}

static int core_open(struct bench *b, struct thin2_md **md)
{
	const struct thin2_md_params p = {
		.io = &b->bad.io, .name = IMAGE_NAME, .data_units = b->story->units,
		.data_block_size = 128, .read_only = true,
	};

	return thin2_md_open(&p, md);
}

/* The error that a reader of the trees gets at @block, or opening at all. */
static int core_node(struct bench *b, u64 block)
{
	struct reader reader = { .block = block };
	struct trees t = { .reader = &reader };
	unsigned int i;
	int r = core_open(b, &t.md);

	if (r)
		return r;
	walk_btree(&t, &t.md->details);
	walk_btree(&t, &t.md->deleting);
	for (i = 0; i < t.md->sb.nr_holds; i++)
		walk_range(&t, t.md->sb.hold[i].root, t.md->sb.hold[i].uid, 0);
	walk_range(&t, t.md->data_sm.rt.root, PDATA_OWNER_DATA_SM, 0);
	thin2_md_abandon(t.md);
	return reader.err;
}

/* ---- expectations ---- */

static void core_counts(struct bench *b, struct image *img, u64 group, u32 *count)
{
	struct pdata_super sb;
	struct pdata_bm bm;
	struct pdata_tm tm;
	u64 i, begin = pdata_group_begin(group);

	memset(img->checked, 0, img->io.nr_blocks);
	memset(count, 0, PDATA_COUNTS_PER_BLOCK * sizeof(*count));
	assert_int_equal(pdata_super_read(&img->io, &sb), PDATA_SB_VALID);
	pdata_bm_init(&bm, &img->io, sb.uuid, sb.meta_blocks, IMAGE_NAME);
	assert_ok(pdata_tm_init(&tm, &bm, &sb));
	for (i = 0; i < PDATA_COUNTS_PER_BLOCK && begin + i < sb.meta_blocks; i++)
		assert_ok(pdata_sm_get(&tm.sm, begin + i, &count[i]));
	pdata_tm_exit(&tm);
}

enum verdict {
	FOUND,
	HARMLESS,	/* the reader is not misled, and nothing can be told */
	MISSED,
};

static const char *why;		/* the last verdict is what it is */

/*
 * A slot: either the counts are those that were committed, or the group is
 * known to be lost.
 */
static enum verdict judge_slot(struct bench *b, const struct image_node *node, const char *report)
{
	static u32 want[PDATA_COUNTS_PER_BLOCK], got[PDATA_COUNTS_PER_BLOCK];
	const u64 group = pdata_group_of(node->block);
	u64 i;

	core_counts(b, &b->good, group, want);
	core_counts(b, &b->bad, group, got);
	if (names(report, node))
		return FOUND;
	for (i = 0; i < PDATA_COUNTS_PER_BLOCK; i++) {
		why = "the core has other counts than were committed";
		if (got[i] != want[i] && got[i] != PDATA_SM_UNKNOWN)
			return MISSED;
		why = "the group is lost, and the check does not name the slot";
		if (got[i] != want[i])
			return MISSED;
	}
	why = "the slot that does not count";
	return HARMLESS;
}

/* Superblocks: the newest generation is found, and no other content. */
static enum verdict judge_super(struct bench *b, const struct image_node *node,
				const char *report)
{
	const bool home = node->block == (b->nodes.sb.generation & 1);
	const struct pdata_superblock_disk *d = bad_block(b, node->block);
	struct pdata_super sb;
	int r;

	r = pdata_super_read(&b->bad.io, &sb);
	why = "a damaged A is not taken for another pool";
	if (node->block == PDATA_SB_A && (r == PDATA_SB_ZEROED || r == -PDATA_E_NOT_V2))
		return says(report, "superblock", "", "") ? FOUND : MISSED;
	why = "the one copy of the last checkpoint, as a crash in its write leaves it";
	if (!r && node->block == (b->nodes.sb.generation & 1) && !b->has_backup &&
	    sb.generation == b->nodes.sb.generation - 1)
		return HARMLESS;
	why = "another superblock is in force";
	if (r || memcmp(&sb, &b->nodes.sb, sizeof(sb)))
		return MISSED;
	if (names(report, node))
		return FOUND;
	why = "an older copy than the one in force, as a crash before the backup leaves it";
	if (node->block == PDATA_SB_BACKUP && !home &&
	    le64_to_cpu(d->h.generation) == b->nodes.sb.generation - 1)
		return HARMLESS;
	why = "not named";
	return MISSED;
}

struct tally {
	u64 records;
};

static int tally_record(void *context, u64 seq, const struct pdata_record *rec)
{
	((struct tally *)context)->records++;
	return 0;
}

static int replay(struct image *img, const struct pdata_super *sb, u64 *records)
{
	struct tally t = { 0 };
	struct pdata_journal j;
	int r;

	assert_ok(pdata_journal_init(&j, &img->io, sb, IMAGE_NAME));
	r = pdata_journal_replay(&j, sb, tally_record, &t);
	pdata_journal_exit(&j);
	*records = t.records;
	return r;
}

/* Sequence of the block in the chain, 0 = replay does not want it. */
static u64 chain_seq(struct bench *b, u64 block)
{
	const struct pdata_journal_disk *d = image_block(&b->good, block);
	const u64 seq = le64_to_cpu(d->seq);

	if (le32_to_cpu(d->h.magic) != PDATA_TYPE_JOURNAL || seq < b->nodes.sb.journal_tail)
		return 0;
	return seq;
}

/* Does another block say that @seq was durable? */
static bool has_witness(struct bench *b, u64 seq)
{
	const struct pdata_journal_disk *d;
	u64 i;

	for (i = 0; i < b->nodes.sb.journal_blocks; i++) {
		d = image_block(&b->good, pdata_journal_place(i));
		if (le32_to_cpu(d->h.magic) == PDATA_TYPE_JOURNAL && le64_to_cpu(d->seq) > seq &&
		    le64_to_cpu(d->durable_seq) >= seq)
			return true;
	}
	return false;
}

static enum verdict judge_journal(struct bench *b, const struct image_node *node,
				  const char *report)
{
	const u64 seq = chain_seq(b, node->block);
	u64 want, got;
	int r;

	assert_ok(replay(&b->good, &b->nodes.sb, &want));
	r = replay(&b->bad, &b->nodes.sb, &got);
	if (pdata_error_is_damage(r) && names(report, node))
		return FOUND;
	why = "replay goes on without it, or says no more than that";
	if (r)
		return MISSED;
	why = "a part of the ring that nobody will read";
	if (got == want)
		return seq ? MISSED : HARMLESS;
	why = "durable once, as another block tells";
	if (has_witness(b, seq))
		return MISSED;
	why = "the last of the journal: as if power had failed before it was durable";
	return HARMLESS;
}

static enum verdict judge(struct bench *b, const struct image_node *node, const char *report)
{
	int r;

	switch (node->kind) {
	case IMAGE_SUPER:
		return judge_super(b, node, report);
	case IMAGE_SLOT:
		return judge_slot(b, node, report);
	case IMAGE_JOURNAL:
		return judge_journal(b, node, report);
	default:
		r = core_node(b, node->block);
		why = "the core does not find it";
		if (!pdata_error_is_damage(r))
			return MISSED;
		why = "thin2_check does not name it";
		return names(report, node) ? FOUND : MISSED;
	}
}

/* ---- the run ---- */

static void try(struct bench *b, const struct image_node *node, enum damage how)
{
	const u64 random = b->random;
	enum verdict v;
	char *report;
	int status;

	if (!damage(b, node, how))
		return;
	report = image_tool(&b->bad, thin2_check_main, NULL, false, &status);
	v = judge(b, node, report);
	b->nr[node->kind][how]++;
	b->harmless[node->kind][how] += v == HARMLESS;
	if (v == MISSED || (v == FOUND && !status && !says(report, "note:", "", "")))
		fail_msg("%s (random %#llx): %s %llu, level %u, %s: %s; the check (%d):\n%s",
			 b->story->name, random, image_kind_name(node->kind), node->block,
			 node->level, damage_name[how], why, status, report);
	free(report);
}

static void bench_init(struct bench *b, const struct image_story *story)
{
	const struct pdata_superblock_disk *d;
	char *report;
	int status;

	memset(b, 0, sizeof(*b));
	b->story = story;
	b->random = test_seed();
	image_tell(&b->good, story, &b->past);
	image_init(&b->bad, story->blocks);
	image_restore(&b->bad, &b->good);
	image_find_nodes(&b->good, &b->nodes);
	d = image_block(&b->good, PDATA_SB_BACKUP);
	b->has_backup = le64_to_cpu(d->h.generation) == b->nodes.sb.generation;
	image_tell(&b->other, story, NULL);
	report = image_tool(&b->good, thin2_check_main, NULL, false, &status);
	if (status)
		fail_msg("%s: is damaged from the start:\n%s", story->name, report);
	free(report);
}

static void bench_exit(struct bench *b)
{
	unsigned int kind, how;

	for (kind = 0; kind < IMAGE_KINDS; kind++) {
		u64 nr = 0, harmless = 0;

		for (how = 0; how < DAMAGES; how++) {
			nr += b->nr[kind][how];
			harmless += b->harmless[kind][how];
		}
		if (nr)
			print_message("%s: %s: %llu damages, %llu of them harmless\n",
				      b->story->name, image_kind_name(kind), nr, harmless);
	}
	image_nodes_free(&b->nodes);
	image_past_free(&b->past);
	image_exit(&b->good);
	image_exit(&b->bad);
	image_exit(&b->other);
}

/* Of what there is much of, one in how many is tried? ROUNDS makes it more. */
static u64 one_in(struct bench *b, const struct image_node *node)
{
	switch (node->kind) {
	case IMAGE_JOURNAL:
		return chain_seq(b, node->block) ? 1 : 8 / test_rounds(1) + 1;
	case IMAGE_DATA_SM:
	case IMAGE_MAPPING:
		return b->nodes.nr / test_rounds(40) + 1;
	default:
		return 1;
	}
}

static void detect(void **state)
{
	struct bench *b = test_malloc(sizeof(*b));
	const struct image_node *node;
	unsigned int i, how;

	bench_init(b, *state);
	for (i = 0; i < b->nodes.nr; i++) {
		node = &b->nodes.node[i];
		if (!rnd_one_in(&b->random, one_in(b, node)))
			continue;
		for (how = 0; how < DAMAGES; how++)
			try(b, node, how);
		try(b, node, FLIP);
		try(b, node, FLIP);
	}
	bench_exit(b);
	test_free(b);
}

int main(void)
{
	struct CMUnitTest tests[16] = { };
	unsigned int i;

	pdata_shim_quiet = true;
	for (i = 0; i < image_nr_stories; i++)
		tests[i] = (struct CMUnitTest){
			.name = image_stories[i].name, .test_func = detect,
			.initial_state = (void *)&image_stories[i],
		};
	return _cmocka_run_group_tests("detect", tests, image_nr_stories, NULL, NULL);
}
