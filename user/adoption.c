// SPDX-License-Identifier: GPL-2.0-only
#include "adoption.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "census.h"
#include "registry.h"

#define GENERATIONS_MAX 64 /* as many as the kernel side follows */

int adoption_open(pid_t pid, struct adoption *ret_adoption, struct refusal *ret_refusal)
{
	int err;

	*ret_adoption = (struct adoption){.pid = pid, .pidfd = -1};
	if (pid == 1)
		return refusal_fail(
			ret_refusal, -EINVAL,
			"process 1 is the ancestor of the whole machine: add what it has "
			"started");
	if (pid == getpid())
		return refusal_fail(ret_refusal, -EINVAL, "process %d is this memtree itself", pid);
	ret_adoption->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	err = ret_adoption->pidfd < 0 ? -errno : 0;
	if (err == -EINVAL || err == -ENOENT)
		return refusal_fail(ret_refusal, err,
				    "%d is a thread: add the process that it belongs to", pid);
	if (err)
		return refusal_fail(ret_refusal, err, "there is no process %d: %s", pid,
				    strerror(-err));
	return 0;
}

void adoption_close(struct adoption *adoption)
{
	if (adoption->pidfd >= 0)
		close(adoption->pidfd);
	adoption->pidfd = -1;
}

/* As long as it can be signalled it has not been reaped, and its pid is its own. */
static bool is_still_it(const struct adoption *adoption)
{
	return !syscall(SYS_pidfd_send_signal, adoption->pidfd, 0, NULL, 0) || errno != ESRCH;
}

int adoption_judge(struct adoption *adoption, const struct tracker *tracker,
		   struct refusal *ret_refusal)
{
	struct mt_census_record *root = &adoption->root;
	pid_t pid = adoption->pid;
	int err = census_find(tracker, pid, root);

	if (err && err != -ESRCH)
		return refusal_fail(ret_refusal, err, "the kernel's tasks cannot be read: %s",
				    strerror(-err));
	if (err || !is_still_it(adoption) || !root->live)
		return refusal_fail(ret_refusal, -ESRCH, "process %d has ended", pid);
	if (root->kernel)
		return refusal_fail(
			ret_refusal, -EINVAL,
			"process %d is a thread of the kernel: it has no memory of its own", pid);
	if (!root->leader)
		return refusal_fail(ret_refusal, -EINVAL,
				    "%d is a thread: add the process that it belongs to", pid);
	if (root->tree)
		return refusal_fail(
			ret_refusal, -EEXIST,
			"process %d is a member of tree #%u.%u already: see memtree tree "
			"'#%u.%u'",
			pid, tracker->id, root->tree, tracker->id, root->tree);
	return 0;
}

int adoption_judge_all(struct adoption *adoption, struct tracker **ret_daemon,
		       struct refusal *ret_refusal)
{
	struct tracker **trackers;
	int count, foreign, err;

	/* What is not permitted here is not permitted to the loader: it says so. */
	if (trackers_find(&trackers, &count, &foreign))
		return 0;
	err = 0;
	for (int i = 0; i < count && !err; i++)
		err = adoption_judge(adoption, trackers[i], ret_refusal);
	if (ret_daemon)
		*ret_daemon = err ? NULL : trackers_take_pinned(trackers, count);
	trackers_close(trackers, count);
	return err;
}

/* 0: nobody, or it cannot be told. */
static pid_t parent_of(pid_t pid)
{
	char path[32], line[512], *end;
	FILE *stat;
	int parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	stat = fopen(path, "re");
	if (!stat)
		return 0;
	/* Behind its name, in which there may be anything. */
	end = fgets(line, sizeof(line), stat) ? strrchr(line, ')') : NULL;
	if (!end || sscanf(end + 1, " %*c %d", &parent) != 1)
		parent = 0;
	fclose(stat);
	return parent;
}

bool adoption_is_ancestor(const struct adoption *adoption, pid_t pid)
{
	for (int i = 0; i < GENERATIONS_MAX && pid > 1; i++) {
		if (pid == adoption->pid)
			return true;
		pid = parent_of(pid);
	}
	return false;
}

void adoption_explain(const struct adoption *adoption, int err, struct refusal *ret_refusal)
{
	if (err == -EAGAIN || err == -ETIMEDOUT)
		refusal_set(ret_refusal, EXIT_FAILED,
			    "process %d forks faster than it can be adopted: stop it (SIGSTOP) "
			    "for a moment",
			    adoption->pid);
	else if (err == -ESRCH)
		refusal_set(ret_refusal, EXIT_FAILED, "process %d has ended", adoption->pid);
	else
		refusal_fail(ret_refusal, err, "process %d cannot be adopted: %s", adoption->pid,
			     strerror(-err));
}

int adoption_run(const struct adoption *adoption, struct tracker *tracker, uint32_t tree,
		 struct refusal *ret_refusal)
{
	int err = census_adopt(tracker, tree, adoption->root.tgid, adoption->root.start_boot_ns);

	if (!err && registry_holds(tracker, tree) <= 0)
		err = -ESRCH;
	if (err)
		adoption_explain(adoption, err, ret_refusal);
	return err;
}
