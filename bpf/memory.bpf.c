// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fault path: follows the counters of tracked address spaces. Attribution is by the
 * mm argument, as reclaim, ptrace, khugepaged and fork itself move other spaces than
 * current's.
 */
#include "spaces.bpf.h"

/* False where nothing tells the end of a teardown: the entry then goes at its start. */
extern const volatile bool teardown_is_seen;

SEC("tp_btf/rss_stat")
int BPF_PROG(memory_moved, struct mm_struct *mm, int member)
{
	u64 key = (u64)mm;
	struct mt_space *space = bpf_map_lookup_elem(&mt_spaces, &key);
	__u32 kind = member & 3;

	if (!space)
		return 0;
	if (mm->mm_users.counter == 0) {
		if (teardown_is_seen)
			space_drain(plain_address(mm));
		else
			space_end(plain_address(mm));
		return 0;
	}
	space_settle(space, key, kind, counter_live(mm, kind));
	return 0;
}

/* mmap:exit_mmap, from 6.1. Twice, as from 7.0 a preempted handler misses events. */
SEC("tp_btf/exit_mmap")
int BPF_PROG(teardown_ended, struct mm_struct *mm)
{
	space_end(plain_address(mm));
	return 0;
}

SEC("tp_btf/exit_mmap")
int BPF_PROG(teardown_ended_again, struct mm_struct *mm)
{
	space_end(plain_address(mm));
	return 0;
}

/* Before 6.1, where the trampoline exists. */
SEC("fexit/exit_mmap")
int BPF_PROG(teardown_returned, struct mm_struct *mm)
{
	space_end(plain_address(mm));
	return 0;
}
