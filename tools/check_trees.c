// SPDX-License-Identifier: GPL-2.0-only
/*
 * thin2_check: the trees.
 *
 * Every node is read once. A table of nodes counts the pointers to each and
 * remembers how many units are mapped below it and what its leaves sum up to,
 * so that a subtree shared by any number of snapshots costs one visit.
 */
#include "check.h"

/* ---- table of nodes ---- */

static u64 node_hash(u64 block)
{
	return (block * 0x9e3779b97f4a7c15ull) >> 20;
}

/* The node's slot, or the free one where it belongs. */
static struct node *node_slot(const struct check *c, u64 block)
{
	u64 i = node_hash(block) & (c->max_nodes - 1);

	while (c->node[i].used && c->node[i].block != block)
		i = (i + 1) & (c->max_nodes - 1);
	return &c->node[i];
}

static void nodes_grow(struct check *c)
{
	struct node *old = c->node;
	u64 i, nr = c->max_nodes;

	c->max_nodes = nr ? 2 * nr : 1024;
	c->node = tool_alloc(c->max_nodes * sizeof(*c->node));
	for (i = 0; i < nr; i++)
		if (old[i].used)
			*node_slot(c, old[i].block) = old[i];
	free(old);
}

struct node *node_find(const struct check *c, u64 block)
{
	struct node *n;

	if (!c->max_nodes)
		return NULL;
	n = node_slot(c, block);
	return n->used ? n : NULL;
}

/* Pointers to nodes are good until the next call. */
static struct node *node_get(struct check *c, u64 block, bool *new)
{
	struct node *n;

	if (4 * c->nr_nodes >= 3 * c->max_nodes)
		nodes_grow(c);
	n = node_slot(c, block);
	*new = !n->used;
	if (!n->used) {
		n->used = true;
		n->block = block;
		c->nr_nodes++;
	}
	return n;
}

/* ---- one walk ---- */

static const char *node_type(const struct tree *t, const struct walk_at *at)
{
	if (t->kind == NODE_DETAILS)
		return "btree node of the details tree";
	if (t->kind == NODE_DETAILS_COPY)
		return "btree node of the copy of the details tree";
	if (t->kind == NODE_DELETING)
		return "btree node of the deleting tree";
	if (t->kind == NODE_DATA_SM)
		return at->level > 0 ? "range node of the data space map" :
		       at->level ? "root of the data space map" :
				   "range leaf of the data space map";
	return at->level > 0 ? "range node" : at->level ? "root of a mapping tree" : "range leaf";
}

struct finding tree_finding(const struct tree *t, const struct walk_at *at,
			    enum severity severity, const char *what)
{
	struct finding f = FINDING(severity, node_type(t, at), what);

	f.block = at->block;
	f.uid = t->uid;
	f.id = t->id;
	f.has_id = t->uid;
	if (t->kind == NODE_MAPPING || t->kind == NODE_DATA_SM) {
		f.unit = t->kind == NODE_MAPPING ? "units" : "data units";
		f.begin = at->lo;
		f.end = at->hi;
	}
	return f;
}

/* @n is one of those below the node that the walk is in. */
static void tree_below(struct tree *t, const struct node *n)
{
	t->below[t->depth].mapped += n->mapped;
	t->below[t->depth].leaf_sum += n->leaf_sum;
	t->below[t->depth].part |= n->partial;
}

/* A node that is met again must be what it was the first time. */
static void tree_meet_again(struct tree *t, const struct walk_at *at, const struct node *n)
{
	struct finding f = tree_finding(t, at, SEV_FATAL, "node belongs elsewhere");
	/* Keys in internal btree nodes are bounds, which versions may see differently. */
	const bool bounds = t->kind == NODE_MAPPING || t->kind == NODE_DATA_SM;

	if (n->kind == t->kind && n->tag == at->tag &&
	    (!bounds || (n->lo == at->lo && n->hi == at->hi)) &&
	    (at->level == WALK_ROOT || n->level == WALK_ROOT || n->level == at->level)) {
		tree_below(t, n);
		return;
	}
	f.text = "another pointer describes it differently";
	t->below[t->depth].part = true;
	report(t->c, &f);
}

