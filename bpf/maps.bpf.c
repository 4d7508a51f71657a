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
struct endings_map mt_endings SEC(".maps");
struct windows_map mt_windows SEC(".maps");
struct losses_map mt_losses SEC(".maps");
struct guides_map mt_guides SEC(".maps");
struct policies_map mt_policies SEC(".maps");
struct claims_map mt_claims SEC(".maps");
struct places_map mt_places SEC(".maps");
struct events_map mt_events SEC(".maps");
struct scratch_map mt_scratch SEC(".maps");
struct censuses_map mt_censuses SEC(".maps");
struct no_census_map mt_no_census SEC(".maps");
struct health_map mt_health SEC(".maps");

const volatile __u32 page_shift = 12;
const volatile __u32 cpus_possible = 1;
const volatile __u32 tree_slot_mask = 0;
const volatile bool ends_are_told = false;
const volatile __u32 places_first[MT_PLACED];
const volatile __u32 places_count[MT_PLACED];
const volatile bool teardown_is_seen = false;
const volatile __u32 fault_wait_ns = 0;
bool fault_refuse;
bool stories_are_heard;
__u64 cpu_offsets[CPUS_MAX];
__u64 spaces_generation __attribute__((aligned(CACHE_LINE)));

char LICENSE[] SEC("license") = "GPL";
