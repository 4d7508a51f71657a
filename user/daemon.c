// SPDX-License-Identifier: GPL-2.0-only
/*
 * memtree daemon: one tracker for the whole node, pinned, so that it goes on counting and
 * stopping whatever becomes of this process; and the guard that acts for the limits of all trees.
 *
 * There is one way into service, for a first start, after a crash and after an upgrade: find what
 * is pinned, take it over. Where nothing is, a child process loads and pins it, so that what
 * loading needs of memory goes with the child.
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "commands.h"
#include "guard.h"
#include "loader.h"
#include "options.h"
#include "pins.h"
#include "talk.h"
#include "tracker.h"

#define PIN_FOLDER "/sys/fs/bpf/memtree"
#define TREES 256
#define MAX_KILLS 30

struct options {
	struct common_options common;
	bool unload;
};

struct daemon {
	int lock; /* of the folder of pins */
	struct tracker *tracker;
	struct event_base *loop;
	struct event *signals[3];
	struct guard *guard;
};

enum { KEY_UNLOAD = 0x3100 };

static const struct argp_option table[] = {
	{"unload", KEY_UNLOAD, NULL, 0,
	 "Take the tracker out of the kernel, with all it knows; no daemon may run", 0},
	{0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	(void)argument;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case KEY_UNLOAD:
		options->unload = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int folder_lock(struct daemon *daemon, const char *folder)
{
	int err = pins_lock(folder, &daemon->lock);

	if (err == -EBUSY)
		return talk_error(err, "a daemon is running: it has %s", folder);
	if (err == -ENODEV)
		return talk_error(err,
				  "%s is not in a BPF file system: mount one (mount -t bpf bpf "
				  "/sys/fs/bpf)",
				  folder);
	if (err)
		return talk_error(err, "nothing can be pinned in %s: %s", folder, strerror(-err));
	return 0;
}

/* In a process of its own. Returns its exit status; what failed is said. */
static int tracker_load(const char *folder)
{
	const struct loader_options options = {.tree_capacity = TREES, .pinned = true};
	struct tracker *tracker;
	struct loader *loader;
	int err = loader_start(&options, &loader);

	if (err)
		return talk_status(err, EXIT_FAILED);
	err = tracker_open(loader_tracker_id(loader), &tracker);
	if (!err)
		err = pins_make(folder, tracker);
	if (err)
		talk_error(err, "the tracker cannot be pinned in %s: %s", folder, strerror(-err));
	return err ? talk_status(err, EXIT_FAILED) : EXIT_OK;
}

/* Returns an exit status. */
static int tracker_make(const char *folder)
{
	pid_t child;
	int status;

	fflush(NULL);
	child = fork();
	if (child < 0) {
		talk_error(0, "the tracker cannot be loaded: %s", strerror(errno));
		return EXIT_FAILED;
	}
	/* Without a word to the links: one that libbpf takes back is switched off. */
	if (!child)
		_exit(tracker_load(folder));
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	talk_error(0, "loading the tracker was ended by signal %d: start the daemon again",
		   WTERMSIG(status));
	return EXIT_FAILED;
}

/* Returns an exit status. */
static int tracker_take(struct daemon *daemon, const char *folder)
{
	int status, err;
	uint32_t id;

	err = pins_find(folder, &id);
	if (err == -ENOENT) {
		status = tracker_make(folder);
		if (status)
			return status;
		err = pins_find(folder, &id);
	}
	if (!err)
		err = tracker_open(id, &daemon->tracker);
	if (!err)
		err = tracker_own(daemon->tracker);
	if (!err)
		return EXIT_OK;
	talk_error(err,
		   "the tracker that is pinned in %s cannot be taken over: %s; memtree daemon "
		   "--unload takes it away",
		   folder, strerror(-err));
	return talk_status(err, EXIT_FAILED);
}

static void on_end(evutil_socket_t signal_number, short what, void *context)
{
	(void)signal_number;
	(void)what;
	event_base_loopbreak(context);
}

static int loop_prepare(struct daemon *daemon)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};

	daemon->loop = event_base_new();
	if (!daemon->loop)
		return talk_error(-ENOMEM, "the event loop cannot be made");
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		daemon->signals[i] = evsignal_new(daemon->loop, ends[i], on_end, daemon->loop);
		if (!daemon->signals[i] || event_add(daemon->signals[i], NULL))
			return talk_error(-ENOMEM, "the event loop cannot be filled");
	}
	signal(SIGPIPE, SIG_IGN);
	if (guard_open(daemon->loop, daemon->tracker, MAX_KILLS, &daemon->guard))
		return talk_error(-ENOMEM, "the ring buffer cannot be read");
	return 0;
}

static int daemon_run(struct daemon *daemon, const char *folder)
{
	int status, err = folder_lock(daemon, folder);

	if (err)
		return talk_status(err, EXIT_FAILED);
	status = tracker_take(daemon, folder);
	if (status)
		return status;
	err = loop_prepare(daemon);
	if (err)
		return talk_status(err, EXIT_FAILED);
	talk_note("daemon: tracker %u, pinned in %s", daemon->tracker->id, folder);
	if (event_base_dispatch(daemon->loop) >= 0)
		return EXIT_OK;
	talk_error(0, "the event loop failed; the kernel goes on counting and stopping");
	return EXIT_FAILED;
}

static int daemon_unload(struct daemon *daemon, const char *folder)
{
	int count, err = folder_lock(daemon, folder);

	if (err)
		return talk_status(err, EXIT_FAILED);
	count = pins_remove(folder);
	if (count >= 0)
		return EXIT_OK;
	talk_error(count, "%s cannot be emptied: %s", folder, strerror(-count));
	return talk_status(count, EXIT_FAILED);
}

/* What is pinned stays. */
static void daemon_free(struct daemon *daemon)
{
	guard_close(daemon->guard);
	for (size_t i = 0; i < sizeof(daemon->signals) / sizeof(daemon->signals[0]); i++)
		if (daemon->signals[i])
			event_free(daemon->signals[i]);
	if (daemon->loop)
		event_base_free(daemon->loop);
	tracker_close(daemon->tracker);
	if (daemon->lock >= 0)
		close(daemon->lock);
	libevent_global_shutdown();
}

int command_daemon(int argc, char **argv)
{
	static const struct argp_child children[] = {{&options_common, 0, NULL, 0}, {0}};
	static const struct argp argp = {
		.options = table,
		.parser = parse,
		.doc = "Tracks and limits the trees of the whole node, for every run and add.",
		.children = children,
	};
	struct daemon daemon = {.lock = -1};
	struct options options = {};
	int status;

	options_parse(&argp, "daemon", argc, argv, &options);
	if (options.common.json)
		options_refuse("daemon", "--json is for the reading commands");
	status = options.unload ? daemon_unload(&daemon, PIN_FOLDER)
				: daemon_run(&daemon, PIN_FOLDER);
	daemon_free(&daemon);
	return status;
}
