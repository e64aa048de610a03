// SPDX-License-Identifier: GPL-2.0-only
/*
 * XML reader, on top of expat.
 *
 * As v1's tools, it takes an element or attribute that it does not know for an
 * error. Comments are skipped but for those in which thin2_dump writes the ranges
 * that v1 has no element for.
 */
#include "xml_read.h"

#include "common.h"

#include <expat.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_SIZE	(256u << 10)

/* Elements that have others in them. */
enum where {
	IN_DOCUMENT,
	IN_SUPER,
	IN_DEVICE,
	IN_DEF,
	IN_LEAF,	/* a mapping or ref; at most one deep */
	IN_LEAF_OF_DEF,
};

/* An attribute: a number up to @max goes to @value, any text to @text. */
struct attr {
	const char *name;
	bool optional;
	u64 max;
	u64 *value;
	const char **text;
	bool seen;
};

int xml_fail(struct xml_reader *x, const char *fmt, ...)
{
	char text[512];
	va_list args;

	if (x->failed)
		return -1;
	x->failed = true;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	tool_progress_end();
	tool_err("%s: line %lu, column %lu: %s", x->path,
		 (unsigned long)XML_GetCurrentLineNumber(x->parser),
		 (unsigned long)XML_GetCurrentColumnNumber(x->parser) + 1, text);
	XML_StopParser(x->parser, XML_FALSE);
	return -1;
}

/* ---- attributes ---- */

static int attr_set(struct xml_reader *x, const char *element, struct attr *a, const char *text)
{
	a->seen = true;
	if (a->text)
		*a->text = text;
	else if (!tool_parse_u64(text, a->max, a->value))
		return xml_fail(x, "attribute %s=\"%s\" of <%s> is not a number up to %llu",
				a->name, text, element, a->max);
	return 0;
}

static int attrs_parse(struct xml_reader *x, const char *element, const char **atts,
		       struct attr *list, unsigned int nr)
{
	unsigned int i;

	for (; *atts; atts += 2) {
		for (i = 0; i < nr && strcmp(list[i].name, atts[0]); i++)
			;
		if (i == nr)
			return xml_fail(x, "unknown attribute '%s' of <%s>", atts[0], element);
		if (attr_set(x, element, &list[i], atts[1]))
			return -1;
	}
	for (i = 0; i < nr; i++)
		if (!list[i].optional && !list[i].seen)
			return xml_fail(x, "<%s> lacks the attribute '%s'", element,
					list[i].name);
	return 0;
}

#define NUMBER(n, v, m)		{ .name = (n), .value = (v), .max = (m) }
#define MAYBE(n, v, m)		{ .name = (n), .value = (v), .max = (m), .optional = true }
#define TEXT(n, v)		{ .name = (n), .text = (v) }

/* ---- elements ---- */

static int start_super(struct xml_reader *x, const char **atts)
{
	u64 flags = 0, version = 0, size = 0, snap = 0;
	struct pool_super sb = { };
	const char *uuid = "";
	struct attr list[] = {
		TEXT("uuid", &uuid),
		NUMBER("time", &sb.time, U32_MAX),
		NUMBER("transaction", &sb.transaction, ~0ull),
		MAYBE("flags", &flags, U32_MAX),
		MAYBE("version", &version, 2),
		NUMBER("data_block_size", &size, U32_MAX),
		NUMBER("nr_data_blocks", &sb.nr_data_blocks, ~0ull),
		MAYBE("metadata_snap", &snap, ~0ull),
	};

	if (x->seen_super)
		return xml_fail(x, "a second <superblock>");
	x->seen_super = true;
	if (attrs_parse(x, "superblock", atts, list, ARRAY_SIZE(list)))
		return -1;
	snprintf(sb.uuid, sizeof(sb.uuid), "%s", uuid);
	sb.flags = flags & 1;
	sb.data_block_size = size;
	x->where = IN_SUPER;
	return x->ops->super_begin(x, &sb);
}

static int start_device(struct xml_reader *x, const char **atts)
{
	struct pool_device d = { };
	struct attr list[] = {
		NUMBER("dev_id", &d.dev_id, U32_MAX),
		NUMBER("mapped_blocks", &d.mapped_blocks, ~0ull),
		NUMBER("transaction", &d.transaction, ~0ull),
		NUMBER("creation_time", &d.creation_time, U32_MAX),
		NUMBER("snap_time", &d.snap_time, U32_MAX),
	};

	if (attrs_parse(x, "device", atts, list, ARRAY_SIZE(list)))
		return -1;
	x->where = IN_DEVICE;
	return x->ops->device_begin(x, &d);
}

static int start_named(struct xml_reader *x, const char *element, const char **atts)
{
	const char *name = NULL;
	struct attr list[] = { TEXT("name", &name) };

	if (attrs_parse(x, element, atts, list, ARRAY_SIZE(list)))
		return -1;
	if (!strcmp(element, "ref")) {
		x->where = IN_LEAF;
		return x->ops->ref(x, name);
	}
	x->where = IN_DEF;
	return x->ops->def_begin(x, name);
}

