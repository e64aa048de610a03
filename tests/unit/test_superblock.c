// SPDX-License-Identifier: GPL-2.0-only
/* Superblocks: which copy wins, what is said of strangers, crashes of a format. */
#include <setjmp.h>
#include <cmocka.h>

#include "io-sim.h"
#include "pdata-layout.h"
#include "pdata-superblock.h"

#define NR_BLOCKS	512

static const u8 uuid[PDATA_UUID_SIZE] = "this very pool..";
static const u8 uuid2[PDATA_UUID_SIZE] = "an older pool...";

static struct pdata_super sample(u64 generation)
{
	struct pdata_super sb;

	pdata_super_init(&sb, uuid, NR_BLOCKS);
	sb.generation = generation;
	sb.data_units = 1000;
	sb.transaction_id = generation * 10;
	return sb;
}

/* Put a sealed copy of @sb at @place, whatever its generation. */
static void poke_super(struct sim_disk *disk, u64 place, const struct pdata_super *sb)
{
	struct pdata_superblock_disk d;
	struct pdata_check c = {
		.block = place,
		.type = PDATA_TYPE_SUPERBLOCK,
		.uuid = sb->uuid,
		.max_generation = sb->generation,
		.nr_blocks = NR_BLOCKS,
	};

	pdata_super_pack(sb, &d);
	assert_int_equal(pdata_block_seal(&c, &d), 0);
	sim_poke(disk, place, &d);
}

enum copy {
	ZERO, GARBAGE, FLIPPED, BAD, V1, OLD_POOL,
	GEN,	/* + generation */
};

static void put_copy(struct sim_disk *disk, u64 place, int what)
{
	u8 block[PDATA_BLOCK_SIZE] = { };
	const __le64 v1 = cpu_to_le64(27022010);
	struct pdata_super sb = sample(what > GEN ? what - GEN : 9);

	switch (what) {
	case GARBAGE:
		memset(block, 0xa5, sizeof(block));
		sim_poke(disk, place, block);
		break;
	case BAD:
		sim_set_bad(disk, place, true, false);
		break;
	case V1:
		memcpy(block + 32, &v1, 8);
		sim_poke(disk, place, block);
		break;
	case OLD_POOL:
		sb.generation = 500;
		memcpy(sb.uuid, uuid2, PDATA_UUID_SIZE);
		poke_super(disk, place, &sb);
		break;
	case ZERO:
		sim_poke(disk, place, block);
		break;
	default:
		poke_super(disk, place, &sb);
		if (what == FLIPPED)
			sim_flip_bit(disk, place, 20000);
	}
}

/* What must come out, worked out another way than the code does. */
static int expect(const int *copy, u64 *generation)
{
	int i, best = -1;

	if (copy[0] == ZERO)
		return PDATA_SB_ZEROED;
	if (copy[0] == GARBAGE || copy[0] == V1)
		return -PDATA_E_NOT_V2;
	for (i = 0; i < 3; i++)
		if (copy[i] > GEN && copy[i] - GEN > best)
			best = copy[i] - GEN;
	for (i = 0; i < 3 && copy[0] < GEN; i++)
		if (copy[i] == OLD_POOL)
			best = 500;
	*generation = best;
	if (best >= 0)
		return PDATA_SB_VALID;
	for (i = 0; i < 3; i++)
		if (copy[i] == BAD)
			return -EIO;
	return copy[0] == FLIPPED ? -PDATA_E_CSUM : -PDATA_E_NOT_V2;
}

