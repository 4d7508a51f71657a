// SPDX-License-Identifier: GPL-2.0-only
#include "killing.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "look.h"

static bool is_member_still(const struct tracker *tracker, const struct process *process)
{
	struct mt_process record;
	uint32_t tgid = process->tgid;

	return !tracker_lookup(tracker, MT_MAP_PROCESSES, &tgid, &record) &&
	       record.start_boot_ns == process->start_boot_ns;
}

/* Opened first: if the member lives after that, the pidfd is its. */
static bool member_signal(const struct tracker *tracker, const struct process *process, int signal)
{
	_cleanup_close_ int pidfd = -1;

	/* The maps' pids are those of the initial namespace; here they may be a stranger's. */
	if (process->tgid <= 1 || process->pid <= 1 || process->pid == (uint32_t)getpid())
		return false;
	pidfd = (int)syscall(SYS_pidfd_open, (pid_t)process->pid, 0);
	if (pidfd < 0 || !is_member_still(tracker, process))
		return false;
	return !syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

unsigned int killing_signal(const struct tracker *tracker, const struct model *model, uint32_t tree,
			    int signal)
{
	unsigned int count = 0;

	for (size_t i = 0; i < model->process_count; i++) {
		const struct process *process = &model->processes[i];

		if (!process->zombie && model_is_inside(model, process->tree, tree))
			count += member_signal(tracker, process, signal);
	}
	return count;
}

int killing_round(const struct tracker *tracker, uint32_t tree, int signal,
		  unsigned int *ret_reached, unsigned int *ret_left)
{
	const struct tree *found;
	struct look look;
	int err = look_take_tree(tracker, tree, &look);

	if (err)
		return err;
	found = model_find(&look.model, tree);
	*ret_left = found ? found->processes : 0;
	*ret_reached = killing_signal(tracker, &look.model, tree, signal);
	look_free(&look);
	return 0;
}

void killing_doom(const struct tracker *tracker, uint32_t tree)
{
	const uint64_t args[] = {tree, 1};

	tracker_call(tracker, MT_PROG_TREE_DOOM, args, 2, NULL);
}
