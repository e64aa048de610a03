// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_restore: which thin is most like this one?
 *
 * Hashes below a limit are the sample. When there are too many the limit is
 * halved, so that any number of mappings takes the same memory.
 */
#include "restore.h"

#define MAX_SAMPLES	BIT(20)

struct sample {
	u64 hash;		/* 0 = free */
	u32 who;
};

struct similar {
	struct sample *sample;	/* 2 * MAX_SAMPLES places */
	u32 nr;
	u64 limit;
	u64 total;		/* of the thin under way */
	u64 *votes;		/* by thin */
	u32 max_votes;
	u32 *with;		/* thins with votes */
	u32 nr_with;
	u32 max_with;
};

struct similar *similar_new(void)
{
	struct similar *s = tool_alloc(sizeof(*s));

	s->sample = tool_alloc(2 * MAX_SAMPLES * sizeof(*s->sample));
	s->limit = ~0ull;
	return s;
}

void similar_free(struct similar *s)
{
	if (!s)
		return;
	free(s->sample);
	free(s->votes);
	free(s->with);
	free(s);
}

static u64 mix(u64 z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

u64 similar_hash(u64 a, u64 b)
{
	return mix(mix(a + 0x9e3779b97f4a7c15ull) ^ b);
}

static struct sample *sample_of(struct similar *s, u64 hash)
{
	u64 i = mix(hash) & (2 * MAX_SAMPLES - 1);

	while (s->sample[i].hash && s->sample[i].hash != hash)
		i = (i + 1) & (2 * MAX_SAMPLES - 1);
	return &s->sample[i];
}

static void halve(struct similar *s)
{
	struct sample *old = s->sample;
	u64 i;

	s->sample = tool_alloc(2 * MAX_SAMPLES * sizeof(*s->sample));
	s->nr = 0;
	s->limit /= 2;
	for (i = 0; i < 2 * MAX_SAMPLES; i++) {
		if (!old[i].hash || old[i].hash > s->limit)
			continue;
		*sample_of(s, old[i].hash) = old[i];
		s->nr++;
	}
	free(old);
}

static void vote(struct similar *s, u32 who, u64 weight)
{
	if (!s->votes[who]) {
		if (s->nr_with == s->max_with) {
			s->max_with = s->max_with ? 2 * s->max_with : 64;
			s->with = tool_realloc(s->with, s->max_with * sizeof(*s->with));
		}
		s->with[s->nr_with++] = who;
	}
	s->votes[who] += weight;
}

/* Places for the votes of all up to @who. */
static void votes_reserve(struct similar *s, u32 who)
{
	const u32 old = s->max_votes;

	if (who < old)
		return;
	s->max_votes = max(2 * old, who + 64);
	s->votes = tool_realloc(s->votes, s->max_votes * sizeof(*s->votes));
	memset(s->votes + old, 0, (s->max_votes - old) * sizeof(*s->votes));
}

void similar_add(struct similar *s, u32 who, u64 hash, u64 weight)
{
	struct sample *p;

	if (!hash || hash > s->limit)
		return;
	votes_reserve(s, who);
	s->total += weight;
	p = sample_of(s, hash);
	if (!p->hash) {
		if (s->nr == MAX_SAMPLES) {
			halve(s);
			if (hash > s->limit)
				return;
			p = sample_of(s, hash);
		}
		p->hash = hash;
		s->nr++;
	} else if (p->who != who) {
		vote(s, p->who, weight);
	}
	p->who = who;
}

u32 similar_base(struct similar *s, u32 who)
{
	u32 best = NO_BASE, i;
	u64 nr = 0;

	for (i = 0; i < s->nr_with; i++) {
		const u32 other = s->with[i];

		if (s->votes[other] > nr) {
			nr = s->votes[other];
			best = other;
		}
		s->votes[other] = 0;
	}
	if (2 * nr < s->total)
		best = NO_BASE;
	s->nr_with = 0;
	s->total = 0;
	return best;
}
