// SPDX-License-Identifier: GPL-2.0-only
/*
 * What LVM calls in the place of thin_check, thin_dump and thin_repair once
 * "thin2-lvm enable" was run: looks whose metadata it is and runs the tool of
 * that version with the same arguments. Under the names thin2_lvm_check,
 * thin2_lvm_dump and thin2_lvm_repair, or as "thin2_lvm_tool check ...".
 *
 * Not a script: in an initramfs there may be nothing to read a magic with.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

#define V1_MAGIC		27022010ULL
#define V1_MAGIC_OFFSET		32

/* Where the superblocks may be lost: other blocks tell, these many are read. */
#define SCAN_BLOCKS		1024u

enum verb {
	VERB_CHECK,
	VERB_DUMP,
	VERB_REPAIR,
	NR_VERBS
};

enum kind {
	KIND_V1,
	KIND_V2,
	KIND_UNKNOWN,
};

static const char * const verb_names[NR_VERBS] = { "check", "dump", "repair" };

static const char usage_text[] =
	"Usage: thin2_lvm_{check|dump|repair} [arguments of thin_check, thin_dump or thin_repair]\n"
	"       thin2_lvm_tool {check|dump|repair} [arguments]\n"
	"Runs thin2_check and so on, or thin_check and so on for metadata of version 1.\n"
	"Called by LVM, see thin2-lvm(8).\n";

/* ---- whose metadata ---- */

static int open_metadata(const char *path)
{
	/* Past the page cache, which may hold what was there before a pool wrote. */
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (fd < 0 && errno == EINVAL)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd;
}

static bool read_block(int fd, u64 block, void *buf)
{
	return pread(fd, buf, PDATA_BLOCK_SIZE, block * PDATA_BLOCK_SIZE) == PDATA_BLOCK_SIZE;
}

static bool is_v1_superblock(const void *buf)
{
	__le64 magic;

	memcpy(&magic, (const char *)buf + V1_MAGIC_OFFSET, sizeof(magic));
	return le64_to_cpu(magic) == V1_MAGIC;
}

static bool is_v2_block(const struct pdata_header *h, u64 block)
{
	switch (le32_to_cpu(h->magic)) {
	case PDATA_TYPE_SUPERBLOCK:
	case PDATA_TYPE_JOURNAL:
	case PDATA_TYPE_COUNTS:
	case PDATA_TYPE_BTREE:
	case PDATA_TYPE_RANGE_NODE:
	case PDATA_TYPE_RANGE_LEAF:
		return le64_to_cpu(h->blocknr) == block;
	default:
		return false;
	}
}

static enum kind kind_of(int fd)
{
	enum kind kind = KIND_UNKNOWN;
	void *buf = tool_block();
	const struct pdata_header *h = buf;
	u64 block;

	/* A torn superblock of ours still has its magic. */
	if (read_block(fd, 0, buf)) {
		if (le32_to_cpu(h->magic) == PDATA_TYPE_SUPERBLOCK)
			kind = KIND_V2;
		else if (is_v1_superblock(buf))
			kind = KIND_V1;
	}
	for (block = 1; kind == KIND_UNKNOWN && block < SCAN_BLOCKS; block++)
		if (read_block(fd, block, buf) && is_v2_block(h, block))
			kind = KIND_V2;
	pdata_block_free(buf);
	return kind;
}

static enum kind find_kind(const char *path)
{
	enum kind kind;
	int fd = open_metadata(path);

	if (fd < 0) {
		tool_err("%s: %s", path, strerror(errno));
		return KIND_UNKNOWN;
	}
	kind = kind_of(fd);
	close(fd);
	return kind;
}

/* ---- which metadata ---- */

/* The value of -i or --input, however it is written; the last one counts. */
static const char *input_of(int argc, char **argv)
{
	const char *path = NULL;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-i") || !strcmp(argv[i], "--input")) {
			if (i + 1 < argc)
				path = argv[++i];
		} else if (!strncmp(argv[i], "-i", 2)) {
			path = argv[i] + 2;
		} else if (!strncmp(argv[i], "--input=", 8)) {
			path = argv[i] + 8;
		}
	}
	return path;
}

