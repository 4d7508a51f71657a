/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What settles the arguments about a tree's memory: sentences with the numbers in them, each
 * only where the numbers bear it. Pure.
 */
#ifndef MEMTREE_VERDICT_H
#define MEMTREE_VERDICT_H

#include <stddef.h>

#include "quoted.h"
#include "runtimes.h"

#define VERDICT_TEXT 400
#define VERDICT_MAX 12

struct verdict {
	char sentences[VERDICT_MAX][VERDICT_TEXT];
	size_t count;
};

void verdict_find(const struct quoted_input *processes, const struct runtimes_input *cgroup,
		  struct verdict *ret_verdict);

#endif /* MEMTREE_VERDICT_H */
