/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pools made by words: the core on any metadata device, with no data behind it.
 *
 *	create ID		snap ID ORIGIN		delete ID
 *	write ID BEGIN LEN	unmap ID BEGIN LEN	zero ID BEGIN LEN
 *	random ID NR UNITS SEED		writes of 1..8 units each
 *	scatter ID BEGIN NR STEP SEED	NR units, STEP apart, in random order
 *	txn OLD NEW		hold ID			put ID
 *	flush			checkpoint		work
 *	squeeze			a checkpoint that may run out of space on the way
 *	snapshot		hold the details tree as it is now (kind 2)
 *	needs_check		set the flag
 *	mark			call mark()
 *	limits BTREE FANOUT LEAF	(first) small nodes
 *	journal BLOCKS		(first) length of the ring
 *	step N			(first) a group of the allocator, units
 *	close | abandon		the end; abandon, and no word more, is what a crash leaves
 */
#ifndef TESTS_POOL_WORDS_H
#define TESTS_POOL_WORDS_H

#include "dm-thin2-metadata.h"

#define POOL_WORDS_MAX	512	/* words in a story */

struct pool_words {
	struct thin2_md_params p;	/* io, name, data_units */
	void (*mark)(void *context);
	void *context;
	bool quiet;			/* else hold prints the root's block */

	struct pdata_limits limits;
	struct thin2_md *md;
	char **arg;
	int nr;
};

/* The rest of @run is zero. Does not return if a word fails. */
void pool_words_run(struct pool_words *run, int nr, char **arg);
/* The same, with words between spaces. */
void pool_words_tell(struct pool_words *run, const char *story);

#endif
