/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Metadata images in memory, for tests that damage thousands of them: a device
 * for the core and the tools, what is in use on it, and ways to damage it.
 */
#ifndef TESTS_IMAGE_H
#define TESTS_IMAGE_H

#include "pdata-io.h"
#include "dm-thin2-metadata.h"

#define IMAGE_NAME	"image"	/* as the tools' device */

struct image {
	struct pdata_io io;	/* first */
	u8 *data;		/* nr_blocks blocks */
	u8 *checked;		/* the cache's byte for each */
	u8 *touched;		/* written since image_restore() */
	u64 cut;		/* at this write from now on ... */
	u8 *cut_data;		/* ... what power failure leaves is kept here */
};

/* ---- image-io.c ---- */

void image_init(struct image *img, u64 nr_blocks);
void image_exit(struct image *img);
void *image_block(const struct image *img, u64 block);
/* Before a block is changed by hand: a verdict on it is void. */
void image_touch(struct image *img, u64 block);
/* @img, of the same size, becomes @from; cheap if it was so before. */
void image_restore(struct image *img, const struct image *from);
/* Make the crc right. */
void image_reseal(struct image *img, u64 block);

/* ---- image-stories.c ---- */

#define IMAGE_MARKS	64

struct image_story {
	const char *name;
	const char *words;	/* of pool-words.h */
	u64 blocks;
	u64 units;
	u64 cut;		/* writes after the last mark at which power fails, 0 = never */
};

/* What blocks held at the marks of a story. */
struct image_past {
	unsigned int nr;
	u8 *data[IMAGE_MARKS];
};

extern const struct image_story image_stories[];
extern const unsigned int image_nr_stories;

/* Tell a story, the same each time: image_init() included. @past may be NULL. */
void image_tell(struct image *img, const struct image_story *story, struct image_past *past);
void image_past_free(struct image_past *past);
static inline const void *image_past_block(const struct image_past *past, unsigned int i, u64 block)
{
	return past->data[i] + block * PDATA_BLOCK_SIZE;
}

/* ---- image-nodes.c ---- */

enum image_kind {
	IMAGE_SUPER,		/* A, B, backup */
	IMAGE_SLOT,		/* of groups in use */
	IMAGE_JOURNAL,		/* the whole ring */
	IMAGE_DETAILS,		/* this and what follows: nodes that can be reached */
	IMAGE_DELETING,
	IMAGE_DATA_SM,
	IMAGE_MAPPING,
	IMAGE_KINDS
};

#define IMAGE_SHARERS	32

struct image_node {
	u64 block;
	enum image_kind kind;
	unsigned int level;
	u64 lo;			/* range trees */
	u64 hi;
	unsigned int nr_uids;	/* trees that have it */
	u64 uid[IMAGE_SHARERS];
};

struct image_nodes {
	struct pdata_super sb;
	unsigned int nr;
	unsigned int max;
	struct image_node *node;
};

/* All blocks in use of an image in order. */
void image_find_nodes(const struct image *img, struct image_nodes *nodes);
void image_nodes_free(struct image_nodes *nodes);
const char *image_kind_name(enum image_kind kind);

/* ---- image-tools.c ---- */

/*
 * Run a tool's main() on an image. Its output is returned (free() it), stderr
 * behind stdout; *status is its exit status. With @quiet it goes nowhere, and
 * NULL is returned.
 */
char *image_tool(struct image *img, int (*tool)(int argc, char **argv), const char *const *args,
		 bool quiet, int *status);

int thin2_check_main(int argc, char **argv);
int thin2_dump_main(int argc, char **argv);

/* ---- image-fuzz.c ---- */

/*
 * A pool that is changed as @bytes say, good until the next call. What is to be
 * done with it is each fuzzer's own: see fuzz_image_*.c.
 */
const struct image_story *image_fuzz(struct image **result, const u8 *bytes, size_t size);

/* ---- image-use.c ---- */

struct image_pool {
	const struct pdata_limits *limits;
	struct thin2_md *md;
};

int image_open(struct image *img, struct image_pool *pool, u64 units, bool read_only);
/* Look up, fill, write or read as far as it goes. */
void image_io(struct thin2_dev *th, u64 unit, u64 end, bool write);

/* What the kernel would do with it: open, read, write, snapshot, delete, close. */
void image_use(struct image *img, u64 units, u64 seed);

#endif
