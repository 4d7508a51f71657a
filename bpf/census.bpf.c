// SPDX-License-Identifier: GPL-2.0-only
/* See census.bpf.h. Run by user/census.c. */
#include "census.bpf.h"
#include "processes.bpf.h"
#include "threads.bpf.h"

#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */
#define LINEAGE_MAX 64	      /* generations looked back at once */
#define CENSUS_YOUNG_NS (1000ULL * 1000 * 1000)
#define CENSUS_NEWBORN_NS (50ULL * 1000 * 1000) /* its parent may be preempted meanwhile */
#define SCRATCH_CENSUS SCRATCH_USERS		/* the runner's own: iterators can be preempted */

__u64 census_open_until_ns;
__u64 census_adoptions; /* ever; a pass that leaves it unchanged was the last one needed */

static __always_inline struct census *census_mine(void)
{
	__u32 runner = bpf_get_current_pid_tgid() >> 32;

	return bpf_map_lookup_elem(&mt_censuses, &runner);
}

static __always_inline struct mt_process *scratch_get(__u32 user)
{
	struct census *census;

	if (user < SCRATCH_USERS)
		return bpf_map_lookup_elem(&mt_scratch, &user);
	census = census_mine();
	return census ? &census->scratch : NULL;
}

__weak __u32 member_tree(u64 task)
{
	struct mt_process *process = process_of((struct task_struct *)task);

	return process ? process->tree : 0;
}

__weak __u32 lineage_tree(u64 task)
{
	struct task_struct *ancestor = (void *)task;

	for (int i = 0; i < LINEAGE_MAX; i++) {
		__u32 tree = member_tree((u64)ancestor);

		if (tree)
			return tree;
		if (BPF_CORE_READ(ancestor, tgid) <= 1)
			break;
		ancestor = BPF_CORE_READ(ancestor, real_parent);
	}
	return 0;
}

static __always_inline bool group_is_alive(struct task_struct *task)
{
	return BPF_CORE_READ(task, signal, live.counter) > 0;
}

/* Before its exec a child of vfork() uses what is its parent's: not the tree's, if that is none of
 * its members. */
static __always_inline bool is_borrowed(struct task_struct *task, u64 mm)
{
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);

	return (u64)BPF_CORE_READ(parent, mm) == mm && !process_of(parent);
}

/* Only an exec brings another one. Its handler may be yet to come: it must not find its work done. */
static __always_inline void process_renew(struct mt_process *process, u64 mm)
{
	if (process->mm) {
		process->execed_boot_ns = 0;
		process->args_length = 0;
		process->args_kept = 0;
	}
	process->mm = mm;
}

/*
 * Follows an exec or an exit that runs meanwhile: what is entered is held against the task
 * again afterwards. A space that is there already is shared with another member. A thread that
 * ends leaves it to the others; where it goes, the next pass charges it to whoever is left.
 */
__weak int process_charge(u64 address)
{
	struct task_struct *task = (void *)address;
	struct mt_process *process = process_of(task);
	u64 mm = (u64)BPF_CORE_READ(task, mm), now;
	struct mt_space *space;

	if (process)
		process->leader = (u64)BPF_CORE_READ(task, group_leader);
	for (int i = 0; i < 3 && process && mm && !is_borrowed(task, mm); i++) {
		if (process->mm != mm)
			process_renew(process, mm);
		space = bpf_map_lookup_elem(&mt_spaces, &mm);
		if (space) {
			tree_mix(space->tree, process->tree);
		} else {
			space_add(mm, 0, BPF_CORE_READ(task, tgid), process->start_boot_ns,
				  process->tree);
			if (bpf_map_lookup_elem(&mt_spaces, &mm))
				__sync_fetch_and_add(&census_adoptions, 1);
		}
		now = (u64)BPF_CORE_READ(task, mm);
		if (now == mm || (!now && group_is_alive(task)))
			break;
		space_end_of(mm, BPF_CORE_READ(task, tgid), process->start_boot_ns);
		__sync_fetch_and_add(&census_adoptions, 1);
		mm = now;
	}
	return 0;
}

