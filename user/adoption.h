/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A running process that is to become the root of a tree: who it is, whether it may be one, and
 * that it is still the same. Why not is told to nobody here.
 */
#ifndef MEMTREE_ADOPTION_H
#define MEMTREE_ADOPTION_H

#include <sys/types.h>

#include "refusal.h"
#include "tracker.h"

struct adoption {
	pid_t pid;		      /* in our pid namespace */
	int pidfd;		      /* -1: not opened */
	struct mt_census_record root; /* as the kernel has it */
};

/* Whoever has the pid now. Negative errno with the reason; adoption_close in any case. */
int adoption_open(pid_t pid, struct adoption *ret_adoption, struct refusal *ret_refusal);
void adoption_close(struct adoption *adoption);

/* Asks a tracker who the process is, and whether it may be the root of a tree. Likewise. */
int adoption_judge(struct adoption *adoption, const struct tracker *tracker,
		   struct refusal *ret_refusal);

/* All trackers of this machine: none may know it yet, as its memory would be followed twice. The
 * daemon's, if there is one, is the caller's then, else `ret_daemon` is NULL; it may be NULL for who
 * wants none. */
int adoption_judge_all(struct adoption *adoption, struct tracker **ret_daemon,
		       struct refusal *ret_refusal);

/* Whether the process is that one, or has started it, or one of those that have. */
bool adoption_is_ancestor(const struct adoption *adoption, pid_t pid);

/* Makes it the root of `tree`, which is open, with all its descendants. Likewise; what has been
 * entered until it failed stays. */
int adoption_run(const struct adoption *adoption, struct tracker *tracker, uint32_t tree,
		 struct refusal *ret_refusal);

/* The reason for what adoption_run has returned elsewhere. */
void adoption_explain(const struct adoption *adoption, int err, struct refusal *ret_refusal);

#endif /* MEMTREE_ADOPTION_H */