static int start_mapping(struct xml_reader *x, const char *element, const char **atts)
{
	struct pool_map m = { .kind = PDATA_RANGE_MAPPED, .len = 1 };
	const bool single = *element == 's';
	u64 birth = 0;
	struct attr list[] = {
		NUMBER(single ? "origin_block" : "origin_begin", &m.begin, PDATA_MAX_UNITS),
		NUMBER(single ? "data_block" : "data_begin", &m.value, PDATA_MAX_UNITS),
		NUMBER("time", &birth, U32_MAX),
		NUMBER("length", &m.len, PDATA_MAX_UNITS),
	};

	if (attrs_parse(x, element, atts, list, ARRAY_SIZE(list) - single))
		return -1;
	m.tag = birth;
	x->where = x->where == IN_DEF ? IN_LEAF_OF_DEF : IN_LEAF;
	return x->ops->map(x, &m);
}

static int start_any(struct xml_reader *x, const char *name, const char **atts)
{
	const bool maps = x->where == IN_DEVICE || x->where == IN_DEF;

	if (x->where == IN_DOCUMENT && !strcmp(name, "superblock"))
		return start_super(x, atts);
	if (x->where == IN_SUPER && !strcmp(name, "device"))
		return start_device(x, atts);
	if (x->where == IN_SUPER && !strcmp(name, "def"))
		return start_named(x, name, atts);
	if (x->where == IN_DEVICE && !strcmp(name, "ref"))
		return start_named(x, name, atts);
	if (maps && (!strcmp(name, "single_mapping") || !strcmp(name, "range_mapping")))
		return start_mapping(x, name, atts);
	return xml_fail(x, "element <%s> is unknown, or not allowed here", name);
}

static void XMLCALL on_start(void *context, const char *name, const char **atts)
{
	struct xml_reader *x = context;

	if (!x->failed)
		start_any(x, name, atts);
}

static void XMLCALL on_end(void *context, const char *name)
{
	struct xml_reader *x = context;
	const enum where was = x->where;

	if (x->failed)
		return;
	switch (was) {
	case IN_SUPER:
		x->where = IN_DOCUMENT;
		x->ops->super_end(x);
		break;
	case IN_DEVICE:
		x->where = IN_SUPER;
		x->ops->device_end(x);
		break;
	case IN_DEF:
		x->where = IN_SUPER;
		x->ops->def_end(x);
		break;
	default:
		x->where = was == IN_LEAF_OF_DEF ? IN_DEF : IN_DEVICE;
	}
}

static void XMLCALL on_text(void *context, const char *text, int len)
{
	struct xml_reader *x = context;

	while (len--) {
		if (!strchr(" \t\r\n", *text++)) {
			xml_fail(x, "text between elements");
			return;
		}
	}
}

/* " KIND origin_begin="N" length="N" " of a kind that v1 does not have. */
static void XMLCALL on_comment(void *context, const char *text)
{
	struct xml_reader *x = context;
	struct pool_map m = { };
	int end = 0;

	if (x->failed)
		return;
	if (!strncmp(text, " zero origin_begin=", 19))
		m.kind = PDATA_RANGE_ZERO;
	else if (!strncmp(text, " damaged origin_begin=", 22))
		m.kind = PDATA_RANGE_DAMAGED;
	else
		return;
	if (sscanf(text, " %*[a-z] origin_begin=\"%llu\" length=\"%llu\" %n", &m.begin, &m.len,
		   &end) != 2 || !end || text[end])
		xml_fail(x, "a range in a comment that cannot be read");
	else if (m.begin > PDATA_MAX_UNITS || m.len > PDATA_MAX_UNITS)
		xml_fail(x, "a range in a comment beyond the largest volume");
	else if (x->where != IN_DEVICE && x->where != IN_DEF)
		xml_fail(x, "a range in a comment outside a device");
	else
		x->ops->map(x, &m);
}

/* ---- the file ---- */

static int parse_error(struct xml_reader *x)
{
	return xml_fail(x, "%s", XML_ErrorString(XML_GetErrorCode(x->parser)));
}

static int parse_all(struct xml_reader *x, int fd, u64 size)
{
	u64 done = 0;
	ssize_t n;

	do {
		void *buf = XML_GetBuffer(x->parser, READ_SIZE);

		if (!buf)
			return xml_fail(x, "out of memory");
		do {
			n = read(fd, buf, READ_SIZE);
		} while (n < 0 && errno == EINTR);
		if (n < 0) {
			tool_err("%s: %s", x->path, strerror(errno));
			return -1;
		}
		if (XML_ParseBuffer(x->parser, n, !n) != XML_STATUS_OK)
			return parse_error(x);
		done += n;
		tool_progress_now(x->task, done, size);
	} while (n);
	return 0;
}

static int open_input(const char *path, u64 *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		tool_err("%s: %s", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		tool_err("%s: is not a regular file", path);
	} else {
		*size = st.st_size;
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

int xml_read(struct xml_reader *x)
{
	u64 size;
	int r = -1, fd = open_input(x->path, &size);

	if (fd < 0)
		return -1;
	x->parser = XML_ParserCreate(NULL);
	if (!x->parser) {
		tool_err("out of memory");
	} else {
		XML_SetUserData(x->parser, x);
		XML_SetElementHandler(x->parser, on_start, on_end);
		XML_SetCharacterDataHandler(x->parser, on_text);
		XML_SetCommentHandler(x->parser, on_comment);
		r = parse_all(x, fd, size);
		XML_ParserFree(x->parser);
	}
	close(fd);
	return r;
}
