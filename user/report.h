/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is told of a tree: warnings, decisions with the dump of the tree in the shape that parsers
 * of a NodeManager's log know, what its end freed. On stderr, and with every input as a JSON
 * object to serve.h, from which `events` and `why` show it.
 */
#ifndef MEMTREE_REPORT_H
#define MEMTREE_REPORT_H

#include "record.h"
#include "serve.h"
#include "yarn.h"

/* Of one decision, from its start to the end of the tree. Zero it. */
struct report {
	bool stopped;		   /* by the kernel, before anything was decided here */
	bool disarmed;		   /* nothing is done about any tree for now */
	bool hooked;		   /* the hook was announced */
	bool warned;		   /* SIGTERM was sent */
	uint64_t begun_mono_ns;	   /* 0: nothing was decided yet */
	int64_t charged;	   /* then */
	unsigned int processes;	   /* then */
	unsigned int killed;	   /* signals that reached a live member */
	int64_t pss;		   /* that was read for it, 0: none was */
	char pss_unknown[80];	   /* why it was asked for in vain */
	struct yarn_decision yarn; /* of the policy `yarn`, by the last pass */
};

/* The tree and the look at it are needed where nothing else is said. */

void report_warn(struct serve *serve, const struct subject *subject);

/* Over its limit: what is done about it, and the dump. */
void report_over(struct serve *serve, const struct subject *subject, struct report *report);
/* What SIGTERM has not ended. */
void report_kill(struct serve *serve, const struct subject *subject);
/* As report_over, of what the kernel has stopped; the tree as it is by now, NULL: gone. */
void report_stop(struct serve *serve, const struct subject *subject, struct report *report,
		 const struct mt_event *event);
/* A memtree that is gone has begun to end it, `killing` or with SIGTERM: this one goes on. */
void report_resume(struct serve *serve, const struct subject *subject, bool killing,
		   struct report *report);
/* Over its limit as charged, and left alone: its proportional set size fits. */
void report_spare(struct serve *serve, const struct subject *subject, int64_t pss);
/* How the hook ended; `status` as wait() gives it. Nobody looks. */
void report_hook_end(struct serve *serve, const struct subject *subject, bool late, int status);
/* After that it goes on as announced. */
void report_hook_in_vain(struct serve *serve, const struct subject *subject,
			 const struct report *report);
void report_call_off(struct serve *serve, const struct subject *subject,
		     const struct report *report);

/* Nobody is left, and there is nothing to look at. */
void report_end(struct serve *serve, const struct subject *subject, const struct report *report);

/* The kernel's OOM killer chose a member; the dump is of those that are left. NULL: gone. */
void report_oom(struct serve *serve, const struct subject *subject, const struct mt_event *event);

/* A fork, an exec or an exit, for who wants stories; nobody looks. */
void report_story(struct serve *serve, const struct subject *subject, const struct mt_event *event);

/* So many stories of any tree found no room. */
void report_lost(struct serve *serve, const struct tracker *tracker, uint64_t count);

#endif /* MEMTREE_REPORT_H */
