/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Passes over the kernel's tasks, through the tracker's own iterators: they find a process,
 * adopt a tree that already runs, and heal what missed events left behind. Nothing is read
 * from /proc.
 */
#ifndef MEMTREE_CENSUS_H
#define MEMTREE_CENSUS_H

#include <sys/types.h>

#include "tracker.h"

/* Who has this pid in our pid namespace, threads included. -ESRCH when nobody. */
int census_find(const struct tracker *tracker, pid_t pid, struct mt_census_record *ret_found);

/*
 * Makes the process with this identity the root of `tree`, and all its descendants members,
 * with their memory and arguments. Whoever they fork meanwhile is a member too. The process
 * that calls this is left out. 0 also when nobody was alive any more: registry_holds() tells.
 */
int census_adopt(const struct tracker *tracker, uint32_t tree, uint32_t root_tgid,
		 uint64_t root_start_boot_ns);

/*
 * Compares members and address spaces with the kernel's tasks when something was lost since
 * that was done last; else nothing. Negative errno.
 */
int census_heal(const struct tracker *tracker);

/* What was lost since the last healing; `ret_losses` has MT_LOSSES places. */
int census_losses(const struct tracker *tracker, uint64_t *ret_losses);

#endif /* MEMTREE_CENSUS_H */
