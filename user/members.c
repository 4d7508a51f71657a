// SPDX-License-Identifier: GPL-2.0-only
#include "members.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aside.h"
#include "cleanup.h"
#include "clock.h"
#include "procfs.h"
#include "yarn.h"

#define PROC "/proc"

int members_list(const struct model *model, const struct tree *tree, struct members *members)
{
	members->list = calloc(model->process_count + 1, sizeof(*members->list));
	members->processes = calloc(model->process_count + 1, sizeof(*members->processes));
	if (!members->list || !members->processes)
		return -ENOMEM;
	for (size_t i = 0; i < model->process_count; i++) {
		const struct process *process = &model->processes[i];
		struct quoted_process *quoted = &members->processes[members->count];

		if (process->zombie || !model_is_inside(model, process->tree, tree->id))
			continue;
		*quoted = (struct quoted_process){
			.pid = process->tgid,
			.is_root = process->tgid == tree->root_tgid,
			.map_rss = bytes_rss(process->bytes),
			.err = -ENODATA,
			.smaps_err = -ETIMEDOUT,
		};
		for (size_t j = 0; process->mm && j < members->count; j++)
			quoted->again |= members->list[j].process->mm == process->mm;
		members->list[members->count++] = (struct member){process, (pid_t)process->tgid};
	}
	return 0;
}

/* --- /proc ------------------------------------------------------------------------------ */

/* The pid may be another's by now, and in another time namespace every start is another. */
static bool start_is(const struct procfs_stat *stat, const struct process *process)
{
	return stat->start_ticks ==
	       process->start_boot_ns / (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

static int member_read(struct procfs *procfs, struct member *member, struct quoted_process *quoted)
{
	struct procfs_statm statm;
	struct procfs_stat stat;
	pid_t pid = (pid_t)quoted->pid;
	int err = procfs_stat_read(procfs, pid, &stat);

	if (!err && !start_is(&stat, member->process))
		err = -ESRCH;
	if (!err)
		err = procfs_thread_find(procfs, pid, &member->tid);
	if (!err)
		err = procfs_statm_read(procfs, pid, member->tid, &statm);
	if (err)
		return err;
	quoted->leader_gone = member->tid != pid;
	quoted->virt = statm.size;
	quoted->res = statm.resident;
	quoted->shr = statm.shared;
	quoted->vsize = (int64_t)stat.vsize_bytes;
	quoted->stat_rss = stat.rss_bytes;
	return 0;
}

void members_read(struct members *members)
{
	uint64_t begun_ns = clock_ns(CLOCK_MONOTONIC);
	struct procfs procfs = {.root = -1};
	int err;

	err = procfs_open(PROC, &procfs);
	if (err) {
		members->procfs_unknown = PROC " cannot be opened";
		return;
	}
	if (!procfs_namespace_is_initial(&procfs, PROCFS_NAMESPACE_PID)) {
		members->procfs_unknown = "memtree's /proc is not of the initial pid "
					  "namespace: its pids mean others";
		procfs_close(&procfs);
		return;
	}
	for (size_t i = 0; i < members->count; i++) {
		struct quoted_process *quoted = &members->processes[i];

		quoted->err = member_read(&procfs, &members->list[i], quoted);
		members->procfs_processes += !quoted->err;
	}
	members->procfs_calls = procfs.calls;
	members->procfs_ns = clock_ns(CLOCK_MONOTONIC) - begun_ns;
	procfs_close(&procfs);
}

/* --- smaps, aside ----------------------------------------------------------------------- */

/* What the child tells of one process. */
struct smaps_record {
	size_t index;
	uint64_t calls; /* so far, by all of them */
	int64_t pss, uss, yarn2, yarn3;
	int err;
};

static int smaps_sum(struct procfs *procfs, pid_t pid, pid_t tid, struct smaps_record *record)
{
	_cleanup_free_ struct procfs_mapping *mappings = NULL;
	struct yarn_process yarn = {};
	size_t count = 0;
	int err = procfs_mappings_read(procfs, pid, tid, &mappings, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count; i++) {
		record->pss += mappings[i].pss;
		record->uss += mappings[i].private_clean + mappings[i].private_dirty;
	}
	yarn_process_mappings(&yarn, mappings, count);
	record->yarn2 = yarn.smaps_bytes[YARN_SMAPS_2];
	record->yarn3 = yarn.smaps_bytes[YARN_SMAPS_3];
	return 0;
}

/* In the child; each address space once. */
static int smaps_tell(int fd, void *context)
{
	const struct members *members = context;
	struct procfs procfs = {.root = -1};
	int err = procfs_open(PROC, &procfs);

	for (size_t i = 0; !err && i < members->count; i++) {
		const struct quoted_process *process = &members->processes[i];
		struct smaps_record record = {.index = i};

		if (process->again || process->err)
			continue;
		record.err = smaps_sum(&procfs, (pid_t)process->pid, members->list[i].tid, &record);
		record.calls = procfs.calls;
		err = aside_tell(fd, &record, sizeof(record));
	}
	procfs_close(&procfs);
	return err;
}

static void smaps_take(struct members *members, const struct smaps_record *record)
{
	struct quoted_process *process = &members->processes[record->index];

	process->smaps_err = record->err;
	process->pss = record->pss;
	process->uss = record->uss;
	process->yarn2 = record->yarn2;
	process->yarn3 = record->yarn3;
	members->smaps_calls = record->calls;
	members->smaps_processes += !record->err;
}

/* Who shares an address space shares its page tables. */
static void smaps_share(struct members *members)
{
	for (size_t i = 0; i < members->count; i++) {
		struct quoted_process *process = &members->processes[i];

		for (size_t j = 0; process->again && j < i; j++) {
			const struct quoted_process *first = &members->processes[j];

			if (first->again ||
			    members->list[j].process->mm != members->list[i].process->mm)
				continue;
			process->smaps_err = first->smaps_err;
			process->pss = first->pss;
			process->uss = first->uss;
			process->yarn2 = first->yarn2;
			process->yarn3 = first->yarn3;
		}
		if (process->err && process->smaps_err == -ETIMEDOUT)
			process->smaps_err = process->err;
	}
}

void members_read_smaps(struct members *members, uint64_t timeout_ns)
{
	uint64_t begun_ns = clock_ns(CLOCK_MONOTONIC);
	struct aside aside = {};
	int err;

	members->smaps_unknown = NULL;
	if (members->procfs_unknown)
		return;
	err = aside_run(smaps_tell, members, timeout_ns, &aside);
	if (err || aside.err) {
		snprintf(members->reason, sizeof(members->reason), "smaps cannot be read: %s",
			 strerror(err ? -err : -aside.err));
		members->smaps_unknown = members->reason;
	}
	for (size_t at = 0; at + sizeof(struct smaps_record) <= aside.length;
	     at += sizeof(struct smaps_record)) {
		struct smaps_record record;

		memcpy(&record, aside.bytes + at, sizeof(record));
		smaps_take(members, &record);
	}
	smaps_share(members);
	free(aside.bytes);
	members->smaps_ns = clock_ns(CLOCK_MONOTONIC) - begun_ns;
}

void members_free(struct members *members)
{
	free(members->list);
	free(members->processes);
	*members = (struct members){};
}
