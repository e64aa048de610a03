// SPDX-License-Identifier: GPL-2.0-only
/* Checkers of metadata blocks: every flipped bit, every broken rule. */
#include <setjmp.h>
#include <cmocka.h>

#include "pdata-fault.h"
#include "pdata-ondisk.h"
#include "pdata-validate.h"

#define NR_BLOCKS	4096
#define GENERATION	7

static const u8 uuid[PDATA_UUID_SIZE] = "0123456789abcdef";

/* One good block of each type, sealed. */
struct sample {
	u32 type;
	u64 block;
	u64 owner;
	void (*fill)(void *data);
};

static void fill_super(void *data)
{
	struct pdata_superblock_disk *d = data;

	d->version = cpu_to_le32(PDATA_FORMAT_VERSION);
	d->meta_blocks = cpu_to_le64(NR_BLOCKS);
	d->data_units = cpu_to_le64(1000);
	d->data_used = cpu_to_le64(10);
	d->meta_groups = cpu_to_le64(2);
	d->meta_used = cpu_to_le64(100);
	d->journal_blocks = cpu_to_le64(64);
	d->details_root = cpu_to_le64(700);
	d->next_uid = cpu_to_le64(PDATA_FIRST_UID);
	d->nr_holds = cpu_to_le32(1);
	d->hold[0].kind = cpu_to_le32(PDATA_HOLD_ROOT);
	d->hold[0].root = cpu_to_le64(701);
}

static void fill_journal(void *data)
{
	struct pdata_journal_disk *d = data;
	unsigned int i;

	d->nr_records = cpu_to_le32(PDATA_RECORDS_PER_BLOCK);
	for (i = 0; i < PDATA_RECORDS_PER_BLOCK; i++) {
		d->record[i].uid = cpu_to_le64(17);
		d->record[i].vbegin_kind = cpu_to_le64(i * 8 | (1 + i % 4ull) << 56);
		d->record[i].phys = cpu_to_le64(i);
		d->record[i].len = cpu_to_le32(8);
	}
}

static void fill_counts(void *data)
{
	struct pdata_counts *d = data;
	unsigned int i;

	for (i = 0; i < PDATA_COUNTS_PER_BLOCK; i++)
		d->count[i] = cpu_to_le32(1 + i % 3);
}

static void fill_btree(void *data)
{
	struct pdata_btree_disk *d = data;
	const unsigned int max = sizeof(d->data) / 16;
	__le64 *key = (__le64 *)d->data;
	unsigned int i;

	d->level = cpu_to_le16(1);
	d->nr = cpu_to_le16(20);
	d->value_size = cpu_to_le32(8);
	for (i = 0; i < 20; i++) {
		key[i] = cpu_to_le64(i * 3);
		key[max + i] = cpu_to_le64(600 + i);
	}
}

static void fill_node(void *data)
{
	struct pdata_range_node_disk *d = data;
	unsigned int i;

	d->r.level = cpu_to_le16(2);
	d->r.nr = cpu_to_le16(30);
	d->r.lo = cpu_to_le64(50);
	d->r.hi = cpu_to_le64(5000);
	for (i = 0; i < 30; i++) {
		d->child[i].begin = cpu_to_le64(50 + 10 * i);
		d->child[i].ptr = cpu_to_le64(600 + i);
	}
}

static void fill_leaf(void *data)
{
	struct pdata_range_leaf_disk *d = data;
	struct pdata_range r[20] = { };
	unsigned int i, bytes;

	for (i = 0; i < 20; i++) {
		r[i].begin = 100 + 10 * i;
		r[i].len = 5;
		r[i].kind = PDATA_RANGE_MAPPED;
		r[i].value = 7000 - 10 * i;
		r[i].tag = i;
	}
	d->r.codec = cpu_to_le16(PDATA_CODEC_MAP_PLAIN);
	d->r.lo = cpu_to_le64(50);
	d->r.hi = cpu_to_le64(5000);
	assert_int_equal(pdata_codec_find(PDATA_CODEC_MAP_PLAIN)->encode(r, 20, 20, d->payload,
					PDATA_LEAF_PAYLOAD, &bytes), 20);
	d->r.nr = cpu_to_le16(20);
	d->r.bytes = cpu_to_le16(bytes);
}

