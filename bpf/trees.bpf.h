/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the other programs ask of a tree, and of every tree around it. All are global
 * functions of integers: the verifier checks each once per program, not once per call,
 * which keeps loading fast on kernels whose verifier walks every path.
 */
#ifndef MEMTREE_TREES_BPF_H
#define MEMTREE_TREES_BPF_H

#include "places.bpf.h"

/* What tree_add() found on its way. */
enum tree_found {
	TREE_NEAR = 1, /* beyond an alarm: be exact, then call tree_edges() */
	TREE_STOP = 2, /* doomed, or beyond its stop: current dies if it is a member */
};

/* Adds `bytes` of one kind to the totals. Returns bits of enum tree_found, of this tree or one
 * around it. */
int tree_add(__u32 id, __u32 kind, s64 bytes);

/* Its inherited memory whose window is open at `now_ns`, as its metric counts. */
s64 tree_inherited_open(__u32 id, u64 now_ns);

/* Looks whether the tree is charged more than ever, after a total grew. */
int tree_peak(__u32 id);

/* Notes that it was charged so much. */
int tree_peak_raise(__u32 id, s64 charged);

/* Beyond one of its alarms: tells the loader, once a round, and stops it beyond its stop; where
 * that is for who allocates, only when it `grows` by current. Returns bits as tree_add(). */
int tree_edge(__u32 id, int grows);

/* Tells the loader that the kernel's OOM killer chose its member `tgid`. */
int tree_oom(__u32 id, __u32 tgid, u64 task);

/* The same for it and every tree around it. `moved` bytes are current's doing; 0: nobody's. */
int tree_edges(__u32 id, __u32 kind, s64 moved);

/* Whether it, or one around it, is doomed. */
int tree_is_doomed(__u32 id);

/* Tells the loader that nothing is left of the tree. */
int tree_end_tell(__u32 id);

/* Counts a process or an address space (+1) or its end (-1); a birth also in `forks`. */
int tree_hold(__u32 id, s64 holds, s64 forks);

/* Counts a dead member that is not yet freed (+1) or its end (-1), and adds cpu time of one
 * that is gone; nothing when the tree is gone too. */
int tree_bury(__u32 id, s64 zombies, u64 cpu_ns);

/* Adds to the inherited memory that is exempt until epoch `deadline`. */
int tree_exempt(__u32 id, u64 deadline, __u32 kind, s64 bytes);
/* One link of that chain. */
__u32 window_move(__u32 id, u64 deadline, __u32 kind, s64 bytes);

/* Notes the tree's first member; 0 when there is no such tree. */
int tree_root(__u32 id, __u32 tgid);

/* Notes the memtree that adopts the tree, which never becomes a member itself. */
int tree_owner(__u32 id, __u32 tgid);
int tree_is_owned_by(__u32 id, __u32 tgid);

/* Notes that an address space is used beyond its tree, by a member of the other. */
int tree_mix(__u32 id, __u32 other);

/* The window of inherited memory, ns; 0 when the tree is gone. */
u64 tree_window_ns(__u32 id);

#endif /* MEMTREE_TREES_BPF_H */
