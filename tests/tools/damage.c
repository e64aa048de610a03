// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finds and damages blocks of a metadata image, for the tests of the tools.
 *
 *	damage FILE super		home of the newest superblock
 *	damage FILE root WHAT		root block: details, copy, deleting, data, or thin ID
 *	damage FILE down BLOCK		its first child
 *	damage FILE leaf BLOCK		leftmost leaf below it (itself if it is one)
 *	damage FILE at BLOCK KEY LEVEL	node of that level below it where KEY is
 *	damage FILE span BLOCK		LO HI: interval of a node of a range tree
 *	damage FILE counts BLOCK	slot with the committed count of BLOCK
 *	damage FILE journal N		N-th block from the journal's tail on
 *	damage FILE flip BLOCK OFFSET
 *	damage FILE get BLOCK OFFSET SIZE	a little-endian number
 *	damage FILE set BLOCK OFFSET SIZE VALUE	... and fix the checksum
 *	damage FILE copy FROM TO	a whole block, unchanged: a misdirected write
 *	damage FILE plain BLOCK		rewrite a leaf with records of a fixed size
 */
#include "dm-thin2-metadata.h"
#include "io-file.h"
#include "pdata-layout.h"

static struct pdata_io *io;
static const char *path;

static void die(const char *what, int r)
{
	fprintf(stderr, "damage: %s: %s\n", what, r ? pdata_error_text(r) : "bad use");
	exit(1);
}

static u64 number(const char *text)
{
	char *end;
	u64 v = strtoull(text, &end, 0);

	if (*end || end == text)
		die(text, -EINVAL);
	return v;
}

static void read_block(u64 block, void *data)
{
	int r = pdata_io_read(io, block, data);

	if (r)
		die("read", r);
}

static void write_block(u64 block, void *data)
{
	struct pdata_io_vec vec = { .block = block, .data = data };
	int r = pdata_io_write(io, &vec, 1, true);

	if (r)
		die("write", r);
}

static void read_super(struct pdata_super *sb)
{
	int r = pdata_super_read(io, sb);

	if (r)
		die("superblock", r);
}

struct find {
	u32 id;
	u64 root;
};

static int find_thin(void *context, const struct thin2_details *d)
{
	struct find *f = context;

	if (d->id == f->id)
		f->root = d->root;
	return 0;
}

static u64 thin_root(u32 id)
{
	struct thin2_md_params p = { .io = io, .name = path, .read_only = true };
	struct find f = { .id = id };
	struct thin2_md *md;
	int r = thin2_md_open(&p, &md);

	if (!r)
		r = thin2_for_each_details(md, false, find_thin, &f);
	if (r)
		die("open", r);
	thin2_md_abandon(md);
	return pdata_ptr_block(f.root);
}

static u64 root_of(const char *what)
{
	struct pdata_super sb;

	read_super(&sb);
	if (!strcmp(what, "details"))
		return pdata_ptr_block(sb.details_root);
	if (!strcmp(what, "copy"))
		return pdata_ptr_block(sb.details_copy_root);
	if (!strcmp(what, "deleting"))
		return pdata_ptr_block(sb.deleting_root);
	if (!strcmp(what, "data"))
		return pdata_ptr_block(sb.data_sm_root);
	return thin_root(number(what));
}

/* First child, or 0 for a leaf. */
static u64 child_of(u64 block)
{
	static u8 data[PDATA_BLOCK_SIZE] __aligned(4096);
	const struct pdata_header *h = (const void *)data;
	const struct pdata_btree_disk *b = (const void *)data;
	const struct pdata_range_node_disk *n = (const void *)data;
	__le64 child;

	read_block(block, data);
	if (le32_to_cpu(h->magic) == PDATA_TYPE_RANGE_NODE)
		return pdata_ptr_block(le64_to_cpu(n->child[0].ptr));
	if (le32_to_cpu(h->magic) == PDATA_TYPE_BTREE && b->level) {
		memcpy(&child, b->data + sizeof(b->data) / 16 * 8, sizeof(child));
		return pdata_ptr_block(le64_to_cpu(child));
	}
	return 0;
}

