// SPDX-License-Identifier: GPL-2.0-only
#include "stand.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "empty.skel.h"

#include "cleanup.h"
#include "snapshot.h"
#include "talk.h"
#include "worker.h"

static void programs_detach(struct programs *programs)
{
	for (int i = 0; i < programs->count; i++) {
		if (programs->links[i] >= 0)
			close(programs->links[i]);
		programs->links[i] = -1;
	}
}

static int programs_attach(struct programs *programs)
{
	for (int i = 0; i < programs->count; i++) {
		if (programs->links[i] >= 0)
			continue;
		programs->links[i] = bpf_raw_tracepoint_open(NULL, programs->fds[i]);
		if (programs->links[i] < 0)
			return talk_error(-errno, "a program cannot be attached again: %s",
					  strerror(errno));
	}
	return 0;
}

static void programs_close(struct programs *programs)
{
	programs_detach(programs);
	for (int i = 0; i < programs->count; i++)
		close(programs->fds[i]);
	programs->count = 0;
}

static void programs_enter(struct programs *programs, int fd)
{
	programs->links[programs->count] = -1;
	programs->fds[programs->count++] = fd;
}

/* One entry per link: a program that is attached twice is here twice. */
static int programs_of_tracker(const struct tracker *tracker, struct programs *programs)
{
	for (int i = 0; i < MT_LINKS_MAX && tracker->header.link_ids[i]; i++) {
		struct bpf_link_info info = {};
		__u32 size = sizeof(info);
		_cleanup_close_ int link = bpf_link_get_fd_by_id(tracker->header.link_ids[i]);
		int program;

		if (link < 0 || bpf_obj_get_info_by_fd(link, &info, &size))
			return talk_error(-errno, "a link cannot be read: %s", strerror(errno));
		if (info.type != BPF_LINK_TYPE_RAW_TRACEPOINT && info.type != BPF_LINK_TYPE_TRACING)
			return talk_error(-EOPNOTSUPP, "a link of type %u cannot be renewed",
					  info.type);
		program = bpf_prog_get_fd_by_id(info.prog_id);
		if (program < 0)
			return talk_error(-errno, "a program is gone: %s", strerror(errno));
		programs_enter(programs, program);
	}
	return programs->count ? 0 : talk_error(-ENOENT, "the tracker has no links");
}

int stand_open(struct stand *ret_stand)
{
	const struct loader_options options = {};
	int err;

	memset(ret_stand, 0, sizeof(*ret_stand));
	err = loader_start(&options, &ret_stand->loader);
	if (err)
		return err;
	err = tracker_open(loader_tracker_id(ret_stand->loader), &ret_stand->tracker);
	if (err)
		return talk_error(err, "the tracker cannot be opened: %s", strerror(-err));
	ret_stand->empty = empty_bpf__open_and_load();
	if (!ret_stand->empty)
		return talk_error(-errno, "the empty program cannot be loaded: %s",
				  strerror(errno));
	programs_enter(&ret_stand->programs[STAND_EMPTY],
		       dup(bpf_program__fd(ret_stand->empty->progs.nothing_done)));
	return programs_of_tracker(ret_stand->tracker, &ret_stand->programs[STAND_MEMTREE]);
}

int stand_detach(struct stand *stand)
{
	loader_stop(stand->loader);
	stand->loader = NULL;
	return 0;
}

int stand_enter(struct stand *stand, enum stand_state state)
{
	int err;

	for (int i = 0; i < STAND_STATES; i++)
		if (i != (int)state)
			programs_detach(&stand->programs[i]);
	err = programs_attach(&stand->programs[state]);
	/* What a change of the tracepoint sets off (grace periods, patched code) settles. */
	usleep(5000);
	return err;
}

static bool link_disturbs(__u32 id)
{
	char name[32] = {};
	struct bpf_link_info info = {.raw_tracepoint.tp_name = (__u64)(unsigned long)name,
				     .raw_tracepoint.tp_name_len = sizeof(name)};
	__u32 size = sizeof(info);
	_cleanup_close_ int link = bpf_link_get_fd_by_id(id);

	if (link < 0 || bpf_obj_get_info_by_fd(link, &info, &size))
		return false;
	return info.type == BPF_LINK_TYPE_RAW_TRACEPOINT && !strcmp(name, "rss_stat");
}

bool stand_is_disturbed(void)
{
	FILE *file = fopen("/proc/sys/kernel/bpf_stats_enabled", "re");
	int statistics = 0;
	__u32 id = 0;

	if (file && fscanf(file, "%d", &statistics) != 1)
		statistics = 0;
	if (file)
		fclose(file);
	if (statistics)
		return true;
	while (!bpf_link_get_next_id(id, &id))
		if (link_disturbs(id))
			return true;
	return false;
}

