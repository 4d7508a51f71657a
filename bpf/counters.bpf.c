// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exact reading of the kernel's per-CPU counters (from 6.2), and how the programs come to
 * know where another CPU's copy lies.
 */
#include "maps.bpf.h"

/*
 * A global function, so that the verifier walks its loop once per program and not once
 * per caller. `counters` is NULL where a vendor kernel keeps the count exact until the
 * second thread.
 */
__weak s64 percpu_counter_total(u64 counter)
{
	struct percpu_counter *shared = (void *)counter;
	u64 copies = (u64)BPF_CORE_READ(shared, counters);
	s64 total = BPF_CORE_READ(shared, count);

	if (!copies)
		return total;
	for (__u32 cpu = 0; cpu < CPUS_MAX && cpu < cpus_possible; cpu++) {
		s32 kept = 0;

		bpf_probe_read_kernel(&kept, sizeof(kept), (void *)(copies + cpu_offsets[cpu]));
		total += kept;
	}
	return total;
}
