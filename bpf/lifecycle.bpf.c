// SPDX-License-Identifier: GPL-2.0-only
/*
 * Birth, exec and death of member processes.
 *
 * From 7.0 a handler that is preempted makes the kernel drop every firing of the same
 * program on that CPU, so there each of these is attached twice (fork three times, on two
 * tracepoints), and everything below is idempotent: an insert with BPF_NOEXIST or a delete
 * that succeeds is the claim for what must happen once. A twin that finds everything done
 * leaves early; what is missing it does again, whatever the first one failed at.
 *
 * Among many that run at once all twins may be preempted for long. So such kernels have a
 * steady one as well, on the classic tracepoint: preemption is off there (16718274ee75), and
 * it is left out only where it would nest with another of its kind. It sees no task but current.
 */
#include "census.bpf.h"
#include "processes.bpf.h"
#include "threads.bpf.h"
#include "zombies.bpf.h"

static __always_inline int process_forked(struct task_struct *child, __u32 scratch_user)
{
	struct task_struct *parent_task = (void *)bpf_get_current_task();
	__u32 parent_tgid = bpf_get_current_pid_tgid() >> 32;
	__u32 tgid = BPF_CORE_READ(child, tgid);
	u64 start_boot_ns = BPF_CORE_READ(child, start_boottime);
	u64 mm = (u64)BPF_CORE_READ(child, mm);
	struct mt_process *parent, *fresh, *process;
	bool shared;

	if (tgid == parent_tgid)
		return 0; /* a thread, or one of io_uring's workers */
	fault_wait();
	/* Not real_parent: with CLONE_PARENT that is the grandparent. */
	parent = process_of(parent_task);
	if (!parent)
		return 0;
	/* vfork and CLONE_VM share the parent's space, which is charged already. */
	shared = !mm || mm == (u64)BPF_CORE_READ(parent_task, mm);
	/* A doomed tree has no more children: who makes one dies, and the child at its first event. */
	if (tree_is_doomed(parent->tree))
		bpf_send_signal(SIGKILL);
	if (process_find(tgid, start_boot_ns) &&
	    (shared || space_is_charged(mm, tgid, start_boot_ns)))
		return 0;
	fresh = bpf_map_lookup_elem(&mt_scratch, &scratch_user);
	if (!fresh) {
		loss_count(MT_LOSS_SCRATCH);
		return 0;
	}
	fresh->start_boot_ns = start_boot_ns;
	fresh->leader = (u64)child;
	fresh->mm = mm;
	fresh->execed_boot_ns = 0;
	fresh->tree = parent->tree;
	fresh->born_ppid = BPF_CORE_READ(child, real_parent, tgid);
	fresh->args_length = parent->args_length;
	fresh->args_kept = parent->args_kept;
	__builtin_memcpy(fresh->args, parent->args, sizeof(fresh->args));
	process = process_add(tgid, fresh);
	/* Until there is room, its children are looked after at the ends of their parents. */
	if (!process)
		census_open_until_ns = bpf_ktime_get_ns() + CENSUS_OPEN_NS;
	if (process && !shared)
		space_add(mm, parent->mm, tgid, start_boot_ns, process->tree);
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

#define CLONE_PARENT 0x00008000 /* include/uapi/linux/sched.h */
#define CLONE_THREAD 0x00010000
#define YOUNGER_MAX 8 /* siblings that other threads of the parent made meanwhile */

/* copy_process() puts it at the end of the list, before its event. */
static __always_inline struct task_struct *child_find(const struct task_struct *parent, __u32 pid)
{
	struct list_head *node = BPF_CORE_READ(parent, children.prev);

	for (int i = 0; i < YOUNGER_MAX; i++) {
		struct task_struct *child =
			(void *)((u64)node - bpf_core_field_offset(struct task_struct, sibling));

		if (BPF_CORE_READ(child, pid) == pid)
			return child;
		node = BPF_CORE_READ(node, prev);
	}
	return NULL;
}

SEC("?tp/task/task_newtask")
int steady_created(struct trace_event_raw_task_newtask *event)
{
	struct task_struct *parent = (void *)bpf_get_current_task(), *child;
	u64 flags = event->clone_flags;

	if (flags & CLONE_THREAD)
		return 0;
	if (flags & CLONE_PARENT)
		parent = BPF_CORE_READ(parent, real_parent);
	child = child_find(parent, event->pid);
	return child ? process_forked(child, SCRATCH_NEWTASK_STEADY) : 0;
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
	__u32 tgid = BPF_CORE_READ(task, tgid);

	if (!process || !mm)
		return 0;
	if (tree_is_doomed(process->tree))
		bpf_send_signal(SIGKILL);
	/* A twin was here: the old space lived on until the new one was there, so their
	 * pointers differ. A census notes the new one too, but no exec. */
	if (process->mm == (u64)mm && process->execed_boot_ns && process->args_kept &&
	    space_is_charged((u64)mm, tgid, process->start_boot_ns))
		return 0;
	/* One exec's twins run one after the other, in its own task. */
	if (process->mm != (u64)mm || !process->execed_boot_ns)
		story_tell(MT_EVENT_EXEC, process->tree, tgid, 0, plain_address(task));
	/* An exec from another thread made that thread the leader. */
	process->leader = (u64)BPF_CORE_READ(task, group_leader);
	process->execed_boot_ns = bpf_ktime_get_boot_ns();
	process->mm = (u64)mm;
	process_read_args(process, mm);

	space_add((u64)mm, 0, tgid, process->start_boot_ns, process->tree);
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

SEC("?tp/sched/sched_process_exec")
int steady_exec(void *event)
{
	return process_execed((void *)bpf_get_current_task());
}

/* The cpu time of a group whose last thread is `task`; no walk if it is the only one. */
static __always_inline u64 process_cpu(struct task_struct *task)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);

	if (BPF_CORE_READ(signal, nr_threads) != 1)
		return threads_cpu((u64)BPF_CORE_READ(task, group_leader));
	return BPF_CORE_READ(signal, sum_sched_runtime) + BPF_CORE_READ(task, se.sum_exec_runtime);
}

