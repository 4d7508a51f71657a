// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fault path: follows the counters of tracked address spaces. Attribution is by the
 * mm argument, as reclaim, ptrace, khugepaged and fork itself move other spaces than
 * current's.
 */
#include "processes.bpf.h"

/* False where nothing tells the end of a teardown: the entry then goes at its start. */
extern const volatile bool teardown_is_seen;

/*
 * The address space that a CPU last looked for in vain, so that what is not tracked costs
 * no hash. It holds for the generation that was read before that look, and no other.
 *
 * An insert is never hidden. Its generation is raised after it: who reads the new one and
 * then looks finds the entry, so no miss is noted under the new one (stores and loads are
 * in order; elsewhere nothing is remembered). A miss noted under an older one stops to hold
 * when the new one is there, which is before space_add() reads what it charges. A pointer
 * that is recycled comes back through such an insert; a delete makes no miss wrong.
 *
 * Both words are of one look: this program never runs inside itself on a CPU. Before 7.0
 * it cannot be preempted; from there it can, but it does not migrate, and the kernel drops
 * firings of a program that is active on that CPU (prog->active).
 */
struct miss {
	u64 mm; /* 0: none */
	u64 generation;
} __attribute__((aligned(CACHE_LINE)));

static struct miss misses[CPUS_MAX];

static __always_inline struct miss *miss_get(void)
{
	u64 cpu = bpf_get_smp_processor_id();

	if (!ORDER_IS_KEPT || cpu >= CPUS_MAX)
		return NULL;
	/* Else clang 14 computes the address before the check, and 5.10 finds it unbounded. */
	asm volatile("" : "+r"(cpu));
	return &misses[cpu];
}

static __always_inline struct mt_space *space_find(u64 mm)
{
	u64 generation = *(volatile u64 *)&spaces_generation;
	struct miss *miss = miss_get();
	struct mt_space *space;

	if (miss && miss->mm == mm && miss->generation == generation)
		return NULL;
	space = bpf_map_lookup_elem(&mt_spaces, &mm);
	if (!space && miss) {
		miss->mm = mm;
		miss->generation = generation;
	}
	return space;
}

/* The event that leaves nothing leaves nothing of its own kind, which is asked first. */
static __always_inline int teardown_moved(struct mt_space *space, struct mm_struct *mm, __u32 kind)
{
	if (!teardown_is_seen)
		return space_end(plain_address(mm));
	if (!space_is_clear(space))
		space_clear(plain_address(mm));
	if (counter_is_zero(mm, kind))
		space_drain(plain_address(mm));
	return 0;
}

/*
 * Current is not always the one whose memory moves: reclaim, ptrace, khugepaged, fork. Nor is
 * who uses the memory always a member: a stranger may share it (CLONE_VM), or have been given
 * the pointer of a space whose end was never seen.
 */
static __always_inline bool is_of_current(const struct mt_space *space, struct mm_struct *mm)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct mt_process *process;

	if (BPF_CORE_READ(task, mm) != mm || BPF_CORE_READ(task, flags) & PF_KTHREAD)
		return false;
	process = process_of(task);
	return process && process->tree == space->tree;
}

SEC("tp_btf/rss_stat")
int BPF_PROG(memory_moved, struct mm_struct *mm, int member)
{
	u64 key = (u64)mm;
	struct mt_space *space = space_find(key);
	__u32 kind = member & 3;
	s64 before, now;
	bool own;
	int found;

	if (!space)
		return 0;
	if (mm->mm_users.counter == 0)
		return teardown_moved(space, mm, kind);
	before = space->seen[kind];
	found = space_settle(space, key, kind, counter_live(mm, kind));
	if (!found)
		return 0;
	own = is_of_current(space, mm);
	/* Near a limit what a CPU keeps back counts, too: of this space, as of now. */
	if (found & TREE_NEAR) {
		now = counter_exact(plain_address(mm), kind);
		found |= space_settle(space, key, kind, now);
		found |= tree_edges(space->tree, kind, own ? now - before : 0);
	}
	if (found & TREE_STOP && own)
		bpf_send_signal(SIGKILL);
	return 0;
}

/* mmap:exit_mmap, from 6.1. Twice where a preempted handler misses events. */
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

SEC("?tp/mmap/exit_mmap")
int steady_teardown(struct trace_event_raw_exit_mmap *event)
{
	space_end((u64)event->mm);
	return 0;
}

/* Before 6.1, where the trampoline exists. */
SEC("fexit/exit_mmap")
int BPF_PROG(teardown_returned, struct mm_struct *mm)
{
	space_end(plain_address(mm));
	return 0;
}