__weak int process_adopt(u64 address, __u32 tree, __u32 scratch_user)
{
	struct task_struct *leader = (void *)address;
	struct mt_process *fresh = scratch_get(scratch_user), *process;
	__u32 tgid = BPF_CORE_READ(leader, tgid);

	if (!fresh) {
		loss_count(MT_LOSS_SCRATCH);
		return 0;
	}
	if (!group_is_alive(leader) || BPF_CORE_READ(leader, flags) & PF_KTHREAD ||
	    tree_is_owned_by(tree, tgid))
		return 0;
	__builtin_memset(fresh, 0, sizeof(*fresh));
	fresh->start_boot_ns = BPF_CORE_READ(leader, start_boottime);
	fresh->leader = address;
	fresh->tree = tree;
	fresh->born_ppid = BPF_CORE_READ(leader, real_parent, tgid);
	process = process_add(tgid, fresh);
	if (!process)
		return 0;
	__sync_fetch_and_add(&census_adoptions, 1);
	/* Its exit may have been handled before it was known. */
	if (!group_is_alive(leader))
		process_drop(tgid, tree, 0, address);
	return 0;
}

static __always_inline void child_adopt(u64 task, __u32 tree, __u32 scratch_user)
{
	if (member_tree(task))
		return;
	process_adopt(task, tree, scratch_user);
	process_charge(task);
	/* Its last link to the tree is about to be cut. */
	if (!member_tree(task) && group_is_alive((struct task_struct *)task))
		loss_count(MT_LOSS_CHILDREN);
}

__weak u64 children_adopt_few(u64 node, u64 head, __u32 tree, __u32 scratch_user)
{
	for (int i = 0; i < CHILDREN_FEW && node; i++) {
		u64 next;

		child_adopt(node - bpf_core_field_offset(struct task_struct, sibling), tree,
			    scratch_user);
		next = (u64)BPF_CORE_READ((struct list_head *)node, next);
		/* Reaped under our eyes, it points at itself. */
		if (next == node)
			next = (u64)BPF_CORE_READ((struct list_head *)head, next);
		node = next == head ? 0 : next;
	}
	return node;
}

/* Fills the runner's record, with what a task is or (0) to end a pass. A function of its own
 * for its stack, of which all frames together have 512 bytes. */
__weak int census_note(u64 address, __u32 tree)
{
	struct task_struct *task = (void *)address;
	struct census *census = census_mine();
	struct mt_census_record *record;
	struct mm_struct *mm;

	if (!census)
		return 0;
	record = &census->record;
	__builtin_memset(record, 0, sizeof(*record));
	record->adoptions = census_adoptions;
	if (!task)
		return 0;
	mm = BPF_CORE_READ(task, mm);
	record->tgid = BPF_CORE_READ(task, tgid);
	record->start_boot_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	record->pid = pid_here(task);
	record->leader = BPF_CORE_READ(task, pid) == record->tgid;
	record->live = BPF_CORE_READ(task, signal, live.counter);
	record->kernel = !!(BPF_CORE_READ(task, flags) & PF_KTHREAD);
	record->tree = tree;
	BPF_CORE_READ_STR_INTO(&record->comm, task, comm);
	record->mm = (u64)mm;
	record->arg_start = mm ? BPF_CORE_READ(mm, arg_start) : 0;
	record->arg_end = mm ? BPF_CORE_READ(mm, arg_end) : 0;
	return 0;
}

static __always_inline void record_write(struct seq_file *seq, struct census *census,
					 struct task_struct *task, __u32 tree)
{
	census_note(plain_address(task), tree);
	bpf_seq_write(seq, &census->record, sizeof(census->record));
}

static __always_inline bool is_root(struct task_struct *task, const struct census *census)
{
	return census->root_tgid && BPF_CORE_READ(task, tgid) == census->root_tgid &&
	       BPF_CORE_READ(task, group_leader, start_boottime) == census->root_start_boot_ns;
}

/*
 * In the list, but its fork's handlers have perhaps not run: they know what it inherits. Who was
 * born before the census began is met again, a birth missed later is healed the next time.
 */
