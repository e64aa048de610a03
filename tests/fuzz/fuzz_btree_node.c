// SPDX-License-Identifier: GPL-2.0-only
/*
 * A btree whose nodes have arbitrary content.
 *
 * The input is cut into nodes. Header and crc are made right and children are
 * made to point to other nodes of the input; then the tree is walked, searched
 * and changed. Nothing may crash, loop or lose what was just inserted.
 */
#include "io-sim.h"
#include "pdata-btree.h"

#define DISK_BLOCKS	1200
#define NODES		8
#define ROOM		(4096 - 80)

static struct sim_disk *base;	/* a pool whose tree has NODES leaves of its own */
static struct sim_disk *disk;
static struct pdata_super sb;
static u64 node_ptr[NODES];

static void must(int r)
{
	if (r) {
		fprintf(stderr, "set-up failed: %d\n", r);
		abort();
	}
}

static void make_base(void)
{
	struct pdata_btree_disk *d;
	struct pdata_bm bm;
	struct pdata_tm tm;
	struct pdata_rw b;
	int i;

	base = sim_disk_create(DISK_BLOCKS, NULL);
	disk = sim_disk_create(DISK_BLOCKS, NULL);
	sb.version = PDATA_FORMAT_VERSION;
	sb.meta_blocks = DISK_BLOCKS;
	sb.journal_blocks = 32;
	sb.journal_tail = 1;
	sb.journal_tail_rec = 1;
	sb.next_uid = PDATA_FIRST_UID;
	must(pdata_super_format(&base->io, &sb));
	pdata_bm_init(&bm, &base->io, sb.uuid, sb.meta_blocks, "fuzz");
	must(pdata_tm_init(&tm, &bm, &sb));
	for (i = 0; i < NODES; i++) {
		must(pdata_tm_new(&tm, PDATA_TYPE_BTREE, PDATA_OWNER_DETAILS, &b));
		node_ptr[i] = b.ptr;
		d = b.data;
		d->nr = cpu_to_le16(1);
		d->value_size = cpu_to_le32(8);
	}
	must(pdata_tm_commit(&tm, &sb));
	pdata_tm_exit(&tm);
}

/* Return: whether the checker lets it pass. */
static bool make_node(unsigned int n, const u8 *data, size_t size)
{
	struct pdata_btree_disk *d = pdata_block_alloc(GFP_KERNEL);
	struct pdata_check c = {
		.block = pdata_ptr_block(node_ptr[n]),
		.type = PDATA_TYPE_BTREE,
		.uuid = sb.uuid,
		.max_generation = sb.generation,
		.nr_blocks = DISK_BLOCKS,
	};
	unsigned int i;
	bool good;

	if (!d)
		abort();
	memset(d, 0, sizeof(*d));
	memcpy((u8 *)d + sizeof(d->h), data, min(size, sizeof(*d) - sizeof(d->h)));
	d->level = cpu_to_le16(le16_to_cpu(d->level) % 20);
	if (le16_to_cpu(d->nr) & 0x8000) {	/* the input need not find what is regular */
		unsigned int room;

		d->value_size = cpu_to_le32(d->level ? 8 : 1 + data[0] % 20);
		room = ROOM / (8 + le32_to_cpu(d->value_size));
		d->nr = cpu_to_le16(1 + le16_to_cpu(d->nr) % room);
		for (i = 1; i < le16_to_cpu(d->nr); i++) {
			__le64 *key = (__le64 *)d->data + i;

			*key = cpu_to_le64(le64_to_cpu(key[-1]) + 1 +
					   le64_to_cpu(*key) % (1ull << (data[1] % 56)));
		}
	}
	for (i = 0; d->level && i < 251; i++) {
		__le64 *child = (__le64 *)d->data + 251 + i;

		if (le64_to_cpu(*child) < ~0ull >> 1)
			*child = cpu_to_le64(node_ptr[le64_to_cpu(*child) % NODES]);
	}
	d->h.magic = cpu_to_le32(PDATA_TYPE_BTREE);
	d->h.owner = cpu_to_le64(PDATA_OWNER_DETAILS);
	d->h.salt = cpu_to_le16(pdata_ptr_tag(node_ptr[n]) - sb.generation);
	good = !pdata_block_seal(&c, d);
	sim_poke(disk, c.block, d);
	pdata_block_free(d);
	return good;
}

static int on_node(void *context, u64 block, int level, int err)
{
	if (++*(u64 *)context > NODES * 300)
		abort();
	return 0;
}

static int on_entry(void *context, u64 key, const void *value)
{
	return 0;
}

static void use(struct pdata_btree *t, u64 key)
{
	struct pdata_view v = { .tm = t->tm };
	u8 value[PDATA_BTREE_MAX_VALUE] = { 0 };
	u64 nodes = 0, found;
	int r;

	r = pdata_btree_walk(t, &v, t->root, on_node, on_entry, &nodes);
	r = pdata_btree_next(t, &v, t->root, key, &found, value);
	if (!r && found < key)
		abort();
	if (!r)
		key = found;
	r = pdata_btree_remove(t, key);
	if (!r && pdata_btree_lookup(t, &v, t->root, key, value) != -PDATA_E_NOT_FOUND)
		abort();
	r = pdata_btree_insert(t, key, value);
	if (!r && pdata_btree_lookup(t, &v, t->root, key, value))
		abort();
	r = pdata_btree_insert(t, key + 1, value);
	if (!r && pdata_btree_lookup(t, &v, t->root, key + 1, value))
		abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct pdata_btree t = { .owner = PDATA_OWNER_DETAILS };
	struct pdata_bm bm;
	struct pdata_tm tm;
	unsigned int i;
	u64 key = 0;

	if (size < 16)
		return 0;
	pdata_shim_quiet = true;
	if (!base)
		make_base();
	sim_disk_copy(disk, base);
	t.value.size = data[0] % 3 ? 8 : 1 + data[0] % 20;
	memcpy(&key, data + 1, 8);
	for (i = 0; i < NODES && size / NODES >= 16; i++)
		make_node(i, data + i * (size / NODES), size / NODES);
	pdata_bm_init(&bm, &disk->io, sb.uuid, sb.meta_blocks, "fuzz");
	must(pdata_tm_init(&tm, &bm, &sb));
	tm.limits.btree_max = data[9] % 4 ? 4 + data[9] % 8 : 0;
	t.tm = &tm;
	t.root = node_ptr[0];
	for (i = 0; i < 4; i++)
		use(&t, key + i * 1000);
	if (pdata_btree_del(&t) && !tm.failed)
		abort();
	pdata_tm_exit(&tm);
	return 0;
}
