/* SPDX-License-Identifier: GPL-2.0-only */
/* What members do (fork, exec, exit), told to who hears it. Who made the claim tells it. */
#ifndef MEMTREE_STORIES_BPF_H
#define MEMTREE_STORIES_BPF_H

#include "maps.bpf.h"

/* A global function of integers, for the reason in trees.bpf.h. */
int story_send(__u32 type, __u32 tree, __u32 tgid, __u32 ppid, u64 task);

/* `task` 0: not to be read any more. */
static __always_inline void story_tell(__u32 type, __u32 tree, __u32 tgid, __u32 ppid, u64 task)
{
	if (stories_are_heard)
		story_send(type, tree, tgid, ppid, task);
}

#endif /* MEMTREE_STORIES_BPF_H */
