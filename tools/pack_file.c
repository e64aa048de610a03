// SPDX-License-Identifier: GPL-2.0-only
/* Files of packed metadata. */
#include "pack.h"

#include <unistd.h>
#include <zlib.h>

static u32 csum(const void *data, size_t len)
{
	return crc32c(~0u, data, len);
}

static int bad(const struct pack_file *p, const char *what)
{
	tool_err("%s: %s", p->path, what);
	return -PDATA_E_CONTENT;
}

static int failed(const struct pack_file *p)
{
	tool_err("%s: %s", p->path, strerror(errno));
	return -EIO;
}

static int file_init(struct pack_file *p, const char *path, const char *mode)
{
	memset(p, 0, sizeof(*p));
	p->path = path;
	p->f = fopen(path, mode);
	if (!p->f)
		return failed(p);
	p->block = tool_alloc(PACK_CHUNK * sizeof(*p->block));
	/* What cannot be packed becomes longer, by a little. */
	p->packed_max = PACK_CHUNK * sizeof(*p->block) * 1001 / 1000 + 64;
	p->packed = tool_alloc(p->packed_max);
	return 0;
}

void pack_close(struct pack_file *p)
{
	if (p->f)
		fclose(p->f);
	free(p->block);
	free(p->packed);
	memset(p, 0, sizeof(*p));
}

/* ---- writing ---- */

static int put(struct pack_file *p, const void *data, size_t len)
{
	return fwrite(data, 1, len, p->f) == len ? 0 : failed(p);
}

int pack_create(struct pack_file *p, const char *path, u64 nr_blocks)
{
	struct pack_head head = {
		.magic = cpu_to_le64(PACK_MAGIC),
		.version = cpu_to_le32(PACK_VERSION),
		.block_size = cpu_to_le32(PDATA_BLOCK_SIZE),
		.nr_blocks = cpu_to_le64(nr_blocks),
	};
	int r = file_init(p, path, "w");

	head.csum = cpu_to_le32(csum(&head, offsetof(struct pack_head, csum)));
	return r ? r : put(p, &head, sizeof(head));
}

static int put_chunk(struct pack_file *p)
{
	struct pack_chunk_head head = { .nr = cpu_to_le32(p->nr) };
	unsigned long bytes = p->nr ? p->packed_max : 0;
	int r;

	if (p->nr && compress2(p->packed, &bytes, (const void *)p->block, p->nr * sizeof(*p->block),
			       Z_DEFAULT_COMPRESSION) != Z_OK)
		return bad(p, "cannot be packed");
	p->total += p->nr;
	p->nr = 0;
	head.bytes = cpu_to_le32(bytes);
	head.total = cpu_to_le64(p->total);
	head.data_csum = cpu_to_le32(csum(p->packed, bytes));
	head.csum = cpu_to_le32(csum(&head, offsetof(struct pack_chunk_head, csum)));
	r = put(p, &head, sizeof(head));
	return r ? r : put(p, p->packed, bytes);
}

int pack_add(struct pack_file *p, u64 block, const void *data)
{
	p->block[p->nr].block = cpu_to_le64(block);
	memcpy(p->block[p->nr].data, data, PDATA_BLOCK_SIZE);
	return ++p->nr < PACK_CHUNK ? 0 : put_chunk(p);
}

int pack_finish(struct pack_file *p)
{
	int r = p->nr ? put_chunk(p) : 0;

	if (!r)
		r = put_chunk(p);
	if (!r && (fflush(p->f) || fsync(fileno(p->f))))
		r = failed(p);
	return r;
}

/* ---- reading ---- */

static int get(struct pack_file *p, void *data, size_t len)
{
	if (fread(data, 1, len, p->f) == len)
		return 0;
	return ferror(p->f) ? failed(p) : bad(p, "ends too early");
}

int pack_open(struct pack_file *p, const char *path, u64 *nr_blocks)
{
	struct pack_head head;
	int r = file_init(p, path, "r");

	if (r)
		return r;
	if (fread(&head, 1, sizeof(head), p->f) != sizeof(head) ||
	    le64_to_cpu(head.magic) != PACK_MAGIC)
		return bad(p, "is not packed metadata of a thin-pool2");
	if (le32_to_cpu(head.csum) != csum(&head, offsetof(struct pack_head, csum)))
		return bad(p, "is damaged: the head's checksum is wrong");
	if (le32_to_cpu(head.version) != PACK_VERSION ||
	    le32_to_cpu(head.block_size) != PDATA_BLOCK_SIZE)
		return bad(p, "is of another version");
	*nr_blocks = le64_to_cpu(head.nr_blocks);
	if (*nr_blocks < PDATA_MIN_BLOCKS || *nr_blocks > PDATA_MAX_BLOCKS)
		return bad(p, "is of a device that cannot be");
	return 0;
}

static int read_tail(struct pack_file *p, const struct pack_chunk_head *head)
{
	if (le64_to_cpu(head->total) != p->total || head->bytes)
		return bad(p, "is damaged: blocks are missing");
	if (fgetc(p->f) != EOF)
		return bad(p, "goes on behind its end");
	return 0;
}

static int unpack_chunk(struct pack_file *p, const struct pack_chunk_head *head)
{
	const u32 bytes = le32_to_cpu(head->bytes);
	unsigned long len = PACK_CHUNK * sizeof(*p->block);
	int r;

	if (p->nr > PACK_CHUNK || bytes > p->packed_max)
		return bad(p, "is damaged: a chunk is too large");
	r = get(p, p->packed, bytes);
	if (r)
		return r;
	if (le32_to_cpu(head->data_csum) != csum(p->packed, bytes))
		return bad(p, "is damaged: a chunk's checksum is wrong");
	if (uncompress((void *)p->block, &len, p->packed, bytes) != Z_OK ||
	    len != p->nr * sizeof(*p->block))
		return bad(p, "is damaged: a chunk cannot be unpacked");
	p->total += p->nr;
	if (le64_to_cpu(head->total) != p->total)
		return bad(p, "is damaged: blocks are missing");
	return 0;
}

int pack_read(struct pack_file *p, u64 nr_blocks)
{
	u64 last = p->nr ? le64_to_cpu(p->block[p->nr - 1].block) + 1 : 0, block;
	struct pack_chunk_head head;
	unsigned int i;
	int r = get(p, &head, sizeof(head));

	if (r)
		return r;
	if (le32_to_cpu(head.csum) != csum(&head, offsetof(struct pack_chunk_head, csum)))
		return bad(p, "is damaged: a chunk's head has a wrong checksum");
	p->nr = le32_to_cpu(head.nr);
	if (!p->nr)
		return read_tail(p, &head);
	r = unpack_chunk(p, &head);
	for (i = 0; i < p->nr && !r; i++) {
		block = le64_to_cpu(p->block[i].block);
		if (block < last || block >= nr_blocks)
			r = bad(p, "is damaged: blocks are not in order");
		last = block + 1;
	}
	return r;
}
