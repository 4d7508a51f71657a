/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The numbers that people quote for a tree: each with its formula, its value and why it is
 * not what memtree charges. Pure: what was read comes in, rows come out. A number that could
 * not be read whole has no value but a reason.
 *
 * Sources of the formulas: proc(5), PID/statm and fields 23 and 24 of PID/stat, for top and
 * ps; yarn.h for YARN; smem(8) for PSS and USS.
 */
#ifndef MEMTREE_QUOTED_H
#define MEMTREE_QUOTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "row.h"

/* The tree as memtree has it, the trees inside included; bytes. */
struct quoted_tree {
	const char *metric;
	uint64_t window_ns;
	int64_t charged, inherited, peak;
	int64_t charged_after; /* at the end of the reading */
	int64_t live_charged, error_bound;
	int64_t rss, shmem, swap; /* each address space once */
	int64_t orphan_bytes;	  /* rss of the orphans, each address space once */
	unsigned int processes, zombies, orphans;
};

/* A live process of it, with what its files say. */
struct quoted_process {
	uint32_t pid;
	bool is_root;
	bool leader_gone;	 /* its main thread has exited: PID/stat and PID/statm read 0 */
	bool again;		 /* its address space stands at a process before, too */
	int64_t map_rss;	 /* by memtree */
	int err;		 /* 0: the next five are known */
	int64_t virt, res, shr;	 /* statm, of a live thread */
	int64_t vsize, stat_rss; /* stat */
	int smaps_err;		 /* 0: the next four are known */
	int64_t pss, uss, yarn2, yarn3;
};

struct quoted_input {
	struct quoted_tree tree;
	const struct quoted_process *processes;
	size_t count;
	unsigned int began, ended;  /* processes, while all this was read */
	const char *procfs_unknown; /* why /proc tells nothing of this tree; NULL: it does */
	const char *smaps_unknown;  /* why smaps were not read at all; NULL: they were */
};

/* What memtree shows and what /proc says. */
void quoted_rows(const struct quoted_input *input, struct rows *rows);

#endif /* MEMTREE_QUOTED_H */
