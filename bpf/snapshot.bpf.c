// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exact reading: iterators that a reader runs over the tracker's own maps. A reader adds,
 * per address space, the space's record and what the threads of its processes keep back.
 *
 * They write nothing but their records (and bury zombies that were freed, with their cpu time,
 * as whoever comes first does), so any number of readers may run them at once. A peak that only
 * an exact reading shows is handed back by user space, through peak_raise.
 */
#include "threads.bpf.h"
#include "zombies.bpf.h"

static __always_inline bool space_is_same(const struct mt_space *space, u64 mm)
{
	struct mt_space *again = bpf_map_lookup_elem(&mt_spaces, &mm);

	return again && again->owner_tgid == space->owner_tgid &&
	       again->owner_start_boot_ns == space->owner_start_boot_ns;
}

/* Writes a space, or nothing but zeroes (with `always`) when it ended meanwhile: its mm may
 * have been recycled while it was read. */
static __always_inline void space_write(struct seq_file *seq, u64 mm, const struct mt_space *space,
					bool always)
{
	struct mt_space_record record = {};

	if (space) {
		record.mm = mm;
		__builtin_memcpy(&record.space, space, sizeof(record.space));
		/* In its teardown it counts nothing any more, and inherits nothing either. */
		if (BPF_CORE_READ((struct mm_struct *)mm, mm_users.counter)) {
			counters_exact(mm, record.exact);
			record.vmem = BPF_CORE_READ((struct mm_struct *)mm, total_vm) << page_shift;
		}
		if (!space_is_same(&record.space, mm))
			record.mm = 0;
	}
	if (record.mm || always)
		bpf_seq_write(seq, &record, sizeof(record));
}

/* The number at which a reader's own map of places points this time. */
static __always_inline __u32 place_wanted(struct bpf_iter__bpf_map_elem *ctx)
{
	__u32 *place = ctx->value;

	return place ? *place : ~0U;
}

SEC("iter/bpf_map_elem")
int snapshot_placed_spaces(struct bpf_iter__bpf_map_elem *ctx)
{
	__u32 place = place_wanted(ctx);
	u64 mm = placed_key(MT_PLACED_SPACES, place, sizeof(mm));
	struct mt_space *space = bpf_map_lookup_elem(&mt_spaces, &mm);

	if (space && is_placed(MT_PLACED_SPACES, place, space))
		space_write(ctx->meta->seq, mm, space, false);
	return 0;
}

SEC("iter/bpf_map_elem")
int snapshot_spaces(struct bpf_iter__bpf_map_elem *ctx)
{
	struct mt_space *space = ctx->value;
	u64 *key = ctx->key;

	if (key && space)
		space_write(ctx->meta->seq, *key, space, false);
	return 0;
}

static __always_inline void threads_record(struct task_struct *leader,
					   struct mt_process_record *record)
{
	struct threads threads;

	threads_read(leader, &threads);
	record->cpu_ns = threads.cpu_ns;
	record->ended_cpu_ns = threads.ended_cpu_ns;
	record->threads = threads.count;
	record->threads_read = threads.read;
	__builtin_memcpy(record->kept_back, threads.kept_back, sizeof(record->kept_back));
}

/* Whether `leader` is that process still: it may have left while it was read. */
static __always_inline bool is_leader(struct task_struct *leader, __u32 tgid, u64 start_boot_ns)
{
	return BPF_CORE_READ(leader, pid) == tgid &&
	       BPF_CORE_READ(leader, start_boottime) == start_boot_ns;
}

static __always_inline void process_write(struct seq_file *seq, __u32 tgid, u64 mm,
					  const struct mt_process *process)
{
	struct mt_process_record record = {};
	struct task_struct *leader = (void *)process->leader;

	record.tgid = tgid;
	record.mm = mm;
	record.start_boot_ns = process->start_boot_ns;
	record.execed_boot_ns = process->execed_boot_ns;
	record.tree = process->tree;
	record.born_ppid = process->born_ppid;
	if (is_leader(leader, record.tgid, record.start_boot_ns)) {
		record.leader_known = 1;
		record.pid = pid_here(leader);
		record.ppid = BPF_CORE_READ(leader, real_parent, tgid);
		record.task_state = task_state_bits(leader);
		BPF_CORE_READ_INTO(&record.comm, leader, comm);
		threads_record(leader, &record);
	}
	bpf_seq_write(seq, &record, sizeof(record));
}

/*
 * Of the hash itself each element, or of a reader's own map of places the one that lies there.
 * One program for both, as to verify it is what a load takes its time for; it may touch no more
 * of an element than the smaller of both maps has.
 */
