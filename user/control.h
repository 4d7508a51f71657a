/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Carries out what is asked of a tracker: shows, adds, changes, removes and ends its trees. How
 * the request came, and whether it is permitted, is not known here. What takes its time (an
 * adoption, a removal, a kill) is an errand: the loop goes on.
 */
#ifndef MEMTREE_CONTROL_H
#define MEMTREE_CONTROL_H

#include <event2/event.h>
#include <jansson.h>
#include <stdint.h>

#include "tracker.h"
#include "wire.h"

struct choices;
struct control;

/* The callee owns the answer, one line of docs/PROTOCOL.md; NULL when it could not be built. */
typedef void (*control_answer_fn)(void *context, uint64_t ticket, json_t *answer);

/* Loop, tracker and `base`, as guard_listen has it, stay the caller's. Negative errno; the caller
 * owns the result. */
int control_open(struct event_base *loop, struct tracker *tracker, const struct choices *base,
		 control_answer_fn on_answer, void *context, struct control **ret_control);

/* Answers once, before it returns or later. Not for what the journal answers (events, why). */
void control_request(struct control *control, const struct wire_request *request, uint64_t ticket);

/* Ends what is under way, unanswered. NULL is allowed. */
void control_close(struct control *control);

#endif /* MEMTREE_CONTROL_H */
