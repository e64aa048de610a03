// SPDX-License-Identifier: GPL-2.0-only
/*
 * Delta lists: mapping changes that are in the journal and the range map but
 * not in the tree yet, and what such a list amounts to.
 */
#include "dm-thin2-internal.h"
#include "persistent-data/pdata-sort.h"

void thin2_delta_list_init(struct thin2_delta_list *l, unsigned int tag)
{
	INIT_LIST_HEAD(&l->list);
	l->nr = 0;
	l->first_seq = 0;
	l->last_seq = 0;
	l->high = 0;
	l->mapped = 0;
	l->tag = tag;
}

void thin2_delta_list_add(struct thin2_delta_list *l, struct thin2_delta *d, s64 mapped)
{
	/* Records come in order but for a replay's. */
	if (!l->nr || d->seq < l->first_seq)
		l->first_seq = d->seq;
	l->last_seq = max(l->last_seq, d->seq);
	if (d->kind == PDATA_REC_MAP)
		l->high = max(l->high, thin2_delta_end(d));
	list_add_tail(&d->list, &l->list);
	l->nr++;
	l->mapped += mapped;
}

u64 thin2_delta_list_free(struct thin2_delta_list *l)
{
	struct thin2_delta *d, *tmp;
	u64 nr = l->nr;
	unsigned int n = 0;

	list_for_each_entry_safe(d, tmp, &l->list, list) {
		list_del(&d->list);
		kfree(d);
		if (!(++n % 4096))
			cond_resched();
	}
	thin2_delta_list_init(l, l->tag);
	return nr;
}

/*
 * Netting. Records are sorted by where they begin and swept from left to
 * right; among those that cover a position the newest wins. A heap of the
 * covering records, newest on top, finds it. Each winning MAP record knows up
 * to where it has been accounted for: what it did not win is dead, units that
 * were allocated, recorded and superseded before any merge saw them.
 */
struct sweep {
	struct sweep_rec *rec;		/* sorted by where they begin */
	u64 *accounted;			/* for rec[i]: won or dead up to here */
	u32 *heap;			/* indices of rec, newest record on top */
	unsigned int nr;
	unsigned int nr_heap;
	struct thin2_net *net;
};

/* What sorting and sweeping look at, side by side; records are all over memory. */
struct sweep_rec {
	u64 begin;
	u64 end;
	u64 seq;
	const struct thin2_delta *d;
};

static_assert(!offsetof(struct sweep_rec, begin));	/* the key */

