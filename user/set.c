// SPDX-License-Identifier: GPL-2.0-only
/* memtree set: changes a live tree. */
#include "commands.h"
#include "node.h"
#include "options.h"
#include "request.h"
#include "talk.h"

struct options {
	struct common_options common;
	const char *tree; /* which */
	struct change_options change;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->change;
		state->child_inputs[1] = &options->common;
		return 0;
	case ARGP_KEY_ARG:
		options_take("set", &options->tree, argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int tree_change(struct tracker *tracker, const struct tree *tree,
		       const struct options *options)
{
	const struct change change = {tree->id, tree->name, tree->metric, &tree->policy};
	struct refusal why;
	int err = request_change(tracker, &change, &options->change, &why);

	if (!err)
		return EXIT_OK;
	if (why.status == EXIT_USAGE)
		options_refuse("set", "%s", why.text);
	talk_error(err, "%s", why.text);
	return why.status;
}

int command_set(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{&request_changes, 0, NULL, 0}, {&options_common, 0, NULL, 0}, {0}};
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "NAME",
		.doc = "Changes a live tree.",
		.children = children,
	};
	struct options options = {};
	const struct tree *tree;
	struct node node;
	int status;

	options_parse(&argp, "set", argc, argv, &options);
	if (!options.tree)
		options_refuse("set", "which tree?");
	if (!request_changes_any(&options.change))
		options_refuse("set", "what is to change? -n, -w, -l, ...");
	if (options.common.json)
		options_refuse("set", "--json is for the reading commands");
	status = node_read_tree(options.tree, &node, &tree);
	if (status)
		return status;
	status = tree_change(node.trackers[0].tracker, tree, &options);
	node_free(&node);
	return status;
}
