// SPDX-License-Identifier: GPL-2.0-only
/*
 * memtree run: starts a command as the root of a new tree and waits for the tree's end.
 *
 * The child registers itself from inside the kernel before its exec, so that no page and
 * no fork of the command comes before the tracker knows it. Within a tracked tree the new
 * one is registered with that tree's tracker, and keeps it alive; otherwise an own one is
 * loaded. Nothing is pinned: the kernel drops it all with the last process that holds it.
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
#include <time.h>

#include "cleanup.h"
#include "commands.h"
#include "launch.h"
#include "loader.h"
#include "model.h"
#include "options.h"
#include "snapshot.h"
#include "talk.h"
#include "tracker.h"
#include "units.h"

/* Members watched at once while the tree outlives its root; any of them is enough. */
#define WATCHED_MAX 64
/* Between the last exit and the end of its teardown nothing can be waited for. */
#define TEARDOWN_RETRY_MS 5
/* A member that cannot be watched (of another pid namespace) is looked after instead. */
#define UNWATCHED_RETRY_MS 100

#define DEFAULT_WINDOW_NS 3000000000ULL /* YARN's monitoring interval */

struct options {
	struct common_options common;
	struct tree_request request;
	struct loader_options loader;
	const char *user;
	char **command;
};

struct run {
	const struct options *options;
	struct loader *loader; /* NULL within a tracked tree */
	struct tracker *tracker;
	struct tree_request request;
	uint32_t tree;
	struct launch launch;
	int root_status; /* as wait() gives it, once root_exited */
	bool root_exited, told;
	uint64_t started_ns;
	sigset_t signals_before;
	int signals;
	struct event_base *loop;
	struct event *signal_event, *timer;
	struct event *watches[WATCHED_MAX];
	int watched[WATCHED_MAX]; /* their pidfds */
	int watch_count;
};

enum {
	KEY_USER = 0x3000,
	KEY_CAPACITY,
};

static const struct argp_option table[] = {
	{"name", 'n', "NAME", 0, "The tree's name (default: COMM-PID)", 0},
	{"metric", 'm', "METRIC", 0,
	 "What is charged: rss (default), anon, anon+swap or anon+shmem+swap", 0},
	{"window", 'w', "TIME", 0,
	 "How long memory inherited at fork is exempt (default: 3s, at most 16s)", 0},
	{"user", KEY_USER, "NAME", 0, "Run the command as this user", 0},
	{"capacity", KEY_CAPACITY, "COUNT", 0, "Process slots of the tracker (default: 8192)", 0},
	OPTION_IS_PLANNED("limit", 'l', "SIZE"),
	OPTION_IS_PLANNED("group", 'g', "GROUP"),
	OPTION_IS_PLANNED("on-limit", OPTION_PLANNED, "ACTION"),
	OPTION_IS_PLANNED("grace", OPTION_PLANNED + 1, "TIME"),
	OPTION_IS_PLANNED("hard-factor", OPTION_PLANNED + 2, "FACTOR"),
	OPTION_IS_PLANNED("kill-scope", OPTION_PLANNED + 3, "SCOPE"),
	OPTION_IS_PLANNED("warn", OPTION_PLANNED + 4, "SHARE"),
	OPTION_IS_PLANNED("hook", OPTION_PLANNED + 5, "CMD"),
	OPTION_IS_PLANNED("hook-timeout", OPTION_PLANNED + 6, "TIME"),
	OPTION_IS_PLANNED("confirm", OPTION_PLANNED + 7, "HOW"),
	OPTION_IS_PLANNED("vmem-limit", OPTION_PLANNED + 8, "SIZE"),
	OPTION_IS_PLANNED("policy", OPTION_PLANNED + 9, "POLICY"),
	OPTION_IS_PLANNED("dry-run", OPTION_PLANNED + 10, NULL),
	OPTION_IS_PLANNED("kill-rest", OPTION_PLANNED + 11, NULL),
	{0},
};

static uint32_t metric_parse(const char *text)
{
	static const struct {
		const char *name;
		uint32_t metric;
	} metrics[] = {
		{"rss", MT_METRIC_RSS},
		{"anon", 1U << MT_ANON},
		{"anon+swap", 1U << MT_ANON | 1U << MT_SWAP},
		{"anon+shmem+swap", 1U << MT_ANON | 1U << MT_SHMEM | 1U << MT_SWAP},
	};

	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		if (!strcmp(text, metrics[i].name))
			return metrics[i].metric;
	options_refuse("run", "'%s' is no metric", text);
}

static void window_parse(const char *text, uint64_t *ret_ns)
{
	if (!units_parse_duration(text, ret_ns))
		options_refuse("run", "'%s' is no duration", text);
	if (*ret_ns > MT_WINDOW_MAX_NS)
		options_refuse("run", "a window of %s is too long, 16s is the most", text);
}

