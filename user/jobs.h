/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is asked of a tracker and takes its time: a process is added, a tree removed or ended. Each
 * is an errand, so that the loop goes on, and has its answer when it is done, or failed and undone.
 */
#ifndef MEMTREE_JOBS_H
#define MEMTREE_JOBS_H

#include <event2/event.h>
#include <jansson.h>
#include <stdint.h>

#include "tracker.h"

struct choices;
struct jobs;
struct wire_request;

/* The callee owns the answer; NULL when it could not be built. */
typedef void (*jobs_answer_fn)(void *context, uint64_t ticket, json_t *answer);

/* Loop, tracker and `base`, as guard_listen has it, stay the caller's. Negative errno; the caller
 * owns the result. */
int jobs_open(struct event_base *loop, struct tracker *tracker, const struct choices *base,
	      jobs_answer_fn on_answer, void *context, struct jobs **ret_jobs);

/* A request to add, rm or kill. Answers once, before it returns or later. */
void jobs_start(struct jobs *jobs, const struct wire_request *request, uint64_t ticket);

/* Ends what is under way, unanswered. NULL is allowed. */
void jobs_close(struct jobs *jobs);

#endif /* MEMTREE_JOBS_H */