static const struct sample samples[] = {
	{ PDATA_TYPE_SUPERBLOCK, PDATA_SB_BACKUP, PDATA_OWNER_SUPER, fill_super },
	{ PDATA_TYPE_JOURNAL, 40, PDATA_OWNER_JOURNAL, fill_journal },
	{ PDATA_TYPE_COUNTS, 2, PDATA_OWNER_META_SM, fill_counts },
	{ PDATA_TYPE_BTREE, 600, PDATA_OWNER_DETAILS, fill_btree },
	{ PDATA_TYPE_RANGE_NODE, 601, PDATA_FIRST_UID, fill_node },
	{ PDATA_TYPE_RANGE_LEAF, 602, PDATA_FIRST_UID, fill_leaf },
};

static u8 scratch[PDATA_CHECK_SCRATCH] __attribute__((aligned(16)));

static struct pdata_check check_for(const struct sample *s)
{
	return (struct pdata_check) {
		.block = s->block,
		.type = s->type,
		.uuid = uuid,
		.max_generation = GENERATION,
		.nr_blocks = NR_BLOCKS,
		.scratch = scratch,
	};
}

static void build(const struct sample *s, u8 *data)
{
	struct pdata_header *h = (void *)data;

	memset(data, 0, PDATA_BLOCK_SIZE);
	h->magic = cpu_to_le32(s->type);
	h->owner = cpu_to_le64(s->owner);
	s->fill(data);
}

static void build_sealed(const struct sample *s, u8 *data)
{
	struct pdata_check c = check_for(s);
	int r;

	build(s, data);
	r = pdata_block_seal(&c, data);
	if (r)
		fail_msg("%s: %s: %s", pdata_type_name(s->type), pdata_error_text(r), c.what);
}

static u8 block[PDATA_BLOCK_SIZE] __attribute__((aligned(4096)));

static void test_every_bit(void **state)
{
	unsigned int i, bit;

	for (i = 0; i < ARRAY_SIZE(samples); i++) {
		struct pdata_check c = check_for(&samples[i]);

		build_sealed(&samples[i], block);
		for (bit = 0; bit < PDATA_BLOCK_SIZE * 8; bit++) {
			block[bit / 8] ^= 1 << bit % 8;
			if (pdata_block_check(&c, block) != -PDATA_E_CSUM || !c.what)
				fail_msg("%s: bit %u", pdata_type_name(samples[i].type), bit);
			block[bit / 8] ^= 1 << bit % 8;
		}
		assert_int_equal(pdata_block_check(&c, block), 0);
		assert_null(c.what);
	}
}

/* What the crc cannot know: a good block in a wrong place, pool or time. */
static void test_expectations(void **state)
{
	const u8 other[PDATA_UUID_SIZE] = "another pool's..";
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(samples); i++) {
		struct pdata_check c = check_for(&samples[i]);

		build_sealed(&samples[i], block);
		for (k = 0; k < ARRAY_SIZE(samples); k++) {
			c.type = samples[k].type;
			assert_int_equal(pdata_block_check(&c, block), k == i ? 0 : -PDATA_E_MAGIC);
		}
		c = check_for(&samples[i]);
		c.block++;
		assert_int_equal(pdata_block_check(&c, block), -PDATA_E_BLOCKNR);
		c.block--;
		c.uuid = other;
		assert_int_equal(pdata_block_check(&c, block), -PDATA_E_UUID);
		c.uuid = NULL;
		assert_int_equal(pdata_block_check(&c, block), 0);
		c.max_generation = GENERATION - 1;
		assert_int_equal(pdata_block_check(&c, block), -PDATA_E_GENERATION);
		assert_int_equal(c.found, GENERATION);
		assert_int_equal(c.expected, GENERATION - 1);
	}
	memset(block, 0, sizeof(block));
	for (i = 0; i < ARRAY_SIZE(samples); i++) {
		struct pdata_check c = check_for(&samples[i]);

		assert_int_not_equal(pdata_block_check(&c, block), 0);
	}
}

