/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a child does while the loop goes on: its end, or its deadline, is an event like others.
 * It leads a session and process group of its own, reads nothing, and writes to stderr.
 */
#ifndef MEMTREE_ERRAND_H
#define MEMTREE_ERRAND_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What it may tell: less than a pipe always takes. */
#define ERRAND_BYTES 64

struct errand;

struct errand_end {
	bool late;  /* the deadline came first, and ended the whole group */
	int status; /* as wait() gives it; of a late one nothing */
	char bytes[ERRAND_BYTES];
	size_t length;
};

/* In the child, which exits with what it returns. `fd` closes at an exec. */
typedef int (*errand_fn)(int fd, const void *context);

/* Afterwards the errand is gone. */
typedef void (*errand_done_fn)(void *context, const struct errand_end *end);

/* Negative errno when no child could be made. */
int errand_start(struct event_base *loop, errand_fn work, const void *work_context,
		 uint64_t timeout_ns, errand_done_fn done, void *context,
		 struct errand **ret_errand);

/* Ends its group and tells nobody. NULL is allowed. */
void errand_cancel(struct errand *errand);

#endif /* MEMTREE_ERRAND_H */
