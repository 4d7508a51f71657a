/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loads the programs into the kernel and attaches them: the only room that sees the
 * skeleton. Here nothing is pinned: everything goes with the process, however it dies (pins.h
 * sees to what shall not).
 */
#ifndef MEMTREE_LOADER_H
#define MEMTREE_LOADER_H

#include <stdbool.h>
#include <stdint.h>

struct loader;

struct loader_options {
	uint32_t process_capacity; /* process slots, 0: the default of 8192 */
	uint32_t tree_capacity;	   /* tree slots, 0: the default; rounded up to a power of 2 */
	bool pinned; /* it is to outlive this process: its header says so, and ends of trees are told */
	uint32_t fault_wait_ns; /* for tests, 0 else: the handlers of fork and exit take so long */
};

/* Loads, attaches and announces a tracker; each failure is said in one line on stderr
 * and returned: -EPERM, -EOPNOTSUPP (with what is missing) or another. */
int loader_start(const struct loader_options *options, struct loader **ret_loader);

/* The id to open the tracker with. */
uint32_t loader_tracker_id(const struct loader *loader);

/* For tests: the programs fail to change any map until this is called with false. */
void loader_refuse(struct loader *loader, bool refuse);

/* Detaches and unloads, unless somebody keeps it. NULL is allowed. */
void loader_stop(struct loader *loader);

#endif /* MEMTREE_LOADER_H */