static void test_owner(void **state)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(samples); i++) {
		struct pdata_check c = check_for(&samples[i]);

		build(&samples[i], block);
		((struct pdata_header *)block)->owner = 0;
		assert_int_equal(pdata_block_seal(&c, block), -PDATA_E_OWNER);
	}
}

/* One broken rule: @value of @size bytes at @offset, then a good crc. */
struct broken {
	const char *what;
	unsigned int sample;
	unsigned int offset;
	unsigned int size;
	u64 value;
};

#define ROW(what, sample, type, f, value) \
	{ what, sample, offsetof(struct type, f), sizeof_field(struct type, f), value }
#define SB(what, f, value)	ROW(what, 0, pdata_superblock_disk, f, value)
#define JN(what, f, value)	ROW(what, 1, pdata_journal_disk, f, value)
#define CT(what, f, value)	ROW(what, 2, pdata_counts, f, value)
#define BT(what, f, value)	ROW(what, 3, pdata_btree_disk, f, value)
#define RN(what, f, value)	ROW(what, 4, pdata_range_node_disk, f, value)
#define RL(what, f, value)	ROW(what, 5, pdata_range_leaf_disk, f, value)
/* The n-th 8 bytes behind a btree node's header. */
#define BT_WORD(what, n, value) \
	{ what, 3, offsetof(struct pdata_btree_disk, data) + 8 * (n), 8, value }
#define REC_KIND(k)	((u64)(k) << 56)

static const struct broken broken[] = {
	SB("meta_blocks", meta_blocks, 100),
	SB("meta_blocks", meta_blocks, ~0ull),
	SB("data_units", data_units, PDATA_MAX_UNITS + 1),
	SB("journal_blocks", journal_blocks, 0),
	SB("journal_blocks", journal_blocks, NR_BLOCKS - 4),
	SB("journal_blocks", journal_blocks, ~0ull),
	SB("meta_groups", meta_groups, 6),
	SB("slot of group", slots[0], 4),
	SB("slot of group", slots[PDATA_SLOT_BYTES - 1], 128),
	SB("meta_used", meta_used, NR_BLOCKS),
	SB("data_used", data_used, 1001),
	SB("details_root", details_root, NR_BLOCKS),
	SB("details_root", details_root, PDATA_SB_BACKUP),
	SB("details_copy_root", details_copy_root, NR_BLOCKS),
	SB("details_copy_root", details_copy_root, PDATA_SB_A + 1),
	SB("deleting_root", deleting_root, 1),
	SB("data_sm_root", data_sm_root, 1010),
	SB("next_uid", next_uid, PDATA_FIRST_UID - 1),
	SB("nr_holds", nr_holds, PDATA_MAX_HOLDS + 1),
	SB("hold.kind", hold[0].kind, 0),
	SB("hold.root", hold[0].root, 3),
	JN("nr_records", nr_records, PDATA_RECORDS_PER_BLOCK + 1),
	JN("record.kind", record[123].vbegin_kind, REC_KIND(0)),
	JN("record.kind", record[0].vbegin_kind, REC_KIND(5)),
	JN("record.len", record[5].len, 0),
	JN("record.vbegin", record[5].vbegin_kind, REC_KIND(1) | (PDATA_MAX_UNITS - 7)),
	JN("record.phys", record[4].phys, PDATA_MAX_UNITS - 7),
	CT("count of a slot", count[2], 0),
	CT("count of a slot", count[3], 0),
	CT("count of a superblock", count[0], 0),
	CT("count of a superblock", count[1], 0),
	CT("count of a superblock", count[511], 0),
	BT("level", level, 16),
	BT("value_size", value_size, 0),
	BT("value_size", value_size, 16),
	BT("value_size", value_size, 0xffffffff),
	BT("nr", nr, 0),
	BT("nr", nr, 252),
	BT_WORD("key order", 1, 0),
	BT_WORD("key order", 18, 57),
	BT_WORD("child", 251, NR_BLOCKS),
	BT_WORD("child", 251 + 19, 0),
	BT_WORD("child", 251 + 3, 1008 + 2),
	RN("level", r.level, 0),
	RN("level", r.level, 16),
	RN("nr", r.nr, 0),
	RN("nr", r.nr, PDATA_RANGE_FANOUT + 1),
	RN("lo", r.lo, 5000),
	RN("hi", r.hi, PDATA_MAX_UNITS + 1),
	RN("begin of the first child", r.lo, 49),
	RN("begin of the last child", r.hi, 340),
	RN("child order", child[7].begin, 110),
	RN("child order", child[7].begin, 3000),
	RN("child", child[29].ptr, NR_BLOCKS),
	RN("child", child[0].ptr, 2),
	RL("level", r.level, 1),
	RL("codec", r.codec, 99),
	RL("nr", r.nr, PDATA_LEAF_MAX_RECORDS + 1),
	RL("bytes", r.bytes, PDATA_LEAF_PAYLOAD + 1),
	RL("lo", r.lo, 5000),
	RL("hi", r.hi, PDATA_MAX_UNITS + 1),
	RL("payload", r.nr, 21),
	RL("payload", r.lo, 101),
	RL("payload", r.hi, 294),
};

