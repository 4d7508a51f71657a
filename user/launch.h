/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Starting a command in two steps: a child that waits, then, once its tree exists, its
 * registration from inside and its exec.
 */
#ifndef MEMTREE_LAUNCH_H
#define MEMTREE_LAUNCH_H

#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

#include "tracker.h"

struct launch {
	pid_t pid;
	int pidfd;
	int go;	    /* the child reads its tree's id here */
	int failed; /* and writes here what kept it from its exec */
};

#define LAUNCH_NONE ((struct launch){.pid = -1, .pidfd = -1, .go = -1, .failed = -1})

/*
 * Forks the waiting child. `user` is a local account's name or a number, or NULL;
 * `signals` the mask that the command gets. A failure is said on stderr and returned.
 */
int launch_fork(const struct tracker *tracker, const char *user, char **command,
		const sigset_t *signals, struct launch *ret_launch);

/* Lets it register as the root of `tree` and exec. 0, or, after one line on stderr, an
 * exit status (125, 126 or 127); the child is reaped then. */
int launch_go(struct launch *launch, uint32_t tree, const char *command);

/* Closes; a child that still waits ends and is reaped. */
void launch_free(struct launch *launch);

#endif /* MEMTREE_LAUNCH_H */
