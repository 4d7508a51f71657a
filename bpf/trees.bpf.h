/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the other programs ask of a tree, and of every tree around it. All are global
 * functions of integers: the verifier checks each once per program, not once per call,
 * which keeps loading fast on kernels whose verifier walks every path.
 */
#ifndef MEMTREE_TREES_BPF_H
#define MEMTREE_TREES_BPF_H

#include "maps.bpf.h"

/* Adds `bytes` of one kind to the totals. */
int tree_add(__u32 id, __u32 kind, s64 bytes);

/* Looks whether the tree is charged more than ever, after a total grew. */
int tree_peak(__u32 id);

/* Notes that it was charged so much. */
int tree_peak_raise(__u32 id, s64 charged);

/* Counts a process or an address space (+1) or its end (-1); a birth also in `forks`. */
int tree_hold(__u32 id, s64 holds, s64 forks);

/* Adds to the inherited memory that is exempt until epoch `deadline`. */
int tree_exempt(__u32 id, u64 deadline, __u32 kind, s64 bytes);

/* Notes the tree's first member; 0 when there is no such tree. */
int tree_root(__u32 id, __u32 tgid);

/* The window of inherited memory, ns; 0 when the tree is gone. */
u64 tree_window_ns(__u32 id);

#endif /* MEMTREE_TREES_BPF_H */
