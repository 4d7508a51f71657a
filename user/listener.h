/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A socket that others connect to, abstract or at a path, and what they may do: root everything,
 * others at most read. What is said is not known here.
 */
#ifndef MEMTREE_LISTENER_H
#define MEMTREE_LISTENER_H

#include <event2/event.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "refusal.h"

/* For a gid: whoever connects may read. */
#define LISTENER_ANYBODY ((gid_t)-1)

enum listener_rights {
	LISTENER_NONE,
	LISTENER_READS,
	LISTENER_CHANGES, /* uid 0 */
};

struct listener;

/* `fd`, which does not block, is the callee's. */
typedef void (*listener_fn)(void *context, int fd, enum listener_rights rights);

/* An abstract name, where only root may do anything. Negative errno; the caller owns the result. */
int listener_open(struct event_base *loop, const struct sockaddr_un *address, socklen_t length,
		  listener_fn on_connection, void *context, struct listener **ret_listener);

/*
 * At a path, for root and the members of group `gid` (mode 0660), or for everybody (0666). Its
 * folder is made (0755) when there is none, and must not be one where others than root may
 * replace the socket. What is left of who listened there before is replaced; -EADDRINUSE when
 * somebody still does. Negative errno with the reason; the caller owns the result.
 *
 * Two that start at the same moment are not told apart here: claim the tracker first.
 */
int listener_open_path(struct event_base *loop, const char *path, gid_t gid,
		       listener_fn on_connection, void *context, struct listener **ret_listener,
		       struct refusal *ret_refusal);

/* Removes its path, unless that is another's by now. NULL is allowed. */
void listener_close(struct listener *listener);

#endif /* MEMTREE_LISTENER_H */
