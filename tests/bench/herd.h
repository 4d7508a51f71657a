/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Trees of processes that sleep, to be read: a herd that grows and is ended whole. They may
 * also toil: ten times a second each gives some pages back and touches them again.
 */
#ifndef MEMTREE_BENCH_HERD_H
#define MEMTREE_BENCH_HERD_H

#include <stddef.h>

#include "root.h"
#include "tracker.h"

#define HERD_TREES_MAX 50
#define HERD_STEP 20
#define HERD_TOIL_HZ 10
#define HERD_FIRST 20 /* processes of the first tree, which never grows */

struct herd_tree {
	struct root root;
	size_t processes;
};

struct herd {
	struct tracker *tracker;
	unsigned int pages; /* that each of the processes toils on, 0: it sleeps */
	struct herd_tree trees[HERD_TREES_MAX];
	size_t tree_count, processes;
};

/* Adds about HERD_STEP trees until there are so many processes, and waits until all are
 * tracked. Each failure is said on stderr. */
int herd_grow(struct herd *herd, size_t processes);

/* Adds so many trees of so many processes each, and waits likewise. */
int herd_plant(struct herd *herd, size_t trees, size_t processes);
void herd_end(struct herd *herd);

#endif /* MEMTREE_BENCH_HERD_H */
