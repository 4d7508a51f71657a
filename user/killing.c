// SPDX-License-Identifier: GPL-2.0-only
#include "killing.h"

#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "look.h"

#define ROUND_MS 2
#define DEADLINE_MS 10000

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

/* Until nobody is left: a newborn of one round dies in the next. */
static int tree_end(const struct tracker *tracker, uint32_t tree, struct killing_outcome *outcome)
{
	const struct timespec pause = {.tv_nsec = ROUND_MS * 1000000};
	unsigned int reached;
	int err = 0;

	killing_doom(tracker, tree);
	for (int i = 0; i < DEADLINE_MS / ROUND_MS && !err; i++) {
		err = killing_round(tracker, tree, SIGKILL, &reached, &outcome->left);
		/* Who has not died yet is sent it again, and is not counted again. */
		if (!err && reached > outcome->processes)
			outcome->processes = reached;
		if (!outcome->left)
			break;
		nanosleep(&pause, NULL);
	}
	return err;
}

int killing_run(const struct tracker *tracker, uint32_t tree, int signal,
		struct killing_outcome *ret_outcome)
{
	uint64_t begun_ns = clock_ns(CLOCK_MONOTONIC);
	struct killing_outcome outcome = {.left = 1};
	int err = signal == SIGKILL
			  ? tree_end(tracker, tree, &outcome)
			  : killing_round(tracker, tree, signal, &outcome.processes, &outcome.left);

	if (err)
		return err;
	outcome.took_ns = clock_ns(CLOCK_MONOTONIC) - begun_ns;
	*ret_outcome = outcome;
	return 0;
}

json_t *killing_json(const char *name, int signal, int64_t charged,
		     const struct killing_outcome *outcome)
{
	return json_pack("{s:s, s:i, s:I, s:I, s:I, s:I}", "name", name, "signal", signal,
			 "processes", (json_int_t)outcome->processes, "left",
			 (json_int_t)outcome->left, "charged", (json_int_t)charged, "took_ns",
			 (json_int_t)outcome->took_ns);
}