static void test_rules(void **state)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(broken); i++) {
		const struct sample *s = &samples[broken[i].sample];
		struct pdata_check c = check_for(s);
		__le64 v = cpu_to_le64(broken[i].value);
		int r;

		build(s, block);
		memcpy(block + broken[i].offset, &v, broken[i].size);
		c.scratch = i & 1 ? scratch : NULL;
		r = pdata_block_seal(&c, block);
		if (r != -PDATA_E_CONTENT || !c.what || strcmp(c.what, broken[i].what))
			fail_msg("%s, %s = %llx: %d, %s", pdata_type_name(s->type),
				 broken[i].what, broken[i].value, r, c.what ? c.what : "-");
	}
}

static void test_counts_place(void **state)
{
	struct sample s = samples[2];
	struct pdata_check c;

	s.block = 4;
	build(&s, block);
	c = check_for(&s);
	assert_int_equal(pdata_block_seal(&c, block), -PDATA_E_CONTENT);
	/* In other groups 0, 1 and 511 are blocks like any. */
	s.block = 1008 + 3;
	build(&s, block);
	((struct pdata_counts *)block)->count[0] = 0;
	((struct pdata_counts *)block)->count[511] = 0;
	c = check_for(&s);
	assert_int_equal(pdata_block_seal(&c, block), 0);
}

/* Another version's content is not ours to judge. */
static void test_version(void **state)
{
	struct pdata_superblock_disk *d = (void *)block;
	struct pdata_check c = check_for(&samples[0]);

	build(&samples[0], block);
	d->version = cpu_to_le32(PDATA_FORMAT_VERSION + 1);
	d->meta_blocks = 0;
	assert_int_equal(pdata_block_seal(&c, block), 0);
}

static void test_leaf_edges(void **state)
{
	struct pdata_range_leaf_disk *d = (void *)block;
	struct pdata_check c = check_for(&samples[5]);

	/* A leaf may hold nothing but its interval. */
	build(&samples[5], block);
	d->r.nr = 0;
	d->r.bytes = 0;
	assert_int_equal(pdata_block_seal(&c, block), 0);
	/* Its payload may touch both ends. */
	build(&samples[5], block);
	d->r.lo = cpu_to_le64(100);
	d->r.hi = cpu_to_le64(295);
	assert_int_equal(pdata_block_seal(&c, block), 0);
}

static void test_fault(void **state)
{
	struct pdata_check c = check_for(&samples[3]);

	build(&samples[3], block);
	pdata_fault_arm(PDATA_FAULT_SEAL_CORRUPT, 0);
	assert_int_equal(pdata_block_seal(&c, block), -PDATA_E_CSUM);
	build(&samples[3], block);
	assert_int_equal(pdata_block_seal(&c, block), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_expectations),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_counts_place),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_leaf_edges),
		cmocka_unit_test(test_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
