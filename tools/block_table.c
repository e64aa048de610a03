// SPDX-License-Identifier: GPL-2.0-only
/* Open addressing, at most three quarters full. */
#include "block_table.h"

static struct block_slot *slot_of(const struct block_table *t, u64 key)
{
	u64 i = (key * 0x9e3779b97f4a7c15ull >> 20) & (t->max - 1);

	while (t->slot[i].key && t->slot[i].key != key)
		i = (i + 1) & (t->max - 1);
	return &t->slot[i];
}

static void grow(struct block_table *t)
{
	struct block_table old = *t;
	u64 i;

	t->max = old.max ? 2 * old.max : 1024;
	t->slot = tool_alloc(t->max * sizeof(*t->slot));
	for (i = 0; i < old.max; i++)
		if (old.slot[i].key)
			*slot_of(t, old.slot[i].key) = old.slot[i];
	free(old.slot);
}

u64 *block_table_get(struct block_table *t, u64 block)
{
	struct block_slot *s;

	if (4 * t->nr >= 3 * t->max)
		grow(t);
	s = slot_of(t, block + 1);
	if (!s->key) {
		s->key = block + 1;
		t->nr++;
	}
	return &s->value;
}

u64 *block_table_find(const struct block_table *t, u64 block)
{
	struct block_slot *s;

	if (!t->max)
		return NULL;
	s = slot_of(t, block + 1);
	return s->key ? &s->value : NULL;
}

void block_table_exit(struct block_table *t)
{
	free(t->slot);
	memset(t, 0, sizeof(*t));
}
