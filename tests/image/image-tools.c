// SPDX-License-Identifier: GPL-2.0-only
/* Runs tools within a test: their device is an image, their output is kept. */
#include "image.h"

#include <unistd.h>

#include "../../tools/common.h"

static struct image *current;

struct pdata_io *tool_open(const char *path, enum tool_open_mode mode)
{
	if (!current || strcmp(path, IMAGE_NAME))
		return NULL;
	return &current->io;
}

void tool_close(struct pdata_io *io)
{
}

char *image_tool(struct image *img, int (*tool)(int argc, char **argv), const char *const *args,
		 bool quiet, int *status)
{
	const bool quiet_before = pdata_shim_quiet, fatal_before = pdata_shim_warn_fatal;
	FILE *out = stdout, *err = stderr, *f;
	char *argv[16] = { "tool" }, *text = NULL;
	size_t size = 0;
	int argc = 1;

	while (args && *args && argc < 14)
		argv[argc++] = (char *)*args++;
	argv[argc++] = IMAGE_NAME;
	f = quiet ? fopen("/dev/null", "w") : open_memstream(&text, &size);
	if (!f)
		abort();
	current = img;
	optind = 0;	/* getopt_long() starts over */
	stdout = f;
	stderr = f;
	*status = tool(argc, argv);
	stdout = out;
	stderr = err;
	fclose(f);
	current = NULL;
	pdata_shim_quiet = quiet_before;
	pdata_shim_warn_fatal = fatal_before;
	return text;
}
