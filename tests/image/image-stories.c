// SPDX-License-Identifier: GPL-2.0-only
/* Pools whose images tests damage: small, with all kinds of blocks. */
#include "image.h"
#include "pool-words.h"

#define SMALL	"limits 4 5 8 journal 32 "
#define PAST	"create 1 random 1 40 4000 1 checkpoint mark create 2 write 2 0 300 checkpoint " \
		"mark snap 3 1 random 1 30 4000 2 flush mark " \
		"unmap 1 100 300 zero 1 3000 70 checkpoint mark " \
		"random 1 20 4000 3 checkpoint mark random 1 20 4000 4 checkpoint mark "

const struct image_story image_stories[] = {
	{
		.name = "closed",
		.words = SMALL PAST "create 4 create 5 create 6 create 7 create 8 create 9 "
			 "random 3 10 4000 5 checkpoint mark close",
		.blocks = 1100, .units = 65536,
	}, {
		.name = "journal to replay",
		.words = SMALL PAST "random 1 40 4000 6 flush mark random 3 80 4000 7 flush "
			 "random 2 40 4000 8 flush random 1 20 4000 9 flush mark abandon",
		.blocks = 1100, .units = 65536,
	}, {
		.name = "thins being deleted",
		.words = SMALL PAST "snap 4 3 random 3 40 4000 6 checkpoint mark delete 1 delete 4 "
			 "delete 2 abandon",
		.blocks = 1100, .units = 65536,
	}, {
		.name = "held root, power cut in a commit",
		.words = SMALL PAST "hold 3 random 1 40 4000 6 flush mark checkpoint abandon",
		.blocks = 1100, .units = 65536, .cut = 4,
	}, {
		.name = "merge cut between its commits",
		.words = "limits 8 8 16 journal 32 create 1 random 1 20 400 1 checkpoint mark "
			 "snap 2 1 mark scatter 1 0 1200 3 1 flush mark squeeze abandon",
		.blocks = 512, .units = 65536, .cut = 7,
	}, {
		.name = "two groups",
		.words = "limits 8 8 4 journal 32 create 1 scatter 1 0 3000 3 1 checkpoint mark "
			 "snap 2 1 scatter 1 0 300 29 2 checkpoint mark random 2 60 8000 3 "
			 "checkpoint mark random 1 30 8000 4 flush abandon",
		.blocks = 12000, .units = 65536,
	}, {
		.name = "nodes of full size",
		.words = "journal 32 create 1 scatter 1 0 3000 5 1 checkpoint mark snap 2 1 "
			 "random 1 200 15000 2 checkpoint mark random 2 100 15000 3 checkpoint mark "
			 "random 1 100 15000 4 flush mark abandon",
		.blocks = 1024, .units = 65536,
	},
};

const unsigned int image_nr_stories = ARRAY_SIZE(image_stories);

struct teller {
	struct pool_words words;
	struct image *img;
	const struct image_story *story;
	struct image_past *past;
};

static void mark(void *context)
{
	struct teller *t = context;
	const size_t size = t->img->io.nr_blocks * PDATA_BLOCK_SIZE;
	u8 *copy;

	t->img->cut = t->story->cut;
	if (!t->past)
		return;
	if (t->past->nr == IMAGE_MARKS)
		abort();
	copy = malloc(size);
	if (!copy)
		abort();
	memcpy(copy, t->img->data, size);
	t->past->data[t->past->nr++] = copy;
}

void image_tell(struct image *img, const struct image_story *story, struct image_past *past)
{
	const size_t size = story->blocks * PDATA_BLOCK_SIZE;
	struct teller t = {
		.words = {
			.p = { .io = &img->io, .name = story->name, .data_units = story->units },
			.mark = mark, .context = &t, .quiet = true,
		},
		.img = img, .story = story, .past = past,
	};

	if (past)
		past->nr = 0;
	image_init(img, story->blocks);
	if (story->cut) {
		img->cut_data = malloc(size);
		if (!img->cut_data)
			abort();
	}
	pdata_shim_seed(4711);
	pool_words_tell(&t.words, story->words);
	if (!story->cut)
		return;
	if (img->cut) {
		fprintf(stderr, "%s: it ends %llu writes before power fails\n", story->name,
			img->cut);
		abort();
	}
	memcpy(img->data, img->cut_data, size);
	memset(img->checked, 0, story->blocks);
}

void image_past_free(struct image_past *past)
{
	unsigned int i;

	for (i = 0; i < past->nr; i++)
		free(past->data[i]);
	past->nr = 0;
}
