/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Passes over all tasks (a census): they adopt a tree that already runs, and heal what
 * missed events left behind.
 *
 * Nobody escapes while a census is open. A process that was not visited yet is reached from
 * a member through its parents; the only thing that cuts this chain is the end of one of
 * them, and then the handler of that exit adopts the children on the spot. A child whose
 * fork was handled before its parent became a member is in the kernel's list already, so
 * the next pass meets it: passes are repeated until one adopts nobody.
 */
#ifndef MEMTREE_CENSUS_BPF_H
#define MEMTREE_CENSUS_BPF_H

#include "maps.bpf.h"

/* CLOCK_MONOTONIC; a runner that was killed leaves it open only so long. */
#define CENSUS_OPEN_NS (10ULL * 1000 * 1000 * 1000)

#define CHILDREN_MAX 1024 /* walked at the end of one thread */
#define CHILDREN_FEW 4

extern __u64 census_open_until_ns;

static __always_inline bool census_is_open(void)
{
	return census_open_until_ns && bpf_ktime_get_ns() < census_open_until_ns;
}

/* The tree of a task, or of its nearest ancestor that is a member; 0: none. */
__u32 lineage_tree(u64 task);

/* Makes a running thread group a member; its memory is charged by the second. Both are
 * functions of their own for the sake of the stack. */
int process_charge(u64 task);
int process_adopt(u64 leader, __u32 tree, __u32 scratch_user);

/* The tree that a task is a member of; 0: none. */
__u32 member_tree(u64 task);

/*
 * A few links of a list of children: adopts them and returns the next, 0 at the end. A function
 * of its own, so that the verifier does not walk it a thousand times.
 */
u64 children_adopt_few(u64 node, u64 head, __u32 tree, __u32 scratch_user);

/* Adopts the children of a thread that is about to end, when they belong to a tree. Inline:
 * the verifier allows eight frames, and space_add() needs five of them. */
static __always_inline void children_adopt(struct task_struct *parent, __u32 scratch_user)
{
	u64 head = (u64)__builtin_preserve_access_index(&parent->children);
	u64 node = (u64)BPF_CORE_READ(parent, children.next);
	__u32 tree = lineage_tree((u64)parent);

	if (!tree || node == head)
		return;
	for (int i = 0; i < CHILDREN_MAX / CHILDREN_FEW && node; i++)
		node = children_adopt_few(node, head, tree, scratch_user);
	if (node)
		loss_count(MT_LOSS_CHILDREN);
}

#endif /* MEMTREE_CENSUS_BPF_H */
