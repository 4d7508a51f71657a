/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The proportional set size of a tree: what its members have, each page divided among those who
 * map it. Only /proc tells it, and nobody can tell how long that takes, so it is an errand.
 */
#ifndef MEMTREE_PSS_H
#define MEMTREE_PSS_H

#include <stdbool.h>

#include "errand.h"
#include "model.h"
#include "tracker.h"

struct pss {
	int64_t bytes; /* as the tree's metric counts */
	int err;       /* negative errno: nothing is known */
	uint32_t pid;  /* because of this member, 0: of none */
	bool torn;     /* somebody ended meanwhile, and counts as charged */
};

/*
 * Each address space once; one whose process ends meanwhile counts as it did before. What members
 * have that were born after the model was read is missing. Negative errno when there is no child.
 */
int pss_start(struct event_base *loop, const struct tracker *tracker, const struct model *model,
	      const struct tree *tree, uint64_t timeout_ns, errand_done_fn done, void *context,
	      struct errand **ret_errand);

/* What that brought; -ETIMEDOUT when it came too late. */
struct pss pss_of(const struct errand_end *end);

/* When the youngest of all members was born (boot time, ns), for the next. */
uint64_t pss_youngest(const struct model *model);

/* What members have of their own that were born after `start`, and so were not asked. */
int64_t pss_newborn_bytes(const struct model *model, const struct tree *tree, uint64_t start);

#endif /* MEMTREE_PSS_H */
