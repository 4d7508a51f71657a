// SPDX-License-Identifier: GPL-2.0-only
/*
 * Birth, exec and death of member processes.
 *
 * From 7.0 a handler that is preempted makes the kernel drop every firing of the same
 * program on that CPU, so each of these is attached twice (fork three times, on two
 * tracepoints) and everything below is idempotent: an insert with BPF_NOEXIST or a delete
 * that succeeds is the claim for what must happen once.
 */
#include "spaces.bpf.h"

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

static __always_inline void process_drop(__u32 tgid, __u32 tree)
{
	if (!map_delete(&mt_processes, &tgid))
		tree_hold(tree, -1, 0);
}

/* Inserts `fresh`, or leaves what its twin inserted. NULL, and counted, when full. */
static __always_inline struct mt_process *process_add(__u32 tgid, struct mt_process *fresh)
{
	struct mt_process *process = bpf_map_lookup_elem(&mt_processes, &tgid);

	if (process && process->start_boot_ns != fresh->start_boot_ns) {
		loss_count(MT_LOSS_STALE_PROCESS);
		process_drop(tgid, process->tree);
	}
	if (!map_insert(&mt_processes, &tgid, fresh, BPF_NOEXIST))
		tree_hold(fresh->tree, 1, 1);
	process = bpf_map_lookup_elem(&mt_processes, &tgid);
	if (!process)
		loss_count(MT_LOSS_PROCESSES_FULL);
	return process;
}

