/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One tree as the maps have it beside the same tree as YARN's baseline has it: every byte
 * of difference with its cause, every member that one side misses with the reason. Pure.
 */
#ifndef MEMTREE_COMPARISON_H
#define MEMTREE_COMPARISON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model.h"
#include "reason.h"
#include "yarn.h"

struct comparison_process {
	uint32_t pid, ppid;
	char comm[PROCFS_COMM_SIZE];
	enum missed why;
	int64_t bytes; /* charged by the maps, or of stat */
	bool zombie;
};

struct comparison_cause {
	int64_t bytes;	    /* the maps' part minus procfs' */
	uint32_t processes; /* of CAUSE_UNUSED_SPACE: spaces */
};

struct comparison {
	int64_t charged, rss, inherited, vmem; /* the maps: exact, each space once */
	int64_t bytes[MT_KINDS];
	uint32_t processes, zombies;
	uint64_t cpu_ns;
	int64_t procfs_rss; /* sum of stat's rss */
	uint64_t procfs_vmem;
	uint32_t procfs_processes; /* zombies included, as YARN counts them */
	uint32_t compared;	   /* processes that both have and that stood still */
	int64_t difference;	   /* charged - procfs_rss, the sum of all causes */
	struct comparison_cause causes[CAUSES];
	struct comparison_process *missed_by_procfs, *missed_by_map;
	size_t missed_by_procfs_count, missed_by_map_count;
};

/* What was read, in this order: the maps, all of /proc, the maps again. */
struct comparison_sources {
	const struct model *before, *after;
	const struct procfs_stat *all;
	size_t all_count;
	const struct yarn_tree *yarn; /* made of `all` */
	uint64_t begun_boot_ns;	      /* when `before` was read */
	uint64_t last_begun_boot_ns;  /* likewise of the last comparison; 0: this is the first */
	uint64_t births;	      /* in the tree between the two */
	uint64_t ticks_per_second;
	int64_t kept_back_bytes; /* at most, per thread or CPU and kind: the tracker's bound */
	bool thread_remainders;	 /* threads keep them, not CPUs */
};

/*
 * Compares the tree `id`, which `before` has. -ENOENT when it has ended by `after`, -ENOMEM;
 * the caller frees with comparison_free.
 */
int comparison_make(const struct comparison_sources *sources, uint32_t id,
		    struct comparison *ret_comparison);
void comparison_free(struct comparison *comparison);

#endif /* MEMTREE_COMPARISON_H */
