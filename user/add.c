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

#include "adoption.h"
#include "clock.h"
#include "commands.h"
#include "follow.h"
#include "forget.h"
#include "guard.h"
#include "loader.h"
#include "options.h"
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
	struct adoption adoption;
	struct refusal why; /* of what failed last */
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

static int told(int err, const struct add *add)
{
	return err ? talk_error(err, "%s", add->why.text) : 0;
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
	return told(adoption_judge(&add->adoption, add->tracker, &add->why), add);
}

static int tree_adopt(struct add *add)
{
	const struct mt_census_record *root = &add->adoption.root;
	int err;

	if (!add->request.name[0])
		request_name(&add->request, root->comm, add->options->pid);
	add->request.started_boot_ns = root->start_boot_ns;
	err = request_open(add->tracker, &add->request, &add->tree, &add->why);
	if (!err)
		err = adoption_run(&add->adoption, add->tracker, add->tree, &add->why);
	return told(err, add);
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
	if (guard_open(add->loop, add->tracker, add->options->tree.max_kills, NULL, &add->guard))
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
	pid_t daemon = (pid_t)add->tracker->header.loader_tgid;
	const struct mt_policy policy = add->request.policy;
	int err;

	/* It would be a member, and die with the tree that it guards. */
	if (adoption_is_ancestor(&add->adoption, daemon))
		return talk_error(
			-EINVAL,
			"process %d has started the daemon (process %d): add what else it "
			"has started",
			add->options->pid, daemon);
	/* Nobody is signalled because of an adoption that fails. */
	add->request.policy = (struct mt_policy){};
	err = tree_adopt(add);

	/* Nobody else would clear away the half of a tree. */
	if (err && add->tree)
		forget_tree(add->tracker, add->tree);
	if (err)
		return err;
	if (policy.limit || policy.vmem_limit)
		err = registry_policy(add->tracker, add->tree, &policy);
	/* It may have ended meanwhile. */
	if (!err || err == -ENOENT)
		err = registry_disown(add->tracker, add->tree);
	if (err == -ENOENT)
		err = 0;
	if (err)
		return talk_error(err, "%s cannot be left to the daemon: %s", add->request.name,
				  strerror(-err));
	talk_detail("%s: tracked by the daemon", add->request.name);
	return 0;
}

static int add_tree(struct add *add)
{
	int err = told(adoption_open(add->options->pid, &add->adoption, &add->why), add);

	if (!err)
		err = told(adoption_judge_all(&add->adoption, &add->tracker, &add->why), add);
	if (!err && add->tracker)
		err = told(request_check_shared(&add->options->tree, &add->why), add);
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
	adoption_close(&add->adoption);
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
	struct add add = {.options = &options, .adoption = {.pidfd = -1}};
	int err;

	options.tree.base = request_base("add");
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
