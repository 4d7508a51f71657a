// SPDX-License-Identifier: GPL-2.0-only
/*
 * memtree why: what was decided about a tree, on what ground and with what result, also after
 * its end, as long as the memtree that acted for it runs.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "dial.h"
#include "json.h"
#include "node.h"
#include "options.h"
#include "talk.h"
#include "told.h"
#include "units.h"

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
		options_take("why", &options->name, argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Exit status: one that does not answer does not hide the others. */
static int verdicts_ask(struct tracker *const *trackers, int count, const char *name,
			json_t **ret_verdicts)
{
	struct wire_request request = {.op = WIRE_WHY};
	json_t *verdicts = json_array();
	int status = EXIT_OK;

	snprintf(request.tree, sizeof(request.tree), "%s", name);
	for (int i = 0; verdicts && i < count; i++) {
		struct dial dial;

		if (dial_ask(trackers[i], &request, &dial, verdicts))
			status = EXIT_FAILED;
		dial_close(&dial);
	}
	*ret_verdicts = verdicts ? told_sort(verdicts) : NULL;
	return status;
}

static int verdicts_print(const struct options *options, json_t *verdicts)
{
	if (options->common.json)
		return json_document_print(
			json_pack("{s:s, s:O}", "tree", options->name, "verdicts", verdicts));
	for (size_t i = 0; i < json_array_size(verdicts); i++)
		told_print_whole(json_array_get(verdicts, i));
	if (!json_array_size(verdicts))
		printf("%s: nothing was decided about it\n", options->name);
	return EXIT_OK;
}

static int why(struct tracker *const *trackers, int count, const struct options *options)
{
	json_t *verdicts;
	int status = verdicts_ask(trackers, count, options->name, &verdicts), printed;

	if (!verdicts)
		return talk_status(talk_error(-ENOMEM, "out of memory"), EXIT_FAILED);
	if (!json_array_size(verdicts) &&
	    (status || !node_has_named(trackers, count, options->name))) {
		if (!status) {
			talk_error(0,
				   "there is no tree named %.70s, and nothing is kept of one: "
				   "memtree ps lists them",
				   options->name);
			status = EXIT_NO_TREE;
		}
		json_decref(verdicts);
		return status;
	}
	printed = verdicts_print(options, verdicts);
	json_decref(verdicts);
	return status ? status : printed;
}

int command_why(int argc, char **argv)
{
	static const struct argp_child children[] = {{&options_common, 0, NULL, 0}, {0}};
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "NAME",
		.doc = "What was decided about a tree: the rule, what it was decided on, what was "
		       "exempt, what was done, and the tree's processes then. Also after its end, "
		       "as long as its tracker lives.",
		.children = children,
	};
	struct options options = {};
	struct tracker **trackers;
	int count, status;

	options_parse(&argp, "why", argc, argv, &options);
	if (!options.name)
		options_refuse("why", "which tree?");
	if (!units_is_name(options.name + (options.name[0] == '#')))
		options_refuse("why", "'%.80s' is no tree's name", options.name);
	status = node_find(&trackers, &count);
	if (status)
		return status;
	status = why(trackers, count, &options);
	trackers_close(trackers, count);
	return status;
}
