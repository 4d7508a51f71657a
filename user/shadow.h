/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What YARN's monitor would have decided of a tree, pass by pass, had it watched. It acts on
 * nothing: the tree goes on, and so does the shadow after a kill that it would have made.
 */
#ifndef MEMTREE_SHADOW_H
#define MEMTREE_SHADOW_H

#include "yarn.h"

/* The first pass that kills, and when it was. */
struct shadow_kill {
	uint32_t pass; /* 0: none yet */
	int64_t real_ns;
};

/* Zero it, then set the limits. */
struct shadow {
	uint64_t limit_bytes, vmem_limit_bytes; /* the latter 0: not checked */
	struct yarn_decision last;		/* both kinds of memory judged */
	uint32_t pass;				/* of the last decision */
	struct shadow_kill physical, virtual;
	uint32_t words_pass; /* of the first kill of either kind, 0: none yet */
	char *words;	     /* all that the NodeManager would have written then */
};

/* After a pass over the tree: decides; reads the arguments of its processes for the words. */
void shadow_pass(struct shadow *shadow, const struct yarn_tree *yarn, const char *name,
		 struct procfs *procfs, int64_t real_ns);
void shadow_free(struct shadow *shadow);

#endif /* MEMTREE_SHADOW_H */
