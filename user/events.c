// SPDX-License-Identifier: GPL-2.0-only
/*
 * memtree events: crossings, warnings, kills and kernel OOM kills of all trees, as the memtrees
 * that act for them have kept them; with -f what comes until they have ended.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "commands.h"
#include "dial.h"
#include "node.h"
#include "options.h"
#include "talk.h"
#include "told.h"

enum { KEY_ALL = 0x3000 };

struct options {
	struct common_options common;
	bool follow, all;
};

static const struct argp_option table[] = {
	{"follow", 'f', NULL, 0,
	 "Go on with what comes, until Ctrl-C or until the trees have ended", 0},
	{"all", KEY_ALL, NULL, 0, "With -f: also each fork, exec and exit", 0},
	{0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->common;
		return 0;
	case 'f':
		options->follow = true;
		return 0;
	case KEY_ALL:
		options->all = true;
		return 0;
	case ARGP_KEY_ARG:
		options_refuse("events", "unexpected argument '%.80s'", argument);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* False when stdout does not take it. */
static bool occurrences_print(const json_t *occurrences, const struct options *options)
{
	for (size_t i = 0; i < json_array_size(occurrences); i++) {
		const json_t *occurrence = json_array_get(occurrences, i);

		if (!options->common.json) {
			told_print(occurrence);
			continue;
		}
		json_dumpf(occurrence, stdout, JSON_COMPACT);
		putchar('\n');
	}
	return !fflush(stdout) && !ferror(stdout);
}

/* What comes of any, as it comes. */
static void follow(struct dial *dials, int count, const struct options *options)
{
	_cleanup_free_ struct pollfd *polls = calloc((size_t)count + 1, sizeof(*polls));
	bool some = polls && count, taken = true;

	while (some && taken) {
		json_t *came = json_array();

		some = false;
		for (int i = 0; i < count; i++) {
			polls[i] = (struct pollfd){.fd = dials[i].fd, .events = POLLIN};
			some = some || dials[i].fd >= 0;
		}
		if (some && poll(polls, (nfds_t)count, -1) > 0)
			for (int i = 0; i < count; i++)
				if (polls[i].revents)
					dial_read(&dials[i], came);
		taken = occurrences_print(came, options);
		json_decref(came);
	}
}

/* Exit status: one that does not answer does not hide the others. */
static int trackers_ask(struct tracker **trackers, int count, const struct options *options)
{
	const struct wire_request request = {
		.op = WIRE_EVENTS, .follow = options->follow, .all = options->all};
	_cleanup_free_ struct dial *dials = calloc((size_t)count + 1, sizeof(*dials));
	json_t *kept = json_array();
	int status = EXIT_OK;

	if (!dials || !kept) {
		json_decref(kept);
		return talk_status(talk_error(-ENOMEM, "out of memory"), EXIT_FAILED);
	}
	for (int i = 0; i < count; i++)
		if (dial_ask(trackers[i], &request, &dials[i], kept)) {
			dial_close(&dials[i]);
			status = EXIT_FAILED;
		}
	kept = told_sort(kept);
	if (options->follow)
		talk_detail("%d trackers are followed", count);
	if (occurrences_print(kept, options) && options->follow)
		follow(dials, count, options);
	json_decref(kept);
	for (int i = 0; i < count; i++)
		dial_close(&dials[i]);
	return status;
}

int command_events(int argc, char **argv)
{
	static const struct argp_child children[] = {{&options_common, 0, NULL, 0}, {0}};
	static const struct argp argp = {
		.options = table,
		.parser = parse,
		.doc = "What was decided about the trees that live, and kernel OOM kills of their "
		       "members: one line each, with --json one object a line.",
		.children = children,
	};
	struct options options = {};
	struct tracker **trackers;
	int count, status;

	options_parse(&argp, "events", argc, argv, &options);
	if (options.all && !options.follow)
		options_refuse("events", "--all needs -f: forks, execs and exits are not kept");
	status = node_find(&trackers, &count);
	if (status)
		return status;
	status = trackers_ask(trackers, count, &options);
	trackers_close(trackers, count);
	return status;
}
