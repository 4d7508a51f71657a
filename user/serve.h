/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keeps a tracker's journal and answers who asks on its sockets, as wire.h has it: `events` and
 * `why` out of the journal, all else by whoever carries out requests. Whatever clients do, the
 * loop is never held up: they are few, each has one request at a time, and one that does not take
 * its answer is dropped.
 */
#ifndef MEMTREE_SERVE_H
#define MEMTREE_SERVE_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "refusal.h"

/* At once; the last ones are kept free for root, so that others cannot lock it out. */
#define SERVE_CLIENTS_MAX 64
#define SERVE_CLIENTS_ROOT 16

struct serve;
struct store;
struct wire_request;

/* Told when the first reader wants stories, and when the last of these is gone. */
typedef void (*serve_hearing_fn)(void *context, bool heard);

/* Carries out any request but events and why, and calls serve_answer once, now or later. Who has
 * asked may do so. */
typedef void (*serve_request_fn)(void *context, const struct wire_request *request,
				 uint64_t ticket);

/* -ENOMEM. Where the abstract socket cannot be made the journal is kept all the same: also in
 * `store`, and what is there already; NULL: in memory alone. Loop and store stay the caller's. */
int serve_open(struct event_base *loop, uint32_t tracker_id, struct store *store,
	       serve_hearing_fn on_hearing, void *context, struct serve **ret_serve);

/*
 * Listens on a path, too: there members of `gid` may read, with LISTENER_ANYBODY everybody. From
 * then on `on_request` has all requests, those on the abstract socket as well. Negative errno
 * with the reason, as listener_open_path has it.
 */
int serve_listen(struct serve *serve, const char *path, gid_t gid, serve_request_fn on_request,
		 void *context, struct refusal *ret_refusal);

/* Takes the reference; NULL stands for an answer that could not be built. Whoever has asked may
 * be gone by now. */
void serve_answer(struct serve *serve, uint64_t ticket, json_t *answer);

/* Hands on what the kernel has taken of it and drops the rest. NULL is allowed. */
void serve_close(struct serve *serve);

/* Both take the reference; NULL stands for one that could not be built. An occurrence is kept
 * and told to all who follow, a story is told to who wants those and forgotten. */
void serve_occurrence(struct serve *serve, json_t *occurrence);
void serve_story(struct serve *serve, json_t *story);

/* Whether anybody wants stories. */
bool serve_is_heard(const struct serve *serve);

#endif /* MEMTREE_SERVE_H */
