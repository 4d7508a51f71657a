// SPDX-License-Identifier: GPL-2.0-only
/* Stories of members, and what the kernel's OOM killer does to them. */
#include "processes.bpf.h"

#define SIGNAL_GROUP_EXIT 0x00000004 /* include/linux/sched/signal.h */

/* As wait() tells it: of the group if one call or signal ended it, else the leader's. */
static __always_inline __u32 exit_status(struct task_struct *task)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);

	if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT)
		return BPF_CORE_READ(signal, group_exit_code);
	return BPF_CORE_READ(task, group_leader, exit_code);
}

/* The other half of the ring is for crossings. */
__weak int story_send(__u32 type, __u32 tree, __u32 tgid, __u32 ppid, u64 task)
{
	u64 used = bpf_ringbuf_query(&mt_events, BPF_RB_AVAIL_DATA);
	struct mt_event *event = NULL;

	if (used < bpf_ringbuf_query(&mt_events, BPF_RB_RING_SIZE) / 2)
		event = bpf_ringbuf_reserve(&mt_events, sizeof(*event), 0);
	if (!event) {
		loss_count(MT_LOSS_STORIES);
		return 0;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->mono_ns = bpf_ktime_get_ns();
	event->type = type;
	event->tree = tree;
	event->tgid = tgid;
	event->ppid = ppid;
	if (type == MT_EVENT_EXIT)
		event->status = task ? exit_status((void *)task) : MT_STATUS_UNKNOWN;
	if (task)
		BPF_CORE_READ_STR_INTO(&event->comm, (struct task_struct *)task, comm);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* args[0]: whether somebody hears stories from now on. */
SEC("raw_tp")
int stories_hear(struct bpf_raw_tracepoint_args *ctx)
{
	stories_are_heard = !!ctx->args[0];
	return 0;
}

/*
 * oom:mark_victim, in the context of who allocates. It may mark a thread whose leader has ended;
 * of such a one the pid alone tells its process only if it is current.
 */
SEC("tp_btf/mark_victim")
int BPF_PROG(oom_killed, void *victim)
{
	u64 task = bpf_get_current_task();
	struct mt_process *process;
	__u32 tgid;

	if (oom_tells_task()) {
		task = plain_address(victim);
		tgid = BPF_CORE_READ((struct task_struct *)task, tgid);
	} else {
		tgid = (u64)victim;
		if (tgid == (__u32)bpf_get_current_pid_tgid())
			tgid = bpf_get_current_pid_tgid() >> 32;
		process = bpf_map_lookup_elem(&mt_processes, &tgid);
		task = process ? process->leader : 0;
	}
	process = bpf_map_lookup_elem(&mt_processes, &tgid);
	if (process && task &&
	    process->start_boot_ns ==
		    BPF_CORE_READ((struct task_struct *)task, group_leader, start_boottime))
		tree_oom(process->tree, tgid, task);
	return 0;
}
