/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The numbers that container runtimes quote for a tree's cgroup, and what they are made of.
 * Pure. The kernel's own sums need not add up: counters are batched per CPU
 * (MEMCG_CHARGE_BATCH), and from 5.17 on memory.stat is flushed only when enough has changed.
 *
 * Sources of the formulas:
 * - cAdvisor (Prometheus, kubelet): setMemoryStats() of container/libcontainer/handler.go:
 *   usage; cache = total_cache or file; rss = total_rss or anon; working set = usage -
 *   total_inactive_file or inactive_file, at least 0.
 * - docker stats: calculateMemUsageUnixNoCache() of cli/command/container/stats_helpers.go
 *   (docker/cli #2415, from 20.10): the same, but usage itself where inactive file is larger.
 *   Before: usage - cache.
 * - podman stats: as docker's since containers/common #2455 (2025); before, usage_in_bytes on
 *   version 1 and anon on version 2 (containers/common #870).
 */
#ifndef MEMTREE_RUNTIMES_H
#define MEMTREE_RUNTIMES_H

#include <stdint.h>

#include "cgroupfs.h"
#include "row.h"

struct runtimes_input {
	int64_t charged;		      /* by memtree, for the notes */
	const struct cgroupfs_memory *memory; /* NULL: `unknown` says why */
	const char *unknown;
	const char *members_unknown; /* why the next three are not known; NULL: they are */
	unsigned int members_in, members_out, strangers;
};

void runtimes_rows(const struct runtimes_input *input, struct rows *rows);

#endif /* MEMTREE_RUNTIMES_H */
