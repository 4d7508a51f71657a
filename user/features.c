// SPDX-License-Identifier: GPL-2.0-only
#include "features.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "units.h"

/* A tracker of default size: 880 bytes for each of 8192 processes, and its programs. */
#define MEMLOCK_NEEDED (10ULL << 20)

/* When memtree makes use of what is there. */
enum use {
	USE_ALWAYS,
	USE_LATER,
	USE_FOR_PERCPU_COUNTERS,
	USE_FOR_TEARDOWN, /* where no tracepoint tells its end */
};

/* NULL: the text depends on the machine and is written by a function below. */
static const struct {
	const char *name;
	enum use use;
	bool needed; /* without it memtree cannot run, when it is used at all */
	const char *there, *missing;
} texts[FEATURES] = {
	[FEATURE_BTF] = {"btf", USE_ALWAYS, true, "programs find this kernel's fields by it",
			 "nothing can be loaded: a kernel with CONFIG_DEBUG_INFO_BTF is needed"},
	[FEATURE_RSS_STAT] = {"rss_stat", USE_ALWAYS, true,
			      "tracepoint kmem:rss_stat tells each change of memory",
			      "nothing tells changes of memory: kernel 5.10 or newer is needed"},
	[FEATURE_RSS_LAYOUT] = {"rss_layout", USE_ALWAYS, true, NULL,
				"unknown layout of mm_struct.rss_stat: figures would be wrong"},
	[FEATURE_ITERATORS] = {"iterators", USE_ALWAYS, true,
			       "exact figures are read through them in milliseconds",
			       "no exact reading: kernel 5.10 or newer is needed"},
	[FEATURE_TEST_RUN] = {"test_run", USE_ALWAYS, true,
			      "a command joins its tree by it, before its exec",
			      "no process can be registered: kernel 5.10 or newer is needed"},
	[FEATURE_KERNEL_READS] = {"kernel_reads", USE_ALWAYS, true,
				  "bpf_probe_read_kernel is allowed",
				  "the kernel's memory may not be read (lockdown?)"},
	[FEATURE_PERCPU_LOOKUP] = {"percpu_lookup", USE_FOR_PERCPU_COUNTERS, true,
				   "finds the parts of counters that CPUs keep", NULL},
	[FEATURE_TEARDOWN_END] = {"teardown_end", USE_ALWAYS, false, NULL,
				  "an exiting process's memory leaves at the teardown's start"},
	[FEATURE_STEADY_HANDLERS] =
		{"steady_handlers", USE_ALWAYS, false,
		 "no sign that handlers can be preempted and miss events",
		 "preempted handlers miss events: each has twins, one of them steady"},
	[FEATURE_RECURSION_MISSES] = {"recursion_misses", USE_ALWAYS, false,
				      "events that a handler missed are counted below",
				      "events that a handler missed are not counted"},
	[FEATURE_RUN_STATISTICS] = {"run_statistics", USE_ALWAYS, false,
				    "the cost of each handler is measured with them",
				    "the cost of the handlers cannot be measured"},
	[FEATURE_PIDFDS] = {"pidfds", USE_ALWAYS, false,
			    "members are awaited and signalled without mistaking a pid",
			    "run looks every 100 ms whether members are left"},
	[FEATURE_TRAMPOLINES] = {"trampolines", USE_FOR_TEARDOWN, false, NULL, NULL},
	[FEATURE_FMOD_RET] = {"fmod_ret", USE_LATER, false,
			      "for limits: forks of a doomed tree can be refused",
			      "for limits: a doomed tree's children die after their fork"},
	[FEATURE_RING_BUFFER] = {"ring_buffer", USE_LATER, false,
				 "for limits: a crossing wakes its reader at once",
				 "for limits: nothing can wake a reader"},
	[FEATURE_SEND_SIGNAL] = {"send_signal", USE_LATER, false,
				 "for limits: a process is stopped in its own fault",
				 "for limits: only user space can stop a process, later"},
	[FEATURE_SEND_SIGNAL_TASK] = {"send_signal_task", USE_LATER, false,
				      "for limits: a doomed newborn is killed at its fork",
				      "for limits: a doomed newborn dies at its first event"},
	[FEATURE_LOOP] = {"bpf_loop", USE_LATER, false,
			  "groups of over 1024 threads could be read in one walk",
			  "groups of over 1024 threads are read by a pass over all tasks"},
	[FEATURE_FETCH_ATOMICS] = {"fetch_atomics", USE_LATER, false,
				   "not needed: totals are kept without results of atomics",
				   "costs nothing: totals are kept without them"},
	[FEATURE_CGROUPS] = {"cgroups", USE_LATER, false, NULL,
			     "none is mounted: trees cannot be compared with them"},
	[FEATURE_CGROUP_KILL] = {"cgroup_kill", USE_LATER, false,
				 "for limits: a cgroup of memtree's own ends at one write",
				 "for limits: members are killed one by one"},
	[FEATURE_OOM_VICTIMS] = {"oom_victims", USE_ALWAYS, false,
				 "kernel OOM kills of members are told, with the tree's dump",
				 "kernel OOM kills of members are not told"},
};