static void test_all_combinations(void **state)
{
	static const int a[] = { ZERO, GARBAGE, FLIPPED, BAD, V1, GEN + 4, GEN + 6 };
	static const int b[] = { ZERO, GARBAGE, FLIPPED, BAD, OLD_POOL, GEN + 3, GEN + 5 };
	static const int k[] = { ZERO, GARBAGE, FLIPPED, BAD, OLD_POOL, GEN + 3, GEN + 4,
				 GEN + 5, GEN + 6 };
	unsigned int i, j, l;

	pdata_shim_quiet = true;
	for (i = 0; i < ARRAY_SIZE(a); i++)
		for (j = 0; j < ARRAY_SIZE(b); j++)
			for (l = 0; l < ARRAY_SIZE(k); l++) {
				const int copy[3] = { a[i], b[j], k[l] };
				struct sim_disk *disk = sim_disk_create(NR_BLOCKS, NULL);
				struct pdata_super sb;
				u64 generation = 0;
				int want = expect(copy, &generation), r;

				put_copy(disk, PDATA_SB_A, copy[0]);
				put_copy(disk, PDATA_SB_B, copy[1]);
				put_copy(disk, PDATA_SB_BACKUP, copy[2]);
				r = pdata_super_read(&disk->io, &sb);
				if (r != want ||
				    (r == PDATA_SB_VALID && sb.generation != generation))
					fail_msg("%d %d %d: %d, wanted %d, generation %llu",
						 copy[0], copy[1], copy[2], r, want, generation);
				sim_disk_destroy(disk);
			}
	pdata_shim_quiet = false;
}

static void test_round_trip(void **state)
{
	struct sim_disk *disk = sim_disk_create(NR_BLOCKS, NULL);
	struct pdata_super in, out;
	u64 g;
	u32 i;

	pdata_super_init(&in, uuid, NR_BLOCKS);
	in.flags = PDATA_SB_NEEDS_CHECK;
	in.compat_features = 1;
	in.ro_compat_features = 2;
	in.data_units = 3 << 20;
	in.meta_groups = 1;
	in.slots[0] = 1;
	in.meta_used = 5;
	in.data_used = 6;
	in.journal_nonce = 7;
	in.journal_tail = 8;
	in.journal_tail_rec = 9;
	in.journal_tail_crc = 10;
	in.journal_cut = 11;
	in.journal_cut_gen = 12;
	in.time = 11;
	in.details_root = 412;
	in.details_copy_root = 411;
	in.deleting_root = 413;
	in.data_sm_root = 414;
	in.data_sm_leaves = 15;
	in.next_uid = 16;
	in.transaction_id = 17;
	in.data_block_size = 18;
	in.nr_holds = PDATA_MAX_HOLDS;
	for (i = 0; i < PDATA_MAX_HOLDS; i++)
		in.hold[i] = (struct pdata_hold) {
			.root = 100 + i, .uid = 200 + i, .generation = 300 + i, .id = 400 + i,
			.kind = 1 + i % 2,
		};
	put_copy(disk, PDATA_SB_A, FLIPPED);
	for (g = 1; g < 6; g++) {
		in.generation = g;
		assert_int_equal(pdata_super_write(&disk->io, &in, false), 0);
		memset(&out, 0xff, sizeof(out));
		assert_int_equal(pdata_super_read(&disk->io, &out), PDATA_SB_VALID);
		assert_memory_equal(&in, &out, sizeof(in));
	}
	/* It was written with FUA: a crash changes nothing. */
	sim_crash(disk);
	sim_power_on(disk);
	assert_int_equal(pdata_super_read(&disk->io, &out), PDATA_SB_VALID);
	assert_memory_equal(&in, &out, sizeof(in));
	sim_disk_destroy(disk);
}

/* Every commit lands beside the one before; the backup is the same. */
static void test_alternation(void **state)
{
	struct sim_disk *disk = sim_disk_create(NR_BLOCKS, NULL);
	struct pdata_super sb = sample(8);
	const struct pdata_header *h;

	assert_int_equal(pdata_super_write(&disk->io, &sb, false), 0);
	sb.generation = 9;
	assert_int_equal(pdata_super_write(&disk->io, &sb, false), 0);
	assert_int_equal(pdata_super_write(&disk->io, &sb, true), 0);
	h = sim_peek(disk, PDATA_SB_A);
	assert_int_equal(le64_to_cpu(h->generation), 8);
	h = sim_peek(disk, PDATA_SB_B);
	assert_int_equal(le64_to_cpu(h->generation), 9);
	h = sim_peek(disk, PDATA_SB_BACKUP);
	assert_int_equal(le64_to_cpu(h->generation), 9);
	sim_disk_destroy(disk);
}

