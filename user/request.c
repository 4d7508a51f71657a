// SPDX-License-Identifier: GPL-2.0-only
#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blast.h"
#include "limit.h"
#include "options.h"
#include "talk.h"
#include "units.h"

enum { KEY_CAPACITY = 0x4000, KEY_MAX_KILLS };

static const struct argp_option table[] = {
	{"name", 'n', "NAME", 0, "The tree's name (default: COMM-PID)", 0},
	{"metric", 'm', "METRIC", 0,
	 "What is charged: rss (default), anon, anon+swap or anon+shmem+swap", 0},
	{"window", 'w', "TIME", 0,
	 "How long memory inherited at fork is exempt (default: 3s, at most 16s)", 0},
	{"capacity", KEY_CAPACITY, "COUNT", 0, "Process slots of the tracker (default: 8192)", 0},
	{"max-kills", KEY_MAX_KILLS, "COUNT", 0,
	 "Trees that the tracker ends within a minute; one more, and for a minute limits are only "
	 "reported; 0: any number (default: 30)",
	 0},
	OPTION_IS_PLANNED("group", 'g', "GROUP"),
	{0},
};

void request_parse_name(const char *command, const char *text, char ret_name[MT_NAME_SIZE])
{
	if (!units_is_name(text))
		options_refuse(command, "'%.80s' is no name: 1 to 63 of A-Z a-z 0-9 . _ : -", text);
	strcpy(ret_name, text);
}

static uint32_t capacity_parse(const char *command, const char *text)
{
	uint32_t capacity;

	if (!units_parse_count(text, &capacity) || !capacity || capacity > 4194304)
		options_refuse(command, "'%s' is no capacity: 1 to 4194304", text);
	return capacity;
}

static uint32_t max_kills_parse(const char *command, const char *text)
{
	uint32_t count;

	if (!units_parse_count(text, &count) || count > BLAST_MOST)
		options_refuse(command, "'%s' is no number of trees: 0 to %d", text, BLAST_MOST);
	return count;
}

/* What was said, on top of what stands without. */
static void options_apply(const char *command, struct tree_options *options)
{
	struct choices whole = options->base ? *options->base : choice_default;

	limit_apply(command, &options->said, &whole);
	options->request.policy = whole.policy;
	options->request.metric = whole.metric;
	options->request.window_ns = whole.window_ns;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct tree_options *options = state->input;
	const char *command = options_command(state);

	options_refuse_planned(table, key, command);
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->said;
		return 0;
	case ARGP_KEY_END:
		options_apply(command, options);
		return 0;
	case 'n':
		request_parse_name(command, argument, options->request.name);
		return 0;
	case 'm':
		limit_choose(command, &options->said, CHOICE_METRIC, argument);
		return 0;
	case 'w':
		limit_choose(command, &options->said, CHOICE_WINDOW, argument);
		return 0;
	case KEY_CAPACITY:
		options->loader.process_capacity = capacity_parse(command, argument);
		return 0;
	case KEY_MAX_KILLS:
		options->max_kills = max_kills_parse(command, argument);
		options->has_max_kills = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {{&limit_argp, 0, NULL, 0}, {0}};

const struct argp request_options = {.options = table, .parser = parse, .children = children};

void request_name(struct tree_request *request, const char *comm, pid_t pid)
{
	snprintf(request->name, sizeof(request->name), "%.15s-%d", comm, (int)pid);
	for (char *c = request->name; *c; c++) {
		char one[] = {*c, '\0'};

		if (!units_is_name(one))
			*c = '_';
	}
}

int request_open(struct tracker *tracker, const struct tree_request *request, uint32_t *ret_tree)
{
	int err = registry_open(tracker, request, ret_tree);

	if (err == -EEXIST)
		return talk_error(err, "a tree named %s exists already: choose another with -n",
				  request->name);
	if (err == -ELOOP)
		return talk_error(err, "trees lie at most %d deep in each other", MT_DEPTH);
	if (err == -ENOSPC)
		return talk_error(err, "the tracker has no free tree slot (capacity %u)",
				  tracker->header.tree_capacity);
	if (err)
		return talk_error(err, "the tree %s cannot be created: %s", request->name,
				  strerror(-err));
	return 0;
}
