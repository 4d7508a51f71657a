// SPDX-License-Identifier: GPL-2.0-only
/* memtree kill: ends every process of a tree, and reports. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "json.h"
#include "killing.h"
#include "node.h"
#include "options.h"
#include "talk.h"
#include "units.h"

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

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case KEY_SIGNAL:
		if (!units_parse_signal(argument, &options->signal))
			options_refuse("kill", "'%.80s' is no signal", argument);
		return 0;
	case ARGP_KEY_ARG:
		options_take("kill", &options->name, argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int report(const struct tree *tree, const struct options *options,
		  const struct killing_outcome *outcome)
{
	char charged[UNITS_SIZE_TEXT];

	if (options->common.json)
		return json_document_print(
			killing_json(tree->name, options->signal, tree->charged, outcome));
	printf("%s: SIG%s to %u processes, %u left; charged %s before; %.1f ms\n", tree->name,
	       sigabbrev_np(options->signal) ? sigabbrev_np(options->signal) : "?",
	       outcome->processes, outcome->left, units_format_size(tree->charged, charged),
	       (double)outcome->took_ns / 1e6);
	return EXIT_OK;
}

static int tree_kill(const struct tracker *tracker, const struct tree *tree,
		     const struct options *options)
{
	struct killing_outcome outcome;
	int err = killing_run(tracker, tree->id, options->signal, &outcome), status;

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
