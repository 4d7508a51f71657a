/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a snapshot means: trees with their processes, exact memory charged once per
 * address space, inherited memory, counts. Pure: no map, no clock, no output.
 */
#ifndef MEMTREE_MODEL_H
#define MEMTREE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "maps.h"
#include "snapshot.h"

struct process {
	uint32_t tgid, ppid;
	uint32_t pid;  /* in this pid namespace; 0: not known, or not to be seen */
	uint32_t tree; /* id of the innermost tree */
	uint64_t start_boot_ns, execed_boot_ns;
	uint32_t threads;
	char state; /* as in /proc/PID/stat, of the leader; '?' when it was not found */
	char comm[MT_COMM_SIZE];
	int64_t bytes[MT_KINDS];  /* exact; of a shared address space, in every sharer */
	int64_t exempt[MT_KINDS]; /* of these: inherited, with the window still open */
	int64_t inherited;	  /* the same, as the metric of its own tree counts it */
	int64_t live[MT_KINDS];	  /* what the kernel side follows; shared likewise */
	int64_t vmem;		  /* bytes mapped; of a shared address space, in every sharer */
	uint64_t cpu_ns;	  /* of all its threads, gone ones included */
	uint64_t mm;
	uint32_t payer; /* id of the tree that its address space is charged to, 0: none */
	bool shared_mm; /* another member uses the same address space */
	bool orphan;	/* its parent at birth is gone */
	bool zombie;
	bool inexact; /* what its threads keep back could not be read whole */
};

/* Every figure includes the trees inside. */
struct tree {
	uint32_t tracker_id, id, parent; /* parent 0: none */
	char name[MT_NAME_SIZE];
	uint32_t root_tgid, owner_tgid;
	uint32_t metric;
	uint64_t window_ns;
	struct mt_policy policy; /* limit 0: none */
	bool doomed;		 /* its members die at their next event */
	unsigned int termed; /* members when SIGTERM was sent, which SIGKILL follows; 0: none was */
	bool disarmed;	     /* its limit is only reported for now */
	int64_t started_real_ns; /* its root */
	uint32_t processes, threads, zombies, orphans, spaces;
	uint64_t forks;
	int64_t holds;
	int64_t bytes[MT_KINDS]; /* exact */
	int64_t inherited;	 /* exempt now, bytes */
	int64_t charged;
	int64_t shareable; /* of it and `inherited`, at most so much is counted more than once */
	int64_t largest[MT_KINDS]; /* that one address space has, kind by kind */
	int64_t vmem;		   /* bytes mapped, each address space once */
	uint64_t cpu_ns;	   /* of its members, those that have ended included */
	char *cgroup;		   /* as cgroup.h has it; NULL when it is not known */
	int64_t peak;		   /* bytes; never below `charged` */
	bool peak_is_news;	   /* only this exact reading shows it: worth handing back */
	bool moved; /* between the first and the last thing read: no one moment's sum */
	int64_t peak_real_ns;
	int64_t live[MT_KINDS]; /* what the kernel side follows */
	int64_t live_charged;
	int64_t error_bound; /* of live_charged, bytes */
	bool inexact;
};

struct model {
	struct tree *trees; /* by id */
	size_t tree_count;
	struct process *processes; /* by tree, then start */
	size_t process_count;
	uint64_t losses[MT_LOSSES];
	uint32_t
		around; /* of a reading of one tree: what it lies in, and is not read; 0: nothing */
	char around_name[MT_NAME_SIZE];
};

/* Negative errno on failure; the caller frees with model_free. */
int model_build(const struct snapshot *snapshot, struct model *ret_model);
void model_free(struct model *model);

/* NULL when there is none. */
const struct tree *model_find(const struct model *model, uint32_t id);

/* The id of the enclosing tree as far as it still exists, 0: none. */
uint32_t model_parent(const struct model *model, const struct tree *tree);

/* Whether tree `id` is `ancestor` or lies inside it. */
bool model_is_inside(const struct model *model, uint32_t id, uint32_t ancestor);

/* "running", "over" its limit, "dying", "disarmed" or "ended"; static. */
const char *model_state(const struct tree *tree);

/* rss = anon + file + shmem. */
int64_t bytes_rss(const int64_t bytes[MT_KINDS]);

#endif /* MEMTREE_MODEL_H */
