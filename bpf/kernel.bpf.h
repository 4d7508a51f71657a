/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Everything that differs between kernels, behind accessors that ask the running
 * kernel's BTF. No other file of this side names a version or a flavour. The user side's
 * twin is user/kernel.c, which chooses programs.
 */
#ifndef MEMTREE_KERNEL_BPF_H
#define MEMTREE_KERNEL_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "maps.h"

#define CPUS_MAX 1024 /* bound of the loop over CPUs; 5.10's verifier refuses 16384 */
#define THREADS_WALK_MAX 1024

/*
 * Whether every CPU sees stores, and makes loads, in the order of the program. Elsewhere a
 * barrier is needed, and 5.10 has none: its atomic add orders nothing but on x86.
 */
#if defined(__TARGET_ARCH_x86)
#define ORDER_IS_KEPT true
#else
#define ORDER_IS_KEPT false
#endif

/* Set before load. */
extern const volatile __u32 page_shift;
extern const volatile __u32 cpus_possible;
/* Filled by cpu_offset_learn: __per_cpu_offset[], found without its symbol. */
extern __u64 cpu_offsets[CPUS_MAX];

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* Until f1a7941243c1 (6.2) one shared counter per kind; threads keep remainders. */
struct mm_rss_stat___pre62 {
	atomic64_t count[4];
};

struct mm_struct___pre62 {
	struct mm_rss_stat___pre62 rss_stat;
};

struct task_rss_stat___pre62 {
	int count[4];
};

struct task_struct___pre62 {
	struct task_rss_stat___pre62 rss_stat;
};

/* From 6.2 a per-CPU counter per kind. */
struct mm_struct___v62 {
	struct percpu_counter rss_stat[4];
};

/* The member was called `state` until 2f064a59a11f (5.14). */
struct task_struct___pre514 {
	long state;
};

struct task_struct___v514 {
	unsigned int __state;
};

/* From 72ba14deb40a (6.9), when the tracepoint began to hand over the task, not its pid. */
struct trace_event_raw_mark_victim___v69 {
	u32 __data_loc_comm;
};

/* Existence only. */
struct mm_rss_stat {
	int unused;
};

/* Renamed in 741c10b096bc (6.15). */
struct kernfs_node___pre615 {
	struct kernfs_node___pre615 *parent;
};

struct kernfs_node___v615 {
	struct kernfs_node___v615 *__parent;
};

/* Its values depend on the kernel's configuration. */
enum cgroup_subsys_id___any {
	memory_cgrp_id___any,
};

#pragma clang attribute pop

static __always_inline bool threads_keep_remainders(void)
{
	return bpf_core_type_exists(struct mm_rss_stat);
}

/* Before 6.2: the counter that threads flush to, in bytes. */
static __always_inline s64 counter_shared(u64 mm, __u32 kind)
{
	struct mm_struct___pre62 *old = (void *)mm;
	u64 base = (u64)__builtin_preserve_access_index(&old->rss_stat.count[0]);
	s64 pages = 0;

	bpf_probe_read_kernel(&pages, sizeof(pages), (void *)(base + kind * sizeof(s64)));
	return pages << page_shift;
}

/*
 * The shared counter of one kind in bytes, without remainders; may be below zero. `mm`
 * must be a pointer that the verifier trusts: from 6.2, where every fault comes here,
 * these are direct loads, and of constant offsets, hence the switch. Before, 5.10 refuses
 * the direct load ("Type 'atomic_long_t' is not a struct") and one fault in 66 comes here.
 */
static __always_inline s64 counter_live(struct mm_struct *mm, __u32 kind)
{
	struct mm_struct___v62 *new = (void *)mm;
	s64 pages = 0;

	if (threads_keep_remainders())
		return counter_shared((u64)mm, kind);
	switch (kind) {
	case MT_FILE:
		pages = new->rss_stat[MT_FILE].count;
		break;
	case MT_ANON:
		pages = new->rss_stat[MT_ANON].count;
		break;
	case MT_SWAP:
		pages = new->rss_stat[MT_SWAP].count;
		break;
	case MT_SHMEM:
		pages = new->rss_stat[MT_SHMEM].count;
		break;
	}
	return pages << page_shift;
}

/* Through memory, to turn one of the verifier's pointers into a plain number. */
static __always_inline u64 plain_address(void *pointer)
{
	u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), &pointer);
	return address;
}

/* The sum of one struct percpu_counter, in its own unit. */
s64 percpu_counter_total(u64 counter);

/* What all CPUs keep back of one, `copies` being its per-CPU pointer. */
s64 percpu_remainders_total(u64 copies);

/* The sums of an mm's counters, when all that one CPU keeps lies in one piece; else 0. */
int percpu_counters_total(u64 counters, s64 ret_totals[MT_KINDS]);

/*
 * One kind in bytes from any mm address, CPUs' remainders included; what threads keep
 * back before 6.2 is not. Before 6.2 a space that is being copied or was just exec'ed is
 * exact all the same, as no thread has cached anything for it.
 */
