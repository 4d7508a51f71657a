// SPDX-License-Identifier: GPL-2.0-only
/*
 * memtree add: makes a running process and its descendants a tree. With a daemon that is all;
 * without one it stays until the tree ends or it is interrupted. Nothing is done to the processes.
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "census.h"
#include "cleanup.h"
#include "clock.h"
#include "commands.h"
#include "follow.h"
#include "forget.h"
#include "guard.h"
#include "loader.h"
#include "options.h"
#include "registry.h"
#include "request.h"
#include "summary.h"
#include "talk.h"
#include "tracker.h"
#include "units.h"

struct options {
	struct common_options common;
	struct tree_options tree;
	pid_t pid; /* 0: not named */
};

struct add {
	const struct options *options;
	struct tree_request request;
	struct mt_census_record root; /* as the kernel has it */
	int pidfd;
	struct loader *loader;
	struct tracker *tracker;
	uint32_t tree;
	uint64_t begun_ns;
	struct event_base *loop;
	struct event *signals[3];
	struct follow follow;
	struct guard *guard;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;
	uint32_t pid;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->tree;
		state->child_inputs[1] = &options->common;
		return 0;
	case ARGP_KEY_ARG:
		if (options->pid)
			options_refuse("add", "one process at a time: '%s'", argument);
		if (!units_parse_count(argument, &pid) || !pid || pid > INT32_MAX)
			options_refuse("add", "'%.80s' is no pid", argument);
		options->pid = (pid_t)pid;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* As long as it can be signalled it has not been reaped, and its pid is its own. */
static bool is_still_it(const struct add *add)
{
	return !syscall(SYS_pidfd_send_signal, add->pidfd, 0, NULL, 0) || errno != ESRCH;
}

static int process_open(struct add *add)
{
	pid_t pid = add->options->pid;

	if (pid == 1)
		return talk_error(-EINVAL,
				  "process 1 is the ancestor of the whole machine: add what "
				  "it has started");
	if (pid == getpid())
		return talk_error(-EINVAL, "process %d is this memtree itself", pid);
	add->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (add->pidfd >= 0)
		return 0;
	if (errno == EINVAL || errno == ENOENT)
		return talk_error(-errno, "%d is a thread: add the process that it belongs to",
				  pid);
	return talk_error(-errno, "there is no process %d: %s", pid, strerror(errno));
}

/* Asks a tracker who the process is, and whether it may be the root of a tree. */
static int process_judge(struct add *add, const struct tracker *tracker)
{
	struct mt_census_record *root = &add->root;
	pid_t pid = add->options->pid;
	int err = census_find(tracker, pid, root);

	if (err && err != -ESRCH)
		return talk_error(err, "the kernel's tasks cannot be read: %s", strerror(-err));
	if (err || !is_still_it(add) || !root->live)
		return talk_error(-ESRCH, "process %d has ended", pid);
	if (root->kernel)
		return talk_error(-EINVAL,
				  "process %d is a thread of the kernel: it has no memory "
				  "of its own",
				  pid);
	if (!root->leader)
		return talk_error(-EINVAL, "%d is a thread: add the process that it belongs to",
				  pid);
	if (root->tree)
		return talk_error(-EEXIST,
				  "process %d is a member of tree #%u.%u already: see "
				  "memtree tree '#%u.%u'",
				  pid, tracker->id, root->tree, tracker->id, root->tree);
	return 0;
}

/* No tracker may know it yet: its memory would be followed twice. The daemon's is taken, if there is
 * one. */
static int trackers_ask(struct add *add)
{
	struct tracker **trackers;
	int count, foreign, err;

	/* What is not permitted here is not permitted to the loader: it says so. */
	if (trackers_find(&trackers, &count, &foreign))
		return 0;
	err = 0;
	for (int i = 0; i < count && !err; i++)
		err = process_judge(add, trackers[i]);
	add->tracker = trackers_take_pinned(trackers, count);
	trackers_close(trackers, count);
	if (!err && add->tracker)
		err = request_check_shared(&add->options->tree);
	return err;
}

static int tracker_load(struct add *add)
{
	int err = loader_start(&add->options->tree.loader, &add->loader);

	if (err)
		return err;
	err = tracker_open(loader_tracker_id(add->loader), &add->tracker);
	if (err)
		return talk_error(err, "the tracker that was just loaded cannot be opened: %s",
				  strerror(-err));
	return process_judge(add, add->tracker);
}

static int tree_adopt(struct add *add)
{
	int err;

	if (!add->request.name[0])
		request_name(&add->request, add->root.comm, add->options->pid);
	add->request.started_boot_ns = add->root.start_boot_ns;
	err = request_open(add->tracker, &add->request, &add->tree);
	if (err)
		return err;
	err = census_adopt(add->tracker, add->tree, add->root.tgid, add->root.start_boot_ns);
	if (err == -EAGAIN)
		return talk_error(err,
				  "%s forks faster than it can be adopted: stop it (SIGSTOP) "
				  "for a moment",
				  add->request.name);
	if (err)
		return talk_error(err, "process %d cannot be adopted: %s", add->options->pid,
				  strerror(-err));
	if (registry_holds(add->tracker, add->tree) <= 0)
		return talk_error(-ESRCH, "process %d has ended", add->options->pid);
	return 0;
}

static void on_signal(evutil_socket_t signal_number, short what, void *context)
{
	(void)signal_number;
	(void)what;
	event_base_loopbreak(context);
}

static int loop_prepare(struct add *add)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};

	add->loop = event_base_new();
	if (!add->loop)
		return talk_error(-ENOMEM, "the event loop cannot be made");
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		add->signals[i] = evsignal_new(add->loop, ends[i], on_signal, add->loop);
		if (!add->signals[i] || event_add(add->signals[i], NULL))
			return talk_error(-ENOMEM, "the event loop cannot be filled");
	}
	if (follow_open(&add->follow, add->loop, add->tracker))
		return talk_error(-ENOMEM, "the event loop cannot be filled");
	if (guard_open(add->loop, add->tracker, add->options->tree.max_kills, &add->guard))
		return talk_error(-ENOMEM, "the ring buffer cannot be read");
	return 0;
}

