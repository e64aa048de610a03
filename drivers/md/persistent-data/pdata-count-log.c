// SPDX-License-Identifier: GPL-2.0-only
/*
 * Count log: a growing array, netted by one sweep over its sorted borders.
 *
 * Most logs are long and hardly overlap, so both sorts first look whether
 * there is anything to do.
 */
#include "pdata-count-log.h"
#include "pdata-sort.h"

#define COUNT_LOG_MIN		64u
/* An emptied log keeps no more than this many entries of memory. */
#define COUNT_LOG_KEEP		4096u
/* kvmalloc() serves nothing larger. */
#define COUNT_LOG_MAX_BYTES	0x7fffffffull

static u64 change_end(const struct pdata_count_change *c)
{
	return c->begin + c->len;
}

void pdata_count_log_init(struct pdata_count_log *log)
{
	memset(log, 0, sizeof(*log));
}

void pdata_count_log_exit(struct pdata_count_log *log)
{
	kvfree(log->entry);
	pdata_count_log_init(log);
}

int pdata_count_log_reserve(struct pdata_count_log *log, size_t nr)
{
	const size_t limit = COUNT_LOG_MAX_BYTES / sizeof(*log->entry);
	struct pdata_count_change *entry;
	size_t max;

	if (nr <= log->max - log->nr)
		return 0;
	if (nr > limit - log->nr)
		return -ENOMEM;
	max = max_t(size_t, log->nr + nr, COUNT_LOG_MIN);
	max = min_t(size_t, max_t(size_t, max, 2 * log->max), limit);
	entry = kvmalloc(max * sizeof(*entry), GFP_NOIO);
	if (!entry)
		return -ENOMEM;
	if (log->nr)
		memcpy(entry, log->entry, log->nr * sizeof(*entry));
	kvfree(log->entry);
	log->entry = entry;
	log->max = max;
	return 0;
}

/* Append @c to @a if they are one change in two pieces. */
static bool change_join(struct pdata_count_change *a, const struct pdata_count_change *c)
{
	if (change_end(a) != c->begin || a->delta != c->delta || a->uid != c->uid)
		return false;
	if (a->uid && a->vbegin + a->len != c->vbegin)
		return false;
	if (c->len > PDATA_REC_MAX_LEN || a->len > PDATA_REC_MAX_LEN - c->len)
		return false;
	a->len += c->len;
	return true;
}

int pdata_count_log_add(struct pdata_count_log *log, u64 begin, u64 len,
			s32 delta, u64 uid, u64 vbegin)
{
	const struct pdata_count_change c = {
		.begin = begin, .len = len, .delta = delta,
		.uid = uid, .vbegin = uid ? vbegin : 0,
	};

	if (len > PDATA_MAX_UNITS || begin > PDATA_MAX_UNITS - len)
		return -PDATA_E_OUT_OF_RANGE;
	if (!len)
		return 0;
	/* Leaves are walked in order: neighbours often come one after the other. */
	if (log->nr && change_join(&log->entry[log->nr - 1], &c))
		return 0;
	if (log->nr == log->max)
		return -ENOMEM;
	log->entry[log->nr++] = c;
	return 0;
}

/* Where an entry stops to count. */
struct count_end {
	u64 end;
	s64 delta;
};

static int begin_cmp(const void *a, const void *b)
{
	const struct pdata_count_change *x = a, *y = b;

	return x->begin < y->begin ? -1 : x->begin > y->begin;
}

static int end_cmp(const void *a, const void *b)
{
	const struct count_end *x = a, *y = b;

	return x->end < y->end ? -1 : x->end > y->end;
}

/* By the unit that entries begin with. */
static void sort_units(void *base, size_t nr, size_t size,
		       int (*cmp)(const void *a, const void *b))
{
	static_assert(!offsetof(struct pdata_count_change, begin));
	static_assert(!offsetof(struct count_end, end));
	pdata_sort(base, nr, size, PDATA_KEY_BITS, cmp);
}

static struct count_end *ends_make(const struct pdata_count_log *log)
{
	struct count_end *ends = kvmalloc(log->nr * sizeof(*ends), GFP_NOIO);
	size_t i;

