/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What YARN's monitor asks of the kernel for one container, in C: all of /proc is listed, every
 * stat is opened, read and parsed, and the tree below the root is built. The Java original costs
 * more (strings, regular expressions, garbage); this is the least that it can cost.
 */
#ifndef MEMTREE_BENCH_POLLING_H
#define MEMTREE_BENCH_POLLING_H

#include "procfs.h"
#include "yarn.h"

/* One container's share of a pass. Negative errno. */
int polling_scan(struct procfs *procfs, struct yarn_tree *tree);

#endif /* MEMTREE_BENCH_POLLING_H */