static const char *metadata_of(enum verb verb, int argc, char **argv)
{
	if (verb == VERB_REPAIR)
		return input_of(argc, argv);
	/* LVM gives the device last. */
	return argc > 1 && argv[argc - 1][0] != '-' ? argv[argc - 1] : NULL;
}

/* ---- running the tool ---- */

#define MAX_PATH	4096

/* Beside this program, else by PATH. Like exec_v1() it does not return. */
static void exec_v2(const char *name, char **argv)
{
	char path[MAX_PATH + 64];
	ssize_t len = readlink("/proc/self/exe", path, MAX_PATH);

	while (len > 0 && path[len - 1] != '/')
		len--;
	if (len > 0) {
		snprintf(path + len, sizeof(path) - len, "%s", name);
		execv(path, argv);
	}
	execvp(name, argv);
	tool_err("cannot run %s: %s", name, strerror(errno));
	_exit(TOOL_FAIL);
}

static void exec_v1(const char *name, char **argv)
{
	execvp(name, argv);
	tool_err("cannot run %s for metadata of version 1: %s (package thin-provisioning-tools)",
		 name, strerror(errno));
	_exit(TOOL_FAIL);
}

/* LVM may have been called with hardly any PATH. */
static void widen_path(void)
{
	const char *old = getenv("PATH");
	char path[MAX_PATH];

	snprintf(path, sizeof(path), "%s%s/usr/local/sbin:/usr/sbin:/sbin",
		 old ? old : "", old && *old ? ":" : "");
	setenv("PATH", path, 1);
}

/*
 * Status 0 or 1, whatever happens to the tool: LVM activates a pool unchecked
 * when a check ends with 2.
 */
static int run_tool(enum verb verb, enum kind kind, char **argv)
{
	char name[32];
	int status;
	pid_t pid;

	snprintf(name, sizeof(name), "%s_%s", kind == KIND_V1 ? "thin" : "thin2",
		 verb_names[verb]);
	argv[0] = name;
	pid = fork();
	if (!pid) {
		widen_path();
		if (kind == KIND_V1)
			exec_v1(name, argv);
		exec_v2(name, argv);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		tool_err("cannot run %s: %s", name, strerror(errno));
		return TOOL_FAIL;
	}
	if (WIFSIGNALED(status))
		tool_err("%s was ended by signal %d", name, WTERMSIG(status));
	return WIFEXITED(status) && !WEXITSTATUS(status) ? TOOL_OK : TOOL_FAIL;
}

/* LVM passes "" where lvm.conf names no options. */
static int drop_empty(int argc, char **argv)
{
	int i, n = 1;

	for (i = 1; i < argc; i++)
		if (*argv[i])
			argv[n++] = argv[i];
	argv[n] = NULL;
	return n;
}

static enum verb find_verb(const char *name)
{
	unsigned int i;

	for (i = 0; i < NR_VERBS; i++)
		if (!strcmp(name, verb_names[i]))
			break;
	return i;
}

int main(int argc, char **argv)
{
	static const char prefix[] = "thin2_lvm_";
	const char *name = strrchr(argv[0], '/'), *path;
	enum verb verb = NR_VERBS;
	enum kind kind;

	name = name ? name + 1 : argv[0];
	if (!strncmp(name, prefix, sizeof(prefix) - 1))
		verb = find_verb(name + sizeof(prefix) - 1);
	if (verb == NR_VERBS && argc > 1) {
		verb = find_verb(argv[1]);
		argc--;
		argv++;
	}
	tool_init("thin2-lvm");
	if (verb == NR_VERBS) {
		fputs(usage_text, stderr);
		return TOOL_FAIL;
	}
	argc = drop_empty(argc, argv);
	path = metadata_of(verb, argc, argv);
	kind = path ? find_kind(path) : KIND_V2;
	return run_tool(verb, kind, argv);
}