static int tree_enter(struct walk *w, const struct walk_at *at)
{
	struct tree *t = (struct tree *)w;
	struct check *c = t->c;
	struct finding f;
	struct node *n;
	bool new;

	tool_progress("nodes", c->nr_nodes, c->sb.meta_used);
	if (at->block < c->sb.meta_blocks &&
	    pdata_is_reserved(at->block, c->sb.journal_blocks)) {
		f = tree_finding(t, at, SEV_FATAL, "tree points to a reserved block");
		t->below[t->depth].part = true;
		c->incomplete = true;
		report(c, &f);
		return 1;
	}
	n = node_get(c, at->block, &new);
	n->refs++;
	if (!new) {
		tree_meet_again(t, at, n);
		return 1;
	}
	n->kind = t->kind;
	n->tag = at->tag;
	n->level = WALK_ROOT;
	n->lo = at->lo;
	n->hi = at->hi;
	return 0;
}

static int tree_node(struct walk *w, const struct walk_at *at, const struct pdata_header *h)
{
	struct tree *t = (struct tree *)w;

	node_find(t->c, at->block)->level = at->level;
	if (t->kind == NODE_DATA_SM && !at->level)
		t->c->sm_leaves++;
	t->depth++;
	memset(&t->below[t->depth], 0, sizeof(t->below[t->depth]));
	if (t->kind == NODE_MAPPING && !at->level)
		t->below[t->depth].leaf_sum = pdata_leaf_mark(at->block,
							      le64_to_cpu(h->generation));
	return 0;
}

static int tree_leave(struct walk *w, const struct walk_at *at)
{
	struct tree *t = (struct tree *)w;
	struct node *n = node_find(t->c, at->block);

	n->mapped = t->below[t->depth].mapped;
	n->leaf_sum = t->below[t->depth].leaf_sum;
	n->partial = t->below[t->depth].part;
	t->depth--;
	tree_below(t, n);
	return 0;
}

static int tree_bad(struct walk *w, const struct walk_at *at, const struct walk_bad *bad)
{
	struct tree *t = (struct tree *)w;
	struct finding f = tree_finding(t, at, SEV_FATAL, bad->what ? bad->what : "unreadable");
	struct node *n = node_find(t->c, at->block);

	/*
	 * What is lost with a space map is recomputed, and of details there is
	 * another tree: the pool goes on without.
	 */
	if (t->kind == NODE_DATA_SM || t->lost)
		f.severity = SEV_LEAK;
	f.has_values = bad->has_values;
	f.expected = bad->expected;
	f.found = bad->found;
	f.text = tool_error(bad->err);
	report(t->c, &f);
	if (n)
		n->partial = true;
	t->below[t->depth].part = true;
	if (t->lost)
		key_ranges_add(t->lost, at->lo, at->hi - 1);
	if (t->kind == NODE_DATA_SM || (t->lost && !at->level))
		return 0;
	t->c->incomplete = true;
	return 0;
}

void tree_init(struct tree *t, struct check *c, enum node_kind kind, u64 owner)
{
	memset(t, 0, sizeof(*t));
	t->c = c;
	t->kind = kind;
	t->w.io = c->io;
	t->w.uuid = c->sb.uuid;
	t->w.nr_blocks = c->sb.meta_blocks;
	t->w.max_generation = c->sb.generation;
	t->w.owner = owner;
	t->w.next_uid = c->sb.next_uid;
	t->w.value_size = sizeof(struct pdata_details_disk);
	t->w.enter = tree_enter;
	t->w.node = tree_node;
	t->w.bad = tree_bad;
	t->w.leave = tree_leave;
}

/* ---- mapping trees ---- */

static void range_report(struct tree *t, const struct walk_at *at, const struct pdata_range *r,
			 enum severity severity, const char *what, u64 expected, u64 found)
{
	struct finding f = tree_finding(t, at, severity, what);

	f.begin = r->begin;
	f.end = pdata_range_end(r);
	f.has_values = severity != SEV_NOTE;
	f.expected = expected;
	f.found = found;
	report(t->c, &f);
}

static int mapping_range(struct walk *w, const struct walk_at *at, const struct pdata_range *r)
{
	struct tree *t = (struct tree *)w;
	struct check *c = t->c;

	if (r->kind == PDATA_RANGE_DAMAGED)
		range_report(t, at, r, SEV_NOTE, "range is marked damaged", 0, 0);
	if (r->kind != PDATA_RANGE_MAPPED)
		return 0;
	t->below[t->depth].mapped += r->len;
	if (r->value + r->len > c->sb.data_units)
		range_report(t, at, r, SEV_FATAL, "beyond the end of the data device",
			     c->sb.data_units, r->value + r->len);
	if (r->tag > c->sb.time)
		range_report(t, at, r, SEV_FATAL, "birth in the future", c->sb.time, r->tag);
	u64s_add(&c->begins, r->value);
	return u64s_add(&c->ends, r->value + r->len);
}

