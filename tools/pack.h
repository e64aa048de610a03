/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The file that thin2_metadata_pack writes and thin2_metadata_unpack reads.
 *
 * A head, chunks of blocks in ascending order, each packed by zlib, and a tail.
 * All have a crc32c, so that what is not such a file, or not all of one, is known.
 */
#ifndef THIN2_TOOLS_PACK_H
#define THIN2_TOOLS_PACK_H

#include "common.h"

#define PACK_MAGIC	0x324b4341504e4854ull	/* "THNPACK2" */
#define PACK_VERSION	1
#define PACK_CHUNK	256u	/* blocks, at most */

struct pack_head {
	__le64 magic;
	__le32 version;
	__le32 block_size;
	__le64 nr_blocks;	/* of the device */
	__le32 reserved;
	__le32 csum;		/* crc32c of what is before */
} __packed;

/* @nr 0: the tail, in which @total is that of all chunks. */
struct pack_chunk_head {
	__le32 nr;		/* blocks */
	__le32 bytes;		/* that follow */
	__le64 total;		/* blocks up to here, these included */
	__le32 data_csum;	/* of what follows */
	__le32 csum;		/* of what is before */
} __packed;

/* What a chunk is, unpacked. */
struct pack_block {
	__le64 block;
	u8 data[PDATA_BLOCK_SIZE];
} __packed;

struct pack_file {
	const char *path;
	FILE *f;
	u64 total;
	unsigned int nr;
	struct pack_block *block;	/* PACK_CHUNK */
	void *packed;
	size_t packed_max;
};

/* All return 0 or an error that was reported. */
int pack_create(struct pack_file *p, const char *path, u64 nr_blocks);
int pack_add(struct pack_file *p, u64 block, const void *data);
int pack_finish(struct pack_file *p);		/* tail; all is on disk */

int pack_open(struct pack_file *p, const char *path, u64 *nr_blocks);
/* The next chunk, in p->block and p->nr; 0 blocks = that was all, and complete. */
int pack_read(struct pack_file *p, u64 nr_blocks);

void pack_close(struct pack_file *p);

#endif