static u64 leaf(u64 block)
{
	u64 child;

	while ((child = child_of(block)))
		block = child;
	return block;
}

/* Which child of a node has @key, and at what level it is. */
static u64 child_at(const void *data, u64 key, u64 *level)
{
	const struct pdata_header *h = data;
	const struct pdata_range_node_disk *n = data;
	const struct pdata_btree_disk *b = data;
	unsigned int i = 1;
	__le64 v;

	if (le32_to_cpu(h->magic) == PDATA_TYPE_RANGE_NODE) {
		*level = le16_to_cpu(n->r.level) - 1;
		while (i < le16_to_cpu(n->r.nr) && le64_to_cpu(n->child[i].begin) <= key)
			i++;
		return pdata_ptr_block(le64_to_cpu(n->child[i - 1].ptr));
	}
	if (le32_to_cpu(h->magic) != PDATA_TYPE_BTREE || !b->level)
		die("no such level", 0);
	*level = le16_to_cpu(b->level) - 1;
	for (; i < le16_to_cpu(b->nr); i++) {
		memcpy(&v, b->data + 8 * i, sizeof(v));
		if (le64_to_cpu(v) > key)
			break;
	}
	memcpy(&v, b->data + sizeof(b->data) / 16 * 8 + 8 * (i - 1), sizeof(v));
	return pdata_ptr_block(le64_to_cpu(v));
}

static u64 level_of(const void *data)
{
	const struct pdata_header *h = data;
	const struct pdata_range_node_disk *n = data;
	const struct pdata_btree_disk *b = data;

	switch (le32_to_cpu(h->magic)) {
	case PDATA_TYPE_RANGE_NODE:
		return le16_to_cpu(n->r.level);
	case PDATA_TYPE_BTREE:
		return le16_to_cpu(b->level);
	default:
		return 0;
	}
}

static u64 node_at(u64 block, u64 key, u64 want)
{
	static u8 data[PDATA_BLOCK_SIZE] __aligned(4096);
	u64 level;

	read_block(block, data);
	for (level = level_of(data); level > want; ) {
		block = child_at(data, key, &level);
		read_block(block, data);
	}
	if (level != want)
		die("no such level", 0);
	return block;
}

static void span(u64 block)
{
	static u8 data[PDATA_BLOCK_SIZE] __aligned(4096);
	const struct pdata_range_leaf_disk *d = (const void *)data;

	read_block(block, data);
	printf("%llu %llu\n", (unsigned long long)le64_to_cpu(d->r.lo),
	       (unsigned long long)le64_to_cpu(d->r.hi));
}

static u64 counts_slot(u64 block)
{
	const u64 group = pdata_group_of(block);
	struct pdata_super sb;

	read_super(&sb);
	return pdata_counts_place(group, pdata_slot_of(sb.slots, group));
}

static u64 super_home(void)
{
	struct pdata_super sb;

	read_super(&sb);
	return sb.generation & 1 ? PDATA_SB_B : PDATA_SB_A;
}

static u64 journal_block(u64 n)
{
	struct pdata_super sb;

	read_super(&sb);
	return pdata_journal_place((sb.journal_tail + n) % sb.journal_blocks);
}

static u64 get(u64 block, u64 offset, u64 size)
{
	static u8 data[PDATA_BLOCK_SIZE] __aligned(4096);
	u64 v = 0;

	read_block(block, data);
	while (size--)
		v = v << 8 | data[offset + size];
	return v;
}

static void set(u64 block, u64 offset, u64 size, u64 value)
{
	static u8 data[PDATA_BLOCK_SIZE] __aligned(4096);
	u64 i;
	__le32 csum;

	read_block(block, data);
	for (i = 0; i < size; i++)
		data[offset + i] = value >> (8 * i);
	csum = cpu_to_le32(crc32c(~0u, data + 4, PDATA_BLOCK_SIZE - 4));
	memcpy(data, &csum, sizeof(csum));
	write_block(block, data);
}

