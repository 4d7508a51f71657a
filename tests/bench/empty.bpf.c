// SPDX-License-Identifier: GPL-2.0-only
/* The yardstick: what any program on this tracepoint costs before it does anything. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

SEC("tp_btf/rss_stat")
int BPF_PROG(nothing_done, struct mm_struct *mm, int member)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