static int cmp_rec(const void *a, const void *b)
{
	const struct sweep_rec *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static bool heap_newer(const struct sweep *s, unsigned int a, unsigned int b)
{
	return s->rec[s->heap[a]].seq > s->rec[s->heap[b]].seq;
}

static void heap_push(struct sweep *s, u32 index)
{
	unsigned int i = s->nr_heap++;

	s->heap[i] = index;
	while (i && heap_newer(s, i, (i - 1) / 2)) {
		swap(s->heap[i], s->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
}

static void heap_pop(struct sweep *s)
{
	unsigned int i = 0, child;

	s->heap[0] = s->heap[--s->nr_heap];
	while ((child = 2 * i + 1) < s->nr_heap) {
		if (child + 1 < s->nr_heap && heap_newer(s, child + 1, child))
			child++;
		if (!heap_newer(s, child, i))
			break;
		swap(s->heap[i], s->heap[child]);
		i = child;
	}
}

static u8 change_kind(u8 record_kind)
{
	switch (record_kind) {
	case PDATA_REC_MAP:
		return PDATA_RANGE_MAPPED;
	case PDATA_REC_ZERO:
		return PDATA_RANGE_ZERO;
	case PDATA_REC_DAMAGED:
		return PDATA_RANGE_DAMAGED;
	default:
		return THIN2_CHANGE_UNMAP;
	}
}

static void delta_to_range(const struct thin2_delta *d, u64 begin, u64 end,
			   struct pdata_range *r)
{
	memset(r, 0, sizeof(*r));
	r->begin = begin;
	r->len = end - begin;
	r->kind = change_kind(d->kind);
	if (d->kind == PDATA_REC_MAP) {
		r->value = d->phys + (begin - d->vbegin);
		r->tag = d->birth;
	}
}

static void add_dead(struct sweep *s, u32 index, u64 to)
{
	const struct thin2_delta *d = s->rec[index].d;

	if (d->kind == PDATA_REC_MAP && s->accounted[index] < to)
		delta_to_range(d, s->accounted[index], to, &s->net->dead[s->net->nr_dead++]);
	s->accounted[index] = max(s->accounted[index], to);
}

static void add_change(struct sweep *s, u32 index, u64 begin, u64 end)
{
	struct thin2_net *net = s->net;

	add_dead(s, index, begin);
	s->accounted[index] = end;
	if (net->change_seq)
		net->change_seq[net->nr] = s->rec[index].seq;
	delta_to_range(s->rec[index].d, begin, end, &net->change[net->nr++]);
}

static void sweep_run(struct sweep *s)
{
	unsigned int i = 0;
	u64 pos = 0, next;

	while (i < s->nr || s->nr_heap) {
		while (s->nr_heap && s->rec[s->heap[0]].end <= pos) {
			add_dead(s, s->heap[0], s->rec[s->heap[0]].end);
			heap_pop(s);
		}
		if (!s->nr_heap) {
			if (i == s->nr)
				break;
			pos = s->rec[i].begin;
		}
		while (i < s->nr && s->rec[i].begin <= pos)
			heap_push(s, i++);
		next = s->rec[s->heap[0]].end;
		if (next <= pos)
			continue;
		if (i < s->nr)
			next = min(next, s->rec[i].begin);
		add_change(s, s->heap[0], pos, next);
		pos = next;
	}
}

static bool any_overlap(const struct sweep *s)
{
	unsigned int i;

	for (i = 1; i < s->nr; i++)
		if (s->rec[i].begin < s->rec[i - 1].end)
			return true;
	return false;
}

/*
 * Each record begins one segment and ends at most one more. A dead piece ends
 * where its record wins a segment or where the record ends.
 */
static int net_alloc(struct thin2_net *net, unsigned int nr, bool overlap, bool want_seq)
{
	unsigned int max = overlap ? 2 * nr : nr;

	net->change = kvmalloc_array(max, sizeof(*net->change), GFP_NOIO);
	if (overlap)
		net->dead = kvmalloc_array(max + nr, sizeof(*net->dead), GFP_NOIO);
	if (want_seq)
		net->change_seq = kvmalloc_array(max, sizeof(*net->change_seq), GFP_NOIO);
	if (net->change && (!overlap || net->dead) && (!want_seq || net->change_seq))
		return 0;
	thin2_net_free(net);
	return -ENOMEM;
}

static int sweep_init(struct sweep *s, const struct thin2_delta_list *l)
{
	const struct thin2_delta *d;
	unsigned int i = 0;

	s->nr = l->nr;
	s->rec = kvmalloc_array(s->nr, sizeof(*s->rec), GFP_NOIO);
	s->accounted = kvmalloc_array(s->nr, sizeof(*s->accounted), GFP_NOIO);
	s->heap = kvmalloc_array(s->nr, sizeof(*s->heap), GFP_NOIO);
	if (!s->rec || !s->accounted || !s->heap)
		return -ENOMEM;
	list_for_each_entry(d, &l->list, list)
		s->rec[i++] = (struct sweep_rec){ d->vbegin, thin2_delta_end(d), d->seq, d };
	/* Of records that begin at one place, the list has the older one first. */
	pdata_sort(s->rec, s->nr, sizeof(*s->rec), PDATA_KEY_BITS, cmp_rec);
	for (i = 0; i < s->nr; i++)
		s->accounted[i] = s->rec[i].begin;
	return 0;
}

int thin2_delta_net(const struct thin2_delta_list *l, bool want_seq, struct thin2_net *net)
{
	struct sweep s = { .net = net };
	int r;

	memset(net, 0, sizeof(*net));
	if (!l->nr)
		return 0;
	r = sweep_init(&s, l);
	if (!r)
		r = net_alloc(net, s.nr, any_overlap(&s), want_seq);
	if (!r)
		sweep_run(&s);
	kvfree(s.rec);
	kvfree(s.accounted);
	kvfree(s.heap);
	return r;
}

void thin2_net_free(struct thin2_net *net)
{
	kvfree(net->change);
	kvfree(net->change_seq);
	kvfree(net->dead);
	memset(net, 0, sizeof(*net));
}
