// SPDX-License-Identifier: GPL-2.0-only
/* thin2_metadata_unpack: metadata from the file that thin2_metadata_pack wrote. */
#include "io-file.h"
#include "overlay_io.h"
#include "pack.h"

#include <sys/stat.h>

struct unpack {
	const char *input;
	const char *output;
	bool force;
	struct pdata_io *io;
	struct pack_file file;
	u64 nr_blocks;
	void *first;		/* block 0, which is written last */
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
	"Usage: thin2_metadata_unpack [options] -i FILE -o {device|file}\n"
	"Writes metadata that thin2_metadata_pack packed.\n\n"
	"  -f, --force    onto a device that is not empty, too\n"
	"  -h, --help\n"
	"  -i, --input FILE\n"
	"  -o, --output DEVICE|FILE\n"
	"  -V, --version\n";

static bool parse(struct unpack *u, int argc, char **argv, int *status)
{
	int opt;

	while ((opt = tool_getopt(argc, argv, "fhi:o:V", options)) != -1) {
		if (opt == 'f')
			u->force = true;
		else if (opt == 'i')
			u->input = optarg;
		else if (opt == 'o')
			u->output = optarg;
		else
			return tool_help_option(opt, usage_text, status);
	}
	*status = TOOL_FAIL;
	if (optind != argc)
		tool_err("'%s' is not an option", argv[optind]);
	else if (!u->input)
		tool_err("no input file given");
	else if (!u->output)
		tool_err("no output device given");
	else
		return true;
	fputs(usage_text, stderr);
	return false;
}

static int failed(const struct unpack *u, int r)
{
	tool_err("%s: %s", u->output, tool_error(r));
	return r;
}

/* A file is made anew, as large as the device was; a device must be large enough. */
static int open_output(struct unpack *u)
{
	struct stat st;
	int r;

	if (stat(u->output, &st) || S_ISREG(st.st_mode)) {
		r = pdata_io_file_create(u->output, u->nr_blocks, 0, &u->io);
		return r ? failed(u, r) : 0;
	}
	u->io = tool_open(u->output, TOOL_WRITE);
	if (!u->io)
		return -EIO;
	if (u->io->nr_blocks < u->nr_blocks) {
		tool_err("%s: has %llu blocks of 4 KiB, the metadata %llu", u->output,
			 u->io->nr_blocks, u->nr_blocks);
		return -EINVAL;
	}
	r = pdata_io_read(u->io, 0, u->first);
	if (r)
		return failed(u, r);
	if (!u->force && memchr_inv(u->first, 0, PDATA_BLOCK_SIZE)) {
		tool_err("%s: is not empty: -f overwrites it", u->output);
		return -EINVAL;
	}
	memset(u->first, 0, PDATA_BLOCK_SIZE);
	return 0;
}

static int write_block(struct unpack *u, u64 block, const void *data, bool fua)
{
	struct pdata_io_vec vec = { .block = block, .data = data };
	int r = pdata_io_write(u->io, &vec, 1, fua);

	return r ? failed(u, r) : 0;
}

/* @data: aligned memory, for direct I/O. */
static int write_chunk(struct unpack *u, void *data)
{
	const struct pack_file *p = &u->file;
	unsigned int i;
	int r = 0;

	for (i = 0; i < p->nr && !r; i++) {
		const u64 block = le64_to_cpu(p->block[i].block);

		memcpy(block ? data : u->first, p->block[i].data, PDATA_BLOCK_SIZE);
		if (block)
			r = write_block(u, block, data, false);
		tool_progress("blocks", block, u->nr_blocks);
	}
	return r;
}

static int unpack_all(struct unpack *u)
{
	void *data = tool_block();
	int r;

	do {
		r = pack_read(&u->file, u->nr_blocks);
		if (!r)
			r = write_chunk(u, data);
	} while (!r && u->file.nr);
	pdata_block_free(data);
	return r;
}

static int run(struct unpack *u)
{
	int r = pack_open(&u->file, u->input, &u->nr_blocks);

	if (!r)
		r = open_output(u);
	if (r)
		return r;
	r = overlay_io_begin(u->io, "thin2_metadata_unpack");
	if (r)
		return failed(u, r);
	r = unpack_all(u);
	if (r)
		return r;
	r = pdata_io_flush(u->io);
	return r ? failed(u, r) : write_block(u, 0, u->first, true);
}

int main(int argc, char **argv)
{
	struct unpack u = { };
	int r, status;

	tool_init("thin2_metadata_unpack");
	if (!parse(&u, argc, argv, &status))
		return status;
	tool_progress_begin(true);
	u.first = tool_block();
	memset(u.first, 0, PDATA_BLOCK_SIZE);
	r = run(&u);
	tool_progress_end();
	if (u.io)
		tool_close(u.io);
	pack_close(&u.file);
	pdata_block_free(u.first);
	return r ? TOOL_FAIL : TOOL_OK;
}
