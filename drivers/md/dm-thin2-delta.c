// SPDX-License-Identifier: GPL-2.0-only
/*
 * Delta lists: mapping changes that are in the journal and the range map but
 * not in the tree yet, and what such a list amounts to.
 */
#include "dm-thin2-internal.h"
#include "persistent-data/pdata-sort.h"

/* Bytes of a block: a list's first one, if it may stay short, and others. */
#define BLOCK_SMALL	512u
#define BLOCK_BYTES	4096u

static_assert(sizeof(struct thin2_delta) == 32);

void thin2_delta_list_init(struct thin2_delta_list *l, unsigned int tag)
{
	memset(l, 0, sizeof(*l));
	l->tag = tag;
}

struct thin2_delta_block *thin2_delta_block_new(bool small, gfp_t gfp)
{
	const size_t bytes = small ? BLOCK_SMALL : BLOCK_BYTES;
	struct thin2_delta_block *b = kmalloc(bytes, gfp);

	if (!b)
		return NULL;
	b->next = NULL;
	b->max = (bytes - sizeof(*b)) / sizeof(b->delta[0]);
	return b;
}

void thin2_delta_list_extend(struct thin2_delta_list *l, struct thin2_delta_block *b)
{
	if (l->last) {
		b->next = l->last->next;
		l->last->next = b;
	} else {
		l->first = b;
		WRITE_ONCE(l->last, b);
	}
	l->room += b->max;
}

int thin2_delta_list_reserve(struct thin2_delta_list *l, gfp_t gfp)
{
	struct thin2_delta_block *b;

	if (likely(l->room))
		return 0;
	b = thin2_delta_block_new(!l->last, gfp);
	if (!b)
		return -ENOMEM;
	thin2_delta_list_extend(l, b);
	return 0;
}

void thin2_delta_list_add(struct thin2_delta_list *l, const struct thin2_delta *d, s64 mapped)
{
	/* Records come in order but for a replay's. */
	if (!l->nr || d->seq < l->first_seq)
		l->first_seq = d->seq;
	l->last_seq = max(l->last_seq, d->seq);
	if (d->kind == PDATA_REC_MAP)
		l->high = max(l->high, thin2_delta_end(d));
	if (l->end == l->last->max) {
		WRITE_ONCE(l->last, l->last->next);
		l->end = 0;
	}
	l->last->delta[l->end++] = *d;
	l->room--;
	l->nr++;
	l->mapped += mapped;
}

void thin2_delta_list_skip(struct thin2_delta_list *l, u64 seq)
{
	struct thin2_delta_block *b;

	while (l->nr) {
		b = l->first;
		if (l->begin == b->max) {
			l->first = b->next;
			l->begin = 0;
			kfree(b);
			continue;
		}
		if (b->delta[l->begin].seq > seq)
			break;
		l->begin++;
		l->nr--;
	}
	l->first_seq = l->nr ? l->first->delta[l->begin].seq : 0;
}

void thin2_delta_list_cut(struct thin2_delta_list *l, struct thin2_delta_list *old)
{
	const u64 room = l->room;

	*old = *l;
	old->room = 0;
	thin2_delta_list_init(l, 3 - old->tag);
	l->first = old->last;
	l->last = old->last;
	l->begin = old->end;
	l->end = old->end;
	l->room = room;
}

void thin2_delta_list_drop(struct thin2_delta_list *l, const struct thin2_delta_block *stop)
{
	struct thin2_delta_block *b = l->first, *next;
	unsigned int n = 0;

	for (; b && b != stop; b = next) {
		next = b->next;
		kfree(b);
		if (!(++n % 256))
			cond_resched();
	}
	l->first = NULL;
	l->last = NULL;
	l->room = 0;
}

