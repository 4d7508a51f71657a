/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Both sides read as one instant, as closely as can be: the maps of all trackers, all of
 * /proc, the maps again. What changed in between shows in the two readings of the maps.
 */
#ifndef MEMTREE_BESIDE_H
#define MEMTREE_BESIDE_H

#include "look.h"
#include "node.h"
#include "procfs.h"

struct beside_maps {
	struct look look;
	bool ended; /* its tracker has: what was read may be of long ago */
};

struct beside {
	int trackers;
	struct beside_maps *before, *after; /* one for each tracker */
	struct procfs_stat *all;
	size_t all_count;
	size_t unread;		/* processes whose stat could not be read */
	uint64_t begun_boot_ns; /* and the clock of the day: */
	int64_t begun_real_ns;
	uint64_t map_ns, procfs_ns;	  /* what one reading of either side takes */
	uint64_t map_calls, procfs_calls; /* system calls */
};

/* Negative errno; the caller frees with beside_free. `node` has the trackers. */
int beside_read(const struct node *node, struct procfs *procfs, struct beside *ret_beside);
void beside_free(struct beside *beside);

#endif /* MEMTREE_BESIDE_H */
