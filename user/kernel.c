// SPDX-License-Identifier: GPL-2.0-only
#include "kernel.h"

#include <string.h>

#include <bpf/btf.h>

#define KINDS 4

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

struct kernel_features kernel_probe(const struct btf *btf)
{
	int mm = btf__find_by_name_kind(btf, "mm_struct", BTF_KIND_STRUCT);
	struct kernel_features features = {
		.rss_stat = exists(btf, "btf_trace_rss_stat", BTF_KIND_TYPEDEF),
		.task_iterator = exists(btf, "bpf_iter__bpf_map_elem", BTF_KIND_STRUCT),
		.thread_remainders = exists(btf, "mm_rss_stat", BTF_KIND_STRUCT),
		.exit_mmap_tracepoint = exists(btf, "btf_trace_exit_mmap", BTF_KIND_TYPEDEF),
		.exit_mmap_function = exists(btf, "exit_mmap", BTF_KIND_FUNC),
	};

	if (mm > 0)
		features.percpu_counters =
			is_percpu_counter_array(btf, member_type(btf, mm, "rss_stat"));
	return features;
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