static __always_inline int process_forked(struct task_struct *child, __u32 scratch_user)
{
	struct task_struct *parent_task = (void *)bpf_get_current_task();
	__u32 parent_tgid = bpf_get_current_pid_tgid() >> 32;
	__u32 tgid = BPF_CORE_READ(child, tgid);
	struct mt_process *parent, *fresh, *process;

	if (tgid == parent_tgid)
		return 0; /* a thread, or one of io_uring's workers */
	/* Not real_parent: with CLONE_PARENT that is the grandparent. */
	parent = process_of(parent_task);
	if (!parent)
		return 0;
	fresh = bpf_map_lookup_elem(&mt_scratch, &scratch_user);
	if (!fresh) {
		loss_count(MT_LOSS_SCRATCH);
		return 0;
	}
	fresh->start_boot_ns = BPF_CORE_READ(child, start_boottime);
	fresh->leader = (u64)child;
	fresh->mm = (u64)BPF_CORE_READ(child, mm);
	fresh->execed_boot_ns = 0;
	fresh->tree = parent->tree;
	fresh->born_ppid = BPF_CORE_READ(child, real_parent, tgid);
	fresh->args_length = parent->args_length;
	fresh->args_kept = parent->args_kept;
	__builtin_memcpy(fresh->args, parent->args, sizeof(fresh->args));
	process = process_add(tgid, fresh);
	/* vfork and CLONE_VM share the parent's space, which is charged already. */
	if (process && process->mm && process->mm != (u64)BPF_CORE_READ(parent_task, mm))
		space_add(process->mm, parent->mm, tgid, process->start_boot_ns, process->tree);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(task_created, struct task_struct *task)
{
	return process_forked(task, SCRATCH_NEWTASK);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(fork_seen, struct task_struct *parent, struct task_struct *child)
{
	return process_forked(child, SCRATCH_FORK);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(fork_seen_again, struct task_struct *parent, struct task_struct *child)
{
	return process_forked(child, SCRATCH_FORK_AGAIN);
}

/* The argument area lies in the new stack, which the kernel has just written: no fault. */
static __always_inline void process_read_args(struct mt_process *process, struct mm_struct *mm)
{
	unsigned long start = BPF_CORE_READ(mm, arg_start);
	unsigned long length = BPF_CORE_READ(mm, arg_end) - start;
	__u32 kept = length < MT_ARGS_SIZE ? length : MT_ARGS_SIZE;

	if (kept && bpf_probe_read_user(process->args, kept, (void *)start)) {
		loss_count(MT_LOSS_ARGS);
		kept = 0;
	}
	process->args_length = length;
	process->args_kept = kept;
}

static __always_inline int process_execed(struct task_struct *task)
{
	struct mt_process *process = process_of(task);
	struct mm_struct *mm = BPF_CORE_READ(task, mm);

	if (!process || !mm)
		return 0;
	/* An exec from another thread made that thread the leader. */
	process->leader = (u64)BPF_CORE_READ(task, group_leader);
	process->execed_boot_ns = bpf_ktime_get_boot_ns();
	process->mm = (u64)mm;
	process_read_args(process, mm);

	space_add((u64)mm, 0, BPF_CORE_READ(task, tgid), process->start_boot_ns, process->tree);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(exec_seen, struct task_struct *task)
{
	return process_execed(task);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(exec_seen_again, struct task_struct *task)
{
	return process_execed(task);
}

/*
 * Fires once per thread; two last threads may both see that none is left. The zombie is
 * written before the process goes, so that a reader misses neither. It cannot be reaped
 * before the handler of its last thread has returned.
 */
static __always_inline int process_exited(struct task_struct *task)
{
	struct mt_process *process;
	struct mt_zombie zombie = {};
	__u32 tgid;
	u64 mm;

	if (BPF_CORE_READ(task, signal, live.counter) != 0)
		return 0;
	process = process_of(task);
	if (!process)
		return 0;
	tgid = BPF_CORE_READ(task, tgid);
	zombie.leader = (u64)BPF_CORE_READ(task, group_leader);
	zombie.start_boot_ns = process->start_boot_ns;
	zombie.execed_boot_ns = process->execed_boot_ns;
	zombie.tree = process->tree;
	zombie.born_ppid = process->born_ppid;
	zombie.ppid = BPF_CORE_READ(task, group_leader, real_parent, tgid);
	BPF_CORE_READ_STR_INTO(&zombie.comm, task, group_leader, comm);
	if (map_insert(&mt_zombies, &tgid, &zombie, BPF_ANY))
		loss_count(MT_LOSS_ZOMBIES_FULL);
	mm = process->mm;
	process_drop(tgid, zombie.tree);
	if (mm)
		space_end_empty(mm, tgid, zombie.start_boot_ns);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(exit_seen, struct task_struct *task)
{
	return process_exited(task);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(exit_seen_again, struct task_struct *task)
{
	return process_exited(task);
}

/* After the reaping, from an RCU callback: nothing but the task itself may be read. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(process_reaped, struct task_struct *task)
{
	__u32 pid = BPF_CORE_READ(task, pid);
	u64 start_boot_ns = BPF_CORE_READ(task, start_boottime);
	struct mt_zombie *zombie;
	struct mt_process *process;

	if (pid != BPF_CORE_READ(task, tgid))
		return 0;
	zombie = bpf_map_lookup_elem(&mt_zombies, &pid);
	if (zombie && zombie->start_boot_ns == start_boot_ns)
		map_delete(&mt_zombies, &pid);
	process = process_find(pid, start_boot_ns);
	if (process) {
		loss_count(MT_LOSS_STALE_PROCESS);
		process_drop(pid, process->tree);
	}
	return 0;
}

/* Current becomes the first member of a tree. NULL, and counted, when full. */
static __always_inline struct mt_process *process_join(__u32 tree)
{
	struct task_struct *leader = BPF_CORE_READ((struct task_struct *)bpf_get_current_task(),
						   group_leader);
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u32 scratch_user = SCRATCH_EMPTY;
	struct mt_process *process = bpf_map_lookup_elem(&mt_processes, &tgid);
	struct mt_process *empty = bpf_map_lookup_elem(&mt_scratch, &scratch_user);

	if (!tree_root(tree, tgid))
		return NULL;
	/* Its fork was counted by the trees around the new one already. */
	if (process) {
		__u32 before = process->tree;

		if (!map_delete(&mt_processes, &tgid))
			tree_hold(before, -1, -1);
	}
	if (empty && !map_insert(&mt_processes, &tgid, empty, BPF_NOEXIST))
		tree_hold(tree, 1, 1);
	process = bpf_map_lookup_elem(&mt_processes, &tgid);
	if (!process) {
		loss_count(MT_LOSS_PROCESSES_FULL);
		return NULL;
	}
	process->leader = (u64)leader;
	process->tree = tree;
	process->born_ppid = BPF_CORE_READ(leader, real_parent, tgid);
	/* Last: only now do the handlers know it. */
	process->start_boot_ns = BPF_CORE_READ(leader, start_boottime);
	return process;
}

/*
 * Run by the future root itself before its exec (BPF_PROG_TEST_RUN): current becomes a
 * member of tree args[0]. Its present memory is the loader's and is not charged; the
 * exec brings the address space. A member of an enclosing tree moves to the new one.
 * With 0 nothing changes. Returns the tree that current is a member of, 0: none.
 */
SEC("raw_tp")
int process_register(struct bpf_raw_tracepoint_args *ctx)
{
	struct mt_process *process;
	__u32 tree = ctx->args[0];

	process = tree ? process_join(tree) : process_of((void *)bpf_get_current_task());
	return process ? process->tree : 0;
}