u64 thin2_delta_list_free(struct thin2_delta_list *l, const struct thin2_delta_block *stop)
{
	u64 nr = l->nr;

	thin2_delta_list_drop(l, stop);
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

struct sweep_rec {
	u64 begin;
	u64 phys;
	u32 len;
	u32 birth;
	u32 place;	/* in the list: what comes later is newer */
	u32 kind;
};

static_assert(!offsetof(struct sweep_rec, begin));	/* the key */

static u64 rec_end(const struct sweep_rec *rec)
{
	return rec->begin + rec->len;
}

static int cmp_rec(const void *a, const void *b)
{
	const struct sweep_rec *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

static bool heap_newer(const struct sweep *s, unsigned int a, unsigned int b)
{
	return s->rec[s->heap[a]].place > s->rec[s->heap[b]].place;
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

/* Put [begin, end) of a record behind @range[*nr], or join them if they are of one birth. */
static void put_range(struct pdata_range *range, unsigned int *nr, const struct sweep_rec *rec,
		      u64 begin, u64 end)
{
	struct pdata_range r = {
		.begin = begin,
		.len = end - begin,
		.kind = change_kind(rec->kind),
	};

	if (rec->kind == PDATA_REC_MAP) {
		r.value = rec->phys + (begin - rec->begin);
		r.tag = rec->birth;
	}
	if (*nr && range[*nr - 1].tag == r.tag && pdata_range_join(&range[*nr - 1], &r))
		return;
	range[(*nr)++] = r;
}

static void add_dead(struct sweep *s, u32 index, u64 to)
{
	const struct sweep_rec *rec = &s->rec[index];

	if (rec->kind == PDATA_REC_MAP && s->accounted[index] < to)
		put_range(s->net->dead, &s->net->nr_dead, rec, s->accounted[index], to);
	s->accounted[index] = max(s->accounted[index], to);
}

static void add_change(struct sweep *s, u32 index, u64 begin, u64 end)
{
	add_dead(s, index, begin);
	s->accounted[index] = end;
	put_range(s->net->change, &s->net->nr, &s->rec[index], begin, end);
}

static void sweep_run(struct sweep *s)
{
	unsigned int i = 0;
	u64 pos = 0, next;

	for (; i < s->nr || s->nr_heap; cond_resched()) {
		while (s->nr_heap && rec_end(&s->rec[s->heap[0]]) <= pos) {
			add_dead(s, s->heap[0], rec_end(&s->rec[s->heap[0]]));
			heap_pop(s);
		}
		if (!s->nr_heap) {
			if (i == s->nr)
				break;
			pos = s->rec[i].begin;
		}
		while (i < s->nr && s->rec[i].begin <= pos)
			heap_push(s, i++);
		next = rec_end(&s->rec[s->heap[0]]);
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
		if (s->rec[i].begin < rec_end(&s->rec[i - 1]))
			return true;
	return false;
}

static int net_alloc(struct thin2_net *net, unsigned int changes, unsigned int dead)
{
	net->change = kvmalloc_array(changes, sizeof(*net->change), GFP_NOIO);
	if (dead)
		net->dead = kvmalloc_array(dead, sizeof(*net->dead), GFP_NOIO);
	if (net->change && (!dead || net->dead))
		return 0;
	thin2_net_free(net);
	return -ENOMEM;
}

static int sweep_init(struct sweep *s, const struct thin2_delta_list *l)
{
	const struct thin2_delta *d;
	struct thin2_delta_iter it;
	unsigned int i;

	s->nr = l->nr;
	s->rec = kvmalloc_array(s->nr, sizeof(*s->rec), GFP_NOIO);
	if (!s->rec)
		return -ENOMEM;
	thin2_delta_iter_init(&it, l);
	for (i = 0; (d = thin2_delta_next(&it)); i++)
		s->rec[i] = (struct sweep_rec){
			.begin = d->vbegin,
			.phys = d->phys,
			.len = d->len,
			.birth = d->birth,
			.place = i,
			.kind = d->kind,
		};
	/* Of records that begin at one place, the list has the older one first. */
	pdata_sort(s->rec, s->nr, sizeof(*s->rec), PDATA_KEY_BITS, cmp_rec);
	return 0;
}

/*
 * Each record begins one segment and ends at most one more. A dead piece ends
 * where its record wins a segment or where the record ends.
 */
static int sweep_overlaps(struct sweep *s)
{
	unsigned int i;
	int r = -ENOMEM;

	s->accounted = kvmalloc_array(s->nr, sizeof(*s->accounted), GFP_NOIO);
	s->heap = kvmalloc_array(s->nr, sizeof(*s->heap), GFP_NOIO);
	if (s->accounted && s->heap)
		r = net_alloc(s->net, 2 * s->nr, 3 * s->nr);
	if (!r) {
		for (i = 0; i < s->nr; i++)
			s->accounted[i] = s->rec[i].begin;
		sweep_run(s);
	}
	kvfree(s->accounted);
	kvfree(s->heap);
	return r;
}

/* What is most common: nothing was written twice. */
static int sweep_disjoint(struct sweep *s)
{
	unsigned int i;
	int r;

	r = net_alloc(s->net, s->nr, 0);
	for (i = 0; i < s->nr && !r; i++)
		put_range(s->net->change, &s->net->nr, &s->rec[i], s->rec[i].begin,
			  rec_end(&s->rec[i]));
	return r;
}

int thin2_delta_net(const struct thin2_delta_list *l, struct thin2_net *net)
{
	struct sweep s = { .net = net };
	int r;

	memset(net, 0, sizeof(*net));
	if (!l->nr)
		return 0;
	r = sweep_init(&s, l);
	if (!r)
		r = any_overlap(&s) ? sweep_overlaps(&s) : sweep_disjoint(&s);
	kvfree(s.rec);
	return r;
}

void thin2_net_free(struct thin2_net *net)
{
	kvfree(net->change);
	kvfree(net->dead);
	memset(net, 0, sizeof(*net));
}
