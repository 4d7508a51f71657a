// SPDX-License-Identifier: GPL-2.0-only
/* memtree set: changes a live tree. */
#include <errno.h>
#include <string.h>

#include "commands.h"
#include "limit.h"
#include "node.h"
#include "options.h"
#include "registry.h"
#include "request.h"
#include "talk.h"

struct options {
	struct common_options common;
	const char *tree;	 /* which */
	char name[MT_NAME_SIZE]; /* empty: stays */
	uint64_t window_ns;
	bool has_window;
	struct limit_options limit;
};

static const struct argp_option table[] = {
	{"name", 'n', "NAME", 0, "The tree's new name", 0},
	{"window", 'w', "TIME", 0, "How long memory inherited at later forks is exempt", 0},
	{0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->limit;
		state->child_inputs[1] = &options->common;
		return 0;
	case 'n':
		request_parse_name("set", argument, options->name);
		return 0;
	case 'w':
		options->window_ns = request_parse_window("set", argument);
		options->has_window = true;
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
	int err = 0;

	if (options->name[0] && strcmp(options->name, tree->name))
		err = registry_rename(tracker, tree->id, options->name);
	if (!err && options->has_window)
		err = registry_window(tracker, tree->id, options->window_ns);
	if (!err && limit_said(&options->limit)) {
		struct mt_policy policy = tree->policy;

		limit_apply("set", &options->limit, &policy);
		if (policy.rule == MT_RULE_YARN && tree->metric != MT_METRIC_RSS)
			options_refuse("set", "--policy yarn counts rss, and %s does not",
				       tree->name);
		err = registry_policy(tracker, tree->id, &policy);
	}
	if (!err)
		return EXIT_OK;
	if (err == -EEXIST)
		talk_error(err, "a tree named %s exists already", options->name);
	else
		talk_error(err, "tree %s cannot be changed: %s", tree->name, strerror(-err));
	return talk_status(err, EXIT_FAILED);
}

int command_set(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{&limit_argp, 0, NULL, 0}, {&options_common, 0, NULL, 0}, {0}};
	static const struct argp argp = {
		.options = table,
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
	if (!options.name[0] && !options.has_window && !limit_said(&options.limit))
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
