// SPDX-License-Identifier: GPL-2.0-only
/*
 * memtree run: starts a command as the root of a new tree and waits for the tree's end.
 *
 * The child registers itself from inside the kernel before its exec, so that no page and
 * no fork of the command comes before the tracker knows it. Within a tracked tree the new
 * one is registered with that tree's tracker, and keeps it alive; else with the daemon's, if
 * there is one; otherwise an own one is loaded. That is not pinned: the kernel drops it all with
 * the last process that holds it.
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "clock.h"
#include "commands.h"
#include "follow.h"
#include "guard.h"
#include "killing.h"
#include "launch.h"
#include "loader.h"
#include "options.h"
#include "registry.h"
#include "request.h"
#include "summary.h"
#include "talk.h"
#include "tracker.h"

struct options {
	struct common_options common;
	struct tree_options tree;
	const char *user;
	bool kill_rest;
	char **command;
};

struct run {
	const struct options *options;
	struct loader *loader; /* NULL: the tracker is another memtree's */
	struct tracker *tracker;
	struct tree_request request;
	uint32_t tree;
	struct launch launch;
	int root_status; /* as wait() gives it, once root_exited */
	bool root_exited;
	uint64_t started_ns;
	sigset_t signals_before;
	int signals;
	struct event_base *loop;
	struct event *signal_event;
	struct follow follow;
	struct guard *guard; /* of a tracker of our own */
	struct event *rest_timer;
};

#define REST_ROUND_MS 5

enum { KEY_USER = 0x3000, KEY_KILL_REST };

