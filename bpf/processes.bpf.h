/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Member processes: found by identity, entered once, dropped once. Shared by the handlers
 * of their life (lifecycle.bpf.c) and the passes that find running ones (census.bpf.c).
 */
#ifndef MEMTREE_PROCESSES_BPF_H
#define MEMTREE_PROCESSES_BPF_H

#include "spaces.bpf.h"
#include "stories.bpf.h"

static __always_inline struct mt_process *process_find(__u32 tgid, u64 start_boot_ns)
{
	struct mt_process *process = bpf_map_lookup_elem(&mt_processes, &tgid);

	return process && process->start_boot_ns == start_boot_ns ? process : NULL;
}

static __always_inline struct mt_process *process_of(struct task_struct *task)
{
	return process_find(BPF_CORE_READ(task, tgid),
			    BPF_CORE_READ(task, group_leader, start_boottime));
}

/* With the cpu time that no zombie keeps of it; `task` 0: not to be read any more. */
static __always_inline void process_drop(__u32 tgid, __u32 tree, u64 cpu_ns, u64 task)
{
	place_process(tgid, tree, 0);
	if (map_delete(&mt_processes, &tgid))
		return;
	if (cpu_ns)
		tree_bury(tree, 0, cpu_ns);
	story_tell(MT_EVENT_EXIT, tree, tgid, 0, task);
	tree_hold(tree, -1, 0);
}

/* Inserts `fresh`, or leaves what its twin inserted. NULL, and counted, when full. */
static __always_inline struct mt_process *process_add(__u32 tgid, struct mt_process *fresh)
{
	struct mt_process *process = bpf_map_lookup_elem(&mt_processes, &tgid);

	if (process && process->start_boot_ns != fresh->start_boot_ns) {
		loss_count(MT_LOSS_STALE_PROCESS);
		process_drop(tgid, process->tree, 0, 0);
	}
	if (!map_insert(&mt_processes, &tgid, fresh, BPF_NOEXIST)) {
		place_process(tgid, fresh->tree, 1);
		tree_hold(fresh->tree, 1, 1);
		story_tell(MT_EVENT_FORK, fresh->tree, tgid, fresh->born_ppid, fresh->leader);
	}
	process = bpf_map_lookup_elem(&mt_processes, &tgid);
	if (!process)
		loss_count(MT_LOSS_PROCESSES_FULL);
	return process;
}

#endif /* MEMTREE_PROCESSES_BPF_H */
