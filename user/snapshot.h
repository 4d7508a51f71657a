/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One reading of a tracker's maps, raw: records as the kernel side wrote them. What they
 * mean together is model.h's business.
 */
#ifndef MEMTREE_SNAPSHOT_H
#define MEMTREE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "maps.h"
#include "tracker.h"

struct tree_reading {
	struct mt_registration registration;
	struct mt_settings settings;
	struct mt_policy policy;
	struct mt_totals totals, totals_after; /* before and after everything else was read */
	uint32_t guide_tgid; /* whose cgroup stands for the tree, 0: nobody was asked */
};

struct snapshot {
	uint32_t tracker_id;
	uint32_t loader_tgid;
	bool thread_remainders;
	uint32_t error_bound_bytes;
	uint32_t process_capacity;

	uint32_t wanted; /* the only tree that was read, with those inside it; 0: all */
	struct mt_registration around; /* of the tree around it that shows; id 0: none */

	uint64_t mono_ns; /* both clocks at the moment of reading */
	uint64_t boot_ns;
	int64_t real_ns;

	struct tree_reading *trees;
	struct mt_space_record *spaces;
	struct mt_process_record *processes;
	struct mt_thread_record *threads; /* only when a group was too large to walk */
	struct mt_zombie_record *zombies;
	struct mt_cgroup_record *cgroups; /* only after snapshot_read_cgroups */
	size_t tree_count, space_count, process_count, thread_count, zombie_count, cgroup_count;
	uint64_t losses[MT_LOSSES]; /* only after snapshot_read_losses */
};

/* Negative errno on failure. The caller frees with snapshot_free. */
int snapshot_read(const struct tracker *tracker, struct snapshot *ret_snapshot);
/* Of one tree with those inside it: costs what these are, not what the tracker has. No tree at all
 * when there is none of this id; all of them when its members share address spaces with others'. */
int snapshot_read_tree(const struct tracker *tracker, uint32_t tree, struct snapshot *ret_snapshot);
void snapshot_free(struct snapshot *snapshot);

/* Adds the cgroups of the trees, as their guides' paths. Negative errno. */
int snapshot_read_cgroups(const struct tracker *tracker, struct snapshot *snapshot);

/* Adds what the tracker lost. Negative errno. */
int snapshot_read_losses(const struct tracker *tracker, struct snapshot *snapshot);

/* A process's arguments as captured at its exec; -ENOENT when it is gone. */
int snapshot_args(const struct tracker *tracker, uint32_t tgid, uint64_t start_boot_ns,
		  struct mt_process *ret_process);

#endif /* MEMTREE_SNAPSHOT_H */
