/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What one pass of YARN's ContainersMonitorImpl asks of the kernel, in C: for each
 * container all of /proc is listed, every /proc/PID/stat is opened, read and parsed, and
 * the tree below the container's root is built and summed. No threads, no cmdline. The
 * Java original costs more (strings, regular expressions, garbage); so this is the least
 * that its pass can cost.
 */
#ifndef MEMTREE_BENCH_YARN_H
#define MEMTREE_BENCH_YARN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct yarn_sum {
	size_t processes; /* in the tree, its root included */
	int64_t rss_bytes;
	int64_t vmem_bytes;
	uint64_t cpu_ticks;
};

/* One container. Negative errno on failure; a root that is gone gives 0 processes. */
int yarn_scan(pid_t root, struct yarn_sum *ret_sum);

#endif /* MEMTREE_BENCH_YARN_H */
