/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The maps as the programs see them. What each holds and who inserts and deletes stands
 * in include/maps.h, beside the value's type. Capacities come from user space.
 */
#ifndef MEMTREE_MAPS_BPF_H
#define MEMTREE_MAPS_BPF_H

#include "kernel.bpf.h"

/* One pass over all tasks, as the one that runs it has asked; see census.bpf.c. */
struct census {
	struct mt_process scratch; /* first: clang 14 adds an offset before the NULL check */
	u64 begun_boot_ns;
	u64 root_start_boot_ns;
	__u32 root_tgid; /* adopt it as the root of `tree` */
	__u32 tree;	 /* 0: heal all trees */
	__u32 wanted;	 /* tell who has this pid in the runner's namespace; adopt nobody */
	__u32 pad;
	struct mt_census_record record;
};

struct tracker_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mt_tracker);
};

struct registry_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mt_registration);
};

/* Arrays, because their lookup is compiled inline: both are read on the fault path. Mapped by
 * readers, for whom each look through the kernel would be a microsecond. */
struct settings_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mt_settings);
};

struct totals_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mt_totals);
};

struct processes_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mt_process);
};

struct zombies_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mt_zombie);
};

struct spaces_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct mt_space);
};

/* Spaces that somebody clears or ends at this moment: as many as there are CPUs, or a few
 * more where programs can be preempted. */
struct endings_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u64); /* since when, CLOCK_MONOTONIC */
};

struct windows_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct mt_window_key);
	__type(value, struct mt_window);
};

struct losses_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MT_LOSSES);
	__type(key, __u32);
	__type(value, __u64);
};

struct health_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mt_health);
};

/* Never written: too large for the stack, a new census is a copy of it. */
struct no_census_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct census);
};

/* LRU, so that one whose runner was killed is forgotten when room is needed. */
struct censuses_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__type(key, __u32); /* the runner's tgid */
	__type(value, struct census);
};

struct guides_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
};

/* No program reads it. */
struct policies_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mt_policy);
};

struct claims_map {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct mt_claim);
	__type(value, __u32);
};

struct places_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mt_places);
};

struct events_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1);
};

/*
 * A record is too large for the stack. One scratch slot per program and not per CPU
 * alone: from 7.0 a handler can be preempted by another one on the same CPU, though
 * never by itself.
 */
enum scratch_user {
	SCRATCH_FORK,
	SCRATCH_FORK_AGAIN,
	SCRATCH_NEWTASK,
	SCRATCH_NEWTASK_STEADY,
	SCRATCH_EXIT,
	SCRATCH_EXIT_AGAIN,
	SCRATCH_EXIT_STEADY,
	SCRATCH_EMPTY, /* never written */
	SCRATCH_USERS,
};

struct scratch_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_USERS);
	__type(key, __u32);
	__type(value, struct mt_process);
};

extern struct settings_map mt_settings SEC(".maps");
extern struct totals_map mt_totals SEC(".maps");
extern struct processes_map mt_processes SEC(".maps");
extern struct zombies_map mt_zombies SEC(".maps");
extern struct spaces_map mt_spaces SEC(".maps");
extern struct endings_map mt_endings SEC(".maps");
extern struct windows_map mt_windows SEC(".maps");
extern struct losses_map mt_losses SEC(".maps");
extern struct guides_map mt_guides SEC(".maps");
extern struct policies_map mt_policies SEC(".maps");
extern struct claims_map mt_claims SEC(".maps");
extern struct places_map mt_places SEC(".maps");
extern struct events_map mt_events SEC(".maps");
extern struct scratch_map mt_scratch SEC(".maps");
extern struct censuses_map mt_censuses SEC(".maps");
extern struct no_census_map mt_no_census SEC(".maps");
extern struct health_map mt_health SEC(".maps");

extern const volatile __u32 tree_slot_mask; /* tree capacity - 1 */
extern const volatile bool ends_are_told;   /* of trees: nobody else may be waiting for them */

extern bool stories_are_heard; /* by somebody: only then they are told */

/* How many address spaces were ever inserted: raised after each insert, see memory.bpf.c.
 * On a cache line of its own, as every event reads it. */
#define CACHE_LINE 64
extern __u64 spaces_generation;

static __always_inline void loss_count(__u32 reason)
{
	__u64 *count = bpf_map_lookup_elem(&mt_losses, &reason);

	if (count)
		__sync_fetch_and_add(count, 1);
}

#define SIGKILL 9
#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */
#define EBUSY 16
#define EEXIST 17
#define EDEADLK 35
#define ETIMEDOUT 110

/*
 * The lock of a bucket may not be had for a moment: -EBUSY when this CPU was interrupted
 * while it held one (from 5.11), -EDEADLK or -ETIMEDOUT from the resilient locks (6.15).
 */
static __always_inline bool is_busy(long err)
{
	return err == -EBUSY || err == -EDEADLK || err == -ETIMEDOUT;
}

/* For tests alone: every change of a map is refused, or each handler of a process's life
 * takes its time (the verifier drops that when it is 0). */
extern bool fault_refuse;
extern const volatile __u32 fault_wait_ns;

static __always_inline void fault_wait(void)
{
	u64 end_ns = fault_wait_ns ? bpf_ktime_get_ns() + fault_wait_ns : 0;

	for (int i = 0; i < 4096 && end_ns && bpf_ktime_get_ns() < end_ns; i++)
		;
}

static __always_inline long map_insert_once(void *map, const void *key, const void *value,
					    u64 flags)
{
	return fault_refuse ? -EBUSY : bpf_map_update_elem(map, key, value, flags);
}

static __always_inline long map_delete_once(void *map, const void *key)
{
	return fault_refuse ? -EBUSY : bpf_map_delete_elem(map, key);
}

static __always_inline long map_insert(void *map, const void *key, const void *value, u64 flags)
{
	long err = map_insert_once(map, key, value, flags);

	for (int i = 0; i < 3 && is_busy(err); i++)
		err = map_insert_once(map, key, value, flags);
	if (is_busy(err))
		loss_count(MT_LOSS_BUSY);
	return err;
}

static __always_inline long map_delete(void *map, const void *key)
{
	long err = map_delete_once(map, key);

	for (int i = 0; i < 3 && is_busy(err); i++)
		err = map_delete_once(map, key);
	if (is_busy(err))
		loss_count(MT_LOSS_BUSY);
	return err;
}

#endif /* MEMTREE_MAPS_BPF_H */
