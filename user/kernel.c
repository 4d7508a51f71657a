// SPDX-License-Identifier: GPL-2.0-only
#include "kernel.h"

#include <string.h>

#include <bpf/btf.h>

#define KINDS 4

#define THREAD_BATCH 65	    /* faults between two flushes, TASK_RSS_EVENTS_THRESH (until 6.1) */
#define FAULT_AROUND 16	    /* pages that one file fault may map */
#define PERCPU_BATCH_MIN 32 /* lib/percpu_counter.c: max(32, 2 * online CPUs) */

/* The type of a member by name, also within unnamed structs; 0 when there is none. */
static int member_type(const struct btf *btf, int type_id, const char *name)
{
	const struct btf_type *type = btf__type_by_id(btf, btf__resolve_type(btf, type_id));
	const struct btf_member *member;
	int i;

	if (!type || !btf_is_composite(type))
		return 0;
	member = btf_members(type);
	for (i = 0; i < btf_vlen(type); i++, member++) {
		const char *found = btf__name_by_offset(btf, member->name_off);
		int inner = 0;

		if (found && !strcmp(found, name))
			return (int)member->type;
		if (found && !*found)
			inner = member_type(btf, (int)member->type, name);
		if (inner)
			return inner;
	}
	return 0;
}

static bool is_percpu_counter_array(const struct btf *btf, int type_id)
{
	const struct btf_type *array = btf__type_by_id(btf, btf__resolve_type(btf, type_id));
	const struct btf_type *element;

	if (!array || !btf_is_array(array) || btf_array(array)->nelems < KINDS)
		return false;
	element = btf__type_by_id(btf, btf__resolve_type(btf, btf_array(array)->type));
	return element && btf_is_struct(element) &&
	       !strcmp(btf__name_by_offset(btf, element->name_off), "percpu_counter");
}

static bool exists(const struct btf *btf, const char *name, unsigned int kind)
{
	return btf__find_by_name_kind(btf, name, kind) > 0;
}

static bool has_member(const struct btf *btf, const char *name, const char *member)
{
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);

	return id > 0 && member_type(btf, id, member) > 0;
}

/*
 * a46023d5616e (7.0) guards tracepoints by SRCU instead of switching preemption off. The
 * guard's type is described only where something uses it, and nothing else does; a kernel
 * that preempts no kernel code has no nesting count of RCU readers per task.
 */
static bool handlers_are_preemptible(const struct btf *btf)
{
	return exists(btf, "class_srcu_fast_notrace_t", BTF_KIND_TYPEDEF) &&
	       has_member(btf, "task_struct", "rcu_read_lock_nesting");
}

struct kernel_features kernel_probe(const struct btf *btf)
{
	int mm = btf__find_by_name_kind(btf, "mm_struct", BTF_KIND_STRUCT);
	struct kernel_features features = {
		.rss_stat = exists(btf, "btf_trace_rss_stat", BTF_KIND_TYPEDEF),
		.task_iterator = exists(btf, "bpf_iter__bpf_map_elem", BTF_KIND_STRUCT),
		.thread_remainders = exists(btf, "mm_rss_stat", BTF_KIND_STRUCT),
		.exit_mmap_tracepoint = exists(btf, "btf_trace_exit_mmap", BTF_KIND_TYPEDEF),
		.exit_mmap_function = exists(btf, "exit_mmap", BTF_KIND_FUNC),
		.preemptible_handler = handlers_are_preemptible(btf),
		.oom_tracepoint = exists(btf, "btf_trace_mark_victim", BTF_KIND_TYPEDEF),
	};

	if (mm > 0)
		features.percpu_counters =
			is_percpu_counter_array(btf, member_type(btf, mm, "rss_stat"));
	return features;
}

static bool has_enumerator(const struct btf *btf, const char *name, const char *value)
{
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_ENUM);
	const struct btf_type *type = id > 0 ? btf__type_by_id(btf, (__u32)id) : NULL;

	for (int i = 0; type && i < btf_vlen(type); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_enum(type)[i].name_off), value))
			return true;
	return false;
}

struct kernel_survey kernel_survey(const struct btf *btf)
{
	static const char helpers[] = "bpf_func_id";

	return (struct kernel_survey){
		.features = kernel_probe(btf),
		.test_run = exists(btf, "bpf_prog_test_run_raw_tp", BTF_KIND_FUNC),
		.percpu_lookup = has_enumerator(btf, helpers, "BPF_FUNC_map_lookup_percpu_elem"),
		.loop = has_enumerator(btf, helpers, "BPF_FUNC_loop"),
		.send_signal = has_enumerator(btf, helpers, "BPF_FUNC_send_signal"),
		.send_signal_task = exists(btf, "bpf_send_signal_task", BTF_KIND_FUNC),
		.ring_buffer = has_enumerator(btf, "bpf_map_type", "BPF_MAP_TYPE_RINGBUF"),
		.run_statistics = exists(btf, "bpf_stats_type", BTF_KIND_ENUM),
		.recursion_misses = has_member(btf, "bpf_prog_info", "recursion_misses"),
		.cgroup_kill = exists(btf, "cgroup_kill_write", BTF_KIND_FUNC),
		.memlock_charged = exists(btf, "bpf_map_memory", BTF_KIND_STRUCT),
	};
}

const char *kernel_missing(const struct kernel_features *features)
{
	if (!features->rss_stat)
		return "the tracepoint kmem:rss_stat (kernel 5.5)";
	if (!features->task_iterator)
		return "BPF iterators over maps (kernel 5.9)";
	if (!features->thread_remainders && !features->percpu_counters)
		return "a known layout of mm_struct.rss_stat";
	return NULL;
}

uint64_t kernel_error_bound(const struct kernel_features *features, int cpus_online,
			    int cpus_possible, long page_size)
{
	uint64_t batch = 2 * (uint64_t)cpus_online;

	if (features->thread_remainders)
		return (uint64_t)THREAD_BATCH * FAULT_AROUND * (uint64_t)page_size;
	if (batch < PERCPU_BATCH_MIN)
		batch = PERCPU_BATCH_MIN;
	return batch * (uint64_t)cpus_possible * (uint64_t)page_size;
}