static void flip(u64 block, u64 offset)
{
	static u8 data[PDATA_BLOCK_SIZE] __aligned(4096);

	read_block(block, data);
	data[offset] ^= 1;
	write_block(block, data);
}

static void copy(u64 from, u64 to)
{
	static u8 data[PDATA_BLOCK_SIZE] __aligned(4096);

	read_block(from, data);
	write_block(to, data);
}

/* Of packed records no single field can be set. Both codecs may be met in a tree. */
static void plain(u64 block)
{
	static struct pdata_range_leaf_disk d __aligned(4096);
	static struct pdata_range r[PDATA_LEAF_MAX_RECORDS];
	const struct pdata_codec *codec;
	unsigned int nr, bytes;

	read_block(block, &d);
	codec = pdata_codec_find(le16_to_cpu(d.r.codec));
	nr = le16_to_cpu(d.r.nr);
	if (!codec || codec->decode(d.payload, le16_to_cpu(d.r.bytes), nr, le64_to_cpu(d.r.lo),
				    le64_to_cpu(d.r.hi), r))
		die("decode", -PDATA_E_CONTENT);
	codec = pdata_codec_find(nr && r[0].kind == PDATA_RANGE_COUNT ? PDATA_CODEC_SM_PLAIN :
									PDATA_CODEC_MAP_PLAIN);
	memset(d.payload, 0, sizeof(d.payload));
	if (codec->encode(r, nr, nr, d.payload, sizeof(d.payload), &bytes) != nr)
		die("encode", -PDATA_E_LIMIT);
	d.r.codec = cpu_to_le16(codec->id);
	d.r.bytes = cpu_to_le16(bytes);
	d.h.csum = cpu_to_le32(crc32c(~0u, (u8 *)&d + 4, PDATA_BLOCK_SIZE - 4));
	write_block(block, &d);
}

static void answer(u64 v)
{
	printf("%llu\n", (unsigned long long)v);
}

static void obey(int nr, char **a)
{
	const char *cmd = a[0];

	if (nr == 1 && !strcmp(cmd, "super"))
		answer(super_home());
	else if (nr == 2 && !strcmp(cmd, "root"))
		answer(root_of(a[1]));
	else if (nr == 2 && !strcmp(cmd, "down"))
		answer(child_of(number(a[1])));
	else if (nr == 2 && !strcmp(cmd, "leaf"))
		answer(leaf(number(a[1])));
	else if (nr == 4 && !strcmp(cmd, "at"))
		answer(node_at(number(a[1]), number(a[2]), number(a[3])));
	else if (nr == 2 && !strcmp(cmd, "span"))
		span(number(a[1]));
	else if (nr == 2 && !strcmp(cmd, "counts"))
		answer(counts_slot(number(a[1])));
	else if (nr == 2 && !strcmp(cmd, "journal"))
		answer(journal_block(number(a[1])));
	else if (nr == 3 && !strcmp(cmd, "flip"))
		flip(number(a[1]), number(a[2]));
	else if (nr == 4 && !strcmp(cmd, "get"))
		answer(get(number(a[1]), number(a[2]), number(a[3])));
	else if (nr == 5 && !strcmp(cmd, "set"))
		set(number(a[1]), number(a[2]), number(a[3]), number(a[4]));
	else if (nr == 2 && !strcmp(cmd, "plain"))
		plain(number(a[1]));
	else if (nr == 3 && !strcmp(cmd, "copy"))
		copy(number(a[1]), number(a[2]));
	else
		die(cmd, 0);
}

int main(int argc, char **argv)
{
	int r;

	pdata_shim_quiet = true;
	if (argc < 3)
		die("usage: damage FILE COMMAND...", 0);
	path = argv[1];
	/* Also what a pool in use has. */
	r = pdata_io_file_open(path, PDATA_IO_FILE_SHARED, &io);
	if (r)
		die(path, r);
	obey(argc - 2, argv + 2);
	return pdata_io_file_close(io) ? 1 : 0;
}