	if (!ends)
		return NULL;
	for (i = 0; i < log->nr; i++) {
		ends[i].end = change_end(&log->entry[i]);
		ends[i].delta = log->entry[i].delta;
	}
	sort_units(ends, log->nr, sizeof(*ends), end_cmp);
	return ends;
}

/* Segments on their way out; with @seg NULL they are only counted. */
struct net_out {
	struct pdata_count_change *seg;
	size_t nr;
	struct pdata_count_change last;	/* may grow yet; none if its len is 0 */
};

static void net_flush(struct net_out *out)
{
	if (!out->last.len)
		return;
	if (out->seg)
		out->seg[out->nr] = out->last;
	out->nr++;
	out->last.len = 0;
}

/*
 * [begin, end) changes by @delta; if that is positive, @ref is an increment that
 * covers it. The back-reference is dropped where it makes no record: more joins.
 */
static void net_emit(struct net_out *out, u64 begin, u64 end, s32 delta,
		     const struct pdata_count_change *ref)
{
	const u64 uid = delta > 0 ? ref->uid : 0;

	while (begin < end) {
		const struct pdata_count_change c = {
			.begin = begin,
			.len = min_t(u64, end - begin, PDATA_REC_MAX_LEN),
			.delta = delta,
			.uid = uid,
			.vbegin = uid ? ref->vbegin + (begin - ref->begin) : 0,
		};

		if (!out->last.len || !change_join(&out->last, &c)) {
			net_flush(out);
			out->last = c;
		}
		begin = change_end(&c);
	}
}

/*
 * Go over the borders in order. Entries begun and not ended are i - j in
 * number. Of the increments seen so far the one that reaches furthest is kept:
 * if any still covers the place, as one must where the sum is positive, that
 * one does.
 */
static int net_sweep(const struct pdata_count_log *log, const struct count_end *ends,
		     struct net_out *out)
{
	const struct pdata_count_change *e = log->entry, *ref = NULL;
	size_t i = 0, j = 0;
	u64 pos = 0, next;
	s64 sum = 0;

	for (; j < log->nr; cond_resched()) {
		if (i == j)
			pos = e[i].begin;
		for (; i < log->nr && e[i].begin == pos; i++) {
			sum += e[i].delta;
			if (e[i].delta > 0 && (!ref || change_end(&e[i]) > change_end(ref)))
				ref = &e[i];
		}
		if (sum < S32_MIN || sum > S32_MAX)
			return -PDATA_E_COUNT;
		next = ends[j].end;
		if (i < log->nr)
			next = min(next, e[i].begin);
		net_emit(out, pos, next, sum, ref);
		pos = next;
		for (; j < log->nr && ends[j].end == pos; j++)
			sum -= ends[j].delta;
	}
	net_flush(out);
	return 0;
}

static void log_empty(struct pdata_count_log *log)
{
	log->nr = 0;
	if (log->max > COUNT_LOG_KEEP)
		pdata_count_log_exit(log);
}

int pdata_count_log_net(struct pdata_count_log *log,
			struct pdata_count_change **net, size_t *nr)
{
	struct net_out out = { NULL };
	struct count_end *ends;
	int r;

	*net = NULL;
	*nr = 0;
	if (!log->nr)
		return 0;
	sort_units(log->entry, log->nr, sizeof(*log->entry), begin_cmp);
	ends = ends_make(log);
	if (!ends)
		return -ENOMEM;
	r = net_sweep(log, ends, &out);
	if (r)
		goto out;
	r = -ENOMEM;
	if (out.nr > COUNT_LOG_MAX_BYTES / sizeof(*out.seg))
		goto out;
	out.seg = kvmalloc(out.nr * sizeof(*out.seg), GFP_NOIO);
	if (!out.seg)
		goto out;
	*nr = out.nr;
	out.nr = 0;
	r = net_sweep(log, ends, &out);
	if (r) {
		kvfree(out.seg);
		*nr = 0;
		goto out;
	}
	*net = out.seg;
	log_empty(log);
out:
	kvfree(ends);
	return r;
}

void pdata_count_log_restore(struct pdata_count_log *log, struct pdata_count_change *net,
			     size_t done, size_t nr)
{
	kvfree(log->entry);
	memmove(net, net + done, (nr - done) * sizeof(*net));
	log->entry = net;
	log->nr = nr - done;
	log->max = nr;
}
