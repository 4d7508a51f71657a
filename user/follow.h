/* SPDX-License-Identifier: GPL-2.0-only */
/* Waits for the end of a tree: sleeps until a member exits, then looks again. */
#ifndef MEMTREE_FOLLOW_H
#define MEMTREE_FOLLOW_H

#include <event2/event.h>
#include <stdbool.h>
#include <sys/types.h>

#include "tracker.h"

/* Members watched at once; the exit of any of them is enough to look again. */
#define FOLLOW_WATCHED_MAX 64

struct follow {
	struct event_base *loop;
	struct tracker *tracker;
	uint32_t tree;
	pid_t root; /* its pid in our namespace */
	struct event *timer;
	struct event *watches[FOLLOW_WATCHED_MAX];
	int watched[FOLLOW_WATCHED_MAX]; /* their pidfds */
	int watch_count;
	unsigned int members; /* alive when it was looked last */
	bool lost;	      /* its tracker is gone from the kernel: nothing is known any more */
};

/* Loop and tracker stay the caller's. -ENOMEM. */
int follow_open(struct follow *follow, struct event_base *loop, struct tracker *tracker);

/* Looks at the tree, and again at each exit; breaks the loop when the tree has ended, or is lost. */
void follow_look(struct follow *follow);

/* One that was never opened, all zero, is allowed. */
void follow_close(struct follow *follow);

#endif /* MEMTREE_FOLLOW_H */