static __always_inline s64 counter_exact(u64 mm, __u32 kind)
{
	struct mm_struct___v62 *new = (void *)mm;
	u64 base = (u64)__builtin_preserve_access_index(&new->rss_stat[0]);
	u64 size = bpf_core_type_size(struct percpu_counter);

	if (threads_keep_remainders())
		return counter_shared(mm, kind);
	return percpu_counter_total(base + kind * size) << page_shift;
}

/* Whether exactly nothing is left of one kind. As counter_live(), of a trusted pointer. */
static __always_inline bool counter_is_zero(struct mm_struct *mm, __u32 kind)
{
	struct mm_struct___v62 *new = (void *)mm;
	s64 count = 0;
	s32 *copies = NULL;

	if (threads_keep_remainders())
		return !counter_shared((u64)mm, kind);
	switch (kind) {
	case MT_FILE:
		count = new->rss_stat[MT_FILE].count;
		copies = new->rss_stat[MT_FILE].counters;
		break;
	case MT_ANON:
		count = new->rss_stat[MT_ANON].count;
		copies = new->rss_stat[MT_ANON].counters;
		break;
	case MT_SWAP:
		count = new->rss_stat[MT_SWAP].count;
		copies = new->rss_stat[MT_SWAP].counters;
		break;
	case MT_SHMEM:
		count = new->rss_stat[MT_SHMEM].count;
		copies = new->rss_stat[MT_SHMEM].counters;
		break;
	}
	return !(count + percpu_remainders_total(plain_address(copies)));
}

/* All kinds as counter_exact() has them, with as few reads as the layout allows. In the caller's
 * room alone: all frames of a call chain have 512 bytes. */
static __always_inline void counters_exact(u64 mm, s64 ret_bytes[MT_KINDS])
{
	struct mm_struct___v62 *new = (void *)mm;
	struct mm_struct___pre62 *old = (void *)mm;

	if (threads_keep_remainders()) {
		bpf_probe_read_kernel(ret_bytes, MT_KINDS * sizeof(s64),
				      __builtin_preserve_access_index(&old->rss_stat.count[0]));
	} else if (!percpu_counters_total((u64)__builtin_preserve_access_index(&new->rss_stat[0]),
					  ret_bytes)) {
		ret_bytes[MT_FILE] = counter_exact(mm, MT_FILE);
		ret_bytes[MT_ANON] = counter_exact(mm, MT_ANON);
		ret_bytes[MT_SWAP] = counter_exact(mm, MT_SWAP);
		ret_bytes[MT_SHMEM] = counter_exact(mm, MT_SHMEM);
		return;
	}
	ret_bytes[MT_FILE] <<= page_shift;
	ret_bytes[MT_ANON] <<= page_shift;
	ret_bytes[MT_SWAP] <<= page_shift;
	ret_bytes[MT_SHMEM] <<= page_shift;
}

static __always_inline u32 task_state_bits(struct task_struct *task)
{
	if (bpf_core_field_exists(struct task_struct___pre514, state))
		return BPF_CORE_READ((struct task_struct___pre514 *)task, state);
	return BPF_CORE_READ((struct task_struct___v514 *)task, __state);
}

/* Whether oom:mark_victim hands over the task, not its pid. */
static __always_inline bool oom_tells_task(void)
{
	return bpf_core_field_exists(struct trace_event_raw_mark_victim___v69, __data_loc_comm);
}

/* NULL at the root of a hierarchy. */
static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
	if (bpf_core_field_exists(struct kernfs_node___v615, __parent))
		return (void *)BPF_CORE_READ((struct kernfs_node___v615 *)node, __parent);
	return (void *)BPF_CORE_READ((struct kernfs_node___pre615 *)node, parent);
}

/* The cgroup of a version 1 hierarchy that counts memory; NULL where there is none. */
static __always_inline struct cgroup *cgroup_memory_v1(struct css_set *set)
{
	struct cgroup_subsys_state *css = NULL;
	struct cgroup *cgroup;
	u64 subsys = (u64)__builtin_preserve_access_index(&set->subsys[0]);

	if (!bpf_core_enum_value_exists(enum cgroup_subsys_id___any, memory_cgrp_id___any))
		return NULL;
	subsys += bpf_core_enum_value(enum cgroup_subsys_id___any, memory_cgrp_id___any) *
		  sizeof(void *);
	bpf_probe_read_kernel(&css, sizeof(css), (void *)subsys);
	cgroup = BPF_CORE_READ(css, cgroup);
	if (BPF_CORE_READ(cgroup, root) == BPF_CORE_READ(set, dfl_cgrp, root))
		return NULL;
	return cgroup;
}

/* Where a task's memory is counted, as a folder: in the hierarchy of the memory controller
 * if it has one of version 1, else in the unified one. */
static __always_inline struct kernfs_node *cgroup_folder(struct css_set *set)
{
	struct cgroup *cgroup = cgroup_memory_v1(set);

	if (!cgroup)
		cgroup = BPF_CORE_READ(set, dfl_cgrp);
	return BPF_CORE_READ(cgroup, kn);
}

#endif /* MEMTREE_KERNEL_BPF_H */