static int tree_wait(struct add *add)
{
	add->follow.tree = add->tree;
	add->follow.root = add->options->pid;
	follow_look(&add->follow);
	talk_note("%s: tracking %u processes until they have ended, or Ctrl-C", add->request.name,
		  add->follow.members);
	if (event_base_got_break(add->loop) || event_base_dispatch(add->loop) >= 0)
		return 0;
	return talk_error(-EIO, "the event loop failed: %s is no longer tracked",
			  add->request.name);
}

/* With a daemon nothing is left to do here. */
static int tree_leave(struct add *add)
{
	int err = tree_adopt(add);

	/* Nobody else would clear away the half of a tree. */
	if (err && add->tree)
		forget_tree(add->tracker, add->tree);
	if (err)
		return err;
	err = registry_disown(add->tracker, add->tree);
	if (err)
		return talk_error(err, "%s cannot be left to the daemon: %s", add->request.name,
				  strerror(-err));
	talk_detail("%s: tracked by the daemon", add->request.name);
	return 0;
}

static int add_tree(struct add *add)
{
	int err = process_open(add);

	if (!err)
		err = trackers_ask(add);
	if (!err && add->tracker)
		return tree_leave(add);
	if (!err)
		err = tracker_load(add);
	if (!err)
		err = loop_prepare(add);
	if (!err)
		err = tree_adopt(add);
	if (!err)
		err = tree_wait(add);
	if (err)
		return err;
	summary_tell(add->tracker, add->tree, add->begun_ns);
	summary_tell_losses(add->tracker, add->request.name);
	return 0;
}

static void add_free(struct add *add)
{
	guard_close(add->guard);
	follow_close(&add->follow);
	for (size_t i = 0; i < sizeof(add->signals) / sizeof(add->signals[0]); i++)
		if (add->signals[i])
			event_free(add->signals[i]);
	if (add->loop)
		event_base_free(add->loop);
	tracker_close(add->tracker);
	loader_stop(add->loader);
	if (add->pidfd >= 0)
		close(add->pidfd);
	libevent_global_shutdown();
}

int command_add(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{&request_options, 0, NULL, 0}, {&options_common, 0, NULL, 0}, {0}};
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "PID",
		.doc = "Tracks a running process and its descendants until they have ended or it is "
		       "interrupted.",
		.children = children,
	};
	struct options options = {.tree = TREE_OPTIONS_DEFAULT};
	struct add add = {.options = &options, .pidfd = -1};
	int err;

	options_parse(&argp, "add", argc, argv, &options);
	if (!options.pid)
		options_refuse("add", "which process?");
	if (options.common.json)
		options_refuse("add", "--json is for the reading commands");
	add.request = options.tree.request;
	add.begun_ns = clock_ns(CLOCK_MONOTONIC);
	err = add_tree(&add);
	add_free(&add);
	return err ? talk_status(err, EXIT_FAILED) : EXIT_OK;
}
