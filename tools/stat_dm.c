// SPDX-License-Identifier: GPL-2.0-only
/* thin2_stat asks device-mapper: pools, their figures, latencies of their thins. */
#include "poolstat.h"

/* libdevmapper has a function of this name, which the kernel has as a macro here. */
#undef hweight32
#include <libdevmapper.h>
#include <linux/dm-ioctl.h>
#include <sys/sysmacros.h>
#include <time.h>

/* Who counts; in the list that @stats_list prints. */
#define STATS_PROGRAM	"thin2_stat"

struct live_thin {
	char *name;
	unsigned int region;	/* of dm-stats */
};

struct live_pool {
	char *name;
	char dev[24];		/* "major:minor", as in tables */
	struct live_thin *thins;
	unsigned int nr_thins;
};

struct live {
	struct live_pool *pools;
	unsigned int nr_pools;
	char **names;		/* asked for; none: all */
	unsigned int nr_names;
};

/* A device with one target. */
struct device {
	const struct dm_names *n;
	const char *target;
	const char *table;
};

/* ---- ioctls ---- */

static void dm_log_nothing(int level, const char *file, int line, int dm_errno, const char *f, ...)
{
}

static struct dm_task *dm_run(int type, const char *name)
{
	struct dm_task *task = dm_task_create(type);

	if (task && (!name || dm_task_set_name(task, name)) && dm_task_run(task))
		return task;
	if (task)
		dm_task_destroy(task);
	return NULL;
}

/*
 * Send @message; the answer, allocated and possibly empty, or NULL with the reason
 * in errno.
 */
static char *dm_message(const char *name, const char *message)
{
	struct dm_task *task = dm_task_create(DM_DEVICE_TARGET_MSG);
	char *answer = NULL;
	const char *text;
	int err = EIO;

	if (task && dm_task_set_name(task, name) && dm_task_set_sector(task, 0) &&
	    dm_task_set_message(task, message)) {
		if (dm_task_run(task)) {
			text = dm_task_get_message_response(task);
			answer = tool_strdup(text ? text : "");
		} else {
			err = dm_task_get_errno(task);
		}
	}
	if (task)
		dm_task_destroy(task);
	errno = err;
	return answer;
}

/* The only target of @name and its line, allocated; NULL if there is another number. */
static char *dm_line(int type, const char *name, char *target, size_t size)
{
	struct dm_task *task = dm_task_create(type);
	char *line = NULL, *kind = NULL, *params = NULL;
	uint64_t start, length;

	/* Who looks often must not make the pool write a checkpoint each time. */
	if (task && dm_task_set_name(task, name) && dm_task_no_flush(task) && dm_task_run(task) &&
	    !dm_get_next_target(task, NULL, &start, &length, &kind, &params) && kind) {
		snprintf(target, size, "%s", kind);
		line = tool_strdup(params ? params : "");
	}
	if (task)
		dm_task_destroy(task);
	return line;
}

/* Is "thin-pool" here version 2, through dm-thin2-compat? */
static bool compat_loaded(void)
{
	struct dm_task *task = dm_run(DM_DEVICE_LIST_VERSIONS, NULL);
	struct dm_versions *v, *last = NULL;
	bool found = false;

	if (!task)
		return false;
	for (v = dm_task_get_versions(task); v && v != last;
	     v = (struct dm_versions *)((char *)v + v->next)) {
		if (!strcmp(v->name, "thin-pool"))
			found = v->version[0] >= 2;
		last = v;
	}
	dm_task_destroy(task);
	return found;
}

/* ---- which pools ---- */

static bool wanted(const struct live *live, const char *name)
{
	unsigned int i;

	for (i = 0; i < live->nr_names; i++)
		if (!strcmp(live->names[i], name))
			return true;
	return !live->nr_names;
}

static void add_pool(struct live *live, const struct dm_names *n)
{
	struct live_pool *p;

	live->pools = tool_realloc(live->pools, (live->nr_pools + 1) * sizeof(*live->pools));
	p = &live->pools[live->nr_pools++];
	memset(p, 0, sizeof(*p));
	p->name = tool_strdup(n->name);
	snprintf(p->dev, sizeof(p->dev), "%u:%u", major(n->dev), minor(n->dev));
}

static int find_pool(struct live *live, const struct device *d)
{
	if (!wanted(live, d->n->name))
		return 0;
	if (!strcmp(d->target, "thin-pool2") ||
	    (!strcmp(d->target, "thin-pool") && compat_loaded()))
		add_pool(live, d->n);
	return 0;
}

/* ---- latencies ---- */

static int count_thin(struct live_pool *p, const char *name)
{
	char message[512];
	struct live_thin *t;
	char *answer, *end;
	unsigned int i, len;
	int r;

	len = snprintf(message, sizeof(message),
		       "@stats_create - /1 2 precise_timestamps histogram:");
	for (i = 0; i < LATENCY_BINS - 1; i++)
		len += snprintf(message + len, sizeof(message) - len, "%s%llu", i ? "," : "",
				latency_bounds[i]);
	snprintf(message + len, sizeof(message) - len, " " STATS_PROGRAM);
	answer = dm_message(name, message);
	if (!answer) {
		tool_err("%s: cannot count latencies: %s", name, strerror(errno));
		return -EIO;
	}
	p->thins = tool_realloc(p->thins, (p->nr_thins + 1) * sizeof(*p->thins));
	t = &p->thins[p->nr_thins++];
	t->name = tool_strdup(name);
	t->region = strtoul(answer, &end, 10);
	if (end == answer)
		tool_err("%s: dm-stats answered '%s' in place of a number", name, answer);
	r = end == answer ? -EINVAL : 0;
	free(answer);
	return r;
}