static void test_strangers(void **state)
{
	struct sim_disk *disk = sim_disk_create(NR_BLOCKS, NULL);
	struct pdata_super sb = sample(4), out;

	/* A newer version is refused even if an older copy is known to us. */
	sb.version = 2;
	poke_super(disk, PDATA_SB_A, &sb);
	sb = sample(3);
	poke_super(disk, PDATA_SB_B, &sb);
	assert_int_equal(pdata_super_read(&disk->io, &out), -PDATA_E_VERSION);
	/* An older one is history. */
	sb = sample(5);
	poke_super(disk, PDATA_SB_B, &sb);
	assert_int_equal(pdata_super_read(&disk->io, &out), PDATA_SB_VALID);
	sb.incompat_features = 1;
	sb.generation = 6;
	poke_super(disk, PDATA_SB_A, &sb);
	assert_int_equal(pdata_super_read(&disk->io, &out), -PDATA_E_VERSION);
	sim_disk_destroy(disk);

	disk = sim_disk_create(PDATA_MIN_BLOCKS - 1, NULL);
	assert_int_equal(pdata_super_read(&disk->io, &out), -PDATA_E_TOO_SMALL);
	sb = sample(0);
	assert_int_equal(pdata_super_format(&disk->io, &sb), -PDATA_E_TOO_SMALL);
	sim_disk_destroy(disk);
}

/* An old pool, A zeroed: power fails anywhere in the format. */
static void test_format_crash(void **state)
{
	struct pdata_super old = sample(500), sb = sample(0), out;
	unsigned int at, fate, done = 0;
	int r;

	memcpy(old.uuid, uuid2, PDATA_UUID_SIZE);
	pdata_shim_quiet = true;
	for (at = 1; done < 2; at++) {
		for (fate = SIM_NONE; fate < SIM_FATES; fate++) {
			struct sim_clock clock;
			struct sim_disk *disk;

			sim_clock_init(&clock, at * 100 + fate);
			disk = sim_disk_create(NR_BLOCKS, &clock);
			poke_super(disk, PDATA_SB_B, &old);
			poke_super(disk, PDATA_SB_BACKUP, &old);
			sim_clock_crash_at(&clock, at);
			r = pdata_super_format(&disk->io, &sb);
			sim_clock_power_on(&clock, fate);
			if (!r && fate == SIM_FATES - 1)
				done++;
			r = pdata_super_read(&disk->io, &out);
			/* Either "format me" or the new pool, never the old one. */
			if (r != PDATA_SB_ZEROED || done) {
				assert_int_equal(r, PDATA_SB_VALID);
				assert_memory_equal(&out, &sb, sizeof(sb));
			}
			sim_disk_destroy(disk);
		}
	}
	assert_int_equal(at - 1, 7);	/* three writes and two flushes, then two that pass */
	pdata_shim_quiet = false;
}

/* What cannot be a superblock is not written. */
static void test_refusal(void **state)
{
	struct sim_disk *disk = sim_disk_create(NR_BLOCKS, NULL);
	struct pdata_super sb = sample(1);

	sb.details_root = NR_BLOCKS;
	assert_int_equal(pdata_super_write(&disk->io, &sb, false), -PDATA_E_CONTENT);
	assert_int_equal(disk->stats.writes, 0);
	sb = sample(1);
	sim_set_bad(disk, PDATA_SB_B, false, true);
	assert_int_equal(pdata_super_write(&disk->io, &sb, false), -EIO);
	sim_disk_destroy(disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_combinations),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_alternation),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_format_crash),
		cmocka_unit_test(test_refusal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