static void name_parse(const char *text, char *ret_name)
{
	if (!units_is_name(text))
		options_refuse("run", "'%.80s' is no name: 1 to 63 of A-Z a-z 0-9 . _ : -", text);
	strcpy(ret_name, text);
}

static const char *planned_name(int key)
{
	for (const struct argp_option *option = table; option->name; option++)
		if (option->key == key && option->flags & OPTION_HIDDEN)
			return option->name;
	return NULL;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	if (planned_name(key))
		options_refuse("run", "--%s is not built yet", planned_name(key));
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case 'n':
		name_parse(argument, options->request.name);
		return 0;
	case 'm':
		options->request.metric = metric_parse(argument);
		return 0;
	case 'w':
		window_parse(argument, &options->request.window_ns);
		return 0;
	case KEY_USER:
		options->user = argument;
		return 0;
	case KEY_CAPACITY:
		if (!units_parse_count(argument, &options->loader.process_capacity) ||
		    !options->loader.process_capacity || options->loader.process_capacity > 4194304)
			options_refuse("run", "'%s' is no capacity: 1 to 4194304", argument);
		return 0;
	case ARGP_KEY_ARG:
		options->command = &state->argv[state->next - 1];
		state->next = state->argc;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* COMM-PID, with what a name may not contain replaced. */
static void name_default(const char *command, pid_t pid, char ret_name[MT_NAME_SIZE])
{
	const char *base = strrchr(command, '/');

	snprintf(ret_name, MT_NAME_SIZE, "%.15s-%d", base ? base + 1 : command, (int)pid);
	for (char *c = ret_name; *c; c++) {
		char one[] = {*c, '\0'};

		if (!units_is_name(one))
			*c = '_';
	}
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The tracker of the innermost tree that memtree itself runs in, if any. */
static int tracker_enclosing(struct tracker **ret_tracker, uint32_t *ret_tree)
{
	struct tracker **trackers;
	int count, foreign;

	/* What is not permitted here is not permitted to the loader: it says so. */
	if (trackers_find(&trackers, &count, &foreign))
		return 0;
	for (int i = count - 1; i >= 0 && !*ret_tracker; i--) {
		*ret_tree = tracker_tree_of_self(trackers[i]);
		if (*ret_tree && !tracker_keep(trackers[i]))
			*ret_tracker = take_pointer(trackers[i]);
	}
	trackers_close(trackers, count);
	return 0;
}

static int tracker_prepare(struct run *run)
{
	int err;

	tracker_enclosing(&run->tracker, &run->request.parent);
	if (run->tracker && run->options->loader.process_capacity)
		return talk_error(-EINVAL, "--capacity is for a tracker of its own: this runs in a "
					   "tree that is tracked already");
	if (run->tracker)
		return 0;
	run->request.parent = 0;
	err = loader_start(&run->options->loader, &run->loader);
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
	int err;

	if (!run->request.name[0])
		name_default(run->options->command[0], run->launch.pid, run->request.name);
	err = tracker_tree_create(run->tracker, &run->request, &run->tree);
	if (err == -EEXIST)
		return talk_error(err, "a tree named %s exists already: choose another with -n",
				  run->request.name);
	if (err == -ELOOP)
		return talk_error(err, "trees lie at most %d deep in each other", MT_DEPTH);
	if (err == -ENOSPC)
		return talk_error(err, "the tracker has no free tree slot (capacity %u)",
				  run->tracker->header.tree_capacity);
	if (err)
		return talk_error(err, "the tree %s cannot be created: %s", run->request.name,
				  strerror(-err));
	return 0;
}

static void watches_drop(struct run *run)
{
	for (int i = 0; i < run->watch_count; i++) {
		event_free(run->watches[i]);
		close(run->watched[i]);
	}
	run->watch_count = 0;
}

static void on_member_exit(evutil_socket_t fd, short what, void *context);

static void watch(struct run *run, uint32_t tgid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)tgid, 0);
	struct event *event;

	if (pidfd < 0)
		return;
	event = event_new(run->loop, pidfd, EV_READ, on_member_exit, run);
	if (!event || event_add(event, NULL)) {
		if (event)
			event_free(event);
		close(pidfd);
		return;
	}
	run->watched[run->watch_count] = pidfd;
	run->watches[run->watch_count++] = event;
}

/* Watches members, any of whose exits may be the last. */
static int members_watch(struct run *run, unsigned int *ret_members)
{
	struct snapshot snapshot;
	struct model model;
	const struct tree *tree;
	bool watchable;
	int err = snapshot_read(run->tracker, &snapshot);

	if (err)
		return err;
	err = model_build(&snapshot, &model);
	snapshot_free(&snapshot);
	if (err)
		return err;
	*ret_members = 0;
	/* Pids in the maps are those of the initial namespace; in another they mean others. */
	tree = model_find(&model, run->tree);
	watchable = tree && tree->root_tgid == (uint32_t)run->launch.pid;
	for (size_t i = 0; i < model.process_count; i++) {
		const struct process *process = &model.processes[i];

		if (process->zombie || !model_is_inside(&model, process->tree, run->tree))
			continue;
		++*ret_members;
		if (watchable && run->watch_count < WATCHED_MAX)
			watch(run, process->tgid);
	}
	model_free(&model);
	return 0;
}

