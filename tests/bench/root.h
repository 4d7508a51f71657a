/* SPDX-License-Identifier: GPL-2.0-only */
/* A part of this program as the root of a tree of its own. */
#ifndef MEMTREE_BENCH_ROOT_H
#define MEMTREE_BENCH_ROOT_H

#include <stdint.h>

#include "launch.h"
#include "tracker.h"

struct root {
	struct launch launch; /* its pid until root_end */
	uint32_t tree;	      /* 0: none */
};

#define ROOT_NONE ((struct root){.launch = LAUNCH_NONE})

/* Runs `command`, this program and a part of it, as a tree of that name. Each failure is said
 * on stderr; root_end afterwards in any case. */
int root_start(struct tracker *tracker, const char *name, char **command, struct root *ret_root);

/* Kills the root (its descendants have asked to die with it) and frees the tree's slot. */
void root_end(struct tracker *tracker, struct root *root);

#endif /* MEMTREE_BENCH_ROOT_H */