static __always_inline bool is_newborn(struct task_struct *task, const struct census *census)
{
	u64 start_boot_ns = BPF_CORE_READ(task, group_leader, start_boottime);

	if (census->tree || start_boot_ns + CENSUS_NEWBORN_NS < bpf_ktime_get_boot_ns() ||
	    !process_of(BPF_CORE_READ(task, real_parent)))
		return false;
	if (start_boot_ns < census->begun_boot_ns)
		__sync_fetch_and_add(&census_adoptions, 1);
	return true;
}

/* Adopts the thread group when it belongs to a tree and is not known there. */
static __always_inline struct mt_process *census_visit(struct task_struct *task,
						       const struct census *census)
{
	struct mt_process *process = process_of(task);
	bool root = is_root(task, census);
	__u32 tree;

	if (process || is_newborn(task, census))
		return process;
	tree = root ? census->tree : lineage_tree((u64)BPF_CORE_READ(task, real_parent));
	if (!tree)
		return NULL;
	process_adopt((u64)BPF_CORE_READ(task, group_leader), tree, SCRATCH_CENSUS);
	process = process_of(task);
	if (process && root)
		tree_root(tree, census->root_tgid);
	else if (process && !census->tree)
		loss_count(MT_LOSS_MISSED_BIRTH);
	return process;
}

SEC("iter/task")
int census_tasks(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	struct census *census = census_mine();
	struct mt_process *process;
	struct mt_space *space;
	u64 mm;

	if (!census)
		return 0;
	census_open_until_ns = bpf_ktime_get_ns() + CENSUS_OPEN_NS;
	if (!task) {
		record_write(seq, census, NULL, 0);
		return 0;
	}
	if (census->wanted) {
		process = process_of(task);
		if (pid_here(task) == census->wanted)
			record_write(seq, census, task, process ? process->tree : 0);
		return 0;
	}
	process = census_visit(task, census);
	if (!process)
		return 0;
	process_charge(plain_address(task));
	process->checked_boot_ns = census->begun_boot_ns;
	mm = (u64)BPF_CORE_READ(task, mm);
	space = bpf_map_lookup_elem(&mt_spaces, &mm);
	if (space)
		space->checked_boot_ns = census->begun_boot_ns;
	if (mm && !process->args_length && !process->execed_boot_ns)
		record_write(seq, census, task, process->tree);
	return 0;
}

/*
 * Too young to have been visited: it was in the middle of its fork when the census began. The
 * runner is told, by a byte: if it is lost all the same, only a later census finds it.
 */
static __always_inline bool is_spared(struct seq_file *seq, u64 born_boot_ns,
				      const struct census *census)
{
	__u8 spared = 1;

	if (born_boot_ns + CENSUS_YOUNG_NS <= census->begun_boot_ns)
		return false;
	if (born_boot_ns < census->begun_boot_ns)
		bpf_seq_write(seq, &spared, sizeof(spared));
	return true;
}

/* After whole passes: members that no pass has met have ended. */
SEC("iter/bpf_map_elem")
int census_processes(struct bpf_iter__bpf_map_elem *ctx)
{
	struct census *census = census_mine();
	struct mt_process *process = ctx->value;
	struct task_struct *leader;
	__u32 *key = ctx->key, tgid;

	if (!census || !key || !process || process->checked_boot_ns >= census->begun_boot_ns)
		return 0;
	tgid = *key;
	leader = (void *)process->leader;
	if (BPF_CORE_READ(leader, tgid) == tgid &&
	    BPF_CORE_READ(leader, start_boottime) == process->start_boot_ns &&
	    group_is_alive(leader))
		return 0;
	if (is_spared(ctx->meta->seq, process->start_boot_ns, census))
		return 0;
	loss_count(MT_LOSS_STALE_PROCESS);
	process_drop(tgid, process->tree, 0, 0);
	return 0;
}

/*
 * After that: spaces that no member uses. One in its teardown is not lost, it ends a little
 * early; any other would go on to follow the memory of a stranger.
 */