static int check_mapping(struct check *c, struct thin *thin)
{
	struct tree *t = tool_alloc(sizeof(*t));
	int r;

	tree_init(t, c, NODE_MAPPING, 0);
	t->uid = thin->d.uid;
	t->id = thin->d.id;
	t->w.range = mapping_range;
	/* Below the cursor of a thin being deleted all is gone. */
	t->w.begin = thin->deleting ? thin->d.delete_cursor : 0;
	r = walk_range_tree(&t->w, thin->d.root);
	thin->mapped = t->below[0].mapped;
	thin->leaf_sum = t->below[0].leaf_sum;
	thin->partial = t->below[0].part;
	walk_exit(&t->w);
	free(t);
	return r;
}

static void check_mapped(struct check *c, const struct thin *thin)
{
	struct finding f = FINDING(SEV_LEAK, "details", "mapped units");

	if (thin->partial || thin->mapped == thin->d.mapped_units)
		return;
	f.uid = thin->d.uid;
	f.id = thin->d.id;
	f.has_id = true;
	f.has_values = true;
	f.expected = thin->mapped;
	f.found = thin->d.mapped_units;
	report(c, &f);
}

/*
 * Are the leaves the ones that the thin had when it was committed? Where a write
 * was lost, a block holds an older node, which may be whole and fit in.
 */
static void check_leaf_sum(struct check *c, const struct thin *thin)
{
	struct finding f = FINDING(SEV_FATAL, "mapping tree", "leaf_sum");

	if (thin->partial || (thin->d.flags & PDATA_THIN_SUM_LOST) ||
	    thin->leaf_sum == thin->d.leaf_sum)
		return;
	f.uid = thin->d.uid;
	f.id = thin->d.id;
	f.has_id = true;
	f.has_values = true;
	f.expected = thin->d.leaf_sum;
	f.found = thin->leaf_sum;
	f.text = "these are not the leaves that were committed";
	report(c, &f);
}

/* ---- all of them ---- */

static int check_mappings(struct check *c)
{
	size_t i;
	int r = 0;

	/* A tree that is being deleted may be walked in part only: it comes last. */
	for (i = 0; i < c->nr_thins && !r; i++) {
		if (c->thin[i].deleting)
			continue;
		r = check_mapping(c, &c->thin[i]);
		check_mapped(c, &c->thin[i]);
		check_leaf_sum(c, &c->thin[i]);
	}
	for (i = 0; i < c->nr_thins && !r; i++)
		if (c->thin[i].deleting)
			r = check_mapping(c, &c->thin[i]);
	return r;
}

static int check_held_root(struct check *c, const struct pdata_hold *h)
{
	struct thin thin = { };

	thin.d.uid = h->uid;
	thin.d.id = h->id;
	thin.d.root = h->root;
	return check_mapping(c, &thin);
}

/* Its nodes; what they say is compared in check_counts.c. */
static int check_data_sm(struct check *c)
{
	struct tree *t = tool_alloc(sizeof(*t));
	int r;

	tree_init(t, c, NODE_DATA_SM, PDATA_OWNER_DATA_SM);
	r = walk_range_tree(&t->w, c->sb.data_sm_root);
	walk_exit(&t->w);
	free(t);
	return r;
}

int check_trees(struct check *c)
{
	u32 i;
	int r;

	r = check_details(c);
	if (r || c->skip_mappings)
		return r;
	r = check_mappings(c);
	for (i = 0; i < c->sb.nr_holds && !r; i++)
		if (c->sb.hold[i].kind == PDATA_HOLD_ROOT)
			r = check_held_root(c, &c->sb.hold[i]);
	return r ? r : check_data_sm(c);
}

int check_snapshot(struct check *c)
{
	struct finding f = FINDING(SEV_FATAL, "superblock", "no metadata snapshot is held");
	u32 i;
	int r;

	for (i = 0; i < c->sb.nr_holds; i++)
		if (c->sb.hold[i].kind == PDATA_HOLD_CHECKPOINT)
			break;
	if (i == c->sb.nr_holds) {
		report(c, &f);
		return 0;
	}
	pdata_super_as_held(&c->sb, &c->sb.hold[i]);
	r = check_held_details(c, c->sb.hold[i].root);
	if (!r && !c->skip_mappings)
		r = check_mappings(c);
	return r;
}
