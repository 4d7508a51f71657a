/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Work done aside: in a child with a deadline, as nobody can tell how long a file of /proc
 * takes. The child is always ended and reaped before the answer comes.
 */
#ifndef MEMTREE_ASIDE_H
#define MEMTREE_ASIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the child: writes what it finds to `fd`; its return value is 0 or a negative errno. */
typedef int (*aside_fn)(int fd, void *context);

struct aside {
	char *bytes; /* what the child wrote in time; the caller frees */
	size_t length;
	bool late; /* the deadline came first */
	int err;   /* the child's; -ECHILD when it died of something else than the deadline */
};

/*
 * Negative errno when no child could be made. Beyond `timeout_ns` the child is killed; a
 * system call that heeds no signal may hold it for longer, and with it the caller.
 */
int aside_run(aside_fn work, void *context, uint64_t timeout_ns, struct aside *ret_aside);

/* For `work`: all of it, or a negative errno. */
int aside_tell(int fd, const void *bytes, size_t length);

#endif /* MEMTREE_ASIDE_H */
