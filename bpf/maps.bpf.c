// SPDX-License-Identifier: GPL-2.0-only
/* Where the maps and the variables that user space sets are defined. */
#include "maps.bpf.h"

struct tracker_map mt_tracker SEC(".maps");
struct registry_map mt_registry SEC(".maps");
struct settings_map mt_settings SEC(".maps");
struct totals_map mt_totals SEC(".maps");
struct processes_map mt_processes SEC(".maps");
struct zombies_map mt_zombies SEC(".maps");
struct spaces_map mt_spaces SEC(".maps");
struct windows_map mt_windows SEC(".maps");
struct losses_map mt_losses SEC(".maps");
struct scratch_map mt_scratch SEC(".maps");

const volatile __u32 page_shift = 12;
const volatile __u32 cpus_possible = 1;
const volatile __u32 tree_slot_mask = 0;
const volatile bool teardown_is_seen = false;
__u64 cpu_offsets[CPUS_MAX];

char LICENSE[] SEC("license") = "GPL";
