/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The memory monitor of a YARN NodeManager, as it reckons and decides: the process tree of
 * ProcfsBasedProcessTree and the rule of ContainersMonitorImpl (Apache Hadoop 3.x), their
 * weaknesses included. Pure: the caller reads /proc and the clock.
 */
#ifndef MEMTREE_YARN_H
#define MEMTREE_YARN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "procfs.h"

enum yarn_formula {
	YARN_STAT,    /* the default: sum of stat's rss */
	YARN_SMAPS_2, /* smaps of 2.x: min(Shared_Dirty, Pss) + Private_Dirty + Private_Clean */
	YARN_SMAPS_3, /* smaps of 3.x: Anonymous */
	YARN_FORMULAS,
};

struct yarn_process {
	struct procfs_stat stat;
	uint32_t age; /* passes in which its pid was seen, 1 at the first */
	/* cpu time since the pass before, at the first all it has; negative when its pid was used
	 * again meanwhile by one who worked less */
	int64_t delta_ticks;
	int64_t smaps_bytes[YARN_FORMULAS]; /* [YARN_STAT] unused; by yarn_process_mappings */
};

/* One container. Zero it, then set `root`. */
struct yarn_tree {
	pid_t root;
	struct yarn_process *processes; /* the root first; none when the root is gone */
	size_t count;
	int64_t cpu_ticks; /* the deltas of all passes */
	uint32_t passes;
};

/* One pass over all processes of the node, each pid once; the order is the caller's. Negative
 * errno, and the tree is then as it was. Ages and the accumulated time outlive their process
 * when its pid does, but no pass without the root. */
int yarn_tree_update(struct yarn_tree *tree, const struct procfs_stat *all, size_t count);
void yarn_tree_free(struct yarn_tree *tree);

/* Whether the monitor can parse this stat at all: it reads one line. Whom it cannot read it
 * does not see, and so none of its descendants; not even the root. */
bool yarn_can_read(const struct procfs_stat *stat);

/* Whose child a process is taken for: an orphan that did not found its session counts as a
 * child of the one who did. */
pid_t yarn_parent(const struct procfs_stat *stat);

/* NULL when it is not in the tree. */
const struct yarn_process *yarn_tree_find(const struct yarn_tree *tree, pid_t pid);

/* Notes what a process's smaps says by both formulas; mappings r--s and r-xs are skipped. To be
 * repeated after each pass. */
void yarn_process_mappings(struct yarn_process *process, const struct procfs_mapping *mappings,
			   size_t count);

/* Sums over the processes older than `age` passes, bytes; 0: all. They saturate; Java's would
 * wrap, but no sum of memory comes near. */
int64_t yarn_tree_memory(const struct yarn_tree *tree, enum yarn_formula formula, uint32_t age);
uint64_t yarn_tree_vmem(const struct yarn_tree *tree, uint32_t age);

/* isProcessTreeOverLimit(): current > 2 x limit, or aged > limit, both strict. */
enum yarn_verdict {
	YARN_WITHIN,
	YARN_OVER_TWICE,
	YARN_OVER_AGED,
};
enum yarn_verdict yarn_judge(uint64_t current, uint64_t aged, uint64_t limit);

/* What a pass decides. The first never does: its cpu sample is not known yet. A limit of 0 is
 * not checked (yarn.nodemanager.vmem-check-enabled=false). */
struct yarn_decision {
	bool skipped; /* the first pass, or the root is gone */
	/* Tested in this order: when virtual memory is over, physical memory is not looked at. */
	enum yarn_verdict virtual_memory, physical_memory;
	uint64_t vmem, vmem_aged, memory, memory_aged; /* bytes */
};
struct yarn_decision yarn_decide(const struct yarn_tree *tree, enum yarn_formula formula,
				 uint64_t limit_bytes, uint64_t vmem_limit_bytes);
bool yarn_kills(const struct yarn_decision *decision);

/*
 * What the NodeManager writes, in its words, for log parsers; each a string that the caller
 * frees, NULL without memory. `container` is the container's id, here the tree's name.
 */

/* "Process tree for container: ... running over twice ..." or "... has processes older than 1
 * iteration ..."; NULL too when nothing is over. */
char *yarn_reason(const struct yarn_decision *decision, const char *container, uint64_t limit_bytes,
		  uint64_t vmem_limit_bytes);

/* "Container [pid=...,containerID=...] is running ...B beyond the 'PHYSICAL' memory limit. ..."
 * up to "Dump of the process-tree for ... :" and a newline: the dump follows. NULL too when
 * nothing is over. */
char *yarn_diagnosis(const struct yarn_decision *decision, pid_t root, const char *container,
		     uint64_t limit_bytes, uint64_t vmem_limit_bytes);

/* The dump, header and a line per process. `cmdline_of` returns a string that is freed here, or
 * NULL; NULs are already blanks in it. Its first line is shown; names as they are. Times are
 * ticks, whatever the header says. */
char *yarn_dump(const struct yarn_tree *tree, char *(*cmdline_of)(void *context, pid_t pid),
		void *context);

#endif /* MEMTREE_YARN_H */
