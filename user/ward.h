/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One tree under a limit: each look reads it exactly, has policy.h decide, acts, and arms the
 * next alarm. What takes its time (the hook, a proportional set size) is an errand, after which
 * it looks again.
 */
#ifndef MEMTREE_WARD_H
#define MEMTREE_WARD_H

#include <event2/event.h>

#include "blast.h"
#include "errand.h"
#include "policy.h"
#include "pss.h"
#include "report.h"
#include "tracker.h"
#include "yarn.h"

/* What all wards of a tracker have in common. */
struct warden {
	struct tracker *tracker;
	struct event_base *loop;
	struct serve *serve; /* where it is told */
	bool closing;	     /* nothing is decided any more */
	struct blast blast;
	struct event *disarmed; /* goes off when it has become that, and when it is over */
};

/* Zero it. */
struct ward {
	struct warden *warden;
	uint32_t tree;		 /* id, 0: none */
	char name[MT_NAME_SIZE]; /* that tree `named` had when it was seen last */
	uint32_t named;
	uint32_t ended; /* the last one whose end was told: what comes of it is late */
	struct mt_policy policy;
	struct policy_state state;
	struct report report;
	struct event *timer;
	struct errand *asking; /* for the proportional set size */
	uint64_t asked_forks;  /* of the tree then */
	uint64_t asked_start;  /* of the youngest member then */
	unsigned int asked;    /* times in a row */
	enum policy_pss pss_state;
	struct pss pss;
	struct errand *hook;
	bool hook_ended;
	unsigned int torn;	 /* looks in a row that were of no one moment */
	unsigned int rounds;	 /* of SIGKILL */
	struct yarn_tree passes; /* of the policy `yarn` */
	uint64_t pass_at_ns;	 /* the next */
};

/* What tree `tree` is called, or was when it was seen last: "" when it never was. */
const char *ward_name(struct ward *ward, const struct tracker *tracker, uint32_t tree);

/* From now on it is this tree's; what there was of another one is told. Negative errno. */
int ward_take(struct ward *ward, struct warden *warden, const struct mt_policy *policy);

/* Looks until nothing is left to do now. */
void ward_look(struct ward *ward);

/* The kernel has stopped the tree: tells it, and looks. */
void ward_stop(struct ward *ward, const struct mt_event *event);

/* When another memtree has begun to end the tree and is gone, goes on with that: with the grace
 * time, which a look would forget, before what is in the ring is read; with the kill after that, as
 * the kernel's own stop is told there. */
void ward_resume_grace(struct ward *ward);
void ward_resume_kill(struct ward *ward);

/* Ends its errands. Alarms stay as they are armed. */
void ward_close(struct ward *ward);

#endif /* MEMTREE_WARD_H */