static const struct argp_option table[] = {
	{"user", KEY_USER, "NAME", 0, "Run the command as this user", 0},
	{"kill-rest", KEY_KILL_REST, NULL, 0, "End what remains when the command has ended", 0},
	{0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->tree;
		state->child_inputs[1] = &options->common;
		return 0;
	case KEY_USER:
		options->user = argument;
		return 0;
	case KEY_KILL_REST:
		options->kill_rest = true;
		return 0;
	case ARGP_KEY_ARG:
		options->command = &state->argv[state->next - 1];
		state->next = state->argc;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The tracker of the innermost tree that memtree itself runs in, else the daemon's, if any. */
static void tracker_share(struct tracker **ret_tracker, uint32_t *ret_tree)
{
	struct tracker **trackers;
	int count, foreign;

	/* What is not permitted here is not permitted to the loader: it says so. */
	if (trackers_find(&trackers, &count, &foreign))
		return;
	for (int i = count - 1; i >= 0 && !*ret_tracker; i--) {
		*ret_tree = tracker_tree_of_self(trackers[i]);
		if (*ret_tree && (trackers[i]->header.pinned || !tracker_keep(trackers[i])))
			*ret_tracker = take_pointer(trackers[i]);
	}
	if (!*ret_tracker) {
		*ret_tree = 0;
		*ret_tracker = trackers_take_pinned(trackers, count);
	}
	trackers_close(trackers, count);
}

static int tracker_prepare(struct run *run)
{
	struct refusal why;
	int err;

	tracker_share(&run->tracker, &run->request.parent);
	if (run->tracker) {
		err = request_check_shared(&run->options->tree, &why);
		return err ? talk_error(err, "%s", why.text) : 0;
	}
	err = loader_start(&run->options->tree.loader, &run->loader);
	if (err)
		return err;
	err = tracker_open(loader_tracker_id(run->loader), &run->tracker);
	if (err)
		return talk_error(err, "the tracker that was just loaded cannot be opened: %s",
				  strerror(-err));
	return 0;
}

static int tree_prepare(struct run *run)
{
	const char *command = run->options->command[0], *base = strrchr(command, '/');
	struct refusal why;
	int err;

	if (!run->request.name[0])
		request_name(&run->request, base ? base + 1 : command, run->launch.pid);
	err = request_open(run->tracker, &run->request, &run->tree, &why);
	return err ? talk_error(err, "%s", why.text) : 0;
}

static void on_rest(evutil_socket_t fd, short what, void *context);

/* Again and again until the tree has ended: a newborn may not have been there before. */
static void rest_end(struct run *run)
{
	const struct timeval pause = {.tv_usec = REST_ROUND_MS * 1000};
	unsigned int reached, left;

	killing_doom(run->tracker, run->tree);
	if (killing_round(run->tracker, run->tree, SIGKILL, &reached, &left) || !left)
		return;
	if (!run->rest_timer)
		run->rest_timer = evtimer_new(run->loop, on_rest, run);
	if (run->rest_timer)
		event_add(run->rest_timer, &pause);
}

static void on_rest(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	rest_end(context);
}

static void root_reap(struct run *run)
{
	if (run->root_exited || waitpid(run->launch.pid, &run->root_status, WNOHANG) <= 0)
		return;
	run->root_exited = true;
	run->follow.tree = run->tree;
	run->follow.root = run->launch.pid;
	follow_look(&run->follow);
	if (run->follow.lost || !run->follow.members)
		return;
	talk_note("%s: the command has ended, %u of its processes remain: %s", run->request.name,
		  run->follow.members,
		  run->options->kill_rest ? "they are ended" : "waiting for them");
	if (run->options->kill_rest)
		rest_end(run);
}

/*
 * A signal from the terminal reaches the command by itself, as it is in the same
 * foreground group; one that somebody sent to memtree is passed on. Once the root is
 * gone, either ends the waiting.
 */
static void signal_pass(struct run *run, const struct signalfd_siginfo *info)
{
	/* Of our own making: a note to a stderr that nobody reads. */
	if (info->ssi_signo == SIGPIPE)
		return;
	if (run->root_exited) {
		event_base_loopbreak(run->loop);
		return;
	}
	if (info->ssi_code > 0)
		return;
	if (syscall(SYS_pidfd_send_signal, run->launch.pidfd, (int)info->ssi_signo, NULL, 0))
		talk_note("signal %u cannot be passed on to the command: %s", info->ssi_signo,
			  strerror(errno));
}

static void on_signal(evutil_socket_t fd, short what, void *context)
{
	struct signalfd_siginfo info;
	struct run *run = context;

	(void)what;
	while (read(fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			root_reap(run);
		else
			signal_pass(run, &info);
	}
}

/* As under nohup: what was ignored stays so, for the command too. */
static bool is_ignored(int signal_number)
{
	struct sigaction action;

	return !sigaction(signal_number, NULL, &action) && action.sa_handler == SIG_IGN;
}

/* Before the fork, so that no signal is missed; the child takes the old mask back. */
static int signals_take(struct run *run)
{
	static const int taken[] = {SIGCHLD, SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,
				    SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (!is_ignored(taken[i]) || taken[i] == SIGCHLD)
			sigaddset(&set, taken[i]);
	sigprocmask(SIG_BLOCK, &set, &run->signals_before);
	/* A parent that ignores SIGCHLD would take the command's status from us. */
	signal(SIGCHLD, SIG_DFL);
	run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (run->signals < 0)
		return talk_error(-errno, "signals cannot be received: %s", strerror(errno));
	return 0;
}

/* Before the command is let go: afterwards nothing may fail any more. */
static int loop_prepare(struct run *run)
{
	run->loop = event_base_new();
	if (!run->loop)
		return talk_error(-ENOMEM, "the event loop cannot be made");
	run->signal_event = event_new(run->loop, run->signals, EV_READ | EV_PERSIST, on_signal,
				      run);
	if (!run->signal_event || event_add(run->signal_event, NULL) ||
	    follow_open(&run->follow, run->loop, run->tracker))
		return talk_error(-ENOMEM, "the event loop cannot be filled");
	if (run->loader &&
	    guard_open(run->loop, run->tracker, run->options->tree.max_kills, NULL, &run->guard))
		return talk_error(-ENOMEM, "the ring buffer cannot be read");
	return 0;
}

static int run_status(const struct run *run)
{
	if (WIFSIGNALED(run->root_status))
		return 128 + WTERMSIG(run->root_status);
	return WEXITSTATUS(run->root_status);
}

/* Returns the exit status. */
static int run_tree(struct run *run)
{
	int err = tracker_prepare(run);

	if (!err)
		err = signals_take(run);
	if (!err)
		err = launch_fork(run->tracker, run->options->user, run->options->command,
				  &run->signals_before, &run->launch);
	if (!err)
		err = loop_prepare(run);
	if (!err)
		err = tree_prepare(run);
	if (err)
		return talk_status(err, EXIT_RUN_FAILED);
	run->started_ns = clock_ns(CLOCK_MONOTONIC);
	err = launch_go(&run->launch, run->tree, run->options->command[0]);
	if (err)
		return err;
	if (event_base_dispatch(run->loop) < 0 || !run->root_exited) {
		talk_error(0, "the event loop failed: %s runs on, untracked", run->request.name);
		return EXIT_RUN_FAILED;
	}
	if (run->follow.lost)
		talk_note("%s: its tracker was unloaded: what it has started runs on, untracked",
			  run->request.name);
	summary_tell(run->tracker, run->tree, run->started_ns);
	if (run->loader)
		summary_tell_losses(run->tracker, run->request.name);
	else if (run->tracker->header.pinned && WIFSIGNALED(run->root_status))
		summary_tell_verdicts(run->tracker, run->tree, run->request.name);
	return run_status(run);
}

static void run_free(struct run *run)
{
	guard_close(run->guard);
	if (run->rest_timer)
		event_free(run->rest_timer);
	follow_close(&run->follow);
	if (run->signal_event)
		event_free(run->signal_event);
	if (run->loop)
		event_base_free(run->loop);
	if (run->signals >= 0)
		close(run->signals);
	launch_free(&run->launch);
	/* A tree that is left alive keeps its slot; the tracker's next user frees it, or its daemon. */
	if (run->tree && registry_holds(run->tracker, run->tree) == 0)
		registry_close(run->tracker, run->tree);
	else if (run->tree && run->tracker->header.pinned)
		registry_disown(run->tracker, run->tree);
	tracker_close(run->tracker);
	loader_stop(run->loader);
	libevent_global_shutdown();
}

int command_run(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{&request_options, 0, NULL, 0}, {&options_common, 0, NULL, 0}, {0}};
	static const struct argp argp = {
		.options = table,
		.parser = parse,
		.args_doc = "-- CMD [ARG...]",
		.doc = "Runs a command as a new tree and returns its status when the tree ends.",
		.children = children,
	};
	struct options options = {
		.tree = TREE_OPTIONS_DEFAULT,
	};
	struct run run = {.options = &options, .signals = -1, .launch = LAUNCH_NONE};
	int status;

	options.tree.base = request_base("run");
	options_parse(&argp, "run", argc, argv, &options);
	if (!options.command)
		options_refuse("run", "which command?");
	if (options.common.json)
		options_refuse("run", "--json is for the reading commands");
	run.request = options.tree.request;
	status = run_tree(&run);
	run_free(&run);
	return status;
}
