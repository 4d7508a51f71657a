/* SPDX-License-Identifier: GPL-2.0-only */
/* The live processes of a tree, each with what /proc says of it. */
#ifndef MEMTREE_MEMBERS_H
#define MEMTREE_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "model.h"
#include "quoted.h"

struct member {
	const struct process *process; /* of the model */
	pid_t tid;		       /* a thread of it that lives */
};

/* Zero it first. */
struct members {
	struct member *list;
	struct quoted_process *processes; /* one for each of the list */
	size_t count;
	const char *procfs_unknown; /* why /proc tells nothing; NULL: it does */
	const char *smaps_unknown;
	/* What the readings cost, and how many processes they told of. */
	uint64_t procfs_ns, procfs_calls, smaps_ns, smaps_calls;
	size_t procfs_processes, smaps_processes;
	char reason[128];
};

/* Those of `tree` and the trees inside it, nothing read as yet. Negative errno. The model
 * outlives them. */
int members_list(const struct model *model, const struct tree *tree, struct members *members);
void members_free(struct members *members);

/* From PID/stat and PID/statm. */
void members_read(struct members *members);

/* From smaps, each address space once, in a child that is ended at the deadline. */
void members_read_smaps(struct members *members, uint64_t timeout_ns);

#endif /* MEMTREE_MEMBERS_H */
