// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exact reading: iterators that a reader runs over the tracker's own maps. A reader adds,
 * per address space, the space's record and what the threads of its processes keep back.
 *
 * They write nothing but their records (and drop zombies that were reaped), so any number of
 * readers may run them at once. A peak that only an exact reading shows is handed back by
 * user space, through peak_raise.
 */
#include "trees.bpf.h"

#define EXIT_DEAD 0x10 /* include/linux/sched.h, the same in all kernels so far */

SEC("iter/bpf_map_elem")
int snapshot_spaces(struct bpf_iter__bpf_map_elem *ctx)
{
	struct mt_space_record record = {};
	struct mt_space *space = ctx->value, *again;
	u64 *key = ctx->key;
	u64 mm;

	if (!key || !space)
		return 0;
	mm = *key;
	record.mm = mm;
	__builtin_memcpy(&record.space, space, sizeof(record.space));
	/* In its teardown it counts nothing any more, and inherits nothing either. */
	if (BPF_CORE_READ((struct mm_struct *)mm, mm_users.counter))
		counters_exact(mm, record.exact);
	/* Still there and the same, so the mm was not recycled while it was read. */
	again = bpf_map_lookup_elem(&mt_spaces, &mm);
	if (!again || again->owner_tgid != record.space.owner_tgid ||
	    again->owner_start_boot_ns != record.space.owner_start_boot_ns)
		return 0;
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

static __always_inline void thread_kept_back(struct task_struct *task, s64 sum[MT_KINDS])
{
	struct task_struct___pre62 *old = (void *)task;
	int count[MT_KINDS] = {};

	bpf_probe_read_kernel(count, sizeof(count),
			      __builtin_preserve_access_index(&old->rss_stat.count));
	for (int kind = 0; kind < MT_KINDS; kind++)
		sum[kind] += (s64)count[kind] << page_shift;
}

/* What the threads of a group keep back, before 6.2: a walk along signal->thread_head. */
static __always_inline void process_kept_back(struct task_struct *leader,
					      struct mt_process_record *record)
{
	struct signal_struct *signal = BPF_CORE_READ(leader, signal);
	void *head = __builtin_preserve_access_index(&signal->thread_head);
	struct list_head *node = BPF_CORE_READ(signal, thread_head.next);
	u64 offset = bpf_core_field_offset(struct task_struct, thread_node);

	for (int i = 0; i < THREADS_WALK_MAX && node && (void *)node != head; i++) {
		thread_kept_back((void *)((u64)node - offset), record->kept_back);
		record->threads_read++;
		if (bpf_probe_read_kernel(&node, sizeof(node), &node->next))
			break;
	}
}

SEC("iter/bpf_map_elem")
int snapshot_processes(struct bpf_iter__bpf_map_elem *ctx)
{
	struct mt_process_record record = {};
	struct mt_process *process = ctx->value;
	struct task_struct *leader;
	__u32 *key = ctx->key;

	if (!key || !process)
		return 0;
	record.tgid = *key;
	record.mm = process->mm;
	record.start_boot_ns = process->start_boot_ns;
	record.execed_boot_ns = process->execed_boot_ns;
	record.tree = process->tree;
	record.born_ppid = process->born_ppid;
	leader = (void *)process->leader;
	if (BPF_CORE_READ(leader, pid) == record.tgid &&
	    BPF_CORE_READ(leader, start_boottime) == record.start_boot_ns) {
		record.leader_known = 1;
		record.ppid = BPF_CORE_READ(leader, real_parent, tgid);
		record.threads = BPF_CORE_READ(leader, signal, nr_threads);
		record.task_state = task_state_bits(leader);
		BPF_CORE_READ_STR_INTO(&record.comm, leader, comm);
		if (threads_keep_remainders())
			process_kept_back(leader, &record);
		else
			record.threads_read = record.threads;
	}
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

/*
 * release_task() leaves EXIT_DEAD in a task, and that stays in its memory until another
 * task takes it: a reaped one is told from a zombie even after it was freed. The leader
 * is dead before its last threads are; then its state is not yet final.
 */
static __always_inline bool is_reaped(__u32 tgid, const struct mt_zombie *zombie)
{
	struct task_struct *leader = (void *)zombie->leader;

	return BPF_CORE_READ(leader, tgid) != tgid ||
	       BPF_CORE_READ(leader, start_boottime) != zombie->start_boot_ns ||
	       BPF_CORE_READ(leader, exit_state) & EXIT_DEAD;
}

SEC("iter/bpf_map_elem")
int snapshot_zombies(struct bpf_iter__bpf_map_elem *ctx)
{
	struct mt_zombie_record record = {};
	struct mt_zombie *zombie = ctx->value;
	__u32 *key = ctx->key, tgid;

	if (!key || !zombie)
		return 0;
	tgid = *key;
	record.tgid = tgid;
	__builtin_memcpy(&record.zombie, zombie, sizeof(record.zombie));
	if (is_reaped(tgid, &record.zombie)) {
		map_delete(&mt_zombies, &tgid);
		return 0;
	}
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

/* For groups beyond the bounded walk, before 6.2: every thread of the tracked ones. */
SEC("iter/task")
int snapshot_threads(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct mt_thread_record record = {};

	if (!task)
		return 0;
	record.tgid = task->tgid;
	if (!bpf_map_lookup_elem(&mt_processes, &record.tgid))
		return 0;
	thread_kept_back(task, record.kept_back);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

/* Run by a reader (BPF_PROG_TEST_RUN) that saw tree args[0] charged args[1] bytes. */
SEC("raw_tp")
int peak_raise(struct bpf_raw_tracepoint_args *ctx)
{
	return tree_peak_raise(ctx->args[0], ctx->args[1]);
}
