/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a machine offers, feature by feature: used, unused or missing, and what its absence
 * costs. Pure: judges what probe.h found out.
 */
#ifndef MEMTREE_FEATURES_H
#define MEMTREE_FEATURES_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel.h"

enum feature {
	FEATURE_BTF,
	FEATURE_RSS_STAT,
	FEATURE_RSS_LAYOUT,
	FEATURE_ITERATORS,
	FEATURE_TEST_RUN,
	FEATURE_KERNEL_READS,
	FEATURE_PERCPU_LOOKUP,
	FEATURE_TEARDOWN_END,
	FEATURE_STEADY_HANDLERS,
	FEATURE_RECURSION_MISSES,
	FEATURE_RUN_STATISTICS,
	FEATURE_PIDFDS,
	FEATURE_TRAMPOLINES,
	FEATURE_FMOD_RET,
	FEATURE_RING_BUFFER,
	FEATURE_SEND_SIGNAL,
	FEATURE_SEND_SIGNAL_TASK,
	FEATURE_LOOP,
	FEATURE_FETCH_ATOMICS,
	FEATURE_CGROUPS,
	FEATURE_CGROUP_KILL,
	FEATURE_OOM_VICTIMS,
	FEATURES,
};

enum answer {
	ANSWER_UNKNOWN,
	ANSWER_NO,
	ANSWER_YES,
};

/* The capabilities that matter, in the order of machine.capabilities. */
enum capability {
	CAPABILITY_BPF,
	CAPABILITY_PERFMON,
	CAPABILITY_SYS_ADMIN,
	CAPABILITY_SYS_RESOURCE,
	CAPABILITY_SYS_PTRACE,
	CAPABILITIES,
};

struct machine {
	struct kernel_survey kernel; /* by BTF, when that is readable */
	enum answer asked[FEATURES]; /* by trying; UNKNOWN where it was not tried or allowed */
	int load_error;		     /* of the simplest program: 0 or negative errno */
	int walk_error;		     /* of walking the kernel's programs, as readers do */
	int cpus_online, cpus_possible;
	long page_size;
	bool cgroup_v1, cgroup_v2; /* mounted */
	bool capabilities[CAPABILITIES];
	uint64_t measuring_ns;	/* what the run statistics tell of an empty program, 0: nothing */
	uint64_t memlock_bytes; /* RLIMIT_MEMLOCK, UINT64_MAX: unlimited */
};

enum feature_state {
	FEATURE_USED,
	FEATURE_UNUSED,
	FEATURE_MISSING,
	FEATURE_UNKNOWN,
	FEATURE_STATES,
};

#define FEATURE_WHY 112

struct feature_row {
	const char *name;
	enum feature_state state;
	char why[FEATURE_WHY];
};

void features_judge(const struct machine *machine, struct feature_row ret_rows[FEATURES]);

/* Why memtree cannot run here, in one line; NULL when it can. `rows` are those of
 * features_judge; what is returned is static or lies in `buffer`. */
#define FEATURE_BLOCKER 256
const char *features_blocker(const struct machine *machine, const struct feature_row rows[FEATURES],
			     char buffer[FEATURE_BLOCKER]);

const char *feature_state_name(enum feature_state state);
const char *capability_name(enum capability capability);

#endif /* MEMTREE_FEATURES_H */