SEC("iter/bpf_map_elem")
int snapshot_processes(struct bpf_iter__bpf_map_elem *ctx)
{
	bool walks = (void *)ctx->map == (void *)&mt_processes;
	__u32 place = place_wanted(ctx), *key = ctx->key, tgid;
	struct mt_process *process;
	u64 mm;

	if (!key)
		return 0;
	tgid = walks ? *key : placed_key(MT_PLACED_PROCESSES, place, sizeof(tgid));
	process = bpf_map_lookup_elem(&mt_processes, &tgid);
	if (!process || (!walks && !is_placed(MT_PLACED_PROCESSES, place, process)))
		return 0;
	mm = process->mm;
	/* One struct mt_member_record, in two pieces for the sake of the stack. */
	process_write(ctx->meta->seq, tgid, mm, process);
	space_write(ctx->meta->seq, mm, bpf_map_lookup_elem(&mt_spaces, &mm), true);
	return 0;
}

SEC("iter/bpf_map_elem")
int snapshot_zombies(struct bpf_iter__bpf_map_elem *ctx)
{
	bool walks = (void *)ctx->map == (void *)&mt_zombies;
	__u32 place = place_wanted(ctx), *key = ctx->key, tgid;
	struct mt_zombie_record record = {};
	struct mt_zombie *zombie;

	if (!key)
		return 0;
	tgid = walks ? *key : placed_key(MT_PLACED_ZOMBIES, place, sizeof(tgid));
	zombie = bpf_map_lookup_elem(&mt_zombies, &tgid);
	if (!zombie || (!walks && !is_placed(MT_PLACED_ZOMBIES, place, zombie)))
		return 0;
	record.tgid = tgid;
	__builtin_memcpy(&record.zombie, zombie, sizeof(record.zombie));
	record.reaped = zombie_is_reaped((void *)record.zombie.leader);
	record.cpu_ns = zombie_cpu(&record.zombie, tgid);
	if (zombie_is_freed(&record.zombie, tgid))
		zombie_forget(tgid, &record.zombie);
	else
		bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

/* For groups beyond the bounded walk: every thread of the tracked ones. */
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
	record.cpu_ns = BPF_CORE_READ(task, se.sum_exec_runtime);
	if (threads_keep_remainders()) {
		record.kept_back[MT_FILE] = thread_kept(task, MT_FILE);
		record.kept_back[MT_ANON] = thread_kept(task, MT_ANON);
		record.kept_back[MT_SWAP] = thread_kept(task, MT_SWAP);
		record.kept_back[MT_SHMEM] = thread_kept(task, MT_SHMEM);
	}
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

/* The folders of one cgroup, the last first; whether the first of its hierarchy was reached. */
static __always_inline bool cgroup_folders(struct seq_file *seq, struct kernfs_node *folder,
					   struct mt_cgroup_record *record)
{
	for (int level = 0; level < MT_CGROUP_LEVELS; level++) {
		struct kernfs_node *parent = kernfs_parent(folder);

		if (!parent)
			return true;
		__builtin_memset(record->name, 0, sizeof(record->name));
		bpf_probe_read_kernel_str(record->name, sizeof(record->name),
					  BPF_CORE_READ(folder, name));
		record->level = level;
		bpf_seq_write(seq, record, sizeof(*record));
		record->level = level + 1;
		folder = parent;
	}
	return !kernfs_parent(folder);
}

/* The paths of the guides' cgroups. A guide that changed its cgroup meanwhile tells none. */
SEC("iter/bpf_map_elem")
int snapshot_cgroups(struct bpf_iter__bpf_map_elem *ctx)
{
	struct mt_cgroup_record record = {};
	struct mt_process *process;
	struct task_struct *leader;
	__u32 *tgid = ctx->value;
	struct css_set *set;
	u64 start_boot_ns;

	if (!tgid)
		return 0;
	record.tgid = *tgid;
	process = bpf_map_lookup_elem(&mt_processes, &record.tgid);
	if (!process)
		return 0;
	leader = (void *)process->leader;
	start_boot_ns = process->start_boot_ns;
	set = BPF_CORE_READ(leader, cgroups);
	if (!is_leader(leader, record.tgid, start_boot_ns))
		return 0;
	record.end = cgroup_folders(ctx->meta->seq, cgroup_folder(set), &record) ? MT_CGROUP_WHOLE
										 : MT_CGROUP_CUT;
	if (BPF_CORE_READ(leader, cgroups) == set && is_leader(leader, record.tgid, start_boot_ns))
		bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

/* Run by a reader (BPF_PROG_TEST_RUN) that saw tree args[0] charged args[1] bytes. */
SEC("raw_tp")
int peak_raise(struct bpf_raw_tracepoint_args *ctx)
{
	return tree_peak_raise(ctx->args[0], ctx->args[1]);
}