/* A thin's table begins with its pool. */
static int find_thin(struct live *live, const struct device *d)
{
	unsigned int i;
	size_t len;

	if (strcmp(d->target, "thin2") && strcmp(d->target, "thin"))
		return 0;
	for (i = 0; i < live->nr_pools; i++) {
		len = strlen(live->pools[i].dev);
		if (!strncmp(d->table, live->pools[i].dev, len) && d->table[len] == ' ')
			return count_thin(&live->pools[i], d->n->name);
	}
	return 0;
}

/* Finds all pools, or all thins of those that were found. */
static int find(struct live *live, bool thins)
{
	struct dm_task *task = dm_run(DM_DEVICE_LIST, NULL);
	char target[DM_MAX_TYPE_NAME], *table;
	struct device d = { .target = target };
	const struct dm_names *n;
	int r = 0;

	if (!task) {
		tool_err("cannot list the device-mapper's devices: %s", strerror(errno));
		return -EIO;
	}
	n = dm_task_get_names(task);
	while (n && n->dev) {
		table = dm_line(DM_DEVICE_TABLE, n->name, target, sizeof(target));
		d.n = n;
		d.table = table;
		/* else it is gone already, or has no table, or several targets */
		if (table)
			r = thins ? find_thin(live, &d) : find_pool(live, &d);
		free(table);
		if (r || !n->next)
			break;
		n = (const struct dm_names *)((const char *)n + n->next);
	}
	dm_task_destroy(task);
	return r;
}

static int sample_thin(struct pool_sample *p, const struct live_thin *t, FILE *raw)
{
	char message[64], *answer;
	int r = 0;

	snprintf(message, sizeof(message), "@stats_print %u", t->region);
	answer = dm_message(t->name, message);
	if (!answer)
		return errno == ENXIO ? 0 : -errno;	/* removed meanwhile */
	answer[strcspn(answer, "\n")] = '\0';
	if (raw)
		fprintf(raw, "thin %s %s\n", t->name, answer);
	if (!thin_parse_stats(pool_add_thin(p, t->name), answer)) {
		tool_err("%s: cannot read dm-stats: '%s'", t->name, answer);
		r = -EINVAL;
	}
	free(answer);
	return r;
}

/* ---- samples ---- */

static int sample_figures(struct pool_sample *p, FILE *raw)
{
	char *answer = dm_message(p->name, "stats"), *line, *next;
	int r = 0;

	if (!answer) {
		tool_err("%s: the message stats: %s", p->name, strerror(errno));
		return -EIO;
	}
	for (line = answer; !r && *line; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		if (raw)
			fprintf(raw, "%s\n", line);
		if (!pool_parse_figure(p, line)) {
			tool_err("%s: cannot read stats: '%s'", p->name, line);
			r = -EINVAL;
		}
	}
	free(answer);
	return r;
}

static int sample_pool(struct live_pool *lp, struct sample *s, FILE *raw)
{
	char target[DM_MAX_TYPE_NAME];
	char *line = dm_line(DM_DEVICE_STATUS, lp->name, target, sizeof(target));
	struct pool_sample *p;
	unsigned int i;
	int r;

	if (!line)
		return 0;	/* removed meanwhile: it is no longer shown */
	if (raw)
		fprintf(raw, "pool %s %s\n", lp->name, line);
	p = sample_add_pool(s, lp->name);
	r = 0;
	if (!pool_parse_status(p, line)) {
		tool_err("%s: cannot read the status '%s'", lp->name, line);
		r = -EINVAL;
	}
	free(line);
	if (!r)
		r = sample_figures(p, raw);
	for (i = 0; !r && i < lp->nr_thins; i++)
		r = sample_thin(p, &lp->thins[i], raw);
	return r;
}

int live_sample(struct live *live, struct sample *s, FILE *raw)
{
	struct timespec ts;
	unsigned int i;
	int r = 0;

	memset(s, 0, sizeof(*s));
	clock_gettime(CLOCK_MONOTONIC, &ts);
	s->at = ts.tv_sec + ts.tv_nsec / 1e9;
	if (raw)
		fprintf(raw, "sample %.6f\n", s->at);
	for (i = 0; !r && i < live->nr_pools; i++)
		r = sample_pool(&live->pools[i], s, raw);
	if (raw)
		fprintf(raw, "\n");
	if (r)
		sample_free(s);
	return r;
}

/* ---- begin and end ---- */

static bool have_all(const struct live *live)
{
	unsigned int i, k;

	for (i = 0; i < live->nr_names; i++) {
		for (k = 0; k < live->nr_pools; k++)
			if (!strcmp(live->pools[k].name, live->names[i]))
				break;
		if (k == live->nr_pools) {
			tool_err("%s: no active thin-pool2 of that name", live->names[i]);
			return false;
		}
	}
	return true;
}

struct live *live_open(char **names, unsigned int nr, bool latency)
{
	struct live *live = tool_alloc(sizeof(*live));

	dm_log_with_errno_init(dm_log_nothing);
	live->names = names;
	live->nr_names = nr;
	if (!find(live, false) && have_all(live) && (!latency || !find(live, true)))
		return live;
	live_close(live);
	return NULL;
}

static void stop_counting(const struct live_thin *t)
{
	char message[64];

	snprintf(message, sizeof(message), "@stats_delete %u", t->region);
	/* What was counted ends with a device that is gone. */
	free(dm_message(t->name, message));
}

void live_close(struct live *live)
{
	struct live_pool *p;
	unsigned int i;

	for (p = live->pools; p < live->pools + live->nr_pools; p++) {
		for (i = 0; i < p->nr_thins; i++) {
			stop_counting(&p->thins[i]);
			free(p->thins[i].name);
		}
		free(p->thins);
		free(p->name);
	}
	free(live->pools);
	free(live);
}
