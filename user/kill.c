// SPDX-License-Identifier: GPL-2.0-only
/* memtree kill: ends every process of a tree, and reports. */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "commands.h"
#include "json.h"
#include "killing.h"
#include "node.h"
#include "options.h"
#include "talk.h"
#include "units.h"

#define ROUND_MS 2
#define DEADLINE_MS 10000

enum { KEY_SIGNAL = 0x4000 };

static const struct argp_option table[] = {
	{"signal", KEY_SIGNAL, "SIG", 0,
	 "Send this one once to every process (default: KILL, until none is left)", 0},
	{0},
};

struct options {
	struct common_options common;
	const char *name;
	int signal;
};

/* What was done. */
struct outcome {
	unsigned int processes; /* that a signal reached in one round, at most */
	unsigned int left;
	int64_t charged; /* before */
	uint64_t took_ns;
};

/* "TERM", "SIGTERM" or "15". */
static int signal_parse(const char *text)
{
	const char *name = strncmp(text, "SIG", 3) ? text : text + 3;
	char *end;
	long number = strtol(text, &end, 10);

	if (isdigit((unsigned char)text[0]) && !*end && number > 0 && number < NSIG)
		return (int)number;
	for (int i = 1; i < NSIG; i++)
		if (sigabbrev_np(i) && !strcmp(sigabbrev_np(i), name))
			return i;
	options_refuse("kill", "'%s' is no signal", text);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case KEY_SIGNAL:
		options->signal = signal_parse(argument);
		return 0;
	case ARGP_KEY_ARG:
		options_take("kill", &options->name, argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* One look, and the signal to all who live then. Negative errno. */
static int round_run(const struct tracker *tracker, uint32_t id, int signal,
		     struct outcome *outcome)
{
	unsigned int reached = 0;
	int err = killing_round(tracker, id, signal, &reached, &outcome->left);

	/* Who has not died yet is sent it again, and is not counted again. */
	if (reached > outcome->processes)
		outcome->processes = reached;
	return err;
}

/* Until nobody is left: a newborn of one round dies in the next. */
static int tree_end(const struct tracker *tracker, const struct tree *tree, struct outcome *outcome)
{
	const struct timespec pause = {.tv_nsec = ROUND_MS * 1000000};
	int err = 0;

	killing_doom(tracker, tree->id);
	for (int i = 0; i < DEADLINE_MS / ROUND_MS && !err; i++) {
		err = round_run(tracker, tree->id, SIGKILL, outcome);
		if (!outcome->left)
			break;
		nanosleep(&pause, NULL);
	}
	return err;
}

static int report(const struct tree *tree, const struct options *options,
		  const struct outcome *outcome)
{
	char charged[UNITS_SIZE_TEXT];

	if (options->common.json)
		return json_document_print(json_pack(
			"{s:s, s:i, s:I, s:I, s:I, s:I}", "name", tree->name, "signal",
			options->signal, "processes", (json_int_t)outcome->processes, "left",
			(json_int_t)outcome->left, "charged", (json_int_t)outcome->charged,
			"took_ns", (json_int_t)outcome->took_ns));
	printf("%s: SIG%s to %u processes, %u left; charged %s before; %.1f ms\n", tree->name,
	       sigabbrev_np(options->signal) ? sigabbrev_np(options->signal) : "?",
	       outcome->processes, outcome->left, units_format_size(outcome->charged, charged),
	       (double)outcome->took_ns / 1e6);
	return EXIT_OK;
}

static int tree_kill(const struct tracker *tracker, const struct tree *tree,
		     const struct options *options)
{
	struct outcome outcome = {.charged = tree->charged, .left = tree->processes};
	uint64_t begun_ns = clock_ns(CLOCK_MONOTONIC);
	int err, status;

	if (options->signal == SIGKILL)
		err = tree_end(tracker, tree, &outcome);
	else
		err = round_run(tracker, tree->id, options->signal, &outcome);
	outcome.took_ns = clock_ns(CLOCK_MONOTONIC) - begun_ns;
	if (err) {
		talk_error(err, "tree %s cannot be read: %s", tree->name, strerror(-err));
		return talk_status(err, EXIT_FAILED);
	}
	status = report(tree, options, &outcome);
	if (status || options->signal != SIGKILL || !outcome.left)
		return status;
	talk_error(0, "%u processes of %s did not end: see memtree tree %s", outcome.left,
		   tree->name, tree->name);
	return EXIT_FAILED;
}

/* It would die in the middle of its work. */
static bool is_member_self(const struct node_tracker *entry, const struct tree *tree)
{
	return model_is_inside(&entry->model, tracker_tree_of_self(entry->tracker), tree->id);
}

int command_kill(int argc, char **argv)
{
	static const struct argp_child children[] = {{&options_common, 0, NULL, 0}, {0}};
	static const struct argp argp = {
		.options = table,
		.parser = parse,
		.args_doc = "NAME",
		.doc = "Ends every process of a tree, those of the trees inside it too.",
		.children = children,
	};
	struct options options = {.signal = SIGKILL};
	const struct node_tracker *entry;
	const struct tree *tree;
	struct node node;
	int status;

	options_parse(&argp, "kill", argc, argv, &options);
	if (!options.name)
		options_refuse("kill", "which tree?");
	status = node_read_tree(options.name, &node, &tree);
	if (status)
		return status;
	entry = &node.trackers[0];
	if (is_member_self(entry, tree)) {
		talk_error(0, "this memtree runs inside %s: kill it from outside", tree->name);
		status = EXIT_FAILED;
	}
	if (!status)
		status = tree_kill(entry->tracker, tree, &options);
	node_free(&node);
	return status;
}
