// SPDX-License-Identifier: GPL-2.0-only
#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "jobs.h"
#include "json.h"
#include "look.h"
#include "node.h"
#include "request.h"

struct control {
	struct tracker *tracker;
	control_answer_fn on_answer;
	void *context;
	uint64_t begun_ns;
	struct jobs *jobs;
};

static void answer(const struct control *control, uint64_t ticket, json_t *object)
{
	control->on_answer(control->context, ticket, object);
}

/* --- reading -------------------------------------------------------------------------------- */

static void ping(struct control *control, uint64_t ticket)
{
	uint64_t uptime_ns = clock_ns(CLOCK_MONOTONIC) - control->begun_ns;

	answer(control, ticket,
	       json_pack("{s:b, s:s, s:i, s:I, s:i, s:I}", "ok", 1, "version", MEMTREE_VERSION,
			 "layout", MT_LAYOUT, "tracker", (json_int_t)control->tracker->id, "pid",
			 (int)getpid(), "uptime_ns", (json_int_t)uptime_ns));
}

static json_t *document_of(const struct node_tracker *entry, const struct wire_request *request)
{
	const struct tree *tree = NULL;
	struct refusal why;

	if (request->tree[0])
		tree = node_model_find(&entry->model, request->tree, &why);
	if (request->tree[0] && !tree)
		return wire_error(&why);
	return request->op == WIRE_PS ? json_ps(entry, 1)
				      : json_trees(entry, 1, tree ? tree->id : 0);
}

static void show(struct control *control, const struct wire_request *request, uint64_t ticket)
{
	struct node_tracker entry;
	struct refusal why;
	int err = node_tracker_read(control->tracker, &entry);

	if (err) {
		refusal_fail(&why, err, "the tracker's maps cannot be read: %s", strerror(-err));
		answer(control, ticket, wire_error(&why));
		return;
	}
	answer(control, ticket, document_of(&entry, request));
	node_tracker_free(&entry);
}

/* --- set ------------------------------------------------------------------------------------ */

static bool change_parse(const struct wire_request *request, struct change_options *options,
			 struct refusal *why)
{
	for (unsigned int i = 0; i < request->option_count; i++)
		if (!request_parse_change(request->options[i].name, request->options[i].value,
					  options, why))
			return false;
	return request_changes_any(options) ||
	       refusal_set(why, EXIT_USAGE, "what is to change? \"options\":{\"limit\":\"4G\"}");
}

static bool tree_change(struct control *control, const struct look *look,
			const struct wire_request *request, const struct change_options *options,
			struct refusal *why)
{
	const struct tree *tree = node_model_find(&look->model, request->tree, why);
	struct change change;

	if (!tree)
		return false;
	change = (struct change){tree->id, tree->name, tree->metric, &tree->policy};
	return !request_change(control->tracker, &change, options, why);
}

static void set(struct control *control, const struct wire_request *request, uint64_t ticket)
{
	struct change_options options = {};
	struct look look = {};
	struct refusal why;
	bool fine = change_parse(request, &options, &why);
	int err = fine ? look_take(control->tracker, &look) : 0;

	if (err)
		refusal_fail(&why, err, "the tracker's maps cannot be read: %s", strerror(-err));
	else if (fine)
		fine = tree_change(control, &look, request, &options, &why);
	look_free(&look);
	answer(control, ticket, fine && !err ? json_pack("{s:b}", "ok", 1) : wire_error(&why));
}

/* --- all of them ---------------------------------------------------------------------------- */

void control_request(struct control *control, const struct wire_request *request, uint64_t ticket)
{
	switch (request->op) {
	case WIRE_PING:
		ping(control, ticket);
		return;
	case WIRE_PS:
	case WIRE_SHOW:
		show(control, request, ticket);
		return;
	case WIRE_SET:
		set(control, request, ticket);
		return;
	case WIRE_ADD:
	case WIRE_RM:
	case WIRE_KILL:
		jobs_start(control->jobs, request, ticket);
		return;
	case WIRE_EVENTS:
	case WIRE_WHY:
		break;
	}
	answer(control, ticket, NULL);
}

int control_open(struct event_base *loop, struct tracker *tracker, const struct choices *base,
		 control_answer_fn on_answer, void *context, struct control **ret_control)
{
	struct control *control = calloc(1, sizeof(*control));
	int err = control ? jobs_open(loop, tracker, base, on_answer, context, &control->jobs)
			  : -ENOMEM;

	if (err) {
		control_close(control);
		return err;
	}
	control->tracker = tracker;
	control->on_answer = on_answer;
	control->context = context;
	control->begun_ns = clock_ns(CLOCK_MONOTONIC);
	*ret_control = control;
	return 0;
}

void control_close(struct control *control)
{
	if (!control)
		return;
	jobs_close(control->jobs);
	free(control);
}
