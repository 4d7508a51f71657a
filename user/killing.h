/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Signals to the members of a tree. By pidfd, after which the map is asked once more whether
 * the pid is still that member's: a pid that was used again is never hit.
 */
#ifndef MEMTREE_KILLING_H
#define MEMTREE_KILLING_H

#include <jansson.h>

#include "model.h"
#include "tracker.h"

/* Signals every live member of `tree` and of the trees inside it, as `model` has them.
 * Returns how many; those that are gone, or cannot be seen from here, are left out. */
unsigned int killing_signal(const struct tracker *tracker, const struct model *model, uint32_t tree,
			    int signal);

/* The same after a look of its own, at which `ret_left` lived. Negative errno. */
int killing_round(const struct tracker *tracker, uint32_t tree, int signal,
		  unsigned int *ret_reached, unsigned int *ret_left);

/* What killing_run has done. */
struct killing_outcome {
	unsigned int processes; /* that the signal reached in one round, at most */
	unsigned int left;	/* who lived at the last look */
	uint64_t took_ns;
};

/*
 * SIGKILL: dooms the tree and signals again until nobody is left, or ten seconds have passed;
 * any other signal once to each. It waits. Negative errno.
 */
int killing_run(const struct tracker *tracker, uint32_t tree, int signal,
		struct killing_outcome *ret_outcome);

/* The same as JSON, of a tree that was charged so much before; NULL without memory. */
json_t *killing_json(const char *name, int signal, int64_t charged,
		     const struct killing_outcome *outcome);

/* Dooms it: from now on each member dies at its next fork, exec or memory event. */
void killing_doom(const struct tracker *tracker, uint32_t tree);

#endif /* MEMTREE_KILLING_H */