/*
 * After the root's exit: has the tree ended, and if not, whose exit is waited for? Runs
 * again at each exit; a member forked meanwhile is found then, as its parent was watched
 * or is followed by one that is.
 */
static void tree_follow(struct run *run)
{
	struct timeval retry = {.tv_usec = TEARDOWN_RETRY_MS * 1000};
	unsigned int members = 0;

	watches_drop(run);
	if (tracker_tree_holds(run->tracker, run->tree) <= 0) {
		event_base_loopbreak(run->loop);
		return;
	}
	members_watch(run, &members);
	if (members && !run->told) {
		run->told = true;
		talk_note("%s: the command has ended, %u of its processes remain: waiting for "
			  "them",
			  run->request.name, members);
	}
	if (run->watch_count)
		return;
	if (members)
		retry.tv_usec = UNWATCHED_RETRY_MS * 1000;
	event_add(run->timer, &retry);
}

static void on_member_exit(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	tree_follow(context);
}

static void root_reap(struct run *run)
{
	if (run->root_exited || waitpid(run->launch.pid, &run->root_status, WNOHANG) <= 0)
		return;
	run->root_exited = true;
	tree_follow(run);
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
	run->timer = evtimer_new(run->loop, on_member_exit, run);
	if (!run->signal_event || !run->timer || event_add(run->signal_event, NULL))
		return talk_error(-ENOMEM, "the event loop cannot be filled");
	return 0;
}

static void losses_tell(const struct run *run)
{
	uint64_t losses[MT_LOSSES];

	if (!run->loader || tracker_losses(run->tracker, losses))
		return;
	for (int loss = 0; loss < MT_LOSSES; loss++)
		if (losses[loss])
			talk_note("%s: lost %llu events: %s (%u process slots, see --capacity)",
				  run->request.name, (unsigned long long)losses[loss],
				  loss_name((enum mt_loss)loss),
				  run->tracker->header.process_capacity);
}

static void summary_tell(const struct run *run)
{
	char peak[UNITS_SIZE_TEXT], when[UNITS_TIME_TEXT];
	struct snapshot snapshot;
	struct model model;
	const struct tree *tree;

	if (talk_level < TALK_VERBOSE || snapshot_read(run->tracker, &snapshot))
		return;
	if (!model_build(&snapshot, &model)) {
		tree = model_find(&model, run->tree);
		if (tree)
			talk_detail("%s: ended after %.3f s; peak %s charged at %s; "
				    "processes %llu, bytes left %lld",
				    tree->name, (double)(clock_ns() - run->started_ns) / 1e9,
				    units_format_size(tree->peak, peak),
				    units_format_time(tree->peak_real_ns, when),
				    (unsigned long long)tree->forks, (long long)tree->charged);
		model_free(&model);
	}
	snapshot_free(&snapshot);
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
	run->started_ns = clock_ns();
	err = launch_go(&run->launch, run->tree, run->options->command[0]);
	if (err)
		return err;
	if (event_base_dispatch(run->loop) < 0 || !run->root_exited) {
		talk_error(0, "the event loop failed: %s runs on, untracked", run->request.name);
		return EXIT_RUN_FAILED;
	}
	summary_tell(run);
	losses_tell(run);
	return run_status(run);
}

static void run_free(struct run *run)
{
	watches_drop(run);
	if (run->signal_event)
		event_free(run->signal_event);
	if (run->timer)
		event_free(run->timer);
	if (run->loop)
		event_base_free(run->loop);
	if (run->signals >= 0)
		close(run->signals);
	launch_free(&run->launch);
	/* A tree that is left alive keeps its slot; the tracker's next user frees it. */
	if (run->tree && tracker_tree_holds(run->tracker, run->tree) == 0)
		tracker_tree_remove(run->tracker, run->tree);
	tracker_close(run->tracker);
	loader_stop(run->loader);
	libevent_global_shutdown();
}

int command_run(int argc, char **argv)
{
	static const struct argp_child children[] = {{&options_common, 0, NULL, 0}, {0}};
	static const struct argp argp = {
		.options = table,
		.parser = parse,
		.args_doc = "-- CMD [ARG...]",
		.doc = "Runs a command as a new tree and returns its status when the tree ends.",
		.children = children,
	};
	struct options options = {
		.request = {.metric = MT_METRIC_RSS, .window_ns = DEFAULT_WINDOW_NS},
	};
	struct run run = {.options = &options, .signals = -1, .launch = LAUNCH_NONE};
	int status;

	options_parse(&argp, "run", argc, argv, &options);
	if (!options.command)
		options_refuse("run", "which command?");
	if (options.common.json)
		options_refuse("run", "--json is for the reading commands");
	run.request = options.request;
	status = run_tree(&run);
	run_free(&run);
	return status;
}