static enum answer answer_of(bool there)
{
	return there ? ANSWER_YES : ANSWER_NO;
}

static bool tells_teardown(const struct machine *machine)
{
	return machine->kernel.features.exit_mmap_tracepoint;
}

static enum answer teardown_answer(const struct machine *machine)
{
	const struct kernel_features *kernel = &machine->kernel.features;

	if (tells_teardown(machine))
		return ANSWER_YES;
	return kernel->exit_mmap_function ? machine->asked[FEATURE_TRAMPOLINES] : ANSWER_NO;
}

/* What BTF says; what it cannot say, as it depends on permission, is unknown. */
static enum answer btf_answer(const struct machine *machine, enum feature feature)
{
	const struct kernel_survey *kernel = &machine->kernel;

	if (machine->asked[FEATURE_BTF] != ANSWER_YES)
		return ANSWER_UNKNOWN;
	switch (feature) {
	case FEATURE_RSS_STAT:
		return answer_of(kernel->features.rss_stat);
	case FEATURE_RSS_LAYOUT:
		return answer_of(kernel->features.thread_remainders ||
				 kernel->features.percpu_counters);
	case FEATURE_ITERATORS:
		return answer_of(kernel->features.task_iterator);
	case FEATURE_TEST_RUN:
		return answer_of(kernel->test_run);
	case FEATURE_PERCPU_LOOKUP:
		return answer_of(kernel->percpu_lookup);
	case FEATURE_TEARDOWN_END:
		return teardown_answer(machine);
	case FEATURE_STEADY_HANDLERS:
		return answer_of(!kernel->features.preemptible_handler);
	case FEATURE_RECURSION_MISSES:
		return answer_of(kernel->recursion_misses);
	case FEATURE_RUN_STATISTICS:
		return answer_of(kernel->run_statistics);
	case FEATURE_RING_BUFFER:
		return answer_of(kernel->ring_buffer);
	case FEATURE_SEND_SIGNAL:
		return answer_of(kernel->send_signal);
	case FEATURE_SEND_SIGNAL_TASK:
		return answer_of(kernel->send_signal_task);
	case FEATURE_LOOP:
		return answer_of(kernel->loop);
	case FEATURE_CGROUP_KILL:
		return answer_of(kernel->cgroup_kill);
	case FEATURE_OOM_VICTIMS:
		return answer_of(kernel->features.oom_tracepoint);
	default:
		return ANSWER_UNKNOWN;
	}
}

/* What was tried counts more than what BTF says. */
static enum answer answer_get(const struct machine *machine, enum feature feature)
{
	if (feature == FEATURE_CGROUPS)
		return answer_of(machine->cgroup_v1 || machine->cgroup_v2);
	if (machine->asked[feature] != ANSWER_UNKNOWN)
		return machine->asked[feature];
	return btf_answer(machine, feature);
}

static bool is_used(const struct machine *machine, enum feature feature)
{
	switch (texts[feature].use) {
	case USE_ALWAYS:
		return true;
	case USE_FOR_PERCPU_COUNTERS:
		return machine->kernel.features.percpu_counters;
	case USE_FOR_TEARDOWN:
		return machine->kernel.features.exit_mmap_function && !tells_teardown(machine);
	default:
		return false;
	}
}

static void layout_tell(const struct machine *machine, char why[FEATURE_WHY])
{
	const struct kernel_features *kernel = &machine->kernel.features;
	char size[UNITS_SIZE_TEXT];

	units_format_size((int64_t)kernel_error_bound(kernel, machine->cpus_online,
						      machine->cpus_possible, machine->page_size),
			  size);
	if (kernel->thread_remainders)
		snprintf(why, FEATURE_WHY,
			 "threads keep remainders: live view low by up to %s each", size);
	else
		snprintf(why, FEATURE_WHY,
			 "CPUs keep remainders: live view off by up to %s a space", size);
}

static void cgroups_tell(const struct machine *machine, char why[FEATURE_WHY])
{
	snprintf(why, FEATURE_WHY, "%s%s%s mounted", machine->cgroup_v1 ? "v1" : "",
		 machine->cgroup_v1 && machine->cgroup_v2 ? " and " : "",
		 machine->cgroup_v2 ? "v2" : "");
}