SEC("iter/bpf_map_elem")
int census_spaces(struct bpf_iter__bpf_map_elem *ctx)
{
	struct census *census = census_mine();
	struct mt_space *space = ctx->value;
	struct mt_process *owner;
	u64 *key = ctx->key, mm;

	if (!census || !key || !space || space->checked_boot_ns >= census->begun_boot_ns)
		return 0;
	mm = *key;
	owner = process_find(space->owner_tgid, space->owner_start_boot_ns);
	if (owner && owner->mm == mm)
		return 0;
	if (is_spared(ctx->meta->seq, space->owner_start_boot_ns, census))
		return 0;
	if (BPF_CORE_READ((struct mm_struct *)mm, mm_users.counter))
		loss_count(MT_LOSS_STALE_SPACE);
	space_end(mm);
	return 0;
}

/*
 * Run by who is about to run the passes (BPF_PROG_TEST_RUN). args[0]: 1 begins, 0 ends;
 * args[1]: the tree, 0 to heal all; args[2], args[3]: tgid and start of its root; args[4]:
 * only tell who has this pid in the runner's namespace. Returns 0 when there is no room, 2 when
 * the runner's pid namespace hides tasks from its passes, else 1.
 */
SEC("raw_tp")
int census_begin(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 runner = bpf_get_current_pid_tgid() >> 32, zero = 0;
	struct census *census, *empty = bpf_map_lookup_elem(&mt_no_census, &zero);

	if (!ctx->args[0] || !empty)
		return !map_delete(&mt_censuses, &runner);
	if (map_insert(&mt_censuses, &runner, empty, BPF_ANY))
		return 0;
	census = bpf_map_lookup_elem(&mt_censuses, &runner);
	if (!census)
		return 0;
	census->begun_boot_ns = bpf_ktime_get_boot_ns();
	census->tree = ctx->args[1];
	census->root_tgid = ctx->args[2];
	census->root_start_boot_ns = ctx->args[3];
	census->wanted = ctx->args[4];
	if (census->tree)
		tree_owner(census->tree, runner);
	return BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), thread_pid, level) ? 2
											      : 1;
}

/*
 * Stores 64 bytes of the arguments of a running process, which user space has read from its
 * memory: args[0] tgid, [1] mm, [2] offset, [3] length of the whole area, [4..11] the bytes.
 * Nothing when it has exec'ed meanwhile. Returns 1 when stored.
 */
SEC("raw_tp")
int args_store(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 tgid = ctx->args[0], offset = ctx->args[2], kept;
	struct mt_process *process = bpf_map_lookup_elem(&mt_processes, &tgid);
	u64 *words;

	if (!process || process->mm != ctx->args[1] || process->execed_boot_ns ||
	    offset > MT_ARGS_SIZE - 8 * sizeof(u64))
		return 0;
	words = (void *)(process->args + offset);
	words[0] = ctx->args[4];
	words[1] = ctx->args[5];
	words[2] = ctx->args[6];
	words[3] = ctx->args[7];
	words[4] = ctx->args[8];
	words[5] = ctx->args[9];
	words[6] = ctx->args[10];
	words[7] = ctx->args[11];
	kept = offset + 8 * sizeof(u64);
	process->args_length = ctx->args[3];
	process->args_kept = kept < process->args_length ? kept : process->args_length;
	return 1;
}

/*
 * Forgets what belongs to tree args[0]: process args[1], or space args[2], or zombie args[3].
 * Nothing happens to the process itself.
 */
SEC("raw_tp")
int member_forget(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 tree = ctx->args[0], tgid = ctx->args[1], dead = ctx->args[3];
	struct mt_process *process = bpf_map_lookup_elem(&mt_processes, &tgid);
	u64 mm = ctx->args[2];
	struct mt_space *space = bpf_map_lookup_elem(&mt_spaces, &mm);
	struct mt_zombie *zombie = bpf_map_lookup_elem(&mt_zombies, &dead);

	if (process && process->tree == tree)
		process_drop(tgid, tree, 0, 0);
	if (space && space->tree == tree)
		space_end(mm);
	if (zombie && zombie->tree == tree) {
		place_zombie(dead, tree, 0);
		map_delete(&mt_zombies, &dead);
	}
	return 0;
}
