/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel types that the BPF programs read, and of each only the members they read:
 * every access is relocated against the running kernel's BTF, so offsets and the missing
 * members do not matter. Layouts that differ between kernels stand in bpf/kernel.bpf.h.
 * `make vmlinux-check` compares this file with a kernel's BTF.
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#include <linux/types.h>
#include <linux/bpf.h>

typedef __u32 u32;
typedef __s32 s32;
typedef __u64 u64;
typedef __s64 s64;
typedef int pid_t;
typedef _Bool bool;

enum {
	false = 0,
	true = 1,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	s64 counter;
} atomic64_t;

struct list_head {
	struct list_head *next, *prev;
};

struct percpu_counter {
	s64 count;
	s32 *counters;
};

struct mm_struct {
	atomic_t mm_users;
	int map_count;
	unsigned long arg_start;
	unsigned long arg_end;
};

struct signal_struct {
	atomic_t live;
	int nr_threads;
	struct list_head thread_head;
};

struct task_struct {
	unsigned int flags;
	struct mm_struct *mm;
	int exit_state;
	u32 pid;
	u32 tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct list_head thread_node;
	u64 start_boottime;
	char comm[16];
	struct signal_struct *signal;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	void *key;
	void *value;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_array {
	void *pptrs[0];
};

#pragma clang attribute pop

#endif /* __VMLINUX_H__ */