/* Takes the place of one whose reaping was never seen. False, and counted, when full. */
static __always_inline bool zombie_add(__u32 tgid, const struct mt_zombie *fresh)
{
	struct mt_zombie *stale = bpf_map_lookup_elem(&mt_zombies, &tgid);
	long err;

	if (stale && stale->start_boot_ns != fresh->start_boot_ns)
		zombie_forget(tgid, stale);
	err = map_insert(&mt_zombies, &tgid, fresh, BPF_NOEXIST);
	if (!err) {
		place_zombie(tgid, fresh->tree, 1);
		tree_bury(fresh->tree, 1, 0);
	} else if (err != -EEXIST) {
		loss_count(MT_LOSS_ZOMBIES_FULL);
	}
	return !err || err == -EEXIST;
}

/*
 * Two last threads may both see that none is left. The zombie is written before the process
 * goes, so that a reader misses neither. It cannot be reaped before the handler of its last
 * thread has returned.
 */
__weak int process_end(u64 last)
{
	struct task_struct *task = (void *)last;
	struct mt_process *process;
	struct mt_zombie zombie = {};
	__u32 tgid;
	u64 mm;

	process = process_of(task);
	if (!process)
		return 0;
	tgid = BPF_CORE_READ(task, tgid);
	zombie.leader = (u64)BPF_CORE_READ(task, group_leader);
	zombie.start_boot_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	zombie.execed_boot_ns = process->execed_boot_ns;
	zombie.cpu_ns = process_cpu(task);
	zombie.leader_cpu_ns = BPF_CORE_READ(task, group_leader, se.sum_exec_runtime);
	zombie.tree = process->tree;
	zombie.born_ppid = process->born_ppid;
	zombie.ppid = BPF_CORE_READ(task, group_leader, real_parent, tgid);
	BPF_CORE_READ_STR_INTO(&zombie.comm, task, group_leader, comm);
	mm = process->mm;
	/* The other last thread may have dropped it, and its element may be another's by now. */
	if (!process_find(tgid, zombie.start_boot_ns))
		return 0;
	process_drop(tgid, zombie.tree, zombie_add(tgid, &zombie) ? 0 : zombie.cpu_ns, last);
	if (mm)
		space_end_empty(mm, tgid, zombie.start_boot_ns);
	return 0;
}

/* Fires once per thread, whose children go to another parent after that. */
static __always_inline int thread_exited(struct task_struct *task, __u32 scratch_user)
{
	fault_wait();
	if (census_is_open())
		children_adopt(task, scratch_user);
	if (BPF_CORE_READ(task, signal, live.counter) == 0)
		process_end((u64)task);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(exit_seen, struct task_struct *task)
{
	return thread_exited((void *)plain_address(task), SCRATCH_EXIT);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(exit_seen_again, struct task_struct *task)
{
	return thread_exited((void *)plain_address(task), SCRATCH_EXIT_AGAIN);
}

SEC("?tp/sched/sched_process_exit")
int steady_exit(void *event)
{
	return thread_exited((void *)bpf_get_current_task(), SCRATCH_EXIT_STEADY);
}

/* After the reaping, from an RCU callback: nothing but the task itself may be read. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(process_reaped, struct task_struct *task)
{
	__u32 pid = BPF_CORE_READ(task, pid);
	u64 start_boot_ns = BPF_CORE_READ(task, start_boottime);
	struct mt_zombie *zombie;
	struct mt_process *process;
	bool known;

	if (pid != BPF_CORE_READ(task, tgid))
		return 0;
	zombie = bpf_map_lookup_elem(&mt_zombies, &pid);
	known = zombie && zombie->start_boot_ns == start_boot_ns;
	if (known)
		zombie_forget(pid, zombie);
	process = process_find(pid, start_boot_ns);
	if (process) {
		loss_count(MT_LOSS_STALE_PROCESS);
		/* All its threads were released, itself too. A zombie has told it already. */
		process_drop(pid, process->tree, known ? 0 : task->signal->sum_sched_runtime, 0);
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

		place_process(tgid, before, 0);
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
	place_process(tgid, tree, 1);
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
