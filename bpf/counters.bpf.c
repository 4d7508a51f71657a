// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exact reading of the kernel's per-CPU counters (from 6.2), and how the programs come to
 * know where another CPU's copy lies.
 */
#include "maps.bpf.h"

/*
 * Global functions, so that the verifier walks the loop once per program and not once per
 * caller. `copies` is NULL where a vendor kernel keeps the count exact until the second
 * thread.
 */
__weak s64 percpu_remainders_total(u64 copies)
{
	s64 total = 0;

	if (!copies)
		return 0;
	for (__u32 cpu = 0; cpu < CPUS_MAX && cpu < cpus_possible; cpu++) {
		s32 kept = 0;

		bpf_probe_read_kernel(&kept, sizeof(kept), (void *)(copies + cpu_offsets[cpu]));
		total += kept;
	}
	return total;
}

__weak s64 percpu_counter_total(u64 counter)
{
	struct percpu_counter *shared = (void *)counter;

	return BPF_CORE_READ(shared, count) +
	       percpu_remainders_total((u64)BPF_CORE_READ(shared, counters));
}

#define COUNTER_SIZE_MAX 40 /* of struct percpu_counter without lock debugging */

/*
 * With percpu_counter_init_many() (6.6) what a CPU keeps of the kinds of one mm lies side
 * by side. That is asked of the very pointers, each time: where it holds by chance the
 * sums are as exact, and where it does not (or a counter is larger) the caller sums kind
 * by kind. Hidden and not global: 5.10 hands no pointers to global functions.
 */
__hidden int percpu_counters_total(u64 counters, s64 ret_totals[MT_KINDS])
{
	const u64 size = bpf_core_type_size(struct percpu_counter);
	const u64 count = bpf_core_field_offset(struct percpu_counter, count);
	const u64 pointer = bpf_core_field_offset(struct percpu_counter, counters);
	char shared[MT_KINDS * COUNTER_SIZE_MAX] __attribute__((aligned(8)));
	u64 copies;

	if (size > COUNTER_SIZE_MAX || size % 8 || count > size - 8 || pointer > size - 8 ||
	    bpf_probe_read_kernel(shared, MT_KINDS * size, (void *)counters))
		return 0;
	copies = *(u64 *)(shared + pointer);
	if (!copies || *(u64 *)(shared + size + pointer) != copies + sizeof(s32) ||
	    *(u64 *)(shared + 2 * size + pointer) != copies + 2 * sizeof(s32) ||
	    *(u64 *)(shared + 3 * size + pointer) != copies + 3 * sizeof(s32))
		return 0;
	ret_totals[0] = *(s64 *)(shared + count);
	ret_totals[1] = *(s64 *)(shared + size + count);
	ret_totals[2] = *(s64 *)(shared + 2 * size + count);
	ret_totals[3] = *(s64 *)(shared + 3 * size + count);
	for (__u32 cpu = 0; cpu < CPUS_MAX && cpu < cpus_possible; cpu++) {
		/* In the same room: all frames together have 512 bytes. Zeroes where it fails. */
		s32 *kept = (s32 *)shared;

		bpf_probe_read_kernel(kept, MT_KINDS * sizeof(*kept),
				      (void *)(copies + cpu_offsets[cpu]));
		ret_totals[0] += kept[0];
		ret_totals[1] += kept[1];
		ret_totals[2] += kept[2];
		ret_totals[3] += kept[3];
	}
	return 1;
}
