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

/* Existence only. */
struct mm_rss_stat {
	int unused;
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

static __always_inline void counters_exact(u64 mm, s64 ret_bytes[MT_KINDS])
{
	ret_bytes[MT_FILE] = counter_exact(mm, MT_FILE);
	ret_bytes[MT_ANON] = counter_exact(mm, MT_ANON);
	ret_bytes[MT_SWAP] = counter_exact(mm, MT_SWAP);
	ret_bytes[MT_SHMEM] = counter_exact(mm, MT_SHMEM);
}

static __always_inline u32 task_state_bits(struct task_struct *task)
{
	if (bpf_core_field_exists(struct task_struct___pre514, state))
		return BPF_CORE_READ((struct task_struct___pre514 *)task, state);
	return BPF_CORE_READ((struct task_struct___v514 *)task, __state);
}

#endif /* MEMTREE_KERNEL_BPF_H */
