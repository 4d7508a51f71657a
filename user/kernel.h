/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the running kernel offers, asked of its BTF and never of its version. The BPF
 * side's twin is bpf/kernel.bpf.h.
 */
#ifndef MEMTREE_KERNEL_H
#define MEMTREE_KERNEL_H

#include <stdbool.h>

struct btf;

struct kernel_features {
	bool rss_stat;		   /* tracepoint kmem:rss_stat, from 5.5 */
	bool task_iterator;	   /* iter/task and iter/bpf_map_elem, from 5.9 */
	bool thread_remainders;	   /* struct mm_rss_stat, until 6.1 */
	bool percpu_counters;	   /* mm_struct.rss_stat is an array of percpu_counter */
	bool exit_mmap_tracepoint; /* mmap:exit_mmap, from 6.1 */
	bool exit_mmap_function;   /* something for fexit to attach to */
};

/* Asks `btf`, the kernel's. */
struct kernel_features kernel_probe(const struct btf *btf);

/* What is missing for memtree to work at all, in words; NULL when nothing is. Static. */
const char *kernel_missing(const struct kernel_features *features);

#endif /* MEMTREE_KERNEL_H */
