// SPDX-License-Identifier: GPL-2.0-only
/* thin2_metadata_pack: a pool's metadata as a small file, to keep or to send. */
#include "pack.h"
#include "pdata-layout.h"
#include "pdata-validate.h"

struct pack {
	const char *input;
	const char *output;
	bool force;
	struct pdata_io *io;
	bool have_super;
	struct pdata_super sb;
	struct pack_file file;
	u64 unreadable;

	/* The two slots of the group at hand; a bad one says nothing. */
	struct pdata_counts *slot[2];
	bool slot_ok[2];
};

static const struct option options[] = {
	{ "force", no_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ "input", required_argument, NULL, 'i' },
	{ "output", required_argument, NULL, 'o' },
	{ "version", no_argument, NULL, 'V' },
	{ }
};

static const char usage_text[] =
	"Usage: thin2_metadata_pack [options] -i {device|file} -o FILE\n"
	"Packs the blocks of a thin-pool2's metadata that are in use.\n\n"
	"  -f, --force    even if there is no superblock, or blocks cannot be read\n"
	"  -h, --help\n"
	"  -i, --input DEVICE|FILE\n"
	"  -o, --output FILE\n"
	"  -V, --version\n";

static bool parse(struct pack *p, int argc, char **argv, int *status)
{
	int opt;

	while ((opt = tool_getopt(argc, argv, "fhi:o:V", options)) != -1) {
		if (opt == 'f')
			p->force = true;
		else if (opt == 'i')
			p->input = optarg;
		else if (opt == 'o')
			p->output = optarg;
		else
			return tool_help_option(opt, usage_text, status);
	}
	*status = TOOL_FAIL;
	if (optind != argc)
		tool_err("'%s' is not an option", argv[optind]);
	else if (!p->input)
		tool_err("no input device given");
	else if (!p->output)
		tool_err("no output file given");
	else
		return true;
	fputs(usage_text, stderr);
	return false;
}

/* ---- which blocks ---- */

static void read_slots(struct pack *p, u64 group)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		struct pdata_check c = {
			.block = pdata_counts_place(group, i),
			.type = PDATA_TYPE_COUNTS,
			.uuid = p->sb.uuid,
			.max_generation = ~0ull,
			.nr_blocks = p->sb.meta_blocks,
		};

		p->slot_ok[i] = c.block < p->io->nr_blocks &&
				!pdata_io_read(p->io, c.block, p->slot[i]) &&
				!pdata_block_check(&c, p->slot[i]);
	}
}

/* Is it in use, in either of the two versions that may count? Lost counts: who knows. */
static bool is_counted(const struct pack *p, u64 block)
{
	const u64 group = block / PDATA_COUNTS_PER_BLOCK, i = block % PDATA_COUNTS_PER_BLOCK;
	unsigned int s;

	if (group >= p->sb.meta_groups)
		return false;
	for (s = 0; s < 2; s++)
		if (!p->slot_ok[s] || p->slot[s]->count[i])
			return true;
	return false;
}

static bool is_ours(const struct pack *p, const struct pdata_header *h)
{
	switch (le32_to_cpu(h->magic)) {
	case PDATA_TYPE_SUPERBLOCK:
	case PDATA_TYPE_JOURNAL:
	case PDATA_TYPE_COUNTS:
	case PDATA_TYPE_BTREE:
	case PDATA_TYPE_RANGE_NODE:
	case PDATA_TYPE_RANGE_LEAF:
		return !p->have_super || !memcmp(h->uuid, p->sb.uuid, sizeof(h->uuid));
	default:
		return false;
	}
}

/* Without a superblock: whatever looks like ours. */
static bool may_be_wanted(const struct pack *p, u64 block)
{
	if (!p->have_super || pdata_is_fixed(block))
		return true;
	return pdata_is_reserved(block, p->sb.journal_blocks) || is_counted(p, block);
}

static bool is_wanted(const struct pack *p, u64 block, const void *data)
{
	const bool super = block == PDATA_SB_A || block == PDATA_SB_B || block == PDATA_SB_BACKUP;

	/* A node in use is wanted, and if it is torn all the more. */
	if (super || (p->have_super && !pdata_is_reserved(block, p->sb.journal_blocks)))
		return true;
	return is_ours(p, data);
}

/* ---- the device ---- */

static int pack_block(struct pack *p, u64 block, void *data)
{
	int r;

	if (!may_be_wanted(p, block))
		return 0;
	r = pdata_io_read(p->io, block, data);
	if (r && p->force) {
		p->unreadable++;
		return 0;
	}
	if (r) {
		tool_err("%s: block %llu: %s", p->input, block, tool_error(r));
		return r;
	}
	return is_wanted(p, block, data) ? pack_add(&p->file, block, data) : 0;
}

static int pack_all(struct pack *p)
{
	const u64 end = p->have_super ? min(p->sb.meta_blocks, p->io->nr_blocks) :
					p->io->nr_blocks;
	void *data = tool_block();
	u64 block;
	int r = 0;

	p->slot[0] = tool_block();
	p->slot[1] = tool_block();
	for (block = 0; block < end && !r; block++) {
		tool_progress("blocks", block, end);
		if (p->have_super && !(block % PDATA_COUNTS_PER_BLOCK))
			read_slots(p, block / PDATA_COUNTS_PER_BLOCK);
		r = pack_block(p, block, data);
	}
	pdata_block_free(p->slot[0]);
	pdata_block_free(p->slot[1]);
	pdata_block_free(data);
	return r;
}

static int read_super(struct pack *p)
{
	int r = pdata_super_read(p->io, &p->sb);

	p->have_super = r == PDATA_SB_VALID;
	if (p->have_super || (p->force && p->io->nr_blocks >= PDATA_MIN_BLOCKS))
		return 0;
	tool_err("%s: %s", p->input, tool_super_error(r));
	return -PDATA_E_NOT_V2;
}

static int run(struct pack *p)
{
	int r;

	p->io = tool_open(p->input, TOOL_READ);
	if (!p->io)
		return -EIO;
	r = read_super(p);
	if (!r)
		r = pack_create(&p->file, p->output,
				p->have_super ? p->sb.meta_blocks : p->io->nr_blocks);
	if (!r)
		r = pack_all(p);
	if (!r)
		r = pack_finish(&p->file);
	tool_progress_end();
	if (!r && p->unreadable)
		tool_err("%s: %llu blocks cannot be read and are left out", p->input,
			 p->unreadable);
	pack_close(&p->file);
	tool_close(p->io);
	return r;
}

int main(int argc, char **argv)
{
	struct pack p = { };
	int status;

	tool_init("thin2_metadata_pack");
	if (!parse(&p, argc, argv, &status))
		return status;
	tool_progress_begin(true);
	return run(&p) ? TOOL_FAIL : TOOL_OK;
}
