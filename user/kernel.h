/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the running kernel offers, asked of its BTF and never of its version. The BPF
 * side's twin is bpf/kernel.bpf.h.
 */
#ifndef MEMTREE_KERNEL_H
#define MEMTREE_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

struct btf;

struct kernel_features {
	bool rss_stat;		   /* tracepoint kmem:rss_stat, from 5.5 */
	bool task_iterator;	   /* iter/task and iter/bpf_map_elem, from 5.9 */
	bool thread_remainders;	   /* struct mm_rss_stat, until 6.1 */
	bool percpu_counters;	   /* mm_struct.rss_stat is an array of percpu_counter */
	bool exit_mmap_tracepoint; /* mmap:exit_mmap, from 6.1 */
	bool exit_mmap_function;   /* something for fexit to attach to */
	bool preemptible_handler;  /* tracepoints leave preemption on, from 7.0 */
	bool oom_tracepoint;	   /* oom:mark_victim */
};

/* Asks `btf`, the kernel's. */
struct kernel_features kernel_probe(const struct btf *btf);

/* What the loader needs not know: for `doctor`, as each search of a BTF takes half a
 * millisecond. Names of helpers say what the kernel knows, not what it allows. */
struct kernel_survey {
	struct kernel_features features;
	bool test_run;	       /* BPF_PROG_TEST_RUN of raw_tp, from 5.10 */
	bool percpu_lookup;    /* bpf_map_lookup_percpu_elem, from 5.19 */
	bool loop;	       /* bpf_loop, from 5.17 */
	bool send_signal;      /* bpf_send_signal */
	bool send_signal_task; /* bpf_send_signal_task, from 6.13 */
	bool ring_buffer;      /* from 5.8 */
	bool run_statistics;   /* bpf_enable_stats, from 5.8 */
	bool recursion_misses; /* bpf_prog_info tells them, from 5.12 */
	bool cgroup_kill;      /* the file cgroup.kill, from 5.14 */
	bool memlock_charged;  /* maps count against RLIMIT_MEMLOCK, until 5.10 */
};

struct kernel_survey kernel_survey(const struct btf *btf);

/* What is missing for memtree to work at all, in words; NULL when nothing is. Static. */
const char *kernel_missing(const struct kernel_features *features);

/*
 * In bytes: how far the live view of one unit may be off: of a thread (all kinds together)
 * where threads keep remainders, else of one kind of one address space.
 */
uint64_t kernel_error_bound(const struct kernel_features *features, int cpus_online,
			    int cpus_possible, long page_size);

#endif /* MEMTREE_KERNEL_H */
