/* SPDX-License-Identifier: GPL-2.0-only */
/* The report of explain: the table with its verdict and cost, as text and as JSON. */
#ifndef MEMTREE_EXPLANATION_H
#define MEMTREE_EXPLANATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cgroupfs.h"
#include "node.h"
#include "row.h"
#include "verdict.h"

struct explanation_cost {
	uint64_t maps_ns, procfs_ns, cgroup_ns, smaps_ns;
	uint64_t procfs_calls, smaps_calls; /* system calls */
	size_t procfs_processes, smaps_processes;
	bool smaps_asked;
};

struct explanation {
	const struct node_tracker *entry;
	const struct tree *tree;
	const struct rows *rows;
	const struct verdict *verdict;
	const struct cgroupfs_memory *memory; /* NULL: nothing is known of the cgroup */
	struct explanation_cost cost;
};

/* On stdout; the second returns an exit status. */
void explanation_print(const struct explanation *explanation);
int explanation_print_json(const struct explanation *explanation);

#endif /* MEMTREE_EXPLANATION_H */
