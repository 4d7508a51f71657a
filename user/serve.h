/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keeps a tracker's journal and serves it to `events` and `why` on a socket, as wire.h has it.
 * Only root may ask. Whatever readers do, the loop is never held up: there are few of them,
 * their requests are bounded, and one that does not read is dropped.
 */
#ifndef MEMTREE_SERVE_H
#define MEMTREE_SERVE_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct serve;

/* Told when the first reader wants stories, and when the last of these is gone. */
typedef void (*serve_hearing_fn)(void *context, bool heard);

/* -ENOMEM. Where the socket cannot be made the journal is kept all the same. The loop stays the
 * caller's. */
int serve_open(struct event_base *loop, uint32_t tracker_id, serve_hearing_fn on_hearing,
	       void *context, struct serve **ret_serve);

/* Hands on what the kernel has taken of it and drops the rest. NULL is allowed. */
void serve_close(struct serve *serve);

/* Both take the reference; NULL stands for one that could not be built. An occurrence is kept
 * and told to all who follow, a story is told to who wants those and forgotten. */
void serve_occurrence(struct serve *serve, json_t *occurrence);
void serve_story(struct serve *serve, json_t *story);

/* Whether anybody wants stories. */
bool serve_is_heard(const struct serve *serve);

#endif /* MEMTREE_SERVE_H */
