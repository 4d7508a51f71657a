/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Members that are dead and not yet freed. Their cpu time is told by them until then, and
 * added to their tree by whoever deletes them: only their task knows what the leader spent
 * after the exit's event (leaving its memory from 6.16 on, and always what the scheduler
 * had not yet booked, which of a short life is most). And a reader that sees a tree's
 * figure unchanged before and after it read the zombies has missed none.
 */
#ifndef MEMTREE_ZOMBIES_BPF_H
#define MEMTREE_ZOMBIES_BPF_H

#include "trees.bpf.h"

#define EXIT_DEAD 0x10 /* include/linux/sched.h, the same in all kernels so far */

/*
 * release_task() leaves EXIT_DEAD in a task, and that stays in its memory until another
 * task takes it. The leader is dead before its last threads are; then its state is not
 * yet final.
 */
static __always_inline bool zombie_is_reaped(struct task_struct *leader)
{
	return BPF_CORE_READ(leader, exit_state) & EXIT_DEAD;
}

static __always_inline bool zombie_is_of(const struct mt_zombie *zombie, __u32 tgid)
{
	struct task_struct *leader = (void *)zombie->leader;

	return BPF_CORE_READ(leader, tgid) == tgid &&
	       BPF_CORE_READ(leader, start_boottime) == zombie->start_boot_ns;
}

/* Its cpu time by now, as long as its task's memory is its own. */
static __always_inline u64 zombie_cpu(const struct mt_zombie *zombie, __u32 tgid)
{
	struct task_struct *leader = (void *)zombie->leader;
	u64 leader_cpu_ns = BPF_CORE_READ(leader, se.sum_exec_runtime);

	if (leader_cpu_ns < zombie->leader_cpu_ns || !zombie_is_of(zombie, tgid))
		return zombie->cpu_ns;
	return zombie->cpu_ns - zombie->leader_cpu_ns + leader_cpu_ns;
}

/* Nobody refers to its task any more, or its memory is another's already. */
static __always_inline bool zombie_is_freed(const struct mt_zombie *zombie, __u32 tgid)
{
	struct task_struct *leader = (void *)zombie->leader;

	return !BPF_CORE_READ(leader, usage.refs.counter) || !zombie_is_of(zombie, tgid);
}

/* The delete that succeeds moves its cpu time to its trees. */
static __always_inline void zombie_forget(__u32 tgid, const struct mt_zombie *zombie)
{
	u64 cpu_ns = zombie_cpu(zombie, tgid);
	__u32 tree = zombie->tree;

	place_zombie(tgid, tree, 0);
	if (!map_delete(&mt_zombies, &tgid))
		tree_bury(tree, -1, cpu_ns);
}

#endif /* MEMTREE_ZOMBIES_BPF_H */
