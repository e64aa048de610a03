// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is in use in an image that is known to be good: no checks. The test
 * compares with this what checkers say of damaged copies.
 */
#include "image.h"
#include "pdata-layout.h"

static const char * const kind_name[] = {
	[IMAGE_SUPER] = "superblock",
	[IMAGE_SLOT] = "slot of the space map",
	[IMAGE_JOURNAL] = "journal block",
	[IMAGE_DETAILS] = "node of the details tree",
	[IMAGE_DELETING] = "node of the deleting tree",
	[IMAGE_DATA_SM] = "node of the data space map",
	[IMAGE_MAPPING] = "node of a mapping tree",
};

const char *image_kind_name(enum image_kind kind)
{
	return kind_name[kind];
}

static struct image_node *node_add(struct image_nodes *n, u64 block, enum image_kind kind)
{
	struct image_node *node;
	unsigned int i;

	for (i = 0; i < n->nr; i++)
		if (n->node[i].block == block)
			return &n->node[i];
	if (n->nr == n->max) {
		n->max = n->max ? 2 * n->max : 256;
		n->node = realloc(n->node, n->max * sizeof(*n->node));
		if (!n->node)
			abort();
	}
	node = &n->node[n->nr++];
	*node = (struct image_node){ .block = block, .kind = kind };
	return node;
}

/* Of a tree that is being deleted, what lies below the cursor is gone. */
static void find_range(const struct image *img, struct image_nodes *n, u64 ptr,
		       enum image_kind kind, u64 uid, u64 cursor)
{
	const struct pdata_range_node_disk *d;
	struct image_node *node;
	unsigned int i, nr;
	u64 end;

	if (!ptr)
		return;
	d = image_block(img, pdata_ptr_block(ptr));
	node = node_add(n, pdata_ptr_block(ptr), kind);
	node->level = le16_to_cpu(d->r.level);
	node->lo = le64_to_cpu(d->r.lo);
	node->hi = le64_to_cpu(d->r.hi);
	if (node->nr_uids < IMAGE_SHARERS)
		node->uid[node->nr_uids++] = uid;
	nr = node->level ? le16_to_cpu(d->r.nr) : 0;
	for (i = 0; i < nr; i++) {
		end = i + 1 < nr ? le64_to_cpu(d->child[i + 1].begin) : le64_to_cpu(d->r.hi);
		if (end > cursor)
			find_range(img, n, le64_to_cpu(d->child[i].ptr), kind, uid, cursor);
	}
}

static void find_btree(const struct image *img, struct image_nodes *n, u64 ptr,
		       enum image_kind kind)
{
	const struct pdata_btree_disk *d;
	const struct pdata_details_disk *entry;
	unsigned int i, level, nr;
	const __le64 *child;
	u64 cursor;

	if (!ptr)
		return;
	d = image_block(img, pdata_ptr_block(ptr));
	level = le16_to_cpu(d->level);
	nr = le16_to_cpu(d->nr);
	node_add(n, pdata_ptr_block(ptr), kind)->level = level;
	child = (const __le64 *)d->data + sizeof(d->data) / 16;
	entry = (const void *)(d->data + sizeof(d->data) / (8 + sizeof(*entry)) * 8);
	for (i = 0; i < nr; i++) {
		if (level) {
			find_btree(img, n, le64_to_cpu(child[i]), kind);
			continue;
		}
		cursor = kind == IMAGE_DELETING ? le64_to_cpu(entry[i].delete_cursor) : 0;
		find_range(img, n, le64_to_cpu(entry[i].root), IMAGE_MAPPING,
			   le64_to_cpu(entry[i].uid), cursor);
	}
}

void image_find_nodes(const struct image *img, struct image_nodes *n)
{
	u64 i;

	memset(n, 0, sizeof(*n));
	if (pdata_super_read((struct pdata_io *)&img->io, &n->sb) != PDATA_SB_VALID)
		abort();
	node_add(n, PDATA_SB_A, IMAGE_SUPER);
	node_add(n, PDATA_SB_B, IMAGE_SUPER);
	node_add(n, PDATA_SB_BACKUP, IMAGE_SUPER);
	for (i = 0; i < 2 * n->sb.meta_groups; i++)
		node_add(n, pdata_counts_place(i / 2, i & 1), IMAGE_SLOT);
	for (i = 0; i < n->sb.journal_blocks; i++)
		node_add(n, pdata_journal_place(i), IMAGE_JOURNAL);
	find_btree(img, n, n->sb.details_root, IMAGE_DETAILS);
	find_btree(img, n, n->sb.deleting_root, IMAGE_DELETING);
	for (i = 0; i < n->sb.nr_holds; i++)
		if (n->sb.hold[i].kind == PDATA_HOLD_ROOT)
			find_range(img, n, n->sb.hold[i].root, IMAGE_MAPPING, n->sb.hold[i].uid, 0);
	find_range(img, n, n->sb.data_sm_root, IMAGE_DATA_SM, 0, 0);
}

void image_nodes_free(struct image_nodes *n)
{
	free(n->node);
	n->node = NULL;
}
