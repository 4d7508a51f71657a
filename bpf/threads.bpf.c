// SPDX-License-Identifier: GPL-2.0-only
/* See threads.bpf.h. */
#include "threads.bpf.h"

static __always_inline u64 list_first(struct signal_struct *signal)
{
	return (u64)BPF_CORE_READ(signal, thread_head.next);
}

static __always_inline u64 list_next(u64 node)
{
	return (u64)BPF_CORE_READ((struct list_head *)node, next);
}

static __always_inline struct task_struct *list_task(u64 node)
{
	return (void *)(node - bpf_core_field_offset(struct task_struct, thread_node));
}

/*
 * A walk goes by blocks: what a block sums up and where the next one begins are functions of
 * their own, so that the verifier follows 32 links and 32 blocks, not a thousand links. 0 ends.
 */
__weak u64 block_cpu(u64 node, u64 head)
{
	u64 sum_ns = 0;

	for (int i = 0; i < THREADS_BLOCK && node && node != head; i++) {
		sum_ns += BPF_CORE_READ(list_task(node), se.sum_exec_runtime);
		node = list_next(node);
	}
	return sum_ns;
}

__weak s64 block_kept(u64 node, u64 head, __u32 kind)
{
	s64 sum = 0;

	/* Outside of the loop, into which the compiler must not take the relocation. */
	if (!threads_keep_remainders())
		return 0;
	for (int i = 0; i < THREADS_BLOCK && node && node != head; i++) {
		sum += thread_kept(list_task(node), kind & 3);
		node = list_next(node);
	}
	return sum;
}

__weak u64 block_next(u64 node, u64 head)
{
	for (int i = 0; i < THREADS_BLOCK && node && node != head; i++)
		node = list_next(node);
	return node == head ? 0 : node;
}

__weak u64 threads_listed_cpu(u64 address)
{
	struct signal_struct *signal = (void *)address;
	u64 head = (u64)__builtin_preserve_access_index(&signal->thread_head);
	u64 node = list_first(signal), sum_ns = 0;

	for (int i = 0; i < THREADS_WALK_MAX / THREADS_BLOCK && node; i++) {
		sum_ns += block_cpu(node, head);
		node = block_next(node, head);
	}
	return sum_ns;
}

__weak s64 threads_listed_kept(u64 address, __u32 kind)
{
	struct signal_struct *signal = (void *)address;
	u64 head = (u64)__builtin_preserve_access_index(&signal->thread_head);
	u64 node = list_first(signal);
	s64 sum = 0;

	for (int i = 0; i < THREADS_WALK_MAX / THREADS_BLOCK && node; i++) {
		sum += block_kept(node, head, kind);
		node = block_next(node, head);
	}
	return sum;
}

__weak u64 threads_cpu(u64 leader)
{
	struct signal_struct *signal = BPF_CORE_READ((struct task_struct *)leader, signal);
	u64 ended_ns = 0, listed_ns = 0;

	for (int i = 0; i < THREADS_TRIES; i++) {
		ended_ns = BPF_CORE_READ(signal, sum_sched_runtime);
		listed_ns = threads_listed_cpu((u64)signal);
		if (BPF_CORE_READ(signal, sum_sched_runtime) == ended_ns)
			break;
	}
	return ended_ns + listed_ns;
}
