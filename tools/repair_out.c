// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_repair: writing blocks of the new pool.
 *
 * Blocks are given out in ascending order and written in batches. Each is sealed
 * and checked like any other before it goes out. Nodes that come from the input
 * keep their generation, so that a later repair can tell old from new as this
 * one did.
 */
#include "repair.h"

int rp_out_begin(struct repair *r)
{
	unsigned int i;

	r->out_blocks = min_t(u64, r->out->nr_blocks, PDATA_MAX_BLOCKS);
	r->out_journal = r->sb.journal_blocks;
	if (pdata_journal_end(r->out_journal) > r->out_blocks / 2)
		r->out_journal = pdata_journal_default(r->out_blocks);
	r->out_next = pdata_journal_end(r->out_journal);
	r->out_counts = tool_alloc(r->out_blocks * sizeof(*r->out_counts));
	for (i = 0; i < PDATA_TM_BATCH; i++)
		r->out_buf[i] = tool_block();
	return 0;
}

void rp_out_exit(struct repair *r)
{
	unsigned int i;

	for (i = 0; i < PDATA_TM_BATCH; i++)
		if (r->out_buf[i])
			pdata_block_free(r->out_buf[i]);
	free(r->out_counts);
}

/* A last group that is too short has no blocks. */
static u64 usable_blocks(const struct repair *r)
{
	return min(r->out_blocks, pdata_group_begin(pdata_nr_groups(r->out_blocks)));
}

u64 rp_out_new(struct repair *r)
{
	while (r->out_next < usable_blocks(r) && pdata_is_reserved(r->out_next, r->out_journal))
		r->out_next++;
	if (r->out_next >= usable_blocks(r)) {
		if (!r->out_failed_at)
			tool_err("%s: too small: more than its %llu blocks are needed", r->output,
				 r->out_blocks);
		r->out_failed_at = r->out_blocks;
		return 0;
	}
	r->out_used++;
	return r->out_next++;
}

void *rp_out_buf(struct repair *r)
{
	return memset(r->out_buf[r->out_nr], 0, PDATA_BLOCK_SIZE);
}

int rp_out_put(struct repair *r, u64 block, u64 generation, u64 *ptr)
{
	void *data = r->out_buf[r->out_nr];
	struct pdata_check c = {
		.block = block,
		.type = le32_to_cpu(((struct pdata_header *)data)->magic),
		.uuid = r->out_uuid,
		.max_generation = generation,
		.nr_blocks = r->out_blocks,
		.scratch = r->scratch,
	};
	int err = pdata_block_seal(&c, data);

	if (err) {
		tool_err("%s: block %llu, %s: %s: %s", r->output, block, pdata_type_name(c.type),
			 c.what ? c.what : "seal", tool_error(err));
		return err;
	}
	if (ptr)
		*ptr = pdata_ptr_to(data);
	r->out_vec[r->out_nr] = (struct pdata_io_vec){ .block = block, .data = data };
	if (++r->out_nr < PDATA_TM_BATCH)
		return 0;
	return rp_out_flush(r);
}

int rp_out_flush(struct repair *r)
{
	int err = r->out_nr ? pdata_io_write(r->out, r->out_vec, r->out_nr, false) : 0;

	r->out_nr = 0;
	if (err)
		tool_err("%s: write: %s", r->output, tool_error(err));
	return err;
}

static int put_node(struct repair *r, const struct rp_kid *kids, unsigned int nr, u64 hi,
		    u64 owner, u64 generation, struct rp_kid *node)
{
	struct pdata_range_node_disk *d = rp_out_buf(r);
	const u64 block = rp_out_new(r);
	unsigned int i;

	*node = (struct rp_kid){ .lo = kids[0].lo, .level = kids[0].level + 1 };
	if (!block)
		return -PDATA_E_META_NOSPC;
	d->h.magic = cpu_to_le32(PDATA_TYPE_RANGE_NODE);
	d->h.owner = cpu_to_le64(owner);
	d->h.salt = cpu_to_le16(r->out_salt);
	d->r.level = cpu_to_le16(node->level);
	d->r.nr = cpu_to_le16(nr);
	d->r.lo = cpu_to_le64(node->lo);
	d->r.hi = cpu_to_le64(hi);
	for (i = 0; i < nr; i++) {
		d->child[i].begin = cpu_to_le64(kids[i].lo);
		d->child[i].ptr = cpu_to_le64(kids[i].ptr);
		rp_out_ref(r, kids[i].ptr);
		node->sum += kids[i].sum;
		node->mapped += kids[i].mapped;
	}
	return rp_out_put(r, block, generation, &node->ptr);
}

int rp_out_nodes(struct repair *r, struct rp_array *kids, u64 hi, u64 owner, u64 generation)
{
	const size_t nodes = DIV_ROUND_UP(kids->nr, PDATA_RANGE_FANOUT);
	const size_t share = DIV_ROUND_UP(kids->nr, nodes);
	struct rp_kid *k = kids->v;
	struct rp_array up = { };
	size_t at = 0, n;
	int err = 0;

	while (at < kids->nr && !err) {
		n = min(kids->nr - at, share);
		err = put_node(r, k + at, n, at + n < kids->nr ? k[at + n].lo : hi, owner,
			       generation, rp_array_add(&up, sizeof(*k)));
		at += n;
	}
	free(kids->v);
	*kids = up;
	return err;
}
