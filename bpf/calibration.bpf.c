// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finds __per_cpu_offset[] without its symbol, which the loader cannot resolve where
 * CONFIG_KALLSYMS_ALL is off: the address of one CPU's element of an own per-CPU array
 * minus the array's per-CPU pointer is that CPU's offset. Run once per CPU before
 * anything is attached; loaded only where CPUs keep remainders (6.2, which implies the
 * helper of 5.19).
 */
#include "maps.bpf.h"

struct ruler_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
};

struct ruler_map mt_ruler SEC(".maps");

SEC("raw_tp")
int cpu_offset_learn(struct bpf_raw_tracepoint_args *ctx)
{
	struct bpf_array *array = (void *)plain_address(&mt_ruler);
	__u32 cpu = ctx->args[0], zero = 0;
	void *element = bpf_map_lookup_percpu_elem(&mt_ruler, &zero, cpu);
	u64 percpu_pointer = 0;

	bpf_probe_read_kernel(&percpu_pointer, sizeof(percpu_pointer),
			      __builtin_preserve_access_index(&array->pptrs[0]));
	if (!element || !percpu_pointer || cpu >= CPUS_MAX)
		return 1;
	cpu_offsets[cpu] = plain_address(element) - percpu_pointer;
	return 0;
}
