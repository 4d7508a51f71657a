// SPDX-License-Identifier: GPL-2.0-only
/*
 * memtree rm: stops tracking a tree and leaves its processes alone. One inside another is
 * from then on a part of that one.
 */
#include <errno.h>
#include <string.h>

#include "commands.h"
#include "forget.h"
#include "node.h"
#include "options.h"
#include "talk.h"

struct options {
	struct common_options common;
	const char *name;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case ARGP_KEY_ARG:
		options_take("rm", &options->name, argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int command_rm(int argc, char **argv)
{
	static const struct argp_child children[] = {{&options_common, 0, NULL, 0}, {0}};
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "NAME",
		.doc = "Stops tracking a tree. Its processes run on; a tree inside another becomes "
		       "a part of that one.",
		.children = children,
	};
	const struct node_tracker *entry;
	struct options options = {};
	const struct tree *tree;
	struct node node;
	int status, err;

	options_parse(&argp, "rm", argc, argv, &options);
	if (!options.name)
		options_refuse("rm", "which tree?");
	if (options.common.json)
		options_refuse("rm", "--json is for the reading commands");
	status = node_read_tree(options.name, &node, &tree);
	if (status)
		return status;
	entry = &node.trackers[0];
	err = forget_remove(entry->tracker, &entry->model, tree);
	if (err) {
		talk_error(err, "tree %s cannot be removed: %s", tree->name, strerror(-err));
		status = talk_status(err, EXIT_FAILED);
	}
	node_free(&node);
	return status;
}
