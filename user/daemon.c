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
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "carry.h"
#include "cleanup.h"
#include "clock.h"
#include "commands.h"
#include "config.h"
#include "guard.h"
#include "loader.h"
#include "notify.h"
#include "options.h"
#include "pins.h"
#include "store.h"
#include "talk.h"
#include "tracker.h"
#include "units.h"

struct options {
	struct common_options common;
	const char *config;
	bool check, unload;
};

struct daemon {
	const struct options *options;
	struct config config;
	int lock; /* of the folder of pins */
	struct tracker *tracker;
	struct store *store;
	struct event_base *loop;
	struct event *signals[4];
	struct guard *guard;
};

enum { KEY_CONFIG = 0x3100, KEY_CHECK, KEY_UNLOAD };

static const struct argp_option table[] = {
	{"config", KEY_CONFIG, "FILE", 0, "Instead of " CONFIG_FILE, 0},
	{"check", KEY_CHECK, NULL, 0, "Is the configuration right? With -v prints all of it", 0},
	{"unload", KEY_UNLOAD, NULL, 0,
	 "Take the tracker out of the kernel, with all it knows; no daemon may run", 0},
	{0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case KEY_CONFIG:
		options->config = argument;
		return 0;
	case KEY_CHECK:
		options->check = true;
		return 0;
	case KEY_UNLOAD:
		options->unload = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* --- the configuration ------------------------------------------------------------------- */

static const char *service(void)
{
	return getenv("NOTIFY_SOCKET");
}

static int configuration_read(const struct options *options, struct config *ret_config,
			      char why[CONFIG_WHY])
{
	return config_read(options->config ?: CONFIG_FILE, options->config != NULL, ret_config,
			   why);
}

/* Local groups only, for the reason in launch.c. `ret_gid` is 0, root's own, where none is named. */
static int group_find(const char *name, gid_t *ret_gid)
{
	FILE *file = name[0] ? fopen("/etc/group", "re") : NULL;
	const struct group *group;
	uint32_t number = 0;
	bool found = !name[0] || units_parse_count(name, &number);

	*ret_gid = number;
	while (file && !found && (group = fgetgrent(file))) {
		found = !strcmp(group->gr_name, name);
		*ret_gid = group->gr_gid;
	}
	if (file)
		fclose(file);
	return found ? 0
		     : talk_error(-ENOENT,
				  "there is no local group '%s' (configuration, group): name one "
				  "of /etc/group, or a number",
				  name);
}

/* An error keeps what is in force. */
static void reload(struct daemon *daemon)
{
	struct config config = daemon->config;
	char why[CONFIG_WHY];
	const char *fixed;

	notify_reloading(service(), clock_ns(CLOCK_MONOTONIC));
	if (configuration_read(daemon->options, &config, why)) {
		talk_error(0, "%s: what was in force stays", why);
	} else {
		fixed = config_fixed(&daemon->config, &config);
		if (fixed)
			talk_note("daemon: %s holds from the next start on", fixed);
		daemon->config.max_kills = config.max_kills;
		daemon->config.log_bytes = config.log_bytes;
		daemon->config.tree = config.tree;
		guard_set_max_kills(daemon->guard, config.max_kills);
		store_resize(daemon->store, config.log_bytes);
		talk_note("daemon: the configuration was taken up");
	}
	notify_ready(service());
}

/* --- the tracker --------------------------------------------------------------------------- */

static int folder_lock(struct daemon *daemon)
{
	const char *folder = daemon->config.pin_folder;
	int err = pins_lock(folder, &daemon->lock);

	if (err == -EBUSY)
		return talk_error(err, "a daemon is running: it has %s", folder);
	if (err == -EPERM)
		return talk_error(
			err, "%s is not root's alone: take it away (chown and chmod, or rmdir)",
			folder);
	if (err == -ENODEV)
		return talk_error(
			err,
			"%s is not in a BPF file system: mount one (mount -t bpf -o mode=0700 bpf "
			"/sys/fs/bpf)",
			folder);
	if (err)
		return talk_error(err, "nothing can be pinned in %s: %s", folder, strerror(-err));
	return 0;
}

/* In a process of its own. Returns its exit status; what failed is said. */
static int tracker_load(const struct config *config)
{
	const struct loader_options options = {.process_capacity = config->processes,
					       .tree_capacity = config->trees,
					       .pinned = true};
	const char *folder = config->pin_folder;
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

/* Likewise. What cannot be carried over goes on where it is. */
static int trees_carry(const struct config *config)
{
	const char *folder = config->pin_folder;
	char name[PINS_LAYOUT], path[CONFIG_PATH + PINS_LAYOUT];
	struct tracker *tracker;
	uint32_t id;
	int count, err = pins_find(folder, &id);

	if (!err)
		err = tracker_open(id, &tracker);
	while (!err && !pins_find_other(folder, name)) {
		snprintf(path, sizeof(path), "%s/%s", folder, name);
		count = carry_over(path, tracker);
		err = count < 0 ? count : pins_remove_layout(folder, name);
		if (!err)
			talk_note("daemon: %d trees were carried over from %s", count, path);
	}
	if (!err)
		return EXIT_OK;
	talk_error(err,
		   "not all trees could be carried over from the tracker of another build: %s; "
		   "they go on there, and the next start tries again",
		   strerror(-err));
	return EXIT_FAILED;
}

/* Its memory goes with the child. Returns an exit status. */
static int in_child(const struct config *config, int (*work)(const struct config *config))
{
	pid_t child, parent = getpid();
	int status = 0, waited;

	fflush(NULL);
	child = fork();
	if (child < 0) {
		talk_error(0, "no child can be started: %s", strerror(errno));
		return EXIT_FAILED;
	}
	/* Without a word to the links: one that libbpf takes back is switched off. */
	if (!child) {
		/* It has the lock, too. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(getppid() == parent ? work(config) : EXIT_FAILED);
	}
	do
		waited = waitpid(child, &status, 0);
	while (waited < 0 && errno == EINTR);
	if (waited == child && WIFEXITED(status))
		return WEXITSTATUS(status);
	talk_error(0, "loading the tracker was ended by signal %d: start the daemon again",
		   WTERMSIG(status));
	return EXIT_FAILED;
}

/* Two of them would share out the node's trees, and one would have no guard. */
static bool is_pinned_elsewhere(void)
{
	struct tracker **trackers, *pinned;
	uint32_t id = 0;
	int count, foreign;

	if (trackers_find(&trackers, &count, &foreign))
		return false;
	pinned = trackers_take_pinned(trackers, count);
	if (pinned)
		id = pinned->id;
	tracker_close(pinned);
	trackers_close(trackers, count);
	if (pinned)
		talk_error(0,
			   "tracker %u is pinned already, in another folder: use that "
			   "configuration, or memtree daemon --unload with it",
			   id);
	return pinned != NULL;
}

/* Returns an exit status. */
static int tracker_take(struct daemon *daemon)
{
	const char *folder = daemon->config.pin_folder;
	char other[PINS_LAYOUT];
	int status, err;
	uint32_t id;

	err = pins_find(folder, &id);
	if (err == -ENOENT) {
		if (is_pinned_elsewhere())
			return EXIT_FAILED;
		status = in_child(&daemon->config, tracker_load);
		if (status)
			return status;
		err = pins_find(folder, &id);
	}
	if (!err && !pins_find_other(folder, other))
		in_child(&daemon->config, trees_carry);
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

/* --- service ------------------------------------------------------------------------------- */

static void on_signal(evutil_socket_t signal_number, short what, void *context)
{
	struct daemon *daemon = context;

	(void)what;
	if (signal_number == SIGHUP)
		reload(daemon);
	else
		event_base_loopbreak(daemon->loop);
}

static int loop_prepare(struct daemon *daemon)
{
	static const int taken[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP};

	daemon->loop = event_base_new();
	if (!daemon->loop)
		return talk_error(-ENOMEM, "the event loop cannot be made");
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		daemon->signals[i] = evsignal_new(daemon->loop, taken[i], on_signal, daemon);
		if (!daemon->signals[i] || event_add(daemon->signals[i], NULL))
			return talk_error(-ENOMEM, "the event loop cannot be filled");
	}
	signal(SIGPIPE, SIG_IGN);
	if (store_open(daemon->config.log, daemon->config.log_bytes, &daemon->store))
		return talk_error(-ENOMEM, "out of memory");
	if (guard_open(daemon->loop, daemon->tracker, daemon->config.max_kills, daemon->store,
		       &daemon->guard))
		return talk_error(-ENOMEM, "the ring buffer cannot be read");
	return 0;
}

static int socket_open(struct daemon *daemon, gid_t gid)
{
	struct refusal why;
	int err = guard_listen(daemon->guard, daemon->config.socket, gid, &daemon->config.tree,
			       &why);

	return err ? talk_error(err, "%s", why.text) : 0;
}

static int daemon_run(struct daemon *daemon)
{
	gid_t gid;
	int status, err;

	/* A parent that ignores it would have the children reaped unseen. */
	signal(SIGCHLD, SIG_DFL);
	/* Before anything is loaded: nobody would guard it. */
	err = group_find(daemon->config.group, &gid);
	if (!err)
		err = folder_lock(daemon);
	if (err)
		return talk_status(err, EXIT_FAILED);
	status = tracker_take(daemon);
	if (status)
		return status;
	err = loop_prepare(daemon);
	if (!err)
		err = socket_open(daemon, gid);
	if (err)
		return talk_status(err, EXIT_FAILED);
	talk_note("daemon: tracker %u, pinned in %s, asked at %s", daemon->tracker->id,
		  daemon->config.pin_folder, daemon->config.socket);
	notify_ready(service());
	err = event_base_dispatch(daemon->loop);
	notify_stopping(service());
	if (err >= 0)
		return EXIT_OK;
	talk_error(0, "the event loop failed; the kernel goes on counting and stopping");
	return EXIT_FAILED;
}

static int daemon_unload(struct daemon *daemon)
{
	const char *folder = daemon->config.pin_folder;
	int count, err = folder_lock(daemon);

	if (err)
		return talk_status(err, EXIT_FAILED);
	count = pins_remove(folder);
	if (count >= 0)
		return EXIT_OK;
	talk_error(count, "%s cannot be emptied: %s", folder, strerror(-count));
	return talk_status(count, EXIT_FAILED);
}

static int daemon_check(const struct daemon *daemon)
{
	gid_t gid;
	int err;

	if (group_find(daemon->config.group, &gid))
		return EXIT_USAGE;
	err = talk_level >= TALK_VERBOSE ? config_print(&daemon->config, stdout) : 0;
	return err ? talk_status(talk_error(err, "stdout cannot be written: %s", strerror(-err)),
				 EXIT_FAILED)
		   : EXIT_OK;
}

/* What is pinned stays. */
static void daemon_free(struct daemon *daemon)
{
	guard_close(daemon->guard);
	store_close(daemon->store);
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
	struct options options = {};
	struct daemon daemon = {.options = &options, .lock = -1};
	char why[CONFIG_WHY];
	int status;

	options_parse(&argp, "daemon", argc, argv, &options);
	talk_never_waits = !options.check && !options.unload;
	if (options.common.json)
		options_refuse("daemon", "--json is for the reading commands");
	if (options.check && options.unload)
		options_refuse("daemon", "--check or --unload?");
	if (configuration_read(&options, &daemon.config, why)) {
		talk_error(0, "%s", why);
		return EXIT_USAGE;
	}
	status = options.check	  ? daemon_check(&daemon)
		 : options.unload ? daemon_unload(&daemon)
				  : daemon_run(&daemon);
	daemon_free(&daemon);
	return status;
}
