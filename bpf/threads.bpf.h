/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which pid a reader knows a task by, and what the threads of a process have together: cpu
 * time and, before 6.2, what they keep back from the memory counters. Bounded walks along
 * signal->thread_head, one per figure: each is a function of integers that the verifier checks
 * once (one walk for all of them took an emulated 5.10 sixteen seconds to check).
 *
 * A thread that is released moves its cpu time to its signal_struct, then leaves the list,
 * under a lock that a program cannot take. So walks count only when the thread count and
 * the signal_struct's part are the same at their end; else they are done again.
 */
#ifndef MEMTREE_THREADS_BPF_H
#define MEMTREE_THREADS_BPF_H

#include "kernel.bpf.h"

#define THREADS_TRIES 4
#define THREADS_BLOCK 32

struct threads {
	u64 cpu_ns;	  /* of those that were read */
	u64 ended_cpu_ns; /* of those that are gone */
	s64 kept_back[MT_KINDS];
	u32 count;
	u32 read; /* fewer than `count`: more than the walk's bound, or in motion */
};

/* Sums over the threads in the list of a signal_struct. */
u64 threads_listed_cpu(u64 signal);
s64 threads_listed_kept(u64 signal, __u32 kind);

/* The cpu time of a whole group, gone threads included. */
u64 threads_cpu(u64 leader);

/* Before 6.2: what one thread keeps back of one kind, in bytes. */
static __always_inline s64 thread_kept(struct task_struct *task, __u32 kind)
{
	struct task_struct___pre62 *old = (void *)task;
	u64 base = (u64)__builtin_preserve_access_index(&old->rss_stat.count[0]);
	int pages = 0;

	bpf_probe_read_kernel(&pages, sizeof(pages), (void *)(base + kind * sizeof(pages)));
	return (s64)pages << page_shift;
}

static __always_inline void threads_kept(u64 signal, s64 ret_bytes[MT_KINDS])
{
	ret_bytes[MT_FILE] = threads_listed_kept(signal, MT_FILE);
	ret_bytes[MT_ANON] = threads_listed_kept(signal, MT_ANON);
	ret_bytes[MT_SWAP] = threads_listed_kept(signal, MT_SWAP);
	ret_bytes[MT_SHMEM] = threads_listed_kept(signal, MT_SHMEM);
}

/* What one thread keeps back of all kinds. */
static __always_inline void thread_kept_all(struct task_struct *task, s64 ret_bytes[MT_KINDS])
{
	struct task_struct___pre62 *old = (void *)task;
	int pages[MT_KINDS] = {};

	bpf_probe_read_kernel(pages, sizeof(pages),
			      __builtin_preserve_access_index(&old->rss_stat.count[0]));
	ret_bytes[MT_FILE] = (s64)pages[MT_FILE] << page_shift;
	ret_bytes[MT_ANON] = (s64)pages[MT_ANON] << page_shift;
	ret_bytes[MT_SWAP] = (s64)pages[MT_SWAP] << page_shift;
	ret_bytes[MT_SHMEM] = (s64)pages[MT_SHMEM] << page_shift;
}

/*
 * Most processes have one thread, and a read of kernel memory is what a reading takes its time for.
 * The count was read before the time of those that are gone, so that has all that left before; one
 * that was made since is not there yet.
 */
static __always_inline void threads_read_only(struct task_struct *leader,
					      struct signal_struct *signal, struct threads *threads)
{
	threads->ended_cpu_ns = BPF_CORE_READ(signal, sum_sched_runtime);
	threads->cpu_ns = BPF_CORE_READ(leader, se.sum_exec_runtime);
	if (threads_keep_remainders())
		thread_kept_all(leader, threads->kept_back);
	threads->read = 1;
}

static __always_inline void threads_read(struct task_struct *leader, struct threads *threads)
{
	struct signal_struct *signal = BPF_CORE_READ(leader, signal);

	__builtin_memset(threads, 0, sizeof(*threads));
	threads->count = BPF_CORE_READ(signal, nr_threads);
	if (threads->count == 1) {
		threads_read_only(leader, signal, threads);
		return;
	}
	for (int i = 0; i < THREADS_TRIES; i++) {
		threads->ended_cpu_ns = BPF_CORE_READ(signal, sum_sched_runtime);
		threads->count = BPF_CORE_READ(signal, nr_threads);
		threads->cpu_ns = threads_listed_cpu((u64)signal);
		if (threads_keep_remainders())
			threads_kept((u64)signal, threads->kept_back);
		if (threads->count != (u32)BPF_CORE_READ(signal, nr_threads) ||
		    threads->ended_cpu_ns != BPF_CORE_READ(signal, sum_sched_runtime))
			continue;
		threads->read = threads->count;
		if (threads->read > THREADS_WALK_MAX)
			threads->read = THREADS_WALK_MAX;
		break;
	}
}

/* The pid of a task as the runner sees it; 0 when it lives in no namespace below. */
static __always_inline __u32 pid_here(struct task_struct *task)
{
	struct task_struct *runner = (void *)bpf_get_current_task();
	struct pid *own = BPF_CORE_READ(runner, thread_pid), *pid;
	__u32 level = BPF_CORE_READ(own, level);
	u64 at = (u64)level * bpf_core_type_size(struct upid);
	struct upid *here, *there;

	if (!level)
		return BPF_CORE_READ(task, pid);

	pid = BPF_CORE_READ(task, thread_pid);
	here = (void *)((u64)__builtin_preserve_access_index(&own->numbers[0]) + at);
	there = (void *)((u64)__builtin_preserve_access_index(&pid->numbers[0]) + at);
	if (!pid || BPF_CORE_READ(pid, level) < level ||
	    BPF_CORE_READ(here, ns) != BPF_CORE_READ(there, ns))
		return 0;
	return BPF_CORE_READ(there, nr);
}

#endif /* MEMTREE_THREADS_BPF_H */