void stand_close(struct stand *stand)
{
	for (int i = 0; i < STAND_STATES; i++)
		programs_close(&stand->programs[i]);
	empty_bpf__destroy(stand->empty);
	tracker_close(stand->tracker);
	loader_stop(stand->loader);
	memset(stand, 0, sizeof(*stand));
}

int stand_cost_read(const struct stand *stand, struct stand_cost *ret_cost)
{
	const struct programs *programs = &stand->programs[STAND_MEMTREE];
	struct stand_cost cost = {};
	__u32 ids[MT_LINKS_MAX];

	for (int i = 0, earlier; i < programs->count; i++) {
		struct bpf_prog_info info = {};
		__u32 size = sizeof(info);

		if (bpf_obj_get_info_by_fd(programs->fds[i], &info, &size))
			return talk_error(-errno, "a program cannot be read: %s", strerror(errno));
		ids[i] = info.id;
		for (earlier = 0; ids[earlier] != info.id; earlier++)
			;
		if (earlier < i)
			continue; /* attached twice, counted once */
		cost.events += info.run_cnt;
		cost.run_ns += info.run_time_ns;
	}
	*ret_cost = cost;
	return 0;
}

int worker_start(struct stand *stand, bool tracked, struct worker *ret_worker)
{
	char number[16], name[MT_NAME_SIZE], program[] = "/proc/self/exe", role[] = "worker";
	char *command[] = {program, role, number, NULL};
	int sockets[2], err = 0;

	*ret_worker = WORKER_NONE;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		return talk_error(-errno, "no socket to the worker: %s", strerror(errno));
	/* The worker's end alone outlives its exec. */
	snprintf(number, sizeof(number), "%d", dup(sockets[1]));
	close(sockets[1]);
	ret_worker->socket = sockets[0];
	if (tracked) {
		snprintf(name, sizeof(name), "worker-%s", number);
		err = root_start(stand->tracker, name, command, &ret_worker->root);
	} else {
		ret_worker->untracked = fork();
		if (!ret_worker->untracked) {
			execv(program, command);
			_exit(EXIT_NOT_FOUND);
		}
	}
	close(atoi(number));
	return err;
}

void worker_end(struct stand *stand, struct worker *worker)
{
	if (worker->untracked > 0) {
		kill(worker->untracked, SIGKILL);
		waitpid(worker->untracked, NULL, 0);
	}
	root_end(stand->tracker, &worker->root);
	if (worker->socket >= 0)
		close(worker->socket);
	*worker = WORKER_NONE;
}

/* What the handler has last seen of a process's anonymous memory; -ENOENT: not a member.
 * The record is taken before the reading itself settles the space. */
static int64_t anon_seen(const struct stand *stand, pid_t pid)
{
	struct snapshot snapshot;
	int64_t seen = -ENOENT;
	int err = snapshot_read(stand->tracker, &snapshot);

	if (err)
		return err == -ENOENT ? -EIO : err;
	for (size_t i = 0; i < snapshot.process_count; i++)
		for (size_t j = 0; j < snapshot.space_count; j++)
			if (snapshot.processes[i].tgid == (uint32_t)pid &&
			    snapshot.spaces[j].mm == snapshot.processes[i].mm)
				seen = snapshot.spaces[j].space.seen[MT_ANON];
	snapshot_free(&snapshot);
	return seen;
}

int worker_check(struct stand *stand, const struct worker *worker)
{
	const int64_t least = WORKER_REGION / 2; /* CPUs may keep back the other half */
	const pid_t pid = worker->root.tree ? worker->root.launch.pid : worker->untracked;
	int64_t held, dropped, reply;

	if (worker_ask(worker->socket, WORKER_HOLD, 1, 0, &reply))
		return talk_error(-EIO, "the worker does not answer");
	held = anon_seen(stand, pid);
	if (worker_ask(worker->socket, WORKER_DROP, 1, 0, &reply))
		return talk_error(-EIO, "the worker does not answer");
	dropped = anon_seen(stand, pid);
	if (!worker->root.tree)
		return held == -ENOENT && dropped == -ENOENT
			       ? 0
			       : talk_error(-EINVAL, "the untracked process is tracked");
	if (held < 0 || dropped < 0 || held - dropped < least)
		return talk_error(-EINVAL,
				  "the tracked process is not charged: %lld bytes, then %lld",
				  (long long)held, (long long)dropped);
	return 0;
}