/* Where the text depends on more than the state. */
static void why_tell(const struct machine *machine, enum feature feature, bool used, bool there,
		     char why[FEATURE_WHY])
{
	const char *text = there ? texts[feature].there : texts[feature].missing;

	if (feature == FEATURE_RSS_LAYOUT && there)
		layout_tell(machine, why);
	else if (feature == FEATURE_CGROUPS && there)
		cgroups_tell(machine, why);
	else if (feature == FEATURE_TEARDOWN_END && there)
		text = tells_teardown(machine) ? "tracepoint mmap:exit_mmap" : "fexit of exit_mmap";
	else if (feature == FEATURE_PERCPU_LOOKUP && !there)
		text = used ? "what CPUs keep back cannot be found"
			    : "costs nothing: no per-CPU counters here";
	else if (feature == FEATURE_TRAMPOLINES && there)
		text = used ? "fentry and fexit work: see teardown_end"
			    : "fentry and fexit work and are not needed";
	else if (feature == FEATURE_TRAMPOLINES)
		text = used ? "fentry and fexit are refused: see teardown_end"
			    : "fentry and fexit are refused: costs nothing here";
	if (text)
		snprintf(why, FEATURE_WHY, "%s", text);
}

static const char *unknown_reason(const struct machine *machine)
{
	if (machine->load_error)
		return "only root can ask the kernel";
	if (machine->asked[FEATURE_BTF] != ANSWER_YES)
		return "cannot be told without BTF";
	return "the kernel gave no answer";
}

static void row_judge(const struct machine *machine, enum feature feature, struct feature_row *row)
{
	enum answer answer = answer_get(machine, feature);
	bool used = is_used(machine, feature);

	*row = (struct feature_row){.name = texts[feature].name};
	if (answer == ANSWER_UNKNOWN) {
		row->state = FEATURE_UNKNOWN;
		snprintf(row->why, sizeof(row->why), "%s", unknown_reason(machine));
		return;
	}
	row->state = answer == ANSWER_NO ? FEATURE_MISSING : used ? FEATURE_USED : FEATURE_UNUSED;
	why_tell(machine, feature, used, answer == ANSWER_YES, row->why);
}

void features_judge(const struct machine *machine, struct feature_row ret_rows[FEATURES])
{
	for (int feature = 0; feature < FEATURES; feature++)
		row_judge(machine, (enum feature)feature, &ret_rows[feature]);
}

static const char *refusal(const struct machine *machine, int err, char buffer[FEATURE_BLOCKER])
{
	if (err != -EPERM) {
		snprintf(buffer, FEATURE_BLOCKER, "the kernel refuses the simplest BPF program: %s",
			 strerror(-err));
		return buffer;
	}
	if (machine->capabilities[CAPABILITY_SYS_ADMIN])
		return "BPF is refused in spite of CAP_SYS_ADMIN: by a container, a seccomp filter "
		       "or a security module";
	return "BPF is not permitted to this user: run as root (needs CAP_BPF, CAP_PERFMON and "
	       "CAP_SYS_ADMIN)";
}

const char *features_blocker(const struct machine *machine, const struct feature_row rows[FEATURES],
			     char buffer[FEATURE_BLOCKER])
{
	for (int feature = 0; feature < FEATURES; feature++) {
		if (rows[feature].state != FEATURE_MISSING || !texts[feature].needed ||
		    !is_used(machine, (enum feature)feature))
			continue;
		snprintf(buffer, FEATURE_BLOCKER, "this kernel lacks %s: %s", rows[feature].name,
			 rows[feature].why);
		return buffer;
	}
	if (machine->load_error || machine->walk_error)
		return refusal(machine, machine->load_error ?: machine->walk_error, buffer);
	if (machine->kernel.memlock_charged && machine->memlock_bytes < MEMLOCK_NEEDED &&
	    !machine->capabilities[CAPABILITY_SYS_RESOURCE])
		return "maps count as locked memory here: raise ulimit -l to 10240 or more";
	return NULL;
}

const char *feature_state_name(enum feature_state state)
{
	static const char *const names[FEATURE_STATES] = {
		[FEATURE_USED] = "used",
		[FEATURE_UNUSED] = "unused",
		[FEATURE_MISSING] = "missing",
		[FEATURE_UNKNOWN] = "unknown",
	};

	return names[state];
}

const char *capability_name(enum capability capability)
{
	static const char *const names[CAPABILITIES] = {
		[CAPABILITY_BPF] = "CAP_BPF",
		[CAPABILITY_PERFMON] = "CAP_PERFMON",
		[CAPABILITY_SYS_ADMIN] = "CAP_SYS_ADMIN",
		[CAPABILITY_SYS_RESOURCE] = "CAP_SYS_RESOURCE",
		[CAPABILITY_SYS_PTRACE] = "CAP_SYS_PTRACE",
	};

	return names[capability];
}
