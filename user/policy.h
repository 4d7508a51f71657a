/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is decided about a tree's limit, and when to look again: rules on a reading and a
 * time. Pure: no map, no clock, no signal.
 */
#ifndef MEMTREE_POLICY_H
#define MEMTREE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "maps.h"

enum policy_pss {
	POLICY_PSS_AWAITED, /* or not asked for */
	POLICY_PSS_KNOWN,
	POLICY_PSS_FAILED, /* nobody could read it in time */
};

/* What one exact reading says. Bytes, as the tree's metric counts. */
struct policy_reading {
	int64_t charged;     /* exact: what decides */
	int64_t inherited;   /* exempt now */
	int64_t shareable;   /* of both together: at most so much is counted more than once */
	int64_t live;	     /* what the fault path holds against its alarms, inherited included */
	int64_t error_bound; /* how far `live` may be off */
	uint64_t now_mono_ns;
	uint64_t exempt_until_ns; /* when the first open window ends, 0: none is open */
	uint64_t window_ns;
	unsigned int processes; /* that have memory */
	enum policy_pss pss_state;
	int64_t pss;
	bool hook_ended;
	uint64_t vmem;	     /* address space, bytes */
	bool yarn_over;	     /* what the last pass of a NodeManager's monitor has decided */
	uint64_t pass_at_ns; /* when its next is due */
};

enum policy_phase {
	POLICY_WATCHING,
	POLICY_OVER,	   /* reported; nothing is done about it (warn, dry run) */
	POLICY_CONFIRMING, /* over it as charged: the proportional set size is being read */
	POLICY_SPARED,	   /* that fits */
	POLICY_HOOK,	   /* the hook runs */
	POLICY_GRACE,	   /* SIGTERM was sent, SIGKILL follows */
	POLICY_DYING,	   /* SIGKILL was sent */
};

struct policy_state {
	enum policy_phase phase;
	bool warned;
	bool spared; /* and that was told */
	bool hooked; /* the hook has run for this crossing */
	int64_t spared_charged, spared_pss;
	uint64_t confirm_at_ns; /* when a spared tree is asked again */
	uint64_t hook_until_ns; /* its effect is awaited; 0: it runs */
	uint64_t grace_until_ns;
	uint64_t grace_limit;	      /* when SIGTERM was sent */
	uint64_t grace_vmem_limit;    /* likewise */
	unsigned int grace_processes; /* likewise */
};

enum policy_act {
	POLICY_NOTHING,
	POLICY_WARN,	 /* near the limit */
	POLICY_CONFIRM,	 /* read the proportional set size, and look again */
	POLICY_SPARE,	 /* over the limit as charged, but left alone */
	POLICY_REPORT,	 /* over the limit, and that is all */
	POLICY_RUN_HOOK, /* and look again when it has ended */
	POLICY_TERM,	 /* SIGTERM to every member */
	POLICY_KILL,	 /* the end of every member */
	POLICY_CALL_OFF, /* the limit was raised, or is only to be reported, or all gave memory
			    back: no signal follows */
};

struct policy_decision {
	enum policy_act act;
	/* To be armed then, as in struct mt_settings. */
	int64_t near_above, alarm_above, alarm_below, stop_above;
	uint64_t wake_at_ns; /* look again then without an event, CLOCK_MONOTONIC; 0: never */
};

/*
 * The policy `exact`: charged > limit acts, by on_limit; charged > hard factor x limit is
 * killed at once. The kernel acts on the latter by itself (stop_above). A limit of 0 is none.
 * Virtual memory beyond its own limit acts likewise; no event tells it, so it is looked at by the
 * clock. The policy `yarn` does what the passes of a NodeManager's monitor say (yarn.h), and
 * nothing between them.
 *
 * Where `confirm` asks for it, the proportional set size must be over the limit as well. So that
 * the kernel does not stop first what would be spared, the hard limit lies higher by what may be
 * counted more than once.
 */
struct policy_decision policy_judge(const struct mt_policy *policy, struct policy_state *state,
				    const struct policy_reading *reading);

/* The kernel has stopped the tree: nothing is left to decide. */
void policy_stopped(struct policy_state *state);

/* Another memtree has sent SIGTERM to so many members, and is gone: SIGKILL follows. */
void policy_termed(const struct mt_policy *policy, struct policy_state *state,
		   unsigned int processes, uint64_t now_mono_ns);

/* Bytes charged beyond which the tree is killed at once, of which `shareable` may be counted more
 * than once: hard_permille of the limit, and that. */
int64_t policy_hard_limit(const struct mt_policy *policy, int64_t shareable);

/* As the options say them; static. */
const char *on_limit_name(uint32_t on_limit);
const char *confirm_name(uint32_t confirm);
const char *rule_name(uint32_t rule);

#endif /* MEMTREE_POLICY_H */
