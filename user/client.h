/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One who is connected to a socket: lines in, lines out. Whatever comes, the loop is never held
 * up: a line is bounded and the next one stays in the kernel until the answer to the last one was
 * taken, and each thing that is waited for has a deadline. What lines mean is not known here.
 */
#ifndef MEMTREE_CLIENT_H
#define MEMTREE_CLIENT_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

struct client;

enum client_end {
	CLIENT_GONE, /* it has closed its side, or has taken its last answer */
	CLIENT_IDLE, /* it has asked nothing for too long */
	CLIENT_SLOW, /* it does not take what it has asked for */
};

enum client_trouble {
	CLIENT_TOO_LONG, /* so many bytes without a newline */
	CLIENT_HALF,	 /* its side was closed in the middle of a line */
};

struct client_calls {
	/* A line without its newline. Nothing more is read until client_answered, which may be
	 * called from here or later. */
	void (*on_line)(void *context, const char *line, size_t length);
	/* Likewise; what would come after it cannot be understood, so end it. */
	void (*on_trouble)(void *context, enum client_trouble trouble);
	/* Free it. */
	void (*on_end)(void *context, enum client_end end);
};

/* Owns `fd` if it succeeds; NULL without memory. `calls` stay the caller's. Lines have at most
 * `line_max` bytes with their newline. */
struct client *client_new(struct event_base *loop, int fd, size_t line_max,
			  const struct client_calls *calls, void *context);

/* Hands on what the kernel takes of it and drops the rest. NULL is allowed. */
void client_free(struct client *client);

/* Adds to what it is to get. Bytes as they are. */
void client_say(struct client *client, const char *text, size_t length);

/* How much of that has not been taken yet. */
size_t client_waiting(const struct client *client);

/*
 * The last line has its answer: the next is read once that was taken, or with client_ends none is
 * and it goes. It may be gone after that call.
 */
void client_answered(struct client *client);

/* Before client_answered. A follower is told things (client_say, client_flush) from then on, and
 * not heard any more. */
void client_follows(struct client *client);
void client_ends(struct client *client);

/* Sends what the kernel takes. It may be gone after that. */
void client_flush(struct client *client);

#endif /* MEMTREE_CLIENT_H */
